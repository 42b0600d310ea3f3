//! Watched services: when they are started, how often, and when not.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use systembot_model::{
    Address, Effect, Event, Input, LocalTime, Rules, Seq, State, Timestamp,
    decide::Finished,
    decide_unrecorded, due_unrecorded,
    rules::{Check, Probe, Service},
    sample::{Note, Pass},
    service::{Found, Outcome, Seen, Standing, line},
};

use crate::sim::{Sim, kinds, texts};

fn service(name: &str) -> Service {
    Service {
        name: name.into(),
        matches: name.into(),
        restart: Some(format!("run {name}")),
        ..Service::default()
    }
}

fn watching(services: Vec<Service>) -> Sim {
    Sim::started(Rules { services, ..Rules::default() })
}

fn seen(pid: u32) -> Seen {
    Seen { pid: Some(pid), started: u64::from(pid) * 7, since: Timestamp::from_ms(1_795_346_000_000) }
}

/// A pass that finds these as these processes, and the other watched services missing.
fn look(sim: &mut Sim, running: &[(&str, u32)]) -> Vec<Event> {
    let mut pass: Pass = sim.pass(&[("load1", 1.0), ("uptime_seconds", 900_000.0)]);
    let found = |name: &&str| running.iter().any(|(service, _)| service == name);
    let names: Vec<String> = sim.rules.services.iter().map(|service| service.name.clone()).collect();
    pass.missing = names.iter().filter(|name| !found(&name.as_str())).cloned().collect();
    pass.services =
        running.iter().map(|(name, pid)| Found { service: (*name).to_owned(), seen: seen(*pid) }).collect();
    sim.step(Input::Sampled(Box::new(pass)))
}

fn ordered(sim: &Sim, name: &str) -> Option<Seq> {
    sim.state.services.get(name)?.ordered.as_ref().map(|ordered| ordered.seq)
}

fn finish(sim: &mut Sim, name: &str, outcome: Outcome, pid: Option<u32>) -> Vec<Event> {
    let ordered = ordered(sim, name).expect("a start is under way");
    let output = "first line\nno port\n".into();
    sim.step(Input::RestartFinished(Finished {
        service: name.into(),
        ordered,
        outcome,
        seen: pid.map(seen),
        output,
    }))
}

fn failed() -> Outcome {
    Outcome::Failed("it ended with exit code 3".into())
}

#[test]
fn a_death_is_told_and_the_start_ordered_at_once() {
    let mut sim = watching(vec![service("web")]);
    assert_eq!(kinds(&look(&mut sim, &[("web", 7)])), ["service_seen"]);
    sim.wait(15);
    let events = look(&mut sim, &[]);
    assert_eq!(kinds(&events), ["service_missing", "alert_fired", "restart_ordered", "message_queued"]);
    assert_eq!(texts(&events), ["service web is not running; starting it again #1"]);
    let Some(Effect::Start(start)) = sim.effects(2).into_iter().find(|e| matches!(e, Effect::Start(_)))
    else {
        panic!("no start")
    };
    assert_eq!(
        (start.service.as_str(), Some(start.ordered), start.stop, start.before),
        ("web", ordered(&sim, "web"), None, None)
    );
    // While it is under way, passes say nothing.
    sim.wait(15);
    assert!(kinds(&look(&mut sim, &[])).is_empty());
    sim.wait(1);
    let events = finish(&mut sim, "web", Outcome::Running, Some(8));
    assert_eq!(
        kinds(&events),
        ["restart_finished", "service_seen", "service_recovered", "alert_resolved", "message_queued"]
    );
    assert_eq!(texts(&events), ["resolved after 16 s: service web is running again (pid 8) #1"]);
    sim.wait(15);
    assert!(kinds(&look(&mut sim, &[("web", 8)])).is_empty(), "its recovery is told once");
    assert_eq!(sim.state.services["web"].restarts(sim.now), 1);
}

