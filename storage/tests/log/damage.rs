//! Bytes that change on disk.
//!
//! Whatever happens to the files of a log, reading it ends: with an error of one line, or with records that are as
//! they were written. A process of its own reads, so that a hang or an abort inside the database is seen too.

use std::{
    cell::Cell,
    env, fs,
    io::Read,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use systembot_model::{Event, Record, Seq, State};
use systembot_storage::{
    Error, EventFilter, Log, codec,
    query::{Request, Row, answer},
};

use crate::world::{World, all, asked, at, sampled, sorted};

/// Longest that a process may take over a damaged log, far above what a whole one takes.
const LIMIT: Duration = Duration::from_secs(20);
/// Where the reading process finds its log.
const DIR: &str = "SYSTEMBOT_DAMAGED_DIR";
/// Steps of the whole log: two seals, and a part of the ring.
pub(crate) const STEPS: i64 = 600;
/// The newest record of the last checkpoint.
const CHECKPOINTED: u64 = 640;
/// Ticks that are sealed together.
const SEAL_TICKS: usize = 240;
/// Ticks that are appended together: the ring has room for 16 more than are sealed.
const TOGETHER: usize = 16;
/// Bytes of a page of most disks and file systems.
pub(crate) const PAGE: usize = 4_096;

/// What happens to a log's directory.
type Damage<'a> = &'a dyn Fn(&Path);

/// What a process found in a damaged log.
#[derive(Debug)]
struct Found {
    /// Why it does not open, if so.
    refused: Option<String>,
    /// Numbers of the records it gave.
    records: Vec<u64>,
    /// What went wrong while reading.
    errors: Vec<String>,
    /// What a check of the whole log says.
    faults: Vec<String>,
    /// What keeps it from going on.
    stuck: Vec<String>,
}

impl Found {
    fn of(output: &str) -> Self {
        let told = |word: &str| -> Vec<String> {
            output.lines().filter_map(|line| line.strip_prefix(word)).map(str::to_owned).collect()
        };
        Self {
            refused: told("refused: ").pop(),
            records: told("record: ").iter().map(|number| number.parse().unwrap()).collect(),
            errors: told("error: "),
            faults: told("fault: "),
            stuck: told("stuck: "),
        }
    }

    /// Nothing may be missing without a word, but what was recorded after the last checkpoint.
    fn assert_honest(&self, name: &str) {
        let is_clear = |text: &String| !text.contains("backtrace") && !text.contains("Some(");
        assert!(
            self.errors.iter().chain(&self.faults).chain(&self.refused).all(is_clear),
            "{name}: {self:?}"
        );
        if self.refused.is_some() {
            return;
        }
        let is_in_order = self.records.is_sorted_by(|a, b| a < b);
        let is_complete = (1..=CHECKPOINTED).all(|number| self.records.binary_search(&number).is_ok())
            && self.records.last().copied() == u64::try_from(self.records.len()).ok();
        let wrong: Vec<&[u64]> = self.records.windows(2).filter(|w| w[0] >= w[1]).collect();
        assert!(
            is_in_order,
            "{name}: out of order {wrong:?} {:?} {:?} {:?}",
            self.errors,
            self.faults,
            self.records.len()
        );
        assert!(self.stuck.is_empty() || !self.errors.is_empty(), "{name}: {:?}", self.stuck);
        assert!(is_complete && self.errors.is_empty() || !self.faults.is_empty(), "{name}: {self:?}");
    }
}

/// Does something to a copy of the log and reads it.
fn found(world: &World, damage: Damage<'_>) -> Found {
    let dir = tempfile::tempdir().unwrap();
    copy_dir(&world.data(), dir.path());
    let copy = dir.path().join("log");
    damage(&copy);
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "damage::reader_child", "--nocapture"]).env(DIR, &copy);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (sender, done) = mpsc::channel();
    thread::spawn(move || {
        let (mut output, mut errors) = (String::new(), String::new());
        out.read_to_string(&mut output).unwrap();
        err.read_to_string(&mut errors).unwrap();
        // Nobody waits for it any more after the limit.
        let _ = sender.send((output, errors));
    });
    let done = done.recv_timeout(LIMIT);
    if done.is_err() {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    let (output, errors) = done.expect("reading hangs");
    assert!(status.success() && output.contains("\nend\n"), "{status}: {output}\n{errors}");
    Found::of(&output)
}

