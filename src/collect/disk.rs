//! How full the file systems are.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use systembot_model::{
    Series,
    number::float,
    sample::{Note, Pass, Sample},
};

use super::{
    Options,
    file::{Source, unreadable},
    mount::mounts,
};
use crate::clock::Clock;

/// Share of the deadline after which a file system that has not answered is left to its helper and the next one
/// asked, so that one that hangs does not eat the time of the others.
const PATIENCE_SHARE: u32 = 10;
/// Helpers that may hang at once. Every hung mount has one at most; with more hung mounts than this, which are the
/// shares of one dead server, the others are not asked.
const HELPERS: usize = 64;
/// Stack of a helper, which makes one system call.
const HELPER_STACK_BYTES: usize = 128 << 10;

/// What asks a file system for its figures; may block for ever.
pub type Statvfs = Arc<dyn Fn(&Path) -> io::Result<Usage> + Send + Sync>;

/// The figures of a file system, statvfs(3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of a block, `f_frsize`.
    pub block_bytes: u64,
    /// Blocks in all, `f_blocks`.
    pub blocks: u64,
    /// Free blocks, `f_bfree`.
    pub free: u64,
    /// Free blocks that users may fill, `f_bavail`.
    pub available: u64,
    /// Inodes in all, `f_files`; 0 where there is no fixed number.
    pub inodes: u64,
    /// Free inodes, `f_ffree`.
    pub inodes_free: u64,
}

impl Usage {
    /// Asks the file system that holds a path.
    ///
    /// # Errors
    /// Those of statvfs(3).
    pub fn read(path: &Path) -> io::Result<Self> {
        let figures = rustix::fs::statvfs(path)?;
        Ok(Self {
            block_bytes: figures.f_frsize,
            blocks: figures.f_blocks,
            free: figures.f_bfree,
            available: figures.f_bavail,
            inodes: figures.f_files,
            inodes_free: figures.f_ffree,
        })
    }
}

/// Reads every mount that holds files.
pub(super) struct Disks {
    table: Source,
    include: Vec<String>,
    /// The table as it was read last; the mounts are chosen anew only where it has changed.
    table_before: Vec<u8>,
    mounts: Vec<Mount>,
    helpers: Helpers,
}

struct Mount {
    path: Arc<Path>,
    total: Series,
    used: Series,
    available: Series,
    used_percent: Series,
    inodes_used_percent: Series,
}

impl Disks {
    pub(super) fn new(options: &Options, clock: Arc<dyn Clock>) -> Self {
        Self {
            table: Source::new(options.roots.proc.join("self/mountinfo")),
            include: options.include_mounts.clone(),
            table_before: Vec::new(),
            mounts: Vec::new(),
            helpers: Helpers::new(options, clock),
        }
    }

    pub(super) fn read(&mut self, pass: &mut Pass) {
        let table = match self.table.read() {
            Ok(table) => table,
            Err(error) => {
                pass.notes.push(unreadable(self.table.path(), &error));
                return;
            }
        };
        if table != self.table_before {
            self.table_before = table.to_vec();
            self.mounts = mounts(table, &self.include).into_iter().map(Mount::new).collect();
        }
        let paths: Vec<&Arc<Path>> = self.mounts.iter().map(|mount| &mount.path).collect();
        let mut answers = self.helpers.ask(&paths);
        for mount in &self.mounts {
            let text = match answers.remove(&mount.path) {
                Some(Ok(usage)) => {
                    mount.push(&mut pass.sample, usage);
                    continue;
                }
                Some(Err(error)) => format!("cannot be read ({error}); left out until it can"),
                None => "does not answer; left out until it does".to_owned(),
            };
            pass.notes.push(Note { subject: format!("mount {}", mount.path.display()), text });
        }
    }
}

impl Mount {
    fn new(path: PathBuf) -> Self {
        let label = path.to_string_lossy();
        let series = |metric| Series::labelled(metric, "mount", &label);
        Self {
            total: series("disk_total_bytes"),
            used: series("disk_used_bytes"),
            available: series("disk_available_bytes"),
            used_percent: series("disk_used_percent"),
            inodes_used_percent: series("disk_inodes_used_percent"),
            path: Arc::from(path.as_path()),
        }
    }

