//! The log was damaged, and a new one has taken its place.

use crate::{Event, State, event::MessageKind, render::counted};

use super::queue_for_all;

/// What became of a damaged log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvaged {
    /// Records that the new log has.
    pub saved: u64,
    /// Records that the damaged one is known to have had and that could not be read.
    pub lost: u64,
    /// Whether more may be lost.
    pub is_at_least: bool,
    /// Samples that are lost besides, about.
    pub samples: u64,
    /// Where the damaged log is; nowhere where there was nothing to keep.
    pub kept: Option<String>,
}

impl Salvaged {
    /// What came of it, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let lost = match (self.lost, self.is_at_least) {
            (0, false) => "none lost".to_owned(),
            (0, true) => "none known to be lost, some may be".to_owned(),
            (lost, false) => format!("{lost} lost"),
            (lost, true) => format!("at least {lost} lost"),
        };
        let mut text =
            format!("the log was damaged and is mended: {} saved, {lost}", counted(self.saved, "record"));
        if self.samples > 0 {
            let about = if self.is_at_least { "at least" } else { "about" };
            text += &format!("; {about} {} are lost besides", counted(self.samples, "sample"));
        }
        if let Some(kept) = &self.kept {
            text += &format!("; the damaged log is kept in {kept}");
        }
        text
    }
}

/// What was lost is recorded, and everybody is told: a log that forgets in silence is worth nothing.
pub(super) fn salvaged(state: &State, salvaged: &Salvaged) -> Vec<Event> {
    let mut events = vec![Event::Salvaged { saved: salvaged.saved, lost: salvaged.lost }];
    queue_for_all(state, &mut events, MessageKind::Notice, &salvaged.sentence());
    events
}