/// The reading process; without a directory it does nothing.
#[test]
fn reader_child() {
    let Some(dir) = env::var_os(DIR).map(PathBuf::from) else { return };
    match Log::open(&dir) {
        Ok(log) => read(log),
        Err(error) => say("refused", &error),
    }
    println!("\nend");
}

/// Reads a log in every way, and writes to it.
fn read(mut log: Log) {
    let (reader, truth) = (log.reader(), truth());
    let records = || -> Result<(), Error> {
        for record in reader.records(Seq::ZERO)? {
            let record = sorted(record?);
            let number = record.seq.get();
            let written = usize::try_from(number - 1).ok().and_then(|i| truth.get(i));
            assert_eq!(Some(&record), written, "it is not as it was written");
            println!("\nrecord: {number}");
        }
        Ok(())
    };
    let events = || -> Result<(), Error> {
        let mut events = reader.events(EventFilter::default())?;
        events.by_ref().filter_map(Result::err).for_each(|error| say("error", &error));
        reader.events(EventFilter::default())?.rev().find_map(Result::err).map_or(Ok(()), Err)
    };
    let scan = || -> Result<(), Error> {
        let mut scan = reader.scan(&all())?;
        while scan.next_tick()?.is_some() {}
        Ok(())
    };
    let ask = |request: Request| {
        answer(&reader, &State::default(), &request, &mut |row| {
            if let Row::Verified(verified) = row {
                verified.faults.iter().for_each(|fault| say("fault", fault));
            }
            Ok(())
        })
    };
    let results = [
        records(),
        events(),
        scan(),
        ask(Request::Verify),
        ask(Request::Series),
        ask(Request::Status),
        ask(Request::Alerts { since: at(0), open: false }),
        log.load_state().map(drop),
    ];
    results.into_iter().filter_map(Result::err).for_each(|error| say("error", &error));
    write(&mut log);
}

/// Appends until ticks are sealed at least once.
fn write(log: &mut Log) {
    for _ in 0..SEAL_TICKS / TOGETHER {
        match log.append(at(0), vec![sampled(&[("new", 1.0)]); TOGETHER]) {
            Ok(done) => done.problem.iter().for_each(|problem| say("stuck", problem)),
            Err(error) => return say("stuck", &error),
        }
    }
}

/// Tells the parent one line, which is all that an error may have.
fn say(word: &str, what: &impl ToString) {
    let text = what.to_string();
    assert!(!text.is_empty() && !text.contains('\n'), "{text:?} is no line");
    println!("\n{word}: {text}");
}

/// When the log was closed and opened again before its files change. It then has a snapshot, and what that covers
/// is read when it is needed; what came later is read when the log is opened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reopened {
    Never,
    Halfway,
    AtTheEnd,
}

/// A log with ticks in ring and chunks, events between them, and a checkpoint as of the last seal.
pub(crate) fn whole(reopened: Reopened) -> World {
    let mut world = World::new();
    let mut state = State::default();
    for i in 0..STEPS {
        if reopened == Reopened::Halfway && i == STEPS / 2 {
            world.reopen();
        }
        let done = world.log().append(at(i * 15_000), step(i)).unwrap();
        done.records.iter().for_each(|record| state.apply(record));
        if done.sealed {
            world.log().checkpoint(&state).unwrap();
        }
        assert!(!done.sealed || i < 300 || state.seq == Seq::new(CHECKPOINTED), "{:?}", state.seq);
    }
    if reopened == Reopened::AtTheEnd {
        world.reopen();
    }
    world.close();
    world
}

