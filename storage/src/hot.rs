//! The ring of ticks that no chunk has yet.
//!
//! Ticks count 0, 1, 2 ...; tick `n` lies in slot `n % RING_SLOTS` in one part or, where it is wide, several, each
//! a frame of its own. A slot is overwritten only when its tick is sealed: that costs half the writes of a new key
//! and a removal, and leaves no tombstones.

use serde::{Deserialize, Serialize};
use systembot_model::{Seq, Timestamp};

use crate::{
    codec,
    error::Error,
    store::{self, Put, Trees},
};

/// Ticks that are sealed together: an hour at the default interval. Twice as many would save a tenth of the bytes
/// and double what every scan decodes row by row.
pub(crate) const SEAL_TICKS: u64 = 240;
/// Slots; those beyond [`SEAL_TICKS`] are room for when sealing fails.
pub(crate) const RING_SLOTS: u64 = 256;
/// Readings in one part: 13 bytes each at most, so that a part stays below the largest value.
pub(crate) const PART_CELLS: usize = 500;

/// One tick, as it lies in the ring.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    pub(crate) tick: u64,
    pub(crate) seq: Seq,
    pub(crate) at: Timestamp,
    /// Series number and value.
    pub(crate) cells: Vec<(u32, f64)>,
}

/// A part of a tick, as it is framed.
#[derive(Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) tick: u64,
    pub(crate) seq: Seq,
    pub(crate) at: Timestamp,
    pub(crate) part: u16,
    pub(crate) parts: u16,
    pub(crate) cells: Vec<(u32, f64)>,
}

impl Tick {
    /// What is to be written for it; `before` is how many parts its slot has now.
    pub(crate) fn puts(&self, before: u16) -> Result<(u16, Vec<Put>), Error> {
        let parts = self.cells.len().div_ceil(PART_CELLS).max(1);
        let parts = u16::try_from(parts).map_err(|_| Error::TooLarge { what: "a tick".to_owned() })?;
        let mut cells = self.cells.chunks(PART_CELLS);
        let mut puts = Vec::new();
        for part in 0..parts {
            let cells = cells.next().unwrap_or_default().to_vec();
            let value = Part { tick: self.tick, seq: self.seq, at: self.at, part, parts, cells };
            puts.push(Put::hot(
                key(self.tick, part),
                codec::encode(&value).map_err(Error::writing("a tick"))?,
            ));
        }
        puts.extend((parts..before).map(|part| Put::hot_removed(key(self.tick, part))));
        Ok((parts, puts))
    }
}

/// Number of the slot's parts in the ring, and the ticks with a number in `(after, up_to]`, in order of number.
///
/// A tick whose parts are not all there was being overwritten while this read it, so a chunk has it.
pub(crate) fn read(trees: &Trees, after: Seq, up_to: Seq) -> Result<Vec<Tick>, Error> {
    let mut ticks: Vec<(Tick, u16, u16)> = Vec::new();
    for item in &trees.hot {
        let (_, value) = item.map_err(|error| store::failure("hot".as_ref(), error))?;
        let payload = codec::payload(&value).map_err(damaged)?;
        let ((tick, seq), _) = codec::prefix::<(u64, Seq)>(payload).map_err(damaged)?;
        if seq <= after || seq > up_to {
            continue;
        }
        let part: Part = codec::from_bytes(payload).map_err(damaged)?;
        match ticks.last_mut() {
            Some((last, found, _)) if last.tick == tick && *found == part.part => {
                last.cells.extend(part.cells);
                *found += 1;
            }
            _ if part.part == 0 => {
                let whole = Tick { tick, seq, at: part.at, cells: part.cells };
                ticks.push((whole, 1, part.parts));
            }
            _ => {}
        }
    }
    let mut whole: Vec<Tick> =
        ticks.into_iter().filter_map(|(tick, found, parts)| (found == parts).then_some(tick)).collect();
    whole.sort_unstable_by_key(|tick| tick.seq);
    Ok(whole)
}

/// Parts of each slot, and the newest tick with its record number.
pub(crate) type Survey = (Vec<u16>, Option<(u64, Seq)>);

/// Takes bytes as a part of a tick.
#[cfg(feature = "fuzzing")]
pub(crate) fn decode(frame: &[u8]) {
    drop(codec::decode::<Part>(frame));
}

/// How many parts each slot has, and the greatest tick and record number in the ring.
pub(crate) fn survey(trees: &Trees) -> Result<Survey, Error> {
    let slots = usize::try_from(RING_SLOTS).unwrap_or(usize::MAX);
    let (mut parts, mut newest) = (vec![0_u16; slots], None);
    for item in &trees.hot {
        let (key, value) = item.map_err(|error| store::failure("hot".as_ref(), error))?;
        let payload = codec::payload(&value).map_err(damaged)?;
        let (found, _) = codec::prefix::<(u64, Seq)>(payload).map_err(damaged)?;
        newest = newest.max(Some(found));
        let slot = key.first_chunk::<2>().map(|slot| usize::from(u16::from_be_bytes(*slot)));
        if let Some(count) = slot.and_then(|slot| parts.get_mut(slot)) {
            *count += 1;
        }
    }
    Ok((parts, newest))
}

/// What takes the ticks after a number out of the ring.
pub(crate) fn after(trees: &Trees, known: Seq) -> Result<Vec<Put>, Error> {
    let mut puts = Vec::new();
    for item in &trees.hot {
        let (key, value) = item.map_err(|error| store::failure("hot".as_ref(), error))?;
        let payload = codec::payload(&value).map_err(damaged)?;
        let ((_, seq), _) = codec::prefix::<(u64, Seq)>(payload).map_err(damaged)?;
        if seq > known {
            puts.push(Put::hot_removed(key.to_vec()));
        }
    }
    Ok(puts)
}

/// The slot of a tick.
pub(crate) fn slot(tick: u64) -> usize {
    usize::try_from(tick % RING_SLOTS).unwrap_or(0)
}

fn key(tick: u64, part: u16) -> Vec<u8> {
    let slot = u16::try_from(tick % RING_SLOTS).unwrap_or(0);
    [slot.to_be_bytes(), part.to_be_bytes()].concat()
}

fn damaged(error: codec::CodecError) -> Error {
    Error::reading(|| "a tick of the ring".to_owned())(error)
}
