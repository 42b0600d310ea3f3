//! `%(key)s` in values, as configparser's BasicInterpolation replaces it; `%%` is a percent sign.

use std::collections::HashMap;

use super::ini::Item;
use crate::mistake::quote;

/// Depth to which values may name others, configparser's MAX_INTERPOLATION_DEPTH.
const DEPTH_MAX: usize = 10;
/// Pieces that one value may be put together from. Python has no such limit, and ten levels of ten names each
/// would keep it busy for hours.
const PIECES_MAX: usize = 1_000;
/// Longest value after replacement, in bytes.
const VALUE_BYTES: usize = 16 * 1024;

/// The values of a section by their keys, inherited ones included.
pub(super) type Values<'i> = HashMap<&'i str, &'i str>;

/// The values of items; of a key that comes twice the last.
pub(super) fn values<'i>(items: impl Iterator<Item = &'i Item>) -> Values<'i> {
    items.map(|item| (item.key.as_str(), item.value.as_str())).collect()
}

/// Replaces the names in a value by the values of the keys that its section holds.
///
/// # Errors
/// Says what is wrong with it, without repeating the value.
pub(super) fn interpolate(value: &str, values: &Values<'_>) -> Result<String, String> {
    let mut output = Output { text: String::new(), pieces: 0 };
    output.put(value, values, 1)?;
    Ok(output.text)
}

struct Output {
    text: String,
    pieces: usize,
}

impl Output {
    fn put(&mut self, value: &str, values: &Values<'_>, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err("its %(...)s name each other without end".to_owned());
        }
        let mut rest = value;
        while let Some((plain, behind)) = rest.split_once('%') {
            self.push(plain)?;
            if let Some(behind) = behind.strip_prefix('%') {
                self.push("%")?;
                rest = behind;
                continue;
            }
            let (key, behind) = behind
                .strip_prefix('(')
                .and_then(|name| name.split_once(')'))
                .and_then(|(key, behind)| Some((key, behind.strip_prefix('s')?)))
                .filter(|(key, _)| !key.is_empty())
                .ok_or("has a single %: write %% for a percent sign")?;
            let key = key.to_lowercase();
            let named = values
                .get(key.as_str())
                .ok_or_else(|| format!("names %({})s, and there is no such key", quote(&key)))?;
            // A value that names no other is no level of its own.
            if named.contains('%') {
                self.put(named, values, depth + 1)?
            } else {
                self.push(named)?
            }
            rest = behind;
        }
        self.push(rest)
    }

    fn push(&mut self, piece: &str) -> Result<(), String> {
        self.pieces += 1;
        self.text.push_str(piece);
        if self.pieces > PIECES_MAX || self.text.len() > VALUE_BYTES {
            return Err("grows too long by its %(...)s".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(key: &str, value: &str) -> Item {
        Item { key: key.into(), value: value.into(), line: 1 }
    }

    #[test]
    fn values_that_would_explode_are_refused() {
        let mut items: Vec<Item> =
            (0..9).map(|i| item(&format!("k{i}"), &format!("%(k{})s", i + 1).repeat(10))).collect();
        items.push(item("k9", ""));
        assert!(interpolate("%(k0)s", &values(items.iter())).unwrap_err().contains("too long"));
        let long = [item("a", &"x".repeat(40_000))];
        assert!(interpolate("%(a)s%(a)s", &values(long.iter())).unwrap_err().contains("too long"));
    }
}
