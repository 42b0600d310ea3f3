//! A child that appends, killed at random moments.
//!
//! What each step of the child appends follows from the number of its first record alone, so whoever opens the log
//! afterwards can tell what must be there. `SYSTEMBOT_KILLS` says how often, `SYSTEMBOT_KILL_SEED` repeats a run.

use std::{
    env,
    hash::{BuildHasher, Hasher, RandomState},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use systembot_model::{Event, Record, Seq, Series, State};
use systembot_storage::{
    Log,
    query::{Import, Request, Row},
};

use crate::world::{World, all, asked, at, sampled, sorted};

/// Kills unless the environment says otherwise: a few seconds.
const KILLS: u32 = 15;
/// Kills of one log; then a new one begins, so that reading all of it stays cheap.
const KILLS_OF_ONE: u32 = 5;
/// Ticks that are sealed together.
const SEAL_TICKS: u64 = 240;
/// Steps that the child does when nobody kills it.
const STEPS: u32 = 5_000;
/// The log is written anew after a step that begins with a multiple of this.
const COMPACTED: u64 = 150;
/// Parts of the file that is imported, the rows of each, and their columns.
const PARTS: u32 = 15;
const ROWS: u32 = 100;
const COLUMNS: u32 = 12;
/// Where the child finds its log.
const DIR: &str = "SYSTEMBOT_KILL_DIR";

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let kills = env::var("SYSTEMBOT_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let seed = env::var("SYSTEMBOT_KILL_SEED")
        .map_or_else(|_| RandomState::new().build_hasher().finish(), |seed| seed.parse().unwrap());
    eprintln!("SYSTEMBOT_KILL_SEED={seed}");
    let mut random = Random(seed | 1);
    let (mut acknowledged, mut unasked) = (0, 0);
    for begin in (0..kills).step_by(usize::try_from(KILLS_OF_ONE).unwrap()) {
        let mut world = World::new();
        world.close();
        let (mut newest, mut ticks) = (0, 0);
        for _ in begin..kills.min(begin + KILLS_OF_ONE) {
            let moment = moment_of_death(newest, ticks, &mut random);
            let told = run_and_kill("kill::child", &world.data().join("log"), moment).unwrap_or(newest);
            world.reopen();
            let found = check(&mut world);
            assert!(found.0 >= told, "record {told} was acknowledged, and {} is the newest", found.0);
            acknowledged += told.saturating_sub(newest);
            unasked += found.0 - told.max(newest);
            (newest, ticks) = found;
            world.close();
        }
    }
    eprintln!("{kills} kills: {acknowledged} records acknowledged, none lost; {unasked} more were there");
    assert!(acknowledged > u64::from(kills), "the child did nothing");
}

/// The child: appends step after step and says each time which record is the newest.
///
/// A test like the others to the harness, which can start nothing else; without a directory it does nothing.
#[test]
fn child() {
    let Some(dir) = env::var_os(DIR).map(PathBuf::from) else { return };
    let mut log = Log::open(&dir).unwrap();
    let mut state = log.load_state().unwrap();
    let mut out = std::io::stdout();
    for _ in 0..STEPS {
        let first = log.seq().next().get();
        let done = log.append(at(moment(first)), step(first)).unwrap();
        done.records.iter().for_each(|record| state.apply(record));
        // Before the checkpoint, so that kills find it half written too.
        if writeln!(out, "\nnewest {}", log.seq().get()).and_then(|()| out.flush()).is_err() {
            return;
        }
        if done.sealed {
            log.checkpoint(&state).unwrap();
        }
        if first.is_multiple_of(COMPACTED) {
            log.compact().unwrap();
        }
    }
}

#[test]
fn an_import_that_is_killed_goes_on_where_it_stopped() {
    let seed = RandomState::new().build_hasher().finish();
    let mut random = Random(seed | 1);
    for round in 0..8 {
        let mut world = World::new();
        world.close();
        for _ in 0..2 {
            let moment = (random.below(u64::from(PARTS)), Duration::from_micros(random.below(15_000)));
            run_and_kill("kill::importing_child", &world.data().join("log"), moment);
        }
        world.reopen();
        let mut last = None;
        for part in 0..PARTS {
            last = Some(world.log().import(at(0), &import(part)).unwrap().row);
        }
        let imported = u64::from(PARTS * ROWS * COLUMNS);
        // The child may have come to the end of the file.
        let is_whole = matches!(&last, Some(Row::Imported { imported: n, refused: 0, problem: None, .. }) if *n == imported);
        let is_known =
            matches!(&last, Some(Row::Imported { problem: Some(text), .. }) if text.contains("already"));
        assert!(is_whole || is_known, "seed {seed}, round {round}: {last:?}");
        let rows = (0..PARTS).flat_map(|part| import(part).rows).flat_map(|(at, cells)| {
            (0..).zip(cells).map(move |(column, cell)| (at.as_ms(), format!("m{column:02}"), cell.unwrap()))
        });
        assert_eq!(world.samples(&all()), rows.collect::<Vec<_>>(), "seed {seed}, round {round}");
        let records = world.records(0).len();
        assert_eq!(records, usize::try_from(COLUMNS).unwrap(), "one record tells of each column");
    }
}

/// The child that imports, and says each time how many parts it has sent; see [`child`].
#[test]
fn importing_child() {
    let Some(dir) = env::var_os(DIR).map(PathBuf::from) else { return };
    let mut log = Log::open(&dir).unwrap();
    let mut out = std::io::stdout();
    for part in 0..PARTS {
        log.import(at(0), &import(part)).unwrap();
        if writeln!(out, "\nnewest {}", part + 1).and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

/// A part of the file.
fn import(part: u32) -> Import {
    let series = (0..COLUMNS).map(|column| Series::new(&format!("m{column:02}"))).collect();
    let cells = |row: u32| (0..COLUMNS).map(|column| Some(f64::from(row * 100 + column) / 8.0)).collect();
    let rows = (part * ROWS..(part + 1) * ROWS).map(|row| (at(i64::from(row) * 15_000), cells(row)));
    Import { file: 7, series, rows: rows.collect(), last: part + 1 == PARTS }
}

/// Lets a child work and kills it, so many words and such a span after its start; gives the last word.
fn run_and_kill(name: &str, dir: &Path, (words, delay): (u64, Duration)) -> Option<u64> {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env(DIR, dir);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let out = child.stdout.take().unwrap();
    let mut victim = Victim(child);
    let acknowledgements = acknowledgements(out);
    let mut told = None;
    for _ in 0..words {
        match acknowledgements.recv_timeout(Duration::from_secs(30)) {
            Ok(number) => told = Some(number),
            // It has nothing left to do.
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the child stands still"),
        }
    }
    // Nothing comes here: it is the moment that is random.
    let (_sender, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(delay);
    victim.kill();
    // What it said last may still be in the pipe.
    acknowledgements.iter().last().or(told)
}

/// After how many steps the child dies, and how long after the last of them.
fn moment_of_death(newest: u64, ticks: u64, random: &mut Random) -> (u64, Duration) {
    match random.below(9) {
        // While it opens the log.
        0 => (0, Duration::from_micros(random.below(60_000))),
        // While it seals.
        1..=4 => {
            let due = (ticks / SEAL_TICKS + 1) * SEAL_TICKS;
            (steps_until(newest, |_, ticks| ticks >= due, ticks), Duration::from_micros(random.below(12_000)))
        }
        // While it writes the log anew: that begins with the word of its step.
        5 | 6 => {
            let steps = steps_until(newest, |first, _| first.is_multiple_of(COMPACTED), ticks);
            (steps + 1, Duration::from_micros(random.below(60_000)))
        }
        _ => (random.below(200), Duration::from_micros(random.below(3_000))),
    }
}

/// Steps after a record until one, that one left out, told by the number of its first record and the ticks with it.
fn steps_until(newest: u64, is_wanted: impl Fn(u64, u64) -> bool, mut ticks: u64) -> u64 {
    let (mut first, mut steps) = (newest + 1, 0);
    loop {
        let events = step(first);
        ticks += ticks_of(&events);
        if is_wanted(first, ticks) {
            return steps;
        }
        steps += 1;
        first += u64::try_from(events.len()).unwrap();
    }
}

/// What the child says, until its end.
fn acknowledgements(out: ChildStdout) -> mpsc::Receiver<u64> {
    let (sender, acknowledgements) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("newest ").and_then(|number| number.parse().ok()) {
                sender.send(number).unwrap();
            }
        }
    });
    acknowledgements
}

/// Checks that the log has whole steps from the first on, and nothing else; gives newest record and ticks.
fn check(world: &mut World) -> (u64, u64) {
    let records = world.records(0);
    let (mut rest, mut ticks, mut fold) = (records.as_slice(), 0, State::default());
    let mut first = 1;
    while !rest.is_empty() {
        let events = step(first);
        ticks += ticks_of(&events);
        let expected: Vec<Record> = (first..)
            .zip(events)
            .map(|(seq, event)| sorted(Record { seq: Seq::new(seq), at: at(moment(first)), event }))
            .collect();
        let (found, after) = rest.split_at(expected.len().min(rest.len()));
        assert_eq!(found, expected, "the step that begins with record {first}");
        found.iter().for_each(|record| fold.apply(record));
        first += u64::try_from(found.len()).unwrap();
        rest = after;
    }
    assert_eq!(world.log().load_state().unwrap(), fold, "with the checkpoint, at record {}", first - 1);
    // There is none before the first seal.
    let _ = std::fs::remove_file(world.data().join("checkpoint"));
    assert_eq!(world.log().load_state().unwrap(), fold, "without it, at record {}", first - 1);
    assert_eq!(world.blobs(), 0);
    let rows = asked(&world.reader(), &fold, &Request::Verify);
    let [Row::Verified(verified)] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((verified.faults.as_slice(), verified.records), (&[][..], first - 1));
    (first - 1, ticks)
}

/// What is appended in the step that begins with a record: a tick, events on either side of it, or one alone.
fn step(first: u64) -> Vec<Event> {
    let note =
        |text: &str| Event::Noted { subject: format!("s{}", first % 7), text: format!("{text} {first}") };
    match first % 11 {
        1 | 6 => vec![note("before"), tick(first), note("after")],
        4 => vec![tick(first), note("after")],
        8 => vec![note("alone")],
        _ => vec![tick(first)],
    }
}

fn tick(first: u64) -> Event {
    let value = f64::from(u32::try_from(first).unwrap());
    let mut readings = vec![("load1".to_owned(), value), ("load5".to_owned(), -value / 4.0)];
    // Series come and go, and some ticks are in two parts.
    if first % 300 > 200 {
        readings.push((format!("late_{}", first / 300 % 9), value));
    }
    if first.is_multiple_of(173) {
        readings.extend((0..600).map(|i| (format!("wide_{i}"), value)));
    }
    if first % 50 == 7 {
        readings.clear();
    }
    let readings: Vec<(&str, f64)> = readings.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    sampled(&readings)
}

fn ticks_of(events: &[Event]) -> u64 {
    u64::try_from(events.iter().filter(|event| matches!(event, Event::Sampled(_))).count()).unwrap()
}

/// The clock goes back now and then.
fn moment(first: u64) -> i64 {
    let first = i64::try_from(first).unwrap();
    1_795_346_634_007 + first * 15_000 - first / 150 * 1_000_000
}

/// Never outlives the test.
struct Victim(Child);

impl Victim {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // It is dead already, unless the test has failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The same seed gives the same moments, as far as the scheduler lets it.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}
