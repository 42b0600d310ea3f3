//! Logs for `scripts/bench-store`, and figures about them: one `key value` a line.
//!
//! - `generate DIR END_MS DAYS`: a machine of 40 series at 15 s, each tick durable before the next.
//! - `import DIR END_MS DAYS SERIES`: the first so many of its series, as history.
//! - `replay FROM DIR END_MS DAYS`: the series of a log, going on as they were recorded.
//! - `dump DIR csv|prometheus|openmetrics`: every sample, for `import` and for the peers.
//! - `open DIR`: opens it as a start does.
//! - `trees DIR`: bytes of the keys and values of each tree.
//! - `compact DIR`: writes it anew, and tells how long that took and what memory it left.
//! - `retention DIR BYTES CYCLES`: cycles of so many bytes each into a log that may have so many; after
//!   each of them its bytes, blobs, resident KiB, and live bytes by tree. Baselines are weekly for as long as there are
//!   samples, roll-ups stay for ten years or as long as there is room: the log turns over every 36 days at 16 MiB.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::panic,
    reason = "a measurement at a desk"
)]

mod machine;

use std::{
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use machine::{DAY_MS, Machine, TICK_MS, cpu_us, rss_kib};
use systembot_model::{
    Event, Input, LocalTime, Rules, Sample, Seq, Series, State, Timestamp, decide, number, sample::Pass,
};
use systembot_storage::{Limits, Log, Query, query::Import};

/// Time for sled to give back what it may, after the last write.
const IDLE: Duration = Duration::from_secs(5);
/// Rows of one part of an import.
const PART: usize = 500;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| args[i].parse::<i64>().unwrap();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["generate", dir, _, _] => generate(&log_dir(dir), number(2), number(3)),
        ["import", dir, _, _, _] => import(&log_dir(dir), number(2), number(3), number(4)),
        ["replay", from, dir, _, _] => replay(&log_dir(from), &log_dir(dir), number(3), number(4)),
        ["dump", dir, format] => dump(&log_dir(dir), format),
        ["open", dir] => open(&log_dir(dir)),
        ["trees", dir] => trees(&log_dir(dir)),
        ["compact", dir] => compact(&log_dir(dir)),
        ["retention", dir, _, _] => retention(&log_dir(dir), number(2), number(3)),
        _ => panic!("see the first lines of this file"),
    }
}

fn log_dir(data_dir: &str) -> PathBuf {
    let dir = Path::new(data_dir);
    fs::create_dir_all(dir).unwrap();
    dir.join("log")
}

fn generate(dir: &Path, end_ms: i64, days: i64) {
    let mut machine = Machine::new(end_ms - days * DAY_MS);
    let ticks = days * DAY_MS / TICK_MS;
    write(dir, (0..ticks).map(|_| machine.sample()));
}

/// Appends ticks, waits, and tells what each cost.
fn write(dir: &Path, ticks: impl Iterator<Item = (Timestamp, Sample)>) {
    let mut log = Log::open(dir).unwrap();
    let (mut appending, mut sealing) = ((0_u64, 0_u64), (0_u64, 0_u64));
    let wall = Instant::now();
    for (at, sample) in ticks {
        let cpu = cpu_us();
        let done = log.append(at, vec![Event::Sampled(sample)]).unwrap();
        let of = if done.sealed { &mut sealing } else { &mut appending };
        *of = (of.0 + 1, of.1 + cpu_us() - cpu);
    }
    let count = appending.0 + sealing.0;
    let wall = wall.elapsed();
    let busy = log.reader().log_bytes().unwrap();
    println!("rss_kib_at_end {}", rss_kib());
    let longest = tidy(&mut log);
    println!("compact_ms {}", longest.as_millis());
    println!("rss_kib_compacted {}", rss_kib());
    std::thread::sleep(IDLE);
    let bytes = log.reader().log_bytes().unwrap();
    let samples = log.reader().samples().unwrap();
    let encoded: u64 = log.reader().series().unwrap().iter().map(|info| info.bytes).sum();
    println!("samples {samples}");
    println!("bytes_at_end {busy}");
    println!("bytes {bytes}");
    println!("bytes_a_sample {:.3}", bytes as f64 / samples as f64);
    println!("encoded_bytes_a_sample {:.3}", encoded as f64 / samples as f64);
    println!("append_cpu_us {:.1}", (appending.1 + sealing.1) as f64 / count as f64);
    println!("append_cpu_us_without_seals {:.1}", appending.1 as f64 / appending.0.max(1) as f64);
    println!("append_wall_us {:.1}", wall.as_micros() as f64 / count as f64);
    println!("blobs {}", blobs(dir));
}

