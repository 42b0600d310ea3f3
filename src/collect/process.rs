//! The process table.

use std::{
    collections::HashMap,
    fs::File,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::unistd::{Uid, User};
use rustix::fs::{Mode, OFlags, RawDir, SeekFrom, open, seek};
use systembot_model::{
    Series,
    host::Process,
    number::{count, float},
    sample::Pass,
};

use super::{
    Roots,
    file::{Buffer, unreadable},
};
use crate::clock::Clock;

/// Time between the two readings of [`top_processes`]: what top(1) needs to say more than noise.
const TOP_SPAN: Duration = Duration::from_secs(1);

/// Room for the names that one call lists: half the processes of a desktop.
const NAMES_BYTES: usize = 8 << 10;

/// Counts processes.
pub(super) struct Processes {
    proc: PathBuf,
    /// Stays open between passes.
    dir: Option<OwnedFd>,
    names: Vec<u8>,
    pids: Vec<u32>,
    total: Series,
}

impl Processes {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            proc: roots.proc.clone(),
            dir: None,
            names: Vec::with_capacity(NAMES_BYTES),
            pids: Vec::new(),
            total: Series::new("processes_total"),
        }
    }

    pub(super) fn read(&mut self, pass: &mut Pass) {
        self.pids.clear();
        if let Err(error) = self.list() {
            self.dir = None;
            pass.notes.push(unreadable(&self.proc, &error.into()));
        }
        if !self.pids.is_empty() {
            pass.sample.push(self.total.clone(), count(self.pids.len()));
        }
    }

    /// Lists by hand what `read_dir` would make a name each of: there are hundreds in every pass.
    fn list(&mut self) -> rustix::io::Result<()> {
        let dir = match self.dir.take() {
            Some(dir) => dir,
            None => open(&self.proc, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?,
        };
        seek(&dir, SeekFrom::Start(0))?;
        let mut entries = RawDir::new(&dir, self.names.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            self.pids.extend(entry?.file_name().to_str().ok().and_then(pid));
        }
        self.dir = Some(dir);
        Ok(())
    }

    /// The processes of the last pass.
    pub(super) fn pids(&self) -> &[u32] {
        &self.pids
    }
}

/// The number of a process, if the name of an entry of /proc is one.
fn pid(name: &str) -> Option<u32> {
    if name.starts_with(|c: char| c.is_ascii_digit()) { name.parse().ok() } else { None }
}

/// What /proc/PID/stat tells that is of use here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Short name, control characters replaced.
    name: String,
    /// Its process group.
    pub(crate) group: u32,
    /// Whether it has ended and only waits for its parent to take note.
    pub(crate) is_zombie: bool,
    /// CPU time in user and system mode, in ticks.
    pub(crate) ticks: u64,
    /// When it started, in ticks since boot: tells apart two processes that had one number.
    pub(crate) start: u64,
    /// Resident memory in pages.
    rss_pages: u64,
}

impl Stat {
    /// Reads `42 (name) S 1 ...`; the name may hold blanks and parentheses, so its end is the last one.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let line = String::from_utf8_lossy(line);
        let (head, columns) = line.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        let column = |index| -> Option<u64> { columns.split_ascii_whitespace().nth(index)?.parse().ok() };
        Some(Self {
            name: name.replace(char::is_control, "?"),
            group: u32::try_from(column(2)?).ok()?,
            is_zombie: columns.trim_start().starts_with(['Z', 'X']),
            ticks: column(11)?.saturating_add(column(12)?),
            start: column(19)?,
            rss_pages: column(21)?,
        })
    }

    /// Reads that of a process; `None` for one that has ended.
    pub(crate) fn read(proc: &Path, pid: u32, buffer: &mut Buffer) -> Option<Self> {
        let file = File::open(proc.join(format!("{pid}/stat"))).ok()?;
        buffer.fill(&file).ok()?;
        Self::parse(buffer.content())
    }

    /// Resident memory.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.rss_pages.saturating_mul(page_bytes())
    }
}

/// The numbers of all processes there are now.
pub(crate) fn pids(roots: &Roots) -> Vec<u32> {
    let mut processes = Processes::new(roots);
    // What was listed before an error is all there is to tell.
    let _ = processes.list();
    processes.pids
}

