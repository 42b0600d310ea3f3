//! `export`: the samples of the log for other programs.

use anyhow::Result;
use systembot_model::{Pattern, Series, Timestamp};
use systembot_storage::query::{self, Request, Row};

use super::{Outcome, View, samples};
use crate::{
    args::{ExportForm, Format},
    output::{OpenMetrics, family},
    source::{Source, each, unexpected},
};

/// What to export.
#[derive(Clone, Copy, Debug)]
pub struct Export<'a> {
    /// Its form; that of the view if it says none, CSV for tables.
    pub form: Option<ExportForm>,
    /// First moment; all if it says none.
    pub since: Option<&'a str>,
    /// The moment after the last.
    pub until: Option<&'a str>,
}

/// Prints every sample of a span.
///
/// # Errors
/// A time that cannot be read, and those of the source and of the output.
pub fn export(args: Export<'_>, source: &mut dyn Source, view: &mut View<'_>) -> Result<Outcome> {
    let span = Span {
        since: view.moment(args.since, Timestamp::MIN)?,
        until: view.moment(args.until, Timestamp::MAX)?,
    };
    let form = args.form.unwrap_or(match view.format {
        Format::Json => ExportForm::Json,
        Format::Table | Format::Csv => ExportForm::Csv,
    });
    let format = match form {
        ExportForm::Csv => Some(Format::Csv),
        ExportForm::Json => Some(Format::Json),
        ExportForm::Openmetrics => None,
    };
    let found = match format {
        Some(format) => {
            view.format = format;
            samples::print(span.of(Pattern::all()), None, source, view)?
        }
        None => open_metrics(span, source, view)?,
    };
    Ok(if found { Outcome::Done } else { Outcome::Nothing("no samples found".to_owned()) })
}

#[derive(Clone, Copy)]
struct Span {
    since: Timestamp,
    until: Timestamp,
}

impl Span {
    fn of(self, pattern: Pattern) -> query::History {
        let (since, until) = (self.since, self.until);
        query::History { patterns: vec![pattern], since, until, step: None, limit: None, newest: false }
    }
}

/// One question a series: the format wants the samples of a family together.
fn open_metrics(span: Span, source: &mut dyn Source, view: &mut View<'_>) -> Result<bool> {
    let mut all: Vec<Series> = Vec::new();
    each(source, &Request::Series, &mut |row| {
        let Row::Series(info) = row else { return Err(unexpected()) };
        all.push(info.series);
        Ok(())
    })?;
    // By family first: `a{..}` and `a_b` would mix where only the ids are compared.
    all.sort_by_cached_key(|series| (family(series), series.id().to_owned()));
    let mut text = OpenMetrics::default();
    let mut found = false;
    for series in &all {
        let mut wanted = None;
        each(source, &Request::History(span.of(Pattern::new(series.id()))), &mut |row| {
            #[expect(clippy::wildcard_enum_match_arm, reason = "all other rows answer other questions")]
            match row {
                // An id that reads as a glob chooses others too.
                Row::Names(names) => wanted = names.iter().position(|name| name == series),
                Row::Point { at, series: index, value } if wanted == usize::try_from(index).ok() => {
                    text.begin(view.out, series)?;
                    text.sample(view.out, series, at, value)?;
                    found = true;
                }
                Row::Point { .. } => {}
                _ => return Err(unexpected()),
            }
            Ok(())
        })?;
    }
    text.end(view.out)?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use systembot_storage::query::SeriesInfo;

    use super::*;
    use crate::commands::fake::{Fake, check, printed};

    #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else is asked")]
    fn rows(request: &Request) -> Vec<Row> {
        let at = Timestamp::from_ms;
        let disk = Series::labelled("disk_read_bytes_total", "device", "*");
        let other = Series::labelled("disk_read_bytes_total", "device", "sda");
        let names = [disk, other, Series::new("load1")];
        match request {
            Request::Series => names
                .iter()
                .rev()
                .map(|series| {
                    let (first, last) = (at(0), at(0));
                    Row::Series(SeriesInfo { series: series.clone(), first, last, samples: 1, bytes: 1 })
                })
                .collect(),
            Request::History(query) => {
                let chosen: Vec<Series> = names
                    .into_iter()
                    .filter(|series| query.patterns.iter().any(|pattern| pattern.matches(series)))
                    .collect();
                let points = (0..).zip(&chosen).map(|(i, series)| {
                    let value = if series.id() == "load1" { 0.5 } else { 512.0 };
                    Row::Point { at: at(1500), series: i, value }
                });
                std::iter::once(Row::Names(chosen.clone())).chain(points.collect::<Vec<_>>()).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    const ALL: Export<'_> = Export { form: None, since: None, until: None };

    #[test]
    fn every_form() {
        let csv = "\
time,series,value
1970-01-01T00:00:01.500Z,\"disk_read_bytes_total{device=\"\"*\"\"}\",512
1970-01-01T00:00:01.500Z,\"disk_read_bytes_total{device=\"\"sda\"\"}\",512
1970-01-01T00:00:01.500Z,load1,0.5
";
        check(Format::Table, |view| export(ALL, &mut Fake::new(&rows), view), csv);
        let form = Some(ExportForm::Csv);
        check(Format::Json, |view| export(Export { form, ..ALL }, &mut Fake::new(&rows), view), csv);
        let (outcome, json) = printed(Format::Json, |view| export(ALL, &mut Fake::new(&rows), view));
        assert_eq!(outcome, Ok(Outcome::Done));
        assert_eq!(
            json.lines().last(),
            Some("{\"time\":\"1970-01-01T00:00:01.500Z\",\"series\":\"load1\",\"value\":0.5}")
        );
        let form = Some(ExportForm::Openmetrics);
        let (outcome, text) =
            printed(Format::Table, |view| export(Export { form, ..ALL }, &mut Fake::new(&rows), view));
        assert_eq!(outcome, Ok(Outcome::Done));
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with("# ")).collect();
        assert_eq!(
            samples,
            [
                "disk_read_bytes_total{device=\"*\"} 512 1.500",
                "disk_read_bytes_total{device=\"sda\"} 512 1.500",
                "load1 0.5 1.500"
            ]
        );
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn an_empty_span_exits_1() {
        let none = |_: &Request| vec![Row::Names(Vec::new())];
        let (outcome, text) = printed(Format::Csv, |view| export(ALL, &mut Fake::new(&none), view));
        assert_eq!(outcome, Ok(Outcome::Nothing("no samples found".into())));
        assert_eq!(text, "time,series,value\n");
    }
}
