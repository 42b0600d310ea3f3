//! The core at its boundary: inputs in, events out, the state always a fold of the records.
//!
//! `life` covers starts, gaps and clocks; `baselines` what outlives samples; `alerts` the state machine of the rules; `chat` the commands;
//! `outbox` what is owed; `services` when they are started. Tests of the original bot's defects say which.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails says so by panicking"
)]

mod alerts;
mod baselines;
mod chat;
mod life;
mod outbox;
mod random;
mod services;
mod sim;
