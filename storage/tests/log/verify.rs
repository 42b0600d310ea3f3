//! A check of the log while it is written: what comes and goes meanwhile is no fault.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use systembot_model::{Series, State};
use systembot_storage::{
    Limits, Reader,
    query::{Import, Request, Row},
};

use crate::world::{World, asked, at};

const BEGIN: i64 = 1_795_392_000_000;
const DAY: i64 = 86_400_000;

/// Checks the log over and over while something is done with it.
fn beside(reader: &Reader, work: impl FnOnce()) {
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let checks = scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                let rows = asked(reader, &State::default(), &Request::Verify);
                let [Row::Verified(found)] = rows.as_slice() else { panic!("{rows:?}") };
                // The state given is that of an empty log.
                let faults: Vec<_> =
                    found.faults.iter().filter(|fault| !fault.contains("the state is not")).collect();
                assert!(faults.is_empty() && !found.damaged, "{faults:?}");
            }
        });
        work();
        is_done.store(true, Ordering::Relaxed);
        checks.join().unwrap();
    });
}

#[test]
fn series_that_come_meanwhile_are_no_fault() {
    let mut world = World::new();
    let reader = world.reader();
    let mut n = 0_i32;
    let mut tick = || {
        n += 1;
        let names: Vec<String> =
            (0..40).map(|i| format!("m{i:02}")).chain([format!("n{}", n / 200)]).collect();
        let readings: Vec<_> = names.iter().map(|name| (name.as_str(), f64::from(n % 97) / 8.0)).collect();
        world.tick(BEGIN + i64::from(n) * 15_000, &readings);
    };
    (0..2_000).for_each(|_| tick());
    beside(&reader, || (0..3_000).for_each(|_| tick()));
}

#[test]
fn samples_that_are_pruned_meanwhile_are_no_fault() {
    let mut world = World::new();
    let names: Vec<Series> = (0..40).map(|i| Series::new(&format!("m{i:02}"))).collect();
    let value = |n: i32, i: i32| f64::from(n * (i + 3) % 911) / 8.0;
    let row = |n: i32| {
        let values = (0..40).map(|i| Some(value(n, i))).collect();
        (at(BEGIN - 100 * DAY + i64::from(n) * 300_000), values)
    };
    let import = Import { file: 5, series: names, rows: (0..8_000).map(row).collect(), last: true };
    world.log().import(at(BEGIN), &import).unwrap();
    let reader = world.reader();
    beside(&reader, || {
        let state = world.log().load_state().unwrap();
        for day in 0..30 {
            let retention = Duration::from_secs((100 - day) * 86_400);
            world.log().limit(Limits { retention, ..Limits::default() });
            while world.log().prune(at(BEGIN), &state).unwrap() {}
        }
    });
}
