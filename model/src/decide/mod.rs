//! From an input to events: the only place that decides anything.

mod alert;
mod heard;
mod lifecycle;
mod reload;
mod salvaged;
mod sampled;
mod service;
mod told;
mod unrecorded;

use std::net::IpAddr;

use crate::{
    Address, Event, LocalTime, Message, Rules, Seq, State, event::MessageKind, host::Process, limits, outbox,
    sample::Pass,
};

pub use reload::Reread;
pub use salvaged::Salvaged;
pub use service::Finished;
pub(crate) use service::{ordered, stop_watching};
pub(crate) use told::tell_still_wrong;
pub use told::{due, present};
pub use unrecorded::{decide_unrecorded, due_unrecorded};

/// What the world hands to the daemon.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The daemon begins to run.
    Starting {
        /// Its version.
        version: String,
        /// The configuration file in use.
        config: Option<String>,
        /// The settings in force.
        rules: Box<Rules>,
    },
    /// One pass read the machine.
    Sampled(Box<Pass>),
    /// A chat line arrived.
    Heard {
        /// From where.
        from: Address,
        /// The line as it came, of any length and content.
        text: String,
    },
    /// A transport is about to hand these messages over; it waits until that is recorded.
    Attempting(Vec<Seq>),
    /// The destination surely did not take them.
    Returned(Vec<Seq>),
    /// The destination took them.
    Delivered(Vec<Seq>),
    /// The public address was asked for.
    AddressFetched(Result<IpAddr, String>),
    /// Two readings of the process table, one second apart, gave the busiest processes, busiest first.
    ProcessesRead(Vec<Process>),
    /// The start of a watched service ended.
    RestartFinished(Finished),
    /// The health of a watched service was checked.
    Checked {
        /// Its name.
        service: String,
        /// What is wrong; `None` where it is well.
        problem: Option<String>,
    },
    /// The configuration was read again: what it asks for, or its mistake in one line.
    ConfigurationRead(Result<Reread, String>),
    /// The log was damaged, and a new one has taken its place.
    Salvaged(Salvaged),
    /// A deadline of the state has come, see [`due`].
    Woken,
    /// The log cannot be written: why, with its directory.
    LogFailed(String),
    /// The log can be written again, and what waited is in it.
    LogMended {
        /// Ticks that were recorded late.
        late: u64,
        /// Ticks that had to be given up.
        given_up: u64,
    },
    /// The daemon is about to end, and may say goodbye.
    Leaving,
    /// The daemon ends.
    Stopping,
}

/// What follows from an input. The state is that before it, `now` the moment of its record.
#[must_use]
pub fn decide(state: &State, now: &LocalTime, input: Input) -> Vec<Event> {
    match input {
        Input::Starting { version, config, rules } => {
            lifecycle::starting(state, now, version, config, &rules)
        }
        Input::Sampled(pass) => sampled::sampled(state, *pass),
        Input::Heard { from, text } => heard::heard(state, now, from, &text),
        Input::Attempting(messages) => {
            about_queued(state, messages, |messages| Event::MessageAttempted { messages })
        }
        Input::Returned(messages) => {
            about_queued(state, messages, |messages| Event::MessageReturned { messages })
        }
        Input::Delivered(messages) => {
            about_queued(state, messages, |messages| Event::MessageDelivered { messages })
        }
        Input::AddressFetched(result) => heard::address_fetched(state, now, result),
        Input::ProcessesRead(processes) => heard::processes_read(state, now, &processes),
        Input::RestartFinished(finished) => service::finished(state, now.at, finished),
        Input::Checked { service, problem } => service::checked(state, now.at, &service, problem),
        Input::ConfigurationRead(Ok(reread)) => reload::taken(state, &reread),
        Input::ConfigurationRead(Err(mistake)) => reload::refused(state, &mistake),
        Input::Salvaged(salvaged) => salvaged::salvaged(state, &salvaged),
        Input::Woken => told::woken(state, now.at),
        Input::LogFailed(problem) => unrecorded::failed(state, &problem),
        Input::LogMended { late, given_up } => unrecorded::mended(state, late, given_up),
        Input::Leaving => lifecycle::leaving(state),
        Input::Stopping => lifecycle::stopping(state),
    }
}

/// Says something about messages, as far as they are owed still.
fn about_queued(state: &State, mut messages: Vec<Seq>, event: fn(Vec<Seq>) -> Event) -> Vec<Event> {
    messages.retain(|number| state.outbox.contains_key(number));
    if messages.is_empty() { Vec::new() } else { vec![event(messages)] }
}

/// Queues a text for every destination.
fn queue_for_all(state: &State, events: &mut Vec<Event>, kind: MessageKind, text: &str) {
    for to in &state.rules.destinations {
        queue(state, events, Message { to: to.clone(), kind, text: text.to_owned() });
    }
}

/// Queues a message; where too many wait for its destination already, the oldest is given up for it.
fn queue(state: &State, events: &mut Vec<Event>, mut message: Message) {
    message.text = outbox::fit(&message.text).into_owned();
    let waiting: Vec<Seq> = state.owed_to(&message.to).map(|owed| owed.number).collect();
    if waiting.len() >= limits::OUTBOX_MESSAGES {
        let messages = waiting.into_iter().take(1).collect();
        events.push(Event::MessageDropped {
            messages,
            reason: "too many messages wait for this destination".into(),
        });
    }
    events.push(Event::MessageQueued(message));
}
