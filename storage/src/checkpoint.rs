//! The state at some moment, so that a start need not fold the whole log.
//!
//! `<data-dir>/checkpoint` is a frame with the log's id, a fingerprint of the state's layout, the names of all series
//! (in case that damage takes them from the log), and the state. It is a cache: whatever cannot be read, is of another
//! log or another layout, is ahead of the log or lacks what was pruned since is passed over, and it may be deleted at any
//! time. It is no value of the database because it is far larger than one may be.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use systembot_model::{Seq, State};

use crate::{catalogue::Entry, codec, error::Error, fold, log::Log};

/// Raised when the meaning of the state changes, but not its layout.
const MEANING: u16 = 6;

#[derive(Serialize, Deserialize)]
struct Label {
    log: u64,
    layout: u32,
    /// Number of the newest record that is folded in.
    seq: Seq,
}

impl Log {
    /// Writes the state beside the log: to a temporary name, synced, and renamed.
    ///
    /// # Errors
    /// [`Error::Io`]; the checkpoint before stays then.
    pub fn checkpoint(&self, state: &State) -> Result<(), Error> {
        let path = self.checkpoint_path();
        let label = Label { log: self.id(), layout: layout(), seq: state.seq };
        let names = self.catalogue.entries();
        let bytes = codec::encode(&(label, names, state)).map_err(Error::writing("the checkpoint"))?;
        let temporary = path.with_extension("new");
        write(&temporary, &bytes)
            .and_then(|()| std::fs::rename(&temporary, &path))
            .and_then(|()| path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all()))
            .map_err(|source| Error::Io { path, source })
    }

    /// The state as of the newest record: the checkpoint and what follows it or, without one, a fold of all
    /// events and of as many of the newest samples of each series as a window can hold.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the log does not read back.
    pub fn load_state(&self) -> Result<State, Error> {
        let reader = self.reader();
        if let Some(mut state) = self.read_checkpoint() {
            for record in reader.records(state.seq)? {
                state.apply(&record?);
            }
            return Ok(state);
        }
        fold::fold(&reader, None)
    }

    fn read_checkpoint(&self) -> Option<State> {
        let bytes = std::fs::read(self.checkpoint_path()).ok()?;
        let (label, _, rest) = parts(&bytes)?;
        if label.log != self.id() {
            return None;
        }
        // What was pruned after it cannot be folded in any more: a message, say, would be owed anew.
        codec::from_bytes::<State>(rest)
            .ok()
            .filter(|state| (self.pruned.seq..=self.seq()).contains(&state.seq))
    }

    /// Number of the newest record that this log had when its checkpoint was written, as far as that can be told.
    /// A log that has just been made is in the place of whatever the checkpoint is of.
    pub(crate) fn checkpointed(&self, is_new: bool) -> Option<Seq> {
        let (log, seq) = label(&self.checkpoint_path())?;
        (is_new || log == self.id()).then_some(seq)
    }

    fn checkpoint_path(&self) -> PathBuf {
        self.dir().with_file_name("checkpoint")
    }
}

/// The log that a checkpoint is of, and its newest record then.
pub(crate) fn label(path: &Path) -> Option<(u64, Seq)> {
    let bytes = std::fs::read(path).ok()?;
    let (label, ..) = parts(&bytes)?;
    Some((label.log, label.seq))
}

/// Number of a record before which some may have been let go for their age, as far as a checkpoint knows.
pub(crate) fn baselined(path: &Path) -> Option<Seq> {
    let bytes = std::fs::read(path).ok()?;
    let (.., rest) = parts(&bytes)?;
    codec::from_bytes::<State>(rest).ok()?.baselines.from
}

/// The log that a checkpoint is of, and the names of its series then: each lies in one place in the log, which damage
/// may take.
pub(crate) fn names(path: &Path) -> Option<(u64, Vec<Entry>)> {
    let bytes = std::fs::read(path).ok()?;
    let (label, names, _) = parts(&bytes)?;
    Some((label.log, names))
}

/// Label and names of a checkpoint of this layout, and the bytes of its state.
fn parts(bytes: &[u8]) -> Option<(Label, Vec<Entry>, &[u8])> {
    let (label, rest) = codec::prefix::<Label>(codec::payload(bytes).ok()?).ok()?;
    if label.layout != layout() {
        return None;
    }
    let (names, state) = codec::prefix::<Vec<Entry>>(rest).ok()?;
    Some((label, names, state))
}

/// A number that is another one when the state's layout is: of the program's version, and the bytes of an empty state.
fn layout() -> u32 {
    let mut bytes = env!("CARGO_PKG_VERSION").as_bytes().to_vec();
    bytes.extend(MEANING.to_le_bytes());
    bytes.extend(codec::encode(&State::default()).unwrap_or_default());
    crc32fast::hash(&bytes)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // One that a crash left behind may have another mode.
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