pub(crate) fn step(i: i64) -> Vec<Event> {
    let names: Vec<String> = (0..40).map(|name| format!("metric_{name}")).collect();
    let value = f64::from(i32::try_from(i * 7_919 % 10_007).unwrap()) / 7.0;
    let readings: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), value)).collect();
    let note = Event::Noted { subject: format!("s{i}"), text: "n".repeat(1_000) };
    if i % 3 == 0 { vec![note, sampled(&readings)] } else { vec![sampled(&readings)] }
}

/// All records of the whole log.
fn truth() -> Vec<Record> {
    let events = (0..STEPS).flat_map(|i| step(i).into_iter().map(move |event| (i, event)));
    let record = |(seq, (i, event))| sorted(Record { seq: Seq::new(seq), at: at(i * 15_000), event });
    (1..).zip(events).map(record).collect()
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// sled's snapshots: where it begins to read.
pub(crate) fn snapshots(log: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("snap")).collect()
}

pub(crate) fn overwrite(path: &Path, offset: usize, bytes: &[u8]) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, u64::try_from(offset).unwrap()).unwrap();
}

pub(crate) fn flip(path: &Path, offset: usize) {
    let byte = fs::read(path).unwrap()[offset];
    overwrite(path, offset, &[byte ^ 0x20]);
}

pub(crate) fn truncate(path: &Path, length: usize) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(u64::try_from(length).unwrap()).unwrap();
}

pub(crate) fn replace_by_directory(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
}

#[test]
fn files_that_are_missing_empty_or_of_another_sort_are_told() {
    let world = whole(Reopened::Halfway);
    let check = |name: &str, expected: &str, damage: Damage<'_>| {
        let found = found(&world, damage);
        found.assert_honest(name);
        let refused = found.refused.as_deref().unwrap_or("fine");
        assert!(refused.contains(expected), "{name}: {refused}");
        if expected == "fine" {
            assert_eq!((found.records.len(), found.faults.len()), (truth().len(), 0), "{name}");
        }
    };
    let each = |log: &Path, work: &dyn Fn(&Path)| {
        let found = snapshots(log);
        assert!(!found.is_empty(), "there is no snapshot");
        found.iter().for_each(|path| work(path));
    };
    check("nothing", "fine", &|_| {});
    check("half a snapshot", "fine", &|log| {
        fs::write(log.join("snap.000000000000A2AD.generating"), "").unwrap();
    });
    check("no snapshot", "fine", &|log| each(log, &|path| fs::remove_file(path).unwrap()));
    check("empty snapshot", "the log is damaged", &|log| each(log, &|path| truncate(path, 0)));
    check("short snapshot", "the log is damaged", &|log| each(log, &|path| truncate(path, 30)));
    for offset in [0, 5, 9, 20, 60] {
        check("changed snapshot", "the log is damaged", &|log| each(log, &|path| flip(path, offset)));
    }
    check("directory as snapshot", "Is a directory", &|log| each(log, &replace_by_directory));
    check("empty database", "the log is damaged", &|log| truncate(&log.join("db"), 0));
    check("no database", "the log is damaged", &|log| fs::remove_file(log.join("db")).unwrap());
    check("directory as database", "Is a directory", &|log| replace_by_directory(&log.join("db")));
    check("no settings", "fine", &|log| fs::remove_file(log.join("conf")).unwrap());
    check("empty settings", "fine", &|log| truncate(&log.join("conf"), 0));
    check("changed settings", "the log is damaged", &|log| flip(&log.join("conf"), 3));
    check("directory as settings", "Is a directory", &|log| replace_by_directory(&log.join("conf")));
    check("no blobs", "fine", &|log| fs::remove_dir(log.join("blobs")).unwrap());
    check("file as blobs", "Not a directory", &|log| {
        fs::remove_dir(log.join("blobs")).unwrap();
        fs::write(log.join("blobs"), "").unwrap();
    });
    check("file as log", "File exists", &|log| {
        fs::remove_dir_all(log).unwrap();
        fs::write(log, "").unwrap();
    });
}

