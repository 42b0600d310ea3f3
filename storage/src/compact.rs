//! The log written anew, so that the disk gets back what sled does not give back by itself.
//!
//! sled frees a segment only when at most half of it is live, and a leaf is written whole each time it splits or
//! has gathered ten changes: a log written in order ends at some 1.9 times its live bytes, and stays there. So now
//! and then all of it goes into a new database in order of key. What makes that one small is that a key is set to
//! nothing some keys ahead of its value: leaves split while they are tiny, and the eight values that each of them
//! gets stay behind it as changes that are never gathered.
//!
//! The new database lies in `log.compact` until it is whole and on disk, then the two directories change names in one
//! step. A crash before it leaves `log` as it was, one after it the new `log`; what lies beside it is removed. Where a
//! file system cannot exchange names, `log` is `log.old` for a moment, and is put back if the crash comes then.
//! Readers of the old database keep its files open and read on in peace.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::{
    fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with, statvfs},
    io::Errno,
};
use sled::{IVec, Tree};

use crate::{
    chunk::{self, Header, Joiner, Origin},
    codec,
    error::Error,
    import,
    log::{LOCK_ATTEMPTS, LOCK_PAUSE, Log},
    store::{self, Live, Place, Store, Trees},
    view::Shared,
};

/// A key is set to nothing so many keys before its value is: more than a leaf has at most, so that none splits that
/// has values.
const AHEAD: usize = 24;
/// Bytes that are handed to the kernel at once.
const FLUSH_BYTES: usize = 1 << 20;
/// Room that must be left beside the second copy.
const SPARE_BYTES: u64 = 16 << 20;
/// What a database that was just written anew has beyond its content, until that is known of this one: a segment that is
/// being written, a snapshot; more where its records are small.
const BASE_BYTES: u64 = 1 << 19;
/// A log that has grown by this part of what it would have if it were written anew is written anew. sled makes two bytes
/// of garbage from one that is recorded, so that all of a log is written again when its content has grown by a
/// thirtieth: some ten MB a day at 40 series, however old the log is.
const GROWN: u64 = 10;
/// Or by so much, should that be more: two segments.
const GROWN_BYTES: u64 = 1 << 20;
/// Time for which chunks are joined in one go, as whoever records waits for it; the rest is joined the next time. What
/// an import of a month brings takes some three seconds.
const JOINING: Duration = Duration::from_secs(5);

/// What the log knows of its size.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    /// Bytes of all keys and values; unknown until they are counted.
    live: Option<Live>,
    /// Bytes of the directory beyond those when it was written anew.
    base: u64,
    /// Whether something happened after which it is worth a look.
    is_changed: bool,
    /// Whether there are chunks left to be joined.
    is_unfinished: bool,
}

impl Size {
    /// A log that was just opened.
    pub(crate) const fn opened() -> Self {
        Self { live: None, base: BASE_BYTES, is_changed: true, is_unfinished: false }
    }

    /// Notes what a step sets and removes.
    pub(crate) fn add(&mut self, added: Live, removed: Live) {
        let sum = |live: u64, added: u64, removed: u64| live.saturating_add(added).saturating_sub(removed);
        self.live = self.live.map(|live| Live {
            all: sum(live.all, added.all, removed.all),
            rollups: sum(live.rollups, added.rollups, removed.rollups),
        });
    }

    /// Notes that much has changed: a seal, the end of an import.
    pub(crate) const fn change(&mut self) {
        self.is_changed = true;
    }
}

/// What compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes of the directory before.
    pub before: u64,
    /// And after.
    pub after: u64,
}

impl Log {
    /// Whether enough has changed since the last look for [`Log::compact_if_due`] to be worth a call.
    #[must_use]
    pub const fn is_size_changed(&self) -> bool {
        self.size.is_changed
    }

