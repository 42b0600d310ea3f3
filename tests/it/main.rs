//! The daemon from outside, over loopback only.
//!
//! `bridge`: a message bridge of the tests' own, for all of them. `transport`: what goes over it and comes back,
//! with every way it can fail.

mod bridge;
mod transport;
