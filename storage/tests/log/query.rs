//! The answers, from a log that was just written and from one that was opened again.

use std::{collections::BTreeMap, net::IpAddr};

use systembot_model::{
    Address, Event, Message, Pattern, Rules, Seq, Series, State, Timestamp,
    event::{BlindReason, Fired, MessageKind},
    judge::RuleKind,
    rules::Severity,
    window::Trend,
};
use systembot_storage::query::{Basis, History, Request, Row, Status, Step, Why};

use crate::world::{World, asked, at, sampled};

const HOUR_MS: i64 = 3_600_000;

/// What is asked gives the same rows before and after the log is opened again, with its state folded anew.
fn check(world: &mut World, request: &Request, expected: &[Row]) {
    for times in ["at first", "after a reopen"] {
        let state = world.log().load_state().unwrap();
        let rows = asked(&world.reader(), &state, request);
        assert_eq!(rows, expected, "{times}: {request:?}");
        world.reopen();
    }
}

fn history(pattern: &str) -> History {
    let patterns = vec![Pattern::new(pattern)];
    History { patterns, since: Timestamp::MIN, until: Timestamp::MAX, step: None, limit: None, newest: false }
}

fn names(ids: &[&str]) -> Row {
    Row::Names(ids.iter().map(|id| Series::parse(id).unwrap()).collect())
}

fn point(at_ms: i64, series: u32, value: f64) -> Row {
    Row::Point { at: at(at_ms), series, value }
}

/// A bucket: begin and series, then mean, least, greatest and newest value, and how many.
fn bucket(at_ms: i64, series: u32, [mean, min, max, last]: [f64; 4], count: u64) -> Row {
    Row::Bucket { at: at(at_ms), series, mean, min, max, last, count, from: Basis::Samples }
}

#[test]
fn history_is_in_order_of_time_then_series_and_leaves_out_its_end() {
    let mut world = World::new();
    world.tick(1_000, &[("load5", 5.0), ("load1", 1.0), ("load15", 15.0)]);
    world.tick(2_000, &[("load5", 5.5)]);
    world.tick(3_000, &[("load1", 3.0), ("load5", 6.0)]);
    let all = [
        names(&["load1", "load15", "load5"]),
        point(1_000, 0, 1.0),
        point(1_000, 1, 15.0),
        point(1_000, 2, 5.0),
        point(2_000, 2, 5.5),
        point(3_000, 0, 3.0),
        point(3_000, 2, 6.0),
    ];
    check(&mut world, &Request::History(history("load")), &all);
    let some = History { since: at(1_000), until: at(3_000), ..history("load1") };
    check(&mut world, &Request::History(some), &[names(&["load1"]), point(1_000, 0, 1.0)]);
    let newest = History { limit: Some(3), ..history("load") };
    check(&mut world, &Request::History(newest), &[&all[..1], &all[4..]].concat());
    let none = History { since: at(3_001), ..history("load") };
    check(&mut world, &Request::History(none), &all[..1]);
    let backwards = History { since: at(3_000), until: at(1_000), ..history("load") };
    check(&mut world, &Request::History(backwards), &all[..1]);
    check(&mut world, &Request::History(history("nothing")), &[names(&[])]);
}

#[test]
fn buckets_are_aligned_to_the_epoch_and_summed_up() {
    let mut world = World::new();
    // The first minute begins before the first sample, and one lies before the epoch.
    for (ms, value) in
        [(-1, 7.0), (59_999, 1.0), (60_000, 2.0), (75_000, 6.0), (119_999, 4.0), (180_000, 8.0)]
    {
        world.tick(ms, &[("load1", value)]);
    }
    world.tick(180_001, &[("load5", 3.0)]);
    let step = Some(Step::Every(60_000));
    let all = [
        names(&["load1", "load5"]),
        bucket(-60_000, 0, [7.0, 7.0, 7.0, 7.0], 1),
        bucket(0, 0, [1.0, 1.0, 1.0, 1.0], 1),
        bucket(60_000, 0, [4.0, 2.0, 6.0, 4.0], 3),
        bucket(180_000, 0, [8.0, 8.0, 8.0, 8.0], 1),
        bucket(180_000, 1, [3.0, 3.0, 3.0, 3.0], 1),
    ];
    check(&mut world, &Request::History(History { step: step.clone(), ..history("load") }), &all);
    // What is asked for may begin and end within a bucket; its begin is told all the same.
    let part = History { since: at(60_001), until: at(119_999), step: step.clone(), ..history("load1") };
    let expected = [names(&["load1"]), bucket(60_000, 0, [6.0, 6.0, 6.0, 6.0], 1)];
    check(&mut world, &Request::History(part), &expected);
    let newest = History { step, limit: Some(3), ..history("load") };
    check(&mut world, &Request::History(newest), &[&all[..1], &all[3..]].concat());
}

