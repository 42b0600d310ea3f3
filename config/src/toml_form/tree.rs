//! A TOML text as a tree with places, as much of it as can be read.

use toml::de::DeTable;

/// A TOML text as a tree with places, and what could not be read of it.
pub(crate) struct Tree<'t> {
    root: DeTable<'t>,
    faults: Vec<Fault>,
}

/// A place that could not be read.
pub(super) struct Fault {
    /// Where it was noticed, in bytes.
    pub(super) offset: usize,
    /// What the parser says of it.
    pub(super) message: String,
}

impl<'t> Tree<'t> {
    /// Reads all that can be read.
    pub(crate) fn parse(text: &'t str) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        let faults = errors.iter().map(|error| Fault {
            offset: error.span().map_or(text.len(), |span| span.start),
            message: error.message().to_owned(),
        });
        let mut faults: Vec<Fault> = faults.collect();
        faults.sort_by_key(|fault| fault.offset);
        Self { root: root.into_inner(), faults }
    }

    /// The unnamed table that holds all.
    pub(crate) const fn root(&self) -> &DeTable<'t> {
        &self.root
    }

    /// Whether the whole text is TOML.
    pub(crate) const fn is_whole(&self) -> bool {
        self.faults.is_empty()
    }

    /// What could not be read, in order of place.
    pub(super) fn faults(&self) -> &[Fault] {
        &self.faults
    }
}
