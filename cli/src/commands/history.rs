//! `history`: samples, or buckets of them, as rows or drawn.

use std::io;

use anyhow::Result;
use systembot_model::{Series, Timestamp, number};
use systembot_storage::query::{self, Request, Row, Step};

use super::{Outcome, View, patterns};
use crate::{
    args::{Aggregate, Format, History},
    output::{Align, Cell, Chart, Mark, Table, chart, dots, human, json, quoted},
    source::{Source, each, unexpected},
    time,
};

/// Prints or draws the samples of some series.
///
/// # Errors
/// A time or step that cannot be read, and those of the source and of the output.
pub fn history(args: &History, source: &mut dyn Source, view: &mut View<'_>) -> Result<Outcome> {
    let since = view.moment(Some(&args.since), Timestamp::MIN)?;
    let until = view.moment(args.until.as_deref(), Timestamp::MAX)?;
    let end = until.min(view.at());
    let step = args.step.as_deref().map(|step| time::step(step, since, end, view.zone())).transpose()?;
    let mut query =
        query::History { patterns: patterns(&args.series), since, until, step, limit: args.limit };
    let found = if args.chart {
        query.until = end;
        draw(query, source, view)?
    } else {
        let aggregates = query.step.as_ref().map(|_| args.agg.clone());
        print(query, aggregates, source, view)?
    };
    Ok(if found { Outcome::Done } else { Outcome::Nothing(unmatched(&args.series)) })
}

/// Prints samples, or the aggregates of buckets, one a line; whether there were any.
///
/// # Errors
/// Those of the source and of the output.
pub fn print(
    query: query::History,
    aggregates: Option<Vec<Aggregate>>,
    source: &mut dyn Source,
    view: &mut View<'_>,
) -> Result<bool> {
    let mut rows = Rows::new(view.format, aggregates);
    each(source, &Request::History(query), &mut |row| {
        #[expect(clippy::wildcard_enum_match_arm, reason = "all other rows answer other questions")]
        match row {
            Row::Names(names) => rows.begin(names, view)?,
            Row::Point { at, series, value } => rows.row(at, series, &[Figure::Value(value)], view)?,
            Row::Bucket { at, series, mean, min, max, last, count } => {
                let figure = |aggregate: &Aggregate| match aggregate {
                    Aggregate::Mean => Figure::Value(mean),
                    Aggregate::Min => Figure::Value(min),
                    Aggregate::Max => Figure::Value(max),
                    Aggregate::Last => Figure::Value(last),
                    Aggregate::Count => Figure::Count(count),
                };
                let figures: Vec<_> = rows.aggregates.iter().flatten().map(figure).collect();
                rows.row(at, series, &figures, view)?;
            }
            _ => return Err(unexpected()),
        }
        Ok(())
    })?;
    Ok(rows.count > 0)
}

/// What to say where nothing was found.
#[must_use]
pub fn unmatched(series: &[String]) -> String {
    let all = if series.is_empty() { "any series".to_owned() } else { series.join(", ") };
    format!("nothing found of {all}; `systembot series` lists what there is")
}

/// A figure of a row.
#[derive(Clone, Copy)]
enum Figure {
    Value(f64),
    Count(u64),
}

impl Figure {
    fn text(self) -> String {
        match self {
            Self::Value(value) => json::number(value).to_string(),
            Self::Count(count) => count.to_string(),
        }
    }
}

/// Rows as they come: a month of samples is never held as a whole.
struct Rows {
    format: Format,
    aggregates: Option<Vec<Aggregate>>,
    series: Vec<Series>,
    /// Names as the format writes them.
    names: Vec<String>,
    keys: Vec<&'static str>,
    table: Option<Table>,
    moment: Moment,
    count: u64,
}

impl Rows {
    fn new(format: Format, aggregates: Option<Vec<Aggregate>>) -> Self {
        let keys = aggregates.as_ref().map_or_else(
            || vec!["value"],
            |aggregates| aggregates.iter().map(|aggregate| key(*aggregate)).collect(),
        );
        Self {
            format,
            aggregates,
            series: Vec::new(),
            names: Vec::new(),
            keys,
            table: None,
            moment: Moment::default(),
            count: 0,
        }
    }

