//! Moments and spans as people write them.
//!
//! Read in the order: numbers (`@epoch`, RFC 3339, civil dates), spans, our own words, and what is left by the
//! `interim` crate. Our own words are those that it reads otherwise than people mean them: `yesterday` without a
//! time is the begin of that day, and a weekday or a time of day alone is never in the future of a question
//! about the past. A day within a span is 24 hours; a day that is named is the one of the zone.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use interim::{Dialect, parse_date_string};
use jiff::{
    Span, Zoned,
    civil::{Date, DateTime, Time, Weekday, date},
    tz::TimeZone,
};
use systembot_model::{Timestamp, number, time::parse_span};
use systembot_storage::query::Step;

/// Longest `--step`: beyond a year a bucket says nothing.
const STEP_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Most midnights sent with one question: 80 years, well below what one frame of the control socket holds.
const MIDNIGHTS_MAX: usize = 30_000;
/// A day of a span.
const DAY: Duration = Duration::from_secs(86_400);

/// Which way words without a date look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toward {
    /// Questions: `14:00` is the latest one that has passed, `2h` is two hours ago.
    Past,
    /// Deadlines: `14:00` is the next one, `2h` is in two hours.
    Future,
}

/// The moment that a text names, in the zone of `now`.
///
/// # Errors
/// One line that says what may be written instead.
pub fn moment(text: &str, now: &Zoned, toward: Toward) -> Result<Timestamp> {
    let lower = text.trim().to_lowercase();
    if lower == "now" {
        return Ok(stamp(now));
    }
    if let Some(at) = absolute(text.trim(), &lower, now.time_zone()) {
        return Ok(at);
    }
    let bare = lower.strip_suffix("ago").unwrap_or(&lower).trim().trim_start_matches('-');
    let counted = bare.strip_prefix("an ").or(bare.strip_prefix("a ")).map(|unit| format!("1 {unit}"));
    if let Some(span) = parse_span(counted.as_deref().unwrap_or(bare)) {
        let is_back = toward == Toward::Past || lower.ends_with("ago") || lower.starts_with('-');
        return Ok(if is_back { stamp(now).minus(span) } else { stamp(now).plus(span) });
    }
    if let Some(spoken) = Spoken::read(&lower) {
        return Ok(stamp(&spoken.resolve(now, toward).ok_or_else(|| unreadable(text))?));
    }
    let at = dated(&lower, now).ok_or_else(|| unreadable(text))?;
    if toward == Toward::Future || at <= *now || has_year(&lower) {
        return Ok(stamp(&at));
    }
    if !names_month(&lower) {
        bail!("`{text}` lies in the future");
    }
    // `24 dec` in November is last year's.
    Ok(stamp(&at.checked_sub(Span::new().years(1)).map_err(|_| unreadable(text))?))
}

/// The span that a text names: `90s`, `5m`, `2h`, `1h30m`, `1d`, `1w`.
///
/// # Errors
/// One line that says what may be written instead.
pub fn span(text: &str) -> Result<Duration> {
    parse_span(text).ok_or_else(|| anyhow!("`{text}` is no span of time: write 90s, 5m, 2h, 1d or 1w"))
}

/// The buckets that `--step` names: whole days begin at local midnights, all else is aligned to the epoch.
///
/// # Errors
/// One line: no span, none that fits, or too many days.
pub fn step(text: &str, since: Timestamp, until: Timestamp, zone: &TimeZone) -> Result<Step> {
    let step = span(text)?;
    if step.is_zero() {
        bail!("--step `{text}` is too short: the least is 1s");
    }
    if step > STEP_MAX {
        bail!("--step `{text}` is too long: the most is 366d");
    }
    let whole_days = step.as_millis().is_multiple_of(DAY.as_millis());
    if !whole_days {
        return Ok(Step::Every(number::millis(step)));
    }
    let days = i32::try_from(step.as_secs() / DAY.as_secs())?;
    midnights(days, since, until, zone).map(Step::At)
}

