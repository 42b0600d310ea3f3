//! `history`: samples, or buckets of them, as rows or drawn.

use std::time::Duration;

use anyhow::Result;
use systembot_model::{Series, Timestamp, number};
use systembot_storage::query::{self, Request, Row, Step};

use super::{Outcome, View, patterns, samples};
use crate::{
    args::{Aggregate, History},
    output::{Chart, Mark, chart, dots},
    source::{Source, each, unexpected},
    time,
};

/// How far ahead of now samples are put into buckets of days: farther than a clock goes wrong that is not wrong wholly.
const AHEAD: Duration = Duration::from_secs(400 * 86_400);

/// Prints or draws the samples of some series.
///
/// # Errors
/// A time or step that cannot be read, and those of the source and of the output.
pub fn history(args: &History, source: &mut dyn Source, view: &mut View<'_>) -> Result<Outcome> {
    let since = view.moment(Some(&args.since), Timestamp::MIN)?;
    let until = view.moment(args.until.as_deref(), Timestamp::MAX)?;
    let end = until.min(view.at());
    // A clock that was set back leaves samples that lie ahead, each of which belongs to its own day.
    let ahead = until.min(view.at().plus(AHEAD));
    let step = args.step.as_deref().map(|step| time::step(step, since, ahead, view.zone())).transpose()?;
    let newest = !args.chart && args.agg.contains(&Aggregate::Last);
    let mut query =
        query::History { patterns: patterns(&args.series), since, until, step, limit: args.limit, newest };
    let found = if args.chart {
        query.until = end;
        draw(query, source, view)?
    } else {
        let aggregates = query.step.as_ref().map(|_| each_once(&args.agg));
        samples::print(query, aggregates, source, view)?
    };
    Ok(if found { Outcome::Done } else { Outcome::Nothing(none_in_span(args)) })
}

/// Aggregates in the order asked for, each once: an object has no key twice.
fn each_once(asked: &[Aggregate]) -> Vec<Aggregate> {
    let mut once = Vec::with_capacity(asked.len());
    for aggregate in asked {
        if !once.contains(aggregate) {
            once.push(*aggregate);
        }
    }
    once
}

/// What to say of a span without samples, whether or not there are such series.
fn none_in_span(args: &History) -> String {
    let steps = if args.step.is_none() { ", `--step 5m` shows what has been let go" } else { "" };
    format!(
        "no samples of {} in that span; `systembot series` lists what there is{steps}",
        args.series.join(", ")
    )
}

/// What to say where no series was found.
#[must_use]
pub fn unmatched(series: &[String]) -> String {
    let all = if series.is_empty() { "any series".to_owned() } else { series.join(", ") };
    format!("nothing found of {all}; `systembot series` lists what there is")
}

/// Draws each series in a chart of its own; whether there were any samples.
fn draw(mut query: query::History, source: &mut dyn Source, view: &mut View<'_>) -> Result<bool> {
    let (since, until) = (query.since, query.until);
    // Finer buckets than dots would not be seen; least and greatest values keep every spike.
    let fit = until.since(since) / u32::try_from(dots(view.screen))?;
    query.step.get_or_insert(Step::Every(number::millis(fit).max(1)));
    let mut drawn: Vec<(Series, Vec<Mark>)> = Vec::new();
    each(source, &Request::History(query), &mut |row| {
        #[expect(clippy::wildcard_enum_match_arm, reason = "all other rows answer other questions")]
        let (at, index, min, max) = match row {
            Row::Names(names) => {
                drawn = names.into_iter().map(|series| (series, Vec::new())).collect();
                return Ok(());
            }
            Row::Point { at, series, value } => (at, series, value, value),
            Row::Bucket { at, series, min, max, .. } => (at, series, min, max),
            _ => return Err(unexpected()),
        };
        let (_, marks) = drawn.get_mut(usize::try_from(index)?).ok_or_else(unexpected)?;
        marks.push(Mark { at: at.max(since), min, max });
        Ok(())
    })?;
    let mut is_first = true;
    for (series, marks) in drawn.iter().filter(|(_, marks)| !marks.is_empty()) {
        if !std::mem::take(&mut is_first) {
            writeln!(view.out)?;
        }
        let text = chart(&Chart { series, since, until, marks }, view.screen, view.now.time_zone());
        view.out.write_all(text.as_bytes())?;
    }
    Ok(!is_first)
}

#[cfg(test)]
mod tests {
    use systembot_storage::query::Basis;

    use super::*;
    use crate::{
        args::{Aggregate, Format},
        commands::fake::{Fake, check, printed},
    };

    fn args(step: Option<&str>, agg: &[Aggregate]) -> History {
        History {
            series: vec!["load1".into(), "disk".into()],
            since: "1h".into(),
            until: None,
            step: step.map(str::to_owned),
            agg: agg.to_vec(),
            limit: Some(3),
            chart: false,
        }
    }

    fn rows(request: &Request) -> Vec<Row> {
        let Request::History(query) = request else { panic!("{request:?}") };
        let at = |s: i64| Timestamp::from_ms(1_795_336_200_000 + s * 1000);
        let names =
            Row::Names(vec![Series::labelled("disk_used_percent", "mount", "/"), Series::new("load1")]);
        let rows = if query.step.is_some() {
            vec![Row::Bucket {
                at: at(0),
                series: 1,
                mean: 0.5,
                min: 0.0,
                max: 1.25,
                last: 0.75,
                count: 1240,
                from: Basis::Rollups,
            }]
        } else {
            vec![
                Row::Point { at: at(0), series: 0, value: 48.25 },
                Row::Point { at: at(0), series: 1, value: 2.0 },
                Row::Point { at: at(15), series: 1, value: 0.31 },
            ]
        };
        std::iter::once(names).chain(rows).collect()
    }

