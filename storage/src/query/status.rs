//! One screen about everything.

use std::collections::HashSet;

use systembot_model::{Event, Record, Seq, State, limits};

use super::Status;
use crate::{error::Error, event::EventFilter, reader::Reader};

pub(super) fn status(reader: &Reader, state: &State) -> Result<Status, Error> {
    let view = reader.view()?;
    let totals = reader.totals(&view)?;
    let (started, running) = started(reader)?;
    let (version, config) = match started.as_ref().map(|record| &record.event) {
        Some(Event::Started { version, config, .. }) => (version.clone(), config.clone()),
        Some(_) | None => (String::new(), None),
    };
    let trends = state.trends();
    let latest = trends.into_iter().filter_map(|trend| {
        let window = state.windows.get(&trend.series)?;
        let (at, _) = window.last()?;
        Some((trend, at, window.values()))
    });
    Ok(Status {
        name: state.rules.name.clone(),
        version,
        started_at: started.as_ref().map(|record| record.at),
        running,
        config,
        samples: totals.series.values().map(|total| total.samples).sum(),
        series: u64::try_from(totals.series.len()).unwrap_or(u64::MAX),
        backlog: backlog(reader)?,
        log_bytes: reader.log_bytes()?,
        blind: blind(reader)?,
        alerts: state.alerts.values().cloned().collect(),
        latest: latest.collect(),
        services: services(reader, state)?,
    })
}

/// The newest `started`, and whether no `stopped` follows it.
fn started(reader: &Reader) -> Result<(Option<Record>, bool), Error> {
    let mut newest = reader.events(EventFilter::kinds(&["started", "stopped"])).rev();
    let mut running = true;
    while let Some(record) = newest.next().transpose()? {
        if matches!(record.event, Event::Started { .. }) {
            return Ok((Some(record), running));
        }
        running = false;
    }
    Ok((None, false))
}

/// The newest spans in which nothing was recorded, oldest first.
fn blind(reader: &Reader) -> Result<Vec<Record>, Error> {
    let newest = reader.events(EventFilter::kinds(&["blind"])).rev().take(limits::BLIND_SPANS);
    let mut spans = newest.collect::<Result<Vec<Record>, Error>>()?;
    spans.reverse();
    Ok(spans)
}