    /// Adds the readings; a file system without blocks holds no files, and is left out as df(1) does.
    fn push(&self, sample: &mut Sample, usage: Usage) {
        if usage.blocks == 0 {
            return;
        }
        let bytes = |blocks| float(blocks) * float(usage.block_bytes);
        let used = usage.blocks.saturating_sub(usage.free);
        // Some systems write a reserve that is overdrawn as a negative number, which df(1) shows as nothing left.
        let available = if usage.available > i64::MAX.unsigned_abs() { 0 } else { usage.available };
        sample.push(self.total.clone(), bytes(usage.blocks));
        sample.push(self.used.clone(), bytes(used));
        sample.push(self.available.clone(), bytes(available));
        // Of nothing at all there is no share, and a value that is no number is not taken.
        sample.push(self.used_percent.clone(), float(used) / (float(used) + float(available)) * 100.0);
        let inodes_used = float(usage.inodes.saturating_sub(usage.inodes_free));
        sample.push(self.inodes_used_percent.clone(), inodes_used / float(usage.inodes) * 100.0);
    }
}

type Answer = (Arc<Path>, io::Result<Usage>);

/// Threads that ask file systems, since a network share whose server is gone blocks the asking thread for ever.
///
/// One helper asks them all, one after the other. When one does not answer in good time, the helper is left hanging
/// in it and a new one asks the others. A mount that a helper hangs in is not asked again before that helper has
/// come back; then the helper ends, for nobody holds its other end.
struct Helpers {
    statvfs: Statvfs,
    clock: Arc<dyn Clock>,
    deadline: Duration,
    /// The helper that waits for work.
    idle: Option<Sender<Arc<Path>>>,
    answers: Receiver<Answer>,
    answer_here: Sender<Answer>,
    /// Mounts that were asked and have not answered.
    hung: BTreeSet<Arc<Path>>,
}

impl Helpers {
    fn new(options: &Options, clock: Arc<dyn Clock>) -> Self {
        let (answer_here, answers) = channel();
        Self {
            statvfs: Arc::clone(&options.statvfs),
            clock,
            deadline: options.statvfs_deadline,
            idle: None,
            answers,
            answer_here,
            hung: BTreeSet::new(),
        }
    }

    /// Asks all these mounts; those that do not answer within the deadline are missing in what it gives.
    fn ask(&mut self, mounts: &[&Arc<Path>]) -> BTreeMap<Arc<Path>, io::Result<Usage>> {
        let mut found = BTreeMap::new();
        for (path, _) in self.answers.try_iter() {
            self.hung.remove(&path);
        }
        let patience = self.deadline / PATIENCE_SHARE;
        let begin = self.clock.steady();
        let mut late: BTreeSet<Arc<Path>> = BTreeSet::new();
        for &mount in mounts {
            if self.hung.contains(mount) || self.hung.len() >= HELPERS {
                continue;
            }
            if let Err(error) = self.send(mount) {
                found.insert(Arc::clone(mount), Err(error));
                continue;
            }
            self.hung.insert(Arc::clone(mount));
            while self.hung.contains(mount) {
                if !self.wait(patience, &mut found) {
                    self.idle = None;
                    late.insert(Arc::clone(mount));
                    break;
                }
            }
        }
        while late.iter().any(|mount| self.hung.contains(mount)) {
            let left = self.deadline.saturating_sub(self.clock.steady().saturating_sub(begin));
            if !self.wait(left, &mut found) {
                break;
            }
        }
        found
    }

    /// Takes one answer, of whichever mount; false if none came in time.
    fn wait(&mut self, time: Duration, found: &mut BTreeMap<Arc<Path>, io::Result<Usage>>) -> bool {
        let Ok((path, usage)) = self.answers.recv_timeout(time) else { return false };
        self.hung.remove(&path);
        found.insert(path, usage);
        true
    }

    /// Hands a mount to the idle helper, or to a new one.
    fn send(&mut self, mount: &Arc<Path>) -> io::Result<()> {
        if let Some(idle) = &self.idle
            && idle.send(Arc::clone(mount)).is_ok()
        {
            return Ok(());
        }
        let (jobs, work) = channel::<Arc<Path>>();
        let (statvfs, answer_here) = (Arc::clone(&self.statvfs), self.answer_here.clone());
        thread::Builder::new().name("statvfs".to_owned()).stack_size(HELPER_STACK_BYTES).spawn(
            move || {
                for mount in work {
                    let usage = statvfs(&mount);
                    if answer_here.send((mount, usage)).is_err() {
                        break;
                    }
                }
            },
        )?;
        // A thread that was just made is there to take it.
        jobs.send(Arc::clone(mount)).map_err(io::Error::other)?;
        self.idle = Some(jobs);
        Ok(())
    }
}
