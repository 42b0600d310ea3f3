//! How it is kept: the event log on sled.
pub mod query;
