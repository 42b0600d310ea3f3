//! Figures of the log: bytes a sample, time of an append, of a cold open, of scans. Prints one line each.
//!
//! `cargo run --release -p systembot-storage --example bench [days]`, 30 days by default: 40 series at 15 s.
//! `BENCH_DIR` is where it works (the place for temporary files), `BENCH_KEEP` a directory that gets the log.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "a measurement at a desk"
)]

mod machine;

use std::{fs, time::Instant};

use machine::{DAY_MS, Machine, cpu_us, rss_kib};
use systembot_model::{Event, Pattern, Sample, Seq, Timestamp};
use systembot_storage::{
    Choice, Log, Query,
    query::{History, Import, Request, Row, answer},
};

const BEGIN_MS: i64 = 1_795_346_634_007;

fn main() {
    let days: i64 = std::env::args().nth(1).map_or(30, |days| days.parse().unwrap());
    let parent = std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(parent).unwrap();
    let path = dir.path().join("log");
    println!("rss at start: {} KiB", rss_kib());
    let mut log = Log::open(&path).unwrap();
    println!("rss with an empty log: {} KiB", rss_kib());
    let mut machine = Machine::new(BEGIN_MS);
    let ticks = days * DAY_MS / 15_000;
    let (cpu, wall) = (cpu_us(), Instant::now());
    let mut seals = 0;
    for i in 0..ticks {
        let (at, sample) = machine.sample();
        seals += u64::from(log.append(at, vec![Event::Sampled(sample)]).unwrap().sealed);
        if [1, 7, 30].map(|day| day * DAY_MS / 15_000).contains(&(i + 1)) {
            let bytes = log.reader().log_bytes().unwrap();
            let samples = (i + 1) as f64 * 40.0;
            println!(
                "day {}: {:.2} bytes/sample ({bytes} bytes)",
                (i + 1) * 15_000 / DAY_MS,
                bytes as f64 / samples
            );
        }
    }
    println!(
        "append: {:.0} us CPU (this thread), {:.0} us wall a tick; {seals} seals; rss {} KiB",
        (cpu_us() - cpu) as f64 / ticks as f64,
        wall.elapsed().as_micros() as f64 / ticks as f64,
        rss_kib()
    );
    let encoded: u64 = log.reader().series().unwrap().iter().map(|info| info.bytes).sum();
    println!("columns as encoded: {:.2} bytes/sample", encoded as f64 / (ticks as f64 * 40.0));
    drop(log);
    for _ in 0..3 {
        let began = Instant::now();
        let log = Log::open(&path).unwrap();
        let opened = began.elapsed();
        let reader = log.reader();
        let end = BEGIN_MS + ticks * 15_000 + DAY_MS;
        println!("cold open: {:.1} ms", opened.as_micros() as f64 / 1000.0);
        for span in [1, 7, 30] {
            let history = History {
                patterns: vec![Pattern::new("load1")],
                since: Timestamp::from_ms(end - (span + 1) * DAY_MS),
                until: Timestamp::from_ms(end),
                step: None,
                limit: None,
                newest: false,
            };
            let began = Instant::now();
            let mut rows = 0;
            answer(&reader, &systembot_model::State::default(), &Request::History(history), &mut |row| {
                rows += u64::from(matches!(row, Row::Point { .. }));
                Ok(())
            })
            .unwrap();
            println!(
                "  history load1 {span} d: {:.1} ms, {rows} rows",
                began.elapsed().as_micros() as f64 / 1000.0
            );
        }
        let began = Instant::now();
        let history = History {
            patterns: vec![Pattern::new("load1")],
            since: Timestamp::MIN,
            until: Timestamp::MAX,
            step: None,
            limit: Some(100),
            newest: false,
        };
        answer(&reader, &systembot_model::State::default(), &Request::History(history), &mut |_| Ok(()))
            .unwrap();
        println!("  newest 100: {:.1} ms", began.elapsed().as_micros() as f64 / 1000.0);
        let began = Instant::now();
        let samples = reader.samples().unwrap();
        println!("  count of {samples} samples: {:.1} ms", began.elapsed().as_micros() as f64 / 1000.0);
        let began = Instant::now();
        log.load_state().unwrap();
        println!(
            "  state without checkpoint: {:.1} ms; rss {} KiB",
            began.elapsed().as_micros() as f64 / 1000.0,
            rss_kib()
        );
    }
    let log = Log::open(&path).unwrap();
    let began = Instant::now();
    let mut scan =
        log.reader().scan(&Query { choice: Choice::Matching(Vec::new()), ..Query::default() }).unwrap();
    let mut values = 0_u64;
    while let Some(tick) = scan.next_tick().unwrap() {
        values += tick.readings.len() as u64;
    }
    println!("scan of all {values}: {:.1} ms", began.elapsed().as_micros() as f64 / 1000.0);
    let began = Instant::now();
    let records = log.reader().records(Seq::ZERO).unwrap().count();
    println!("walk of all {records} records: {:.1} ms", began.elapsed().as_micros() as f64 / 1000.0);
    drop((scan, log));
    if let Some(kept) = std::env::var_os("BENCH_KEEP") {
        fs::create_dir_all(&kept).unwrap();
        fs::rename(&path, std::path::Path::new(&kept).join("log")).unwrap();
    }
    imports(dir.path());
}

/// The same 30 days from a file, part by part.
fn imports(dir: &std::path::Path) {
    let mut log = Log::open(&dir.join("imported/log")).unwrap();
    let mut machine = Machine::new(BEGIN_MS);
    let names = machine.series();
    // Parts as the command line sends them.
    let (began, parts) = (Instant::now(), 30 * 5_760 / 500);
    let (mut longest, mut last) = (0.0_f64, 0.0);
    for part in 0..parts {
        let row =
            |(at, sample): (Timestamp, Sample)| (at, sample.readings.iter().map(|r| Some(r.value)).collect());
        let rows = (0..500).map(|_| row(machine.sample())).collect();
        let import = Import { file: 7, series: names.clone(), rows, last: part + 1 == parts };
        let began = Instant::now();
        log.import(Timestamp::from_ms(BEGIN_MS), &import).unwrap();
        last = began.elapsed().as_micros() as f64 / 1000.0;
        longest = longest.max(if import.last { 0.0 } else { last });
    }
    println!("longest part: {longest:.1} ms; the last, with the ends of all series: {last:.1} ms");
    let took = began.elapsed().as_millis();
    println!("import of 30 d: {took} ms; {} bytes", log.reader().log_bytes().unwrap());
    drop(log);
    let log = Log::open(&dir.join("imported/log")).unwrap();
    println!("  opened again: {} bytes", log.reader().log_bytes().unwrap());
}
