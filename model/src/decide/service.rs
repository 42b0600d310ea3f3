//! Watched services: missed, found, started again, given up, unwell.

use std::{borrow::Cow, time::Duration};

use crate::{
    Address, Event, Message, Seq, Series, State, Timestamp,
    alert::Alert,
    event::MessageKind,
    judge::{self, Condition, RuleKind, Stand, Verdict},
    limits,
    render::{counted, span},
    rules::Service,
    sample::Pass,
    service::{self, Outcome, Seen, Watched, report, waits_for},
};

use super::{
    alert::{self, Begin},
    queue,
};

/// Time that services get to come up by themselves after a boot, where their grace is no longer.
const BOOT: Duration = Duration::from_secs(60);

/// How a start ended, as whoever saw to it tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The service.
    pub service: String,
    /// Number of the record that ordered the start.
    pub ordered: Seq,
    /// What became of it.
    pub outcome: Outcome,
    /// The process it runs as now, where it does.
    pub seen: Option<Seen>,
    /// What it printed.
    pub output: String,
}

/// What a pass says about the watched services.
pub(super) fn looked(state: &State, pass: &Pass, id: &mut u64, changes: &mut Vec<Event>) {
    let booted_at = pass.sample.value("uptime_seconds").and_then(|uptime| {
        // What is no span of time (it cannot be, by the kernel) tells of no boot.
        Duration::try_from_secs_f64(uptime).ok().map(|uptime| pass.at.minus(uptime))
    });
    for settings in &state.rules.services {
        let name = &settings.name;
        let watched = state.services.get(name);
        // A start that is under way tells by itself how it ends.
        if watched.is_some_and(|watched| watched.ordered.is_some() || watched.paused.is_some()) {
            continue;
        }
        let found = pass.services.iter().find(|found| found.service == *name);
        // A pass that was read before a start ended knows less than that start.
        let is_outdated = watched.and_then(|watched| watched.finished_at).is_some_and(|at| at > pass.at);
        if let Some(found) = found {
            came(state, pass.at, name, found.seen, changes);
        } else if pass.missing.contains(name)
            && !is_outdated
            && !is_booting(watched, settings, booted_at, pass.at)
        {
            if watched
                .and_then(|watched| watched.given_up)
                .is_some_and(|at| booted_at.is_some_and(|booted| at < booted))
            {
                changes.push(Event::WatchingResumed { service: name.clone(), by: Address::new("boot") });
            }
            if !state.missing.contains_key(name) {
                *id += 1;
                // What an earlier start printed says nothing about one that came up without a start from here.
                let is_own = watched.is_some_and(|watched| {
                    watched.up_since.is_some()
                        && watched.last.as_ref().is_some_and(|(_, last)| *last == Outcome::Running)
                });
                let last = pass
                    .last_lines
                    .get(name)
                    .filter(|_| is_own)
                    .map_or_else(String::new, |line| format!("; its last line: {line}"));
                let message = format!("service {name} is not running{}{last}", hope(state, settings, pass));
                if watched.is_some_and(|watched| watched.problem.is_some()) {
                    let relief = format!("service {name} does not run at all, see #{id}");
                    no_more_unwell(state, pass.at, name, &relief, changes);
                }
                changes.push(Event::ServiceMissing { service: name.clone() });
                changes.push(fired(state, pass.at, *id, RuleKind::ServiceMissing, name, message));
            }
        }
    }
    let is_checked = |name: &str| state.rules.service(name).is_some_and(|settings| settings.check.is_some());
    for (name, _) in state
        .services
        .iter()
        .filter(|(name, w)| w.problem.is_some() && !is_checked(name) && !pass.missing.contains(name))
    {
        no_more_unwell(state, pass.at, name, &format!("service {name} is no longer checked"), changes);
    }
    for (open, service) in unwatched(state) {
        let relief = format!("service {service} is no longer watched");
        changes.push(alert::ended(state, pass.at, open, None, &relief));
    }
}

