//! The way into the engine: a bounded queue of what has to be recorded, and one of questions beside it, which are
//! answered also while the log cannot be written and the other queue waits.

use systembot_model::{Address, Effect, Input, LocalTime, State};
use systembot_storage::{
    Limits, Reader,
    query::{Import, Row},
};
use tokio::sync::{mpsc, oneshot};

/// Entries that may wait; at one pass a second and a stalled disk, more than four minutes.
pub const WAITING_MAX: usize = 256;
/// Questions that may wait: more than the control socket takes at once.
const QUESTIONS_MAX: usize = 16;

/// Brings effects about, or hands them to whoever does.
pub type HandOut = Box<dyn FnMut(Effect) + Send>;

/// What the engine has to do, in order.
pub enum Entry {
    /// Take an input.
    Input {
        /// The input.
        input: Input,
        /// Told once the input's records are durable and folded in.
        done: Option<oneshot::Sender<()>>,
    },
    /// Load history.
    Import {
        /// Part of a file.
        import: Box<Import>,
        /// Takes what became of it.
        reply: oneshot::Sender<Row>,
    },
    /// Keep so much of the past from now on.
    Limit(Limits),
    /// Hand effects to somebody else from now on.
    HandTo {
        /// To whom.
        hand_out: HandOut,
        /// Of what is owed, what the new one has to bring about because nobody else does any more.
        resume: fn(&Effect) -> bool,
    },
}

/// What somebody at a shell wants to know now.
pub enum Asked {
    /// Answer a chat line at once, to whoever holds the other end.
    Line {
        /// Who asks.
        from: Address,
        /// The line.
        text: String,
        /// The asking side's zone, where it has one of its own.
        zone: Option<(i32, String)>,
        /// Takes the answer.
        reply: oneshot::Sender<Answered>,
    },
    /// Show the state of now, with a reader of the log at the same number or a later one.
    Look(oneshot::Sender<(Reader, State)>),
    /// Show that the engine goes on, by the state in one line.
    Pulse(oneshot::Sender<String>),
    /// Mend the log: something that was read from it is not as it was written.
    Mend(String),
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
pub struct Inbox {
    entries: mpsc::Sender<Entry>,
    questions: mpsc::Sender<Asked>,
}

/// The engine's own ends of its inbox.
pub struct Ends {
    /// What has to be recorded, in order.
    pub entries: mpsc::Receiver<Entry>,
    /// What is asked meanwhile.
    pub questions: mpsc::Receiver<Asked>,
}

/// The engine has ended.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the engine has ended")]
pub struct Closed;

impl Inbox {
    /// An inbox and its reading ends.
    #[must_use]
    pub fn new() -> (Self, Ends) {
        let (entries, entries_end) = mpsc::channel(WAITING_MAX);
        let (questions, questions_end) = mpsc::channel(QUESTIONS_MAX);
        (Self { entries, questions }, Ends { entries: entries_end, questions: questions_end })
    }

    /// Hands an input over and waits until it is recorded.
    ///
    /// # Errors
    /// [`Closed`] when the engine has ended.
    pub async fn record(&self, input: Input) -> Result<(), Closed> {
        let (done, recorded) = oneshot::channel();
        self.entries.send(Entry::Input { input, done: Some(done) }).await.map_err(|_| Closed)?;
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
        self.entries.blocking_send(entry).map_err(|_| Closed)
    }

    /// Does as [`Self::put`], and tells `done` once the input's records are durable and folded in.
    ///
    /// # Errors
    /// [`Closed`] when the engine has ended.
    pub fn put_and_tell(&self, input: Input, done: oneshot::Sender<()>) -> Result<(), Closed> {
        self.put_entry(Entry::Input { input, done: Some(done) })
    }

    /// Has effects handed to somebody else, from the entries after this one on; see [`Entry::HandTo`].
    ///
    /// # Errors
    /// [`Closed`] when the engine has ended.
    pub async fn hand_to(&self, hand_out: HandOut, resume: fn(&Effect) -> bool) -> Result<(), Closed> {
        self.entries.send(Entry::HandTo { hand_out, resume }).await.map_err(|_| Closed)
    }

    /// Has so much of the past kept from now on.
    ///
    /// # Errors
    /// [`Closed`] when the engine has ended.
    pub async fn limit(&self, limits: Limits) -> Result<(), Closed> {
        self.entries.send(Entry::Limit(limits)).await.map_err(|_| Closed)
    }

    /// Waits for a sign of life of the engine: the state in one line.
    ///
    /// # Errors
    /// [`Closed`] when the engine has ended.
    pub async fn pulse(&self) -> Result<String, Closed> {
        let (reply, answered) = oneshot::channel();
        self.questions.send(Asked::Pulse(reply)).await.map_err(|_| Closed)?;
        answered.await.map_err(|_| Closed)
    }

    /// Asks from a thread that may block while there are too many questions.
    ///
    /// # Errors
    /// [`Closed`] when the engine has ended.
    pub fn ask(&self, question: Asked) -> Result<(), Closed> {
        self.questions.blocking_send(question).map_err(|_| Closed)
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
