//! kill -9 of the program while it writes as fast as it can: lines from chat with their answers and acknowledgements,
//! orders from a shell, and files that are imported, all at once. A seal is always near.
//!
//! `SYSTEMBOT_PROGRAM_KILLS` says how often, `SYSTEMBOT_PROGRAM_KILL_SEED` repeats a run as far as the scheduler lets
//! it, `SYSTEMBOT_PROGRAM` names another build.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use systembot::clock::{Clock, SystemClock};
use systembot_model::{Event, Pattern, Record, Sample, Seq, Series, State, Timestamp};
use systembot_storage::{
    EventFilter, Log,
    query::{History, Import, Request, Row, answer},
    remote::{Client, RemoteError},
};

use crate::{
    bridge::FakeBridge,
    daemon::{Home, until},
};

/// Kills unless the environment says otherwise: some seconds.
const KILLS: u64 = 6;
/// Kills of one log; then a new one begins.
const KILLS_OF_ONE: u64 = 8;
/// Ticks that are sealed together.
const SEAL_TICKS: u64 = 240;
/// Rows and columns of a file, and the parts that it is sent in.
const ROWS: u32 = 300;
const COLUMNS: u32 = 4;
const PARTS: u32 = 3;
/// Orders between two files.
const ORDERS: u32 = 5;
/// Lines that are said in each life.
const LINES: u64 = 30;
/// For all that was said and not heard yet.
const PATIENCE: Duration = Duration::from_secs(60);
/// Numbers of alerts that there are none of, which lines ask about.
const FIRST_LINE: u64 = 100_000;

#[test]
fn what_the_program_acknowledged_survives_a_kill_at_any_moment() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let kills = number("SYSTEMBOT_PROGRAM_KILLS").unwrap_or(KILLS);
    let seed =
        number("SYSTEMBOT_PROGRAM_KILL_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    eprintln!("SYSTEMBOT_PROGRAM_KILL_SEED={seed}");
    let mut random = Random(seed | 1);
    let (mut acknowledged, mut records, mut sealed) = (0, 0, 0);
    let mut left = kills;
    while left > 0 {
        let mut victim = Victim::new(&mut random);
        for _ in 0..left.min(KILLS_OF_ONE) {
            victim.live_and_die(&mut random);
            victim.check();
        }
        left -= left.min(KILLS_OF_ONE);
        let (more, seals) = victim.end();
        acknowledged += victim.acknowledged();
        records += more;
        sealed += seals;
    }
    eprintln!("{kills} kills: {acknowledged} acknowledgements, none lost; {records} records, {sealed} seals");
    assert!(acknowledged > kills, "it did nothing");
}

/// What the program said yes to.
#[derive(Clone, Copy, Debug, Default)]
struct Yes {
    /// Orders to mute something.
    orders: u64,
    /// Files loaded.
    files: u32,
    parts: u64,
}

struct Victim {
    bridge: FakeBridge,
    home: Home,
    began: Timestamp,
    yes: Arc<Mutex<Yes>>,
    kills: u64,
    lines: u64,
    ticks: u64,
}

impl Victim {
    /// A home whose log wants a few ticks to its next seal, all of them older than what is kept.
    fn new(random: &mut Random) -> Self {
        let bridge = FakeBridge::start("leela");
        let settings = "[storage]\nretention = \"1d\"\n[thresholds]\ndisk_used_percent = 0.0\n";
        let home = Home::on_bridge(&bridge.url(), settings);
        let began = SystemClock.now();
        let ticks = SEAL_TICKS * (1 + random.below(3)) - 1 - random.below(6);
        std::fs::create_dir(home.data_dir()).unwrap();
        let mut log = Log::open(&home.data_dir().join("log")).unwrap();
        for tick in 0..ticks {
            let mut sample = Sample::default();
            sample.push(Series::new("load1"), f64::from(u32::try_from(tick % 50).unwrap()));
            let at = began.minus(Duration::from_secs(3 * 86_400)).plus(Duration::from_secs(tick * 15));
            log.append(at, vec![Event::Sampled(sample)]).unwrap();
        }
        Self { bridge, home, began, yes: Arc::default(), kills: 0, lines: FIRST_LINE, ticks }
    }

