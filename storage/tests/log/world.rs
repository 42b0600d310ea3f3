//! A log in a directory of its own, and short words for what goes in and comes out.

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use systembot_model::{Event, Pattern, Reading, Record, Sample, Seq, Series, State, Timestamp};
use systembot_storage::{
    Choice, Error, Log, Query, Reader,
    query::{Request, Row, answer},
};

pub(crate) struct World {
    dir: tempfile::TempDir,
    log: Option<Log>,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = Some(open(&dir.path().join("data/log")));
        Self { dir, log }
    }

    /// The log in a data directory that lies elsewhere.
    pub(crate) fn at(data: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(data, dir.path().join("data")).unwrap();
        let log = Some(open(&data.join("log")));
        Self { dir, log }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn log(&mut self) -> &mut Log {
        self.log.as_mut().unwrap()
    }

    pub(crate) fn reader(&self) -> Reader {
        self.log.as_ref().unwrap().reader()
    }

    /// Closes the log and opens it again.
    pub(crate) fn reopen(&mut self) {
        self.close();
        self.log = Some(open(&self.data().join("log")));
    }

    pub(crate) fn close(&mut self) {
        drop(self.log.take());
    }

    /// Appends one tick.
    pub(crate) fn tick(&mut self, at_ms: i64, readings: &[(&str, f64)]) -> bool {
        self.log().append(at(at_ms), vec![sampled(readings)]).unwrap().sealed
    }

    /// All samples of some series, as `(ms, name, value)`.
    pub(crate) fn samples(&self, query: &Query) -> Vec<(i64, String, f64)> {
        let mut scan = self.reader().scan(query).unwrap();
        let names: Vec<String> = scan.names().iter().map(ToString::to_string).collect();
        let mut found = Vec::new();
        while let Some(tick) = scan.next_tick().unwrap() {
            for (slot, value) in tick.readings {
                found.push((tick.at.as_ms(), names[usize::try_from(*slot).unwrap()].clone(), *value));
            }
        }
        found
    }

    pub(crate) fn records(&self, after: u64) -> Vec<Record> {
        self.reader().records(Seq::new(after)).unwrap().map(Result::unwrap).map(sorted).collect()
    }

    /// Files that sled would never remove.
    pub(crate) fn blobs(&self) -> usize {
        std::fs::read_dir(self.data().join("log/blobs")).unwrap().count()
    }
}

/// Opens a log that this process may have closed a moment ago: a thread of sled holds the lock a little longer.
pub(crate) fn open(dir: &Path) -> Log {
    patiently(|| Log::open(dir)).unwrap()
}

/// Tries again while the log is locked, for 5 s.
pub(crate) fn patiently<T>(mut attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..500 {
        match attempt() {
            Err(Error::Locked { .. }) => thread::park_timeout(Duration::from_millis(10)),
            done => return done,
        }
    }
    attempt()
}

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(ms)
}

pub(crate) fn sampled(readings: &[(&str, f64)]) -> Event {
    let mut sample = Sample::default();
    for (id, value) in readings {
        sample.push(Series::parse(id).unwrap(), *value);
    }
    Event::Sampled(sample)
}

/// Readings in order of name: ring and chunks need not give them in the order of the collectors.
pub(crate) fn sorted(mut record: Record) -> Record {
    if let Event::Sampled(sample) = &mut record.event {
        sample.readings.sort_by(|a: &Reading, b| a.series.cmp(&b.series));
    }
    record
}

pub(crate) fn all() -> Query {
    Query::default()
}

pub(crate) fn of(pattern: &str) -> Query {
    Query { choice: Choice::Matching(vec![Pattern::new(pattern)]), ..Query::default() }
}

/// The rows of an answer.
pub(crate) fn asked(reader: &Reader, state: &State, request: &Request) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut sink = |row| {
        rows.push(row);
        Ok(())
    };
    answer(reader, state, request, &mut sink).unwrap();
    rows
}
