//! Rows of a CSV file (RFC 4180), and the moments and numbers in their cells.

use std::{borrow::Cow, io::BufRead};

use anyhow::{Result, anyhow, bail};
use systembot_model::Timestamp;

/// Longest line that is read: the widest import has some thousand columns of some twenty bytes.
const LINE_BYTES: usize = 1 << 20;
/// Numbers from here on are milliseconds: as seconds they lie in the year 5138, as milliseconds in 1973.
const MILLISECONDS_FROM: f64 = 1e11;

/// Reads lines and counts them.
pub struct Rows<'a> {
    input: &'a mut dyn BufRead,
    name: String,
    line: u64,
    offset: u64,
    text: Vec<u8>,
}

impl<'a> Rows<'a> {
    /// Reads an input that is called so in errors.
    #[must_use]
    pub fn new(input: &'a mut dyn BufRead, name: impl Into<String>) -> Self {
        Self::after(input, name, 0, 0)
    }

    /// The same where so many bytes and lines were read before.
    #[must_use]
    pub fn after(input: &'a mut dyn BufRead, name: impl Into<String>, offset: u64, line: u64) -> Self {
        Self { input, name: name.into(), line, offset, text: Vec::new() }
    }

    /// The next line that is not empty, without its end; `None` after the last.
    ///
    /// # Errors
    /// What the input says; a line that is too long or no UTF-8.
    pub fn read(&mut self) -> Result<Option<&str>> {
        loop {
            self.text.clear();
            let limit = u64::try_from(LINE_BYTES)? + 1;
            let read = std::io::Read::take(&mut *self.input, limit)
                .read_until(b'\n', &mut self.text)
                .map_err(|error| anyhow!("{}: {error}", self.name))?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            self.offset += u64::try_from(read)?;
            if read > LINE_BYTES {
                bail!("{}: longer than {LINE_BYTES} bytes", self.place());
            }
            if self.line == 1 && self.text.starts_with("\u{feff}".as_bytes()) {
                self.text.drain(..3);
            }
            while self.text.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                self.text.pop();
            }
            if !self.text.is_empty() {
                break;
            }
        }
        let text = str::from_utf8(&self.text);
        text.map(Some).map_err(|_| anyhow!("{}:{}: no UTF-8", self.name, self.line))
    }

    /// The line read last, where that was one.
    #[must_use]
    pub fn text(&self) -> &str {
        str::from_utf8(&self.text).unwrap_or_default()
    }

    /// Its number.
    #[must_use]
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// Bytes up to its end.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the last line stands, `file.csv:17`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.name, self.line)
    }
}

/// The cells of a line; `None` if its quotes do not match.
#[must_use]
pub fn cells(line: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut cells = Vec::new();
    let mut rest = line;
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let Some((cell, tail)) = rest.split_once(',') else {
                cells.push(Cow::Borrowed(rest));
                return Some(cells);
            };
            cells.push(Cow::Borrowed(cell));
            rest = tail;
            continue;
        };
        let mut cell = String::new();
        let mut tail = quoted;
        loop {
            let (part, after) = tail.split_once('"')?;
            cell.push_str(part);
            match after.strip_prefix('"') {
                Some(more) => {
                    cell.push('"');
                    tail = more;
                }
                None => {
                    tail = after;
                    break;
                }
            }
        }
        cells.push(Cow::Owned(cell));
        if tail.is_empty() {
            return Some(cells);
        }
        rest = tail.strip_prefix(',')?;
    }
}

/// A moment: RFC 3339, `YYYY-MM-DD HH:MM[:SS]` in UTC, or Unix seconds or milliseconds.
#[must_use]
pub fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        let is_plain = text.starts_with(|c: char| c.is_ascii_digit() || c == '-') && number.is_finite();
        let is_seconds = number.abs() < MILLISECONDS_FROM;
        // Decimal shift on the text keeps every millisecond exact.
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = if is_seconds { format!("{whole}{:0<3.3}", fraction) } else { whole.to_owned() };
        return is_plain.then(|| digits.parse().ok().map(Timestamp::from_ms))?;
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp::from_ms(at.as_millisecond()));
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    let utc = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_ms(utc.timestamp().as_millisecond()))
}

/// A number that can be kept: finite.
#[must_use]
pub fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_cells() {
        let check = |line: &str, expected: Option<&[&str]>| {
            assert_eq!(
                cells(line),
                expected.map(|cells| cells.iter().map(|c| Cow::from(*c)).collect()),
                "{line}"
            );
        };
        check("a,b", Some(&["a", "b"]));
        check("", Some(&[""]));
        check("a,,", Some(&["a", "", ""]));
        check("t,\"d{m=\"\"/a,b\"\"}\",x", Some(&["t", "d{m=\"/a,b\"}", "x"]));
        check("\"\"", Some(&[""]));
        check("\"a\",", Some(&["a", ""]));
        check("\"a", None);
        check("\"a\"b", None);
        check("d{m=\"/\"}", Some(&["d{m=\"/\"}"]));
    }

    #[test]
    fn moments_of_every_form() {
        let check =
            |text: &str, ms: Option<i64>| assert_eq!(moment(text).map(Timestamp::as_ms), ms, "{text}");
        check("1970-01-01T00:00:01Z", Some(1000));
        check("1970-01-01T01:00:01.5+01:00", Some(1500));
        check("1970-01-01 00:00:01", Some(1000));
        check("1970-01-01T00:00:01", Some(1000));
        check("1970-01-02 00:00", Some(86_400_000));
        check("1970-01-02", Some(86_400_000));
        check("1795346634", Some(1_795_346_634_000));
        check("1795346634.007", Some(1_795_346_634_007));
        check("1795346634.0079", Some(1_795_346_634_007));
        check("1795346634007", Some(1_795_346_634_007));
        check("-1.5", Some(-1500));
        check("0", Some(0));
        check("", None);
        check("inf", None);
        check("1e300", None);
        check("yesterday", None);
        check("2026-02-30 00:00:00", None);
    }

    #[test]
    fn lines_are_counted_and_their_ends_removed() {
        let mut input = "\u{feff}a\r\n\nb".as_bytes();
        let mut rows = Rows::new(&mut input, "x.csv");
        assert_eq!(rows.read().unwrap(), Some("a"));
        assert_eq!(rows.read().unwrap(), Some("b"));
        assert_eq!(rows.place(), "x.csv:3");
        assert_eq!(rows.read().unwrap(), None);
        let mut broken: &[u8] = b"a\n\xff\n";
        let mut rows = Rows::new(&mut broken, "x.csv");
        assert!(rows.read().is_ok());
        assert_eq!(rows.read().unwrap_err().to_string(), "x.csv:2: no UTF-8");
        let long = "x".repeat(LINE_BYTES + 1);
        let mut input = long.as_bytes();
        assert!(Rows::new(&mut input, "x.csv").read().is_err());
    }
}
