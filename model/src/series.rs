//! The identity of one measured quantity: a metric and, for most, one label.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{limits, metric::Metric};

/// One series: `load1`, or `disk_used_percent{mount="/home"}`.
///
/// Written as in the Prometheus text format (a label value escapes `\`, `"` and newline); cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Series(Arc<str>);

impl Series {
    /// A series of a metric without a label.
    #[must_use]
    pub fn new(metric: &str) -> Self {
        Self(Arc::from(metric))
    }

    /// A series of a metric with one label; the value is escaped and cut at [`limits::LABEL_BYTES`].
    #[must_use]
    pub fn labelled(metric: &str, key: &str, value: &str) -> Self {
        let mut id = format!("{metric}{{{key}=\"");
        for c in limits::cut(value, limits::LABEL_BYTES).chars() {
            match c {
                '\\' => id.push_str("\\\\"),
                '"' => id.push_str("\\\""),
                '\n' => id.push_str("\\n"),
                c => id.push(c),
            }
        }
        id.push_str("\"}");
        Self(Arc::from(id))
    }

    /// Reads an id as this type writes it; `None` if it is empty, too long or not of that form.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        let name = id.split('{').next().unwrap_or(id);
        let name_fits = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.' | '-'));
        let label = id.get(name.len()..)?;
        let label_fits = label.is_empty() || split_label(label).is_some();
        (name_fits && label_fits && id.len() <= limits::SERIES_BYTES).then(|| Self(Arc::from(id)))
    }

    /// The whole id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0
    }

    /// The metric's name, the id up to the label.
    #[must_use]
    pub fn metric(&self) -> &str {
        self.0.split('{').next().unwrap_or(&self.0)
    }

    /// What the table of metrics knows of it; `None` for imported names it does not list.
    #[must_use]
    pub fn known(&self) -> Option<&'static Metric> {
        Metric::find(self.metric())
    }

    /// The label's value, unescaped: the mount, interface, sensor, device or CPU.
    #[must_use]
    pub fn label(&self) -> Option<Cow<'_, str>> {
        let (_, value) = split_label(self.0.get(self.metric().len()..)?)?;
        if !value.contains('\\') {
            return Some(Cow::Borrowed(value));
        }
        let mut plain = String::with_capacity(value.len());
        let mut chars = value.chars();
        while let Some(c) = chars.next() {
            let unescaped = match (c == '\\').then(|| chars.next()) {
                None => c,
                Some(Some('n')) => '\n',
                Some(next) => next?,
            };
            plain.push(unescaped);
        }
        Some(Cow::Owned(plain))
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Splits `{key="value"}` into key and still escaped value.
fn split_label(text: &str) -> Option<(&str, &str)> {
    let (key, quoted) = text.strip_prefix('{')?.split_once("=\"")?;
    let value = quoted.strip_suffix("\"}")?;
    let key_fits = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let mut escaped = false;
    for c in value.chars() {
        match (escaped, c) {
            (false, '"') => return None,
            (false, '\\') => escaped = true,
            _ => escaped = false,
        }
    }
    (key_fits && !escaped).then_some((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_survives_the_round_trip() {
        for value in ["/", "/home/a b", "quo\"te", "back\\slash", "new\nline", "ü"] {
            let series = Series::labelled("disk_used_percent", "mount", value);
            assert_eq!(Series::parse(series.id()).as_ref(), Some(&series), "{value}");
            assert_eq!(series.label().as_deref(), Some(value));
            assert_eq!(series.metric(), "disk_used_percent");
        }
    }

    #[test]
    fn what_is_no_series_is_refused() {
        for id in
            ["", "{a=\"b\"}", "a{b}", "a{b=\"c\"", "a b", "1a", "a{b=\"c\"d\"}", "a{=\"c\"}", "a{b=\"c\\\"}"]
        {
            assert_eq!(Series::parse(id), None, "{id}");
        }
        assert!(Series::parse(&"x".repeat(5000)).is_none());
    }
}
