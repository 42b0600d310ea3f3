//! Tests of the whole at its boundaries.
//!
//! - `collect`: the readers of the machine, against trees of their own and against this machine.

mod collect;
