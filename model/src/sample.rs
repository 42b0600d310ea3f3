//! What one pass over the machine read.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Series, Timestamp, host::Host, service::Found};

/// One value of one series. Never NaN or infinite: a reading that has no number is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// What was read.
    pub series: Series,
    /// Its value, in the metric's unit.
    pub value: f64,
}

/// One tick: everything that one pass read, each series once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The readings, in the order of the collectors.
    pub readings: Vec<Reading>,
}

impl Sample {
    /// Adds a reading unless its value is no number.
    pub fn push(&mut self, series: Series, value: f64) {
        if value.is_finite() {
            self.readings.push(Reading { series, value });
        }
    }

    /// The value of a series in this tick, by its id.
    #[must_use]
    pub fn value(&self, id: &str) -> Option<f64> {
        self.readings.iter().find(|reading| reading.series.id() == id).map(|reading| reading.value)
    }
}

/// What one pass over the machine found: its sample, and what is no number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pass {
    /// When it was read, by the wall clock.
    pub at: Timestamp,
    /// The readings.
    pub sample: Sample,
    /// What the machine is.
    pub host: Host,
    /// Everything that could not be read just now, in order of subject; a subject that is missing is well again.
    pub notes: Vec<Note>,
    /// Watched services that were looked for and are not in the process table.
    pub missing: Vec<String>,
    /// Watched services that were found; one of which nothing is known just now is in neither list.
    pub services: Vec<Found>,
    /// Steady time (CLOCK_MONOTONIC, which stands still in sleep) since the pass before; `None` for the first.
    pub elapsed: Option<Duration>,
    /// Time asleep since the pass before: CLOCK_BOOTTIME less CLOCK_MONOTONIC.
    pub asleep: Duration,
}

/// Something that cannot be read at the moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What it is about, `mount /mnt/nas`.
    pub subject: String,
    /// The note in words, `does not answer; left out until it does`.
    pub text: String,
}
