//! What is let go, and that nothing else changes by it.

use std::{collections::BTreeMap, time::Duration};

use systembot_model::{
    Address, Event, Input, LocalTime, Pattern, Record, Rules, Seq, Series, State, Timestamp, decide,
    sample::Pass,
};
use systembot_storage::{
    EventFilter, Limits,
    query::{Basis, History, Import, Request, Row, Step},
};

use crate::{
    damage::edit,
    world::{World, all, asked, at, sorted},
};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
const BEGIN: i64 = 1_795_392_000_000;
const TICK: i64 = 5 * MINUTE;

/// A bot without its edges: decides, appends and folds; everything it ever recorded is kept beside the log.
pub(crate) struct Life {
    pub(crate) world: World,
    limits: Limits,
    state: State,
    pub(crate) now: i64,
    records: Vec<Record>,
    before: Option<i64>,
}

impl Life {
    pub(crate) fn new(limits: Limits) -> Self {
        let mut world = World::new();
        world.log().limit(limits);
        let mut life =
            Self { world, limits, state: State::default(), now: BEGIN, records: Vec::new(), before: None };
        life.start();
        life
    }

    fn start(&mut self) {
        let rules = Rules {
            destinations: vec![Address::bridge()],
            maximum_length: 50,
            sample_interval: Duration::from_millis(u64::try_from(TICK).unwrap()),
            ..Rules::default()
        };
        self.before = None;
        let (version, rules) = ("1".to_owned(), Box::new(rules));
        self.step(Input::Starting { version, config: None, rules });
    }

    /// Takes an input; prunes where a daemon would.
    fn step(&mut self, input: Input) {
        let events = decide(&self.state, &LocalTime::utc(at(self.now)), input);
        if events.is_empty() {
            return;
        }
        let appended = self.world.log().append(at(self.now), events).unwrap();
        assert!(appended.problem.is_none(), "{:?}", appended.problem);
        for record in appended.records {
            self.state.apply(&record);
            self.records.push(sorted(record));
        }
        if appended.sealed {
            self.world.log().checkpoint(&self.state).unwrap();
            while self.world.log().prune(at(self.now), &self.state).unwrap() {}
        }
    }

    fn tick(&mut self, i: i64) {
        let mut pass = Pass { at: at(self.now), ..Pass::default() };
        let number = |n: i64| f64::from(u32::try_from(n.rem_euclid(1_000)).unwrap()) / 10.0;
        pass.sample.push(Series::new("load1"), number(i * 7));
        pass.sample.push(Series::new("cpu_idle_percent"), if i % 500 < 3 { 3.0 } else { 80.0 });
        if i % 900 < 300 {
            pass.sample.push(Series::labelled("disk_used_percent", "mount", "/a"), number(i % 30));
        }
        let elapsed = self.before.map(|before| u64::try_from((self.now - before).max(0)).unwrap());
        pass.elapsed = elapsed.map(Duration::from_millis);
        self.before = Some(self.now);
        self.step(Input::Sampled(Box::new(pass)));
    }

    /// Ticks, chat, deliveries, and a death now and then.
    pub(crate) fn live(&mut self, ticks: std::ops::Range<i64>) {
        for i in ticks {
            self.now += TICK;
            self.tick(i);
            if i % 37 == 0 {
                self.step(Input::Heard { from: Address::bridge(), text: "load".into() });
            }
            if i % 50 == 0 {
                // The newest is left owed for a while.
                let mut owed: Vec<Seq> = self.state.outbox.keys().copied().collect();
                owed.pop();
                self.step(Input::Attempting(owed.clone()));
                self.step(Input::Delivered(owed));
            }
            if i % 701 == 700 {
                self.world.reopen();
                self.world.log().limit(self.limits);
                self.state = self.world.log().load_state().unwrap();
                self.start();
            }
        }
    }

