//! `events`: every record that is no sample, and what follows.

use std::time::Duration;

use anyhow::{Result, bail};
use jiff::tz::TimeZone;
use systembot_model::{Event, Record, Seq, Timestamp};
use systembot_storage::query::{Request, Row};

use super::{Listing, Opener, Outcome, View};
use crate::{
    args::{Events, Format},
    edges::Wait,
    output::{AlertSeries, Align, Fields, baselines_line, event_line, event_rows, human, json, kinds},
    source::{Source, each, unexpected},
};

/// How often what is new is asked for.
const PAUSE: Duration = Duration::from_millis(500);
/// Failures in a row, half a second apart, that a following command bears: a daemon starts anew in less.
const FAILURES_MAX: u32 = 20;

/// Waits, or less if the reader of the output goes.
pub type Waiter<'a> = dyn Fn(Duration) -> Wait + 'a;

/// Lists records, and with `--follow` goes on until the reader of the output goes.
///
/// # Errors
/// A time or kind that is none, and those of the source and of the output.
pub fn events(
    args: &Events,
    open: &mut Opener<'_>,
    wait: &Waiter<'_>,
    view: &mut View<'_>,
) -> Result<Outcome> {
    let mut question = Question::new(args, view)?;
    let mut list = Listing::streamed(
        view,
        &[
            ("Seq", Align::Right, 7),
            ("Time", Align::Left, 19),
            ("Kind", Align::Left, 18),
            ("What", Align::Fold, view.screen.width),
        ],
        &["seq", "time", "kind", "text", "fields"],
    );
    question.ask(open()?.as_mut(), &mut list, view)?;
    if !args.follow {
        list.finish(view.out)?;
        let nothing = Outcome::Nothing("no events found".to_owned());
        return Ok(if list.rows() > 0 { Outcome::Done } else { nothing });
    }
    let mut failures = 0;
    loop {
        view.out.flush()?;
        if wait(PAUSE) == Wait::ReaderGone {
            return Ok(Outcome::Done);
        }
        let before = list.rows();
        let asked = open().and_then(|mut source| question.ask(source.as_mut(), &mut list, view));
        failures = if asked.is_ok() { 0 } else { failures + 1 };
        // What was printed is not printed again: the number of the newest record is kept as it is printed.
        if let Err(error) = asked
            && (failures > FAILURES_MAX || list.rows() > before || error.is::<std::io::Error>())
        {
            return Err(error);
        }
    }
}

/// What is asked again and again.
struct Question {
    since: Timestamp,
    until: Timestamp,
    kinds: Vec<String>,
    after: Seq,
    alerts: Option<AlertSeries>,
    set: Option<Set>,
}

/// Baselines of one moment, a line of a table together: dozens of lines each day would hide all others.
struct Set {
    seq: Seq,
    at: Timestamp,
    series: u64,
}

impl Question {
    fn new(args: &Events, view: &View<'_>) -> Result<Self> {
        let wanted: Vec<String> = args.kinds.iter().map(|kind| kind.trim().to_lowercase()).collect();
        if let Some(kind) = wanted.iter().find(|wanted| !kinds().any(|kind| kind == **wanted)) {
            bail!("`{kind}` is no kind of event; there are {}", kinds().collect::<Vec<_>>().join(", "));
        }
        let since = view.moment(args.since.as_deref(), Timestamp::MIN)?;
        let until = view.moment(args.until.as_deref(), Timestamp::MAX)?;
        Ok(Self { since, until, kinds: wanted, after: Seq::ZERO, alerts: None, set: None })
    }

    fn ask(&mut self, source: &mut dyn Source, list: &mut Listing, view: &mut View<'_>) -> Result<()> {
        if self.alerts.is_none() {
            self.alerts = Some(self.alert_series(source)?);
        }
        let (since, until, after) = (self.since, self.until, self.after);
        let request = Request::Events { since, until, kinds: self.kinds.clone(), after };
        each(source, &request, &mut |row| {
            let Row::Event(record) = row else { return Err(unexpected()) };
            self.print(&record, list, view)
        })?;
        // A set is recorded in one step, so none is cut by the end of an answer.
        self.print_set(list, view)
    }

