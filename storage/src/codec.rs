//! How values become bytes, and the only place that names bincode.
//!
//! A frame is `version (1 byte) | length (u32, little endian) | payload | crc32 (u32, little endian)`. Length is
//! that of the payload; the checksum covers everything before it. The payload is bincode 1.3.3 with the options
//! of `options`: variable-length integers, little endian. bincode is positional and unmaintained, hence the
//! version byte outside it, the frozen options, and the fixtures that hold them.

use bincode::Options;
use serde::{Serialize, de::DeserializeOwned};

/// The version that frames are written with.
const VERSION: u8 = 1;
/// Bytes before the payload.
const HEAD_BYTES: usize = 5;
/// Bytes after it.
const TAIL_BYTES: usize = 4;
/// Longest payload that is read or written: a checkpoint of 4,096 series with windows of 800 samples has 50 MiB.
const PAYLOAD_BYTES: usize = 64 << 20;

/// Why bytes are no value.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Written by a later version of the program: keep it, and read it with that version.
    #[error("frame version {0} is unknown to this program")]
    Version(u8),
    /// The bytes end too early, or go on too long.
    #[error("frame of {found} bytes where {expected} were expected")]
    Length {
        /// Bytes that the frame's head tells.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// Some bit is not as it was written.
    #[error("checksum does not match")]
    Checksum,
    /// The payload does not hold a value of the expected type.
    #[error("payload is malformed: {0}")]
    Malformed(#[from] bincode::Error),
    /// The value is larger than anything that is kept.
    #[error("value of {0} bytes is too large")]
    TooLarge(usize),
}

/// Frames a value.
///
/// # Errors
/// [`CodecError::TooLarge`]; types that bincode cannot hold are [`CodecError::Malformed`].
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut frame = begin();
    options(PAYLOAD_BYTES).serialize_into(&mut frame, value)?;
    finish(frame)
}

/// Reads a framed value; the frame must be all there is.
///
/// # Errors
/// Every [`CodecError`] but `TooLarge`.
pub fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, CodecError> {
    from_bytes(payload(frame)?)
}

/// Starts a frame whose payload is written by hand, see [`finish`].
#[must_use]
pub(crate) fn begin() -> Vec<u8> {
    vec![VERSION, 0, 0, 0, 0]
}

/// Writes length and checksum of a frame that [`begin`] started.
pub(crate) fn finish(mut frame: Vec<u8>) -> Result<Vec<u8>, CodecError> {
    let length = frame.len().saturating_sub(HEAD_BYTES);
    let Some(told) = u32::try_from(length).ok().filter(|_| length <= PAYLOAD_BYTES) else {
        return Err(CodecError::TooLarge(length));
    };
    if let Some(place) = frame.get_mut(1..HEAD_BYTES) {
        place.copy_from_slice(&told.to_le_bytes());
    }
    let sum = crc32fast::hash(&frame);
    frame.extend_from_slice(&sum.to_le_bytes());
    Ok(frame)
}

/// Bytes of the whole frame as its first bytes tell, for values that are kept in pieces.
pub(crate) fn frame_bytes(head: &[u8]) -> Result<usize, CodecError> {
    let short = CodecError::Length { expected: HEAD_BYTES + TAIL_BYTES, found: head.len() };
    let (version, rest) = head.split_first().ok_or(short)?;
    if *version != VERSION {
        return Err(CodecError::Version(*version));
    }
    let short = CodecError::Length { expected: HEAD_BYTES + TAIL_BYTES, found: head.len() };
    let told = rest.first_chunk::<4>().ok_or(short)?;
    let length = usize::try_from(u32::from_le_bytes(*told)).unwrap_or(usize::MAX);
    if length > PAYLOAD_BYTES {
        return Err(CodecError::TooLarge(length));
    }
    Ok(HEAD_BYTES + length + TAIL_BYTES)
}

/// Whether bytes are a whole frame of a later version, as far as it kept head and checksum.
pub(crate) fn is_later(frame: &[u8]) -> bool {
    let told = frame
        .get(1..HEAD_BYTES)
        .and_then(|told| told.first_chunk::<4>())
        .map(|told| u32::from_le_bytes(*told));
    let length = told.and_then(|told| usize::try_from(told).ok());
    frame.first().is_some_and(|version| *version > VERSION)
        && length.is_some_and(|length| length.saturating_add(HEAD_BYTES + TAIL_BYTES) == frame.len())
}

