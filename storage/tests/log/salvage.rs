//! A new log from what a damaged one still holds.
//!
//! Each log that comes out is compared with the one before the damage: what it has is as it was written, and what it
//! says of what is lost is true. `SYSTEMBOT_DAMAGES=200` damages more often, `100..200` only so, and
//! `SYSTEMBOT_DAMAGED_LOG=DIR` a copy of another log.

use std::{
    cell::Cell,
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use systembot_model::{Event, Reading, Record, Seq, State};
use systembot_storage::{
    Error, Log, Reader, Salvage, codec,
    query::{Request, Row},
    salvage,
};

use crate::{
    damage::{
        PAGE, Reopened, copy_dir, edit, flip, overwrite, remove, small, snapshots, spoil, truncate, whole,
    },
    world::{asked, at, open, patiently, sampled, sorted},
};

/// Longest that a start may take.
const LIMIT: Duration = Duration::from_secs(20);
/// Bytes of a segment of the database.
const SEGMENT: usize = 512 << 10;

/// Numbers that look random and are the same each time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(limit).unwrap()).unwrap()
    }
}

/// What a new log has of the records of another.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    pub(crate) saved: u64,
    pub(crate) missing: u64,
    /// Samples that are missing from records that are there.
    pub(crate) samples: u64,
}

/// All records of a log.
pub(crate) fn records(log: &Log) -> Vec<Record> {
    log.reader().records(Seq::ZERO).unwrap().map(Result::unwrap).map(sorted).collect()
}

/// Compares record by record; whatever is there must be as it was.
pub(crate) fn compare(name: &str, truth: &[Record], found: &Reader) -> Compared {
    let mut compared = Compared::default();
    let mut found = found.records(Seq::ZERO).unwrap().map(Result::unwrap).map(sorted).peekable();
    for record in truth {
        let Some(other) = found.next_if(|other| other.seq == record.seq) else {
            compared.missing += 1;
            continue;
        };
        compared.saved += 1;
        compared.samples += lacking(name, record, &other);
    }
    assert_eq!(found.next(), None, "{name}: a record that never was");
    compared
}

/// Samples that a record lacks.
fn lacking(name: &str, record: &Record, other: &Record) -> u64 {
    if record == other {
        return 0;
    }
    let (Event::Sampled(whole), Event::Sampled(part)) = (&record.event, &other.event) else {
        panic!("{name}: {record:?} became {other:?}");
    };
    let mut rest = whole.readings.iter();
    let is_lost = |reading: &&Reading| reading.series.id().starts_with("name_lost_");
    // One whose name is lost has its value still.
    let is_there = |one: &Reading| whole.readings.iter().any(|reading| reading.value == one.value);
    assert!(
        part.readings.iter().filter(|one| !is_lost(one)).all(|reading| rest.any(|one| one == reading))
            && part.readings.iter().filter(is_lost).all(is_there)
            && record.at == other.at,
        "{name}: record {} is not as it was",
        record.seq.get()
    );
    u64::try_from(whole.readings.len() - part.readings.len()).unwrap()
}

/// A data directory of a test.
pub(crate) struct Copy(pub(crate) tempfile::TempDir);

impl Copy {
    pub(crate) fn of(data: &Path) -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        copy_dir(data, copy.0.path());
        copy
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.0.path().join("log")
    }

    pub(crate) fn salvage(&self) -> Result<Salvage, Error> {
        salvage(&self.log(), at(1_800_000_000_000), &mut |_| {})
    }

    pub(crate) fn kept(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| name != "log" && name != "checkpoint");
        names.sort_unstable();
        names
    }
}

/// What a salvage told, and what is so.
pub(crate) struct Outcome {
    told: Salvage,
    compared: Compared,
    took: Duration,
}

