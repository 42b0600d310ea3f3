//! Conversions between number types that say what happens at their edges.

use std::time::Duration;

/// The nearest `f64`; exact up to 2^53, which bytes of an exabyte disk do not reach.
#[expect(clippy::as_conversions, reason = "std has no From<u64> for f64; rounding above 2^53 is documented")]
#[must_use]
pub const fn float(n: u64) -> f64 {
    n as f64
}

/// The nearest `f64` of a count or an index.
#[expect(clippy::as_conversions, reason = "as float(), for usize")]
#[must_use]
pub const fn count(n: usize) -> f64 {
    n as f64
}

/// Rounds to the nearest whole number; NaN and negatives give 0, what is too large the maximum.
#[expect(
    clippy::as_conversions,
    reason = "a float to int `as` saturates and maps NaN to 0: exactly what is wanted"
)]
#[must_use]
pub fn round(x: f64) -> u64 {
    x.round() as u64
}

/// The nearest `f64` of a whole number with a sign; exact up to 2^53.
#[expect(clippy::as_conversions, reason = "as float(), for i64")]
#[must_use]
pub const fn signed(n: i64) -> f64 {
    n as f64
}

/// Rounds to the nearest whole number; NaN gives 0, what is too large either end of the range.
#[expect(clippy::as_conversions, reason = "as round(), with a sign")]
#[must_use]
pub fn integer(x: f64) -> i64 {
    x.round() as i64
}

/// Whole milliseconds of a span, held at `i64::MAX`.
#[must_use]
pub fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
