//! The asking side.

use std::{
    io,
    net::Shutdown,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

use super::{
    FRAME_BYTES_MAX, HELLO_PATIENCE, PATIENCE, REQUEST_BYTES_MAX, RemoteError, greet, greeted, read_frame,
    rows, with_short_path, write_frame,
};
use crate::{
    codec,
    query::{Request, Row, Sink},
};

/// Frames that wait for whoever takes the rows. A pager may stand still far longer than the daemon waits for a
/// client, so up to 16 MiB of the answer, a million samples, are taken off the socket ahead of it.
const FRAMES_AHEAD: usize = 256;

/// Asks the daemon that listens at a socket.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    /// A connection for the next question; the daemon does not keep idle ones.
    ready: Option<UnixStream>,
}

impl Client {
    /// Connects to `<data-dir>/control.sock`.
    ///
    /// # Errors
    /// [`RemoteError::NoDaemon`] where nobody listens, [`RemoteError::Denied`], [`RemoteError::Version`].
    pub fn connect(path: &Path) -> Result<Self, RemoteError> {
        Ok(Self { path: path.to_owned(), ready: Some(connection(path)?) })
    }

    /// Asks over a connection that is open already, after the hellos.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn over(mut stream: UnixStream) -> Result<Self, RemoteError> {
        greet(&mut stream).map_err(super::closed)?;
        greeted(&mut stream)?;
        Ok(Self { path: PathBuf::new(), ready: Some(stream) })
    }

    /// Number of the daemon's process, where the system tells it.
    #[must_use]
    pub fn daemon_pid(&self) -> Option<i32> {
        let peer = rustix::net::sockopt::socket_peercred(self.ready.as_ref()?).ok()?;
        Some(peer.pid.as_raw_nonzero().get())
    }

    /// Asks a question and gives the rows of its answer, as they come; ends early, and well, where the sink stops.
    ///
    /// # Errors
    /// [`RemoteError::Failed`] with the daemon's own words where it could not answer; rows may have been given
    /// before any error.
    pub fn ask(&mut self, request: &Request, sink: Sink<'_>) -> Result<(), RemoteError> {
        let mut bytes = Vec::new();
        codec::to_bytes(request, &mut bytes)?;
        if bytes.len() > REQUEST_BYTES_MAX {
            return Err(RemoteError::TooLong(bytes.len()));
        }
        let mut stream = match self.ready.take() {
            Some(stream) => stream,
            None => connection(&self.path)?,
        };
        write_frame(&mut stream, &bytes)?;
        let reading = stream.try_clone()?;
        thread::scope(|scope| {
            let (sender, frames) = mpsc::sync_channel(FRAMES_AHEAD);
            scope.spawn(move || read_ahead(reading, &sender));
            let given = give(&frames, sink);
            // Whatever the reading thread waits for, it ends now.
            drop(frames);
            // A connection that is closed already is as good.
            let _ = stream.shutdown(Shutdown::Both);
            given
        })
    }
}

/// Takes frames off the socket until the answer ends, nobody wants more, or something fails.
fn read_ahead(mut stream: UnixStream, frames: &mpsc::SyncSender<Result<Vec<u8>, RemoteError>>) {
    loop {
        let mut frame = Vec::new();
        let read = read_frame(&mut stream, FRAME_BYTES_MAX, &mut frame);
        let is_last = read.is_err() || frame.is_empty();
        if frames.send(read.map(|()| frame)).is_err() || is_last {
            return;
        }
    }
}

fn give(frames: &mpsc::Receiver<Result<Vec<u8>, RemoteError>>, sink: Sink<'_>) -> Result<(), RemoteError> {
    for frame in frames {
        let frame = frame?;
        if frame.is_empty() {
            return Ok(());
        }
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            let (row, after) = rows::read(rest)?;
            rest = after;
            if let Row::Failed(text) = row {
                return Err(RemoteError::Failed(text));
            }
            if sink(row).is_err() {
                return Ok(());
            }
        }
    }
    Err(RemoteError::Closed)
}

fn connection(path: &Path) -> Result<UnixStream, RemoteError> {
    let connected = with_short_path(path, |path| UnixStream::connect(path));
    #[expect(clippy::wildcard_enum_match_arm, reason = "the system's kinds of error are not ours")]
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => {
            RemoteError::NoDaemon { path: path.to_owned() }
        }
        io::ErrorKind::PermissionDenied => RemoteError::Denied { path: path.to_owned() },
        _ => RemoteError::Io(error),
    };
    let mut stream = connected.map_err(refused)?;
    stream.set_read_timeout(Some(HELLO_PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    greet(&mut stream).map_err(super::closed)?;
    greeted(&mut stream)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}
