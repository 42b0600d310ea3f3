//! Roll-ups: what history gives from them, and what it gave from the samples.

use std::collections::BTreeMap;

use systembot_model::{Pattern, Series, State, Timestamp};
use systembot_storage::query::{Basis, History, Import, Request, Row, Step};

use crate::{
    retention::{Life, limits},
    world::{World, asked, at},
};

const MINUTE: i64 = 60_000;
const DAY: i64 = 86_400_000;
/// A midnight.
const BEGIN: i64 = 1_795_392_000_000;

fn history(step: Option<Step>, since: i64, until: i64, limit: Option<usize>) -> Request {
    let patterns = vec![Pattern::new("load*")];
    Request::History(History { patterns, since: at(since), until: at(until), step, limit, newest: false })
}

/// Two series for a while, one of them with holes; the clock goes back now and then.
fn fill(world: &mut World, ticks: i64) {
    for i in 0..ticks {
        let when = BEGIN + i * 15_000 - i / 700 * 20 * MINUTE + i % 3;
        let value = f64::from(u32::try_from(i * 37 % 1_000).unwrap()) / 100.0;
        let mut readings = vec![("load1", value)];
        if i % 400 > 100 {
            readings.push(("load5", -value));
        }
        world.tick(when, &readings);
    }
}

/// Buckets computed from samples one by one.
fn naive(world: &World, step: i64, since: i64, until: i64) -> Vec<(i64, u32, [f64; 4], u64)> {
    let request = history(None, since, until, None);
    let mut buckets: BTreeMap<(i64, u32), ([f64; 4], u64)> = Default::default();
    for row in asked(&world.reader(), &State::default(), &request) {
        let Row::Point { at, series, value } = row else { continue };
        let begin = at.as_ms().div_euclid(step) * step;
        let ([sum, min, max, last], count) =
            buckets.entry((begin, series)).or_insert(([0.0, value, value, value], 0));
        (*sum, *min, *max, *last, *count) = (*sum + value, min.min(value), max.max(value), value, *count + 1);
    }
    buckets.into_iter().map(|((begin, series), (figures, count))| (begin, series, figures, count)).collect()
}

fn assert_same(world: &World, step: i64, since: i64, until: i64, uses_rollups: bool) {
    let request = history(Some(Step::Every(step)), since, until, None);
    let rows = asked(&world.reader(), &State::default(), &request);
    let mut used = false;
    let found: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            let Row::Bucket { at, series, mean, min, max, last, count, from } = row else { return None };
            used |= *from == Basis::Rollups;
            let sum = mean * f64::from(u32::try_from(*count).unwrap());
            Some((at.as_ms(), *series, [sum, *min, *max, *last], *count))
        })
        .collect();
    let expected = naive(world, step, since, until);
    assert_eq!(found.len(), expected.len(), "step {step}");
    for (a, b) in found.iter().zip(&expected) {
        assert_eq!((a.0, a.1, &a.2[1..3], a.3), (b.0, b.1, &b.2[1..3], b.3), "step {step}");
        assert!((a.2[0] - b.2[0]).abs() < 1e-9 * b.2[0].abs().max(1.0), "step {step}: {a:?} {b:?}");
    }
    assert_eq!(used, uses_rollups, "step {step}");
}

#[test]
fn buckets_are_the_same_from_roll_ups_and_from_samples() {
    let mut world = World::new();
    fill(&mut world, 2_000);
    let end = BEGIN + 2_000 * 15_000;
    for (since, until) in
        [(BEGIN, end), (BEGIN + 7 * MINUTE + 1, end - 3 * 60 * MINUTE - 5), (BEGIN, BEGIN + 1)]
    {
        for step in [5 * MINUTE, 15 * MINUTE, 60 * MINUTE, DAY] {
            assert_same(&world, step, since, until, until - since > 2);
        }
        for step in [1_000, MINUTE, 7 * MINUTE] {
            assert_same(&world, step, since, until, false);
        }
    }
    world.reopen();
    assert_same(&world, 5 * MINUTE, BEGIN, end, true);
}

#[test]
fn the_newest_buckets_are_the_last_of_all_buckets() {
    let mut world = World::new();
    fill(&mut world, 1_500);
    let ask = |limit| {
        let request = history(Some(Step::Every(5 * MINUTE)), i64::MIN, i64::MAX, limit);
        asked(&world.reader(), &State::default(), &request).split_off(1)
    };
    let all = ask(None);
    // Debug texts, as NaN is not itself.
    let texts = |rows: &[Row]| rows.iter().map(|row| format!("{row:?}")).collect::<Vec<_>>();
    for limit in [1, 7, 100, 10_000] {
        let newest = &all[all.len() - limit.min(all.len())..];
        assert_eq!(texts(&ask(Some(limit))), texts(newest), "limit {limit}");
    }
}