    /// The state is that of everything ever recorded, with the checkpoint and without, and a check finds no fault.
    fn check(&mut self) {
        let mut whole = State::default();
        self.records.iter().for_each(|record| whole.apply(record));
        assert!(whole == self.state, "the state is that of the whole log");
        for _ in 0..2 {
            self.world.reopen();
            let state = self.world.log().load_state().unwrap();
            assert!(state == whole, "the state is that of what is left");
            // There is none before the first seal.
            let _ = std::fs::remove_file(self.world.data().join("checkpoint"));
        }
        let rows = asked(&self.world.reader(), &self.state, &Request::Verify);
        let [Row::Verified(verified)] = rows.as_slice() else { panic!("{rows:?}") };
        assert!(verified.faults.is_empty(), "{:?}", verified.faults);
        assert_eq!(self.world.blobs(), 0);
    }

    fn oldest_sample(&self) -> i64 {
        self.world.samples(&all()).first().unwrap().0
    }
}

pub(crate) fn limits(days: i64) -> Limits {
    Limits { retention: Duration::from_millis(u64::try_from(days * DAY).unwrap()), ..Limits::default() }
}

#[test]
fn what_is_left_gives_the_same_state_and_the_same_rows() {
    let mut life = Life::new(limits(3));
    life.live(0..4_000);
    life.check();
    let oldest = life.oldest_sample();
    assert!(oldest < life.now - 3 * DAY && oldest > life.now - 5 * DAY, "{}", (life.now - oldest) / DAY);
    // Every sample that is left is as it was, and there is no hole.
    let recorded: Vec<(i64, String, f64)> = life
        .records
        .iter()
        .filter_map(|record| {
            if let Event::Sampled(sample) = &record.event { Some((record.at.as_ms(), sample)) } else { None }
        })
        .flat_map(|(ms, sample)| sample.readings.iter().map(move |r| (ms, r.series.to_string(), r.value)))
        .collect();
    let late = |samples: &[(i64, String, f64)]| -> Vec<(i64, String, f64)> {
        samples.iter().filter(|(ms, ..)| *ms >= life.now - 3 * DAY).cloned().collect()
    };
    assert_eq!(late(&life.world.samples(&all())), late(&recorded));
    // Roll-ups tell of all of them.
    let mut expected: BTreeMap<i64, (f64, f64, u64)> = BTreeMap::new();
    for (ms, _, value) in recorded.iter().filter(|(_, name, _)| name == "load1") {
        let row = expected.entry(ms.div_euclid(3_600_000) * 3_600_000).or_insert((*value, *value, 0));
        *row = (row.0.min(*value), row.1.max(*value), row.2 + 1);
    }
    let hourly = |step| History {
        patterns: vec![Pattern::new("load1")],
        since: Timestamp::MIN,
        until: Timestamp::MAX,
        step: Some(Step::Every(step)),
        limit: None,
        newest: false,
    };
    let rows = asked(&life.world.reader(), &life.state, &Request::History(hourly(3_600_000)));
    let found: BTreeMap<i64, (f64, f64, u64)> = rows
        .iter()
        .filter_map(|row| {
            let Row::Bucket { at, min, max, count, .. } = row else { return None };
            Some((at.as_ms(), (*min, *max, *count)))
        })
        .collect();
    assert_eq!(found, expected);
    // Also in steps that they do not fit, where there is nothing else.
    let rows = asked(&life.world.reader(), &life.state, &Request::History(hourly(7 * MINUTE)));
    let sources: Vec<Basis> = rows
        .iter()
        .filter_map(|row| if let Row::Bucket { from, .. } = row { Some(*from) } else { None })
        .collect();
    assert_eq!((sources.first(), sources.last()), (Some(&Basis::Rollups), Some(&Basis::Samples)));
}

