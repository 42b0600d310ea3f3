//! Roll-ups: what is kept of the samples of five minutes when the samples themselves are gone.
//!
//! A sheet is a frame whose payload is a [`Head`] and after it the columns it lists: the moments of its rows, then for
//! each series that has a value in any of them a bitmap (where it is missing in some rows), a byte that tells the
//! form, and five columns: the least value, how far the greatest lies above it, how far the newest lies below that, how
//! far the sum lies from that of so many values amid the two, and the count. Values that are decimals come back bit for
//! bit (form `1 + d`: all figures are integers, times 10^d); others are kept as they are (form `0`), each figure by
//! itself. The newest value is kept of totals alone: a rate over a row needs it, and for anything else it costs as much
//! as the mean. The least value of a total is told by how far it lies above the greatest of the row before.
//!
//! The series of a group lie in three lanes, so that a sheet covers a longer time and its own bytes weigh less. Sheets of a
//! lane do not overlap, and a moment has one row. A row that a clock that went back brings again, or an
//! import, or the second of two sealings within five minutes, is added to the row that is there.

use std::{collections::BTreeMap, ops::Bound};

use pco::DecompressorScratch;
use serde::{Deserialize, Serialize};
use systembot_model::{Timestamp, number};

use super::{
    Block, DECIMALS_MAX, Decoder, Header, Wanted,
    decode::{self, Parts, scale, unscaled},
    encode::{bitmap, floats, integers, pco_header, scaled, short},
};
use crate::{
    catalogue::Catalogue,
    codec,
    error::Error,
    store::{self, Put, Trees, VALUE_BYTES},
};

/// What one row covers, aligned to multiples of it since the epoch.
pub(crate) const STEP_MS: i64 = 300_000;
/// A sheet larger than this is full: rows that come after it begin the next one, and it need not be written again.
const FULL_BYTES: usize = 6_700;
/// Lanes of a group.
pub(crate) const LANES: u16 = 3;
/// Columns of one series.
const FIGURES: usize = 5;
/// Figures that do not fit integers.
const AS_FLOATS: u8 = 0;

/// The samples of one series within a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rollup {
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// The newest; NaN where it is not kept.
    pub(crate) last: f64,
    pub(crate) sum: f64,
    /// 1 or more.
    pub(crate) count: u64,
}

/// Whether the newest value of each row is kept of a series.
fn keeps_last(catalogue: &Catalogue, id: u32) -> bool {
    catalogue.entry(id).is_some_and(|entry| entry.series.metric().ends_with("_total"))
}

impl Rollup {
    /// No sample.
    const NONE: Self = Self { min: 0.0, max: 0.0, last: 0.0, sum: 0.0, count: 0 };

    /// One sample.
    pub(crate) const fn of(value: f64) -> Self {
        Self { min: value, max: value, last: value, sum: value, count: 1 }
    }

    /// Adds what was sampled later.
    pub(crate) fn add(&mut self, later: &Self) {
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        self.last = later.last;
        self.sum += later.sum;
        self.count += later.count;
    }

    /// Takes the place of what knows of fewer of the same samples.
    const fn outdo(&mut self, other: &Self) {
        if other.count > self.count {
            *self = *other;
        }
    }
}

/// Rows by moment, each with its series by number.
pub(crate) type Rows = BTreeMap<i64, BTreeMap<u32, Rollup>>;

/// What a row that is there becomes by another of the same moment.
type Merge = fn(&mut Rollup, &Rollup);

/// From one moment on, and up to another.
type Span = (Timestamp, Timestamp);

/// What a sheet holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) lane: u16,
    /// Rows, 1 or more.
    rows: u16,
    /// Moments of the first and the last row.
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pco_bytes: u16,
    time_bytes: u16,
    /// The series, ascending by number.
    pub(crate) columns: Vec<Column>,
}

/// One series in a sheet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) id: u32,
    /// Rows in which it has a value, 1 or more.
    present: u16,
    /// Bytes before the figures, and of each figure.
    before: u16,
    bytes: [u16; FIGURES],
}

impl Column {
    fn bytes(&self) -> usize {
        self.bytes.iter().chain([&self.before]).map(|bytes| usize::from(*bytes)).sum()
    }
}