#[test]
fn imported_samples_are_rolled_up_beside_recorded_ones() {
    let mut world = World::new();
    fill(&mut world, 500);
    let row =
        |i: i64| (at(BEGIN - 10 * DAY + i * MINUTE), vec![Some(f64::from(u32::try_from(i % 60).unwrap()))]);
    let series = vec![Series::new("load1")];
    let import = Import { file: 1, series, rows: (0..3_000).map(row).collect(), last: true };
    world.log().import(Timestamp::from_ms(BEGIN), &import).unwrap();
    let end = BEGIN + 500 * 15_000;
    assert_same(&world, 5 * MINUTE, BEGIN - 20 * DAY, end, true);
    assert_same(&world, DAY, BEGIN - 20 * DAY, end, true);
    assert_eq!(world.blobs(), 0);
}

#[test]
fn moments_at_both_ends_of_time_do_not_hold_a_question() {
    let mut world = World::new();
    world.tick(i64::MIN + 1, &[("load1", 1.0)]);
    world.tick(i64::MAX - 1, &[("load1", 2.0)]);
    let request = history(Some(Step::Every(1_000)), i64::MIN, i64::MAX, Some(10));
    let rows = asked(&world.reader(), &State::default(), &request);
    assert!((2..=3).contains(&rows.len()), "{rows:?}");
    // Nor steps that no shell would send.
    for step in [-108, 0, i64::MIN] {
        for (since, until) in [(1, -1), (-1, 1), (i64::MIN, i64::MAX)] {
            let request = history(Some(Step::Every(step)), since, until, Some(5));
            let rows = asked(&world.reader(), &State::default(), &request);
            assert!(rows.len() <= 3, "{rows:?}");
        }
    }
}

/// Buckets by the hour, or the newest value of each, or of a step that roll-ups are no part of.
fn buckets(life: &Life, step: Step, newest: bool) -> BTreeMap<i64, (f64, u64)> {
    let history = History {
        patterns: vec![Pattern::new("load1")],
        since: Timestamp::MIN,
        until: Timestamp::MAX,
        step: Some(step),
        limit: None,
        newest,
    };
    let rows = asked(&life.world.reader(), &State::default(), &Request::History(history));
    let bucket = |row| {
        let Row::Bucket { at, max, count, .. } = row else { return None };
        Some((at.as_ms(), (max, count)))
    };
    rows.into_iter().filter_map(bucket).collect()
}

#[test]
fn a_tick_of_another_year_hides_no_roll_ups() {
    const HOUR: i64 = 3_600_000;
    let mut life = Life::new(limits(3));
    life.live(0..3_000);
    let ask = |life: &Life| {
        [(HOUR, false), (HOUR, true), (7 * 60_000, false)]
            .map(|(ms, newest)| buckets(life, Step::Every(ms), newest))
    };
    let before = ask(&life);
    assert!(before[0].len() > 200, "samples of ten days, all but three of which only roll-ups know of");
    for year in [1_000, 500 * 24 * HOUR] {
        life.world.tick(year, &[("load1", 1.0)]);
        for (mut after, before) in ask(&life).into_iter().zip(&before) {
            after.retain(|at, _| *at > 600 * 24 * HOUR);
            assert_eq!(&after, before);
        }
    }
    // And once they are sealed.
    for _ in 0..480 {
        life.world.tick(1_000, &[("load1", 1.0)]);
    }
    for (mut after, before) in ask(&life).into_iter().zip(&before) {
        after.retain(|at, _| *at > 600 * 24 * HOUR);
        assert_eq!(&after, before);
    }
}

#[test]
fn a_span_that_ends_before_it_begins_has_no_rows() {
    let mut world = World::new();
    fill(&mut world, 300);
    for step in [None, Some(Step::Every(300_000)), Some(Step::Every(7)), Some(Step::At(vec![at(BEGIN)]))] {
        let rows = asked(&world.reader(), &State::default(), &history(step, BEGIN + 1, BEGIN, None));
        assert!(matches!(rows.as_slice(), [Row::Names(_)]), "{rows:?}");
    }
}

#[test]
fn what_only_roll_ups_know_of_is_not_loaded_again() {
    const HOUR: i64 = 3_600_000;
    let mut life = Life::new(limits(3));
    life.live(0..3_000);
    let before = buckets(&life, Step::Every(HOUR), false);
    let (first, _) = before.first_key_value().unwrap();
    let (first, begin) = (*first, *first - 20 * HOUR);
    // A minute apart, from a day before the first to a day after it.
    let rows: Vec<_> = (0..2_640).map(|i| (at(begin + i * 60_000), vec![Some(1.0)])).collect();
    let mut done = None;
    for (i, part) in rows.chunks(500).enumerate() {
        let import = Import {
            file: 5,
            series: vec![Series::new("load1")],
            rows: part.to_vec(),
            last: i == rows.chunks(500).len() - 1,
        };
        done = Some(life.world.log().import(at(life.now), &import).unwrap().row);
    }
    let Some(Row::Imported { imported, refused, first_refused, problem: None }) = done else {
        panic!("{done:?}")
    };
    assert_eq!(imported + refused, 2_640);
    let (refused_at, _) = first_refused.unwrap();
    assert!((first..first + HOUR).contains(&refused_at.as_ms()), "all before the first is new");
    let after = buckets(&life, Step::Every(HOUR), false);
    for (at, figures) in before.range(first + HOUR..) {
        assert_eq!(after.get(at), Some(figures), "counted twice at {at}");
    }
    assert_eq!(after.range(..first).map(|(_, (_, count))| count).sum::<u64>(), 20 * 60);
}
