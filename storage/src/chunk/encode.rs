//! From ticks to chunks.

use std::ops::Range;

use pco::{ChunkConfig, data_types::Number, errors::PcoError, wrapped::FileCompressor};
use systembot_model::{Timestamp, number};

use super::{
    CONSTANT, Column, DECIMALS_MAX, FLOATS, GAP_MS, Header, INTEGERS, JOINED_TICKS, LINEAR, Origin, PLAIN,
    SCALED, SPAN_MS,
};
use crate::{codec, error::Error, store::VALUE_BYTES};

/// Most ticks of a chunk as it is sealed.
const TICKS_MAX: usize = 256;

/// Ticks of one group, by column.
#[derive(Debug)]
pub(crate) struct Rows {
    origin: Origin,
    group: u16,
    /// Most ticks of one chunk.
    ticks_max: usize,
    times: Vec<i64>,
    seqs: Vec<u64>,
    /// Ascending by number.
    series: Vec<Values>,
}

/// Ticks as rows: moment, number, and the bits of each series' value.
#[cfg(test)]
pub(crate) type Listed = Vec<(i64, u64, Vec<(u32, u64)>)>;

#[derive(Debug)]
struct Values {
    id: u32,
    /// Decimals of its source.
    decimals: u8,
    /// A value for each tick; NaN, which no series has, where there is none.
    values: Vec<f64>,
}

impl Rows {
    /// No ticks yet, of these series: number and decimals, ascending by number.
    pub(crate) fn new(origin: Origin, group: u16, series: Vec<(u32, u8)>) -> Self {
        let series =
            series.into_iter().map(|(id, decimals)| Values { id, decimals, values: Vec::new() }).collect();
        Self { origin, group, ticks_max: TICKS_MAX, times: Vec::new(), seqs: Vec::new(), series }
    }

    /// The same for larger chunks, those that others are joined to.
    pub(crate) fn joined(self) -> Self {
        Self { ticks_max: JOINED_TICKS, ..self }
    }

    /// Takes a tick; what is of other groups is left out.
    pub(crate) fn push(&mut self, at: Timestamp, seq: u64, cells: impl Iterator<Item = (u32, f64)>) {
        self.times.push(at.as_ms());
        self.seqs.push(seq);
        for (id, value) in cells {
            if let Ok(i) = self.series.binary_search_by_key(&id, |series| series.id)
                && let Some(series) = self.series.get_mut(i)
                && series.values.len() < self.times.len()
            {
                series.values.resize(self.times.len() - 1, f64::NAN);
                series.values.push(value);
            }
        }
    }

    /// The ticks again, as rows.
    #[cfg(test)]
    pub(crate) fn listed(&self) -> Listed {
        (0..self.times.len())
            .map(|i| {
                let cells = self.series.iter().filter_map(|s| {
                    let value = s.values.get(i).copied().filter(|v| !v.is_nan())?;
                    Some((s.id, value.to_bits()))
                });
                (self.times[i], self.seqs[i], cells.collect())
            })
            .collect()
    }

    /// Where a chunk must end: time goes back, a long gap, too long a span, too many ticks.
    fn runs(&self) -> Vec<Range<usize>> {
        let mut runs = Vec::new();
        let (mut start, mut first, mut before) = (0, None, None);
        for (i, at) in self.times.iter().copied().enumerate() {
            let (begin, last) = (first.unwrap_or(at), before.unwrap_or(at));
            let ends = at < last
                || at.saturating_sub(last) > GAP_MS
                || at.saturating_sub(begin) > SPAN_MS
                || i - start >= self.ticks_max;
            if ends {
                runs.push(start..i);
                (start, first) = (i, None);
            }
            first = first.or(Some(at));
            before = Some(at);
        }
        runs.push(start..self.times.len());
        runs.retain(|run| !run.is_empty());
        runs
    }
}

/// Encodes all ticks; a chunk that does not fit a value is halved until it does.
pub(crate) fn chunks(rows: &Rows) -> Result<Vec<(Header, Vec<u8>)>, Error> {
    let mut done = Vec::new();
    let mut runs = rows.runs();
    runs.reverse();
    while let Some(run) = runs.pop() {
        let (header, chunk) = encode(rows, &run)?;
        if chunk.len() <= VALUE_BYTES {
            done.push((header, chunk));
            continue;
        }
        let middle = run.start + run.len() / 2;
        if middle == run.start {
            return Err(Error::TooLarge { what: "a tick of one group".to_owned() });
        }
        runs.push(middle..run.end);
        runs.push(run.start..middle);
    }
    Ok(done)
}

