//! Samples over time, single or in buckets.

use systembot_model::{Timestamp, number};

use super::{Basis, History, Row, Sink, Step, Stop};
use crate::{
    chunk::rollup::{self, Rollup},
    error::Error,
    reader::Reader,
    scan::{Choice, Query, Rolled, Tick, chosen, join},
};

const DAY_MS: i64 = 86_400_000;

/// Part of a span, and what answers for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Samples(Timestamp, Timestamp),
    Rollups(Timestamp, Timestamp),
}

pub(super) fn answer(reader: &Reader, history: &History, sink: Sink<'_>) -> Result<(), Error> {
    let choice = Choice::Matching(history.patterns.clone());
    let mut query = Query { choice, since: history.since, until: history.until };
    if let Some(Step::At(starts)) = &history.step {
        // What lies before the first bucket is in none.
        query.since = starts.first().map_or(query.until, |first| query.since.max(*first));
    }
    let mut rows = Rows::new(history.step.as_ref());
    rows.newest = history.newest;
    if let Some(limit) = history.limit {
        let tail = tail(reader, &query, (history.step.as_ref(), limit))?;
        query.since = tail.0;
        (rows.skip, rows.left) = (tail.1.saturating_sub(limit), limit);
    }
    if sink(Row::Names(chosen(&reader.view()?, &query).0)).is_err() {
        return Ok(());
    }
    if give(reader, &query, &mut rows, sink)? {
        // Nothing follows the last bucket.
        let _ = rows.close(sink);
    }
    Ok(())
}

/// Gives the rows of a span, but for the end of the last bucket; whether all of them were wanted.
fn give(reader: &Reader, query: &Query, rows: &mut Rows<'_>, sink: Sink<'_>) -> Result<bool, Error> {
    for part in parts(reader, query, (rows.step, rows.newest))? {
        match part {
            Part::Samples(since, until) => {
                let mut scan = reader.scan(&Query { since, until, ..query.clone() })?;
                while let Some(tick) = scan.next_tick()? {
                    if rows.take(tick, sink).is_err() {
                        return Ok(false);
                    }
                }
            }
            Part::Rollups(since, until) => {
                let view = reader.view()?;
                let (_, wanted) = chosen(&view, query);
                let mut rolled = Rolled::start(reader.trees()?, &view, &wanted, (since, until))?;
                while let Some((at, rollups)) = rolled.next_row()? {
                    if rows.take_rolled(at, rollups, sink).is_err() {
                        return Ok(false);
                    }
                }
            }
        }
    }
    Ok(true)
}

/// What answers for which part of a span, in order of time.
///
/// Roll-ups answer for whole rows of theirs that are sealed, where the buckets are made of such rows; else only where
/// samples have gone. What they do not cover the samples answer for, so none is counted twice. The clock may have been
/// anywhere: samples of a moment long ago take the place of the roll-ups of their own rows, and of no others.
fn parts(
    reader: &Reader,
    query: &Query,
    (step, newest_wanted): (Option<&Step>, bool),
) -> Result<Vec<Part>, Error> {
    let (since, until) = (query.since, query.until);
    if since >= until {
        return Ok(Vec::new());
    }
    let Some(step) = step else { return Ok(vec![Part::Samples(since, until)]) };
    let view = reader.view()?;
    let row = |at: Timestamp| Timestamp::from_ms(rollup::row_of(at));
    let up = |at: Timestamp| {
        let begin = row(at);
        if begin < at { after(begin) } else { begin }
    };
    let mut sampled: Vec<(Timestamp, Timestamp)> =
        view.hot.iter().map(|tick| (row(tick.at), after(row(tick.at)))).collect();
    join(&mut sampled, DAY_MS);
    if newest_wanted || !is_made_of_rows(step) || !reader.is_rolled_up()? {
        let sealed = reader.sampled(&view, query)?;
        sampled.extend(sealed.into_iter().map(|(first, last)| (row(first), after(row(last)))));
    }
    // Rows that the span has a part of only.
    sampled.extend([(since, up(since)), (row(until), until)]);
    join(&mut sampled, 0);
    let (mut parts, mut done) = (Vec::new(), since);
    for (first, end) in sampled {
        let (first, end) = (first.clamp(done, until), end.clamp(done, until));
        if done < first {
            parts.push(Part::Rollups(done, first));
        }
        if first < end {
            parts.push(Part::Samples(first, end));
        }
        done = end;
    }
    if done < until {
        parts.push(Part::Rollups(done, until));
    }
    Ok(parts)
}

/// The begin of the next row of roll-ups.
const fn after(row: Timestamp) -> Timestamp {
    Timestamp::from_ms(row.as_ms().saturating_add(rollup::STEP_MS))
}

