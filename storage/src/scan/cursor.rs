//! The chunks of one group in order, opened when their turn comes.

use std::sync::Arc;

use systembot_model::{Seq, Timestamp};

use crate::{
    chunk::{self, Block, Decoder, Header, SPAN_MS, Wanted},
    error::Error,
    store::{self, Trees},
    view::View,
};

/// What orders the ticks of a scan, and which are taken.
#[derive(Clone, Copy, Debug)]
pub(super) enum Course {
    /// By time, in `[since, until)`, imported ones too.
    Time {
        /// First moment.
        since: Timestamp,
        /// The moment after the last.
        until: Timestamp,
    },
    /// By number, recorded ones only.
    Seq {
        /// Only those with a higher number.
        after: Seq,
    },
}

/// The chunk that is opened next: what its key says it begins with, and its bytes.
type Next = (u64, Result<sled::IVec, Error>);

/// Walks one group.
///
/// Chunks may overlap in time where the clock went back or history was imported beside live ticks, so several may
/// be open at once; usually it is one, and only what is wanted of it is decoded.
pub(super) struct Cursor {
    course: Course,
    wanted: Arc<[Wanted]>,
    trees: Trees,
    keys: sled::Iter,
    next: Option<Next>,
    open: Vec<Block>,
    spare: Vec<Block>,
    /// Key of the tick that comes next.
    head: Option<u64>,
}

impl Cursor {
    /// Goes to the first chunk that can have a tick of the course.
    pub(super) fn start(
        trees: &Trees,
        group: u16,
        wanted: Arc<[Wanted]>,
        course: Course,
    ) -> Result<Self, Error> {
        let keys = match course {
            Course::Time { since, until } => {
                let earliest = Timestamp::from_ms(since.as_ms().saturating_sub(SPAN_MS));
                // The end is the key of the first moment that is out, with the least number.
                trees.chunk.range(chunk::key_range(group, earliest, until.max(earliest)))
            }
            Course::Seq { after } => {
                let end = chunk::order_key(group, u64::MAX);
                let least = wanted.iter().map(|series| series.from).min().unwrap_or(0);
                let from = chunk::order_key(group, after.get().max(least));
                let before = trees.order.range(chunk::order_key(group, 0)..=from.clone()).next_back();
                let from = before.transpose().map_err(broken)?.map_or(from, |(key, _)| key.to_vec());
                trees.order.range(from..=end)
            }
        };
        let (open, spare) = (Vec::new(), Vec::new());
        Ok(Self { course, wanted, trees: trees.clone(), keys, next: None, open, spare, head: None })
    }

    /// Key of the next tick: its moment or its number.
    pub(super) const fn head(&self) -> Option<u64> {
        self.head
    }

    /// Adds the values of the next tick and steps on; gives its moment.
    pub(super) fn take(&mut self, into: &mut Vec<(u32, f64)>) -> Option<Timestamp> {
        let head = self.head?;
        let course = self.course;
        let at = self.open.iter().position(|block| key_of(course, block) == Some(head))?;
        let block = self.open.get_mut(at)?;
        let moment = block.head()?.0;
        block.take(into);
        if block.head().is_none() {
            let done = self.open.swap_remove(at);
            self.spare.push(done);
        }
        Some(moment)
    }

    /// Opens every chunk that may have the next tick, and finds which one that is.
    pub(super) fn settle(&mut self, view: &View, decoder: &mut Decoder) -> Result<(), Error> {
        loop {
            if self.next.is_none() {
                self.next = self.read_next();
            }
            self.head = self.open.iter().filter_map(|block| key_of(self.course, block)).min();
            let head = self.head;
            let is_due = |(first, _): &mut Next| head.is_none_or(|head| *first <= head);
            let Some((first, chunk)) = self.next.take_if(is_due) else { return Ok(()) };
            self.open_chunk(first, &chunk?, (view, decoder))?;
        }
    }

    /// The next chunk, or why it cannot be read: that is told when its turn comes, after what lies before it.
    fn read_next(&mut self) -> Option<Next> {
        loop {
            let item = self.keys.next()?.map_err(broken);
            // Where it would begin is unknown then: after everything that is open.
            match item.and_then(|(key, value)| self.find(&key, value)) {
                Ok(Some(next)) => return Some(next),
                Ok(None) => {}
                Err(error) => return Some((u64::MAX, Err(error))),
            }
        }
    }

    /// The chunk of an item; `None` for one that was pruned since the item was read.
    fn find(&self, key: &[u8], value: sled::IVec) -> Result<Option<Next>, Error> {
        let foreign = || Error::damaged("a chunk's key is of no known form");
        match self.course {
            Course::Time { .. } => {
                let (_, first, _) = chunk::parse_key(key).ok_or_else(foreign)?;
                Ok(Some((chunk::ordered(first), Ok(value))))
            }
            Course::Seq { .. } => {
                let (group, seq) = chunk::parse_order_key(key).ok_or_else(foreign)?;
                let first = value.first_chunk::<8>().ok_or_else(foreign)?;
                let first = Timestamp::from_ms(i64::from_be_bytes(*first));
                let found = self.trees.chunk.get(chunk::key(group, first, seq)).map_err(broken);
                if matches!(found, Ok(None)) && !self.trees.order.contains_key(key).map_err(broken)? {
                    return Ok(None);
                }
                let missing = || Error::damaged(format!("the chunk of record {seq} is missing"));
                Ok(Some((seq, found.and_then(|value| value.ok_or_else(missing)))))
            }
        }
    }

    fn open_chunk(
        &mut self,
        first: u64,
        chunk: &[u8],
        (view, decoder): (&View, &mut Decoder),
    ) -> Result<(), Error> {
        let (header, body) = Header::read(chunk)?;
        let begin = match self.course {
            Course::Time { .. } => chunk::ordered(header.first),
            Course::Seq { .. } => header.first_seq,
        };
        if begin != first {
            return Err(Error::damaged(format!("chunk {} lies in the place of another", header.place())));
        }
        let is_wanted = |column: &chunk::Column| {
            let found = self.wanted.binary_search_by_key(&column.id, |wanted| wanted.id);
            found.ok().and_then(|i| self.wanted.get(i)).is_some_and(|wanted| header.last_seq >= wanted.from)
        };
        let out = match self.course {
            Course::Time { since, .. } => header.last < since,
            Course::Seq { after } => header.last_seq <= after.get(),
        };
        // A chunk without columns stands for ticks that read nothing: records all the same.
        let is_bare = header.columns.is_empty() && matches!(self.course, Course::Seq { .. });
        if out || !view.shows(&header) || !(is_bare || header.columns.iter().any(is_wanted)) {
            return Ok(());
        }
        let mut block = self.spare.pop().unwrap_or_default();
        decoder.times(&header, body, &mut block)?;
        match self.course {
            Course::Time { since, until } => {
                block.narrow_time(since, until);
                if block.head().is_some() {
                    decoder.columns(&header, body, &self.wanted, &mut block)?;
                }
            }
            Course::Seq { after } => {
                decoder.seqs(&header, body, &mut block)?;
                block.narrow_seq(after.get());
                decoder.columns(&header, body, &self.wanted, &mut block)?;
            }
        }
        let place = if block.head().is_some() { &mut self.open } else { &mut self.spare };
        place.push(block);
        Ok(())
    }
}

fn key_of(course: Course, block: &Block) -> Option<u64> {
    block.head().map(|(at, seq)| match course {
        Course::Time { .. } => chunk::ordered(at),
        Course::Seq { .. } => seq,
    })
}

fn broken(error: sled::Error) -> Error {
    store::failure("chunk".as_ref(), error)
}
