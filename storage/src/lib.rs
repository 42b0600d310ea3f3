//! How it is kept: the event log on sled. The only crate that names sled, bincode or pco.
//!
//! [`Log`] writes, from one thread; [`Reader`] reads, from any. [`query`] has the questions that can be asked and
//! answers them, [`remote`] carries both over the control socket. How it lies on disk is told in [`mod@log`],
//! [`codec`] and the chunk module, and held by the files in `fixtures/`.

pub mod archive;
mod catalogue;
mod checkpoint;
mod chunk;
pub mod codec;
mod compact;
mod error;
mod event;
#[cfg(test)]
mod fixture;
mod fold;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz;
mod hot;
mod import;
pub mod log;
pub mod query;
mod reader;
pub mod remote;
mod retention;
mod salvage;
mod scan;
mod scrub;
mod series;
mod steps;
mod store;
mod view;

pub use compact::Compacted;
pub use error::Error;
pub use event::{EventFilter, Events};
pub use import::{IMPORT_SERIES, IMPORTED_ALREADY, Imported};
pub use log::{Appended, Log};
pub use reader::Reader;
pub use retention::Limits;
pub use salvage::{KEPT_PREFIX, Salvage, Step, salvage};
pub use scan::{Choice, Query, Records, Scan, Tick};
pub use scrub::Scrubbed;
