//! The file format of Python's configparser as its defaults read it (strict, `=` and `:`, `#` and `;`).
//!
//! Sections in brackets; `[DEFAULT]` holds what all others inherit. Keys are folded to lower case. A comment takes
//! a whole line; there are none behind a value. A line indented deeper than its key's goes on with the value, and
//! so does an empty one; of the latter those at the end fall away. A section or a key that comes twice is a fault,
//! `[DEFAULT]` itself may come often.
//!
//! Python stops at the first fault; here all are told, and the rest is read as if the faulty lines were not there.

use std::collections::HashSet;

/// Name of the section that all others inherit.
pub(super) const DEFAULT: &str = "DEFAULT";

/// A file by its sections.
#[derive(Debug, Default)]
pub(super) struct Ini {
    /// Keys of `[DEFAULT]`, in the order of the file.
    pub(super) defaults: Vec<Item>,
    /// The other sections, in the order of the file.
    pub(super) sections: Vec<Section>,
    /// What cannot be read.
    pub(super) faults: Vec<Fault>,
}

/// A section but `[DEFAULT]`.
#[derive(Debug)]
pub(super) struct Section {
    /// As written, which is how it is compared.
    pub(super) name: String,
    /// The line of its header, from 1.
    pub(super) line: usize,
    /// Its own keys, in the order of the file.
    pub(super) items: Vec<Item>,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// In lower case.
    pub(super) key: String,
    /// As written but for blanks around it; its lines joined by line ends; `%` not yet replaced.
    pub(super) value: String,
    /// The line of the key, from 1.
    pub(super) line: usize,
}

/// A line that cannot be read.
#[derive(Debug)]
pub(super) struct Fault {
    /// The line, from 1.
    pub(super) line: usize,
    /// What it is about, if that can be told.
    pub(super) key: Option<String>,
    /// What is wrong.
    pub(super) what: String,
}

impl Ini {
    /// Reads a text whose lines end in LF.
    pub(super) fn parse(text: &str) -> Self {
        let mut reader = Reader::default();
        for (i, line) in text.split('\n').enumerate() {
            reader.line(i + 1, line);
        }
        for item in reader.ini.items_mut() {
            item.value.truncate(trim(&item.value).1);
        }
        reader.ini
    }

    /// A section but `[DEFAULT]` by its name.
    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// What a section holds: its own keys, then what it inherits.
    pub(super) fn items<'i>(&'i self, section: &'i Section) -> impl Iterator<Item = &'i Item> {
        let own: HashSet<&str> = section.items.iter().map(|item| item.key.as_str()).collect();
        let inherited = self.defaults.iter().filter(move |item| !own.contains(item.key.as_str()));
        section.items.iter().chain(inherited)
    }

    /// The keys that some value names by `%(key)s`.
    pub(super) fn referred(&self) -> HashSet<String> {
        let items = self.defaults.iter().chain(self.sections.iter().flat_map(|section| &section.items));
        let names = items.flat_map(|item| item.value.split("%(").skip(1));
        names.filter_map(|rest| Some(rest.split_once(")s")?.0.to_lowercase())).collect()
    }

    fn items_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        self.defaults.iter_mut().chain(self.sections.iter_mut().flat_map(|section| &mut section.items))
    }
}

/// Where the lines being read belong.
#[derive(Debug, Default, PartialEq, Eq, Hash, Clone, Copy)]
enum Place {
    /// Before the first section.
    #[default]
    Nowhere,
    /// In `[DEFAULT]`.
    Default,
    /// In the section of this index.
    Section(usize),
}

