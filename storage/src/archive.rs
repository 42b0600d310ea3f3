//! A whole log in one file, and a log from such a file.
//!
//! An archive begins with a line of text, `MAGIC`, and goes on with frames (see [`crate::codec`]): what keys of
//! a tree have, or that they have nothing any more, in the order in which that was read, so that the later one of a
//! key holds; and at last the counts, without which an archive is not whole. The trees are copied as they are,
//! while the writer goes on.
//!
//! Why what comes out is a log that could have been: it is what the trees had between two steps of the writer, the
//! very bytes that a kill at that moment would have left, and a log opens after a kill at any moment. For each key
//! has the value of then. One that was not written while the copy was made was read at some time, and had the same
//! value all along. One that was written is known (see `steps`), and read again, the last time while the
//! writer is held off. So nothing hangs on what the trees mean: chunks may be sealed, merged and removed meanwhile.
//!
//! A restored log has an id of its own: it goes on otherwise than the one it was copied from, so no checkpoint of
//! that one, older or newer, may be taken for its own.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File},
    io::{self, Read},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use systembot_model::{Seq, State};

use crate::{
    codec::{self, CodecError},
    error::Error,
    log::{self, Log},
    query::{self, Request, Row, Sink, Verified},
    reader::Reader,
    steps::{Key, Watch},
    store::{self, Place, Put, Store, Trees},
};

/// What an archive begins with: its kind and the version of its form.
const MAGIC: &[u8] = b"systembot backup 1\n";
/// The same without the version.
const KIND: &[u8] = b"systembot backup ";
/// Bytes of keys and values that go in one frame, and some more.
const PART_BYTES: usize = 64 << 10;
/// Longest frame that is read.
const FRAME_BYTES_MAX: usize = 256 << 10;
/// Bytes of a frame that tell its length.
const FRAME_HEAD_BYTES: usize = 5;
/// Rounds over what was written meanwhile, before the writer is held off to read the rest, if that is not much.
const ROUNDS: usize = 50;
/// So few keys are read in a millisecond or two, for which the writer may be held off.
const FEW_KEYS: usize = 64;
/// Keys written meanwhile that are worth a round of their own: it bounds the memory they take.
const MANY_KEYS: usize = 1_024;
/// Frames of a restored log that are written between two syncs: sled's garbage collection must come to its turn.
const SYNC_PARTS: usize = 16;
/// Attempts to see sled's threads end, and the pause between two.
const CLOSE_ATTEMPTS: u32 = 500;
const CLOSE_PAUSE: Duration = Duration::from_millis(10);

/// A frame of an archive.
#[derive(Debug, Serialize, Deserialize)]
enum Part {
    /// Keys of a tree and what they have.
    Set { tree: String, entries: Vec<(Vec<u8>, Vec<u8>)> },
    /// Keys of a tree that have nothing any more.
    Removed { tree: String, keys: Vec<Vec<u8>> },
    /// The end: how many of both came before it, and the newest record that was durable.
    End { set: u64, removed: u64, newest: Seq },
}

/// Why an archive did not become a log.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is something else.
    #[error("is no backup of systembot")]
    Foreign,
    /// It was written by a later version of the program: use that one.
    #[error("was written by a later version of systembot: use that one")]
    Newer,
    /// It is cut off: take another one.
    #[error("is cut off after {bytes} bytes; nothing was restored: take another backup")]
    CutOff {
        /// Bytes that were read.
        bytes: u64,
    },
    /// It is not as it was written: take another one.
    #[error("is damaged {what}; nothing was restored: take another backup")]
    Damaged {
        /// Where, and what is wrong.
        what: String,
    },
    /// It is as it was written, but the log in it has faults: it can be restored all the same.
    #[error(
        "has a log with faults, {count} in all, the first: {first}; `restore --faulty` takes it as it is"
    )]
    Faulty {
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// There is a log already: move it away first.
    #[error("{} is there already; stop the daemon and move it away first", dir.display())]
    Taken {
        /// The log's directory.
        dir: PathBuf,
    },
    /// Another process restores into the same place.
    #[error("another restore is writing {}", dir.display())]
    Busy {
        /// Where it works.
        dir: PathBuf,
    },
    /// The archive could not be read.
    #[error("cannot be read: {0}")]
    Unread(io::Error),
    /// The operating system refused something else.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The log could not be written.
    #[error(transparent)]
    Log(#[from] Error),
}

/// What is done with a log that has faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// It is refused.
    Refused,
    /// It is taken as it is.
    Taken,
}

