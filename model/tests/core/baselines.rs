//! Baselines: a fold may begin at any set, and a window goes with its series.

use std::time::Duration;

use proptest::prelude::*;
use systembot_model::{
    Event, Input, Record, Rules, Seq, Series, State, Timestamp, baseline::thin, decide::Reread, limits,
};

use crate::sim::{Sim, kinds};

const DAY: u64 = 86_400;

fn baselines(events: &[Event]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Baseline { series, .. } => Some(series.id()),
            _ => None,
        })
        .collect()
}

fn fold<'r>(records: impl IntoIterator<Item = &'r Record>) -> State {
    let mut state = State::default();
    records.into_iter().for_each(|record| state.apply(record));
    state
}

/// The log without the ticks below a number, and without the sets of baselines that are needed no more.
fn pruned(sim: &Sim, below: Seq) -> Vec<&Record> {
    let newest = sim.state.baselines.from.unwrap();
    let gone = |record: &Record| match record.event {
        Event::Sampled(_) => record.seq < below,
        Event::Baseline { .. } => record.seq < newest && !record.seq.get().is_multiple_of(3),
        _ => false,
    };
    sim.records.iter().filter(|record| !gone(record)).collect()
}

#[test]
fn a_set_comes_once_a_day_before_its_tick() {
    let mut sim = Sim::started(Rules::default());
    let values = [("load1", 0.5), ("load5", 0.5)];
    for _ in 0..3 {
        sim.wait(15);
        assert!(baselines(&sim.tick(&values)).is_empty(), "the first day has none");
    }
    sim.wait(DAY - 46);
    assert!(baselines(&sim.tick(&values)).is_empty());
    let before = sim.state.clone();
    sim.wait(15);
    let events = sim.tick(&[("load1", 0.7), ("load15", 1.0)]);
    assert_eq!(kinds(&events), ["baseline", "baseline"]);
    assert!(matches!(events.last(), Some(Event::Sampled(_))));
    assert_eq!(baselines(&events), ["load1", "load5"], "load15 begins with this tick");
    for event in &events {
        if let Event::Baseline { series, window } = event {
            assert_eq!(window, &before.windows[series]);
        }
    }
    sim.wait(15);
    assert!(baselines(&sim.tick(&values)).is_empty(), "the next one comes tomorrow");
    sim.wait(DAY);
    assert!(baselines(&sim.tick(&[])).is_empty(), "a tick that read nothing has none");
    let mut pass = sim.pass(&values);
    pass.elapsed = None;
    assert_eq!(baselines(&sim.step(Input::Sampled(Box::new(pass)))).len(), 3);
}

#[test]
fn a_clock_that_is_set_makes_no_second_set() {
    let check = |step_s: i64, expected: usize| {
        let mut sim = Sim::started(Rules::default());
        sim.tick(&[("load1", 0.5)]);
        sim.wait(DAY);
        assert_eq!(baselines(&sim.tick(&[("load1", 0.5)])).len(), 1);
        let mut sets = 0;
        for tick in 0..10 {
            let step = if tick == 3 { step_s } else { 0 };
            sim.now = Timestamp::from_ms(sim.now.as_ms() + (15 + step) * 1000);
            let mut pass = sim.pass(&[("load1", 0.5)]);
            pass.elapsed = Some(Duration::from_secs(15));
            sets += baselines(&sim.step(Input::Sampled(Box::new(pass)))).len();
        }
        assert_eq!(sets, expected, "a step of {step_s} s");
        // And a day after the set is the next, by whatever clock.
        sim.wait(DAY);
        assert_eq!(baselines(&sim.tick(&[("load1", 0.5)])).len(), 1, "a step of {step_s} s");
    };
    for step in [0, 3_600, -3_600, 400 * 86_400, -400 * 86_400] {
        check(step, 0);
    }
}

#[test]
fn a_window_goes_when_its_series_has_long_gone() {
    let mut sim = Sim::started(Rules::default());
    sim.tick(&[("load1", 0.5), ("disk_used_percent{mount=\"/usb\"}", 10.0)]);
    let mut seen = Vec::new();
    for _ in 0..32 {
        sim.wait(DAY);
        sim.tick(&[("load1", 0.5)]);
        seen.push(sim.state.windows.len());
    }
    assert_eq!(seen[28], 2, "it is remembered for thirty days");
    assert_eq!(seen[31], 1);
    assert_eq!(fold(&sim.records), sim.state);
}

