//! Neighbouring chunks made one: fewer headers, and columns that pack better.
//!
//! Chunks are sealed small, so that what is recorded reaches the disk as columns soon. When the log is written anew
//! (see [`crate::compact`]) those that follow one another are joined, up to what one value holds.

use std::time::{Duration, Instant};

use super::{Block, Column, Decoder, GAP_MS, Header, JOINED_TICKS, Rows, SPAN_MS, Wanted, chunks};
use crate::{error::Error, store::VALUE_BYTES};

/// A chunk with its header.
pub(crate) type Whole = (Header, Vec<u8>);

/// Takes chunks in order of key, and gives them again in that order: joined, or as they came.
pub(crate) struct Joiner {
    /// Time for which more may be made: packing costs some milliseconds each.
    left: Duration,
    /// Those that can become one.
    gathered: Vec<Whole>,
    work: (Decoder, Block),
}

impl Joiner {
    /// Joins for so long at most; after that they pass as they came.
    pub(crate) fn new(longest: Duration) -> Self {
        Self { left: longest, gathered: Vec::new(), work: <(Decoder, Block)>::default() }
    }

    /// The chunk that came last, if it may be joined with the next one.
    pub(crate) fn last(&self) -> Option<&Header> {
        self.gathered.last().map(|(header, _)| header)
    }

    /// Whether its time is over.
    pub(crate) const fn is_spent(&self) -> bool {
        self.left.is_zero()
    }

    /// Takes the next chunk; gives what is complete by it. No chunk is joined over one of the boundaries, numbers
    /// that begin something of their own.
    pub(crate) fn push(
        &mut self,
        next: Whole,
        boundaries: &[u64],
        decimals: impl Fn(u32) -> u8,
    ) -> Result<Vec<Whole>, Error> {
        let done = if self.takes(&next, boundaries) { Vec::new() } else { self.finish(decimals)? };
        self.gathered.push(next);
        Ok(done)
    }

    /// Gives what is left.
    pub(crate) fn finish(&mut self, decimals: impl Fn(u32) -> u8) -> Result<Vec<Whole>, Error> {
        let gathered = std::mem::take(&mut self.gathered);
        if gathered.len() < 2 || self.is_spent() {
            return Ok(gathered);
        }
        #[expect(clippy::disallowed_methods, reason = "how long work takes is no moment that is recorded")]
        let began = Instant::now();
        let joined = self.join(&gathered, decimals)?;
        self.left = self.left.saturating_sub(began.elapsed());
        // One that is too large would be halved: nothing is gained then, and it would be tried every time.
        Ok(if joined.len() == 1 { joined } else { gathered })
    }

    /// Whether a chunk goes on where the gathered ones end, and all of them may fit one value.
    fn takes(&self, (next, chunk): &Whole, boundaries: &[u64]) -> bool {
        let Some(((first, _), (last, _))) = self.gathered.first().zip(self.gathered.last()) else {
            return true;
        };
        let ticks = self.gathered.iter().map(|(header, _)| usize::from(header.ticks)).sum::<usize>();
        let bytes = self.gathered.iter().map(|(_, chunk)| chunk.len()).sum::<usize>();
        let parted = |boundary: &u64| first.first_seq < *boundary && *boundary <= next.last_seq;
        next.origin == last.origin
            && next.group == last.group
            && next.first_seq > last.last_seq
            && next.first >= last.last
            && next.first.as_ms().saturating_sub(last.last.as_ms()) <= GAP_MS
            && next.last.as_ms().saturating_sub(first.first.as_ms()) <= SPAN_MS
            && ticks + usize::from(next.ticks) <= JOINED_TICKS
            && bytes + chunk.len() <= VALUE_BYTES + self.gathered.len() * SAVED_BYTES
            && !boundaries.iter().any(parted)
    }

    fn join(&mut self, gathered: &[Whole], decimals: impl Fn(u32) -> u8) -> Result<Vec<Whole>, Error> {
        let Some((first, _)) = gathered.first() else { return Ok(Vec::new()) };
        let mut ids: Vec<u32> =
            gathered.iter().flat_map(|(header, _)| &header.columns).map(|column| column.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let wanted: Vec<Wanted> = ids.iter().map(|id| Wanted::new(*id, *id)).collect();
        let series = ids.iter().map(|id| (*id, decimals(*id))).collect();
        let mut rows = Rows::new(first.origin, first.group, series).joined();
        let (decoder, block) = &mut self.work;
        let mut cells = Vec::new();
        for (header, chunk) in gathered {
            let (_, body) = Header::read(chunk)?;
            decoder.times(header, body, block)?;
            decoder.seqs(header, body, block)?;
            decoder.columns(header, body, &wanted, block)?;
            let told: usize = header.columns.iter().map(|column: &Column| usize::from(column.present)).sum();
            let mut found = 0;
            while let Some((at, seq)) = block.head() {
                cells.clear();
                block.take(&mut cells);
                found += cells.len();
                rows.push(at, seq, cells.iter().copied());
            }
            if found != told {
                return Err(Error::damaged(format!("chunk {} contradicts itself", header.place())));
            }
        }
        chunks(&rows)
    }
}

/// What joining saves at least for each chunk that goes into another: its frame and the numbers of its header.
const SAVED_BYTES: usize = 100;
