//! What the log is told about a destination: a line for every change of its condition, none for an attempt.

use systembot_model::Timestamp;
use tracing::{error, info, warn};

use super::{Failure, Transport};

/// How a destination is, as far as it was told.
pub(super) struct Condition {
    name: String,
    /// Why polls fail.
    polling: Option<Failure>,
    /// Why messages are not taken.
    sending: Option<Failure>,
    /// What an answered poll complained of; messages go out all the same.
    complaint: Option<Failure>,
    /// Since when polls or messages fail.
    since: Option<Timestamp>,
    /// Whether it ever answered or failed.
    is_known: bool,
}

impl Condition {
    /// That of a destination of which nothing is known yet.
    pub(super) fn new(transport: &impl Transport) -> Self {
        let name = transport.address().text().to_owned();
        Self { name, polling: None, sending: None, complaint: None, since: None, is_known: false }
    }

    /// Whose condition it is.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Since when polls or messages fail, if they do.
    pub(super) const fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// Whether the newest message was not taken.
    pub(super) const fn is_sending_bad(&self) -> bool {
        self.sending.is_some()
    }

    /// A poll had no answer, or one that is none.
    pub(super) fn poll_failed(&mut self, failure: Failure, now: Timestamp) {
        // A connection that a message found broken is no news when the poll finds it so too.
        if self.polling.as_ref() != Some(&failure) && self.sending.as_ref() != Some(&failure) {
            warn!("{} {failure}; messages are kept until it answers", self.name);
        }
        self.since.get_or_insert(now);
        self.is_known = true;
        self.polling = Some(failure);
    }

    /// A message was not taken, as far as is known.
    pub(super) fn send_failed(&mut self, failure: Failure, waiting: usize, now: Timestamp) {
        if self.sending.as_ref() != Some(&failure) {
            warn!(waiting, "{} {failure}; messages are kept", self.name);
        }
        self.since.get_or_insert(now);
        self.sending = Some(failure);
    }

    /// A poll was answered, perhaps with a complaint.
    pub(super) fn polled(&mut self, complaint: Option<Failure>, waiting: usize, now: Timestamp) {
        self.polling = None;
        self.perhaps_up(waiting, now);
        match &complaint {
            Some(complaint) if self.complaint.as_ref() != Some(complaint) => {
                error!("{} {complaint}", self.name);
            }
            None if self.complaint.is_some() => info!("{} knows our queue now", self.name),
            None if !self.is_known => info!("{} answers", self.name),
            Some(_) | None => {}
        }
        self.is_known = true;
        self.complaint = complaint;
    }

    /// A message was taken, or there is none that could fail.
    pub(super) fn sent(&mut self, waiting: usize, now: Timestamp) {
        self.sending = None;
        self.perhaps_up(waiting, now);
    }

    fn perhaps_up(&mut self, waiting: usize, now: Timestamp) {
        if self.polling.is_some() || self.sending.is_some() {
            return;
        }
        if let Some(since) = self.since.take() {
            info!(waiting, "{} is back after {} s", self.name, now.since(since).as_secs());
        }
    }
}
