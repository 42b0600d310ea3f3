//! What can go wrong with the log, by what the caller can do about it.

use std::{io, path::PathBuf};

use crate::codec::CodecError;

/// Why the log did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process holds the log: ask it over the control socket, or wait.
    #[error("{} is in use by another process", dir.display())]
    Locked {
        /// The log's directory.
        dir: PathBuf,
    },
    /// The directory belongs to another user: become that user first, so that no file changes hands.
    #[error("{} belongs to user {owner}: run this as that user", dir.display())]
    NotOwner {
        /// The directory.
        dir: PathBuf,
        /// Number of the user who owns it.
        owner: u32,
    },
    /// Something was written by a later version of the program: use that one; nothing was changed.
    #[error("{what} was written by a later version of systembot: use that one")]
    Newer {
        /// What was being read.
        what: String,
    },
    /// Something does not read back as it was written: salvage the log.
    #[error("the log is damaged: {what}")]
    Damaged {
        /// What was being read, and what is wrong with it.
        what: String,
    },
    /// No room on the file system: free some, then drop the log and open it again, writing fails until then.
    #[error("no space left for the log in {}: free some", dir.display())]
    Full {
        /// The log's directory.
        dir: PathBuf,
    },
    /// An earlier write failed, so memory and disk may differ: drop the log and its readers, and open it again.
    #[error("the log in {} cannot be used after a failed write (is the disk full?); the daemon goes on trying", dir.display())]
    Failed {
        /// The log's directory.
        dir: PathBuf,
    },
    /// A value is larger than anything the log keeps; nothing was written.
    #[error("{what} is too large for the log")]
    TooLarge {
        /// What was to be written.
        what: String,
    },
    /// The operating system refused something else.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl Error {
    /// A value that was read and is not as it was written.
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }

    /// What a codec error means for something that was read.
    pub(crate) fn reading(what: impl FnOnce() -> String) -> impl FnOnce(CodecError) -> Self {
        move |error| match error {
            CodecError::Version(_) => Self::Newer { what: what() },
            CodecError::Length { .. }
            | CodecError::Checksum
            | CodecError::Malformed(_)
            | CodecError::TooLarge(_) => Self::Damaged { what: format!("{}: {error}", what()) },
        }
    }

    /// What a codec error means for something that is to be written.
    pub(crate) fn writing(what: &str) -> impl FnOnce(CodecError) -> Self {
        move |_| Self::TooLarge { what: what.to_owned() }
    }
}
