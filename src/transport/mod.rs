//! Ways to the owner: each destination has one task ([`drive::drive`]) that hands over what is owed, in order, and
//! brings in what was said.
//!
//! What a way can do is a [`Transport`]; what can go wrong is a [`Failure`], which above all says whether a message
//! may have arrived all the same.

use std::{future::Future, time::Duration};

use systembot_model::Address;

pub mod bridge;
pub mod drive;
pub(crate) mod http;

/// A way to the owner that is asked for chat lines and takes messages, one request at a time.
pub trait Transport: Send {
    /// Whose messages it carries.
    fn address(&self) -> Address;

    /// Fetches the next chat line; `None` when there is none. An answer also tells that the way is open.
    ///
    /// # Errors
    /// [`Failure`] when it could not be asked or gave no answer.
    fn poll(&mut self) -> impl Future<Output = Result<Option<String>, Failure>> + Send;

    /// Hands one text over.
    ///
    /// # Errors
    /// [`Failure`], of which [`Failure::may_have_arrived`] tells whether the text may have been taken.
    fn reply(&mut self, text: &str) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Why a request failed. Two that are equal are the same condition, told once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// There was no connection: refused, unknown host, no answer to the knock. Nothing was sent.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// The request was sent, and no whole answer came in time.
    #[error("did not answer within {} s", .0.as_secs_f32())]
    NoAnswer(Duration),
    /// The request was sent, and the connection broke before the answer was whole.
    #[error("broke off before answering: {0}")]
    Lost(String),
    /// It answered, but knows no queue of our name: chat lines cannot come, messages can go.
    #[error(
        "does not know a queue named {0}: set `name` to a queue of its configuration, or add that one there; \
         messages go out all the same, but no command can come in"
    )]
    UnknownName(String),
    /// It answered a poll with another status than 200.
    #[error("answered {0} to a poll: check `bridge.url`, and the bridge's own log")]
    PollRefused(u16),
    /// It answered a message with another status than 200.
    #[error("answered {0} to a message: look into the bridge's own log")]
    ReplyRefused(u16),
    /// It answered 200 and something that a message bridge does not say.
    #[error("answered something that is no answer of a message bridge: check `bridge.url`")]
    Garbled,
}

impl Failure {
    /// Whether a text may have been taken though the request failed: then it goes again, marked so.
    ///
    /// `Garbled` counts as such, because something said 200; and so do 502 and 504, with which a gateway says that
    /// it did not hear what became of the request. After any other status the text was surely not taken.
    #[must_use]
    pub const fn may_have_arrived(&self) -> bool {
        match self {
            Self::NoAnswer(_) | Self::Lost(_) | Self::Garbled => true,
            Self::ReplyRefused(status) => matches!(*status, 502 | 504),
            Self::Unreachable(_) | Self::UnknownName(_) | Self::PollRefused(_) => false,
        }
    }
}
