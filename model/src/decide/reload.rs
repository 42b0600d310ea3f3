//! The configuration was read again while the daemon runs.

use crate::{Event, Rules, State, event::MessageKind, render::counted};

use super::{lifecycle, queue_for_all};

/// Keys that are named to the owner; an owner who changed more knows what was done.
const KEYS_NAMED: usize = 12;

/// What a configuration that is in order asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Reread {
    /// The rules from now on.
    pub rules: Box<Rules>,
    /// Keys of the settings that are not what they were, rules or not.
    pub changed: Vec<String>,
}

impl Reread {
    /// What came of it, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let count = u64::try_from(self.changed.len()).unwrap_or(u64::MAX);
        if count == 0 {
            return "configuration read again: nothing changed".to_owned();
        }
        let named: Vec<&str> = self.changed.iter().map(String::as_str).take(KEYS_NAMED).collect();
        let more = if self.changed.len() > KEYS_NAMED { " ..." } else { "" };
        format!("configuration read again: {} changed: {}{more}", counted(count, "setting"), named.join(", "))
    }
}

/// Rules that differ are recorded, what is owed to a destination that is gone is dropped, and all others are told what
/// changed.
pub(super) fn taken(state: &State, reread: &Reread) -> Vec<Event> {
    let mut events: Vec<Event> = lifecycle::orphaned(state, &reread.rules).into_iter().collect();
    // What is recorded is compared, not what is set: some of that is never recorded.
    let rules = reread.rules.to_json();
    if rules != state.rules.to_json() {
        events.push(Event::Configured { rules });
    }
    // That nothing changed is no news to anybody but whoever watches the daemon's log.
    if !reread.changed.is_empty() {
        let configured = State { rules: Rules::clone(&reread.rules), ..State::default() };
        queue_for_all(&configured, &mut events, MessageKind::Notice, &reread.sentence());
    }
    events
}

/// The old rules stay in force.
pub(super) fn refused(state: &State, mistake: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let text = format!("the old settings stay in force, the configuration cannot be read again: {mistake}");
    queue_for_all(state, &mut events, MessageKind::Notice, &text);
    events
}
