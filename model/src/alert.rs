//! An alert's life: fired, repeated, acknowledged, resolved.

use serde::{Deserialize, Serialize};

use crate::{
    Address, Timestamp,
    event::{Event, Fired, Record},
};

/// One alert as it stands, a fold of the events about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// What it fired with.
    pub fired: Fired,
    /// When it fired.
    pub fired_at: Timestamp,
    /// When it was last told, if ever.
    pub told_at: Option<Timestamp>,
    /// When it was acknowledged, and by whom.
    pub acknowledged: Option<(Timestamp, Address)>,
    /// When its condition ended.
    pub resolved_at: Option<Timestamp>,
}

impl Alert {
    /// The alert that a record of `AlertFired` begins.
    #[must_use]
    pub fn begin(fired: &Fired, at: Timestamp) -> Self {
        Self {
            fired: fired.clone(),
            fired_at: at,
            told_at: fired.told.then_some(at),
            acknowledged: None,
            resolved_at: None,
        }
    }

    /// Whether it is firing still.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.resolved_at.is_none()
    }

    /// Folds a record about this alert into it; others leave it as it is.
    pub fn apply(&mut self, record: &Record) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "most events are not about alerts")]
        match &record.event {
            Event::AlertRepeated { id, .. } if *id == self.fired.id => self.told_at = Some(record.at),
            Event::AlertAcknowledged { id, by } if *id == self.fired.id => {
                self.acknowledged = Some((record.at, by.clone()));
            }
            Event::AlertResolved { id, .. } if *id == self.fired.id => self.resolved_at = Some(record.at),
            _ => {}
        }
    }
}