#[test]
fn whole_days_begin_where_the_asking_side_says() {
    let mut world = World::new();
    // Midnights of a zone one hour east of UTC; the second day has 23 hours.
    let starts: Vec<Timestamp> = [-1, 23, 46, 70].map(|hour| at(hour * HOUR_MS)).to_vec();
    for hour in -3_i32..75 {
        world.tick(i64::from(hour) * HOUR_MS, &[("load1", f64::from(hour))]);
    }
    let step = Some(Step::At(starts.clone()));
    let all = [
        names(&["load1"]),
        bucket(-HOUR_MS, 0, [10.5, -1.0, 22.0, 22.0], 24),
        bucket(23 * HOUR_MS, 0, [34.0, 23.0, 45.0, 45.0], 23),
        bucket(46 * HOUR_MS, 0, [57.5, 46.0, 69.0, 69.0], 24),
        bucket(70 * HOUR_MS, 0, [72.0, 70.0, 74.0, 74.0], 5),
    ];
    check(&mut world, &Request::History(History { step: step.clone(), ..history("load1") }), &all);
    let newest = History { step, limit: Some(2), ..history("load1") };
    check(&mut world, &Request::History(newest), &[&all[..1], &all[3..]].concat());
    let none = History { step: Some(Step::At(Vec::new())), ..history("load1") };
    check(&mut world, &Request::History(none), &all[..1]);
}

/// The rows that a history must have, the slow way: `samples` in order of time and series.
fn rows_of(samples: &[(i64, u32, f64)], asked: &History) -> Vec<Row> {
    let begin = |at_ms: i64| match &asked.step {
        None => Some(at_ms),
        Some(Step::Every(ms)) => Some(at_ms.div_euclid(*ms) * ms),
        Some(Step::At(starts)) => {
            starts.iter().rev().map(|start| start.as_ms()).find(|start| *start <= at_ms)
        }
    };
    let mut buckets: BTreeMap<(i64, u32), Vec<f64>> = BTreeMap::new();
    for (ms, series, value) in samples {
        if asked.since <= at(*ms)
            && at(*ms) < asked.until
            && let Some(begin) = begin(*ms)
        {
            buckets.entry((begin, *series)).or_default().push(*value);
        }
    }
    let rows = buckets.into_iter().map(|((begin, series), values)| {
        let [last] = values[values.len() - 1..] else { unreachable!() };
        if asked.step.is_none() {
            return point(begin, series, last);
        }
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let count = u64::try_from(values.len()).unwrap();
        let mean = values.iter().sum::<f64>() / f64::from(u32::try_from(count).unwrap());
        bucket(begin, series, [mean, least, most, last], count)
    });
    let rows: Vec<Row> = rows.collect();
    let skip = rows.len().saturating_sub(asked.limit.unwrap_or(usize::MAX));
    rows[skip..].to_vec()
}

#[test]
fn any_span_step_and_limit_give_the_rows_of_a_plain_count() {
    let mut world = World::new();
    let mut samples = Vec::new();
    let mut now = 1_795_346_634_007_i64;
    for i in 0..700_i32 {
        // Some holes, one of them of days.
        now += if i % 97 == 96 { 5_000_000 } else { 15_000 };
        now += if i == 350 { 200_000_000 } else { 0 };
        let value = f64::from(i) / 8.0;
        let mut readings = vec![("load1", value)];
        if i % 3 != 0 {
            readings.push(("load15", -value));
        }
        samples.extend((0_u32..).zip(&readings).map(|(series, (_, value))| (now, series, *value)));
        world.tick(now, &readings);
    }
    let (first, last) = (samples[0].0, samples[samples.len() - 1].0);
    // Within a chunk, and with samples of both series.
    let middle = samples[samples.len() / 2 + 31].0;
    let days: Vec<Timestamp> = (0..9).map(|day| at(first - 40_000_000 + day * 24 * HOUR_MS)).collect();
    let steps = [None, Some(Step::Every(60_000)), Some(Step::Every(HOUR_MS)), Some(Step::At(days))];
    for (since, until) in [(i64::MIN, i64::MAX), (first, last), (middle, last + 1), (first + 1, middle)] {
        for step in &steps {
            for limit in [None, Some(1), Some(2), Some(7), Some(100), Some(601), Some(10_000)] {
                let history = History {
                    since: at(since),
                    until: at(until),
                    step: step.clone(),
                    limit,
                    newest: step.is_some(),
                    ..history("load")
                };
                let expected = [vec![names(&["load1", "load15"])], rows_of(&samples, &history)].concat();
                let mut rows = asked(&world.reader(), &State::default(), &Request::History(history.clone()));
                for row in &mut rows {
                    // The figures are the same, whatever they are computed from.
                    if let Row::Bucket { from, .. } = row {
                        *from = Basis::Samples;
                    }
                }
                assert_eq!(rows, expected, "{history:?}");
            }
        }
    }
    let nothing = History { limit: Some(0), ..history("load") };
    check(&mut world, &Request::History(nothing), &[names(&["load1", "load15"])]);
}

