//! Tables for people: no borders, two blanks between columns, never wider than the screen.
//!
//! Columns are as wide as their cells. Where that is too much, the widest of those that may be folded gives way,
//! and its cells go on in the next line: nothing is cut off. Where even that is too much, each cell gets a line of
//! its own behind the title of its column. Colours are put around the finished cells, so they do not count.

use std::io::{self, Write};

use clap::builder::styling::{AnsiColor, Color, Style};

use super::Screen;

/// Whether colours are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// On a terminal.
    Colour,
    /// Everywhere else, and where `NO_COLOR` is set.
    Plain,
}

impl Paint {
    /// A text in a style.
    #[must_use]
    pub fn text(self, style: Style, text: &str) -> String {
        match self {
            Self::Colour if style != Style::new() && !text.is_empty() => format!("{style}{text}{style:#}"),
            Self::Colour | Self::Plain => text.to_owned(),
        }
    }
}

/// One cell.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Worth getting up for.
    pub const RED: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Red)));
    /// Worth looking at.
    pub const YELLOW: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Yellow)));
    /// All is well.
    pub const GREEN: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Green)));
    /// Beside the point.
    pub const DIM: Style = Style::new().dimmed();
    /// Headings.
    pub const BOLD: Style = Style::new().bold();

    /// A cell in a style.
    #[must_use]
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), style: Style::new() }
    }
}

/// How the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words: at the left, folded where the screen is too narrow.
    Fold,
    /// Dates with a time: at the left, folded once words cannot be folded any more.
    FoldLate,
    /// Short words and times: at the left, never folded.
    Left,
    /// Figures: at the right, never folded.
    Right,
}

/// Head of a column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its title; if no column has one there is no head line.
    pub title: &'static str,
    /// How its cells stand.
    pub align: Align,
}

/// A table that is filled, then written; or, with widths known, written row by row.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    widths: Vec<usize>,
    rows: Vec<Vec<Cell>>,
    screen: Screen,
    /// Whether the screen is too narrow for columns beside each other.
    is_stacked: bool,
    /// The line that is being written.
    line: String,
}

impl Table {
    /// Narrowest that a column is folded to.
    const FOLDED_MIN: usize = 10;