    /// Writes the log anew if its directory is far larger than what it holds.
    ///
    /// # Errors
    /// As [`Log::compact`].
    pub fn compact_if_due(&mut self) -> Result<Option<Compacted>, Error> {
        self.size.is_changed = false;
        if std::mem::take(&mut self.size.is_unfinished) {
            return self.compact();
        }
        let bytes = self.directory_bytes()?;
        // Most logs that were just begun are not worth a count.
        if bytes <= self.size.base.saturating_add(GROWN_BYTES) || bytes <= self.largest_bytes()? {
            return Ok(None);
        }
        self.compact()
    }

    /// Bytes above which the log is written anew, by what it holds.
    pub(crate) fn largest_bytes(&mut self) -> Result<u64, Error> {
        let least = self.live()?.all.saturating_add(self.size.base);
        Ok(least.saturating_add((least / GROWN).max(GROWN_BYTES)))
    }

    /// Writes the log anew: the same content, in as few bytes as sled lets it; `None` where there is no room for a
    /// second copy. Everything that was acknowledged is in it, whenever the machine stops.
    ///
    /// # Errors
    /// [`Error::Damaged`] where something does not read back, [`Error::Full`], [`Error::Io`]: then the log stays as it
    /// was. [`Error::Failed`] of a later call says that the new one could not be opened: see [`Log::reopen`].
    pub fn compact(&mut self) -> Result<Option<Compacted>, Error> {
        self.compact_within(JOINING)
    }

    /// The same, with so much time for joining.
    fn compact_within(&mut self, joining: Duration) -> Result<Option<Compacted>, Error> {
        self.check()?;
        let before = self.directory_bytes()?;
        let places = Places::of(self.dir());
        if free_bytes(self.dir())? < self.live()?.all.saturating_add(SPARE_BYTES) {
            return Ok(None);
        }
        remove(&places.new)?;
        let (live, is_unfinished) =
            match self.copy_to(&places.new, joining).and_then(|live| places.exchange().map(|()| live)) {
                Ok(done) => done,
                Err(error) => {
                    // The next open removes what cannot be removed now.
                    let _ = remove(&places.new);
                    return Err(error);
                }
            };
        // The old database is no longer what an open finds: nothing may be written to it from here on.
        let opened = places.clear().and_then(|()| open_patiently(self.dir()));
        let (store, opened) = opened.map_or_else(|error| (None, Err(error)), |store| (Some(store), Ok(())));
        self.replace_store(store);
        opened?;
        // Those who read the old database see it as it was until now, for as long as they like.
        let shared = Shared::default();
        if let Some((first, last)) = self.shared.lost() {
            shared.lose(first, last);
        }
        self.shared = Arc::new(shared);
        self.publish();
        let after = self.directory_bytes()?;
        let base = after.saturating_sub(live.all);
        self.size = Size { live: Some(live), base, is_changed: is_unfinished, is_unfinished };
        Ok(Some(Compacted { before, after }))
    }

    /// Writes everything into a new database and makes it durable; gives its live bytes, and whether
    /// there is more to be joined.
    fn copy_to(&self, dir: &Path, joining: Duration) -> Result<(Live, bool), Error> {
        self.store()?.sync()?;
        let new = Store::open(dir)?;
        let mut copy = Copy { store: &new, live: Live::default(), unflushed: 0, progress: &*self.progress };
        let (from, to) = (self.store()?.trees(), new.trees());
        copy.frames(Place::Meta, from, to)?;
        copy.frames(Place::Hot, from, to)?;
        copy.pieces(Place::Event, from, to)?;
        copy.frames(Place::Rollup, from, to)?;
        let boundaries = import::unfinished(from)?;
        let decimals = |id| self.catalogue.entry(id).map_or(0, |entry| entry.decimals);
        let is_unfinished = copy.chunks(from, (&boundaries, joining), decimals)?;
        let live = copy.live;
        new.sync()?;
        drop(new);
        for dir in [&dir.join("blobs"), dir] {
            sync_dir(dir)?;
        }
        Ok((live, is_unfinished))
    }

    /// Bytes of all keys and values, counted the first time.
    pub(crate) fn live(&mut self) -> Result<Live, Error> {
        if let Some(live) = self.size.live {
            return Ok(live);
        }
        let mut live = Live::default();
        for (place, tree) in self.store()?.trees().all() {
            for item in tree {
                let (key, value) = item.map_err(|error| store::failure(self.dir(), error))?;
                live.add(place, &key, &value);
            }
        }
        self.size.live = Some(live);
        Ok(live)
    }

