//! What the daemon must do to the world: promised by records, and owed again after a crash.

use crate::{
    Address, Event, Question, Record, Seq, State,
    event::MessageKind,
    outbox::{self, NOT_RECORDED, Owed},
};

/// Something to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Hand a message over.
    Deliver(Owed),
    /// Forget messages that are owed no more.
    Forget(Vec<Seq>),
    /// What was to be delivered without a record, by the number it went under, has one now: this.
    Renumber(Vec<(Seq, Owed)>),
    /// Ask the service that tells the public address.
    FetchAddress,
    /// Read the process table twice, for so many of the busiest.
    ReadProcesses(u8),
    /// Start a service.
    Start(Start),
    /// Show a told alert on the daemon's own log.
    Show {
        /// Number of the record that told it.
        seq: Seq,
        /// Number of the alert.
        alert: u64,
        /// The sentence, with the alert's number.
        text: String,
    },
}

/// A service to be started, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Its name in the settings.
    pub service: String,
    /// Number of the record that ordered it.
    pub ordered: Seq,
    /// The process that is ended before.
    pub stop: Option<u32>,
    /// Whether it was ordered for one that runs, as far as known, and not for its death.
    pub is_up: bool,
    /// Whether somebody asked for it: then whatever runs is ended, also what has come up since it was last seen.
    pub is_asked_for: bool,
    /// An earlier start that did not succeed: something of it may still be coming up.
    pub before: Option<Seq>,
}

impl Effect {
    /// The same where its record is not written: alerts say so.
    #[must_use]
    pub fn unrecorded(mut self) -> Self {
        match &mut self {
            Self::Deliver(owed)
                if owed.number.is_provisional() && owed.message.kind == MessageKind::Alert =>
            {
                owed.message.text = outbox::fit(&format!("{NOT_RECORDED}{}", owed.message.text)).into_owned();
            }
            Self::Show { text, .. } => text.insert_str(0, NOT_RECORDED),
            Self::Deliver(_)
            | Self::Forget(_)
            | Self::Renumber(_)
            | Self::FetchAddress
            | Self::ReadProcesses(_)
            | Self::Start(_) => {}
        }
        self
    }
}

/// What new records promise. The state is that with them.
#[must_use]
pub fn effects(state: &State, records: &[Record]) -> Vec<Effect> {
    records.iter().filter_map(|record| effect(state, record)).collect()
}

fn effect(state: &State, record: &Record) -> Option<Effect> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "most records promise nothing")]
    match &record.event {
        Event::MessageQueued(message) => Some(Effect::Deliver(Owed {
            number: record.seq,
            queued_at: record.at,
            message: message.clone(),
            again: false,
        })),
        Event::MessageDropped { messages, .. } => Some(Effect::Forget(messages.clone())),
        Event::Asked { question, .. } => Some(fetch(*question)),
        Event::RestartOrdered { service, stop, by, .. } => {
            let last = state.services.get(service).and_then(|watched| watched.last.as_ref());
            let before = last.filter(|(_, outcome)| !outcome.is_success()).map(|(seq, _)| *seq);
            let is_up = !state.missing.contains_key(service);
            let (service, ordered) = (service.clone(), record.seq);
            Some(Effect::Start(Start {
                service,
                ordered,
                stop: *stop,
                is_up,
                is_asked_for: by.is_some(),
                before,
            }))
        }
        Event::AlertFired(fired) => fired.told.then(|| show(record.seq, fired.id, &fired.message)),
        Event::AlertRepeated { id, message } => Some(show(record.seq, *id, message)),
        Event::AlertResolved { id, message, told, .. } => told.then(|| show(record.seq, *id, message)),
        _ => None,
    }
}

fn show(seq: Seq, alert: u64, message: &str) -> Effect {
    Effect::Show { seq, alert, text: format!("{message} #{alert}") }
}

/// What a start must resume: undelivered messages in order, and unanswered questions.
///
/// Greetings and goodbyes of an earlier run are not among it; [`crate::decide()`] drops them at the start. Nor are
/// starts of services: whether one is still wanted the next pass decides.
#[must_use]
pub fn owed(state: &State) -> Vec<Effect> {
    let is_stale = |kind| matches!(kind, MessageKind::Greeting | MessageKind::Goodbye);
    let destinations: std::collections::BTreeSet<&Address> =
        state.outbox.values().map(|queued| &queued.message.to).collect();
    let mut owed: Vec<Effect> = destinations
        .into_iter()
        .flat_map(|to| state.owed_to(to))
        .filter(|owed| !is_stale(owed.message.kind))
        .map(Effect::Deliver)
        .collect();
    let mut fetches: Vec<Effect> = state.questions.values().map(|(_, question)| fetch(*question)).collect();
    fetches.dedup();
    owed.extend(fetches);
    owed
}

fn fetch(question: Question) -> Effect {
    match question {
        Question::PublicAddress => Effect::FetchAddress,
        Question::Processes(count) => Effect::ReadProcesses(count),
    }
}
