//! What people write where the manual says SERIES.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Series, metric::METRICS};

/// A choice of series: an exact id, a metric's name, a glob (`disk_*`) or a chat word (`load`, `disk`, `cpu`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern that takes every series.
    #[must_use]
    pub fn all() -> Self {
        Self("*".to_owned())
    }

    /// Takes what was written, blanks around it removed; `all` is `*`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text = text.trim();
        if text.eq_ignore_ascii_case("all") { Self::all() } else { Self(text.to_owned()) }
    }

    /// Whether this is the pattern that takes every series.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0 == "*"
    }

    /// Whether a series is chosen.
    #[must_use]
    pub fn matches(&self, series: &Series) -> bool {
        let text = self.0.as_str();
        if text == series.id() || text.eq_ignore_ascii_case(series.metric()) || self.is_all() {
            return true;
        }
        if text.contains(['*', '?']) {
            return glob(text, series.id()) || glob(text, series.metric());
        }
        let word = chat_word(text);
        series.known().is_some_and(|metric| metric.word.eq_ignore_ascii_case(word))
    }

    /// Whether it can choose any metric of the table, or is a whole series id.
    #[must_use]
    pub fn is_known(&self) -> bool {
        METRICS.iter().any(|metric| self.matches(&Series::new(metric.name))) || self.0.contains('{')
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_all() { "all" } else { &self.0 })
    }
}

/// The word of the metrics table that a spoken one stands for.
fn chat_word(text: &str) -> &str {
    const SPOKEN: &[(&str, &str)] = &[
        ("sysload", "load"),
        ("cpus", "cpu"),
        ("ram", "memory"),
        ("swap", "memory"),
        ("disks", "disk"),
        ("storage", "disk"),
        ("temp", "temperature"),
        ("temperatures", "temperature"),
        ("sensors", "temperature"),
        ("network", "traffic"),
    ];
    SPOKEN.iter().find(|(spoken, _)| spoken.eq_ignore_ascii_case(text)).map_or(text, |(_, word)| word)
}

/// Whether a text fits a glob of `*` (any run, also of `/`) and `?` (any one character); linear in both.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || text.get(t) == Some(c) => {
                p += 1;
                t += 1;
            }
            Some(_) | None => {
                let Some((star, from)) = retry else { return false };
                retry = Some((star, from + 1));
                p = star + 1;
                t = from + 1;
            }
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_series() {
        let home = Series::labelled("disk_used_percent", "mount", "/home");
        let check = |text: &str, expected| assert_eq!(Pattern::new(text).matches(&home), expected, "{text}");
        check("disk_used_percent{mount=\"/home\"}", true);
        check("disk_used_percent{mount=\"/\"}", false);
        check("disk_used_percent", true);
        check("disk_*", true);
        check("*home*", true);
        check("disk_?sed_percent", true);
        check("disk", true);
        check("storage", true);
        check("Disk", true);
        check("STORAGE", true);
        check("DISK_USED_PERCENT", true);
        check("all", true);
        check("load", false);
        check("disk_us", false);
        check("", false);
        check("**********************b", false);
    }

    #[test]
    fn known_patterns_choose_something_of_the_table() {
        for (text, expected) in
            [("load", true), ("disk_*", true), ("a{b=\"c\"}", true), ("lod", false), ("", false)]
        {
            assert_eq!(Pattern::new(text).is_known(), expected, "{text}");
        }
    }
}
