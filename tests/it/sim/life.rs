//! One life: what happens is chosen by its seed, step by step.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use systembot::{
    clock::{Clock, SystemClock},
    engine::Engine,
};
use systembot_model::{
    Address, Effect, Event, Input, Pattern, Record, Rules, Seq, State, Timestamp,
    decide::{Finished, Reread},
    due,
    effect::Start,
    host::Process,
    rules::Service,
    service::Outcome,
};
use systembot_storage::{
    Error, Limits, Log, Reader,
    query::{History, Request, Row, answer},
};
use tempfile::TempDir;

use super::{
    desk::{Desk, Receipt},
    promises,
    world::{BEGIN_MS, Machine, Random, SimClock},
};

/// Steps of a life; some are many ticks.
const STEPS: u64 = 200;
/// Time between two ticks.
const INTERVAL: Duration = Duration::from_secs(15);
/// Time that the lock of a log that was just closed is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const LINES: [&str; 22] = [
    "status",
    "ack",
    "ack 1",
    "mute disk for 1h",
    "mute all for 5m",
    "mute load for 3d",
    "unmute",
    "alerts",
    "why 1",
    "why 2",
    "trends",
    "top 3",
    "addr",
    "nonsense",
    "disk yesterday",
    "restart web",
    "restart db",
    "stop watching web",
    "watch web",
    "services",
    "help",
    "load 3am",
];

/// What happened in some lives, for whoever runs them, and to see that something does.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) crashes: u64,
    pub(super) sealed: u64,
    pub(super) records: u64,
    pub(super) samples: u64,
    pub(super) alerts: u64,
    pub(super) starts: u64,
    pub(super) clock_steps: u64,
    pub(super) taken: u64,
    pub(super) again: u64,
    pub(super) dropped: u64,
    /// Samples that were let go.
    pub(super) pruned: u64,
}

impl Told {
    pub(super) fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.sealed += other.sealed;
        self.records += other.records;
        self.samples += other.samples;
        self.alerts += other.alerts;
        self.starts += other.starts;
        self.clock_steps += other.clock_steps;
        self.taken += other.taken;
        self.again += other.again;
        self.dropped += other.dropped;
        self.pruned += other.pruned;
    }
}

/// What the owner wants.
struct Owner {
    rules: Rules,
    /// What of the log is kept.
    limits: Limits,
}

impl Owner {
    /// Some let go of little, some of much.
    fn limits(random: &mut Random) -> Limits {
        let retention = *random.of(&[Duration::MAX, Duration::from_secs(6 * 3_600)]);
        Limits { retention, max_bytes: *random.of(&[u64::MAX, 30_000]), ..Limits::default() }
    }

    fn open(&self, data_dir: &Path, clock: &Arc<SimClock>) -> Engine {
        let clock: Arc<dyn Clock> = Arc::<SimClock>::clone(clock);
        patiently(|| Engine::open(data_dir, Arc::clone(&clock)))
    }
}

pub(super) struct Life {
    random: Random,
    dir: TempDir,
    clock: Arc<SimClock>,
    owner: Owner,
    machine: Machine,
    /// None between two runs.
    engine: Option<Engine>,
    /// The engine of the next run, where a crash has looked at it already.
    opened: Option<Engine>,
    desks: BTreeMap<Address, Desk>,
    starts: Vec<Start>,
    fetches: Vec<Effect>,
    receipts: Vec<Receipt>,
    /// All records that the log has ever shown, whether it has them still or not.
    records: Vec<Record>,
    /// Every sample that was recorded: moment, series, value.
    samples: Vec<(i64, String, u64)>,
    ticks: u64,
    told: Told,
}

impl Life {
    pub(super) fn new(seed: u64) -> Self {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        let service = |name: &str| Service {
            name: name.into(),
            matches: name.into(),
            restart: Some(format!("run {name}")),
            ..Service::default()
        };
        let services = vec![
            service("db"),
            Service { after: vec!["db".into()], start_limit: 3, ..service("web") },
            Service { restart: None, ..service("told") },
        ];
        let destinations = vec![Address::bridge(), Address::new("xmpp:me@example.org")];
        let rules = Rules { name: "leela".into(), services, destinations, ..Rules::default() };
        let mut random = Random(seed);
        let limits = Owner::limits(&mut random);
        Self {
            random,
            dir,
            clock: Arc::new(SimClock::new()),
            owner: Owner { rules, limits },
            machine: Machine::new(),
            engine: None,
            opened: None,
            desks: BTreeMap::new(),
            starts: Vec::new(),
            fetches: Vec::new(),
            receipts: Vec::new(),
            records: Vec::new(),
            samples: Vec::new(),
            ticks: 0,
            told: Told::default(),
        }
    }

