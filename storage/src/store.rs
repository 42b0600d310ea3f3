//! The sled database: opened, written in atomic steps, made durable.
//!
//! sled 0.34.7 has its own ways; each rule below was learned by measuring. No value is larger than
//! [`VALUE_BYTES`]: larger pages become files in `blobs/` that are never removed. `flush` alone does not reach the
//! disk: a step is durable after `flush` and fdatasync of `db`. Trees are never asked for their length, which
//! counts by iterating and never ends on a damaged page. A full disk is an error that sticks until the database is
//! dropped and opened again.

use std::{
    cell::Cell,
    fs::{DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{Arc, Once},
};

use sled::{
    Batch, Db, Tree,
    transaction::{TransactionError, Transactional},
};

use crate::{error::Error, steps::Steps};

/// Largest value: sled's inline limit is a quarter of its 512 KiB segment for a leaf of 17 items, 7.7 KB each.
pub(crate) const VALUE_BYTES: usize = 7_000;
/// Pages that sled keeps in memory. The live end of a log is some 200 KB; a scan reads each page once.
const CACHE_BYTES: u64 = 2 << 20;
/// sled reclaims space only in its flusher thread, so there must be one.
const FLUSH_EVERY_MS: u64 = 1_000;

/// The trees of a log, cheap to clone.
#[derive(Clone)]
pub(crate) struct Trees {
    /// Format version, log id, series catalogue, watermarks, imports.
    pub(crate) meta: Tree,
    /// The ring of ticks that are not sealed yet.
    pub(crate) hot: Tree,
    /// Chunks by group, first time and first number.
    pub(crate) chunk: Tree,
    /// Live chunks by group and first number: first time.
    pub(crate) order: Tree,
    /// Records that are no samples, by number.
    pub(crate) event: Tree,
    /// Five-minute roll-ups by group and first moment.
    pub(crate) rollup: Tree,
    /// What the writer does to them.
    pub(crate) steps: Arc<Steps>,
}

impl Trees {
    /// Each tree with its place.
    pub(crate) const fn all(&self) -> [(Place, &Tree); 6] {
        [
            (Place::Meta, &self.meta),
            (Place::Hot, &self.hot),
            (Place::Chunk, &self.chunk),
            (Place::Order, &self.order),
            (Place::Event, &self.event),
            (Place::Rollup, &self.rollup),
        ]
    }

    /// The tree of a place.
    pub(crate) const fn of(&self, place: Place) -> &Tree {
        match place {
            Place::Meta => &self.meta,
            Place::Hot => &self.hot,
            Place::Chunk => &self.chunk,
            Place::Order => &self.order,
            Place::Event => &self.event,
            Place::Rollup => &self.rollup,
        }
    }
}

/// Which tree a [`Put`] goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Meta,
    Hot,
    Chunk,
    Order,
    Event,
    Rollup,
}

impl Place {
    /// Every tree.
    const ALL: [Self; 6] = [Self::Meta, Self::Hot, Self::Chunk, Self::Order, Self::Event, Self::Rollup];

    /// What the tree is called in the database.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Hot => "hot",
            Self::Chunk => "chunk",
            Self::Order => "order",
            Self::Event => "event",
            Self::Rollup => "rollup",
        }
    }

    /// The tree of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.name() == name)
    }
}

/// Bytes of keys and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) all: u64,
    /// Those of the roll-ups among them.
    pub(crate) rollups: u64,
}

impl Live {
    /// Counts one key.
    pub(crate) fn add(&mut self, place: Place, key: &[u8], value: &[u8]) {
        let bytes = u64::try_from(key.len() + value.len()).unwrap_or(0);
        self.all += bytes;
        if place == Place::Rollup {
            self.rollups += bytes;
        }
    }
}

/// One key that is set or removed as part of a step.
pub(crate) struct Put {
    place: Place,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

impl Put {
    pub(crate) const fn meta(key: Vec<u8>, value: Vec<u8>) -> Self {
        Self { place: Place::Meta, key, value: Some(value) }
    }

    pub(crate) const fn meta_removed(key: Vec<u8>) -> Self {
        Self { place: Place::Meta, key, value: None }
    }

    pub(crate) const fn hot(key: Vec<u8>, value: Vec<u8>) -> Self {
        Self { place: Place::Hot, key, value: Some(value) }
    }

