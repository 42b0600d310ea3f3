//! A chunk: up to some hundred ticks of one group of series, as columns.
//!
//! A chunk is a frame (see [`crate::codec`]) whose payload is a [`Header`] and after it the columns it lists, in
//! its order: times, numbers, then a column for each series that has a value in any of the ticks. Whoever wants
//! one series reads the header, skips by its byte lengths, and decodes times and that one column.
//!
//! A column begins with its sort (one byte): `0` constant, 8 bytes; `1` linear, the step in 8 bytes, in none where it is 0; `2` plain,
//! 8 bytes a value; `3` integers by pco; `4` floats by pco; `16 + d` integers by pco that are the values times
//! 10^d, used only where every value comes back bit for bit. Times and numbers are relative to the first. A series
//! that is missing in some ticks has a bitmap before its sort, one bit a tick, lowest bit first. All numbers are
//! little endian. The pco columns are in its "wrapped" format with one page, and the chunk begins with its header.

mod decode;
mod encode;
mod join;
pub(crate) mod rollup;

use std::ops::Range;

use serde::{Deserialize, Serialize};
use systembot_model::{Seq, Timestamp};

use crate::{codec, error::Error};

pub(crate) use decode::{Block, Decoder, Wanted};
pub(crate) use encode::{Rows, chunks};
pub(crate) use join::Joiner;

/// A chunk never covers more: a scan that begins at some moment looks back so far and no further.
pub(crate) const SPAN_MS: i64 = 24 * 3_600_000;
/// A gap in time that ends a chunk: the daemon was off, and what follows is another story.
pub(crate) const GAP_MS: i64 = 6 * 3_600_000;
/// Most ticks of a chunk that others were joined to: what a scan of one hour decodes in vain stays bounded.
const JOINED_TICKS: usize = 1_024;
/// Numbers of imported ticks have this bit: they are counted apart, and no record has them.
pub(crate) const IMPORTED: u64 = 1 << 63;

/// Constant: one value.
const CONSTANT: u8 = 0;
/// Linear: each value is one step from the one before.
const LINEAR: u8 = 1;
/// As they are.
const PLAIN: u8 = 2;
/// Integers.
const INTEGERS: u8 = 3;
/// Floats.
const FLOATS: u8 = 4;
/// Scaled integers; the low bits tell the decimals.
const SCALED: u8 = 16;
/// Most decimals that are tried.
const DECIMALS_MAX: u8 = 6;

/// Where a chunk's ticks come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// Recorded: they are part of the fold.
    Live,
    /// Loaded from a file: shown, never folded.
    Imported,
}

/// What a chunk holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) origin: Origin,
    pub(crate) group: u16,
    /// Ticks, 1 or more.
    pub(crate) ticks: u16,
    /// Moments of the first and last tick.
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    /// Numbers of the first and last tick.
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    /// Bytes of pco's own header, of the times and of the numbers.
    pub(crate) pco_bytes: u16,
    pub(crate) time_bytes: u16,
    pub(crate) seq_bytes: u16,
    /// The series, ascending by number.
    pub(crate) columns: Vec<Column>,
}

/// One series in a chunk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Column {
    /// Its number.
    pub(crate) id: u32,
    /// Ticks in which it has a value, 1 or more.
    pub(crate) present: u16,
    /// Bytes of the column.
    pub(crate) bytes: u16,
}

impl Header {
    /// Checks a chunk's frame and reads its header; gives the columns' bytes too.
    pub(crate) fn read(chunk: &[u8]) -> Result<(Self, &[u8]), Error> {
        let (header, body) = codec::payload(chunk)
            .and_then(codec::prefix::<Self>)
            .map_err(Error::reading(|| "a chunk".into()))?;
        let bytes = [header.pco_bytes, header.time_bytes, header.seq_bytes]
            .into_iter()
            .chain(header.columns.iter().map(|column| column.bytes))
            .map(usize::from)
            .sum::<usize>();
        if bytes != body.len() || header.ticks == 0 || header.first > header.last {
            return Err(Error::damaged(format!("chunk {} contradicts itself", header.place())));
        }
        Ok((header, body))
    }

    /// The key in the chunk tree: group, first time, first number.
    pub(crate) fn key(&self) -> Vec<u8> {
        key(self.group, self.first, self.first_seq)
    }

    /// How it is called in messages.
    pub(crate) fn place(&self) -> String {
        format!(
            "{} of group {} from {}",
            Seq::new(self.first_seq & !IMPORTED).get(),
            self.group,
            self.first.rfc3339()
        )
    }
}

