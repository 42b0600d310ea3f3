//! The whole at its boundaries: the real binary, real sled, real sockets, over loopback only.
//!
//! - `daemon`, `bridge`: the daemon in a home of its own, and a message bridge of the tests' own, for all the others.
//!   `bare`: an engine alone, with a clock that a test sets.
//! - `collect`: the readers of the machine, against trees of their own and against this machine.
//! - `transport`: what goes over the bridge and comes back, with every way it can fail.
//! - `run`: the daemon's life, and questions while it runs and after.
//! - `reload`: SIGHUP. `systemd`: the notify protocol, the journal, the units. `install`: writing and enabling them.
//! - `original`: that each defect of the original bot has a test, and those that only the whole program shows.
//! - `tidy`: what the manifests and the lock file must hold to.
//! - `doctor`: what it finds of all that an owner gets wrong.
//! - `package`: what the packages are made of.
//! - `sim`: lives of the whole core, from a seed.
//! - `cli`: the command line as scripts and terminals see it.
//! - `past`: files of history, exports, backups.
//! - `kill`: kill -9 while it writes as fast as it can.
//! - `clock`: steps, sleep, a boot in 1970 and summer time. `chat`: every alias over the bridge. `outage`: a bridge that fails. `full`: a disk without room. `crash`: kill -9.
//! - `salvage`: a damaged log is mended, and told.
//! - `chat`: every alias over the bridge. `outage`: a bridge that fails. `full`: a disk without room. `crash`: kill -9.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::print_stderr,
    reason = "a test that fails says so by panicking, and one that draws lots says by which seed"
)]

mod bare;
mod bridge;
mod chat;
mod cli;
mod clock;
mod collect;
mod crash;
mod daemon;
mod doctor;
mod full;
mod install;
mod kill;
mod namespace;
mod original;
mod outage;
mod package;
mod past;
mod reload;
mod run;
mod salvage;
mod services;
mod sim;
mod systemd;
mod tidy;
mod transport;