#[test]
fn starts_back_off_and_are_given_up_loudly_even_to_those_who_know() {
    let mut sim = watching(vec![service("web")]);
    look(&mut sim, &[]);
    sim.ask("ack");
    let mut waits = Vec::new();
    for _ in 0..4 {
        finish(&mut sim, "web", failed(), None);
        let before = sim.now;
        let due = systembot_model::due(&sim.state).unwrap();
        sim.now = due;
        assert_eq!(kinds(&sim.step(Input::Woken)), ["restart_ordered"]);
        waits.push(sim.now.since(before).as_secs());
    }
    assert_eq!(waits, [1, 2, 4, 8]);
    finish(&mut sim, "web", failed(), None);
    let events = sim.pass_time(60);
    assert_eq!(kinds(&events), ["restart_given_up", "alert_repeated", "message_queued"]);
    assert_eq!(
        texts(&events),
        ["service web is down and given up: 5 starts in 10 min, the last: it ended with exit code 3. \
          \"restart web\" tries again #1"]
    );
    // Left alone: by time, by passes, and by a new life of the daemon.
    assert!(sim.pass_time(3600).iter().all(|event| !matches!(event, Event::RestartOrdered { .. })));
    sim.start();
    sim.wait(15);
    assert!(!kinds(&look(&mut sim, &[])).contains(&"restart_ordered"));
    assert_eq!(line(&sim.state, &sim.rules.services[0], sim.now).standing, Standing::GivenUp);
    // Until its owner says so.
    let answer = sim.ask("restart web");
    assert_eq!(answer, "Starting web.");
    let events = finish(&mut sim, "web", failed(), None);
    assert_eq!(
        texts(&events),
        ["web did not come up: it ended with exit code 3.\nIts last words:\nfirst line\nno port"]
    );
    assert_eq!(kinds(&sim.pass_time(60))[0], "restart_ordered", "and it is looked after again");
}

#[test]
fn a_machine_that_booted_since_gives_a_service_another_chance() {
    let mut sim = watching(vec![Service { start_limit: 1, ..service("web") }]);
    look(&mut sim, &[]);
    finish(&mut sim, "web", failed(), None);
    sim.pass_time(60);
    assert!(sim.state.services["web"].given_up.is_some());
    sim.wait(100);
    sim.start();
    let mut booted = |uptime| {
        let mut pass = sim.pass(&[("load1", 1.0), ("uptime_seconds", uptime)]);
        pass.missing = vec!["web".into()];
        kinds(&sim.step(Input::Sampled(Box::new(pass)))).join(" ")
    };
    // Whoever else starts it at boot has a minute for it.
    assert_eq!(booted(30.0), "");
    assert!(booted(61.0).ends_with("watching_resumed restart_ordered"));
}

#[test]
fn one_that_ran_for_long_begins_anew_and_one_that_did_not_does_not() {
    let mut sim = watching(vec![service("web")]);
    look(&mut sim, &[]);
    finish(&mut sim, "web", Outcome::Running, Some(1));
    sim.wait(300);
    let events = look(&mut sim, &[]);
    assert!(kinds(&events).contains(&"restart_ordered"));
    assert_eq!(sim.state.services["web"].failures, 2);
    finish(&mut sim, "web", Outcome::Running, Some(2));
    sim.wait(601);
    look(&mut sim, &[]);
    assert_eq!(sim.state.services["web"].failures, 1);
    assert_eq!(sim.state.services["web"].restarts(sim.now), 3);
}

#[test]
fn one_that_the_owner_brought_up_and_that_ran_for_long_begins_anew() {
    let mut sim = watching(vec![service("web")]);
    look(&mut sim, &[]);
    for _ in 0..4 {
        finish(&mut sim, "web", failed(), None);
        sim.pass_time(600);
    }
    finish(&mut sim, "web", failed(), None);
    look(&mut sim, &[("web", 8)]);
    sim.wait(86_400);
    let events = look(&mut sim, &[]);
    assert!(
        events.iter().any(|event| matches!(event, Event::RestartOrdered { attempt: 1, .. })),
        "{events:?}"
    );
}