/// Every so-manyeth local midnight, counted from the epoch: the last one not after `since` to the last before
/// `until`.
fn midnights(days: i32, since: Timestamp, until: Timestamp, zone: &TimeZone) -> Result<Vec<Timestamp>> {
    const EPOCH: Date = date(1970, 1, 1);
    let first = zoned(since, zone)?.date();
    let behind = first.since(EPOCH)?.get_days().rem_euclid(days);
    let mut day = first.checked_sub(Span::new().days(behind))?;
    let mut starts = Vec::new();
    loop {
        let start = stamp(&day.to_zoned(zone.clone())?);
        if start >= until && !starts.is_empty() {
            return Ok(starts);
        }
        if starts.len() == MIDNIGHTS_MAX {
            bail!("--step of days over more than {MIDNIGHTS_MAX} of them: choose a later --since");
        }
        starts.push(start);
        day = day.checked_add(Span::new().days(days))?;
    }
}

/// A moment in a zone.
///
/// # Errors
/// One line, for years beyond -9999 to 9999.
pub fn zoned(at: Timestamp, zone: &TimeZone) -> Result<Zoned> {
    let moment = jiff::Timestamp::from_millisecond(at.as_ms())
        .map_err(|_| anyhow!("a moment {} ms from 1970 has no date", at.as_ms()))?;
    Ok(moment.to_zoned(zone.clone()))
}

fn stamp(at: &Zoned) -> Timestamp {
    Timestamp::from_ms(at.timestamp().as_millisecond())
}

fn unreadable(text: &str) -> anyhow::Error {
    anyhow!("`{text}` is no time: write 2h, 'yesterday 14:00', monday, '2026-11-22 11:30' or RFC 3339")
}

/// Moments that need no now: `@1795346634`, RFC 3339, and dates and times of the zone.
fn absolute(text: &str, lower: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Some(seconds) = lower.strip_prefix('@') {
        return epoch(seconds);
    }
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp::from_ms(at.as_millisecond()));
    }
    let has_date = text.get(..10).is_some_and(|head| head.parse::<Date>().is_ok());
    let civil: DateTime = has_date.then(|| text.parse().ok())??;
    Some(stamp(&civil.to_zoned(zone.clone()).ok()?))
}

/// Seconds since the epoch with up to three decimals.
fn epoch(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_fraction = !fraction.is_empty() && fraction.chars().all(|c| c.is_ascii_digit());
    let thousandths: i64 = is_fraction.then(|| format!("{fraction:0<3}").get(..3)?.parse().ok())??;
    let seconds: i64 = whole.parse().ok()?;
    let ms = seconds.checked_mul(1000)?;
    Some(Timestamp::from_ms(if whole.starts_with('-') {
        ms.checked_sub(thousandths)?
    } else {
        ms.checked_add(thousandths)?
    }))
}

/// Dates with names of months or strokes, `last week`, `2 months ago`, and a time of day behind them.
fn dated(lower: &str, now: &Zoned) -> Option<Zoned> {
    let read = |text: &str| parse_date_string(text, now.clone(), Dialect::Uk).ok();
    let is_dated = ["/", "ago", "last"].iter().any(|sign| lower.contains(sign)) || names_month(lower);
    // All else is none of its business: it reads 25:00 as tomorrow at one.
    if !is_dated {
        return None;
    }
    // Nor is `24 dec 15:00`, where it takes the hour for a year.
    match lower.rsplit_once(' ').and_then(|(rest, last)| Some((rest, clock(last)?))) {
        Some((rest, time)) => read(rest)?.date().to_datetime(time).to_zoned(now.time_zone().clone()).ok(),
        None => read(lower),
    }
}

/// Whether a text names a year, which makes its date an exact one.
fn has_year(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() == 4)
}

/// Whether a text names a month, by its first three letters or more.
fn names_month(text: &str) -> bool {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    text.split(|c: char| !c.is_ascii_alphabetic())
        .any(|word| word.get(..3).is_some_and(|m| MONTHS.contains(&m)))
}

/// A day and a time of day in words, either of them left out.
#[derive(Clone, Copy, Debug, Default)]
struct Spoken {
    day: Option<Day>,
    time: Option<Time>,
    /// `last friday` on a Friday is the one a week ago.
    is_last: bool,
}

#[derive(Clone, Copy, Debug)]
enum Day {
    /// Days from today.
    Offset(i32),
    Week(Weekday),
}

