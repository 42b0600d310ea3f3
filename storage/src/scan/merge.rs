//! The ticks of all groups and of the ring as one stream.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use systembot_model::Timestamp;

use super::cursor::{Course, Cursor};
use crate::{
    chunk::{self, Decoder, Wanted},
    error::Error,
    store::Trees,
    view::View,
};

/// Merges by time or by number, one tick at a time, without allocating for each.
pub(super) struct Merge {
    view: View,
    cursors: Vec<Cursor>,
    hot: Hot,
    decoder: Decoder,
    readings: Vec<(u32, f64)>,
    /// What went wrong behind the tick that was given last.
    failure: Option<Error>,
}

/// The wanted part of the ring, in the order of the course.
struct Hot {
    /// Key, moment, and which of the cells.
    ticks: std::vec::IntoIter<(u64, Timestamp, Range<usize>)>,
    cells: Vec<(u32, f64)>,
}

impl Merge {
    /// Starts a scan over a cut, for series in any order.
    pub(super) fn start(trees: &Trees, view: View, wanted: &[Wanted], course: Course) -> Result<Self, Error> {
        let mut groups: BTreeMap<u16, Vec<Wanted>> = BTreeMap::new();
        for series in wanted {
            let Some(entry) = view.catalogue.entry(series.id) else { continue };
            groups.entry(entry.group).or_default().push(*series);
        }
        if matches!(course, Course::Seq { .. }) {
            // Ticks that read nothing are kept there.
            groups.entry(0).or_default();
        }
        let hot = Hot::pick(&view, wanted, course);
        let mut cursors = Vec::with_capacity(groups.len());
        for (group, mut wanted) in groups {
            wanted.sort_unstable_by_key(|series| series.id);
            cursors.push(Cursor::start(trees, group, Arc::from(wanted), course)?);
        }
        let mut decoder = Decoder::default();
        for cursor in &mut cursors {
            cursor.settle(&view, &mut decoder)?;
        }
        Ok(Self { view, cursors, hot, decoder, readings: Vec::new(), failure: None })
    }

    /// Steps to the next key; gives its moment and itself. What was read then is in [`Merge::readings`].
    pub(super) fn step(&mut self) -> Result<Option<(Timestamp, u64)>, Error> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let heads = self.cursors.iter().filter_map(Cursor::head);
        let Some(head) = heads.chain(self.hot.head()).min() else { return Ok(None) };
        self.readings.clear();
        let (mut moment, mut sources) = (None, 0_u32);
        for cursor in &mut self.cursors {
            while cursor.head() == Some(head) {
                moment = cursor.take(&mut self.readings).or(moment);
                sources += 1;
                if let Err(failure) = cursor.settle(&self.view, &mut self.decoder) {
                    // The tick itself is whole and is given first.
                    self.failure = Some(failure);
                    break;
                }
            }
        }
        while self.hot.head() == Some(head) {
            moment = self.hot.take(&mut self.readings).or(moment);
            sources += 1;
        }
        if sources > 1 {
            // By name; two values of one series at one moment by value, so that chunks and ring give the same.
            self.readings.sort_unstable_by(|(a, x), (b, y)| a.cmp(b).then(x.total_cmp(y)));
        }
        Ok(moment.map(|at| (at, head)))
    }

    /// What was read at the key stepped to: slot and value, by slot.
    pub(super) fn readings(&self) -> &[(u32, f64)] {
        &self.readings
    }
}

impl Hot {
    fn pick(view: &View, wanted: &[Wanted], course: Course) -> Self {
        let mut by_id: Vec<Wanted> = wanted.to_vec();
        by_id.sort_unstable_by_key(|series| series.id);
        let (mut ticks, mut cells) = (Vec::new(), Vec::new());
        for tick in &view.hot {
            let (key, is_taken) = match course {
                Course::Time { since, until } => {
                    (chunk::ordered(tick.at), since <= tick.at && tick.at < until)
                }
                Course::Seq { after } => (tick.seq.get(), tick.seq > after),
            };
            if !is_taken {
                continue;
            }
            let start = cells.len();
            for (id, value) in &tick.cells {
                let found = by_id.binary_search_by_key(id, |series| series.id);
                if let Some(series) = found.ok().and_then(|i| by_id.get(i))
                    && tick.seq.get() >= series.from
                {
                    cells.push((series.slot, *value));
                }
            }
            if let Some(new) = cells.get_mut(start..) {
                new.sort_unstable_by_key(|(slot, _)| *slot);
            }
            // A tick that read nothing is a record too.
            if cells.len() > start || matches!(course, Course::Seq { .. }) {
                ticks.push((key, tick.at, start..cells.len()));
            }
        }
        ticks.sort_by_key(|(key, ..)| *key);
        Self { ticks: ticks.into_iter(), cells }
    }

    fn head(&self) -> Option<u64> {
        self.ticks.as_slice().first().map(|(key, ..)| *key)
    }

    fn take(&mut self, into: &mut Vec<(u32, f64)>) -> Option<Timestamp> {
        let (_, at, range) = self.ticks.next()?;
        into.extend_from_slice(self.cells.get(range)?);
        Some(at)
    }
}
