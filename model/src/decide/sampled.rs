//! A tick: what it records, fires and resolves.

use std::time::Duration;

use crate::{
    Event, Series, State, Timestamp,
    alert::Alert,
    baseline,
    event::BlindReason,
    judge::{self, Stand},
    limits, number,
    sample::{Note, Pass},
};

use super::{
    alert::{self, Begin},
    service,
};

/// Difference of wall and steady clock that counts as a step; below it lies what NTP slews in an hour's interval.
const STEP_MIN: Duration = Duration::from_secs(2);
/// Most by which a condition may fall short of the time for which it must hold.
const SLACK_MAX: Duration = Duration::from_secs(1);
/// A series not read for so long, and for so many ticks, has gone, and its alerts with it.
const GONE_AFTER: (Duration, u32) = (Duration::from_secs(300), 3);

/// What a note about series that are left out is about.
const SERIES: &str = "series";

/// All events of one pass, in the order in which they are told: gaps, facts, the tick, alerts, messages.
pub(super) fn sampled(state: &State, mut pass: Pass) -> Vec<Event> {
    leave_out(state, &mut pass);
    let mut events = gaps(state, &pass);
    if pass.host != state.host && pass.host != crate::host::Host::default() {
        events.push(Event::Described(pass.host.clone()));
    }
    notes(state, &pass, &mut events);

    // Judged by the state as it will be after the gap, if there is one: no difference across it counts.
    let after_gap = (!events.is_empty()).then(|| fold(state, &events, pass.at));
    let state = after_gap.as_ref().unwrap_or(state);
    let baselines = baseline::due(state, &pass);
    // And by the windows as the set leaves them.
    let after_set = (!baselines.is_empty()).then(|| fold(state, &baselines, pass.at));
    let state = after_set.as_ref().unwrap_or(state);
    events.extend(baselines);
    let mut changes = changes(state, &pass);
    let sampled = Event::Sampled(pass.sample);
    if pass.missing.iter().any(|name| service::may_start(state, name)) {
        // What is started, and what is said about it, depends on what this pass found missing.
        let known = fold(state, std::iter::once(&sampled).chain(&changes), pass.at);
        changes.extend(service::starts(&known, pass.at));
    }
    events.push(sampled);
    alert::tell(state, changes, &mut events);
    events
}

/// Leaves out what is read of series beyond those that may live, and notes it: those without a window, last read first.
fn leave_out(state: &State, pass: &mut Pass) {
    let mut room = limits::LIVE_SERIES.saturating_sub(state.windows.len());
    if pass.sample.readings.len() <= room {
        return;
    }
    let read = pass.sample.readings.len();
    pass.sample.readings.retain(|reading| {
        let lives = state.windows.contains_key(&reading.series);
        let is_new = !lives && room > 0;
        room -= usize::from(is_new);
        lives || is_new
    });
    let left_out = read - pass.sample.readings.len();
    if left_out == 0 {
        return;
    }
    // One note until it is over: their number changes with each mount that comes or goes.
    let text = state.notes.get(SERIES).cloned().unwrap_or_else(|| {
        format!(
            "{} series are left out: at most {} are recorded; [ignore] mounts leaves out what nobody needs",
            left_out,
            limits::LIVE_SERIES
        )
    });
    pass.notes.push(Note { subject: SERIES.to_owned(), text });
    pass.notes.sort_by(|a, b| a.subject.cmp(&b.subject));
}

/// The state after events that have no number yet; only what judging needs of it is right.
fn fold<'e>(state: &State, events: impl IntoIterator<Item = &'e Event>, at: Timestamp) -> State {
    let mut folded = state.clone();
    for event in events {
        folded.apply(&crate::Record { seq: state.seq.next(), at, event: event.clone() });
    }
    folded
}