fn import(dir: &Path, end_ms: i64, days: i64, count: i64) {
    let mut log = Log::open(dir).unwrap();
    let mut machine = Machine::new(end_ms - days * DAY_MS);
    let count = usize::try_from(count).unwrap();
    let series: Vec<Series> = machine.series().into_iter().take(count).collect();
    let began = Instant::now();
    let mut left = usize::try_from(days * DAY_MS / TICK_MS).unwrap();
    while left > 0 {
        let part = left.min(PART);
        left -= part;
        let row = |(at, sample): (Timestamp, Sample)| {
            (at, sample.readings.iter().take(count).map(|reading| Some(reading.value)).collect())
        };
        let rows = (0..part).map(|_| row(machine.sample())).collect();
        let import = Import { file: 7, series: series.clone(), rows, last: left == 0 };
        log.import(Timestamp::from_ms(end_ms), &import).unwrap();
    }
    println!("import_ms {}", began.elapsed().as_millis());
    println!("compact_ms {}", tidy(&mut log).as_millis());
    std::thread::sleep(IDLE);
    println!("bytes {}", log.reader().log_bytes().unwrap());
    println!("samples {}", log.reader().samples().unwrap());
}

/// Quanta that a series may be counted in, the coarsest first.
const QUANTA: [f64; 8] = [4096.0, 1024.0, 512.0, 1.0, 0.1, 0.01, 0.001, 0.000_001];

/// A series that goes on as it was recorded, for ever: by the steps it was seen to take, or, where it jumps about
/// more than it walks, by the values it was seen to have. Never the same again, or whoever compresses long runs
/// would find the recording in it and nothing else.
struct Walk {
    series: Series,
    values: Vec<f64>,
    steps: Vec<f64>,
    /// `None` where the values are multiples of nothing: they go on with all their digits.
    quantum: Option<f64>,
    is_counter: bool,
    is_walk: bool,
    ends: (f64, f64),
    now: f64,
}

impl Walk {
    fn new(series: &Series, ticks: &[Sample]) -> Self {
        let values: Vec<f64> = ticks.iter().filter_map(|tick| tick.value(series.id())).collect();
        let steps: Vec<f64> = values.windows(2).map(|two| two[1] - two[0]).collect();
        let is_multiple = |quantum: f64| {
            values.iter().all(|value| ((value / quantum).round() * quantum - value).abs() < 1e-9)
        };
        let quantum = QUANTA.into_iter().find(|quantum| is_multiple(*quantum));
        let spread = |of: &[f64]| {
            let mean = of.iter().sum::<f64>() / of.len() as f64;
            of.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / of.len() as f64
        };
        let ends = values.iter().fold((f64::MAX, f64::MIN), |ends, v| (ends.0.min(*v), ends.1.max(*v)));
        let is_counter = series.metric().ends_with("_total") || series.metric() == "uptime_seconds";
        let is_walk = spread(&steps) < spread(&values);
        let now = values[values.len() - 1];
        Self { series: series.clone(), values, steps, quantum, is_counter, is_walk, ends, now }
    }

