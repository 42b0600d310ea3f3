//! A daemon without a world: steps inputs through `decide` and `apply` on a clock of its own.

use std::time::Duration;

use systembot_model::{
    Address, Effect, Event, Input, LocalTime, Record, Rules, Sample, Series, State, Timestamp, decide,
    effects, event::Message, host::Host, sample::Pass,
};

pub(crate) struct Sim {
    pub(crate) state: State,
    pub(crate) records: Vec<Record>,
    pub(crate) now: Timestamp,
    pub(crate) rules: Rules,
    last_pass: Option<Timestamp>,
}

impl Sim {
    /// A machine of four CPUs whose bot has just started, with the bridge configured.
    pub(crate) fn started(rules: Rules) -> Self {
        let mut sim = Self::off(rules);
        sim.start();
        sim
    }

    pub(crate) fn off(rules: Rules) -> Self {
        let rules = Rules { name: "leela".into(), destinations: vec![Address::bridge()], ..rules };
        let now = Timestamp::from_ms(1_795_346_634_000);
        Self { state: State::default(), records: Vec::new(), now, rules, last_pass: None }
    }

    pub(crate) fn start(&mut self) -> Vec<Event> {
        self.last_pass = None;
        self.step(Input::Starting {
            version: "0.1.0".into(),
            config: None,
            rules: Box::new(self.rules.clone()),
        })
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    /// Takes an input; every record is folded, and the whole fold equals the state.
    pub(crate) fn step(&mut self, input: Input) -> Vec<Event> {
        let events = decide(&self.state, &LocalTime::utc(self.now), input);
        self.record(events)
    }

    pub(crate) fn record(&mut self, events: Vec<Event>) -> Vec<Event> {
        for event in &events {
            let record = Record { seq: self.state.seq.next(), at: self.now, event: event.clone() };
            self.state.apply(&record);
            self.records.push(record);
        }
        events
    }

    /// One pass with these values; `id` may be any series.
    pub(crate) fn tick(&mut self, values: &[(&str, f64)]) -> Vec<Event> {
        let pass = self.pass(values);
        self.step(Input::Sampled(Box::new(pass)))
    }

    pub(crate) fn pass(&mut self, values: &[(&str, f64)]) -> Pass {
        let mut sample = Sample::default();
        for (id, value) in values {
            sample.push(Series::parse(id).unwrap(), *value);
        }
        let elapsed = self.last_pass.map(|last| self.now.since(last));
        self.last_pass = Some(self.now);
        let host = Host { name: "leela".into(), cpus: 4, ..Host::default() };
        Pass { at: self.now, sample, host, elapsed, ..Pass::default() }
    }

    /// Lets deadlines pass as the engine does, until a moment.
    pub(crate) fn pass_time(&mut self, seconds: u64) -> Vec<Event> {
        let end = self.now.plus(Duration::from_secs(seconds));
        let mut events = Vec::new();
        while let Some(due) = systembot_model::due(&self.state).filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let woken = self.step(Input::Woken);
            assert!(!woken.is_empty(), "woken for nothing at {due:?}");
            events.extend(woken);
        }
        self.now = end;
        events
    }

    pub(crate) fn ask(&mut self, text: &str) -> String {
        let events = self.step(Input::Heard { from: Address::bridge(), text: text.into() });
        texts(&events).join("\n--\n")
    }

    /// Delivers everything that waits.
    pub(crate) fn deliver(&mut self) {
        let numbers: Vec<_> = self.state.outbox.keys().copied().collect();
        self.step(Input::Attempting(numbers.clone()));
        self.step(Input::Delivered(numbers));
    }

    pub(crate) fn effects(&self, count: usize) -> Vec<Effect> {
        effects(&self.state, &self.records[self.records.len() - count..])
    }
}

/// Texts of the messages queued.
pub(crate) fn texts(events: &[Event]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::MessageQueued(Message { text, .. }) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

/// Kinds of events, samples left out.
pub(crate) fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(Event::kind).filter(|kind| !matches!(*kind, "sampled" | "described")).collect()
}
