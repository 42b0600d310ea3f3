//! The log's one writer.
//!
//! A log is a directory with a sled database of six trees: `meta` (format version, id, the series catalogue,
//! watermarks, imports), `hot` (a ring of the newest ticks, one value each), `chunk` (sealed ticks as columns),
//! `order` (where the chunks lie by number), `event` (records that are no samples) and `rollup` (five minutes of
//! samples each). A record is durable before [`Log::append`] returns it. When enough ticks have gathered in the ring
//! they are sealed: written as chunks and roll-ups, with the watermark, in one atomic step. Whether to seal follows from what is there and not from what just
//! happened, so a kill at any moment loses nothing and delays it at most.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use systembot_model::{Event, Record, Sample, Seq, Series, Timestamp, event::BlindReason};

use crate::{
    catalogue::Catalogue,
    checkpoint,
    chunk::{self, Block, Decoder, Header, Origin, Rows, rollup},
    codec,
    compact::{self, Size},
    error::Error,
    event, hot,
    import::Importing,
    reader::Reader,
    retention::{Limits, Pruned},
    salvage::{self, Salvage},
    store::{self, Put, Store, Trees},
    view::{Sealed, Shared},
};

/// Attempts to get the lock again after it was given up in this process.
pub(crate) const LOCK_ATTEMPTS: u32 = 50;
/// Pause between two of them.
pub(crate) const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// Kinds of events that each format of the log has, the first format first. A log is raised to a later format with its
/// first event of a kind that the one before lacks: from then on an older program is told to leave it alone. The third
/// has roll-ups, and a reason more for blind spans.
const KINDS_BY_FORMAT: [usize; 3] = [29, 37, 38];
/// The first format with roll-ups, without which nothing may be pruned. This program brings every log to it.
const ROLLED_FORMAT: u16 = 3;
/// A series that was in no tick for so long gives its place in its group to a new one.
const IN_USE: Duration = Duration::from_secs(7 * 86_400);
/// Whether every chunk is in the roll-ups.
pub(crate) const ROLLED_KEY: &[u8] = b"rolled";
/// Group and moment from which on chunks are to be rolled up still.
pub(crate) const ROLLING_KEY: &[u8] = b"rolling";
/// Chunks that are rolled up in one step, some milliseconds.
const ROLLED_TOGETHER: usize = 64;
/// The first format with [`BlindReason::NotRecorded`].
const NOT_RECORDED_FORMAT: u16 = 3;
pub(crate) const FORMAT_KEY: &[u8] = b"format";
pub(crate) const ID_KEY: &[u8] = b"id";
/// Number that a salvaged log goes on after, whatever became of its records: none is given twice.
pub(crate) const NEWEST_KEY: &[u8] = b"newest";
/// One more than the number of the newest imported tick.
pub(crate) const IMPORTED_KEY: &[u8] = b"imported";

/// The event log, open for writing. One process has it at a time, and one thread in it.
pub struct Log {
    dir: PathBuf,
    /// None after [`Log::reopen`] has failed.
    store: Option<Store>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) catalogue: Arc<Catalogue>,
    /// Number of the newest record.
    seq: Seq,
    sealed: Sealed,
    /// Number of the tick that comes next.
    next_tick: u64,
    /// Parts that each slot of the ring has.
    parts: Vec<u16>,
    /// One more than the number of the newest imported tick.
    pub(crate) imported: u64,
    pub(crate) importing: Option<Importing>,
    /// Tells this log from any other that was in its place.
    id: u64,
    /// Its format, see [`KINDS_BY_FORMAT`].
    format: u16,
    /// When each series was last in a tick, by number; long ago for those not seen since the log was opened.
    used: Vec<Timestamp>,
    pub(crate) pruned: Pruned,
    pub(crate) limits: Limits,
    /// The newest set of baselines when older ones were thinned out last.
    pub(crate) thinned: Option<Seq>,
    /// Called now and then by what takes long.
    pub(crate) progress: Progress,
    is_failed: bool,
    pub(crate) size: Size,
}

/// Hears of progress.
pub(crate) type Progress = Arc<dyn Fn() + Send + Sync>;

/// What an append did.
#[derive(Debug)]
pub struct Appended {
    /// The events with their numbers, durable by now, as the log will give them back.
    pub records: Vec<Record>,
    /// Whether ticks were sealed: a good moment for a checkpoint, since what follows the last one has grown.
    pub sealed: bool,
    /// Why sealing failed, if it did: the records are safe, and it is due again after the next append.
    pub problem: Option<Error>,
}

