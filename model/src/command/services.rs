//! Commands about watched services: list, look at one, start it again, leave it alone for a while.

use crate::{
    Event, Series,
    command::{Answer, Ask},
    decide::{ordered, stop_watching},
    render::{bytes, counted, percent, span},
    rules::Service,
    service::{Watched, waits_for},
};

/// What follows a service's name and pauses its watching.
const STOP: [&str; 4] = ["stop watching", "pause", "stop", "ignore"];
/// What follows a service's name and resumes its watching.
const WATCH: [&str; 5] = ["start watching", "watch again", "watch", "resume", "unpause"];

pub(super) fn services(ask: &Ask<'_>) -> Answer {
    let services = &ask.state.rules.services;
    if services.is_empty() {
        return Answer::text("No service is watched.");
    }
    let lines: Vec<String> = services.iter().map(|service| line(ask, service)).collect();
    Answer::text(lines.join("\n"))
}

/// One service in one line: state, process, since when, restarts this week, memory and CPU.
fn line(ask: &Ask<'_>, service: &Service) -> String {
    let name = &service.name;
    let watched = ask.state.services.get(name);
    let mut parts = vec![standing(ask, service)];
    let restarts = watched.map_or(0, |watched| watched.restarts(ask.now.at));
    if restarts > 0 {
        parts.push(format!("{} this week", counted(restarts.into(), "restart")));
    }
    let of = |metric| Series::labelled(metric, "service", name);
    parts.extend(ask.state.now(&of("service_memory_bytes")).map(bytes));
    parts.extend(
        cpu_percent(ask, &of("service_cpu_seconds_total")).map(|share| format!("CPU {}", percent(share))),
    );
    format!("{name}: {}", parts.join(", "))
}

/// CPU time between the two newest ticks as a share of one CPU.
fn cpu_percent(ask: &Ask<'_>, series: &Series) -> Option<f64> {
    ask.state.now(series)?;
    let ((from, before), (to, now)) = ask.state.windows.get(series)?.last_two()?;
    let seconds = to.since(from).as_secs_f64();
    (seconds > 0.0 && now >= before).then(|| 100.0 * (now - before) / seconds)
}

fn standing(ask: &Ask<'_>, service: &Service) -> String {
    let state = ask.state;
    let watched = state.services.get(&service.name).cloned().unwrap_or_default();
    if let Some((since, _)) = &watched.paused {
        return format!("not watched for {}", span(ask.now.at.since(*since)));
    }
    if watched.ordered.is_some() {
        return "being started".into();
    }
    let Some(since) = state.missing.get(&service.name) else {
        return running(ask, &watched);
    };
    let lasts = format!("missing for {}", span(ask.now.at.since(*since)));
    if watched.given_up.is_some() {
        return format!("{lasts}, given up; \"restart {}\" tries again", service.name);
    }
    if service.restart.is_none() {
        return lasts;
    }
    if let Some(first) = waits_for(state, service) {
        return format!("{lasts}, waits for {first}");
    }
    match watched.next_at.map(|at| at.since(ask.now.at)).filter(|wait| !wait.is_zero()) {
        Some(wait) => format!("{lasts}, next start in {}", span(wait)),
        None => lasts,
    }
}

fn running(ask: &Ask<'_>, watched: &Watched) -> String {
    let Some(seen) = watched.seen else {
        return if ask.state.sampled_at.is_some() { "running".into() } else { "not looked for yet".into() };
    };
    let pid = seen.pid.map_or_else(String::new, |pid| format!(" as pid {pid}"));
    let since = format!("for {}", span(ask.now.at.since(seen.since)));
    match &watched.problem {
        Some(problem) => format!("running{pid} {since}, but its check fails: {problem}"),
        None => format!("running{pid} {since}"),
    }
}

pub(super) fn service(ask: &Ask<'_>) -> Answer {
    if ask.argument.is_empty() {
        return services(ask);
    }
    let Some((service, rest)) = named(ask) else { return no_such(ask) };
    let is = |words: &[&str]| words.iter().any(|word| rest.eq_ignore_ascii_case(word));
    if rest.is_empty() {
        Answer::text(details(ask, service))
    } else if is(&STOP) {
        pause(ask, service)
    } else if is(&WATCH) {
        resume(ask, service)
    } else if is(&["restart", "start"]) {
        order(ask, service)
    } else {
        Answer::not_understood(format!(
            "\"{rest}\"? Say \"service {name}\", \"service {name} stop watching\", \"service {name} watch\" or \"restart {name}\".",
            name = service.name
        ))
    }
}

pub(super) fn stop(ask: &Ask<'_>) -> Answer {
    with_service(ask, pause)
}

