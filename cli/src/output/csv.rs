//! CSV as RFC 4180 has it, with newlines of Unix: a header line, quotes only where they are needed.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use serde_json::Value;

use super::Fields;

/// A cell, in quotes if it holds a comma, a quote or the end of a line.
#[must_use]
pub fn quoted(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        return Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")));
    }
    Cow::Borrowed(text)
}

/// Writes rows whose keys are the same; the first one's keys are the header.
#[derive(Debug, Default)]
pub struct Csv {
    has_header: bool,
}

impl Csv {
    /// Writes one row, the header before the first. What is null is an empty cell.
    ///
    /// # Errors
    /// What the output says.
    pub fn write(&mut self, out: &mut dyn Write, fields: &Fields) -> io::Result<()> {
        if !self.has_header {
            self.has_header = true;
            let keys: Vec<_> = fields.iter().map(|(key, _)| *key).collect();
            writeln!(out, "{}", keys.join(","))?;
        }
        for (i, (_, value)) in fields.iter().enumerate() {
            out.write_all(if i == 0 { b"" } else { b"," })?;
            match value {
                Value::Null => {}
                Value::String(text) => out.write_all(quoted(text).as_bytes())?,
                Value::Bool(_) | Value::Number(_) => write!(out, "{value}")?,
                Value::Array(_) | Value::Object(_) => {
                    out.write_all(quoted(&value.to_string()).as_bytes())?;
                }
            }
        }
        out.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_needed() {
        let mut out = Vec::new();
        let mut csv = Csv::default();
        csv.write(&mut out, &vec![("series", "disk{mount=\"/a,b\"}".into()), ("n", 1.into())]).unwrap();
        csv.write(&mut out, &vec![("series", "load1".into()), ("n", Value::Null)]).unwrap();
        csv.write(&mut out, &vec![("series", "two\nlines".into()), ("n", serde_json::json!(["a"]))]).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "series,n\n\"disk{mount=\"\"/a,b\"\"}\",1\nload1,\n\"two\nlines\",\"[\"\"a\"\"]\"\n"
        );
    }
}
