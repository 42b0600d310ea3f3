//! Reading the log through now and then, so that damage is known and mended before somebody asks for what is gone.

use std::{sync::Arc, thread, time::Duration};

use systembot_storage::{Error, Scrubbed};
use tokio::sync::oneshot;
use tracing::debug;

use crate::{
    clock::Clock,
    inbox::{Asked, Closed, Inbox},
};

/// From the start to the first reading: whoever has just started it wants other things of the disk.
const FIRST: Duration = Duration::from_secs(60);
/// From the end of one reading to the next.
const BETWEEN: Duration = Duration::from_secs(24 * 3_600);
/// So many times as long as it reads it pauses.
const PAUSE: u32 = 1_000;
/// Longest pause: on a disk that stalls the time says nothing about the work.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Begins the thread that reads; it ends with the engine.
///
/// # Errors
/// Those of the operating system.
pub fn begin(clock: Arc<dyn Clock>, inbox: Inbox) -> std::io::Result<()> {
    let work = move || {
        pause(&clock, FIRST);
        while read(&clock, &inbox).is_ok() {
            pause(&clock, BETWEEN);
        }
    };
    thread::Builder::new().name("scrub".into()).spawn(work).map(drop)
}

/// Reads everything once.
fn read(clock: &Arc<dyn Clock>, inbox: &Inbox) -> Result<(), Closed> {
    let mut next = Some(Scrubbed::default());
    while let Some(from) = next {
        // A reader for each step: the log cannot be opened again while there is one.
        let (reply, look) = oneshot::channel();
        inbox.ask(Asked::Look(reply))?;
        let reader = look.blocking_recv().map_err(|_| Closed)?.0;
        let began = clock.steady();
        let read = reader.scrub(from);
        drop(reader);
        let took = clock.steady().saturating_sub(began);
        next = match read {
            Ok(next) => next,
            Err(error @ Error::Damaged { .. }) => return inbox.ask(Asked::Mend(error.to_string())),
            Err(error) => {
                debug!(%error, "the log cannot be read through now");
                return Ok(());
            }
        };
        pause(clock, took.saturating_mul(PAUSE).min(PAUSE_MAX));
    }
    Ok(())
}

fn pause(clock: &Arc<dyn Clock>, span: Duration) {
    let until = clock.steady() + span;
    while let Some(left) = until.checked_sub(clock.steady()).filter(|left| !left.is_zero()) {
        clock.wait(left);
    }
}
