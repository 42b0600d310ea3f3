//! The daemon's side.

use std::{
    fs, io,
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::Path,
    time::Duration,
};

use super::{
    FRAME_BYTES, FRAME_BYTES_MAX, REQUEST_BYTES_MAX, RemoteError, WAIT, greet, greeted, read_frame, rows,
    with_short_path, write_frame,
};
use crate::{
    codec,
    query::{Request, Row, Stop},
};

/// Longest wait for a client's hello, which it sends at once: one that says nothing must not hold a thread.
const HELLO_WAIT: Duration = Duration::from_secs(1);

/// Listens at a path, with mode 0600. Whoever calls this holds the log, so a socket that lies there is a dead one.
///
/// # Errors
/// Those of the file system.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = with_short_path(path, |path| UnixListener::bind(path))?;
    // The directory is 0700, and `check_peer` holds besides: nobody came in before this.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Lets in the same user and root, by SO_PEERCRED of unix(7).
///
/// # Errors
/// [`RemoteError::Stranger`] for anybody else.
pub fn check_peer(stream: &UnixStream) -> Result<(), RemoteError> {
    let peer = rustix::net::sockopt::socket_peercred(stream).map_err(io::Error::from)?;
    if peer.uid == rustix::process::geteuid() || peer.uid.is_root() {
        return Ok(());
    }
    Err(RemoteError::Stranger { uid: peer.uid.as_raw() })
}

/// Takes a connection: limits its waits and exchanges hellos.
///
/// # Errors
/// [`RemoteError::Version`] where the client is of another version, which it was told then.
pub fn accept(stream: &mut UnixStream) -> Result<Connection<'_>, RemoteError> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(HELLO_WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    greet(stream)?;
    greeted(stream)?;
    stream.set_read_timeout(Some(WAIT))?;
    Ok(Connection { stream })
}

/// A connection whose client is of this version.
#[derive(Debug)]
pub struct Connection<'a> {
    stream: &'a mut UnixStream,
}

impl Connection<'_> {
    /// The next question; `None` when the client has no more.
    ///
    /// # Errors
    /// [`RemoteError::Garbled`] for what is no question, [`RemoteError::Io`] where none comes in time.
    pub fn read_request(&mut self) -> Result<Option<Request>, RemoteError> {
        let mut bytes = Vec::new();
        match read_frame(self.stream, REQUEST_BYTES_MAX, &mut bytes) {
            Ok(()) => Ok(Some(codec::from_bytes(&bytes)?)),
            Err(RemoteError::Closed) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Sends the rows of one answer, in frames.
#[derive(Debug)]
pub struct RowWriter<'a> {
    stream: &'a mut UnixStream,
    frame: Vec<u8>,
    problem: Option<RemoteError>,
}

impl<'a> RowWriter<'a> {
    /// The answer to the question read last.
    #[must_use]
    pub fn new(connection: &'a mut Connection<'_>) -> Self {
        Self { stream: connection.stream, frame: Vec::with_capacity(FRAME_BYTES + 1024), problem: None }
    }

    /// Sends a row, once there are enough of them.
    ///
    /// # Errors
    /// [`Stop`] when the client is gone; [`RowWriter::finish`] tells why.
    pub fn push(&mut self, row: &Row) -> Result<(), Stop> {
        if self.problem.is_some() {
            return Err(Stop);
        }
        self.add(row).map_err(|problem| {
            self.problem = Some(problem);
            Stop
        })
    }

    /// Sends what is left, and the end.
    ///
    /// # Errors
    /// The first thing that went wrong.
    pub fn finish(mut self) -> Result<(), RemoteError> {
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        self.send()?;
        write_frame(self.stream, &[])
    }

    fn add(&mut self, row: &Row) -> Result<(), RemoteError> {
        let before = self.frame.len();
        rows::write(row, &mut self.frame)?;
        let bytes = self.frame.len() - before;
        if bytes > FRAME_BYTES_MAX - FRAME_BYTES {
            return Err(RemoteError::TooLong(bytes));
        }
        if self.frame.len() >= FRAME_BYTES { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), RemoteError> {
        if !self.frame.is_empty() {
            write_frame(self.stream, &self.frame)?;
            self.frame.clear();
        }
        Ok(())
    }
}