    fn socket(&self) -> PathBuf {
        self.home.data_dir().join("control.sock")
    }

    fn yes(&self) -> Yes {
        *self.yes.lock().unwrap()
    }

    fn acknowledged(&self) -> u64 {
        let yes = self.yes();
        yes.orders + yes.parts
    }

    fn live_and_die(&mut self, random: &mut Random) {
        (0..LINES).for_each(|_| self.say());
        self.kills += 1;
        let daemon = self.home.spawn();
        if random.below(8) == 0 {
            // While it opens its log.
            SystemClock.wait(Duration::from_micros(random.below(150_000)));
            return daemon.kill();
        }
        let mut client = None;
        until("the daemon to answer", || {
            client = Client::connect(&self.socket()).ok();
            client.is_some()
        });
        let (yes, began, mut client) = (Arc::clone(&self.yes), self.began, client.unwrap());
        let pressing = thread::spawn(move || press(&mut client, began, &yes));
        let enough = self.acknowledged() + random.below(80);
        until("the daemon to acknowledge", || self.acknowledged() >= enough);
        SystemClock.wait(Duration::from_micros(random.below(20_000)));
        daemon.kill();
        pressing.join().unwrap();
    }

    /// The owner says a line of its own, which none other is like.
    fn say(&mut self) {
        self.bridge.push_command(&format!("why {}", self.lines));
        self.lines += 1;
    }

    /// The log as it lies there.
    fn check(&mut self) {
        let verified = self.home.ask(&["--format", "json", "verify"]);
        assert_eq!(verified.code, Some(0), "{verified:?}");
        let log = Log::open(&self.home.data_dir().join("log")).unwrap();
        let reader = log.reader();
        let records: Vec<Record> =
            reader.events(EventFilter::default()).unwrap().map(Result::unwrap).collect();
        let (yes, count) = (self.yes(), |kind: &str| of_kind(&records, kind).count());
        let muted = u64::try_from(count("muted")).unwrap();
        assert!(
            (yes.orders..=yes.orders + self.kills).contains(&muted),
            "{} orders were acknowledged in {} lives, {muted} are there",
            yes.orders,
            self.kills
        );
        let mut owed: BTreeMap<Seq, ()> = BTreeMap::new();
        for record in &records {
            match &record.event {
                Event::MessageQueued(_) => drop(owed.insert(record.seq, ())),
                Event::MessageDelivered { messages } | Event::MessageDropped { messages, .. } => {
                    messages.iter().for_each(|number| assert!(owed.remove(number).is_some(), "{record:?}"));
                }
                _ => {}
            }
        }
        let state = log.load_state().unwrap();
        assert!(state.outbox.keys().eq(owed.keys()), "what is owed is what was queued and not delivered");
        // Whole files, each row as it was; of the next one perhaps a part.
        let mut rows = Vec::new();
        answer(&reader, &State::default(), &Request::History(imported()), &mut |row| {
            if let Row::Point { at, series, value } = row {
                rows.push((at, series, value));
            }
            Ok(())
        })
        .unwrap();
        let expected = (0..yes.files)
            .flat_map(|file| file_rows(self.began, file))
            .flat_map(|(at, cells)| (0..).zip(cells).map(move |(column, cell)| (at, column, cell.unwrap())));
        let whole = usize::try_from(yes.files * ROWS * COLUMNS).unwrap();
        assert!(rows.len() >= whole, "{} samples of {whole} acknowledged", rows.len());
        assert!(rows[..whole].iter().copied().eq(expected), "an imported row is another one");
        assert_eq!(std::fs::read_dir(self.home.data_dir().join("log/blobs")).unwrap().count(), 0);
    }