/// Sleep, clock steps and stalls since the pass before it, told apart by three clocks.
fn gaps(state: &State, pass: &Pass) -> Vec<Event> {
    let (Some(from), Some(elapsed)) = (state.sampled_at, pass.elapsed) else { return Vec::new() };
    let mut events = Vec::new();
    let expected_ms = number::millis(elapsed.saturating_add(pass.asleep));
    let stepped_ms = pass.at.as_ms().saturating_sub(from.as_ms()).saturating_sub(expected_ms);
    let is_step = stepped_ms.unsigned_abs() >= u64::try_from(STEP_MIN.as_millis()).unwrap_or(u64::MAX);
    if is_step {
        events.push(Event::ClockStepped { by_ms: stepped_ms });
    }
    let reason = if pass.asleep >= STEP_MIN {
        Some(BlindReason::Suspended)
    } else if is_step && stepped_ms > 0 {
        Some(BlindReason::ClockStepped)
    } else if elapsed > state.rules.sample_interval.saturating_mul(3).saturating_add(STEP_MIN) {
        Some(BlindReason::Stalled)
    } else {
        None
    };
    if let Some(reason) = reason {
        events.push(Event::Blind { from: from.min(pass.at), to: pass.at, reason });
    }
    events
}

fn notes(state: &State, pass: &Pass, events: &mut Vec<Event>) {
    for note in &pass.notes {
        if state.notes.get(&note.subject) != Some(&note.text) {
            events.push(Event::Noted { subject: note.subject.clone(), text: note.text.clone() });
        }
    }
    for subject in state.notes.keys() {
        if pass.notes.iter().all(|note| note.subject != *subject) {
            events.push(Event::Cleared { subject: subject.clone() });
        }
    }
}

/// What begins and ends with this tick.
fn changes(state: &State, pass: &Pass) -> Vec<Event> {
    let mut changes = Vec::new();
    let mut id = state.last_alert;
    let value_of = |series: &Series| pass.sample.value(series.id()).or_else(|| state.latest(series));
    for verdict in judge::judge(state, &pass.sample) {
        match (verdict.stand, state.alert_about(&verdict.condition)) {
            (Stand::Bad, None) => {
                let since = state.pending.get(&verdict.condition).map_or(pass.at, |pending| pending.since);
                // Passes come a few milliseconds early or late; a condition must not wait one more for that.
                let slack = SLACK_MAX.min(state.rules.sample_interval / 10);
                if pass.at.since(since).saturating_add(slack) >= verdict.condition.rule.holds_for() {
                    id += 1;
                    let message = judge::sentence(&verdict, &value_of);
                    changes.push(alert::fired(
                        state,
                        pass.at,
                        Begin { id, since, message, verdict: &verdict },
                    ));
                }
            }
            (Stand::Good, Some(open)) => {
                changes.push(alert::resolved(state, pass.at, open, Some(verdict.value)))
            }
            (Stand::Bad | Stand::Between, Some(_)) | (Stand::Between | Stand::Good, None) => {}
        }
    }
    service::looked(state, pass, &mut id, &mut changes);
    for gone in state.alerts.values().filter(|alert| is_gone(state, pass, alert)) {
        changes.push(alert::resolved(state, pass.at, gone, None));
    }
    changes
}

/// Whether an alert's series is no longer read at all: unmounted, unplugged. One that only does not answer is noted.
fn is_gone(state: &State, pass: &Pass, alert: &Alert) -> bool {
    let series = &alert.fired.series;
    if series.metric() == "service" || pass.sample.value(series.id()).is_some() {
        return false;
    }
    let is_noted = series.label().is_some_and(|label| {
        pass.notes.iter().any(|note| note.subject.strip_prefix("mount ") == Some(&*label))
    });
    if is_noted {
        return false;
    }
    let last =
        state.windows.get(series).and_then(|window| window.last()).map_or(alert.fired_at, |(at, _)| at);
    // While nothing was recorded it was not looked for. What lies ahead was before the clock was set back, and that is a
    // gap too: the ticks since then tell.
    let blind_to = state.blind.back().map_or(last, |record| record.at);
    let since = [last, blind_to].into_iter().filter(|at| *at <= pass.at).max();
    let (span, ticks) = GONE_AFTER;
    let span = span.max(state.rules.sample_interval.saturating_mul(ticks));
    state.ticks_since_gap >= ticks && since.is_none_or(|since| pass.at.since(since) >= span)
}
