//! What is owed: in order, once, and marked where it may have arrived before.

use systembot_model::{Address, Event, Input, Rules, Seq, limits};

use crate::sim::{Sim, kinds};

fn again(sim: &Sim) -> Vec<bool> {
    sim.state.owed_to(&Address::bridge()).map(|owed| owed.again).collect()
}

#[test]
fn a_message_is_in_doubt_only_where_its_acknowledgement_was_lost() {
    let mut sim = Sim::started(Rules::default());
    let number = *sim.state.outbox.keys().next().unwrap();
    assert_eq!(again(&sim), [false]);
    sim.step(Input::Attempting(vec![number]));
    assert_eq!(again(&sim), [true], "a crash now leaves it in doubt");
    sim.step(Input::Returned(vec![number]));
    assert_eq!(again(&sim), [false], "surely not taken");
    sim.step(Input::Attempting(vec![number]));
    sim.step(Input::Attempting(vec![number]));
    sim.step(Input::Returned(vec![number]));
    assert_eq!(again(&sim), [true], "one of two attempts ended unknown");
    sim.step(Input::Delivered(vec![number]));
    assert_eq!(again(&sim), Vec::<bool>::new());
    assert_eq!(kinds(&sim.step(Input::Delivered(vec![number, Seq::new(999)]))), Vec::<&str>::new());
}

#[test]
fn a_full_outbox_gives_up_the_oldest_and_says_so() {
    let mut sim = Sim::started(Rules::default());
    for _ in 0..limits::OUTBOX_MESSAGES + 3 {
        sim.ask("date");
    }
    assert_eq!(sim.state.outbox.len(), limits::OUTBOX_MESSAGES);
    let dropped = sim.records.iter().filter(|r| matches!(r.event, Event::MessageDropped { .. })).count();
    assert_eq!(dropped, 4, "the greeting and three replies");
}

#[test]
fn a_message_never_passes_its_limit() {
    let mut sim = Sim::started(Rules::default());
    let mounts: Vec<String> = (0..200)
        .map(|i| format!("disk_used_percent{{mount=\"/a/rather/long/mount/point/number/{i}\"}}"))
        .collect();
    let values: Vec<(&str, f64)> = mounts.iter().map(|id| (id.as_str(), 99.0)).collect();
    sim.tick(&values);
    assert!(sim.state.outbox.values().all(|queued| queued.message.text.len() <= limits::MESSAGE_BYTES));
}

#[test]
fn what_is_owed_to_a_destination_that_is_gone_is_dropped() {
    let mut sim = Sim::started(Rules::default());
    sim.ask("load");
    let rules = Box::new(Rules { destinations: Vec::new(), ..sim.rules.clone() });
    sim.step(Input::Starting { version: "0.1.0".into(), config: None, rules });
    assert!(sim.state.outbox.is_empty());
}