impl Head {
    /// Checks a sheet's frame and reads its head; gives the columns' bytes too.
    pub(crate) fn read(sheet: &[u8]) -> Result<(Self, &[u8]), Error> {
        let (head, body) = codec::payload(sheet)
            .and_then(codec::prefix::<Self>)
            .map_err(Error::reading(|| "a sheet of roll-ups".into()))?;
        let bytes = usize::from(head.pco_bytes)
            + usize::from(head.time_bytes)
            + head.columns.iter().map(Column::bytes).sum::<usize>();
        if bytes != body.len() || head.rows == 0 || head.first > head.last {
            return Err(Error::damaged(format!("{} contradict themselves", head.place())));
        }
        Ok((head, body))
    }

    /// How it is called in messages.
    pub(crate) fn place(&self) -> String {
        format!("the roll-ups of group {} from {}", self.lane / LANES, self.first.rfc3339())
    }

    /// The key in the rollup tree.
    pub(crate) fn key(&self) -> Vec<u8> {
        key(self.lane, self.first)
    }
}

/// The lane of a series in a group.
pub(crate) fn lane(group: u16, id: u32) -> u16 {
    let place = u16::try_from(id % u32::from(LANES)).unwrap_or(0);
    group.saturating_mul(LANES).saturating_add(place)
}

/// The lanes of all groups.
pub(crate) fn lanes(catalogue: &Catalogue) -> std::ops::Range<u16> {
    0..catalogue.groups().saturating_mul(LANES)
}

/// The key of a sheet, in order of lane and time.
pub(crate) fn key(lane: u16, first: Timestamp) -> Vec<u8> {
    let mut key = lane.to_be_bytes().to_vec();
    key.extend(super::ordered(first).to_be_bytes());
    key
}

/// The row of a moment.
pub(crate) fn row_of(at: Timestamp) -> i64 {
    at.as_ms().div_euclid(STEP_MS).saturating_mul(STEP_MS)
}

/// What is to be written so that the samples of chunks are rolled up too: all are new, or the chunks are all that have
/// samples in a span, some of which may have been rolled up before.
pub(crate) fn puts(
    trees: &Trees,
    catalogue: &Catalogue,
    (chunks, span): (&[(Header, Vec<u8>)], Option<Span>),
) -> Result<Vec<Put>, Error> {
    let mut lanes: BTreeMap<u16, Rows> = BTreeMap::new();
    let (mut decoder, mut block, mut cells) = (Decoder::default(), Block::default(), Vec::new());
    for (_, chunk) in chunks {
        let (header, body) = Header::read(chunk)?;
        let wanted: Vec<Wanted> =
            header.columns.iter().map(|column| Wanted::new(column.id, column.id)).collect();
        decoder.times(&header, body, &mut block)?;
        decoder.seqs(&header, body, &mut block)?;
        decoder.columns(&header, body, &wanted, &mut block)?;
        while let Some((at, _)) = block.head() {
            cells.clear();
            block.take(&mut cells);
            if span.is_some_and(|(since, until)| at < since || at >= until) {
                continue;
            }
            for (id, value) in &cells {
                let lane = lane(header.group, *id);
                let row = lanes.entry(lane).or_default().entry(row_of(at)).or_default();
                let new = Rollup::of(*value);
                row.entry(*id).and_modify(|old| old.add(&new)).or_insert(new);
            }
        }
    }
    let mut puts = Vec::new();
    let merge = if span.is_some() { Rollup::outdo } else { Rollup::add };
    for (lane, rows) in lanes {
        add(trees, catalogue, (lane, rows, merge), &mut puts)?;
    }
    Ok(puts)
}

/// Adds rows of a lane to its sheets.
fn add(
    trees: &Trees,
    catalogue: &Catalogue,
    (lane, mut rows, merge): (u16, Rows, Merge),
    puts: &mut Vec<Put>,
) -> Result<(), Error> {
    rows.retain(|_, row| !row.is_empty());
    let broken = |error| store::failure("rollup".as_ref(), error);
    while let Some((first, _)) = rows.first_key_value() {
        let at = key(lane, Timestamp::from_ms(*first));
        let before = trees.rollup.range(key(lane, Timestamp::MIN)..=at.clone()).next_back();
        // A sheet that begins with this very row is the one before.
        let behind = (Bound::Excluded(at), Bound::Included(key(lane, Timestamp::MAX)));
        let after = trees.rollup.range(behind).next().transpose().map_err(broken)?;
        let after =
            after.map(|(_, sheet)| Head::read(&sheet).map(|(head, _)| head.first.as_ms())).transpose()?;
        let mut rest = after.map_or_else(Rows::new, |next| rows.split_off(&next));
        let sheet = before.transpose().map_err(broken)?.map(|(_, sheet)| sheet);
        let added = std::mem::take(&mut rows);
        rows = std::mem::take(&mut rest);
        let sheets = match sheet {
            Some(sheet) => join(catalogue, &sheet, (lane, added, merge))?,
            None => sheets(catalogue, lane, added)?,
        };
        puts.extend(sheets.into_iter().map(|(head, sheet)| Put::rollup(head.key(), sheet)));
    }
    Ok(())
}

