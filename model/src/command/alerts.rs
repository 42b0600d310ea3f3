//! Commands about alerts: list, explain, acknowledge, mute.

use std::time::Duration;

use crate::{
    Event, Pattern, Series,
    alert::Alert,
    command::{Answer, Ask, Reply},
    decide::{present, tell_still_wrong},
    judge::figure,
    limits,
    render::span,
    rules::Severity,
    time,
};

/// Length of a mute where none is said.
const MUTE: Duration = Duration::from_secs(3600);

pub(super) fn alerts(ask: &Ask<'_>) -> Answer {
    let lines: Vec<String> = ask.state.alerts.values().map(|alert| line(ask, alert)).collect();
    if lines.is_empty() {
        return Answer::text("No alert is open.");
    }
    Answer::text(lines.join("\n"))
}

/// One open alert in one line.
pub(super) fn line(ask: &Ask<'_>, alert: &Alert) -> String {
    let id = alert.fired.id;
    let lasts = span(ask.now.at.since(alert.fired_at));
    let grave = if alert.fired.severity == Severity::Critical { "critical, " } else { "" };
    let known = if alert.acknowledged.is_some() { ", acknowledged" } else { "" };
    let muted = if ask.state.is_muted(&alert.fired.series, ask.now.at) { ", muted" } else { "" };
    format!("#{id} {} ({grave}for {lasts}{known}{muted})", present(ask.state, alert))
}

pub(super) fn why(ask: &Ask<'_>) -> Answer {
    let id = number(ask.argument);
    let Some(alert) = id.and_then(|id| ask.state.alerts.get(&id)) else {
        // Those that are over are in the log alone.
        return match id.filter(|id| (1..=ask.state.last_alert).contains(id)) {
            Some(id) => Answer::text(format!(
                "Alert #{id} is over. \"systembot why {id}\" on {} explains it.",
                ask.state.rules.name
            )),
            None => no_such(ask),
        };
    };
    let fired = &alert.fired;
    let mut text = format!(
        "#{} {}\nRule {} on {}, {}, fired {}.",
        fired.id,
        fired.message,
        fired.rule,
        fired.series,
        fired.severity.word(),
        ask.now.civil_minute(alert.fired_at)
    );
    if let (Some(value), Some(limit)) = (fired.value, fired.limit) {
        text += &format!("\nValue {}, limit {}.", figure(&fired.series, value), figure(&fired.series, limit));
    }
    if let (Some(mean), Some(stdev), Some(sigma)) = (fired.mean, fired.stdev, fired.sigma) {
        let of = |n| figure(&fired.series, n);
        text += &format!(
            "\nThe {} samples before it: mean {}, stdev {}; it was {sigma:.1} sigma out.",
            fired.length,
            of(mean),
            of(stdev)
        );
    }
    let now = present(ask.state, alert);
    if now != fired.message {
        text += &format!("\nNow: {now}.");
    }
    Answer::text(text)
}

pub(super) fn acknowledge(ask: &Ask<'_>) -> Answer {
    let chosen: Vec<&Alert> = if ask.argument.is_empty() || ask.argument.eq_ignore_ascii_case("all") {
        ask.state.alerts.values().collect()
    } else {
        match number(ask.argument).and_then(|id| ask.state.alerts.get(&id)) {
            Some(alert) => vec![alert],
            None => return no_such(ask),
        }
    };
    if chosen.is_empty() {
        return Answer::text("No alert is open.");
    }
    let ids: Vec<String> = chosen.iter().map(|alert| format!("#{}", alert.fired.id)).collect();
    let mut answer = Answer::text(format!("Acknowledged {}: no repeats until it resolves.", ids.join(", ")));
    answer.events = chosen
        .into_iter()
        .filter(|alert| alert.acknowledged.is_none())
        .map(|alert| Event::AlertAcknowledged { id: alert.fired.id, by: ask.from.clone() })
        .collect();
    answer
}

pub(super) fn mute(ask: &Ask<'_>) -> Answer {
    const HOW: &str = "say it like \"mute disk for 2h\" or \"mute all for 30m\"";
    let (scope, length) = match span_at_end(ask.argument) {
        Ok(split) => split,
        Err(length) => return Answer::not_understood(format!("\"{length}\" is no span of time: {HOW}.")),
    };
    if scope.is_empty() {
        return Answer::not_understood(format!("Mute what? {HOW}."));
    }
    let Some(scope) = known_scope(ask, scope) else {
        return Answer::not_understood(format!("There is no series \"{scope}\" to mute: {HOW}."));
    };
    let until = ask.now.at.plus(length.min(MUTE_MAX));
    let mut events = Vec::new();
    if ask.state.mutes.len() >= limits::MUTES && !ask.state.mutes.contains_key(&scope) {
        let first = ask.state.mutes.iter().min_by_key(|(_, mute)| mute.until).map(|(scope, _)| scope.clone());
        events.extend(first.map(|scope| Event::Unmuted { scope, by: Some(ask.from.clone()) }));
    }
    events.push(Event::Muted { scope: scope.clone(), until, by: ask.from.clone() });
    let text = format!("Muted {scope} until {}. Alerts are still recorded.", ask.now.civil_minute(until));
    Answer { events, ..Answer::text(text) }
}

