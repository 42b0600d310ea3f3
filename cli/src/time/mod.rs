//! Moments and spans as people write them.
//!
//! Read in the order: numbers (`@epoch`, RFC 3339, civil dates), spans, our own words, and what is left by the
//! `interim` crate. Our own words are those that it reads otherwise than people mean them: `yesterday` without a
//! time is the begin of that day, and a weekday or a time of day alone is never in the future of a question
//! about the past. A day within a span is 24 hours; a day that is named is the one of the zone.

mod spoken;
#[cfg(test)]
mod tests;

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use interim::{Dialect, parse_date_string};
use jiff::{
    Span, Zoned,
    civil::{Date, DateTime, date},
    tz::TimeZone,
};
use systembot_model::{Timestamp, number, time::parse_span};
use systembot_storage::query::Step;

use spoken::{Spoken, clock};

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
        let Some(at) = spoken.resolve(now, toward) else { bail!("`{text}` lies in the future") };
        return Ok(stamp(&at));
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