/// Damages a copy, salvages it, and checks that everything goes on.
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is measured")]
fn outcome(name: &str, data: &Path, truth: &[Record], damage: &dyn Fn(&Path)) -> Outcome {
    let copy = Copy::of(data);
    damage(&copy.log());
    let began = Instant::now();
    let told = copy.salvage().unwrap();
    let mut log = open(&copy.log());
    // A start does both.
    let took = began.elapsed();
    let compared = compare(name, truth, &log.reader());
    assert_eq!(told.saved, compared.saved, "{name}: {told:?}, {compared:?}");
    if told.is_at_least {
        assert!(told.lost <= compared.missing, "{name}: {told:?}, {compared:?}");
    } else {
        assert_eq!(told.lost, compared.missing, "{name}: {told:?}");
    }
    // About so many: within a fifth, but for the ends of some chunks.
    let is_close = told.samples.abs_diff(compared.samples) <= compared.samples / 5 + 2_000;
    assert!(is_close || told.is_at_least, "{name}: {told:?}, {compared:?}");
    assert_eq!(log.salvaged().as_ref(), Some(&told), "{name}");
    assert_eq!(log.seq(), told.newest, "{name}");
    log.load_state().unwrap();
    let rows = asked(&log.reader(), &State::default(), &Request::Verify);
    let [Row::Verified(verified)] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(verified.faults, Vec::<String>::new(), "{name}");
    // Two seals more.
    for _ in 0..30 {
        let done = log.append(at(1_800_000_000_000), vec![sampled(&[("new", 1.0)]); 16]).unwrap();
        assert!(done.problem.is_none() && done.records[0].seq > told.newest, "{name}");
    }
    drop(log);
    drop(open(&copy.log()));
    assert_eq!(copy.kept(), [told.kept.clone().unwrap()], "{name}");
    let mode = fs::metadata(copy.0.path().join(told.kept.as_ref().unwrap())).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    Outcome { told, compared, took }
}

/// One of the things that happen to a file.
pub(crate) fn random_damage(dice: &mut Dice, db: &Path) -> String {
    let length = usize::try_from(fs::metadata(db).unwrap().len()).unwrap();
    let place = dice.below(length);
    match dice.below(8) {
        0 | 1 => {
            flip(db, place);
            format!("a byte at {place}")
        }
        2 => {
            let places: Vec<usize> = (0..1 + dice.below(40)).map(|_| dice.below(length)).collect();
            places.iter().for_each(|place| flip(db, *place));
            format!("{} bytes", places.len())
        }
        3 => {
            let place = place / PAGE * PAGE;
            overwrite(db, place, &vec![0; PAGE.min(length - place)]);
            format!("a page of zeros at {place}")
        }
        4 => {
            let bytes = (1 + dice.below(32)) * PAGE;
            let place = place / PAGE * PAGE;
            let noise: Vec<u8> =
                (0..bytes.min(length - place)).map(|_| dice.roll().to_le_bytes()[3]).collect();
            overwrite(db, place, &noise);
            format!("{bytes} bytes of noise at {place}")
        }
        5 => {
            truncate(db, place);
            format!("cut off at {place}")
        }
        6 => {
            let (from, to) = (place / PAGE * PAGE, dice.below(length) / PAGE * PAGE);
            let bytes = fs::read(db).unwrap();
            let end = (from + PAGE).min(bytes.len());
            let count = (end - from).min(length - to);
            overwrite(db, to, &bytes[from..from + count]);
            format!("the page at {from} written to {to}")
        }
        _ => {
            let segment = place / SEGMENT * SEGMENT;
            overwrite(db, segment, &vec![0; SEGMENT.min(length - segment)]);
            format!("a segment of zeros at {segment}")
        }
    }
}

#[test]
fn random_damage_loses_nothing_that_can_be_read_and_what_is_told_is_true() {
    let damages = env::var("SYSTEMBOT_DAMAGES").unwrap_or_else(|_| "12".to_owned());
    let (first, end) = damages.split_once("..").unwrap_or(("0", &damages));
    let (first, end): (u32, u32) = (first.parse().unwrap(), end.parse().unwrap());
    let other = env::var_os("SYSTEMBOT_DAMAGED_LOG").map(PathBuf::from);
    let world = other.is_none().then(|| whole(Reopened::Halfway));
    let data = Copy(tempfile::tempdir().unwrap());
    match (&world, &other) {
        (Some(world), _) => copy_dir(&world.data(), data.0.path()),
        (None, Some(log)) => copy_dir(log, &data.log()),
        (None, None) => unreachable!(),
    }
    let pristine = Copy::of(data.0.path());
    let whole = open(&pristine.log());
    let truth = records(&whole);
    drop(whole);
    let mut dice = Dice(0x5eed_0001);
    let (mut slowest, mut lost, mut most, mut samples, mut exact) = (Duration::ZERO, 0, 0, 0, 0);
    let mut told_samples = 0;
    for number in 0..end {
        let seed = Cell::new(dice.roll());
        if number < first {
            continue;
        }
        let name = Cell::new(String::new());
        let Outcome { told, compared, took } =
            outcome(&format!("damage {number}"), data.0.path(), &truth, &|log| {
                let what = random_damage(&mut Dice(seed.get()), &log.join("db"));
                println!("{number}: {what}");
                name.set(what);
            });
        println!("{number}: {}: {} ms, {compared:?}, {told:?}", name.take(), took.as_millis());
        assert!(took < LIMIT);
        slowest = slowest.max(took);
        lost += compared.missing;
        most = most.max(compared.missing);
        samples += compared.samples;
        told_samples += told.samples;
        exact += u64::from(!told.is_at_least);
    }
    println!(
        "damages {damages}: slowest {} ms; records lost {lost}, at most {most}; samples lost of others {samples}, told \
         {told_samples}; told exactly {exact}",
        slowest.as_millis()
    );
}

