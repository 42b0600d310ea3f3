//! A chart in braille: two by four dots a character, with the range at its left and the times below.

use jiff::tz::TimeZone;
use systembot_model::{Series, Timestamp, number};

use super::{Screen, human};

/// What is drawn: one series over a span.
#[derive(Clone, Debug)]
pub struct Chart<'a> {
    /// Whose values, for its name and units.
    pub series: &'a Series,
    /// First moment.
    pub since: Timestamp,
    /// The moment after the last.
    pub until: Timestamp,
    /// What is drawn, ascending in time.
    pub marks: &'a [Mark],
}

/// The values of one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// Least value.
    pub min: f64,
    /// Greatest value; the least one for a single sample.
    pub max: f64,
}

/// Lines of dots, four to a character.
const ROWS: usize = 10;
/// Characters the plot never goes below.
const COLUMNS_MIN: usize = 10;
/// A gap this many times the usual distance of points is left open.
const GAP: i64 = 4;

/// Dots across a chart of this width; what is drawn needs no finer buckets.
#[must_use]
pub fn dots(screen: Screen) -> usize {
    2 * screen.width.saturating_sub(12).max(COLUMNS_MIN)
}

/// Draws one series; of no points only its name and the axes.
#[must_use]
pub fn chart(chart: &Chart<'_>, screen: Screen, zone: &TimeZone) -> String {
    let min = chart.marks.iter().map(|mark| mark.min).fold(f64::INFINITY, f64::min);
    let max = chart.marks.iter().map(|mark| mark.max).fold(f64::NEG_INFINITY, f64::max);
    let label =
        |value: f64| if value.is_finite() { human::value(chart.series, value) } else { String::new() };
    let (top, bottom) = (label(max), label(min));
    let margin = top.chars().count().max(bottom.chars().count());
    let columns = screen.width.saturating_sub(margin + 3).max(COLUMNS_MIN);
    let mut canvas = Canvas::new(columns, ROWS);
    plot(chart, (min, max), &mut canvas);

    let mut text = format!("{}\n", chart.series);
    for (row, line) in canvas.lines().into_iter().enumerate() {
        let (label, tick) = match row {
            0 => (top.as_str(), '┤'),
            row if row + 1 == ROWS => (bottom.as_str(), '┤'),
            _ => ("", '│'),
        };
        text.push_str(format!("{label:>margin$} {tick}{line}").trim_end_matches(['⠀', ' ']));
        text.push('\n');
    }
    let format =
        if chart.until.since(chart.since).as_secs() > 36 * 3600 { "%m-%d %H:%M" } else { "%H:%M:%S" };
    let from = human::format_local(chart.since, zone, format);
    let to = human::format_local(chart.until, zone, format);
    let between = columns.saturating_sub(from.chars().count());
    text.push_str(&format!(
        "{:margin$} └{}\n{:margin$}  {from}{to:>between$}\n",
        "",
        "─".repeat(columns),
        ""
    ));
    text
}

/// Sets the dots of all points and joins those that follow each other without a gap.
fn plot(chart: &Chart<'_>, (min, max): (f64, f64), canvas: &mut Canvas) {
    let length = chart.until.since(chart.since).as_secs_f64().max(0.001);
    let (across, up) = (canvas.across().saturating_sub(1), canvas.up().saturating_sub(1));
    let x = |at: Timestamp| place(at.since(chart.since).as_secs_f64() / length, across);
    let range = max / 2.0 - min / 2.0;
    // What does not change runs through the middle.
    let y = |value: f64| if range > 0.0 { place((value / 2.0 - min / 2.0) / range, up) } else { up / 2 };
    let usual = usual_distance(chart.marks);
    let mut before: Option<(Timestamp, usize, usize)> = None;
    for Mark { at, min, max } in chart.marks {
        let (column, low, high) = (x(*at), y(*min), y(*max));
        canvas.bar(column, low, high);
        let middle = usize::midpoint(low, high);
        if let Some((last, from, level)) = before
            && at.as_ms().saturating_sub(last.as_ms()) <= usual.saturating_mul(GAP)
        {
            canvas.join((from, level), (column, middle));
        }
        before = Some((*at, column, middle));
    }
}

/// The dot at a share of a range.
fn place(share: f64, last: usize) -> usize {
    usize::try_from(number::round(share.clamp(0.0, 1.0) * number::count(last))).unwrap_or(last).min(last)
}

/// Median distance of neighbours in milliseconds, at least 1.
fn usual_distance(marks: &[Mark]) -> i64 {
    let distance = |(a, b): (&Mark, &Mark)| b.at.as_ms().saturating_sub(a.at.as_ms());
    let mut distances: Vec<i64> = marks.iter().zip(marks.iter().skip(1)).map(distance).collect();
    distances.sort_unstable();
    distances.get(distances.len() / 2).copied().unwrap_or(1).max(1)
}

/// Dots, two columns and four rows a character.
struct Canvas {
    columns: usize,
    rows: usize,
    cells: Vec<u8>,
}

