//! The rules and their state machine: inactive, pending, firing, resolved.

use systembot_model::{
    Address, Event, Input, Rules, Timestamp,
    rules::Service,
    service::{Found, Seen},
};

use crate::sim::{Sim, kinds, texts};

const FULL: &[(&str, f64)] = &[
    ("disk_used_percent{mount=\"/\"}", 93.4),
    ("disk_used_bytes{mount=\"/\"}", 20_057_738_445.0),
    ("disk_total_bytes{mount=\"/\"}", 21_474_836_480.0),
    ("disk_available_bytes{mount=\"/\"}", 1_417_098_035.0),
];
const ROOM: &[(&str, f64)] = &[("disk_used_percent{mount=\"/\"}", 50.0)];

fn told(events: &[Event]) -> Vec<&str> {
    texts(events)
}

/// Defect 2 of the original: it spoke only after an hour of accumulated trouble.
#[test]
fn the_first_message_comes_at_once_and_repeats_after_the_interval() {
    let mut sim = Sim::started(Rules::default());
    let events = sim.tick(FULL);
    assert_eq!(kinds(&events), ["alert_fired", "message_queued"]);
    assert_eq!(told(&events), ["disk / is 93.4 % full: 18.68 GiB of 20.00 GiB used, 1.32 GiB free #1"]);
    for _ in 0..10 {
        sim.wait(15);
        assert_eq!(kinds(&sim.tick(FULL)), Vec::<&str>::new());
    }
    let events = sim.pass_time(3600 - 150);
    assert_eq!(
        told(&events),
        ["still (1 h): disk / is 93.4 % full: 18.68 GiB of 20.00 GiB used, 1.32 GiB free #1"]
    );
    assert_eq!(told(&sim.pass_time(7200)).len(), 2);
    sim.wait(15);
    let mut pass = sim.pass(ROOM);
    pass.elapsed = Some(std::time::Duration::from_secs(15));
    pass.asleep = sim.now.since(sim.state.sampled_at.unwrap()) - std::time::Duration::from_secs(15);
    let events = sim.step(Input::Sampled(Box::new(pass)));
    assert!(told(&events)[0].starts_with("resolved after 3 h: disk / is at 50.0 % #1"), "{events:?}");
    assert!(sim.state.alerts.is_empty());
}

#[test]
fn hysteresis_keeps_an_alert_that_hovers_at_the_limit() {
    let mut sim = Sim::started(Rules::default());
    let mut at = |percent| {
        sim.wait(15);
        kinds(&sim.tick(&[("disk_used_percent{mount=\"/\"}", percent)])).first().map(ToString::to_string)
    };
    assert_eq!(at(90.0), None);
    assert_eq!(at(90.1).as_deref(), Some("alert_fired"));
    assert_eq!(at(89.0), None);
    assert_eq!(at(91.0), None);
    assert_eq!(at(88.1).as_deref(), Some("alert_resolved"));
}

#[test]
fn memory_and_cpu_must_hold_for_half_a_minute() {
    for id in ["memory_available_percent", "cpu_idle_percent"] {
        let mut sim = Sim::started(Rules::default());
        let mut at = |percent| {
            sim.wait(15);
            kinds(&sim.tick(&[(id, percent)])).len()
        };
        assert_eq!([at(5.0), at(50.0), at(5.0), at(5.0), at(5.0), at(50.0)], [0, 0, 0, 0, 2, 2], "{id}");
    }
}

#[test]
fn ignored_mounts_never_alert() {
    let mut sim = Sim::started(Rules { ignore_mounts: vec!["/snap".into()], ..Rules::default() });
    assert_eq!(kinds(&sim.tick(&[("disk_used_percent{mount=\"/snap/core\"}", 100.0)])).len(), 0);
    assert_eq!(kinds(&sim.tick(&[("disk_used_percent{mount=\"/snapshots\"}", 100.0)])).len(), 2);
}

#[test]
fn all_changes_of_one_moment_are_one_message() {
    let mut sim = Sim::started(Rules::default());
    let both = [("disk_used_percent{mount=\"/\"}", 95.0), ("disk_used_percent{mount=\"/home\"}", 96.0)];
    let events = sim.tick(&both);
    assert_eq!(told(&events), ["disk / is 95.0 % full #1\ndisk /home is 96.0 % full #2"]);
}