#[test]
fn what_a_long_pause_leaves_is_kept() {
    let mut sim = Sim::started(Rules::default());
    for _ in 0..4 {
        sim.wait(15);
        sim.tick(&[("load1", 0.5)]);
    }
    sim.step(Input::Stopping);
    sim.wait(20 * DAY);
    sim.start();
    assert_eq!(baselines(&sim.tick(&[("load1", 0.5)])), ["load1"]);
    assert_eq!(sim.state.windows[&Series::new("load1")].values().len(), 5);
}

#[test]
fn ticks_are_needed_until_a_set_has_settled() {
    let mut sim = Sim::started(Rules::default());
    assert_eq!(sim.state.baselined(), None);
    let calm = [("load1", 0.5), ("cpu_idle_percent", 90.0)];
    let busy = [("load1", 0.5), ("cpu_idle_percent", 1.0)];
    sim.tick(&calm);
    sim.wait(DAY);
    sim.tick(&calm);
    let first = sim.state.baselines.from.unwrap();
    for _ in 0..3 {
        sim.wait(15);
        sim.tick(&calm);
        assert_eq!(sim.state.baselined(), None);
    }
    sim.wait(15);
    sim.tick(&calm);
    assert_eq!(sim.state.baselined(), Some(first));

    // One second apart, so that a condition that began with the set is pending after five ticks.
    sim.wait(DAY - 62);
    sim.tick(&calm);
    sim.wait(1);
    sim.tick(&calm);
    assert_eq!(sim.state.baselined(), Some(first), "a lesser number stays allowed");
    for tick in 0..40 {
        sim.wait(1);
        sim.tick(&busy);
        let is_settled = sim.state.baselined().is_some();
        assert_eq!(is_settled, tick >= 29, "tick {tick}: {:?}", sim.state.pending);
    }
    assert!(sim.state.baselined() > Some(first));
}

#[test]
fn series_beyond_those_that_may_live_are_left_out_and_noted() {
    let names = |count: usize| -> Vec<String> { (0..count).map(|i| format!("x{i:05}")).collect() };
    let tick = |sim: &mut Sim, names: &[String]| {
        sim.wait(15);
        let values: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 1.0)).collect();
        sim.tick(&values)
    };
    let read = |events: &[Event]| {
        events
            .iter()
            .find_map(|event| match event {
                Event::Sampled(sample) => Some(sample.readings.len()),
                _ => None,
            })
            .unwrap()
    };
    let mut sim = Sim::started(Rules::default());
    let most = limits::LIVE_SERIES;
    let events = tick(&mut sim, &names(most));
    assert_eq!((read(&events), kinds(&events).len()), (most, 0));
    let mut more = names(most + 7);
    more.reverse();
    let events = tick(&mut sim, &more);
    assert_eq!((read(&events), kinds(&events)), (most, vec!["noted"]));
    assert!(
        matches!(&events[0], Event::Noted { subject, text } if subject == "series"
            && text.starts_with("7 series are left out") && text.contains("[ignore] mounts")),
        "{:?}",
        events[0]
    );
    assert!(!sim.state.windows.contains_key(&Series::new("x04096")), "those without a window come last");
    let events = tick(&mut sim, &names(most + 9));
    assert_eq!(kinds(&events), Vec::<&str>::new(), "one note until it is over");
    let events = tick(&mut sim, &names(10));
    assert_eq!((read(&events), kinds(&events)), (10, vec!["cleared"]));
    // What is not read for a day makes room for others.
    sim.wait(DAY + 3_600);
    tick(&mut sim, &names(10));
    sim.wait(DAY + 3_600);
    tick(&mut sim, &names(10));
    assert_eq!(sim.state.windows.len(), 10);
}