/// Damages the database file in many places and checks each; gives what was found.
fn everywhere(reopened: Reopened) -> Vec<Found> {
    let world = whole(reopened);
    let db = fs::read(world.data().join("log/db")).unwrap();
    let used: Vec<usize> = (0..db.len()).filter(|i| db[*i] != 0).collect();
    let spread = |count: usize| (0..count).map(move |i| i * 2 + 1).map(move |i| (i, 2 * count));
    let place = |(part, parts): (usize, usize)| used[used.len() * part / parts];
    let mut all = Vec::new();
    let mut check = |what: &str, offset: usize, damage: &dyn Fn(&Path, usize)| {
        let found = found(&world, &|log| damage(&log.join("db"), offset));
        found.assert_honest(&format!("{reopened:?}, {what} at {offset}"));
        all.push(found);
    };
    spread(16).map(place).for_each(|offset| check("changed", offset, &flip));
    spread(5).map(place).for_each(|offset| check("cut off", offset, &truncate));
    for offset in spread(8).map(place) {
        check("a page of zeros", offset / PAGE * PAGE, &|path, offset| overwrite(path, offset, &[0; PAGE]));
    }
    // Heads of segments: their checksum, their number, their place in the order.
    for offset in (0..db.len()).step_by(512 << 10).flat_map(|segment| [segment, segment + 7, segment + 15]) {
        check("changed head", offset, &flip);
    }
    all
}

#[test]
fn damage_to_a_log_that_was_never_closed_loses_nothing_silently() {
    let all = everywhere(Reopened::Never);
    assert!(all.iter().any(|found| found.faults.iter().any(|fault| fault.contains("are lost"))));
}

#[test]
fn damage_to_a_log_that_was_opened_again_loses_nothing_silently() {
    everywhere(Reopened::Halfway);
}

#[test]
fn damage_to_a_log_at_rest_loses_nothing_silently() {
    everywhere(Reopened::AtTheEnd);
}

#[test]
fn a_check_tells_what_does_not_read_back() {
    let world = whole(Reopened::AtTheEnd);
    let db = fs::read(world.data().join("log/db")).unwrap();
    // Wherever an early event lies: pages are written many times, and one of the copies is the live one.
    let text = [&b"s30"[..], &[251, 0xe8, 0x03], &[b'n'; 20]].concat();
    let copies: Vec<usize> =
        db.windows(text.len()).enumerate().filter(|(_, w)| *w == text).map(|(i, _)| i).collect();
    assert!(!copies.is_empty());
    let found = found(&world, &|log| copies.iter().for_each(|copy| flip(&log.join("db"), copy + 15)));
    found.assert_honest("an event");
    assert_eq!(found.refused, None);
    assert!(found.faults.iter().any(|fault| fault.contains("does not read back")), "{found:?}");
    assert!(found.faults.iter().any(|fault| fault.contains("cannot be folded")), "{found:?}");
    assert!(!found.records.contains(&41), "the record that was changed is given");
}

/// A log of two groups of series: two chunks each, five ticks in the ring, and an event with every tenth tick.
pub(crate) fn small() -> World {
    let mut world = World::new();
    let names: Vec<String> = (0..12).map(|name| format!("metric_{name}")).collect();
    for i in 0..485 {
        let readings: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), f64::from(i))).collect();
        let mut events = vec![sampled(&readings)];
        if i % 10 == 0 {
            events.push(Event::Noted { subject: format!("s{i}"), text: String::new() });
        }
        world.log().append(at(i64::from(i) * 15_000), events).unwrap();
    }
    world.close();
    world
}

/// Changes a tree behind the log's back, where the database itself finds nothing wrong.
pub(crate) fn edit(world: &World, tree: &str, work: &dyn Fn(&sled::Tree)) {
    edit_at(&world.data().join("log"), tree, work);
}

