//! What is kept how long.
//!
//! Samples go when they are older than the retention, or when the log has grown beyond its size, the oldest first by
//! number: chunk by chunk, a few after each sealing. What is told and heard ages with them. Roll-ups go by their own,
//! far longer retention; alerts, services, blind spans, starts and settings stay. No sample goes that a window still
//! needs: see [`State::baselined`]. So a fold of what is left gives the state that a fold of everything gave.
//!
//! The age of a chunk is that of the samples behind it, so that what a clock set to 1970 labelled is not taken for
//! old. After a gap of more than a day nothing goes by age until a day has passed: the clock may be wrong.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use systembot_model::{
    Event, Seq, State, Timestamp,
    baseline::{DAILY, thin},
    limits,
};

use crate::{
    chunk::{self, Header, IMPORTED, rollup},
    codec,
    error::Error,
    event::{self, EventFilter},
    log::Log,
    store::{self, Put, Trees},
};

/// Rounds of one call, each of at most a chunk of every group: some tens of milliseconds.
const ROUNDS: usize = 16;
/// The part of a full log that roll-ups may have while there are samples to go.
const SHARE: u64 = 3;
/// Records that are looked at in one call.
const RECORDS: usize = 512;
/// Chunks whose ages differ by no more go together when the log is too large.
const TOGETHER: Duration = Duration::from_secs(86_400);
/// Nothing was recorded before 2026: what says so was labelled by a clock that was not set.
const EARLIEST: Timestamp = Timestamp::from_ms(1_767_225_600_000);

/// How much of the past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Age at which samples, and what was told and heard, may go.
    pub retention: Duration,
    /// Age at which roll-ups may go.
    pub rollup_retention: Duration,
    /// Bytes of the log's directory above which the oldest samples go whatever their age.
    pub max_bytes: u64,
}

impl Default for Limits {
    /// Everything stays.
    fn default() -> Self {
        Self { retention: Duration::MAX, rollup_retention: Duration::MAX, max_bytes: u64::MAX }
    }
}

/// How far the log has been pruned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pruned {
    /// Ticks up to this number may be gone, in part or as a whole; they are records no more.
    pub(crate) seq: Seq,
    /// Records up to this number have been looked at; those that age may be gone.
    pub(crate) events: Seq,
}

impl Pruned {
    /// Its key in the meta tree.
    pub(crate) const KEY: &'static [u8] = b"pruned";

    /// Reads it; nothing is pruned in a new log.
    pub(crate) fn read(trees: &Trees) -> Result<Self, Error> {
        let value = trees.meta.get(Self::KEY).map_err(|error| store::failure("meta".as_ref(), error))?;
        value.map_or(Ok(Self::default()), |value| {
            codec::decode(&value).map_err(Error::reading(|| "the mark of what was pruned".into()))
        })
    }

    fn put(&self) -> Result<Put, Error> {
        let value = codec::encode(self).map_err(Error::writing("the mark of what was pruned"))?;
        Ok(Put::meta(Self::KEY.to_vec(), value))
    }
}

/// A chunk that would be the next of its group to go.
struct Oldest {
    header: Header,
    bytes: u64,
    /// A moment at or after its samples.
    age: Timestamp,
    is_imported: bool,
}

