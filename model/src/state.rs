//! Everything derived: a fold of the log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Rules, Seq, Series, Timestamp,
    alert::Alert,
    event::Record,
    host::Host,
    window::{Trend, Window},
};

/// What is known at one moment: a fold of all records up to a number, and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Number of the newest record folded in.
    pub seq: Seq,
    /// The settings in force.
    pub rules: Rules,
    /// The window of every series.
    pub windows: BTreeMap<Series, Window>,
    /// Alerts that are firing, by number.
    pub alerts: BTreeMap<u64, Alert>,
    /// The machine.
    pub host: Host,
}

impl State {
    /// Folds one record in.
    pub fn apply(&mut self, record: &Record) {
        self.seq = record.seq;
    }

    /// What `trends` tells, in order of name.
    #[must_use]
    pub fn trends(&self) -> Vec<Trend> {
        self.windows.iter().filter_map(|(series, window)| window.trend(series)).collect()
    }

    /// When the newest tick was recorded.
    #[must_use]
    pub fn sampled_at(&self) -> Option<Timestamp> {
        self.windows.values().filter_map(|window| window.last()).map(|(at, _)| at).max()
    }
}
