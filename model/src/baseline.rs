//! Baselines: the windows of all series, recorded once a day so that they outlive the samples they came from.
//!
//! A set is written whole, in the step of a tick and directly before it: one record for each window, all with the
//! moment of that tick. Folding its first record forgets all windows and each record puts one back, so a fold may
//! begin at any set. Windows that their age has emptied of meaning are not in it: that is how the window of a series
//! that is no longer read goes. One step is as large as all windows together, a few kilobytes on most machines and some
//! megabytes at most; sets in several steps would be smaller, and whole only some time later.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Event, Seq, State, Timestamp, limits, sample::Pass, window::Window};

/// Age up to which every set is kept.
pub const DAILY: Duration = Duration::from_secs(7 * 86_400);
/// Older ones are kept one for each span of this length.
const SPAN_MS: i64 = 7 * 86_400_000;
/// Windows beyond which series that are no longer read make room for others: half of those that may live.
const CROWD: usize = limits::LIVE_SERIES / 2;
/// How long they are remembered then; mounts of containers come and go by the hundred a day.
const UNREAD: Duration = Duration::from_secs(86_400);

/// What is known of the newest set of baselines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baselines {
    /// When it was recorded, moved with the clock; before the first set, when the daemon began to run.
    pub at: Option<Timestamp>,
    /// Number of its first record.
    pub from: Option<Seq>,
    /// Number of its last record.
    pub to: Seq,
    /// Ticks since, that of its own step included, as far as they are counted.
    pub ticks: u32,
}

impl Baselines {
    /// Takes note of a record; tells whether a set begins with it.
    pub(crate) fn take(&mut self, seq: Seq, at: Timestamp) -> bool {
        // Records of one step have one moment, and two sets have not.
        let begins = self.from.is_none() || self.at != Some(at);
        if begins {
            *self = Self { at: Some(at), from: Some(seq), to: seq, ticks: 0 };
        }
        self.to = seq;
        begins
    }
}

/// The set that is due with a tick; nothing on most ticks, and never before one that read nothing.
pub(crate) fn due(state: &State, pass: &Pass) -> Vec<Event> {
    let is_due = state.baselines.at.is_some_and(|at| pass.at.since(at) >= limits::BASELINE_INTERVAL);
    if !is_due || pass.sample.readings.is_empty() {
        return Vec::new();
    }
    let mut oldest = pass.at.minus(limits::WINDOW_AGE);
    if state.windows.len() > CROWD {
        // Held against the newest tick: what was not read because nothing was must not go for it.
        oldest = oldest.max(state.sampled_at.unwrap_or(pass.at).minus(UNREAD));
    }
    let lives = |window: &Window| window.last().is_some_and(|(at, _)| at >= oldest);
    let living = state.windows.iter().filter(|(_, window)| lives(window));
    living
        .map(|(series, window)| Event::Baseline { series: series.clone(), window: window.clone() })
        .collect()
}

/// Which sets are needed no more, by the number that names them: every set of the last seven days is kept, of older
/// ones the first of each span of seven days, and the newest always.
///
/// Sets come as number and moment of their first record. What is left is left alone the next time too, so it may be
/// asked at any time and in any rhythm.
#[must_use]
pub fn thin(sets: impl IntoIterator<Item = (Seq, Timestamp)>, now: Timestamp) -> Vec<Seq> {
    let mut sets: Vec<(Seq, Timestamp)> = sets.into_iter().collect();
    sets.sort_unstable();
    sets.pop();
    let mut spans = BTreeSet::new();
    // What was recorded by a clock that was ahead counts as new until the clock has come there.
    sets.retain(|(_, at)| !spans.insert(at.as_ms().div_euclid(SPAN_MS)) && now.since(*at) > DAILY);
    sets.into_iter().map(|(seq, _)| seq).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn day(n: i64) -> (Seq, Timestamp) {
        (Seq::new(u64::try_from(n).unwrap() * 5_800), Timestamp::from_ms(n * DAY_MS + 4_711))
    }

    #[test]
    fn sets_are_daily_for_a_week_and_weekly_before() {
        let mut kept: Vec<(Seq, Timestamp)> = Vec::new();
        for n in 1..=366 {
            kept.push(day(n));
            let now = day(n).1;
            let gone = thin(kept.iter().copied(), now);
            kept.retain(|(seq, _)| !gone.contains(seq));
            assert_eq!(kept.last(), Some(&day(n)), "the newest stays");
            for back in 1..=7.min(n - 1) {
                assert!(kept.contains(&day(n - back)), "day {n}: that of {back} days ago is missing");
            }
            assert!(thin(kept.iter().copied(), now).is_empty(), "what is left is left alone");
        }
        let old: Vec<i64> = kept.iter().rev().skip(8).rev().map(|(_, at)| at.as_ms() / DAY_MS).collect();
        assert!(old.len() >= 50 && old.windows(2).skip(1).all(|pair| pair[1] - pair[0] == 7), "{old:?}");
        assert_eq!(kept.len(), old.len() + 8);
    }

    #[test]
    fn the_order_of_asking_changes_nothing_much() {
        let now = day(400).1;
        let sets: Vec<(Seq, Timestamp)> = (1..=400).map(day).collect();
        let gone = thin(sets.iter().rev().copied(), now);
        assert_eq!(gone, thin(sets.iter().copied(), now));
        assert!(sets.len() - gone.len() < 70, "{}", sets.len() - gone.len());
    }

    #[test]
    fn a_clock_that_was_ahead_or_behind_loses_no_newest_set() {
        assert!(thin([], day(5).1).is_empty());
        assert!(thin([day(5)], day(5_000).1).is_empty());
        // Recorded by a clock in 1970 after ones of today: the newest by number is the newest.
        let sets = [(Seq::new(1), day(100).1), (Seq::new(2), day(101).1), (Seq::new(3), day(0).1)];
        assert!(!thin(sets, day(300).1).contains(&Seq::new(3)));
        // Recorded ahead: they wait until the clock comes there.
        let ahead = [(Seq::new(1), day(900).1), (Seq::new(2), day(901).1), (Seq::new(3), day(100).1)];
        assert!(thin(ahead, day(100).1).is_empty());
    }
}