impl Log {
    /// Sets how much of the past is kept; [`Log::prune`] sees to it.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Lets some of what is beyond the limits go; whether there is more of it. The state is that of the newest record.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn prune(&mut self, now: Timestamp, state: &State) -> Result<bool, Error> {
        self.check()?;
        // What is in no roll-up yet must not go.
        if self.roll_up()? {
            return Ok(true);
        }
        // A gap that lies ahead was made by a clock that has been set back since.
        let is_trusted = state.leapt.is_none_or(|at| at > now || now.since(at) >= limits::LEAP);
        let before = |span: Duration| if is_trusted { now.minus(span) } else { Timestamp::MIN };
        let (old, oldest_rollup) = (before(self.limits.retention), before(self.limits.rollup_retention));
        let excess = self.excess()?;
        // Roll-ups of years leave room for samples: those beyond their share go first, the others last.
        let spare =
            if excess > 0 { self.live()?.rollups.saturating_sub(self.limits.max_bytes / SHARE) } else { 0 };
        let mut rolled = |log: &mut Self, left| log.prune_rollups((oldest_rollup, left));
        let (first, mut is_more) = self.rounds(excess.min(spare), &mut rolled)?;
        let left = excess.saturating_sub(first);
        let (samples, are_more) = self.rounds(left, &mut |log, left| log.prune_chunks((old, left), state))?;
        let left = if are_more { 0 } else { left.saturating_sub(samples) };
        let (last, is_last_more) = self.rounds(left, &mut rolled)?;
        is_more |= are_more | is_last_more | self.prune_events(state)?;
        self.prune_baselines(now, state)?;
        if samples > 0 {
            self.shared.forget_totals();
        }
        if first + samples + last > 0 {
            self.size.change();
        }
        self.sync()?;
        self.publish();
        Ok(is_more)
    }

    /// Takes something some times over, until so many bytes are gone; how many are, and whether there may be more to take.
    fn rounds(
        &mut self,
        excess: u64,
        take: &mut dyn FnMut(&mut Self, u64) -> Result<u64, Error>,
    ) -> Result<(u64, bool), Error> {
        let mut sum = 0;
        for _ in 0..ROUNDS {
            let taken = take(self, excess.saturating_sub(sum))?;
            if taken == 0 {
                return Ok((sum, false));
            }
            sum += taken;
        }
        Ok((sum, true))
    }

    /// Bytes by which the log is too large, but for what compaction will give back.
    fn excess(&mut self) -> Result<u64, Error> {
        if self.limits.max_bytes == u64::MAX || self.reader().log_bytes()? <= self.limits.max_bytes {
            return Ok(0);
        }
        Ok(self.largest_bytes()?.saturating_sub(self.limits.max_bytes))
    }

    /// Takes at most one chunk of every group out; gives their bytes.
    fn prune_chunks(&mut self, (old, excess): (Timestamp, u64), state: &State) -> Result<u64, Error> {
        let needed = state.baselined().unwrap_or(Seq::ZERO);
        let mut oldest = Vec::new();
        for group in 0..self.catalogue.groups() {
            oldest.extend(self.oldest(group)?);
        }
        oldest.retain(|chunk| chunk.is_imported || chunk.header.last_seq < needed.get());
        oldest.sort_by_key(|chunk| chunk.age);
        // By size: only what is about as old as the very oldest.
        let first = oldest.first().map_or(Timestamp::MAX, |chunk| chunk.age);
        let (mut taken, mut puts, mut pruned) = (0, Vec::new(), self.pruned);
        for chunk in oldest {
            let is_too_much = taken < excess && chunk.age.since(first) <= TOGETHER;
            if chunk.age >= old && !is_too_much {
                continue;
            }
            taken += chunk.bytes;
            puts.push(Put::chunk_removed(chunk.header.key()));
            if !chunk.is_imported {
                puts.push(Put::order_removed(chunk::order_key(chunk.header.group, chunk.header.first_seq)));
                pruned.seq = pruned.seq.max(Seq::new(chunk.header.last_seq));
            }
        }
        if !puts.is_empty() {
            puts.push(pruned.put()?);
            self.commit(puts)?;
            self.pruned = pruned;
        }
        Ok(taken)
    }

    /// The chunk of a group that goes first: the earliest if it was imported, else the one with the lowest number.
    fn oldest(&self, group: u16) -> Result<Option<Oldest>, Error> {
        let trees = self.store()?.trees();
        let broken = |error| store::failure(self.dir(), error);
        let range = chunk::key(group, Timestamp::MIN, 0)..=chunk::key(group, Timestamp::MAX, u64::MAX);
        let Some((key, value)) = trees.chunk.range(range).next().transpose().map_err(broken)? else {
            return Ok(None);
        };
        let is_imported = chunk::parse_key(&key).is_some_and(|(_, _, seq)| seq & IMPORTED != 0);
        let (value, next) = if is_imported {
            (value, None)
        } else {
            let mut order = trees.order.range(chunk::order_key(group, 0)..=chunk::order_key(group, u64::MAX));
            let mut place = || -> Result<Option<(u64, Timestamp)>, Error> {
                let Some((key, first)) = order.next().transpose().map_err(broken)? else { return Ok(None) };
                let found = chunk::parse_order_key(&key).zip(first.first_chunk::<8>());
                Ok(found.map(|((_, seq), first)| (seq, Timestamp::from_ms(i64::from_be_bytes(*first)))))
            };
            let Some((seq, first)) = place()? else { return Ok(None) };
            let mut next = None;
            while let Some((_, first)) = place()? {
                next = Some(first);
                if first >= EARLIEST {
                    break;
                }
            }
            let Some(value) = trees.chunk.get(chunk::key(group, first, seq)).map_err(broken)? else {
                return Err(Error::damaged(format!("the chunk of record {seq} is missing")));
            };
            (value, next)
        };
        let (header, _) = Header::read(&value)?;
        let age = next.map_or(header.last, |next| header.last.max(next));
        let bytes = u64::try_from(value.len()).unwrap_or(0);
        Ok(Some(Oldest { header, bytes, age, is_imported }))
    }

    /// Takes at most one sheet of roll-ups of every lane out, whose samples are gone; gives their bytes.
    fn prune_rollups(&mut self, (old, excess): (Timestamp, u64)) -> Result<u64, Error> {
        let broken = |error| store::failure(self.dir(), error);
        let trees = self.store()?.trees();
        let mut oldest = Vec::new();
        for lane in rollup::lanes(&self.catalogue) {
            let range = rollup::key(lane, Timestamp::MIN)..=rollup::key(lane, Timestamp::MAX);
            let Some((key, sheet)) = trees.rollup.range(range).next().transpose().map_err(broken)? else {
                continue;
            };
            let (head, _) = rollup::Head::read(&sheet)?;
            let group = lane / rollup::LANES;
            let range = chunk::key(group, Timestamp::MIN, 0)..=chunk::key(group, Timestamp::MAX, u64::MAX);
            let chunk = trees.chunk.range(range).next().transpose().map_err(broken)?;
            let sampled = chunk.and_then(|(key, _)| chunk::parse_key(&key)).map(|(_, first, _)| first);
            // The last row may hold samples of the time until the next one.
            if sampled.is_none_or(|first| head.last.as_ms().saturating_add(rollup::STEP_MS) <= first.as_ms())
            {
                oldest.push((head.last, key, u64::try_from(sheet.len()).unwrap_or(0)));
            }
        }
        oldest.sort();
        // By size: only what is about as old as the very oldest.
        let first = oldest.first().map_or(Timestamp::MAX, |(last, ..)| *last);
        let (mut taken, mut puts) = (0, Vec::new());
        for (last, key, bytes) in oldest {
            let is_too_much = taken < excess && last.since(first) <= TOGETHER;
            if last < old || is_too_much {
                taken += bytes;
                puts.push(Put::rollup_removed(key.to_vec()));
            }
        }
        if !puts.is_empty() {
            self.commit(puts)?;
        }
        Ok(taken)
    }

    /// Takes out what was told and heard at the time of samples that are gone; whether there is more to look at.
    ///
    /// What is owed still stays, and what says something about it; it is looked at again later.
    fn prune_events(&mut self, state: &State) -> Result<bool, Error> {
        let up_to = self.pruned.seq;
        let filter = EventFilter { after: self.pruned.events, ..EventFilter::default() };
        let mut events = event::Events::start(self.store()?.trees(), filter, up_to);
        let (mut puts, mut pruned) = (Vec::new(), self.pruned);
        let mut looked_at = 0;
        let is_more = loop {
            if looked_at >= RECORDS {
                break true;
            }
            let Some((seq, read)) = events.next_numbered() else {
                pruned.events = up_to;
                break false;
            };
            // What does not read back is for a check of the log to tell; it stays where it is.
            let (Some(seq), Ok(record)) = (seq, read) else { continue };
            looked_at += 1;
            if let Some(record) = record {
                match is_telling(&record.event, seq, state) {
                    Some(true) => break false,
                    Some(false) => puts.extend(event::removed(self.store()?.trees(), seq)?),
                    None => {}
                }
            }
            pruned.events = seq;
        };
        if pruned != self.pruned {
            puts.push(pruned.put()?);
            self.commit(puts)?;
            self.pruned = pruned;
        }
        Ok(is_more)
    }

    /// Takes out sets of baselines that are needed no more, by their age or because all samples of their time are gone;
    /// looked at when there is a new one.
    fn prune_baselines(&mut self, now: Timestamp, state: &State) -> Result<(), Error> {
        if self.thinned == state.baselines.from {
            return Ok(());
        }
        let trees = self.store()?.trees();
        let mut sets: Vec<Set> = Vec::new();
        for record in event::Events::start(trees, EventFilter::kinds(&["baseline"]), self.seq()) {
            // One that does not read back stays where it is.
            let Ok(record) = record else { continue };
            match sets.last_mut() {
                Some((_, at, last)) if *at == record.at && last.next() == record.seq => *last = record.seq,
                _ => sets.push((record.seq, record.at, record.seq)),
            }
        }
        let mut gone = thin(sets.iter().map(|(first, at, _)| (*first, *at)), now);
        // Weekly ones are of use beside their samples; of the others the newest stays.
        let is_past = |(first, at, last): &&Set| {
            *last <= self.pruned.seq && now.since(*at) > DAILY && !gone.contains(first)
        };
        let mut past: Vec<Seq> = sets.iter().filter(is_past).map(|(first, ..)| *first).collect();
        past.pop();
        gone.extend(past);
        let mut puts = Vec::new();
        for (first, _, last) in sets.iter().filter(|(first, ..)| gone.contains(first)) {
            for seq in first.get()..=last.get() {
                puts.extend(event::removed(trees, Seq::new(seq))?);
            }
            let value = codec::encode(last).map_err(Error::writing("the mark of what was thinned out"))?;
            puts.push(Put::meta(thinned_key(*first), value));
        }
        // Below the mark of pruning nothing is expected any more.
        for (first, _) in thinned(trees)?.into_iter().filter(|(_, last)| *last <= self.pruned.seq) {
            puts.push(Put::meta_removed(thinned_key(first)));
        }
        if !puts.is_empty() {
            self.commit(puts)?;
        }
        self.thinned = state.baselines.from;
        Ok(())
    }
}