#[derive(Clone, Debug)]
enum Step {
    /// Ticks so many seconds apart, of the series whose bits are set.
    Ticks {
        count: u8,
        interval: u16,
        series: u8,
        values: u8,
    },
    Empty,
    Wait(u32),
    Clock(i64),
    Crash,
    Restart,
    Reload(u8),
    Import {
        series: u8,
        samples: u8,
    },
    Say(&'static str),
    Deliver,
}

const SERIES: [&str; 8] = [
    "load1",
    "cpu_idle_percent",
    "memory_available_percent",
    "disk_used_percent{mount=\"/\"}",
    "disk_used_percent{mount=\"/usb\"}",
    "temperature_celsius{sensor=\"x\"}",
    "network_sent_bytes_total{interface=\"eth0\"}",
    "imported",
];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let interval = prop_oneof![Just(1_u16), Just(15), Just(60), Just(3_600), Just(20_000)];
    let ticks = (1..25_u8, interval, any::<u8>(), any::<u8>())
        .prop_map(|(count, interval, series, values)| Step::Ticks { count, interval, series, values });
    let step = prop_oneof![
        12 => ticks,
        1 => Just(Step::Empty),
        3 => (1..200_000_u32).prop_map(Step::Wait),
        1 => (1..4_000_000_u32).prop_map(Step::Wait),
        2 => prop_oneof![-100_000_i64..100_000, -90_000_000_i64..90_000_000].prop_map(Step::Clock),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
        1 => any::<u8>().prop_map(Step::Reload),
        1 => (0..8_u8, 0..40_u8).prop_map(|(series, samples)| Step::Import { series, samples }),
        1 => prop_oneof![Just("ack"), Just("mute all for 1h"), Just("unmute"), Just("top")].prop_map(Step::Say),
        1 => Just(Step::Deliver),
    ];
    proptest::collection::vec(step, 1..40)
}

fn live(sim: &mut Sim, step: &Step) {
    match step {
        Step::Ticks { count, interval, series, values } => {
            for tick in 0..*count {
                sim.wait((*interval).into());
                let readings: Vec<(&str, f64)> = SERIES
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| series >> i & 1 == 1)
                    .map(|(i, id)| {
                        (*id, f64::from(values.rotate_left(u32::try_from(i).unwrap()) ^ (tick & 3)) % 101.0)
                    })
                    .collect();
                sim.tick(&readings);
            }
        }
        Step::Empty => drop(sim.tick(&[])),
        Step::Wait(seconds) => drop(sim.pass_time((*seconds).into())),
        Step::Clock(seconds) => {
            sim.now = Timestamp::from_ms(sim.now.as_ms() + seconds * 1000);
            let mut pass = sim.pass(&[("load1", 0.5), ("cpu_idle_percent", 3.0)]);
            pass.elapsed = pass.elapsed.map(|_| Duration::from_secs(15));
            sim.step(Input::Sampled(Box::new(pass)));
        }
        Step::Crash => drop(sim.start()),
        Step::Restart => {
            sim.step(Input::Leaving);
            sim.step(Input::Stopping);
            sim.wait(60);
            sim.start();
        }
        Step::Reload(length) => {
            sim.rules.maximum_length = 2 + usize::from(*length % 30);
            let reread = Reread { rules: Box::new(sim.rules.clone()), changed: vec!["trend".into()] };
            sim.step(Input::ConfigurationRead(Ok(reread)));
        }
        Step::Import { series, samples } => {
            let at = |i: u8| sim.now.minus(Duration::from_secs(u64::from(i) * 60));
            let learned: Vec<(Timestamp, f64)> = (0..*samples).rev().map(|i| (at(i), f64::from(i))).collect();
            let event = Event::Imported {
                series: Series::parse(SERIES[usize::from(*series)]).unwrap(),
                from: at(*samples),
                to: sim.now,
                samples: (*samples).into(),
                learned,
                file: 7,
            };
            sim.record(vec![event]);
        }
        Step::Say(line) => drop(sim.ask(line)),
        Step::Deliver => sim.deliver(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_pruned_log_folds_to_the_same_state(steps in steps(), more in steps(), share in 0.0..=1.0_f64) {
        let mut sim = Sim::started(Rules::default());
        let mut allowed = None;
        for (i, step) in steps.iter().enumerate() {
            live(&mut sim, step);
            allowed = sim.state.baselined().or(allowed);
            if let Some(number) = sim.state.baselined().filter(|_| i % 4 == 0) {
                let folded = fold(pruned(&sim, number));
                prop_assert_eq!(&folded, &sim.state, "pruned below {:?}", number);
            }
        }
        prop_assert_eq!(&fold(&sim.records), &sim.state);
        // An allowed number stays allowed, and so is every lower one.
        if let Some(number) = allowed {
            let below = systembot_model::number::round(systembot_model::number::float(number.get()) * share);
            let below = [Seq::new(below), number];
            for step in more.iter().take(10) {
                live(&mut sim, step);
            }
            for below in below {
                let folded = fold(pruned(&sim, below));
                prop_assert_eq!(&folded, &sim.state, "pruned below {:?} of {:?}", below, number);
            }
            let sets = sim.records.iter().filter(|record| matches!(record.event, Event::Baseline { .. }));
            let gone = thin(sets.map(|record| (record.seq, record.at)), sim.now);
            prop_assert!(!gone.contains(&sim.state.baselines.to));
        }
    }
}