    fn next(&mut self, random: &mut impl FnMut() -> f64) -> f64 {
        let of = |all: &[f64], lot: f64| all[((lot * all.len() as f64) as usize).min(all.len() - 1)];
        if self.is_counter || self.is_walk {
            // Some more or less of a step, so that there are not only those that were seen.
            let step = of(&self.steps, random()) * (0.94 + 0.12 * random());
            let step = self.counted(step);
            let is_within = (self.ends.0..=self.ends.1).contains(&(self.now + step));
            self.now += if self.is_counter || is_within { step } else { -step };
        } else {
            self.now = of(&self.values, random());
        }
        self.now = self.counted(self.now);
        self.now
    }

    /// The nearest multiple of the quantum, in decimals as a collector gives them.
    fn counted(&self, value: f64) -> f64 {
        self.quantum.map_or(value, |quantum| number::decimal((value / quantum).round() * quantum, 6))
    }
}

fn replay(from: &Path, dir: &Path, end_ms: i64, days: i64) {
    let log = Log::open(from).unwrap();
    let ticks: Vec<Sample> = log
        .reader()
        .records(Seq::ZERO)
        .unwrap()
        .filter_map(|record| match record.unwrap().event {
            Event::Sampled(sample) if !sample.readings.is_empty() => Some(sample),
            _ => None,
        })
        // The first pass has no CPU series.
        .skip(1)
        .collect();
    println!("recorded_ticks {}", ticks.len());
    let of_all = |series: &Series| ticks.iter().all(|tick| tick.value(series.id()).is_some());
    let series = ticks[0].readings.iter().map(|reading| &reading.series).filter(|series| of_all(series));
    let mut walks: Vec<Walk> = series.map(|series| Walk::new(series, &ticks)).collect();
    let mut noise = 1_u64;
    let mut random = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (noise >> 11) as f64 / (1_u64 << 53) as f64
    };
    let begin = end_ms - days * DAY_MS;
    let of = |i: i64| {
        let mut sample = Sample::default();
        for walk in &mut walks {
            sample.push(walk.series.clone(), walk.next(&mut random));
        }
        (Timestamp::from_ms(begin + i * TICK_MS + i % 3), sample)
    };
    write(dir, (0..days * DAY_MS / TICK_MS).map(of));
}

fn dump(dir: &Path, format: &str) {
    let log = Log::open(dir).unwrap();
    let mut scan = log.reader().scan(&Query::default()).unwrap();
    let names: Vec<String> = scan.names().iter().map(|series| series.id().to_owned()).collect();
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    if format == "csv" {
        let quoted = names.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\"")));
        writeln!(out, "timestamp,{}", quoted.collect::<Vec<_>>().join(",")).unwrap();
    }
    // The peers want the samples of a series together.
    let mut columns: Vec<Vec<(i64, f64)>> = vec![Vec::new(); names.len()];
    let mut cells = vec![String::new(); names.len()];
    while let Some(tick) = scan.next_tick().unwrap() {
        match format {
            "csv" => {
                cells.iter_mut().for_each(String::clear);
                for (slot, value) in tick.readings {
                    cells[*slot as usize] = value.to_string();
                }
                writeln!(out, "{},{}", tick.at.as_ms(), cells.join(",")).unwrap();
            }
            "prometheus" => {
                for (slot, value) in tick.readings {
                    writeln!(out, "{} {value} {}", names[*slot as usize], tick.at.as_ms()).unwrap();
                }
            }
            "openmetrics" => {
                for (slot, value) in tick.readings {
                    columns[*slot as usize].push((tick.at.as_ms(), *value));
                }
            }
            _ => panic!("{format}"),
        }
    }
    for (name, column) in names.iter().zip(columns) {
        for (at, value) in column {
            writeln!(out, "{name} {value} {}.{:03}", at / 1000, at % 1000).unwrap();
        }
    }
    if format == "openmetrics" {
        writeln!(out, "# EOF").unwrap();
    }
    out.flush().unwrap();
}