/// Reads a sensor with a high point of 80 and a critical one of 100 degrees; gives what is told.
fn sensor(sim: &mut Sim, celsius: f64) -> String {
    sim.wait(15);
    let events = sim.tick(&[
        ("temperature_celsius{sensor=\"cpu\"}", celsius),
        ("temperature_high_celsius{sensor=\"cpu\"}", 80.0),
        ("temperature_critical_celsius{sensor=\"cpu\"}", 100.0),
    ]);
    told(&events).join("|")
}

/// Defect 4 of the original: its temperature alerts ignored the cooldown, and had their texts swapped.
#[test]
fn critical_silences_high_and_each_says_its_own() {
    let mut sim = Sim::started(Rules::default());
    let mut at = |celsius| sensor(&mut sim, celsius);
    assert_eq!(at(79.9), "");
    assert_eq!(at(80.0), "sensor cpu is hot: 80.0 °C (176.0 °F), its high point is 80.0 °C (176.0 °F) #1");
    assert_eq!(at(81.0), "");
    assert_eq!(
        at(100.0),
        "sensor cpu is critically hot: 100.0 °C (212.0 °F), its critical point is 100.0 °C (212.0 °F) #2"
    );
    assert_eq!(at(101.0), "");
    assert_eq!(at(90.0), "resolved after 30 s: sensor cpu is at 90.0 °C (194.0 °F) #2");
    assert_eq!(at(60.0), "resolved after 1 min 15 s: sensor cpu is at 60.0 °C (140.0 °F) #1");
}

#[test]
fn a_sensor_that_jumps_to_critical_tells_only_that() {
    let mut sim = Sim::started(Rules::default());
    let hot = [
        ("temperature_celsius{sensor=\"cpu\"}", 105.0),
        ("temperature_high_celsius{sensor=\"cpu\"}", 80.0),
        ("temperature_critical_celsius{sensor=\"cpu\"}", 100.0),
    ];
    let events = sim.tick(&hot);
    assert_eq!(kinds(&events), ["alert_fired", "message_queued"]);
    assert!(told(&events)[0].contains("critically"));
}

#[test]
fn a_trend_alert_says_sigma_mean_and_window() {
    let mut sim = Sim::started(Rules::default());
    for i in 0..100 {
        sim.wait(15);
        assert_eq!(kinds(&sim.tick(&[("load1", 1.0 + 0.5 * f64::from(i % 2))])), Vec::<&str>::new(), "{i}");
    }
    sim.wait(15);
    let events = sim.tick(&[("load1", 7.9)]);
    assert_eq!(told(&events), ["load1 is 7.90: 26.5 sigma above its last 100 samples (mean 1.25) #1"]);
    let Event::AlertFired(fired) = &events[1] else { panic!("{events:?}") };
    assert_eq!((fired.rule.as_str(), fired.length, fired.mean), ("trend", 100, Some(1.25)));
    assert!(fired.sigma.unwrap() > 26.0);
}

#[test]
fn sensors_with_points_of_their_own_have_no_trend() {
    for (points, expected) in [(true, 0), (false, 2)] {
        let mut sim = Sim::started(Rules::default());
        let mut values = vec![("temperature_celsius{sensor=\"cpu\"}", 40.0)];
        values.extend(points.then_some(("temperature_high_celsius{sensor=\"cpu\"}", 90.0)));
        for _ in 0..20 {
            sim.wait(15);
            sim.tick(&values);
        }
        values[0].1 = 70.0;
        sim.wait(15);
        assert_eq!(kinds(&sim.tick(&values)).len(), expected, "points: {points}");
    }
}

#[test]
fn a_trend_is_not_judged_across_a_gap() {
    let mut sim = Sim::started(Rules::default());
    for _ in 0..20 {
        sim.wait(15);
        sim.tick(&[("load1", 1.0)]);
    }
    sim.step(Input::Stopping);
    sim.wait(3600);
    sim.start();
    assert_eq!(kinds(&sim.tick(&[("load1", 9.0)])), Vec::<&str>::new());
    sim.wait(15);
    assert_eq!(kinds(&sim.tick(&[("load1", 9.0)])), ["alert_fired", "message_queued"]);
}

