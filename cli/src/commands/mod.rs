//! The commands, one file each: plain values, a source and an output in, an outcome out.

pub mod alerts;
pub mod ask;
pub mod backup;
pub mod chat;
pub mod config;
pub mod detect;
pub mod doctor;
pub mod events;
pub mod export;
pub mod history;
pub mod import;
pub mod install;
pub mod mute;
pub mod restart;
pub mod restore;
pub mod samples;
pub mod series;
pub mod services;
pub mod shell;
pub mod status;
pub mod trends;
pub mod verify;
pub mod why;

#[cfg(test)]
mod fake;
mod listing;

use std::io::Write;

use anyhow::Result;
use jiff::{Zoned, tz::TimeZone};
use systembot_model::{Pattern, Timestamp};

pub use listing::Listing;

use crate::{
    args::Format,
    output::Screen,
    source::Source,
    time::{Toward, moment},
};

/// How a command ended that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what was asked.
    Done,
    /// There is nothing of what was asked for: a line for people.
    Nothing(String),
    /// A check found faults, and printed them.
    Faulty,
}

/// Opens a source for one question: who asks again and again must not hold the log from the daemon in between.
pub type Opener<'a> = dyn FnMut() -> Result<Box<dyn Source + 'a>> + 'a;

/// Where and how an answer is printed.
pub struct View<'a> {
    /// Its form.
    pub format: Format,
    /// What it is shown on.
    pub screen: Screen,
    /// Now, in the zone of the person who asks.
    pub now: Zoned,
    /// Where it goes.
    pub out: &'a mut dyn Write,
}

impl View<'_> {
    /// The zone of the person who asks.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        self.now.time_zone()
    }

    /// Now as a plain moment.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        Timestamp::from_ms(self.now.timestamp().as_millisecond())
    }

    /// The moment that a flag about the past names, or what holds without the flag.
    ///
    /// # Errors
    /// One line that says what may be written.
    pub fn moment(&self, text: Option<&str>, otherwise: Timestamp) -> Result<Timestamp> {
        text.map_or(Ok(otherwise), |text| moment(text, &self.now, Toward::Past))
    }
}

/// The patterns that were written; every series where none was.
#[must_use]
pub fn patterns(texts: &[String]) -> Vec<Pattern> {
    if texts.is_empty() {
        return vec![Pattern::all()];
    }
    texts.iter().map(|text| Pattern::new(text)).collect()
}