#[test]
fn an_answer_ends_where_no_more_is_wanted() {
    let mut world = World::new();
    for i in 0..50 {
        world.tick(i * 1_000, &[("load1", 1.0)]);
        world.log().append(at(i * 1_000), vec![Event::Stopped]).unwrap();
    }
    let events = Request::Events { since: at(0), until: at(9_000), kinds: Vec::new(), after: Seq::ZERO };
    for request in [Request::History(history("load1")), events] {
        let mut taken = 0;
        let mut sink = |_| {
            taken += 1;
            if taken < 5 { Ok(()) } else { Err(systembot_storage::query::Stop) }
        };
        systembot_storage::query::answer(&world.reader(), &State::default(), &request, &mut sink).unwrap();
        assert_eq!(taken, 5, "{request:?}");
    }
}

#[test]
fn sigma_tells_the_last_value_from_the_window_before_it() {
    let mut world = World::new();
    for (i, value) in (0_i64..).zip([1.0, 3.0, 1.0, 3.0, 8.0]) {
        world.tick(i * 15_000, &[("load1", value), ("load5", 2.0)]);
    }
    world.tick(75_000, &[("load15", 4.0)]);
    let trend = |id: &str, count, mean, stdev, last, sigma| {
        Row::Trend(Trend { series: Series::parse(id).unwrap(), count, mean, stdev, last, sigma })
    };
    // Squares from the mean of all: 4.84 + 0.04 + 4.84 + 0.04 + 23.04; of those before the last: 1 each.
    let load1 =
        trend("load1", 5, 3.2, Some((32.8_f64 / 4.0).sqrt()), 8.0, Some(6.0 / (4.0_f64 / 3.0).sqrt()));
    let others = [trend("load15", 1, 4.0, None, 4.0, None), trend("load5", 5, 2.0, Some(0.0), 2.0, None)];
    let [Row::Trend(expected)] = [load1] else { unreachable!() };
    let state = world.log().load_state().unwrap();
    let rows = asked(&world.reader(), &state, &Request::Trends { patterns: Vec::new() });
    let Row::Trend(found) = &rows[0] else { panic!("{rows:?}") };
    let close = |a: Option<f64>, b: Option<f64>| (a.unwrap() - b.unwrap()).abs() < 1e-12;
    assert!(close(found.stdev, expected.stdev) && close(found.sigma, expected.sigma), "{found:?}");
    assert_eq!((found.count, found.mean, found.last), (5, 3.2, 8.0));
    assert_eq!(rows[1..], others);
    check(&mut world, &Request::Trends { patterns: Vec::new() }, &rows);
    let patterns = vec![Pattern::new("load15"), Pattern::new("load5")];
    check(&mut world, &Request::Trends { patterns }, &others);
}

#[test]
fn a_window_has_the_newest_samples_over_ring_and_chunks() {
    let mut world = World::new();
    let rules = Rules { maximum_length: 300, ..Rules::default() };
    world.log().append(at(0), vec![Event::Configured { rules: rules.to_json() }]).unwrap();
    for i in 0..500 {
        world.tick(i64::from(i) * 15_000, &[("load1", f64::from(i))]);
    }
    for _ in 0..2 {
        let state = world.log().load_state().unwrap();
        let rows = asked(&world.reader(), &state, &Request::Trends { patterns: Vec::new() });
        let [Row::Trend(trend)] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((trend.count, trend.last, trend.mean), (300, 499.0, 349.5));
        world.reopen();
    }
}

fn fired(id: u64, series: &str, configured: u64) -> Fired {
    Fired {
        id,
        rule: "load_trend".into(),
        rule_version: 1,
        configured: Seq::new(configured),
        series: Series::parse(series).unwrap(),
        severity: Severity::Warning,
        since: at(0),
        value: Some(9.0),
        limit: None,
        mean: Some(1.0),
        stdev: Some(2.0),
        sigma: Some(4.0),
        length: 100,
        message: format!("{series} is high"),
        told: true,
    }
}