impl Canvas {
    fn new(columns: usize, rows: usize) -> Self {
        Self { columns, rows, cells: vec![0; columns * rows] }
    }

    const fn across(&self) -> usize {
        self.columns * 2
    }

    const fn up(&self) -> usize {
        self.rows * 4
    }

    /// Sets a dot, counted from the bottom left.
    fn set(&mut self, x: usize, y: usize) {
        // Bits of U+2800 by row from the top, left and right column (Unicode 16, chapter 21.1).
        const DOTS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        let Some(down) = self.up().checked_sub(y + 1) else { return };
        let bit = DOTS.get(down % 4).and_then(|pair| pair.get(x % 2));
        let cell = self.cells.get_mut(down / 4 * self.columns + x / 2);
        if let (Some(bit), Some(cell)) = (bit, cell) {
            *cell |= bit;
        }
    }

    /// A line from the least to the greatest value of one moment.
    fn bar(&mut self, x: usize, low: usize, high: usize) {
        (low..=high).for_each(|y| self.set(x, y));
    }

    /// A line between two points, the left one first.
    fn join(&mut self, from: (usize, usize), to: (usize, usize)) {
        let steps = to.0.saturating_sub(from.0);
        let mut level = from.1;
        for step in 1..=steps {
            let share = number::count(step) / number::count(steps);
            let (start, end) = (number::count(from.1), number::count(to.1));
            let next = usize::try_from(number::round(start + (end - start) * share)).unwrap_or(level);
            self.bar(from.0 + step, level.min(next), level.max(next));
            level = next;
        }
    }

    fn lines(&self) -> Vec<String> {
        let braille = |cell: &u8| char::from_u32(0x2800 + u32::from(*cell)).unwrap_or(' ');
        self.cells.chunks(self.columns.max(1)).map(|row| row.iter().map(braille).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Paint;

    fn draw(points: &[(i64, f64, f64)]) -> Vec<String> {
        let points: Vec<_> = points
            .iter()
            .map(|(s, min, max)| Mark { at: Timestamp::from_ms(s * 1000), min: *min, max: *max })
            .collect();
        let series = Series::new("load1");
        let view = Chart {
            series: &series,
            since: Timestamp::from_ms(0),
            until: Timestamp::from_ms(100_000),
            marks: &points,
        };
        let screen = Screen { width: 30, paint: Paint::Plain };
        chart(&view, screen, &TimeZone::UTC).lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_slope_goes_from_one_corner_to_the_other() {
        let lines = draw(&[(0, 0.0, 0.0), (50, 1.0, 1.0), (100, 2.0, 2.0)]);
        assert_eq!(
            lines,
            [
                "load1",
                "2.00 ┤⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⢀⣠⠞",
                "     │⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⢀⡴⠋",
                "     │⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⣠⠖⠋",
                "     │⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⣠⠞⠁",
                "     │⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⢀⡴⠋⠁",
                "     │⠀⠀⠀⠀⠀⠀⠀⠀⠀⣠⠴⠋",
                "     │⠀⠀⠀⠀⠀⠀⠀⣠⠞⠁",
                "     │⠀⠀⠀⠀⢀⡴⠚⠁",
                "     │⠀⠀⢀⡴⠋",
                "0.00 ┤⣠⠞⠉",
                "     └───────────────────────",
                "      00:00:00       00:01:40",
            ]
        );
    }

    #[test]
    fn every_kind_of_data_is_drawn_within_the_width() {
        let checks: [&[(i64, f64, f64)]; 6] = [
            &[],
            &[(50, 1.0, 1.0)],
            &[(0, 3.0, 3.0), (50, 3.0, 3.0), (99, 3.0, 3.0)],
            &[(0, -5.0, 5.0), (1, f64::MIN, f64::MAX)],
            &[(-50, 1.0, 2.0), (500, 0.0, 1.0)],
            &[(10, 1.0, 1.0), (10, 2.0, 2.0), (10, 0.0, 0.0)],
        ];
        for points in checks {
            let lines = draw(points);
            assert_eq!(lines.len(), 1 + ROWS + 2, "{points:?}");
            let is_wide = |line: &&String| line.chars().count() > 30 && !line.contains('E');
            assert!(
                !points.iter().all(|p| p.1.abs() < 1e9) || !lines.iter().any(|l| is_wide(&l)),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn a_gap_is_left_open() {
        let dots = |lines: &[String]| {
            lines.iter().flat_map(|l| l.chars()).filter(|c| ('⠁'..='⣿').contains(c)).count()
        };
        let whole = draw(&[(0, 1.0, 1.0), (10, 1.0, 1.0), (20, 1.0, 1.0), (50, 1.0, 1.0), (60, 1.0, 1.0)]);
        let broken = draw(&[(0, 1.0, 1.0), (10, 1.0, 1.0), (20, 1.0, 1.0), (61, 1.0, 1.0), (70, 1.0, 1.0)]);
        assert!(dots(&broken) + 5 < dots(&whole), "{broken:?} {whole:?}");
    }
}
