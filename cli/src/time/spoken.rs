//! Days and times of day in words: `yesterday 14:00`, `friday 9am`, `last night`.

use jiff::{
    Span, Zoned,
    civil::{Time, Weekday},
};

use super::Toward;

/// A day and a time of day in words, either of them left out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spoken {
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
    pub(super) fn read(lower: &str) -> Option<Self> {
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
    pub(super) fn resolve(self, now: &Zoned, toward: Toward) -> Option<Zoned> {
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
pub(super) fn clock(word: &str) -> Option<Time> {
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
