//! A walk over a TOML tree that goes on behind each mistake.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "DeValue is toml's: a value of any other kind is one mistake"
)]

use std::collections::{BTreeMap, HashSet};

use toml::de::{DeTable, DeValue};

use crate::{
    keys::{self, TABLES, names_in},
    legacy,
    mistake::{Mistake, did_you_mean},
    nearest::nearest,
    source::Source,
};

/// Mistakes beyond which no more suggestions are sought, so that a megabyte of nonsense takes no minute.
const SUGGESTIONS_MAX: usize = 200;

/// A table of the tree.
#[derive(Clone, Copy)]
pub(super) struct Section<'t> {
    /// Its dotted name, empty for the unnamed one that holds all.
    pub(super) path: &'static str,
    /// The line that names it.
    pub(super) line: usize,
    /// What it holds.
    pub(super) table: &'t DeTable<'t>,
}

impl Section<'_> {
    /// A key of it with its tables.
    fn dotted(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key.
    pub(super) fn value(&self, key: &str) -> Option<&DeValue<'_>> {
        self.table.get(key).map(toml::Spanned::get_ref)
    }
}

/// A walk over a TOML tree: takes values, collects mistakes.
pub(super) struct Walk<'s> {
    source: &'s Source,
    mistakes: Vec<Mistake>,
    warnings: Vec<Mistake>,
    /// Lines that could not be read: what stands there for the parser is not what the owner wrote.
    broken: HashSet<Option<usize>>,
}

impl<'s> Walk<'s> {
    /// A walk that begins with what is known to be wrong.
    pub(super) fn new(source: &'s Source, mistakes: Vec<Mistake>) -> Self {
        let broken = mistakes.iter().map(|mistake| mistake.line).collect();
        Self { source, mistakes, warnings: Vec::new(), broken }
    }

