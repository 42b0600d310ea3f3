//! Where each key's newest good value lies in the file.
//!
//! Every message of every segment counts, those that the database has given up too: an older copy of a page is as good
//! as a newer one for all that both hold, and may be all that is left. What was removed since is known by a newer page
//! that should have it and has not. In bytes that are no message single frames are looked for, and told by what they
//! hold.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use systembot_model::Record;

use super::{
    check::NUMBER_MAX,
    pages::{self, Fact, Message, Piece, SEGMENT_BYTES},
};
use crate::{
    catalogue,
    chunk::{Header, rollup},
    codec,
    codec::CodecError,
    error::Error,
    hot,
    store::VALUE_BYTES,
};

/// The trees that are told apart by name. What another one holds is not salvaged.
const TREES: [(&[u8], Kind); 6] = [
    (b"meta", Kind::Meta),
    (b"hot", Kind::Hot),
    (b"chunk", Kind::Chunk),
    (b"order", Kind::Order),
    (b"event", Kind::Event),
    (b"rollup", Kind::Rollup),
];
/// Pages that a search for a page's tree goes through; a tree is far less deep, its row of pages may be longer.
const STEPS: usize = 100_000;

/// What a key is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Meta,
    Hot,
    Chunk,
    Order,
    Event,
    Rollup,
    /// Of a tree that is not known.
    Foreign,
}

/// Where a value lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) lsn: u64,
    at: u64,
    bytes: usize,
    /// Whether it is a whole frame; a part of a record and an entry of the order are none.
    is_frame: bool,
}

/// A value that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    /// Whether it was removed later.
    pub(super) is_removed: bool,
}

/// Everything that was found in a file.
pub(super) struct Gathered {
    file: Option<File>,
    pub(super) keys: BTreeMap<(Kind, Vec<u8>), Entry>,
    /// Ticks of the ring by number and part: a slot's older ticks too.
    pub(super) ticks: BTreeMap<(u64, u16), Place>,
    /// Whether nothing newer than what was found can have been there.
    pub(super) is_whole_to_the_end: bool,
    /// Whether anything in the file is of the form that the database writes.
    pub(super) is_known_form: bool,
}

#[derive(Default)]
struct Walked {
    found: Found,
    /// Changes of single keys by page: what their keys begin with is known when all pages are.
    changes: HashMap<u64, Vec<Change>>,
    /// What all keys of a page began with, by page and position.
    prefixes: BTreeMap<(u64, u64), Vec<u8>>,
    ticks: BTreeMap<(u64, u16), Place>,
    /// The newest form of each page with values.
    leaves: HashMap<u64, Leaf>,
    roots: HashMap<u64, (u64, Kind)>,
    parents: HashMap<u64, (u64, u64)>,
    before: HashMap<u64, (u64, u64)>,
    newer: Option<String>,
}

/// Position, rest of the key, and the value, if it was not removed.
type Change = (u64, Vec<u8>, Option<Place>);

/// What a value is, and its key, where it tells that itself.
type Told = Option<(Kind, Vec<u8>)>;

/// Values by the page they are on (none outside of pages), what they are by what they hold, and key.
type Found = HashMap<(Option<u64>, Option<Kind>, Vec<u8>), Copies>;

#[derive(Default)]
struct Copies {
    frame: Option<Place>,
    other: Option<Place>,
    removed: u64,
}

impl Copies {
    fn add(&mut self, place: Place) {
        let kept = if place.is_frame { &mut self.frame } else { &mut self.other };
        keep_newer(kept.get_or_insert(place), place);
    }
}

struct Leaf {
    lsn: u64,
    lo: Vec<u8>,
    hi: Vec<u8>,
    keys: Vec<Vec<u8>>,
}

