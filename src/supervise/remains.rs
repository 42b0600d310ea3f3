//! What is left of a start: processes in its group, and those that carry its mark.

use std::{fs::File, path::Path};

use rustix::{
    io::Errno,
    process::{Signal, kill_process, test_kill_process},
};
use systembot_model::Seq;

use systembot_cli::child;

use crate::collect::{
    Roots,
    file::Buffer,
    process::{Stat, pids},
};

/// Name of the variable that marks what a start started, however it detaches itself.
pub(super) const MARK: &str = "SYSTEMBOT_START";

/// The mark of one start: numbers of records count within one log alone, so it names that too.
pub(super) fn mark(data_dir: &Path, ordered: Seq) -> String {
    format!("{}@{}", ordered.get(), data_dir.display())
}

/// The processes that one start left running: those of its process group, and those that have its mark in their
/// environment, as far as it can be read. Those that have ended and only wait to be taken note of do not count.
pub(super) fn of_start(roots: &Roots, group: Option<u32>, mark: &str, buffer: &mut Buffer) -> Vec<u32> {
    let own = std::process::id();
    let entry = format!("{MARK}={mark}");
    let is_of_it = |pid: &u32| {
        let Some(stat) = Stat::read(&roots.proc, *pid, buffer).filter(|stat| !stat.is_zombie) else {
            return false;
        };
        if group == Some(stat.group) {
            return true;
        }
        let environ = File::open(roots.proc.join(format!("{pid}/environ")));
        environ.is_ok_and(|file| buffer.fill(&file).is_ok())
            && buffer.content().split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes())
    };
    pids(roots).into_iter().filter(|pid| *pid != own).filter(is_of_it).collect()
}

/// The processes of a process group that have not ended.
pub(super) fn of_group(roots: &Roots, group: u32, buffer: &mut Buffer) -> Vec<u32> {
    let own = std::process::id();
    let mut is_of_it = |pid: &u32| {
        *pid != own
            && Stat::read(&roots.proc, *pid, buffer)
                .is_some_and(|stat| stat.group == group && !stat.is_zombie)
    };
    pids(roots).into_iter().filter(|pid| is_of_it(pid)).collect()
}

/// Whether a process is another user's, who alone may end it.
pub(super) fn is_untouchable(pid: u32) -> bool {
    child::pid(pid).is_some_and(|pid| test_kill_process(pid) == Err(Errno::PERM))
}

/// Sends a signal to processes; those that are gone, or another user's, are passed over.
pub(super) fn signal(pids: &[u32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| child::pid(*pid)) {
        // Gone is what was wanted; what may not be ended is seen to be still there.
        let _ = kill_process(pid, signal);
    }
}
