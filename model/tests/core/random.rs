//! Any sequence of ticks, chat lines, deliveries, waits and crashes keeps the promises of the core.

use std::collections::BTreeSet;

use proptest::prelude::*;
use systembot_model::{Address, Event, Input, Rules, State, state::condition};

use crate::sim::Sim;

#[derive(Clone, Debug)]
enum Step {
    Tick { disk: u8, load: u8, idle: u8 },
    Say(String),
    Wait(u32),
    Deliver,
    LoseAcknowledgement,
    Crash,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lines = prop_oneof![
        Just("ack"),
        Just("ack 1"),
        Just("mute disk for 1h"),
        Just("mute all for 5m"),
        Just("unmute"),
        Just("status"),
        Just("alerts"),
        Just("top 3"),
        Just("addr"),
        Just("nonsense"),
        Just("why 1"),
        Just("trends"),
    ];
    let step = prop_oneof![
        8 => (80..100_u8, 0..8_u8, 0..100_u8).prop_map(|(disk, load, idle)| Step::Tick { disk, load, idle }),
        2 => lines.prop_map(|line| Step::Say(line.to_owned())),
        1 => ".{0,40}".prop_map(Step::Say),
        3 => (1..7200_u32).prop_map(Step::Wait),
        1 => Just(Step::Deliver),
        1 => Just(Step::LoseAcknowledgement),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..120)
}

fn run(steps: &[Step]) -> Sim {
    let mut sim = Sim::started(Rules::default());
    for step in steps {
        match step {
            Step::Tick { disk, load, idle } => {
                sim.wait(15);
                sim.tick(&[
                    ("disk_used_percent{mount=\"/\"}", f64::from(*disk)),
                    ("load1", f64::from(*load)),
                    ("cpu_idle_percent", f64::from(*idle)),
                ]);
            }
            Step::Say(line) => drop(sim.ask(line)),
            Step::Wait(seconds) => drop(sim.pass_time(u64::from(*seconds))),
            Step::Deliver => sim.deliver(),
            Step::LoseAcknowledgement => {
                let numbers = sim.state.outbox.keys().copied().collect();
                sim.step(Input::Attempting(numbers));
            }
            Step::Crash => drop(sim.start()),
            Step::Restart => {
                sim.step(Input::Leaving);
                sim.step(Input::Stopping);
                sim.wait(60);
                sim.start();
            }
        }
    }
    sim
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_state_is_the_fold_of_the_records(steps in steps()) {
        let sim = run(&steps);
        let mut folded = State::default();
        sim.records.iter().for_each(|record| folded.apply(record));
        prop_assert_eq!(folded, sim.state);
    }

    #[test]
    fn alerts_keep_their_promises(steps in steps()) {
        let sim = run(&steps);
        let mut state = State::default();
        let mut numbers = BTreeSet::new();
        for record in &sim.records {
            match &record.event {
                Event::AlertFired(fired) => {
                    prop_assert!(numbers.insert(fired.id), "a number is given once");
                    prop_assert_eq!(fired.id, u64::try_from(numbers.len()).unwrap(), "they count 1, 2, 3");
                    let muted = state.is_muted(&fired.series, record.at);
                    prop_assert!(!(fired.told && muted), "nothing is told while muted");
                    let open = state.alerts.values().filter(|alert| condition(alert).is_some_and(|about| {
                        about.series == fired.series && about.rule.name() == fired.rule
                    }));
                    prop_assert_eq!(open.count(), 0, "one open alert a condition");
                }
                Event::AlertRepeated { id, .. } => {
                    let alert = &state.alerts[id];
                    prop_assert!(alert.acknowledged.is_none(), "no repeat after an acknowledgement");
                    prop_assert!(!state.is_muted(&alert.fired.series, record.at), "no repeat while muted");
                }
                Event::AlertResolved { id, told, .. } => {
                    prop_assert!(state.alerts.contains_key(id), "only what is open resolves");
                    prop_assert!(!told || state.alerts[id].told_at.is_some(), "no relief from what nobody was told");
                }
                _ => {}
            }
            state.apply(record);
        }
    }

    #[test]
    fn no_line_of_chat_breaks_anything(line in "\\PC{0,200}|.{0,200}") {
        let mut sim = Sim::started(Rules::default());
        let events = sim.step(Input::Heard { from: Address::bridge(), text: line });
        prop_assert!(events.len() < 10);
    }
}
