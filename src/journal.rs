//! The journal's own protocol: a log line with fields that `journalctl` finds it by.
//!
//! A line is one datagram of `KEY=value` lines to the journal's socket, as systemd's JOURNAL_NATIVE_PROTOCOL has it.
//! `journalctl SYSTEMBOT_ALERT=12` then shows all that was said about an alert.

use std::{io, os::unix::net::UnixDatagram, path::PathBuf, time::Duration};

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// Names another socket; for tests.
const SOCKET_VARIABLE: &str = "SYSTEMBOT_JOURNAL_SOCKET";
/// Time that the journal may be busy before the line goes elsewhere.
const SEND: Duration = Duration::from_secs(1);

/// The way to the journal.
#[derive(Debug)]
pub(crate) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

/// One log line.
pub(crate) struct Line<'a> {
    /// As syslog(3) counts: 3 an error, 4 a warning, 6 worth knowing, 7 details.
    pub(crate) priority: u8,
    /// The text, on one line.
    pub(crate) message: &'a str,
    /// Names in lower case, and values on one line.
    pub(crate) fields: &'a [(&'static str, String)],
}

impl Journal {
    pub(crate) fn new() -> io::Result<Self> {
        let path = std::env::var_os(SOCKET_VARIABLE).map_or_else(|| PathBuf::from(SOCKET), PathBuf::from);
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND))?;
        Ok(Self { socket, path })
    }

    /// Sends a line. The journal is looked up each time, as it may have been started again.
    pub(crate) fn send(&self, line: &Line<'_>) -> io::Result<()> {
        let mut text =
            format!("MESSAGE={}\nPRIORITY={}\nSYSLOG_IDENTIFIER=systembot\n", line.message, line.priority);
        for (name, value) in line.fields {
            text += &format!("SYSTEMBOT_{}={value}\n", name.to_ascii_uppercase());
        }
        self.socket.send_to(text.as_bytes(), &self.path).map(drop)
    }
}