/// The same of a log that lies elsewhere.
pub(crate) fn edit_at(log: &Path, tree: &str, work: &dyn Fn(&sled::Tree)) {
    let mut attempts = 0;
    let db = loop {
        // The log that was just closed may hold its lock for a moment.
        match sled::open(log) {
            Ok(db) => break db,
            Err(error) => assert!(attempts < 50, "{error}"),
        }
        attempts += 1;
        thread::park_timeout(Duration::from_millis(10));
    };
    work(&db.open_tree(tree).unwrap());
    db.flush().unwrap();
}

/// Changes the last byte but ten of the value at a place.
pub(crate) fn spoil(place: usize) -> impl Fn(&sled::Tree) {
    move |tree| {
        let (key, value) = tree.iter().nth(place).unwrap().unwrap();
        let mut value = value.to_vec();
        let last = value.len() - 11;
        value[last] ^= 1;
        tree.insert(key, value).unwrap();
    }
}

pub(crate) fn remove(place: usize) -> impl Fn(&sled::Tree) {
    move |tree| {
        let (key, _) = tree.iter().nth(place).unwrap().unwrap();
        tree.remove(key).unwrap();
    }
}

fn faults(world: &World) -> Vec<String> {
    let rows = asked(&world.reader(), &State::default(), &Request::Verify);
    let [Row::Verified(verified)] = rows.as_slice() else { panic!("{rows:?}") };
    verified.faults.clone()
}

#[test]
fn a_check_tells_each_value_that_is_wrong() {
    let check = |tree: &str, work: &dyn Fn(&sled::Tree), expected: &[&str]| {
        let mut world = small();
        edit(&world, tree, work);
        world.reopen();
        let faults = faults(&world);
        assert_eq!(faults.len(), expected.len(), "{tree}: {faults:?}");
        for (fault, expected) in faults.iter().zip(expected) {
            assert!(
                fault.contains(expected) && !fault.contains('\n'),
                "{tree}: {fault} is not about {expected}"
            );
        }
    };
    check("chunk", &|_| {}, &[]);
    // The second chunk of the second group begins with tick 240, after 24 events.
    let place = "chunk 265 of group 1 from 1970-01-01T01:00:00.000Z: ";
    check(
        "chunk",
        &spoil(3),
        &[&format!("{place}the log is damaged: a chunk: checksum"), "265: the records from here"],
    );
    check(
        "chunk",
        &remove(3),
        &["265: the chunk of group 1 that begins with it is missing", "265: the records from"],
    );
    let moved = |tree: &sled::Tree| {
        let (_, value) = tree.iter().nth(2).unwrap().unwrap();
        let (key, _) = tree.iter().nth(3).unwrap().unwrap();
        tree.insert(key, value).unwrap();
    };
    check("chunk", &moved, &["lies in the place of another", "265: the records from here on"]);
    check("order", &remove(3), &[&format!("{place}is not found by its number")]);
    check(
        "event",
        &spoil(5),
        &["57: the log is damaged: record 57: checksum", "57: the records from here on"],
    );
    check("event", &remove(5), &["57: the record is missing"]);
    // Slots that are sealed stay; tick 482 is in slot 226.
    check("hot", &remove(226), &["532: the record is missing"]);
    let later = |tree: &sled::Tree| {
        let (key, value) = tree.iter().nth(5).unwrap().unwrap();
        tree.insert(key, [&[9], &value[1..]].concat()).unwrap();
    };
    check("event", &later, &["57: record 57 was written by a later version", "57: the records from here on"]);
}

#[test]
fn a_check_tells_alerts_that_contradict_each_other() {
    let mut world = World::new();
    let resolved = |id| Event::AlertResolved { id, value: None, message: String::new(), told: false };
    let done = world.log().append(at(0), vec![resolved(7), Event::Stopped, resolved(8)]).unwrap();
    assert_eq!(done.records.len(), 3);
    let expected = ["1: is about alert 7, which never fired", "3: is about alert 8, which never fired"];
    assert_eq!(faults(&world), expected);
}

