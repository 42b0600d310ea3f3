//! JSON lines: one object a line, keys in the order given.

use std::io::{self, Write};

use serde_json::Value;
use systembot_model::{Timestamp, number};

use super::Fields;

/// Largest whole number that every reader of JSON takes exactly, 2^53.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A value as a number: whole ones without a point, others in the shortest form that reads back the same.
///
/// Infinities and NaN, which JSON has no form for, are null; no sample is one.
#[must_use]
pub fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < EXACT_MAX {
        let magnitude = number::round(value.abs());
        return match i64::try_from(magnitude) {
            Ok(whole) if value < 0.0 => Value::from(-whole),
            Ok(_) | Err(_) => Value::from(magnitude),
        };
    }
    Value::from(value)
}

/// A number, null where there is none.
#[must_use]
pub fn optional(value: Option<f64>) -> Value {
    value.map_or(Value::Null, number)
}

/// A moment as RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn time(at: Timestamp) -> Value {
    Value::from(at.rfc3339())
}

/// A text or number, null where there is none.
#[must_use]
pub fn maybe<T: Into<Value>>(value: Option<T>) -> Value {
    value.map_or(Value::Null, Into::into)
}

/// A text in quotes, as JSON writes it.
#[must_use]
pub fn text(text: &str) -> String {
    Value::from(text).to_string()
}

/// Writes one object and a newline.
///
/// # Errors
/// What the output says.
pub fn write_line(out: &mut dyn Write, fields: &Fields) -> io::Result<()> {
    out.write_all(b"{")?;
    for (i, (key, value)) in fields.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(out, "{comma}\"{key}\":{value}")?;
    }
    out.write_all(b"}\n")
}

/// The fields as one value, for objects within others; its keys are in order of name.
#[must_use]
pub fn object(fields: Fields) -> Value {
    Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_as_they_were() {
        let check = |value: f64, expected: &str| assert_eq!(number(value).to_string(), expected);
        check(0.0, "0");
        check(-0.0, "0");
        check(3.0, "3");
        check(-17.0, "-17");
        check(0.1, "0.1");
        check(-2.5, "-2.5");
        check(16_777_216_000.0, "16777216000");
        check(1.0 / 3.0, "0.3333333333333333");
        check(1e300, "1e+300");
        check(f64::NAN, "null");
    }

    #[test]
    fn a_line_keeps_the_order_of_its_keys() {
        let mut out = Vec::new();
        let fields = vec![("time", time(Timestamp::from_ms(7))), ("a", Value::Null), ("b", "x\"y".into())];
        write_line(&mut out, &fields).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"time\":\"1970-01-01T00:00:00.007Z\",\"a\":null,\"b\":\"x\\\"y\"}\n"
        );
    }
}