#[test]
fn a_refire_within_the_interval_is_recorded_not_sent() {
    let mut sim = Sim::started(Rules::default());
    assert_eq!(kinds(&sim.tick(FULL)), ["alert_fired", "message_queued"]);
    sim.wait(15);
    assert_eq!(kinds(&sim.tick(ROOM)), ["alert_resolved", "message_queued"]);
    sim.wait(15);
    assert_eq!(kinds(&sim.tick(FULL)), ["alert_fired"]);
    assert_eq!(sim.state.alerts.keys().collect::<Vec<_>>(), [&2]);
    let events = sim.pass_time(3600 - 30);
    assert!(told(&events)[0].starts_with("still (59 min): disk / is 93.4 % full"), "{events:?}");
}

#[test]
fn an_interval_of_zero_records_everything_and_sends_nothing() {
    let mut sim = Sim::started(Rules { repeat_interval: std::time::Duration::ZERO, ..Rules::default() });
    assert_eq!(kinds(&sim.tick(FULL)), ["alert_fired"]);
    assert_eq!(kinds(&sim.pass_time(86_400)), Vec::<&str>::new());
    sim.wait(15);
    assert_eq!(sim.effects(1), []);
}

#[test]
fn acknowledged_alerts_are_quiet_until_they_resolve() {
    let mut sim = Sim::started(Rules::default());
    sim.tick(FULL);
    let answer = sim.ask("ack 1");
    assert_eq!(answer, "Acknowledged #1: no repeats until it resolves.");
    assert_eq!(kinds(&sim.pass_time(86_400)), Vec::<&str>::new());
    assert_eq!(sim.ask("ack 7"), "There is no open alert 7; open: #1.");
}

#[test]
fn a_mute_silences_and_ends_in_one_digest() {
    let mut sim = Sim::started(Rules::default());
    let events = sim.step(Input::Heard { from: Address::bridge(), text: "mute disk for 2h".into() });
    assert_eq!(kinds(&events), ["heard", "muted", "message_queued"]);
    assert_eq!(kinds(&sim.tick(FULL)), ["alert_fired"]);
    assert_eq!(kinds(&sim.pass_time(7199)), Vec::<&str>::new());
    let events = sim.pass_time(1);
    assert_eq!(kinds(&events), ["unmuted", "alert_repeated", "message_queued"]);
    assert!(
        told(&events)[0].starts_with("the mute is over, still wrong:\nstill (2 h): disk / is"),
        "{events:?}"
    );
    assert_eq!(told(&sim.pass_time(3600)).len(), 1, "and repeats as usual after it");
}

#[test]
fn nothing_sent_before_a_restart_is_sent_again_after_it() {
    let mut sim = Sim::started(Rules::default());
    sim.tick(FULL);
    sim.deliver();
    sim.wait(30);
    sim.start();
    sim.deliver();
    for _ in 0..5 {
        sim.wait(15);
        assert_eq!(kinds(&sim.tick(FULL)), Vec::<&str>::new());
    }
    assert_eq!(sim.state.alerts.keys().collect::<Vec<_>>(), [&1], "the alert keeps its number");
}

#[test]
fn a_repeat_waits_for_the_first_tick_after_a_start() {
    let mut sim = Sim::started(Rules::default());
    sim.tick(FULL);
    sim.step(Input::Stopping);
    sim.wait(7200);
    sim.start();
    assert_eq!(systembot_model::due(&sim.state), None);
    let events = sim.tick(ROOM);
    assert_eq!(told(&events), ["resolved after 2 h: disk / is at 50.0 % #1"]);
}

#[test]
fn what_is_unmounted_resolves_but_what_hangs_does_not() {
    for (note, expected) in [(None, 1), (Some("mount /"), 0)] {
        let mut sim = Sim::started(Rules::default());
        sim.tick(FULL);
        let mut resolved = 0;
        for _ in 0..30 {
            sim.wait(15);
            let mut pass = sim.pass(&[("load1", 1.0)]);
            pass.notes.extend(note.map(|subject| systembot_model::sample::Note {
                subject: subject.into(),
                text: "hangs".into(),
            }));
            let events = sim.step(Input::Sampled(Box::new(pass)));
            resolved += kinds(&events).iter().filter(|kind| **kind == "alert_resolved").count();
        }
        assert_eq!(resolved, expected, "{note:?}");
    }
}

fn watching(service: &str) -> Rules {
    Rules { services: vec![Service { name: service.into(), ..Service::default() }], ..Rules::default() }
}

