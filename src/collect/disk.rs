//! How full the file systems are.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
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
    mount::{self, mounts},
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
    statvfs: Statvfs,
    table: Source,
    include: Vec<String>,
    mounts: Vec<Mount>,
    helpers: Helpers,
}

struct Mount {
    path: Arc<Path>,
    is_prompt: bool,
    total: Series,
    used: Series,
    available: Series,
    used_percent: Series,
    inodes_used_percent: Series,
}

impl Disks {
    pub(super) fn new(options: &Options, clock: Arc<dyn Clock>) -> Self {
        Self {
            statvfs: Arc::clone(&options.statvfs),
            table: Source::new(options.roots.proc.join("self/mountinfo")),
            include: options.include_mounts.clone(),
            mounts: Vec::new(),
            helpers: Helpers::new(options, clock),
        }
    }

    /// Has those file systems asked that may take their time, which goes on beside the rest of the pass.
    pub(super) fn begin(&mut self, pass: &mut Pass) {
        if self.table.is_changed() {
            match self.table.read() {
                Ok(table) => self.mounts = mounts(table, &self.include).into_iter().map(Mount::new).collect(),
                Err(error) => {
                    pass.notes.push(unreadable(self.table.path(), &error));
                    self.mounts.clear();
                }
            }
        }
        let patient = self.mounts.iter().filter(|mount| !mount.is_prompt);
        self.helpers.begin(patient.map(|mount| &mount.path));
    }

    /// Asks the others, which is done before a thread would have woken up, and adds what all answered.
    pub(super) fn finish(&mut self, pass: &mut Pass) {
        let mut answers = self.helpers.finish();
        for mount in &self.mounts {
            let answer = match mount.is_prompt {
                true => Some((self.statvfs)(&mount.path)),
                false => answers.remove(&mount.path),
            };
            let text = match answer {
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
    fn new(mount: mount::Mount) -> Self {
        let label = mount.path.to_string_lossy();
        let series = |metric| Series::labelled(metric, "mount", &label);
        Self {
            total: series("disk_total_bytes"),
            used: series("disk_used_bytes"),
            available: series("disk_available_bytes"),
            used_percent: series("disk_used_percent"),
            inodes_used_percent: series("disk_inodes_used_percent"),
            path: Arc::from(mount.path.as_path()),
            is_prompt: mount.is_prompt,
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
/// One helper asks all that a pass wants, one after the other. When no answer comes in good time, that helper is left
/// hanging in the mount that it asked last, and a new one goes on with the others. A mount that a helper hangs in is
/// not asked again before the helper has come back; then it ends, for nobody holds its other end any more.
struct Helpers {
    statvfs: Statvfs,
    clock: Arc<dyn Clock>,
    deadline: Duration,
    /// The helper that is to ask next.
    idle: Option<Sender<Arc<Batch>>>,
    /// What this pass wants.
    batch: Arc<Batch>,
    answers: Receiver<Answer>,
    answer_here: Sender<Answer>,
    /// Mounts that were given to helpers and have not answered.
    out: BTreeSet<Arc<Path>>,
}

/// Mounts to be asked, by as many helpers as it takes; each takes the next one that none has taken.
#[derive(Default)]
struct Batch {
    mounts: Vec<Arc<Path>>,
    next: AtomicUsize,
}

impl Batch {
    fn take(&self) -> Option<&Arc<Path>> {
        self.mounts.get(self.next.fetch_add(1, Ordering::SeqCst))
    }

    /// Takes all that no helper has taken.
    fn take_rest(&self) -> &[Arc<Path>] {
        let next = self.next.fetch_add(self.mounts.len(), Ordering::SeqCst);
        self.mounts.get(next..).unwrap_or_default()
    }

    fn is_taken(&self) -> bool {
        self.next.load(Ordering::SeqCst) >= self.mounts.len()
    }
}

impl Helpers {
    fn new(options: &Options, clock: Arc<dyn Clock>) -> Self {
        let (answer_here, answers) = channel();
        Self {
            statvfs: Arc::clone(&options.statvfs),
            clock,
            deadline: options.statvfs_deadline,
            idle: None,
            batch: Arc::default(),
            answers,
            answer_here,
            out: BTreeSet::new(),
        }
    }

    /// Has those asked that no helper hangs in.
    fn begin<'a>(&mut self, mounts: impl Iterator<Item = &'a Arc<Path>>) {
        for (path, _) in self.answers.try_iter() {
            self.out.remove(&path);
        }
        let room = HELPERS.saturating_sub(self.out.len());
        let mounts = mounts.filter(|mount| !self.out.contains(*mount)).take(room).cloned().collect();
        self.batch = Arc::new(Batch { mounts, next: AtomicUsize::new(0) });
        self.out.extend(self.batch.mounts.iter().cloned());
        self.send();
    }

    /// Waits for the answers; those that do not come within the deadline are missing in what it gives.
    fn finish(&mut self) -> BTreeMap<Arc<Path>, io::Result<Usage>> {
        let mut found = BTreeMap::new();
        let patience = self.deadline / PATIENCE_SHARE;
        let begin = self.clock.steady();
        while self.batch.mounts.iter().any(|mount| self.out.contains(mount)) {
            let left = self.deadline.saturating_sub(self.clock.steady().saturating_sub(begin));
            let is_taken = self.batch.is_taken();
            match self.answers.recv_timeout(if is_taken { left } else { left.min(patience) }) {
                Ok((path, usage)) => {
                    self.out.remove(&path);
                    found.insert(path, usage);
                }
                Err(_) if is_taken || left.is_zero() => break,
                Err(_) => {
                    self.idle = None;
                    self.send();
                    if self.idle.is_none() {
                        break;
                    }
                }
            }
        }
        // Whoever has not answered by now is left alone with its helper, and what was not begun is not begun late.
        for mount in self.batch.take_rest() {
            self.out.remove(mount);
        }
        if self.batch.mounts.iter().any(|mount| self.out.contains(mount)) {
            self.idle = None;
        }
        found
    }

    /// Hands what is wanted to the idle helper, or to a new one. Where no thread can be made the file systems do not
    /// answer, and are asked again in the next pass.
    fn send(&mut self) {
        if self.batch.is_taken() {
            return;
        }
        if let Some(idle) = &self.idle
            && idle.send(Arc::clone(&self.batch)).is_ok()
        {
            return;
        }
        let (jobs, work) = channel::<Arc<Batch>>();
        let (statvfs, answer_here) = (Arc::clone(&self.statvfs), self.answer_here.clone());
        let helper = move || {
            for batch in work {
                while let Some(mount) = batch.take() {
                    if answer_here.send((Arc::clone(mount), statvfs(mount))).is_err() {
                        return;
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("statvfs".to_owned()).stack_size(HELPER_STACK_BYTES);
        let is_there = thread.spawn(helper).is_ok() && jobs.send(Arc::clone(&self.batch)).is_ok();
        self.idle = is_there.then_some(jobs);
    }
}
