//! The forms of a file, and what one of their lines says.

use serde_json::Value;
use systembot_model::Timestamp;

use super::{columns::Columns, sadf};
use crate::{output::human, rows};

/// How the lines of a table are written.
pub(super) enum Form {
    /// `timestamp` and a column a series.
    Wide,
    /// `time,series,value`, as `export` prints it.
    Long,
    /// An object with these keys a line, as `export` prints it.
    Json,
    /// A kind of section of `sadf -d`.
    Sadf(sadf::Kind),
}

/// What the first line of a file tells.
pub(super) struct Begun {
    pub(super) form: Form,
    pub(super) columns: Columns,
    /// Whether it is a row itself.
    pub(super) is_row: bool,
}

/// The form of a file that is none of `sadf -d`, by its first line.
pub(super) fn begin(head: &str) -> Result<Begun, String> {
    if head.starts_with('{') {
        return Ok(Begun { form: Form::Json, columns: Columns::default(), is_row: true });
    }
    let cells = rows::cells(head).ok_or("the quotes do not match")?;
    let Some((first, names)) = cells.split_first() else { return Err("empty".to_owned()) };
    let mut columns = Columns::default();
    if cells == ["time", "series", "value"] {
        return Ok(Begun { form: Form::Long, columns, is_row: false });
    }
    if !first.trim().eq_ignore_ascii_case("timestamp") {
        return Err(format!("the first column is `{}`, not `timestamp`", first.trim()));
    }
    for name in names {
        columns.add(name.trim())?;
    }
    if columns.series().is_empty() {
        return Err("no columns beside `timestamp`".to_owned());
    }
    Ok(Begun { form: Form::Wide, columns, is_row: false })
}

impl Form {
    /// Whether a line is a row of its own; else those of one moment are one row.
    pub(super) const fn is_whole_row(&self) -> bool {
        matches!(self, Self::Wide)
    }

    /// Whether a line is the begin of something else.
    pub(super) fn ends_at(&self, line: &str) -> bool {
        matches!(self, Self::Sadf(_)) && sadf::is_head(line)
    }

    /// The values of a line, by column, and their moment; `None` if it has none.
    pub(super) fn values(
        &self,
        line: &str,
        columns: &mut Columns,
        values: &mut Vec<(usize, f64)>,
    ) -> Result<Option<Timestamp>, String> {
        match self {
            Self::Wide => wide(line, columns.series().len(), values).map(Some),
            Self::Long => long(line, columns, values).map(Some),
            Self::Json => json(line, columns, values).map(Some),
            Self::Sadf(kind) => kind.values(line, columns, values),
        }
    }
}

fn wide(line: &str, columns: usize, values: &mut Vec<(usize, f64)>) -> Result<Timestamp, String> {
    let cells = rows::cells(line).ok_or("the quotes do not match")?;
    let Some((time, numbers)) = cells.split_first() else { return Err("empty".to_owned()) };
    if numbers.len() != columns {
        return Err(wrong_width(cells.len(), columns + 1));
    }
    for (column, cell) in numbers.iter().enumerate() {
        match cell.trim() {
            "" => {}
            text => values.push((column, number(text)?)),
        }
    }
    moment(time)
}

fn long(line: &str, columns: &mut Columns, values: &mut Vec<(usize, f64)>) -> Result<Timestamp, String> {
    let cells = rows::cells(line).ok_or("the quotes do not match")?;
    let [time, series, value] = cells.as_slice() else { return Err(wrong_width(cells.len(), 3)) };
    values.push((columns.of(series)?, number(value)?));
    moment(time)
}

fn json(line: &str, columns: &mut Columns, values: &mut Vec<(usize, f64)>) -> Result<Timestamp, String> {
    let object: Value = serde_json::from_str(line).map_err(|error| format!("is no JSON object: {error}"))?;
    let text = |key: &str| object.get(key).and_then(Value::as_str).ok_or_else(|| format!("has no `{key}`"));
    let value = object.get("value").and_then(Value::as_f64).filter(|value| value.is_finite());
    values.push((columns.of(text("series")?)?, value.ok_or("has no `value` that is a number")?));
    moment(text("time")?)
}

fn moment(text: &str) -> Result<Timestamp, String> {
    rows::moment(text).ok_or_else(|| format!("`{text}` is no timestamp"))
}

fn number(text: &str) -> Result<f64, String> {
    rows::number(text).ok_or_else(|| format!("`{text}` is no number"))
}

/// What is said of a line that has other columns than its head.
pub(super) fn wrong_width(found: usize, told: usize) -> String {
    let found = human::counted(u64::try_from(found).unwrap_or(u64::MAX), "column");
    format!("{found} where the head has {told}")
}