    fn directory_bytes(&self) -> Result<u64, Error> {
        store::directory_bytes(self.dir()).map_err(at(self.dir()))
    }
}

/// Puts right what a crash during a compaction left, before the log is opened.
pub(crate) fn restore(dir: &Path) -> Result<(), Error> {
    let Places { log, old, .. } = Places::of(dir);
    if log.exists() || !old.exists() {
        return Ok(());
    }
    // Who holds it is between two steps, and alive.
    let file = File::open(old.join("db")).map_err(at(&old))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        Errno::WOULDBLOCK => Error::Locked { dir: log.clone() },
        error => Error::Io { path: old.clone(), source: error.into() },
    })?;
    fs::rename(&old, &log).map_err(at(&old))?;
    sync_parent(&log)
}

/// Removes what a crash during a compaction left beside the log. Its lock is held: nobody else is at it.
pub(crate) fn clear(dir: &Path) -> Result<(), Error> {
    Places::of(dir).clear()
}

/// The directory of the log, and those that lie beside it during a compaction.
struct Places {
    log: PathBuf,
    new: PathBuf,
    old: PathBuf,
}

impl Places {
    fn of(log: &Path) -> Self {
        Self { log: log.to_owned(), new: log.with_extension("compact"), old: log.with_extension("old") }
    }

    /// Puts the new database in the place of the old one.
    fn exchange(&self) -> Result<(), Error> {
        match renameat_with(CWD, &self.new, CWD, &self.log, RenameFlags::EXCHANGE) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                remove(&self.old)?;
                fs::rename(&self.log, &self.old).map_err(at(&self.log))?;
                if let Err(source) = fs::rename(&self.new, &self.log) {
                    fs::rename(&self.old, &self.log).map_err(at(&self.old))?;
                    return Err(Error::Io { path: self.new.clone(), source });
                }
            }
            Err(error) => return Err(Error::Io { path: self.new.clone(), source: error.into() }),
        }
        Ok(())
    }

    /// Removes what lies beside the log, once it is sure that this is not the log.
    fn clear(&self) -> Result<(), Error> {
        if !self.new.exists() && !self.old.exists() {
            return Ok(());
        }
        sync_parent(&self.log)?;
        remove(&self.new)?;
        remove(&self.old)
    }
}

/// Copies trees in order of key.
struct Copy<'a> {
    store: &'a Store,
    live: Live,
    unflushed: usize,
    progress: &'a dyn Fn(),
}

