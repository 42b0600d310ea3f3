//! The daemon begins and ends.

use crate::{
    Event, LocalTime, Rules, Seq, State,
    event::{BlindReason, MessageKind},
    render::{counted, span},
    service::Outcome,
};

use super::queue_for_all;

/// What a start records: what was missed, the settings in force, and a greeting.
pub(super) fn starting(
    state: &State,
    now: &LocalTime,
    version: String,
    config: Option<String>,
    rules: &Rules,
) -> Vec<Event> {
    let unclean = state.run.is_on;
    let reason = if unclean { BlindReason::Crashed } else { BlindReason::Stopped };
    let mut events = stale_messages(state, rules);
    events.push(Event::Started { version: version.clone(), config, unclean });
    events.extend(abandoned(state));
    if let Some(from) = state.sampled_at {
        // A clock that went back makes a span of nothing, never one below zero.
        events.push(Event::Blind { from: from.min(now.at), to: now.at, reason });
    }
    if *rules != state.rules || state.configured == Seq::ZERO {
        events.push(Event::Configured { rules: rules.to_json() });
    }

    let mut greeting = format!("{} is online (systembot {version})", rules.name);
    if let Some(from) = state.sampled_at {
        greeting += &format!("; was off {}", span(now.at.since(from)));
        if unclean {
            greeting += " without having been shut down";
        }
        let baselines = state.windows.values().filter(|w| w.values().len() >= rules.minimum_length).count();
        greeting += &format!("; {} kept", counted(u64::try_from(baselines).unwrap_or(u64::MAX), "baseline"));
    } else {
        greeting += "; this is its first start, the baselines begin now";
    }
    greeting += &open_alerts(state);
    let configured = State { rules: rules.clone(), ..State::default() };
    queue_for_all(&configured, &mut events, MessageKind::Greeting, &greeting);
    events
}

/// Starts of services that were under way when the daemon ended: what became of them the next pass tells.
fn abandoned(state: &State) -> impl Iterator<Item = Event> {
    state.services.iter().filter_map(|(service, watched)| {
        Some(Event::RestartFinished {
            service: service.clone(),
            ordered: watched.ordered.as_ref()?.seq,
            outcome: Outcome::Unknown,
            output: String::new(),
        })
    })
}

/// What a stop says before it.
pub(super) fn leaving(state: &State) -> Vec<Event> {
    let mut events = Vec::new();
    let text = format!("{} is going offline{}", state.rules.name, open_alerts(state));
    queue_for_all(state, &mut events, MessageKind::Goodbye, &text);
    events
}

/// What a stop records: a goodbye that nobody took in time is dropped.
pub(super) fn stopping(state: &State) -> Vec<Event> {
    let goodbyes = state.outbox.iter().filter(|(_, queued)| queued.message.kind == MessageKind::Goodbye);
    let late = dropped(goodbyes.map(|(number, _)| *number).collect(), "not delivered in time");
    late.into_iter().chain([Event::Stopped]).collect()
}

fn open_alerts(state: &State) -> String {
    let open = u64::try_from(state.alerts.len()).unwrap_or(u64::MAX);
    if open == 0 { String::new() } else { format!("; {} open", counted(open, "alert")) }
}

/// Greetings and goodbyes that could not be delivered, and what is owed to nobody any more.
fn stale_messages(state: &State, rules: &Rules) -> Vec<Event> {
    let is_stale = |kind| match kind {
        MessageKind::Greeting | MessageKind::Goodbye => true,
        MessageKind::Alert | MessageKind::Reply | MessageKind::Notice => false,
    };
    let overtaken = state.outbox.iter().filter(|(_, queued)| {
        rules.destinations.contains(&queued.message.to) && is_stale(queued.message.kind)
    });
    let overtaken = overtaken.map(|(number, _)| *number).collect();
    dropped(overtaken, "overtaken by a new start").into_iter().chain(orphaned(state, rules)).collect()
}

/// What is owed to destinations that these rules do not know.
pub(super) fn orphaned(state: &State, rules: &Rules) -> Option<Event> {
    let gone = state.outbox.iter().filter(|(_, queued)| !rules.destinations.contains(&queued.message.to));
    dropped(gone.map(|(number, _)| *number).collect(), "its destination is no longer configured")
}

fn dropped(messages: Vec<Seq>, reason: &str) -> Option<Event> {
    (!messages.is_empty()).then(|| Event::MessageDropped { messages, reason: reason.to_owned() })
}