/// Checks a frame and gives its payload.
pub(crate) fn payload(frame: &[u8]) -> Result<&[u8], CodecError> {
    let expected = frame_bytes(frame)?;
    let wrong = CodecError::Length { expected, found: frame.len() };
    if frame.len() != expected {
        return Err(wrong);
    }
    let (body, tail) = frame.split_last_chunk::<TAIL_BYTES>().ok_or(wrong)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*tail) {
        return Err(CodecError::Checksum);
    }
    Ok(body.get(HEAD_BYTES..).unwrap_or_default())
}

/// Writes a value without a frame, where something else bounds and checks it.
pub(crate) fn to_bytes<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<(), CodecError> {
    Ok(options(PAYLOAD_BYTES).serialize_into(into, value)?)
}

/// Reads what [`to_bytes`] wrote; no allocation goes beyond what the bytes can hold.
pub(crate) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    Ok(options(bytes.len()).deserialize(bytes)?)
}

/// Reads a value that the bytes begin with, and gives what follows.
pub(crate) fn prefix<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), CodecError> {
    let mut rest = bytes;
    let value = options(bytes.len()).allow_trailing_bytes().deserialize_from(&mut rest)?;
    Ok((value, rest))
}

/// The frozen options. What is on disks depends on them: they never change, a new version byte comes instead.
fn options(limit: usize) -> impl Options {
    bincode::DefaultOptions::new()
        .with_little_endian()
        .with_varint_encoding()
        .reject_trailing_bytes()
        .with_limit(u64::try_from(limit).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Sort {
        Empty,
        Full { number: u64, signed: i64, text: String, value: f64, some: Option<u8> },
    }

    fn full() -> Sort {
        Sort::Full { number: 251, signed: -1, text: "ü".into(), value: 0.5, some: Some(7) }
    }

    #[test]
    fn the_bytes_are_those_of_the_first_day() {
        let check = |value: &Sort, hex: &str| {
            let bytes = encode(value).unwrap();
            assert_eq!(bytes.iter().map(|b| format!("{b:02x}")).collect::<String>(), hex);
            assert_eq!(&decode::<Sort>(&bytes).unwrap(), value);
        };
        check(&Sort::Empty, "010100000000b65bfe47");
        check(&full(), "011200000001fbfb000102c3bc000000000000e03f01078f6a1bc2");
    }

    #[test]
    fn what_is_wrong_has_a_name() {
        let good = encode(&full()).unwrap();
        let check = |change: &dyn Fn(&mut Vec<u8>), expected: &str| {
            let mut bytes = good.clone();
            change(&mut bytes);
            let error = decode::<Sort>(&bytes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} is not about {expected}");
        };
        check(&|b| b[0] = 9, "version 9 is unknown");
        check(&|b| b[12] ^= 1, "checksum");
        check(&|b| *b.last_mut().unwrap() ^= 0x80, "checksum");
        check(&|b| b.truncate(20), "frame of 20 bytes where 27");
        check(&|b| b.push(0), "frame of 28 bytes where 27");
        check(&|b| b.clear(), "frame of 0 bytes");
        check(&|b| b[1..5].fill(0xff), "too large");
        let foreign = encode(&99_u64).unwrap();
        assert!(decode::<Sort>(&foreign).unwrap_err().to_string().contains("malformed"));
    }

    #[test]
    fn a_length_beyond_the_bytes_is_refused_before_memory_is_taken() {
        let mut bytes = begin();
        bytes.extend([0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00]);
        let frame = finish(bytes).unwrap();
        assert!(decode::<Vec<u64>>(&frame).is_err());
        assert!(decode::<String>(&frame).is_err());
    }

    #[test]
    fn a_prefix_leaves_the_rest() {
        let mut bytes = Vec::new();
        to_bytes(&(3_u64, -5_i64), &mut bytes).unwrap();
        bytes.extend(b"rest");
        let (head, rest) = prefix::<(u64, i64)>(&bytes).unwrap();
        assert_eq!((head, rest), ((3, -5), &b"rest"[..]));
    }
}
