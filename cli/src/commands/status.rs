//! `status`: one screen about everything.

use std::path::Path;

use anyhow::Result;
use clap::builder::styling::Style;
use serde_json::Value;
use systembot_model::{Event, Series, Timestamp, number, window::Trend};
use systembot_storage::{
    Salvage,
    query::{Request, Row, Status},
};

use super::{
    Outcome, View, alerts, services,
    trends::{sigma_cell, spark_of},
};
use crate::{
    args::Format,
    output::{AlertSeries, Align, Cell, Csv, Fields, Table, event_fields, human, json},
    source::{Source, one, unexpected},
};

/// What stands for each group of metrics, in the order shown.
const SHOWN: &[&str] = &[
    "load1",
    "cpu_idle_percent",
    "memory_available_percent",
    "swap_used_bytes",
    "disk_used_percent",
    "network_received_bytes_total",
    "network_sent_bytes_total",
    "temperature_celsius",
    "pressure_cpu_some_percent",
    "pressure_memory_some_percent",
    "pressure_io_some_percent",
    "processes_total",
    "service_memory_bytes",
    "uptime_seconds",
    "self_rss_bytes",
];
/// Series of one metric that one screen has room for: a machine may have dozens of mounts.
const SERIES_MAX: usize = 3;
/// Blind times that one screen has room for.
const BLIND_MAX: usize = 3;
/// Open alerts that one screen has room for.
const ALERTS_MAX: usize = 8;

/// Prints one screen about everything.
///
/// # Errors
/// Those of the source and of the output.
pub fn status(data_dir: &Path, source: &mut dyn Source, view: &mut View<'_>) -> Result<Outcome> {
    let Some(Row::Status(status)) = one(source, &Request::Status)? else { return Err(unexpected()) };
    match view.format {
        Format::Table => screen(&status, data_dir, view)?,
        Format::Json => json::write_line(view.out, &fields(&status, data_dir))?,
        Format::Csv => Csv::default().write(view.out, &fields(&status, data_dir))?,
    }
    Ok(Outcome::Done)
}

fn fields(status: &Status, data_dir: &Path) -> Fields {
    let none = AlertSeries::new();
    let blind = status.blind.iter().map(|record| json::object(event_fields(&record.event, &none)));
    let services = status.services.iter().map(|line| json::object(services::fields(line)));
    vec![
        ("name", status.name.as_str().into()),
        ("version", status.version.as_str().into()),
        ("started_at", json::maybe(status.started_at.map(Timestamp::rfc3339))),
        ("running", status.running.into()),
        ("samples", status.samples.into()),
        ("series", status.series.into()),
        ("open_alerts", status.alerts.len().into()),
        ("backlog", status.backlog.into()),
        ("log_bytes", status.log_bytes.into()),
        ("data_dir", data_dir.display().to_string().into()),
        ("config", json::maybe(status.config.as_deref())),
        ("blind", blind.collect()),
        ("services", services.collect()),
        ("problem", json::maybe(status.problem.as_deref())),
        ("warning", json::maybe(status.warning.as_deref())),
        ("salvaged", json::maybe(status.salvaged.as_ref().map(|salvage| salvaged(salvage, data_dir)))),
    ]
}

/// What became of a damaged log.
fn salvaged(salvage: &Salvage, data_dir: &Path) -> Value {
    let kept = salvage.kept.as_ref().map(|kept| data_dir.join(kept).display().to_string());
    json::object(vec![
        ("at", salvage.at.rfc3339().into()),
        ("saved", salvage.saved.into()),
        ("lost", salvage.lost.into()),
        ("at_least", salvage.is_at_least.into()),
        ("samples_lost", salvage.samples.into()),
        ("kept", json::maybe(kept)),
    ])
}

fn screen(status: &Status, data_dir: &Path, view: &mut View<'_>) -> Result<()> {
    head(status, data_dir, view)?;
    values(status, view)?;
    watched(status, view)?;
    open_alerts(status, view)
}

fn head(status: &Status, data_dir: &Path, view: &mut View<'_>) -> Result<()> {
    let name = if status.name.is_empty() { "systembot" } else { status.name.as_str() };
    let mut title = Table::new(view.screen, &[("", Align::Left), ("", Align::Fold)]);
    title.push(vec![Cell::styled(name, Cell::BOLD), since(status, view).into()]);
    title.write(view.out)?;
    let mut table = Table::new(view.screen, &[("", Align::Left), ("", Align::Fold)]);
    for (name, cell) in facts(status, data_dir, view) {
        table.push(vec![Cell::styled(name, Cell::DIM), cell]);
    }
    Ok(table.write(view.out)?)
}