    pub(crate) const fn hot_removed(key: Vec<u8>) -> Self {
        Self { place: Place::Hot, key, value: None }
    }

    pub(crate) const fn chunk(key: Vec<u8>, value: Vec<u8>) -> Self {
        Self { place: Place::Chunk, key, value: Some(value) }
    }

    pub(crate) const fn chunk_removed(key: Vec<u8>) -> Self {
        Self { place: Place::Chunk, key, value: None }
    }

    pub(crate) const fn order(key: Vec<u8>, value: Vec<u8>) -> Self {
        Self { place: Place::Order, key, value: Some(value) }
    }

    pub(crate) const fn order_removed(key: Vec<u8>) -> Self {
        Self { place: Place::Order, key, value: None }
    }

    pub(crate) const fn rollup(key: Vec<u8>, value: Vec<u8>) -> Self {
        Self { place: Place::Rollup, key, value: Some(value) }
    }

    pub(crate) const fn rollup_removed(key: Vec<u8>) -> Self {
        Self { place: Place::Rollup, key, value: None }
    }

    /// Whatever a copy of the log has at a key; `None` where there is nothing any more.
    pub(crate) const fn copied(place: Place, key: Vec<u8>, value: Option<Vec<u8>>) -> Self {
        Self { place, key, value }
    }

    /// The value that is set.
    #[cfg(test)]
    pub(crate) fn into_value(self) -> Vec<u8> {
        self.value.unwrap_or_default()
    }

    pub(crate) const fn event(key: Vec<u8>, value: Vec<u8>) -> Self {
        Self { place: Place::Event, key, value: Some(value) }
    }

    pub(crate) const fn event_removed(key: Vec<u8>) -> Self {
        Self { place: Place::Event, key, value: None }
    }
}

/// An open database.
pub(crate) struct Store {
    dir: PathBuf,
    db: Db,
    /// The file that sled writes, opened once more for fdatasync.
    file: File,
    trees: Trees,
}

impl Store {
    /// Opens or creates the database in a directory; missing directories are made with mode 0700.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
        let owner = dir.metadata().map_err(at(dir))?.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return Err(Error::NotOwner { dir: dir.to_owned(), owner });
        }
        let db = open_quietly(dir)?;
        let tree = |place: Place| db.open_tree(place.name()).map_err(|error| failure(dir, error));
        let trees = Trees {
            meta: tree(Place::Meta)?,
            hot: tree(Place::Hot)?,
            chunk: tree(Place::Chunk)?,
            order: tree(Place::Order)?,
            event: tree(Place::Event)?,
            rollup: tree(Place::Rollup)?,
            steps: Arc::default(),
        };
        let path = dir.join("db");
        let file = File::open(&path).map_err(at(&path))?;
        Ok(Self { dir: dir.to_owned(), db, file, trees })
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The trees.
    pub(crate) const fn trees(&self) -> &Trees {
        &self.trees
    }

    /// Writes all of a step or, should the machine stop, nothing of it. Not durable before [`Store::sync`].
    pub(crate) fn write(&self, mut puts: Vec<Put>) -> Result<(), Error> {
        if let Some(large) = puts.iter().find_map(|put| put.value.as_ref().filter(|v| v.len() > VALUE_BYTES))
        {
            return Err(Error::TooLarge { what: format!("a value of {} bytes", large.len()) });
        }
        let steps = Arc::clone(&self.trees.steps);
        // A copy that is being made never sees half of a step, and learns what it changed.
        let mut step = steps.begin();
        step.touch(puts.iter().map(|put| (put.place, put.key.as_slice())));
        let written = if puts.len() == 1 {
            // The usual tick: no batch manifest, no write lock.
            puts.pop().map_or(Ok(()), |put| match (self.tree(put.place), put.value) {
                (tree, Some(value)) => tree.insert(put.key, value).map(drop),
                (tree, None) => tree.remove(put.key).map(drop),
            })
        } else {
            self.write_batch(puts)
        };
        written.map_err(|error| failure(&self.dir, error))
    }

