//! The events of an alert that begins or ends, and the message that tells of them.

use crate::{
    Event, State, Timestamp,
    alert::Alert,
    event::{Fired, MessageKind},
    judge::{self, Condition, RuleKind, Verdict},
    render::span,
    state,
};

use super::queue_for_all;

/// Adds what changed, and one message with a line for each alert that is told.
pub(super) fn tell(state: &State, changes: Vec<Event>, events: &mut Vec<Event>) {
    let mut lines = Vec::new();
    for change in changes {
        #[expect(clippy::wildcard_enum_match_arm, reason = "only told alerts have a line")]
        match &change {
            Event::AlertFired(fired) if fired.told => lines.push(format!("{} #{}", fired.message, fired.id)),
            Event::AlertRepeated { id, message } | Event::AlertResolved { id, message, told: true, .. } => {
                lines.push(format!("{message} #{id}"));
            }
            _ => {}
        }
        events.push(change);
    }
    if !lines.is_empty() {
        queue_for_all(state, events, MessageKind::Alert, &lines.join("\n"));
    }
}

/// What an alert begins with.
pub(super) struct Begin<'a> {
    /// Its number.
    pub(super) id: u64,
    /// When the condition began to hold.
    pub(super) since: Timestamp,
    /// The sentence for people.
    pub(super) message: String,
    /// What it was judged by.
    pub(super) verdict: &'a Verdict,
}

/// The event of an alert that begins, told or not.
pub(super) fn fired(state: &State, at: Timestamp, begin: Begin<'_>) -> Event {
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
        value: (!RuleKind::SERVICE.contains(rule)).then_some(verdict.value),
        limit: verdict.limit,
        mean: verdict.trend.map(|trend| trend.mean),
        stdev: verdict.trend.map(|trend| trend.stdev),
        sigma: verdict.trend.map(|trend| trend.sigma),
        length: verdict.trend.and_then(|trend| u32::try_from(trend.length).ok()).unwrap_or(0),
        message,
        told,
    })
}

/// The event of an alert whose condition is over.
pub(super) fn resolved(state: &State, at: Timestamp, alert: &Alert, value: Option<f64>) -> Event {
    let relief =
        state::condition(alert).map_or_else(String::new, |condition| judge::relief(&condition, value));
    ended(state, at, alert, value, &relief)
}

/// The end of an alert, with what there is to say about it.
pub(super) fn ended(state: &State, at: Timestamp, alert: &Alert, value: Option<f64>, relief: &str) -> Event {
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
