//! Reading the log from any thread, while it is being written.

use std::{path::PathBuf, sync::Arc};

use systembot_model::{Record, Seq, Timestamp};

use crate::{
    catalogue::SERIES_MAX,
    chunk::{self, Header, Wanted, rollup},
    error::Error,
    event::{self, EventFilter, Events},
    log::ROLLED_KEY,
    query::SeriesInfo,
    salvage::{self, Salvage},
    scan::{Query, Records, Scan},
    scrub::{self, Scrubbed},
    series::Totals,
    store::{self, Trees},
    view::{Shared, View},
};

/// Reads the log; cheap to clone and to send.
///
/// Only what is durable is ever shown: what was seen once survives a kill. A reader keeps the log's lock as the
/// [`crate::Log`] does, so all of them must be dropped before the log can be opened again.
#[derive(Clone)]
pub struct Reader {
    dir: Arc<PathBuf>,
    /// None while the log cannot be opened.
    trees: Option<Trees>,
    shared: Arc<Shared>,
}

/// The first span that [`Reader::tail`] reads.
const TAIL_MS: i64 = 3_600_000;

/// Where the end of a choice begins.
pub(crate) struct Tail {
    /// The moment it begins at.
    pub(crate) since: Timestamp,
    /// Samples from there on.
    pub(crate) rows: usize,
}

impl Reader {
    pub(crate) fn new(dir: PathBuf, trees: Option<Trees>, shared: Arc<Shared>) -> Self {
        Self { dir: Arc::new(dir), trees, shared }
    }

    /// Number of the newest record that is shown.
    #[must_use]
    pub fn newest(&self) -> Seq {
        self.shared.durable()
    }

    /// The log's directory, `<data-dir>/log`.
    #[must_use]
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// Samples in order of time, imported ones too.
    ///
    /// # Errors
    /// [`Error::Damaged`] where something does not read back.
    pub fn scan(&self, query: &Query) -> Result<Scan, Error> {
        Scan::start(self.trees()?, self.view()?, query)
    }

    /// All records after a number, in order of number: what a state is folded from.
    ///
    /// # Errors
    /// [`Error::Damaged`] where something does not read back.
    pub fn records(&self, after: Seq) -> Result<Records, Error> {
        let view = self.view()?;
        let wanted: Vec<Wanted> =
            view.catalogue.entries().iter().map(|entry| Wanted::new(entry.id, entry.id)).collect();
        Records::start(self.trees()?, view, after, &wanted)
    }

    /// Records that are no samples, in order of number; from the newest by [`Iterator::rev`].
    ///
    /// # Errors
    /// [`Error::Failed`] while the log cannot be opened; those of reading come from the iterator.
    pub fn events(&self, filter: EventFilter) -> Result<Events, Error> {
        Ok(Events::start(self.trees()?, filter, self.shared.durable()))
    }

    /// The record of a number, if there is one and it is no sample.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it does not read back.
    pub fn event(&self, seq: Seq) -> Result<Option<Record>, Error> {
        if seq > self.shared.durable() {
            return Ok(None);
        }
        event::get(self.trees()?, seq)
    }

    /// Every series that has samples, in order of name.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a chunk's header does not read back.
    pub fn series(&self) -> Result<Vec<SeriesInfo>, Error> {
        let view = self.view()?;
        let totals = self.totals(&view)?;
        let mut infos: Vec<SeriesInfo> = view
            .catalogue
            .entries()
            .iter()
            .filter_map(|entry| {
                let total = totals.series.get(&entry.id)?;
                Some(SeriesInfo {
                    series: entry.series.clone(),
                    first: total.first,
                    last: total.last,
                    samples: total.samples,
                    bytes: total.bytes,
                })
            })
            .collect();
        infos.sort_unstable_by(|a, b| a.series.cmp(&b.series));
        Ok(infos)
    }

    /// Samples in the log: values, not ticks.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a chunk's header does not read back.
    pub fn samples(&self) -> Result<u64, Error> {
        self.counts().map(|(samples, _)| samples)
    }

    /// Samples and series in the log; while it cannot be opened, as they were then.
    pub(crate) fn counts(&self) -> Result<(u64, u64), Error> {
        if let (None, Some(kept)) = (&self.trees, self.shared.kept_counts()) {
            return Ok(kept);
        }
        let series = self.totals(&self.view()?)?.series;
        let samples = series.values().map(|total| total.samples).sum();
        Ok((samples, u64::try_from(series.len()).unwrap_or(u64::MAX)))
    }

