//! The daemon: edges and wiring around the pure core.

pub mod address;
pub mod child;
pub mod clock;
pub mod collect;
pub mod control;
pub mod engine;
pub mod inbox;
pub mod local;
pub mod logging;
pub mod run;
pub mod sampler;
pub mod supervise;
pub mod transport;
