//! What is true, and what follows from it.
//!
//! The core of Systembot as plain functions over values: inputs become events ([`decide()`]), events become
//! records, records are folded into a state ([`State::apply`]), and what a record promises to the world is an
//! effect ([`owed`]). Nothing here reads a file, a clock or a socket, nothing logs, and nothing can fail:
//! whoever needs the time passes it in.

pub mod alert;
pub mod baseline;
pub mod command;
pub mod decide;
pub mod detect;
pub mod effect;
pub mod event;
pub mod host;
pub mod judge;
pub mod limits;
pub mod metric;
pub mod number;
pub mod outbox;
mod pack;
pub mod pattern;
pub mod render;
pub mod rules;
pub mod sample;
pub mod series;
pub mod service;
pub mod state;
pub mod stats;
pub mod summary;
pub mod time;
pub mod window;

pub use decide::{Input, decide, decide_unrecorded, due, due_unrecorded};
pub use effect::{Effect, effects, owed};
pub use event::{Address, Event, Message, Question, Record};
pub use pattern::Pattern;
pub use rules::Rules;
pub use sample::{Reading, Sample};
pub use series::Series;
pub use state::State;
pub use time::{LocalTime, Seq, Timestamp};
