//! Repeats and the end of mutes: what is told because time has passed.

use std::time::Duration;

use crate::{
    Address, Event, Pattern, Question, Series, State, Timestamp,
    alert::Alert,
    event::MessageKind,
    judge::{self, Condition, RuleKind, Stand, Verdict},
    render::span,
    state,
};

use super::queue_for_all;

/// Time between two requests for the public address where the owner named the service.
const ADDRESS_INTERVAL: Duration = Duration::from_secs(3600);

/// The earliest moment at which the state has to be looked at again without an input; `None` if never.
#[must_use]
pub fn due(state: &State) -> Option<Timestamp> {
    let repeats = state.alerts.values().filter_map(|alert| repeat_at(state, alert));
    let mutes = state.mutes.values().map(|mute| mute.until);
    repeats.chain(mutes).chain(address_at(state)).min()
}

/// What has come due.
pub(super) fn woken(state: &State, now: Timestamp) -> Vec<Event> {
    let mut events = Vec::new();
    let ended: Vec<&String> =
        state.mutes.iter().filter(|(_, mute)| mute.until <= now).map(|(scope, _)| scope).collect();
    for scope in &ended {
        events.push(Event::Unmuted { scope: (*scope).clone(), by: None });
    }
    let was_muted =
        |alert: &Alert| ended.iter().any(|scope| Pattern::new(scope).matches(&alert.fired.series));
    let is_silent = |alert: &Alert| is_silent(state, alert) || state.is_muted(&alert.fired.series, now);
    let wrong: Vec<&Alert> =
        state.alerts.values().filter(|alert| was_muted(alert) && !is_silent(alert)).collect();
    if !wrong.is_empty() {
        tell(state, now, "the mute is over, still wrong:\n", &wrong, &mut events);
    }
    let repeats: Vec<&Alert> = state
        .alerts
        .values()
        .filter(|alert| !was_muted(alert) && repeat_at(state, alert).is_some_and(|at| at <= now))
        .collect();
    if !repeats.is_empty() {
        tell(state, now, "", &repeats, &mut events);
    }
    if address_at(state).is_some_and(|at| at <= now) {
        events.push(Event::Asked { from: Address::new("timer"), question: Question::PublicAddress });
    }
    events
}

/// The present sentence about an open alert, as it would be told now.
#[must_use]
pub(crate) fn present(state: &State, alert: &Alert) -> String {
    let Some(condition) = state::condition(alert) else { return alert.fired.message.clone() };
    let Some(value) = state.latest(&condition.series) else { return alert.fired.message.clone() };
    if condition.rule == RuleKind::Trend {
        return format!(
            "{} is {}",
            judge::friendly(&condition.series),
            judge::figure(&condition.series, value)
        );
    }
    let verdict = Verdict { condition, stand: Stand::Bad, value, limit: alert.fired.limit, trend: None };
    judge::sentence(&verdict, &|series: &Series| state.latest(series))
}

fn tell(state: &State, now: Timestamp, head: &str, alerts: &[&Alert], events: &mut Vec<Event>) {
    let mut lines = Vec::new();
    for alert in alerts {
        let id = alert.fired.id;
        let message = format!("still ({}): {}", span(now.since(alert.fired_at)), present(state, alert));
        lines.push(format!("{message} #{id}"));
        events.push(Event::AlertRepeated { id, message });
    }
    queue_for_all(state, events, MessageKind::Alert, &format!("{head}{}", lines.join("\n")));
}

/// When an alert is to be told again; `None` where it is not.
fn repeat_at(state: &State, alert: &Alert) -> Option<Timestamp> {
    // Before the first tick after a start nobody knows whether it still holds.
    if is_silent(state, alert) || state.ticks_since_gap == 0 || is_muted_now(state, alert) {
        return None;
    }
    let about = state::condition(alert)?;
    let told_at = alert.told_at.or_else(|| state.told.get(&about).copied()).unwrap_or(alert.fired_at);
    Some(told_at.plus(state.rules.repeat_interval))
}

/// Whether an alert is covered by a mute as of the newest tick; the end of the mute looks at it again.
fn is_muted_now(state: &State, alert: &Alert) -> bool {
    state.is_muted(&alert.fired.series, state.sampled_at.unwrap_or(Timestamp::MIN))
}

/// Whether an alert is not told whatever the time: acknowledged, telling switched off, or overshadowed.
fn is_silent(state: &State, alert: &Alert) -> bool {
    let is_overshadowed = state::condition(alert).is_some_and(|about| {
        let critical = Condition { rule: RuleKind::SensorCritical, series: about.series.clone() };
        about.rule == RuleKind::SensorHigh && state.alert_about(&critical).is_some()
    });
    alert.acknowledged.is_some() || state.rules.repeat_interval.is_zero() || is_overshadowed
}

/// When the public address is to be asked for unasked.
fn address_at(state: &State) -> Option<Timestamp> {
    let is_asked = state.questions.values().any(|(_, question)| *question == Question::PublicAddress);
    if !state.rules.address_hourly || !state.run.is_on || is_asked {
        return None;
    }
    Some(state.public.asked.as_ref().map_or(Timestamp::MIN, |(at, _)| at.plus(ADDRESS_INTERVAL)))
}