/// Copies the log as it is between two steps of its writer: [`Row::Archived`] with the archive, piece by piece.
pub(crate) fn copy(reader: &Reader, sink: Sink<'_>) -> Result<(), Error> {
    let trees = reader.trees()?;
    let Some(watch) = trees.steps.watch() else {
        // Who asked may have gone.
        let _ = sink(Row::Failed("another backup is being made: try again".to_owned()));
        return Ok(());
    };
    // Only to show how far it is.
    let of = reader.series().map_or(0, |all| all.iter().map(|info| info.bytes).sum());
    let mut copy = Copy { sink, of, set: 0, removed: 0, pending: None, bytes: 0, is_stopped: false };
    copy.give(MAGIC.to_vec(), false);
    for (place, tree) in trees.all() {
        for item in tree {
            let (key, value) = item.map_err(|error| store::failure(reader.dir(), error))?;
            copy.put(place, key.to_vec(), Some(value.to_vec()))?;
            if copy.is_stopped {
                return Ok(());
            }
            if watch.is_more(MANY_KEYS) {
                copy.again(reader, trees, watch.take())?;
            }
        }
    }
    let newest = copy.rest(reader, trees, &watch)?;
    drop(watch);
    copy.flush()?;
    let end = Part::End { set: copy.set, removed: copy.removed, newest };
    let end = codec::encode(&end).map_err(Error::writing("a backup"))?;
    copy.give(end, true);
    Ok(())
}

/// An archive that is being written.
struct Copy<'a> {
    sink: Sink<'a>,
    /// About how many bytes there will be.
    of: u64,
    set: u64,
    removed: u64,
    /// The frame that is being gathered, and the bytes in it.
    pending: Option<Part>,
    bytes: usize,
    is_stopped: bool,
}

impl Copy<'_> {
    /// Reads what was written meanwhile, until little is left, and that while the writer is held off.
    fn rest(&mut self, reader: &Reader, trees: &Trees, watch: &Watch<'_>) -> Result<Seq, Error> {
        let mut rounds = 0;
        while !self.is_stopped && (watch.is_more(MANY_KEYS) || (rounds < ROUNDS && watch.is_more(FEW_KEYS))) {
            self.again(reader, trees, watch.take())?;
            rounds += 1;
        }
        // Only reading is done in there: whoever takes the rows may be slow.
        let (found, newest) = watch.hold(|keys| (read(reader, trees, keys), reader.newest()));
        for (place, key, value) in found? {
            self.put(place, key, value)?;
        }
        Ok(newest)
    }

    /// Reads keys once more.
    fn again(&mut self, reader: &Reader, trees: &Trees, keys: BTreeSet<Key>) -> Result<(), Error> {
        for (place, key, value) in read(reader, trees, keys)? {
            self.put(place, key, value)?;
        }
        Ok(())
    }

    fn put(&mut self, place: Place, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), Error> {
        let bytes = key.len() + value.as_ref().map_or(0, Vec::len);
        let (set, removed) = if value.is_some() { (1, 0) } else { (0, 1) };
        let rest = match (&mut self.pending, value) {
            (Some(Part::Set { tree, entries }), Some(value)) if tree == place.name() => {
                entries.push((key, value));
                None
            }
            (Some(Part::Removed { tree, keys }), None) if tree == place.name() => {
                keys.push(key);
                None
            }
            (_, Some(value)) => {
                Some(Part::Set { tree: place.name().to_owned(), entries: vec![(key, value)] })
            }
            (_, None) => Some(Part::Removed { tree: place.name().to_owned(), keys: vec![key] }),
        };
        if let Some(part) = rest {
            self.flush()?;
            self.pending = Some(part);
        }
        (self.set, self.removed, self.bytes) = (self.set + set, self.removed + removed, self.bytes + bytes);
        if self.bytes >= PART_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.bytes = 0;
        let Some(part) = self.pending.take() else { return Ok(()) };
        let frame = codec::encode(&part).map_err(Error::writing("a backup"))?;
        self.give(frame, false);
        Ok(())
    }

    fn give(&mut self, bytes: Vec<u8>, is_last: bool) {
        if !self.is_stopped {
            self.is_stopped = (self.sink)(Row::Archived { bytes, of: self.of, is_last }).is_err();
        }
    }
}