pub(super) fn watch(ask: &Ask<'_>) -> Answer {
    with_service(ask, resume)
}

pub(super) fn restart(ask: &Ask<'_>) -> Answer {
    with_service(ask, order)
}

fn with_service(ask: &Ask<'_>, act: fn(&Ask<'_>, &Service) -> Answer) -> Answer {
    match named(ask) {
        Some((service, "")) => act(ask, service),
        Some(_) | None => no_such(ask),
    }
}

/// The service whose name the argument begins with, the longest such, and what follows it.
fn named<'a>(ask: &Ask<'a>) -> Option<(&'a Service, &'a str)> {
    let services = ask.state.rules.services.iter();
    let named = services.filter_map(|service| {
        let rest = super::fold::strip_words(ask.argument, &service.name)?;
        Some((service, rest.trim()))
    });
    named.max_by_key(|(service, _)| service.name.len())
}

fn no_such(ask: &Ask<'_>) -> Answer {
    let names: Vec<&str> = ask.state.rules.services.iter().map(|service| service.name.as_str()).collect();
    if names.is_empty() {
        return Answer::not_understood("No service is watched: a [[service]] in the configuration adds one.");
    }
    let which = if ask.argument.is_empty() {
        "Which service?".to_owned()
    } else {
        format!("There is no service \"{}\".", ask.argument)
    };
    Answer::not_understood(format!("{which} Watched: {}.", names.join(", ")))
}

fn details(ask: &Ask<'_>, service: &Service) -> String {
    let mut text = line(ask, service);
    match &service.restart {
        Some(command) => text += &format!("\nStarted by: {command}"),
        None => text += "\nNot started again: it has no restart command.",
    }
    let watched = ask.state.services.get(&service.name);
    if let Some((_, outcome)) = watched.and_then(|watched| watched.last.as_ref()) {
        let at = watched.and_then(|watched| watched.finished_at).map(|at| ask.now.civil_minute(at));
        text += &format!("\nLast start ({}): {}.", at.unwrap_or_default(), outcome.text());
    }
    if let Some((since, by)) = watched.and_then(|watched| watched.paused.as_ref()) {
        text += &format!(
            "\nNot watched since {} ({by}); \"watch {}\" resumes.",
            ask.now.civil_minute(*since),
            service.name
        );
    }
    text
}

/// Refuses what no daemon would carry out.
fn without_daemon(ask: &Ask<'_>) -> Option<Answer> {
    (!ask.state.run.is_on).then(|| {
        Answer::not_understood(format!(
            "systembot does not run on {}, so nothing is started.",
            ask.state.rules.name
        ))
    })
}

fn order(ask: &Ask<'_>, service: &Service) -> Answer {
    let name = &service.name;
    if let Some(refusal) = without_daemon(ask) {
        return refusal;
    }
    let watched = ask.state.services.get(name);
    if watched.is_some_and(|watched| watched.ordered.is_some()) {
        return Answer::text(format!("{name} is being started already."));
    }
    let runs = !ask.state.missing.contains_key(name);
    // What a unit's own manager, or its client, does about a running service is its business.
    let is_managed = service.unit.is_some();
    let pid = watched.and_then(|watched| watched.seen).and_then(|seen| seen.pid);
    let stop = pid.filter(|_| runs && !is_managed);
    let Some(event) = ordered(ask.state, service, stop, Some(ask.from.clone())) else {
        return Answer::not_understood(format!("{name} has no restart command in the configuration."));
    };
    let text = match stop {
        Some(pid) => format!("Ending {name} (pid {pid}) and starting it again."),
        None => format!("Starting {name}."),
    };
    let mut answer = Answer::text(text);
    answer.events.push(event);
    answer
}

fn pause(ask: &Ask<'_>, service: &Service) -> Answer {
    let name = &service.name;
    let watched = ask.state.services.get(name);
    if watched.is_some_and(|watched| watched.paused.is_some()) {
        return Answer::text(format!("{name} is not watched already. \"watch {name}\" resumes."));
    }
    let mut answer =
        Answer::text(format!("{name} is left alone: neither told of nor started, until \"watch {name}\"."));
    answer.events = stop_watching(ask.state, ask.now.at, name, ask.from);
    answer
}

fn resume(ask: &Ask<'_>, service: &Service) -> Answer {
    let name = &service.name;
    let watched = ask.state.services.get(name);
    if watched.is_none_or(|watched| watched.paused.is_none() && watched.given_up.is_none()) {
        return Answer::text(format!("{name} is watched already."));
    }
    let mut answer = Answer::text(format!("{name} is watched again."));
    answer.events.push(Event::WatchingResumed { service: name.clone(), by: ask.from.clone() });
    answer
}