/// Defect 4 of the original: it told a dead process every few seconds.
#[test]
fn a_missing_service_is_told_once_and_its_return_too() {
    let mut sim = Sim::started(watching("test_bot"));
    let mut at = |missing: &[&str]| {
        sim.wait(15);
        let mut pass = sim.pass(&[("load1", 1.0)]);
        pass.missing = missing.iter().map(ToString::to_string).collect();
        if missing.is_empty() {
            let seen = Seen { pid: Some(7), started: 9, since: pass.at };
            pass.services = vec![Found { service: "test_bot".into(), seen }];
        }
        let events = sim.step(Input::Sampled(Box::new(pass)));
        (kinds(&events).join(" "), told(&events).join("|"))
    };
    assert_eq!(at(&[]).0, "service_seen");
    assert_eq!(
        at(&["test_bot"]),
        ("service_missing alert_fired message_queued".into(), "service test_bot is not running #1".into())
    );
    assert_eq!(at(&["test_bot"]).0, "");
    assert_eq!(
        at(&[]),
        (
            "service_recovered alert_resolved message_queued".into(),
            "resolved after 30 s: service test_bot is running again (pid 7) #1".into()
        )
    );
}

#[test]
fn a_service_that_is_watched_no_more_is_not_said_to_run_again() {
    let mut sim = Sim::started(watching("test_bot"));
    let mut pass = sim.pass(&[("load1", 1.0)]);
    pass.missing = vec!["test_bot".into()];
    sim.step(Input::Sampled(Box::new(pass)));
    sim.rules.services.clear();
    sim.wait(60);
    sim.start();
    let events = sim.tick(&[("load1", 1.0)]);
    assert_eq!(kinds(&events), ["alert_resolved", "message_queued"]);
    assert_eq!(told(&events), ["resolved after 1 min: service test_bot is no longer watched #1"]);
    assert!(sim.state.missing.is_empty());
}

#[test]
fn high_stays_silent_until_critical_is_over() {
    let mut sim = Sim::started(Rules::default());
    let mut at = |celsius| sensor(&mut sim, celsius);
    assert!(at(105.0).starts_with("sensor cpu is critically hot"));
    assert_eq!(at(99.0), "", "between the two, the critical alert is firing still");
    assert_eq!(
        at(97.0),
        "resolved after 30 s: sensor cpu is at 97.0 °C (206.6 °F) #1\n\
         sensor cpu is hot: 97.0 °C (206.6 °F), its high point is 80.0 °C (176.0 °F) #2"
    );
}

#[test]
fn limits_at_the_end_of_their_range_still_resolve() {
    for (id, bad, good, rules) in [
        ("disk_used_percent{mount=\"/\"}", 1.0, 0.0, Rules { disk_used_percent: 0.0, ..Rules::default() }),
        ("cpu_idle_percent", 99.0, 100.0, Rules { cpu_idle_percent: 100.0, ..Rules::default() }),
    ] {
        let mut sim = Sim::started(rules);
        for _ in 0..4 {
            sim.tick(&[(id, bad)]);
            sim.wait(15);
        }
        assert_eq!(sim.state.alerts.len(), 1, "{id}");
        sim.tick(&[(id, good)]);
        assert_eq!(sim.state.alerts.len(), 0, "{id}");
    }
}

/// A share of CPU time is a difference from the tick before, and that lies before the sleep.
#[test]
fn cpu_time_is_not_judged_across_a_gap() {
    let mut sim = Sim::started(Rules::default());
    let busy = [("cpu_idle_percent", 1.0)];
    sim.tick(&[("cpu_idle_percent", 90.0)]);
    sim.wait(7200);
    let mut pass = sim.pass(&busy);
    pass.asleep = std::time::Duration::from_secs(7185);
    pass.elapsed = Some(std::time::Duration::from_secs(15));
    sim.step(Input::Sampled(Box::new(pass)));
    let mut after = |seconds| {
        sim.wait(seconds);
        kinds(&sim.tick(&busy)).len()
    };
    assert_eq!([after(15), after(15), after(15)], [0, 0, 2], "30 s from the first tick that is judged");
}

