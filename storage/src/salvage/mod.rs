//! A new log from what a damaged one still holds.
//!
//! The damaged database is never opened: sled may hang on it, end the process, or write to it. Its file is read as it
//! lies (see [`gather`]), every frame is checked, and what is good goes into a new database beside it. Then the damaged
//! directory is set aside and the new one takes its place. A crash at any step leaves either the damaged log, and the
//! next start begins again, or a whole new one under a name of its own, which the next opening puts in place.

mod check;
mod gather;
mod pages;
mod spans;
mod write;

use std::{
    fs::{self, File, Permissions, TryLockError},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use systembot_model::{Seq, Timestamp};

pub(crate) use check::check;
pub(crate) use spans::Spans;

use crate::{codec, error::Error, store::Trees};

/// Key of the newest [`Salvage`] in the meta tree.
pub(crate) const SALVAGED_KEY: &[u8] = b"salvaged";
/// What the keys of lost spans begin with.
pub(crate) const LOST_PREFIX: &[u8] = b"lost/";
/// Damaged logs that are kept.
const KEPT: usize = 2;
/// What the name of a damaged log begins with that is kept in the data directory.
pub const KEPT_PREFIX: &str = "log.damaged-";
/// Attempts to get the lock of a damaged log, or of a new one that was just closed.
const LOCK_ATTEMPTS: u32 = 250;
/// Attempts after which a lock that this process has itself is taken for one that nobody will give back.
const OWN_ATTEMPTS: u32 = 100;
/// Pause between two of them.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// What became of a damaged log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Salvage {
    /// When.
    pub at: Timestamp,
    /// Number of the newest record that the damaged log is known to have had; the new one goes on after it.
    pub newest: Seq,
    /// Records that the new log has.
    pub saved: u64,
    /// Records that the damaged one is known to have had and that could not be read.
    pub lost: u64,
    /// Whether more may be lost, of which nothing tells any more.
    pub is_at_least: bool,
    /// Samples that are lost besides, about: of records that were saved, whose samples lie in several places, and of
    /// imports.
    pub samples: u64,
    /// Name of the directory, beside the log, that has the damaged one; none where there was nothing to keep.
    pub kept: Option<String>,
}

impl Salvage {
    /// Whether anything is lost, or may be.
    #[must_use]
    pub const fn has_lost(&self) -> bool {
        self.lost > 0 || self.samples > 0 || self.is_at_least
    }
}

/// How far a salvage has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Some of the damaged log is read.
    Read,
    /// Some of the new one is written.
    Written,
    /// The new one is complete and durable.
    Complete,
    /// The damaged one is set aside.
    SetAside,
    /// The new one is in its place.
    InPlace,
}

/// Puts a new log in the place of a damaged one, with everything in it that can be read.
///
/// Nobody may have the log open. `progress` is called at least every few hundred kilobytes.
///
/// # Errors
/// [`Error::Locked`], [`Error::Full`], [`Error::Io`] and [`Error::Newer`] leave the damaged log where it is.
pub fn salvage(dir: &Path, at: Timestamp, progress: &mut dyn FnMut(Step)) -> Result<Salvage, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    let (building, complete) = (beside(dir, "log.new"), beside(dir, "log.ready"));
    let lock = lock(dir)?;
    remove(&building).map_err(failed(&building))?;
    remove(&complete).map_err(failed(&complete))?;
    let kept = dir.exists().then(|| free_name(dir, at));
    let name = kept.as_ref().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let written = write::write(dir, &building, (at, name), progress);
    let salvage = match written {
        Ok(salvage) => salvage,
        Err(error) => {
            // What is half done helps nobody, least of all on a full disk.
            let _ = remove(&building);
            return Err(error);
        }
    };
    wait_for_lock(&building.join("db"));
    sync_all(&building).map_err(failed(&building))?;
    fs::rename(&building, &complete).map_err(failed(&complete))?;
    sync_parent(dir).map_err(failed(dir))?;
    progress(Step::Complete);
    if let Some(kept) = kept {
        fs::rename(dir, &kept).map_err(failed(dir))?;
        fs::set_permissions(&kept, Permissions::from_mode(0o700)).map_err(failed(&kept))?;
        progress(Step::SetAside);
        fs::rename(&complete, dir).map_err(failed(dir))?;
        sync_parent(dir).map_err(failed(dir))?;
        forget_oldest(&kept).map_err(failed(&kept))?;
    } else {
        fs::rename(&complete, dir).map_err(failed(dir))?;
        sync_parent(dir).map_err(failed(dir))?;
    }
    progress(Step::InPlace);
    drop(lock);
    Ok(salvage)
}

