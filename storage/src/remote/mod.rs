//! Questions and answers over the control socket.
//!
//! Both sides begin with a hello of six bytes: `sbot` and the protocol's version (u16, little endian); it has that
//! form in every version. Then the client sends a question as length (u32, little endian) and bincode, and gets
//! frames of rows: length, then rows one after another. An empty frame ends the answer; another question may
//! follow. Frames have some 64 KiB, so that a long answer begins at once and needs little memory on either side.
//!
//! The daemon holds a thread for each connection, so nothing here waits longer than [`WAIT`] for a peer.

mod client;
mod rows;
mod server;

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::codec::CodecError;

pub use client::Client;
pub use server::{Connection, RowWriter, accept, bind, check_peer};

/// Version of the hello's other side: of requests, rows and everything in them.
pub const PROTOCOL: u16 = 4;
/// Longest wait of the daemon for its peer to read or write something.
pub const WAIT: Duration = Duration::from_secs(10);
/// Longest wait for the daemon: reading the whole log for `verify` comes before its first row.
const PATIENCE: Duration = Duration::from_secs(300);
/// Longest wait for its hello, which a thread of the daemon says that waits for nothing.
const HELLO_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of rows that are sent together.
const FRAME_BYTES: usize = 64 << 10;
/// Longest frame that is taken: one row of `status` with 4,096 series and windows of 800 samples has 28 MiB.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// Longest question that is taken: parts of an import are the only long ones.
const REQUEST_BYTES_MAX: usize = 16 << 20;
/// Longest path of a Unix socket, sun_path of unix(7) less its end.
const PATH_BYTES: usize = 107;

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Nobody listens: no daemon runs on this data directory, open the log itself.
    #[error("no daemon listens at {}", path.display())]
    NoDaemon {
        /// The socket.
        path: PathBuf,
    },
    /// The socket belongs to another user.
    #[error("{} is not for this user: ask as the user who runs the daemon, or as root", path.display())]
    Denied {
        /// The socket.
        path: PathBuf,
    },
    /// The other side is of another version.
    #[error("the other side speaks protocol {theirs}, this program {PROTOCOL}: use the same version of both")]
    Version {
        /// Its version.
        theirs: u16,
    },
    /// The other side is another user, and not root.
    #[error("user {uid} may not ask this daemon")]
    Stranger {
        /// Who asked.
        uid: u32,
    },
    /// The daemon could not answer; the line says why.
    #[error("{0}")]
    Failed(String),
    /// The daemon closed the connection before it answered: it is stopping.
    #[error("the daemon closed the connection: ask again")]
    Closed,
    /// The other side said nothing for too long: its process hangs.
    #[error("the daemon does not answer: its process is stopped or waits for its disk")]
    Silent,
    /// The other side did not speak the protocol.
    #[error("the control socket spoke no known protocol")]
    Garbled,
    /// A question or a row is too long to send.
    #[error("a message of {0} bytes is too long for the control socket")]
    TooLong(usize),
    /// The operating system failed.
    #[error("the control socket failed: {0}")]
    Io(#[from] io::Error),
}

impl From<CodecError> for RemoteError {
    fn from(_: CodecError) -> Self {
        Self::Garbled
    }
}

/// Says hello.
fn greet(stream: &mut UnixStream) -> io::Result<()> {
    let mut hello = *b"sbot\0\0";
    if let Some(version) = hello.last_chunk_mut::<2>() {
        *version = PROTOCOL.to_le_bytes();
    }
    stream.write_all(&hello)
}

/// Takes the other side's hello.
fn greeted(stream: &mut UnixStream) -> Result<(), RemoteError> {
    let mut hello = [0_u8; 6];
    stream.read_exact(&mut hello).map_err(closed)?;
    let [b's', b'b', b'o', b't', low, high] = hello else { return Err(RemoteError::Garbled) };
    match u16::from_le_bytes([low, high]) {
        PROTOCOL => Ok(()),
        theirs => Err(RemoteError::Version { theirs }),
    }
}

/// Reads a length and so many bytes; the buffer is used again and, beyond the
/// usual, grows as bytes come in and not by what is told.
fn read_frame(stream: &mut UnixStream, bytes_max: usize, into: &mut Vec<u8>) -> Result<(), RemoteError> {
    let mut length = [0_u8; 4];
    stream.read_exact(&mut length).map_err(closed)?;
    let length = u32::from_le_bytes(length);
    if usize::try_from(length).ok().is_none_or(|length| length > bytes_max) {
        return Err(RemoteError::Garbled);
    }
    into.clear();
    into.reserve(usize::try_from(length).unwrap_or(0).min(FRAME_BYTES + FRAME_BYTES / 4));
    let read = stream.take(u64::from(length)).read_to_end(into)?;
    if u32::try_from(read).ok() == Some(length) { Ok(()) } else { Err(RemoteError::Closed) }
}

/// Writes a length and the bytes.
fn write_frame(stream: &mut UnixStream, bytes: &[u8]) -> Result<(), RemoteError> {
    let length = u32::try_from(bytes.len()).map_err(|_| RemoteError::TooLong(bytes.len()))?;
    stream.write_all(&length.to_le_bytes())?;
    Ok(stream.write_all(bytes)?)
}

/// An end or a silence where something was expected is no error of the system.
#[expect(clippy::wildcard_enum_match_arm, reason = "the system's kinds of error are not ours")]
fn closed(error: io::Error) -> RemoteError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            RemoteError::Closed
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => RemoteError::Silent,
        _ => RemoteError::Io(error),
    }
}

/// Does something with a socket's path, by way of its open directory where the path itself is too long.
fn with_short_path<T>(path: &Path, work: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().len() <= PATH_BYTES {
        return work(path);
    }
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return work(path) };
    let dir = File::open(dir)?;
    work(&Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name))
}
