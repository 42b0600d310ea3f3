//! Reads everything and checks it.
//!
//! Every frame of every tree is read, so nothing that is kept can be bad unnoticed: the catalogue by itself, the
//! ring, the records, each chunk with all its columns, and that chunks and their order by number tell the same.
//! Then the records are walked in order of number, as a fold does: none may be missing, and each alert must come out
//! again as it is recorded.
//!
//! The log is written meanwhile: what is bad at first sight is read again before it is told.

use std::collections::HashSet;

use systembot_model::{Event, Seq, State, Timestamp, limits};

use super::{Verified, again::Again};
use crate::{
    catalogue::{Catalogue, Entry},
    chunk::{
        self, Block, Decoder, Header, Origin, Wanted,
        rollup::{self, Sheet},
    },
    codec,
    error::Error,
    event::{EventFilter, Events},
    fold,
    reader::Reader,
    retention::{self, Pruned},
    salvage::{self, Salvage, Spans},
    store::Trees,
    view::View,
};

/// Faults that are told; a log with more needs salvage, not a longer list.
const FAULTS: usize = 1_000;

pub(super) fn verify(reader: &Reader, state: &State) -> Result<Verified, Error> {
    let view = reader.view()?;
    let trees = reader.trees()?;
    let mut check = Check {
        reader,
        view: &view,
        trees,
        lost: salvage::lost(trees),
        salvaged: salvage::newest(trees),
        found: Verified::default(),
    };
    check.chunks();
    check.order();
    check.rollups();
    check.state(reader, state);
    check.events(reader.events(EventFilter::default())?);
    check.records(view.durable);
    if let Some((first, last)) = reader.lost() {
        check.fault(format!(
            "{}: the records to {} are lost, a checkpoint knows them",
            first.get(),
            last.get()
        ));
    }
    let mut found = check.found;
    found.samples += view.hot.iter().map(|tick| u64::try_from(tick.cells.len()).unwrap_or(0)).sum::<u64>();
    if found.faults.len() > FAULTS {
        let more = found.faults.len() - FAULTS;
        found.faults.truncate(FAULTS);
        found.faults.push(format!("and {more} more"));
    }
    Ok(found)
}

struct Check<'a> {
    reader: &'a Reader,
    view: &'a View,
    trees: &'a Trees,
    /// Records that are known to be lost, and told.
    lost: Spans,
    salvaged: Option<Salvage>,
    found: Verified,
}