/// Whether the machine has just booted and a service that has not run since may still be on its way, started by
/// whoever starts it at boot: one more beside it would be one too many.
fn is_booting(
    watched: Option<&Watched>,
    settings: &Service,
    booted_at: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    let Some(booted_at) = booted_at else { return false };
    let has_run = watched.and_then(|watched| watched.seen).is_some_and(|seen| seen.since >= booted_at);
    !has_run && now.since(booted_at) < settings.grace.max(BOOT)
}

/// What a check says counts no more.
fn no_more_unwell(state: &State, at: Timestamp, name: &str, relief: &str, changes: &mut Vec<Event>) {
    changes.push(Event::ServiceHealthy { service: name.to_owned() });
    if let Some(open) = alert_about(state, RuleKind::ServiceUnhealthy, name) {
        changes.push(alert::ended(state, at, open, None, relief));
    }
}

/// A service runs: told if it was missing.
fn came(state: &State, at: Timestamp, name: &str, seen: Seen, changes: &mut Vec<Event>) {
    let watched = state.services.get(name);
    if watched.and_then(|watched| watched.seen).is_none_or(|known| !known.is_same(&seen)) {
        changes.push(Event::ServiceSeen { service: name.to_owned(), seen });
    }
    if !state.missing.contains_key(name) {
        return;
    }
    changes.push(Event::ServiceRecovered { service: name.to_owned() });
    if let Some(open) = alert_about(state, RuleKind::ServiceMissing, name) {
        let pid = seen.pid.map(|pid| format!("pid {pid}"));
        let starts = watched.map_or(0, |watched| watched.failures);
        let tries = (starts > 1).then(|| format!("after {}", counted(starts.into(), "start")));
        let facts: Vec<String> = [pid, tries].into_iter().flatten().collect();
        let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
        let relief = format!("service {name} is running again{facts}");
        changes.push(alert::ended(state, at, open, None, &relief));
    }
}

/// What is done about a death, as its alert tells it.
fn hope(state: &State, settings: &Service, pass: &Pass) -> String {
    if settings.restart.is_none() {
        return String::new();
    }
    let is_missing = |name: &&String| {
        pass.missing.contains(name)
            || state.services.get(*name).is_some_and(|watched| watched.ordered.is_some())
    };
    if let Some(first) = settings.after.iter().find(is_missing) {
        return format!("; it is started once {first} runs");
    }
    let mut watched = state.services.get(&settings.name).cloned().unwrap_or_default();
    watched.miss(settings, pass.at);
    match watched.next_at.map(|at| at.since(pass.at)).filter(|wait| *wait >= Duration::from_secs(1)) {
        Some(wait) => format!("; starting it again in {}", span(wait)),
        None => "; starting it again".into(),
    }
}

/// Whether a start of a missing service is to be thought of at all.
pub(super) fn may_start(state: &State, name: &str) -> bool {
    let watched = state.services.get(name);
    state.rules.service(name).is_some_and(|settings| settings.restart.is_some())
        && watched.is_none_or(|watched| watched.paused.is_none() && watched.ordered.is_none())
}

/// The starts that are due. The state has been told what is missing.
pub(super) fn starts(state: &State, now: Timestamp) -> Vec<Event> {
    let is_due = |service: &&Service| service::start_at(state, service).is_some_and(|at| at <= now);
    state.rules.services.iter().filter(is_due).flat_map(|service| start(state, service, now, None)).collect()
}

