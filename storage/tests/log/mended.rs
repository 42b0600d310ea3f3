//! What a salvage meets besides damage: roll-ups, logs that were pruned or compacted, and what crashes left beside one.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use systembot_model::{Event, Pattern, Seq, Series, State, Timestamp};
use systembot_storage::{
    Log, Reader,
    query::{History, Import, Request, Row, Step},
};

use crate::{
    damage::{copy_dir, edit_at, flip},
    retention::{Life, limits},
    salvage::{Copy, Dice, random_damage},
    world::{World, all, asked, at, open, patiently, sampled, sorted},
};

const HOUR: i64 = 3_600_000;

/// Least, greatest and number of values, by bucket.
type Buckets = BTreeMap<i64, (f64, f64, u64)>;

/// A log of two weeks with the samples of three days; compacted, all of it lies in a few pages.
fn pruned(is_compacted: bool) -> Life {
    let mut life = Life::new(limits(3));
    life.live(0..4_000);
    if is_compacted {
        life.world.log().compact().unwrap();
    }
    life.world.close();
    patiently_read(&life.world.data().join("log/db"));
    life
}

fn ask(reader: &Reader, step: Option<Step>) -> Vec<Row> {
    let patterns = vec![Pattern::new("load1")];
    let history =
        History { patterns, since: Timestamp::MIN, until: Timestamp::MAX, step, limit: None, newest: false };
    asked(reader, &State::default(), &Request::History(history))
}

/// Hours, from the roll-ups where they reach.
fn hours(log: &Log) -> Buckets {
    let rows = ask(&log.reader(), Some(Step::Every(HOUR)));
    rows.into_iter()
        .filter_map(|row| {
            let Row::Bucket { at, min, max, count, .. } = row else { return None };
            Some((at.as_ms(), (min, max, count)))
        })
        .collect()
}

/// Hours, from the samples that there are.
fn sampled_hours(log: &Log) -> Buckets {
    let mut hours = Buckets::new();
    for row in ask(&log.reader(), None) {
        let Row::Point { at, value, .. } = row else { continue };
        let hour = hours.entry(at.as_ms().div_euclid(HOUR) * HOUR).or_insert((value, value, 0));
        *hour = (hour.0.min(value), hour.1.max(value), hour.2 + 1);
    }
    hours
}

fn faults(log: &Log) -> Vec<String> {
    let state = log.load_state().unwrap();
    let rows = asked(&log.reader(), &state, &Request::Verify);
    let [Row::Verified(verified)] = rows.as_slice() else { panic!("{rows:?}") };
    verified.faults.clone()
}

/// Spoils every copy of a value that the file has; how many there are.
fn wipe(log: &Path, tree: &str, place: usize) -> usize {
    let value = std::cell::Cell::new(Vec::new());
    edit_at(log, tree, &|tree| {
        let (_, bytes) = tree.iter().nth(place).unwrap().unwrap();
        value.set(bytes.to_vec());
    });
    let value = value.take();
    let part = &value[value.len() / 2..value.len() / 2 + 24];
    let db = patiently_read(&log.join("db"));
    let copies: Vec<usize> =
        db.windows(part.len()).enumerate().filter(|(_, bytes)| *bytes == part).map(|(i, _)| i).collect();
    copies.iter().for_each(|copy| flip(&log.join("db"), copy + 7));
    copies.len()
}

fn patiently_read(path: &Path) -> Vec<u8> {
    // The database that was just closed may write its last bytes still.
    patiently(|| {
        let file = fs::File::open(path).unwrap();
        let is_free = file.try_lock().is_ok();
        let dir = path.to_owned();
        if is_free { Ok(fs::read(path).unwrap()) } else { Err(systembot_storage::Error::Locked { dir }) }
    })
    .unwrap()
}

#[test]
fn roll_ups_outlive_a_salvage_and_come_anew_from_the_samples_that_are_left() {
    let life = pruned(true);
    let pristine = Copy::of(&life.world.data());
    let whole = open(&pristine.log());
    let (before, of_samples) = (hours(&whole), sampled_hours(&whole));
    let first = *of_samples.first_key_value().unwrap().0;
    assert!(before.range(..first).count() > 24 && of_samples.len() > 48, "{first}");
    for (tree, place) in [("rollup", Some(0)), ("chunk", Some(0)), ("chunk", Some(1)), ("chunk", None)] {
        let name = format!("{tree} {place:?}");
        let copy = Copy::of(&life.world.data());
        if let Some(place) = place {
            assert!(wipe(&copy.log(), tree, place) > 0, "{name}");
        }
        let told = patiently(|| copy.salvage()).unwrap();
        let log = open(&copy.log());
        assert_eq!(faults(&log), Vec::<String>::new(), "{name}");
        let (after, left) = (hours(&log), sampled_hours(&log));
        let first_left = *left.first_key_value().unwrap().0;
        if tree == "rollup" {
            // The first hour has some of each.
            for (hour, figures) in left.range(first_left + HOUR..) {
                assert_eq!(after.get(hour), Some(figures), "{name} at {hour}");
            }
            for (hour, figures) in after.range(..first_left) {
                assert_eq!(before.get(hour), Some(figures), "{name} at {hour}");
            }
        } else {
            assert_eq!(after, before, "{name}: roll-ups are kept, those of lost samples too");
            assert_eq!(place.is_some(), told.lost + told.samples > 0, "{name}: {told:?}");
        }
    }
}