/// What is told in a line each: what there is none of is said too, so that nobody looks for it.
fn facts(status: &Status, data_dir: &Path, view: &View<'_>) -> Vec<(&'static str, Cell)> {
    let log = format!(
        "{}: {} of {} series, {}",
        data_dir.display(),
        human::counted(status.samples, "sample"),
        human::thousands(status.series),
        human::bytes(number::float(status.log_bytes))
    );
    let config = status.config.as_deref().unwrap_or("none: on defaults");
    let backlog = match status.backlog {
        0 => "none".into(),
        owed => Cell::styled(format!("{} not delivered yet", human::counted(owed, "message")), Cell::YELLOW),
    };
    let mut facts = vec![("config", config.into()), ("log", log.into())];
    facts.extend(status.problem.as_ref().map(|problem| ("log", Cell::styled(problem.clone(), Cell::RED))));
    facts.extend(status.warning.as_ref().map(|warning| ("log", Cell::styled(warning.clone(), Cell::YELLOW))));
    facts.push(("backlog", backlog));
    if let Some(salvage) = &status.salvaged {
        let (at, saved) =
            (human::minute(salvage.at, view.now.time_zone()), human::counted(salvage.saved, "record"));
        let least = if salvage.is_at_least { "at least " } else { "" };
        let lost = human::thousands(salvage.lost);
        facts
            .push(("mended", Cell::styled(format!("{at}: {saved} saved, {least}{lost} lost"), Cell::YELLOW)));
    }
    for record in status.blind.iter().rev().take(BLIND_MAX) {
        if let Event::Blind { from, to, reason } = &record.event {
            let (zone, span) = (view.now.time_zone(), human::span(to.since(*from)));
            let text = format!("{span} from {}: {}", human::minute(*from, zone), reason.word());
            facts.push(("blind", text.into()));
        }
    }
    if status.blind.is_empty() {
        facts.push(("blind", "never".into()));
    }
    if status.services.is_empty() {
        facts.push(("services", "none watched".into()));
    }
    if status.alerts.is_empty() {
        facts.push(("alerts", Cell::styled("none open", Cell::GREEN)));
    }
    facts
}

/// Since when it runs, or that it does not.
fn since(status: &Status, view: &View<'_>) -> String {
    let version = &status.version;
    match (status.started_at, status.running) {
        (Some(at), true) => {
            let (time, span) = (human::minute(at, view.zone()), human::span(view.at().since(at)));
            format!("systembot {version}, up since {time} ({span})")
        }
        (Some(at), false) => {
            format!("systembot {version}, not running; it was started {}", human::minute(at, view.zone()))
        }
        (None, _) => "never started; `systembot run` does".to_owned(),
    }
}

/// The newest value of every group.
fn values(status: &Status, view: &mut View<'_>) -> Result<()> {
    let Some(newest) = status.latest.iter().map(|(_, at, _)| *at).max() else { return Ok(()) };
    let mut table = Table::new(
        view.screen,
        &[("", Align::Left), ("", Align::Fold), ("", Align::Right), ("", Align::Left), ("", Align::Right)],
    );
    let mut group = "";
    for metric in SHOWN {
        let of = worth_a_line(status, metric);
        for (trend, at, values) in of.iter().take(SERIES_MAX) {
            let word = trend.series.known().map_or("", |metric| metric.word);
            let is_first = std::mem::replace(&mut group, word) != word;
            let style = if *at == newest { Style::new() } else { Cell::DIM };
            table.push(vec![
                Cell::styled(if is_first { word } else { "" }, Cell::BOLD),
                Cell::styled(short(&trend.series), style),
                Cell::styled(human::value(&trend.series, trend.last), style),
                spark_of(&trend.series, values, view.screen).into(),
                sigma_cell(trend.sigma),
            ]);
        }
        if let Some(more) = of.len().checked_sub(SERIES_MAX + 1) {
            let more = format!("and {} more: systembot trends {metric}", more + 1);
            table.push(vec!["".into(), Cell::styled(more, Cell::DIM)]);
        }
    }
    writeln!(view.out, "\nat {}", human::second(newest, view.zone()))?;
    Ok(table.write(view.out)?)
}

/// The series of a metric but those of interfaces that carried nothing, if others did.
fn worth_a_line<'s>(status: &'s Status, metric: &str) -> Vec<&'s (Trend, Timestamp, Vec<f64>)> {
    let mut of: Vec<_> =
        status.latest.iter().filter(|(trend, _, _)| trend.series.metric() == metric).collect();
    let is_idle = |(trend, _, _): &(Trend, Timestamp, Vec<f64>)| trend.last == 0.0;
    if metric.starts_with("network_") && !of.iter().all(|latest| is_idle(latest)) {
        of.retain(|latest| !is_idle(latest));
    }
    of
}

