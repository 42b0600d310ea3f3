//! `services`: the watched services, a line each.

use anyhow::Result;
use systembot_model::{
    Timestamp, render,
    service::{Line, Standing},
};
use systembot_storage::query::{Request, Row};

use super::{Listing, Outcome, View};
use crate::{
    output::{Align, Cell, Fields, human, json},
    source::{Source, one, unexpected},
};

/// Keys of a row for programs.
const KEYS: [&str; 10] = [
    "service",
    "state",
    "pid",
    "since",
    "restarts",
    "memory_bytes",
    "cpu_percent",
    "next_start",
    "waits_for",
    "problem",
];

/// Lists state, process, since when, starts of the week, memory and CPU of each watched service.
///
/// # Errors
/// Those of the source and of the output.
pub fn services(source: &mut dyn Source, view: &mut View<'_>) -> Result<Outcome> {
    let Some(Row::Status(status)) = one(source, &Request::Status)? else { return Err(unexpected()) };
    let mut list = Listing::new(
        view,
        &[
            ("Service", Align::Fold),
            ("State", Align::Left),
            ("Since", Align::Left),
            ("Pid", Align::Right),
            ("Restarts", Align::Right),
            ("Memory", Align::Right),
            ("CPU", Align::Right),
            ("", Align::Fold),
        ],
        &KEYS,
    );
    let (at, zone) = (view.at(), view.zone().clone());
    for line in &status.services {
        list.fields(view.out, &fields(line))?;
        let dash = || "-".to_owned();
        list.cells(
            view.out,
            vec![
                line.service.as_str().into(),
                standing(line),
                line.since.map_or_else(dash, |since| human::minute(since, &zone)).into(),
                line.pid.map_or_else(dash, |pid| pid.to_string()).into(),
                line.restarts.to_string().into(),
                line.memory_bytes.map_or_else(dash, render::bytes).into(),
                line.cpu_percent.map_or_else(dash, render::percent).into(),
                note(line, at).into(),
            ],
        )?;
    }
    list.finish(view.out)?;
    if list.rows() > 0 {
        return Ok(Outcome::Done);
    }
    Ok(Outcome::Nothing("no service is watched: a [[service]] in the configuration adds one".into()))
}

/// How a service stands, coloured.
pub(super) fn standing(line: &Line) -> Cell {
    let style = match line.standing {
        Standing::Running => Cell::GREEN,
        Standing::Unhealthy | Standing::Missing | Standing::GivenUp => Cell::RED,
        Standing::Starting | Standing::NotWatched | Standing::Unknown => Cell::DIM,
    };
    Cell::styled(line.standing.word().replace('_', " "), style)
}

fn note(line: &Line, now: Timestamp) -> String {
    let wait = line.next_at.map(|at| at.since(now)).filter(|wait| !wait.is_zero());
    let parts = [
        line.problem.clone(),
        line.waits_for.as_ref().map(|first| format!("waits for {first}")),
        wait.map(|wait| format!("next start in {}", render::span(wait))),
        (line.standing == Standing::GivenUp).then(|| format!("systembot ask restart {}", line.service)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What programs are told of a service.
pub(super) fn fields(line: &Line) -> Fields {
    vec![
        ("service", line.service.as_str().into()),
        ("state", line.standing.word().into()),
        ("pid", json::maybe(line.pid)),
        ("since", json::maybe(line.since.map(Timestamp::rfc3339))),
        ("restarts", line.restarts.into()),
        ("memory_bytes", json::optional(line.memory_bytes)),
        ("cpu_percent", json::optional(line.cpu_percent)),
        ("next_start", json::maybe(line.next_at.map(Timestamp::rfc3339))),
        ("waits_for", json::maybe(line.waits_for.as_deref())),
        ("problem", json::maybe(line.problem.as_deref())),
    ]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::commands) fn line(service: &str, standing: Standing) -> Line {
        let runs = standing == Standing::Running;
        Line {
            service: service.into(),
            standing,
            pid: runs.then_some(4711),
            since: Some(Timestamp::from_ms(1_795_337_999_000)),
            restarts: 2,
            memory_bytes: runs.then_some(12_345_678.0),
            cpu_percent: runs.then_some(1.25),
            next_at: None,
            waits_for: None,
            problem: None,
        }
    }
}
