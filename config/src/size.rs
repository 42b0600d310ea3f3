//! Sizes as people write them: `512MiB`, `2GB`, plain bytes.

use crate::{mistake::quote, span::split_while};

/// Units in bytes, largest first.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("B", 1),
];

/// Reads a size: a whole number and a unit, kB to TB by 1000 or KiB to TiB by 1024; without a unit, bytes.
///
/// # Errors
/// Says what a size looks like.
pub fn parse(text: &str) -> Result<u64, String> {
    bytes(text)
        .ok_or_else(|| format!("`{}` is no size: write one as 512MiB, 2GB or plain bytes", quote(text)))
}

fn bytes(text: &str) -> Option<u64> {
    let (digits, unit) = split_while(text.trim(), |c| c.is_ascii_digit());
    let number: u64 = digits.parse().ok()?;
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Some(number);
    }
    let (_, factor) = UNITS.iter().find(|(word, _)| word.eq_ignore_ascii_case(unit))?;
    number.checked_mul(*factor)
}

/// The size in the largest unit that gives a whole number.
#[must_use]
pub fn format(bytes: u64) -> String {
    let (unit, factor) =
        UNITS.iter().find(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor)).unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_written() {
        let check = |text, expected: Option<u64>| assert_eq!(parse(text).ok(), expected, "{text}");
        check("512MiB", Some(512 << 20));
        check("2GB", Some(2_000_000_000));
        check("2 gb", Some(2_000_000_000));
        check("1048576", Some(1 << 20));
        check("17B", Some(17));
        for wrong in ["", "MiB", "-1", "1.5GiB", "512M", "1MiBs", "99999999999TB", "18446744073709551616"] {
            check(wrong, None);
        }
    }

    #[test]
    fn sizes_are_written_as_read() {
        let check = |bytes, expected| assert_eq!(format(bytes), expected);
        check(512 << 20, "512MiB");
        check(2_000_000_000, "2GB");
        check(1_048_577, "1048577B");
        check(0, "0B");
    }
}
