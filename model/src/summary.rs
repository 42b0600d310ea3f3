//! The state in one line, for whoever supervises the daemon.

use crate::{State, render::counted};

/// Services that are named in the line.
const NAMED: usize = 3;

/// The state in one line; `samples` is what this run recorded.
#[must_use]
pub fn summary(state: &State, samples: u64) -> String {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let mut parts = vec![format!("{} of {} series", counted(samples, "sample"), state.current().count())];
    parts.push(match count(state.alerts.len()) {
        0 => "no alert open".to_owned(),
        open => format!("{} open", counted(open, "alert")),
    });
    if !state.missing.is_empty() {
        let named: Vec<&str> = state.missing.keys().map(String::as_str).take(NAMED).collect();
        let more = if state.missing.len() > NAMED { " ..." } else { "" };
        let missing = counted(count(state.missing.len()), "service");
        parts.push(format!("{missing} missing: {}{more}", named.join(", ")));
    }
    match count(state.outbox.len()) {
        0 => {}
        waiting => parts.push(format!("{} to be delivered", counted(waiting, "message"))),
    }
    parts.join("; ")
}
