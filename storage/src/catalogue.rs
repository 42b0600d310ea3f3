//! Which series there are: a number for each, given once and never to another.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use systembot_model::Series;

use crate::{codec, error::Error, store::Put};

/// Series in use whose columns share a chunk: their times are kept once, and a scan for one of them reads little more.
pub(crate) const GROUP_SERIES: usize = 10;
/// Series over the whole life of a log; each costs some 200 bytes of memory in daemon and readers.
pub(crate) const SERIES_MAX: usize = 65_536;

/// What is kept of a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its number.
    pub(crate) id: u32,
    /// Metric and label.
    pub(crate) series: Series,
    /// The unit's word when it was first seen; empty for plain numbers and unknown metrics.
    pub(crate) unit: String,
    /// Decimals that its source has, the first scale to try.
    pub(crate) decimals: u8,
    /// The chunks that its columns are in.
    pub(crate) group: u16,
}

/// All series, by number and by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalogue {
    entries: Vec<Entry>,
    ids: HashMap<Series, u32>,
    /// The series of each group, ascending by number.
    groups: Vec<Vec<u32>>,
}

impl Catalogue {
    /// Key of an entry in the meta tree.
    pub(crate) fn key(id: u32) -> Vec<u8> {
        let mut key = Self::PREFIX.to_vec();
        key.extend(id.to_be_bytes());
        key
    }

    /// What the keys of all entries begin with.
    pub(crate) const PREFIX: &'static [u8] = b"series/";

    /// Takes an entry as it was read; they come in order of number, without gaps.
    pub(crate) fn restore(&mut self, entry: Entry) -> Result<(), Error> {
        if usize::try_from(entry.id).ok() != Some(self.entries.len()) {
            return Err(Error::damaged(format!("catalogue entry {} is not the next one", entry.id)));
        }
        self.insert(entry);
        Ok(())
    }

    fn insert(&mut self, entry: Entry) {
        let group = usize::from(entry.group);
        if group >= self.groups.len() {
            self.groups.resize(group + 1, Vec::new());
        }
        if let Some(members) = self.groups.get_mut(group) {
            members.push(entry.id);
        }
        self.ids.insert(entry.series.clone(), entry.id);
        self.entries.push(entry);
    }

    /// Gives a new series its number, and what is to be written for it; `None` where there are too many.
    ///
    /// It takes the place of one that is in use no more, where a group has such a place: so series that come and go
    /// fill the groups there are, and what is left of a group never costs a chunk of its own.
    pub(crate) fn add(
        &mut self,
        series: &Series,
        is_in_use: impl Fn(u32) -> bool,
    ) -> Result<Option<(u32, Put)>, Error> {
        if self.is_full() {
            return Ok(None);
        }
        let known = series.known();
        let id = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let has_room = |members: &Vec<u32>| {
            members.iter().filter(|id| is_in_use(**id)).take(GROUP_SERIES).count() < GROUP_SERIES
        };
        let group = self.groups.iter().position(has_room).unwrap_or(self.groups.len());
        let Ok(group) = u16::try_from(group) else { return Ok(None) };
        let entry = Entry {
            id,
            series: series.clone(),
            unit: known.map_or_else(String::new, |metric| metric.unit.word().to_owned()),
            decimals: known.map_or(0, |metric| metric.decimals),
            group,
        };
        let value = codec::encode(&entry).map_err(Error::writing("a series name"))?;
        self.insert(entry);
        Ok(Some((id, Put::meta(Self::key(id), value))))
    }

    /// Whether no series can be added.
    pub(crate) const fn is_full(&self) -> bool {
        self.entries.len() >= SERIES_MAX
    }

    /// The number of a series.
    pub(crate) fn id(&self, series: &Series) -> Option<u32> {
        self.ids.get(series).copied()
    }

    /// The entry of a number.
    pub(crate) fn entry(&self, id: u32) -> Option<&Entry> {
        self.entries.get(usize::try_from(id).ok()?)
    }

    /// All entries, in order of number.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// One more than the highest group.
    pub(crate) fn groups(&self) -> u16 {
        u16::try_from(self.groups.len()).unwrap_or(u16::MAX)
    }

    /// The series of a group, ascending by number.
    pub(crate) fn members(&self, group: u16) -> &[u32] {
        self.groups.get(usize::from(group)).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use systembot_model::{Event, Sample, State, Timestamp};

    use super::*;
    use crate::{
        Log,
        query::{self, Request, Row},
        store::Store,
    };

    /// What the status warns of, and the series that a tick with these names kept.
    fn tick(log: &mut Log, at_ms: i64, names: &[&str]) -> (Option<String>, Vec<String>) {
        let mut sample = Sample::default();
        for name in names {
            sample.push(Series::new(name), 1.0);
        }
        let appended = log.append(Timestamp::from_ms(at_ms), vec![Event::Sampled(sample)]).unwrap();
        let Event::Sampled(sample) = &appended.records.first().unwrap().event else { panic!() };
        let kept = sample.readings.iter().map(|reading| reading.series.id().to_owned()).collect();
        let mut warning = None;
        query::answer(&log.reader(), &State::default(), &Request::Status, &mut |row| {
            if let Row::Status(status) = row {
                warning = status.warning;
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(warning, log.reader().warning());
        (warning, kept)
    }

    #[test]
    fn a_log_that_takes_no_new_series_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("log");
        drop(Log::open(&dir).unwrap());
        let store = loop {
            match Store::open(&dir) {
                // A thread of the database holds the lock a little longer.
                Err(Error::Locked { .. }) => std::thread::yield_now(),
                store => break store.unwrap(),
            }
        };
        let puts = (0..u32::try_from(SERIES_MAX).unwrap() - 1).map(|id| {
            let group = u16::try_from(id / 1_000).unwrap();
            let series = Series::new(&format!("s{id}"));
            let entry = Entry { id, series, unit: String::new(), decimals: 0, group };
            Put::meta(Catalogue::key(id), codec::encode(&entry).unwrap())
        });
        store.write(puts.collect()).unwrap();
        drop(store);
        let mut log = loop {
            match Log::open(&dir) {
                Err(Error::Locked { .. }) => std::thread::yield_now(),
                log => break log.unwrap(),
            }
        };
        assert_eq!(tick(&mut log, 1_000, &["s7"]), (None, vec!["s7".to_owned()]));
        let (warning, kept) = tick(&mut log, 2_000, &["new", "newer", "s7"]);
        assert_eq!(kept, ["new", "s7"]);
        let told = "it has had 65536 series, as many as a log takes: new ones are not recorded";
        assert_eq!(warning.as_deref(), Some(told));
    }
}
