//! Other programs: where they lie, and what they say within a time.

use std::{
    ffi::OsStr,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rustix::fs::Access;
use systembot_config::Env;

use crate::clock::Clock;

/// Time that a program has for its answer; systemctl and its like take milliseconds, and 25 s where D-Bus hangs.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two looks at whether it has ended.
const PAUSE: Duration = Duration::from_millis(5);
/// Longest answer that is read, in bytes; what asks for a handful of properties gets a few hundred. It fits into a
/// pipe, so that no program waits for us to read.
const ANSWER_BYTES: u64 = 32 * 1024;

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
pub(super) fn said(name: &str, args: &[&str], clock: &dyn Clock, env: Env<'_>) -> Option<String> {
    let program = find(name, &env("PATH")?)?;
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let began = clock.steady();
    let status = loop {
        if let Some(status) = child.try_wait().ok()? {
            break status;
        }
        if clock.steady().saturating_sub(began) > PATIENCE {
            // Ended meanwhile is as good.
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        clock.wait(PAUSE);
    };
    let mut text = String::new();
    child.stdout.take()?.take(ANSWER_BYTES).read_to_string(&mut text).ok()?;
    status.success().then_some(text)
}

/// The value of `KEY=` in lines as `systemctl show` prints them.
pub(super) fn property<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}
