//! `detect`: the detector over a CSV file, strictly online.

use std::io::BufRead;

use anyhow::{Result, bail};
use systembot_model::{Timestamp, stats::Summary};

use super::{Outcome, View};
use crate::{
    args::Format,
    edges::{Detector, Judged},
    output::{human, json, quoted},
    rows::{self, Rows},
};

/// Judges every value of a file of `timestamp,value`, each by those before it alone.
///
/// # Errors
/// A line that cannot be read, and those of the input and of the output.
pub fn detect(
    name: &str,
    input: &mut dyn BufRead,
    detector: &mut Detector,
    view: &mut View<'_>,
) -> Result<Outcome> {
    let mut lines = Rows::new(input, name);
    let mut count = 0_u64;
    if view.format != Format::Json {
        writeln!(view.out, "timestamp,value,score,alert")?;
    }
    while let Some(line) = lines.read()? {
        let Some(cells) = rows::cells(line) else { bail!("{}: the quotes do not match", lines.place()) };
        let [time, value] = cells.as_slice() else {
            let found = human::counted(u64::try_from(cells.len())?, "column");
            bail!("{}: {found} where `timestamp,value` has two", lines.place());
        };
        let (at, number) = (rows::moment(time), rows::number(value));
        let is_head = count == 0 && at.is_none() && number.is_none();
        count += 1;
        if is_head {
            continue;
        }
        let (Some(at), Some(number)) = (at, number) else {
            let (what, cell) = if at.is_none() { ("timestamp", time) } else { ("number", value) };
            let text = format!("`{cell}` is no {what}");
            bail!("{}: {text}", lines.place());
        };
        print(&Row { time, value, judged: detector(at, number) }, view)?;
    }
    if count == 0 {
        bail!("{name}: empty, where lines of `timestamp,value` should be")
    }
    Ok(Outcome::Done)
}

/// A row as it was read, and what the detector says.
struct Row<'a> {
    time: &'a str,
    value: &'a str,
    judged: Judged,
}

fn print(row: &Row<'_>, view: &mut View<'_>) -> Result<()> {
    let Judged { score, is_alert } = row.judged;
    let (score, alert) = (json::number(score.clamp(0.0, 1.0)), u8::from(is_alert));
    if view.format != Format::Json {
        writeln!(view.out, "{},{},{score},{alert}", quoted(row.time), row.value)?;
        return Ok(());
    }
    let value = rows::number(row.value);
    let fields = vec![
        ("timestamp", row.time.into()),
        ("value", json::optional(value)),
        ("score", score),
        ("alert", alert.into()),
    ];
    Ok(json::write_line(view.out, &fields)?)
}

/// The plain trend rule: more than two standard deviations from the 100 values before.
#[must_use]
pub fn plain_detector() -> Detector {
    const LENGTH: usize = 100;
    const SIGMAS: f64 = 2.0;
    let mut window = std::collections::VecDeque::with_capacity(LENGTH + 1);
    Box::new(move |_: Timestamp, value: f64| {
        let summary = Summary::of(window.make_contiguous());
        window.push_back(value);
        if window.len() > LENGTH {
            window.pop_front();
        }
        let sigma = match (summary.sigma(value, 0.0), summary.mean) {
            (Some(sigma), _) => sigma.abs(),
            // A window without any deviation: whatever is not its value is as far from it as can be.
            (None, Some(mean)) if summary.count > 1 && (value - mean).abs() > 0.0 => f64::INFINITY,
            (None, _) => 0.0,
        };
        Judged { score: 1.0 - 1.0 / (1.0 + sigma / SIGMAS), is_alert: sigma > SIGMAS }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::fake::{check, printed};

    #[test]
    fn cells_are_printed_as_they_were_read() {
        let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let kept = std::rc::Rc::clone(&seen);
        let mut detector: Detector = Box::new(move |at, value| {
            kept.borrow_mut().push((at.as_ms(), value));
            Judged { score: 0.25, is_alert: value > 1.0 }
        });
        let input = "timestamp,value\n1970-01-01 00:00:01,1.50\r\n\n2,00.1\n";
        check(
            Format::Table,
            |view| detect("a.csv", &mut input.as_bytes(), &mut detector, view),
            "timestamp,value,score,alert\n1970-01-01 00:00:01,1.50,0.25,1\n2,00.1,0.25,0\n",
        );
        assert_eq!(*seen.borrow(), [(1000, 1.5), (2000, 0.1)]);
        check(
            Format::Json,
            |view| detect("a.csv", &mut "7,3\n".as_bytes(), &mut detector, view),
            "{\"timestamp\":\"7\",\"value\":3,\"score\":0.25,\"alert\":1}\n",
        );
    }

    #[test]
    fn mistakes_name_their_line() {
        for (input, expected) in [
            ("", "a.csv: empty, where lines of `timestamp,value` should be"),
            ("timestamp,value\n1,2\n1,2,3\n", "a.csv:3: 3 columns where `timestamp,value` has two"),
            ("1,2\nx,2\n", "a.csv:2: `x` is no timestamp"),
            ("1,2\n\n2,\n", "a.csv:3: `` is no number"),
            ("1,2\n2,NaN\n", "a.csv:2: `NaN` is no number"),
            ("1,\"2\n", "a.csv:1: the quotes do not match"),
        ] {
            let (outcome, _) = printed(Format::Csv, |view| {
                detect("a.csv", &mut input.as_bytes(), &mut plain_detector(), view)
            });
            assert_eq!(outcome, Err(expected.to_owned()), "{input}");
        }
    }

    #[test]
    fn the_plain_detector_counts_deviations_of_the_values_before() {
        let mut detector = plain_detector();
        let mut judge = |value| detector(Timestamp::from_ms(0), value);
        assert_eq!(judge(5.0), Judged { score: 0.0, is_alert: false });
        assert_eq!(judge(1.0), Judged { score: 0.0, is_alert: false });
        (0..200).for_each(|i| {
            judge(if i % 2 == 0 { 1.0 } else { 3.0 });
        });
        // The window is 1 and 3 in turns: mean 2, deviation a little above 1.
        assert!(!judge(4.0).is_alert);
        let far = judge(12.0);
        assert!(far.is_alert && (0.8..0.9).contains(&far.score), "{far:?}");
        let mut flat = plain_detector();
        (0..5).for_each(|_| {
            flat(Timestamp::from_ms(0), 2.0);
        });
        assert_eq!(flat(Timestamp::from_ms(0), 2.0).score, 0.0);
        assert_eq!(flat(Timestamp::from_ms(0), 2.5), Judged { score: 1.0, is_alert: true });
    }
}