/// Adds rows, none of which comes before it, to a sheet; gives what takes its place.
fn join(
    catalogue: &Catalogue,
    sheet: &[u8],
    (lane, added, merge): (u16, Rows, Merge),
) -> Result<Vec<(Head, Vec<u8>)>, Error> {
    let (head, body) = Head::read(sheet)?;
    let is_behind = added.first_key_value().is_some_and(|(first, _)| *first > head.last.as_ms());
    if is_behind && sheet.len() > FULL_BYTES {
        return sheets(catalogue, lane, added);
    }
    let mut rows = read(&head, body)?;
    for (at, row) in &added {
        let old = rows.entry(*at).or_default();
        for (id, new) in row {
            old.entry(*id).and_modify(|old| merge(old, new)).or_insert(*new);
        }
    }
    let whole = encode(catalogue, lane, &rows)?;
    if whole.1.len() <= VALUE_BYTES {
        return Ok(vec![whole]);
    }
    if is_behind { sheets(catalogue, lane, added) } else { sheets(catalogue, lane, rows) }
}

/// Encodes rows; a sheet that does not fit a value is halved until it does.
fn sheets(catalogue: &Catalogue, lane: u16, rows: Rows) -> Result<Vec<(Head, Vec<u8>)>, Error> {
    let (mut done, mut left) = (Vec::new(), vec![rows]);
    while let Some(mut rows) = left.pop() {
        let sheet = encode(catalogue, lane, &rows)?;
        if sheet.1.len() <= VALUE_BYTES {
            done.push(sheet);
            continue;
        }
        let Some(middle) = rows.keys().nth(rows.len() / 2).copied().filter(|_| rows.len() > 1) else {
            return Err(Error::TooLarge { what: "a row of roll-ups".to_owned() });
        };
        left.push(rows.split_off(&middle));
        left.push(rows);
    }
    Ok(done)
}

fn encode(catalogue: &Catalogue, lane: u16, rows: &Rows) -> Result<(Head, Vec<u8>), Error> {
    let moment = |row: Option<(&i64, _)>| Timestamp::from_ms(row.map_or(0, |(at, _)| *at));
    let (first, last) = (moment(rows.first_key_value()), moment(rows.last_key_value()));
    let mut body = pco_header()?;
    let pco_bytes = body.len();
    let times: Vec<i64> = rows.keys().map(|at| at.saturating_sub(first.as_ms()) / STEP_MS).collect();
    integers(&times, &mut body)?;
    let time_bytes = body.len() - pco_bytes;
    let mut series: BTreeMap<u32, Vec<(usize, Rollup)>> = BTreeMap::new();
    for (i, row) in rows.values().enumerate() {
        for (id, rollup) in row {
            series.entry(*id).or_default().push((i, *rollup));
        }
    }
    let mut columns = Vec::with_capacity(series.len());
    for (id, cells) in series {
        let begin = body.len();
        if cells.len() < rows.len() {
            let mut there = vec![f64::NAN; rows.len()];
            for (i, _) in &cells {
                if let Some(place) = there.get_mut(*i) {
                    *place = 0.0;
                }
            }
            bitmap(&there, rows.len(), &mut body);
        }
        let rollups: Vec<Rollup> = cells.iter().map(|(_, rollup)| *rollup).collect();
        let decimals = catalogue.entry(id).map_or(0, |entry| entry.decimals);
        let form = (decimals, keeps_last(catalogue, id));
        let (before, bytes) = figures(&rollups, form, begin, &mut body)?;
        columns.push(Column { id, present: short(rollups.len())?, before, bytes });
    }
    let (pco_bytes, time_bytes) = (short(pco_bytes)?, short(time_bytes)?);
    let head = Head { lane, rows: short(rows.len())?, first, last, pco_bytes, time_bytes, columns };
    let mut frame = codec::begin();
    codec::to_bytes(&head, &mut frame).map_err(Error::writing("a sheet of roll-ups"))?;
    frame.extend(body);
    Ok((head, codec::finish(frame).map_err(Error::writing("a sheet of roll-ups"))?))
}

