//! Frames of the log, and everything that is kept in one: records above all.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| systembot_storage::fuzz::frame(bytes).unwrap());
