//! What was gathered becomes a log.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde::de::DeserializeOwned;
use systembot_model::{Event, Record, Seq, Series, Timestamp};

use super::{
    LOST_PREFIX, SALVAGED_KEY, Salvage, Spans, Step,
    gather::{Entry, Gathered, Kind, Place},
};
use crate::{
    catalogue::{self, Catalogue, GROUP_SERIES},
    checkpoint,
    chunk::{self, Block, Decoder, Header, IMPORTED, Origin, Rows, Wanted, rollup},
    codec,
    error::Error,
    event, hot,
    log::{self, FORMAT_KEY, ID_KEY, IMPORTED_KEY, NEWEST_KEY, ROLLED_KEY, ROLLING_KEY},
    retention::Pruned,
    store::{Put, Store},
    view::Sealed,
};

/// Values in one step: sled's garbage collection must come to its turn.
const TOGETHER: usize = 64;
/// Ticks of a group that are encoded together.
const ROWS: usize = 240;
/// Lost spans that are kept one by one; where there are more, what lies between two counts as lost too.
const SPANS: usize = 4_096;

/// A chunk that goes on.
struct Live {
    header: Header,
    place: Place,
    is_removed: bool,
}

/// The ticks of a group that no chunk has, by number.
type Loose = BTreeMap<u64, (Timestamp, Vec<(u32, f64)>)>;

struct Writer<'a> {
    gathered: &'a Gathered,
    store: Store,
    dir: &'a Path,
    puts: Vec<Put>,
    progress: &'a mut dyn FnMut(Step),
    decoder: Decoder,
    block: Block,
    entries: BTreeMap<u32, catalogue::Entry>,
    /// Records that are saved.
    saved: Spans,
    /// Those of them that are ticks.
    ticks: Spans,
    /// Chunks that were found, by group and first number.
    found: BTreeSet<(u16, u64)>,
    /// Ticks that each group has.
    covered: BTreeMap<u16, Spans>,
    /// Highest number that anything tells of.
    highest: u64,
    /// Highest number in a chunk.
    newest_chunk: u64,
    imported: u64,
    /// Imported samples that records tell of, and those that there are.
    samples_imported: (u64, u64),
}

/// Writes a new log of everything that is good in a damaged one.
pub(super) fn write(
    dir: &Path,
    building: &Path,
    (at, kept): (Timestamp, Option<String>),
    progress: &mut dyn FnMut(Step),
) -> Result<Salvage, Error> {
    let gathered = Gathered::read(&dir.join("db"), &mut || progress(Step::Read))?;
    let known = checkpoint::label(&dir.with_file_name("checkpoint"));
    if !gathered.is_known_form && gathered.is_foreign(dir) {
        return Err(Error::Newer {
            what: format!("{} (by another version of the database sled)", dir.display()),
        });
    }
    let store = Store::open(building)?;
    let mut writer = Writer {
        gathered: &gathered,
        store,
        dir,
        puts: Vec::new(),
        progress,
        decoder: Decoder::default(),
        block: Block::default(),
        entries: BTreeMap::new(),
        saved: Spans::default(),
        ticks: Spans::default(),
        found: BTreeSet::new(),
        covered: BTreeMap::new(),
        highest: 0,
        newest_chunk: 0,
        imported: 0,
        samples_imported: (0, 0),
    };
    let id = writer.meta()?.or(known.map(|(id, _)| id));
    writer.names(id);
    writer.events()?;
    writer.chunks()?;
    writer.rollups()?;
    let known = known.filter(|(of, _)| id.is_none_or(|id| id == *of)).map_or(0, |(_, seq)| seq.get());
    writer.end((id, known), (at, kept))
}

impl Gathered {
    /// Whether the directory says that another version of sled wrote it.
    fn is_foreign(&self, dir: &Path) -> bool {
        let conf = fs::read(dir.join("conf")).unwrap_or_default();
        let text = String::from_utf8_lossy(&conf).into_owned();
        text.lines()
            .any(|line| line.strip_prefix("version: ").is_some_and(|version| !version.starts_with("0.34")))
    }
}