#[test]
fn what_a_log_cannot_be_opened_without_is_named() {
    let check = |tree: &str, work: &dyn Fn(&sled::Tree), expected: &str| {
        let world = small();
        edit(&world, tree, work);
        let refused = Log::open(&world.data().join("log")).err().unwrap().to_string();
        assert_eq!(refused, expected, "{tree}");
    };
    let put = |key: &'static [u8], value: Vec<u8>| {
        move |tree: &sled::Tree| {
            tree.insert(key, value.clone()).unwrap();
        }
    };
    let later = "the log (format 99) was written by a later version of systembot: use that one";
    check("meta", &put(b"format", codec::encode(&99_u16).unwrap()), later);
    let bad = "the log is damaged: the watermark: frame of 3 bytes where 9 were expected";
    check("meta", &put(b"sealed", vec![1, 0, 0]), bad);
    let bad = "the log is damaged: id: payload is malformed: ";
    check(
        "meta",
        &put(b"id", codec::encode("no number at all").unwrap()),
        &format!("{bad}Slice had bytes remaining after deserialization"),
    );
    let gone = |tree: &sled::Tree| tree.remove([&b"series/"[..], &[0, 0, 0, 4]].concat()).map(drop).unwrap();
    check("meta", &gone, "the log is damaged: catalogue entry 5 is not the next one");
    let gone = |tree: &sled::Tree| tree.remove(b"id").map(drop).unwrap();
    check("meta", &gone, "the log is damaged: the log has no id");
    check("hot", &spoil(3), "the log is damaged: a tick of the ring: checksum does not match");
}

/// An older program must be told to keep off what it does not know, and may read what it does.
#[test]
fn a_log_of_an_earlier_format_is_raised_when_it_is_rolled_up() {
    let mut world = World::new();
    let format = |world: &mut World| {
        world.close();
        let found = Cell::new(0_u16);
        edit(world, "meta", &|tree: &sled::Tree| {
            found.set(codec::decode(&tree.get(b"format").unwrap().unwrap()).unwrap());
        });
        world.reopen();
        found.get()
    };
    world.log().append(at(0), vec![Event::Stopped, sampled(&[("load1", 1.0)])]).unwrap();
    assert_eq!(format(&mut world), 3);
    world.close();
    edit(&world, "meta", &|tree: &sled::Tree| {
        tree.insert(b"format", codec::encode(&1_u16).unwrap()).unwrap();
        tree.remove(b"rolled").unwrap();
    });
    world.reopen();
    assert_eq!(format(&mut world), 3);
    assert_eq!(world.records(0).len(), 2);
}

#[test]
fn a_ring_that_cannot_be_sealed_and_is_full_is_damage_and_no_fault_of_a_tick() {
    let mut world = World::new();
    let tick = |n: i64| (at(n * 15_000), vec![sampled(&[("load1", 1.0)])]);
    for n in 0..250 {
        let (at, events) = tick(n);
        world.log().append(at, events).unwrap();
    }
    world.close();
    edit(&world, "rollup", &spoil(0));
    world.reopen();
    let (mut taken, mut problems) = (250, 0);
    let error = loop {
        let (at, events) = tick(taken);
        match world.log().append(at, events) {
            Ok(done) => problems += usize::from(done.problem.is_some()),
            Err(error) => break error,
        }
        taken += 1;
    };
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert_eq!((taken, problems), (240 + 256, 17), "the ring has room for a while");
    // An alert, say, needs no room.
    let note = Event::Noted { subject: "s".into(), text: String::new() };
    world.log().append(at(0), vec![note]).unwrap();
    // It goes on once it is mended, and nothing that was taken is lost.
    let reports = Arc::new(AtomicUsize::new(0));
    let heard = Arc::clone(&reports);
    world.log().report(move || {
        heard.fetch_add(1, Ordering::Relaxed);
    });
    world.log().mend(at(taken * 15_000)).unwrap();
    assert!(reports.load(Ordering::Relaxed) > 0, "nobody heard of its progress");
    let (at, events) = tick(taken);
    world.log().append(at, events).unwrap();
    assert_eq!(i64::try_from(world.samples(&all()).len()).unwrap(), taken + 1);
}