/// Writes form and figures of one series; gives the bytes before the figures since `begin`, and those of each.
fn figures(
    rollups: &[Rollup],
    (decimals, keeps_last): (u8, bool),
    begin: usize,
    body: &mut Vec<u8>,
) -> Result<(u16, [u16; FIGURES]), Error> {
    let scales = std::iter::once(decimals.min(DECIMALS_MAX)).chain(0..=DECIMALS_MAX);
    let exact = scales.into_iter().find_map(|scale| Some((scale, Scaled::of(rollups, (scale, keeps_last))?)));
    body.push(exact.as_ref().map_or(AS_FLOATS, |(scale, _)| 1 + scale));
    let before = short(body.len() - begin)?;
    let counts: Vec<i64> = rollups.iter().map(|r| i64::try_from(r.count).unwrap_or(i64::MAX)).collect();
    let mut ends = [body.len(); FIGURES + 1];
    let mut end = ends.iter_mut().skip(1);
    let mut note = |body: &Vec<u8>| end.next().into_iter().for_each(|end| *end = body.len());
    if let Some((_, Scaled { mins, rises, lasts, sums })) = exact {
        for figure in [mins, rises, lasts, sums, counts] {
            if !figure.is_empty() {
                offset(&figure, body)?;
            }
            note(body);
        }
    } else {
        let figure = |of: fn(&Rollup) -> f64| rollups.iter().map(of).collect::<Vec<f64>>();
        let lasts = if keeps_last { figure(|r| r.last) } else { Vec::new() };
        for figure in [figure(|r| r.min), figure(|r| r.max), lasts, figure(|r| r.sum)] {
            if !figure.is_empty() {
                floats(&figure, 0, body)?;
            }
            note(body);
        }
        offset(&counts, body)?;
        note(body);
    }
    let mut bytes = [0; FIGURES];
    for (bytes, pair) in bytes.iter_mut().zip(ends.windows(2)) {
        if let [from, to] = pair {
            *bytes = short(to - from)?;
        }
    }
    Ok((before, bytes))
}

/// A column of integers that need not begin with zero.
fn offset(values: &[i64], body: &mut Vec<u8>) -> Result<(), Error> {
    let first = values.first().copied().unwrap_or_default();
    codec::to_bytes(&first, body).map_err(Error::writing("a sheet of roll-ups"))?;
    let differences: Vec<i64> = values.iter().map(|value| value.wrapping_sub(first)).collect();
    integers(&differences, body)
}

/// Figures as integers.
struct Scaled {
    mins: Vec<i64>,
    rises: Vec<i64>,
    lasts: Vec<i64>,
    sums: Vec<i64>,
}

impl Scaled {
    /// The figures times 10^decimals; `None` where they are no such integers.
    fn of(rollups: &[Rollup], (decimals, keeps_last): (u8, bool)) -> Option<Self> {
        let column = |of: fn(&Rollup) -> f64| scaled(&rollups.iter().map(of).collect::<Vec<f64>>(), decimals);
        let (mins, maxs) = (column(|r| r.min)?, column(|r| r.max)?);
        let lasts = if keeps_last { column(|r| r.last)? } else { Vec::new() };
        // Zero has a sign that integers lack.
        let scale = scale(decimals);
        let mut sums = Vec::with_capacity(rollups.len());
        for (rollup, (min, max)) in rollups.iter().zip(mins.iter().zip(&maxs)) {
            // A sum of decimals is one too, but for the rounding on the way.
            let magnitude = i64::try_from(number::round(rollup.sum.abs() * scale)).ok()?;
            let sum = if rollup.sum < 0.0 { -magnitude } else { magnitude };
            let error = (unscaled(sum, scale) - rollup.sum).abs();
            if error > 1e-12 * rollup.sum.abs().max(rollup.max.abs()) {
                return None;
            }
            let count = i64::try_from(rollup.count).ok()?;
            sums.push(sum.checked_sub(amid(*min, max.checked_sub(*min)?, count)?)?);
        }
        let below = |values: &[i64], from: &[i64]| {
            values.iter().zip(from).map(|(value, from)| from.checked_sub(*value)).collect::<Option<Vec<_>>>()
        };
        let (rises, lasts) = (below(&mins, &maxs)?, below(&lasts, &maxs)?);
        let mut mins = mins;
        if keeps_last {
            // A total goes on where the row before it ended.
            for (min, before) in mins.iter_mut().skip(1).zip(&maxs) {
                *min = min.checked_sub(*before)?;
            }
        }
        Some(Self { mins, rises, lasts, sums })
    }
}

