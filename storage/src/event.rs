//! Records that are no samples: kept for ever, each under its number.
//!
//! A record is one frame. Where that is larger than a value may be (settings with many services, say), it is cut
//! into pieces: the first lies under the number (8 bytes), the others under number and piece (9 bytes).

use systembot_model::{Event, Record, Seq, Timestamp};

use crate::{
    codec,
    error::Error,
    store::{self, Put, Trees, VALUE_BYTES},
};

/// Largest record: 255 pieces would be 1.7 MB, and nothing that is recorded comes near a quarter of a megabyte.
const RECORD_BYTES: usize = 256 << 10;

/// Which records are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFilter {
    /// Only those with a higher number.
    pub after: Seq,
    /// Recorded at or after.
    pub since: Timestamp,
    /// Recorded before.
    pub until: Timestamp,
    /// Only these kinds; all if empty.
    pub kinds: Vec<String>,
}

impl Default for EventFilter {
    fn default() -> Self {
        Self { after: Seq::ZERO, since: Timestamp::MIN, until: Timestamp::MAX, kinds: Vec::new() }
    }
}

impl EventFilter {
    /// Every record of these kinds.
    #[must_use]
    pub fn kinds(kinds: &[&str]) -> Self {
        Self { kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(), ..Self::default() }
    }

    /// Decides by the first fields alone, where that is possible, so that little is decoded.
    pub(crate) fn may_take(&self, at: Timestamp, variant: u32) -> bool {
        let kind = usize::try_from(variant).ok().and_then(|variant| Event::KINDS.get(variant));
        let is_kind = self.kinds.is_empty() || kind.is_none_or(|kind| self.kinds.iter().any(|k| k == kind));
        self.since <= at && at < self.until && is_kind
    }

    fn takes(&self, record: &Record) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == record.event.kind())
    }
}

/// Records in order of number, see [`crate::Reader::events`]. One that does not read back is an error in its
/// place; those after it follow, unless the database itself is damaged there.
pub struct Events {
    trees: Trees,
    items: Option<sled::Iter>,
    filter: EventFilter,
}

/// What stands at a key: its number, where the key has one, and the record, where it is wanted.
pub(crate) type Numbered = (Option<Seq>, Result<Option<Record>, Error>);

impl Events {
    /// Records up to a number.
    pub(crate) fn start(trees: &Trees, filter: EventFilter, up_to: Seq) -> Self {
        let items = trees.event.range(key(filter.after.next())..key(up_to.next()));
        // After the highest number there is none, and a range may not end before it begins.
        let items = (filter.after < up_to).then_some(items);
        Self { trees: trees.clone(), items, filter }
    }

    /// The next item with its number, where that is known; `Ok(None)` for what is not wanted.
    pub(crate) fn next_numbered(&mut self) -> Option<Numbered> {
        let item = self.items.as_mut()?.next()?;
        Some(self.read(item))
    }

    /// The next one that is wanted, with its number, where that is known.
    pub(crate) fn next_wanted(&mut self) -> Option<(Option<Seq>, Result<Record, Error>)> {
        loop {
            let (seq, read) = self.next_numbered()?;
            if let Some(found) = read.transpose() {
                return Some((seq, found));
            }
        }
    }

    fn read(&mut self, item: sled::Result<(sled::IVec, sled::IVec)>) -> Numbered {
        match item {
            Ok((key, value)) => match whole_key(&key) {
                Some(seq) => (Some(seq), self.decode(&key, value, seq)),
                None => (None, Ok(None)),
            },
            Err(error) => {
                // On a damaged page sled gives the same error for ever.
                self.items = None;
                (None, Err(store::failure("event".as_ref(), error)))
            }
        }
    }

    fn decode(&self, key: &[u8], value: sled::IVec, seq: Seq) -> Result<Option<Record>, Error> {
        let name = || format!("record {}", seq.get());
        let frame = whole(&self.trees, key, value, seq)?;
        let payload = codec::payload(&frame).map_err(Error::reading(name))?;
        let head = codec::prefix::<(Seq, Timestamp, u32)>(payload).map_err(Error::reading(name))?;
        let ((told, at, variant), _) = head;
        if told != seq {
            return Err(Error::damaged(format!("record {} lies in the place of {}", told.get(), seq.get())));
        }
        if !self.filter.may_take(at, variant) {
            return Ok(None);
        }
        let record: Record = codec::from_bytes(payload).map_err(Error::reading(name))?;
        Ok(self.filter.takes(&record).then_some(record))
    }
}

