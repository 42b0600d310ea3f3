//! `[[service]]`: what is watched, and how it is started again.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use systembot_model::rules::{Check, Probe, Service};

use super::{
    a_span, set,
    walk::{Section, Walk, flag, text, whole},
};
use crate::{
    bounds::{self, RunsInShell},
    mistake::{did_you_mean, quote},
    nearest::nearest,
    span,
};

/// How a service may be found.
const FOUND_BY: [&str; 3] = ["match", "pidfile", "unit"];
/// How it may be checked.
const PROBES: [&str; 3] = ["tcp", "http", "command"];
/// How long a check may take where nothing is said.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is checked where nothing is said.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// Reads all of them.
pub(super) fn read(walk: &mut Walk<'_>, root: &Section<'_>) -> Vec<Service> {
    let mut services: Vec<(Section<'_>, Service)> = Vec::new();
    let mut names = HashSet::new();
    for table in walk.sections(root, "service") {
        if let Err(what) = bounds::services(services.len() + 1) {
            walk.mistake(table.line, table.path, &what);
            break;
        }
        let service = read_service(walk, &table);
        // In chat capitals do not count, so they do not tell two services apart either.
        if !service.name.is_empty() && !names.insert(service.name.to_lowercase()) {
            walk.mistake_at(&table, "name", "another service has this name");
        }
        services.push((table, service));
    }
    check_order(walk, &mut services);
    services.into_iter().map(|(_, service)| service).collect()
}

/// Reads one; what is wrong in it has its default, and a mistake says so.
fn read_service(walk: &mut Walk<'_>, table: &Section<'_>) -> Service {
    walk.require(table, "name");
    check_found(walk, table);
    let mut service = Service::default();
    set(&mut service.name, walk.get(table, "name", |value| bounds::name(text(value)?)));
    set(&mut service.matches, walk.get(table, "match", |value| bounds::matching(text(value)?)));
    set(&mut service.anywhere, walk.get(table, "anywhere", flag));
    service.pidfile = walk.get(table, "pidfile", |value| bounds::path(text(value)?));
    service.unit = walk.get(table, "unit", |value| bounds::unit(text(value)?));
    service.user = walk.get(table, "user", |value| bounds::user(text(value)?));
    if service.anywhere && table.value("match").is_none() {
        walk.warn_at(table, "anywhere", "has no effect without match");
    }
    read_start(walk, table, &mut service);
    if let Some(check) = walk.section(table, "check") {
        service.check = read_check(walk, &check, table.value("restart").is_some());
    }
    service
}

/// Notes a service that cannot be found, or in two ways that exclude each other.
fn check_found(walk: &mut Walk<'_>, table: &Section<'_>) {
    let found_by = FOUND_BY.into_iter().filter(|key| table.value(key).is_some());
    match found_by.collect::<Vec<_>>().as_slice() {
        [] if walk.is_whole() => {
            let what = "is missing: say how it is found, by match, pidfile or unit";
            walk.mistake(table.line, "service.match", what);
        }
        [other, .., "unit"] => {
            walk.mistake_at(table, "unit", &format!("stands alone: {other} says how it is found already"));
        }
        _ => {}
    }
}

/// Reads how it is started.
fn read_start(walk: &mut Walk<'_>, table: &Section<'_>, service: &mut Service) {
    set(&mut service.sh, walk.get(table, "sh", flag));
    let runs_in_shell = if service.sh { RunsInShell::Yes } else { RunsInShell::No };
    service.restart = walk.get(table, "restart", |value| bounds::restart(text(value)?, runs_in_shell));
    service.directory = walk.get(table, "directory", |value| bounds::path(text(value)?));
    set(&mut service.environment.0, walk.texts(table, "environment", bounds::variable));
    set(&mut service.after, walk.list(table, "after", |name| Ok(name.to_owned())));
    let mut wait = |key, bounds| walk.get(table, key, |value| bounds::within(a_span(value)?, bounds));
    set(&mut service.grace, wait("grace", &bounds::WAIT));
    set(&mut service.backoff, wait("backoff", &bounds::WAIT));
    set(&mut service.backoff_max, wait("backoff_max", &bounds::WAIT));
    set(&mut service.start_limit_interval, wait("start_limit_interval", &bounds::STARTS_WITHIN));
    set(&mut service.start_limit, walk.get(table, "start_limit", |value| bounds::starts(whole(value)?)));
    let set_by = ["backoff_max", "backoff"].into_iter().find(|key| table.value(key).is_some());
    if let (Some(key), Err(what)) = (set_by, bounds::waits(service.backoff, service.backoff_max)) {
        walk.mistake_at(table, key, &what);
    }
    let starts_take = service.grace.saturating_mul(service.start_limit);
    if service.restart.is_some() && service.start_limit > 0 && starts_take > service.start_limit_interval {
        let what = format!(
            "{} starts of {} each never fall within the start_limit_interval of {}: it is never given up",
            service.start_limit,
            span::format(service.grace),
            span::format(service.start_limit_interval)
        );
        walk.warn_at(table, "grace", &what);
    }
    if table.value("restart").is_none() {
        for key in without_effect(service) {
            walk.warn_at(table, key, "has no effect without restart");
        }
    }
}

/// The keys that only say something about a start, as far as they say something else than the defaults.
fn without_effect(service: &Service) -> impl Iterator<Item = &'static str> {
    let usual = Service::default();
    let keys = [
        ("sh", service.sh != usual.sh),
        ("directory", service.directory != usual.directory),
        ("environment", service.environment != usual.environment),
        ("grace", service.grace != usual.grace),
        ("after", service.after != usual.after),
        ("backoff", service.backoff != usual.backoff),
        ("backoff_max", service.backoff_max != usual.backoff_max),
        ("start_limit", service.start_limit != usual.start_limit),
        ("start_limit_interval", service.start_limit_interval != usual.start_limit_interval),
    ];
    keys.into_iter().filter_map(|(key, is_set)| is_set.then_some(key))
}

