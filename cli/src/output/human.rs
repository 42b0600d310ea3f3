//! Numbers, spans and moments as people read them.

use std::{fmt::Write, time::Duration};

use jiff::{Zoned, tz::TimeZone};
pub use systembot_model::render::{bytes, percent, span};
use systembot_model::{
    Series, Timestamp,
    metric::{Metric, Unit},
    number,
};

use crate::time::zoned;

/// A value of a series with its unit: `1.52`, `48.3 %`, `3.21 GiB`, `51.0 °C`, `2 d 4 h`.
#[must_use]
pub fn value(series: &Series, value: f64) -> String {
    let mut text = String::new();
    Form::of(series).write(value, &mut text);
    text
}

/// How the values of a series are written; found once where there are many of them.
#[derive(Clone, Copy, Debug)]
pub struct Form(Option<&'static Metric>);

impl Form {
    /// That of a series.
    #[must_use]
    pub fn of(series: &Series) -> Self {
        Self(series.known())
    }

    /// Adds a value to a text, as [`value`] prints it.
    pub fn write(self, value: f64, into: &mut String) {
        let Some(metric) = self.0 else { return into.push_str(&decimal(value)) };
        // A text takes everything.
        let _ = match metric.unit {
            Unit::Number if write_fixed(value, metric.decimals, into) => Ok(()),
            Unit::Number => write!(into, "{value:.*}", usize::from(metric.decimals)),
            Unit::Percent => into.write_str(&percent(value)),
            Unit::Bytes => into.write_str(&bytes(value)),
            Unit::Celsius => write!(into, "{value:.1} °C"),
            Unit::Seconds if value >= 60.0 => {
                into.write_str(&span(Duration::from_secs(number::round(value))))
            }
            Unit::Seconds => write!(into, "{value:.1} s"),
        };
    }
}

/// A figure of a series that need not be one of its values, such as a deviation: with one decimal more.
#[must_use]
pub fn figure(series: &Series, figure: f64) -> String {
    let Some(metric) = series.known() else { return decimal(figure) };
    match metric.unit {
        Unit::Number => format!("{figure:.*}", usize::from(metric.decimals) + 1),
        Unit::Percent => format!("{figure:.2} %"),
        Unit::Celsius => format!("{figure:.2} °C"),
        Unit::Bytes | Unit::Seconds => value(series, figure),
    }
}

/// Standard deviations from the mean, signed: `+2.3σ`; `-` where nothing can be said.
#[must_use]
pub fn sigma(sigma: Option<f64>) -> String {
    match sigma {
        None => "-".to_owned(),
        Some(sigma) if sigma.abs() >= 1000.0 => format!("{sigma:+.0}σ"),
        Some(sigma) => format!("{sigma:+.1}σ"),
    }
}

/// Date and time to the second in a zone: `2026-11-22 11:23:54`.
#[must_use]
pub fn second(at: Timestamp, zone: &TimeZone) -> String {
    format_local(at, zone, "%Y-%m-%d %H:%M:%S")
}

/// Date and time to the minute in a zone: `2026-11-22 11:23`.
#[must_use]
pub fn minute(at: Timestamp, zone: &TimeZone) -> String {
    format_local(at, zone, "%Y-%m-%d %H:%M")
}

/// A moment in eleven characters: `11-22 11:23` of this year, `2025-11-22` of any other.
#[must_use]
pub fn brief(at: Timestamp, now: &Zoned) -> String {
    let is_this_year = zoned(at, now.time_zone()).is_ok_and(|local| local.year() == now.year());
    format_local(at, now.time_zone(), if is_this_year { "%m-%d %H:%M" } else { "%Y-%m-%d" })
}

/// A moment by a format of strftime(3); RFC 3339 for years that no calendar has.
#[must_use]
pub fn format_local(at: Timestamp, zone: &TimeZone, format: &str) -> String {
    zoned(at, zone).map_or_else(|_| at.rfc3339(), |local| local.strftime(format).to_string())
}

/// A count with its noun: `1 alert`, `1,234 alerts`.
#[must_use]
pub fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(count), if count == 1 { "" } else { "s" })
}

