//! The daemon: edges and wiring around the pure core.

mod account;
pub mod address;
pub mod clock;
pub mod collect;
pub mod control;
pub mod doctor;
mod edges;
pub mod engine;
mod hand_out;
pub mod inbox;
mod journal;
pub mod local;
pub mod logging;
pub mod notify;
pub mod run;
pub mod salvage;
pub mod sampler;
pub mod scrub;
pub mod supervise;
pub mod transport;
mod unrecorded;