impl Spoken {
    /// Reads words in any order; `None` where one of them is none of ours.
    fn read(lower: &str) -> Option<Self> {
        let joined = lower.replace(',', " ").replace(" am", "am").replace(" pm", "pm");
        let mut spoken = Self::default();
        let mut words =
            joined.split_whitespace().filter(|word| !matches!(*word, "at" | "on" | "the")).peekable();
        while let Some(word) = words.next() {
            match (word, words.peek().copied()) {
                ("last", Some("night")) => {
                    words.next();
                    spoken.put_day(Day::Offset(-1))?;
                    spoken.put_time(part_of_day("night")?)?;
                }
                ("last", Some(next)) if weekday(next).is_some() => spoken.is_last = true,
                ("this", Some(next)) if part_of_day(next).is_some() => spoken.put_day(Day::Offset(0))?,
                ("tonight", _) => {
                    spoken.put_day(Day::Offset(0))?;
                    spoken.put_time(part_of_day("night")?)?;
                }
                _ => match (day(word), part_of_day(word).or_else(|| clock(word))) {
                    (Some(day), _) => spoken.put_day(day)?,
                    (None, Some(time)) => spoken.put_time(time)?,
                    (None, None) => return None,
                },
            }
        }
        (spoken.day.is_some() || spoken.time.is_some()).then_some(spoken)
    }

    fn put_day(&mut self, day: Day) -> Option<()> {
        self.day.replace(day).is_none().then_some(())
    }

    fn put_time(&mut self, time: Time) -> Option<()> {
        self.time.replace(time).is_none().then_some(())
    }

    /// The moment meant; `None` at the ends of the calendar, and for a future day of a question about the past.
    fn resolve(self, now: &Zoned, toward: Toward) -> Option<Zoned> {
        let on = |days: i32| {
            let day = now.date().checked_add(Span::new().days(days)).ok()?;
            day.to_datetime(self.time.unwrap_or_default()).to_zoned(now.time_zone().clone()).ok()
        };
        let (nearest, cycle) = match (self.day, toward) {
            (Some(Day::Offset(days)), Toward::Past) if days > 0 => return None,
            (Some(Day::Offset(days)), Toward::Past | Toward::Future) => return on(days),
            (None, Toward::Past | Toward::Future) => (0, 1),
            (Some(Day::Week(wanted)), Toward::Past) => {
                let back = i32::from(now.weekday().since(wanted));
                (if back == 0 && self.is_last { -7 } else { -back }, 7)
            }
            (Some(Day::Week(wanted)), Toward::Future) => (i32::from(now.weekday().until(wanted)), 7),
        };
        let at = on(nearest)?;
        match toward {
            Toward::Past if at > *now => on(nearest - cycle),
            Toward::Future if at <= *now => on(nearest + cycle),
            Toward::Past | Toward::Future => Some(at),
        }
    }
}

fn day(word: &str) -> Option<Day> {
    match word {
        "today" => Some(Day::Offset(0)),
        "yesterday" => Some(Day::Offset(-1)),
        "tomorrow" => Some(Day::Offset(1)),
        _ => weekday(word).map(Day::Week),
    }
}

fn weekday(word: &str) -> Option<Weekday> {
    match word {
        "mon" | "monday" => Some(Weekday::Monday),
        "tue" | "tues" | "tuesday" => Some(Weekday::Tuesday),
        "wed" | "wednesday" => Some(Weekday::Wednesday),
        "thu" | "thur" | "thurs" | "thursday" => Some(Weekday::Thursday),
        "fri" | "friday" => Some(Weekday::Friday),
        "sat" | "saturday" => Some(Weekday::Saturday),
        "sun" | "sunday" => Some(Weekday::Sunday),
        _ => None,
    }
}

/// The hour at which a part of the day begins.
fn part_of_day(word: &str) -> Option<Time> {
    let hour = match word {
        "midnight" => 0,
        "morning" => 6,
        "noon" | "midday" | "afternoon" => 12,
        "evening" => 18,
        "night" => 20,
        _ => return None,
    };
    Time::new(hour, 0, 0, 0).ok()
}

/// The figures before `am` or `pm`, and the hours to add.
fn clock_half(word: &str) -> Option<(&str, i8)> {
    let (figures, half) = match (word.strip_suffix("am"), word.strip_suffix("pm")) {
        (Some(figures), _) => (figures, 0),
        (None, Some(figures)) => (figures, 12),
        (None, None) => return None,
    };
    Some((figures, half))
}