/// Splits `disk for 2h`, and `disk 2h` too; [`MUTE`] where no span is said, an error where what is said is none.
fn span_at_end(text: &str) -> Result<(&str, Duration), &str> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let said = match lower.rfind(" for ") {
        Some(at) => {
            text.split_at_checked(at).map(|(scope, span)| (scope, span.trim_start().get("for".len()..)))
        }
        None => lower.strip_prefix("for ").map(|span| ("", text.get(text.len() - span.len()..))),
    };
    if let Some((scope, length)) = said {
        let length = length.unwrap_or_default().trim();
        let span = time::parse_span(length).filter(|span| !span.is_zero());
        return span.map(|span| (scope.trim(), span)).ok_or(length);
    }
    let last = text.rsplit_once(' ').and_then(|(scope, last)| Some((scope, time::parse_span(last)?)));
    Ok(last.filter(|(_, span)| !span.is_zero()).unwrap_or((text, MUTE)))
}

/// The scope of a mute as it is recorded: a known choice of series, or the one series of a watched service.
fn known_scope(ask: &Ask<'_>, text: &str) -> Option<String> {
    // Names and words of metrics are in small letters; labels are kept as they are.
    let small = Pattern::new(&text.to_lowercase());
    let is_name = !text.contains('{') && small.is_known();
    let pattern = if is_name { small } else { Pattern::new(text) };
    if pattern.is_known() || ask.state.windows.keys().any(|series| pattern.matches(series)) {
        return Some(pattern.to_string());
    }
    let service = ask.state.rules.services.iter().find(|service| service.name.eq_ignore_ascii_case(text))?;
    Some(Series::labelled("service", "name", &service.name).to_string())
}

/// Longest mute: a forgotten one ends by itself within the year.
const MUTE_MAX: Duration = Duration::from_secs(365 * 86_400);

pub(super) fn unmute(ask: &Ask<'_>) -> Answer {
    let wanted = known_scope(ask, ask.argument).unwrap_or_else(|| Pattern::new(ask.argument).to_string());
    let all = ask.argument.is_empty() || wanted == "all";
    let is_wanted = |scope: &&String| all || **scope == wanted;
    let scopes: Vec<&String> = ask.state.mutes.keys().filter(is_wanted).collect();
    if scopes.is_empty() {
        return if ask.state.mutes.is_empty() {
            Answer::text("Nothing is muted.")
        } else {
            Answer::not_understood(format!("{} is not muted. \"mutes\" lists what is.", ask.argument))
        };
    }
    let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    let mut answer = Answer::text(format!("Unmuted {}.", names.join(", ")));
    let by = Some(ask.from.clone());
    answer.events =
        scopes.iter().map(|&scope| Event::Unmuted { scope: scope.clone(), by: by.clone() }).collect();
    let wrong = tell_still_wrong(ask.state, ask.now.at, &scopes, &mut answer.events);
    if !wrong.is_empty() && !ask.state.rules.destinations.contains(ask.from) {
        let text = format!("Unmuted {}. Still wrong:\n{}", names.join(", "), wrong.join("\n"));
        answer.reply = Reply::Text(text);
    }
    answer
}

pub(super) fn mutes(ask: &Ask<'_>) -> Answer {
    let lines: Vec<String> = ask
        .state
        .mutes
        .iter()
        .filter(|(_, mute)| mute.until > ask.now.at)
        .map(|(scope, mute)| {
            let left = span(mute.until.since(ask.now.at));
            format!("{scope} until {} ({left} left)", ask.now.civil_minute(mute.until))
        })
        .collect();
    if lines.is_empty() { Answer::text("Nothing is muted.") } else { Answer::text(lines.join("\n")) }
}

fn no_such(ask: &Ask<'_>) -> Answer {
    let open: Vec<String> = ask.state.alerts.keys().map(|id| format!("#{id}")).collect();
    let open = if open.is_empty() { "none is open".to_owned() } else { format!("open: {}", open.join(", ")) };
    let wanted = ask.argument;
    if wanted.is_empty() {
        return Answer::not_understood(format!("Which alert? Say its number; {open}."));
    }
    Answer::not_understood(format!("There is no open alert {wanted}; {open}."))
}

/// An alert's number as people write it: `12` or `#12`.
fn number(text: &str) -> Option<u64> {
    text.trim_start_matches('#').parse().ok()
}
