//! Commands about watched services: list, look at one, start it again, leave it alone for a while.

use crate::{
    Event,
    command::{Answer, Ask},
    decide::{ordered, stop_watching},
    render::{bytes, counted, percent, span},
    rules::Service,
    service::{self, Standing},
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
    let line = service::line(ask.state, service, ask.now.at);
    let lasts =
        line.since.map_or_else(String::new, |since| format!(" for {}", span(ask.now.at.since(since))));
    let pid = line.pid.map_or_else(String::new, |pid| format!(" as pid {pid}"));
    let mut parts = vec![match line.standing {
        Standing::Unknown => match ask.state.notes.get(&format!("service {}", line.service)) {
            Some(note) => format!("not known: {note}"),
            None => "not looked for yet".into(),
        },
        Standing::Running => format!("running{pid}{lasts}"),
        Standing::Unhealthy => {
            format!(
                "running{pid}{lasts}, but its check fails: {}",
                line.problem.as_deref().unwrap_or_default()
            )
        }
        Standing::Starting => "being started".into(),
        Standing::Missing => format!("missing{lasts}"),
        Standing::GivenUp => format!("missing{lasts}, given up; \"restart {}\" tries again", line.service),
        Standing::NotWatched => format!("not watched{lasts}"),
    }];
    if line.standing == Standing::Missing && service.restart.is_some() {
        parts.extend(line.waits_for.map(|first| format!("waits for {first}")));
        let wait = line.next_at.map(|at| at.since(ask.now.at)).filter(|wait| !wait.is_zero());
        parts.extend(wait.map(|wait| format!("next start in {}", span(wait))));
    }
    if line.restarts > 0 {
        parts.push(format!("{} this week", counted(line.restarts.into(), "restart")));
    }
    parts.extend(line.memory_bytes.map(bytes));
    parts.extend(line.cpu_percent.map(|share| format!("CPU {}", percent(share))));
    format!("{}: {}", line.service, parts.join(", "))
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
    let stop = watched.and_then(|watched| service::to_stop(service, watched)).filter(|_| runs);
    let Some(event) = ordered(ask.state, service, stop, Some(ask.from.clone())) else {
        return Answer::not_understood(format!("{name} has no restart command in the configuration."));
    };
    let text = match stop {
        Some(pid) => format!("Ending {name} (pid {pid}) and starting it again."),
        None if runs && service.unit.is_some() => format!("Having {name} started again."),
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
    let under_way = watched.is_some_and(|watched| watched.ordered.is_some());
    let but = if under_way { "; the start that is under way goes on" } else { "" };
    let mut answer = Answer::text(format!(
        "{name} is left alone: neither told of nor started, until \"watch {name}\"{but}."
    ));
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