/// A start that its death, or its health, asks for: ordered, or given up where there were too many.
fn start(state: &State, settings: &Service, now: Timestamp, stop: Option<u32>) -> Vec<Event> {
    let watched = state.services.get(&settings.name);
    let recent = watched.map_or(0, |watched| watched.starts_within(settings.start_limit_interval, now));
    let starts = u32::try_from(recent).unwrap_or(u32::MAX);
    if settings.start_limit == 0 || starts < settings.start_limit {
        return ordered(state, settings, stop, None).into_iter().collect();
    }
    let mut events = vec![Event::RestartGivenUp { service: settings.name.clone(), starts }];
    let mut open = RuleKind::SERVICE.into_iter().filter_map(|rule| alert_about(state, rule, &settings.name));
    // Told even to those who know that it died: nobody brings it back now.
    if let Some(open) = open
        .next()
        .filter(|open| !state.rules.repeat_interval.is_zero() && !state.is_muted(&open.fired.series, now))
    {
        let plight = match state.missing.contains_key(&settings.name) {
            true => "is down and given up",
            false => "runs, but its check fails, and it is given up",
        };
        let message = format!("service {} {plight}: {}", settings.name, surrender(settings, watched, starts));
        events.push(Event::AlertRepeated { id: open.fired.id, message });
    }
    events
}

/// Why a service was given up, and what the owner can do.
fn surrender(settings: &Service, watched: Option<&Watched>, starts: u32) -> String {
    let last = watched.and_then(|watched| watched.last.as_ref());
    let last = last.map_or_else(String::new, |(_, outcome)| format!(", the last: {}", outcome.text()));
    format!(
        "{} in {}{last}. \"restart {}\" tries again",
        counted(starts.into(), "start"),
        span(settings.start_limit_interval),
        settings.name
    )
}

/// The order to start a service; `None` for one without a command.
pub(crate) fn ordered(
    state: &State,
    settings: &Service,
    stop: Option<u32>,
    by: Option<Address>,
) -> Option<Event> {
    let failures =
        state.services.get(&settings.name).filter(|_| by.is_none()).map_or(0, |watched| watched.failures);
    Some(Event::RestartOrdered {
        service: settings.name.clone(),
        attempt: failures.saturating_add(1),
        command: settings.restart.clone()?,
        stop,
        by,
    })
}

/// How a start ended.
pub(super) fn finished(state: &State, now: Timestamp, finished: Finished) -> Vec<Event> {
    let Finished { service, ordered, outcome, seen, output } = finished;
    let Some(order) = state.services.get(&service).and_then(|watched| watched.ordered.as_ref()) else {
        return Vec::new();
    };
    if order.seq != ordered {
        return Vec::new();
    }
    let output = limits::cut_front(&output, limits::OUTPUT_BYTES).to_owned();
    let answer = order.by.clone().filter(|by| state.rules.destinations.contains(by));
    let answer = answer.map(|to| Message {
        to,
        kind: MessageKind::Reply,
        text: report(&service, &outcome, seen.and_then(|seen| seen.pid), &output),
    });
    let mut changes = Vec::new();
    if let Some(seen) = seen.filter(|_| outcome.is_success()) {
        came(state, now, &service, seen, &mut changes);
    }
    let mut events = vec![Event::RestartFinished { service, ordered, outcome, output }];
    alert::tell(state, changes, &mut events);
    if let Some(message) = answer {
        queue(state, &mut events, message);
    }
    events
}

/// What a health check says: told when it begins to fail and when it is well again.
pub(super) fn checked(state: &State, now: Timestamp, service: &str, problem: Option<String>) -> Vec<Event> {
    let Some(settings) = state.rules.service(service) else { return Vec::new() };
    let watched = state.services.get(service).cloned().unwrap_or_default();
    let runs = watched.seen.is_some() && !state.missing.contains_key(service);
    let is_looked_after = watched.paused.is_none() && watched.ordered.is_none() && runs;
    let mut changes = Vec::new();
    match (&watched.problem, problem) {
        (None, Some(problem)) if is_looked_after => {
            let message = format!("service {service} runs, but its check fails: {problem}");
            let id = state.last_alert + 1;
            changes.push(Event::ServiceUnhealthy { service: service.to_owned(), problem });
            changes.push(fired(state, now, id, RuleKind::ServiceUnhealthy, service, message));
        }
        (Some(_), Some(_)) if is_looked_after => {
            let is_new = watched.finished_at.is_some_and(|at| now.since(at) < settings.grace);
            let is_early = watched.next_at.is_some_and(|at| at > now);
            let is_wanted =
                settings.check.as_ref().is_some_and(|check| check.restart) && watched.given_up.is_none();
            if is_wanted && !is_new && !is_early {
                changes.extend(start(state, settings, now, service::to_stop(settings, &watched)));
            }
        }
        (Some(_), None) => {
            no_more_unwell(state, now, service, &format!("service {service} is well again"), &mut changes);
        }
        (None | Some(_), Some(_)) | (None, None) => {}
    }
    let mut events = Vec::new();
    alert::tell(state, changes, &mut events);
    events
}