impl Gathered {
    /// Reads a database's file, if there is one.
    pub(super) fn read(path: &Path, progress: &mut dyn FnMut()) -> Result<Self, Error> {
        let at = |source| Error::Io { path: path.to_owned(), source };
        let mut gathered = Self {
            file: None,
            keys: BTreeMap::new(),
            ticks: BTreeMap::new(),
            is_whole_to_the_end: false,
            is_known_form: false,
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(gathered),
            Err(error) => return Err(at(error)),
        };
        let mut walked = Walked::default();
        let mut newest: Option<(u64, bool)> = None;
        let (mut is_broken, mut offset) = (false, 0_u64);
        let mut buffer = vec![0; SEGMENT_BYTES];
        loop {
            let filled = fill(&file, &mut buffer, offset).map_err(at)?;
            let bytes = buffer.get(..filled).unwrap_or_default();
            if bytes.is_empty() {
                break;
            }
            let base = bytes.as_ptr();
            let seen = pages::walk(bytes, &mut |piece| {
                // Where a slice of the segment lies in the file.
                let place =
                    |part: &[u8]| offset + u64::try_from(part.as_ptr().addr() - base.addr()).unwrap_or(0);
                match piece {
                    Piece::Message(message) => walked.take(message, &place),
                    Piece::Other { lsn, bytes } => walked.search(bytes, lsn, place(bytes)),
                }
            });
            gathered.is_known_form |= seen.number.is_some();
            is_broken |= seen.is_broken;
            // One that was never used has a position of its own.
            if let Some(number) = seen.number.filter(|number| *number < NUMBER_MAX)
                && newest.is_none_or(|(newest, _)| number > newest)
            {
                newest = Some((number, seen.ends_well));
            }
            offset += u64::try_from(filled).unwrap_or(0);
            progress();
        }
        if let Some(what) = walked.newer {
            return Err(Error::Newer { what });
        }
        // Where nothing bad is in the file, its end is missing.
        gathered.is_whole_to_the_end = is_broken && newest.is_some_and(|(_, ends_well)| ends_well);
        gathered.is_known_form |= !walked.found.is_empty() || !walked.ticks.is_empty();
        walked.resolve(&mut gathered);
        gathered.file = Some(file);
        Ok(gathered)
    }

    /// The bytes of a value.
    pub(super) fn value(&self, place: &Place) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; place.bytes];
        if let Some(file) = &self.file {
            file.read_exact_at(&mut bytes, place.at)?;
        }
        Ok(bytes)
    }

    /// The keys of one kind, with what was found.
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = (&[u8], &Entry)> {
        self.keys
            .range((kind, Vec::new())..)
            .take_while(move |((of, _), _)| *of == kind)
            .map(|((_, key), entry)| (key.as_slice(), entry))
    }
}

impl Walked {
    fn take(&mut self, Message { lsn, pid, fact }: Message<'_>, place: &dyn Fn(&[u8]) -> u64) {
        match fact {
            Fact::Roots(roots) => {
                for (name, pid) in roots {
                    let known = TREES.iter().find(|(known, _)| *known == name);
                    let kind = known.map_or(Kind::Foreign, |(_, kind)| *kind);
                    newer(&mut self.roots, pid, lsn, kind);
                }
            }
            Fact::Index { node, children } => {
                for child in children {
                    newer(&mut self.parents, child, lsn, pid);
                }
                if let Some(next) = node.next {
                    newer(&mut self.before, next, lsn, pid);
                }
            }
            Fact::Leaf { node, items } => {
                if let Some(next) = node.next {
                    newer(&mut self.before, next, lsn, pid);
                }
                self.prefixes.insert((pid, lsn), node.prefix.to_vec());
                for (key, value) in &items {
                    if let Some((kind, place)) = self.content(value, lsn, place(value)) {
                        let (kind, key) = kind.map_or((None, key.clone()), |(kind, key)| (Some(kind), key));
                        self.found.entry((Some(pid), kind, key)).or_default().add(place);
                    }
                }
                if self.leaves.get(&pid).is_none_or(|leaf| leaf.lsn < lsn) {
                    let keys = items.into_iter().map(|(key, _)| key).collect();
                    self.leaves.insert(pid, Leaf { lsn, lo: node.lo.to_vec(), hi: node.hi.to_vec(), keys });
                }
            }
            Fact::Set(key, value) => match self.content(value, lsn, place(value)) {
                Some((Some((kind, key)), place)) => {
                    self.found.entry((Some(pid), Some(kind), key)).or_default().add(place);
                }
                Some((None, place)) => {
                    self.changes.entry(pid).or_default().push((lsn, key.to_vec(), Some(place)));
                }
                None => {}
            },
            Fact::Removed(key) => self.changes.entry(pid).or_default().push((lsn, key.to_vec(), None)),
            Fact::Nothing => {}
        }
    }

