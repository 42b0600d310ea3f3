//! What a scan may show: a consistent cut through a log that is being written.
//!
//! The order of the steps in [`View::take`] is the point. A tick is in the ring until it is sealed, and only then
//! may its slot be overwritten. So: first the durable number, then the ring, then the watermark, then chunks. A
//! tick missed in the ring was sealed before the watermark was read; one that was sealed later is in what the
//! ring gave. Ring ticks up to the watermark and chunks beyond it are left out, and so every tick comes once.

use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};
use systembot_model::Seq;

use crate::{
    catalogue::Catalogue,
    chunk::{Header, Origin},
    codec,
    error::Error,
    hot::{self, Tick},
    retention::Pruned,
    series::Totals,
    store::{self, Trees},
};

/// The newest tick that chunks have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sealed {
    /// Its record number.
    pub(crate) seq: Seq,
    /// One more than its tick number.
    pub(crate) ticks: u64,
}

impl Sealed {
    /// Its key in the meta tree.
    pub(crate) const KEY: &'static [u8] = b"sealed";

    /// Reads it; everything is unsealed in a new log.
    pub(crate) fn read(trees: &Trees) -> Result<Self, Error> {
        let value = trees.meta.get(Self::KEY).map_err(|error| store::failure("meta".as_ref(), error))?;
        value.map_or(Ok(Self::default()), |value| {
            codec::decode(&value).map_err(Error::reading(|| "the watermark".into()))
        })
    }
}

/// What the writer tells its readers.
#[derive(Default)]
pub(crate) struct Shared {
    /// Number of the newest durable record.
    durable: AtomicU64,
    /// One more than the number of the newest durable imported tick, its mark left out.
    imported: AtomicU64,
    catalogue: RwLock<Arc<Catalogue>>,
    /// Sums over the chunks, once somebody has asked for them.
    totals: Mutex<Option<Totals>>,
    /// First and last number of records that were there once, see [`crate::Log::lost`].
    lost: OnceLock<(Seq, Seq)>,
    /// Samples and series as of a moment at which the log could be read, kept for when it cannot.
    counts: Mutex<Option<(u64, u64)>>,
}

impl Shared {
    /// Shows what is durable now. The catalogue goes first: names are known before anything that has them is seen.
    pub(crate) fn publish(&self, catalogue: &Arc<Catalogue>, durable: Seq, imported: u64) {
        *self.catalogue.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(catalogue);
        self.imported.store(imported, Ordering::Release);
        self.durable.store(durable.get(), Ordering::Release);
    }

    /// Keeps what was found missing when the log was opened.
    pub(crate) fn lose(&self, first: Seq, last: Seq) {
        self.lost.get_or_init(|| (first, last));
    }

    /// What was found missing when the log was opened.
    pub(crate) fn lost(&self) -> Option<(Seq, Seq)> {
        self.lost.get().copied()
    }

    /// Number of the newest record that may be shown.
    pub(crate) fn durable(&self) -> Seq {
        Seq::new(self.durable.load(Ordering::Acquire))
    }

    /// Imported ticks that may be shown.
    pub(crate) fn imported(&self) -> u64 {
        self.imported.load(Ordering::Acquire)
    }

    /// All series that anything durable has.
    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has the sums counted anew when they are asked for next.
    pub(crate) fn forget_totals(&self) {
        self.totals().take();
    }

    /// Keeps samples and series for when the log cannot be read.
    pub(crate) fn keep_counts(&self, counts: Option<(u64, u64)>) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }

    /// Samples and series as they were kept.
    pub(crate) fn kept_counts(&self) -> Option<(u64, u64)> {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sums, if they are known.
    pub(crate) fn totals(&self) -> MutexGuard<'_, Option<Totals>> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One cut.
pub(crate) struct View {
    pub(crate) catalogue: Arc<Catalogue>,
    /// Newest record shown.
    pub(crate) durable: Seq,
    pub(crate) sealed: Seq,
    pub(crate) imported: u64,
    /// Ticks up to this number are records no more.
    pub(crate) pruned: Seq,
    /// Ticks that are in no chunk shown, in order of number.
    pub(crate) hot: Vec<Tick>,
}

impl View {
    pub(crate) fn take(trees: &Trees, shared: &Shared) -> Result<Self, Error> {
        let durable = shared.durable();
        let imported = shared.imported();
        let already = Sealed::read(trees)?.seq;
        let mut hot = hot::read(trees, already, durable)?;
        let sealed = Sealed::read(trees)?.seq;
        hot.retain(|tick| tick.seq > sealed);
        // Chunks may have come to hold more than was durable at first; what is sealed is durable too.
        let durable = durable.max(sealed);
        let pruned = Pruned::read(trees)?.seq;
        // After the durable number: whatever is shown has its name here.
        Ok(Self { catalogue: shared.catalogue(), durable, sealed, imported, pruned, hot })
    }

    /// Whether a chunk is shown.
    pub(crate) fn shows(&self, header: &Header) -> bool {
        match header.origin {
            Origin::Live => header.last_seq <= self.sealed.get(),
            Origin::Imported => header.last_seq & !crate::chunk::IMPORTED < self.imported,
        }
    }
}
