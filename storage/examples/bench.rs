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

use std::{fs, time::Instant};

use systembot_model::{Event, Pattern, Sample, Seq, Series, Timestamp, metric::METRICS};
use systembot_storage::{
    Choice, Log, Query,
    query::{History, Import, Request, Row, answer},
};

const DAY_MS: i64 = 86_400_000;
const BEGIN_MS: i64 = 1_795_346_634_007;

/// A machine of 40 series that behave as their metrics do.
struct Machine {
    series: Vec<(Series, f64, u8)>,
    noise: u64,
    tick: i64,
}

impl Machine {
    fn new() -> Self {
        let mut series = Vec::new();
        for metric in METRICS.iter().cycle().take(40) {
            let copy = series.len() / METRICS.len();
            let name = metric.label.map_or_else(
                || {
                    if copy == 0 {
                        Series::new(metric.name)
                    } else {
                        Series::new(&format!("{}_{copy}", metric.name))
                    }
                },
                |key| Series::labelled(metric.name, key, &format!("x{copy}")),
            );
            series.push((name, 50.0, metric.decimals));
        }
        Self { series, noise: 1, tick: 0 }
    }

    fn random(&mut self) -> f64 {
        self.noise =
            self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.noise >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn sample(&mut self) -> (Timestamp, Sample) {
        self.tick += 1;
        let jitter = (self.random() * 8.0) as i64;
        let at = Timestamp::from_ms(BEGIN_MS + self.tick * 15_000 + jitter);
        let mut sample = Sample::default();
        for i in 0..self.series.len() {
            let (r, s) = (self.random(), self.random());
            let (name, value, decimals) = &mut self.series[i];
            let scale = 10_f64.powi(i32::from(*decimals));
            *value = match name.metric() {
                n if n.contains("total") && n.contains("bytes") && !n.ends_with("_total") => 8_589_934_592.0,
                n if n.ends_with("_total") => *value + if r < 0.6 { (s * 200_000.0).floor() } else { 0.0 },
                n if n.contains("bytes") => {
                    (*value + if r < 0.5 { (s - 0.5) * 2_000_000.0 } else { 0.0 }).abs().max(1e9).floor()
                        / 4096.0
                        * 4096.0
                }
                n if n.contains("uptime") => *value + 15.0,
                n if n.contains("disk") => (*value + if r < 0.05 { 0.01 } else { 0.0 }).min(90.0),
                _ => (*value + (s - 0.5) * 4.0).clamp(0.0, 100.0),
            };
            *value = (*value * scale).round() / scale;
            let (name, value) = (name.clone(), *value);
            sample.push(name, value);
        }
        (at, sample)
    }
}

fn cpu_us() -> u64 {
    let stat = fs::read_to_string("/proc/self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<u64>().unwrap() / 1_000
}

fn rss_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn main() {
    let days: i64 = std::env::args().nth(1).map_or(30, |days| days.parse().unwrap());
    let parent = std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(parent).unwrap();
    let path = dir.path().join("log");
    println!("rss at start: {} KiB", rss_kib());
    let mut log = Log::open(&path).unwrap();
    println!("rss with an empty log: {} KiB", rss_kib());
    let mut machine = Machine::new();
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
    let mut machine = Machine::new();
    let names: Vec<Series> = machine.series.iter().map(|(name, ..)| name.clone()).collect();
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
