//! What is owed to a destination, and how an outage is told in one message.

use crate::{Message, Seq};

/// A message that is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// Its number.
    pub number: Seq,
    /// The message.
    pub message: Message,
    /// Whether it may have arrived already: it was attempted, and what became of that is unknown.
    pub again: bool,
}