#[test]
fn what_was_told_and_heard_ages_with_the_samples_and_alerts_do_not() {
    let mut life = Life::new(limits(3));
    life.live(0..4_000);
    let kinds = |kinds: &[&str]| -> Vec<i64> {
        let events = life.world.reader().events(EventFilter::kinds(kinds)).unwrap();
        events.map(|record| record.unwrap().at.as_ms()).collect()
    };
    let told = kinds(&["heard", "message_queued", "message_attempted", "message_delivered"]);
    assert!(told[0] > life.now - 5 * DAY, "old texts are gone");
    assert!(told.len() > 50);
    for kind in ["alert_fired", "alert_resolved", "started", "blind", "configured"] {
        let recorded = life.records.iter().filter(|record| record.event.kind() == kind).count();
        assert!(recorded > 0, "{kind}");
        assert_eq!(kinds(&[kind]).len(), recorded, "{kind} stays");
    }
    // Daily for a week, then weekly.
    let mut days: Vec<i64> = kinds(&["baseline"]);
    days.dedup();
    assert!((8..=10).contains(&days.len()), "{} sets", days.len());
}

#[test]
fn a_message_that_is_owed_stays_however_old() {
    let mut life = Life::new(limits(2));
    life.step(Input::Heard { from: Address::bridge(), text: "load".into() });
    let owed: Vec<Seq> = life.state.outbox.keys().copied().collect();
    life.step(Input::Attempting(owed.clone()));
    for i in 0..2_500 {
        life.now += TICK;
        life.tick(i);
    }
    life.check();
    for number in owed {
        assert!(life.world.reader().event(number).unwrap().is_some());
    }
    assert!(life.oldest_sample() > BEGIN + DAY);
}

#[test]
fn the_oldest_go_when_the_log_is_too_large() {
    let max_bytes = 1 << 20;
    let mut life = Life::new(Limits { max_bytes, ..Limits::default() });
    let mut pruned = 0;
    let mut oldest = BEGIN;
    for part in 0..10 {
        life.live(part * 600..(part + 1) * 600);
        pruned += i64::from(life.oldest_sample() > oldest);
        oldest = life.oldest_sample();
    }
    assert!(pruned > 0, "it never became too large");
    assert!(life.now - oldest > DAY, "what windows need stays");
    life.check();
}

#[test]
fn a_clock_that_jumps_ahead_takes_nothing_for_a_day() {
    let mut life = Life::new(limits(3));
    life.live(0..600);
    let samples = life.world.samples(&all()).len();
    let begin = life.oldest_sample();
    // A year ahead, for half a day.
    life.now += 365 * DAY;
    life.live(601..740);
    assert_eq!(life.oldest_sample(), begin);
    assert!(life.world.samples(&all()).len() > samples);
    // And back: what was labelled then is kept, in its place by number.
    life.now -= 365 * DAY;
    life.live(741..1_000);
    assert_eq!(life.oldest_sample(), begin);
    // It stays ahead: after a day the clock is believed.
    life.now += 365 * DAY;
    life.live(1_001..2_200);
    assert!(life.oldest_sample() > begin);
    life.check();
}

#[test]
fn a_boot_in_1970_is_not_taken_for_old_age() {
    let mut life = Life::new(limits(3));
    let today = life.now;
    life.now = 0;
    life.live(0..300);
    life.now = today;
    life.live(301..1_000);
    let old = life.world.samples(&all()).iter().filter(|(ms, ..)| *ms < DAY * 365).count();
    assert!(old > 300, "{old} of the first samples are left");
    life.live(1_001..3_000);
    let old = life.world.samples(&all()).iter().filter(|(ms, ..)| *ms < DAY * 365).count();
    assert_eq!(old, 0, "they go with those recorded after them");
    life.check();
}

#[test]
fn imported_samples_go_by_their_own_age() {
    let mut life = Life::new(limits(3));
    let series = vec![Series::new("old_metric")];
    let rows = (0..2_000).map(|i| (at(BEGIN - 10 * DAY + i * TICK), vec![Some(1.0)])).collect();
    let imported =
        life.world.log().import(at(life.now), &Import { file: 9, series, rows, last: true }).unwrap();
    for record in imported.records {
        life.state.apply(&record);
        life.records.push(record);
    }
    life.live(0..1_500);
    let left = life.world.samples(&all()).iter().filter(|(_, name, _)| name == "old_metric").count();
    assert_eq!(left, 0);
    let told = life.world.reader().samples().unwrap();
    assert_eq!(told, u64::try_from(life.world.samples(&all()).len()).unwrap());
    life.check();
}

