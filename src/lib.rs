//! The daemon: edges and wiring around the pure core.

pub mod address;
pub mod clock;
pub mod collect;
pub mod inbox;
pub mod transport;
