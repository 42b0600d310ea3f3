//! Reading ticks: by time for answers, by number for folding.

mod cursor;
mod merge;
mod rolled;

use systembot_model::{Event, Pattern, Reading, Record, Sample, Seq, Series, Timestamp};

pub(crate) use self::rolled::Rolled;
use self::{cursor::Course, merge::Merge};
use crate::{
    chunk::Wanted,
    error::Error,
    event::{EventFilter, Events},
    store::Trees,
    view::View,
};

/// Which series are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Those that any of these chooses; all if there are none.
    Matching(Vec<Pattern>),
    /// This one.
    Only(Series),
}

/// Which samples are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Which series.
    pub choice: Choice,
    /// First moment.
    pub since: Timestamp,
    /// The moment after the last.
    pub until: Timestamp,
}

impl Default for Query {
    fn default() -> Self {
        Self { choice: Choice::Matching(Vec::new()), since: Timestamp::MIN, until: Timestamp::MAX }
    }
}

impl Query {
    /// Whether a series is wanted.
    pub(crate) fn takes(&self, series: &Series) -> bool {
        match &self.choice {
            Choice::Matching(patterns) => {
                patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(series))
            }
            Choice::Only(only) => only == series,
        }
    }
}

/// Samples in order of time, recorded and imported ones, see [`crate::Reader::scan`].
pub struct Scan {
    names: Vec<Series>,
    merge: Merge,
}

/// All samples of one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tick<'a> {
    /// The moment.
    pub at: Timestamp,
    /// Index into [`Scan::names`] and value, by index; one or more.
    pub readings: &'a [(u32, f64)],
}

/// The chosen series in order of name, and how to find them.
pub(crate) fn chosen(view: &View, query: &Query) -> (Vec<Series>, Vec<Wanted>) {
    let mut chosen: Vec<(Series, u32)> = view
        .catalogue
        .entries()
        .iter()
        .filter(|entry| query.takes(&entry.series))
        .map(|entry| (entry.series.clone(), entry.id))
        .collect();
    chosen.sort_unstable();
    let wanted = (0_u32..).zip(&chosen).map(|(slot, (_, id))| Wanted::new(*id, slot)).collect();
    (chosen.into_iter().map(|(series, _)| series).collect(), wanted)
}

impl Scan {
    pub(crate) fn start(trees: &Trees, view: View, query: &Query) -> Result<Self, Error> {
        let (names, wanted) = chosen(&view, query);
        let course = Course::Time { since: query.since, until: query.until };
        Ok(Self { names, merge: Merge::start(trees, view, &wanted, course)? })
    }

    /// The chosen series in order of name, those without samples in the span too.
    #[must_use]
    pub fn names(&self) -> &[Series] {
        &self.names
    }

    /// The next moment that has samples; nothing is allocated for it.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a chunk does not read back; the scan cannot go on after it.
    pub fn next_tick(&mut self) -> Result<Option<Tick<'_>>, Error> {
        loop {
            let Some((at, _)) = self.merge.step()? else { return Ok(None) };
            if !self.merge.readings().is_empty() {
                return Ok(Some(Tick { at, readings: self.merge.readings() }));
            }
        }
    }
}

/// Records in order of number, ticks among them and imported samples not, see [`crate::Reader::records`].
pub struct Records {
    /// By series number.
    names: Vec<Series>,
    merge: Merge,
    events: Events,
    tick: Option<Record>,
    /// The next event with its number, or why it cannot be read: that is told when its turn comes.
    event: Option<(Seq, Result<Record, Error>)>,
    ended: bool,
}

impl Records {
    pub(crate) fn start(trees: &Trees, view: View, after: Seq, wanted: &[Wanted]) -> Result<Self, Error> {
        let names = view.catalogue.entries().iter().map(|entry| entry.series.clone()).collect();
        let events = Events::start(trees, EventFilter { after, ..EventFilter::default() }, view.durable);
        // What pruning has left of older ticks are samples still, but no whole records.
        let after = after.max(view.pruned);
        let merge = Merge::start(trees, view, wanted, Course::Seq { after })?;
        Ok(Self { names, merge, events, tick: None, event: None, ended: false })
    }

    fn next_tick(&mut self) -> Result<Option<Record>, Error> {
        let Some((at, seq)) = self.merge.step()? else { return Ok(None) };
        let reading = |(slot, value): &(u32, f64)| {
            let series = self.names.get(usize::try_from(*slot).ok()?)?.clone();
            Some(Reading { series, value: *value })
        };
        let readings = self.merge.readings().iter().filter_map(reading).collect();
        Ok(Some(Record { seq: Seq::new(seq), at, event: Event::Sampled(Sample { readings }) }))
    }

    fn advance(&mut self) -> Result<Option<Record>, Error> {
        if self.tick.is_none() {
            self.tick = self.next_tick()?;
        }
        if self.event.is_none() {
            // Without a number it is not known whose turn it is: nothing may come before it.
            self.event = self.events.next_wanted().map(|(seq, read)| (seq.unwrap_or(Seq::ZERO), read));
        }
        let is_tick_first = match (&self.tick, &self.event) {
            (Some(tick), Some((seq, _))) => tick.seq < *seq,
            (tick, _) => tick.is_some(),
        };
        if is_tick_first {
            return Ok(self.tick.take());
        }
        self.event.take().map(|(_, event)| event).transpose()
    }
}

impl Iterator for Records {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.advance().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Puts spans in order, and makes one of those that are so near.
pub(crate) fn join(spans: &mut Vec<(Timestamp, Timestamp)>, gap_ms: i64) {
    spans.sort_unstable();
    spans.dedup_by(|next, before| {
        let is_near = next.0.as_ms() <= before.1.as_ms().saturating_add(gap_ms);
        if is_near {
            before.1 = before.1.max(next.1);
        }
        is_near
    });
}