/// Whether all buckets begin and end with rows of roll-ups.
fn is_made_of_rows(step: &Step) -> bool {
    match step {
        Step::Every(ms) => ms % rollup::STEP_MS == 0,
        Step::At(starts) => starts.iter().all(|start| start.as_ms() % rollup::STEP_MS == 0),
    }
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
        let mut rows = Rows::new(Some(step));
        let mut counted = 0_usize;
        let mut sink = |_| {
            counted += 1;
            Ok(())
        };
        give(reader, &Query { since, ..query.clone() }, &mut rows, &mut sink)?;
        let _ = rows.close(&mut sink);
        Ok(counted)
    };
    let view = reader.view()?;
    let rolled = reader.rolled_since(&view, query)?;
    let Some((first, last)) = reader
        .span(&view, query)?
        .map_or(rolled, |(first, last)| Some((rolled.map_or(first, |(rolled, _)| rolled.min(first)), last)))
    else {
        return Ok((query.since, 0));
    };
    let least = query.since.max(start(step, first).unwrap_or(first));
    let until = query.until.min(Timestamp::from_ms(last.as_ms().saturating_add(1)));
    // As many buckets as rows are wanted; from there on, eight times as many until it is enough.
    let width = match step {
        Step::Every(ms) => (*ms).max(1),
        Step::At(_) => DAY_MS,
    };
    let mut span = width.saturating_mul(i64::try_from(limit.max(1)).unwrap_or(i64::MAX));
    loop {
        let begin = Timestamp::from_ms(until.as_ms().saturating_sub(span));
        // Moments may lie farther apart than a span reaches.
        let begin = if span == i64::MAX { least } else { start(step, begin).unwrap_or(begin).max(least) };
        let rows = count(begin)?;
        if rows >= limit || begin <= least {
            return Ok((begin.max(query.since), rows));
        }
        span = span.saturating_mul(8);
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
    /// Whether the newest value of each bucket is wanted.
    newest: bool,
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
    figures: Option<Rollup>,
    from: Basis,
}

impl<'a> Rows<'a> {
    /// All rows, none yet.
    const fn new(step: Option<&'a Step>) -> Self {
        Self { step, newest: false, bucket: None, slots: Vec::new(), skip: 0, left: usize::MAX }
    }

    fn take(&mut self, tick: Tick<'_>, sink: Sink<'_>) -> Result<(), Stop> {
        let Some(step) = self.step else {
            for (series, value) in tick.readings {
                self.give(Row::Point { at: tick.at, series: *series, value: *value }, sink)?;
            }
            return Ok(());
        };
        if self.enter(step, tick.at, sink)? {
            for (series, value) in tick.readings {
                if let Some(bucket) = self.slot(*series) {
                    bucket.add(&Rollup::of(*value));
                }
            }
        }
        Ok(())
    }

    fn take_rolled(&mut self, at: Timestamp, rollups: &[(u32, Rollup)], sink: Sink<'_>) -> Result<(), Stop> {
        let Some(step) = self.step else { return Ok(()) };
        if self.enter(step, at, sink)? {
            for (series, rollup) in rollups {
                if let Some(bucket) = self.slot(*series) {
                    bucket.add(rollup);
                    bucket.from = Basis::Rollups;
                }
            }
        }
        Ok(())
    }

    /// Goes to the bucket of a moment; whether there is one.
    fn enter(&mut self, step: &Step, at: Timestamp, sink: Sink<'_>) -> Result<bool, Stop> {
        if self.bucket.is_none_or(|(_, end)| at >= end) {
            self.close(sink)?;
            let Some(begin) = start(step, at) else { return Ok(false) };
            self.bucket = Some((begin, end(step, begin)));
        }
        Ok(true)
    }

    fn slot(&mut self, series: u32) -> Option<&mut Bucket> {
        let slot = usize::try_from(series).ok()?;
        if slot >= self.slots.len() {
            self.slots.resize(slot + 1, Bucket::default());
        }
        self.slots.get_mut(slot)
    }

    /// Gives the rows of the bucket that is being filled.
    fn close(&mut self, sink: Sink<'_>) -> Result<(), Stop> {
        let Some((at, _)) = self.bucket.take() else { return Ok(()) };
        let mut slots = std::mem::take(&mut self.slots);
        for (series, bucket) in (0_u32..).zip(&mut slots) {
            if let Some(row) = bucket.row(at, series) {
                self.give(row, sink)?;
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
    fn add(&mut self, later: &Rollup) {
        match &mut self.figures {
            Some(figures) => figures.add(later),
            None => self.figures = Some(*later),
        }
    }

    fn row(&self, at: Timestamp, series: u32) -> Option<Row> {
        let Rollup { min, max, last, sum, count } = self.figures?;
        // Rounding must not put the mean of equal values beside them.
        let mean = (sum / number::float(count)).clamp(min, max);
        Some(Row::Bucket { at, series, mean, min, max, last, count, from: self.from })
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