    /// What a value is, and its key, if it tells that itself; `None` for a tick, which is taken by its number.
    fn content(&mut self, value: &[u8], lsn: u64, at: u64) -> Option<(Told, Place)> {
        let checked = codec::payload(value);
        let place = Place { lsn, at, bytes: value.len(), is_frame: checked.is_ok() };
        if let Err(CodecError::Version(_)) = checked
            && codec::is_later(value)
        {
            // The database holds it for whole, so it is meant as it is.
            self.newer.get_or_insert_with(|| "a value of the log".to_owned());
        }
        match checked.ok().and_then(|_| content(value)) {
            Some(Content::Tick(tick, part)) => {
                keep_newer(self.ticks.entry((tick, part)).or_insert(place), place);
                None
            }
            Some(Content::Key(kind, key)) => Some((Some((kind, key)), place)),
            None => Some((None, place)),
        }
    }

    /// Looks for frames in bytes that are no message.
    fn search(&mut self, bytes: &[u8], lsn: u64, at: u64) {
        let mut from = 0;
        while let Some(rest) = bytes.get(from..).filter(|rest| !rest.is_empty()) {
            let length = codec::frame_bytes(rest).ok().filter(|length| *length <= VALUE_BYTES);
            let frame =
                length.and_then(|length| rest.get(..length)).filter(|frame| codec::payload(frame).is_ok());
            let Some(frame) = frame else {
                from += 1;
                continue;
            };
            let told = u64::try_from(from).unwrap_or(0);
            let place = Place { lsn: lsn + told, at: at + told, bytes: frame.len(), is_frame: true };
            match content(frame) {
                Some(Content::Tick(tick, part)) => {
                    keep_newer(self.ticks.entry((tick, part)).or_insert(place), place);
                }
                Some(Content::Key(kind, key)) => {
                    self.found.entry((None, Some(kind), key)).or_default().add(place);
                }
                None => {}
            }
            from += frame.len();
        }
    }

    /// Puts the pages together to trees.
    fn resolve(mut self, gathered: &mut Gathered) {
        let mut known: HashMap<u64, Option<Kind>> = HashMap::new();
        let mut rows: BTreeMap<Kind, Vec<&Leaf>> = BTreeMap::new();
        for (pid, leaf) in &self.leaves {
            if let Some(kind) = self.tree_of(*pid, &mut known) {
                rows.entry(kind).or_default().push(leaf);
            }
        }
        rows.values_mut().for_each(|row| row.sort_unstable_by(|a, b| a.lo.cmp(&b.lo)));
        for (pid, changes) in std::mem::take(&mut self.changes) {
            for (lsn, key, place) in changes {
                let prefix = self.prefixes.range((pid, 0)..(pid, lsn)).next_back();
                let prefix = prefix.or_else(|| self.prefixes.range((pid, lsn)..=(pid, u64::MAX)).next());
                let key = [prefix.map(|(_, prefix)| prefix.as_slice()).unwrap_or_default(), &key].concat();
                let copies = self.found.entry((Some(pid), None, key)).or_default();
                match place {
                    Some(place) => copies.add(place),
                    None => copies.removed = copies.removed.max(lsn),
                }
            }
        }
        let mut removed: HashMap<(Kind, Vec<u8>), u64> = HashMap::new();
        for ((pid, content, key), copies) in &self.found {
            let tree = pid.and_then(|pid| self.tree_of(pid, &mut known));
            let kind = match (tree, content) {
                (Some(tree), Some(content)) if tree != *content => continue,
                (Some(tree), None) if !fits(tree, key) => continue,
                (tree, content) => tree.or(*content).or_else(|| shape(key)),
            };
            let Some(kind) = kind.filter(|kind| *kind != Kind::Foreign) else { continue };
            let name = (kind, key.clone());
            if copies.removed > 0 {
                let newest = removed.entry(name.clone()).or_default();
                *newest = copies.removed.max(*newest);
            }
            let place = if kind == Kind::Order { copies.other } else { copies.frame.or(copies.other) };
            let Some(place) = place else { continue };
            let entry = gathered.keys.entry(name).or_insert(Entry { place, is_removed: false });
            keep_better(&mut entry.place, place);
        }
        for (name, entry) in &mut gathered.keys {
            let lsn = entry.place.lsn;
            let row = rows.get(&name.0).map(Vec::as_slice).unwrap_or_default();
            entry.is_removed =
                removed.get(name).is_some_and(|removed| *removed > lsn) || is_missing(row, &name.1, lsn);
        }
        gathered.ticks = self.ticks;
    }