impl Check<'_> {
    /// Something does not read back as it was written.
    fn damage(&mut self, what: impl std::fmt::Display) {
        self.found.damaged = true;
        self.fault(what);
    }

    fn fault(&mut self, what: impl std::fmt::Display) {
        self.found.faults.push(what.to_string());
    }

    /// Records that are not there; those that a salvage has told to be lost are no fault.
    fn missing(&mut self, first: Seq, next: Seq) {
        for (first, last) in self.lost.gaps(first.get(), next.get().saturating_sub(1)) {
            if first == last {
                self.fault(format!("{last}: the record is missing"));
            } else {
                self.fault(format!("{first}: the records to {last} are missing"));
            }
        }
    }

    fn has_lost(&self) -> bool {
        self.salvaged.as_ref().is_some_and(Salvage::has_lost)
    }

    /// Each chunk with all its columns, group by group: behind a bad page of one group the others are read still.
    fn chunks(&mut self) {
        let mut work = (Decoder::default(), Block::default());
        for group in 0..self.view.catalogue.groups().max(1) {
            let range = chunk::key(group, Timestamp::MIN, 0)..=chunk::key(group, Timestamp::MAX, u64::MAX);
            for item in self.trees.chunk.range(range) {
                match item {
                    Ok((key, value)) => {
                        let Err(fault) = self.chunk(&key, &value, &mut work) else { continue };
                        // It may have gone, or another have come in its place.
                        match self.trees.chunk.get(&key) {
                            Ok(None) => {}
                            Ok(Some(value)) => {
                                if let Err(fault) = self.chunk(&key, &value, &mut work) {
                                    self.damage(fault);
                                }
                            }
                            Err(_) => self.damage(fault),
                        }
                    }
                    Err(error) => {
                        // sled gives the same error for ever.
                        self.damage(format!("chunks of group {group} cannot be read: {error}"));
                        break;
                    }
                }
            }
        }
    }

    fn chunk(
        &mut self,
        key: &[u8],
        value: &[u8],
        (decoder, block): &mut (Decoder, Block),
    ) -> Result<(), String> {
        let place = || {
            chunk::parse_key(key).map_or_else(
                || "a chunk of unknown place".to_owned(),
                |(group, first, seq)| {
                    format!("chunk {} of group {group} from {}", seq & !chunk::IMPORTED, first.rfc3339())
                },
            )
        };
        let (header, body) = Header::read(value).map_err(|error| format!("{}: {error}", place()))?;
        if !self.view.shows(&header) {
            return Ok(());
        }
        if header.key() != key {
            return Err(format!("{}: lies in the place of another", place()));
        }
        let wanted: Vec<Wanted> =
            header.columns.iter().map(|column| Wanted::new(column.id, column.id)).collect();
        for column in &header.columns {
            if self.group(column.id) != Some(header.group) {
                return Err(format!("{}: series {} is not of its group", place(), column.id));
            }
        }
        let decode = |decoder: &mut Decoder, block: &mut Block| {
            decoder.times(&header, body, block)?;
            decoder.seqs(&header, body, block)?;
            decoder.columns(&header, body, &wanted, block)
        };
        decode(decoder, block).map_err(|error| format!("{}: {error}", place()))?;
        let mut cells = Vec::new();
        while block.head().is_some() {
            block.take(&mut cells);
        }
        let told: usize = header.columns.iter().map(|column| usize::from(column.present)).sum();
        if cells.len() != told || cells.iter().any(|(_, value)| !value.is_finite()) {
            return Err(format!("{}: has {} values where {told} are told", place(), cells.len()));
        }
        let is_ordered = self.trees.order.get(chunk::order_key(header.group, header.first_seq));
        if header.origin == Origin::Live && !matches!(is_ordered, Ok(Some(_))) {
            return Err(format!("{}: is not found by its number", place()));
        }
        self.found.samples += u64::try_from(told).unwrap_or(0);
        Ok(())
    }

    /// Sheets of roll-ups with all their columns; those of a lane follow one another.
    fn rollups(&mut self) {
        let mut sheet = Sheet::default();
        for lane in rollup::lanes(&self.view.catalogue) {
            let range = rollup::key(lane, Timestamp::MIN)..=rollup::key(lane, Timestamp::MAX);
            let mut before: Option<Timestamp> = None;
            for item in self.trees.rollup.range(range) {
                let read = match item {
                    Ok((key, value)) => self.rollup(&key, &value, &mut sheet),
                    Err(error) => {
                        // As above.
                        self.damage(format!(
                            "roll-ups of group {} cannot be read: {error}",
                            lane / rollup::LANES
                        ));
                        break;
                    }
                };
                match read {
                    Ok(head) => {
                        if before.is_some_and(|before| head.first <= before) && self.is_over(&head) {
                            self.fault(format!("{} lie over those before", head.place()));
                        }
                        before = Some(head.last);
                    }
                    Err(fault) => self.damage(fault),
                }
            }
        }
    }

    /// Whether a sheet lies over the one before it, as they are by now.
    fn is_over(&self, head: &rollup::Head) -> bool {
        let begin = rollup::key(head.lane, Timestamp::MIN);
        let before = self.trees.rollup.range(begin..head.key()).next_back();
        let Some(Ok((_, before))) = before else { return false };
        let is_there = matches!(self.trees.rollup.contains_key(head.key()), Ok(true));
        is_there && rollup::Head::read(&before).is_ok_and(|(before, _)| before.last >= head.first)
    }

    /// The group of a series; one that has come since the check began is in no catalogue of then.
    fn group(&self, id: u32) -> Option<u16> {
        if let Some(entry) = self.view.catalogue.entry(id) {
            return Some(entry.group);
        }
        let value = self.trees.meta.get(Catalogue::key(id)).ok()??;
        codec::decode::<Entry>(&value).ok().map(|entry| entry.group)
    }

    fn rollup(&self, key: &[u8], value: &[u8], sheet: &mut Sheet) -> Result<rollup::Head, Error> {
        let (head, body) = rollup::Head::read(value)?;
        let is_member = |column: &rollup::Column| {
            self.group(column.id).is_some_and(|group| rollup::lane(group, column.id) == head.lane)
        };
        if head.key() != key || !head.columns.iter().all(is_member) {
            return Err(Error::damaged(format!("{} lie in the place of others", head.place())));
        }
        let wanted: Vec<Wanted> =
            head.columns.iter().map(|column| Wanted::new(column.id, column.id)).collect();
        sheet.open(&head, body, &wanted)?;
        Ok(head)
    }

    /// The state that answers are given from must be what the records give, folded anew.
    fn state(&mut self, reader: &Reader, state: &State) {
        if self.salvaged.is_some() {
            // It knows more than what is left of the log: names of series, if nothing else.
            return;
        }
        match fold::fold(reader, Some(state.seq)) {
            Ok(folded) if folded == *state => {}
            Ok(_) => {
                self.fault(format!("{}: the state is not what the records up to here give", state.seq.get()))
            }
            // The walk over the records tells what cannot be read.
            Err(_) => {}
        }
    }

    /// Each entry of the order has its chunk, and those of a group follow one another.
    fn order(&mut self) {
        let mut before: Option<(u16, u64)> = None;
        for item in &self.trees.order {
            let (key, value) = match item {
                Ok(pair) => pair,
                Err(error) => {
                    self.damage(format!("the order of chunks cannot be read: {error}"));
                    return;
                }
            };
            let place = chunk::parse_order_key(&key).zip(value.first_chunk::<8>());
            let Some(((group, seq), first)) = place else {
                self.damage("the order of chunks has an entry of no known form");
                continue;
            };
            let first = Timestamp::from_ms(i64::from_be_bytes(*first));
            let found = self.trees.chunk.get(chunk::key(group, first, seq));
            if let Ok(Some(chunk)) = found {
                if before.is_some_and(|(other, last)| other == group && seq <= last) {
                    self.fault(format!(
                        "{seq}: the chunk of group {group} that begins with it lies over another"
                    ));
                }
                // One that does not read back is told with the chunks.
                before = Header::read(&chunk).ok().map(|(header, _)| (group, header.last_seq));
            } else if matches!(self.trees.order.get(&key), Ok(Some(_))) {
                self.damage(format!("{seq}: the chunk of group {group} that begins with it is missing"));
            }
        }
    }

    /// Each record that is no sample; everything about an alert must be about one that fired.
    fn events(&mut self, mut events: Events) {
        let mut fired = HashSet::new();
        while let Some((seq, read)) = events.next_numbered() {
            let number = seq.map_or(0, Seq::get);
            let record = match read {
                Ok(Some(record)) => record,
                Ok(None) => continue,
                Err(error) if seq.is_none() => {
                    self.damage(error);
                    continue;
                }
                Err(error) => match self.reader.event(Seq::new(number)) {
                    Ok(Some(record)) => record,
                    // It was pruned as it was read.
                    Ok(None) => continue,
                    Err(_) => {
                        self.damage(format!("{number}: {error}"));
                        continue;
                    }
                },
            };
            #[expect(clippy::wildcard_enum_match_arm, reason = "only what is about alerts is looked at")]
            match record.event {
                Event::AlertFired(alert) if !fired.insert(alert.id) => {
                    self.fault(format!("{number}: alert {} fired twice", alert.id));
                }
                Event::AlertRepeated { id, .. }
                | Event::AlertAcknowledged { id, .. }
                | Event::AlertResolved { id, .. }
                    if !fired.contains(&id) && !self.has_lost() =>
                {
                    self.fault(format!("{number}: is about alert {id}, which never fired"));
                }
                _ => {}
            }
        }
        self.found.alerts = u64::try_from(fired.len()).unwrap_or(u64::MAX);
    }

    /// Walks the records as a fold does, up to a number; none may be missing.
    fn records(&mut self, newest: Seq) {
        // Folding costs far more than reading, so it is done only where there is an alert to be judged.
        let mut again = (self.found.alerts > 0).then(|| Again::new(self.view.pruned));
        let (mut before, mut failed) = (Seq::ZERO, None);
        // What is pruned or joined as it is read stops the walk; it stops at the same place again if it is damaged.
        while let Err(error) = self.walk(&mut before, newest, again.as_mut()) {
            if failed.replace(before) == Some(before) {
                let from = before.next().get();
                return self.damage(format!("{from}: the records from here on cannot be folded: {error}"));
            }
        }
        self.passed(before, newest.next());
    }

    /// Walks the records behind a number.
    fn walk(&mut self, before: &mut Seq, newest: Seq, mut again: Option<&mut Again>) -> Result<(), Error> {
        for record in self.reader.records(*before)? {
            let record = record?;
            let seq = record.seq;
            if seq > newest {
                break;
            }
            self.passed(*before, seq);
            self.found.records += 1;
            *before = seq;
            let may_differ = may_differ(self.salvaged.as_ref(), seq, record.at);
            match again.as_mut().and_then(|again| again.take(record)) {
                Some(true) => self.found.recomputed += 1,
                Some(false) if may_differ => {}
                Some(false) => self.fault(format!("{}: this alert does not come out again", seq.get())),
                None => {}
            }
        }
        Ok(())
    }

    /// Looks whether records between two are missing without a reason, as far as is known by now.
    fn passed(&mut self, before: Seq, next: Seq) {
        if before.next() < next
            && let Some(first) = Gone::read(self.trees).first_missing(before, next)
        {
            self.missing(first, next);
        }
    }
}

/// Numbers whose records are gone for a reason: pruned, or thinned out.
struct Gone {
    /// First and last number of each span, ascending.
    spans: Vec<(Seq, Seq)>,
}

impl Gone {
    fn read(trees: &Trees) -> Self {
        // What does not read back excuses nothing.
        let pruned = (Seq::ZERO, Pruned::read(trees).unwrap_or_default().seq);
        let thinned = retention::thinned(trees).unwrap_or_default();
        Self { spans: std::iter::once(pruned).chain(thinned).collect() }
    }

    /// The first number between two that is missing without a reason.
    fn first_missing(&self, before: Seq, next: Seq) -> Option<Seq> {
        let mut at = before.next();
        for (first, last) in &self.spans {
            if *first <= at && at <= *last {
                at = last.next();
            }
        }
        (at < next).then_some(at)
    }
}

/// Whether an alert need not come out again, because samples that it was judged by may be lost.
fn may_differ(salvaged: Option<&Salvage>, seq: Seq, at: Timestamp) -> bool {
    salvaged.is_some_and(|salvage| {
        salvage.has_lost() && (seq <= salvage.newest || at.since(salvage.at) <= limits::WINDOW_AGE)
    })
}