impl Writer<'_> {
    fn put(&mut self, put: Put) -> Result<(), Error> {
        self.puts.push(put);
        if self.puts.len() >= TOGETHER {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        if !self.puts.is_empty() {
            self.store.write(std::mem::take(&mut self.puts))?;
            self.store.sync()?;
            (self.progress)(Step::Written);
        }
        Ok(())
    }

    fn value(&self, place: &Place) -> Result<Vec<u8>, Error> {
        let path = || self.dir.join("db");
        self.gathered.value(place).map_err(|source| Error::Io { path: path(), source })
    }

    fn decoded<T: DeserializeOwned>(&self, place: &Place) -> Result<Option<T>, Error> {
        Ok(codec::decode(&self.value(place)?).ok())
    }

    fn knows(&mut self, seq: u64) {
        self.highest = self.highest.max(seq);
    }

    /// The log's own notes; gives its id.
    fn meta(&mut self) -> Result<Option<u64>, Error> {
        let gathered = self.gathered;
        let mut id = None;
        for (key, Entry { place, is_removed }) in gathered.of(Kind::Meta) {
            match key {
                FORMAT_KEY => {
                    let format = self.decoded::<u16>(place)?.unwrap_or(0);
                    log::check_format(format)?;
                    self.put(log::format_put(format.max(1))?)?;
                }
                ID_KEY => id = self.decoded::<u64>(place)?,
                NEWEST_KEY => {
                    let seq = self.decoded::<u64>(place)?.unwrap_or(0);
                    self.knows(seq);
                }
                IMPORTED_KEY => self.imported = self.decoded::<u64>(place)?.unwrap_or(0).max(self.imported),
                Sealed::KEY => {
                    let seq = self.decoded::<Sealed>(place)?.map_or(0, |sealed| sealed.seq.get());
                    self.knows(seq);
                }
                // What the roll-ups lack is computed anew from the samples when the log is opened.
                SALVAGED_KEY | ROLLED_KEY | ROLLING_KEY => {}
                key if key.starts_with(Catalogue::PREFIX) => {
                    if let Some(entry) = self.decoded::<catalogue::Entry>(place)? {
                        self.entries.insert(entry.id, entry);
                    }
                }
                key if !is_removed => {
                    let value = self.value(place)?;
                    if codec::payload(&value).is_ok() {
                        self.put(Put::meta(key.to_vec(), value))?;
                    }
                }
                _ => {}
            }
        }
        Ok(id)
    }

    /// Records that are no samples.
    fn events(&mut self) -> Result<(), Error> {
        let gathered = self.gathered;
        for (key, Entry { place, is_removed }) in gathered.of(Kind::Event) {
            let Some(seq) = <[u8; 8]>::try_from(key).ok().map(u64::from_be_bytes) else { continue };
            if *is_removed {
                continue;
            }
            self.knows(seq);
            let mut pieces = vec![self.value(place)?];
            let first = pieces.first().map(Vec::as_slice).unwrap_or_default();
            let Ok(bytes) = codec::frame_bytes(first) else { continue };
            let mut found = first.len();
            for piece in 1..=u8::MAX {
                if found >= bytes {
                    break;
                }
                let key = (Kind::Event, [key, &[piece]].concat());
                let Some(entry) = gathered.keys.get(&key) else { break };
                let value = self.value(&entry.place)?;
                found += value.len();
                pieces.push(value);
            }
            let frame = pieces.concat();
            if codec::payload(&frame).is_err() {
                continue;
            }
            let record: Record =
                codec::decode(&frame).map_err(|_| Error::Newer { what: format!("record {seq}") })?;
            if record.seq.get() != seq {
                continue;
            }
            if let Event::Imported { samples, .. } = &record.event {
                self.samples_imported.0 = self.samples_imported.0.saturating_add(*samples);
            }
            for put in event::puts(&record)? {
                self.put(put)?;
            }
            self.saved.add(seq, seq);
        }
        Ok(())
    }

    /// Ticks, in chunks and in the ring.
    fn chunks(&mut self) -> Result<(), Error> {
        let mut groups: BTreeMap<(bool, u16), Vec<Live>> = BTreeMap::new();
        for (_, Entry { place, is_removed }) in self.gathered.of(Kind::Chunk) {
            let Ok((header, _)) =
                Header::read(&self.value(place)?).map(|(header, body)| (header, body.len()))
            else {
                continue;
            };
            self.name_columns(&header);
            if header.origin == Origin::Live {
                self.knows(header.last_seq);
                self.newest_chunk = self.newest_chunk.max(header.last_seq);
            }
            let group = groups.entry((header.origin == Origin::Imported, header.group)).or_default();
            group.push(Live { header, place: *place, is_removed: *is_removed });
        }
        // What was removed and is older than everything else was removed for its age.
        let oldest = groups
            .iter()
            .filter(|((is_imported, _), _)| !is_imported)
            .flat_map(|(_, chunks)| chunks.iter().filter(|chunk| !chunk.is_removed))
            .map(|chunk| chunk.header.first_seq)
            .min()
            .unwrap_or(0);
        for ((is_imported, group), mut chunks) in groups {
            // What was removed is in another chunk, unless that one is bad.
            chunks.retain(|chunk| !chunk.is_removed || (!is_imported && chunk.header.last_seq >= oldest));
            chunks.sort_unstable_by_key(|chunk| {
                (chunk.is_removed, chunk.header.first_seq, std::cmp::Reverse(chunk.header.last_seq))
            });
            let mut have = Spans::default();
            for chunk in &chunks {
                self.chunk(chunk, &mut have)?;
            }
            if !is_imported {
                self.covered.insert(group, have);
            }
        }
        self.ring(oldest)
    }

    /// Sheets of roll-ups, but for what an older copy of one has beside those after it.
    fn rollups(&mut self) -> Result<(), Error> {
        let gathered = self.gathered;
        let mut before: Option<(u16, Timestamp)> = None;
        for (key, Entry { place, is_removed }) in gathered.of(Kind::Rollup) {
            let value = self.value(place)?;
            let Ok((head, _)) = rollup::Head::read(&value) else { continue };
            let is_over = before.is_some_and(|(lane, last)| lane == head.lane && head.first <= last);
            if *is_removed || is_over || head.key() != key {
                continue;
            }
            before = Some((head.lane, head.last));
            self.put(Put::rollup(head.key(), value))?;
        }
        Ok(())
    }

    /// One chunk, as far as its ticks are not in another one.
    fn chunk(&mut self, chunk: &Live, have: &mut Spans) -> Result<(), Error> {
        let value = self.value(&chunk.place)?;
        let Ok((header, body)) = Header::read(&value) else { return Ok(()) };
        let wanted: Vec<Wanted> =
            header.columns.iter().map(|column| Wanted::new(column.id, column.id)).collect();
        let decoded = self.decoder.times(&header, body, &mut self.block).is_ok()
            && self.decoder.seqs(&header, body, &mut self.block).is_ok()
            && self.decoder.columns(&header, body, &wanted, &mut self.block).is_ok();
        if !decoded {
            return Ok(());
        }
        let is_live = header.origin == Origin::Live;
        self.found.insert((header.group, header.first_seq));
        if have.count_in(header.first_seq, header.last_seq) == 0 {
            while let Some((_, seq)) = self.block.head() {
                self.block.take(&mut Vec::new());
                if is_live {
                    self.saved.add(seq, seq);
                    self.ticks.add(seq, seq);
                }
            }
            have.add(header.first_seq, header.last_seq);
            return self.put_chunk(&header, value);
        }
        let mut rest = Loose::new();
        while let Some((at, seq)) = self.block.head() {
            let mut cells = Vec::new();
            self.block.take(&mut cells);
            if !have.has(seq) {
                rest.insert(seq, (at, cells));
            }
        }
        self.encode(header.origin, header.group, &rest, have)
    }

    fn put_chunk(&mut self, header: &Header, value: Vec<u8>) -> Result<(), Error> {
        if header.origin == Origin::Imported {
            self.imported = self.imported.max((header.last_seq & !IMPORTED) + 1);
            let samples = header.columns.iter().map(|column| u64::from(column.present)).sum::<u64>();
            self.samples_imported.1 = self.samples_imported.1.saturating_add(samples);
        } else {
            let place = header.first.as_ms().to_be_bytes().to_vec();
            self.put(Put::order(chunk::order_key(header.group, header.first_seq), place))?;
        }
        self.put(Put::chunk(header.key(), value))
    }

    /// Chunks of ticks that no chunk has; none reaches over one that is there.
    fn encode(&mut self, origin: Origin, group: u16, rows: &Loose, have: &mut Spans) -> Result<(), Error> {
        let mut members: BTreeSet<u32> = BTreeSet::new();
        members.extend(rows.values().flat_map(|(_, cells)| cells.iter().map(|(id, _)| *id)));
        let series = || -> Vec<(u32, u8)> {
            members.iter().map(|id| (*id, self.entries.get(id).map_or(0, |entry| entry.decimals))).collect()
        };
        let mut done = Vec::new();
        let mut run = Rows::new(origin, group, series());
        let (mut count, mut before) = (0, None);
        for (seq, (at, cells)) in rows {
            let reaches_over = before.is_some_and(|before| have.count_in(before, *seq) > 0);
            if count >= ROWS || reaches_over {
                done.extend(chunk::chunks(&std::mem::replace(&mut run, Rows::new(origin, group, series())))?);
                count = 0;
            }
            run.push(*at, *seq, cells.iter().copied());
            count += 1;
            before = Some(*seq);
        }
        if count > 0 {
            done.extend(chunk::chunks(&run)?);
        }
        if origin == Origin::Live {
            for seq in rows.keys() {
                self.saved.add(*seq, *seq);
                self.ticks.add(*seq, *seq);
            }
        }
        for (header, value) in done {
            have.add(header.first_seq, header.last_seq);
            self.put_chunk(&header, value)?;
        }
        Ok(())
    }

    /// Ticks of the ring that chunks do not have, for each group that lacks them.
    fn ring(&mut self, oldest: u64) -> Result<(), Error> {
        let mut rows: BTreeMap<u16, Loose> = BTreeMap::new();
        let mut parts: Vec<hot::Part> = Vec::new();
        let places: Vec<Place> = self.gathered.ticks.values().copied().collect();
        for place in places {
            let Some(part) = self.decoded::<hot::Part>(&place)? else { continue };
            if part.part == 0 {
                parts.clear();
            }
            let is_next = usize::from(part.part) == parts.len()
                && parts.first().is_none_or(|first| (first.tick, first.seq) == (part.tick, part.seq));
            if !is_next {
                parts.clear();
                continue;
            }
            parts.push(part);
            let Some(first) = parts.first().filter(|first| usize::from(first.parts) == parts.len()) else {
                continue;
            };
            let (at, seq) = (first.at, first.seq.get());
            self.highest = self.highest.max(seq);
            if seq < oldest || (self.saved.has(seq) && !self.ticks.has(seq)) {
                continue;
            }
            let mut groups: BTreeMap<u16, Vec<(u32, f64)>> = BTreeMap::new();
            for (id, value) in parts.iter().flat_map(|part| part.cells.iter()) {
                let group = self.name(*id, None);
                groups.entry(group).or_default().push((*id, *value));
            }
            if groups.is_empty() {
                // A tick that read nothing is a record all the same.
                groups.insert(0, Vec::new());
            }
            for (group, cells) in groups {
                if self.covered.get(&group).is_none_or(|have| !have.has(seq)) {
                    rows.entry(group).or_default().insert(seq, (at, cells));
                }
            }
        }
        for (group, rows) in rows {
            let mut have = self.covered.remove(&group).unwrap_or_default();
            self.encode(Origin::Live, group, &rows, &mut have)?;
            self.covered.insert(group, have);
        }
        Ok(())
    }

    /// Names of series that damage took, as far as the checkpoint has them.
    fn names(&mut self, id: Option<u64>) {
        let Some((of, names)) = checkpoint::names(&self.dir.with_file_name("checkpoint")) else { return };
        if id.is_none_or(|id| id == of) {
            for entry in names {
                self.entries.entry(entry.id).or_insert(entry);
            }
        }
    }

    fn name_columns(&mut self, header: &Header) {
        for column in &header.columns {
            self.name(column.id, Some(header.group));
        }
    }

    /// The group of a series; one whose name is lost gets another.
    fn name(&mut self, id: u32, group: Option<u16>) -> u16 {
        let entry = self.entries.entry(id).or_insert_with(|| catalogue::Entry {
            id,
            series: Series::new(&format!("name_lost_{id}")),
            unit: String::new(),
            decimals: 0,
            group: group.unwrap_or_else(|| {
                u16::try_from(usize::try_from(id).unwrap_or(0) / GROUP_SERIES).unwrap_or(u16::MAX)
            }),
        });
        entry.group
    }

    /// Samples of saved records that are lost, about: the values of a group in ticks that other groups have.
    ///
    /// A group may also have been silent, as when its mount was gone. But then it stops and starts amid the chunks of
    /// the others, and the order of chunks tells of none.
    fn samples(&self) -> u64 {
        let mut order: BTreeSet<(u16, u64)> = BTreeSet::new();
        for (key, entry) in self.gathered.of(Kind::Order).filter(|(_, entry)| !entry.is_removed) {
            order.extend(chunk::parse_order_key(key).filter(|_| entry.place.lsn > 0));
        }
        let starts: BTreeSet<u64> = order.iter().chain(&self.found).map(|(_, seq)| *seq).collect();
        let groups: BTreeSet<u16> =
            order.iter().map(|(group, _)| *group).chain(self.covered.keys().copied()).collect();
        let mut samples = 0_u64;
        for group in groups {
            let have = self.covered.get(&group).cloned().unwrap_or_default();
            let width = self.entries.values().filter(|entry| entry.group == group).count();
            for (first, last) in have.gaps(1, self.highest) {
                let ticks = self.ticks.count_in(first, last);
                let is_told =
                    order.range((group, first)..=(group, last)).any(|start| !self.found.contains(start));
                let is_between = first > 1 && last < self.highest;
                let is_aligned = self.ticks.next(first).is_some_and(|tick| starts.contains(&tick))
                    || starts.contains(&(last + 1)) && !self.is_alone(group, last + 1);
                if ticks > 0 && (is_told || (is_between && is_aligned)) {
                    samples = samples.saturating_add(ticks.saturating_mul(u64::try_from(width).unwrap_or(0)));
                }
            }
        }
        samples
    }

    /// Whether no other group has a chunk that begins there.
    fn is_alone(&self, group: u16, seq: u64) -> bool {
        !self.covered.keys().any(|other| *other != group && self.found.contains(&(*other, seq)))
    }

    /// The catalogue, the watermarks, and what is lost.
    fn end(
        mut self,
        (id, known): (Option<u64>, u64),
        (at, kept): (Timestamp, Option<String>),
    ) -> Result<Salvage, Error> {
        let is_newest_there = known <= self.highest;
        let is_end_known = self.gathered.is_whole_to_the_end && is_newest_there;
        self.knows(known);
        self.knows(self.saved.last().unwrap_or(0));
        let count = self.entries.last_key_value().map_or(0, |(id, _)| id + 1);
        for id in 0..count {
            self.name(id, None);
        }
        for entry in self.entries.clone().into_values() {
            let value = codec::encode(&entry).map_err(Error::writing("a series name"))?;
            self.put(Put::meta(Catalogue::key(entry.id), value))?;
        }
        let (mark, pruned) = self.pruned(is_newest_there)?;
        let mut samples = self.samples();
        // Imported samples are pruned too, and nothing tells how many: the mark is there, but it is not moved by them.
        if pruned == 0 && !self.gathered.keys.contains_key(&(Kind::Meta, Pruned::KEY.to_vec())) {
            samples = samples.saturating_add(self.samples_imported.0.saturating_sub(self.samples_imported.1));
        }
        // What earlier salvages could not save was told then.
        let mut told = Spans::default();
        for (key, entry) in self.gathered.of(Kind::Meta).filter(|(key, _)| key.starts_with(LOST_PREFIX)) {
            if let Some((first, last)) = self.decoded::<(u64, u64)>(&entry.place)?.filter(|_| !key.is_empty())
            {
                told.add(first, last);
            }
        }
        let gaps = self.saved.gaps(pruned + 1, self.highest);
        let lost = gaps.iter().map(|(first, last)| last - first + 1 - told.count_in(*first, *last)).sum();
        // What may have been pruned is missing all the same.
        let gaps = self.saved.gaps(mark + 1, self.highest);
        for (first, last) in merged(gaps) {
            let value = codec::encode(&(first, last)).map_err(Error::writing("a lost span"))?;
            self.put(Put::meta([LOST_PREFIX, &first.to_be_bytes()].concat(), value))?;
        }
        let next_tick = self.gathered.ticks.last_key_value().map_or(0, |((tick, _), _)| tick + 1);
        let next_tick = next_tick.max(self.sealed()?);
        let sealed = Sealed { seq: Seq::new(self.ticks.last().unwrap_or(0)), ticks: next_tick };
        let salvage = Salvage {
            at,
            newest: Seq::new(self.highest),
            saved: self.saved.count(),
            lost,
            // Some of what is older than what was pruned was kept, and nothing tells how much.
            is_at_least: !is_end_known || pruned > 0,
            samples,
            kept,
        };
        self.note(Sealed::KEY, &sealed)?;
        self.note(IMPORTED_KEY, &self.imported.clone())?;
        self.note(NEWEST_KEY, &self.highest.clone())?;
        self.note(SALVAGED_KEY, &salvage)?;
        if !self.gathered.keys.contains_key(&(Kind::Meta, FORMAT_KEY.to_vec())) {
            self.put(log::format_put(log::newest_format())?)?;
        }
        if let Some(id) = id {
            self.note(ID_KEY, &id)?;
        } else {
            self.note(ID_KEY, &log::new_id())?;
        }
        self.flush()?;
        Ok(salvage)
    }

    fn note<T: serde::Serialize>(&mut self, key: &[u8], value: &T) -> Result<(), Error> {
        let value = codec::encode(value).map_err(Error::writing("a note of the log"))?;
        self.put(Put::meta(key.to_vec(), value))
    }

    /// One more than the newest sealed tick.
    fn sealed(&self) -> Result<u64, Error> {
        let entry = self.gathered.keys.get(&(Kind::Meta, Sealed::KEY.to_vec()));
        let sealed = entry.map(|entry| self.decoded::<Sealed>(&entry.place)).transpose()?.flatten();
        Ok(sealed.map_or(0, |sealed| sealed.ticks))
    }

    /// Number up to which records are missing because they were too old, and up to which they may be: where the mark
    /// of that is lost, or older than the chunks, a checkpoint knows which cannot be.
    fn pruned(&self, is_newest_there: bool) -> Result<(u64, u64), Error> {
        let note = |key: &[u8]| self.gathered.keys.get(&(Kind::Meta, key.to_vec()));
        let value = note(Pruned::KEY).map(|entry| self.value(&entry.place)).transpose()?.unwrap_or_default();
        let mark = codec::payload(&value).and_then(codec::prefix::<u64>).map_or(0, |(seq, _)| seq);
        let sealed =
            note(Sealed::KEY).map(|entry| self.decoded::<Sealed>(&entry.place)).transpose()?.flatten();
        let is_newest = sealed.is_some_and(|sealed| sealed.seq.get() >= self.newest_chunk);
        if is_newest && is_newest_there {
            return Ok((mark, mark));
        }
        let from = checkpoint::baselined(&self.dir.with_file_name("checkpoint")).map_or(0, Seq::get);
        Ok((mark, mark.max(from.saturating_sub(1))))
    }
}

/// So few spans that each can be kept.
fn merged(mut gaps: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    if gaps.len() > SPANS {
        let rest = gaps.split_off(SPANS - 1);
        if let (Some((first, _)), Some((_, last))) = (rest.first(), rest.last()) {
            gaps.push((*first, *last));
        }
    }
    gaps
}
