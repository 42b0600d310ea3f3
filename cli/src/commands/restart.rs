//! `restart`: has a service started, and tells how that ends.

use std::time::Duration;

use anyhow::{Result, bail};
use systembot_model::{Event, Record, Seq, Timestamp, service::report};
use systembot_storage::query::{Request, Row};

use super::{
    Opener, Outcome, View,
    ask::{answer, print},
    events::Waiter,
};
use crate::{
    args::Format,
    edges::Wait,
    output::{AlertSeries, Csv, event_rows, json},
    source::{Source, each, one, unexpected},
};

/// How often the end is asked for.
const PAUSE: Duration = Duration::from_millis(200);
/// How long: two hours of grace at most, and some more to end what does not.
const PAUSES_MAX: u32 = 5 * (2 * 3600 + 60);
/// How far back the order of a start may lie that is under way already.
const LOOK_BACK: Duration = Duration::from_secs(2 * 3600);

/// Orders a start and, with `wait`, waits for its end: done if the service runs then.
///
/// # Errors
/// Those of the source and of the output; a start that does not end.
pub fn restart(
    service: &str,
    open: &mut Opener<'_>,
    wait: Option<&Waiter<'_>>,
    view: &mut View<'_>,
) -> Result<Outcome> {
    let mut source = open()?;
    let answer = answer(&format!("restart {service}"), source.as_mut(), &view.now)?;
    let understood = answer.understood;
    if !understood || wait.is_none() || view.format == Format::Table {
        print(answer, view)?;
        view.out.flush()?;
    }
    let Some(wait) = wait.filter(|_| understood) else {
        return Ok(if understood { Outcome::Done } else { Outcome::Faulty });
    };
    for _ in 0..PAUSES_MAX {
        if let Some(record) = end(service, source.as_mut(), view)? {
            return tell(&record, source.as_mut(), view);
        }
        // Whoever holds the log itself must not keep the daemon from it.
        drop(source);
        if wait(PAUSE) == Wait::ReaderGone {
            return Ok(Outcome::Done);
        }
        source = open()?;
    }
    bail!(
        "the start of {service} does not end; `systembot events --kind restart_finished --follow` tells when it does"
    )
}

/// The record that ends the newest start of a service, if it has ended.
fn end(service: &str, source: &mut dyn Source, view: &View<'_>) -> Result<Option<Record>> {
    let kinds = ["restart_ordered", "restart_finished"].map(str::to_owned).to_vec();
    let since = view.at().minus(LOOK_BACK);
    let request = Request::Events { since, until: Timestamp::MAX, kinds, after: Seq::ZERO };
    let mut newest = None;
    each(source, &request, &mut |row| {
        let Row::Event(record) = row else { return Err(unexpected()) };
        #[expect(clippy::wildcard_enum_match_arm, reason = "no others were asked for")]
        match &record.event {
            Event::RestartOrdered { service: name, .. } if name.eq_ignore_ascii_case(service) => {
                newest = None
            }
            Event::RestartFinished { service: name, .. } if name.eq_ignore_ascii_case(service) => {
                newest = Some(record);
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(newest.map(|record| *record))
}

fn tell(record: &Record, source: &mut dyn Source, view: &mut View<'_>) -> Result<Outcome> {
    let Event::RestartFinished { service, outcome, output, .. } = &record.event else {
        return Err(unexpected());
    };
    match view.format {
        Format::Table => {
            let pid = match one(source, &Request::Status)? {
                Some(Row::Status(status)) => {
                    status.services.iter().find(|line| line.service == *service).and_then(|line| line.pid)
                }
                Some(_) | None => return Err(unexpected()),
            };
            writeln!(view.out, "{}", report(service, outcome, pid, output))?;
        }
        Format::Json => {
            for row in event_rows(record, &AlertSeries::new()) {
                json::write_line(view.out, &row)?;
            }
        }
        Format::Csv => {
            let mut csv = Csv::default();
            for row in event_rows(record, &AlertSeries::new()) {
                csv.write(view.out, &row)?;
            }
        }
    }
    Ok(if outcome.is_success() { Outcome::Done } else { Outcome::Faulty })
}
