//! Rows as bytes: all as bincode has them, but samples and buckets, which come by the hundred thousand, by hand.

use systembot_model::Timestamp;

use crate::{
    codec::{self, CodecError},
    query::{Basis, Row},
};

/// Places of [`Row::Point`] and [`Row::Bucket`] among the rows.
const POINT: u8 = 1;
const BUCKET: u8 = 2;
/// Lengths that bincode's integers tell before their bytes; what is less is the integer itself.
const TWO: u8 = 251;
const FOUR: u8 = 252;
const EIGHT: u8 = 253;

/// Adds a row.
pub(super) fn write(row: &Row, into: &mut Vec<u8>) -> Result<(), CodecError> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all other rows are few")]
    match row {
        Row::Point { at, series, value } => {
            into.push(POINT);
            write_moment(*at, into);
            write_integer(u64::from(*series), into);
            into.extend_from_slice(&value.to_le_bytes());
        }
        Row::Bucket { at, series, mean, min, max, last, count, from } => {
            into.push(BUCKET);
            write_moment(*at, into);
            write_integer(u64::from(*series), into);
            for figure in [mean, min, max, last] {
                into.extend_from_slice(&figure.to_le_bytes());
            }
            write_integer(*count, into);
            into.push(match from {
                Basis::Samples => 0,
                Basis::Rollups => 1,
            });
        }
        other => codec::to_bytes(other, into)?,
    }
    Ok(())
}

/// Reads the row that the bytes begin with, and gives what follows.
pub(super) fn read(bytes: &[u8]) -> Result<(Row, &[u8]), CodecError> {
    // What is cut off or out of range is told in bincode's words.
    by_hand(bytes).map_or_else(|| codec::prefix(bytes), Ok)
}

fn by_hand(bytes: &[u8]) -> Option<(Row, &[u8])> {
    let (sort, mut rest) = bytes.split_first()?;
    let rest = &mut rest;
    let row = match *sort {
        POINT => {
            let (at, series) = (read_moment(rest)?, read_integer(rest)?.try_into().ok()?);
            Row::Point { at, series, value: read_float(rest)? }
        }
        BUCKET => {
            let (at, series) = (read_moment(rest)?, read_integer(rest)?.try_into().ok()?);
            let (mean, min) = (read_float(rest)?, read_float(rest)?);
            let (max, last) = (read_float(rest)?, read_float(rest)?);
            let count = read_integer(rest)?;
            let from = match read_integer(rest)? {
                0 => Basis::Samples,
                1 => Basis::Rollups,
                _ => return None,
            };
            Row::Bucket { at, series, mean, min, max, last, count, from }
        }
        _ => return None,
    };
    Some((row, *rest))
}

/// As bincode has signed integers: the sign is the last bit.
fn write_moment(at: Timestamp, into: &mut Vec<u8>) {
    let ms = at.as_ms();
    write_integer((ms.cast_unsigned() << 1) ^ (ms >> 63).cast_unsigned(), into);
}

fn read_moment(rest: &mut &[u8]) -> Option<Timestamp> {
    let bits = read_integer(rest)?;
    Some(Timestamp::from_ms((bits >> 1).cast_signed() ^ (bits & 1).cast_signed().wrapping_neg()))
}

fn write_integer(integer: u64, into: &mut Vec<u8>) {
    if let Some(small) = u8::try_from(integer).ok().filter(|small| *small < TWO) {
        into.push(small);
    } else if let Ok(short) = u16::try_from(integer) {
        into.push(TWO);
        into.extend_from_slice(&short.to_le_bytes());
    } else if let Ok(middle) = u32::try_from(integer) {
        into.push(FOUR);
        into.extend_from_slice(&middle.to_le_bytes());
    } else {
        into.push(EIGHT);
        into.extend_from_slice(&integer.to_le_bytes());
    }
}

fn read_integer(rest: &mut &[u8]) -> Option<u64> {
    match take::<1>(rest)? {
        [small] if small < TWO => Some(u64::from(small)),
        [TWO] => take(rest).map(u16::from_le_bytes).map(u64::from),
        [FOUR] => take(rest).map(u32::from_le_bytes).map(u64::from),
        [EIGHT] => take(rest).map(u64::from_le_bytes),
        _ => None,
    }
}

fn read_float(rest: &mut &[u8]) -> Option<f64> {
    take(rest).map(f64::from_le_bytes)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn integer() -> impl Strategy<Value = u64> {
        prop_oneof![0_u64..600, 0_u64..1 << 17, any::<u64>(), Just(u64::from(u32::MAX)), Just(1 << 32)]
    }

    fn row() -> impl Strategy<Value = Row> {
        let moment = prop_oneof![any::<i64>(), -100_000_i64..100_000, Just(i64::MIN), Just(i64::MAX)];
        let float = || any::<u64>().prop_map(f64::from_bits).prop_filter("equals itself", |x| !x.is_nan());
        let figures = (float(), float(), float(), float());
        let series = integer().prop_map(|n| u32::try_from(n % (1 << 32)).unwrap());
        (moment, series, figures, integer(), 0_u8..4).prop_map(|(at, series, figures, count, sort)| {
            let (at, (mean, min, max, last)) = (Timestamp::from_ms(at), figures);
            match sort {
                0 => Row::Point { at, series, value: mean },
                1 => Row::Bucket { at, series, mean, min, max, last, count, from: Basis::Samples },
                2 => Row::Bucket { at, series, mean, min, max, last, count, from: Basis::Rollups },
                _ => Row::Failed(format!("{count}")),
            }
        })
    }

    proptest! {
        #[test]
        fn rows_are_as_bincode_has_them(rows in proptest::collection::vec(row(), 1..20)) {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for row in &rows {
                write(row, &mut ours).unwrap();
                codec::to_bytes(row, &mut theirs).unwrap();
            }
            prop_assert_eq!(&ours, &theirs);
            let mut rest = ours.as_slice();
            for row in &rows {
                prop_assert_eq!(&codec::prefix::<Row>(rest).unwrap().0, row);
                let (found, after) = read(rest).unwrap();
                prop_assert_eq!(&found, row);
                rest = after;
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn whatever_comes_is_taken_as_bincode_takes_it(bytes in proptest::collection::vec(any::<u8>(), 0..60), sort in 0_u8..4) {
            let bytes = [&[sort], bytes.as_slice()].concat();
            let (ours, theirs) = (read(&bytes), codec::prefix::<Row>(&bytes));
            let bits = |row: Row| {
                let mut bytes = Vec::new();
                codec::to_bytes(&row, &mut bytes).unwrap();
                bytes
            };
            match (ours, theirs) {
                (Ok((ours, rest)), Ok((theirs, left))) => prop_assert_eq!((bits(ours), rest), (bits(theirs), left)),
                (Err(ours), Err(theirs)) => prop_assert_eq!(ours.to_string(), theirs.to_string()),
                (ours, theirs) => prop_assert!(false, "{ours:?} {theirs:?}"),
            }
        }
    }
}