impl Copy<'_> {
    /// A tree whose values are a frame each.
    fn frames(&mut self, place: Place, from: &Trees, to: &Trees) -> Result<(), Error> {
        let mut filler = Filler::new(place, to);
        for item in from.of(place) {
            let (key, value) = item.map_err(|error| self.failure(error))?;
            check(&value, &key)?;
            self.push(&mut filler, (key, value))?;
        }
        self.finish(filler)
    }

    /// The events, whose frames may be in pieces.
    fn pieces(&mut self, place: Place, from: &Trees, to: &Trees) -> Result<(), Error> {
        let mut filler = Filler::new(place, to);
        let mut frame: Option<(IVec, Vec<u8>)> = None;
        for item in from.of(place) {
            let (key, value) = item.map_err(|error| self.failure(error))?;
            match &mut frame {
                Some((first, frame)) if key.len() > first.len() && key.starts_with(first) => {
                    frame.extend_from_slice(&value);
                }
                before => {
                    if let Some((first, frame)) = before.replace((key.clone(), value.to_vec())) {
                        check(&frame, &first)?;
                    }
                }
            }
            self.push(&mut filler, (key, value))?;
        }
        if let Some((first, frame)) = frame {
            check(&frame, &first)?;
        }
        self.finish(filler)
    }

    /// Whether no chunk of the group lies between two by number, as it may where the clock went back or two files were
    /// imported side by side.
    fn follows(&self, from: &Trees, last: &Header, next: &Header) -> Result<bool, Error> {
        if last.origin == Origin::Imported {
            return Ok(next.first_seq == last.last_seq.saturating_add(1));
        }
        let after = chunk::order_key(last.group, last.first_seq.saturating_add(1));
        let found = from.order.range(after..).next().transpose().map_err(|error| self.failure(error))?;
        let next = chunk::order_key(next.group, next.first_seq);
        Ok(found.is_some_and(|(key, _)| key == next))
    }

    /// The chunks, joined where that is possible, and where they lie by number; whether there
    /// may be more to be joined.
    fn chunks(
        &mut self,
        from: &Trees,
        (boundaries, joining): (&[u64], Duration),
        decimals: impl Fn(u32) -> u8 + std::marker::Copy,
    ) -> Result<bool, Error> {
        let trees = self.store.trees();
        let (mut chunks, mut order) = (Filler::new(Place::Chunk, trees), Filler::new(Place::Order, trees));
        let mut joiner = Joiner::new(joining);
        for item in &from.chunk {
            let (key, value) = item.map_err(|error| self.failure(error))?;
            let (header, _) = Header::read(&value)?;
            if key != header.key() {
                return Err(Error::damaged(format!("chunk {} lies in the place of another", header.place())));
            }
            let is_next = joiner.last().map_or(Ok(true), |last| self.follows(from, last, &header))?;
            if !is_next {
                for chunk in joiner.finish(decimals)? {
                    self.chunk(chunk, &mut chunks, &mut order)?;
                }
            }
            for chunk in joiner.push((header, value.to_vec()), boundaries, decimals)? {
                self.chunk(chunk, &mut chunks, &mut order)?;
            }
        }
        for chunk in joiner.finish(decimals)? {
            self.chunk(chunk, &mut chunks, &mut order)?;
        }
        self.finish(chunks)?;
        self.finish(order)?;
        Ok(joiner.is_spent())
    }

    fn chunk(
        &mut self,
        (header, chunk): (Header, Vec<u8>),
        chunks: &mut Filler,
        order: &mut Filler,
    ) -> Result<(), Error> {
        self.push(chunks, (header.key().into(), chunk.into()))?;
        if header.origin == Origin::Live {
            let place = header.first.as_ms().to_be_bytes();
            let key = chunk::order_key(header.group, header.first_seq);
            self.push(order, (key.into(), IVec::from(&place)))?;
        }
        Ok(())
    }

    fn push(&mut self, filler: &mut Filler, (key, value): (IVec, IVec)) -> Result<(), Error> {
        self.live.add(filler.place, &key, &value);
        self.unflushed += value.len();
        filler.push(key, value).map_err(|error| self.failure(error))?;
        if self.unflushed >= FLUSH_BYTES {
            self.unflushed = 0;
            self.store.flush()?;
            (self.progress)();
        }
        Ok(())
    }

    fn finish(&self, mut filler: Filler) -> Result<(), Error> {
        (self.progress)();
        filler.settle(0).map_err(|error| self.failure(error))
    }

    fn failure(&self, error: sled::Error) -> Error {
        store::failure(self.store.dir(), error)
    }
}

/// Fills a tree so that its leaves have next to no garbage.
struct Filler {
    place: Place,
    tree: Tree,
    /// Keys that are set to nothing yet.
    ahead: VecDeque<(IVec, IVec)>,
}

impl Filler {
    fn new(place: Place, trees: &Trees) -> Self {
        Self { place, tree: trees.of(place).clone(), ahead: VecDeque::with_capacity(AHEAD + 1) }
    }

    fn push(&mut self, key: IVec, value: IVec) -> sled::Result<()> {
        self.tree.insert(&key, IVec::default())?;
        self.ahead.push_back((key, value));
        self.settle(AHEAD)
    }

    /// Sets values until so many are left to be set.
    fn settle(&mut self, left: usize) -> sled::Result<()> {
        while self.ahead.len() > left {
            let Some((key, value)) = self.ahead.pop_front() else { break };
            self.tree.insert(key, value)?;
        }
        Ok(())
    }
}

