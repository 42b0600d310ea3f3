//! How far something long is, for a person who waits: a bar, the rate, and the time that is left.

use std::{io, io::Write, time::Duration};

use systembot_model::Timestamp;

use super::human;

/// Columns of the bar.
const BAR: u64 = 30;
/// Least time between two pictures, and from the begin to the first rate.
const PICTURE: Duration = Duration::from_millis(100);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Rows of a file.
    Rows,
    /// Bytes.
    Bytes,
}

/// Shows how far it is, or nothing where nobody watches.
pub struct Progress<'a> {
    /// A terminal, if a person sees it.
    out: Option<&'a mut dyn Write>,
    now: &'a dyn Fn() -> Timestamp,
    doing: &'static str,
    counted: Counted,
    began: Option<Timestamp>,
    shown: Option<Timestamp>,
}

impl<'a> Progress<'a> {
    /// Begins nothing yet: time counts from the first picture.
    #[must_use]
    pub const fn new(
        out: Option<&'a mut dyn Write>,
        now: &'a dyn Fn() -> Timestamp,
        doing: &'static str,
        counted: Counted,
    ) -> Self {
        Self { out, now, doing, counted, began: None, shown: None }
    }

    /// Shows that so much is done, of so much if that is known; not more often than one can see.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn show(&mut self, done: u64, of: Option<u64>) -> io::Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        let now = (self.now)();
        let began = *self.began.get_or_insert(now);
        let is_end = of.is_some_and(|of| done >= of);
        if self.shown.is_some_and(|shown| now.since(shown) < PICTURE && shown <= now) && !is_end {
            return Ok(());
        }
        self.shown = Some(now);
        let mut line = format!("\r{}", self.doing);
        if let Some(of) = of.filter(|of| *of > 0) {
            let percent = (done.saturating_mul(100) / of).min(100);
            let full = usize::try_from(percent * BAR / 100).unwrap_or(0);
            let open = usize::try_from(BAR).unwrap_or(0).saturating_sub(full);
            line.push_str(&format!(" [{}{}] {percent:3} %", "#".repeat(full), ".".repeat(open)));
        }
        let took = now.since(began);
        let elapsed_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if took >= PICTURE {
            let rate = done.saturating_mul(1000) / elapsed_ms;
            line.push_str(&match self.counted {
                Counted::Rows => format!("  {} rows/s", human::thousands(rate)),
                Counted::Bytes => format!("  {}/s", human::bytes(systembot_model::number::float(rate))),
            });
            if let Some(left) = of.map(|of| of.saturating_sub(done)).filter(|left| *left > 0 && rate > 0) {
                line.push_str(&format!(", {} left", human::span(Duration::from_secs(left.div_ceil(rate)))));
            }
        }
        // What a longer line before it has left behind it goes.
        write!(out, "{line}\x1b[K")?;
        out.flush()
    }

    /// Ends the line, if there is one.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn end(&mut self) -> io::Result<()> {
        match (&mut self.out, self.shown.take()) {
            (Some(out), Some(_)) => writeln!(out),
            (Some(_) | None, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn the_bar_the_rate_and_the_rest() {
        let (mut out, at) = (Vec::new(), Cell::new(0));
        let now = || Timestamp::from_ms(at.get());
        let mut progress = Progress::new(Some(&mut out), &now, "importing", Counted::Rows);
        for (ms, done) in [(0, 0), (50, 10), (2_000, 5_000), (1_000, 5_100), (4_000, 10_000)] {
            at.set(ms);
            progress.show(done, Some(10_000)).unwrap();
        }
        progress.end().unwrap();
        progress.end().unwrap();
        let text = String::from_utf8(out).unwrap();
        let half = format!("{}{}", "#".repeat(15), ".".repeat(15));
        assert_eq!(
            text,
            format!(
                "\rimporting [{}]   0 %\x1b[K\
                 \rimporting [{half}]  50 %  2,500 rows/s, 2 s left\x1b[K\
                 \rimporting [{half}]  51 %  5,100 rows/s, 1 s left\x1b[K\
                 \rimporting [{}] 100 %  2,500 rows/s\x1b[K\n",
                ".".repeat(30),
                "#".repeat(30)
            )
        );
    }

    #[test]
    fn without_a_known_end_there_is_the_rate_alone() {
        let (mut out, at) = (Vec::new(), Cell::new(0));
        let now = || Timestamp::from_ms(at.get());
        let mut progress = Progress::new(Some(&mut out), &now, "restoring", Counted::Bytes);
        progress.show(1, None).unwrap();
        at.set(2_000);
        progress.show(4 << 20, None).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "\rrestoring\x1b[K\rrestoring  2.00 MiB/s\x1b[K");
        let mut nobody = Progress::new(None, &now, "restoring", Counted::Bytes);
        nobody.show(1, None).unwrap();
        nobody.end().unwrap();
    }
}
