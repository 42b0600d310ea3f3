//! Reading everything now and then, a little at a time, so that damage is known before it is asked for.

use crate::{
    codec,
    error::Error,
    store::{self, Trees},
};

/// Values that are read together: some 100 KB, a millisecond.
const TOGETHER: usize = 32;

/// How far a reading has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    tree: usize,
    /// Key of the last value that was read.
    key: Option<Vec<u8>>,
}

/// Reads the next values, frame by frame.
pub(crate) fn scrub(trees: &Trees, from: Scrubbed) -> Result<Option<Scrubbed>, Error> {
    // What lies in the order of chunks is no frame, and the pieces of a long record are none each.
    let all = [
        ("meta", &trees.meta, true),
        ("hot", &trees.hot, true),
        ("chunk", &trees.chunk, true),
        ("order", &trees.order, false),
        ("event", &trees.event, false),
        ("rollup", &trees.rollup, true),
    ];
    let Some((name, tree, has_frames)) = all.get(from.tree) else { return Ok(None) };
    let items = match &from.key {
        Some(key) => tree.range([key.as_slice(), &[0]].concat()..),
        None => tree.iter(),
    };
    let mut last = None;
    let mut count = 0;
    for item in items.take(TOGETHER) {
        let (key, value) = item.map_err(|error| store::failure(name.as_ref(), error))?;
        if *has_frames {
            codec::payload(&value).map_err(Error::reading(|| format!("a value of {name}")))?;
        } else if *name == "event" && key.len() == 8 {
            let whole = codec::frame_bytes(&value).map_err(Error::reading(|| "a record".to_owned()))?;
            if whole <= value.len() {
                codec::payload(&value).map_err(Error::reading(|| "a record".to_owned()))?;
            }
        }
        count += 1;
        last = Some(key.to_vec());
    }
    if count < TOGETHER {
        return Ok(Some(Scrubbed { tree: from.tree + 1, key: None }));
    }
    Ok(Some(Scrubbed { tree: from.tree, key: last }))
}