    #[test]
    fn samples_in_every_form() {
        let mut source = Fake::new(&rows);
        check(
            Format::Table,
            |view| history(&args(None, &[]), &mut source, view),
            "\
Time                 Series                          Value
2026-11-22 09:30:00  disk_used_percent{mount=\"/\"}   48.2 %
2026-11-22 09:30:00  load1                            2.00
2026-11-22 09:30:15  load1                            0.31
",
        );
        check(
            Format::Json,
            |view| history(&args(None, &[]), &mut source, view),
            "\
{\"time\":\"2026-11-22T08:30:00.000Z\",\"series\":\"disk_used_percent{mount=\\\"/\\\"}\",\"value\":48.25}
{\"time\":\"2026-11-22T08:30:00.000Z\",\"series\":\"load1\",\"value\":2}
{\"time\":\"2026-11-22T08:30:15.000Z\",\"series\":\"load1\",\"value\":0.31}
",
        );
        check(
            Format::Csv,
            |view| history(&args(None, &[]), &mut source, view),
            "\
time,series,value
2026-11-22T08:30:00.000Z,\"disk_used_percent{mount=\"\"/\"\"}\",48.25
2026-11-22T08:30:00.000Z,load1,2
2026-11-22T08:30:15.000Z,load1,0.31
",
        );
    }

    #[test]
    fn buckets_carry_the_aggregates_asked_for_in_their_order() {
        use Aggregate::{Count, Last, Max, Mean, Min};
        let mut source = Fake::new(&rows);
        check(
            Format::Json,
            |view| history(&args(Some("5m"), &[Mean, Min, Max, Count]), &mut source, view),
            "{\"time\":\"2026-11-22T08:30:00.000Z\",\"series\":\"load1\",\"mean\":0.5,\"min\":0,\"max\":1.25,\"count\":1240,\"source\":\"rollups\"}\n",
        );
        check(
            Format::Csv,
            |view| history(&args(Some("1d"), &[Count, Last]), &mut source, view),
            "time,series,count,last\n2026-11-22T08:30:00.000Z,load1,1240,0.75\n",
        );
        check(
            Format::Table,
            |view| history(&args(Some("5m"), &[Mean, Count]), &mut source, view),
            "\
Time                 Series                           Mean    Count
2026-11-22 09:30:00  load1                            0.50    1,240
",
        );
        check(
            Format::Json,
            |view| history(&args(Some("5m"), &[Max, Count, Max]), &mut source, view),
            "{\"time\":\"2026-11-22T08:30:00.000Z\",\"series\":\"load1\",\"max\":1.25,\"count\":1240,\"source\":\"rollups\"}\n",
        );
        let mut steps = source.asked.iter().map(|request| {
            let Request::History(query) = request else { panic!("{request:?}") };
            query.step.clone()
        });
        // 2026-11-22 begins in Berlin at 23:00 UTC of the day before.
        let midnight = Timestamp::from_ms(1_795_302_000_000);
        let every = Some(Step::Every(300_000));
        assert_eq!(steps.next(), Some(every.clone()));
        let Some(Some(Step::At(days))) = steps.next() else { panic!("no days") };
        assert_eq!((days.first(), days.len()), (Some(&midnight), 401), "today, and what may lie ahead");
        assert_eq!(steps.collect::<Vec<_>>(), [every.clone(), every]);
    }

    #[test]
    fn the_question_holds_what_was_asked() {
        let mut source = Fake::new(&rows);
        let mut args = args(None, &[]);
        args.since = "yesterday 14:00".into();
        args.until = Some("9:30".into());
        printed(Format::Json, |view| history(&args, &mut source, view)).0.unwrap();
        let expected = query::History {
            patterns: vec![systembot_model::Pattern::new("load1"), systembot_model::Pattern::new("disk")],
            since: Timestamp::from_ms(1_795_266_000_000),
            until: Timestamp::from_ms(1_795_336_200_000),
            step: None,
            limit: Some(3),
            newest: false,
        };
        assert_eq!(source.asked, [Request::History(expected)]);
    }

    #[test]
    fn nothing_found_exits_1_and_a_mistake_2() {
        let none = |_: &Request| vec![Row::Names(Vec::new())];
        let (outcome, text) =
            printed(Format::Table, |view| history(&args(None, &[]), &mut Fake::new(&none), view));
        assert!(matches!(outcome, Ok(Outcome::Nothing(line)) if line.contains("load1, disk")));
        assert_eq!(text, "");
        let (outcome, _) =
            printed(Format::Table, |view| history(&args(Some("0s"), &[]), &mut Fake::new(&none), view));
        assert_eq!(outcome, Err("--step `0s` is too short: the least is 1s".into()));
    }

    #[test]
    fn a_chart_for_each_series_that_has_samples() {
        let mut args = args(None, &[]);
        args.chart = true;
        let mut source = Fake::new(&rows);
        let (outcome, text) = printed(Format::Table, |view| history(&args, &mut source, view));
        assert_eq!(outcome, Ok(Outcome::Done));
        assert_eq!(text.lines().next(), Some("load1"));
        assert_eq!(text.lines().last().map(str::trim), Some(format!("09:00:00{:>65}", "10:00:00").as_str()));
        let Some(Request::History(query)) = source.asked.first() else { panic!("{:?}", source.asked) };
        assert_eq!(query.step, Some(Step::Every(3_600_000 / 136)));
    }
}
