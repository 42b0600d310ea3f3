//! Alerts as the events about them tell.

use std::{collections::BTreeMap, time::Duration};

use systembot_model::{Event, State, alert::Alert, decide::present};

use super::Why;
use crate::{
    error::Error,
    event::EventFilter,
    reader::Reader,
    scan::{Choice, Query},
};

/// What an alert is explained with: samples from so long before it fired ...
const BEFORE: Duration = Duration::from_secs(30 * 60);
/// ... to so long after.
const AFTER: Duration = Duration::from_secs(5 * 60);
/// Earlier alerts of the same kind that are told.
const EARLIER: usize = 5;

/// Every alert there ever was, by number.
pub(super) fn all(reader: &Reader) -> Result<BTreeMap<u64, Alert>, Error> {
    let kinds = ["alert_fired", "alert_repeated", "alert_acknowledged", "alert_resolved"];
    let mut alerts: BTreeMap<u64, Alert> = BTreeMap::new();
    for record in reader.events(EventFilter::kinds(&kinds))? {
        let record = record?;
        #[expect(clippy::wildcard_enum_match_arm, reason = "the filter leaves only these")]
        match &record.event {
            Event::AlertFired(fired) => {
                alerts.insert(fired.id, Alert::begin(fired, record.at));
            }
            Event::AlertRepeated { id, .. }
            | Event::AlertAcknowledged { id, .. }
            | Event::AlertResolved { id, .. } => {
                if let Some(alert) = alerts.get_mut(id) {
                    alert.apply(&record);
                }
            }
            _ => {}
        }
    }
    Ok(alerts)
}

/// One alert with what it was judged by; `None` if there is none of that number.
pub(super) fn why(reader: &Reader, state: &State, id: u64) -> Result<Option<Why>, Error> {
    let mut alerts = all(reader)?;
    let Some(alert) = alerts.remove(&id) else { return Ok(None) };
    let configured = reader.event(alert.fired.configured)?;
    #[expect(clippy::wildcard_enum_match_arm, reason = "only settings are wanted")]
    let rules = configured.and_then(|record| match record.event {
        Event::Configured { rules } => Some(rules),
        _ => None,
    });
    let query = Query {
        choice: Choice::Only(alert.fired.series.clone()),
        since: alert.fired_at.minus(BEFORE),
        until: alert.fired_at.plus(AFTER),
    };
    let mut around = Vec::new();
    let mut scan = reader.scan(&query)?;
    while let Some(tick) = scan.next_tick()? {
        around.extend(tick.readings.iter().map(|(_, value)| (tick.at, *value)));
    }
    let is_alike =
        |other: &Alert| (&other.fired.rule, &other.fired.series) == (&alert.fired.rule, &alert.fired.series);
    let mut earlier: Vec<Alert> = alerts
        .range(..id)
        .rev()
        .map(|(_, other)| other)
        .filter(|other| is_alike(other))
        .take(EARLIER)
        .cloned()
        .collect();
    earlier.reverse();
    let present = state.alerts.get(&id).map(|open| present(state, open));
    Ok(Some(Why { alert, rules, present, around, earlier }))
}