#[test]
fn a_last_line_is_told_of_what_was_started_from_here_alone() {
    let mut sim = watching(vec![service("web")]);
    let die = |sim: &mut Sim| {
        sim.wait(3600);
        let mut pass = sim.pass(&[("load1", 1.0), ("uptime_seconds", 900_000.0)]);
        pass.missing = vec!["web".into()];
        pass.last_lines.insert("web".into(), "no port".into());
        texts(&sim.step(Input::Sampled(Box::new(pass)))).join("")
    };
    look(&mut sim, &[("web", 7)]);
    assert!(!die(&mut sim).contains("no port"), "the owner had started it");
    finish(&mut sim, "web", failed(), None);
    look(&mut sim, &[("web", 8)]);
    assert!(!die(&mut sim).contains("no port"), "again");
    finish(&mut sim, "web", Outcome::Running, Some(9));
    assert!(die(&mut sim).contains("; its last line: no port"));
}

#[test]
fn a_start_of_the_daemon_starts_nothing_before_its_first_pass() {
    let mut sim = watching(vec![service("web")]);
    look(&mut sim, &[]);
    finish(&mut sim, "web", failed(), None);
    sim.start();
    assert!(!kinds(&sim.pass_time(60)).contains(&"restart_ordered"));
    assert!(kinds(&look(&mut sim, &[("web", 7)])).contains(&"service_recovered"));
}

#[test]
fn the_end_of_an_older_start_counts_for_nothing() {
    let mut sim = watching(vec![service("web")]);
    look(&mut sim, &[]);
    let old = ordered(&sim, "web").unwrap();
    sim.start();
    assert_eq!(sim.state.services["web"].last, Some((old, Outcome::Unknown)));
    // What was cut off may still come up, for as long as its grace.
    sim.wait(15);
    look(&mut sim, &[]);
    assert_eq!(ordered(&sim, "web"), None);
    sim.wait(15);
    look(&mut sim, &[]);
    assert!(ordered(&sim, "web").is_some_and(|seq| seq != old));
    let late = Finished {
        service: "web".into(),
        ordered: old,
        outcome: failed(),
        seen: None,
        output: String::new(),
    };
    assert!(sim.step(Input::RestartFinished(late)).is_empty());
    assert!(ordered(&sim, "web").is_some());
}

#[test]
fn a_pass_older_than_a_recovery_does_not_undo_it() {
    let mut sim = watching(vec![service("web")]);
    look(&mut sim, &[]);
    let mut pass = sim.pass(&[("load1", 1.0)]);
    pass.missing = vec!["web".into()];
    sim.wait(1);
    finish(&mut sim, "web", Outcome::Running, Some(8));
    assert!(kinds(&sim.step(Input::Sampled(Box::new(pass)))).is_empty());
}

#[test]
fn another_process_is_recorded_and_not_told() {
    let mut sim = watching(vec![service("web")]);
    look(&mut sim, &[("web", 7)]);
    sim.wait(15);
    assert!(kinds(&look(&mut sim, &[("web", 7)])).is_empty());
    sim.wait(15);
    assert_eq!(kinds(&look(&mut sim, &[("web", 9)])), ["service_seen"]);
    // One of which nothing is known is neither there nor missing.
    sim.wait(15);
    assert!(kinds(&sim.tick(&[("load1", 1.0)])).is_empty());
}