    /// The text that is walked over.
    pub(super) const fn source(&self) -> &'s Source {
        self.source
    }

    /// Everything that is wrong, and everything that is odd in order of line.
    pub(super) fn into_mistakes(mut self) -> (Vec<Mistake>, Vec<Mistake>) {
        self.warnings.sort_by_key(|warning| warning.line);
        (self.mistakes, self.warnings)
    }

    /// Whether the file could be read as a whole; else what is not found may stand where it was not.
    pub(super) fn is_whole(&self) -> bool {
        self.broken.is_empty()
    }

    /// Notes a mistake, unless its line could not be read anyway.
    pub(super) fn mistake(&mut self, line: usize, key: &str, what: &str) {
        if !self.broken.contains(&Some(line)) {
            self.mistakes.push(self.source.mistake(line, key, what));
        }
    }

    /// Notes a mistake about a key that is there.
    pub(super) fn mistake_at(&mut self, section: &Section<'_>, key: &str, what: &str) {
        let line = self.line_of(section, key).unwrap_or(section.line);
        self.mistake(line, &section.dotted(key), what);
    }

    /// Notes what is odd about a key that is there.
    pub(super) fn warn_at(&mut self, section: &Section<'_>, key: &str, what: &str) {
        let line = self.line_of(section, key).unwrap_or(section.line);
        self.warnings.push(self.source.mistake(line, &section.dotted(key), what));
    }

    /// The line of a key that is there.
    pub(super) fn line_of(&self, section: &Section<'_>, key: &str) -> Option<usize> {
        section.table.get_key_value(key).map(|(key, _)| self.source.line(key.span().start))
    }

    /// Notes every key that a table may not hold.
    pub(super) fn check_keys(&mut self, section: &Section<'_>) {
        for (key, value) in section.table {
            if names_in(section.path).any(|known| known == key.get_ref()) {
                continue;
            }
            let kind = match value.get_ref() {
                DeValue::Table(_) => "table",
                _ => "key",
            };
            let hint = if self.mistakes.len() < SUGGESTIONS_MAX {
                hint(key.get_ref(), section.path)
            } else {
                String::new()
            };
            let line = self.source.line(key.span().start);
            self.mistake(line, &section.dotted(key.get_ref()), &format!("unknown {kind}{hint}"));
        }
    }

    /// Notes a key that must be there and is not.
    pub(super) fn require(&mut self, section: &Section<'_>, key: &str) {
        if section.table.get(key).is_none() && self.is_whole() {
            self.mistake(section.line, &section.dotted(key), "is missing");
        }
    }

    /// The value of a key as `read` understands it; `None` if it is not there or wrong.
    pub(super) fn get<T>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        match read(section.value(key)?) {
            Ok(value) => Some(value),
            Err(what) => {
                self.mistake_at(section, key, &what);
                None
            }
        }
    }

    /// The texts of a list as `read` understands them; what is wrong in it or comes twice is left out.
    pub(super) fn list(
        &mut self,
        section: &Section<'_>,
        key: &str,
        read: impl Fn(&str) -> Result<String, String>,
    ) -> Option<Vec<String>> {
        let items = match section.value(key)? {
            DeValue::Array(items) => items,
            other => {
                let what = format!("must be a list of texts in [ and ], not {}", kind(other));
                self.mistake_at(section, key, &what);
                return None;
            }
        };
        let mut list = Vec::with_capacity(items.len());
        let mut seen = HashSet::new();
        for item in items {
            let read = text(item.get_ref()).and_then(&read);
            match read {
                Ok(value) if seen.insert(value.clone()) => list.push(value),
                Ok(_) => self.mistake_in(section, key, item.span().start, "comes twice in the list"),
                Err(what) => self.mistake_in(section, key, item.span().start, &what),
            }
        }
        Some(list)
    }

    /// The texts of a table as `read` understands their names and them; what is wrong in it is left out.
    pub(super) fn texts(
        &mut self,
        section: &Section<'_>,
        key: &str,
        read: impl Fn(&str, &str) -> Result<(), String>,
    ) -> Option<BTreeMap<String, String>> {
        let table = match section.value(key)? {
            DeValue::Table(table) => table,
            other => {
                let what = format!("must be a table of texts in {{ and }}, not {}", kind(other));
                self.mistake_at(section, key, &what);
                return None;
            }
        };
        let mut texts = BTreeMap::new();
        for (name, value) in table {
            let checked = text(value.get_ref()).and_then(|value| {
                read(name.get_ref(), value)?;
                Ok(value.to_owned())
            });
            match checked {
                Ok(value) => drop(texts.insert(name.get_ref().to_string(), value)),
                Err(what) => {
                    let line = self.source.line(name.span().start);
                    self.mistake(line, &format!("{}.{}", section.dotted(key), name.get_ref()), &what);
                }
            }
        }
        Some(texts)
    }

    /// A table of a table, its keys checked; `None` if it is not there or no table.
    pub(super) fn section<'t>(&mut self, parent: &Section<'t>, key: &'static str) -> Option<Section<'t>> {
        let (name, value) = parent.table.get_key_value(key)?;
        let path = keys::path_of(parent.path, key);
        let DeValue::Table(table) = value.get_ref() else {
            let what = match value.get_ref() {
                DeValue::Array(_) => format!("stands once only: write [{path}] with single brackets"),
                other => format!("is a table: write [{path}] on a line of its own, not {}", kind(other)),
            };
            self.mistake_at(parent, key, &what);
            return None;
        };
        let section = Section { path, line: self.source.line(name.span().start), table };
        self.check_keys(&section);
        Some(section)
    }

    /// The tables of a list of tables, their keys checked.
    pub(super) fn sections<'t>(&mut self, parent: &Section<'t>, key: &'static str) -> Vec<Section<'t>> {
        let Some(value) = parent.table.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.mistake_at(parent, key, &format!("may stand often: write [[{key}]] with double brackets"));
            return Vec::new();
        };
        let mut sections = Vec::with_capacity(items.len());
        for item in items {
            let DeValue::Table(table) = item.get_ref() else {
                let what = format!("must be a table: write [[{key}]], not {}", kind(item.get_ref()));
                self.mistake_in(parent, key, item.span().start, &what);
                continue;
            };
            let section = Section { path: key, line: self.source.line(item.span().start), table };
            self.check_keys(&section);
            sections.push(section);
        }
        sections
    }

    fn mistake_in(&mut self, section: &Section<'_>, key: &str, offset: usize, what: &str) {
        self.mistake(self.source.line(offset), &section.dotted(key), what);
    }
}

/// What the owner may have meant by an unknown key.
fn hint(key: &str, path: &str) -> String {
    if let Some(twin) = legacy::twin(key) {
        return format!(": system_bot.conf calls it so, here it is {twin}");
    }
    if let Some(known) = nearest(key, names_in(path)) {
        return did_you_mean(Some(known));
    }
    let is_home = |table: &&keys::Table| table.path != path && names_in(table.path).any(|known| known == key);
    if let Some(home) = TABLES.iter().find(is_home) {
        return match home.header() {
            None => ": it belongs above the first table".to_owned(),
            Some(header) => format!(": it belongs in {header}"),
        };
    }
    format!(": the keys here are {}", names_in(path).collect::<Vec<_>>().join(", "))
}

/// A text.
pub(super) fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| format!("must be a text in quotes, not {}", kind(value)))
}

/// A number, whole or not.
pub(super) fn number(value: &DeValue<'_>) -> Result<f64, String> {
    match value {
        DeValue::Float(float) => float.as_str().parse().map_err(|_| "is too large".to_owned()),
        // The nearest float of a whole number, by the way that is exact in every case: over its digits.
        DeValue::Integer(_) => whole(value)?.to_string().parse().map_err(|_| "is too large".to_owned()),
        other => Err(format!("must be a number, not {}", kind(other))),
    }
}

/// A whole number.
pub(super) fn whole(value: &DeValue<'_>) -> Result<i64, String> {
    match value {
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).map_err(|_| "is too large".to_owned())
        }
        other => Err(format!("must be a whole number, not {}", kind(other))),
    }
}

/// `true` or `false`.
pub(super) fn flag(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("must be true or false, not {}", kind(value)))
}

/// What a value is, in words.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
