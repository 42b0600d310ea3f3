//! Roll-ups of all lanes as one stream of rows.

use std::collections::BTreeMap;

use systembot_model::Timestamp;

use crate::{
    chunk::{
        Wanted,
        rollup::{self, Head, Rollup, Sheet},
    },
    error::Error,
    store::{self, Trees},
    view::View,
};

/// Rows of some series in order of time, each with its series by slot.
pub(crate) struct Rolled {
    cursors: Vec<Cursor>,
    readings: Vec<(u32, Rollup)>,
}

/// The sheets of one lane, opened when their turn comes.
struct Cursor {
    wanted: Vec<Wanted>,
    sheets: sled::Iter,
    open: Sheet,
    /// First moment wanted, and the one after the last.
    since: i64,
    until: i64,
}

/// The moment of a row, and its series by slot.
pub(crate) type Row<'a> = (Timestamp, &'a [(u32, Rollup)]);

impl Rolled {
    /// Rows that begin in `[since, until)`, of series in any order.
    pub(crate) fn start(
        trees: &Trees,
        view: &View,
        wanted: &[Wanted],
        (since, until): (Timestamp, Timestamp),
    ) -> Result<Self, Error> {
        let mut lanes: BTreeMap<u16, Vec<Wanted>> = BTreeMap::new();
        for series in wanted {
            let Some(entry) = view.catalogue.entry(series.id) else { continue };
            lanes.entry(rollup::lane(entry.group, entry.id)).or_default().push(*series);
        }
        let mut cursors = Vec::with_capacity(lanes.len());
        for (lane, mut wanted) in lanes {
            wanted.sort_unstable_by_key(|series| series.id);
            let from = rollup::key(lane, since);
            // The one before may reach beyond the first moment.
            let before = trees.rollup.range(rollup::key(lane, Timestamp::MIN)..=from.clone()).next_back();
            let from = before.transpose().map_err(broken)?.map_or(from, |(key, _)| key.to_vec());
            let end = rollup::key(lane, until).max(from.clone());
            let sheets = trees.rollup.range(from..end);
            let (since, until) = (since.as_ms(), until.as_ms());
            let mut cursor = Cursor { wanted, sheets, open: Sheet::default(), since, until };
            cursor.settle()?;
            cursors.push(cursor);
        }
        Ok(Self { cursors, readings: Vec::new() })
    }

    /// The next row that has any of the series: its moment, and what it has.
    pub(crate) fn next_row(&mut self) -> Result<Option<Row<'_>>, Error> {
        self.readings.clear();
        while self.readings.is_empty() {
            let heads = self.cursors.iter().filter_map(|cursor| cursor.open.head());
            let Some(head) = heads.min() else { return Ok(None) };
            for cursor in self.cursors.iter_mut().filter(|cursor| cursor.open.head() == Some(head)) {
                cursor.open.take(&mut self.readings);
                cursor.settle()?;
            }
            if !self.readings.is_empty() {
                self.readings.sort_unstable_by_key(|(slot, _)| *slot);
                return Ok(Some((Timestamp::from_ms(head), &self.readings)));
            }
        }
        Ok(None)
    }
}

impl Cursor {
    /// Opens the next sheet once the open one is read.
    fn settle(&mut self) -> Result<(), Error> {
        loop {
            match self.open.head() {
                Some(head) if head < self.until => return Ok(()),
                // Nothing behind it is wanted.
                Some(_) => {
                    self.open.close();
                    return Ok(());
                }
                None => {}
            }
            let Some(item) = self.sheets.next() else { return Ok(()) };
            let (_, sheet) = item.map_err(broken)?;
            let (head, body) = Head::read(&sheet)?;
            let is_wanted = |column: &rollup::Column| {
                self.wanted.binary_search_by_key(&column.id, |wanted| wanted.id).is_ok()
            };
            if head.last.as_ms() >= self.since && head.columns.iter().any(is_wanted) {
                self.open.open(&head, body, &self.wanted)?;
                self.open.skip_to(self.since);
            }
        }
    }
}

fn broken(error: sled::Error) -> Error {
    store::failure("rollup".as_ref(), error)
}
