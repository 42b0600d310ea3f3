//! The command line of Systembot.
pub mod args;
pub mod commands;
pub mod edges;
pub mod output;
pub mod rows;
pub mod source;
pub mod time;
