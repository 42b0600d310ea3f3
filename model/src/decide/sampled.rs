//! A tick: what it records, fires and resolves.

use std::{borrow::Cow, time::Duration};

use crate::{
    Event, Series, State, Timestamp,
    alert::Alert,
    event::{BlindReason, Fired, MessageKind},
    judge::{self, Condition, RuleKind, Stand, Verdict},
    number,
    render::span,
    sample::Pass,
    state,
};

use super::queue_for_all;

/// Difference of wall and steady clock that counts as a step; below it lies what NTP slews in an hour's interval.
const STEP_MIN: Duration = Duration::from_secs(2);
/// Most by which a condition may fall short of the time for which it must hold.
const SLACK_MAX: Duration = Duration::from_secs(1);
/// A series not read for so long, and for so many ticks, has gone, and its alerts with it.
const GONE_AFTER: (Duration, u32) = (Duration::from_secs(300), 3);

/// All events of one pass, in the order in which they are told: gaps, facts, the tick, alerts, messages.
pub(super) fn sampled(state: &State, pass: Pass) -> Vec<Event> {
    let mut events = gaps(state, &pass);
    if pass.host != state.host && pass.host != crate::host::Host::default() {
        events.push(Event::Described(pass.host.clone()));
    }
    notes(state, &pass, &mut events);

    // Judged by the state as it will be after the gap, if there is one: no difference across it counts.
    let after_gap = (!events.is_empty()).then(|| fold(state, &events, pass.at));
    let state = after_gap.as_ref().unwrap_or(state);
    let changes = changes(state, &pass);
    events.push(Event::Sampled(pass.sample));
    let mut lines = Vec::new();
    for change in changes {
        #[expect(clippy::wildcard_enum_match_arm, reason = "only told alerts have a line")]
        match &change {
            Event::AlertFired(fired) if fired.told => lines.push(format!("{} #{}", fired.message, fired.id)),
            Event::AlertResolved { id, message, told: true, .. } => lines.push(format!("{message} #{id}")),
            _ => {}
        }
        events.push(change);
    }
    if !lines.is_empty() {
        queue_for_all(state, &mut events, MessageKind::Alert, &lines.join("\n"));
    }
    events
}

/// The state after events that have no number yet; only what judging needs of it is right.
fn fold(state: &State, events: &[Event], at: Timestamp) -> State {
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
                let since = state.pending.get(&verdict.condition).copied().unwrap_or(pass.at);
                // Passes come a few milliseconds early or late; a condition must not wait one more for that.
                let slack = SLACK_MAX.min(state.rules.sample_interval / 10);
                if pass.at.since(since).saturating_add(slack) >= verdict.condition.rule.holds_for() {
                    id += 1;
                    let message = judge::sentence(&verdict, &value_of);
                    changes.push(fired(state, pass.at, Begin { id, since, message, verdict: &verdict }));
                }
            }
            (Stand::Good, Some(alert)) => changes.push(resolved(state, pass.at, alert, Some(verdict.value))),
            (Stand::Bad | Stand::Between, Some(_)) | (Stand::Between | Stand::Good, None) => {}
        }
    }
    services(state, pass, &mut id, &mut changes);
    for alert in state.alerts.values().filter(|alert| is_gone(state, pass, alert)) {
        changes.push(resolved(state, pass.at, alert, None));
    }
    changes
}

/// What an alert begins with.
struct Begin<'a> {
    id: u64,
    since: Timestamp,
    message: String,
    verdict: &'a Verdict,
}

fn fired(state: &State, at: Timestamp, begin: Begin<'_>) -> Event {
    let Begin { id, since, message, verdict } = begin;
    let Condition { rule, series } = &verdict.condition;
    let interval = state.rules.repeat_interval;
    let was_told = state.told.get(&verdict.condition).is_some_and(|told_at| at.since(*told_at) < interval);
    let told = !interval.is_zero() && !was_told && !state.is_muted(series, at);
    Event::AlertFired(Fired {
        id,
        rule: rule.name().to_owned(),
        rule_version: rule.version(),
        configured: state.configured,
        series: series.clone(),
        severity: rule.severity(),
        since,
        value: (*rule != RuleKind::ServiceMissing).then_some(verdict.value),
        limit: verdict.limit,
        mean: verdict.trend.map(|trend| trend.mean),
        stdev: verdict.trend.map(|trend| trend.stdev),
        sigma: verdict.trend.map(|trend| trend.sigma),
        length: verdict.trend.and_then(|trend| u32::try_from(trend.length).ok()).unwrap_or(0),
        message,
        told,
    })
}

fn resolved(state: &State, at: Timestamp, alert: &Alert, value: Option<f64>) -> Event {
    let relief =
        state::condition(alert).map_or_else(String::new, |condition| judge::relief(&condition, value));
    ended(state, at, alert, value, &relief)
}

/// The end of an alert, with what there is to say about it.
fn ended(state: &State, at: Timestamp, alert: &Alert, value: Option<f64>, relief: &str) -> Event {
    let told = alert.told_at.is_some()
        && !state.rules.repeat_interval.is_zero()
        && !state.is_muted(&alert.fired.series, at);
    let lasted = span(at.since(alert.fired_at));
    Event::AlertResolved {
        id: alert.fired.id,
        value,
        message: format!("resolved after {lasted}: {relief}"),
        told,
    }
}

/// Watched services that went missing or came back.
fn services(state: &State, pass: &Pass, id: &mut u64, changes: &mut Vec<Event>) {
    for service in pass.missing.iter().filter(|service| !state.missing.contains_key(*service)) {
        *id += 1;
        let condition = Condition {
            rule: RuleKind::ServiceMissing,
            series: Series::labelled("service", "name", service),
        };
        let verdict = Verdict { condition, stand: Stand::Bad, value: 0.0, limit: None, trend: None };
        let message = judge::sentence(&verdict, &|_| None);
        changes.push(Event::ServiceMissing { service: service.clone() });
        changes.push(fired(state, pass.at, Begin { id: *id, since: pass.at, message, verdict: &verdict }));
    }
    for service in state.missing.keys().filter(|service| !pass.missing.contains(service)) {
        changes.push(Event::ServiceRecovered { service: service.clone() });
        let series = Series::labelled("service", "name", service);
        let about = Condition { rule: RuleKind::ServiceMissing, series };
        if let Some(alert) = state.alert_about(&about) {
            changes.push(resolved(state, pass.at, alert, None));
        }
    }
    for (alert, service) in unwatched(state) {
        let relief = format!("service {service} is no longer watched");
        changes.push(ended(state, pass.at, alert, None, &relief));
    }
}

/// Alerts about services that the settings do not name any more.
fn unwatched(state: &State) -> impl Iterator<Item = (&Alert, Cow<'_, str>)> {
    let of_services =
        state.alerts.values().filter(|alert| alert.fired.rule == RuleKind::ServiceMissing.name());
    of_services
        .filter_map(|alert| Some((alert, alert.fired.series.label()?)))
        .filter(|(_, service)| state.rules.services.iter().all(|watched| watched.name != *service))
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
    // While nothing was recorded it was not looked for.
    let blind_to = state.blind.back().map_or(last, |record| record.at);
    let unread = pass.at.since(last.max(blind_to));
    let (span, ticks) = GONE_AFTER;
    state.ticks_since_gap >= ticks && unread >= span.max(state.rules.sample_interval.saturating_mul(ticks))
}
