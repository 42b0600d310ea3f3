//! `trends`: the window of every series in figures.

use std::collections::BTreeMap;

use anyhow::Result;
use systembot_model::{Series, metric::Kind, window::Trend};
use systembot_storage::query::{Request, Row};

use super::{Listing, Outcome, View, patterns};
use crate::{
    args::Format,
    output::{Align, Cell, Fields, Screen, human, json, spark},
    source::{Source, each, one, unexpected},
};

/// Columns of a sparkline in tables, and on a screen below [`WIDE`].
const SPARK: (usize, usize) = (16, 8);
/// Columns from which a screen has room for long sparklines.
const WIDE: usize = 100;
/// Standard deviations from which a value is worth a look.
const UNUSUAL: f64 = 3.0;

/// Lists count, mean, deviation, newest value and sigma of every window.
///
/// # Errors
/// Those of the source and of the output.
pub fn trends(series: &[String], source: &mut dyn Source, view: &mut View<'_>) -> Result<Outcome> {
    let sparks = if view.format == Format::Table { sparks(source, view.screen)? } else { BTreeMap::new() };
    let mut list = Listing::new(
        view,
        &[
            ("Series", Align::Fold),
            ("Last", Align::Right),
            ("", Align::Left),
            ("Sigma", Align::Right),
            ("Mean", Align::Right),
            ("Stdev", Align::Right),
            ("Count", Align::Right),
        ],
        &KEYS,
    );
    each(source, &Request::Trends { patterns: patterns(series) }, &mut |row| {
        let Row::Trend(trend) = row else { return Err(unexpected()) };
        list.fields(view.out, &fields(&trend))?;
        let stdev = trend.stdev.map_or_else(|| "-".to_owned(), |stdev| human::figure(&trend.series, stdev));
        let cells = vec![
            trend.series.id().into(),
            human::value(&trend.series, trend.last).into(),
            sparks.get(&trend.series).cloned().unwrap_or_default().into(),
            sigma_cell(trend.sigma),
            human::figure(&trend.series, trend.mean).into(),
            stdev.into(),
            trend.count.to_string().into(),
        ];
        Ok(list.cells(view.out, cells)?)
    })?;
    list.finish(view.out)?;
    if list.rows() > 0 {
        return Ok(Outcome::Done);
    }
    Ok(Outcome::Nothing(super::history::unmatched(series)))
}

/// Keys of a row for programs.
const KEYS: [&str; 6] = ["series", "count", "mean", "stdev", "last", "sigma"];

fn fields(trend: &Trend) -> Fields {
    vec![
        ("series", trend.series.id().into()),
        ("count", trend.count.into()),
        ("mean", json::number(trend.mean)),
        ("stdev", json::optional(trend.stdev)),
        ("last", json::number(trend.last)),
        ("sigma", json::optional(trend.sigma)),
    ]
}

/// A cell of standard deviations, coloured where they are many.
#[must_use]
pub fn sigma_cell(sigma: Option<f64>) -> Cell {
    let text = human::sigma(sigma);
    if sigma.is_some_and(|sigma| sigma.abs() >= UNUSUAL) {
        Cell::styled(text, Cell::YELLOW)
    } else {
        text.into()
    }
}

/// A sparkline of every live series, from the same windows.
fn sparks(source: &mut dyn Source, screen: Screen) -> Result<BTreeMap<Series, String>> {
    let Some(Row::Status(status)) = one(source, &Request::Status)? else { return Ok(BTreeMap::new()) };
    Ok(status
        .latest
        .iter()
        .map(|(trend, _, values)| (trend.series.clone(), spark_of(&trend.series, values, screen)))
        .collect())
}

/// The sparkline of a window; of a growing total its growth.
#[must_use]
pub fn spark_of(series: &Series, values: &[f64], screen: Screen) -> String {
    let width = if screen.width < WIDE { SPARK.1 } else { SPARK.0 };
    if series.known().is_none_or(|metric| metric.kind == Kind::Gauge) {
        return spark(values, width);
    }
    let growth: Vec<f64> =
        values.iter().zip(values.iter().skip(1)).map(|(before, after)| (after - before).max(0.0)).collect();
    spark(&growth, width)
}

#[cfg(test)]
mod tests {
    use systembot_model::Timestamp;
    use systembot_storage::query::Status;

    use super::*;
    use crate::commands::fake::{Fake, check, printed};

    fn trend(id: &str, last: f64, stdev: Option<f64>, sigma: Option<f64>) -> Trend {
        Trend { series: Series::new(id), count: 100, mean: 0.25, stdev, last, sigma }
    }

    fn rows(request: &Request) -> Vec<Row> {
        let load = trend("load1", 1.5, Some(0.125), Some(10.0));
        if *request == Request::Status {
            let latest = vec![(load, Timestamp::from_ms(0), vec![0.0, 0.0, 1.5])];
            return vec![Row::Status(Box::new(Status { latest, ..Status::default() }))];
        }
        vec![Row::Trend(load), Row::Trend(trend("memory_used_bytes", 2048.0, None, None))]
    }

    #[test]
    fn trends_in_every_form() {
        let mut source = Fake::new(&rows);
        check(
            Format::Table,
            |view| trends(&[], &mut source, view),
            "\
Series                 Last        Sigma   Mean  Stdev  Count
load1                  1.50  ▁▁█  +10.0σ  0.250  0.125    100
memory_used_bytes  2.00 KiB            -    0 B      -    100
",
        );
        check(
            Format::Json,
            |view| trends(&["load".to_owned()], &mut source, view),
            "\
{\"series\":\"load1\",\"count\":100,\"mean\":0.25,\"stdev\":0.125,\"last\":1.5,\"sigma\":10}
{\"series\":\"memory_used_bytes\",\"count\":100,\"mean\":0.25,\"stdev\":null,\"last\":2048,\"sigma\":null}
",
        );
        check(
            Format::Csv,
            |view| trends(&[], &mut source, view),
            "series,count,mean,stdev,last,sigma\nload1,100,0.25,0.125,1.5,10\nmemory_used_bytes,100,0.25,,2048,\n",
        );
        let (outcome, _) =
            printed(Format::Json, |view| trends(&["lod".to_owned()], &mut Fake::new(&|_| Vec::new()), view));
        let Ok(Outcome::Nothing(text)) = outcome else { panic!("{outcome:?}") };
        assert!(text.contains("lod"), "{text}");
    }

    #[test]
    fn totals_are_drawn_by_their_growth() {
        let total = Series::new("disk_read_bytes_total");
        assert_eq!(spark_of(&total, &[0.0, 10.0, 20.0, 0.0, 5.0], Screen::plain()), "██▁▅");
    }
}