#[test]
fn what_comes_after_another_waits_for_it() {
    let mut sim = watching(vec![Service { after: vec!["db".into()], ..service("web") }, service("db")]);
    let events = look(&mut sim, &[]);
    assert_eq!(
        texts(&events),
        [
            "service web is not running; it is started once db runs #1\nservice db is not running; starting it again #2"
        ]
    );
    assert_eq!(kinds(&events).iter().filter(|kind| **kind == "restart_ordered").count(), 1);
    assert!(sim.ask("service web").starts_with("web: missing for 0 s, waits for db\n"));
    sim.wait(2);
    let mut events = finish(&mut sim, "db", Outcome::Running, Some(5));
    events.extend(sim.pass_time(1));
    assert!(kinds(&events).contains(&"restart_ordered"));
    assert!(ordered(&sim, "web").is_some());
}

#[test]
fn settings_that_changed_are_given_a_chance() {
    let mut sim = watching(vec![Service { start_limit: 1, ..service("web") }]);
    look(&mut sim, &[]);
    finish(&mut sim, "web", failed(), None);
    sim.pass_time(60);
    assert!(sim.state.services["web"].given_up.is_some());
    sim.rules.services[0].restart = Some("run web --better".into());
    sim.start();
    assert!(sim.state.services["web"].given_up.is_none());
}

#[test]
fn a_check_that_fails_is_told_and_starts_it_again_where_asked_for() {
    let check = Check {
        probe: Probe::Tcp("localhost:1".into()),
        timeout: Duration::from_secs(1),
        interval: Duration::from_secs(60),
        restart: true,
    };
    let mut sim = watching(vec![Service { check: Some(check), ..service("web") }]);
    look(&mut sim, &[("web", 7)]);
    let checked =
        |problem: Option<&str>| Input::Checked { service: "web".into(), problem: problem.map(Into::into) };
    assert!(sim.step(checked(None)).is_empty());
    let events = sim.step(checked(Some("refused")));
    assert_eq!(texts(&events), ["service web runs, but its check fails: refused #1"]);
    assert!(sim.ask("services").starts_with("web: running as pid 7 for "));
    let events = sim.step(checked(Some("refused")));
    assert_eq!(kinds(&events), ["restart_ordered"]);
    assert!(matches!(events[0], Event::RestartOrdered { stop: Some(7), .. }));
    assert!(sim.step(checked(Some("refused"))).is_empty(), "one start at a time");
    finish(&mut sim, "web", Outcome::Running, Some(8));
    assert!(sim.step(checked(Some("refused"))).is_empty(), "a new one has its grace");
    sim.wait(60);
    let events = sim.step(checked(None));
    assert_eq!(texts(&events), ["resolved after 1 min: service web is well again #1"]);
}

#[test]
fn one_given_up_for_its_check_is_started_again_when_it_dies_later() {
    let check = Check {
        probe: Probe::Tcp("localhost:1".into()),
        timeout: Duration::from_secs(1),
        interval: Duration::from_secs(60),
        restart: true,
    };
    let limit = Service { start_limit: 1, check: Some(check), ..service("web") };
    let mut sim = watching(vec![limit]);
    look(&mut sim, &[("web", 7)]);
    let checked =
        |problem: Option<&str>| Input::Checked { service: "web".into(), problem: problem.map(Into::into) };
    sim.step(checked(Some("refused")));
    sim.step(checked(Some("refused")));
    let refuses = Outcome::Failed("the process that runs, pid 7, does not end".into());
    finish(&mut sim, "web", refuses, None);
    sim.wait(60);
    let events = sim.step(checked(Some("refused")));
    assert!(kinds(&events).contains(&"restart_given_up"), "{:?}", kinds(&events));
    assert_eq!(
        texts(&events),
        [
            "service web runs, but its check fails, and it is given up: 1 start in 10 min, the last: the process that runs, pid 7, does not end. \
          \"restart web\" tries again #1"
        ]
    );
    assert!(sim.step(checked(Some("refused"))).is_empty(), "given up once");
    sim.step(checked(None));
    sim.wait(86_400);
    let events = look(&mut sim, &[]);
    assert!(kinds(&events).contains(&"restart_ordered"), "{:?}", kinds(&events));
}

