//! Loading history from a file.
//!
//! Rows become chunks directly: they are no records, have numbers of their own and are passed over when the state
//! is folded. Rows are gathered until they make full chunks; these, how far the file has come and what was counted
//! are one atomic step. So an interrupted import of the same file goes on where it stopped, and a complete one is
//! recognised. At the end there is one `imported` record for each series.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use systembot_model::{Event, Record, Series, Timestamp};

use crate::{
    catalogue::Catalogue,
    chunk::{self, GAP_MS, Header, IMPORTED, Origin, Rows, SPAN_MS, Wanted, rollup},
    codec,
    error::Error,
    event::{self, EventFilter},
    hot,
    log::{IMPORTED_KEY, Log, meta},
    query::{Import, Row},
    scan::{Choice, Query, Rolled, join},
    store::{self, Put, Trees},
    view::View,
};

/// What the keys of all imports begin with.
const PREFIX: &[u8] = b"import/";
/// Columns of one file; each ends in a record of up to 7 KB, all in one step.
pub const IMPORT_SERIES: usize = 1_024;
/// What is said of a file that is in the log as a whole.
pub const IMPORTED_ALREADY: &str = "this file was imported already";
/// Samples that a new series' window begins with; 400 of 17 bytes fit a value.
const LEARNED_SAMPLES: usize = 400;
/// Chunks written between two syncs: sled's garbage collection must come to its turn.
const SYNC_CHUNKS: usize = 256;

/// What became of a part of an import.
#[derive(Debug)]
pub struct Imported {
    /// The records that end the import, to be folded in; only with the last part.
    pub records: Vec<Record>,
    /// The answer: a [`Row::Imported`] with the figures over all parts so far.
    pub row: Row,
}

impl Imported {
    fn refused(problem: &str) -> Self {
        let row =
            Row::Imported { imported: 0, refused: 0, first_refused: None, problem: Some(problem.to_owned()) };
        Self { records: Vec::new(), row }
    }
}

/// How far a file has come, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Progress {
    /// Moment of the newest row that is in the log.
    rows_to: Option<Timestamp>,
    imported: u64,
    refused: u64,
    /// Number of its first tick.
    first_tick: u64,
    columns: u32,
    is_done: bool,
}

/// How far one of its columns has come.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct ColumnProgress {
    id: u32,
    /// Whether the series had no samples when the import began.
    is_fresh: bool,
    /// First and last moment loaded.
    span: Option<(Timestamp, Timestamp)>,
    samples: u64,
}

/// An import between two parts.
pub(crate) struct Importing {
    file: u64,
    series: Vec<Series>,
    progress: Progress,
    columns: Vec<ColumnProgress>,
    /// Rows that are in no chunk yet.
    rows: Vec<(Timestamp, Vec<Option<f64>>)>,
    /// Moment of the newest row taken.
    newest: Option<Timestamp>,
    /// What was refused first, to be told; not kept over an interruption.
    first_refused: Option<(Timestamp, Series)>,
    /// Rows of roll-ups of other origin around the newest rows, by series.
    rolled: BTreeMap<u32, Vec<Timestamp>>,
    /// Up to where they were looked for.
    rolled_to: Option<Timestamp>,
    chunks_unsynced: usize,
}