/// Ends a salvage that a crash cut off between setting the damaged log aside and putting the new one in its place.
pub(crate) fn finish(dir: &Path) -> io::Result<()> {
    let complete = beside(dir, "log.ready");
    if dir.exists() || !complete.is_dir() {
        return Ok(());
    }
    fs::rename(complete, dir)?;
    sync_parent(dir)
}

/// Removes what a salvage that a crash cut off left beside the log: the log opens, so it is not needed, and it knows
/// nothing of what is recorded from now on. The log's lock is held: nobody else is at it.
pub(crate) fn clear(dir: &Path) -> Result<(), Error> {
    for path in [beside(dir, "log.new"), beside(dir, "log.ready")] {
        remove(&path).map_err(|source| Error::Io { path, source })?;
    }
    Ok(())
}

/// The newest salvage that a log has been through.
pub(crate) fn newest(trees: &Trees) -> Option<Salvage> {
    let value = trees.meta.get(SALVAGED_KEY).ok()??;
    codec::decode(&value).ok()
}

/// The numbers of records that salvages could not save: that they are missing is known, and told.
pub(crate) fn lost(trees: &Trees) -> Spans {
    let mut spans = Spans::default();
    for item in trees.meta.scan_prefix(LOST_PREFIX) {
        let Ok((_, value)) = item else { break };
        if let Ok((first, last)) = codec::decode::<(u64, u64)>(&value) {
            spans.add(first, last);
        }
    }
    spans
}

fn beside(dir: &Path, name: &str) -> PathBuf {
    dir.with_file_name(name)
}

/// Takes the lock that sled takes, so that nobody opens the log meanwhile.
fn lock(dir: &Path) -> Result<Option<File>, Error> {
    let path = dir.join("db");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Io { path, source }),
    };
    for attempt in 0..LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if attempt >= OWN_ATTEMPTS && is_own(&file) => return Ok(None),
            Err(TryLockError::WouldBlock) => std::thread::park_timeout(LOCK_PAUSE),
            // A file system without locks has none that sled could take.
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
    Err(Error::Locked { dir: dir.to_owned() })
}

/// Whether this process holds the lock itself: an attempt to open the log that died keeps it.
fn is_own(file: &File) -> bool {
    let Ok(inode) = file.metadata().map(|metadata| metadata.ino().to_string()) else { return false };
    let own = std::process::id().to_string();
    fs::read_to_string("/proc/locks").unwrap_or_default().lines().any(|line| {
        let mut words = line.split_ascii_whitespace().skip(4);
        words.next() == Some(own.as_str())
            && words.next().is_some_and(|place| place.rsplit(':').next() == Some(inode.as_str()))
    })
}

/// Waits until sled's last thread has let go of a database that was just closed.
fn wait_for_lock(path: &Path) {
    let Ok(file) = File::open(path) else { return };
    for _ in 0..LOCK_ATTEMPTS {
        if !matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return;
        }
        std::thread::park_timeout(LOCK_PAUSE);
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A name for the damaged log that nothing has yet.
fn free_name(dir: &Path, at: Timestamp) -> PathBuf {
    let name = format!("{KEPT_PREFIX}{}", at.rfc3339().replace(':', ""));
    let path = beside(dir, &name);
    let numbered = (2_u32..).map(|number| beside(dir, &format!("{name}-{number}")));
    std::iter::once(path).chain(numbered).find(|path| fs::symlink_metadata(path).is_err()).unwrap_or_default()
}

/// Removes the oldest damaged logs; the one that was just set aside stays, whatever the clock said before.
fn forget_oldest(kept: &Path) -> io::Result<()> {
    let Some(parent) = kept.parent() else { return Ok(()) };
    let mut others = Vec::new();
    for entry in fs::read_dir(parent)? {
        let path = entry?.path();
        let is_one = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(KEPT_PREFIX));
        if is_one && path != kept {
            others.push(path);
        }
    }
    others.sort_unstable();
    let surplus = (others.len() + 1).saturating_sub(KEPT);
    others.iter().take(surplus).try_for_each(|path| remove(path))
}

fn sync_all(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(dir)?.sync_all()
}

fn sync_parent(dir: &Path) -> io::Result<()> {
    dir.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