/// The sum of so many values that lie amid the least and the greatest.
fn amid(min: i64, rise: i64, count: i64) -> Option<i64> {
    min.checked_mul(count)?.checked_add(rise.checked_mul(count)?.div_euclid(2))
}

/// Every row of a sheet.
pub(crate) fn read(head: &Head, body: &[u8]) -> Result<Rows, Error> {
    let mut reader = Sheet::default();
    let wanted: Vec<Wanted> = head.columns.iter().map(|column| Wanted::new(column.id, column.id)).collect();
    reader.open(head, body, &wanted)?;
    let (mut rows, mut cells) = (Rows::new(), Vec::new());
    while let Some(at) = reader.head() {
        cells.clear();
        reader.take(&mut cells);
        rows.insert(at, cells.iter().copied().collect());
    }
    Ok(rows)
}

/// A decoded sheet, read row by row. Its memory is used again for the next one.
#[derive(Default)]
pub(crate) struct Sheet {
    scratch: DecompressorScratch,
    times: Vec<i64>,
    /// By slot; a row that lacks the series has [`Rollup::NONE`].
    columns: Vec<(u32, Vec<Rollup>)>,
    next: usize,
}

impl Sheet {
    /// Decodes the wanted series (ascending by number); the others are passed over.
    pub(crate) fn open(&mut self, head: &Head, body: &[u8], wanted: &[Wanted]) -> Result<(), Error> {
        let damaged = || Error::damaged(format!("{} do not decode", head.place()));
        self.next = 0;
        self.columns.clear();
        self.decode(head, body, wanted).ok_or_else(damaged)?;
        let ends = (self.times.first().copied(), self.times.last().copied());
        if !self.times.is_sorted_by(|a, b| a < b)
            || ends != (Some(head.first.as_ms()), Some(head.last.as_ms()))
        {
            return Err(damaged());
        }
        self.columns.sort_unstable_by_key(|(slot, _)| *slot);
        Ok(())
    }

    fn decode(&mut self, head: &Head, body: &[u8], wanted: &[Wanted]) -> Option<()> {
        let rows = usize::from(head.rows);
        let (pco, rest) = body.split_at_checked(usize::from(head.pco_bytes))?;
        let (times, mut rest) = rest.split_at_checked(usize::from(head.time_bytes))?;
        let parts = Parts::only(pco);
        let mut integers = Vec::new();
        decode::ints(parts, times, rows, &mut integers, &mut self.scratch)?;
        self.times.clear();
        self.times.extend(
            integers.iter().map(|row| head.first.as_ms().saturating_add(row.saturating_mul(STEP_MS))),
        );
        for column in &head.columns {
            let (bytes, after) = rest.split_at_checked(column.bytes())?;
            rest = after;
            let found = wanted.binary_search_by_key(&column.id, |wanted| wanted.id);
            let Some(wanted) = found.ok().and_then(|i| wanted.get(i)) else { continue };
            let rollups = self.column(parts, column, bytes)?;
            let spread = if rollups.len() == rows {
                rollups
            } else {
                let mut there = rollups.into_iter();
                let mut spread = Vec::with_capacity(rows);
                for i in 0..rows {
                    let is_set = bytes.get(i / 8)? & (1 << (i % 8)) != 0;
                    spread.push(if is_set { there.next()? } else { Rollup::NONE });
                }
                if there.next().is_some() {
                    return None;
                }
                spread
            };
            self.columns.push((wanted.slot, spread));
        }
        rest.is_empty().then_some(())
    }

