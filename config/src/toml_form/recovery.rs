//! Finds every fault of a text that is no TOML.
//!
//! The parser gives up or runs wild behind most faults. So the first one is noted, the statement it is in is blanked
//! out, and the text is parsed again, until it is TOML. Lines stay where they are.

use std::collections::BTreeMap;

use super::{
    statement::{Statement, header_name, is_bare},
    tree::{Fault, Tree},
};
use crate::{
    keys,
    mistake::{Mistake, escape},
    source::Source,
};

/// Bytes that are parsed in all at most, so that a megabyte of nonsense is judged in seconds. A configuration of
/// four kilobytes may have 256 faults before what the parser makes of the rest is told as it is.
const PARSED_BYTES: usize = 1024 * 1024;

/// A text made TOML, and what was wrong with it.
pub(super) struct Recovered {
    /// The text without its faulty statements, on the same lines.
    pub(super) source: Source,
    /// What was wrong, one mistake a line.
    pub(super) mistakes: Vec<Mistake>,
}

/// Finds every fault of a text.
pub(super) fn recover(source: &Source) -> Recovered {
    let mut lines = Lines::of(source.text());
    let mut found: BTreeMap<usize, Mistake> = BTreeMap::new();
    let mut note = |line: usize, key: &str, what: &str| {
        found.entry(line).or_insert_with(|| source.mistake(line, key, what));
    };
    // The parser notices far below, or not at all, what is not closed, and takes all between for a part of it.
    for statement in Statement::all(&lines.lines) {
        if let Some(what) = statement.unclosed {
            note(statement.first, &lines.key(statement.first), what);
            lines.blank(&statement);
        }
    }
    let mut budget = PARSED_BYTES;
    loop {
        let repaired = source.with_text(&lines.text());
        let tree = Tree::parse(repaired.text());
        let (twice, faults): (Vec<&Fault>, Vec<&Fault>) =
            tree.faults().iter().partition(|fault| is_about_twice(&fault.message));
        let left = budget.checked_sub(repaired.text().len() + 1);
        if let (Some(left), Some(fault)) = (left, faults.first()) {
            budget = left;
            let line = repaired.line(fault.offset);
            let is_unset = lines.get(line).ends_with('=');
            let what = if is_unset { "has no value".to_owned() } else { told(&fault.message) };
            note(line, &lines.key(line), &what);
            let is_around = |statement: &Statement| (statement.first..=statement.last).contains(&line);
            let around = Statement::all(&lines.lines).into_iter().find(is_around);
            if lines.blank(&around.unwrap_or(Statement { first: line, last: line, unclosed: None })) {
                continue;
            }
        }
        for fault in twice.into_iter().chain(faults) {
            let line = repaired.line(fault.offset);
            note(line, &lines.key(line), &told(&fault.message));
        }
        return Recovered { source: repaired, mistakes: found.into_values().collect() };
    }
}

/// Whether the text is well formed and only says something twice, behind which the parser goes on as it should.
fn is_about_twice(message: &str) -> bool {
    message == "duplicate key" || message.starts_with("cannot extend value")
}

/// The parser's message in words that fit a configuration.
fn told(message: &str) -> String {
    match message {
        "duplicate key" => "is set twice".to_owned(),
        other if other.starts_with("string values must be quoted") => {
            "a text must stand in quotes".to_owned()
        }
        other => format!("is no TOML: {}", escape(other)),
    }
}

/// A text by its lines without their ends.
struct Lines {
    lines: Vec<String>,
    /// The lines that name a table, from 1, with its name.
    headers: Vec<(usize, String)>,
}

impl Lines {
    fn of(text: &str) -> Self {
        let headers = text.lines().zip(1..);
        let headers = headers.filter_map(|(text, line)| Some((line, header_name(text.trim())?.to_owned())));
        Self { lines: text.lines().map(str::to_owned).collect(), headers: headers.collect() }
    }

    fn text(&self) -> String {
        self.lines.join("\n") + "\n"
    }

    fn get(&self, line: usize) -> &str {
        line.checked_sub(1).and_then(|index| self.lines.get(index)).map_or("", |line| line.trim())
    }

    /// Takes a statement out; says whether that changed anything.
    fn blank(&mut self, statement: &Statement) -> bool {
        let header = self.header(statement.first);
        let lines = self.lines.iter_mut().skip(statement.first.saturating_sub(1));
        let mut is_changed = false;
        for (i, line) in lines.take(statement.last + 1 - statement.first).enumerate() {
            // A header that is not well closed still says what the keys below it belong to.
            let replacement = header.clone().filter(|header| i == 0 && *header != *line).unwrap_or_default();
            is_changed |= *line != replacement;
            *line = replacement;
        }
        is_changed
    }

    /// A header made well, if the line is one.
    fn header(&self, line: usize) -> Option<String> {
        let text = self.get(line);
        let name = header_name(text)?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || !(name.chars().all(is_name) || keys::table(name).is_some()) {
            return None;
        }
        Some(if text.starts_with("[[") { format!("[[{name}]]") } else { format!("[{name}]") })
    }

    /// The dotted name of what a line is about, as far as that can be told.
    fn key(&self, line: usize) -> String {
        // A list of a hundred lines is long; a text of more is no configuration.
        const LINES_ABOVE: usize = 100;
        if let Some(name) = header_name(self.get(line)) {
            return name.to_owned();
        }
        let key = (line.saturating_sub(LINES_ABOVE)..=line).rev().find_map(|line| {
            let text = self.get(line);
            if header_name(text).is_some() {
                return Some(None);
            }
            let name = text.split_once(['=', ' ']).map_or(text, |(name, _)| name).trim();
            is_bare(name).then(|| Some(name.to_owned()))
        });
        let above = self.headers.partition_point(|(header, _)| *header <= line);
        let table = above.checked_sub(1).and_then(|index| self.headers.get(index)).map(|(_, name)| name);
        match (table, key.flatten()) {
            (Some(table), Some(key)) => format!("{table}.{key}"),
            (Some(table), None) => table.clone(),
            (None, Some(key)) => key,
            (None, None) => "syntax".to_owned(),
        }
    }
}