    /// What the owner should know of a log that is in order, if there is anything: that it takes no new series.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let is_full = self.shared.catalogue().is_full();
        is_full.then(|| {
            format!("it has had {SERIES_MAX} series, as many as a log takes: new ones are not recorded")
        })
    }

    /// Size of the log's directory in bytes.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read.
    pub fn log_bytes(&self) -> Result<u64, Error> {
        store::directory_bytes(&self.dir).map_err(|source| Error::Io { path: self.dir.to_path_buf(), source })
    }

    /// Where the newest `rows` samples of a choice begin.
    ///
    /// Read from the end in spans of time that double, so that what it costs depends on what is wanted and not on
    /// what there is. `align` gives the moment at or before another that a span may begin at.
    pub(crate) fn tail(
        &self,
        query: &Query,
        rows: usize,
        align: impl Fn(Timestamp) -> Timestamp,
    ) -> Result<Tail, Error> {
        let Some((first, last)) = self.span(&self.view()?, query)? else {
            return Ok(Tail { since: query.since, rows: 0 });
        };
        let since = query.since.max(align(first));
        let mut until = query.until.min(Timestamp::from_ms(last.as_ms().saturating_add(1)));
        let (mut found, mut span_ms) = (0, TAIL_MS);
        while until > since && found < rows {
            let begin = align(Timestamp::from_ms(until.as_ms().saturating_sub(span_ms))).max(since);
            let mut scan = self.scan(&Query { choice: query.choice.clone(), since: begin, until })?;
            while let Some(tick) = scan.next_tick()? {
                found += tick.readings.len();
            }
            until = begin;
            span_ms = span_ms.saturating_mul(2);
        }
        Ok(Tail { since: until.max(query.since), rows: found })
    }

    /// Records that were there once, see [`crate::Log::lost`].
    pub(crate) fn lost(&self) -> Option<(Seq, Seq)> {
        self.shared.lost()
    }

    /// The newest salvage that the log has been through.
    ///
    /// # Errors
    /// [`Error::Failed`] while the log cannot be opened.
    pub fn salvaged(&self) -> Result<Option<Salvage>, Error> {
        Ok(salvage::newest(self.trees()?))
    }

    /// Reads some of the log and checks that it is as it was written; gives where to go on, `None` at the end.
    ///
    /// # Errors
    /// [`Error::Damaged`] where something is not.
    pub fn scrub(&self, from: Scrubbed) -> Result<Option<Scrubbed>, Error> {
        scrub::scrub(self.trees()?, from)
    }

    /// A cut through the log as it is now.
    pub(crate) fn view(&self) -> Result<View, Error> {
        View::take(self.trees()?, &self.shared)
    }

    /// The trees, for what reads them in ways of its own.
    pub(crate) fn trees(&self) -> Result<&Trees, Error> {
        self.trees.as_ref().ok_or_else(|| Error::Failed { dir: self.dir.to_path_buf() })
    }

    /// Sums over everything in a cut.
    pub(crate) fn totals(&self, view: &View) -> Result<Totals, Error> {
        let known = self.shared.totals().clone();
        let fits = |t: &Totals| t.sealed == view.sealed && t.imported == view.imported;
        let mut totals = match known.filter(fits) {
            Some(totals) => totals,
            None => {
                // Not under the lock: the writer must not wait for it.
                let totals = Totals::count(self.trees()?, view)?;
                let mut known = self.shared.totals();
                if known.as_ref().is_none_or(|t| t.sealed <= totals.sealed && t.imported <= totals.imported) {
                    *known = Some(totals.clone());
                }
                totals
            }
        };
        totals.add_hot(&view.hot);
        Ok(totals)
    }

    /// Whether everything sealed is in the roll-ups.
    pub(crate) fn is_rolled_up(&self) -> Result<bool, Error> {
        let found = self.trees()?.meta.contains_key(ROLLED_KEY);
        found.map_err(|error| store::failure("meta".as_ref(), error))
    }

    /// The first moment that has roll-ups of the lanes that have these series, and one at or after the last.
    pub(crate) fn rolled_since(
        &self,
        view: &View,
        query: &Query,
    ) -> Result<Option<(Timestamp, Timestamp)>, Error> {
        let mut span: Option<(Timestamp, Timestamp)> = None;
        let chosen = view.catalogue.entries().iter().filter(|entry| query.takes(&entry.series));
        let lanes: std::collections::BTreeSet<u16> =
            chosen.map(|entry| rollup::lane(entry.group, entry.id)).collect();
        for lane in lanes {
            let range = rollup::key(lane, Timestamp::MIN)..=rollup::key(lane, Timestamp::MAX);
            let mut sheets = self.trees()?.rollup.range(range);
            let broken = |error| store::failure("rollup".as_ref(), error);
            let Some((_, first)) = sheets.next().transpose().map_err(broken)? else { continue };
            let (first, _) = rollup::Head::read(&first)?;
            let last = match sheets.next_back().transpose().map_err(broken)? {
                Some((_, last)) => rollup::Head::read(&last)?.0.last,
                None => first.last,
            };
            let last = Timestamp::from_ms(last.as_ms().saturating_add(rollup::STEP_MS));
            span = Some(span.map_or((first.first, last), |(a, b)| (a.min(first.first), b.max(last))));
        }
        Ok(span)
    }

    /// Where the groups that have these series have sealed samples that a query takes: spans from the first to the last
    /// of chunks that follow one another, in no order.
    pub(crate) fn sampled(&self, view: &View, query: &Query) -> Result<Vec<(Timestamp, Timestamp)>, Error> {
        let broken = |error| store::failure("chunk".as_ref(), error);
        let early = Timestamp::from_ms(query.since.as_ms().saturating_sub(chunk::SPAN_MS));
        let mut spans = Vec::new();
        for group in groups(view, query) {
            let mut newest: Option<(Timestamp, sled::IVec)> = None;
            let mut begin = None;
            let mut keys = self.trees()?.chunk.range(chunk::key_range(group, early, query.until)).keys();
            loop {
                let key = keys.next().transpose().map_err(broken)?;
                let first = key.as_ref().and_then(|key| chunk::parse_key(key)).map(|(_, first, _)| first);
                if let Some((before, key)) = newest.take()
                    && first.is_none_or(|first| first.as_ms() > before.as_ms().saturating_add(chunk::SPAN_MS))
                {
                    // Only here it matters where it ends.
                    let value = self.trees()?.chunk.get(&key).map_err(broken)?;
                    let header =
                        value.map(|value| Header::read(&value).map(|(header, _)| header)).transpose()?;
                    spans.extend(begin.take().zip(header.map(|header| header.last)));
                }
                let Some((first, key)) = first.zip(key) else { break };
                begin.get_or_insert(first);
                newest = Some((first, key));
            }
        }
        Ok(spans)
    }

    /// A moment at or before the first sample and one at or after the last, of the groups that have these series.
    pub(crate) fn span(&self, view: &View, query: &Query) -> Result<Option<(Timestamp, Timestamp)>, Error> {
        let mut span: Option<(Timestamp, Timestamp)> = None;
        let mut widen = |first: Timestamp, last: Timestamp| {
            span = Some(span.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
        };
        for group in groups(view, query) {
            let mut keys =
                self.trees()?.chunk.range(chunk::key_range(group, Timestamp::MIN, Timestamp::MAX)).keys();
            let broken = |error| store::failure("chunk".as_ref(), error);
            let moment = |key: &[u8]| chunk::parse_key(key).map(|(_, first, _)| first);
            let first = keys.next().transpose().map_err(broken)?.and_then(|key| moment(&key));
            let last = keys.next_back().transpose().map_err(broken)?.and_then(|key| moment(&key));
            if let Some(first) = first {
                let last = last.unwrap_or(first).as_ms().saturating_add(chunk::SPAN_MS);
                widen(first, Timestamp::from_ms(last));
            }
        }
        for tick in &view.hot {
            if tick
                .cells
                .iter()
                .any(|(id, _)| view.catalogue.entry(*id).is_some_and(|e| query.takes(&e.series)))
            {
                widen(tick.at, tick.at);
            }
        }
        Ok(span)
    }
}

/// The groups that have the series of a query.
fn groups(view: &View, query: &Query) -> Vec<u16> {
    let chosen = view.catalogue.entries().iter().filter(|entry| query.takes(&entry.series));
    let mut groups: Vec<u16> = chosen.map(|entry| entry.group).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}
