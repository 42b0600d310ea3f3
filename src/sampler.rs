//! The sampling thread: one pass each interval, on steady time, whatever the rest of the daemon does.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use systembot_model::Input;

use crate::{clock::Clock, collect::Collectors, inbox::Inbox};

/// Samples until told to stop: until the other end of `stop` is dropped, or the engine has ended.
///
/// The first pass is made at once. A pass that took longer than the interval is followed by the next one at the
/// next multiple of it, so that one slow pass never turns into a burst.
pub fn run(
    mut collectors: Collectors,
    interval: Duration,
    clock: &Arc<dyn Clock>,
    inbox: &Inbox,
    stop: &Receiver<()>,
) {
    let mut next = clock.steady();
    loop {
        let pass = collectors.collect();
        if inbox.put(Input::Sampled(Box::new(pass))).is_err() {
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
