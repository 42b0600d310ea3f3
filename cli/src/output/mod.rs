//! How rows are printed: tables for people, JSON lines and CSV for programs.

mod chart;
mod csv;
mod event;
pub mod human;
pub mod json;
mod openmetrics;
mod table;

pub use chart::{Chart, Mark, chart, dots};
pub use csv::{Csv, quoted};
pub use event::{AlertSeries, KINDS, event_fields, event_line, event_rows};
pub use openmetrics::OpenMetrics;
pub use table::{Align, Cell, Column, Paint, Table};

use serde_json::Value;
pub use systembot_model::render::sparkline as spark;

/// One row for programs: keys and values in the order in which they are printed.
pub type Fields = Vec<(&'static str, Value)>;

/// What the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Columns.
    pub width: usize,
    /// Whether colours are shown.
    pub paint: Paint,
}

impl Screen {
    /// Columns where the output is no terminal.
    pub const WIDTH: usize = 80;
    /// Fewest columns that anything is laid out for.
    const WIDTH_MIN: usize = 20;

    /// The screen of a process: `columns` as `$COLUMNS` has it, `terminal` the columns of the terminal if the
    /// output is one, `no_color` as `$NO_COLOR` has it.
    #[must_use]
    pub fn new(columns: Option<&str>, terminal: Option<u16>, no_color: Option<&str>) -> Self {
        let asked = columns.and_then(|text| text.trim().parse::<usize>().ok()).filter(|width| *width > 0);
        let width = asked.or(terminal.map(usize::from)).unwrap_or(Self::WIDTH).max(Self::WIDTH_MIN);
        let is_coloured = terminal.is_some() && no_color.is_none_or(str::is_empty);
        Self { width, paint: if is_coloured { Paint::Colour } else { Paint::Plain } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_follows_terminal_and_environment() {
        let check = |columns, terminal, no_color, width, paint| {
            assert_eq!(Screen::new(columns, terminal, no_color), Screen { width, paint });
        };
        check(None, None, None, 80, Paint::Plain);
        check(None, Some(120), None, 120, Paint::Colour);
        check(None, Some(120), Some(""), 120, Paint::Colour);
        check(None, Some(120), Some("1"), 120, Paint::Plain);
        check(Some("100"), Some(120), None, 100, Paint::Colour);
        check(Some("100"), None, None, 100, Paint::Plain);
        check(Some("0"), None, None, 80, Paint::Plain);
        check(Some("5"), None, None, 20, Paint::Plain);
    }
}