/// Three alerts: the first resolved, the second repeated and acknowledged, the third as it fired.
fn alerted() -> World {
    let mut world = World::new();
    let rules = Rules::default().to_json();
    let resolved = Event::AlertResolved { id: 1, value: Some(1.0), message: "fine".into(), told: true };
    for (at_ms, events) in [
        (0, vec![Event::Configured { rules }]),
        (1_000, vec![sampled(&[("load1", 9.0)]), Event::AlertFired(fired(1, "load1", 1))]),
        (2_000, vec![sampled(&[("load1", 1.0)]), resolved]),
        (3_000, vec![Event::AlertFired(fired(2, "load1", 1))]),
        (4_000, vec![Event::AlertRepeated { id: 2, message: "still".into() }]),
        (5_000, vec![Event::AlertAcknowledged { id: 2, by: Address::console() }]),
        (6_000, vec![Event::AlertFired(fired(3, "load5", 1))]),
        // Beyond the five minutes that an alert is explained with.
        (306_000, vec![sampled(&[("load1", 2.0)])]),
    ] {
        world.log().append(at(at_ms), events).unwrap();
    }
    world
}

#[test]
fn alerts_are_told_by_number_with_what_became_of_them() {
    let mut world = alerted();
    let ids = |world: &mut World, since: i64, open: bool| -> Vec<u64> {
        let state = world.log().load_state().unwrap();
        let rows = asked(&world.reader(), &state, &Request::Alerts { since: at(since), open });
        rows.iter()
            .map(|row| if let Row::Alert(alert) = row { alert.fired.id } else { panic!("{row:?}") })
            .collect()
    };
    for _ in 0..2 {
        assert_eq!(ids(&mut world, 0, false), [1, 2, 3]);
        assert_eq!(ids(&mut world, 1_000, false), [1, 2, 3]);
        assert_eq!(ids(&mut world, 1_001, false), [2, 3]);
        assert_eq!(ids(&mut world, 9_000, false), [2, 3], "what is open is told however old");
        assert_eq!(ids(&mut world, 0, true), [2, 3]);
        world.reopen();
    }
    let rows = asked(&world.reader(), &State::default(), &Request::Alerts { since: at(0), open: false });
    let alerts: Vec<_> =
        rows.iter().map(|r| if let Row::Alert(a) = r { a } else { panic!("{r:?}") }).collect();
    assert_eq!((alerts[0].fired_at, alerts[0].resolved_at), (at(1_000), Some(at(2_000))));
    assert_eq!(alerts[1].acknowledged, Some((at(5_000), Address::console())));
    assert_eq!((alerts[1].told_at, alerts[1].resolved_at), (Some(at(4_000)), None));
    assert_eq!(alerts[2].fired, fired(3, "load5", 1));
}

#[test]
fn an_alert_is_explained_with_settings_samples_and_those_before_it() {
    let mut world = alerted();
    check(&mut world, &Request::Why { id: 4 }, &[]);
    for _ in 0..2 {
        let mut state = State::default();
        world.records(0).iter().for_each(|record| state.apply(record));
        let rows = asked(&world.reader(), &state, &Request::Why { id: 2 });
        let [Row::Why(why)] = rows.as_slice() else { panic!("{rows:?}") };
        let Why { alert, rules, present, around, earlier } = why.as_ref();
        // A rule that this version does not know is told as it fired.
        assert_eq!(present.as_deref(), Some("load1 is high"));
        assert_eq!((alert.fired.id, alert.fired_at), (2, at(3_000)));
        assert_eq!(rules.as_deref(), Some(Rules::default().to_json().as_str()));
        assert_eq!(around, &[(at(1_000), 9.0), (at(2_000), 1.0)]);
        assert_eq!(earlier.iter().map(|alert| alert.fired.id).collect::<Vec<_>>(), [1]);
        let rows = asked(&world.reader(), &State::default(), &Request::Why { id: 3 });
        let [Row::Why(why)] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!(why.present, None, "nothing is told of what is not open");
        assert_eq!((why.around.len(), why.earlier.len()), (0, 0), "the others are about another series");
        world.reopen();
    }
}