    fn print(&mut self, record: &Record, list: &mut Listing, view: &mut View<'_>) -> Result<()> {
        let is_of_set =
            matches!(record.event, Event::Baseline { .. }) && self.kinds.is_empty() && list.is_table();
        if self.set.as_ref().is_some_and(|set| !is_of_set || set.at != record.at) {
            self.print_set(list, view)?;
        }
        let alerts = self.alerts.get_or_insert_default();
        if let Event::AlertFired(fired) = &record.event {
            alerts.insert(fired.id, fired.series.clone());
        }
        if is_of_set {
            self.set.get_or_insert(Set { seq: record.seq, at: record.at, series: 0 }).series += 1;
        } else if list.is_table() {
            let cells = [
                record.seq.get().to_string(),
                human::second(record.at, view.zone()),
                record.event.kind().to_owned(),
                event_line(&record.event, alerts, view.zone()),
            ];
            list.cells(view.out, cells.map(Into::into).into())?;
        }
        for row in event_rows(record, alerts) {
            list.fields(view.out, &if view.format == Format::Csv { flat(row, record, alerts) } else { row })?;
        }
        self.after = record.seq;
        Ok(())
    }

    fn print_set(&mut self, list: &mut Listing, view: &mut View<'_>) -> Result<()> {
        let Some(Set { seq, at, series }) = self.set.take() else { return Ok(()) };
        let cells = [
            seq.get().to_string(),
            human::second(at, view.zone()),
            "baseline".to_owned(),
            baselines_line(series),
        ];
        Ok(list.cells(view.out, cells.map(Into::into).into())?)
    }

    /// Only the record of its begin says what an alert is about.
    fn alert_series(&self, source: &mut dyn Source) -> Result<AlertSeries> {
        let mut alerts = AlertSeries::new();
        if !self.kinds.is_empty() && !self.kinds.iter().any(|kind| kind.starts_with("alert_")) {
            return Ok(alerts);
        }
        let request = Request::Alerts { since: Timestamp::MIN, open: false };
        each(source, &request, &mut |row| {
            if let Row::Alert(alert) = row {
                alerts.insert(alert.fired.id, alert.fired.series);
            }
            Ok(())
        })?;
        Ok(alerts)
    }
}