impl Log {
    /// Loads a part of a file; the rows of all parts ascend in time.
    ///
    /// Refused is what lies among samples that its series has already (before the first and after the last is
    /// fine, and so is a hole of more than six hours), and rows that do not ascend.
    ///
    /// # Errors
    /// As [`Log::append`]; the same file may then be sent again from its beginning.
    pub fn import(&mut self, at: Timestamp, part: &Import) -> Result<Imported, Error> {
        self.check()?;
        let mut importing = match self.importing.take() {
            Some(same) if same.file == part.file => same,
            other => {
                if let Some(mut other) = other {
                    // Another file came between: its rows are not sent again.
                    self.write_rows(&mut other)?;
                    self.finish_sync(&mut other)?;
                }
                match self.begin(at, part)? {
                    Ok(new) => new,
                    Err(problem) => return Ok(Imported::refused(problem)),
                }
            }
        };
        if importing.series != part.series {
            return Ok(Imported::refused("the columns changed within the file"));
        }
        let resumed_to = importing.newest;
        let mut before: Option<Timestamp> = None;
        for (at, cells) in &part.rows {
            let ascends = before.is_none_or(|before| before < *at);
            before = before.max(Some(*at));
            if ascends && resumed_to.is_some_and(|newest| *at <= newest) {
                // It is in the log already, from before the interruption.
                continue;
            }
            if !ascends || cells.len() != importing.series.len() {
                let cells = cells.iter().flatten().count();
                importing.progress.refused += u64::try_from(cells).unwrap_or(0);
                continue;
            }
            importing.rows.push((*at, cells.clone()));
            importing.newest = Some(*at);
            if importing.rows.len() >= usize::try_from(hot::SEAL_TICKS).unwrap_or(usize::MAX) {
                self.write_rows(&mut importing)?;
            }
        }
        if part.last {
            self.write_rows(&mut importing)?;
        }
        self.finish_sync(&mut importing)?;
        let records = if part.last { self.end(at, &importing)? } else { Vec::new() };
        let Progress { imported, refused, .. } = importing.progress;
        let first_refused = importing.first_refused.clone();
        self.importing = (!part.last).then_some(importing);
        if part.last {
            self.size.change();
        }
        Ok(Imported { records, row: Row::Imported { imported, refused, first_refused, problem: None } })
    }

