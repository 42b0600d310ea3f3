//! From a chunk to ticks: only the columns that are wanted.

use pco::{DecompressorScratch, data_types::Number, wrapped::FileDecompressor};
use systembot_model::{Timestamp, number};

use super::{CONSTANT, Column, DECIMALS_MAX, FLOATS, Header, INTEGERS, LINEAR, PLAIN, SCALED};
use crate::error::Error;

/// A series that is wanted from chunks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Its number.
    pub(crate) id: u32,
    /// What its values are called in the answer.
    pub(crate) slot: u32,
    /// Ticks with a lower number are left out.
    pub(crate) from: u64,
}

impl Wanted {
    /// All values of a series.
    pub(crate) const fn new(id: u32, slot: u32) -> Self {
        Self { id, slot, from: 0 }
    }
}

/// A decoded chunk, read tick by tick. Its memory is used again for the next one.
#[derive(Debug, Default)]
pub(crate) struct Block {
    times: Vec<i64>,
    /// Empty where numbers are not wanted.
    seqs: Vec<u64>,
    columns: Vec<Cells>,
    /// Columns in use; those after it are memory kept for later.
    used: usize,
    next: usize,
    end: usize,
}

#[derive(Debug, Default)]
struct Cells {
    slot: u32,
    from: u64,
    /// One a tick, NaN where there is none.
    values: Vec<f64>,
}

impl Block {
    /// Moment and number (0 where not decoded) of the tick that [`Block::take`] gives next.
    pub(crate) fn head(&self) -> Option<(Timestamp, u64)> {
        if self.next >= self.end {
            return None;
        }
        let at = Timestamp::from_ms(*self.times.get(self.next)?);
        Some((at, self.seqs.get(self.next).copied().unwrap_or(0)))
    }

    /// Adds the next tick's values, in order of slot, and steps on.
    pub(crate) fn take(&mut self, into: &mut Vec<(u32, f64)>) {
        let seq = self.seqs.get(self.next).copied().unwrap_or(u64::MAX);
        for cells in self.columns.iter().take(self.used) {
            if let Some(value) = cells.values.get(self.next).copied()
                && !value.is_nan()
                && seq >= cells.from
            {
                into.push((cells.slot, value));
            }
        }
        self.next += 1;
    }

    /// Leaves out the ticks outside a span of time; times ascend within a chunk.
    pub(crate) fn narrow_time(&mut self, since: Timestamp, until: Timestamp) {
        self.next = self.times.partition_point(|at| *at < since.as_ms());
        self.end = self.times.partition_point(|at| *at < until.as_ms());
    }

    /// Leaves out the ticks up to a number.
    pub(crate) fn narrow_seq(&mut self, after: u64) {
        self.next = self.seqs.partition_point(|seq| *seq <= after);
    }
}

/// Decodes chunks, with memory that is used again.
#[derive(Default)]
pub(crate) struct Decoder {
    scratch: DecompressorScratch,
    integers: Vec<i64>,
    packed: Vec<f64>,
}

impl Decoder {
    /// Decodes times, numbers and the wanted columns of a whole chunk.
    #[cfg(test)]
    pub(crate) fn all(&mut self, chunk: &[u8], wanted: &[Wanted], block: &mut Block) -> Result<(), Error> {
        let (header, body) = Header::read(chunk)?;
        self.times(&header, body, block)?;
        self.seqs(&header, body, block)?;
        self.columns(&header, body, wanted, block)
    }

    /// Decodes the times; everything else of the block is empty after it.
    pub(crate) fn times(&mut self, header: &Header, body: &[u8], block: &mut Block) -> Result<(), Error> {
        let ticks = usize::from(header.ticks);
        let parts = Parts::of(header, body)?;
        self.ints(parts, parts.times, ticks).ok_or_else(|| unreadable(header, "times"))?;
        block.times.clear();
        block.times.extend(self.integers.iter().map(|at| header.first.as_ms().saturating_add(*at)));
        (block.used, block.next, block.end) = (0, 0, ticks);
        block.seqs.clear();
        let ends = (block.times.first().copied(), block.times.last().copied());
        if !block.times.is_sorted() || ends != (Some(header.first.as_ms()), Some(header.last.as_ms())) {
            return Err(unreadable(header, "times"));
        }
        Ok(())
    }