/// A key and what it has.
type Found = (Place, Vec<u8>, Option<Vec<u8>>);

/// What keys have now.
fn read(reader: &Reader, trees: &Trees, keys: BTreeSet<Key>) -> Result<Vec<Found>, Error> {
    let all = trees.all();
    let mut found = Vec::with_capacity(keys.len());
    for (place, key) in keys {
        let Some((_, tree)) = all.iter().find(|(other, _)| *other == place) else { continue };
        let value = tree.get(&key).map_err(|error| store::failure(reader.dir(), error))?;
        found.push((place, key, value.map(|value| value.to_vec())));
    }
    Ok(found)
}

/// Makes `<data-dir>/log` from an archive, whole and checked, or leaves nothing behind.
///
/// `progress` is told the bytes read so far. The log is made in a directory beside its place, read and checked as
/// `verify` does, and moved when it is on disk.
///
/// # Errors
/// Every [`ArchiveError`]; the data directory is as it was then.
pub fn restore(
    archive: &mut dyn Read,
    data_dir: &Path,
    faults: Faults,
    progress: &mut dyn FnMut(u64),
) -> Result<Verified, ArchiveError> {
    let place = data_dir.join("log");
    refuse_taken(&place)?;
    let is_made = !data_dir.exists();
    let restored = Workshop::open(data_dir).and_then(|workshop| {
        let found = workshop.build(archive, faults, progress)?;
        refuse_taken(&place)?;
        at(&place, fs::rename(workshop.log(), &place))?;
        drop(workshop);
        at(data_dir, File::open(data_dir).and_then(|dir| dir.sync_all()))?;
        Ok(found)
    });
    if is_made && restored.is_err() {
        // Only if it is empty; then it was made for this.
        let _ = fs::remove_dir(data_dir);
    }
    restored
}

/// A log is never written over; an empty directory is none.
fn refuse_taken(place: &Path) -> Result<(), ArchiveError> {
    match fs::read_dir(place).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(ArchiveError::Taken { dir: place.to_owned() }),
        Ok(false) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(ArchiveError::Io { path: place.to_owned(), source }),
    }
}

/// The directory that a log is made in. One at a time works there; it goes when this does.
struct Workshop {
    dir: PathBuf,
    /// Held, not read.
    _lock: File,
}

