//! CSV files: `import` up to what it sends, and `detect`.
//!
//! The first byte chooses: 0 imports, 1 imports behind a good head, 2 detects.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use systembot_cli::{
    Judged,
    args::Format,
    commands::{
        View,
        detect::{detect, plain_detector},
        import,
    },
    output::{Counted, Paint, Progress, Screen},
    source::Source,
};
use systembot_model::Timestamp;
use systembot_storage::query::{Request, Row};

/// Takes everything, and looks whether it is what the head promised.
struct Taker {
    rows: u64,
    is_over: bool,
}

impl Source for &mut Taker {
    fn ask(
        &mut self,
        request: &Request,
        row: &mut dyn FnMut(Row) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Request::Import(part) = request else { panic!("{request:?}") };
        assert!(!self.is_over && !part.rows.is_empty());
        assert!(part.rows.is_sorted_by(|(a, _), (b, _)| a < b));
        for (_, cells) in &part.rows {
            assert_eq!(cells.len(), part.series.len());
            assert!(cells.iter().flatten().all(|value| value.is_finite()));
        }
        self.is_over = part.last;
        self.rows += u64::try_from(part.rows.len())?;
        row(Row::Imported { imported: self.rows, refused: 0, first_refused: None, problem: None })
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, text)) = bytes.split_first() else { return };
    let screen = Screen { width: 80, paint: Paint::Plain };
    let now = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    let mut out = Vec::new();
    let mut view = View { format: Format::Csv, screen, now, out: &mut out };
    if choice % 3 == 2 {
        let mut plain = plain_detector();
        let mut detector: systembot_cli::Detector = Box::new(move |at, value| {
            let judged: Judged = plain(at, value);
            assert!((0.0..=1.0).contains(&judged.score), "{judged:?}");
            judged
        });
        drop(detect("a.csv", &mut Cursor::new(text), &mut detector, &mut view));
        return;
    }
    let head: &[u8] =
        if choice % 3 == 1 { b"timestamp,load1,\"disk_used_percent{mount=\"\"/\"\"}\"\n" } else { b"" };
    let mut file = Cursor::new([head, text].concat());
    let mut taker = Taker { rows: 0, is_over: false };
    let now = || Timestamp::from_ms(0);
    let progress = Progress::new(None, &now, "importing", Counted::Rows);
    let input = import::Input { name: "a.csv", file: &mut file, progress };
    let mut source = Some(&mut taker);
    let done = import::import(input, &mut || Ok(Box::new(source.take().unwrap())), &mut view);
    assert!(done.is_err() || taker.is_over);
});