    /// Has all that is owed delivered, and looks at what the owner got; records and seals of this log.
    fn end(&mut self) -> (u64, u64) {
        let daemon = self.home.spawn();
        let last = self.lines.to_string();
        self.say();
        self.bridge.wait_until(PATIENCE, |seen| seen.replies.iter().any(|reply| reply.contains(&last)));
        until("the delivery to be recorded", || self.home.rows(&["status"])[0]["backlog"] == 0);
        assert_eq!(daemon.stop(), Some(0));
        self.check();
        let log = Log::open(&self.home.data_dir().join("log")).unwrap();
        let records: Vec<Record> =
            log.reader().events(EventFilter::default()).unwrap().map(Result::unwrap).collect();
        let replies = self.bridge.replies();
        let mut heard = 0;
        for record in of_kind(&records, "heard") {
            let Event::Heard { text, .. } = &record.event else { continue };
            let number = text.strip_prefix("why ").unwrap();
            heard += 1;
            let answers: Vec<&String> = replies.iter().filter(|reply| reply.contains(number)).collect();
            assert!(!answers.is_empty(), "{text} was heard and not answered");
            assert!(answers[1..].iter().all(|reply| reply.starts_with("(again)")), "{answers:?}");
        }
        // Between the bridge and the log a line may be lost with the life that fetched it.
        let said = self.lines - FIRST_LINE;
        assert!(heard + self.kills >= said, "{heard} of {said} lines");
        let ticks = log.reader().records(Seq::ZERO).unwrap().map(Result::unwrap);
        let ticks = ticks.filter(|record| matches!(record.event, Event::Sampled(_))).count();
        (log.seq().get(), u64::try_from(ticks).unwrap().max(self.ticks) / SEAL_TICKS)
    }
}

/// Orders and files, until nobody answers any more.
fn press(client: &mut Client, began: Timestamp, yes: &Mutex<Yes>) {
    let mut press = || -> Result<(), RemoteError> {
        loop {
            for order in 0..ORDERS {
                let text = format!("mute load for {}m", order + 1);
                let row = one(client, &Request::Ask { text, zone: None })?;
                assert!(matches!(row, Row::Answer { understood: true, .. }), "{row:?}");
                yes.lock().unwrap().orders += 1;
            }
            let file = yes.lock().unwrap().files;
            for part in 0..PARTS {
                let row = one(client, &Request::Import(import(began, file, part)))?;
                let Row::Imported { refused, problem, imported, .. } = row else { panic!("{row:?}") };
                // It was loaded to its end, and its life ended before it could say so.
                if problem.is_some_and(|problem| problem.contains("already")) {
                    break;
                }
                assert_eq!(refused, 0, "file {file}, part {part}");
                assert!(
                    part + 1 < PARTS || imported == u64::from(ROWS * COLUMNS),
                    "{imported} of file {file}"
                );
                yes.lock().unwrap().parts += 1;
            }
            yes.lock().unwrap().files += 1;
        }
    };
    // The daemon is dead.
    let _ = press();
}

fn one(client: &mut Client, request: &Request) -> Result<Row, RemoteError> {
    let mut answer = None;
    client.ask(request, &mut |row| {
        answer = Some(row);
        Ok(())
    })?;
    answer.ok_or(RemoteError::Closed)
}

fn file_rows(began: Timestamp, file: u32) -> impl Iterator<Item = (Timestamp, Vec<Option<f64>>)> {
    let first = began.minus(Duration::from_secs(20 * 3_600));
    (file * ROWS..(file + 1) * ROWS).map(move |row| {
        let cells = (0..COLUMNS).map(|column| Some(f64::from(row * 10 + column) / 8.0)).collect();
        (first.plus(Duration::from_millis(u64::from(row) * 250)), cells)
    })
}

fn import(began: Timestamp, file: u32, part: u32) -> Import {
    let rows = ROWS / PARTS;
    let of_part = file_rows(began, file).skip(usize::try_from(part * rows).unwrap());
    Import {
        file: u64::from(file) + 1,
        series: (0..COLUMNS).map(|column| Series::new(&format!("imported_{column}"))).collect(),
        rows: of_part.take(usize::try_from(rows).unwrap()).collect(),
        last: part + 1 == PARTS,
    }
}

fn imported() -> History {
    let patterns = vec![Pattern::new("imported_*")];
    History { patterns, since: Timestamp::MIN, until: Timestamp::MAX, step: None, limit: None, newest: false }
}

fn of_kind<'a>(records: &'a [Record], kind: &str) -> impl Iterator<Item = &'a Record> {
    records.iter().filter(move |record| record.event.kind() == kind)
}

/// xorshift by George Marsaglia.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}
