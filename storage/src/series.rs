//! The series in the log, summed up from chunk headers and the ring: nothing is decoded for it but, where a
//! series came late or left early, the times of its first and last chunk.

use std::collections::HashMap;

use systembot_model::{Seq, Timestamp};

use crate::{
    chunk::{Block, Decoder, Header, IMPORTED, Origin},
    error::Error,
    hot::Tick,
    store::{self, Trees},
    view::View,
};

/// What the log has of one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) samples: u64,
    pub(crate) bytes: u64,
}

/// What the chunks have of every series, up to a watermark. Kept between questions and carried on by the writer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    /// Chunks counted: live ones up to this number, and so many imported ticks.
    pub(crate) sealed: Seq,
    pub(crate) imported: u64,
    pub(crate) series: HashMap<u32, Total>,
}

impl Totals {
    /// Counts all chunks of a cut.
    pub(crate) fn count(trees: &Trees, view: &View) -> Result<Self, Error> {
        let mut totals = Self { sealed: view.sealed, imported: view.imported, series: HashMap::new() };
        let mut work = (Decoder::default(), Block::default());
        for item in &trees.chunk {
            let (_, chunk) = item.map_err(|error| store::failure("chunk".as_ref(), error))?;
            let (header, body) = Header::read(&chunk)?;
            if view.shows(&header) {
                totals.add(&header, body, &mut work)?;
            }
        }
        Ok(totals)
    }

    /// Counts one chunk more.
    pub(crate) fn add(
        &mut self,
        header: &Header,
        body: &[u8],
        (decoder, block): &mut (Decoder, Block),
    ) -> Result<(), Error> {
        let columns = u64::try_from(header.columns.len()).unwrap_or(u64::MAX).max(1);
        let own: u64 = header.columns.iter().map(|column| u64::from(column.bytes)).sum();
        let shared = u64::try_from(body.len()).unwrap_or(0).saturating_sub(own) / columns;
        let mut is_decoded = false;
        for column in &header.columns {
            let (mut first, mut last) = (header.first, header.last);
            if column.present < header.ticks {
                if !is_decoded {
                    decoder.times(header, body, block)?;
                    is_decoded = true;
                }
                (first, last) = decoder.presence(header, body, column, block)?;
            }
            let new = Total {
                first,
                last,
                samples: u64::from(column.present),
                bytes: u64::from(column.bytes).saturating_add(shared),
            };
            merge(self.series.entry(column.id).or_insert(Total { samples: 0, bytes: 0, ..new }), new);
        }
        match header.origin {
            Origin::Live => self.sealed = self.sealed.max(Seq::new(header.last_seq)),
            Origin::Imported => self.imported = self.imported.max((header.last_seq & !IMPORTED) + 1),
        }
        Ok(())
    }

    /// Counts what is in no chunk yet; a value costs its own eight bytes and its series' number there.
    pub(crate) fn add_hot(&mut self, ticks: &[Tick]) {
        for tick in ticks {
            for (id, _) in &tick.cells {
                let new = Total { first: tick.at, last: tick.at, samples: 1, bytes: 9 };
                merge(self.series.entry(*id).or_insert(Total { samples: 0, bytes: 0, ..new }), new);
            }
        }
    }
}

fn merge(total: &mut Total, new: Total) {
    total.first = total.first.min(new.first);
    total.last = total.last.max(new.last);
    total.samples += new.samples;
    total.bytes += new.bytes;
}