impl Iterator for Events {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_wanted().map(|(_, found)| found)
    }
}

impl DoubleEndedIterator for Events {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            let item = self.items.as_mut()?.next_back()?;
            if let Some(found) = self.read(item).1.transpose() {
                return Some(found);
            }
        }
    }
}

/// What is to be written for a record.
pub(crate) fn puts(record: &Record) -> Result<Vec<Put>, Error> {
    let frame = codec::encode(record).map_err(Error::writing("a record"))?;
    if frame.len() > RECORD_BYTES {
        return Err(Error::TooLarge {
            what: format!("a record of {} bytes ({})", frame.len(), record.event.kind()),
        });
    }
    let first = key(record.seq);
    let pieces = frame.chunks(VALUE_BYTES).enumerate();
    Ok(pieces
        .map(|(i, piece)| {
            let mut key = first.clone();
            key.extend(u8::try_from(i).ok().filter(|i| *i > 0));
            Put::event(key, piece.to_vec())
        })
        .collect())
}

/// The record of a number, if it is no sample.
pub(crate) fn get(trees: &Trees, seq: Seq) -> Result<Option<Record>, Error> {
    let found = trees.event.get(key(seq)).map_err(|error| store::failure("event".as_ref(), error))?;
    let Some(value) = found else { return Ok(None) };
    let frame = whole(trees, &key(seq), value, seq)?;
    codec::decode(&frame).map(Some).map_err(Error::reading(|| format!("record {}", seq.get())))
}

/// The greatest number in the tree.
pub(crate) fn newest(trees: &Trees) -> Result<Seq, Error> {
    let last = trees.event.last().map_err(|error| store::failure("event".as_ref(), error))?;
    Ok(last
        .and_then(|(key, _)| key.first_chunk::<8>().map(|seq| Seq::new(u64::from_be_bytes(*seq))))
        .unwrap_or_default())
}

/// What takes the records after a number out of the tree.
pub(crate) fn after(trees: &Trees, known: Seq) -> Result<Vec<Put>, Error> {
    let keys = trees.event.range(key(known.next())..).keys();
    keys.map(|key| {
        let key = key.map_err(|error| store::failure("event".as_ref(), error))?;
        Ok(Put::event_removed(key.to_vec()))
    })
    .collect()
}

/// What takes the record of a number out of the tree.
pub(crate) fn removed(trees: &Trees, seq: Seq) -> Result<Vec<Put>, Error> {
    let keys = trees.event.scan_prefix(key(seq)).keys();
    keys.map(|key| {
        let key = key.map_err(|error| store::failure("event".as_ref(), error))?;
        Ok(Put::event_removed(key.to_vec()))
    })
    .collect()
}

/// Whether an event of this size fits one value.
pub(crate) fn fits(event: &Event) -> bool {
    // The largest number and moment, which cost nine bytes each.
    let record = Record { seq: Seq::new(u64::MAX), at: Timestamp::MAX, event: event.clone() };
    codec::encode(&record).is_ok_and(|frame| frame.len() <= VALUE_BYTES)
}

fn key(seq: Seq) -> Vec<u8> {
    seq.get().to_be_bytes().to_vec()
}

/// The number of a first piece; `None` for the others.
fn whole_key(key: &[u8]) -> Option<Seq> {
    key.try_into().ok().map(|seq| Seq::new(u64::from_be_bytes(seq)))
}

/// Puts the pieces of a frame together.
fn whole(trees: &Trees, key: &[u8], first: sled::IVec, seq: Seq) -> Result<sled::IVec, Error> {
    let name = || format!("record {}", seq.get());
    let bytes = codec::frame_bytes(&first).map_err(Error::reading(name))?;
    if first.len() >= bytes {
        return Ok(first);
    }
    let mut frame = first.to_vec();
    for piece in 1..=u8::MAX {
        if frame.len() >= bytes {
            break;
        }
        let mut key = key.to_vec();
        key.push(piece);
        let found = trees.event.get(key).map_err(|error| store::failure("event".as_ref(), error))?;
        let Some(value) = found else { break };
        frame.extend_from_slice(&value);
    }
    Ok(frame.into())
}
