//! One screen about everything.

use systembot_model::{State, Timestamp, service};

use super::Status;
use crate::{error::Error, reader::Reader};

pub(super) fn status(reader: &Reader, state: &State) -> Result<Status, Error> {
    let (samples, series) = reader.counts()?;
    let latest = state.trends().into_iter().filter_map(|trend| {
        let window = state.windows.get(&trend.series)?;
        let (at, _) = window.last()?;
        Some((trend, at, window.values()))
    });
    Ok(Status {
        problem: reader.trees().err().map(|error| error.to_string()),
        warning: reader.warning(),
        name: state.rules.name.clone(),
        version: state.run.version.clone(),
        started_at: state.run.started_at,
        running: state.run.is_on,
        config: state.run.config.clone(),
        samples,
        series,
        backlog: u64::try_from(state.outbox.len()).unwrap_or(u64::MAX),
        log_bytes: reader.log_bytes()?,
        blind: state.blind.iter().cloned().collect(),
        alerts: state.alerts.values().cloned().collect(),
        latest: latest.collect(),
        // Not known while the log cannot be read.
        salvaged: reader.salvaged().ok().flatten(),
        services: service::lines(state, state.sampled_at.unwrap_or(Timestamp::MIN)),
    })
}
