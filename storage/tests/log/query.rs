//! The answers: the same from the ring, from chunks, and after the log was opened again.

use systembot_model::{Event, Pattern, Rules, Seq, Series, Timestamp, event::Fired, judge::RuleKind};
use systembot_storage::query::{History, Request, Row, Step};

use crate::world::{World, at, sampled};

/// Ticks each 15 s from 0: load1 counts up, load5 only in every second tick.
fn world(ticks: i64) -> World {
    let mut world = World::new();
    for i in 0..ticks {
        let value = f64::from(i32::try_from(i).unwrap());
        let readings = [("load1", value), ("load5", -value)];
        world.tick(i * 15_000, &readings[..if i % 2 == 0 { 2 } else { 1 }]);
    }
    world
}

fn history(pattern: &str) -> History {
    History {
        patterns: vec![Pattern::new(pattern)],
        since: Timestamp::MIN,
        until: Timestamp::MAX,
        step: None,
        limit: None,
    }
}

/// The rows behind the names, with the world as it is and opened again.
fn rows(world: &mut World, history: &History) -> Vec<Row> {
    let request = Request::History(history.clone());
    let mut rows = world.ask(&request);
    world.reopen();
    assert_eq!(world.ask(&request), rows);
    assert!(matches!(rows.remove(0), Row::Names(_)));
    rows
}

fn point(seconds: i64, series: u32, value: f64) -> Row {
    Row::Point { at: at(seconds * 1_000), series, value }
}

#[test]
fn samples_come_by_time_then_series_and_a_limit_keeps_the_newest() {
    let mut world = world(600);
    let all = rows(&mut world, &history("load*"));
    assert_eq!(all.len(), 900);
    assert_eq!(all[..4], [point(0, 0, 0.0), point(0, 1, -0.0), point(15, 0, 1.0), point(30, 0, 2.0)]);
    let newest = rows(&mut world, &History { limit: Some(4), ..history("load*") });
    assert_eq!(newest, all[896..]);
    let some = rows(&mut world, &History { since: at(30_000), until: at(60_000), ..history("load1") });
    assert_eq!(some, [point(30, 0, 2.0), point(45, 0, 3.0)], "until is exclusive");
    assert_eq!(rows(&mut world, &History { limit: Some(0), ..history("load1") }), []);
}

#[test]
fn buckets_are_aligned_to_the_epoch_or_begin_where_told() {
    let mut world = world(600);
    let step = Some(Step::Every(60_000));
    let minutes = rows(&mut world, &History { since: at(45_000), step: step.clone(), ..history("load1") });
    assert_eq!(minutes.len(), 150);
    let bucket = |at_ms, values: [f64; 5], count| {
        let [mean, min, max, last, _] = values;
        Row::Bucket { at: at(at_ms), series: 0, mean, min, max, last, count }
    };
    assert_eq!(minutes[0], bucket(0, [3.0, 3.0, 3.0, 3.0, 0.0], 1), "the bucket's begin, not the question's");
    assert_eq!(minutes[1], bucket(60_000, [5.5, 4.0, 7.0, 7.0, 0.0], 4));
    let newest = rows(&mut world, &History { step, limit: Some(2), since: at(45_000), ..history("load1") });
    assert_eq!(newest, minutes[148..]);
    let days = Some(Step::At(vec![at(30_000), at(90_000)]));
    let days = rows(&mut world, &History { step: days, ..history("load1") });
    assert_eq!(days[0], bucket(30_000, [3.5, 2.0, 5.0, 5.0, 0.0], 4));
    assert_eq!(days.len(), 2);
}

#[test]
fn a_trend_is_the_newest_value_against_the_window_before_it() {
    let mut world = World::new();
    for (i, value) in (0_i64..).zip([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0, 15.0]) {
        world.tick(i * 1_000, &[("load1", value)]);
    }
    let found = world.ask(&Request::Trends { patterns: Vec::new() });
    let [Row::Trend(trend)] = found.as_slice() else { panic!("{found:?}") };
    // Of the eight before: mean 5, sample standard deviation sqrt(32 / 7).
    let sigma = 10.0 / (32.0_f64 / 7.0).sqrt();
    assert!((trend.sigma.unwrap() - sigma).abs() < 1e-9, "{trend:?}");
    assert_eq!((trend.count, trend.last), (9, 15.0));
    assert_eq!(world.ask(&Request::Trends { patterns: vec![Pattern::new("disk*")] }), []);
}

#[test]
fn events_are_chosen_by_time_kind_and_number() {
    let mut world = World::new();
    for i in 0..5_i64 {
        let noted = Event::Noted { subject: format!("n{i}"), text: "t".into() };
        world.log().append(at(i * 1_000), vec![sampled(&[("load1", 1.0)]), noted, Event::Stopped]).unwrap();
    }
    let request = |since, kinds: &[&str], after| Request::Events {
        since: at(since),
        until: at(4_000),
        kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        after: Seq::new(after),
    };
    assert_eq!(world.ask(&request(0, &[], 0)).len(), 8, "no samples, and until is exclusive");
    assert_eq!(world.ask(&request(2_000, &["noted"], 0)).len(), 2);
    assert_eq!(world.ask(&request(0, &["stopped"], 9)).len(), 1);
    assert_eq!(world.ask(&Request::Why { id: 1 }), []);
    let series = world.ask(&Request::Series);
    let [Row::Series(info)] = series.as_slice() else { panic!("{series:?}") };
    assert_eq!((info.series.clone(), info.samples, info.last), (Series::new("load1"), 5, at(4_000)));
}

#[test]
fn an_alert_that_does_not_come_out_again_is_a_fault() {
    let fired = |id, value, limit| {
        let rule = RuleKind::DiskFull;
        Event::AlertFired(Fired {
            id,
            rule: rule.name().into(),
            rule_version: rule.version(),
            configured: Seq::new(1),
            series: Series::parse(DISK).unwrap(),
            severity: rule.severity(),
            since: at(0),
            value: Some(value),
            limit: Some(limit),
            mean: None,
            stdev: None,
            sigma: None,
            length: 0,
            message: "full".into(),
            told: true,
        })
    };
    let mut world = World::new();
    world.log().append(at(0), vec![Event::Configured { rules: Rules::default().to_json() }]).unwrap();
    let steps = [(95.0, fired(1, 95.0, 90.0)), (80.0, fired(2, 80.0, 90.0)), (97.0, fired(3, 96.0, 90.0))];
    for (value, alert) in steps {
        world.log().append(at(1_000), vec![sampled(&[(DISK, value)]), alert]).unwrap();
    }
    let later = Event::AlertFired(Fired { rule_version: 9, ..fired_of(fired(4, 1.0, 1.0)) });
    world.log().append(at(2_000), vec![sampled(&[(DISK, 1.0)]), later]).unwrap();
    let rows = world.ask(&Request::Verify);
    let [Row::Verified(verified)] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((verified.alerts, verified.recomputed), (4, 1));
    let numbers: Vec<&str> = verified.faults.iter().map(|fault| fault.split(':').next().unwrap()).collect();
    assert_eq!(numbers, ["5", "7"], "below the limit, and not the value that was read");
}

const DISK: &str = "disk_used_percent{mount=\"/\"}";

fn fired_of(event: Event) -> Fired {
    let Event::AlertFired(fired) = event else { panic!("{event:?}") };
    fired
}
