//! Samples and buckets as rows, written as they come: a month of them is never held as a whole.

use std::{fmt::Write, io};

use anyhow::Result;
use systembot_model::{Series, Timestamp, metric::Unit};
use systembot_storage::query::{self, Basis, Request, Row};

use super::View;
use crate::{
    args::{Aggregate, Format},
    output::{
        Align, Rfc3339, Seconds, Table,
        human::{self, Form},
        json, quoted,
    },
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
    let mut rows = Rows::new(aggregates, view);
    each(source, &Request::History(query), &mut |row| {
        #[expect(clippy::wildcard_enum_match_arm, reason = "all other rows answer other questions")]
        match row {
            Row::Names(names) => Ok(rows.begin(names, view)?),
            Row::Point { at, series, value } => {
                rows.figures.clear();
                rows.figures.push(Figure::Value(value));
                rows.row((at, series), None, view)
            }
            Row::Bucket { at, series, mean, min, max, last, count, from } => {
                let figure = |aggregate: &Aggregate| match aggregate {
                    Aggregate::Mean => Figure::Value(mean),
                    Aggregate::Min => Figure::Value(min),
                    Aggregate::Max => Figure::Value(max),
                    Aggregate::Last => Figure::Value(last),
                    Aggregate::Count => Figure::Count(count),
                };
                rows.figures.clear();
                rows.figures.extend(rows.aggregates.iter().flatten().map(figure));
                rows.row((at, series), Some(from), view)
            }
            _ => Err(unexpected()),
        }
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
    fn write(self, into: &mut String) {
        match self {
            Self::Value(value) => json::write_number(value, into),
            // A text takes everything.
            Self::Count(count) => drop(write!(into, "{count}")),
        }
    }
}

/// What rows need of each other. Nothing is allocated for a row but the line, which is used again.
struct Rows {
    format: Format,
    aggregates: Option<Vec<Aggregate>>,
    series: Vec<Series>,
    /// Names as the format writes them, and how values are told to people.
    names: Vec<(String, Form)>,
    keys: Vec<&'static str>,
    table: Option<Table>,
    moment: Rfc3339,
    local: Seconds,
    figures: Vec<Figure>,
    line: String,
    cells: Vec<String>,
    count: u64,
}

impl Rows {
    fn new(aggregates: Option<Vec<Aggregate>>, view: &View<'_>) -> Self {
        let keys = aggregates.as_ref().map_or_else(
            || vec!["value"],
            |aggregates| aggregates.iter().map(|aggregate| key(*aggregate)).collect(),
        );
        Self {
            format: view.format,
            aggregates,
            series: Vec::new(),
            names: Vec::new(),
            keys,
            table: None,
            moment: Rfc3339::default(),
            local: Seconds::new(view.zone()),
            figures: Vec::new(),
            line: String::new(),
            cells: Vec::new(),
            count: 0,
        }
    }

    fn begin(&mut self, series: Vec<Series>, view: &mut View<'_>) -> io::Result<()> {
        let name = |series: &Series| match self.format {
            Format::Table => series.id().to_owned(),
            Format::Json => json::text(series.id()),
            Format::Csv => quoted(series.id()).into_owned(),
        };
        self.names = series.iter().map(|series| (name(series), Form::of(series))).collect();
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

    /// Writes the row that has `figures`.
    fn row(
        &mut self,
        (at, series): (Timestamp, u32),
        from: Option<Basis>,
        view: &mut View<'_>,
    ) -> Result<()> {
        let (name, form) = self.names.get(usize::try_from(series)?).ok_or_else(unexpected)?;
        self.count += 1;
        if let Some(table) = &mut self.table {
            if self.count == 1 {
                table.write_head(view.out)?;
            }
            self.cells.resize_with(2 + self.figures.len(), String::new);
            self.cells.iter_mut().for_each(String::clear);
            let mut cells = self.cells.iter_mut();
            if let (Some(time), Some(series)) = (cells.next(), cells.next()) {
                self.local.write(at, time);
                series.push_str(name);
            }
            for (cell, figure) in cells.zip(&self.figures) {
                match figure {
                    // Roll-ups do not have it.
                    Figure::Value(value) if value.is_nan() => cell.push('-'),
                    Figure::Value(value) => form.write(*value, cell),
                    Figure::Count(count) => cell.push_str(&human::thousands(*count)),
                }
            }
            return Ok(table.write_texts(view.out, &self.cells)?);
        }
        let (time, line) = (self.moment.text(at), &mut self.line);
        line.clear();
        if self.format == Format::Csv {
            line.extend([time, ",", name]);
            for figure in &self.figures {
                line.push(',');
                if !matches!(figure, Figure::Value(value) if value.is_nan()) {
                    figure.write(line);
                }
            }
        } else {
            line.extend(["{\"time\":\"", time, "\",\"series\":", name]);
            for (key, figure) in self.keys.iter().zip(&self.figures) {
                line.extend([",\"", *key, "\":"]);
                figure.write(line);
            }
            if let Some(from) = from {
                line.extend([",\"source\":\"", from.word(), "\""]);
            }
            line.push('}');
        }
        line.push('\n');
        Ok(view.out.write_all(line.as_bytes())?)
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