impl Log {
    /// Opens the log in a directory (`<data-dir>/log`), creating what is missing with mode 0700.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::NotOwner`], [`Error::Newer`], [`Error::Damaged`], [`Error::Full`], [`Error::Io`].
    pub fn open(dir: &Path) -> Result<Self, Error> {
        Self::open_at(dir, None)
    }

    /// Opens the log again after a failed write, exactly as of the last append that succeeded: what a failed one
    /// left behind is taken out, so the same events may be appended again. All readers must be gone.
    ///
    /// # Errors
    /// As [`Log::open`]; the log refuses to write until a later attempt succeeds.
    pub fn reopen(&mut self) -> Result<(), Error> {
        if self.store.is_some() {
            self.shared.keep_counts(self.reader().counts().ok());
        }
        // The lock goes with it, a moment later: a thread of sled that has written its last bytes holds it still.
        self.store = None;
        let mut opened = Self::open_at(&self.dir, Some(self.seq));
        for _ in 1..LOCK_ATTEMPTS {
            if !matches!(opened, Err(Error::Locked { .. })) {
                break;
            }
            std::thread::park_timeout(LOCK_PAUSE);
            opened = Self::open_at(&self.dir, Some(self.seq));
        }
        self.go_on_as(opened?);
        Ok(())
    }

    /// Puts a new log in the place of this one, which is damaged, see [`crate::salvage()`]. Readers that there are read
    /// the damaged one until they are dropped.
    ///
    /// # Errors
    /// As [`crate::salvage()`], and those of opening; the log refuses to write then until [`Log::reopen`] succeeds.
    pub fn mend(&mut self, at: Timestamp) -> Result<Salvage, Error> {
        self.store = None;
        self.is_failed = true;
        let progress = Arc::clone(&self.progress);
        let salvage = salvage::salvage(&self.dir, at, &mut |_| progress())?;
        self.go_on_as(Self::open_at(&self.dir, None)?);
        Ok(salvage)
    }

    /// Sets who hears of progress while the whole log is written anew, at each megabyte or so: nothing else can be asked
    /// of it meanwhile.
    pub fn report(&mut self, progress: impl Fn() + Send + Sync + 'static) {
        self.progress = Arc::new(progress);
    }

    /// Goes on with a log that was opened in the place of this one, as this one was set up.
    fn go_on_as(&mut self, opened: Self) {
        let (limits, progress) = (self.limits, Arc::clone(&self.progress));
        *self = Self { limits, progress, ..opened };
    }

    fn open_at(dir: &Path, known: Option<Seq>) -> Result<Self, Error> {
        salvage::finish(dir).map_err(|source| Error::Io { path: dir.to_owned(), source })?;
        compact::restore(dir)?;
        salvage::check(dir)?;
        let store = Store::open(dir)?;
        compact::clear(dir)?;
        salvage::clear(dir)?;
        if let Some(known) = known {
            let mut left = event::after(store.trees(), known)?;
            left.extend(hot::after(store.trees(), known)?);
            if !left.is_empty() {
                store.write(left)?;
            }
        }
        let Identity { id, format, is_new } = identify(&store)?;
        let mut catalogue = Catalogue::default();
        for item in store.trees().meta.scan_prefix(Catalogue::PREFIX) {
            let (_, value) = item.map_err(|error| store::failure(dir, error))?;
            let entry = codec::decode(&value).map_err(Error::reading(|| "the series catalogue".into()))?;
            catalogue.restore(entry)?;
        }
        let sealed = Sealed::read(store.trees())?;
        let (parts, newest) = hot::survey(store.trees())?;
        let next_tick = newest.map_or(0, |(tick, _)| tick + 1).max(sealed.ticks);
        let ticked = newest.map_or(Seq::ZERO, |(_, seq)| seq).max(sealed.seq);
        let told = meta::<u64>(&store, NEWEST_KEY)?.map_or(Seq::ZERO, Seq::new);
        let seq = event::newest(store.trees())?.max(ticked).max(told);
        let imported = meta::<u64>(&store, IMPORTED_KEY)?.unwrap_or(0);
        let pruned = Pruned::read(store.trees())?;
        let used = last_used(store.trees(), &catalogue)?;
        let (shared, catalogue) = (Arc::new(Shared::default()), Arc::new(catalogue));
        if known.is_some_and(|known| seq < known) {
            return Err(Error::damaged(format!("{} has lost its newest records", dir.display())));
        }
        // What was found may be in the kernel's memory only, after a kill; it is shown from now on.
        store.sync()?;
        let mut log = Self {
            dir: dir.to_owned(),
            store: Some(store),
            shared,
            catalogue,
            seq,
            sealed,
            next_tick,
            parts,
            imported,
            importing: None,
            id,
            format,
            used,
            pruned,
            limits: Limits::default(),
            thinned: None,
            progress: Arc::new(|| {}),
            is_failed: false,
            size: Size::opened(),
        };
        log.publish();
        if let Some(known) = log.checkpointed(is_new).filter(|known| *known > seq) {
            log.shared.lose(seq.next(), known);
            log.seq = known;
            log.publish();
        }
        while log.is_seal_due() {
            log.seal()?;
        }
        // Where it is more than one step, [`Log::prune`] does the rest.
        log.roll_up()?;
        Ok(log)
    }

