//! The one way into the engine: a bounded queue.

use systembot_model::{Address, Input, LocalTime, State};
use systembot_storage::{
    Reader,
    query::{Import, Row},
};
use tokio::sync::{mpsc, oneshot};

/// Entries that may wait; at one pass a second and a stalled disk, more than four minutes.
pub const WAITING_MAX: usize = 256;

/// What the engine is asked to do.
pub enum Entry {
    /// Take an input.
    Input {
        /// The input.
        input: Input,
        /// Told once the input's records are durable and folded in.
        done: Option<oneshot::Sender<()>>,
    },
    /// Answer a chat line at once, to whoever holds the other end.
    Ask {
        /// Who asks.
        from: Address,
        /// The line.
        text: String,
        /// The asking side's zone, where it has one of its own.
        zone: Option<(i32, String)>,
        /// Takes the answer.
        reply: oneshot::Sender<Answered>,
    },
    /// Load history.
    Import {
        /// Part of a file.
        import: Box<Import>,
        /// Takes what became of it.
        reply: oneshot::Sender<Row>,
    },
    /// Show the state of now, with a reader of the log at the same number or a later one.
    Look(oneshot::Sender<(Reader, State)>),
}

/// The answer to a chat line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The text.
    pub text: String,
    /// Whether the line was understood.
    pub understood: bool,
}

/// The engine's inbox, for the edges of the daemon.
#[derive(Clone)]
pub struct Inbox(mpsc::Sender<Entry>);

/// The engine has ended.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the engine has ended")]
pub struct Closed;

impl Inbox {
    /// An inbox and its reading end.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Entry>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self(sender), receiver)
    }

    /// Hands an input over and waits until it is recorded.
    ///
    /// # Errors
    /// [`Closed`] when the engine has ended.
    pub async fn record(&self, input: Input) -> Result<(), Closed> {
        let (done, recorded) = oneshot::channel();
        self.0.send(Entry::Input { input, done: Some(done) }).await.map_err(|_| Closed)?;
        recorded.await.map_err(|_| Closed)
    }

    /// Hands an input over from a thread that may block while the inbox is full.
    ///
    /// # Errors
    /// [`Closed`] when the engine has ended.
    pub fn put(&self, input: Input) -> Result<(), Closed> {
        self.put_entry(Entry::Input { input, done: None })
    }

    /// Hands an entry over from a thread that may block while the inbox is full.
    ///
    /// # Errors
    /// [`Closed`] when the engine has ended.
    pub fn put_entry(&self, entry: Entry) -> Result<(), Closed> {
        self.0.blocking_send(entry).map_err(|_| Closed)
    }
}

/// The asking side's zone put on a moment.
#[must_use]
pub fn in_zone(now: LocalTime, zone: Option<(i32, String)>) -> LocalTime {
    match zone {
        Some((offset_seconds, zone)) => LocalTime { at: now.at, offset_seconds, zone },
        None => now,
    }
}
