//! Samples over time, single or in buckets.

use systembot_model::{Timestamp, number};

use super::{History, Row, Sink, Step, Stop};
use crate::{
    error::Error,
    reader::Reader,
    scan::{Choice, Query, Tick},
};

pub(super) fn answer(reader: &Reader, history: &History, sink: Sink<'_>) -> Result<(), Error> {
    let choice = Choice::Matching(history.patterns.clone());
    let mut query = Query { choice, since: history.since, until: history.until };
    if let Some(Step::At(starts)) = &history.step {
        // What lies before the first bucket is in none.
        query.since = starts.first().map_or(query.until, |first| query.since.max(*first));
    }
    let mut rows =
        Rows { step: history.step.as_ref(), bucket: None, slots: Vec::new(), skip: 0, left: usize::MAX };
    if let Some(limit) = history.limit {
        let tail = tail(reader, &query, (history.step.as_ref(), limit))?;
        query.since = tail.0;
        (rows.skip, rows.left) = (tail.1.saturating_sub(limit), limit);
    }
    let mut scan = reader.scan(&query)?;
    if sink(Row::Names(scan.names().to_vec())).is_err() {
        return Ok(());
    }
    while let Some(tick) = scan.next_tick()? {
        if rows.take(tick, sink).is_err() {
            return Ok(());
        }
    }
    // Nothing follows the last bucket.
    let _ = rows.close(sink);
    Ok(())
}

/// Where the newest rows begin, and how many there are from there on.
///
/// They are counted first and given in a second pass, so that a great limit takes no memory. What is recorded
/// between the passes comes after the last row counted, and the limit cuts it off.
fn tail(
    reader: &Reader,
    query: &Query,
    (step, limit): (Option<&Step>, usize),
) -> Result<(Timestamp, usize), Error> {
    let Some(step) = step else {
        let tail = reader.tail(query, limit, |at| at)?;
        return Ok((tail.since, tail.rows));
    };
    let count = |since: Timestamp| -> Result<usize, Error> {
        let mut rows = Rows { step: Some(step), bucket: None, slots: Vec::new(), skip: 0, left: usize::MAX };
        let mut scan = reader.scan(&Query { since, ..query.clone() })?;
        let mut counted = 0_usize;
        let mut sink = |_| {
            counted += 1;
            Ok(())
        };
        while let Some(tick) = scan.next_tick()? {
            // This sink takes everything.
            let _ = rows.take(tick, &mut sink);
        }
        let _ = rows.close(&mut sink);
        Ok(counted)
    };
    // As many samples as rows are in at most as many buckets; from there on, twice as many until it is enough.
    let mut samples = limit.max(1);
    loop {
        let tail = reader.tail(query, samples, |at| start(step, at).unwrap_or(at))?;
        let rows = count(tail.since)?;
        if rows >= limit || tail.rows < samples {
            return Ok((tail.since, rows));
        }
        samples = samples.saturating_mul(8);
    }
}

/// The begin of a moment's bucket; `None` before the first one.
fn start(step: &Step, at: Timestamp) -> Option<Timestamp> {
    match step {
        Step::Every(ms) => {
            let ms = (*ms).max(1);
            Some(Timestamp::from_ms(at.as_ms().div_euclid(ms).saturating_mul(ms)))
        }
        Step::At(starts) => {
            let after = starts.partition_point(|start| *start <= at);
            starts.get(after.checked_sub(1)?).copied()
        }
    }
}

/// Makes rows of ticks.
struct Rows<'a> {
    step: Option<&'a Step>,
    /// Begin of the bucket that is being filled, and the first moment beyond it where that is known.
    bucket: Option<(Timestamp, Timestamp)>,
    /// What it has, by name.
    slots: Vec<Bucket>,
    /// Rows to leave out first.
    skip: usize,
    /// Rows to give after that.
    left: usize,
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    sum: f64,
    min: f64,
    max: f64,
    last: f64,
    count: u64,
}

impl Rows<'_> {
    fn take(&mut self, tick: Tick<'_>, sink: Sink<'_>) -> Result<(), Stop> {
        let Some(step) = self.step else {
            for (series, value) in tick.readings {
                self.give(Row::Point { at: tick.at, series: *series, value: *value }, sink)?;
            }
            return Ok(());
        };
        if self.bucket.is_none_or(|(_, end)| tick.at >= end) {
            self.close(sink)?;
            let Some(begin) = start(step, tick.at) else { return Ok(()) };
            self.bucket = Some((begin, end(step, begin)));
        }
        for (series, value) in tick.readings {
            let slot = usize::try_from(*series).unwrap_or(usize::MAX);
            if slot >= self.slots.len() {
                self.slots.resize(slot + 1, Bucket::default());
            }
            if let Some(bucket) = self.slots.get_mut(slot) {
                bucket.add(*value);
            }
        }
        Ok(())
    }

    /// Gives the rows of the bucket that is being filled.
    fn close(&mut self, sink: Sink<'_>) -> Result<(), Stop> {
        let Some((at, _)) = self.bucket.take() else { return Ok(()) };
        let mut slots = std::mem::take(&mut self.slots);
        for (series, bucket) in (0_u32..).zip(&mut slots) {
            if bucket.count > 0 {
                self.give(bucket.row(at, series), sink)?;
                *bucket = Bucket::default();
            }
        }
        self.slots = slots;
        Ok(())
    }

    fn give(&mut self, row: Row, sink: Sink<'_>) -> Result<(), Stop> {
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(());
        }
        self.left = self.left.checked_sub(1).ok_or(Stop)?;
        sink(row)
    }
}

impl Bucket {
    fn add(&mut self, value: f64) {
        (self.min, self.max) =
            if self.count == 0 { (value, value) } else { (self.min.min(value), self.max.max(value)) };
        self.sum += value;
        self.last = value;
        self.count += 1;
    }

    fn row(&self, at: Timestamp, series: u32) -> Row {
        let Self { sum, min, max, last, count } = *self;
        // Rounding must not put the mean of equal values beside them.
        let mean = (sum / number::float(count)).clamp(min, max);
        Row::Bucket { at, series, mean, min, max, last, count }
    }
}

/// The first moment beyond a bucket.
fn end(step: &Step, begin: Timestamp) -> Timestamp {
    match step {
        Step::Every(ms) => Timestamp::from_ms(begin.as_ms().saturating_add((*ms).max(1))),
        Step::At(starts) => {
            let after = starts.partition_point(|start| *start <= begin);
            starts.get(after).copied().unwrap_or(Timestamp::MAX)
        }
    }
}