fn check(frame: &[u8], key: &[u8]) -> Result<(), Error> {
    codec::payload(frame).map(drop).map_err(Error::reading(|| format!("the entry of key {}", shown(key))))
}

/// A key as it can be told.
fn shown(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}

/// Bytes that are free for us where a directory lies.
fn free_bytes(dir: &Path) -> Result<u64, Error> {
    let figures = statvfs(dir).map_err(|error| Error::Io { path: dir.to_owned(), source: error.into() })?;
    Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
}

/// Opens a database that this process has closed a moment ago: a thread of sled may hold its lock still.
fn open_patiently(dir: &Path) -> Result<Store, Error> {
    let mut opened = Store::open(dir);
    for _ in 1..LOCK_ATTEMPTS {
        if !matches!(opened, Err(Error::Locked { .. })) {
            break;
        }
        std::thread::park_timeout(LOCK_PAUSE);
        opened = Store::open(dir);
    }
    opened
}

fn remove(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(dir)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn sync_parent(path: &Path) -> Result<(), Error> {
    path.parent().map_or(Ok(()), sync_dir)
}

fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}

#[cfg(test)]
mod tests {
    use systembot_model::{Event, Sample, Series, Timestamp};

    use super::*;

    /// What is taken for too large is let go, so the size may not grow by what is only written again.
    #[test]
    fn the_size_that_is_carried_on_is_that_of_a_count() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(&dir.path().join("log")).unwrap();
        let mut ring = log.live().unwrap();
        for i in 0..2_640_i32 {
            let mut sample = Sample::default();
            for series in 0..12 {
                sample.push(Series::new(&format!("m{series}")), f64::from(i * (series + 1) % 977) / 100.0);
            }
            let at = Timestamp::from_ms(1_795_346_634_007 + i64::from(i) * 15_000);
            log.append(at, vec![Event::Sampled(sample)]).unwrap();
            if i == 255 {
                // The ring is full from now on; until then it grows, and is not counted.
                log.size.live = None;
                ring = log.live().unwrap();
            }
        }
        let told = log.live().unwrap();
        log.size.live = None;
        let counted = log.live().unwrap();
        assert!(counted.all > ring.all + 10_000, "{counted:?}");
        assert!(told.all.abs_diff(counted.all) * 50 < counted.all, "{told:?} told, {counted:?} counted");
        assert_eq!(told.rollups, counted.rollups);
        assert!(counted.rollups > 100, "{counted:?}");
    }

    #[test]
    fn what_there_was_no_time_to_join_is_joined_the_next_times() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(&dir.path().join("log")).unwrap();
        for i in 0..10 * 240_i32 {
            let mut sample = Sample::default();
            for series in 0..12 {
                sample.push(Series::new(&format!("m{series}")), f64::from(i % 40 + series));
            }
            let at = Timestamp::from_ms(1_795_346_634_007 + i64::from(i) * 15_000);
            log.append(at, vec![Event::Sampled(sample)]).unwrap();
        }
        let chunks = |log: &Log| log.store().unwrap().trees().chunk.iter().count();
        let samples = log.reader().samples().unwrap();
        let mut left = vec![chunks(&log)];
        for _ in 0..3 {
            log.compact_within(Duration::from_nanos(1)).unwrap().unwrap();
            assert!(log.is_size_changed(), "it is not looked at again");
            left.push(chunks(&log));
        }
        // The directory is no larger than it should be by now, and it goes on all the same.
        assert!(log.compact_if_due().unwrap().is_some());
        left.push(chunks(&log));
        assert!(left.is_sorted_by(|before, after| before > after), "{left:?}");
        assert!(!log.is_size_changed());
        assert_eq!(log.compact_if_due().unwrap(), None);
        log.compact().unwrap().unwrap();
        assert_eq!(left.last(), Some(&chunks(&log)), "something was left: {left:?}");
        assert_eq!(log.reader().samples().unwrap(), samples);
    }
}
