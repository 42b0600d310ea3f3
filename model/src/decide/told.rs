//! Repeats and the end of mutes: what is told because time has passed.

use std::time::Duration;

use crate::{
    Address, Event, Pattern, Question, Series, State, Timestamp,
    alert::Alert,
    event::MessageKind,
    judge::{self, Condition, RuleKind, Stand, Verdict},
    render::span,
    service::start_at,
    state,
};

use super::{alert, queue_for_all, service};

/// Time between two requests for the public address where the owner named the service.
const ADDRESS_INTERVAL: Duration = Duration::from_secs(3600);

/// The earliest moment at which the state has to be looked at again without an input; `None` if never.
#[must_use]
pub fn due(state: &State) -> Option<Timestamp> {
    let starts = state.rules.services.iter().filter_map(|service| start_at(state, service));
    due_to_tell(state).into_iter().chain(starts).min()
}

/// The same for what is told, starts of services left out.
pub(super) fn due_to_tell(state: &State) -> Option<Timestamp> {
    let repeats = state.alerts.values().filter_map(|alert| repeat_at(state, alert));
    let mutes = state.mutes.values().filter(|_| is_current(state)).map(|mute| mute.until);
    repeats.chain(mutes).chain(address_at(state)).min()
}

/// What has come due.
pub(super) fn woken(state: &State, now: Timestamp) -> Vec<Event> {
    let mut events = Vec::new();
    let ended: Vec<&String> = state
        .mutes
        .iter()
        .filter(|(_, mute)| is_current(state) && mute.until <= now)
        .map(|(scope, _)| scope)
        .collect();
    for scope in &ended {
        events.push(Event::Unmuted { scope: (*scope).clone(), by: None });
    }
    let was_muted = |alert: &Alert| ended.iter().any(|scope| covers(scope, alert));
    tell_still_wrong(state, now, &ended, &mut events);
    let repeats: Vec<&Alert> = state
        .alerts
        .values()
        .filter(|alert| !was_muted(alert) && repeat_at(state, alert).is_some_and(|at| at <= now))
        .collect();
    tell(state, now, "", &repeats, &mut events);
    if address_at(state).is_some_and(|at| at <= now) {
        events.push(Event::Asked { from: Address::new("timer"), question: Question::PublicAddress });
    }
    alert::tell(state, service::starts(state, now), &mut events);
    events
}

/// What ends with mutes: one digest of what is still wrong, unless another mute covers it, whose lines are given back.
/// The state is that before.
pub(crate) fn tell_still_wrong(
    state: &State,
    now: Timestamp,
    ended: &[&String],
    events: &mut Vec<Event>,
) -> Vec<String> {
    if !state.run.is_on || !is_current(state) {
        return Vec::new();
    }
    let is_covered = |alert: &Alert| {
        let mut others =
            state.mutes.iter().filter(|(scope, mute)| mute.until > now && !ended.contains(scope));
        others.any(|(scope, _)| covers(scope, alert))
    };
    let wrong: Vec<&Alert> = state
        .alerts
        .values()
        .filter(|alert| ended.iter().any(|scope| covers(scope, alert)))
        .filter(|alert| !is_silent(state, alert) && !is_covered(alert))
        .collect();
    tell(state, now, "the mute is over, still wrong:\n", &wrong, events)
}

/// Whether a mute of this scope is about an alert.
fn covers(scope: &str, alert: &Alert) -> bool {
    Pattern::new(scope).matches(&alert.fired.series)
}

/// The present sentence about an open alert, as it would be told now.
#[must_use]
pub fn present(state: &State, alert: &Alert) -> String {
    let Some(condition) = state::condition(alert) else { return alert.fired.message.clone() };
    if RuleKind::SERVICE.contains(&condition.rule) {
        let name = condition.series.label().unwrap_or_default();
        return service::plight(state, condition.rule, &name).unwrap_or_else(|| alert.fired.message.clone());
    }
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

/// Tells alerts again, in one message if there are any; gives its lines back.
fn tell(
    state: &State,
    now: Timestamp,
    head: &str,
    alerts: &[&Alert],
    events: &mut Vec<Event>,
) -> Vec<String> {
    let mut lines = Vec::new();
    for alert in alerts {
        let id = alert.fired.id;
        let message = format!("still ({}): {}", span(now.since(alert.fired_at)), present(state, alert));
        lines.push(format!("{message} #{id}"));
        events.push(Event::AlertRepeated { id, message });
    }
    if !lines.is_empty() {
        queue_for_all(state, events, MessageKind::Alert, &format!("{head}{}", lines.join("\n")));
    }
    lines
}

/// When an alert is to be told again; `None` where it is not.
fn repeat_at(state: &State, alert: &Alert) -> Option<Timestamp> {
    if is_silent(state, alert) || !is_current(state) || is_muted_now(state, alert) {
        return None;
    }
    let about = state::condition(alert)?;
    let told_at = alert.told_at.or_else(|| state.told.get(&about).copied()).unwrap_or(alert.fired_at);
    Some(told_at.plus(state.rules.repeat_interval))
}

/// Whether what is firing is known to hold still: before the first tick after a start or a gap nobody knows.
const fn is_current(state: &State) -> bool {
    state.ticks_since_gap > 0
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