    /// The tree of a page: that of the page above it, or before it.
    fn tree_of(&self, pid: u64, known: &mut HashMap<u64, Option<Kind>>) -> Option<Kind> {
        let mut at = pid;
        let mut passed = Vec::new();
        let mut found = None;
        for _ in 0..STEPS {
            if let Some(kind) = known.get(&at) {
                found = *kind;
                break;
            }
            passed.push(at);
            // So that a circle ends.
            known.insert(at, None);
            if let Some((_, kind)) = self.roots.get(&at) {
                found = Some(*kind);
                break;
            }
            let Some((_, above)) = self.parents.get(&at).or_else(|| self.before.get(&at)) else { break };
            at = *above;
        }
        for pid in passed {
            known.insert(pid, found);
        }
        found
    }
}

/// Whether a page that is newer than a value should have its key, and has not.
fn is_missing(row: &[&Leaf], key: &[u8], lsn: u64) -> bool {
    let after = row.partition_point(|leaf| leaf.lo.as_slice() <= key);
    row.get(after.saturating_sub(4)..after).unwrap_or_default().iter().any(|leaf| {
        leaf.lsn > lsn
            && (leaf.hi.is_empty() || key < leaf.hi.as_slice())
            && leaf.keys.binary_search_by(|other| other.as_slice().cmp(key)).is_err()
    })
}

fn newer<T>(map: &mut HashMap<u64, (u64, T)>, key: u64, lsn: u64, value: T) {
    if map.get(&key).is_none_or(|(before, _)| *before <= lsn) {
        map.insert(key, (lsn, value));
    }
}

fn keep_newer(kept: &mut Place, place: Place) {
    if place.lsn > kept.lsn {
        *kept = place;
    }
}

/// A whole frame is better than none, and a newer one than an older.
fn keep_better(kept: &mut Place, place: Place) {
    if (place.is_frame, place.lsn) > (kept.is_frame, kept.lsn) {
        *kept = place;
    }
}

enum Content {
    Key(Kind, Vec<u8>),
    Tick(u64, u16),
}

/// What a frame is by what it holds.
fn content(frame: &[u8]) -> Option<Content> {
    if let Ok((header, _)) = Header::read(frame) {
        return Some(Content::Key(Kind::Chunk, header.key()));
    }
    if let Ok((head, _)) = rollup::Head::read(frame) {
        return Some(Content::Key(Kind::Rollup, head.key()));
    }
    if let Ok(record) = codec::decode::<Record>(frame) {
        return Some(Content::Key(Kind::Event, record.seq.get().to_be_bytes().to_vec()));
    }
    if let Ok(part) = codec::decode::<hot::Part>(frame) {
        return Some(Content::Tick(part.tick, part.part));
    }
    let entry = codec::decode::<catalogue::Entry>(frame).ok()?;
    Some(Content::Key(Kind::Meta, catalogue::Catalogue::key(entry.id)))
}

/// What a key is of by its form, where its tree is not known.
fn shape(key: &[u8]) -> Option<Kind> {
    [Kind::Chunk, Kind::Order, Kind::Event, Kind::Meta].into_iter().find(|kind| fits(*kind, key))
}

/// Whether a key is of a tree's form.
fn fits(kind: Kind, key: &[u8]) -> bool {
    // Numbers begin with a zero, words with a letter.
    let is_number = key.first() == Some(&0);
    match kind {
        Kind::Meta => key.first().is_some_and(u8::is_ascii_lowercase),
        Kind::Hot => key.len() == 4,
        Kind::Chunk => key.len() == 18,
        Kind::Order | Kind::Rollup => key.len() == 10,
        Kind::Event => matches!(key.len(), 8 | 9) && is_number,
        Kind::Foreign => false,
    }
}

/// Reads until the buffer is full or the file ends.
pub(super) fn fill(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + u64::try_from(filled).unwrap_or(0)) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
