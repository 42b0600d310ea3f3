//! Running another program for its answer, within a time.

use std::{
    io::{self, Read},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{
        Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, pidfd_open, waitid,
    },
};

/// Most that is taken of an answer, in bytes: what a pipe holds, so that nobody has to read while it runs.
const ANSWER_BYTES: u64 = 64 << 10;

/// What a program answered.
#[derive(Debug)]
pub struct Answer {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output, at most 64 KiB of it.
    pub stdout: String,
    /// And to its standard error.
    pub stderr: String,
}

/// Runs a program to its end, without input; one that takes longer is killed with all that it started.
///
/// # Errors
/// That it cannot be started; [`io::ErrorKind::TimedOut`] where it took too long.
pub fn answer(command: &mut Command, within: Duration) -> io::Result<Answer> {
    use std::os::unix::process::CommandExt;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let is_in_time = ends_within(&child, within);
    if !matches!(is_in_time, Ok(true)) {
        kill(&mut child);
    }
    let status = child.wait()?;
    if !is_in_time? {
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", within.as_secs_f64()),
        ));
    }
    let (stdout, stderr) = (said(child.stdout.take()), said(child.stderr.take()));
    Ok(Answer { status, stdout, stderr })
}

/// Kills a program and its process group.
fn kill(child: &mut Child) {
    if let Some(group) = pid(child.id()) {
        // It may have ended by now.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// How a child has ended, if it has, without taking note of it: until that is done nobody gets its number, neither as
/// that of a process nor of a group.
#[must_use]
pub fn ended(child: &Child) -> Option<WaitIdStatus> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // One that cannot be asked about is none of this process's any more, which nothing here makes so.
    waitid(WaitId::Pid(pid(child.id())?), options).ok().flatten()
}

/// The number of a process, as the kernel's calls take it.
#[must_use]
pub fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().and_then(Pid::from_raw)
}

fn ends_within(child: &Child, within: Duration) -> io::Result<bool> {
    let Some(pid) = pid(child.id()) else { return Ok(true) };
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    let mut fds = [PollFd::new(&handle, PollFlags::IN)];
    let limit = Timespec {
        tv_sec: i64::try_from(within.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(within.subsec_nanos()),
    };
    // A signal to the daemon does not interrupt this thread: they go to a pipe of the runtime's.
    Ok(poll(&mut fds, Some(&limit))? > 0)
}

/// What is in a pipe. A program in the background may hold its other end open, so only what is there is read.
fn said(pipe: Option<impl Read + std::os::fd::AsFd>) -> String {
    let Some(pipe) = pipe else { return String::new() };
    let mut bytes = Vec::new();
    if rustix::fs::fcntl_setfl(&pipe, rustix::fs::OFlags::NONBLOCK).is_ok() {
        // What was read before an error, above all "nothing there now", is the answer.
        let _ = pipe.take(ANSWER_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(text: &str, within: Duration) -> io::Result<Answer> {
        answer(Command::new("/bin/sh").args(["-c", text]), within)
    }

    #[test]
    fn an_answer_is_what_it_says_and_how_it_ends() {
        let answer = sh("echo out; echo err >&2; exit 3", Duration::from_secs(20)).unwrap();
        assert_eq!((answer.stdout.as_str(), answer.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(answer.status.code(), Some(3));
    }

    #[test]
    fn one_that_hangs_is_ended_with_what_it_started() {
        let error = sh("sleep 1000 & sleep 1000", Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_child_that_has_ended_keeps_its_number() {
        let mut child = Command::new("/bin/sh").args(["-c", "exit 3"]).spawn().unwrap();
        ends_within(&child, Duration::from_secs(20)).unwrap();
        for _ in 0..2 {
            assert_eq!(ended(&child).unwrap().exit_status(), Some(3));
        }
        assert_eq!(child.wait().unwrap().code(), Some(3));
    }

    #[test]
    fn what_stays_in_the_background_is_not_waited_for() {
        let answer = sh("echo here; sleep 20 >&2 & echo $!", Duration::from_secs(10)).unwrap();
        let sleeper = answer.stdout.lines().nth(1).unwrap().parse().unwrap();
        assert!(answer.stdout.starts_with("here\n"));
        rustix::process::kill_process(pid(sleeper).unwrap(), Signal::KILL).unwrap();
    }
}