#[test]
fn an_unmounted_disk_is_not_given_up_for_the_time_nobody_looked() {
    let mut sim = Sim::started(Rules::default());
    sim.tick(FULL);
    sim.step(Input::Stopping);
    sim.wait(7200);
    sim.start();
    let mut resolved_after = 0;
    for tick in 1..=30 {
        let events = sim.tick(&[("load1", 1.0)]);
        if kinds(&events).contains(&"alert_resolved") {
            resolved_after = tick;
            break;
        }
        sim.wait(15);
    }
    assert_eq!(resolved_after, 21, "5 min after the start");
}

#[test]
fn a_note_about_another_mount_does_not_hold_an_alert() {
    let mut sim = Sim::started(Rules::default());
    sim.tick(&[("disk_used_percent{mount=\"/data\"}", 99.0)]);
    let mut resolved = false;
    for _ in 0..30 {
        sim.wait(15);
        let mut pass = sim.pass(&[("load1", 1.0)]);
        let note = systembot_model::sample::Note { subject: "mount /mnt/data".into(), text: "hangs".into() };
        pass.notes.push(note);
        resolved |= kinds(&sim.step(Input::Sampled(Box::new(pass)))).contains(&"alert_resolved");
    }
    assert!(resolved);
}

#[test]
fn a_clock_that_is_set_neither_hastens_nor_delays_a_repeat() {
    for by in [-86_400, 86_400] {
        let mut sim = Sim::started(Rules::default());
        sim.tick(FULL);
        sim.now = Timestamp::from_ms(sim.now.as_ms() + (by + 15) * 1000);
        let mut pass = sim.pass(FULL);
        pass.elapsed = Some(std::time::Duration::from_secs(15));
        sim.step(Input::Sampled(Box::new(pass)));
        assert_eq!(told(&sim.pass_time(3600 - 16)).len(), 0, "{by}");
        assert_eq!(told(&sim.pass_time(1)).len(), 1, "{by}");
    }
}

#[test]
fn a_boot_with_the_clock_far_behind_does_not_silence_what_goes_on() {
    let mut sim = Sim::started(Rules::default());
    sim.tick(FULL);
    sim.step(Input::Stopping);
    let behind = 365 * 86_400;
    sim.now = Timestamp::from_ms(sim.now.as_ms() - behind * 1000);
    sim.start();
    sim.tick(FULL);
    // The clock is set right.
    sim.now = Timestamp::from_ms(sim.now.as_ms() + (behind + 15) * 1000);
    let mut pass = sim.pass(FULL);
    pass.elapsed = Some(std::time::Duration::from_secs(15));
    sim.step(Input::Sampled(Box::new(pass)));
    assert_eq!(told(&sim.pass_time(3600)).len(), 1, "the repeat");
    sim.tick(ROOM);
    sim.wait(7200);
    assert_eq!(told(&sim.tick(FULL)).len(), 1, "and what fires anew");
}

#[test]
fn a_mute_that_ended_while_the_bot_was_off_tells_nothing_stale() {
    let mut sim = Sim::started(Rules::default());
    sim.ask("mute disk for 1h");
    sim.tick(FULL);
    sim.step(Input::Stopping);
    sim.wait(7200);
    sim.start();
    assert_eq!(systembot_model::due(&sim.state), None, "nobody knows yet what is wrong");
    assert_eq!(told(&sim.step(Input::Woken)), Vec::<&str>::new());
    assert_eq!(told(&sim.tick(ROOM)), Vec::<&str>::new());
    assert_eq!(kinds(&sim.step(Input::Woken)), ["unmuted"]);
}

#[test]
fn unmuting_ends_in_the_same_digest_and_once() {
    let mut sim = Sim::started(Rules::default());
    sim.ask("mute disk for 5h");
    sim.tick(FULL);
    assert_eq!(told(&sim.pass_time(7200)).len(), 0);
    let expected = "still (2 h): disk / is 93.4 % full: 18.68 GiB of 20.00 GiB used, 1.32 GiB free #1";
    assert_eq!(
        sim.ask("unmute disk"),
        format!("the mute is over, still wrong:\n{expected}\n--\nUnmuted disk.")
    );
    assert_eq!(told(&sim.pass_time(3599)).len(), 0, "told just now");
    assert_eq!(told(&sim.pass_time(1)).len(), 1);
}