#[test]
fn roll_ups_outlive_a_salvage_where_a_clock_was_not_set_amid_the_samples() {
    let mut life = Life::new(limits(3));
    life.live(0..4_000);
    let today = life.now;
    life.now = 0;
    life.live(4_001..4_302);
    life.now = today + 26 * HOUR;
    life.live(4_303..4_700);
    let before = hours(life.world.log());
    life.world.close();
    patiently_read(&life.world.data().join("log/db"));
    let copy = Copy::of(&life.world.data());
    copy.salvage().unwrap();
    let mut log = open(&copy.log());
    while log.prune(at(life.now), &State::default()).unwrap() {}
    assert_eq!(hours(&log), before);
    assert_eq!(faults(&log), Vec::<String>::new());
}

#[test]
fn chunks_are_rolled_up_step_by_step_and_none_twice() {
    let mut world = World::new();
    for i in 0..500_i32 {
        // Each is in a chunk of its own.
        world.tick(i64::from(i) * 26 * HOUR, &[("load1", f64::from(i))]);
    }
    let before = hours(world.log());
    world.close();
    edit_at(&world.data().join("log"), "rollup", &|tree| tree.clear().unwrap());
    let is_rolled = std::cell::Cell::new(true);
    let look = |world: &mut World| {
        world.close();
        edit_at(&world.data().join("log"), "meta", &|tree| {
            is_rolled.set(tree.contains_key(b"rolled").unwrap());
        });
        world.reopen();
        is_rolled.get()
    };
    edit_at(&world.data().join("log"), "meta", &|tree| drop(tree.remove(b"rolled").unwrap()));
    world.reopen();
    let mut steps = 0;
    while world.log().prune(at(0), &State::default()).unwrap() {
        steps += 1;
        assert!(!look(&mut world), "{steps}");
        assert_eq!(hours(world.log()), before, "{steps}");
        assert!(steps < 50, "each opening begins again");
    }
    assert!(steps > 1 && look(&mut world), "{steps}");
    assert_eq!(hours(world.log()), before);
    assert_eq!(faults(world.log()), Vec::<String>::new());
}

#[test]
fn a_pruned_log_is_salvaged_and_what_was_pruned_is_not_lost() {
    for is_compacted in [false, true] {
        pruned_logs_are_salvaged(is_compacted);
    }
}

fn pruned_logs_are_salvaged(is_compacted: bool) {
    let life = pruned(is_compacted);
    let pristine = Copy::of(&life.world.data());
    let whole = open(&pristine.log());
    let records = |log: &Log| -> BTreeMap<Seq, _> {
        let records = log.reader().records(Seq::ZERO).unwrap().map(Result::unwrap).map(sorted);
        records.map(|record| (record.seq, record)).collect()
    };
    let truth = records(&whole);
    let first_tick = truth.values().find(|record| matches!(record.event, Event::Sampled(_))).unwrap().seq;
    let mut dice = Dice(0x5eed_0002);
    for number in 0..20 {
        let copy = Copy::of(&life.world.data());
        let what = if number == 0 {
            "nothing".to_owned()
        } else {
            random_damage(&mut Dice(dice.roll()), &copy.log().join("db"))
        };
        let name = format!("{number}, {is_compacted}: {what}");
        let told = copy.salvage().unwrap();
        let mut log = open(&copy.log());
        let found = records(&log);
        for (seq, record) in &found {
            // What was pruned may be there again, where nothing tells any more that it was.
            assert!(truth.get(seq).is_none_or(|true_one| true_one == record), "{name}: {record:?}");
            assert!(truth.contains_key(seq) || *seq < first_tick, "{name}: {record:?}");
        }
        let missing = truth.keys().filter(|seq| !found.contains_key(*seq)).count();
        let missing = u64::try_from(missing).unwrap();
        println!("{name}: {missing} missing, {told:?}");
        if told.is_at_least {
            assert!(told.lost <= missing, "{name}: {missing}, {told:?}");
        } else {
            assert_eq!(told.lost, missing, "{name}: {told:?}");
        }
        if number == 0 {
            // Nothing bad is in the file, so there is no telling whether its end is missing.
            assert!(missing == 0 && told.samples == 0 && found.len() == truth.len(), "{told:?}");
            assert!(log.load_state().unwrap() == whole.load_state().unwrap());
        }
        assert_eq!(faults(&log), Vec::<String>::new(), "{name}");
        let done = log.append(at(1_800_000_000_000), vec![sampled(&[("new", 1.0)])]).unwrap();
        assert!(done.records[0].seq > told.newest, "{name}");
    }
}