fn read_check(walk: &mut Walk<'_>, table: &Section<'_>, is_restarted: bool) -> Option<Check> {
    match PROBES.into_iter().filter(|key| table.value(key).is_some()).collect::<Vec<_>>().as_slice() {
        [] if walk.is_whole() => walk.mistake(table.line, table.path, "needs one of tcp, http and command"),
        [first, second, ..] => {
            walk.mistake_at(table, second, &format!("is one too many: {first} says what is checked already"));
        }
        _ => {}
    }
    let server = |text: &str| bounds::server(text, "localhost:8080");
    let tcp = walk.get(table, "tcp", |value| server(text(value)?).map(Probe::Tcp));
    let http = walk.get(table, "http", |value| bounds::health(text(value)?).map(Probe::Http));
    let command = |text: &str| bounds::command(text, RunsInShell::No).map(Probe::Command);
    let command = walk.get(table, "command", |value| command(text(value)?));
    let timeout = walk.get(table, "timeout", |v| bounds::within(a_span(v)?, &bounds::CHECK_TIMEOUT));
    let interval = walk.get(table, "interval", |v| bounds::within(a_span(v)?, &bounds::INTERVAL));
    let restart = walk.get(table, "restart", flag).unwrap_or_default();
    if restart && !is_restarted && walk.is_whole() {
        walk.mistake_at(table, "restart", "needs restart of the service, the command that starts it");
    }
    Some(Check {
        probe: tcp.or(http).or(command)?,
        timeout: timeout.unwrap_or(CHECK_TIMEOUT),
        interval: interval.unwrap_or(CHECK_INTERVAL),
        restart,
    })
}

/// Writes the names in `after` as the services do that they mean; notes those that mean none, and circles.
fn check_order(walk: &mut Walk<'_>, services: &mut [(Section<'_>, Service)]) {
    let places: HashMap<String, usize> = services
        .iter()
        .enumerate()
        .rev()
        .map(|(place, (_, service))| (service.name.to_lowercase(), place))
        .collect();
    let names: Vec<String> = services.iter().map(|(_, service)| service.name.clone()).collect();
    let mut edges = Vec::with_capacity(services.len());
    for (table, service) in services.iter_mut() {
        let mut before = Vec::new();
        for name in &mut service.after {
            match places.get(&name.to_lowercase()).and_then(|place| Some((place, names.get(*place)?))) {
                Some((place, known)) => {
                    known.clone_into(name);
                    before.push(*place);
                }
                None if walk.is_whole() => {
                    let near = nearest(name, names.iter().map(String::as_str));
                    let what = format!("no service is named `{}`{}", quote(name), did_you_mean(near));
                    walk.mistake_at(table, "after", &what);
                }
                None => {}
            }
        }
        edges.push(before);
    }
    for circle in circles(edges) {
        let told: Vec<String> = circle
            .iter()
            .chain(circle.first())
            .filter_map(|place| names.get(*place))
            .map(|name| quote(name))
            .collect();
        if let Some((table, _)) = circle.first().and_then(|place| services.get(*place)) {
            walk.mistake_at(table, "after", &format!("goes in a circle: {}", told.join(" after ")));
        }
    }
}

/// Circles among places that each come after others: none shares a place with another, and each begins with its
/// first place.
fn circles(mut edges: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
    let mut open: HashSet<usize> = (0..edges.len()).collect();
    let mut circles = Vec::new();
    loop {
        // What comes after nothing that is still open is in no circle.
        loop {
            edges.iter_mut().for_each(|before| before.retain(|place| open.contains(place)));
            let is_free = |place: &usize| edges.get(*place).is_none_or(Vec::is_empty);
            let free: Vec<usize> = open.iter().copied().filter(is_free).collect();
            if free.is_empty() {
                break;
            }
            open.retain(|place| !free.contains(place));
        }
        let Some(mut place) = open.iter().copied().min() else { return circles };
        let mut way: Vec<usize> = Vec::new();
        let begins = loop {
            if let Some(begins) = way.iter().position(|passed| *passed == place) {
                break begins;
            }
            way.push(place);
            // All that is open comes after something that is.
            let Some(next) = edges.get(place).and_then(|before| before.first()) else { return circles };
            place = *next;
        };
        let mut circle = way.split_off(begins);
        open.retain(|place| !circle.contains(place));
        let first = circle.iter().enumerate().min_by_key(|(_, place)| **place).map_or(0, |(first, _)| first);
        circle.rotate_left(first);
        circles.push(circle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_once() {
        let check = |edges: &[&[usize]], expected: &[&[usize]]| {
            let found = circles(edges.iter().map(|before| before.to_vec()).collect());
            assert_eq!(found, expected, "{edges:?}");
        };
        check(&[], &[]);
        check(&[&[1], &[2], &[]], &[]);
        check(&[&[1, 2], &[2], &[]], &[]);
        check(&[&[0]], &[&[0]]);
        check(&[&[1], &[2], &[1]], &[&[1, 2]]);
        check(&[&[2], &[0], &[1], &[3], &[3]], &[&[0, 2, 1], &[3]]);
        check(&[&[1], &[0, 2], &[1]], &[&[0, 1]]);
    }
}