    /// Lives from the first start to the last check.
    pub(super) fn live(mut self) -> Told {
        self.start();
        for _ in 0..STEPS {
            self.step();
        }
        self.crash();
        self.look();
        self.prune();
        self.told
    }

    fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn state(&self) -> &State {
        self.engine().state()
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..=29 => self.tick(),
            30..=31 => {
                let ticks = self.random.below(300);
                (0..ticks).for_each(|_| self.tick());
            }
            32..=61 => self.deliver(),
            62..=69 => {
                let text = (*self.random.of(&LINES)).to_owned();
                let destinations: Vec<Address> = self.desks.keys().cloned().collect();
                if !destinations.is_empty() {
                    let from = self.random.of(&destinations).clone();
                    self.take(&Input::Heard { from, text });
                }
            }
            70..=75 => {
                let seconds = *self.random.of(&[1, 60, 600, 3_600, 20_000, 100_000]);
                let span = Duration::from_secs(self.random.below(seconds) + 1);
                self.clock.pass(span);
                self.wake();
            }
            76 => self.set_clock(),
            77 => {
                let hours = self.random.below(80);
                self.clock.sleep(Duration::from_secs(hours * 3_600 + 7));
            }
            78..=80 => {
                let service = (*self.random.of(&["db", "web", "told"])).to_owned();
                if self.machine.running.remove(&service).is_none() {
                    self.machine.run(&service);
                }
            }
            81..=86 => self.finish_start(),
            87..=88 => self.fetch(),
            89..=90 => self.reload(),
            91 => self.engine.as_mut().unwrap().checkpoint(),
            92..=93 => self.restart(),
            94..=98 => {
                self.crash();
                self.start();
            }
            _ => {
                self.crash();
                self.look();
                self.prune();
                self.start();
            }
        }
    }

    /// Has the engine take an input and hands its effects out; now and then it dies between the two.
    fn take(&mut self, input: &Input) {
        let effects = self.engine.as_mut().unwrap().step(input).unwrap();
        if self.random.is_one_in(150) {
            drop(effects);
            self.crash();
            self.start();
        } else {
            self.hand_out(effects);
        }
    }

    fn hand_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Deliver(owed) => {
                    if let Some(desk) = self.desks.get_mut(&owed.message.to) {
                        desk.push(owed);
                    }
                }
                Effect::Forget(numbers) => self.desks.values_mut().for_each(|desk| desk.forget(&numbers)),
                Effect::Start(start) => self.starts.push(start),
                fetch @ (Effect::FetchAddress | Effect::ReadProcesses(_)) => self.fetches.push(fetch),
                // Numbers change after an outage of the log alone.
                Effect::Show { .. } | Effect::Renumber(_) => {}
            }
        }
    }

    fn start(&mut self) {
        let opened = self.opened.take();
        let mut engine = opened.unwrap_or_else(|| self.owner.open(&self.data_dir(), &self.clock));
        self.machine.forget_pass();
        self.desks.clear();
        for to in &self.owner.rules.destinations {
            self.desks.insert(to.clone(), Desk::new(to.clone()));
        }
        self.starts.clear();
        self.fetches.clear();
        let mut effects = engine.owed();
        let rules = Box::new(self.owner.rules.clone());
        let starting = Input::Starting { version: "0.1.0".into(), config: None, rules };
        effects.extend(engine.step(&starting).unwrap());
        self.engine = Some(engine);
        self.hand_out(effects);
    }

    /// The daemon is gone at once; what it has recorded is there again, with its checkpoint and without.
    fn crash(&mut self) {
        let Some(engine) = self.engine.take() else { return };
        let before = engine.state().clone();
        drop(engine);
        self.told.crashes += 1;
        if self.random.is_one_in(3) {
            // There is none before the first.
            let _ = std::fs::remove_file(self.data_dir().join("checkpoint"));
        }
        let engine = self.owner.open(&self.data_dir(), &self.clock);
        same(engine.state(), &before, "after a crash");
        self.opened = Some(engine);
        // A start that was under way may have come to its end, or not.
        for start in std::mem::take(&mut self.starts) {
            if self.random.is_one_in(2) {
                self.machine.run(&start.service);
            }
        }
    }

    fn restart(&mut self) {
        self.take(&Input::Leaving);
        (0..self.random.below(6)).for_each(|_| self.deliver());
        self.engine.as_mut().unwrap().step(&Input::Stopping).unwrap();
        self.engine.as_mut().unwrap().checkpoint();
        self.crash();
        let wait = self.random.below(10_000);
        self.clock.pass(Duration::from_secs(wait));
        self.start();
    }

    fn tick(&mut self) {
        let jitter = self.random.below(20);
        self.clock.pass(INTERVAL + Duration::from_millis(jitter));
        self.wake();
        self.machine.change(&mut self.random);
        let watched: Vec<String> =
            self.state().rules.services.iter().map(|service| service.name.clone()).collect();
        let pass = self.machine.pass(&self.clock, &watched);
        for reading in &pass.sample.readings {
            self.samples.push((pass.at.as_ms(), reading.series.id().to_owned(), reading.value.to_bits()));
        }
        self.ticks += 1;
        self.take(&Input::Sampled(Box::new(pass)));
    }

    /// As the engine does when a deadline comes.
    fn wake(&mut self) {
        for _ in 0..20 {
            let before = self.state().seq;
            if due(self.state()).is_none_or(|due| due > self.clock.now()) {
                return;
            }
            self.take(&Input::Woken);
            if self.state().seq == before {
                return;
            }
        }
    }

    fn deliver(&mut self) {
        let destinations: Vec<Address> = self.desks.keys().cloned().collect();
        if destinations.is_empty() {
            return;
        }
        let to = self.random.of(&destinations).clone();
        for _ in 0..=self.random.below(6) {
            let (now, newest) = (self.clock.local(), self.state().seq);
            // A crash has made the desks anew, with other destinations perhaps.
            let Some(desk) = self.desks.get_mut(&to) else { return };
            if let Some(input) = desk.step(&now, newest, &mut self.random, &mut self.receipts) {
                self.take(&input);
            }
        }
    }

    fn set_clock(&mut self) {
        let now = self.clock.now();
        let span = Duration::from_secs(self.random.below(200_000));
        self.told.clock_steps += 1;
        self.clock.set(match self.random.below(6) {
            0 => Timestamp::from_ms(7_000),
            1 => Timestamp::from_ms(BEGIN_MS + i64::try_from(self.samples.len()).unwrap() * 1_000),
            2 => now.plus(span * 100),
            3 | 4 => now.minus(span),
            _ => now.plus(span),
        });
    }

    fn finish_start(&mut self) {
        let Some(start) = self.starts.pop() else { return };
        let (outcome, seen) = match self.random.below(4) {
            0 | 1 => (Outcome::Running, Some(self.machine.run(&start.service))),
            2 if self.machine.running.contains_key(&start.service) => (Outcome::AlreadyRunning, None),
            _ => (Outcome::Failed("it ended with exit code 3".into()), None),
        };
        let (service, ordered) = (start.service, start.ordered);
        let output = "no module named bot\n".into();
        self.take(&Input::RestartFinished(Finished { service, ordered, outcome, seen, output }));
    }

    fn fetch(&mut self) {
        match self.fetches.pop() {
            Some(Effect::FetchAddress) if self.random.is_one_in(3) => {
                self.take(&Input::AddressFetched(Err("no answer within 5 s".into())));
            }
            Some(Effect::FetchAddress) => {
                let last = u8::try_from(self.random.below(3)).unwrap();
                self.take(&Input::AddressFetched(Ok([192, 0, 2, last].into())));
            }
            Some(Effect::ReadProcesses(_)) => {
                let (name, user) = ("bot".into(), "me".into());
                let busiest = Process { pid: 7, name, user, cpu_percent: 3.5, memory_bytes: 1 << 20 };
                self.take(&Input::ProcessesRead(vec![busiest]));
            }
            Some(
                Effect::Deliver(_)
                | Effect::Forget(_)
                | Effect::Renumber(_)
                | Effect::Start(_)
                | Effect::Show { .. },
            )
            | None => {}
        }
    }

    /// The owner changes something, or makes a mistake.
    fn reload(&mut self) {
        let rules = &mut self.owner.rules;
        match self.random.below(6) {
            0 => rules.disk_used_percent = f64::from(u8::try_from(self.random.below(100)).unwrap()),
            1 => rules.maximum_length = usize::try_from(self.random.below(798)).unwrap() + 2,
            2 => rules.repeat_interval = Duration::from_secs(self.random.below(3) * 1_800),
            3 if rules.destinations.len() > 1 => {
                rules.destinations.pop();
            }
            3 => rules.destinations.push(Address::new("xmpp:me@example.org")),
            4 => rules.services.rotate_left(1),
            _ => return self.take(&Input::ConfigurationRead(Err("line 3: no".into()))),
        }
        // What the edges of the old settings do ends before the engine takes the new ones.
        let destinations = &self.owner.rules.destinations;
        self.desks.retain(|to, _| destinations.contains(to));
        for to in destinations {
            self.desks.entry(to.clone()).or_insert_with(|| Desk::new(to.clone()));
        }
        let rules = Box::new(self.owner.rules.clone());
        self.take(&Input::ConfigurationRead(Ok(Reread { rules, changed: vec!["thresholds".into()] })));
    }

    /// Lets go of what is beyond the limits; what is left gives the same state.
    fn prune(&mut self) {
        let mut log = patiently(|| Log::open(&self.data_dir().join("log")));
        let before = log.reader().samples().unwrap();
        let state = log.load_state().unwrap();
        log.limit(self.owner.limits);
        while log.prune(self.clock.now(), &state).unwrap() {}
        // There is none before the first.
        let _ = std::fs::remove_file(self.data_dir().join("checkpoint"));
        same(&log.load_state().unwrap(), &state, "after pruning");
        let rows = asked(&log.reader(), &state, &Request::Verify);
        let [Row::Verified(verified)] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!(verified.faults, [""; 0]);
        let after = log.reader().samples().unwrap();
        assert_eq!(after, verified.samples);
        self.told.pruned += before - after;
    }

    /// Checks the log as a whole, which nobody has open.
    fn look(&mut self) {
        drop(self.opened.take());
        let log = patiently(|| Log::open(&self.data_dir().join("log")));
        let reader = log.reader();
        let mut present = HashSet::new();
        for record in reader.records(Seq::ZERO).unwrap() {
            let record = sorted(record.unwrap());
            present.insert(record.seq);
            let place = usize::try_from(record.seq.get()).unwrap() - 1;
            match self.records.get(place) {
                Some(known) => assert!(record == *known, "{known:?} became {record:?}"),
                None => {
                    assert_eq!(place, self.records.len(), "records are missing before {record:?}");
                    self.records.push(record);
                }
            }
        }
        let records = &self.records;
        let fold = promises::kept(records, &self.receipts);
        same(&log.load_state().unwrap(), &fold, "as opened");
        // There is none before the first.
        let _ = std::fs::remove_file(self.data_dir().join("checkpoint"));
        same(&log.load_state().unwrap(), &fold, "without a checkpoint");
        let rows = asked(&reader, &fold, &Request::Verify);
        let [Row::Verified(verified)] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!(verified.faults, [""; 0]);
        if self.told.pruned == 0 {
            // Old sets of baselines go also while all samples are there.
            let gone = || records.iter().filter(|record| !present.contains(&record.seq));
            assert!(gone().all(|record| record.event.kind() == "baseline"));
            assert_eq!(verified.records + u64::try_from(gone().count()).unwrap(), fold.seq.get());
            assert_eq!(verified.samples, u64::try_from(self.samples.len()).unwrap());
        }
        assert_eq!(std::fs::read_dir(self.data_dir().join("log/blobs")).unwrap().count(), 0);
        let count = |kind: &str| {
            u64::try_from(records.iter().filter(|record| record.event.kind() == kind).count()).unwrap()
        };
        let again = self.receipts.iter().filter(|receipt| receipt.text.starts_with("(again)")).count();
        self.told = Told {
            crashes: self.told.crashes,
            clock_steps: self.told.clock_steps,
            pruned: self.told.pruned,
            sealed: self.ticks / 240,
            records: fold.seq.get(),
            samples: verified.samples,
            alerts: fold.last_alert,
            starts: count("restart_ordered"),
            taken: u64::try_from(self.receipts.len()).unwrap(),
            again: u64::try_from(again).unwrap(),
            dropped: count("message_dropped"),
        };
        let recorded = self.records.iter().filter(|record| matches!(record.event, Event::Sampled(_))).count();
        assert_eq!(recorded, usize::try_from(self.ticks).unwrap());
        self.ask(&reader, &fold);
    }

    /// Questions by time, the whole and parts, give every sample that was recorded and no other.
    fn ask(&mut self, reader: &Reader, fold: &State) {
        let mut ends = vec![(i64::MIN, i64::MAX)];
        for _ in 0..4 {
            let of = |life: &mut Self| {
                let samples = std::mem::take(&mut life.samples);
                let at = if samples.is_empty() { 0 } else { life.random.of(&samples).0 };
                life.samples = samples;
                at
            };
            let (a, b) = (of(self), of(self));
            ends.push((a.min(b), a.max(b)));
        }
        for (since, until) in ends {
            let history = History {
                patterns: vec![Pattern::all()],
                since: Timestamp::from_ms(since),
                until: Timestamp::from_ms(until),
                step: None,
                limit: None,
                newest: false,
            };
            let mut names = Vec::new();
            let mut found = Vec::new();
            for row in asked(reader, fold, &Request::History(history)) {
                match row {
                    Row::Names(series) => {
                        names = series.iter().map(|series| series.id().to_owned()).collect()
                    }
                    Row::Point { at, series, value } => {
                        let name: &String = &names[usize::try_from(series).unwrap()];
                        found.push((at.as_ms(), name.clone(), value.to_bits()));
                    }
                    other => panic!("{other:?}"),
                }
            }
            let mut expected: Vec<_> =
                self.samples.iter().filter(|(at, ..)| (since..until).contains(at)).cloned().collect();
            assert!(found.is_sorted_by_key(|(at, ..)| *at), "out of order");
            expected.sort();
            found.sort();
            if self.told.pruned > 0 {
                // Of what is left, each is one that was recorded.
                let mut all = expected.iter();
                assert!(found.iter().all(|sample| all.any(|other| other == sample)), "a sample of nobody's");
                continue;
            }
            assert!(
                found == expected,
                "{} samples of {} from {since} to {until}",
                found.len(),
                expected.len()
            );
        }
    }
}

