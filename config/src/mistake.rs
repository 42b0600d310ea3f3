//! What is wrong in a configuration file, and where.

use std::fmt;

/// One mistake: prints as `FILE:LINE: KEY: what is wrong`, on one line whatever the file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file, as it was named.
    pub file: String,
    /// Line from 1; `None` where the file as a whole is meant.
    pub line: Option<usize>,
    /// The key with its tables, dotted; `None` where the file as a whole is meant.
    pub key: Option<String>,
    /// What is wrong and what to write instead. Never holds a secret.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if let Some(key) = &self.key {
            write!(f, " {}:", quote(key))?;
        }
        write!(f, " {}", self.what)
    }
}

/// All mistakes of a file, at least one, in order of line: prints as one line that tells the first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{first}{}", and_more(first, rest))]
pub struct Mistakes {
    first: Mistake,
    rest: Vec<Mistake>,
}

impl Mistakes {
    /// Puts mistakes in order; `None` if there are none.
    pub(crate) fn new(mut mistakes: Vec<Mistake>) -> Option<Self> {
        mistakes.sort_by_key(|mistake| mistake.line);
        let mut mistakes = mistakes.into_iter();
        Some(Self { first: mistakes.next()?, rest: mistakes.collect() })
    }

    /// The mistakes in order of line.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// Whether the file could not be read at all, so that nothing is known of its content.
    #[must_use]
    pub const fn is_unreadable(&self) -> bool {
        self.first.line.is_none()
    }

    /// All of them, a line each and each line ended: what `config check` prints.
    #[must_use]
    pub fn report(&self) -> String {
        self.iter().map(|mistake| format!("{mistake}\n")).collect()
    }
}

impl From<Mistake> for Mistakes {
    fn from(first: Mistake) -> Self {
        Self { first, rest: Vec::new() }
    }
}

fn and_more(first: &Mistake, rest: &[Mistake]) -> String {
    match rest.len() {
        0 => String::new(),
        count => format!(" (and {count} more: see `systembot config check {}`)", first.file),
    }
}

/// Longest piece of a file that is repeated in a message, in characters.
const QUOTED_CHARS: usize = 60;

/// A piece of a file as it may stand in a message: on one line, without control characters, not too long.
pub(crate) fn quote(text: &str) -> String {
    let Some((cut, _)) = text.char_indices().nth(QUOTED_CHARS) else { return escape(text) };
    escape(text.get(..cut).unwrap_or_default()) + "..."
}

/// A text on one line and without control characters.
pub(crate) fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        if c.is_control() {
            escaped.extend(c.escape_debug());
        } else {
            escaped.push(c);
        }
        escaped
    })
}

/// The end of a message that offers a known word, empty if there is none to offer.
pub(crate) fn did_you_mean(known: Option<&str>) -> String {
    known.map(|known| format!(": did you mean {known}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(line: usize, what: &str) -> Mistake {
        Mistake { file: "x.toml".into(), line: Some(line), key: Some("a.b".into()), what: what.into() }
    }

    #[test]
    fn mistakes_print_in_order_of_line() {
        let mistakes = Mistakes::new(vec![mistake(7, "late"), mistake(2, "early")]).unwrap();
        assert_eq!(mistakes.report(), "x.toml:2: a.b: early\nx.toml:7: a.b: late\n");
        assert_eq!(
            mistakes.to_string(),
            "x.toml:2: a.b: early (and 1 more: see `systembot config check x.toml`)"
        );
        assert_eq!(Mistakes::new(Vec::new()), None);
    }

    #[test]
    fn a_quoted_piece_stays_on_its_line() {
        assert_eq!(quote("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(quote(&"x".repeat(61)), format!("{}...", "x".repeat(60)));
        assert_eq!(quote("Grüße"), "Grüße");
    }
}