#[derive(Default)]
struct Reader {
    ini: Ini,
    place: Place,
    /// Keys that came, to find those that come twice.
    seen: HashSet<(Place, String)>,
    /// Whether a value may go on: a key came since the last header.
    is_in_value: bool,
    /// Blanks before the last key or header.
    indent: usize,
    /// Whether lines before the first section were told of.
    is_homeless_told: bool,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) {
        let (start, end) = trim(line);
        let text = line.get(start..end).unwrap_or_default();
        if text.starts_with(['#', ';']) {
            return;
        }
        if text.is_empty() {
            self.go_on("");
            return;
        }
        let indent = line.get(..start).unwrap_or_default().chars().count();
        if self.is_in_value && indent > self.indent {
            self.go_on(text);
            return;
        }
        self.indent = indent;
        if let Some(name) = header(text) {
            self.begin_section(number, name);
        } else if self.place == Place::Nowhere {
            // Told once: all such lines want the same header.
            if !self.is_homeless_told {
                self.fault(number, None, "stands before the first section: write [DEFAULT] above it");
            }
            self.is_homeless_told = true;
        } else {
            self.begin_item(number, text);
        }
    }

    fn begin_section(&mut self, line: usize, name: &str) {
        self.is_in_value = false;
        if name == DEFAULT {
            self.place = Place::Default;
            return;
        }
        if let Some(first) = self.ini.sections.iter().position(|section| section.name == name) {
            self.fault(
                line,
                Some(name.to_owned()),
                "this section comes twice: put its keys under one header",
            );
            self.place = Place::Section(first);
            return;
        }
        self.place = Place::Section(self.ini.sections.len());
        self.ini.sections.push(Section { name: name.to_owned(), line, items: Vec::new() });
    }

    fn begin_item(&mut self, line: usize, text: &str) {
        let Some((key, value)) = text.split_once(['=', ':']) else {
            self.fault(line, None, "has neither = nor : behind its key");
            return;
        };
        let key = strip(key).to_lowercase();
        if key.is_empty() {
            self.fault(line, None, "has no key before its value");
            return;
        }
        self.is_in_value = true;
        if !self.seen.insert((self.place, key.clone())) {
            self.fault(line, Some(key.clone()), "is set twice");
        }
        let item = Item { key, value: strip(value).to_owned(), line };
        if let Some(items) = self.items() {
            items.push(item);
        }
    }

    /// Adds a line to the value being read, if one is.
    fn go_on(&mut self, text: &str) {
        if !self.is_in_value {
            return;
        }
        if let Some(item) = self.items().and_then(|items| items.last_mut()) {
            item.value.push('\n');
            item.value.push_str(text);
        }
    }

    fn items(&mut self) -> Option<&mut Vec<Item>> {
        match self.place {
            Place::Nowhere => None,
            Place::Default => Some(&mut self.ini.defaults),
            Place::Section(index) => self.ini.sections.get_mut(index).map(|section| &mut section.items),
        }
    }

    fn fault(&mut self, line: usize, key: Option<String>, what: &str) {
        self.ini.faults.push(Fault { line, key, what: what.to_owned() });
    }
}

/// The name in a header: all up to the last bracket, with blanks, and whatever stands behind is ignored.
pub(super) fn header(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('[')?.rsplit_once(']')?;
    (!name.is_empty()).then_some(name)
}

/// Where a text begins and ends without the blanks around it.
fn trim(text: &str) -> (usize, usize) {
    let end = text.trim_end_matches(is_blank).len();
    let start = text.len() - text.trim_start_matches(is_blank).len();
    (start.min(end), end)
}

/// A text without the blanks around it.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// What Python's `str.isspace` calls blank: Unicode's white space and the four separators of ASCII.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::legacy::interpolation::{interpolate, values};

    /// Sections with their keys and replaced values; no value where replacing fails. `None` for faulty files.
    type Files = Option<BTreeMap<String, BTreeMap<String, Option<String>>>>;

    fn read(text: &str) -> Files {
        let ini = Ini::parse(&text.replace("\r\n", "\n").replace('\r', "\n"));
        let replaced = |items: Vec<&Item>| {
            let values = values(items.iter().copied());
            let pairs = items.iter().map(|item| (item.key.clone(), interpolate(&item.value, &values).ok()));
            pairs.collect()
        };
        let defaults = (DEFAULT.to_owned(), replaced(ini.defaults.iter().collect()));
        let sections =
            ini.sections.iter().map(|section| (section.name.clone(), replaced(ini.items(section).collect())));
        ini.faults.is_empty().then(|| std::iter::once(defaults).chain(sections).collect())
    }

    /// Texts, each with what Python 3.11's `configparser.ConfigParser` makes of it, null where it raises an error.
    const OF_PYTHON: &str = include_str!("../../tests/configparser.jsonl");

    #[test]
    fn files_are_read_as_python_reads_them() {
        for line in OF_PYTHON.lines() {
            let (text, expected): (String, Files) = serde_json::from_str(line).unwrap();
            assert_eq!(read(&text), expected, "{text:?}");
        }
        assert_eq!(OF_PYTHON.lines().count(), 150);
    }

    #[test]
    fn all_faults_are_told_with_their_lines() {
        let ini = Ini::parse("x = 1\ny = 2\n[DEFAULT]\na = 1\nwords\n= v\nA: 2\n[s]\n[s]\nb = 1\n");
        let faults: Vec<_> = ini.faults.iter().map(|fault| (fault.line, fault.key.as_deref())).collect();
        assert_eq!(faults, [(1, None), (5, None), (6, None), (7, Some("a")), (9, Some("s"))]);
    }
}
