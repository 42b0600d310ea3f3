//! The command line of Systembot.
pub mod args;
pub mod output;
pub mod time;
