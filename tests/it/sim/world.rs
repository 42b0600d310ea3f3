//! What is around the core: chance, clocks, and a machine whose series and services come and go.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use systembot::clock::Clock;
use systembot_model::{
    Sample, Series, Timestamp,
    host::Host,
    sample::{Note, Pass},
    service::{Found, Seen},
};

/// The moment at which most lives begin.
pub(super) const BEGIN_MS: i64 = 1_795_346_634_007;

/// splitmix64 by Sebastiano Vigna.
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn is_one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub(super) fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let count = u64::try_from(choices.len()).unwrap();
        &choices[usize::try_from(self.below(count)).unwrap()]
    }
}

/// Clocks that are set.
#[derive(Debug)]
pub(super) struct SimClock {
    wall_ms: AtomicI64,
    /// Steady time, and that with sleep.
    spans: Mutex<(Duration, Duration)>,
}

impl SimClock {
    pub(super) fn new() -> Self {
        let spans = Mutex::new((Duration::from_secs(1_000), Duration::from_secs(1_000)));
        Self { wall_ms: AtomicI64::new(BEGIN_MS), spans }
    }

    /// Time passes on every clock.
    pub(super) fn pass(&self, span: Duration) {
        self.set(self.now().plus(span));
        let mut spans = self.spans.lock().unwrap();
        *spans = (spans.0 + span, spans.1 + span);
    }

    /// The machine sleeps.
    pub(super) fn sleep(&self, span: Duration) {
        self.set(self.now().plus(span));
        self.spans.lock().unwrap().1 += span;
    }

    /// Somebody sets the wall clock.
    pub(super) fn set(&self, at: Timestamp) {
        self.wall_ms.store(at.as_ms(), Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.wall_ms.load(Ordering::Relaxed))
    }

    fn steady(&self) -> Duration {
        self.spans.lock().unwrap().0
    }

    fn since_boot(&self) -> Duration {
        self.spans.lock().unwrap().1
    }

    fn wait(&self, span: Duration) {
        self.pass(span);
    }
}

/// The machine that is watched.
#[derive(Debug)]
pub(super) struct Machine {
    values: BTreeMap<String, f64>,
    /// The pid of each service that runs.
    pub(super) running: BTreeMap<String, u32>,
    notes: BTreeSet<String>,
    pid: u32,
    /// Steady time, and that with sleep, at the pass before.
    last: Option<(Duration, Duration)>,
}

impl Machine {
    pub(super) fn new() -> Self {
        let values = [
            ("load1", 1.0),
            ("cpu_idle_percent", 80.0),
            ("memory_available_percent", 60.0),
            ("disk_used_percent{mount=\"/\"}", 85.0),
            ("network_sent_bytes_total{interface=\"eth0\"}", 1e6),
        ];
        Self {
            values: values.map(|(id, value)| (id.to_owned(), value)).into(),
            running: BTreeMap::new(),
            notes: BTreeSet::new(),
            pid: 100,
            last: None,
        }
    }

    /// The daemon begins anew: its first pass knows of none before.
    pub(super) fn forget_pass(&mut self) {
        self.last = None;
    }

    /// A service comes up, as a new process.
    pub(super) fn run(&mut self, service: &str) -> Seen {
        self.pid += 1;
        self.running.insert(service.to_owned(), self.pid);
        self.seen(service).unwrap()
    }

    fn seen(&self, service: &str) -> Option<Seen> {
        let pid = *self.running.get(service)?;
        let since = Timestamp::from_ms(BEGIN_MS + i64::from(pid));
        Some(Seen { pid: Some(pid), started: u64::from(pid), since })
    }

    /// What changes between two passes.
    pub(super) fn change(&mut self, random: &mut Random) {
        for (id, value) in &mut self.values {
            let step = i32::try_from(random.below(2001)).unwrap() - 1000;
            let step = f64::from(step) / 100.0;
            *value = match id.split('{').next().unwrap() {
                "network_sent_bytes_total" if random.is_one_in(200) => 0.0,
                "network_sent_bytes_total" => *value + step.abs() * 1000.0,
                "load1" => (*value + step / 10.0).clamp(0.0, 50.0),
                _ => (*value + step / 4.0).clamp(0.0, 100.0),
            };
        }
        if random.is_one_in(40) {
            let id = format!("disk_used_percent{{mount=\"/mnt/{}\"}}", random.below(40));
            if self.values.remove(&id).is_none() {
                self.values.insert(id, 50.0);
            }
        }
        if random.is_one_in(60) {
            let subject = format!("mount /mnt/{}", random.below(3));
            if !self.notes.remove(&subject) {
                self.notes.insert(subject);
            }
        }
    }

    /// One pass, with the services of these names watched.
    pub(super) fn pass(&mut self, clock: &SimClock, watched: &[String]) -> Pass {
        let mut sample = Sample::default();
        for (id, value) in &self.values {
            sample.push(Series::parse(id).unwrap(), *value);
        }
        let spans = (clock.steady(), clock.since_boot());
        sample.push(Series::new("uptime_seconds"), spans.1.as_secs_f64());
        let before = self.last.replace(spans);
        let note = |subject: &String| Note { subject: subject.clone(), text: "does not answer".into() };
        let found = |service: &String| {
            self.seen(service).map(|seen| Found { service: service.clone(), seen }).ok_or(service.clone())
        };
        Pass {
            at: clock.now(),
            sample,
            host: Host { name: "leela".into(), cpus: 4, ..Host::default() },
            notes: self.notes.iter().map(note).collect(),
            missing: watched.iter().filter_map(|service| found(service).err()).collect(),
            services: watched.iter().filter_map(|service| found(service).ok()).collect(),
            last_lines: BTreeMap::new(),
            elapsed: before.map(|before| spans.0 - before.0),
            asleep: before.map_or(Duration::ZERO, |before| (spans.1 - before.1) - (spans.0 - before.0)),
        }
    }
}
