//! How rows are printed: tables for people, JSON lines and CSV for programs.

mod chart;
mod csv;
mod event;
pub mod human;
pub mod json;
mod moment;
mod openmetrics;
mod progress;
mod table;

pub use chart::{Chart, Mark, chart, dots};
pub use csv::{Csv, quoted};
pub use event::{AlertSeries, baselines_line, event_fields, event_line, event_rows, kinds};
pub use moment::{Rfc3339, Seconds};
pub use openmetrics::{OpenMetrics, family};
pub use progress::{Counted, Progress};
pub use table::{Align, Cell, Column, Paint, Table};

use serde_json::Value;
pub use systembot_model::render::sparkline as spark;

/// One row for programs: keys and values in the order in which they are printed.
pub type Fields = Vec<(&'static str, Value)>;

/// What the output is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A terminal, with its columns where it tells them.
    Terminal {
        /// Columns.
        columns: Option<u16>,
    },
    /// A pipe, a file.
    Other,
}

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

    /// The screen of a process: what the output is, and the variables `COLUMNS`, `NO_COLOR` and `TERM`.
    #[must_use]
    pub fn new(output: Output, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let asked = env("COLUMNS").and_then(|text| text.trim().parse::<usize>().ok());
        let told = match output {
            Output::Terminal { columns } => columns.map(usize::from),
            Output::Other => None,
        };
        // Terminals without a size say 0, and so do programs that hand one on.
        let width = [asked, told].into_iter().flatten().find(|width| *width > 0).unwrap_or(Self::WIDTH);
        let is_coloured = output != Output::Other
            && env("NO_COLOR").is_none_or(|value| value.is_empty())
            && env("TERM").is_none_or(|value| value != "dumb");
        let paint = if is_coloured { Paint::Colour } else { Paint::Plain };
        Self { width: width.max(Self::WIDTH_MIN), paint }
    }

    /// A page of the usual width without colours: what a pipe gets.
    #[must_use]
    pub const fn plain() -> Self {
        Self { width: Self::WIDTH, paint: Paint::Plain }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_follows_terminal_and_environment() {
        let check = |output, words: &str, width, paint| {
            let env = |name: &str| {
                let found = words.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
                found.map(str::to_owned)
            };
            assert_eq!(Screen::new(output, &env), Screen { width, paint }, "{output:?} {words}");
        };
        let wide = Output::Terminal { columns: Some(120) };
        let unsized_one = Output::Terminal { columns: None };
        check(Output::Other, "", 80, Paint::Plain);
        check(wide, "", 120, Paint::Colour);
        check(wide, "NO_COLOR= TERM=xterm", 120, Paint::Colour);
        check(wide, "NO_COLOR=1", 120, Paint::Plain);
        check(wide, "TERM=dumb", 120, Paint::Plain);
        check(unsized_one, "", 80, Paint::Colour);
        check(Output::Terminal { columns: Some(0) }, "", 80, Paint::Colour);
        check(wide, "COLUMNS=100", 100, Paint::Colour);
        check(wide, "COLUMNS=0", 120, Paint::Colour);
        check(Output::Other, "COLUMNS=100", 100, Paint::Plain);
        check(Output::Other, "COLUMNS=0", 80, Paint::Plain);
        check(Output::Other, "COLUMNS=5", 20, Paint::Plain);
    }
}