    /// Decodes the numbers.
    pub(crate) fn seqs(&mut self, header: &Header, body: &[u8], block: &mut Block) -> Result<(), Error> {
        let parts = Parts::of(header, body)?;
        self.ints(parts, parts.seqs, usize::from(header.ticks))
            .ok_or_else(|| unreadable(header, "numbers"))?;
        block.seqs.clear();
        let seqs =
            self.integers.iter().map(|seq| header.first_seq.saturating_add(u64::try_from(*seq).unwrap_or(0)));
        block.seqs.extend(seqs);
        let ascend = block.seqs.is_sorted_by(|a, b| a < b);
        if !ascend || block.seqs.last().copied() != Some(header.last_seq) {
            return Err(unreadable(header, "numbers"));
        }
        Ok(())
    }

    /// Decodes the columns that are wanted (ascending by number); the others are passed over.
    pub(crate) fn columns(
        &mut self,
        header: &Header,
        body: &[u8],
        wanted: &[Wanted],
        block: &mut Block,
    ) -> Result<(), Error> {
        let parts = Parts::of(header, body)?;
        let mut rest = parts.columns;
        block.used = 0;
        for column in &header.columns {
            let (bytes, after) =
                rest.split_at_checked(usize::from(column.bytes)).ok_or_else(|| short(header))?;
            rest = after;
            let found = wanted.binary_search_by_key(&column.id, |wanted| wanted.id);
            let Some(wanted) = found.ok().and_then(|i| wanted.get(i)) else { continue };
            if header.last_seq < wanted.from {
                continue;
            }
            if block.columns.len() == block.used {
                block.columns.push(Cells::default());
            }
            let Some(cells) = block.columns.get_mut(block.used) else { continue };
            block.used += 1;
            (cells.slot, cells.from) = (wanted.slot, wanted.from);
            let (ticks, present) = (usize::from(header.ticks), usize::from(column.present));
            self.column(parts, bytes, (ticks, present), &mut cells.values)
                .ok_or_else(|| unreadable(header, &format!("values of series {}", column.id)))?;
        }
        if let Some(used) = block.columns.get_mut(..block.used) {
            used.sort_unstable_by_key(|cells| cells.slot);
        }
        Ok(())
    }

    /// Moments of the first and last tick in which a series that is missing in others has a value; the block
    /// holds the chunk's times.
    pub(crate) fn presence(
        &self,
        header: &Header,
        body: &[u8],
        column: &Column,
        block: &Block,
    ) -> Result<(Timestamp, Timestamp), Error> {
        let mut rest = Parts::of(header, body)?.columns;
        for other in header.columns.iter().take_while(|other| other.id != column.id) {
            rest = rest.split_at_checked(usize::from(other.bytes)).ok_or_else(|| short(header))?.1;
        }
        let is_set = |i: &usize| rest.get(i / 8).is_some_and(|bits| bits & (1 << (i % 8)) != 0);
        let ticks = 0..usize::from(header.ticks);
        let at = |i: usize| block.times.get(i).map(|at| Timestamp::from_ms(*at));
        let first = ticks.clone().find(is_set).and_then(at);
        let last = ticks.rev().find(is_set).and_then(at);
        first.zip(last).ok_or_else(|| unreadable(header, "bitmap"))
    }

    /// One column of values, spread over the ticks by its bitmap.
    fn column(
        &mut self,
        parts: Parts<'_>,
        bytes: &[u8],
        (ticks, present): (usize, usize),
        values: &mut Vec<f64>,
    ) -> Option<()> {
        values.clear();
        if present == ticks {
            return self.floats(parts, bytes, ticks, values);
        }
        let (bits, bytes) = bytes.split_at_checked(ticks.div_ceil(8))?;
        let mut packed = std::mem::take(&mut self.packed);
        packed.clear();
        self.floats(parts, bytes, present, &mut packed)?;
        let mut there = packed.iter();
        for i in 0..ticks {
            let is_set = bits.get(i / 8)? & (1 << (i % 8)) != 0;
            values.push(if is_set { *there.next()? } else { f64::NAN });
        }
        let fits = there.next().is_none();
        self.packed = packed;
        fits.then_some(())
    }

    fn floats(&mut self, parts: Parts<'_>, bytes: &[u8], n: usize, into: &mut Vec<f64>) -> Option<()> {
        floats(parts, bytes, n, into, (&mut self.integers, &mut self.scratch))
    }

    /// One column of integers, left in `self.integers`.
    fn ints(&mut self, parts: Parts<'_>, bytes: &[u8], n: usize) -> Option<()> {
        ints(parts, bytes, n, &mut self.integers, &mut self.scratch)
    }
}

