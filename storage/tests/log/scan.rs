//! By time and by number, over ring and chunks.

use std::sync::atomic::{AtomicBool, Ordering};

use systembot_model::{Event, Seq};
use systembot_storage::Query;

use crate::world::{World, all, at, of, sampled};

#[test]
fn samples_come_in_order_of_time_and_name() {
    let mut world = World::new();
    // 25 series, so three groups, and names whose order is not that of their numbers.
    let names: Vec<String> = (0..25).map(|i| format!("m{}", (i * 7) % 25)).collect();
    let mut expected = Vec::new();
    for i in 0..500_i64 {
        let readings: Vec<(&str, f64)> = names
            .iter()
            .enumerate()
            .filter(|(n, _)| (i + i64::try_from(*n).unwrap()) % 3 != 0)
            .map(|(n, name)| (name.as_str(), f64::from(u32::try_from(n).unwrap()) + 0.5))
            .collect();
        world.tick(i * 15_000, &readings);
        expected.extend(readings.iter().map(|(name, value)| (i * 15_000, (*name).to_owned(), *value)));
    }
    expected.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    assert_eq!(world.samples(&all()), expected);
    for (since, until) in
        [(0, 1), (15_000, 90_000), (3_599_999, 3_600_001), (1_000_000, 9_000_000), (8_000_000, 7)]
    {
        let query = Query { since: at(since), until: at(until), ..of("m3") };
        let some: Vec<_> =
            expected.iter().filter(|r| r.1 == "m3" && since <= r.0 && r.0 < until).cloned().collect();
        assert_eq!(world.samples(&query), some, "{since}..{until}");
    }
}

#[test]
fn a_clock_that_goes_back_mixes_old_and_new_in_order() {
    let mut world = World::new();
    let mut times = Vec::new();
    let mut now = 1_000_000_000_i64;
    for i in 0..1_200_i64 {
        now += match i {
            300 => -4_000_000,
            301 => 2_000_000,
            620 => 40_000_000,
            900 => -90_000_000,
            _ => 15_000,
        };
        times.push((now, i));
        let reading = f64::from(u32::try_from(i).unwrap());
        world.tick(now, &[("load1", reading), ("other", 1.0)]);
    }
    let by_number: Vec<i64> = world.records(0).iter().map(|r| r.at.as_ms()).collect();
    assert_eq!(by_number, times.iter().map(|(at, _)| *at).collect::<Vec<_>>());
    times.sort_unstable();
    let expected: Vec<(i64, f64)> =
        times.iter().map(|(at, i)| (*at, f64::from(u32::try_from(*i).unwrap()))).collect();
    let found: Vec<(i64, f64)> = world.samples(&of("load1")).into_iter().map(|(at, _, v)| (at, v)).collect();
    assert_eq!(found, expected);
    let middle = expected[700].0;
    let later: Vec<_> = expected.iter().filter(|(at, _)| *at >= middle).copied().collect();
    let query = Query { since: at(middle), ..of("load1") };
    let found: Vec<(i64, f64)> = world.samples(&query).into_iter().map(|(at, _, v)| (at, v)).collect();
    assert_eq!(found, later);
}

#[test]
fn a_reader_misses_and_repeats_nothing_while_ticks_are_sealed() {
    let mut world = World::new();
    let reader = world.reader();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let (mut rounds, mut least) = (0, 0);
                while !is_done.load(Ordering::Acquire) || rounds < 3 {
                    let mut scan = reader.scan(&of("load1")).unwrap();
                    let mut next = 0;
                    while let Some(tick) = scan.next_tick().unwrap() {
                        assert_eq!(tick.at.as_ms(), next * 15_000, "a tick is missing or comes twice");
                        assert_eq!(tick.readings.len(), 1);
                        next += 1;
                    }
                    assert!(next >= least, "what was shown is shown no more: {next} of {least}");
                    least = next;
                    let mut before = Seq::ZERO;
                    for record in reader.records(Seq::ZERO).unwrap() {
                        let seq = record.unwrap().seq;
                        assert_eq!(seq, before.next());
                        before = seq;
                    }
                    rounds += 1;
                }
            });
        }
        for i in 0..2_500_i64 {
            let readings = [("load1", 1.0), ("load5", 2.0)];
            let mut events = vec![sampled(&readings)];
            if i % 5 == 0 {
                events.push(Event::Cleared { subject: "x".into() });
            }
            world.log().append(at(i * 15_000), events).unwrap();
        }
        is_done.store(true, Ordering::Release);
    });
}

#[test]
fn series_are_summed_up_from_ring_and_chunks() {
    let mut world = World::new();
    for i in 0..600_i64 {
        let mut readings = vec![("load1", 0.5)];
        if (100..=400).contains(&i) {
            readings.push(("sometimes", 1.0));
        }
        if i == 310 {
            readings.push(("once", 1.0));
        }
        world.tick(i * 1_000, &readings);
        if i == 300 {
            // Sums that are known are carried on from here.
            world.reader().series().unwrap();
        }
    }
    let check = |world: &World| {
        let infos = world.reader().series().unwrap();
        let told: Vec<_> = infos
            .iter()
            .map(|info| (info.series.id(), info.first.as_ms(), info.last.as_ms(), info.samples))
            .collect();
        let expected =
            [("load1", 0, 599_000, 600), ("once", 310_000, 310_000, 1), ("sometimes", 100_000, 400_000, 301)];
        assert_eq!(told, expected);
        assert_eq!(world.reader().samples().unwrap(), 902);
        assert!(infos.iter().all(|info| info.bytes > 0));
    };
    check(&world);
    world.reopen();
    check(&world);
}
