//! What the command line is given by the program: its edges to the daemon and to the machine.

use std::{
    ffi::OsString,
    io::{BufRead, Write},
    time::Duration,
};

use anyhow::Result;
use jiff::tz::TimeZone;
use systembot_model::{LocalTime, State, Timestamp};
use systembot_storage::Log;

use crate::{
    commands::doctor::{Checkup, Finding},
    output::Screen,
    setup::Setup,
};

/// What only the program itself can do.
pub struct Edges<'a> {
    /// The wall clock.
    pub now: &'a dyn Fn() -> Timestamp,
    /// Runs the daemon in the foreground until it is told to end; an error is one line for its owner.
    pub run: &'a dyn Fn(Setup) -> Result<()>,
    /// Answers a chat line where no daemon runs, from the log and from a fresh reading of this machine.
    pub ask: &'a dyn Fn(Asked<'_>) -> Result<Answer>,
    /// Checks everything around the bot, and gives what it finds one by one; an error of the sink ends it.
    pub doctor: &'a dyn Fn(&Checkup<'_>, FindingSink<'_>) -> Result<()>,
    /// Makes a detector for `detect`; [`crate::commands::detect::plain_detector`] is one.
    pub detector: &'a dyn Fn() -> Detector,
}

/// Takes the findings of `doctor`.
pub type FindingSink<'a> = &'a mut dyn FnMut(Finding) -> Result<()>;

/// A chat line that this process is to answer itself.
pub struct Asked<'a> {
    /// The log, to record what the line brings about; `None` where there is none yet: then nothing is recorded.
    pub opened: Option<&'a mut Opened>,
    /// The settings in force.
    pub setup: &'a Setup,
    /// The line.
    pub text: &'a str,
    /// Now, in the zone of the person who asks.
    pub now: LocalTime,
}

/// The log, held by this process.
pub struct Opened {
    /// The log.
    pub log: Log,
    /// What follows from it.
    pub state: State,
}

/// The answer to a chat line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// Whether the line was understood.
    pub understood: bool,
}

/// What a detector says of one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// How unusual it is, 0 to 1.
    pub score: f64,
    /// Whether it is worth an alert.
    pub is_alert: bool,
}

/// Judges values one after the other, each by those before it alone.
pub type Detector = Box<dyn FnMut(Timestamp, f64) -> Judged>;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Its time was up.
    Over,
    /// Nobody reads the output any more.
    ReaderGone,
}

/// Where a command reads and writes, and what it knows of the person who asks.
pub struct Io<'a> {
    /// Standard input.
    pub input: &'a mut dyn BufRead,
    /// Whether a person types there.
    pub is_typed: bool,
    /// Standard error.
    pub errors: &'a mut dyn Write,
    /// Whether a person sees standard error.
    pub is_errors_seen: bool,
    /// What the output is shown on.
    pub screen: Screen,
    /// The zone that words and days mean.
    pub zone: TimeZone,
    /// Waits, or less if the reader of the output goes.
    pub wait: &'a dyn Fn(Duration) -> Wait,
    /// The environment.
    pub env: &'a dyn Fn(&str) -> Option<OsString>,
}