    fn column(&mut self, parts: Parts<'_>, column: &Column, bytes: &[u8]) -> Option<Vec<Rollup>> {
        let present = usize::from(column.present);
        let (before, mut rest) = bytes.split_at_checked(usize::from(column.before))?;
        let form = *before.last()?;
        let mut figure = |place: usize| {
            let (bytes, after) = rest.split_at_checked(usize::from(*column.bytes.get(place)?))?;
            rest = after;
            Some(bytes)
        };
        let pieces = [figure(0)?, figure(1)?, figure(2)?, figure(3)?, figure(4)?];
        let [mins, rises, lasts, sums, counts] = pieces;
        let counts = self.offset(parts, counts, present)?;
        let has_lasts = !lasts.is_empty();
        let count = |value: i64| u64::try_from(value).ok().filter(|count| *count > 0);
        if form == AS_FLOATS {
            let mut floats = |bytes: &[u8]| {
                let (mut integers, mut values) = (Vec::new(), Vec::new());
                decode::floats(parts, bytes, present, &mut values, (&mut integers, &mut self.scratch))?;
                Some(values)
            };
            let (mins, maxs, sums) = (floats(mins)?, floats(rises)?, floats(sums)?);
            let lasts = if has_lasts { Some(floats(lasts)?) } else { None };
            return (0..present)
                .map(|i| {
                    Some(Rollup {
                        min: *mins.get(i)?,
                        max: *maxs.get(i)?,
                        last: lasts.as_ref().map_or(Some(f64::NAN), |lasts| lasts.get(i).copied())?,
                        sum: *sums.get(i)?,
                        count: count(*counts.get(i)?)?,
                    })
                })
                .collect();
        }
        let decimals = form.checked_sub(1).filter(|decimals| *decimals <= DECIMALS_MAX)?;
        let (mins, rises) = (self.offset(parts, mins, present)?, self.offset(parts, rises, present)?);
        let lasts = if has_lasts { Some(self.offset(parts, lasts, present)?) } else { None };
        let mut mins = mins;
        if has_lasts {
            let mut before = 0_i64;
            for (min, rise) in mins.iter_mut().zip(&rises) {
                *min = min.checked_add(before)?;
                before = min.checked_add(*rise)?;
            }
        }
        let sums = self.offset(parts, sums, present)?;
        let scale = scale(decimals);
        (0..present)
            .map(|i| {
                let (min, rise, counted) = (*mins.get(i)?, *rises.get(i)?, *counts.get(i)?);
                let max = min.checked_add(rise)?;
                let last = match &lasts {
                    Some(lasts) => unscaled(max.checked_sub(*lasts.get(i)?)?, scale),
                    None => f64::NAN,
                };
                Some(Rollup {
                    min: unscaled(min, scale),
                    max: unscaled(max, scale),
                    last,
                    sum: unscaled(amid(min, rise, counted)?.checked_add(*sums.get(i)?)?, scale),
                    count: count(counted)?,
                })
            })
            .collect()
    }

    fn offset(&mut self, parts: Parts<'_>, bytes: &[u8], n: usize) -> Option<Vec<i64>> {
        let (first, bytes) = codec::prefix::<i64>(bytes).ok()?;
        let mut values = Vec::new();
        decode::ints(parts, bytes, n, &mut values, &mut self.scratch)?;
        values.iter_mut().for_each(|value| *value = value.wrapping_add(first));
        Some(values)
    }

    /// Moment of the row that [`Sheet::take`] gives next.
    pub(crate) fn head(&self) -> Option<i64> {
        self.times.get(self.next).copied()
    }

    /// Passes rows over that come before a moment.
    pub(crate) fn skip_to(&mut self, since: i64) {
        self.next = self.times.partition_point(|at| *at < since);
    }

    /// Leaves all rows out that were not taken.
    pub(crate) fn close(&mut self) {
        self.next = self.times.len();
    }

