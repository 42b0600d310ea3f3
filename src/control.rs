//! The control socket: questions from the command line, answered while the daemon holds the log.
//!
//! A Unix socket that only its owner and root may use; the daemon listens on nothing else.

use std::{
    fs, io,
    os::unix::net::{UnixListener, UnixStream},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    thread,
};

use systembot_model::{Address, State};
use systembot_storage::{
    Error, Reader,
    query::{self, Request, Row},
    remote::{self, RowWriter},
};
use tokio::sync::oneshot;
use tracing::{debug, error};

use crate::inbox::{Answered, Asked, Entry, Inbox};

/// Questions answered at once; more wait in the socket's queue. Few, as each thread's memory stays with the process.
const ANSWERING: usize = 4;

/// The socket's file, removed when the daemon ends.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
}

impl ControlSocket {
    /// Listens on `control.sock` in the data directory, and answers from threads of its own.
    ///
    /// Whoever calls this holds the log's lock, so a socket that lies there is a dead one.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn listen(path: &Path, inbox: Inbox) -> io::Result<Self> {
        let listener = remote::bind(path)?;
        for _ in 0..ANSWERING {
            let (listener, inbox) = (listener.try_clone()?, inbox.clone());
            thread::Builder::new().name("control".into()).spawn(move || accept(&listener, &inbox))?;
        }
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = fs::remove_file(&self.path);
    }
}

fn accept(listener: &UnixListener, inbox: &Inbox) {
    for stream in listener.incoming() {
        // A question that panics costs its own answer, not the thread that the next one needs.
        let answered = panic::catch_unwind(AssertUnwindSafe(|| answer(stream?, inbox)));
        match answered {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "a question was not answered"),
            Err(_) => error!("a question broke the thread that answered it"),
        }
    }
}

fn answer(stream: UnixStream, inbox: &Inbox) -> anyhow::Result<()> {
    remote::check_peer(&stream)?;
    let mut stream = stream;
    let mut connection = remote::accept(&mut stream)?;
    while let Some(request) = connection.read_request()? {
        let mut rows = RowWriter::new(&mut connection);
        match request {
            Request::Ask { text, zone } => {
                let (reply, answered) = oneshot::channel();
                inbox.ask(Asked::Line { from: Address::console(), text, zone, reply })?;
                let Answered { text, understood } = answered.blocking_recv()?;
                push(&mut rows, &Row::Answer { text, understood });
            }
            Request::Import(import) => {
                let (reply, imported) = oneshot::channel();
                inbox.put_entry(Entry::Import { import: Box::new(import), reply })?;
                push(&mut rows, &imported.blocking_recv()?);
            }
            request @ (Request::Status
            | Request::Series
            | Request::History(_)
            | Request::Trends { .. }
            | Request::Alerts { .. }
            | Request::Why { .. }
            | Request::Events { .. }
            | Request::Verify
            | Request::Backup) => {
                let (reader, state) = look(inbox)?;
                let mut damage = None;
                let answered = query::answer(&reader, &state, &request, &mut |row| {
                    if let Row::Verified(verified) = &row {
                        damage = verified.faults.first().filter(|_| verified.damaged).cloned();
                    }
                    rows.push(&row)
                });
                if let Err(error) = answered {
                    if matches!(error, Error::Damaged { .. }) {
                        damage = Some(error.to_string());
                    }
                    push(&mut rows, &Row::Failed(error.to_string()));
                }
                drop((reader, state));
                if damage.is_some()
                    && let Some(damage) = confirmed(inbox)?
                {
                    inbox.ask(Asked::Mend(damage))?;
                }
            }
        }
        rows.finish()?;
    }
    Ok(())
}

fn look(inbox: &Inbox) -> anyhow::Result<(Reader, State)> {
    let (reply, look) = oneshot::channel();
    inbox.ask(Asked::Look(reply))?;
    Ok(look.blocking_recv()?)
}

/// The damage that a second look at the whole log finds: a healthy log must not be mended.
fn confirmed(inbox: &Inbox) -> anyhow::Result<Option<String>> {
    let (reader, state) = look(inbox)?;
    let mut damage = None;
    let answered = query::answer(&reader, &state, &Request::Verify, &mut |row| {
        if let Row::Verified(verified) = row {
            damage = verified.faults.into_iter().next().filter(|_| verified.damaged);
        }
        Ok(())
    });
    if let Err(error @ Error::Damaged { .. }) = answered {
        damage = Some(error.to_string());
    }
    Ok(damage)
}

/// Sends one row; whether the client was still there is told by the end of the answer.
fn push(rows: &mut RowWriter<'_>, row: &Row) {
    let _ = rows.push(row);
}