/// One column of values; the integers are memory that is used again.
pub(super) fn floats(
    parts: Parts<'_>,
    bytes: &[u8],
    n: usize,
    into: &mut Vec<f64>,
    (integers, scratch): (&mut Vec<i64>, &mut DecompressorScratch),
) -> Option<()> {
    let (sort, bytes) = bytes.split_first()?;
    match *sort {
        CONSTANT => into.resize(n, f64::from_bits(u64::from_le_bytes(*exactly(bytes)?))),
        PLAIN => {
            let (cells, rest) = bytes.as_chunks::<8>();
            if cells.len() != n || !rest.is_empty() {
                return None;
            }
            into.extend(cells.iter().map(|cell| f64::from_bits(u64::from_le_bytes(*cell))));
        }
        FLOATS => {
            into.resize(n, 0.0);
            unpack(parts, bytes, into, scratch)?;
        }
        scaled if (SCALED..=SCALED + DECIMALS_MAX).contains(&scaled) => {
            integers.resize(n, 0);
            unpack(parts, bytes, integers, scratch)?;
            let scale = scale(scaled - SCALED);
            into.extend(integers.iter().map(|integer| unscaled(*integer, scale)));
        }
        _ => return None,
    }
    Some(())
}

/// One column of integers.
pub(super) fn ints(
    parts: Parts<'_>,
    bytes: &[u8],
    n: usize,
    into: &mut Vec<i64>,
    scratch: &mut DecompressorScratch,
) -> Option<()> {
    let (sort, bytes) = bytes.split_first()?;
    into.clear();
    match *sort {
        LINEAR => {
            let step = if bytes.is_empty() { 0 } else { i64::from_le_bytes(*exactly(bytes)?) };
            let mut next = 0_i64;
            for _ in 0..n {
                into.push(next);
                next = next.saturating_add(step);
            }
        }
        PLAIN => {
            let (cells, rest) = bytes.as_chunks::<8>();
            if cells.len() != n || !rest.is_empty() {
                return None;
            }
            into.extend(cells.iter().map(|cell| i64::from_le_bytes(*cell)));
        }
        INTEGERS => {
            into.resize(n, 0);
            unpack(parts, bytes, into, scratch)?;
        }
        _ => return None,
    }
    Some(())
}

/// The parts of a chunk's body.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pco: &'a [u8],
    times: &'a [u8],
    seqs: &'a [u8],
    columns: &'a [u8],
}

impl<'a> Parts<'a> {
    /// pco's own header alone.
    pub(super) const fn only(pco: &'a [u8]) -> Self {
        Self { pco, times: &[], seqs: &[], columns: &[] }
    }

    fn of(header: &Header, body: &'a [u8]) -> Result<Self, Error> {
        let split =
            |bytes: &'a [u8], at: u16| bytes.split_at_checked(usize::from(at)).ok_or_else(|| short(header));
        let (pco, rest) = split(body, header.pco_bytes)?;
        let (times, rest) = split(rest, header.time_bytes)?;
        let (seqs, columns) = split(rest, header.seq_bytes)?;
        Ok(Self { pco, times, seqs, columns })
    }
}

/// 10^decimals.
pub(super) fn scale(decimals: u8) -> f64 {
    10_f64.powi(i32::from(decimals))
}

/// The value that a scaled integer stands for. Division, and not a product with 10^-d, gives the nearest float.
pub(super) fn unscaled(integer: i64, scale: f64) -> f64 {
    let magnitude = number::float(integer.unsigned_abs());
    let signed = if integer < 0 { -magnitude } else { magnitude };
    signed / scale
}

fn unpack<T: Number>(
    parts: Parts<'_>,
    bytes: &[u8],
    into: &mut [T],
    scratch: &mut DecompressorScratch,
) -> Option<()> {
    let (file, _) = FileDecompressor::new(parts.pco).ok()?;
    let (chunk, page) = file.chunk_decompressor::<T, _>(bytes).ok()?;
    let mut pages = chunk.page_decompressor_with_scratch(page, into.len(), scratch).ok()?;
    let progress = pages.read(into).ok()?;
    (progress.finished && progress.n_processed == into.len()).then_some(())
}

fn exactly(bytes: &[u8]) -> Option<&[u8; 8]> {
    bytes.try_into().ok()
}

fn short(header: &Header) -> Error {
    unreadable(header, "columns")
}

fn unreadable(header: &Header, what: &str) -> Error {
    Error::damaged(format!("chunk {}: its {what} do not decode", header.place()))
}