/// The key of a chunk, in order of group, time and number.
pub(crate) fn key(group: u16, first: Timestamp, first_seq: u64) -> Vec<u8> {
    let mut key = group.to_be_bytes().to_vec();
    key.extend(ordered(first).to_be_bytes());
    key.extend(first_seq.to_be_bytes());
    key
}

/// First time and first number of a chunk's key; `None` if it is no such key.
pub(crate) fn parse_key(key: &[u8]) -> Option<(u16, Timestamp, u64)> {
    let (group, rest) = key.split_first_chunk::<2>()?;
    let (time, seq) = rest.split_first_chunk::<8>()?;
    let time = u64::from_be_bytes(*time) ^ SIGN;
    let first = Timestamp::from_ms(i64::from_be_bytes(time.to_be_bytes()));
    Some((u16::from_be_bytes(*group), first, u64::from_be_bytes(*seq.first_chunk::<8>()?)))
}

/// The keys of a group's chunks that begin in a span.
pub(crate) fn key_range(group: u16, since: Timestamp, until: Timestamp) -> Range<Vec<u8>> {
    key(group, since, 0)..key(group, until, 0)
}

/// The key in the order tree: group, first number.
pub(crate) fn order_key(group: u16, first_seq: u64) -> Vec<u8> {
    let mut key = group.to_be_bytes().to_vec();
    key.extend(first_seq.to_be_bytes());
    key
}

/// Group and first number of a key of the order tree.
pub(crate) fn parse_order_key(key: &[u8]) -> Option<(u16, u64)> {
    let (group, seq) = key.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*group), u64::from_be_bytes(*seq.first_chunk::<8>()?)))
}

const SIGN: u64 = 1 << 63;

/// A moment as a number that orders as moments do.
pub(crate) fn ordered(at: Timestamp) -> u64 {
    u64::from_be_bytes(at.as_ms().to_be_bytes()) ^ SIGN
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_order_as_group_time_and_number_do() {
        let at = Timestamp::from_ms;
        let sorted = [
            key(0, Timestamp::MIN, 9),
            key(0, at(-5), 3),
            key(0, at(0), 2),
            key(0, at(0), 3),
            key(0, at(7), 1),
            key(0, Timestamp::MAX, 1),
            key(1, at(-9), 0),
        ];
        assert!(sorted.is_sorted());
        assert_eq!(parse_key(&key(7, at(-123), 45)), Some((7, at(-123), 45)));
        assert_eq!(parse_key(b"short"), None);
    }

    /// Values as machines have them, and any other.
    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            3 => (0_u32..10_000).prop_map(|n| f64::from(n) / 100.0),
            2 => (0_u64..1 << 50).prop_map(systembot_model::number::float),
            1 => Just(0.0),
            1 => Just(-0.0),
            1 => any::<f64>().prop_filter("finite", |x| x.is_finite()),
        ]
    }

    fn rows() -> impl Strategy<Value = Rows> {
        let tick = (
            -20_000_i64..60_000,
            1_u64..4,
            proptest::collection::vec(proptest::option::weighted(0.8, value()), 4),
        );
        proptest::collection::vec(tick, 1..300).prop_map(|ticks| {
            let mut rows = Rows::new(Origin::Live, 3, vec![(4, 2), (5, 0), (8, 3), (9, 0)]);
            let (mut at, mut seq) = (1_795_346_634_007, 10);
            for (step, skip, values) in ticks {
                at += if step > 59_900 { step * 500 } else { step };
                seq += skip;
                let cells = values.iter().enumerate().filter_map(|(i, v)| Some(([4, 5, 8, 9][i], (*v)?)));
                rows.push(Timestamp::from_ms(at), seq, cells);
            }
            rows
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_goes_in_comes_out_bit_for_bit(rows in rows()) {
            let mut seen = encode::Listed::new();
            let mut decoder = Decoder::default();
            let wanted: Vec<Wanted> = [4, 5, 8, 9].into_iter().map(|id| Wanted::new(id, id)).collect();
            for (header, chunk) in chunks(&rows).unwrap() {
                prop_assert!(chunk.len() <= crate::store::VALUE_BYTES);
                let (read, _) = Header::read(&chunk).unwrap();
                prop_assert_eq!(&read, &header);
                prop_assert!(header.last.as_ms() - header.first.as_ms() <= SPAN_MS);
                let mut block = Block::default();
                decoder.all(&chunk, &wanted, &mut block).unwrap();
                let mut cells = Vec::new();
                while let Some((at, seq)) = block.head() {
                    cells.clear();
                    block.take(&mut cells);
                    seen.push((at.as_ms(), seq, cells.iter().map(|(id, v)| (*id, v.to_bits())).collect()));
                }
            }
            prop_assert_eq!(seen, rows.listed());
        }
    }
}
