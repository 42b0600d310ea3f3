//! Every limit of the core, in one place, each with the reason for its number.

use std::time::Duration;

/// Longest label value kept, in bytes: the longest path component, NAME_MAX of limits.h.
pub const LABEL_BYTES: usize = 255;
/// Longest series id, in bytes: a name, a label key, and a value of [`LABEL_BYTES`] wholly escaped.
pub const SERIES_BYTES: usize = 640;
/// Longest text of one message, in bytes: below the bridge's own limit of 256 KiB by far, and its record below
/// the largest value that the store keeps out of separate files.
pub const MESSAGE_BYTES: usize = 6_000;
/// Longest chat line that is listened to, in bytes; a command is some twenty.
pub const HEARD_BYTES: usize = 1_000;
/// Messages that may wait for one destination; beyond it the oldest is given up, and that is recorded.
pub const OUTBOX_MESSAGES: usize = 1_000;
/// Waiting messages above which an outage ends in one digest instead of a storm.
pub const DIGEST_ABOVE: usize = 5;
/// Longest FIFO window of a series, in samples; the configuration chooses 2 to this.
pub const WINDOW_SAMPLES: usize = 800;
/// Age at which a window forgets a sample.
pub const WINDOW_AGE: Duration = Duration::from_secs(30 * 86_400);
/// Time from one set of baselines to the next; see [`crate::baseline`].
pub const BASELINE_INTERVAL: Duration = Duration::from_secs(86_400);
/// Series that live at once, which is to say that have a window; readings of further ones are left out of a tick.
pub const LIVE_SERIES: usize = 4_096;
/// Services that are watched; each costs a look at the process table and perhaps a check.
pub const SERVICES: usize = 64;
/// Open mutes; one more ends the one that would have ended first.
pub const MUTES: usize = 64;
/// Questions that wait for an outside answer (public address, two process readings).
pub const QUESTIONS: usize = 32;
/// A gap that may be a wrong clock, and how long nothing is let go by its age after one.
pub const LEAP: Duration = Duration::from_secs(86_400);
/// Blind spans that the state remembers for `status`; the log has all.
pub const BLIND_SPANS: usize = 16;

/// Starts of one service that the start limit can count.
pub const STARTS: usize = 1_000;
/// Bytes of a service's output that are kept with the end of its start.
pub const OUTPUT_BYTES: usize = 4_096;

/// Cuts a text at a character boundary so that it has at most `bytes` bytes.
#[must_use]
pub fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// The end of a text that has at most `bytes` bytes, from a character boundary on.
#[must_use]
pub fn cut_front(text: &str, bytes: usize) -> &str {
    text.get(text.ceil_char_boundary(text.len().saturating_sub(bytes))..).unwrap_or(text)
}
