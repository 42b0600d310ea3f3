//! OpenMetrics text (openmetrics.io, specification 1.0): a family's head, its samples with their times, and `# EOF`.

use std::io::{self, Write};

use systembot_model::{
    Series, Timestamp,
    metric::{Kind, Metric, Unit},
};

use super::json;

/// Writes families one after the other.
#[derive(Debug, Default)]
pub struct OpenMetrics {
    family: Option<String>,
}

impl OpenMetrics {
    /// Begins a series; those of one metric must follow each other.
    ///
    /// # Errors
    /// What the output says.
    pub fn begin(&mut self, out: &mut dyn Write, series: &Series) -> io::Result<()> {
        let family = family(series);
        if self.family.as_deref() == Some(family.as_str()) {
            return Ok(());
        }
        let known = series.known();
        if let Some(metric) = known {
            writeln!(out, "# HELP {family} {}", escaped(metric.help))?;
        }
        writeln!(out, "# TYPE {family} {}", kind(known))?;
        if let Some(unit) = known.map(|metric| metric.unit).filter(|unit| *unit != Unit::Number) {
            writeln!(out, "# UNIT {family} {}", unit.word())?;
        }
        self.family = Some(family);
        Ok(())
    }

    /// Writes one sample of the series begun last.
    ///
    /// # Errors
    /// What the output says.
    pub fn sample(&self, out: &mut dyn Write, series: &Series, at: Timestamp, value: f64) -> io::Result<()> {
        let suffix = if is_counter(series.known()) { "_total" } else { "" };
        let label = series.id().get(series.metric().len()..).unwrap_or_default();
        let family = self.family.as_deref().unwrap_or_default();
        let (sign, ms) = (if at.as_ms() < 0 { "-" } else { "" }, at.as_ms().unsigned_abs());
        let value = json::number(value);
        writeln!(out, "{family}{suffix}{label} {value} {sign}{}.{:03}", ms / 1000, ms % 1000)
    }

    /// Writes the end.
    ///
    /// # Errors
    /// What the output says.
    pub fn end(self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"# EOF\n")
    }
}

/// The family that a series belongs to: its metric's name in the characters that names may have, a counter's
/// without `_total`, which its samples carry.
#[must_use]
pub fn family(series: &Series) -> String {
    let name: String =
        series.metric().chars().map(|c| if matches!(c, '.' | '-') { '_' } else { c }).collect();
    match name.strip_suffix("_total") {
        Some(stem) if is_counter(series.known()) => stem.to_owned(),
        Some(_) | None => name,
    }
}

fn is_counter(metric: Option<&Metric>) -> bool {
    metric.is_some_and(|metric| metric.kind == Kind::Counter)
}

const fn kind(metric: Option<&Metric>) -> &'static str {
    let Some(metric) = metric else { return "unknown" };
    match metric.kind {
        Kind::Gauge => "gauge",
        Kind::Counter => "counter",
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_heads_and_counters_a_total() {
        let mut out = Vec::new();
        let mut text = OpenMetrics::default();
        for (series, values) in [
            (
                Series::labelled("disk_read_bytes_total", "device", "sda"),
                vec![(1_500, 512.0), (2_000, 1024.0)],
            ),
            (Series::labelled("disk_read_bytes_total", "device", "s\"b"), vec![(-500, 0.5)]),
            (Series::new("load1"), vec![(0, 0.25)]),
            (Series::new("processes_total"), vec![(0, 231.0)]),
            (Series::new("my-own.metric"), vec![(1_795_346_634_007, 1e300)]),
        ] {
            text.begin(&mut out, &series).unwrap();
            for (ms, value) in values {
                text.sample(&mut out, &series, Timestamp::from_ms(ms), value).unwrap();
            }
        }
        text.end(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\
# HELP disk_read_bytes bytes read from a device since boot (/proc/diskstats, sectors of 512)
# TYPE disk_read_bytes counter
# UNIT disk_read_bytes bytes
disk_read_bytes_total{device=\"sda\"} 512 1.500
disk_read_bytes_total{device=\"sda\"} 1024 2.000
disk_read_bytes_total{device=\"s\\\"b\"} 0.5 -0.500
# HELP load1 processes running or waiting, mean over 1 minute (/proc/loadavg)
# TYPE load1 gauge
load1 0.25 0.000
# HELP processes_total processes, kernel threads included (entries of /proc)
# TYPE processes_total gauge
processes_total 231 0.000
# TYPE my_own_metric unknown
my_own_metric 1e+300 1795346634.007
# EOF
"
        );
    }
}
