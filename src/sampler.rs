//! The sampling thread: one pass each interval, on steady time, whatever the rest of the daemon does.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use systembot_model::Input;
use tokio::sync::oneshot;

use crate::{clock::Clock, collect::Collectors, inbox::Inbox};

/// What ties the thread to whoever began it.
pub struct Ends {
    /// Dropped at its other end when the thread is to end.
    pub stop: Receiver<()>,
    /// Told once the first pass is recorded.
    pub first: oneshot::Sender<()>,
}

/// Samples until told to stop: until the other end of `stop` is dropped, or the engine has ended.
///
/// The first pass is made at once. A pass that took longer than the interval is followed by the next one at the
/// next multiple of it, so that one slow pass never turns into a burst.
pub fn run(
    mut collectors: Collectors,
    interval: Duration,
    clock: &Arc<dyn Clock>,
    inbox: &Inbox,
    ends: Ends,
) {
    let Ends { stop, first } = ends;
    let mut first = Some(first);
    let mut next = clock.steady();
    loop {
        let sampled = Input::Sampled(Box::new(collectors.collect()));
        let put = match first.take() {
            Some(first) => inbox.put_and_tell(sampled, first),
            None => inbox.put(sampled),
        };
        if put.is_err() {
            return;
        }
        let now = clock.steady();
        next += interval;
        if next <= now {
            let behind = now.saturating_sub(next).as_nanos() / interval.as_nanos().max(1);
            next += interval.saturating_mul(u32::try_from(behind).unwrap_or(u32::MAX).saturating_add(1));
        }
        if stop.recv_timeout(next.saturating_sub(now)) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}
