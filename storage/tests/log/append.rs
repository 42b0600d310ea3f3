//! What is appended comes back.

use std::os::unix::fs::PermissionsExt;

use systembot_model::{Event, Seq};
use systembot_storage::{Error, EventFilter, Log};

use crate::world::{World, at, patiently, sampled, sorted};

#[test]
fn records_are_numbered_and_come_back_after_a_reopen() {
    let mut world = World::new();
    let first = world
        .log()
        .append(at(1_000), vec![sampled(&[("load1", 0.5), ("load5", 0.25)]), Event::Stopped])
        .unwrap();
    let second =
        world.log().append(at(500), vec![sampled(&[]), Event::ClockStepped { by_ms: -500 }]).unwrap();
    let appended: Vec<_> = first.records.into_iter().chain(second.records).map(sorted).collect();
    assert_eq!(appended.iter().map(|r| r.seq.get()).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(world.records(0), appended);
    world.reopen();
    assert_eq!(world.records(0), appended);
    assert_eq!(world.records(2), appended[2..]);
    let third = world.log().append(at(2_000), vec![Event::Stopped]).unwrap();
    assert_eq!(third.records[0].seq, Seq::new(5));
}

#[test]
fn a_record_tells_what_is_kept() {
    let mut world = World::new();
    let mut event = sampled(&[("load1", 1.0), ("load1", 2.0), ("load5", 3.0)]);
    if let Event::Sampled(sample) = &mut event {
        sample.readings[2].value = f64::NAN;
    }
    let records = world.log().append(at(0), vec![event]).unwrap().records;
    assert_eq!(records[0].event, sampled(&[("load1", 1.0)]));
    assert_eq!(world.records(0), records);
}

#[test]
fn nothing_is_shown_that_is_not_appended_and_no_event_is_lost_between_seals() {
    let mut world = World::new();
    let mut appended = Vec::new();
    let mut seals = 0;
    for i in 0..1_000 {
        let mut events = Vec::new();
        if i % 7 == 3 {
            events.push(Event::Noted { subject: format!("n{i}"), text: "x".repeat(50) });
        }
        if i % 11 != 4 {
            let value = f64::from(i) / 4.0;
            events.push(if i % 50 == 0 { sampled(&[]) } else { sampled(&[("load1", value), ("a", -value)]) });
        }
        let done = world.log().append(at(i64::from(i) * 15_000), events).unwrap();
        assert!(done.problem.is_none());
        seals += u32::from(done.sealed);
        appended.extend(done.records.into_iter().map(sorted));
        if i % 333 == 0 {
            world.reopen();
        }
    }
    assert!(seals >= 3, "{seals}");
    assert_eq!(world.records(0), appended);
    for after in [1, 100, 250, 251, 700, 1_020] {
        let later: Vec<_> = appended.iter().filter(|r| r.seq.get() > after).cloned().collect();
        assert_eq!(world.records(after), later, "after {after}");
    }
}

#[test]
fn wide_ticks_leave_no_blobs() {
    let mut world = World::new();
    let names: Vec<String> = (0..1_200).map(|i| format!("metric_{i}")).collect();
    let mut noise = 1_u64;
    let mut last = Vec::new();
    for i in 0..490_i64 {
        let readings: Vec<(&str, f64)> = names
            .iter()
            .map(|name| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (name.as_str(), f64::from_bits((noise >> 2) | (1 << 61)))
            })
            .take(if i % 100 < 50 { 1_200 } else { 3 })
            .collect();
        world.tick(i * 1_000, &readings);
        last = readings.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    }
    assert_eq!(world.blobs(), 0);
    world.reopen();
    assert_eq!(world.blobs(), 0);
    let records = world.records(489);
    let Event::Sampled(sample) = &records[0].event else { panic!() };
    assert_eq!(sample.readings.len(), 3);
    assert_eq!(sample.value("metric_0"), Some(last[0].1));
    let expected = 490 / 100 * 50 * 1_203 + 50 * 1_200 + 40 * 3;
    assert_eq!(world.reader().samples().unwrap(), expected);
}

#[test]
fn large_events_are_kept_whole_and_larger_ones_refused() {
    let mut world = World::new();
    let rules = |n: usize| Event::Configured { rules: "r".repeat(n) };
    world.log().append(at(0), vec![rules(50_000), Event::Stopped]).unwrap();
    let refused = world.log().append(at(0), vec![Event::Stopped, rules(300_000)]).unwrap_err();
    assert!(matches!(refused, Error::TooLarge { .. }), "{refused}");
    world.log().append(at(0), vec![rules(7_000)]).unwrap();
    world.reopen();
    let events: Vec<Event> = world.records(0).into_iter().map(|r| r.event).collect();
    assert_eq!(events, [rules(50_000), Event::Stopped, rules(7_000)]);
    let newest = world.reader().events(EventFilter::default()).unwrap().next_back().unwrap().unwrap();
    assert_eq!(newest.event, rules(7_000));
    assert_eq!(world.reader().event(Seq::new(1)).unwrap().unwrap().event, rules(50_000));
    assert_eq!(world.blobs(), 0);
}

#[test]
fn a_second_one_is_locked_out_and_the_directory_is_private() {
    let mut world = World::new();
    let refused = Log::open(&world.data().join("log")).err().unwrap();
    assert!(matches!(refused, Error::Locked { .. }), "{refused}");
    assert!(refused.to_string().contains("data/log is in use"), "{refused}");
    for dir in [world.data(), world.data().join("log")] {
        assert_eq!(std::fs::metadata(dir).unwrap().permissions().mode() & 0o777, 0o700);
    }
    world.close();
    assert!(patiently(|| Log::open(&world.data().join("log"))).is_ok());
}

#[test]
fn a_log_that_is_opened_again_goes_on_where_the_last_append_ended() {
    let mut world = World::new();
    for i in 0..300 {
        world.tick(i * 1_000, &[("load1", 1.0)]);
    }
    let reader = world.reader();
    assert!(matches!(world.log().reopen(), Err(Error::Locked { .. })), "a reader holds the lock");
    assert!(matches!(world.log().append(at(0), vec![Event::Stopped]), Err(Error::Failed { .. })));
    assert!(matches!(world.reader().records(Seq::ZERO), Err(Error::Failed { .. })));
    drop(reader);
    world.log().reopen().unwrap();
    world.tick(300_000, &[("load1", 2.0)]);
    assert_eq!(world.records(0).len(), 301);
}
