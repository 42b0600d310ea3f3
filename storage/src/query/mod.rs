//! What can be asked of the log, and what comes back: the words that the control socket carries too.
//!
//! A question is answered by the same code whether the daemon holds the log or the asking process opened it, so
//! both give the same rows. Times are instants: words and day boundaries are resolved by who asks.

mod again;
mod alerts;
mod history;
mod status;
mod verify;

use serde::{Deserialize, Serialize};
use systembot_model::{
    Pattern, Seq, Series, State, Timestamp, alert::Alert, event::Record, service, window::Trend,
};

use crate::{archive, error::Error, event::EventFilter, reader::Reader, salvage::Salvage};

/// Whoever takes the rows wants no more of them: a closed pipe, a connection that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no more rows are wanted")]
pub struct Stop;

/// Takes the rows of an answer, one by one.
pub type Sink<'a> = &'a mut dyn FnMut(Row) -> Result<(), Stop>;

/// Answers a question from the log and the state folded from it; ends early, and well, where the sink stops.
///
/// [`Request::Ask`] and [`Request::Import`] need more than a reader: they are for who holds the log, and get a
/// [`Row::Failed`] here.
///
/// # Errors
/// [`Error::Damaged`] where the log does not read back; rows may have been given before.
pub fn answer(reader: &Reader, state: &State, request: &Request, sink: Sink<'_>) -> Result<(), Error> {
    match request {
        Request::Status => one(sink, Row::Status(Box::new(status::status(reader, state)?))),
        Request::Series => each(sink, reader.series()?.into_iter().map(|info| Ok(Row::Series(info))))?,
        Request::History(history) => history::answer(reader, history, sink)?,
        Request::Trends { patterns } => {
            let chosen = |series: &Series| patterns.is_empty() || patterns.iter().any(|p| p.matches(series));
            let trends = state.trends().into_iter().filter(|trend| chosen(&trend.series));
            each(sink, trends.map(|trend| Ok(Row::Trend(trend))))?;
        }
        Request::Alerts { since, open } => {
            let alerts = alerts::all(reader)?.into_values();
            let wanted = alerts.filter(|alert| alert.is_open() || (!open && alert.fired_at >= *since));
            each(sink, wanted.map(|alert| Ok(Row::Alert(Box::new(alert)))))?;
        }
        Request::Why { id } => {
            if let Some(why) = alerts::why(reader, state, *id)? {
                one(sink, Row::Why(Box::new(why)));
            }
        }
        Request::Events { since, until, kinds, after } => {
            let filter = EventFilter { after: *after, since: *since, until: *until, kinds: kinds.clone() };
            each(
                sink,
                reader.events(filter)?.map(|record| record.map(|record| Row::Event(Box::new(record)))),
            )?;
        }
        Request::Verify => one(sink, Row::Verified(verify::verify(reader, state)?)),
        Request::Backup => archive::copy(reader, sink)?,
        Request::Ask { .. } | Request::Import(_) => {
            one(sink, Row::Failed("this is answered by the daemon alone".to_owned()));
        }
    }
    Ok(())
}

/// Gives a single row.
fn one(sink: Sink<'_>, row: Row) {
    // Nothing follows it, so it does not matter whether more is wanted.
    let _ = sink(row);
}

/// Gives rows until one fails, they end, or no more are wanted.
fn each(sink: Sink<'_>, rows: impl Iterator<Item = Result<Row, Error>>) -> Result<(), Error> {
    for row in rows {
        if sink(row?).is_err() {
            break;
        }
    }
    Ok(())
}

/// A question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// One screen about everything: a [`Row::Status`].
    Status,
    /// The series in the log: a [`Row::Series`] each.
    Series,
    /// Samples, or buckets of them: [`Row::Names`], then a [`Row::Point`] or [`Row::Bucket`] each.
    History(History),
    /// The windows: a [`Row::Trend`] each.
    Trends {
        /// Which series.
        patterns: Vec<Pattern>,
    },
    /// Alerts, oldest first: a [`Row::Alert`] each.
    Alerts {
        /// Fired at or after, or open still.
        since: Timestamp,
        /// Only those still firing.
        open: bool,
    },
    /// One alert with what is known about it: a [`Row::Why`], nothing if there is none.
    Why {
        /// Its number.
        id: u64,
    },
    /// Records that are no samples: a [`Row::Event`] each.
    Events {
        /// Recorded at or after.
        since: Timestamp,
        /// Recorded before.
        until: Timestamp,
        /// Only these kinds; all if empty.
        kinds: Vec<String>,
        /// Only those with a higher number, for following.
        after: Seq,
    },
    /// One chat line, answered as in chat: a [`Row::Answer`].
    Ask {
        /// The line.
        text: String,
        /// The asking side's offset to UTC in seconds, and its zone's name, for dates in the answer.
        zone: Option<(i32, String)>,
    },
    /// Samples to load as history: a [`Row::Imported`]. Sent in parts, the last one marked.
    Import(Import),
    /// Reads every record and checks it: a [`Row::Verified`].
    Verify,
    /// A copy of the whole log: a [`Row::Archived`] each.
    Backup,
}

/// A question for samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Which series.
    pub patterns: Vec<Pattern>,
    /// First moment.
    pub since: Timestamp,
    /// The moment after the last.
    pub until: Timestamp,
    /// Buckets instead of single samples.
    pub step: Option<Step>,
    /// Only so many rows, the newest.
    pub limit: Option<usize>,
    /// Whether the newest value of each bucket is wanted, which roll-ups have of totals alone.
    pub newest: bool,
}

