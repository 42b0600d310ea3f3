//! What the command line is given by the program: its edges to the machine.

use std::{
    io::{BufRead, Write},
    path::PathBuf,
    time::Duration,
};

use jiff::tz::TimeZone;
use systembot_model::Timestamp;

use crate::output::Screen;

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

/// The answer to a chat line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// Whether the line was understood.
    pub understood: bool,
}

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
    /// Standard output.
    pub output: &'a mut dyn Write,
    /// Standard error.
    pub errors: &'a mut dyn Write,
    /// Whether a person sees standard error.
    pub is_errors_seen: bool,
    /// What the output is shown on.
    pub screen: Screen,
    /// The zone that words and days mean.
    pub zone: TimeZone,
    /// The wall clock.
    pub now: &'a dyn Fn() -> Timestamp,
    /// Waits, or less if the reader of the output goes.
    pub wait: &'a mut dyn FnMut(Duration) -> Wait,
    /// The environment.
    pub env: &'a dyn Fn(&str) -> Option<PathBuf>,
}