#[test]
fn since_when_it_runs_follows_the_clock() {
    let mut sim = watching(vec![service("web"), service("db")]);
    look(&mut sim, &[("web", 7)]);
    let since = |sim: &Sim, name: &str| {
        let service = sim.rules.services.iter().find(|service| service.name == name).unwrap();
        line(&sim.state, service, sim.now).since.unwrap()
    };
    let before = (since(&sim, "web"), since(&sim, "db"));
    sim.record(vec![Event::ClockStepped { by_ms: 86_400_000 }]);
    sim.wait(86_400);
    let day = Duration::from_secs(86_400);
    assert_eq!((since(&sim, "web"), since(&sim, "db")), (before.0.plus(day), before.1.plus(day)));
}

#[test]
fn one_that_cannot_be_told_of_is_not_said_to_run() {
    let mut sim = watching(vec![service("web")]);
    let mut pass = sim.pass(&[("load1", 1.0)]);
    pass.notes.push(Note { subject: "service web".into(), text: "there is no such unit".into() });
    sim.step(Input::Sampled(Box::new(pass)));
    let checked = Input::Checked { service: "web".into(), problem: Some("refused".into()) };
    assert!(sim.step(checked).is_empty());
    assert_eq!(sim.ask("services"), "web: not known: there is no such unit");
    look(&mut sim, &[("web", 7)]);
    assert!(sim.ask("services").starts_with("web: running as pid 7"));
    let mut pass = sim.pass(&[("load1", 1.0)]);
    pass.notes.push(Note { subject: "service web".into(), text: "there is no such unit".into() });
    sim.step(Input::Sampled(Box::new(pass)));
    assert_eq!(sim.ask("services"), "web: not known: there is no such unit");
}

#[test]
fn one_that_dies_while_unwell_has_one_alert() {
    let mut sim = watching(vec![service("web")]);
    look(&mut sim, &[("web", 7)]);
    sim.step(Input::Checked { service: "web".into(), problem: Some("refused".into()) });
    sim.wait(15);
    let events = look(&mut sim, &[]);
    assert_eq!(
        texts(&events),
        ["resolved after 15 s: service web does not run at all, see #2 #1\n\
          service web is not running; starting it again #2"]
    );
    assert_eq!(sim.state.alerts.len(), 1);
}

#[test]
fn what_is_left_alone_is_neither_told_of_nor_started() {
    let mut sim = watching(vec![service("web")]);
    look(&mut sim, &[]);
    finish(&mut sim, "web", failed(), None);
    let answer = sim.ask("service web stop watching");
    assert!(answer.contains("web is left alone"), "{answer}");
    assert!(sim.state.alerts.is_empty() && sim.state.missing.is_empty());
    sim.wait(30);
    assert!(kinds(&look(&mut sim, &[])).is_empty());
    sim.wait(3570);
    assert!(sim.ask("status").contains("service web: not watched for 1 h"));
    assert_eq!(sim.ask("watch web"), "web is watched again.");
    let events = look(&mut sim, &[]);
    assert!(kinds(&events).contains(&"restart_ordered"));
}