    /// Numbers the events and makes them durable: all of them or, should the machine stop, none.
    ///
    /// Readings that are no finite number or name a series twice are left out, as the records tell.
    ///
    /// # Errors
    /// [`Error::TooLarge`] leaves the log as it was. After [`Error::Full`], [`Error::Io`] or [`Error::Damaged`] it
    /// must be opened again, see [`Log::reopen`] ([`Error::Failed`] until then). Whether the events of the failed
    /// step are in it is open until then: they are if the process ends first, and not after a reopen.
    pub fn append(&mut self, at: Timestamp, events: Vec<Event>) -> Result<Appended, Error> {
        self.make_room(&events)?;
        let records = self.append_with(at, events, Vec::new())?;
        let (mut sealed, mut problem) = (false, None);
        while self.is_seal_due() && problem.is_none() {
            problem = self.seal().err();
            sealed |= problem.is_none();
        }
        Ok(Appended { records, sealed, problem })
    }

    /// Reads the log from any thread.
    #[must_use]
    pub fn reader(&self) -> Reader {
        let trees = self.store.as_ref().map(|store| store.trees().clone());
        Reader::new(self.dir.clone(), trees, Arc::clone(&self.shared))
    }

    /// Number of the newest record.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        self.seq
    }

    /// First and last number of records that the log had when its last checkpoint was written and that were not
    /// there when it was opened.
    ///
    /// sled cuts off silently what follows a damaged place among its newest writes, so the checkpoint is the one
    /// witness; what was recorded after it may be lost besides. No number is given again. The file may hold some of
    /// them still, see [`crate::salvage()`].
    #[must_use]
    pub fn lost(&self) -> Option<(Seq, Seq)> {
        self.shared.lost()
    }

    /// The newest salvage that it has been through.
    #[must_use]
    pub fn salvaged(&self) -> Option<Salvage> {
        salvage::newest(self.store.as_ref()?.trees())
    }

    /// The log's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The database.
    pub(crate) fn store(&self) -> Result<&Store, Error> {
        self.store.as_ref().ok_or_else(|| Error::Failed { dir: self.dir.clone() })
    }

    /// Goes on with another database of the same content, or refuses to write until [`Log::reopen`] finds it.
    pub(crate) fn replace_store(&mut self, store: Option<Store>) {
        self.store = store;
    }

    /// Number of the newest tick that chunks have.
    pub(crate) const fn sealed(&self) -> Seq {
        self.sealed.seq
    }

    /// Tells this log from any other that was or will be in its place.
    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    /// Appends events with whatever else belongs to the same step.
    pub(crate) fn append_with(
        &mut self,
        at: Timestamp,
        events: Vec<Event>,
        mut puts: Vec<Put>,
    ) -> Result<Vec<Record>, Error> {
        self.check()?;
        let (mut seq, mut next_tick) = (self.seq, self.next_tick);
        let (mut catalogue, mut parts) = (Arc::clone(&self.catalogue), Vec::new());
        let mut records = Vec::with_capacity(events.len());
        for mut event in events {
            seq = seq.next();
            if let Event::Sampled(sample) = &mut event {
                let cells = cells(sample, at, (&mut catalogue, &mut self.used), &mut puts)?;
                if next_tick - self.sealed.ticks >= hot::RING_SLOTS {
                    return Err(Error::TooLarge { what: "the ring of unsealed ticks".to_owned() });
                }
                let slot = hot::slot(next_tick);
                let before = self.parts.get(slot).copied().unwrap_or(0);
                let (count, tick) = hot::Tick { tick: next_tick, seq, at, cells }.puts(before)?;
                parts.push((slot, count));
                puts.extend(tick);
                next_tick += 1;
                records.push(Record { seq, at, event });
            } else {
                let record = Record { seq, at, event };
                puts.extend(event::puts(&record)?);
                records.push(record);
            }
        }
        if puts.is_empty() {
            return Ok(records);
        }
        let format =
            records.iter().map(|record| format_of(&record.event)).max().unwrap_or(0).max(self.format);
        if format > self.format {
            puts.push(format_put(format)?);
        }
        self.commit(puts)?;
        self.format = format;
        self.sync()?;
        (self.seq, self.next_tick, self.catalogue) = (seq, next_tick, catalogue);
        for (slot, count) in parts {
            if let Some(place) = self.parts.get_mut(slot) {
                *place = count;
            }
        }
        self.publish();
        Ok(records)
    }

    /// Refuses to write after a failed write.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_failed {
            return Err(Error::Failed { dir: self.dir.clone() });
        }
        self.store().map(drop)
    }

    /// Writes a step, not yet durable. After an error memory and disk may differ, so it is the last one.
    pub(crate) fn commit(&mut self, puts: Vec<Put>) -> Result<(), Error> {
        let (added, removed) = self.store()?.bytes(&puts);
        let written = self.store()?.write(puts);
        self.size.add(added, removed);
        self.is_failed = matches!(&written, Err(error) if !matches!(error, Error::TooLarge { .. }));
        written
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        let synced = self.store()?.sync();
        self.is_failed = synced.is_err();
        synced
    }

    /// Shows readers what is durable.
    pub(crate) fn publish(&self) {
        self.shared.publish(&self.catalogue, self.seq, self.imported);
    }

    /// Adds what was just written to the sums, if somebody has asked for them.
    pub(crate) fn count(&self, chunks: &[(Header, Vec<u8>)], before: (Seq, u64)) -> Result<(), Error> {
        let mut known = self.shared.totals();
        let Some(mut totals) = known.take() else { return Ok(()) };
        if (totals.sealed, totals.imported) == before {
            let mut work = (Decoder::default(), Block::default());
            for (_, chunk) in chunks {
                let (header, body) = Header::read(chunk)?;
                totals.add(&header, body, &mut work)?;
            }
            *known = Some(totals);
        } else if totals.sealed >= self.sealed.seq && totals.imported >= self.imported {
            // A reader counted after the write.
            *known = Some(totals);
        }
        Ok(())
    }

    /// Seals once more where the ring has no room left, as it has after some attempts that failed. Why this one does is
    /// why nothing can be appended: no event is to blame for it, so none may be left out.
    fn make_room(&mut self, events: &[Event]) -> Result<(), Error> {
        let ticks = events.iter().filter(|event| matches!(event, Event::Sampled(_))).count();
        let next = self.next_tick.saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX));
        while ticks > 0 && next - self.sealed.ticks > hot::RING_SLOTS && self.is_seal_due() {
            let sealed = self.seal();
            if let Err(Error::TooLarge { what }) = sealed {
                return Err(Error::damaged(format!("{what} cannot be packed")));
            }
            sealed?;
        }
        Ok(())
    }

    const fn is_seal_due(&self) -> bool {
        self.next_tick - self.sealed.ticks >= hot::SEAL_TICKS
    }

    /// Writes the oldest ticks of the ring as chunks, and the watermark with them.
    fn seal(&mut self) -> Result<(), Error> {
        self.check()?;
        let mut ticks = hot::read(self.store()?.trees(), self.sealed.seq, self.seq)?;
        let end = self.sealed.ticks + hot::SEAL_TICKS;
        ticks.retain(|tick| tick.tick < end);
        // Fewer than there should be if damage took some: a check of the log tells which, and recording goes on.
        let sealed = Sealed { seq: ticks.last().map_or(self.sealed.seq, |tick| tick.seq), ticks: end };
        let chunks = self.chunks(&ticks)?;
        let mut puts = Vec::with_capacity(2 * chunks.len() + 1);
        for (header, chunk) in &chunks {
            let place = header.first.as_ms().to_be_bytes().to_vec();
            puts.push(Put::chunk(header.key(), chunk.clone()));
            puts.push(Put::order(chunk::order_key(header.group, header.first_seq), place));
        }
        puts.extend(rollup::puts(self.store()?.trees(), &self.catalogue, (&chunks, None))?);
        let value = codec::encode(&sealed).map_err(Error::writing("the watermark"))?;
        puts.push(Put::meta(Sealed::KEY.to_vec(), value));
        self.commit(puts)?;
        self.sync()?;
        self.size.change();
        let before = std::mem::replace(&mut self.sealed, sealed);
        self.count(&chunks, (before.seq, self.imported))
    }

    /// Rolls some of the chunks up, where an earlier version did not, or damage took some of the roll-ups; whether there
    /// is more to do.
    ///
    /// A row that is there stays, unless the chunks know of more samples in it: so rows whose samples are gone are kept,
    /// and nothing is added twice, whatever was sealed meanwhile.
    pub(crate) fn roll_up(&mut self) -> Result<bool, Error> {
        let store = self.store()?;
        if meta::<bool>(store, ROLLED_KEY)?.is_some() {
            return Ok(false);
        }
        let mark = meta::<(u16, Timestamp)>(store, ROLLING_KEY)?;
        let (mut group, mut from) = mark.unwrap_or((0, Timestamp::MIN));
        let mut puts = Vec::new();
        while group < self.catalogue.groups() && puts.is_empty() {
            let until;
            (puts, until) = self.rolled_up(group, from)?;
            (group, from) = until.map_or((group.saturating_add(1), Timestamp::MIN), |until| (group, until));
        }
        let is_more = group < self.catalogue.groups();
        if is_more {
            puts.push(rolling_put(group, from)?);
        } else {
            let value = codec::encode(&true).map_err(Error::writing("the mark of the roll-ups"))?;
            puts.extend([Put::meta(ROLLED_KEY.to_vec(), value), Put::meta_removed(ROLLING_KEY.to_vec())]);
        }
        let format = self.format.max(ROLLED_FORMAT);
        puts.push(format_put(format)?);
        self.commit(puts)?;
        self.format = format;
        self.sync()?;
        Ok(is_more)
    }

    /// Rows that some chunks of a group give, from a moment on, and the moment to go on from.
    fn rolled_up(&self, group: u16, from: Timestamp) -> Result<(Vec<Put>, Option<Timestamp>), Error> {
        let trees = self.store()?.trees();
        let broken = |error| store::failure(&self.dir, error);
        let begin = chunk::key(group, from, 0);
        let mut keys = trees.chunk.range(begin..=chunk::key(group, Timestamp::MAX, u64::MAX)).keys();
        let next = keys.nth(ROLLED_TOGETHER).transpose().map_err(broken)?;
        let next = next.and_then(|key| chunk::parse_key(&key)).map(|(_, first, _)| {
            let row = rollup::row_of(first);
            // More chunks than that may begin within one row.
            let row = if row > from.as_ms() { row } else { row.saturating_add(rollup::STEP_MS) };
            Timestamp::from_ms(row)
        });
        let until = next.unwrap_or(Timestamp::MAX);
        let mut chunks = Vec::new();
        // One that begins a while before may reach into the span.
        let earliest = Timestamp::from_ms(from.as_ms().saturating_sub(chunk::SPAN_MS));
        for item in trees.chunk.range(chunk::key_range(group, earliest, until)) {
            let (_, chunk) = item.map_err(broken)?;
            // One that does not read back has no roll-ups; a check of the log tells of it.
            if let Ok((header, _)) = Header::read(&chunk) {
                chunks.push((header, chunk.to_vec()));
            }
        }
        Ok((rollup::puts(trees, &self.catalogue, (&chunks, Some((from, until))))?, next))
    }

    /// The chunks of some ticks, group by group.
    fn chunks(&self, ticks: &[hot::Tick]) -> Result<Vec<(Header, Vec<u8>)>, Error> {
        let mut chunks = Vec::new();
        for group in 0..self.catalogue.groups().max(1) {
            let series = self.group(group);
            let ids: Vec<u32> = series.iter().map(|(id, _)| *id).collect();
            let mut rows = Rows::new(Origin::Live, group, series);
            for tick in ticks {
                let cells = || tick.cells.iter().copied().filter(|(id, _)| ids.binary_search(id).is_ok());
                // A tick that read nothing is a record all the same; the first group keeps its number.
                if cells().next().is_some() || (tick.cells.is_empty() && group == 0) {
                    rows.push(tick.at, tick.seq.get(), cells());
                }
            }
            chunks.extend(chunk::chunks(&rows)?);
        }
        Ok(chunks)
    }

    /// The series of a group, with their decimals, ascending by number.
    pub(crate) fn group(&self, group: u16) -> Vec<(u32, u8)> {
        let members = self.catalogue.members(group).iter();
        members.filter_map(|id| Some((*id, self.catalogue.entry(*id)?.decimals))).collect()
    }

    /// The number of a series, a new one where it has none; `None` where there are too many.
    pub(crate) fn number(
        &mut self,
        series: &Series,
        at: Timestamp,
        catalogue: &mut Arc<Catalogue>,
        puts: &mut Vec<Put>,
    ) -> Result<Option<u32>, Error> {
        number(series, at, (catalogue, &mut self.used), puts)
    }
}

