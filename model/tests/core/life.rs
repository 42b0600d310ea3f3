//! Starts, ends, gaps and clocks.

use std::time::Duration;

use systembot_model::{
    Event, Input, Rules, State, decide::Reread, event::BlindReason, sample::Note, summary::summary,
};

use crate::sim::{Sim, kinds, texts};

fn blind(events: &[Event]) -> Vec<BlindReason> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Blind { reason, .. } => Some(*reason),
            _ => None,
        })
        .collect()
}

#[test]
fn a_first_start_records_its_settings_and_greets() {
    let mut sim = Sim::off(Rules::default());
    let events = sim.start();
    assert_eq!(kinds(&events), ["started", "configured", "message_queued"]);
    assert_eq!(
        texts(&events),
        ["leela is online (systembot 0.1.0); this is its first start, the baselines begin now"]
    );
}

#[test]
fn a_start_tells_what_was_missed_and_keeps_the_baselines() {
    let mut sim = Sim::started(Rules::default());
    for _ in 0..5 {
        sim.wait(15);
        sim.tick(&[("load1", 0.5), ("load5", 0.5)]);
    }
    let windows = sim.state.windows.clone();
    sim.deliver();
    sim.step(Input::Leaving);
    sim.deliver();
    sim.step(Input::Stopping);
    sim.wait(11_520);
    let events = sim.start();
    assert_eq!(kinds(&events), ["started", "blind", "message_queued"]);
    assert_eq!(blind(&events), [BlindReason::Stopped]);
    assert_eq!(texts(&events), ["leela is online (systembot 0.1.0); was off 3 h 12 min; 2 baselines kept"]);
    assert_eq!(sim.state.windows, windows);
}

#[test]
fn an_end_without_a_word_is_unclean() {
    let mut sim = Sim::started(Rules::default());
    sim.tick(&[("load1", 0.5)]);
    sim.wait(60);
    let events = sim.start();
    assert!(matches!(&events[1], Event::Started { unclean: true, .. }), "{events:?}");
    assert_eq!(blind(&events), [BlindReason::Crashed]);
    assert!(texts(&events)[0].contains("was off 1 min without having been shut down"), "{events:?}");
}

/// Defect 14 of the original: Ctrl-C was told as a crash, and SIGTERM not at all.
#[test]
fn a_goodbye_is_said_once_and_an_undelivered_one_is_dropped() {
    let mut sim = Sim::started(Rules::default());
    sim.deliver();
    let events = sim.step(Input::Leaving);
    assert_eq!(texts(&events), ["leela is going offline"]);
    assert_eq!(kinds(&sim.step(Input::Stopping)), ["message_dropped", "stopped"]);
    assert_eq!(sim.state.outbox.len(), 0, "nothing waits that will never be sent");
    sim.start();
    assert_eq!(sim.state.outbox.len(), 1, "only the new greeting waits");
}

#[test]
fn three_clocks_tell_sleep_steps_and_stalls_apart() {
    let check = |wall: i64, elapsed: u64, asleep: u64, expected: &[&str], reasons: &[BlindReason]| {
        let mut sim = Sim::started(Rules::default());
        sim.tick(&[("load1", 0.5)]);
        let from = sim.now;
        sim.now = systembot_model::Timestamp::from_ms(from.as_ms() + wall * 1000);
        let mut pass = sim.pass(&[("load1", 0.5)]);
        pass.elapsed = Some(Duration::from_secs(elapsed));
        pass.asleep = Duration::from_secs(asleep);
        let events = sim.step(Input::Sampled(Box::new(pass)));
        assert_eq!(kinds(&events), expected, "wall {wall} elapsed {elapsed} asleep {asleep}");
        assert_eq!(blind(&events), reasons);
        for event in &events {
            if let Event::Blind { from, to, .. } = event {
                assert!(from <= to);
            }
        }
    };
    check(15, 15, 0, &[], &[]);
    check(16, 15, 0, &[], &[]);
    check(7200, 15, 7185, &["blind"], &[BlindReason::Suspended]);
    check(7200, 15, 0, &["clock_stepped", "blind"], &[BlindReason::ClockStepped]);
    check(-7200, 15, 0, &["clock_stepped"], &[]);
    check(600, 600, 0, &["blind"], &[BlindReason::Stalled]);
}

