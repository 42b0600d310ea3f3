//! The core at its boundary: inputs in, events out, the state always a fold of the records.
//!
//! `life` covers starts, gaps and clocks; `alerts` the state machine of the rules; `chat` the commands;
//! `outbox` what is owed. The regression tests of the original bot's defects say so in their names.
#![allow(clippy::as_conversions, clippy::wildcard_enum_match_arm, reason = "tests")]

mod alerts;
mod chat;
mod life;
mod outbox;
mod sim;
