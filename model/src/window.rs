//! The FIFO window of one series: its newest samples, by count and by age.

use std::{collections::VecDeque, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

use crate::{
    Series, Timestamp, limits,
    pack::{pack, unpack},
    stats::Summary,
};

/// The newest samples of a series, oldest first. Stored as one string of bytes, a few a sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    samples: VecDeque<(Timestamp, f64)>,
}

impl Window {
    /// Takes a sample; forgets what is beyond `length` samples or older than [`limits::WINDOW_AGE`], wherever it lies:
    /// what a clock in 1970 labelled goes when the clock is right again, and what was there before it stays.
    pub fn push(&mut self, at: Timestamp, value: f64, length: usize) {
        let oldest = at.minus(limits::WINDOW_AGE);
        if self.samples.iter().any(|(at, _)| *at < oldest) {
            self.samples.retain(|(at, _)| *at >= oldest);
        }
        self.samples.push_back((at, value));
        self.shorten(length);
    }

    /// Forgets the oldest samples beyond `length`.
    pub fn shorten(&mut self, length: usize) {
        while self.samples.len() > length {
            self.samples.pop_front();
        }
    }

    /// The newest sample.
    #[must_use]
    pub fn last(&self) -> Option<(Timestamp, f64)> {
        self.samples.back().copied()
    }

    /// The newest two samples, the older one first.
    #[must_use]
    pub fn last_two(&self) -> Option<((Timestamp, f64), (Timestamp, f64))> {
        let before = self.samples.len().checked_sub(2)?;
        Some((*self.samples.get(before)?, self.last()?))
    }

    /// The values, oldest first.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        self.samples.iter().map(|(_, value)| *value).collect()
    }

    /// Summary of all samples: what the next value is judged by.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of(&self.values())
    }

    /// What `trends` tells of it.
    #[must_use]
    pub fn trend(&self, series: &Series) -> Option<Trend> {
        let values = self.values();
        let (last, before) = values.split_last()?;
        let whole = Summary::of(&values);
        Some(Trend {
            series: series.clone(),
            count: whole.count,
            mean: whole.mean?,
            stdev: whole.stdev,
            last: *last,
            sigma: Summary::of(before).sigma(*last, 0.0),
        })
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&pack(self.samples.iter().copied()))
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Packed)
    }
}

/// Reads the bytes of a window.
struct Packed;

impl Visitor<'_> for Packed {
    type Value = Window;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of a window")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Window, E> {
        let samples = unpack(bytes).ok_or_else(|| E::custom("these bytes are no window"))?;
        Ok(Window { samples })
    }
}

/// A window in figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// Whose window.
    pub series: Series,
    /// Samples in it.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (n - 1), of two or more.
    pub stdev: Option<f64>,
    /// The newest value.
    pub last: f64,
    /// How far that lies from the window before it: (last - mean) / stdev of the samples before.
    pub sigma: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_ms(s * 1000)
    }

    /// Defect 13 of the original: it kept 99.
    #[test]
    fn a_window_of_100_keeps_100() {
        let mut window = Window::default();
        (0..250).for_each(|i| window.push(at(i), 1.0, 100));
        assert_eq!(window.values().len(), 100);
        window.shorten(7);
        assert_eq!(window.values().len(), 7);
    }

    #[test]
    fn a_window_forgets_what_is_older_than_thirty_days_wherever_it_lies() {
        let mut window = Window::default();
        window.push(at(0), 1.0, 100);
        window.push(at(30 * 86_400), 2.0, 100);
        // The clock is set back, and to rights again.
        window.push(at(7), 3.0, 100);
        assert_eq!(window.values(), [1.0, 2.0, 3.0]);
        window.push(at(30 * 86_400 + 8), 4.0, 100);
        assert_eq!(window.values(), [2.0, 4.0], "the one of the right clock stays");
    }

    #[test]
    fn sigma_is_that_of_the_last_value_against_those_before_it() {
        let mut window = Window::default();
        for (i, value) in [1.0, 3.0, 1.0, 3.0, 8.0].into_iter().enumerate() {
            window.push(at(i64::try_from(i).unwrap()), value, 100);
        }
        let trend = window.trend(&Series::new("load1")).unwrap();
        let stdev_before = (4.0_f64 / 3.0).sqrt();
        assert!((trend.sigma.unwrap() - 6.0 / stdev_before).abs() < 1e-12);
        assert_eq!((trend.count, trend.last, trend.mean), (5, 8.0, 3.2));
    }
}
