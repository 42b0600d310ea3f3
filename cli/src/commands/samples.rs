//! Samples and buckets as rows, written as they come: a month of them is never held as a whole.

use std::io;

use anyhow::Result;
use systembot_model::{Series, Timestamp, metric::Unit};
use systembot_storage::query::{self, Basis, Request, Row};

use super::View;
use crate::{
    args::{Aggregate, Format},
    output::{Align, Cell, Table, human, json, quoted},
    source::{Source, each, unexpected},
};

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
            Row::Point { at, series, value } => {
                rows.row((at, series), &[Figure::Value(value)], None, view)?
            }
            Row::Bucket { at, series, mean, min, max, last, count, from } => {
                let figure = |aggregate: &Aggregate| match aggregate {
                    Aggregate::Mean => Figure::Value(mean),
                    Aggregate::Min => Figure::Value(min),
                    Aggregate::Max => Figure::Value(max),
                    Aggregate::Last => Figure::Value(last),
                    Aggregate::Count => Figure::Count(count),
                };
                let figures: Vec<_> = rows.aggregates.iter().flatten().map(figure).collect();
                rows.row((at, series), &figures, Some(from), view)?;
            }
            _ => return Err(unexpected()),
        }
        Ok(())
    })?;
    Ok(rows.count > 0)
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

/// What rows need of each other.
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
                self.table = Some(self.head(view));
                Ok(())
            }
            Format::Table | Format::Json => Ok(()),
        }
    }

    fn head(&self, view: &View<'_>) -> Table {
        let mut columns = vec![("Time", Align::FoldLate), ("Series", Align::Fold)];
        let aggregates = self.aggregates.iter().flatten().map(|aggregate| (title(*aggregate), Align::Right));
        columns.extend(aggregates);
        if self.aggregates.is_none() {
            columns.push(("Value", Align::Right));
        }
        let mut table = Table::new(view.screen, &columns);
        let name = self.series.iter().map(|series| series.id().chars().count()).max().unwrap_or(0);
        let value = self.series.iter().map(value_width).max().unwrap_or(0);
        let figures = self.keys.iter().map(|k| if *k == key(Aggregate::Count) { COUNT } else { value });
        table.widen([19, name].into_iter().chain(figures));
        table
    }

    fn row(
        &mut self,
        (at, series): (Timestamp, u32),
        figures: &[Figure],
        from: Option<Basis>,
        view: &mut View<'_>,
    ) -> Result<()> {
        let index = usize::try_from(series)?;
        self.count += 1;
        if let Some(table) = &mut self.table {
            if self.count == 1 {
                table.write_head(view.out)?;
            }
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
        if let Some(from) = from {
            write!(view.out, ",\"source\":\"{}\"", from.word())?;
        }
        Ok(view.out.write_all(b"}\n")?)
    }
}

/// Columns for a count: a week of seconds is `604,800`.
const COUNT: usize = 7;

/// Columns that the values of a series usually take; one that is wider moves its own line only.
fn value_width(series: &Series) -> usize {
    let Some(metric) = series.known() else { return 10 };
    match metric.unit {
        Unit::Number => 6,
        Unit::Percent => "100.0 %".len(),
        Unit::Bytes => "123.45 GiB".len(),
        Unit::Celsius => 8,
        Unit::Seconds => "23 h 59 min".len(),
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