/// Leaves in a sample what can be kept, and gives it by series number; new series get theirs.
fn cells(
    sample: &mut Sample,
    at: Timestamp,
    (catalogue, used): (&mut Arc<Catalogue>, &mut Vec<Timestamp>),
    puts: &mut Vec<Put>,
) -> Result<Vec<(u32, f64)>, Error> {
    let mut cells: Vec<(u32, f64)> = Vec::with_capacity(sample.readings.len());
    let mut seen: std::collections::HashSet<u32> = std::collections::HashSet::new();
    let mut kept = Vec::with_capacity(sample.readings.len());
    for reading in sample.readings.drain(..) {
        if !reading.value.is_finite() {
            continue;
        }
        let Some(id) = number(&reading.series, at, (&mut *catalogue, &mut *used), puts)? else { continue };
        if seen.insert(id) {
            cells.push((id, reading.value));
            kept.push(reading);
        }
    }
    sample.readings = kept;
    Ok(cells)
}

/// The number of a series that is in use at a moment; a new one takes the place of one that was not for a week.
fn number(
    series: &Series,
    at: Timestamp,
    (catalogue, used): (&mut Arc<Catalogue>, &mut Vec<Timestamp>),
    puts: &mut Vec<Put>,
) -> Result<Option<u32>, Error> {
    let id = match catalogue.id(series) {
        Some(id) => id,
        None => {
            let week_ago = at.minus(IN_USE);
            let is_in_use = |id: u32| {
                let used = usize::try_from(id).ok().and_then(|id| used.get(id));
                used.is_some_and(|used| *used >= week_ago)
            };
            let Some((id, put)) = Arc::make_mut(catalogue).add(series, is_in_use)? else { return Ok(None) };
            puts.push(put);
            id
        }
    };
    let place = usize::try_from(id).unwrap_or(usize::MAX);
    if place >= used.len() {
        used.resize(place.saturating_add(1), Timestamp::MIN);
    }
    if let Some(used) = used.get_mut(place) {
        *used = at;
    }
    Ok(Some(id))
}

