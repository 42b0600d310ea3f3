//! The core: chat lines on a state that the input itself has brought about.
//!
//! One line a step. `!` begins what the world does, with bytes as its figures: `!t` a tick, `!w` a wait, `!c` a set
//! clock, `!d` a delivery, `!a` one whose answer is lost, `!s` a start, `!m` a missing service, `!r` rules. Anything
//! else is said in chat.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use systembot_model::{
    Address, Effect, Event, Input, LocalTime, Record, Rules, Sample, Series, State, Timestamp, command,
    decide,
    decide::{Finished, Reread},
    due, effects,
    host::Host,
    limits,
    rules::Service,
    sample::Pass,
    service::Outcome,
};

/// Steps of one life.
const STEPS: usize = 60;
const SERIES: [&str; 6] = [
    "load1",
    "cpu_idle_percent",
    "memory_available_percent",
    "disk_used_percent{mount=\"/\"}",
    "temperature_celsius{sensor=\"a b\"}",
    "network_sent_bytes_total{interface=\"eth0\"}",
];

struct Core {
    state: State,
    now: Timestamp,
    rules: Rules,
    last: Option<Timestamp>,
    started: Vec<(String, systembot_model::Seq)>,
}

fuzz_target!(|bytes: &[u8]| {
    let service = Service {
        name: "bot".into(),
        matches: "bot".into(),
        restart: Some("bot".into()),
        ..Service::default()
    };
    let rules = Rules {
        name: "leela".into(),
        destinations: vec![Address::bridge()],
        services: vec![service],
        ..Rules::default()
    };
    let now = Timestamp::from_ms(1_795_346_634_000);
    let mut core = Core { state: State::default(), now, rules, last: None, started: Vec::new() };
    core.start();
    for line in bytes.split(|byte| *byte == b'\n').take(STEPS) {
        match line {
            [b'!', step, figures @ ..] => core.world(*step, figures),
            line => core.hear(&String::from_utf8_lossy(line)),
        }
    }
});

impl Core {
    fn local(&self) -> LocalTime {
        LocalTime::utc(self.now)
    }

    fn step(&mut self, input: Input) {
        let events = decide(&self.state, &self.local(), input);
        assert!(events.len() < 2_000, "{} events of one step", events.len());
        let mut records = Vec::new();
        for event in events {
            if let Event::MessageQueued(message) = &event {
                assert!(message.text.len() <= limits::MESSAGE_BYTES, "{} bytes", message.text.len());
            }
            let record = Record { seq: self.state.seq.next(), at: self.now, event };
            self.state.apply(&record);
            records.push(record);
        }
        for effect in effects(&self.state, &records) {
            if let Effect::Start(start) = effect {
                self.started.push((start.service, start.ordered));
            }
        }
    }

    fn start(&mut self) {
        self.last = None;
        let rules = Box::new(self.rules.clone());
        self.step(Input::Starting { version: "0.1.0".into(), config: None, rules });
    }

    fn hear(&mut self, text: &str) {
        drop(command::answer(&self.state, &self.local(), &Address::console(), text));
        self.step(Input::Heard { from: Address::bridge(), text: text.to_owned() });
    }

    fn world(&mut self, step: u8, figures: &[u8]) {
        let figure = |i: usize| figures.get(i).copied().map_or(0, i64::from);
        let numbers: Vec<_> = self.state.outbox.keys().copied().collect();
        match step {
            b't' => self.tick(figures, Vec::new()),
            b'm' => self.tick(figures, vec!["bot".to_owned()]),
            b'w' => {
                self.now = self.now.plus(Duration::from_secs(u64::try_from(figure(0) * figure(1)).unwrap()));
                for _ in 0..20 {
                    if due(&self.state).is_none_or(|due| due > self.now) {
                        break;
                    }
                    self.step(Input::Woken);
                }
            }
            b'c' => {
                let mut ms = [0; 8];
                ms.iter_mut().zip(figures).for_each(|(place, figure)| *place = *figure);
                self.now = Timestamp::from_ms(i64::from_le_bytes(ms));
            }
            b'd' => {
                self.step(Input::Attempting(numbers.clone()));
                self.step(Input::Delivered(numbers));
            }
            b'a' => self.step(Input::Attempting(numbers)),
            b's' => self.start(),
            b'f' => {
                if let Some((service, ordered)) = self.started.pop() {
                    let outcome = if figure(0) % 2 == 0 {
                        Outcome::Running
                    } else {
                        Outcome::Failed(String::from_utf8_lossy(figures).into_owned())
                    };
                    let output = String::from_utf8_lossy(figures).into_owned();
                    self.step(Input::RestartFinished(Finished {
                        service,
                        ordered,
                        outcome,
                        seen: None,
                        output,
                    }));
                }
            }
            b'r' => {
                self.rules.disk_used_percent = f64::from(figures.first().copied().unwrap_or(0));
                self.rules.maximum_length = usize::from(figures.get(1).copied().unwrap_or(0)).max(2);
                let rules = Box::new(self.rules.clone());
                self.step(Input::ConfigurationRead(Ok(Reread { rules, changed: vec!["disk".into()] })));
            }
            b'x' => self.step(Input::ConfigurationRead(Err(String::from_utf8_lossy(figures).into_owned()))),
            _ => {
                self.step(Input::Leaving);
                self.step(Input::Stopping);
            }
        }
    }

    fn tick(&mut self, figures: &[u8], missing: Vec<String>) {
        self.now = self.now.plus(Duration::from_secs(15));
        let mut sample = Sample::default();
        for (id, figure) in SERIES.iter().zip(figures) {
            let value = match figure {
                255 => f64::MAX,
                254 => f64::MIN,
                253 => f64::MIN_POSITIVE,
                _ => f64::from(*figure),
            };
            sample.push(Series::parse(id).unwrap(), value);
        }
        let elapsed = self.last.map(|last| self.now.since(last));
        self.last = Some(self.now);
        let host = Host { name: "leela".into(), cpus: 4, ..Host::default() };
        self.step(Input::Sampled(Box::new(Pass {
            at: self.now,
            sample,
            host,
            missing,
            elapsed,
            ..Pass::default()
        })));
    }
}