#[test]
fn roll_ups_of_long_ago_leave_room_for_samples() {
    let mut world = World::new();
    let series: Vec<Series> = (0..16).map(|i| Series::new(&format!("old_{i}"))).collect();
    let noise =
        |i: i64, k: i64| f64::from(u32::try_from((i * 16 + k) * 2_654_435_761 % 4_294_967_291).unwrap());
    let import = |world: &mut World, file, begin: i64, count: i64| {
        let cells = |i: i64| (0..16).map(|k| Some(noise(i, k) / 7.0)).collect();
        let rows = (0..count).map(|i| (at(begin + i * TICK), cells(i))).collect();
        let import = Import { file, series: series.clone(), rows, last: true };
        world.log().import(at(BEGIN), &import).unwrap();
    };
    let state = State::default();
    let prune = |world: &mut World, limits| {
        world.log().limit(limits);
        while world.log().prune(at(BEGIN), &state).unwrap() {}
    };
    import(&mut world, 1, BEGIN - 150 * DAY, 20_000);
    prune(&mut world, limits(30));
    assert_eq!(world.reader().samples().unwrap(), 0);
    import(&mut world, 2, BEGIN - 2 * DAY, 500);
    world.log().compact().unwrap();
    let rows = |world: &World| {
        let history = History {
            patterns: vec![Pattern::new("old_3")],
            since: Timestamp::MIN,
            until: Timestamp::MAX,
            step: Some(Step::Every(TICK)),
            limit: None,
            newest: false,
        };
        asked(&world.reader(), &state, &Request::History(history)).len()
    };
    let (before, bytes) = (rows(&world), world.reader().log_bytes().unwrap());
    // A little less than what may be there before it is written anew.
    let max_bytes = bytes + (1 << 20) - 100_000;
    let mut i = 0;
    while world.reader().log_bytes().unwrap() <= max_bytes {
        world.tick(BEGIN + i, &[("load1", 1.0), ("load5", 2.0)]);
        i += 15_000;
    }
    prune(&mut world, Limits { max_bytes, ..limits(30) });
    let samples = world.samples(&all()).iter().filter(|(_, name, _)| name.starts_with("old")).count();
    assert_eq!(samples, 8_000, "roll-ups have pushed samples out");
    assert!(rows(&world) < before - 300, "{before} rows before, {} now", rows(&world));
}

#[test]
fn a_checkpoint_that_lacks_what_was_pruned_since_is_passed_over() {
    let mut life = Life::new(limits(3));
    life.live(0..300);
    let path = life.world.data().join("checkpoint");
    let old = std::fs::read(&path).unwrap();
    life.live(301..2_500);
    assert!(life.oldest_sample() > BEGIN + DAY, "nothing was pruned");
    std::fs::write(&path, old).unwrap();
    life.check();
}

#[test]
fn of_the_time_whose_samples_are_gone_one_set_of_baselines_is_left() {
    let mut life = Life::new(limits(3));
    life.live(0..9_000);
    let filter = EventFilter::kinds(&["baseline"]);
    let events = life.world.reader().events(filter).unwrap();
    let mut sets: Vec<i64> = events.map(|event| event.unwrap().at.as_ms()).collect();
    sets.dedup();
    // They are looked at when there is a new one.
    assert!(sets.iter().filter(|set| **set < life.now - 9 * DAY).count() <= 1, "{sets:?} at {}", life.now);
    assert!(sets.len() > 7, "{sets:?}");
    life.check();
}

#[test]
fn roll_ups_of_samples_that_are_there_stay_however_large_the_log() {
    let mut life = Life::new(Limits { max_bytes: 1, ..Limits::default() });
    life.live(0..2_000);
    let oldest = life.oldest_sample();
    assert!(oldest > BEGIN, "nothing was pruned");
    life.world.close();
    let sheets = std::cell::Cell::new(0);
    edit(&life.world, "rollup", &|tree| sheets.set(tree.iter().map(Result::unwrap).count()));
    assert!(sheets.get() > 0, "they went though their samples are there");
    life.world.reopen();
    life.check();
}
