//! History from files: resumed, refused, learned.

use systembot_model::{Event, Series};
use systembot_storage::query::{Import, Request, Row};

use crate::world::{World, at, of};

/// Rows of two columns, one a minute.
fn part(file: u64, rows: std::ops::Range<i64>, last: bool) -> Import {
    let cell = |minute: i64| f64::from(i32::try_from(minute).unwrap());
    Import {
        file,
        series: vec![Series::new("load1"), Series::new("room_celsius")],
        rows: rows
            .map(|minute| {
                (at(minute * 60_000), vec![Some(cell(minute)), (minute % 2 == 0).then(|| cell(minute))])
            })
            .collect(),
        last,
    }
}

fn row(world: &mut World, import: &Import) -> Row {
    world.log().import(at(9_000_000_000), import).unwrap().row
}

fn done(imported: u64, refused: u64) -> Row {
    let first_refused = (refused > 0).then(|| (at(200 * 60_000), Series::new("load1")));
    Row::Imported { imported, refused, first_refused, problem: None }
}

#[test]
fn a_file_is_shown_learned_and_refused_the_second_time() {
    let mut world = World::new();
    // What makes no full chunk yet is not counted before the last part.
    assert_eq!(row(&mut world, &part(7, 0..600, false)), done(720, 0));
    assert_eq!(row(&mut world, &part(7, 600..1_000, true)), done(1_500, 0));
    assert_eq!(world.samples(&of("load1")).len(), 1_000);
    assert_eq!(world.samples(&of("room_celsius")).len(), 500);
    let state = world.log().load_state().unwrap();
    let trend = state.trends().into_iter().find(|trend| trend.series == Series::new("load1")).unwrap();
    assert_eq!(trend.last, 999.0);
    assert_eq!(trend.count, 100);
    let Row::Imported { problem: Some(problem), .. } = row(&mut world, &part(7, 0..600, false)) else {
        panic!()
    };
    assert!(problem.contains("already"), "{problem}");
    world.reopen();
    assert_eq!(world.log().load_state().unwrap(), state);
    assert_eq!(world.samples(&of("load1")).len(), 1_000);
    assert_eq!(world.blobs(), 0);
}

#[test]
fn an_interrupted_file_goes_on_where_it_stopped() {
    let mut world = World::new();
    row(&mut world, &part(7, 0..480, false));
    row(&mut world, &part(7, 480..500, false));
    world.reopen();
    // From the beginning, as whoever reads the file again sends it.
    assert_eq!(row(&mut world, &part(7, 0..1_000, true)), done(1_500, 0));
    let values: Vec<f64> = world.samples(&of("load1")).into_iter().map(|(_, _, value)| value).collect();
    assert_eq!(values, (0..1_000).map(f64::from).collect::<Vec<_>>());
}

#[test]
fn what_lies_among_recorded_samples_is_refused_and_what_is_there_is_not_learned_again() {
    let mut world = World::new();
    for minute in 200..300 {
        world.tick(minute * 60_000, &[("load1", -1.0)]);
    }
    let before = world.log().load_state().unwrap();
    assert_eq!(row(&mut world, &part(7, 0..400, true)), done(400 - 100 + 200, 100));
    let load: Vec<f64> = world.samples(&of("load1")).into_iter().map(|(_, _, value)| value).collect();
    assert_eq!(load.len(), 400);
    assert!(load[200..300].iter().all(|value| *value == -1.0), "the recorded ones stand");
    let after = world.log().load_state().unwrap();
    assert_eq!(after.windows[&Series::new("load1")], before.windows[&Series::new("load1")]);
    assert!(after.windows.contains_key(&Series::new("room_celsius")), "a new series is learned");
    let events = world.records(0).into_iter().filter(|r| matches!(r.event, Event::Imported { .. })).count();
    assert_eq!(events, 2);
}

#[test]
fn rows_that_do_not_ascend_are_refused() {
    let mut world = World::new();
    let mut import = part(7, 0..100, true);
    import.rows.swap(40, 60);
    let Row::Imported { imported, refused, problem: None, .. } = row(&mut world, &import) else { panic!() };
    assert_eq!(imported + refused, 150);
    assert!(refused >= 20, "{refused}");
    let times: Vec<i64> = world.samples(&of("load1")).into_iter().map(|(at, _, _)| at).collect();
    assert!(times.is_sorted());
    let rows = world.ask(&Request::Verify);
    let [Row::Verified(verified)] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(verified.faults, Vec::<String>::new());
}
