//! Readers of the machine.
