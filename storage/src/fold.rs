//! What a fold from the beginning may leave out.
//!
//! Windows hold the newest samples of a series, by count and by age, so samples that are beyond both need not be
//! folded. How far back each series must be read follows from chunk headers alone, walked from the newest number:
//! nothing is decoded for it. And the newest set of baselines holds all windows of its time, so no tick before it is
//! needed at all: some of them may have been pruned.

use std::collections::HashMap;

use systembot_model::{Seq, State, Timestamp, limits};

use crate::{
    chunk::{self, Header, Wanted},
    error::Error,
    event::{EventFilter, Events},
    reader::Reader,
    scan::Records,
    store::{self, Trees},
    view::View,
};

/// Samples of each series that a fold from the beginning takes: a whole window.
const SAMPLES: usize = limits::WINDOW_SAMPLES;

/// The state as of a number, or as of the newest record: a fold of all events, and of as many of the newest samples
/// of each series as a window can hold.
pub(crate) fn fold(reader: &Reader, up_to: Option<Seq>) -> Result<State, Error> {
    let mut view = reader.view()?;
    let newest = view.durable;
    let up_to = up_to.unwrap_or(newest);
    view.durable = up_to;
    view.hot.retain(|tick| tick.seq <= up_to);
    // What came after it may have pushed what is needed out of the newest samples: so many more of each are read.
    let beyond = usize::try_from(newest.get().saturating_sub(up_to.get())).unwrap_or(usize::MAX);
    let wanted = cuts(reader.trees()?, &view, SAMPLES.saturating_add(beyond))?;
    let mut state = State::default();
    for record in Records::start(reader.trees()?, view, Seq::ZERO, &wanted)? {
        let record = record?;
        if record.seq > up_to {
            break;
        }
        state.apply(&record);
    }
    // Ticks that are not needed may stand at the very end, when they read nothing.
    state.seq = up_to;
    Ok(state)
}

/// What was found of a series, walking back.
#[derive(Default)]
struct Found {
    /// Samples that its window has not forgotten by their age: so many of them push whatever came before out of it.
    samples: usize,
    /// The latest moment so far: what is far older was forgotten then.
    latest: Option<Timestamp>,
    /// Number of the oldest tick needed so far.
    from: Option<u64>,
    is_enough: bool,
}

impl Found {
    /// Counts samples of a span that came before those counted so far.
    fn count(&mut self, samples: usize, (first, last): (Timestamp, Timestamp)) {
        let latest = self.latest.map_or(last, |latest| latest.max(last));
        if first >= latest.minus(limits::WINDOW_AGE) {
            self.samples += samples;
        }
        self.latest = Some(latest);
    }
}

/// Every recorded series, from the number on from which it must be folded; a little more than `samples` of each.
fn cuts(trees: &Trees, view: &View, samples: usize) -> Result<Vec<Wanted>, Error> {
    let mut found: HashMap<u32, Found> = HashMap::new();
    for tick in view.hot.iter().rev() {
        for (id, _) in &tick.cells {
            let series = found.entry(*id).or_default();
            series.count(1, (tick.at, tick.at));
            series.from = Some(tick.seq.get());
        }
    }
    let settled = settled(trees, view)?;
    for group in 0..view.catalogue.groups() {
        walk(trees, view, (group, settled), (samples, &mut found))?;
    }
    Ok(found
        .into_iter()
        .filter_map(|(id, series)| Some(Wanted { id, slot: id, from: series.from? }))
        .collect())
}

/// The number of the newest set of baselines' first record, as far as shown: what comes before it no window needs.
fn settled(trees: &Trees, view: &View) -> Result<Seq, Error> {
    let mut first = Seq::ZERO;
    for record in Events::start(trees, EventFilter::kinds(&["baseline"]), view.durable).rev() {
        let seq = record?.seq;
        if first != Seq::ZERO && seq.next() != first {
            break;
        }
        first = seq;
    }
    Ok(first)
}

fn walk(
    trees: &Trees,
    view: &View,
    (group, settled): (u16, Seq),
    (samples, found): (usize, &mut HashMap<u32, Found>),
) -> Result<(), Error> {
    let broken = |error| store::failure("chunk".as_ref(), error);
    let members = view.catalogue.members(group);
    let range = chunk::order_key(group, 0)..=chunk::order_key(group, u64::MAX);
    for item in trees.order.range(range).rev() {
        if members.iter().all(|id| found.get(id).is_some_and(|series| series.is_enough)) {
            break;
        }
        let (key, place) = item.map_err(broken)?;
        let (Some((_, seq)), Some(first)) = (chunk::parse_order_key(&key), place.first_chunk::<8>()) else {
            return Err(Error::damaged("a chunk's key is of no known form"));
        };
        let place = chunk::key(group, Timestamp::from_ms(i64::from_be_bytes(*first)), seq);
        let Some(chunk) = trees.chunk.get(place).map_err(broken)? else {
            if !trees.order.contains_key(&key).map_err(broken)? {
                // Pruned since the entry was read.
                continue;
            }
            return Err(Error::damaged(format!("the chunk of record {seq} is missing")));
        };
        let (header, _) = Header::read(&chunk)?;
        if !view.shows(&header) {
            continue;
        }
        if header.last_seq < settled.get() {
            break;
        }
        for column in &header.columns {
            let series = found.entry(column.id).or_default();
            if series.is_enough {
                continue;
            }
            series.count(usize::from(column.present), (header.first, header.last));
            series.from = Some(header.first_seq);
            series.is_enough = series.samples >= samples;
        }
    }
    Ok(())
}