/// The processes that use most CPU, at most `count`: most CPU first, then most memory.
///
/// Reads the process table twice, one second apart; `wait` waits that long and may wait shorter or longer. CPU counts
/// as in top(1): 100 is one CPU kept busy. A process that began in between counts with all its time.
pub fn top_processes(
    roots: &Roots,
    clock: &dyn Clock,
    count: usize,
    wait: &mut dyn FnMut(Duration),
) -> Vec<Process> {
    let mut buffer = Buffer::default();
    let begin = clock.steady();
    let before: HashMap<(u32, u64), u64> =
        table(roots, &mut buffer).into_iter().map(|(pid, stat)| ((pid, stat.start), stat.ticks)).collect();
    wait(TOP_SPAN);
    let seconds = clock.steady().saturating_sub(begin).as_secs_f64();
    let hertz = float(rustix::param::clock_ticks_per_second());

    let mut processes: Vec<Process> = table(roots, &mut buffer)
        .into_iter()
        .map(|(pid, stat)| {
            let ticks = stat.ticks.saturating_sub(before.get(&(pid, stat.start)).copied().unwrap_or(0));
            let percent = float(ticks) / hertz / seconds * 100.0;
            let memory_bytes = stat.memory_bytes();
            Process {
                pid,
                name: stat.name,
                user: String::new(),
                cpu_percent: if percent.is_finite() { percent } else { 0.0 },
                memory_bytes,
            }
        })
        .collect();
    processes.sort_by(|a, b| {
        let memory = || b.memory_bytes.cmp(&a.memory_bytes);
        b.cpu_percent.total_cmp(&a.cpu_percent).then_with(memory).then(a.pid.cmp(&b.pid))
    });
    processes.truncate(count);
    for process in &mut processes {
        process.user = user(&roots.proc.join(process.pid.to_string()).join("status"), &mut buffer);
    }
    processes
}

fn page_bytes() -> u64 {
    u64::try_from(rustix::param::page_size()).unwrap_or(u64::MAX)
}

/// All processes; those that ended while the table was read are left out.
fn table(roots: &Roots, buffer: &mut Buffer) -> Vec<(u32, Stat)> {
    let stat = |pid: u32| Some((pid, Stat::read(&roots.proc, pid, buffer)?));
    pids(roots).into_iter().filter_map(stat).collect()
}

/// The user a process runs as (its effective one, as top(1) shows it): by name, else by number; `?` if it has ended.
///
/// The owner of /proc/PID will not do: it is root for programs that may not be dumped. The name comes from the system's
/// own lookup for this one user, where sysinfo would list all, which a directory service may take minutes for.
fn user(status: &Path, buffer: &mut Buffer) -> String {
    let Some(id) = user_id(status, buffer) else { return "?".to_owned() };
    User::from_uid(Uid::from_raw(id)).ok().flatten().map_or_else(|| id.to_string(), |user| user.name)
}

/// The number of the user that a process runs as, its effective one.
pub(super) fn user_id(status: &Path, buffer: &mut Buffer) -> Option<u32> {
    File::open(status).and_then(|file| buffer.fill(&file)).ok()?;
    let text = String::from_utf8_lossy(buffer.content());
    let ids = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let check = |line: &str, expected: Option<(&str, u64, u64, u64)>| {
            let stat = Stat::parse(line.as_bytes());
            let stat = stat.as_ref().map(|stat| (stat.name.as_str(), stat.ticks, stat.start, stat.rss_pages));
            assert_eq!(stat, expected, "{line}");
        };
        let columns = "S 1 2 3 4 5 6 7 8 9 10 100 20 13 14 15 16 17 18 777 20 42 22";
        check(&format!("9 (cat) {columns}"), Some(("cat", 120, 777, 42)));
        check(&format!("9 (a) b (c d)) {columns}"), Some(("a) b (c d)", 120, 777, 42)));
        check(&format!("9 (a\nb) {columns}"), Some(("a?b", 120, 777, 42)));
        check("9 (cat) S 1 2 3", None);
        check("9 cat S", None);
        check("", None);
    }
}