    fn begin(&mut self, series: Vec<Series>, view: &mut View<'_>) -> io::Result<()> {
        self.names = match self.format {
            Format::Table => Vec::new(),
            Format::Json => series.iter().map(|series| json::text(series.id())).collect(),
            Format::Csv => series.iter().map(|series| quoted(series.id()).into_owned()).collect(),
        };
        let is_empty = series.is_empty();
        self.series = series;
        match self.format {
            Format::Csv => writeln!(view.out, "time,series,{}", self.keys.join(",")),
            Format::Table if !is_empty => {
                let table = self.table.insert(self.head(view));
                table.write_head(view.out)
            }
            Format::Table | Format::Json => Ok(()),
        }
    }

    fn head(&self, view: &View<'_>) -> Table {
        // Wide enough for `1023.99 MiB`; a figure that is wider moves its own line only.
        const FIGURE: usize = 11;
        let mut columns = vec![("Time", Align::Left), ("Series", Align::Fold)];
        let aggregates = self.aggregates.iter().flatten().map(|aggregate| (title(*aggregate), Align::Right));
        columns.extend(aggregates);
        if self.aggregates.is_none() {
            columns.push(("Value", Align::Right));
        }
        let mut table = Table::new(view.screen, &columns);
        let name = self.series.iter().map(|series| series.id().chars().count()).max().unwrap_or(0);
        table.widen([19, name].into_iter().chain(self.keys.iter().map(|_| FIGURE)));
        table
    }

    fn row(&mut self, at: Timestamp, series: u32, figures: &[Figure], view: &mut View<'_>) -> Result<()> {
        let index = usize::try_from(series)?;
        self.count += 1;
        if let Some(table) = &self.table {
            let series = self.series.get(index).ok_or_else(unexpected)?;
            let figures = figures.iter().map(|figure| match figure {
                Figure::Value(value) => Cell::from(human::value(series, *value)),
                Figure::Count(count) => Cell::from(human::thousands(*count)),
            });
            let cells = [Cell::from(human::second(at, view.zone())), series.id().into()];
            return Ok(table.write_row(view.out, &cells.into_iter().chain(figures).collect::<Vec<_>>())?);
        }
        let name = self.names.get(index).ok_or_else(unexpected)?;
        let time = self.moment.text(at);
        if self.format == Format::Csv {
            write!(view.out, "{time},{name}")?;
            figures.iter().try_for_each(|figure| write!(view.out, ",{}", figure.text()))?;
            view.out.write_all(b"\n")?;
            return Ok(());
        }
        write!(view.out, "{{\"time\":\"{time}\",\"series\":{name}")?;
        for (key, figure) in self.keys.iter().zip(figures) {
            write!(view.out, ",\"{key}\":{}", figure.text())?;
        }
        Ok(view.out.write_all(b"}\n")?)
    }
}

/// The text of a moment, kept for the rows of the same tick.
#[derive(Default)]
struct Moment {
    at: Option<Timestamp>,
    text: String,
}

impl Moment {
    fn text(&mut self, at: Timestamp) -> &str {
        if self.at != Some(at) {
            self.at = Some(at);
            self.text = at.rfc3339();
        }
        &self.text
    }
}

const fn key(aggregate: Aggregate) -> &'static str {
    match aggregate {
        Aggregate::Mean => "mean",
        Aggregate::Min => "min",
        Aggregate::Max => "max",
        Aggregate::Last => "last",
        Aggregate::Count => "count",
    }
}

const fn title(aggregate: Aggregate) -> &'static str {
    match aggregate {
        Aggregate::Mean => "Mean",
        Aggregate::Min => "Min",
        Aggregate::Max => "Max",
        Aggregate::Last => "Last",
        Aggregate::Count => "Count",
    }
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
    use super::*;
    use crate::commands::fake::{Fake, check, printed};

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
Time                 Series                              Value
2026-11-22 09:30:00  disk_used_percent{mount=\"/\"}       48.2 %
2026-11-22 09:30:00  load1                                2.00
2026-11-22 09:30:15  load1                                0.31
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
            "{\"time\":\"2026-11-22T08:30:00.000Z\",\"series\":\"load1\",\"mean\":0.5,\"min\":0,\"max\":1.25,\"count\":1240}\n",
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
Time                 Series                               Mean        Count
2026-11-22 09:30:00  load1                                0.50        1,240
",
        );
        let steps = source.asked.iter().map(|request| {
            let Request::History(query) = request else { panic!("{request:?}") };
            query.step.clone()
        });
        // 2026-11-22 begins in Berlin at 23:00 UTC of the day before.
        let midnight = Timestamp::from_ms(1_795_302_000_000);
        let every = Some(Step::Every(300_000));
        assert_eq!(steps.collect::<Vec<_>>(), [every.clone(), Some(Step::At(vec![midnight])), every]);
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
