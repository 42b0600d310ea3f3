//! The real sources: the daemon over its control socket, or the log opened by this process.

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::{Gid, Uid, User, geteuid, initgroups, setgroups, setresgid, setresuid};
use systembot_model::{LocalTime, Timestamp};
use systembot_storage::{
    Error, Log,
    query::{self, Request, Row, Stop},
    remote::{Client, RemoteError},
};

use crate::{
    edges::{Asked, Edges, Opened, Wait},
    setup::Setup,
    source::Source,
};

/// Time between two attempts at a log that another process reads.
const PAUSE: Duration = Duration::from_millis(100);
/// Attempts: together longer than any question takes, but for the longest exports.
const ATTEMPTS: u32 = 100;

/// Opens the source for a question: the daemon if it answers, else the log.
///
/// A log that does not exist is no error yet: a chat line can be answered without one, and an import makes one.
///
/// # Errors
/// One line: another user's directory, a log that others hold too long, a log that cannot be opened.
pub(crate) fn open<'a>(
    setup: &'a Setup,
    edges: &'a Edges<'a>,
    wait: &dyn Fn(Duration) -> Wait,
) -> Result<Box<dyn Source + 'a>> {
    become_owner(&setup.data_dir)?;
    let mut attempts = 0;
    loop {
        let socket = setup.data_dir.join("control.sock");
        match Client::connect(&socket) {
            Ok(client) => return Ok(Box::new(Remote(client))),
            // A daemon that is stopping closes the connection; the log is free a moment later.
            Err(RemoteError::NoDaemon { .. } | RemoteError::Closed) => {}
            Err(error) => return Err(error).with_context(|| socket.display().to_string()),
        }
        match open_log(&setup.data_dir.join("log")) {
            Ok(opened) => return Ok(Box::new(Local { opened, setup, edges })),
            Err(Error::Locked { .. }) if attempts < ATTEMPTS => {
                attempts += 1;
                if wait(PAUSE) == Wait::ReaderGone {
                    bail!("nobody reads the answer");
                }
            }
            Err(error @ Error::Locked { .. }) => {
                return Err(error).context("a daemon that does not answer, or a long question; try again");
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Opens a log that exists: questions make none.
fn open_log(dir: &Path) -> Result<Option<Opened>, Error> {
    if !dir.join("db").exists() {
        return Ok(None);
    }
    let log = Log::open(dir)?;
    let state = log.load_state()?;
    Ok(Some(Opened { log, state }))
}

/// Refuses what is no directory, and another user's; root becomes the one who owns it, so that no file in it changes hands.
pub(crate) fn become_owner(dir: &Path) -> Result<()> {
    let owner = match fs::metadata(dir) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| dir.display().to_string()),
    };
    if !owner.is_dir() {
        bail!("{} is no directory: --data-dir names the one that holds the log", dir.display());
    }
    let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    if user == geteuid() {
        return Ok(());
    }
    let account = User::from_uid(user).ok().flatten();
    let name = account.as_ref().map_or_else(|| user.to_string(), |account| account.name.clone());
    if !geteuid().is_root() {
        bail!("{} belongs to {name}: ask as that user, or as root", dir.display());
    }
    let step = || -> nix::Result<()> {
        // Groups first: afterwards the right to change them is gone.
        match account.as_ref().and_then(|account| std::ffi::CString::new(account.name.clone()).ok()) {
            Some(name) => initgroups(&name, group)?,
            None => setgroups(&[group])?,
        }
        setresgid(group, group, group)?;
        setresuid(user, user, user)
    };
    step().with_context(|| format!("cannot become {name}, who owns {}", dir.display()))
}

/// The daemon.
struct Remote(Client);

impl Source for Remote {
    fn ask(&mut self, request: &Request, row: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
        let mut failed = None;
        let answered = self.0.ask(request, &mut |answer| stop_at(row(answer), &mut failed));
        failed.map_or(Ok(()), Err)?;
        Ok(answered?)
    }
}

/// The log, opened by this process; `None` where there is none.
struct Local<'a> {
    opened: Option<Opened>,
    setup: &'a Setup,
    edges: &'a Edges<'a>,
}

impl Source for Local<'_> {
    fn ask(&mut self, request: &Request, row: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
        if let Request::Ask { text, zone } = request {
            let at = (self.edges.now)();
            let now = zone.clone().map_or_else(
                || LocalTime::utc(at),
                |(offset_seconds, zone)| LocalTime { at, offset_seconds, zone },
            );
            let asked = Asked { opened: self.opened.as_mut(), setup: self.setup, text, now };
            let answer = (self.edges.ask)(asked)?;
            return row(Row::Answer { text: answer.text, understood: answer.understood });
        }
        if let Request::Import(part) = request {
            let at: Timestamp = (self.edges.now)();
            let opened = self.opened_or_made()?;
            let imported = opened.log.import(at, part)?;
            for record in &imported.records {
                opened.state.apply(record);
            }
            if part.last {
                tidy(&mut opened.log);
            }
            return row(imported.row);
        }
        let Some(opened) = &self.opened else { return Err(no_log(&self.setup.data_dir)) };
        let mut failed = None;
        let answered = query::answer(&opened.log.reader(), &opened.state, request, &mut |mut answer| {
            if let Row::Status(status) = &mut answer {
                // Whoever holds the log knows that no daemon does, however the last one ended.
                status.running = false;
            }
            stop_at(row(answer), &mut failed)
        });
        failed.map_or(Ok(()), Err)?;
        Ok(answered?)
    }
}

impl Local<'_> {
    /// The log; an import makes it where there is none.
    fn opened_or_made(&mut self) -> Result<&mut Opened> {
        if self.opened.is_none() {
            let log = Log::open(&self.setup.data_dir.join("log"))?;
            let state = log.load_state()?;
            self.opened = Some(Opened { log, state });
        }
        self.opened.as_mut().ok_or_else(|| no_log(&self.setup.data_dir))
    }
}

/// Gives the disk back what an import took and does not need, as the daemon does in quiet moments.
fn tidy(log: &mut Log) {
    while log.is_size_changed() {
        // The import is done, whatever comes of this, and the next daemon tries it again.
        if log.compact_if_due().is_err() {
            break;
        }
    }
}

fn no_log(data_dir: &Path) -> anyhow::Error {
    let log = data_dir.join("log");
    if log.exists() {
        return anyhow!("{} is there but cannot be read: `systembot doctor` tells why", log.display());
    }
    anyhow!("there is no log in {} yet: `systembot run` starts one", data_dir.display())
}

/// Keeps the error of whoever takes the rows, and stops them.
fn stop_at(taken: Result<()>, failed: &mut Option<anyhow::Error>) -> Result<(), Stop> {
    taken.map_err(|error| {
        *failed = Some(error);
        Stop
    })
}