#[test]
fn somebody_at_a_shell_who_unmutes_sees_what_is_wrong_and_the_owner_is_told() {
    let mut sim = Sim::started(Rules::default());
    sim.ask("mute all for 5h");
    sim.tick(FULL);
    let now = systembot_model::LocalTime::utc(sim.now);
    let answer = systembot_model::command::answer(&sim.state, &now, &Address::console(), "unmute");
    let systembot_model::command::Reply::Text(text) = answer.reply else { panic!("{answer:?}") };
    assert!(text.starts_with("Unmuted all. Still wrong:\nstill (0 s): disk / is 93.4 %"), "{text}");
    assert_eq!(kinds(&answer.events), ["unmuted", "alert_repeated", "message_queued"]);
}

#[test]
fn an_acknowledgement_goes_with_its_alert() {
    let mut sim = Sim::started(Rules::default());
    sim.tick(FULL);
    sim.ask("ack");
    sim.pass_time(7200);
    sim.tick(FULL);
    sim.wait(15);
    assert!(told(&sim.tick(ROOM))[0].starts_with("resolved after 2 h"));
    sim.wait(15);
    assert_eq!(told(&sim.tick(FULL)).len(), 1, "a new alert, the last one told two hours ago");
    assert_eq!(told(&sim.pass_time(3600)).len(), 1, "which repeats");
}

#[test]
fn a_pass_that_is_early_by_milliseconds_does_not_put_an_alert_off() {
    let busy = &[("cpu_idle_percent", 1.0)];
    let mut sim = Sim::started(Rules::default());
    sim.tick(busy);
    sim.tick(busy);
    let began = sim.now;
    let mut fired = Vec::new();
    for ms in [15_000, 29_974] {
        sim.now = Timestamp::from_ms(began.as_ms() + ms);
        fired.push(told(&sim.tick(busy)).len());
    }
    assert_eq!(fired, [0, 1]);
}

/// Sets the clock between two passes.
fn stepped(sim: &mut Sim, by_s: i64, values: &[(&str, f64)]) -> Vec<Event> {
    sim.wait(15);
    let mut pass = sim.pass(values);
    sim.now = Timestamp::from_ms(sim.now.as_ms() + by_s * 1000);
    pass.at = sim.now;
    let events = sim.step(Input::Sampled(Box::new(pass)));
    assert!(kinds(&events).contains(&"clock_stepped"), "{events:?}");
    // The next pass comes 15 s after this one.
    sim.pass(values);
    events
}

#[test]
fn a_mute_lasts_as_long_as_was_asked_for_whatever_the_clock() {
    for by_s in [5 * 86_400, -5 * 86_400] {
        let mut sim = Sim::started(Rules::default());
        sim.tick(&[("load1", 1.0)]);
        sim.ask("mute disk for 2h");
        stepped(&mut sim, by_s, &[("load1", 1.0)]);
        assert!(!kinds(&sim.pass_time(7_000)).contains(&"unmuted"), "{by_s}");
        assert!(kinds(&sim.pass_time(300)).contains(&"unmuted"), "{by_s}");
    }
    // And a boot with a clock that is years behind does not make it last for years.
    let mut sim = Sim::started(Rules::default());
    sim.ask("mute disk for 2h");
    sim.now = Timestamp::from_ms(60_000);
    sim.start();
    sim.tick(&[("load1", 1.0)]);
    assert!(kinds(&sim.pass_time(7_300)).contains(&"unmuted"));
}

#[test]
fn what_is_unmounted_resolves_though_the_clock_was_set_back() {
    let mut sim = Sim::started(Rules::default());
    sim.tick(&[("load1", 1.0), FULL[0]]);
    stepped(&mut sim, 5 * 86_400, &[("load1", 1.0), FULL[0]]);
    stepped(&mut sim, -5 * 86_400, &[("load1", 1.0), FULL[0]]);
    let mut resolved = Vec::new();
    for tick in 0..30 {
        sim.wait(15);
        if kinds(&sim.tick(&[("load1", 1.0)])).contains(&"alert_resolved") {
            resolved.push(tick);
        }
    }
    assert_eq!(resolved, [19], "after five minutes, as ever");

    sim.tick(&[("load1", 1.0), FULL[0]]);
    stepped(&mut sim, -5 * 86_400, &[("load1", 1.0)]);
    let mut events = Vec::new();
    (0..30).for_each(|_| {
        sim.wait(15);
        events.extend(sim.tick(&[("load1", 1.0)]));
    });
    assert!(kinds(&events).contains(&"alert_resolved"), "it went with the step");
}