fn open(dir: &Path) {
    let began = Instant::now();
    let log = Log::open(dir).unwrap();
    let opened = began.elapsed();
    let began = Instant::now();
    log.load_state().unwrap();
    println!("open_ms {:.1}", opened.as_micros() as f64 / 1000.0);
    println!("state_ms {:.1}", began.elapsed().as_micros() as f64 / 1000.0);
}

/// How long the log holds whoever records while it is written anew.
fn compact(dir: &Path) {
    let mut log = Log::open(dir).unwrap();
    println!("rss_kib {}", rss_kib());
    let began = Instant::now();
    let done = log.compact().unwrap();
    println!("compact_ms {} {done:?}", began.elapsed().as_millis());
    println!("rss_kib_compacted {}", rss_kib());
}

fn trees(dir: &Path) {
    let db = sled::open(dir).unwrap();
    for name in db.tree_names() {
        let tree = db.open_tree(&name).unwrap();
        let bytes: usize =
            tree.iter().map(|item| item.unwrap()).map(|(key, value)| key.len() + value.len()).sum();
        println!("{} {bytes}", String::from_utf8_lossy(&name));
    }
}

/// The size of the directory, its blobs and our memory after each cycle; what is beyond the size goes as it does in
/// the daemon, by what is decided of each pass.
fn retention(dir: &Path, bytes: i64, cycles: i64) {
    let mut log = Log::open(dir).unwrap();
    log.limit(Limits { max_bytes: u64::try_from(bytes).unwrap(), ..Limits::default() });
    let mut machine = Machine::new(1_795_346_634_007);
    let mut state = State::default();
    let mut step = |log: &mut Log, at: Timestamp, input: Input| {
        let mut events = decide(&state, &LocalTime::utc(at), input);
        // Alerts stay for ever, and random walks would make hundreds a day: it is the samples that are measured.
        events.retain(|event| !matches!(event, Event::AlertFired(_) | Event::AlertResolved { .. }));
        let done = log.append(at, events).unwrap();
        done.records.iter().for_each(|record| state.apply(record));
        if done.sealed {
            while log.prune(at, &state).unwrap() {}
            tidy(log);
        }
    };
    let rules = Rules { trend_series: Vec::new(), ..Rules::default() };
    let starting = Input::Starting { version: "bench".into(), config: None, rules: Box::new(rules) };
    step(&mut log, Timestamp::from_ms(machine.begin_ms), starting);
    // Some two bytes a sample.
    let ticks = bytes / 80;
    for cycle in 1..=cycles {
        for _ in 0..ticks {
            let (at, sample) = machine.sample();
            let elapsed = Some(Duration::from_millis(u64::try_from(TICK_MS).unwrap()));
            let pass = Pass { at, sample, elapsed, ..Pass::default() };
            step(&mut log, at, Input::Sampled(Box::new(pass)));
        }
        std::thread::sleep(IDLE / 2);
        let size = log.reader().log_bytes().unwrap();
        println!("cycle {cycle} {size} {} {} {}", blobs(dir), rss_kib(), live(dir));
    }
}

/// Live bytes of each tree of a log at rest, counted apart, so that our memory stays ours.
fn live(dir: &Path) -> String {
    let copy = dir.with_file_name("copy/log");
    fs::create_dir_all(&copy).unwrap();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
    }
    let copied = copy.parent().unwrap();
    let told =
        Command::new(std::env::current_exe().unwrap()).arg("trees").arg(copied).output().unwrap().stdout;
    fs::remove_dir_all(copied).unwrap();
    String::from_utf8(told).unwrap().lines().map(|line| line.replace(' ', "=")).collect::<Vec<_>>().join(" ")
}

/// Writes the log anew where that is due, as the daemon does in quiet moments; tells how long the longest part took.
fn tidy(log: &mut Log) -> Duration {
    let mut longest = Duration::ZERO;
    while log.is_size_changed() {
        let began = Instant::now();
        log.compact_if_due().unwrap();
        longest = longest.max(began.elapsed());
    }
    longest
}

fn blobs(dir: &Path) -> usize {
    fs::read_dir(dir.join("blobs")).unwrap().count()
}