/// A whole number with its thousands apart: `1,234,567`.
#[must_use]
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Adds a value with so many decimals as `{:.n}` prints it, and far quicker; not where its rounding is in doubt.
fn write_fixed(value: f64, decimals: u8, into: &mut String) -> bool {
    const POWERS: [u64; 4] = [1, 10, 100, 1_000];
    let Some(&power) = POWERS.get(usize::from(decimals)) else { return false };
    let scaled = value * number::float(power);
    // Neither less than nothing, which may print as `-0`, nor so large that the product says too little of a tie.
    if !(0.0..1e9).contains(&scaled) || value.is_sign_negative() || (scaled.fract() - 0.5).abs() < 1e-6 {
        return false;
    }
    let digits = number::round(scaled);
    let (mut whole, mut fraction) = (digits / power, digits % power);
    let mut text = [b'0'; 16];
    let mut begin = text.len();
    let mut put = |number: &mut u64| {
        begin -= 1;
        if let Some(place) = text.get_mut(begin) {
            *place = b'0' + u8::try_from(*number % 10).unwrap_or(0);
        }
        *number /= 10;
    };
    for _ in 0..decimals {
        put(&mut fraction);
    }
    put(&mut whole);
    while whole > 0 {
        put(&mut whole);
    }
    let text = text.get(begin..).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default();
    let (whole, fraction) = text.split_at(text.len().saturating_sub(usize::from(decimals)));
    into.push_str(whole);
    if decimals > 0 {
        into.push('.');
        into.push_str(fraction);
    }
    true
}

/// Up to three decimals for what the table of metrics does not know.
fn decimal(value: f64) -> String {
    if value.abs() >= 1e15 || (value != 0.0 && value.abs() < 0.001) {
        return format!("{value:e}");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::strategy::Strategy as _;

    use super::*;

    #[test]
    fn values_carry_their_units() {
        let check = |id: &str, x, expected: &str| assert_eq!(value(&Series::new(id), x), expected);
        check("load1", 1.5, "1.50");
        check("processes_total", 231.0, "231");
        check("cpu_idle_percent", 93.456, "93.5 %");
        check("memory_used_bytes", 3_446_711_091.0, "3.21 GiB");
        check("memory_used_bytes", 0.0, "0 B");
        check("memory_used_bytes", 1_048_575.0, "1.00 MiB");
        check("memory_used_bytes", -2048.0, "-2.00 KiB");
        check("temperature_celsius{sensor=\"x\"}", 51.0, "51.0 °C");
        check("uptime_seconds", 187_200.0, "2 d 4 h");
        check("self_cpu_seconds_total", 3.25, "3.2 s");
        check("imported", 2.0, "2");
        check("imported", 0.125, "0.125");
        check("imported", 1e-9, "1e-9");
        check("imported", 1e300, "1e300");
    }

    proptest::proptest! {
        #[test]
        fn quick_decimals_are_those_of_the_library(
            value in proptest::prop_oneof![
                proptest::num::f64::ANY,
                -2.0..2e6_f64,
                (-50_i32..5_000_000, 0_i32..4).prop_map(|(n, power)| f64::from(n) / 2.0 / 10_f64.powi(power)),
            ],
            decimals in 0_u8..5,
        ) {
            let mut text = "before".to_owned();
            if write_fixed(value, decimals, &mut text) {
                proptest::prop_assert_eq!(text, format!("before{value:.*}", usize::from(decimals)));
            } else {
                proptest::prop_assert_eq!(text, "before");
            }
        }
    }

    #[test]
    fn counts_and_sigmas() {
        assert_eq!([sigma(None), sigma(Some(2.34)), sigma(Some(-0.04))], ["-", "+2.3σ", "-0.0σ"]);
        assert_eq!([thousands(0), thousands(999), thousands(1_234_567)], ["0", "999", "1,234,567"]);
        assert_eq!([counted(1, "alert"), counted(1000, "alert")], ["1 alert", "1,000 alerts"]);
    }
}
