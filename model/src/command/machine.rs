//! Answers about the machine, from the newest tick.

use std::{net::IpAddr, time::Duration};

use crate::{
    LocalTime, Question, Series, State,
    command::{Answer, Ask, fold},
    host::Process,
    number,
    render::{bytes, counted, percent, plain, span, temperature as degrees, uptime as up_for},
};

/// Age of the known public address up to which it is not asked for again.
const ADDRESS_FRESH: Duration = Duration::from_secs(600);
/// Processes shown where no number is said, and the most that are.
const TOP: (u8, u8) = (5, 50);

/// Age of the newest tick, in sample intervals, from which an answer says how old it is.
const STALE_INTERVALS: u32 = 3;

/// Ends an answer about the newest tick: says how old that is, where it is not of just now.
fn as_of(ask: &Ask<'_>, text: String) -> Answer {
    let Some(at) = ask.state.sampled_at else {
        return Answer::text("Nothing has been read yet, ask again in a moment.");
    };
    let fresh = ask.state.rules.sample_interval.saturating_mul(STALE_INTERVALS).max(Duration::from_secs(5));
    let age = ask.now.at.since(at);
    let note = if age > fresh {
        format!("\n(as of {}, {} ago)", ask.now.civil_minute(at), span(age))
    } else {
        String::new()
    };
    Answer::text(format!("{text}{note}"))
}

/// The value of a metric in the newest tick; what was read in an older one alone is no answer about now.
fn value(ask: &Ask<'_>, metric: &str) -> Option<f64> {
    ask.state.now(&Series::new(metric))
}

/// The answer where the newest tick lacks what was asked for.
fn unread(ask: &Ask<'_>, what: &str) -> Answer {
    as_of(ask, format!("{what} cannot be read at the moment."))
}

/// The labels of a metric in the newest tick, with their values.
fn labelled<'a>(state: &'a State, metric: &'a str) -> impl Iterator<Item = (String, f64)> + 'a {
    let of_metric = state.current().filter(move |(series, _)| series.metric() == metric);
    of_metric.filter_map(|(series, value)| Some((series.label()?.into_owned(), value)))
}

pub(super) fn load(ask: &Ask<'_>) -> Answer {
    let of = |metric| value(ask, metric);
    let (Some(one), Some(five), Some(fifteen)) = (of("load1"), of("load5"), of("load15")) else {
        return unread(ask, "The load");
    };
    let cpus = counted(u64::from(ask.state.host.cpus), "CPU");
    as_of(ask, format!("Load: {one:.2} (1 min), {five:.2} (5 min), {fifteen:.2} (15 min) on {cpus}."))
}