/// What the keys of thinned sets begin with.
const THINNED: &[u8] = b"thinned/";

fn thinned_key(first: Seq) -> Vec<u8> {
    let mut key = THINNED.to_vec();
    key.extend(first.get().to_be_bytes());
    key
}

/// Sets of baselines that were thinned out: numbers of their first and last record, ascending.
pub(crate) fn thinned(trees: &Trees) -> Result<Vec<(Seq, Seq)>, Error> {
    let mut spans = Vec::new();
    for item in trees.meta.scan_prefix(THINNED) {
        let (key, value) = item.map_err(|error| store::failure("meta".as_ref(), error))?;
        let first = key.last_chunk::<8>().map(|first| Seq::new(u64::from_be_bytes(*first)));
        let last =
            codec::decode(&value).map_err(Error::reading(|| "the mark of what was thinned out".into()))?;
        spans.extend(first.zip(Some(last)));
    }
    Ok(spans)
}

/// Number and moment of a set's first record, and the number of its last.
type Set = (Seq, Timestamp, Seq);

/// Whether a record is of those that age, and then whether it is about something that is owed still.
fn is_telling(event: &Event, seq: Seq, state: &State) -> Option<bool> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all other records stay")]
    match event {
        Event::Heard { .. } => Some(false),
        Event::MessageQueued(_) => Some(state.outbox.contains_key(&seq)),
        Event::MessageAttempted { messages }
        | Event::MessageReturned { messages }
        | Event::MessageDelivered { messages }
        | Event::MessageDropped { messages, .. } => {
            Some(messages.iter().any(|number| state.outbox.contains_key(number)))
        }
        _ => None,
    }
}
