//! Moments and order: [`Timestamp`] labels a record, [`Seq`] orders it.
//!
//! Wall clocks jump, so nothing derives order from a timestamp and no span computed here is ever below zero.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::number;

/// A moment of the wall clock: milliseconds since 1970-01-01T00:00:00Z, negative before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest moment, for ranges without a beginning.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest moment, for ranges without an end.
    pub const MAX: Self = Self(i64::MAX);

    /// Makes a timestamp from milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// The span since `earlier`; zero where the clock went back.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This moment plus a span, held at the latest moment.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(number::millis(span)))
    }

    /// This moment minus a span, held at the earliest moment.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(number::millis(span)))
    }

    /// The moment as RFC 3339 in UTC with milliseconds: `2026-11-22T11:23:54.000Z`.
    ///
    /// Years outside 0..=9999, which RFC 3339 cannot say, are held at its ends.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let civil = Civil::from_ms(self.0);
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            civil.year, civil.month, civil.day, civil.hour, civil.minute, civil.second, civil.ms
        )
    }
}

/// The number of a record: 1, 2, 3 ... without gaps, the only order there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(u64);

impl Seq {
    /// Before the first record.
    pub const ZERO: Self = Self(0);

    /// Where the numbers begin of records that are not written yet: no log comes near it.
    const PROVISIONAL: u64 = 1 << 62;

    /// The number that this many records had before it which are not written yet either.
    #[must_use]
    pub const fn provisional(before: u64) -> Self {
        Self(Self::PROVISIONAL.saturating_add(before))
    }

    /// Whether it is the number of a record that is not written yet; the log gives it another one.
    #[must_use]
    pub const fn is_provisional(self) -> bool {
        self.0 >= Self::PROVISIONAL
    }

    /// Makes a record number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The plain number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number of the record after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Now, as the owner of the machine reads it: the moment and the zone's offset at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// The moment itself.
    pub at: Timestamp,
    /// Seconds to add to UTC, -93,599 to 93,599.
    pub offset_seconds: i32,
    /// The zone's abbreviation at that moment, such as `CET`.
    pub zone: String,
}

impl LocalTime {
    /// A moment in UTC, where no zone is known.
    #[must_use]
    pub fn utc(at: Timestamp) -> Self {
        Self { at, offset_seconds: 0, zone: "UTC".to_owned() }
    }

    /// Date and time of another moment, by the offset that holds now: `2026-11-22 11:23`.
    #[must_use]
    pub fn civil_minute(&self, at: Timestamp) -> String {
        let civil = self.civil(at);
        format!("{:04}-{:02}-{:02} {:02}:{:02}", civil.year, civil.month, civil.day, civil.hour, civil.minute)
    }

    /// Weekday, date, time and zone of now: `Sunday, 2026-11-22 11:23:54 CET`.
    #[must_use]
    pub fn civil_full(&self) -> String {
        let civil = self.civil(self.at);
        format!(
            "{}, {:04}-{:02}-{:02} {:02}:{:02}:{:02} {}",
            civil.weekday,
            civil.year,
            civil.month,
            civil.day,
            civil.hour,
            civil.minute,
            civil.second,
            self.zone
        )
    }

    fn civil(&self, at: Timestamp) -> Civil {
        Civil::from_ms(at.as_ms().saturating_add(i64::from(self.offset_seconds) * 1000))
    }
}

/// A date and time of the proleptic Gregorian calendar.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    ms: i64,
    weekday: &'static str,
}

impl Civil {
    const DAY_MS: i64 = 86_400_000;
    /// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999Z in milliseconds.
    const RANGE_MS: (i64, i64) = (-62_167_219_200_000, 253_402_300_799_999);

    /// Days to civil date as in Howard Hinnant, "chrono-compatible low-level date algorithms".
    fn from_ms(ms: i64) -> Self {
        let ms = ms.clamp(Self::RANGE_MS.0, Self::RANGE_MS.1);
        let (days, of_day) = (ms.div_euclid(Self::DAY_MS), ms.rem_euclid(Self::DAY_MS));
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let weekday = match days.rem_euclid(7) {
            0 => "Thursday",
            1 => "Friday",
            2 => "Saturday",
            3 => "Sunday",
            4 => "Monday",
            5 => "Tuesday",
            _ => "Wednesday",
        };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
            hour: of_day / 3_600_000,
            minute: of_day / 60_000 % 60,
            second: of_day / 1000 % 60,
            ms: of_day % 1000,
            weekday,
        }
    }
}

/// Reads a span as people write it: `90s`, `15m`, `2h`, `1h30m`, `2 hours`, `7d`, `1 week`; `None` if it is none.
///
/// Units are seconds, minutes, hours, days and weeks, whole numbers of each; the sum is held at 100 years.
#[must_use]
pub fn parse_span(text: &str) -> Option<Duration> {
    const LONGEST_S: u64 = 100 * 365 * 86_400;
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
    let mut rest = text.as_str();
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters)?;
        let unit_s = match unit {
            "s" | "sec" | "secs" | "second" | "seconds" => 1,
            "m" | "min" | "mins" | "minute" | "minutes" => 60,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 604_800,
            _ => return None,
        };
        total = total.saturating_add(number.parse::<u64>().ok()?.saturating_mul(unit_s));
        rest = tail;
    }
    (!text.is_empty()).then(|| Duration::from_secs(total.min(LONGEST_S)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_print_as_rfc3339() {
        let check = |ms, expected: &str| assert_eq!(Timestamp::from_ms(ms).rfc3339(), expected);
        check(0, "1970-01-01T00:00:00.000Z");
        check(1_795_346_634_007, "2026-11-22T11:23:54.007Z");
        check(951_782_399_999, "2000-02-28T23:59:59.999Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(-1, "1969-12-31T23:59:59.999Z");
        check(i64::MAX, "9999-12-31T23:59:59.999Z");
        check(i64::MIN, "0000-01-01T00:00:00.000Z");
    }

    #[test]
    fn local_time_carries_weekday_and_zone() {
        let now =
            LocalTime { at: Timestamp::from_ms(1_795_346_634_007), offset_seconds: 3600, zone: "CET".into() };
        assert_eq!(now.civil_full(), "Sunday, 2026-11-22 12:23:54 CET");
        assert_eq!(now.civil_minute(Timestamp::from_ms(0)), "1970-01-01 01:00");
    }

    #[test]
    fn spans_are_never_below_zero() {
        assert_eq!(Timestamp::from_ms(5).since(Timestamp::from_ms(9)), Duration::ZERO);
        assert_eq!(Timestamp::MAX.plus(Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.minus(Duration::from_secs(1)), Timestamp::MIN);
    }

    #[test]
    fn spans_are_read_as_people_write_them() {
        let check = |text, expected: Option<u64>| {
            assert_eq!(parse_span(text), expected.map(Duration::from_secs), "{text}")
        };
        check("90s", Some(90));
        check("1h30m", Some(5400));
        check("2 hours", Some(7200));
        check(" 1 Week ", Some(604_800));
        check("0s", Some(0));
        for text in ["", "5", "h", "5x", "-5s", "1.5h", "5sh", "99999999999999999999s"] {
            check(text, None);
        }
        check("9999999999999d", Some(100 * 365 * 86_400));
    }
}