/// When each series was in a tick last, by the newest chunk of its group; long ago for those that are not in it.
fn last_used(trees: &Trees, catalogue: &Catalogue) -> Result<Vec<Timestamp>, Error> {
    let mut used = vec![Timestamp::MIN; catalogue.entries().len()];
    for group in 0..catalogue.groups() {
        let range = chunk::order_key(group, 0)..=chunk::order_key(group, u64::MAX);
        let Some(Ok((key, place))) = trees.order.range(range).next_back() else { continue };
        let Some(((_, seq), first)) = chunk::parse_order_key(&key).zip(place.first_chunk::<8>()) else {
            continue;
        };
        let key = chunk::key(group, Timestamp::from_ms(i64::from_be_bytes(*first)), seq);
        // What does not read back costs a place in a group here, and is told where it is needed.
        let Ok(Some(chunk)) = trees.chunk.get(key) else { continue };
        let Ok((header, _)) = Header::read(&chunk) else { continue };
        for column in &header.columns {
            if let Some(used) = usize::try_from(column.id).ok().and_then(|id| used.get_mut(id)) {
                *used = header.last;
            }
        }
    }
    Ok(used)
}

/// What the database says of itself.
struct Identity {
    id: u64,
    format: u16,
    is_new: bool,
}

/// Checks the format of the database, or gives a new one its format and id.
fn identify(store: &Store) -> Result<Identity, Error> {
    match meta::<u16>(store, FORMAT_KEY)? {
        Some(format) => {
            check_format(format)?;
            let id = meta(store, ID_KEY)?.ok_or_else(|| Error::damaged("the log has no id"))?;
            Ok(Identity { id, format, is_new: false })
        }
        None => {
            // Whatever emptied it, a new log in its place would hide that.
            if let Some((_, seq)) = checkpoint::label(&store.dir().with_file_name("checkpoint")) {
                let what = format!("it is empty, and a checkpoint knows of {} records", seq.get());
                return Err(store::broken(store.dir(), &what));
            }
            let id = new_id();
            store.write(vec![format_put(1)?, put_of_id(id)?])?;
            Ok(Identity { id, format: 1, is_new: true })
        }
    }
}