/// Damages a log in one way and checks what comes out.
fn mended(name: &str, reopened: Reopened, damage: &dyn Fn(&Path)) -> Outcome {
    let world = whole(reopened);
    let pristine = Copy::of(&world.data());
    let whole = open(&pristine.log());
    outcome(name, &world.data(), &records(&whole), damage)
}

#[test]
fn whatever_file_is_bad_or_missing_a_log_comes_out() {
    let each = |log: &Path, work: &dyn Fn(&Path)| snapshots(log).iter().for_each(|path| work(path));
    let nothing_lost = |name: &str, damage: &dyn Fn(&Path)| {
        let Outcome { told, compared, .. } = mended(name, Reopened::Halfway, damage);
        assert_eq!((told.saved, told.lost, compared.missing), (800, 0, 0), "{name}");
    };
    nothing_lost("no snapshot", &|log| each(log, &|path| fs::remove_file(path).unwrap()));
    nothing_lost("bad snapshot", &|log| each(log, &|path| flip(path, 20)));
    nothing_lost("empty snapshot", &|log| each(log, &|path| truncate(path, 0)));
    nothing_lost("bad settings", &|log| flip(&log.join("conf"), 3));
    nothing_lost("no settings", &|log| fs::remove_file(log.join("conf")).unwrap());
    nothing_lost("heads of segments", &|log| {
        for segment in 0..3 {
            overwrite(&log.join("db"), segment * SEGMENT, &[0xa5; 20]);
        }
    });
    let all_lost = |name: &str, damage: &dyn Fn(&Path)| {
        let Outcome { told, compared, .. } = mended(name, Reopened::Halfway, damage);
        // A checkpoint knows of 640.
        assert_eq!((told.saved, told.lost, told.is_at_least), (0, 640, true), "{name}");
        assert_eq!(compared.missing, 800, "{name}");
    };
    all_lost("empty database", &|log| truncate(&log.join("db"), 0));
    all_lost("no database", &|log| fs::remove_file(log.join("db")).unwrap());
    all_lost("nothing but zeros", &|log| {
        let path = log.join("db");
        let length = fs::read(&path).unwrap().len();
        overwrite(&path, 0, &vec![0; length]);
    });
}

#[test]
fn a_tail_that_is_cut_off_is_told_as_at_least() {
    for part in [3, 5, 7, 9] {
        let Outcome { told, compared, .. } = mended("cut off", Reopened::Never, &|log| {
            let db = log.join("db");
            truncate(&db, fs::read(&db).unwrap().len() * part / 10);
        });
        assert!(told.is_at_least && told.lost <= compared.missing && compared.missing > 0, "{told:?}");
    }
}

#[test]
fn values_that_are_wrong_in_the_database_are_taken_from_older_copies() {
    let check = |tree: &str, work: &dyn Fn(&sled::Tree)| {
        let world = small();
        let pristine = Copy::of(&world.data());
        edit(&world, tree, work);
        let copy = Copy::of(&world.data());
        drop(world);
        let told = copy.salvage().unwrap();
        let (whole, log) = (open(&pristine.log()), open(&copy.log()));
        let compared = compare(tree, &records(&whole), &log.reader());
        assert_eq!((compared.missing, compared.samples, told.lost), (0, 0, 0), "{tree}: {told:?}");
    };
    for tree in ["chunk", "event", "hot"] {
        check(tree, &spoil(3));
    }
    check("order", &remove(3));
    check("meta", &|tree| {
        tree.remove([&b"series/"[..], &[0, 0, 0, 4]].concat()).unwrap();
        tree.insert("sealed", vec![1, 0, 0]).unwrap();
        tree.remove("id").unwrap();
        tree.remove("format").unwrap();
    });
}

