//! The daemon: edges and wiring around the pure core.

pub mod address;
pub mod clock;
pub mod collect;
pub mod control;
pub mod doctor;
pub mod engine;
pub mod inbox;
pub mod local;
pub mod logging;
pub mod run;
pub mod sampler;
pub mod transport;