/// How time is cut into buckets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Buckets of so many milliseconds (1 or more), aligned to multiples of it since the epoch.
    Every(i64),
    /// Buckets that begin at these moments, ascending: local midnights. What lies before the first is left out.
    At(Vec<Timestamp>),
}

/// Part of an import.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Import {
    /// Checksum of the whole file.
    pub file: u64,
    /// Columns of the rows.
    pub series: Vec<Series>,
    /// Moment and one cell a column, ascending in time.
    pub rows: Vec<(Timestamp, Vec<Option<f64>>)>,
    /// Whether this is the last part.
    pub last: bool,
}

/// One row of an answer; what is large lies elsewhere, for a row is moved often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Row {
    /// Names that points and buckets refer to by index, in order of name.
    Names(Vec<Series>),
    /// One sample.
    Point {
        /// When.
        at: Timestamp,
        /// Index into the names.
        series: u32,
        /// Its value.
        value: f64,
    },
    /// Samples of one span.
    Bucket {
        /// Begin of the span.
        at: Timestamp,
        /// Index into the names.
        series: u32,
        /// Mean, least, greatest and newest value.
        mean: f64,
        /// Least value.
        min: f64,
        /// Greatest value.
        max: f64,
        /// Newest value; NaN where the roll-ups do not have it.
        last: f64,
        /// Samples, 1 or more.
        count: u64,
        /// What the figures are computed from.
        from: Basis,
    },
    /// One screen about everything.
    Status(Box<Status>),
    /// One series.
    Series(SeriesInfo),
    /// One window.
    Trend(Trend),
    /// One alert.
    Alert(Box<Alert>),
    /// One alert explained.
    Why(Box<Why>),
    /// One record.
    Event(Box<Record>),
    /// The answer to a chat line.
    Answer {
        /// The text.
        text: String,
        /// Whether the line was understood.
        understood: bool,
    },
    /// What became of an import.
    Imported {
        /// Samples loaded, over all parts.
        imported: u64,
        /// Samples refused because others of the series lie there.
        refused: u64,
        /// The first of those, since the daemon began with the file.
        first_refused: Option<(Timestamp, Series)>,
        /// Why the whole is refused, if it is.
        problem: Option<String>,
    },
    /// What a check of the whole log found.
    Verified(Verified),
    /// The question failed: one line for the person who asked.
    Failed(String),
    /// A piece of a copy of the log, see [`crate::archive`].
    Archived {
        /// The piece.
        bytes: Vec<u8>,
        /// About how many bytes all of them have; 0 where that is not known.
        of: u64,
        /// Whether it is the last one.
        is_last: bool,
    },
}

/// What the figures of a bucket are computed from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    /// The samples themselves.
    #[default]
    Samples,
    /// Roll-ups of five minutes, at least in part; they are exact, but for the rounding of sums.
    Rollups,
}

impl Basis {
    /// Its word in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Rollups => "rollups",
        }
    }
}

/// A series as the log has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeriesInfo {
    /// Its id.
    pub series: Series,
    /// First sample.
    pub first: Timestamp,
    /// Last sample.
    pub last: Timestamp,
    /// How many.
    pub samples: u64,
    /// Bytes of its columns as encoded, its share of the time columns included.
    pub bytes: u64,
}

/// The figures of `status` that come from the log; the window and alert parts come from the state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The bot's name.
    pub name: String,
    /// Version of the daemon that ran last.
    pub version: String,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// Whether it is running, as far as the log tells: no `stopped` since.
    pub running: bool,
    /// Its configuration file.
    pub config: Option<String>,
    /// Samples in the log (values, not ticks).
    pub samples: u64,
    /// Series in the log.
    pub series: u64,
    /// Messages not delivered yet.
    pub backlog: u64,
    /// Size of the log directory.
    pub log_bytes: u64,
    /// Newest blind spans, oldest first.
    pub blind: Vec<Record>,
    /// Open alerts.
    pub alerts: Vec<Alert>,
    /// Every live series: its trend, the moment of its newest sample, and its window's values.
    pub latest: Vec<(Trend, Timestamp, Vec<f64>)>,
    /// Watched services, in the order of the configuration.
    pub services: Vec<service::Line>,
    /// Why the log cannot be read or written at the moment, where that is so; its figures are then those of before.
    pub problem: Option<String>,
    /// What else there is to say of the log, see [`crate::Reader::warning`].
    pub warning: Option<String>,
    /// The newest salvage that the log has been through.
    pub salvaged: Option<Salvage>,
}

/// An alert with what it was judged by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// The alert.
    pub alert: Alert,
    /// The settings in force when it fired, as JSON.
    pub rules: Option<String>,
    /// The sentence about it as it would be told now, while it is open.
    pub present: Option<String>,
    /// Its series around the moment it fired: 30 minutes before to 5 after.
    pub around: Vec<(Timestamp, f64)>,
    /// Earlier alerts of the same rule and series, newest last, at most five.
    pub earlier: Vec<Alert>,
}

/// What a check of the whole log found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// Records read: ticks and events.
    pub records: u64,
    /// Samples read (values).
    pub samples: u64,
    /// Alerts found.
    pub alerts: u64,
    /// Alerts recomputed from samples, settings and rule version still in the log.
    pub recomputed: u64,
    /// What is wrong, a line each, beginning with the record's number where one is known.
    pub faults: Vec<String>,
    /// Whether any of that is damage: something that does not read back as it was written.
    pub damaged: bool,
}
