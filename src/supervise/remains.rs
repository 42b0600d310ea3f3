//! What is left of a start: processes in its group, and those that carry its mark.

use std::{fs::File, path::Path};

use rustix::{
    io::Errno,
    process::{Signal, kill_process, test_kill_process},
};
use systembot_cli::child;
use systembot_model::Seq;

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

/// The processes of a group, if one is meant, and those that have a mark in their environment, as far as that can be
/// read. Those that have ended and only wait to be taken note of do not count.
pub(super) fn find(roots: &Roots, group: Option<u32>, mark: Option<&str>, buffer: &mut Buffer) -> Vec<u32> {
    let own = std::process::id();
    let entry = mark.map(|mark| format!("{MARK}={mark}"));
    let is_of_it = |pid: &u32| {
        let Some(stat) = Stat::read(&roots.proc, *pid, buffer).filter(|stat| !stat.is_zombie) else {
            return false;
        };
        if group == Some(stat.group) {
            return true;
        }
        let Some(entry) = &entry else { return false };
        let environ = File::open(roots.proc.join(format!("{pid}/environ")));
        environ.is_ok_and(|file| buffer.fill(&file).is_ok())
            && buffer.content().split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes())
    };
    pids(roots).into_iter().filter(|pid| *pid != own).filter(is_of_it).collect()
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