/// With its readings in order of name: ring and chunks need not give them in the order of the collectors.
fn sorted(mut record: Record) -> Record {
    if let Event::Sampled(sample) = &mut record.event {
        sample.readings.sort_by(|a, b| a.series.cmp(&b.series));
    }
    record
}

/// Two states that must be one; what is not is told by its lines, as there are thousands.
fn same(found: &State, expected: &State, when: &str) {
    if found != expected {
        let (found, expected) = (format!("{found:#?}"), format!("{expected:#?}"));
        let lines = found.lines().zip(expected.lines()).enumerate();
        let other: Vec<_> = lines.filter(|(_, (a, b))| a != b).take(12).collect();
        panic!("{when} the state is another one: {other:#?}");
    }
}

/// Tries again while a thread of sled that has written its last bytes holds the lock still.
fn patiently<T>(mut attempt: impl FnMut() -> Result<T, Error>) -> T {
    let began = SystemClock.steady();
    loop {
        match attempt() {
            Err(Error::Locked { .. }) if SystemClock.steady().saturating_sub(began) < PATIENCE => {
                SystemClock.wait(Duration::from_millis(2));
            }
            done => return done.unwrap(),
        }
    }
}

fn asked(reader: &Reader, state: &State, request: &Request) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut sink = |row| {
        rows.push(row);
        Ok(())
    };
    answer(reader, state, request, &mut sink).unwrap();
    rows
}