    /// Hands what was written so far to the kernel.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        self.db.flush().map(drop).map_err(|error| failure(&self.dir, error))
    }

    /// Bytes that a step sets and removes; what it sets anew replaces what was there. The ring is left out: its slots
    /// are overwritten by others as large.
    pub(crate) fn bytes(&self, puts: &[Put]) -> (Live, Live) {
        let (mut added, mut removed) = (Live::default(), Live::default());
        for put in puts.iter().filter(|put| put.place != Place::Hot) {
            // One that does not read back is not missed.
            if let Some(before) = self.tree(put.place).get(&put.key).ok().flatten() {
                removed.add(put.place, &put.key, &before);
            }
            if let Some(value) = &put.value {
                added.add(put.place, &put.key, value);
            }
        }
        (added, removed)
    }

    /// Makes everything written so far survive a power failure.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.db.flush().map_err(|error| failure(&self.dir, error))?;
        self.file.sync_data().map_err(|error| failure(&self.dir, sled::Error::Io(error)))
    }

    fn write_batch(&self, puts: Vec<Put>) -> sled::Result<()> {
        if puts.is_empty() {
            return Ok(());
        }
        let mut batches: Vec<(Place, Batch)> = Vec::new();
        for Put { place, key, value } in puts {
            if !batches.iter().any(|(other, _)| *other == place) {
                batches.push((place, Batch::default()));
            }
            let Some((_, batch)) = batches.iter_mut().find(|(other, _)| *other == place) else { continue };
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        if let [(place, batch)] = batches.as_mut_slice() {
            return self.tree(*place).apply_batch(std::mem::take(batch));
        }
        let trees: Vec<&Tree> = batches.iter().map(|(place, _)| self.tree(*place)).collect();
        let done = trees.as_slice().transaction(|views| {
            for (view, (_, batch)) in views.iter().zip(&batches) {
                view.apply_batch(batch)?;
            }
            Ok(())
        });
        done.map_err(|error: TransactionError<()>| match error {
            TransactionError::Storage(error) => error,
            TransactionError::Abort(()) => sled::Error::ReportableBug("a step was aborted".to_owned()),
        })
    }

    const fn tree(&self, place: Place) -> &Tree {
        self.trees.of(place)
    }
}

/// Bytes of all files below a directory.
pub(crate) fn directory_bytes(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        // sled replaces its snapshot file now and then: one that is gone counts nothing.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { directory_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// What an error of sled means.
pub(crate) fn failure(dir: &Path, error: sled::Error) -> Error {
    let dir = dir.to_owned();
    match error {
        // There is no kind for it: the text is all that tells.
        sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
            Error::Locked { dir }
        }
        sled::Error::Io(error) if is_full(&error) => Error::Full { dir },
        // Both come from a file that is shorter than its own heads tell.
        sled::Error::Io(error)
            if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) =>
        {
            broken(&dir, &error)
        }
        sled::Error::Io(source) => Error::Io { path: dir, source },
        sled::Error::Corruption { at: Some(at), .. } => {
            broken(&dir, &format_args!("what lies at byte {} does not read back", at.lid()))
        }
        sled::Error::Corruption { at: None, .. } => broken(&dir, &"a page or a snapshot does not read back"),
        error @ (sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_)) => broken(&dir, &error),
    }
}

/// A database that sled cannot read, and what its owner can do.
pub(crate) fn broken(dir: &Path, what: &dyn std::fmt::Display) -> Error {
    Error::damaged(format!(
        "{}: {what}; `systembot run` mends it, and keeps what is bad beside it",
        dir.display()
    ))
}

/// sled clones its errors by their text, which loses the number but not the words.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        || ["StorageFull", "No space left", "QuotaExceeded"]
            .iter()
            .any(|word| error.to_string().contains(word))
}

/// Opens the database; a panic inside, as on a truncated file, becomes an error without a backtrace on stderr.
fn open_quietly(dir: &Path) -> Result<Db, Error> {
    let config =
        sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(Some(FLUSH_EVERY_MS));
    let opened = quiet(AssertUnwindSafe(|| config.open()));
    opened.map_or_else(
        |cause| {
            let text = cause
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| cause.downcast_ref::<&str>().copied())
                .unwrap_or("no reason given");
            let line = text.lines().next().unwrap_or_default();
            Err(broken(dir, &format_args!("opening it failed: {line}")))
        },
        |opened| opened.map_err(|error| failure(dir, error)),
    )
}

/// Runs something that may panic, without the panic's message for this thread.
fn quiet<T>(work: impl FnOnce() -> T + panic::UnwindSafe) -> std::thread::Result<T> {
    thread_local! {
        static QUIET: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    QUIET.set(true);
    let done = panic::catch_unwind(work);
    QUIET.set(false);
    done
}