/// Gives a log an id that no other has.
pub(crate) fn id_put() -> Result<Put, Error> {
    put_of_id(new_id())
}

/// Refuses a format that a later version of the program wrote.
pub(crate) fn check_format(format: u16) -> Result<(), Error> {
    if (1..=newest_format()).contains(&format) {
        return Ok(());
    }
    Err(Error::Newer { what: format!("the log (format {format})") })
}

/// The newest format that this program knows.
pub(crate) fn newest_format() -> u16 {
    format_at(KINDS_BY_FORMAT.len())
}

/// A number that no other log has.
pub(crate) fn new_id() -> u64 {
    // The one source of randomness in std; nothing secret hangs on it.
    RandomState::new().build_hasher().finish()
}

fn rolling_put(group: u16, from: Timestamp) -> Result<Put, Error> {
    let value = codec::encode(&(group, from)).map_err(Error::writing("the mark of the roll-ups"))?;
    Ok(Put::meta(ROLLING_KEY.to_vec(), value))
}

fn put_of_id(id: u64) -> Result<Put, Error> {
    Ok(Put::meta(ID_KEY.to_vec(), codec::encode(&id).map_err(Error::writing("the log's id"))?))
}

pub(crate) fn format_put(format: u16) -> Result<Put, Error> {
    let value = codec::encode(&format).map_err(Error::writing("the log's format"))?;
    Ok(Put::meta(FORMAT_KEY.to_vec(), value))
}