/// What a series is called beside its group: `used percent /home`.
fn short(series: &Series) -> String {
    let metric = series.metric();
    let name = metric.strip_suffix("_total").filter(|stem| stem.ends_with("_bytes")).unwrap_or(metric);
    let name = ["_percent", "_bytes", "_celsius", "_seconds"]
        .iter()
        .find_map(|unit| name.strip_suffix(unit))
        .unwrap_or(name)
        .replace('_', " ");
    series.label().map_or_else(|| name.clone(), |label| format!("{name} {label}"))
}

fn watched(status: &Status, view: &mut View<'_>) -> Result<()> {
    if status.services.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(
        view.screen,
        &[("", Align::Left), ("", Align::Fold), ("", Align::Left), ("", Align::Left)],
    );
    let mut title = "services";
    for line in &status.services {
        let title = Cell::styled(std::mem::take(&mut title), Cell::BOLD);
        let since =
            line.since.map_or_else(String::new, |at| format!("since {}", human::minute(at, view.zone())));
        table.push(vec![title, line.service.as_str().into(), services::standing(line), since.into()]);
    }
    writeln!(view.out)?;
    Ok(table.write(view.out)?)
}

fn open_alerts(status: &Status, view: &mut View<'_>) -> Result<()> {
    if status.alerts.is_empty() {
        return Ok(());
    }
    let paint = view.screen.paint;
    let title = format!("{} open", human::counted(u64::try_from(status.alerts.len())?, "alert"));
    writeln!(view.out, "\n{}", paint.text(Cell::RED, &title))?;
    let mut table = Table::new(view.screen, &alerts::COLUMNS);
    for alert in status.alerts.iter().take(ALERTS_MAX) {
        table.push(alerts::cells(alert, Some(view.at()), view));
    }
    table.write(view.out)?;
    if let Some(more @ 1..) = status.alerts.len().checked_sub(ALERTS_MAX) {
        let more = format!("and {more} more: systembot alerts --open");
        writeln!(view.out, "{}", paint.text(Cell::DIM, &more))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use systembot_model::{
        Record, Seq,
        event::BlindReason,
        metric::{METRICS, Metric},
    };

    use super::*;
    use systembot_model::service::Standing;

    use crate::commands::{
        alerts::tests::alert,
        fake::{Fake, check, printed},
    };

    fn whole() -> Status {
        let at = Timestamp::from_ms(1_795_337_999_000);
        let trend = |series: Series, last, sigma| {
            let trend = Trend { series, count: 3, mean: 1.0, stdev: Some(0.5), last, sigma };
            (trend, at, vec![1.0, 2.0, last])
        };
        let mut latest = vec![trend(Series::new("load1"), 1.25, Some(4.0))];
        latest.extend((0..6).map(|i| {
            trend(Series::labelled("disk_used_percent", "mount", &format!("/data/{i}")), 40.0, Some(-0.25))
        }));
        latest.push(trend(
            Series::labelled("network_sent_bytes_total", "interface", "eth0"),
            5_000_000.0,
            None,
        ));
        let blind = |from, to, reason| Record {
            seq: Seq::new(1),
            at,
            event: Event::Blind { from: Timestamp::from_ms(from), to: Timestamp::from_ms(to), reason },
        };
        Status {
            name: "leela".into(),
            version: "0.1.0".into(),
            started_at: Some(Timestamp::from_ms(1_795_330_800_000)),
            problem: None,
            warning: None,
            running: true,
            config: None,
            samples: 123_456,
            series: 41,
            backlog: 2,
            log_bytes: 5_242_880,
            blind: vec![blind(1_795_320_000_000, 1_795_330_800_000, BlindReason::Stopped)],
            alerts: vec![alert(12)],
            latest,
            services: vec![
                services::tests::line("web", Standing::Running),
                services::tests::line("db", Standing::Missing),
            ],
            salvaged: Some(Salvage {
                at: Timestamp::from_ms(1_795_320_000_000),
                newest: Seq::new(5_002),
                saved: 5_000,
                lost: 2,
                is_at_least: true,
                samples: 10,
                kept: Some("log.damaged-1".into()),
            }),
        }
    }

    fn rows(_: &Request) -> Vec<Row> {
        vec![Row::Status(Box::new(whole()))]
    }

    #[test]
    fn one_screen_about_everything() {
        check(
            Format::Table,
            |view| status(Path::new("/var/lib/systembot"), &mut Fake::new(&rows), view),
            "\
leela  systembot 0.1.0, up since 2026-11-22 08:00 (2 h)
config   none: on defaults
log      /var/lib/systembot: 123,456 samples of 41 series, 5.00 MiB
backlog  2 messages not delivered yet
mended   2026-11-22 05:00: 5,000 records saved, at least 2 lost
blind    3 h from 2026-11-22 05:00: stopped

at 2026-11-22 09:59:59
load     load1                                               1.25  ▁█▃  +4.0σ
disk     disk used /data/0                                 40.0 %  ▁▁█  -0.2σ
         disk used /data/1                                 40.0 %  ▁▁█  -0.2σ
         disk used /data/2                                 40.0 %  ▁▁█  -0.2σ
         and 3 more: systembot trends disk_used_percent
traffic  network sent eth0                               4.77 MiB  ▁█       -

services  web  running  since 2026-11-22 09:59
          db   missing  since 2026-11-22 09:59

1 alert open
 Id  Fired        Lasted  State  Severity  Message
#12  11-22 09:30  30 min  acked  warning   load1 is 7.50, 7.0 standard
                                           deviations above its mean of 0.50
",
        );
    }

    #[test]
    fn programs_get_the_keys_of_the_manual() {
        check(
            Format::Json,
            |view| status(Path::new("/d"), &mut Fake::new(&rows), view),
            "{\"name\":\"leela\",\"version\":\"0.1.0\",\"started_at\":\"2026-11-22T07:00:00.000Z\",\"running\":true,\"samples\":123456,\"series\":41,\"open_alerts\":1,\"backlog\":2,\"log_bytes\":5242880,\"data_dir\":\"/d\",\"config\":null,\"blind\":[{\"from\":\"2026-11-22T04:00:00.000Z\",\"reason\":\"stopped\",\"to\":\"2026-11-22T07:00:00.000Z\"}],\"services\":[{\"cpu_percent\":1.25,\"memory_bytes\":12345678,\"next_start\":null,\"pid\":4711,\"problem\":null,\"restarts\":2,\"service\":\"web\",\"since\":\"2026-11-22T08:59:59.000Z\",\"state\":\"running\",\"waits_for\":null},{\"cpu_percent\":null,\"memory_bytes\":null,\"next_start\":null,\"pid\":null,\"problem\":null,\"restarts\":2,\"service\":\"db\",\"since\":\"2026-11-22T08:59:59.000Z\",\"state\":\"missing\",\"waits_for\":null}],\"problem\":null,\"warning\":null,\"salvaged\":{\"at\":\"2026-11-22T04:00:00.000Z\",\"at_least\":true,\"kept\":\"/d/log.damaged-1\",\"lost\":2,\"samples_lost\":10,\"saved\":5000}}\n",
        );
    }

    #[test]
    fn an_empty_log_has_a_screen_too() {
        let none = |_: &Request| vec![Row::Status(Box::default())];
        check(
            Format::Table,
            |view| status(Path::new("/d"), &mut Fake::new(&none), view),
            "\
systembot  never started; `systembot run` does
config    none: on defaults
log       /d: 0 samples of 0 series, 0 B
backlog   none
blind     never
services  none watched
alerts    none open
",
        );
    }

    #[test]
    fn interfaces_without_traffic_take_no_line_beside_others_and_many_alerts_are_counted() {
        let rows = |of: &'static [(&'static str, f64)]| {
            move |_: &Request| {
                let mut status = whole();
                status.alerts = (1..=10).map(alert).collect();
                let trend = |(label, last): &(&str, f64)| {
                    let series = Series::labelled("network_sent_bytes_total", "interface", label);
                    let trend = Trend { series, count: 2, mean: 1.0, stdev: None, last: *last, sigma: None };
                    (trend, Timestamp::from_ms(0), vec![0.0, *last])
                };
                status.latest = of.iter().map(trend).collect();
                vec![Row::Status(Box::new(status))]
            }
        };
        let shown = |rows: &dyn Fn(&Request) -> Vec<Row>| {
            printed(Format::Table, |view| status(Path::new("/d"), &mut Fake::new(rows), view)).1
        };
        let text = shown(&rows(&[("eth0", 5.0), ("veth1", 0.0)]));
        assert!(text.contains("sent eth0") && !text.contains("veth1"), "{text}");
        assert!(text.ends_with("and 2 more: systembot alerts --open\n"), "{text}");
        assert!(shown(&rows(&[("eth0", 0.0)])).contains("traffic  network sent eth0"));
    }

    #[test]
    fn every_group_is_shown() {
        for metric in METRICS {
            let is_shown =
                SHOWN.iter().any(|shown| Metric::find(shown).is_some_and(|shown| shown.word == metric.word));
            assert!(is_shown, "nothing stands for {}", metric.word);
        }
    }
}
