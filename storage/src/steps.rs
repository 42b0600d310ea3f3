//! What the writer changes while somebody copies the log.
//!
//! Each step of the writer is one guarded write. A copy that reads all trees meanwhile is told the keys that were
//! written, reads them again, and holds the last few steps off for a moment to read the rest. What it then has is
//! each tree as it was between two steps, however the trees hang together: as a kill at that moment would leave it.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::store::Place;

/// A key of a tree.
pub(crate) type Key = (Place, Vec<u8>);

/// The writer's steps.
#[derive(Default)]
pub(crate) struct Steps(Mutex<Option<BTreeSet<Key>>>);

/// A step that is being written: no other one and no end of a copy comes between.
pub(crate) struct Step<'a>(MutexGuard<'a, Option<BTreeSet<Key>>>);

/// A copy that is told what is written; until it is dropped.
pub(crate) struct Watch<'a>(&'a Steps);

impl Steps {
    /// Begins to write a step.
    pub(crate) fn begin(&self) -> Step<'_> {
        Step(self.lock())
    }

    /// Begins to note what is written; `None` while another copy is made.
    pub(crate) fn watch(&self) -> Option<Watch<'_>> {
        let mut touched = self.lock();
        if touched.is_some() {
            return None;
        }
        *touched = Some(BTreeSet::new());
        Some(Watch(self))
    }

    fn lock(&self) -> MutexGuard<'_, Option<BTreeSet<Key>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Step<'_> {
    /// Notes keys of this step, before or after they are written: who asks for them waits for its end.
    pub(crate) fn touch<'k>(&mut self, keys: impl Iterator<Item = (Place, &'k [u8])>) {
        if let Some(touched) = self.0.as_mut() {
            touched.extend(keys.map(|(place, key)| (place, key.to_vec())));
        }
    }
}

impl Watch<'_> {
    /// Whether more keys than so many wait to be read again.
    pub(crate) fn is_more(&self, keys: usize) -> bool {
        self.0.lock().as_ref().is_some_and(|touched| touched.len() > keys)
    }

    /// The keys written since the last time, by whole steps; read again afterwards they are as new or newer.
    pub(crate) fn take(&self) -> BTreeSet<Key> {
        self.0.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Holds the writer off while something reads the keys written since the last time.
    pub(crate) fn hold<T>(&self, read: impl FnOnce(BTreeSet<Key>) -> T) -> T {
        let mut touched = self.0.lock();
        read(touched.as_mut().map(std::mem::take).unwrap_or_default())
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}
