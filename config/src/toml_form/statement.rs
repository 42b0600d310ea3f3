//! Where the statements of a TOML text begin and end, told without a parser: also of a text that is no TOML.

/// The lines of something that is set.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// The line of its key, from 1.
    pub(super) first: usize,
    /// Its last line.
    pub(super) last: usize,
    /// What of it is not closed, in words.
    pub(super) unclosed: Option<&'static str>,
}

impl Statement {
    /// The statements that set a key without quotes.
    pub(super) fn all(lines: &[String]) -> Vec<Self> {
        let mut statements = Vec::new();
        let mut rest = lines.iter().enumerate();
        while let Some((index, line)) = rest.next() {
            let Some(value) = value_of(line) else { continue };
            let statement = Self::begin(index + 1, value, lines);
            if let Some(more) = (statement.last - statement.first).checked_sub(1) {
                rest.nth(more);
            }
            statements.push(statement);
        }
        statements
    }

    /// The statement that begins with a value on a line.
    fn begin(first: usize, value: &str, lines: &[String]) -> Self {
        let mut scan = Scan::default();
        scan.line(value);
        let mut last = first;
        // The line before the next one seems to begin, in case that this one does not end.
        let mut before_next = None;
        for (index, line) in lines.iter().enumerate().skip(first).take(LINES_MAX) {
            if scan.is_done() {
                break;
            }
            if is_header(line.trim()) || value_of(line).is_some() {
                before_next = before_next.or(Some(index));
                if !scan.may_hold(line) {
                    break;
                }
            }
            scan.line(line);
            last = index + 1;
        }
        let unclosed = scan.unclosed();
        if unclosed.is_some() {
            last = before_next.unwrap_or(last);
        }
        Self { first, last, unclosed }
    }
}

/// Lines beyond which a statement is taken for one that is not closed. It bounds the work on a text of many
/// statements that all are not.
const LINES_MAX: usize = 200;

/// What is open at a place in a value.
#[derive(Default)]
struct Scan {
    /// Brackets, outermost first.
    brackets: Vec<char>,
    /// The quotes that end the text of several lines that is being read.
    long_text: Option<&'static str>,
}

impl Scan {
    /// Whether nothing is open.
    fn is_done(&self) -> bool {
        self.brackets.is_empty() && self.long_text.is_none()
    }

    /// Whether a line that looks like the begin of a statement may stand in what is open: in a text anything may,
    /// in a table keys with their values, in a list neither.
    fn may_hold(&self, line: &str) -> bool {
        self.long_text.is_some() || (self.brackets.last() == Some(&'{') && !is_header(line.trim()))
    }

    fn unclosed(&self) -> Option<&'static str> {
        match (self.brackets.first(), self.long_text) {
            (Some('['), _) => Some("the list that begins here is not closed with ]"),
            (Some(_), _) => Some("the table that begins here is not closed with }"),
            (None, Some(_)) => Some("the text that begins here is not closed with three quotes"),
            (None, None) => None,
        }
    }

    fn line(&mut self, line: &str) {
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            if let Some(quotes) = self.long_text {
                let Some(behind) = behind_text(rest, quotes) else { return };
                self.long_text = None;
                rest = behind;
                continue;
            }
            let long = ["\"\"\"", "'''"].into_iter().find(|quotes| rest.starts_with(quotes));
            rest = rest.get(long.map_or(c.len_utf8(), str::len)..).unwrap_or_default();
            match c {
                _ if long.is_some() => self.long_text = long,
                // A text of one line that is not closed is told by the parser, with its place.
                '"' => rest = behind_text(rest, "\"").unwrap_or_default(),
                '\'' => rest = behind_text(rest, "'").unwrap_or_default(),
                '#' => return,
                '[' | '{' => self.brackets.push(c),
                ']' | '}' => {
                    self.brackets.pop();
                }
                _ => {}
            }
        }
    }
}

/// What stands behind the end of a text in quotes, if it ends here. A backslash counts between double quotes only.
fn behind_text<'t>(text: &'t str, quotes: &str) -> Option<&'t str> {
    let mut is_escaped = false;
    let (end, _) = text.char_indices().find(|(at, c)| {
        let is_end = !is_escaped && text.get(*at..).is_some_and(|rest| rest.starts_with(quotes));
        is_escaped = *c == '\\' && !is_escaped && quotes.starts_with('"');
        is_end
    })?;
    text.get(end + quotes.len()..)
}

/// The value that a line sets a key to.
fn value_of(line: &str) -> Option<&str> {
    let (key, value) = line.split_once('=')?;
    is_bare(key.trim()).then_some(value)
}

/// Whether a line is a header as it should be.
fn is_header(text: &str) -> bool {
    header_name(text).is_some() && text.contains(']')
}

/// The name in a header, closed or not.
pub(super) fn header_name(text: &str) -> Option<&str> {
    let name = text.strip_prefix('[')?;
    let name = name.strip_prefix('[').unwrap_or(name);
    let name = name.split([']', '#']).next().unwrap_or_default().trim();
    // A line of a nested list begins like a header too, but with a value.
    is_bare(name).then_some(name)
}

/// Whether a text is a key without quotes, perhaps dotted, and no number.
pub(super) fn is_bare(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_where_their_brackets_do() {
        let check = |text: &str, expected: &[(usize, usize, bool)]| {
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let statements = Statement::all(&lines);
            let found: Vec<_> =
                statements.iter().map(|one| (one.first, one.last, one.unclosed.is_some())).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("a = 1\n[b]\nc = 2 # [", &[(1, 1, false), (3, 3, false)]);
        check("a = [\n1, # ]\n\"]\",\n]\nb = 1", &[(1, 4, false), (5, 5, false)]);
        check("a = [\n1\nb = 1", &[(1, 2, true), (3, 3, false)]);
        check("a = [[1],\n[2]\n[b]\nc = 1", &[(1, 2, true), (4, 4, false)]);
        check("a = {\nb = 1,\nc = 2 }\nd = 1", &[(1, 3, false), (4, 4, false)]);
        check("a = {\nb = 1,\n[c]\nd = 1", &[(1, 1, true), (2, 2, false), (4, 4, false)]);
        check("a = \"\"\"\nb = 1\n[x]\n\\\"\"\" c\"\"\"\nd = 1", &[(1, 4, false), (5, 5, false)]);
        check("a = '''\nb = 1", &[(1, 1, true), (2, 2, false)]);
        check("a = \"x\\\"[\"\nb = 'x\\'\nc = \"[", &[(1, 1, false), (2, 2, false), (3, 3, false)]);
        check("a = [\n", &[(1, 1, true)]);
        check("a =", &[(1, 1, false)]);
        check("", &[]);
    }
}
