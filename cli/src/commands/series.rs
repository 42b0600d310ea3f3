//! `series`: the series in the log.

use anyhow::Result;
use systembot_model::number;
use systembot_storage::query::{Request, Row, SeriesInfo};

use super::{Listing, Outcome, View};
use crate::{
    output::{Align, Fields, human, json},
    source::{Source, each, unexpected},
};

/// Lists every series with its unit, first and last time, samples and bytes.
///
/// # Errors
/// Those of the source and of the output.
pub fn series(source: &mut dyn Source, view: &mut View<'_>) -> Result<Outcome> {
    let mut list = Listing::new(
        view,
        &[
            ("Series", Align::Fold),
            ("Unit", Align::Left),
            ("First", Align::Left),
            ("Last", Align::Left),
            ("Samples", Align::Right),
            ("Bytes", Align::Right),
        ],
        &KEYS,
    );
    each(source, &Request::Series, &mut |row| {
        let Row::Series(info) = row else { return Err(unexpected()) };
        list.fields(view.out, &fields(&info))?;
        let cells = [
            info.series.id().to_owned(),
            unit(&info).to_owned(),
            human::brief(info.first, &view.now),
            human::brief(info.last, &view.now),
            human::thousands(info.samples),
            human::bytes(number::float(info.bytes)),
        ];
        Ok(list.cells(view.out, cells.map(Into::into).into())?)
    })?;
    list.finish(view.out)?;
    Ok(if list.rows() > 0 { Outcome::Done } else { Outcome::Nothing("no samples in the log yet".to_owned()) })
}

/// Keys of a row for programs.
const KEYS: [&str; 6] = ["series", "unit", "first", "last", "samples", "bytes"];

fn fields(info: &SeriesInfo) -> Fields {
    vec![
        ("series", info.series.id().into()),
        ("unit", unit(info).into()),
        ("first", json::time(info.first)),
        ("last", json::time(info.last)),
        ("samples", info.samples.into()),
        ("bytes", info.bytes.into()),
    ]
}

fn unit(info: &SeriesInfo) -> &'static str {
    info.series.known().map_or("", |metric| metric.unit.word())
}

#[cfg(test)]
mod tests {
    use systembot_model::{Series, Timestamp};

    use super::*;
    use crate::{
        args::Format,
        commands::fake::{Fake, check, printed},
    };

    #[test]
    fn series_in_every_form() {
        let rows = |_: &Request| {
            let info = |series, samples, bytes| {
                let (first, last) = (Timestamp::from_ms(0), Timestamp::from_ms(1_795_336_200_000));
                Row::Series(SeriesInfo { series, first, last, samples, bytes })
            };
            vec![
                info(Series::labelled("disk_used_percent", "mount", "/data"), 1_234_567, 2_345_678),
                info(Series::new("mine"), 1, 12),
            ]
        };
        let mut source = Fake::new(&rows);
        check(
            Format::Table,
            |view| series(&mut source, view),
            "\
Series                     Unit     First       Last           Samples     Bytes
disk_used_percent          percent  1970-01-01  11-22 09:30  1,234,567  2.24 MiB
{mount=\"/data\"}
mine                                1970-01-01  11-22 09:30          1      12 B
",
        );
        check(
            Format::Json,
            |view| series(&mut source, view),
            "\
{\"series\":\"disk_used_percent{mount=\\\"/data\\\"}\",\"unit\":\"percent\",\"first\":\"1970-01-01T00:00:00.000Z\",\"last\":\"2026-11-22T08:30:00.000Z\",\"samples\":1234567,\"bytes\":2345678}
{\"series\":\"mine\",\"unit\":\"\",\"first\":\"1970-01-01T00:00:00.000Z\",\"last\":\"2026-11-22T08:30:00.000Z\",\"samples\":1,\"bytes\":12}
",
        );
        check(
            Format::Csv,
            |view| series(&mut source, view),
            "\
series,unit,first,last,samples,bytes
\"disk_used_percent{mount=\"\"/data\"\"}\",percent,1970-01-01T00:00:00.000Z,2026-11-22T08:30:00.000Z,1234567,2345678
mine,,1970-01-01T00:00:00.000Z,2026-11-22T08:30:00.000Z,1,12
",
        );
        let (outcome, text) = printed(Format::Table, |view| series(&mut Fake::new(&|_| Vec::new()), view));
        assert_eq!((outcome, text.as_str()), (Ok(Outcome::Nothing("no samples in the log yet".into())), ""));
    }
}
