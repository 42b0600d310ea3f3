//! How figures are written for people: short, exact, with their unit.

use std::time::Duration;

use crate::{metric::Unit, number};

/// Bytes in powers of 1024 with two decimals: `11.02 GiB`; whole bytes below one KiB.
#[must_use]
pub fn bytes(n: f64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n.abs() < 1024.0 {
        return format!("{n:.0} B");
    }
    let mut scaled = n / 1024.0;
    let mut unit = "KiB";
    for larger in UNITS.into_iter().skip(1) {
        // 1023.995 would be printed as 1024.00 of the smaller unit.
        if scaled.abs() < 1023.995 {
            break;
        }
        scaled /= 1024.0;
        unit = larger;
    }
    format!("{scaled:.2} {unit}")
}

/// A percentage with one decimal: `93.4 %`.
#[must_use]
pub fn percent(n: f64) -> String {
    format!("{n:.1} %")
}

/// A temperature in both scales: `45.0 °C (113.0 °F)`.
#[must_use]
pub fn temperature(celsius: f64) -> String {
    format!("{celsius:.1} °C ({:.1} °F)", celsius * 9.0 / 5.0 + 32.0)
}

/// A span in its two largest units: `3 h 12 min`, `45 s`, `2 d 3 h`; to the nearest second, for ticks come a
/// millisecond early.
#[must_use]
pub fn span(span: Duration) -> String {
    let s = span.saturating_add(Duration::from_millis(500)).as_secs();
    let (d, h, min, s) = (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
    match (d, h, min) {
        (0, 0, 0) => format!("{s} s"),
        (0, 0, _) if s == 0 || min >= 10 => format!("{min} min"),
        (0, 0, _) => format!("{min} min {s} s"),
        (0, _, 0) => format!("{h} h"),
        (0, _, _) => format!("{h} h {min} min"),
        (_, 0, _) => format!("{d} d"),
        (_, _, _) => format!("{d} d {h} h"),
    }
}

/// A span as uptime is told: `3 days, 4 hours, 5 minutes, 6 seconds`.
#[must_use]
pub fn uptime(span: Duration) -> String {
    let s = span.as_secs();
    [(s / 86_400, "day"), (s / 3600 % 24, "hour"), (s / 60 % 60, "minute"), (s % 60, "second")]
        .map(|(n, unit)| counted(n, unit))
        .join(", ")
}

/// A count with its noun: `1 alert`, `2 alerts`.
#[must_use]
pub fn counted(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

/// A value in its metric's unit.
#[must_use]
pub fn value(n: f64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => bytes(n),
        Unit::Percent => percent(n),
        Unit::Celsius => format!("{n:.1} °C"),
        Unit::Seconds => span(Duration::from_secs(number::round(n))),
        Unit::Number => plain(n),
    }
}

/// A plain number with at most two decimals, none where it is whole.
#[must_use]
pub fn plain(n: f64) -> String {
    if (n - n.round()).abs() < 0.005 { format!("{n:.0}") } else { format!("{n:.2}") }
}

/// A row of blocks from the least to the greatest value, the newest `width` of them; empty for none.
#[must_use]
pub fn sparkline(values: &[f64], width: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let values = values.get(values.len().saturating_sub(width)..).unwrap_or(values);
    let (least, greatest) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, g), v| (l.min(*v), g.max(*v)));
    let range = greatest - least;
    values
        .iter()
        .map(|v| {
            let share = if range > 0.0 { (v - least) / range } else { 0.0 };
            let step = usize::try_from(number::round(share * 7.0)).unwrap_or(0);
            BLOCKS.get(step).copied().unwrap_or('█')
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_powers_of_1024_with_two_decimals() {
        let check = |n, expected: &str| assert_eq!(bytes(n), expected);
        check(0.0, "0 B");
        check(1023.0, "1023 B");
        check(1024.0, "1.00 KiB");
        check(1_048_575.9, "1.00 MiB");
        check(11.02 * 1024.0 * 1024.0 * 1024.0, "11.02 GiB");
        check(-2048.0, "-2.00 KiB");
        check(1e30, "867361737988.40 EiB");
    }

    #[test]
    fn spans_show_two_units() {
        let check = |s, expected: &str| assert_eq!(span(Duration::from_secs(s)), expected);
        check(0, "0 s");
        check(59, "59 s");
        check(61, "1 min 1 s");
        check(720, "12 min");
        check(725, "12 min");
        check(3600, "1 h");
        check(11_520, "3 h 12 min");
        check(86_400, "1 d");
        check(200_000, "2 d 7 h");
        assert_eq!(span(Duration::from_millis(59_998)), "1 min");
        assert_eq!(span(Duration::from_millis(1_499)), "1 s");
    }

    #[test]
    fn uptime_names_all_four_units() {
        assert_eq!(uptime(Duration::from_secs(273_906)), "3 days, 4 hours, 5 minutes, 6 seconds");
        assert_eq!(uptime(Duration::from_secs(86_401)), "1 day, 0 hours, 0 minutes, 1 second");
    }

    #[test]
    fn sparklines_take_the_newest_values() {
        assert_eq!(sparkline(&[9.0, 0.0, 1.0, 2.0, 7.0], 4), "▁▂▃█");
        assert_eq!(sparkline(&[5.0, 5.0], 10), "▁▁");
        assert_eq!(sparkline(&[], 10), "");
    }
}
