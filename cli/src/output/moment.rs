//! Moments of rows that follow one another: of each only what differs from the one before is written again.

use jiff::tz::TimeZone;
use systembot_model::Timestamp;

use super::human;

const DAY_MS: i64 = 86_400_000;
/// 0000-01-01 and 9999-12-31 in days since 1970: beyond them [`Timestamp::rfc3339`] holds a moment at their ends.
const DAYS: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;
/// 1000-01-01T00:00:00 and the moment after 9999-12-31T23:59:59.999 in milliseconds: years of four digits.
const FOUR_DIGITS: std::ops::Range<i64> = -30_610_224_000_000..253_402_300_800_000;

/// Moments as RFC 3339 in UTC with milliseconds, as [`Timestamp::rfc3339`] writes each.
#[derive(Debug, Default)]
pub struct Rfc3339 {
    text: [u8; 24],
    /// Days from 1970 to the date in the text, and its minute of the day.
    day: Option<i64>,
    minute: i64,
}

impl Rfc3339 {
    /// A moment.
    pub fn text(&mut self, at: Timestamp) -> &str {
        str::from_utf8(self.bytes(at.as_ms())).unwrap_or_default()
    }

    fn bytes(&mut self, ms: i64) -> &[u8] {
        let (day, of_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
        if self.day == Some(day) {
            let [_, _, _, _, _, _, _, _, _, _, _, h, hh, _, m, mm, _, s, ss, _, milli @ .., _] =
                &mut self.text;
            let (minute, of_minute) = (of_day / 60_000, of_day % 60_000);
            if minute != self.minute {
                self.minute = minute;
                digits(minute / 60, [h, hh]);
                digits(minute % 60, [m, mm]);
            }
            digits(of_minute / 1000, [s, ss]);
            digits(of_minute % 1000, milli.each_mut());
        } else {
            // Never shorter: years have four digits.
            self.text = Timestamp::from_ms(ms).rfc3339().as_bytes().try_into().unwrap_or_default();
            self.day = Some(day).filter(|day| DAYS.contains(day));
            self.minute = of_day / 60_000;
        }
        &self.text
    }
}

/// Writes a number that has so many digits, at most.
fn digits<const N: usize>(mut number: i64, places: [&mut u8; N]) {
    for place in places.into_iter().rev() {
        *place = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

/// Moments to the second in a zone, as [`human::second`] writes each.
#[derive(Debug)]
pub struct Seconds {
    zone: TimeZone,
    utc: Rfc3339,
}

impl Seconds {
    /// Moments in a zone.
    #[must_use]
    pub fn new(zone: &TimeZone) -> Self {
        Self { zone: zone.clone(), utc: Rfc3339::default() }
    }

    /// Adds a moment to a text.
    pub fn write(&mut self, at: Timestamp, into: &mut String) {
        let local = jiff::Timestamp::from_millisecond(at.as_ms()).ok().map(|moment| {
            let offset = self.zone.to_offset(moment).seconds();
            at.as_ms().saturating_add(i64::from(offset) * 1000)
        });
        match local.filter(|local| FOUR_DIGITS.contains(local)) {
            Some(local) => {
                // What is UTC there is the zone's own time here.
                let text = self.utc.text(Timestamp::from_ms(local));
                into.push_str(text.get(..10).unwrap_or_default());
                into.push(' ');
                into.push_str(text.get(11..19).unwrap_or_default());
            }
            None => into.push_str(&human::second(at, &self.zone)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// From one moment to the next: a tick, some of them, days, or anywhere at all.
    fn moments() -> impl Strategy<Value = Vec<i64>> {
        let first = prop_oneof![
            4 => -62_170_000_000_000_i64..253_410_000_000_000,
            4 => 1_700_000_000_000_i64..1_900_000_000_000,
            1 => any::<i64>(),
            1 => Just(i64::MAX),
            1 => Just(i64::MIN),
        ];
        let step = prop_oneof![
            8 => 0_i64..20_000,
            4 => -7_200_000_i64..7_200_000,
            2 => -400 * DAY_MS..400 * DAY_MS,
            1 => any::<i64>(),
        ];
        (first, proptest::collection::vec(step, 0..60)).prop_map(|(first, steps)| {
            let next = |at: &mut i64, step: i64| {
                *at = at.saturating_add(step);
                Some(*at)
            };
            std::iter::once(first).chain(steps.into_iter().scan(first, next)).collect()
        })
    }

    proptest! {
        #[test]
        fn moments_in_a_row_are_written_as_each_by_itself(moments in moments(), zone in 0_usize..6) {
            // A rule, halves of an hour, more than a day's half, no rule, and one whose offset had seconds once.
            let names = ["Europe/Berlin", "Asia/Kolkata", "Pacific/Kiritimati", "UTC", "Africa/Monrovia", "Australia/Lord_Howe"];
            let zone = TimeZone::get(names[zone]).unwrap();
            let (mut utc, mut local) = (Rfc3339::default(), Seconds::new(&zone));
            for at in moments.into_iter().map(Timestamp::from_ms) {
                prop_assert_eq!(utc.text(at), at.rfc3339());
                let mut text = String::new();
                local.write(at, &mut text);
                prop_assert_eq!(text, human::second(at, &zone));
            }
        }
    }

    #[test]
    fn a_clock_that_is_set_back_by_its_zone_is_followed() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let mut local = Seconds::new(&zone);
        let mut text = String::new();
        // Around 2026-10-25 01:00 UTC, when summer ends.
        for ms in [1_792_889_985_000, 1_792_890_000_000, 1_792_890_015_000] {
            local.write(Timestamp::from_ms(ms), &mut text);
            text.push('\n');
        }
        assert_eq!(text, "2026-10-25 02:59:45\n2026-10-25 02:00:00\n2026-10-25 02:00:15\n");
    }
}
