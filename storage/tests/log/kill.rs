//! kill -9 at random moments: what was acknowledged is there, once and in order.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use systembot_model::{Event, Seq, State};

use crate::world::{at, open, sampled};

/// Where the child writes its log; set in the child alone.
const DATA: &str = "SYSTEMBOT_KILL_DATA";
/// How often it is killed; `SYSTEMBOT_KILLS=1000` for the long run.
const KILLS: &str = "SYSTEMBOT_KILLS";
const KILLS_USUAL: u64 = 40;
/// Longest life of a child in microseconds: some hundred appends, and a seal in most lives.
const LIFE_US: u64 = 60_000;

/// One step: a tick, and every third time an event about it, which must not be there without it.
fn step(seq: u64) -> Vec<Event> {
    let mut events = vec![sampled(&[("load1", f64::from(u32::try_from(seq).unwrap())), ("load5", 1.0)])];
    if seq.is_multiple_of(3) {
        events.push(Event::Noted { subject: "tick".into(), text: (seq + 1).to_string() });
    }
    events
}

/// Appends until it is killed, and prints the newest number after each append.
fn append_for_ever(data: &Path) {
    let mut log = open(data).unwrap();
    let mut out = std::io::stdout().lock();
    loop {
        let seq = log.seq().get();
        let appended = log.append(at(i64::try_from(seq).unwrap() * 1_000), step(seq)).unwrap();
        let newest = appended.records.last().unwrap().seq.get();
        if appended.sealed {
            let state = log.load_state().unwrap();
            log.checkpoint(&state).unwrap();
        }
        writeln!(out, "acknowledged {newest}").unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_lost_however_often_it_is_killed() {
    if let Some(data) = env::var_os(DATA) {
        return append_for_ever(Path::new(&data));
    }
    let kills = env::var(KILLS).map_or(KILLS_USUAL, |text| text.parse().unwrap());
    let mut random = u64::from(std::process::id()) | 1;
    println!("seed {random}");
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut known = 0;
    for _ in 0..kills {
        // xorshift64 by George Marsaglia.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        known = live_and_die(&data, Duration::from_micros(random % LIFE_US)).max(known);
        check(&data, known);
    }
    println!("{kills} kills, {known} records acknowledged");
    assert!(known > kills, "the children came to nothing");
}

/// Runs a child and kills it; gives the newest number that it acknowledged.
fn live_and_die(data: &Path, life: Duration) -> u64 {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "kill::nothing_acknowledged_is_lost_however_often_it_is_killed", "--nocapture"])
        .env(DATA, data)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let number = |line: &str| line.split_once("acknowledged ").and_then(|(_, number)| number.parse().ok());
    // Its life begins with its first append: before, there is nothing to lose.
    let first = lines.find_map(|line| number(&line)).unwrap();
    thread::park_timeout(life);
    child.kill().unwrap();
    let newest = lines.filter_map(|line| number(&line)).last().unwrap_or(first);
    child.wait().unwrap();
    newest
}

fn check(data: &Path, known: u64) {
    let log = open(data).unwrap();
    let records: Vec<_> = log.reader().records(Seq::ZERO).unwrap().map(Result::unwrap).collect();
    let mut fold = State::default();
    let mut is_tick_before = false;
    for (i, record) in (1_u64..).zip(&records) {
        assert_eq!(record.seq.get(), i, "a record is missing or comes twice");
        #[expect(clippy::wildcard_enum_match_arm, reason = "the child writes no other kind")]
        match &record.event {
            Event::Sampled(sample) => {
                let value = f64::from(u32::try_from(i - 1).unwrap());
                assert_eq!(sample.value("load1"), Some(value));
                is_tick_before = true;
            }
            Event::Noted { text, .. } => {
                assert!(is_tick_before, "an event without its tick");
                assert_eq!(*text, (i - 1).to_string());
                is_tick_before = false;
            }
            other => panic!("{other:?}"),
        }
        fold.apply(record);
    }
    let newest = records.last().unwrap();
    assert!(newest.seq.get() >= known, "lost {known}, the newest is {}", newest.seq.get());
    let has_event = (newest.seq.get() - 1).is_multiple_of(3) && matches!(newest.event, Event::Sampled(_));
    assert!(!has_event, "a tick without its event");
    assert_eq!(log.load_state().unwrap(), fold);
    assert_eq!(std::fs::read_dir(data.join("log/blobs")).unwrap().count(), 0);
}