pub(super) fn cpu(ask: &Ask<'_>) -> Answer {
    let of = |metric| value(ask, metric).map(percent);
    let Some(idle) = of("cpu_idle_percent") else {
        return Answer::text("The CPUs are measured between two readings; the second one is still to come.");
    };
    let part = |name, metric| of(metric).map(|share| format!("{share} {name}"));
    let parts: Vec<String> = [
        part("user", "cpu_user_percent"),
        part("system", "cpu_system_percent"),
        part("waiting for I/O", "cpu_iowait_percent"),
        part("stolen", "cpu_steal_percent"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let cpus = counted(u64::from(ask.state.host.cpus), "CPU");
    as_of(ask, format!("CPU: {idle} idle, {}, over {cpus}.", parts.join(", ")))
}

pub(super) fn cpus(ask: &Ask<'_>) -> Answer {
    let host = &ask.state.host;
    if host.cpus == 0 {
        return as_of(ask, String::new());
    }
    Answer::text(format!("{} has {}.", host.name, counted(u64::from(host.cpus), "CPU")))
}

pub(super) fn memory(ask: &Ask<'_>) -> Answer {
    let of = |metric| value(ask, metric);
    let (Some(total), Some(used), Some(available)) =
        (of("memory_total_bytes"), of("memory_used_bytes"), of("memory_available_bytes"))
    else {
        return unread(ask, "Memory");
    };
    let share = |part: f64| percent(if total > 0.0 { 100.0 * part / total } else { 0.0 });
    let mut text = format!(
        "Memory: {} used ({}), {} free ({}) of {}.",
        bytes(used),
        share(used),
        bytes(available),
        share(available),
        bytes(total)
    );
    if let (Some(used), Some(total)) = (of("swap_used_bytes"), of("swap_total_bytes").filter(|n| *n > 0.0)) {
        text += &format!("\nSwap: {} used of {}.", bytes(used), bytes(total));
    }
    as_of(ask, text)
}

pub(super) fn disk(ask: &Ask<'_>) -> Answer {
    let behind = ["of", "on"].iter().find_map(|word| fold::strip_words(ask.argument, word));
    let wanted = behind.unwrap_or(ask.argument).trim_matches(['"', '\'', ' ']);
    let mounts: Vec<(String, f64)> = labelled(ask.state, "disk_used_percent").collect();
    let is_chosen = |(mount, _): &&(String, f64)| wanted.is_empty() || mount == wanted;
    let mut chosen: Vec<&(String, f64)> = mounts.iter().filter(is_chosen).collect();
    if chosen.is_empty() {
        chosen = mounts.iter().filter(|(mount, _)| is_alike(mount, wanted)).collect();
    }
    if chosen.is_empty() && !wanted.is_empty() && ask.state.sampled_at.is_some() {
        let known: Vec<&str> = mounts.iter().map(|(mount, _)| mount.as_str()).collect();
        return Answer::not_understood(format!(
            "Nothing is mounted at {wanted}. There is {}.",
            known.join(", ")
        ));
    }
    let mut lines: Vec<String> = chosen
        .into_iter()
        .map(|(mount, share)| {
            let of = |metric| {
                ask.state.latest(&Series::labelled(metric, "mount", mount)).map_or_else(String::new, bytes)
            };
            format!(
                "{mount}: {} used ({}), {} free of {}",
                of("disk_used_bytes"),
                percent(*share),
                of("disk_available_bytes"),
                of("disk_total_bytes")
            )
        })
        .collect();
    lines.extend(
        ask.state
            .notes
            .iter()
            .filter(|(subject, _)| subject.starts_with("mount "))
            .map(|(subject, text)| format!("{}: {text}", subject.trim_start_matches("mount "))),
    );
    if lines.is_empty() {
        lines.push("No file system that holds files on a device is mounted.".into());
    }
    as_of(ask, lines.join("\n"))
}

/// Whether a mount is what somebody means who writes it in capitals, with a slash too many or too few.
fn is_alike(mount: &str, wanted: &str) -> bool {
    let bare = |path: &str| path.trim_matches('/').to_lowercase();
    !wanted.is_empty() && bare(mount) == bare(wanted)
}

pub(super) fn temperature(ask: &Ask<'_>) -> Answer {
    let point = |metric, sensor: &str| ask.state.now(&Series::labelled(metric, "sensor", sensor)).map(plain);
    let lines: Vec<String> = labelled(ask.state, "temperature_celsius")
        .map(|(sensor, value)| {
            let high = point("temperature_high_celsius", &sensor).map(|p| format!(", high from {p} °C"));
            let critical =
                point("temperature_critical_celsius", &sensor).map(|p| format!(", critical from {p} °C"));
            format!(
                "{sensor}: {}{}{}",
                degrees(value),
                high.unwrap_or_default(),
                critical.unwrap_or_default()
            )
        })
        .collect();
    if lines.is_empty() {
        return as_of(ask, "This machine has no temperature sensors that I can read.".into());
    }
    as_of(ask, lines.join("\n"))
}

pub(super) fn traffic(ask: &Ask<'_>) -> Answer {
    let lines: Vec<String> = labelled(ask.state, "network_sent_bytes_total")
        .filter(|(interface, _)| interface != "lo")
        .map(|(interface, sent)| {
            let received = Series::labelled("network_received_bytes_total", "interface", &interface);
            let received = ask.state.latest(&received).unwrap_or(0.0);
            format!("{interface}: {} sent, {} received", bytes(sent), bytes(received))
        })
        .collect();
    if lines.is_empty() {
        return as_of(ask, "There is no network interface but loopback.".into());
    }
    as_of(ask, lines.join("\n"))
}

pub(super) fn top(ask: &Ask<'_>) -> Answer {
    if ask.argument.is_empty() {
        return Answer::later(Question::Processes(TOP.0));
    }
    match ask.argument.parse::<u8>() {
        Ok(count) if (1..=TOP.1).contains(&count) => Answer::later(Question::Processes(count)),
        Ok(_) | Err(_) => {
            Answer::not_understood(format!("\"top 3\" shows three; it takes a number from 1 to {}.", TOP.1))
        }
    }
}

/// The table of the busiest processes.
pub(super) fn top_processes(state: &State, now: &LocalTime, processes: &[Process], count: u8) -> String {
    if processes.is_empty() {
        return "The process table could not be read.".into();
    }
    let total = state.latest(&Series::new("memory_total_bytes")).unwrap_or(0.0);
    let lines: Vec<String> = processes
        .iter()
        .take(usize::from(count))
        .map(|process| {
            let memory = number::float(process.memory_bytes);
            let share =
                if total > 0.0 { format!(" ({})", percent(100.0 * memory / total)) } else { String::new() };
            format!(
                "{} ({}, {}): {} CPU, {}{share}",
                process.name,
                process.pid,
                process.user,
                percent(process.cpu_percent),
                bytes(memory)
            )
        })
        .collect();
    format!(
        "Busiest at {}, over one second (100 % is one CPU):\n{}",
        now.civil_minute(now.at),
        lines.join("\n")
    )
}

pub(super) fn uptime(ask: &Ask<'_>) -> Answer {
    match (value(ask, "uptime_seconds"), ask.state.sampled_at) {
        (Some(seconds), Some(at)) if ask.state.run.is_on => {
            // The clock has gone on since the tick, and the machine with it.
            let now = Duration::from_secs_f64(seconds.clamp(0.0, 1e12)) + ask.now.at.since(at);
            Answer::text(format!("Up {}.", up_for(now)))
        }
        (Some(seconds), Some(_)) => {
            as_of(ask, format!("Up {}.", up_for(Duration::from_secs_f64(seconds.clamp(0.0, 1e12)))))
        }
        _ => as_of(ask, String::new()),
    }
}

pub(super) fn info(ask: &Ask<'_>) -> Answer {
    let host = &ask.state.host;
    if host.name.is_empty() {
        return as_of(ask, String::new());
    }
    Answer::text(format!(
        "{}: {}, kernel {}, build {}, {}.",
        host.name, host.os, host.kernel, host.build, host.architecture
    ))
}

pub(super) fn local_address(ask: &Ask<'_>) -> Answer {
    let host = &ask.state.host;
    let addresses: Vec<String> = [host.ipv4.map(|ip| ip.to_string()), host.ipv6.map(|ip| ip.to_string())]
        .into_iter()
        .flatten()
        .collect();
    match (&host.interface, addresses.is_empty()) {
        (Some(interface), false) => {
            Answer::text(format!("Local address: {} on {interface}.", addresses.join(", ")))
        }
        (Some(interface), true) => {
            Answer::text(format!("{interface} has the default route, but no address."))
        }
        (None, _) => Answer::text("There is no default route, so no local address to reach this machine by."),
    }
}

pub(super) fn public(ask: &Ask<'_>) -> Answer {
    let public = &ask.state.public;
    let known = public.known.map(|(address, at)| (address, ask.now.at.since(at)));
    if let Some((address, age)) = known.filter(|(_, age)| *age < ADDRESS_FRESH) {
        return Answer::text(format!("Public address: {address} (asked {} ago).", span(age)));
    }
    // One fetch in ten minutes, also where the last one told nothing.
    if let Some((at, Some(problem))) = &public.asked {
        let age = ask.now.at.since(*at);
        if age < ADDRESS_FRESH {
            let again = span(ADDRESS_FRESH.saturating_sub(age));
            let text = format!("{} I may ask again in {again}.", unknown(ask.state, ask.now, problem));
            return Answer::text(text);
        }
    }
    Answer::later(Question::PublicAddress)
}

pub(super) fn public_address(state: &State, now: &LocalTime, result: &Result<IpAddr, String>) -> String {
    match result {
        Ok(address) => format!("Public address: {address}."),
        Err(problem) => unknown(state, now, problem),
    }
}

/// Why the public address is not known, and what it was.
fn unknown(state: &State, now: &LocalTime, problem: &str) -> String {
    let before = state.public.known.map_or_else(String::new, |(address, at)| {
        format!(" It was {address} {} ago.", span(now.at.since(at)))
    });
    format!("I could not learn the public address: {problem}.{before}")
}

pub(super) fn date(ask: &Ask<'_>) -> Answer {
    Answer::text(format!("It is {}.", ask.now.civil_full()))
}
