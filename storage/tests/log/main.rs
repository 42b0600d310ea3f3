//! The log at its boundary, on real databases in temporary directories.
//!
//! - `archive`: a copy while the log is written, and a log from it, or nothing
//! - `append`: what is appended comes back, in order, after a reopen too; wide ticks; limits
//! - `scan`: by time and by number, over ring and chunks, when the clock goes back, while sealing
//! - `fold`: state = fold of the log, whatever was lost of checkpoint and process
//! - `import`: history from files: resumed, refused, learned
//! - `query`: the answers
//! - `kill`: a child that appends, killed at random moments
//! - `compact`: the log written anew
//! - `damage`: bytes that change on disk
//! - `salvage`: a new log from what a damaged one still holds
//! - `mended`: roll-ups, pruned and compacted logs after it, and what crashes left beside a log
//! - `remote`: the control socket
//! - `series`: those that come and go
//! - `retention`: what is let go, and that nothing else changes by it
//! - `verify`: a check while the log is written
//! - `rollup`: five-minute roll-ups, and what history gives from them

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that panics has failed, as it should, and children tell their parents what they saw"
)]

mod append;
mod archive;
mod compact;
mod damage;
mod fold;
mod import;
mod kill;
mod mended;
mod query;
mod remote;
mod retention;
mod rollup;
mod salvage;
mod scan;
mod series;
mod verify;
mod world;