#[test]
fn what_a_later_version_wrote_is_left_alone() {
    let check = |tree: &str, work: &dyn Fn(&sled::Tree)| {
        let world = small();
        edit(&world, tree, work);
        let copy = Copy::of(&world.data());
        let before = fs::read(copy.log().join("db")).unwrap();
        let refused = copy.salvage().unwrap_err();
        assert!(matches!(refused, Error::Newer { .. }), "{refused}");
        assert!(fs::read(copy.log().join("db")).unwrap() == before && copy.kept().is_empty());
    };
    check("meta", &|tree| {
        tree.insert("format", codec::encode(&99_u16).unwrap()).unwrap();
    });
    check("event", &|tree| {
        let (key, value) = tree.iter().nth(5).unwrap().unwrap();
        tree.insert(key, [&[9], &value[1..]].concat()).unwrap();
    });
}

#[test]
fn a_log_that_is_open_is_left_alone() {
    let world = small();
    let copy = Copy::of(&world.data());
    let child =
        Command::new("flock").arg("--no-fork").arg(copy.log().join("db")).args(["sleep", "60"]).spawn();
    // Without that tool there is nothing to see.
    let Ok(mut child) = child else { return };
    let held = (0..500).any(|_| {
        let file = fs::File::open(copy.log().join("db")).unwrap();
        std::thread::park_timeout(Duration::from_millis(10));
        file.try_lock().is_err()
    });
    let refused = copy.salvage();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(held && matches!(refused, Err(Error::Locked { .. })), "{refused:?}");
    assert!(copy.kept().is_empty());
}

#[test]
fn the_newest_two_damaged_logs_are_kept_and_a_loss_is_told_once() {
    let world = whole(Reopened::AtTheEnd);
    let copy = Copy::of(&world.data());
    let db = copy.log().join("db");
    truncate(&db, fs::read(&db).unwrap().len() / 2);
    let mut told = Vec::new();
    for hour in 0..4 {
        told.push(salvage(&copy.log(), at(1_800_000_000_000 + hour * 3_600_000), &mut |_| {}).unwrap());
    }
    assert!(told[0].lost > 0, "{told:?}");
    assert!(told[1..].iter().all(|later| later.lost == 0 && later.newest == told[0].newest), "{told:?}");
    assert_eq!(copy.kept(), ["log.damaged-2027-01-15T100000.000Z", "log.damaged-2027-01-15T110000.000Z"]);
}

/// Where the child finds its log.
const DIR: &str = "SYSTEMBOT_SALVAGED_DIR";
/// How many steps it lives.
const STEPS: &str = "SYSTEMBOT_SALVAGE_STEPS";

/// The process that is killed; without a directory it does nothing.
#[test]
fn salvage_child() {
    let Some(dir) = env::var_os(DIR).map(PathBuf::from) else { return };
    let left: usize = env::var(STEPS).unwrap().parse().unwrap();
    let left = Cell::new(left);
    salvage(&dir, at(1_800_000_000_000), &mut |_| {
        if left.get() == 0 {
            // No destructor runs, as with a kill.
            std::process::abort();
        }
        left.set(left.get() - 1);
    })
    .unwrap();
}

#[test]
fn a_crash_at_any_step_leaves_a_log_that_the_next_start_opens_or_mends() {
    let world = whole(Reopened::Halfway);
    let pristine = Copy::of(&world.data());
    let truth = records(&open(&pristine.log()));
    let mut ends = [0; 2];
    for steps in 0.. {
        let copy = Copy::of(&world.data());
        flip(&copy.log().join("db"), 600_000);
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "salvage::salvage_child", "--nocapture"]);
        let output = child.env(DIR, copy.log()).env(STEPS, steps.to_string()).output().unwrap();
        let opened = patiently(|| Log::open(&copy.log()));
        let is_done = opened.as_ref().is_ok_and(|log| log.salvaged().is_some());
        drop(opened);
        if !is_done {
            patiently(|| copy.salvage()).unwrap();
        }
        ends[usize::from(is_done)] += 1;
        let log = open(&copy.log());
        let compared = compare(&format!("{steps} steps"), &truth, &log.reader());
        let told = log.salvaged().unwrap();
        assert_eq!((told.saved, told.lost), (compared.saved, compared.missing), "{steps}: {told:?}");
        assert!(compared.missing <= 1, "{compared:?}");
        assert_eq!(copy.kept(), [told.kept.unwrap()], "{steps}");
        if output.status.success() {
            break;
        }
    }
    assert!(ends[0] > 5 && ends[1] >= 2, "{ends:?}");
}
