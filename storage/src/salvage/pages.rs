//! The database's file, read without the database.
//!
//! sled's file is a row of segments of [`SEGMENT_BYTES`]. A segment begins with a head (checksum, position in the
//! log), and messages follow: `checksum (4) | kind (1) | length | segment number | page | body`, the last three of the
//! head as numbers of variable length. A message holds a whole page or one change to it, and lies within its segment.
//! Everything has a checksum, so what is bad is known, and behind it the next good message is found by trying.

/// Bytes of a segment: sled's default, which every log has.
pub(super) const SEGMENT_BYTES: usize = 512 << 10;
/// Bytes of a segment's head.
pub(super) const HEAD_BYTES: usize = 20;
/// sled begins no message nearer than this to the end of a segment.
const RED_BYTES: usize = 32;
/// What the position in a segment's head is mixed with.
const MASK: u64 = 0x7fff_ffff_ffff_ffff;

const CANCELED: u8 = 1;
const CAP: u8 = 2;
const META: u8 = 6;
const NODE: u8 = 8;
const LINK: u8 = 10;
const KINDS: std::ops::RangeInclusive<u8> = 1..=11;

/// What a segment holds.
pub(super) enum Piece<'a> {
    /// A message that is as it was written.
    Message(Message<'a>),
    /// Bytes that are none, and their position in the log, where that is known.
    Other { lsn: u64, bytes: &'a [u8] },
}

/// One message.
pub(super) struct Message<'a> {
    /// Its position in the log: what is further on is newer.
    pub(super) lsn: u64,
    /// The page that it is about.
    pub(super) pid: u64,
    pub(super) fact: Fact<'a>,
}

/// What a message says.
pub(super) enum Fact<'a> {
    /// The trees, and the pages that they begin with.
    Roots(Vec<(&'a [u8], u64)>),
    /// A page with keys and values.
    Leaf { node: Node<'a>, items: Vec<(Vec<u8>, &'a [u8])> },
    /// A page with pages below it.
    Index { node: Node<'a>, children: Vec<u64> },
    /// One key is set; what all keys of the page begin with is left out.
    Set(&'a [u8], &'a [u8]),
    /// One key is removed, told as above.
    Removed(&'a [u8]),
    /// Something that holds no value.
    Nothing,
}

/// Where a page stands.
pub(super) struct Node<'a> {
    /// The page after it.
    pub(super) next: Option<u64>,
    /// Its keys are not below this,
    pub(super) lo: &'a [u8],
    /// and below this, unless it is empty.
    pub(super) hi: &'a [u8],
    /// All of them begin with this.
    pub(super) prefix: &'a [u8],
}

/// What was seen of a segment as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Segment {
    /// Its number in the log; `None` where its head is bad.
    pub(super) number: Option<u64>,
    /// Whether bytes are bad that messages follow.
    pub(super) is_broken: bool,
    /// Whether its messages go on to its end, or to where nothing was ever written after them.
    pub(super) ends_well: bool,
}

/// Reads a segment, piece by piece.
pub(super) fn walk(bytes: &[u8], each: &mut dyn FnMut(Piece<'_>)) -> Segment {
    let number = head(bytes);
    let mut seen = Segment { number, is_broken: number.is_none(), ends_well: false };
    let end = bytes.len().min(SEGMENT_BYTES - RED_BYTES);
    // Whether bad bytes follow the newest messages: then nobody can tell what was behind them.
    let mut is_torn = false;
    let mut at = HEAD_BYTES;
    while at < end {
        let Some((message, next)) = message(bytes, at) else {
            let found = (at + 1..end).find(|at| message_is_good(bytes, *at));
            let upto = found.unwrap_or(bytes.len());
            let other = bytes.get(at..upto).unwrap_or_default();
            // What a segment held before it was given out again is behind its newest messages, whole or cut.
            let is_end = found.is_none_or(|found| number.is_some() && number_at(bytes, found) != number);
            let is_blank = other.iter().all(|byte| *byte == 0);
            if is_end {
                is_torn |= !is_blank || bytes.len() < SEGMENT_BYTES;
                seen.ends_well |= !is_torn;
            } else if !is_blank {
                // Messages are written side by side: nothing at all, from one to another, is one that a kill forestalled.
                seen.is_broken = true;
            }
            if !is_blank {
                let lsn = number.map_or(0, |number| position(number, at));
                each(Piece::Other { lsn, bytes: other });
            }
            let Some(found) = found else { return seen };
            at = found;
            continue;
        };
        let Raw { kind, number: told, pid, body } = message;
        if number.is_some() && number != Some(told) {
            // From here on it is what the segment held before.
            seen.ends_well |= !is_torn;
        }
        let lsn = position(told, at);
        if kind == CAP && number == Some(told) {
            seen.ends_well = true;
        }
        each(Piece::Message(Message { lsn, pid, fact: fact(kind, body).unwrap_or(Fact::Nothing) }));
        if kind == CAP {
            return seen;
        }
        at = next;
    }
    // The last segment of a file is as long as what is in it.
    seen.ends_well |= !is_torn && (at >= SEGMENT_BYTES - RED_BYTES || at == bytes.len());
    seen
}

fn position(number: u64, at: usize) -> u64 {
    let bytes = u64::try_from(SEGMENT_BYTES).unwrap_or(u64::MAX);
    number.saturating_mul(bytes).saturating_add(u64::try_from(at).unwrap_or(0))
}

/// A segment's number, if its head is good.
pub(super) fn head(bytes: &[u8]) -> Option<u64> {
    let (sum, rest) = bytes.get(..HEAD_BYTES)?.split_first_chunk::<4>()?;
    if crc32fast::hash(rest) != u32::from_le_bytes(*sum) ^ u32::MAX {
        return None;
    }
    let position = u64::from_le_bytes(*rest.first_chunk::<8>()?) ^ MASK;
    let bytes = u64::try_from(SEGMENT_BYTES).ok()?;
    // One that was never used has the highest.
    position.is_multiple_of(bytes).then(|| position / bytes)
}

struct Raw<'a> {
    kind: u8,
    number: u64,
    pid: u64,
    body: &'a [u8],
}

