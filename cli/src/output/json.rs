//! JSON lines: one object a line, keys in the order given.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use serde_json::{Number, Value};
use systembot_model::{Timestamp, number};

use super::Fields;

/// Largest whole number that every reader of JSON takes exactly, 2^53.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A value as a number: whole ones without a point, others in the shortest form that reads back the same.
///
/// Infinities and NaN, which JSON has no form for, are null; no sample is one.
#[must_use]
pub fn number(value: f64) -> Value {
    plain(value).map_or(Value::Null, Value::Number)
}

/// Adds a value to a text, as [`number()`] prints.
pub fn write_number(value: f64, into: &mut String) {
    if write_decimals(value, into) {
        return;
    }
    // A text takes everything.
    let _ = match plain(value) {
        Some(number) => write!(into, "{number}"),
        None => into.write_str("null"),
    };
}

/// Adds a value that has at most three decimals, as most samples have; whether it has.
///
/// Of all texts of up to 15 digits at most one reads back as a given value, so this one is the shortest.
fn write_decimals(value: f64, into: &mut String) -> bool {
    let magnitude = value.abs();
    if !(0.001..1e9).contains(&magnitude) {
        return false;
    }
    let thousandths = number::round(magnitude * 1000.0);
    // Correctly rounded, as reading the text is.
    if number::float(thousandths) / 1000.0 != magnitude {
        return false;
    }
    let (mut whole, mut fraction) = (thousandths / 1000, thousandths % 1000);
    let mut text = [b'0'; 16];
    let mut begin = text.len();
    let mut put = |byte: u8| {
        begin -= 1;
        if let Some(place) = text.get_mut(begin) {
            *place = byte;
        }
    };
    let digit = |number: u64| b'0' + u8::try_from(number % 10).unwrap_or(0);
    if fraction > 0 {
        let mut is_digit = false;
        for _ in 0..3 {
            is_digit |= fraction % 10 != 0;
            if is_digit {
                put(digit(fraction));
            }
            fraction /= 10;
        }
        put(b'.');
    }
    put(digit(whole));
    while whole >= 10 {
        whole /= 10;
        put(digit(whole));
    }
    if value < 0.0 {
        put(b'-');
    }
    into.push_str(text.get(begin..).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default());
    true
}

fn plain(value: f64) -> Option<Number> {
    if value.fract() == 0.0 && value.abs() < EXACT_MAX {
        let magnitude = number::round(value.abs());
        return Some(match i64::try_from(magnitude) {
            Ok(whole) if value < 0.0 => Number::from(-whole),
            Ok(_) | Err(_) => Number::from(magnitude),
        });
    }
    Number::from_f64(value)
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_added_as_they_are_printed(
            value in prop_oneof![
                (-2_000_000_i64..2_000_000, 0_i32..6).prop_map(|(n, places)| number::signed(n) / 10_f64.powi(places)),
                (any::<i64>(), 0_i32..18).prop_map(|(n, places)| number::signed(n) / 10_f64.powi(places)),
                any::<u64>().prop_map(f64::from_bits),
                (-2_000_000_i64..2_000_000, 0_i64..4).prop_map(|(n, off)| {
                    f64::from_bits((number::signed(n) / 1000.0).to_bits().wrapping_add_signed(off))
                }),
            ]
        ) {
            let mut text = String::new();
            write_number(value, &mut text);
            prop_assert_eq!(text, number(value).to_string());
        }
    }

    #[test]
    fn numbers_read_back_as_they_were() {
        let check = |value: f64, expected: &str| {
            assert_eq!(number(value).to_string(), expected);
            let mut text = String::from("=");
            write_number(value, &mut text);
            assert_eq!(text.strip_prefix('='), Some(expected));
        };
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