impl Workshop {
    fn open(data_dir: &Path) -> Result<Self, ArchiveError> {
        let dir = data_dir.join("restoring");
        at(&dir, DirBuilder::new().recursive(true).mode(0o700).create(&dir))?;
        let lock = at(&dir, File::open(&dir))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(ArchiveError::Busy { dir }),
            Err(fs::TryLockError::Error(source)) => return Err(ArchiveError::Io { path: dir, source }),
        }
        let workshop = Self { dir, _lock: lock };
        // Whatever one that was killed has left.
        match fs::remove_dir_all(workshop.log()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => at(&workshop.dir, Err(error))?,
            Ok(()) | Err(_) => {}
        }
        Ok(workshop)
    }

    fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Writes the log, checks it, and sees it to the disk.
    fn build(
        &self,
        archive: &mut dyn Read,
        faults: Faults,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Verified, ArchiveError> {
        let mut source = Source { archive, bytes: 0 };
        source.begin()?;
        let store = Store::open(&self.log())?;
        let newest = fill(&mut source, &store, progress)?;
        store.sync()?;
        drop(store);
        self.closed()?;
        let log = Log::open(&self.log())?;
        let mut found = check(&log)?;
        if log.seq() < newest {
            found.faults.insert(
                0,
                format!("{}: the records to {} are missing", log.seq().next().get(), newest.get()),
            );
        }
        if let (Faults::Refused, Some(first)) = (faults, found.faults.first()) {
            return Err(ArchiveError::Faulty { count: found.faults.len(), first: first.clone() });
        }
        drop(log);
        self.closed()?;
        for entry in at(&self.dir, fs::read_dir(self.log()))? {
            let path = at(&self.dir, entry)?.path();
            at(&path, File::open(&path).and_then(|file| file.sync_all()))?;
        }
        at(&self.dir, File::open(self.log()).and_then(|dir| dir.sync_all()))?;
        Ok(found)
    }

    /// Waits until sled's threads have let go of the database.
    fn closed(&self) -> Result<(), ArchiveError> {
        let path = self.log().join("db");
        let file = at(&path, File::open(&path))?;
        for _ in 0..CLOSE_ATTEMPTS {
            if file.try_lock().is_ok() {
                return Ok(());
            }
            std::thread::park_timeout(CLOSE_PAUSE);
        }
        Err(ArchiveError::Busy { dir: self.dir.clone() })
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // What stays is cleared by the next one.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Puts what an archive has into a new database; gives the newest record that must be there.
fn fill(source: &mut Source<'_>, store: &Store, progress: &mut dyn FnMut(u64)) -> Result<Seq, ArchiveError> {
    let (mut set, mut removed, mut parts) = (0, 0, 0_usize);
    loop {
        let puts: Vec<Put> = match source.next()? {
            Part::Set { tree, entries } => {
                let place = Place::named(&tree).ok_or(ArchiveError::Newer)?;
                set += count(entries.len());
                let own = |(key, value)| Put::copied(place, key, Some(value));
                entries.into_iter().map(own).collect()
            }
            Part::Removed { tree, keys } => {
                let place = Place::named(&tree).ok_or(ArchiveError::Newer)?;
                removed += count(keys.len());
                keys.into_iter().map(|key| Put::copied(place, key, None)).collect()
            }
            Part::End { set: all, removed: gone, newest } => {
                source.end()?;
                if (all, gone) != (set, removed) {
                    return Err(source.damaged("it has lost some of its parts"));
                }
                store.write(vec![log::id_put()?])?;
                progress(source.bytes);
                return Ok(newest);
            }
        };
        if !puts.is_empty() {
            store.write(puts)?;
        }
        parts += 1;
        if parts.is_multiple_of(SYNC_PARTS) {
            store.sync()?;
            progress(source.bytes);
        }
    }
}

/// Reads all of it, as `verify` does.
fn check(log: &Log) -> Result<Verified, Error> {
    let mut found = Verified::default();
    query::answer(&log.reader(), &State::default(), &Request::Verify, &mut |row| {
        if let Row::Verified(verified) = row {
            found = verified;
        }
        Ok(())
    })?;
    Ok(found)
}

/// An archive that is being read.
struct Source<'a> {
    archive: &'a mut dyn Read,
    bytes: u64,
}

impl Source<'_> {
    /// Reads the line that it begins with.
    fn begin(&mut self) -> Result<(), ArchiveError> {
        let line = self.read(MAGIC.len())?;
        if line == MAGIC {
            return Ok(());
        }
        Err(if line.starts_with(KIND) { ArchiveError::Newer } else { ArchiveError::Foreign })
    }

    fn next(&mut self) -> Result<Part, ArchiveError> {
        let mut frame = self.read(FRAME_HEAD_BYTES)?;
        if frame.len() < FRAME_HEAD_BYTES {
            return Err(ArchiveError::CutOff { bytes: self.bytes });
        }
        let bytes = codec::frame_bytes(&frame).map_err(|error| self.wrong(&error))?;
        if bytes > FRAME_BYTES_MAX {
            return Err(self.damaged("a part is longer than any is"));
        }
        frame.extend(self.read(bytes.saturating_sub(FRAME_HEAD_BYTES))?);
        if frame.len() < bytes {
            return Err(ArchiveError::CutOff { bytes: self.bytes });
        }
        codec::decode(&frame).map_err(|error| self.wrong(&error))
    }

    /// Nothing may follow the end.
    fn end(&mut self) -> Result<(), ArchiveError> {
        if self.read(1)?.is_empty() { Ok(()) } else { Err(self.damaged("something follows its end")) }
    }

    /// So many bytes, or what is left.
    fn read(&mut self, bytes: usize) -> Result<Vec<u8>, ArchiveError> {
        let mut read = Vec::with_capacity(bytes);
        let archive: &mut dyn Read = self.archive;
        archive.take(count(bytes)).read_to_end(&mut read).map_err(ArchiveError::Unread)?;
        self.bytes += count(read.len());
        Ok(read)
    }

    fn wrong(&self, error: &CodecError) -> ArchiveError {
        self.damaged(&error.to_string())
    }

    fn damaged(&self, what: &str) -> ArchiveError {
        ArchiveError::Damaged { what: format!("before byte {}: {what}", self.bytes) }
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn at<T>(path: &Path, done: io::Result<T>) -> Result<T, ArchiveError> {
    done.map_err(|source| ArchiveError::Io { path: path.to_owned(), source })
}