fn encode(rows: &Rows, run: &Range<usize>) -> Result<(Header, Vec<u8>), Error> {
    let times = rows.times.get(run.clone()).unwrap_or_default();
    let seqs = rows.seqs.get(run.clone()).unwrap_or_default();
    let first = |of: &[u64]| of.first().copied().unwrap_or_default();
    let begin = times.first().copied().unwrap_or_default();
    let mut body = pco_header()?;
    let pco_bytes = body.len();
    let times_relative: Vec<i64> = times.iter().map(|at| at.saturating_sub(begin)).collect();
    integers(&times_relative, &mut body)?;
    let time_bytes = body.len() - pco_bytes;
    let seqs_relative: Vec<i64> =
        seqs.iter().map(|seq| i64::try_from(seq.saturating_sub(first(seqs))).unwrap_or(i64::MAX)).collect();
    integers(&seqs_relative, &mut body)?;
    let seq_bytes = body.len() - pco_bytes - time_bytes;
    let mut columns = Vec::with_capacity(rows.series.len());
    for series in &rows.series {
        let end = run.end.min(series.values.len());
        let values = series.values.get(run.start..end).unwrap_or_default();
        let present: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        if present.is_empty() {
            continue;
        }
        let before = body.len();
        if present.len() < run.len() {
            bitmap(values, run.len(), &mut body);
        }
        floats(&present, series.decimals, &mut body)?;
        columns.push(Column {
            id: series.id,
            present: short(present.len())?,
            bytes: short(body.len() - before)?,
        });
    }
    let header = Header {
        origin: rows.origin,
        group: rows.group,
        ticks: short(run.len())?,
        first: Timestamp::from_ms(begin),
        last: Timestamp::from_ms(times.last().copied().unwrap_or_default()),
        first_seq: first(seqs),
        last_seq: seqs.last().copied().unwrap_or_default(),
        pco_bytes: short(pco_bytes)?,
        time_bytes: short(time_bytes)?,
        seq_bytes: short(seq_bytes)?,
        columns,
    };
    let mut frame = codec::begin();
    codec::to_bytes(&header, &mut frame).map_err(Error::writing("a chunk"))?;
    frame.extend(body);
    Ok((header, codec::finish(frame).map_err(Error::writing("a chunk"))?))
}

/// One bit a tick, set where there is a value.
pub(super) fn bitmap(values: &[f64], ticks: usize, into: &mut Vec<u8>) {
    let mut bits = vec![0_u8; ticks.div_ceil(8)];
    for (i, value) in values.iter().enumerate() {
        if let Some(byte) = bits.get_mut(i / 8).filter(|_| !value.is_nan()) {
            *byte |= 1 << (i % 8);
        }
    }
    into.extend(bits);
}

pub(super) fn floats(values: &[f64], decimals: u8, into: &mut Vec<u8>) -> Result<(), Error> {
    let first = values.first().copied().unwrap_or_default();
    if values.iter().all(|value| value.to_bits() == first.to_bits()) {
        into.push(CONSTANT);
        into.extend(first.to_bits().to_le_bytes());
        return Ok(());
    }
    let scales = std::iter::once(decimals.min(DECIMALS_MAX)).chain(0..=DECIMALS_MAX);
    let scaled = scales.into_iter().find_map(|scale| Some((scale, scaled(values, scale)?)));
    let (sort, packed) = match scaled {
        Some((scale, integers)) => (SCALED + scale, pack(&integers)?),
        None => (FLOATS, pack(values)?),
    };
    if packed.len() < 8 * values.len() {
        into.push(sort);
        into.extend(packed);
        return Ok(());
    }
    into.push(PLAIN);
    into.extend(values.iter().flat_map(|value| value.to_bits().to_le_bytes()));
    Ok(())
}

pub(super) fn integers(values: &[i64], into: &mut Vec<u8>) -> Result<(), Error> {
    let step = match values {
        [first, second, ..] => second.saturating_sub(*first),
        _ => 0,
    };
    if values.windows(2).all(|pair| matches!(pair, [a, b] if b.saturating_sub(*a) == step)) {
        into.push(LINEAR);
        if step != 0 {
            into.extend(step.to_le_bytes());
        }
        return Ok(());
    }
    let packed = pack(values)?;
    if packed.len() < 8 * values.len() {
        into.push(INTEGERS);
        into.extend(packed);
        return Ok(());
    }
    into.push(PLAIN);
    into.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    Ok(())
}

/// The values times 10^decimals as integers, if every one of them comes back bit for bit.
pub(super) fn scaled(values: &[f64], decimals: u8) -> Option<Vec<i64>> {
    let scale = super::decode::scale(decimals);
    values
        .iter()
        .map(|value| {
            let magnitude = i64::try_from(number::round(value.abs() * scale)).ok()?;
            let integer = if value.is_sign_negative() { -magnitude } else { magnitude };
            (super::decode::unscaled(integer, scale).to_bits() == value.to_bits()).then_some(integer)
        })
        .collect()
}

fn pack<T: Number>(values: &[T]) -> Result<Vec<u8>, Error> {
    let work = || {
        let mut packer = FileCompressor::default().chunk_compressor(values, &ChunkConfig::default())?;
        let packed = packer.write_meta(Vec::new())?;
        packer.write_page(0, packed)
    };
    work().map_err(refused)
}

pub(super) fn pco_header() -> Result<Vec<u8>, Error> {
    FileCompressor::default().write_header(Vec::new()).map_err(refused)
}

fn refused(error: PcoError) -> Error {
    Error::TooLarge { what: format!("a column ({error})") }
}

pub(super) fn short(n: usize) -> Result<u16, Error> {
    u16::try_from(n).map_err(|_| Error::TooLarge { what: "a chunk".to_owned() })
}