    /// Finds where a file stopped, or begins with it; the problem if it cannot be loaded.
    fn begin(&mut self, at: Timestamp, part: &Import) -> Result<Result<Importing, &'static str>, Error> {
        if part.series.len() > IMPORT_SERIES {
            return Ok(Err("more than 1024 columns: split the file"));
        }
        if part
            .series
            .iter()
            .enumerate()
            .any(|(i, series)| part.series.iter().skip(i + 1).any(|s| s == series))
        {
            return Ok(Err("a series has two columns"));
        }
        let progress = meta::<Progress>(self.store()?, &key(part.file, None))?;
        let new = |progress: Progress, columns| Importing {
            file: part.file,
            series: part.series.clone(),
            newest: progress.rows_to,
            progress,
            columns,
            rows: Vec::new(),
            first_refused: None,
            rolled: BTreeMap::new(),
            rolled_to: None,
            chunks_unsynced: 0,
        };
        if let Some(mut progress) = progress {
            if usize::try_from(progress.columns).ok() != Some(part.series.len()) {
                return Ok(Err("the columns are not those the import began with"));
            }
            let mut columns = Vec::with_capacity(part.series.len());
            for column in 0..progress.columns {
                let found = meta::<ColumnProgress>(self.store()?, &key(part.file, Some(column)))?;
                columns.push(found.ok_or_else(|| Error::damaged("an import has lost a column"))?);
            }
            if progress.is_done
                && (columns.iter().all(|column| column.span.is_none()) || self.tells_of(part.file)?)
            {
                return Ok(Err(IMPORTED_ALREADY));
            }
            // Its last step may have been taken back, all but this.
            progress.is_done = false;
            return Ok(Ok(new(progress, columns)));
        }
        let reader = self.reader();
        let view = reader.view()?;
        let totals = reader.totals(&view)?;
        let (mut catalogue, mut puts, mut columns) =
            (std::sync::Arc::clone(&self.catalogue), Vec::new(), Vec::new());
        for series in &part.series {
            let Some(id) = self.number(series, at, &mut catalogue, &mut puts)? else {
                return Ok(Err("there are too many series in this log for its columns"));
            };
            let is_fresh = !totals.series.contains_key(&id);
            columns.push(ColumnProgress { id, is_fresh, span: None, samples: 0 });
        }
        let progress = Progress {
            rows_to: None,
            imported: 0,
            refused: 0,
            first_tick: self.imported,
            columns: u32::try_from(columns.len()).unwrap_or(u32::MAX),
            is_done: false,
        };
        let importing = new(progress, columns);
        puts.extend(importing.puts(&importing.progress)?);
        self.commit(puts)?;
        self.catalogue = catalogue;
        Ok(Ok(importing))
    }

    /// Makes chunks of the gathered rows.
    fn write_rows(&mut self, importing: &mut Importing) -> Result<(), Error> {
        let rows = std::mem::take(&mut importing.rows);
        let (Some(first), Some(last)) = (rows.first().map(|row| row.0), rows.last().map(|row| row.0)) else {
            return Ok(());
        };
        let view = self.reader().view()?;
        self.find_rolled(&view, importing, (first, last))?;
        let taken = self.taken(&view, importing, (first, last))?;
        let mut groups: BTreeMap<u16, Rows> = BTreeMap::new();
        let before = self.imported;
        let mut tick = before;
        for (at, cells) in rows {
            let mut ticks: BTreeMap<u16, Vec<(u32, f64)>> = BTreeMap::new();
            for ((column, series), value) in importing.columns.iter_mut().zip(&importing.series).zip(cells) {
                let Some(value) = value else { continue };
                let spans = taken.get(&column.id).map(Vec::as_slice).unwrap_or_default();
                if !value.is_finite() || spans.iter().any(|(first, last)| *first <= at && at <= *last) {
                    importing.progress.refused += 1;
                    importing.first_refused.get_or_insert_with(|| (at, series.clone()));
                    continue;
                }
                importing.progress.imported += 1;
                column.samples += 1;
                column.span = Some(column.span.map_or((at, at), |(first, _)| (first, at)));
                let group = self.catalogue.entry(column.id).map_or(0, |entry| entry.group);
                ticks.entry(group).or_default().push((column.id, value));
            }
            for (group, cells) in &ticks {
                let rows = groups
                    .entry(*group)
                    .or_insert_with(|| Rows::new(Origin::Imported, *group, self.group(*group)));
                rows.push(at, IMPORTED | tick, cells.iter().copied());
            }
            tick += u64::from(!ticks.is_empty());
        }
        importing.progress.rows_to = Some(last);
        let mut chunks = Vec::new();
        for rows in groups.values() {
            chunks.extend(chunk::chunks(rows)?);
        }
        let mut puts: Vec<Put> =
            chunks.iter().map(|(header, chunk)| Put::chunk(header.key(), chunk.clone())).collect();
        puts.extend(rollup::puts(self.store()?.trees(), &self.catalogue, (&chunks, None))?);
        puts.extend(importing.puts(&importing.progress)?);
        let value = codec::encode(&tick).map_err(Error::writing("an import"))?;
        puts.push(Put::meta(IMPORTED_KEY.to_vec(), value));
        self.commit(puts)?;
        self.imported = tick;
        self.count(&chunks, (self.sealed(), before))?;
        importing.chunks_unsynced += chunks.len();
        if importing.chunks_unsynced >= SYNC_CHUNKS {
            self.finish_sync(importing)?;
            std::thread::yield_now();
        }
        Ok(())
    }

    fn finish_sync(&mut self, importing: &mut Importing) -> Result<(), Error> {
        if importing.chunks_unsynced > 0 {
            self.sync()?;
            importing.chunks_unsynced = 0;
            self.publish();
        }
        Ok(())
    }

    /// Whether a record tells that a file was loaded.
    fn tells_of(&self, file: u64) -> Result<bool, Error> {
        for record in self.reader().events(EventFilter::default())? {
            if matches!(record?.event, Event::Imported { file: told, .. } if told == file) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks for roll-ups of the import's series that lie as near as matters to some of its rows. Those ahead of its
    /// newest row are not its own, so each is looked at once, before the import comes there.
    fn find_rolled(
        &self,
        view: &View,
        importing: &mut Importing,
        (first, last): (Timestamp, Timestamp),
    ) -> Result<(), Error> {
        let row = |at: Timestamp, ms: i64| Timestamp::from_ms(rollup::row_of(wider(at, ms)));
        let (since, until) = (row(first, -GAP_MS), row(last, GAP_MS + rollup::STEP_MS));
        let own = importing.progress.rows_to.map_or(since, |own| row(own, rollup::STEP_MS));
        let begin = importing.rolled_to.replace(until).unwrap_or(own).max(since);
        importing.rolled.values_mut().for_each(|rows| rows.retain(|row| *row >= since));
        let wanted: Vec<Wanted> =
            importing.columns.iter().map(|column| Wanted::new(column.id, column.id)).collect();
        let mut rolled = Rolled::start(self.store()?.trees(), view, &wanted, (begin, until))?;
        while let Some((at, series)) = rolled.next_row()? {
            for (id, _) in series {
                importing.rolled.entry(*id).or_default().push(at);
            }
        }
        Ok(())
    }

    /// Where the import's series have samples of other origin, or had such that only roll-ups know of now: spans that
    /// none of its own may lie in.
    fn taken(
        &self,
        view: &View,
        importing: &Importing,
        (first, last): (Timestamp, Timestamp),
    ) -> Result<BTreeMap<u32, Vec<(Timestamp, Timestamp)>>, Error> {
        let (since, until) = (wider(first, -SPAN_MS - GAP_MS), wider(last, GAP_MS + 2 * rollup::STEP_MS));
        let mut taken: BTreeMap<u32, Vec<(Timestamp, Timestamp)>> =
            importing.columns.iter().map(|column| (column.id, Vec::new())).collect();
        let groups = |catalogue: &Catalogue| {
            let mut groups: Vec<u16> =
                taken.keys().filter_map(|id| catalogue.entry(*id)).map(|entry| entry.group).collect();
            groups.sort_unstable();
            groups.dedup();
            groups
        };
        for group in groups(&self.catalogue) {
            for item in self.store()?.trees().chunk.range(chunk::key_range(group, since, until)) {
                let (_, value) = item.map_err(|error| store::failure(self.dir(), error))?;
                let (header, _) = Header::read(&value)?;
                let is_own = header.origin == Origin::Imported
                    && header.first_seq & !IMPORTED >= importing.progress.first_tick;
                for column in header.columns.iter().filter(|_| !is_own) {
                    if let Some(spans) = taken.get_mut(&column.id) {
                        spans.push((header.first, header.last));
                    }
                }
            }
        }
        for tick in &view.hot {
            for (id, _) in &tick.cells {
                if let Some(spans) = taken.get_mut(id) {
                    spans.push((tick.at, tick.at));
                }
            }
        }
        for (id, spans) in &mut taken {
            // Where there are samples they tell more exactly where they lie.
            let rows = importing.rolled.get(id).into_iter().flatten();
            let rows = rows.map(|row| (*row, wider(*row, rollup::STEP_MS - 1)));
            let is_rolled_only =
                |row: &(Timestamp, Timestamp)| !spans.iter().any(|span| span.0 <= row.1 && row.0 <= span.1);
            let rolled: Vec<_> = rows.filter(is_rolled_only).collect();
            spans.extend(rolled);
            // What is closer than a gap is one span: nothing goes between two ticks.
            join(spans, GAP_MS);
        }
        Ok(taken)
    }

    /// Records that the file is complete.
    fn end(&mut self, at: Timestamp, importing: &Importing) -> Result<Vec<Record>, Error> {
        let mut events = Vec::new();
        for (series, column) in importing.series.iter().zip(&importing.columns) {
            let Some((from, to)) = column.span else { continue };
            let learned = if column.is_fresh { self.newest_of(series, to)? } else { VecDeque::new() };
            events.push(imported(series, (from, to, column.samples), importing.file, learned));
        }
        let progress = Progress { is_done: true, ..importing.progress.clone() };
        self.append_with(at, events, importing.puts(&progress)?)
    }

    /// The newest samples of a series up to a moment, oldest first.
    fn newest_of(&self, series: &Series, to: Timestamp) -> Result<VecDeque<(Timestamp, f64)>, Error> {
        let reader = self.reader();
        let until = Timestamp::from_ms(to.as_ms().saturating_add(1));
        let query = Query { choice: Choice::Only(series.clone()), since: Timestamp::MIN, until };
        let since = reader.tail(&query, LEARNED_SAMPLES, |at| at)?.since;
        let mut scan = reader.scan(&Query { since, ..query })?;
        let mut newest = VecDeque::new();
        while let Some(tick) = scan.next_tick()? {
            newest.extend(tick.readings.iter().map(|(_, value)| (tick.at, *value)));
            while newest.len() > LEARNED_SAMPLES {
                newest.pop_front();
            }
        }
        Ok(newest)
    }
}

impl Importing {
    /// What is to be written of how far it has come.
    fn puts(&self, progress: &Progress) -> Result<Vec<Put>, Error> {
        let large = || Error::writing("an import");
        let mut puts = vec![Put::meta(key(self.file, None), codec::encode(progress).map_err(large())?)];
        for (i, column) in (0_u32..).zip(&self.columns) {
            puts.push(Put::meta(key(self.file, Some(i)), codec::encode(column).map_err(large())?));
        }
        Ok(puts)
    }
}

/// The event that tells of one column, with as many samples to learn as one value can hold.
fn imported(
    series: &Series,
    (from, to, samples): (Timestamp, Timestamp, u64),
    file: u64,
    mut learned: VecDeque<(Timestamp, f64)>,
) -> Event {
    loop {
        let event = Event::Imported {
            series: series.clone(),
            from,
            to,
            samples,
            learned: learned.iter().copied().collect(),
            file,
        };
        if learned.is_empty() || event::fits(&event) {
            return event;
        }
        learned.drain(..learned.len().min(10));
    }
}

/// Number of the first tick of each import that is not complete: its chunks are told from others by it.
pub(crate) fn unfinished(trees: &Trees) -> Result<Vec<u64>, Error> {
    let mut ticks = Vec::new();
    for item in trees.meta.scan_prefix(PREFIX) {
        let (found, value) = item.map_err(|error| store::failure("meta".as_ref(), error))?;
        if found.len() == key(0, None).len() {
            let progress: Progress = codec::decode(&value).map_err(Error::reading(|| "an import".into()))?;
            ticks.extend((!progress.is_done).then_some(IMPORTED | progress.first_tick));
        }
    }
    Ok(ticks)
}

fn wider(at: Timestamp, ms: i64) -> Timestamp {
    Timestamp::from_ms(at.as_ms().saturating_add(ms))
}

fn key(file: u64, column: Option<u32>) -> Vec<u8> {
    let mut key = PREFIX.to_vec();
    key.extend(file.to_be_bytes());
    key.extend(column.into_iter().flat_map(u32::to_be_bytes));
    key
}

#[cfg(test)]
mod tests {
    use systembot_model::Seq;

    use super::*;

    /// When the last step cannot be made durable its records are taken back, and the file is sent again.
    #[test]
    fn a_file_whose_records_were_taken_back_ends_once_more() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(&dir.path().join("log")).unwrap();
        let at = |ms: i64| Timestamp::from_ms(1_795_346_634_007 + ms);
        let rows = (0..300_i32).map(|i| (at(i64::from(i) * 15_000), vec![Some(f64::from(i))])).collect();
        let part = Import { file: 1, series: vec![Series::new("load1")], rows, last: true };
        let first = log.import(at(0), &part).unwrap();
        let again = log.import(at(0), &part).unwrap();
        assert!(matches!(again.row, Row::Imported { problem: Some(_), .. }), "{again:?}");

        let back = event::after(log.store().unwrap().trees(), Seq::ZERO).unwrap();
        log.store().unwrap().write(back).unwrap();
        let once_more = log.import(at(0), &part).unwrap();
        assert!(matches!(once_more.row, Row::Imported { imported: 300, problem: None, .. }), "{once_more:?}");
        let events = |done: &Imported| done.records.iter().map(|r| r.event.clone()).collect::<Vec<_>>();
        assert_eq!(events(&once_more), events(&first));
        let again = log.import(at(0), &part).unwrap();
        assert!(matches!(again.row, Row::Imported { problem: Some(_), .. }), "{again:?}");
    }
}