/// The message at a place, if it is good, and where it ends.
fn message(bytes: &[u8], at: usize) -> Option<(Raw<'_>, usize)> {
    let whole = bytes.get(at..)?;
    let mut rest = Cursor(whole);
    let sum = rest.take(4)?.first_chunk::<4>().map(|sum| u32::from_le_bytes(*sum))?;
    let kind = rest.byte().filter(|kind| KINDS.contains(kind))?;
    let length = usize::try_from(rest.number()?).ok()?;
    let (number, pid) = (rest.number()?, rest.number()?);
    let head_bytes = whole.len() - rest.0.len();
    let body = rest.take(length)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(body);
    hasher.update(whole.get(4..head_bytes)?);
    (hasher.finalize() ^ u32::MAX == sum).then(|| (Raw { kind, number, pid, body }, at + head_bytes + length))
}

fn message_is_good(bytes: &[u8], at: usize) -> bool {
    message(bytes, at).is_some()
}

fn number_at(bytes: &[u8], at: usize) -> Option<u64> {
    message(bytes, at).map(|(message, _)| message.number)
}

/// What a body says; `None` where it is of no known form.
fn fact(kind: u8, body: &[u8]) -> Option<Fact<'_>> {
    let mut rest = Cursor(body);
    match kind {
        META => {
            let mut roots = Vec::new();
            while !rest.0.is_empty() {
                roots.push((rest.bytes()?, rest.number()?));
            }
            Some(Fact::Roots(roots))
        }
        LINK => match rest.byte()? {
            0 => Some(Fact::Set(rest.bytes()?, rest.bytes()?)),
            1 => Some(Fact::Removed(rest.bytes()?)),
            _ => None,
        },
        NODE => {
            let next = rest.number()?;
            rest.number()?;
            rest.byte()?;
            let prefix = usize::from(rest.byte()?);
            let (lo, hi) = (rest.bytes()?, rest.bytes()?);
            let prefix = lo.get(..prefix)?;
            let node = Node { next: next.checked_sub(1).map(|_| next), lo, hi, prefix };
            let is_index = rest.byte()? == 1;
            let count = usize::try_from(rest.number()?).ok().filter(|count| *count <= body.len())?;
            let mut keys = Vec::with_capacity(count);
            for _ in 0..count {
                keys.push(rest.bytes()?);
            }
            if is_index {
                let children = (0..count).map(|_| rest.number()).collect::<Option<_>>()?;
                return Some(Fact::Index { node, children });
            }
            let mut items = Vec::with_capacity(count);
            for key in keys {
                items.push(([prefix, key].concat(), rest.bytes()?));
            }
            Some(Fact::Leaf { node, items })
        }
        CANCELED => None,
        _ => Some(Fact::Nothing),
    }
}

/// Bytes that are read from the front.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// A number of 1 to 9 bytes.
    fn number(&mut self) -> Option<u64> {
        let first = self.byte()?;
        Some(match first {
            0..=240 => u64::from(first),
            241..=248 => 240 + 256 * (u64::from(first) - 241) + u64::from(self.byte()?),
            249 => 2_288 + 256 * u64::from(self.byte()?) + u64::from(self.byte()?),
            _ => {
                let mut bytes = [0; 8];
                let told = self.take(usize::from(first) - 247)?;
                bytes.get_mut(..told.len())?.copy_from_slice(told);
                u64::from_le_bytes(bytes)
            }
        })
    }

    /// Bytes behind their length.
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }
}
