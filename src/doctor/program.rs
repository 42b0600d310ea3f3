//! Other programs: where they lie, and what they say.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rustix::fs::Access;
use systembot_cli::child;
use systembot_config::Env;

pub(super) use crate::collect::unit::property;

/// Time that a program has for its answer; systemctl and its like take milliseconds, and 25 s where D-Bus hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a program lies: its path, or the first in `$PATH` that may be executed.
pub(super) fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    if name.contains('/') {
        let file = PathBuf::from(name);
        return is_executable(&file).then_some(file);
    }
    std::env::split_paths(path).map(|dir| dir.join(name)).find(|file| is_executable(file))
}

/// Whether a file may be executed by this user.
pub(super) fn is_executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, Access::EXEC_OK).is_ok()
}

/// What a program in `$PATH` prints; `None` where there is none, it fails, or it takes too long.
pub(super) fn said(name: &str, args: &[&str], env: Env<'_>) -> Option<String> {
    let program = find(name, &env("PATH")?)?;
    let answer = child::answer(Command::new(program).args(args), PATIENCE).ok()?;
    answer.status.success().then_some(answer.stdout)
}