#[test]
fn what_cannot_be_read_is_noted_once_and_cleared() {
    let mut sim = Sim::started(Rules::default());
    let mut events = Vec::new();
    for notes in [1, 1, 0, 0] {
        sim.wait(15);
        let mut pass = sim.pass(&[("load1", 0.5)]);
        let note = Note { subject: "mount /mnt/nas".into(), text: "does not answer".into() };
        pass.notes = vec![note; notes];
        events.extend(sim.step(Input::Sampled(Box::new(pass))));
    }
    assert_eq!(kinds(&events), ["noted", "cleared"]);
}

#[test]
fn an_order_to_deliver_survives_in_the_state_alone() {
    let mut sim = Sim::started(Rules::default());
    sim.ask("load");
    let folded = sim.records.iter().fold(State::default(), |mut state, record| {
        state.apply(record);
        state
    });
    assert_eq!(folded, sim.state);
    assert_eq!(systembot_model::owed(&folded).len(), 1, "the reply; a greeting belongs to its own run");
}

fn reread(rules: &Rules, changed: &[&str]) -> Input {
    let changed = changed.iter().map(ToString::to_string).collect();
    Input::ConfigurationRead(Ok(Reread { rules: Box::new(rules.clone()), changed }))
}

#[test]
fn settings_read_again_are_in_force_and_told() {
    let mut sim = Sim::started(Rules::default());
    let rules = Rules { disk_used_percent: 50.0, ..sim.rules.clone() };
    let events = sim.step(reread(&rules, &["thresholds.disk_used_percent"]));
    assert_eq!(kinds(&events), ["configured", "message_queued"]);
    assert_eq!(texts(&events), ["configuration read again: 1 setting changed: thresholds.disk_used_percent"]);
    assert_eq!(sim.state.rules.disk_used_percent, 50.0);
    let events = sim.step(reread(&rules, &["log_level"]));
    assert_eq!(kinds(&events), ["message_queued"], "the rules are what they were");
    assert!(sim.step(reread(&rules, &[])).is_empty(), "that nothing changed is no news");
}

#[test]
fn a_destination_that_is_configured_no_more_is_owed_nothing() {
    let mut sim = Sim::started(Rules::default());
    sim.ask("load");
    let rules = Rules { destinations: Vec::new(), ..sim.rules.clone() };
    let events = sim.step(reread(&rules, &["bridge.url"]));
    assert_eq!(kinds(&events), ["message_dropped", "configured"]);
    assert!(sim.state.outbox.is_empty());
}

#[test]
fn a_configuration_that_cannot_be_read_changes_nothing_and_is_told() {
    let mut sim = Sim::started(Rules::default());
    let rules = sim.state.rules.clone();
    let mistake = "systembot.toml:3: nmae: unknown key: did you mean name?";
    let events = sim.step(Input::ConfigurationRead(Err(mistake.into())));
    assert_eq!(kinds(&events), ["message_queued"]);
    assert!(texts(&events)[0].ends_with(mistake), "{events:?}");
    assert_eq!(sim.state.rules, rules);
}

#[test]
fn the_state_in_one_line() {
    let mut sim = Sim::started(Rules::default());
    assert_eq!(summary(&sim.state, 0), "0 samples of 0 series; no alert open; 1 message to be delivered");
    sim.deliver();
    sim.tick(&[("load1", 0.5), ("disk_used_percent{mount=\"/\"}", 99.0)]);
    sim.deliver();
    let line = summary(&sim.state, 2);
    assert!(line.starts_with("2 samples of 2 series; ") && line.contains("open"), "{line}");
}