#[test]
fn events_are_chosen_by_time_kind_and_number() {
    let mut world = alerted();
    let all: Vec<_> =
        world.records(0).into_iter().filter(|r| !matches!(r.event, Event::Sampled(_))).collect();
    let wide =
        |kinds: &[&str]| (Timestamp::MIN, Timestamp::MAX, kinds.iter().map(|k| (*k).to_owned()).collect());
    let check =
        |world: &mut World, after: u64, (since, until, kinds): (_, _, Vec<String>), expected: &[u64]| {
            let request = Request::Events { since, until, kinds, after: Seq::new(after) };
            let rows: Vec<Row> = all
                .iter()
                .filter(|r| expected.contains(&r.seq.get()))
                .cloned()
                .map(Box::new)
                .map(Row::Event)
                .collect();
            assert_eq!(rows.len(), expected.len());
            check(world, &request, &rows);
        };
    check(&mut world, 0, wide(&[]), &[1, 3, 5, 6, 7, 8, 9]);
    check(&mut world, 6, wide(&[]), &[7, 8, 9]);
    check(&mut world, 9, wide(&[]), &[]);
    check(&mut world, 99, wide(&[]), &[]);
    check(&mut world, 0, wide(&["alert_fired"]), &[3, 6, 9]);
    check(&mut world, 3, wide(&["alert_fired", "configured", "alert_resolved"]), &[5, 6, 9]);
    check(&mut world, 0, wide(&["sampled"]), &[]);
    check(&mut world, 0, (at(2_000), at(5_000), Vec::new()), &[5, 6, 7]);
    check(&mut world, 0, (at(5_000), at(2_000), Vec::new()), &[]);
}

#[test]
fn status_has_everything_on_one_screen() {
    let mut world = World::new();
    let mut rules = Rules { name: "beta".into(), ..Rules::default() };
    rules.maximum_length = 3;
    let blind = Event::Blind { from: at(1), to: at(2), reason: BlindReason::Crashed };
    let message = Message { to: Address::bridge(), kind: MessageKind::Notice, text: "hello".into() };
    let started = Event::Started { version: "1.2.3".into(), config: Some("/etc/x".into()), unclean: true };
    let address: IpAddr = [192, 0, 2, 1].into();
    let events = vec![
        started,
        Event::Configured { rules: rules.to_json() },
        blind.clone(),
        Event::MessageQueued(message.clone()),
        Event::MessageQueued(message),
        Event::MessageDelivered { messages: vec![Seq::new(4)] },
        Event::AlertFired(fired(1, "load1", 2)),
        Event::AddressChanged { from: None, to: address },
    ];
    world.log().append(at(500), events).unwrap();
    for i in 0..300 {
        world.tick(1_000 + i64::from(i), &[("load1", f64::from(i)), ("load5", 1.0)]);
    }
    for _ in 0..2 {
        let state = world.log().load_state().unwrap();
        let rows = asked(&world.reader(), &state, &Request::Status);
        let [Row::Status(status)] = rows.as_slice() else { panic!("{rows:?}") };
        let Status { name, version, started_at, running, config, .. } = status.as_ref();
        assert_eq!((name.as_str(), version.as_str(), config.as_deref()), ("beta", "1.2.3", Some("/etc/x")));
        assert_eq!((*started_at, *running), (Some(at(500)), true));
        assert_eq!((status.samples, status.series, status.backlog), (600, 2, 1));
        assert_eq!(status.alerts.iter().map(|alert| alert.fired.id).collect::<Vec<_>>(), [1]);
        assert_eq!(status.blind.iter().map(|record| &record.event).collect::<Vec<_>>(), [&blind]);
        assert!(status.log_bytes > 0);
        let (trend, newest, values) = &status.latest[0];
        assert_eq!((trend.series.id(), trend.last, *newest), ("load1", 299.0, at(1_299)));
        assert_eq!(values, &[297.0, 298.0, 299.0]);
        assert_eq!(status.latest.len(), 2);
        world.reopen();
    }
    world.log().append(at(9_000), vec![Event::Stopped]).unwrap();
    let state = world.log().load_state().unwrap();
    let [Row::Status(status)] = &asked(&world.reader(), &state, &Request::Status)[..] else { panic!() };
    assert!(!status.running);
}

#[test]
fn what_needs_the_daemon_says_so() {
    let mut world = World::new();
    let failed = [Row::Failed("this is answered by the daemon alone".into())];
    check(&mut world, &Request::Ask { text: "load".into(), zone: None }, &failed);
    check(&mut world, &Request::Series, &[]);
    check(&mut world, &Request::History(history("load1")), &[names(&[])]);
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
    let state = world.log().load_state().unwrap();
    let rows = asked(&world.reader(), &state, &Request::Verify);
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