/// The same columns for every kind: number, time, kind, a line for people (times in UTC), all keys as an object.
fn flat(row: Fields, record: &Record, alerts: &AlertSeries) -> Fields {
    let mut row = row.into_iter();
    let mut head: Fields = row.by_ref().take(3).collect();
    head.push(("text", event_line(&record.event, alerts, &TimeZone::UTC).into()));
    head.push(("fields", json::object(row.collect())));
    head
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use systembot_model::{Address, Series, window::Window};

    use super::*;
    use crate::{
        args::Format,
        commands::{
            alerts::tests::alert,
            fake::{Fake, check, printed},
        },
    };

    fn record(seq: u64, event: Event) -> Row {
        Row::Event(Box::new(Record { seq: Seq::new(seq), at: Timestamp::from_ms(1_795_336_200_000), event }))
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else is asked")]
    fn rows(request: &Request) -> Vec<Row> {
        match request {
            Request::Alerts { .. } => vec![Row::Alert(Box::new(alert(12)))],
            Request::Events { after, .. } if *after == Seq::ZERO => vec![
                record(1, Event::Started { version: "0.1.0".into(), config: None, unclean: false }),
                record(7, Event::AlertAcknowledged { id: 12, by: Address::console() }),
            ],
            Request::Events { after, .. } if *after == Seq::new(7) => vec![record(8, Event::Stopped)],
            _ => Vec::new(),
        }
    }

    fn source() -> Result<Box<dyn Source>> {
        Ok(Box::new(Fake::new(&rows)))
    }

    fn never(_: Duration) -> Wait {
        panic!("nothing to wait for")
    }

    #[test]
    fn events_in_every_form() {
        let args = Events::default();
        check(
            Format::Table,
            |view| events(&args, &mut source, &never, view),
            "\x20   \
Seq  Time                 Kind                What
      1  2026-11-22 09:30:00  started             version 0.1.0 on defaults
      7  2026-11-22 09:30:00  alert_acknowledged  #12 (load1) by console
",
        );
        check(
            Format::Json,
            |view| events(&args, &mut source, &never, view),
            "\
{\"seq\":1,\"time\":\"2026-11-22T08:30:00.000Z\",\"kind\":\"started\",\"version\":\"0.1.0\",\"unclean\":false,\"config\":null}
{\"seq\":7,\"time\":\"2026-11-22T08:30:00.000Z\",\"kind\":\"alert_acknowledged\",\"id\":12,\"series\":\"load1\",\"by\":\"console\"}
",
        );
        check(
            Format::Csv,
            |view| events(&args, &mut source, &never, view),
            "\
seq,time,kind,text,fields
1,2026-11-22T08:30:00.000Z,started,version 0.1.0 on defaults,\"{\"\"config\"\":null,\"\"unclean\"\":false,\"\"version\"\":\"\"0.1.0\"\"}\"
7,2026-11-22T08:30:00.000Z,alert_acknowledged,#12 (load1) by console,\"{\"\"by\"\":\"\"console\"\",\"\"id\"\":12,\"\"series\"\":\"\"load1\"\"}\"
",
        );
    }

    /// A set each day, with a record for each series, must not hide what else happened.
    #[test]
    #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else is asked")]
    fn a_set_of_baselines_is_one_line_of_the_table() {
        fn baseline(id: &str) -> Event {
            let mut window = Window::default();
            [1.0, 2.0].into_iter().for_each(|value| window.push(Timestamp::from_ms(0), value, 100));
            Event::Baseline { series: Series::new(id), window }
        }
        let rows: &'static dyn Fn(&Request) -> Vec<Row> = &|request| match request {
            Request::Alerts { .. } => Vec::new(),
            _ => vec![
                record(1, baseline("load1")),
                record(2, baseline("load5")),
                record(4, Event::Stopped),
                record(7, baseline("load1")),
            ],
        };
        let mut sets = || -> Result<Box<dyn Source>> { Ok(Box::new(Fake::new(rows))) };
        let args = Events::default();
        check(
            Format::Table,
            |view| events(&args, &mut sets, &never, view),
            "\x20   \
Seq  Time                 Kind                What
      1  2026-11-22 09:30:00  baseline            of 2 series
      4  2026-11-22 09:30:00  stopped
      7  2026-11-22 09:30:00  baseline            of 1 series
",
        );
        let (_, text) = printed(Format::Json, |view| events(&args, &mut sets, &never, view));
        assert_eq!(text.lines().count(), 4, "programs are told each record: {text}");
        let args = Events { kinds: vec!["baseline".into()], ..Events::default() };
        let (_, text) = printed(Format::Table, |view| events(&args, &mut sets, &never, view));
        assert!(text.contains("load5: 2 samples, mean 1.500,"), "whoever asks is told each: {text}");
    }

    #[test]
    fn following_prints_each_record_once_until_the_reader_goes() {
        let waits = Cell::new(0);
        let wait = |_| {
            waits.set(waits.get() + 1);
            if waits.get() > 3 { Wait::ReaderGone } else { Wait::Over }
        };
        let args = Events { follow: true, ..Events::default() };
        let (outcome, text) = printed(Format::Json, |view| events(&args, &mut source, &wait, view));
        assert_eq!(outcome, Ok(Outcome::Done));
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.lines().last().is_some_and(|line| line.contains("\"stopped\"")), "{text}");
    }

    #[test]
    fn following_survives_a_restart_of_the_daemon_but_not_its_end() {
        let (mut opened, waits) = (0, Cell::new(0));
        let mut open = || {
            opened += 1;
            if opened == 1 || opened == 5 { source() } else { bail!("nobody there") }
        };
        let wait = |_| {
            waits.set(waits.get() + 1);
            Wait::Over
        };
        let args = Events { follow: true, ..Events::default() };
        let (outcome, text) = printed(Format::Json, |view| events(&args, &mut open, &wait, view));
        assert_eq!(outcome, Err("nobody there".into()));
        assert_eq!((text.lines().count(), waits.get()), (3, 4 + 21));
    }

    #[test]
    fn kinds_are_checked_and_nothing_exits_1() {
        let args = |kinds: &[&str]| Events {
            kinds: kinds.iter().map(|k| (*k).to_owned()).collect(),
            ..Events::default()
        };
        let (outcome, _) =
            printed(Format::Json, |view| events(&args(&["started", "strted"]), &mut source, &never, view));
        assert!(
            outcome.is_err_and(|e| e.starts_with("`strted` is no kind of event; there are started, stopped"))
        );
        let mut nothing = || -> Result<Box<dyn Source>> { Ok(Box::new(Fake::new(&|_| Vec::new()))) };
        let (outcome, _) =
            printed(Format::Json, |view| events(&args(&["Started"]), &mut nothing, &never, view));
        assert_eq!(outcome, Ok(Outcome::Nothing("no events found".into())));
    }
}
