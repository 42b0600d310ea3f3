//! The one way into the engine: a bounded queue of inputs.

use systembot_model::Input;
use tokio::sync::{mpsc, oneshot};

/// Inputs that may wait; at one pass a second and a stalled disk, more than four minutes.
pub const WAITING_MAX: usize = 256;

/// An input on its way, and who waits until it is recorded.
#[derive(Debug)]
pub struct Entry {
    /// The input.
    pub input: Input,
    /// Told once the input's records are durable and folded in.
    pub done: Option<oneshot::Sender<()>>,
}

/// The engine's inbox, for the edges of the daemon.
#[derive(Clone, Debug)]
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
        self.0.send(Entry { input, done: Some(done) }).await.map_err(|_| Closed)?;
        recorded.await.map_err(|_| Closed)
    }

    /// Hands an input over from a thread that may block while the inbox is full.
    ///
    /// # Errors
    /// [`Closed`] when the engine has ended.
    pub fn put(&self, input: Input) -> Result<(), Closed> {
        self.0.blocking_send(Entry { input, done: None }).map_err(|_| Closed)
    }
}
