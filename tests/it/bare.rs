//! An engine on a real log, with a clock that the test sets, and nothing else around it.

use std::{
    path::Path,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use systembot::{clock::Clock, engine::Engine, inbox::Inbox};
use systembot_model::{Address, Effect, Input, Rules, Sample, Seq, Series, Timestamp, sample::Pass};
use systembot_storage::Log;
use tokio::runtime::{Builder, Handle};

/// Time between two passes.
pub(crate) const INTERVAL: Duration = Duration::from_secs(15);

/// Three clocks that stand still until they are moved.
pub(crate) struct Set(Mutex<(Timestamp, Duration, Duration)>);

impl Set {
    /// Time passes.
    pub(crate) fn pass(&self, span: Duration) {
        let mut clocks = self.0.lock().unwrap();
        *clocks = (clocks.0.plus(span), clocks.1 + span, clocks.2 + span);
    }

    /// The machine sleeps.
    pub(crate) fn sleep(&self, span: Duration) {
        let mut clocks = self.0.lock().unwrap();
        *clocks = (clocks.0.plus(span), clocks.1, clocks.2 + span);
    }

    /// The wall clock is set so many milliseconds forward, or back.
    pub(crate) fn step(&self, by_ms: i64) {
        let mut clocks = self.0.lock().unwrap();
        clocks.0 = Timestamp::from_ms(clocks.0.as_ms() + by_ms);
    }
}

impl Clock for Set {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().0
    }

    fn steady(&self) -> Duration {
        self.0.lock().unwrap().1
    }

    fn since_boot(&self) -> Duration {
        self.0.lock().unwrap().2
    }

    fn wait(&self, _: Duration) {}
}

/// The engine on its thread.
pub(crate) struct Bare {
    pub(crate) clock: Arc<Set>,
    inbox: Inbox,
    said: mpsc::Receiver<Effect>,
    engine: thread::JoinHandle<()>,
    runtime: Handle,
    /// Series of each pass besides that of the disk.
    pub(crate) width: u16,
    /// The load, which strays by a hundredth.
    pub(crate) load: f64,
    /// Steady time and time since boot at the pass before.
    before: Mutex<Option<(Duration, Duration)>>,
}

impl Bare {
    /// Begins with a log below this directory; it keeps so many passes while that cannot be written.
    pub(crate) fn start(data_dir: &Path, passes: usize) -> Self {
        let began = (Timestamp::from_ms(1_795_346_634_000), Duration::from_secs(60), Duration::from_secs(60));
        let clock = Arc::new(Set(Mutex::new(began)));
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        // Somebody has to drive its clock; it ends with the test.
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        let mut engine = Engine::open(data_dir, Arc::<Set>::clone(&clock)).unwrap();
        engine.keep_at_most(passes);
        let rules = Rules {
            name: "leela".into(),
            destinations: vec![Address::bridge()],
            sample_interval: INTERVAL,
            standard_deviations: 4.0,
            minimum_length: 8,
            maximum_length: 8,
            ..Rules::default()
        };
        let starting = Input::Starting { version: "0.1.0".into(), config: None, rules: Box::new(rules) };
        engine.step(&starting).unwrap();
        let (inbox, ends) = Inbox::new();
        let (say, said) = mpsc::channel();
        let runtime = handle.clone();
        let engine = thread::spawn(move || {
            engine.run(ends, &handle, Box::new(move |effect| say.send(effect).unwrap()));
        });
        Self { clock, inbox, said, engine, runtime, width: 3, load: 1.0, before: Mutex::new(None) }
    }

    /// After the interval one pass, with this share of the disk used.
    pub(crate) fn used(&self, percent: f64) {
        self.clock.pass(INTERVAL);
        self.pass_now(percent);
    }

    /// One pass at this moment.
    pub(crate) fn pass_now(&self, percent: f64) {
        let mut sample = Sample::default();
        sample.push(Series::parse("disk_used_percent{mount=\"/\"}").unwrap(), percent);
        let (steady, since_boot) = (self.clock.steady(), self.clock.since_boot());
        let noise = steady.as_secs_f64().sin();
        sample.push(Series::new("load1"), self.load + noise / 100.0);
        for n in 0..self.width {
            sample
                .push(Series::new(&format!("made_up_{n}")), f64::from(n) * steady.as_secs_f64().sqrt().sin());
        }
        let mut pass = Pass { at: self.clock.now(), sample, ..Pass::default() };
        if let Some((steady_before, boot_before)) = self.before.lock().unwrap().replace((steady, since_boot))
        {
            let elapsed = steady - steady_before;
            pass.elapsed = Some(elapsed);
            pass.asleep = since_boot - boot_before - elapsed;
        }
        self.inbox.put(Input::Sampled(Box::new(pass))).unwrap();
        // What comes after it is recorded: it was taken.
        self.record(Input::Returned(Vec::new()));
    }

    /// The state in a line.
    pub(crate) fn pulse(&self) -> String {
        self.runtime.block_on(self.inbox.pulse()).unwrap()
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.pulse().contains("cannot be written")
    }

    /// Texts that were handed out since the last look, with their numbers.
    pub(crate) fn told(&self) -> Vec<(Seq, String)> {
        let owed = self.said.try_iter().filter_map(|effect| {
            let Effect::Deliver(owed) = effect else { return None };
            Some((owed.number, owed.message.text))
        });
        owed.collect()
    }

    pub(crate) fn record(&self, input: Input) {
        self.runtime.block_on(self.inbox.record(input)).unwrap();
    }

    /// Ends it in good order; its log.
    pub(crate) fn end(self, data_dir: &Path) -> Log {
        self.record(Input::Stopping);
        drop(self.inbox);
        self.engine.join().unwrap();
        Log::open(&data_dir.join("log")).unwrap()
    }
}