#[derive(Clone, Debug)]
enum Step {
    Look(Vec<bool>),
    Finish(usize, u8),
    Wait(u32),
    Say(&'static str),
    Crash,
    Reboot,
    ClockSet(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lines = prop_oneof![
        Just("restart web"),
        Just("service db stop watching"),
        Just("stop watching web"),
        Just("watch db"),
        Just("watch web"),
        Just("services"),
        Just("ack"),
        Just("mute all for 5m"),
    ];
    let step = prop_oneof![
        6 => proptest::collection::vec(any::<bool>(), 3).prop_map(Step::Look),
        6 => (0..3_usize, 0..3_u8).prop_map(|(which, how)| Step::Finish(which, how)),
        4 => (1..400_u32).prop_map(Step::Wait),
        1 => lines.prop_map(Step::Say),
        1 => Just(Step::Crash),
        1 => Just(Step::Reboot),
        1 => (-100_000..100_000_i64).prop_map(Step::ClockSet),
    ];
    proptest::collection::vec(step, 1..150)
}

const NAMES: [&str; 3] = ["db", "web", "told"];

fn run(steps: &[Step]) -> Sim {
    let services = vec![
        service("db"),
        Service { after: vec!["db".into()], start_limit: 3, ..service("web") },
        Service { restart: None, ..service("told") },
    ];
    let mut sim = watching(services);
    let mut pid = 1;
    for step in steps {
        match step {
            Step::Look(runs) => {
                sim.wait(15);
                let running: Vec<(&str, u32)> = NAMES
                    .into_iter()
                    .zip(runs)
                    .filter(|(_, runs)| **runs)
                    .map(|(name, _)| (name, 7))
                    .collect();
                look(&mut sim, &running);
            }
            Step::Finish(which, how) => {
                let name = NAMES[*which];
                if ordered(&sim, name).is_some() {
                    pid += 1;
                    match how {
                        0 => finish(&mut sim, name, Outcome::Running, Some(pid)),
                        1 => finish(&mut sim, name, Outcome::AlreadyRunning, Some(pid)),
                        _ => finish(&mut sim, name, failed(), None),
                    };
                }
            }
            Step::Wait(seconds) => drop(sim.pass_time(u64::from(*seconds))),
            Step::Say(line) => drop(sim.ask(line)),
            Step::Crash => drop(sim.start()),
            Step::Reboot => {
                sim.step(Input::Stopping);
                sim.wait(90);
                sim.start();
            }
            Step::ClockSet(seconds) => {
                let mut pass = sim.pass(&[("load1", 1.0)]);
                pass.at = Timestamp::from_ms(pass.at.as_ms() + seconds * 1000);
                sim.now = pass.at;
                sim.step(Input::Sampled(Box::new(pass)));
            }
        }
    }
    sim
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Never two starts at once, never one too early, never one too many, never one that nobody wants.
    #[test]
    fn starts_keep_their_promises(steps in steps()) {
        let sim = run(&steps);
        let mut state = State::default();
        let mut under_way: BTreeMap<&str, Seq> = BTreeMap::new();
        for record in &sim.records {
            match &record.event {
                Event::RestartOrdered { service, by, attempt, .. } => {
                    prop_assert!(under_way.insert(service, record.seq).is_none(), "one start at a time");
                    prop_assert!(*attempt > 0);
                    let watched = state.services.get(service.as_str()).cloned().unwrap_or_default();
                    let settings = state.rules.services.iter().find(|settings| settings.name == *service).unwrap();
                    prop_assert!(settings.restart.is_some());
                    if by.is_none() {
                        prop_assert!(state.missing.contains_key(service.as_str()), "only what is missing is started");
                        prop_assert!(watched.paused.is_none(), "not while it is left alone");
                        prop_assert!(watched.given_up.is_none(), "not after it was given up");
                        prop_assert!(watched.next_at.is_none_or(|at| at <= record.at), "not before its back-off");
                        let recent = watched.starts_within(settings.start_limit_interval, record.at);
                        prop_assert!(u32::try_from(recent).unwrap() < settings.start_limit, "not beyond its limit");
                        let waits = settings.after.iter().any(|first| state.missing.contains_key(first));
                        prop_assert!(!waits, "not before what it comes after");
                    }
                }
                Event::RestartFinished { service, ordered, .. } => {
                    prop_assert_eq!(under_way.remove(service.as_str()), Some(*ordered), "each start ends once");
                }
                Event::ServiceMissing { service } => {
                    prop_assert!(!state.missing.contains_key(service.as_str()), "a death is recorded once");
                }
                Event::ServiceRecovered { service } => {
                    prop_assert!(state.missing.contains_key(service.as_str()), "a recovery too");
                }
                _ => {}
            }
            state.apply(record);
        }
        prop_assert_eq!(&state, &sim.state);
    }

    #[test]
    fn any_line_about_services_is_answered(line in "(restart|service|watch|stop watching) \\PC{0,60}") {
        let mut sim = watching(vec![service("web")]);
        let events = sim.step(Input::Heard { from: Address::bridge(), text: line });
        prop_assert!(!texts(&events).is_empty());
    }
}

#[test]
fn a_muted_service_is_given_up_in_silence() {
    let mut sim = watching(vec![Service { start_limit: 1, ..service("web") }]);
    look(&mut sim, &[]);
    sim.ask("mute web for 1h");
    finish(&mut sim, "web", failed(), None);
    assert_eq!(kinds(&sim.pass_time(60)), ["restart_given_up"]);
}

#[test]
fn a_check_waits_for_the_back_off_too() {
    let check = Check {
        probe: Probe::Tcp("localhost:1".into()),
        timeout: Duration::from_secs(1),
        interval: Duration::from_secs(1),
        restart: true,
    };
    let backoff = Duration::from_secs(200);
    let mut sim = watching(vec![Service { check: Some(check), backoff, ..service("web") }]);
    look(&mut sim, &[("web", 7)]);
    let refused = || Input::Checked { service: "web".into(), problem: Some("refused".into()) };
    sim.step(refused());
    assert_eq!(kinds(&sim.step(refused())), ["restart_ordered"]);
    finish(&mut sim, "web", failed(), None);
    // Beyond its grace, but not beyond the wait.
    sim.wait(100);
    assert!(sim.step(refused()).is_empty());
    sim.wait(100);
    assert_eq!(kinds(&sim.step(refused())), ["restart_ordered"]);
}

#[test]
fn of_an_output_the_end_is_recorded() {
    let mut sim = watching(vec![service("web")]);
    look(&mut sim, &[]);
    let ordered = ordered(&sim, "web").unwrap();
    let output = format!("{}\u{e9}nd", "x".repeat(10_000));
    let ended =
        Finished { service: "web".into(), ordered, outcome: failed(), seen: None, output: output.clone() };
    let events = sim.step(Input::RestartFinished(ended));
    let Event::RestartFinished { output: kept, .. } = &events[0] else { panic!("{events:?}") };
    assert!(kept.len() <= 4096 && kept.len() > 4000 && output.ends_with(kept.as_str()));
}

#[test]
fn without_a_record_nothing_is_started_and_no_order_is_taken() {
    let mut sim = watching(vec![service("web")]);
    look(&mut sim, &[("web", 7)]);
    sim.wait(15);
    let mut pass = sim.pass(&[("load1", 1.0)]);
    pass.missing = vec!["web".into()];
    let now = LocalTime::utc(sim.now);
    let decided = |state: &State, input| decide_unrecorded(state, &now, input);
    let events = decided(&sim.state, Input::Sampled(Box::new(pass.clone())));
    assert_eq!(kinds(&events), ["service_missing", "alert_fired", "message_queued"]);
    assert_eq!(texts(&events), ["service web is not running #1"], "it promises no start");
    sim.record(events);
    assert_eq!(kinds(&decided(&sim.state, Input::Woken)), [""; 0]);
    assert!(due_unrecorded(&sim.state).is_none_or(|due| due > sim.now), "nothing to wake for");
    for line in ["restart web", "mute disk for 1h", "ack 1", "stop watching web"] {
        let heard = Input::Heard { from: Address::bridge(), text: line.into() };
        let events = decided(&sim.state, heard);
        assert_eq!(kinds(&events), ["heard", "message_queued"], "{line}");
        assert!(texts(&events)[0].starts_with("Not done: "), "{line}: {events:?}");
    }
    // Once there are records again, it is started.
    sim.wait(15);
    let mut pass = sim.pass(&[("load1", 1.0)]);
    pass.missing = vec!["web".into()];
    assert!(kinds(&sim.step(Input::Sampled(Box::new(pass)))).contains(&"restart_ordered"));
}
