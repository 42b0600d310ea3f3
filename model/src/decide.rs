//! From an input to events.

use std::net::IpAddr;

use crate::{Address, Event, LocalTime, Rules, Seq, State, host::Process, sample::Pass};

/// What the world hands to the daemon.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The daemon begins to run.
    Starting {
        /// Its version.
        version: String,
        /// The configuration file in use.
        config: Option<String>,
        /// The settings in force.
        rules: Rules,
    },
    /// One pass read the machine.
    Sampled(Box<Pass>),
    /// A chat line arrived.
    Heard {
        /// From where.
        from: Address,
        /// The line as it came, of any length and content.
        text: String,
    },
    /// A transport is about to hand these messages over; it waits until that is recorded.
    Attempting(Vec<Seq>),
    /// The destination surely did not take them.
    Returned(Vec<Seq>),
    /// The destination took them.
    Delivered(Vec<Seq>),
    /// The public address was asked for.
    AddressFetched(Result<IpAddr, String>),
    /// Two readings of the process table, one second apart, gave the busiest processes, busiest first.
    ProcessesRead(Vec<Process>),
    /// A deadline of the state has come.
    Woken,
    /// The daemon is about to end.
    Stopping,
}

/// stub
#[must_use]
pub fn decide(_state: &State, _now: &LocalTime, _input: Input) -> Vec<Event> {
    Vec::new()
}