    /// Adds the next row's series, in order of slot, and steps on.
    pub(crate) fn take(&mut self, into: &mut Vec<(u32, Rollup)>) {
        for (slot, rollups) in &self.columns {
            if let Some(rollup) = rollups.get(self.next).filter(|rollup| rollup.count > 0) {
                into.push((*slot, *rollup));
            }
        }
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use systembot_model::Series;

    use super::*;
    use crate::{catalogue::Catalogue, store::Store};

    fn catalogue() -> Catalogue {
        let mut catalogue = Catalogue::default();
        for metric in ["load1", "self_cpu_seconds_total", "memory_used_bytes"] {
            catalogue.add(&Series::new(metric), |_| true).unwrap();
        }
        catalogue
    }

    /// Decimals, counts of bytes, and anything.
    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => (-500_i32..10_000).prop_map(|n| f64::from(n) / 100.0),
            2 => (0_u64..1 << 44).prop_map(|n| number::float(n * 4_096)),
            1 => Just(-0.0),
            1 => any::<f64>().prop_filter("finite", |x| x.is_finite() && x.abs() < 1e300),
        ]
    }

    /// Samples of three series: row, series, value.
    fn samples() -> impl Strategy<Value = Vec<(i64, u32, f64)>> {
        proptest::collection::vec((0_i64..600, 0_u32..3, value()), 1..400)
    }

    fn rows(samples: &[(i64, u32, f64)]) -> Rows {
        let mut rows = Rows::new();
        for (row, id, value) in samples {
            let new = Rollup::of(*value);
            let row = rows.entry(row * STEP_MS).or_default();
            row.entry(*id).and_modify(|old| old.add(&new)).or_insert(new);
        }
        rows
    }

    /// Bit for bit, but for sums, which may be rounded to the decimals of their values.
    fn assert_alike(found: &Rows, expected: &Rows) {
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (found, expected) in found.values().zip(expected.values()) {
            assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
            for ((id, a), b) in found.iter().zip(expected.values()) {
                let bits = |r: &Rollup| (r.min.to_bits(), r.max.to_bits(), r.count);
                assert_eq!(bits(a), bits(b));
                assert!(if *id == 1 { a.last.to_bits() == b.last.to_bits() } else { a.last.is_nan() });
                assert!(
                    (a.sum - b.sum).abs() <= 1e-9 * b.sum.abs().max(b.max.abs()).max(b.min.abs()),
                    "{a:?} {b:?}"
                );
            }
        }
    }

    fn all(store: &Store) -> Rows {
        let mut rows = Rows::new();
        let mut before = i64::MIN;
        for item in &store.trees().rollup {
            let (key, sheet) = item.unwrap();
            assert!(sheet.len() <= VALUE_BYTES);
            let (head, body) = Head::read(&sheet).unwrap();
            assert_eq!(head.key(), key.as_ref());
            assert!(before < head.first.as_ms(), "sheets lie over one another");
            before = head.last.as_ms();
            rows.extend(read(&head, body).unwrap());
        }
        rows
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// However samples are cut into steps, and in whatever order the steps come.
        #[test]
        fn rows_come_back_as_they_were_added(steps in proptest::collection::vec(samples(), 1..6)) {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(&dir.path().join("log")).unwrap();
            let catalogue = catalogue();
            for step in &steps {
                let mut puts = Vec::new();
                add(store.trees(), &catalogue, (0, rows(step), Rollup::add), &mut puts).unwrap();
                store.write(puts).unwrap();
            }
            assert_alike(&all(&store), &rows(&steps.concat()));
        }
    }

    #[test]
    fn a_day_of_ten_series_is_one_sheet_or_two() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("log")).unwrap();
        let catalogue = catalogue();
        for hour in 0..48 {
            let step: Vec<(i64, u32, f64)> = (0..12_i64)
                .flat_map(|row| (0..3).map(move |id| (hour * 12 + row, id, number::float(u64::from(id)))))
                .collect();
            let mut puts = Vec::new();
            add(store.trees(), &catalogue, (0, rows(&step), Rollup::add), &mut puts).unwrap();
            store.write(puts).unwrap();
        }
        assert_eq!(store.trees().rollup.iter().map(Result::unwrap).count(), 1);
        assert_eq!(all(&store).len(), 48 * 12);
    }

    #[test]
    fn a_sheet_with_any_byte_changed_is_refused() {
        let (head, sheet) = encode(&catalogue(), 0, &rows(&[(0, 0, 1.5), (1, 0, 2.5), (1, 2, 7.0)])).unwrap();
        assert_eq!(Head::read(&sheet).unwrap().0, head);
        for i in 0..sheet.len() {
            let mut changed = sheet.clone();
            changed[i] ^= 4;
            assert!(Head::read(&changed).is_err(), "byte {i}");
        }
    }
}
