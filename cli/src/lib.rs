//! Asking: the command line of Systembot as a library.
//!
//! [`main`] reads the arguments, finds configuration and log, and runs one command with an output in its hands.
//! What only the program can do - run the daemon, answer a chat line with a fresh reading - is given as [`Edges`].

pub mod args;
pub mod child;
pub mod commands;
mod dispatch;
pub mod edges;
mod open;
pub mod output;
pub mod past;
mod pipe;
pub mod rows;
pub mod setup;
pub mod source;
pub mod time;

use std::{
    ffi::OsString,
    io::{self, BufWriter, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    termios::tcgetwinsize,
};

pub use crate::{
    commands::doctor::{Checkup, Finding, Verdict},
    dispatch::run,
    edges::{Answer, Asked, Detector, Edges, FindingSink, Io, Judged, Opened, Wait},
    setup::Setup,
};
use crate::{
    output::{Output, Screen},
    pipe::OUTPUT_BYTES,
};

/// The whole command line: reads the arguments, the program's name first, and does what they say.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>, edges: &Edges<'_>) -> ExitCode {
    let (stdin, stdout, mut stderr) = (io::stdin(), io::stdout(), io::stderr());
    let env = |name: &str| std::env::var_os(name);
    let text = |name: &str| env(name).and_then(|value| value.into_string().ok());
    let terminal = if stdout.is_terminal() {
        Output::Terminal { columns: tcgetwinsize(&stdout).ok().map(|size| size.ws_col) }
    } else {
        Output::Other
    };
    let mut output = BufWriter::with_capacity(OUTPUT_BYTES, stdout.lock());
    let mut io = Io {
        is_typed: stdin.is_terminal() && stdout.is_terminal(),
        input: &mut stdin.lock(),
        is_errors_seen: stderr.is_terminal(),
        // Not locked: the threads of `run` write their log there while this one waits for the end.
        errors: &mut stderr,
        screen: Screen::new(terminal, &text),
        zone: jiff::tz::TimeZone::system(),
        wait: &|span| wait_for_reader(&stdout, span),
        env: &env,
    };
    ExitCode::from(run(args, edges, &mut io, &mut output))
}

/// Waits; a pipe whose reader goes ends it at once.
fn wait_for_reader(output: &impl std::os::fd::AsFd, span: Duration) -> Wait {
    // Without any event asked for, only errors and hang-ups are told.
    let mut fds = [PollFd::new(output, PollFlags::empty())];
    let limit = Timespec::try_from(span).ok();
    // An interrupted wait is a short one.
    match poll(&mut fds, limit.as_ref()) {
        Ok(1..) => Wait::ReaderGone,
        Ok(0) | Err(_) => Wait::Over,
    }
}
