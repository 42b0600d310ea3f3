//! The daemon: edges and wiring around the pure core.

pub mod clock;
pub mod collect;
pub mod inbox;
pub mod transport;
