//! The text of a configuration file and the places in it.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use crate::{Settings, mistake::Mistake};

/// Largest configuration that is read, in bytes: a thousand services are a tenth of it.
const FILE_BYTES: u64 = 1024 * 1024;

/// What became of reading one form.
pub(crate) struct Reading {
    /// What is set, over the defaults; of use only without mistakes.
    pub(crate) settings: Settings,
    /// What is wrong.
    pub(crate) mistakes: Vec<Mistake>,
    /// What is odd.
    pub(crate) warnings: Vec<Mistake>,
}

/// A configuration's text.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    /// Characters that are no UTF-8 are replaced, so that the rest can be checked too.
    text: String,
    /// Where each line begins, in bytes.
    starts: Vec<usize>,
    /// Where the last line that holds something ends, in bytes.
    end: usize,
    /// Mistakes about the text itself.
    unclean: Vec<Mistake>,
}

impl Source {
    /// Reads a file of limited size.
    pub(crate) fn read(path: &Path) -> Result<Self, Mistake> {
        let unreadable = |error| about_file(path, &format!("cannot be read: {error}"));
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        Self::new(path, &bytes)
    }

    /// Takes a text of limited size.
    pub(crate) fn new(path: &Path, bytes: &[u8]) -> Result<Self, Mistake> {
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES {
            return Err(about_file(path, "is larger than 1 MiB: is it a configuration at all?"));
        }
        // Editors of other systems put a byte order mark first; it means nothing in UTF-8.
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        let text = String::from_utf8_lossy(bytes).into_owned();
        let mut source = Self::whole(path, text);
        let mut lines = unclean_lines(bytes);
        lines.dedup();
        source.unclean = lines
            .into_iter()
            .map(|line| {
                let key = source.key_near(line);
                source.mistake(line, &key, "is not UTF-8 text: save the file as UTF-8")
            })
            .collect();
        Ok(source)
    }

    fn whole(path: &Path, text: String) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let end = text.trim_end_matches(['\n', '\r']).len();
        Self { path: path.to_owned(), text, starts, end, unclean: Vec::new() }
    }

    /// Another text of the same file.
    pub(crate) fn with_text(&self, text: &str) -> Self {
        Self::whole(&self.path, text.to_owned())
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// A path of the file's own directory, if it is a relative one.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    /// A mistake in this file.
    pub(crate) fn mistake(&self, line: usize, key: &str, what: &str) -> Mistake {
        Mistake {
            file: self.path.display().to_string(),
            line: Some(line),
            key: Some(key.to_owned()),
            what: what.to_owned(),
        }
    }

    /// Adds the mistakes about the text itself, which outrank others in the same line.
    pub(crate) fn merge(&self, mut mistakes: Vec<Mistake>) -> Vec<Mistake> {
        mistakes.retain(|mistake| {
            self.unclean.binary_search_by_key(&mistake.line, |unclean| unclean.line).is_err()
        });
        mistakes.extend(self.unclean.iter().cloned());
        mistakes
    }

    /// The line of a byte, from 1; what lies behind the last line's end is in that line.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset.min(self.end)).max(1)
    }

    /// One line without its end; empty beyond the last.
    pub(crate) fn line_text(&self, line: usize) -> &str {
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len());
        self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default()
    }

    /// A name for what a line that cannot be read is about: its key or table as far as that can be told.
    pub(crate) fn key_near(&self, line: usize) -> String {
        let text = self.line_text(line).trim();
        if text.starts_with(['#', ';']) {
            return "comment".to_owned();
        }
        let name = match text.strip_prefix('[') {
            Some(header) => header.trim_start_matches('[').split([']', '#']).next(),
            None => text.split(['=', ':']).next(),
        };
        let name = name.unwrap_or_default().trim();
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
        if name.is_empty() || !name.chars().all(is_name) { "syntax".to_owned() } else { name.to_owned() }
    }
}

/// A mistake that concerns the file as a whole.
fn about_file(path: &Path, what: &str) -> Mistake {
    Mistake { file: path.display().to_string(), line: None, key: None, what: what.to_owned() }
}

/// The lines with bytes that are no UTF-8, in order, one as often as it has such places.
fn unclean_lines(bytes: &[u8]) -> Vec<usize> {
    let mut line = 1;
    let mut lines = Vec::new();
    for chunk in bytes.utf8_chunks() {
        line += chunk.valid().matches('\n').count();
        if !chunk.invalid().is_empty() {
            lines.push(line);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new(Path::new("x"), text.as_bytes()).unwrap()
    }

    #[test]
    fn a_byte_has_its_line() {
        let source = source("ab\n\ncd\n");
        let check = |offset, expected| assert_eq!(source.line(offset), expected, "{offset}");
        check(0, 1);
        check(2, 1);
        check(3, 2);
        check(4, 3);
        check(6, 3);
        check(7, 3);
        check(99, 3);
    }

    #[test]
    fn a_broken_line_has_a_name() {
        let check = |text, expected| assert_eq!(source(text).key_near(1), expected, "{text}");
        check("  disk = ", "disk");
        check("[trend # x", "trend");
        check("[[service", "service");
        check("= 5", "syntax");
        check("\u{1b}[31m = 5", "syntax");
        check("", "syntax");
        check("# x = 5", "comment");
    }

    #[test]
    fn size_and_encoding_are_checked() {
        let large = Source::new(Path::new("x"), &vec![b'#'; 1024 * 1024 + 1]).unwrap_err();
        assert_eq!(large.to_string(), "x: is larger than 1 MiB: is it a configuration at all?");
        let unclean = Source::new(Path::new("x"), b"\xef\xbb\xbfa = 1\nb = \"\xe9\xe9\"\n").unwrap();
        assert_eq!(
            unclean.merge(vec![unclean.mistake(2, "b", "other")]).first().unwrap().to_string(),
            "x:2: b: is not UTF-8 text: save the file as UTF-8"
        );
        assert!(unclean.text().starts_with("a = 1"));
    }
}
