//! Logs for `scripts/bench-store`, and figures about them: one `key value` a line.
//!
//! - `generate DIR END_MS DAYS`: a machine of 40 series at 15 s, each tick durable before the next.
//! - `import DIR END_MS DAYS SERIES`: the first so many of its series, as history.
//! - `replay FROM DIR END_MS DAYS`: the samples of a log, over and over, counters going on.
//! - `dump DIR csv|prometheus|openmetrics`: every sample, for `import` and for the peers.
//! - `open DIR`: opens it as a start does.
//! - `retention DIR BYTES CYCLES`: cycles of so many bytes each into a log that may have so many.

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
    time::{Duration, Instant},
};

use machine::{DAY_MS, Machine, TICK_MS, cpu_us, rss_kib};
use systembot_model::{Event, Reading, Sample, Seq, Series, Timestamp};
use systembot_storage::{Log, Query, query::Import};

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
    std::thread::sleep(IDLE);
    println!("bytes {}", log.reader().log_bytes().unwrap());
    println!("samples {}", log.reader().samples().unwrap());
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
        .collect();
    println!("recorded_ticks {}", ticks.len());
    // What a counter gains in one round; a round begins where the one before ended.
    let ends = |series: &Series| {
        let value = |tick: &Sample| tick.value(series.id());
        Some(value(ticks.last()?)? - value(ticks.first()?)?)
    };
    let count = days * DAY_MS / TICK_MS;
    let begin = end_ms - days * DAY_MS;
    let rounds = (0_i64..).flat_map(|round| ticks.iter().map(move |tick| (round, tick)));
    let of = |(i, (round, tick)): (i64, (i64, &Sample))| {
        let value = |reading: &Reading| {
            let gain = if reading.series.metric().ends_with("_total") { ends(&reading.series) } else { None };
            (reading.value * 1e6 + gain.unwrap_or(0.0) * round as f64 * 1e6).round() / 1e6
        };
        let mut sample = Sample::default();
        tick.readings.iter().for_each(|reading| sample.push(reading.series.clone(), value(reading)));
        (Timestamp::from_ms(begin + i * TICK_MS + i % 3), sample)
    };
    write(dir, (0..count).zip(rounds).map(of));
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

/// The size of the directory, its blobs and our memory after each cycle.
fn retention(dir: &Path, bytes: i64, cycles: i64) {
    let mut log = Log::open(dir).unwrap();
    // PRUNE: this is the place to tell the log its limits: no age, and `bytes`.
    let mut machine = Machine::new(1_795_346_634_007);
    // Some two bytes a sample.
    let ticks = bytes / 80;
    for cycle in 1..=cycles {
        for _ in 0..ticks {
            let (at, sample) = machine.sample();
            log.append(at, vec![Event::Sampled(sample)]).unwrap();
        }
        std::thread::sleep(IDLE / 2);
        let size = log.reader().log_bytes().unwrap();
        println!("cycle {cycle} {size} {} {}", blobs(dir), rss_kib());
    }
}

fn blobs(dir: &Path) -> usize {
    fs::read_dir(dir.join("blobs")).unwrap().count()
}