/// `14:00`, `14:00:05`, `3am`, `3:30pm`
fn clock(word: &str) -> Option<Time> {
    let (figures, half) = clock_half(word).map_or((word, None), |(figures, half)| (figures, Some(half)));
    let mut parts = figures.split(':').map(|part| {
        let is_number = (1..=2).contains(&part.len()) && part.chars().all(|c| c.is_ascii_digit());
        is_number.then(|| part.parse::<i8>().ok())?
    });
    let hour = parts.next()??;
    let (minute, second) = match (parts.next(), parts.next(), parts.next()) {
        (None, None, None) => (half.map(|_| 0)?, 0),
        (Some(minute), None, None) => (minute?, 0),
        (Some(minute), Some(second), None) => (minute?, second?),
        (_, _, _) => return None,
    };
    let hour = match half {
        None => hour,
        Some(half) if (1..=12).contains(&hour) => hour % 12 + half,
        Some(_) => return None,
    };
    Time::new(hour, minute, second, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central European time, independent of the machine's zone files.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn at(text: &str) -> Zoned {
        text.parse::<DateTime>().unwrap().to_zoned(berlin()).unwrap()
    }

    fn local(at: Timestamp) -> String {
        zoned(at, &berlin()).unwrap().strftime("%F %T %z").to_string()
    }

    #[track_caller]
    fn check(now: &str, text: &str, expected: &str) {
        let moment = moment(text, &at(now), Toward::Past).map(local).unwrap_or_else(|e| e.to_string());
        assert_eq!(moment, expected, "`{text}` at {now}");
    }

    #[test]
    fn phrases_about_the_past() {
        // A Sunday.
        let now = "2026-11-22 10:00:00";
        for (text, expected) in [
            ("now", "2026-11-22 10:00:00 +0100"),
            ("2026-11-22T08:00:00Z", "2026-11-22 09:00:00 +0100"),
            ("2026-11-22t08:00:00.250+02:00", "2026-11-22 07:00:00 +0100"),
            ("2026-11-20", "2026-11-20 00:00:00 +0100"),
            ("2026-11-20 14:30", "2026-11-20 14:30:00 +0100"),
            ("2026-11-20 14:30:05", "2026-11-20 14:30:05 +0100"),
            ("2026-11-20T14:30", "2026-11-20 14:30:00 +0100"),
            ("2030-01-01", "2030-01-01 00:00:00 +0100"),
            ("90s", "2026-11-22 09:58:30 +0100"),
            ("2h", "2026-11-22 08:00:00 +0100"),
            ("90m", "2026-11-22 08:30:00 +0100"),
            ("1h30m", "2026-11-22 08:30:00 +0100"),
            ("1h30m ago", "2026-11-22 08:30:00 +0100"),
            ("-2h", "2026-11-22 08:00:00 +0100"),
            ("2 hours ago", "2026-11-22 08:00:00 +0100"),
            ("1 hour 30 minutes ago", "2026-11-22 08:30:00 +0100"),
            ("a week ago", "2026-11-15 10:00:00 +0100"),
            ("an hour ago", "2026-11-22 09:00:00 +0100"),
            ("7d", "2026-11-15 10:00:00 +0100"),
            ("3 days ago", "2026-11-19 10:00:00 +0100"),
            ("1w ago", "2026-11-15 10:00:00 +0100"),
            ("today", "2026-11-22 00:00:00 +0100"),
            ("Yesterday", "2026-11-21 00:00:00 +0100"),
            ("yesterday 14:00", "2026-11-21 14:00:00 +0100"),
            ("yesterday 2pm", "2026-11-21 14:00:00 +0100"),
            ("yesterday at 2:30 pm", "2026-11-21 14:30:00 +0100"),
            ("14:00 yesterday", "2026-11-21 14:00:00 +0100"),
            ("today 03:00", "2026-11-22 03:00:00 +0100"),
            ("3am", "2026-11-22 03:00:00 +0100"),
            ("3 AM", "2026-11-22 03:00:00 +0100"),
            ("12am", "2026-11-22 00:00:00 +0100"),
            ("12pm", "2026-11-21 12:00:00 +0100"),
            ("10:00", "2026-11-22 10:00:00 +0100"),
            ("10:01", "2026-11-21 10:01:00 +0100"),
            ("14:00", "2026-11-21 14:00:00 +0100"),
            ("noon", "2026-11-21 12:00:00 +0100"),
            ("midnight", "2026-11-22 00:00:00 +0100"),
            ("yesterday noon", "2026-11-21 12:00:00 +0100"),
            ("this morning", "2026-11-22 06:00:00 +0100"),
            ("yesterday evening", "2026-11-21 18:00:00 +0100"),
            ("last night", "2026-11-21 20:00:00 +0100"),
            ("sunday", "2026-11-22 00:00:00 +0100"),
            ("last sunday", "2026-11-15 00:00:00 +0100"),
            ("sunday 11:00", "2026-11-15 11:00:00 +0100"),
            ("monday", "2026-11-16 00:00:00 +0100"),
            ("mon", "2026-11-16 00:00:00 +0100"),
            ("saturday", "2026-11-21 00:00:00 +0100"),
            ("friday 9am", "2026-11-20 09:00:00 +0100"),
            ("last friday", "2026-11-20 00:00:00 +0100"),
            ("on friday at 9:15", "2026-11-20 09:15:00 +0100"),
            ("last week", "2026-11-15 10:00:00 +0100"),
            ("2 months ago", "2026-09-22 00:00:00 +0200"),
            ("24 dec 3pm", "2025-12-24 15:00:00 +0100"),
            ("24 dec 15:00", "2025-12-24 15:00:00 +0100"),
            ("1/11/2026", "2026-11-01 00:00:00 +0100"),
            ("20 nov 2026", "2026-11-20 00:00:00 +0100"),
            ("20 nov", "2026-11-20 00:00:00 +0100"),
            ("nov 20 8:30", "2026-11-20 08:30:00 +0100"),
            ("24 dec", "2025-12-24 00:00:00 +0100"),
            ("@0", "1970-01-01 01:00:00 +0100"),
            ("@1795346634", "2026-11-22 12:23:54 +0100"),
            ("2 weeks ago", "2026-11-08 10:00:00 +0100"),
        ] {
            check(now, text, expected);
        }
    }

    #[test]
    fn fractions_of_the_epoch() {
        let ms = |text| moment(text, &at("2026-11-22 10:00:00"), Toward::Past).map(Timestamp::as_ms).ok();
        assert_eq!(ms("@1.5"), Some(1500));
        assert_eq!(ms("@1.0049"), Some(1004));
        assert_eq!(ms("@-1.5"), Some(-1500));
        assert_eq!(ms("@"), None);
        assert_eq!(ms("@1."), None);
        assert_eq!(ms("@99999999999999999"), None);
    }

    #[test]
    fn phrases_about_the_future() {
        for (text, expected) in [
            ("2h", "2026-11-22 12:00:00 +0100"),
            ("2h ago", "2026-11-22 08:00:00 +0100"),
            ("18:00", "2026-11-22 18:00:00 +0100"),
            ("10:00", "2026-11-23 10:00:00 +0100"),
            ("9am", "2026-11-23 09:00:00 +0100"),
            ("tomorrow", "2026-11-23 00:00:00 +0100"),
            ("tomorrow 8:00", "2026-11-23 08:00:00 +0100"),
            ("tonight", "2026-11-22 20:00:00 +0100"),
            ("friday 9am", "2026-11-27 09:00:00 +0100"),
            ("sunday", "2026-11-29 00:00:00 +0100"),
            ("midnight", "2026-11-23 00:00:00 +0100"),
            ("24 dec", "2026-12-24 00:00:00 +0100"),
        ] {
            let moment = moment(text, &at("2026-11-22 10:00:00"), Toward::Future).map(local);
            assert_eq!(moment.unwrap_or_else(|e| e.to_string()), expected, "{text}");
        }
    }

    #[test]
    fn days_keep_their_names_where_the_clocks_change() {
        // Clocks go forward at 2:00 on Sunday 2026-03-29 and back at 3:00 on Sunday 2026-10-25.
        let spring = "2026-03-29 12:00:00";
        check(spring, "today", "2026-03-29 00:00:00 +0100");
        check(spring, "yesterday 14:00", "2026-03-28 14:00:00 +0100");
        check(spring, "1am", "2026-03-29 01:00:00 +0100");
        check(spring, "3am", "2026-03-29 03:00:00 +0200");
        // 2:30 did not exist that night: what the clock showed half an hour after 2:00.
        check(spring, "2:30", "2026-03-29 03:30:00 +0200");
        check(spring, "24h", "2026-03-28 11:00:00 +0100");
        check("2026-03-30 12:00:00", "sunday 9am", "2026-03-29 09:00:00 +0200");
        check("2026-03-30 12:00:00", "last night", "2026-03-29 20:00:00 +0200");
        let autumn = "2026-10-25 12:00:00";
        check(autumn, "today", "2026-10-25 00:00:00 +0200");
        // 2:30 came twice: the first one.
        check(autumn, "2:30", "2026-10-25 02:30:00 +0200");
        check(autumn, "3am", "2026-10-25 03:00:00 +0100");
        check(autumn, "24h", "2026-10-24 13:00:00 +0200");
        check(autumn, "monday", "2026-10-19 00:00:00 +0200");
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_to_write() {
        for text in [
            "",
            "soon",
            "25:00",
            "13pm",
            "0am",
            "tomorrow",
            "next friday",
            "2026-13-01",
            "2026-02-30",
            "90",
            "h",
            "1x",
            "monday tuesday",
            "3am 4am",
            "99999999999999999999999w",
        ] {
            let error = moment(text, &at("2026-11-22 10:00:00"), Toward::Past).map(local).unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{text}`")), "{text}: {error}");
        }
    }

    #[test]
    fn spans() {
        let check = |text: &str, ms: Option<u64>| {
            assert_eq!(span(text).ok(), ms.map(Duration::from_millis), "{text}");
        };
        check("90s", Some(90_000));
        check("5m", Some(300_000));
        check("2h", Some(7_200_000));
        check("1d", Some(86_400_000));
        check("1w", Some(604_800_000));
        check("1h30m", Some(5_400_000));
        check("1 hour 30 min", Some(5_400_000));
        check("250ms", None);
        check("0s", Some(0));
        check("", None);
        check("5", None);
        check("m", None);
        check("-5m", None);
        check("5 parsecs", None);
        check("1.2.3s", None);
    }

    #[test]
    fn steps_of_days_begin_at_local_midnights() {
        let stamp = |text| stamp(&at(text));
        let day_step = |text, since, until| match step(text, stamp(since), stamp(until), &berlin()).unwrap() {
            Step::At(starts) => starts.into_iter().map(local).collect::<Vec<_>>(),
            Step::Every(ms) => panic!("{ms}"),
        };
        assert_eq!(
            day_step("1d", "2026-03-28 15:00:00", "2026-03-30 00:00:01"),
            ["2026-03-28 00:00:00 +0100", "2026-03-29 00:00:00 +0100", "2026-03-30 00:00:00 +0200"]
        );
        assert_eq!(
            day_step("24h", "2026-10-25 00:00:00", "2026-10-26 00:00:00"),
            ["2026-10-25 00:00:00 +0200"]
        );
        // 2026-03-26 is day 20,538 since the epoch, a multiple of 7.
        assert_eq!(
            day_step("1w", "2026-03-28 15:00:00", "2026-04-03 00:00:00"),
            ["2026-03-26 00:00:00 +0100", "2026-04-02 00:00:00 +0200"]
        );
        assert_eq!(day_step("1d", "2026-10-26 00:00:00", "2026-10-20 00:00:00").len(), 1);
    }

    #[test]
    fn other_steps_are_plain_and_have_limits() {
        let (since, until) = (Timestamp::from_ms(0), Timestamp::from_ms(1));
        let check = |text| step(text, since, until, &berlin()).map_err(|e| e.to_string());
        assert_eq!(check("5m"), Ok(Step::Every(300_000)));
        assert_eq!(check("36h"), Ok(Step::Every(129_600_000)));
        assert_eq!(check("0s"), Err("--step `0s` is too short: the least is 1s".into()));
        assert_eq!(check("367d"), Err("--step `367d` is too long: the most is 366d".into()));
        let ages = step("1d", Timestamp::from_ms(-100_000_000_000_000), until, &berlin());
        assert!(ages.is_err_and(|e| e.to_string().contains("choose a later --since")));
    }
}