/// The first format that has an event.
fn format_of(event: &Event) -> u16 {
    if matches!(event, Event::Blind { reason: BlindReason::NotRecorded, .. }) {
        return NOT_RECORDED_FORMAT;
    }
    let kind = Event::KINDS.iter().position(|kind| *kind == event.kind()).unwrap_or(0);
    format_at(KINDS_BY_FORMAT.partition_point(|kinds| *kinds <= kind) + 1)
}

/// The format of this place, counted from 1; there are no more of them than fit.
fn format_at(place: usize) -> u16 {
    u16::try_from(place).unwrap_or(u16::MAX)
}

/// A value of the meta tree.
pub(crate) fn meta<T: serde::de::DeserializeOwned>(store: &Store, key: &[u8]) -> Result<Option<T>, Error> {
    let value = store.trees().meta.get(key).map_err(|error| store::failure(store.dir(), error))?;
    let name = || String::from_utf8_lossy(key).into_owned();
    value.map(|value| codec::decode(&value).map_err(Error::reading(name))).transpose()
}

#[cfg(test)]
mod tests {
    use systembot_model::Series;

    use super::*;

    #[test]
    fn each_kind_belongs_to_a_format() {
        assert_eq!(KINDS_BY_FORMAT.last(), Some(&Event::KINDS.len()), "new kinds of events are a new format");
        assert_eq!(format_of(&Event::Stopped), 1);
        assert_eq!(format_of(&Event::Answered { questions: Vec::new() }), 1);
        assert_eq!(format_of(&Event::ServiceHealthy { service: String::new() }), 2);
        let window = systembot_model::window::Window::default();
        assert_eq!(format_of(&Event::Baseline { series: Series::new("load1"), window }), 3);
        let blind = |reason| Event::Blind { from: Timestamp::MIN, to: Timestamp::MAX, reason };
        assert_eq!(format_of(&blind(BlindReason::Stalled)), 1);
        assert_eq!(format_of(&blind(BlindReason::NotRecorded)), 3);
    }
}
