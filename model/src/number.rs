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

/// Rounds to the nearest multiple of 10^-decimals; what is too large to have decimals is given as it is, and -0 as 0.
///
/// By division, which gives the float that is nearest to the decimal: the one that its digits are read as.
#[must_use]
pub fn decimal(x: f64, decimals: u8) -> f64 {
    let scale = 10_f64.powi(decimals.into());
    let scaled = x * scale;
    if scaled.abs() < WHOLE { scaled.round() / scale + 0.0 } else { x }
}

/// From here on, 2^53, every `f64` is whole.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// Whole milliseconds of a span, held at `i64::MAX`.
#[must_use]
pub fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_the_floats_that_their_digits_are_read_as() {
        let check = |x: f64, decimals, expected: f64| {
            let rounded = decimal(x, decimals);
            assert_eq!(rounded.to_bits(), expected.to_bits(), "{x} with {decimals} decimals: {rounded}");
            assert_eq!(decimal(rounded, decimals).to_bits(), rounded.to_bits(), "{x} again");
        };
        check(63.157_894_736_842_1, 2, 63.16);
        check(0.1 + 0.2, 3, 0.3);
        check(-0.004, 2, 0.0);
        check(-1.25, 1, -1.3);
        check(2.5, 0, 3.0);
        check(36_893_488_147_419_103_000.0, 2, 36_893_488_147_419_103_000.0);
        check(f64::MAX, 3, f64::MAX);
        check(f64::MIN, 3, f64::MIN);
        for hundredths in 0..10_001_u64 {
            let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
            check(float(hundredths) / 100.0 + 0.001, 2, text.parse().unwrap());
        }
    }
}
