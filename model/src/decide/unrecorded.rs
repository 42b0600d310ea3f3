//! While the log cannot be written: what is decided from memory alone, and what the owner is told of it.
//!
//! What is decided here is recorded as it is once that is possible, so it may tell things. It changes nothing in the
//! world: no service is started, and what somebody orders is refused.

use crate::{Event, Input, LocalTime, State, Timestamp, event::MessageKind, render::counted};

use super::{decide, heard, queue_for_all, told};

/// What follows from an input while nothing can be recorded, see [`decide`].
#[must_use]
pub fn decide_unrecorded(state: &State, now: &LocalTime, input: Input) -> Vec<Event> {
    match input {
        Input::Heard { from, text } => heard::heard_unrecorded(state, now, from, &text),
        // Without a command nothing is started, and no alert promises it.
        Input::Sampled(_) | Input::Checked { .. } | Input::Woken if may_start(state) => {
            let mut state = state.clone();
            state.rules.services.iter_mut().for_each(|service| service.restart = None);
            decide(&state, now, input)
        }
        Input::Starting { .. }
        | Input::Sampled(_)
        | Input::Attempting(_)
        | Input::Returned(_)
        | Input::Delivered(_)
        | Input::AddressFetched(_)
        | Input::ProcessesRead(_)
        | Input::RestartFinished(_)
        | Input::Checked { .. }
        | Input::ConfigurationRead(_)
        | Input::Salvaged(_)
        | Input::Woken
        | Input::LogFailed(_)
        | Input::LogMended { .. }
        | Input::Leaving
        | Input::Stopping => decide(state, now, input),
    }
}

/// The earliest moment at which such a state has to be looked at again without an input, see [`super::due`].
#[must_use]
pub fn due_unrecorded(state: &State) -> Option<Timestamp> {
    told::due_to_tell(state)
}

/// The owner hears that the log cannot be written.
pub(super) fn failed(state: &State, problem: &str) -> Vec<Event> {
    let starts = if may_start(state) { ", and no service is started" } else { "" };
    let text = format!(
        "I cannot write my log: {problem}. Alerts still come, marked \"(not recorded)\"; until it can be written again \
         samples wait in memory{starts}"
    );
    notice(state, &text)
}

/// The owner hears that the log can be written again.
pub(super) fn mended(state: &State, late: u64, given_up: u64) -> Vec<Event> {
    let mut text = format!("I can write my log again: {} recorded late", counted(late, "tick"));
    if given_up > 0 {
        text += &format!(
            ", {} before that lost, there was no room for them in memory",
            counted(given_up, "tick")
        );
    }
    notice(state, &text)
}

fn notice(state: &State, text: &str) -> Vec<Event> {
    let mut events = Vec::new();
    queue_for_all(state, &mut events, MessageKind::Notice, text);
    events
}

/// Whether there is a service that would be started.
fn may_start(state: &State) -> bool {
    state.rules.services.iter().any(|service| service.restart.is_some())
}
