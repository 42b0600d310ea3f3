//! Spans of time as people write them: `90s`, `15m`, `1h30m`, `400d`.

use std::time::Duration;

use crate::mistake::quote;

/// Units, longest first, in milliseconds.
const UNITS: [(&str, u64); 6] =
    [("w", 7 * 86_400_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads a span: whole numbers, each with its unit (w, d, h, m, s or ms), longest unit first.
///
/// # Errors
/// Says what a span looks like.
pub fn parse(text: &str) -> Result<Duration, String> {
    milliseconds(text)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{}` is no span of time: write one as 90s, 15m, 1h30m or 400d", quote(text)))
}

fn milliseconds(text: &str) -> Option<u64> {
    let mut units = UNITS.iter();
    let mut total: u64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (digits, after) = split_while(rest, |c| c.is_ascii_digit());
        let (word, after) = split_while(after.trim_start(), |c| c.is_ascii_alphabetic());
        // The iterator goes on behind the unit found, so that none comes twice or out of order.
        let (_, ms) = units.find(|(unit, _)| *unit == word)?;
        total = total.checked_add(digits.parse::<u64>().ok()?.checked_mul(*ms)?)?;
        rest = after.trim_start();
    }
    Some(total)
}

/// Splits a text behind its leading characters of one kind.
pub(crate) fn split_while(text: &str, is_of_kind: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !is_of_kind(c)).unwrap_or(text.len()))
}

/// The shortest way to write a span, `0s` for none; what is below a millisecond is left out.
#[must_use]
pub fn format(span: Duration) -> String {
    let mut rest = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, ms) in UNITS.iter().filter(|(unit, _)| *unit != "w") {
        if rest >= *ms {
            text.push_str(&format!("{}{unit}", rest / ms));
            rest %= ms;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_written() {
        let check = |text, expected: Option<u64>| {
            assert_eq!(parse(text).ok(), expected.map(Duration::from_millis), "{text}");
        };
        check("90s", Some(90_000));
        check("15m", Some(900_000));
        check("1h30m", Some(5_400_000));
        check(" 1h 30m ", Some(5_400_000));
        check("1 h", Some(3_600_000));
        check("400d", Some(34_560_000_000));
        check("2w1d", Some(15 * 86_400_000));
        check("0s", Some(0));
        check("2500ms", Some(2500));
        check("2s500ms", Some(2500));
        for wrong in [
            "",
            " ",
            "0",
            "15",
            "s",
            "-1s",
            "1.5h",
            "30m1h",
            "1h1h",
            "1x",
            "1h30",
            "1H",
            "99999999999999999999s",
        ] {
            check(wrong, None);
        }
        check("18446744073709551615d", None);
    }

    #[test]
    fn spans_are_written_as_read() {
        let check = |ms, expected| assert_eq!(format(Duration::from_millis(ms)), expected);
        check(0, "0s");
        check(1, "1ms");
        check(2500, "2s500ms");
        check(15_000, "15s");
        check(3_600_000, "1h");
        check(5_400_000, "1h30m");
        check(400 * 86_400_000, "400d");
    }
}