#[test]
fn imported_samples_that_were_pruned_are_not_lost() {
    const NOW: i64 = 1_795_392_000_000;
    let mut world = World::new();
    let rows = (0..2_000).map(|i| (at(NOW - 500 * 24 * HOUR + i * 60_000), vec![Some(1.0)])).collect();
    let import = Import { file: 5, series: vec![Series::new("m")], rows, last: true };
    world.log().import(at(NOW), &import).unwrap();
    let state = world.log().load_state().unwrap();
    world.log().limit(limits(400));
    while world.log().prune(at(NOW), &state).unwrap() {}
    assert_eq!(world.samples(&all()), []);
    world.close();
    patiently_read(&world.data().join("log/db"));
    let told = Copy::of(&world.data()).salvage().unwrap();
    assert_eq!((told.lost, told.samples), (0, 0), "{told:?}");
}

/// A log with one record, which says what the log is.
fn named(dir: &Path, name: &str) {
    let log = dir.join("log");
    let text = String::new();
    open(&log).append(at(0), vec![Event::Noted { subject: name.to_owned(), text }]).unwrap();
    drop(open(&log));
    patiently_read(&log.join("db"));
}

#[test]
fn whatever_a_crash_left_beside_a_log_the_right_one_is_opened_and_the_rest_is_gone() {
    let names = ["log", "log.ready", "log.old", "log.compact", "log.new"];
    let templates: Vec<(tempfile::TempDir, &str)> = names
        .iter()
        .map(|name| {
            let dir = tempfile::tempdir().unwrap();
            named(dir.path(), name);
            (dir, *name)
        })
        .collect();
    for there in 1_u32..32 {
        let is_there = |place: usize| there >> place & 1 == 1;
        // What was begun is never the log.
        let Some(right) = (0..3).find(|place| is_there(*place)) else { continue };
        for is_cut_off in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let beside: Vec<PathBuf> = names.iter().map(|name| dir.path().join(name)).collect();
            for place in (0..names.len()).filter(|place| is_there(*place)) {
                let (template, _) = &templates[place];
                copy_dir(&template.path().join("log"), &beside[place]);
                if is_cut_off && place >= 3 {
                    let db = fs::OpenOptions::new().write(true).open(beside[place].join("db")).unwrap();
                    db.set_len(100).unwrap();
                }
            }
            let case = format!("{there:05b} {is_cut_off}");
            let log = open(&beside[0]);
            let found: Vec<Event> =
                log.reader().records(Seq::ZERO).unwrap().map(|record| record.unwrap().event).collect();
            let subject = names[right].to_owned();
            assert_eq!(found, [Event::Noted { subject, text: String::new() }], "{case}");
            let left: Vec<bool> = beside.iter().map(|path| path.exists()).collect();
            assert_eq!(left, [true, false, false, false, false], "{case}");
        }
    }
}

#[test]
fn a_damaged_log_is_salvaged_whatever_a_crash_left_beside_it() {
    for beside in ["log.ready", "log.old", "log.compact", "log.new"] {
        let template = tempfile::tempdir().unwrap();
        named(template.path(), beside);
        let life = crate::damage::small();
        patiently_read(&life.data().join("log/db"));
        let copy = Copy::of(&life.data());
        let pristine = Copy::of(&life.data());
        copy_dir(&template.path().join("log"), &copy.0.path().join(beside));
        flip(&copy.log().join("conf"), 3);
        let refused = Log::open(&copy.log()).map(drop).unwrap_err();
        assert!(matches!(refused, systembot_storage::Error::Damaged { .. }), "{beside}: {refused}");
        let told = patiently(|| copy.salvage()).unwrap();
        let (log, whole) = (open(&copy.log()), open(&pristine.log()));
        let records = |log: &Log| -> Vec<_> {
            log.reader().records(Seq::ZERO).unwrap().map(Result::unwrap).map(sorted).collect()
        };
        assert!(records(&log) == records(&whole), "{beside}");
        assert_eq!(copy.kept(), [told.kept.unwrap()], "{beside}");
    }
}