    /// An empty table.
    #[must_use]
    pub fn new(screen: Screen, columns: &[(&'static str, Align)]) -> Self {
        let columns: Vec<_> = columns.iter().map(|(title, align)| Column { title, align: *align }).collect();
        let widths = columns.iter().map(|column| width(column.title)).collect();
        Self { columns, widths, rows: Vec::new(), screen, is_stacked: false, line: String::new() }
    }

    /// Adds a row.
    pub fn push(&mut self, cells: Vec<Cell>) {
        self.widen(cells.iter().map(|cell| width(&cell.text)));
        self.rows.push(cells);
    }

    /// Makes the columns at least so wide, for rows that are written one by one.
    pub fn widen(&mut self, widths: impl IntoIterator<Item = usize>) {
        for (column, wanted) in self.widths.iter_mut().zip(widths) {
            *column = (*column).max(wanted);
        }
    }

    /// Writes head and rows.
    ///
    /// # Errors
    /// What the output says.
    pub fn write(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.write_head(out)?;
        for row in std::mem::take(&mut self.rows) {
            self.write_row(out, &row)?;
        }
        Ok(())
    }

    /// Settles the widths and writes the head.
    ///
    /// # Errors
    /// What the output says.
    pub fn write_head(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let is_titled = self.columns.iter().any(|column| !column.title.is_empty());
        self.fit(&[Align::Fold]);
        self.fit(&[Align::Fold, Align::FoldLate]);
        self.is_stacked = is_titled && self.excess().is_some();
        if !is_titled || self.is_stacked {
            return Ok(());
        }
        let titles: Vec<_> =
            self.columns.iter().map(|column| Cell::styled(column.title, Cell::BOLD)).collect();
        self.write_row(out, &titles)
    }

    /// Writes one row.
    ///
    /// # Errors
    /// What the output says.
    pub fn write_row(&self, out: &mut dyn Write, cells: &[Cell]) -> io::Result<()> {
        if self.is_stacked {
            return self.write_stacked(out, cells);
        }
        let folded: Vec<Vec<String>> = cells
            .iter()
            .zip(&self.columns)
            .zip(&self.widths)
            .map(|((cell, column), width)| match column.align {
                Align::Fold | Align::FoldLate => fold(&cell.text, *width),
                Align::Left | Align::Right => vec![cell.text.clone()],
            })
            .collect();
        let height = folded.iter().map(Vec::len).max().unwrap_or(0);
        for at in 0..height {
            let mut line = String::new();
            for (((lines, cell), column), room) in
                folded.iter().zip(cells).zip(&self.columns).zip(&self.widths)
            {
                let text = lines.get(at).map_or("", String::as_str);
                let blanks = " ".repeat(room.saturating_sub(width(text)));
                let painted = self.screen.paint.text(cell.style, text);
                match column.align {
                    Align::Right => line.extend([&blanks, &painted, "  "]),
                    Align::Fold | Align::FoldLate | Align::Left => line.extend([&painted, &blanks, "  "]),
                }
            }
            writeln!(out, "{}", line.trim_end_matches(' '))?;
        }
        Ok(())
    }

    /// Writes one row of cells without a style; where each fits its column, as nearly all do, nothing is allocated.
    ///
    /// # Errors
    /// What the output says.
    pub fn write_texts(&mut self, out: &mut dyn Write, texts: &[String]) -> io::Result<()> {
        self.line.clear();
        if self.is_stacked || !self.lay_out(texts) {
            let cells: Vec<_> = texts.iter().map(|text| Cell::from(text.as_str())).collect();
            return self.write_row(out, &cells);
        }
        self.line.truncate(self.line.trim_end_matches(' ').len());
        self.line.push('\n');
        out.write_all(self.line.as_bytes())
    }

    /// Puts cells into the line; whether that was all, so that none has to be folded.
    fn lay_out(&mut self, texts: &[String]) -> bool {
        for ((text, column), room) in texts.iter().zip(&self.columns).zip(&self.widths) {
            let taken = if text.is_ascii() { text.len() } else { width(text) };
            let is_folded = taken > *room || text.contains('\n') || text.ends_with(char::is_whitespace);
            let blanks = room.saturating_sub(taken);
            match column.align {
                Align::Fold | Align::FoldLate if is_folded => return false,
                Align::Fold | Align::FoldLate | Align::Left => {
                    self.line.push_str(text);
                    push_blanks(&mut self.line, blanks);
                }
                Align::Right => {
                    push_blanks(&mut self.line, blanks);
                    self.line.push_str(text);
                }
            }
            self.line.push_str("  ");
        }
        true
    }

    /// Writes the cells of a row below each other, with an empty line behind them.
    fn write_stacked(&self, out: &mut dyn Write, cells: &[Cell]) -> io::Result<()> {
        let title_width = self.columns.iter().map(|column| width(column.title)).max().unwrap_or(0);
        let room = self.screen.width.saturating_sub(title_width + 2).max(Self::FOLDED_MIN);
        for (column, cell) in self.columns.iter().zip(cells).filter(|(_, cell)| !cell.text.is_empty()) {
            let title = format!("{:title_width$}", column.title);
            let mut title = self.screen.paint.text(Cell::BOLD, &title);
            for line in fold(&cell.text, room) {
                let text = format!("{title}  {}", self.screen.paint.text(cell.style, &line));
                writeln!(out, "{}", text.trim_end_matches(' '))?;
                title = " ".repeat(title_width);
            }
        }
        writeln!(out)
    }

    /// Columns that the table has too many; `None` if it fits.
    fn excess(&self) -> Option<usize> {
        let total = self.widths.iter().sum::<usize>() + 2 * self.widths.len().saturating_sub(1);
        total.checked_sub(self.screen.width).filter(|excess| *excess > 0)
    }

    /// Narrows the widest column of those that may be folded until all fit.
    fn fit(&mut self, folded: &[Align]) {
        while let Some(excess) = self.excess() {
            let foldable = self.columns.iter().zip(&mut self.widths).filter_map(|(column, width)| {
                (folded.contains(&column.align) && *width > Self::FOLDED_MIN).then_some(width)
            });
            let mut by_width: Vec<_> = foldable.collect();
            by_width.sort_unstable();
            let next = by_width.len().checked_sub(2).and_then(|i| by_width.get(i)).map_or(0, |width| **width);
            let Some(widest) = by_width.pop() else { return };
            // Down to the second widest, then they take turns.
            let step = (*widest - next).clamp(1, excess);
            *widest = widest.saturating_sub(step).max(Self::FOLDED_MIN);
        }
    }
}

fn push_blanks(line: &mut String, mut count: usize) {
    const BLANKS: &str = "                                ";
    while count > 0 {
        let blanks = BLANKS.get(..count).unwrap_or(BLANKS);
        line.push_str(blanks);
        count -= blanks.len();
    }
}

/// Columns that a text takes; every character is taken for one.
fn width(text: &str) -> usize {
    text.chars().count()
}

/// Breaks a text into lines of at most `room` characters: behind blanks and underscores, before braces, and
/// anywhere within what is too long.
fn fold(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for piece in paragraph.split_inclusive([' ', '_']).flat_map(before_brace) {
            if !line.is_empty() && width(&line) + width(piece.trim_end_matches(' ')) > room {
                lines.push(std::mem::take(&mut line));
            }
            for c in piece.chars() {
                if width(&line) >= room && c != ' ' {
                    lines.push(std::mem::take(&mut line));
                }
                line.push(c);
            }
        }
        lines.push(line);
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// `load{` in two: the label of a series goes to the next line as a whole.
fn before_brace(piece: &str) -> [&str; 2] {
    let brace = piece.find('{').unwrap_or(piece.len());
    piece.split_at_checked(brace).map_or([piece, ""], |(name, label)| [name, label])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(width: usize) -> Screen {
        Screen { width, paint: Paint::Plain }
    }

    fn text(table: &mut Table) -> String {
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let mut table =
            Table::new(screen(80), &[("Name", Align::Fold), ("Value", Align::Right), ("", Align::Left)]);
        table.push(vec!["load1".into(), "0.5".into(), "▁█".into()]);
        table.push(vec!["processes_total".into(), "".into(), "x".into()]);
        table.push(vec!["a".into(), "123456".into(), "".into()]);
        assert_eq!(
            text(&mut table),
            "Name              Value\nload1               0.5  ▁█\nprocesses_total          x\na                123456\n"
        );
    }

    #[test]
    fn texts_are_laid_out_as_cells_are() {
        let columns = [("Time", Align::FoldLate), ("Name", Align::Fold), ("V", Align::Right)];
        let texts =
            ["a", "", "ä b", "ends ", "two\nlines", "exactly_it", "longer_than_its_column", "°C\u{a0}"];
        for room in [20, 24, 80] {
            for i in 0..texts.len().pow(3) {
                let text = |step: usize| texts[i / step % texts.len()].to_owned();
                let mut table = Table::new(screen(room), &columns);
                table.widen([4, 10, 5]);
                let (mut laid_out, mut folded) = (Vec::new(), Vec::new());
                table.write_head(&mut laid_out).unwrap();
                folded.clone_from(&laid_out);
                let row = [text(1), text(texts.len()), text(texts.len() * texts.len())];
                table.write_texts(&mut laid_out, &row).unwrap();
                table.write_row(&mut folded, &row.map(Cell::from)).unwrap();
                assert_eq!(String::from_utf8(laid_out).unwrap(), String::from_utf8(folded).unwrap());
            }
        }
    }

    #[test]
    fn what_is_too_wide_is_folded_and_nothing_is_lost() {
        let mut table =
            Table::new(screen(30), &[("Id", Align::Right), ("Message", Align::Fold), ("At", Align::Left)]);
        table.push(vec!["7".into(), "disk / is 93 % full, 1.2 GiB free".into(), "12:00".into()]);
        table.push(vec!["8".into(), "averyveryveryverylongword".into(), "12:01".into()]);
        let text = text(&mut table);
        assert_eq!(
            text,
            "Id  Message              At\n 7  disk / is 93 %       12:00\n    full, 1.2 GiB free\n \
             8  averyveryveryverylo  12:01\n    ngword\n"
        );
        assert!(text.lines().all(|line| width(line) <= 30));
    }

    #[test]
    fn colours_do_not_count() {
        let mut table =
            Table::new(Screen { width: 80, paint: Paint::Colour }, &[("", Align::Left), ("", Align::Left)]);
        table.push(vec![Cell::styled("bad", Cell::RED), "x".into()]);
        table.push(vec!["worse".into(), "y".into()]);
        assert_eq!(text(&mut table), "\u{1b}[31mbad\u{1b}[0m    x\nworse  y\n");
    }

    #[test]
    fn a_column_is_never_folded_to_nothing() {
        let mut table = Table::new(screen(5), &[("", Align::Fold)]);
        table.push(vec!["0123456789abcdef".into()]);
        table.push(vec!["disk_used_percent{mount=\"/\"}".into()]);
        assert_eq!(text(&mut table), "0123456789\nabcdef\ndisk_used_\npercent\n{mount=\"/\"\n}\n");
    }

    #[test]
    fn times_are_folded_after_words() {
        let time = "2026-11-22 09:30:00";
        let columns = [("Time", Align::FoldLate), ("Series", Align::Fold), ("Value", Align::Right)];
        for (room, expected) in [
            (40, "Time                 Series        Value\n2026-11-22 09:30:00  network_sent   1.00\n"),
            (
                38,
                "Time                 Series      Value\n2026-11-22 09:30:00  network_     1.00\n                     sent\n",
            ),
            (29, "Time        Series      Value\n2026-11-22  network_     1.00\n09:30:00    sent\n"),
        ] {
            let mut table = Table::new(screen(room), &columns);
            table.push(vec![time.into(), "network_sent".into(), "1.00".into()]);
            assert_eq!(text(&mut table), expected, "{room}");
        }
    }

    #[test]
    fn what_cannot_stand_beside_each_other_stands_below() {
        let columns = [("Series", Align::Fold), ("", Align::Left), ("Mean", Align::Right)];
        let mut table = Table::new(screen(24), &columns);
        table.push(vec!["processes_running".into(), "▁▁▁█▁▁▁▁".into(), "2.50".into()]);
        table.push(vec!["load1".into(), "".into(), "0.25".into()]);
        let text = text(&mut table);
        assert_eq!(
            text,
            "Series  processes_\n        running\n        ▁▁▁█▁▁▁▁\nMean    2.50\n\nSeries  load1\nMean    0.25\n\n"
        );
    }
}