/// What ends when a service is not watched for a while.
pub(crate) fn stop_watching(state: &State, now: Timestamp, service: &str, by: &Address) -> Vec<Event> {
    let mut changes = vec![Event::WatchingStopped { service: service.to_owned(), by: by.clone() }];
    if state.services.get(service).is_some_and(|watched| watched.problem.is_some()) {
        changes.push(Event::ServiceHealthy { service: service.to_owned() });
    }
    for open in RuleKind::SERVICE.into_iter().filter_map(|rule| alert_about(state, rule, service)) {
        let relief = format!("service {service} is not watched for now");
        changes.push(alert::ended(state, now, open, None, &relief));
    }
    let mut events = Vec::new();
    alert::tell(state, changes, &mut events);
    events
}

fn fired(state: &State, at: Timestamp, id: u64, rule: RuleKind, service: &str, message: String) -> Event {
    alert::fired(state, at, Begin { id, since: at, message, verdict: &verdict(rule, service) })
}

/// That something is wrong with a service, for which there is no figure.
fn verdict(rule: RuleKind, service: &str) -> Verdict {
    let condition = Condition { rule, series: series(service) };
    Verdict { condition, stand: Stand::Bad, value: 0.0, limit: None, trend: None }
}

fn series(service: &str) -> Series {
    Series::labelled("service", "name", service)
}

fn alert_about<'a>(state: &'a State, rule: RuleKind, service: &str) -> Option<&'a Alert> {
    state.alert_about(&Condition { rule, series: series(service) })
}

/// Alerts about services that the settings do not name any more.
fn unwatched(state: &State) -> impl Iterator<Item = (&Alert, Cow<'_, str>)> {
    let is_of_service = |alert: &&Alert| RuleKind::SERVICE.iter().any(|rule| rule.name() == alert.fired.rule);
    state
        .alerts
        .values()
        .filter(is_of_service)
        .filter_map(|alert| Some((alert, alert.fired.series.label()?)))
        .filter(|(_, service)| state.rules.service(service).is_none())
}

/// How it stands with a service that an open alert is about, as that alert is told again.
pub(crate) fn plight(state: &State, rule: RuleKind, name: &str) -> Option<String> {
    let settings = state.rules.service(name)?;
    let watched = state.services.get(name);
    let sentence = judge::sentence(&verdict(rule, name), &|_| None);
    if let Some(problem) =
        watched.and_then(|watched| watched.problem.as_ref()).filter(|_| rule == RuleKind::ServiceUnhealthy)
    {
        return Some(format!("{sentence}: {problem}"));
    }
    let Some(known) = watched.filter(|watched| watched.failures > 0) else {
        return Some(match waits_for(state, settings) {
            Some(first) if settings.restart.is_some() => {
                format!("{sentence}; it is started once {first} runs")
            }
            Some(_) | None => sentence,
        });
    };
    if known.given_up.is_some() {
        return Some(format!("{sentence}; given up: {}", surrender(settings, watched, known.failures)));
    }
    let last = known
        .last
        .as_ref()
        .map_or_else(String::new, |(_, outcome)| format!(", the last: {}", outcome.text()));
    Some(format!("{sentence}; {}{last}", counted(known.failures.into(), "start")))
}
