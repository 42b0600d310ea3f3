//! History from files.

use systembot_model::{Event, Seq, Series, State, Timestamp};
use systembot_storage::{
    IMPORT_SERIES, Imported,
    query::{Import, Request, Row},
};

use crate::world::{World, all, asked, at, of};

const HOUR_MS: i64 = 3_600_000;
const FILE: u64 = 0xfeed;

/// A moment and a cell for each column.
type Cells = (Timestamp, Vec<Option<f64>>);

/// Rows of one moment each, so many milliseconds apart; each column has its own values.
fn rows(begin_ms: i64, step_ms: i64, count: i32, columns: i32) -> Vec<Cells> {
    let cells = |i: i32| (0..columns).map(|column| Some(f64::from(i) + f64::from(column) / 4.0)).collect();
    (0..count).map(|i| (at(begin_ms + i64::from(i) * step_ms), cells(i))).collect()
}

/// What the log must have of rows.
fn samples(series: &[&str], rows: &[Cells]) -> Vec<(i64, String, f64)> {
    let cells = |(at, cells): &Cells| {
        let named = series.iter().zip(cells.clone());
        let ms = at.as_ms();
        named.filter_map(|(name, value)| Some((ms, (*name).to_owned(), value?))).collect::<Vec<_>>()
    };
    rows.iter().flat_map(cells).collect()
}

fn import(world: &mut World, file: u64, series: &[&str], rows: &[Cells], last: bool) -> Imported {
    let series = series.iter().map(|id| Series::parse(id).unwrap()).collect();
    world.log().import(at(0), &Import { file, series, rows: rows.to_vec(), last }).unwrap()
}

/// Sends a whole file in parts.
fn import_all(world: &mut World, file: u64, series: &[&str], rows: &[Cells]) -> Imported {
    let parts: Vec<&[Cells]> = rows.chunks(170).collect();
    let (last, others) = parts.split_last().unwrap();
    for part in others {
        assert!(import(world, file, series, part, false).records.is_empty());
    }
    import(world, file, series, last, true)
}

fn figures(done: &Imported) -> (u64, u64, Option<&str>) {
    let Row::Imported { imported, refused, problem, .. } = &done.row else { panic!("{done:?}") };
    (*imported, *refused, problem.as_deref())
}

fn learned(done: &Imported) -> Vec<usize> {
    let count = |event: &Event| {
        let Event::Imported { learned, .. } = event else { panic!("{event:?}") };
        learned.len()
    };
    done.records.iter().map(|record| count(&record.event)).collect()
}

#[test]
fn a_fresh_series_is_learned() {
    let mut world = World::new();
    let file = rows(HOUR_MS, 60_000, 700, 2);
    let done = import_all(&mut world, FILE, &["load5", "load1"], &file);
    assert_eq!(figures(&done), (1_400, 0, None));
    let Event::Imported { series, from, to, samples: count, learned, file: told } = &done.records[0].event
    else {
        panic!("{done:?}")
    };
    assert_eq!((series.id(), *count, *told), ("load5", 700, FILE));
    assert_eq!((*from, *to), (file[0].0, file[699].0));
    let newest: Vec<(Timestamp, f64)> =
        file[700 - learned.len()..].iter().map(|(at, cells)| (*at, cells[0].unwrap())).collect();
    assert_eq!((learned, learned.len()), (&newest, 400));
    assert_eq!(done.records.len(), 2);

    // Shown as samples of their moments; in the fold they are the window, no ticks and no alerts.
    let mut expected = samples(&["load5", "load1"], &file);
    expected.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    for _ in 0..2 {
        assert_eq!(world.samples(&all()), expected);
        assert_eq!(world.reader().samples().unwrap(), 1_400);
        assert_eq!(world.records(0), done.records);
        let state = world.log().load_state().unwrap();
        let trends = state.trends();
        let window = |i: usize| (trends[i].series.id(), trends[i].count, trends[i].last);
        assert_eq!((window(0), window(1)), (("load1", 100, 699.25), ("load5", 100, 699.0)));
        assert_eq!((state.sampled_at, state.alerts.len(), state.pending.len()), (None, 0, 0));
        world.reopen();
    }
    assert_eq!(world.blobs(), 0);
}

#[test]
fn a_series_that_is_known_gets_history_only() {
    let mut world = World::new();
    for i in 0..10 {
        world.tick(100 * HOUR_MS + i * 15_000, &[("load1", 1.0)]);
    }
    let before = world.log().load_state().unwrap();
    let done = import_all(&mut world, FILE, &["load1", "load5"], &rows(0, 60_000, 300, 2));
    assert_eq!(figures(&done), (600, 0, None));
    assert_eq!(learned(&done), [0, 300], "load1 is known, load5 is not");
    for _ in 0..2 {
        let state = world.log().load_state().unwrap();
        let load1 = Series::new("load1");
        assert_eq!(state.windows.get(&load1), before.windows.get(&load1));
        assert_eq!(state.trends().len(), 2);
        assert_eq!(world.samples(&of("load1")).len(), 310);
        world.reopen();
    }
    // It goes on with live ticks as if nothing had been.
    for i in 10..400 {
        world.tick(100 * HOUR_MS + i * 15_000, &[("load1", 2.0), ("load5", 2.0)]);
    }
    assert_eq!(world.samples(&of("load1")).len(), 700);
    assert_eq!(world.samples(&of("load5")).len(), 690);
    assert_faultless(&world);
}

#[test]
fn what_lies_among_samples_is_refused_series_by_series() {
    // Few ticks are in the ring, many in chunks too.
    for ticks in [20, 500] {
        let mut world = World::new();
        let (begin, end) = (10 * HOUR_MS, 10 * HOUR_MS + (ticks - 1) * 15_000);
        for i in 0..ticks {
            world.tick(begin + i * 15_000, &[("load1", 1.0)]);
        }
        let file = rows(begin - 50 * 7_000, 7_000, 1_500, 2);
        let free: Vec<Cells> =
            file.iter().filter(|(at, _)| at.as_ms() < begin || at.as_ms() > end).cloned().collect();
        let refused = u64::try_from(file.len() - free.len()).unwrap();
        assert!(refused > 20 && free.len() > 50);
        let done = import_all(&mut world, FILE, &["load1", "load5"], &file);
        assert_eq!(figures(&done), (3_000 - refused, refused, None), "{ticks} ticks");
        for _ in 0..2 {
            assert_eq!(world.samples(&of("load5")).len(), 1_500);
            let load1 = world.samples(&of("load1"));
            let history: Vec<_> = load1.iter().filter(|r| r.0 < begin || r.0 > end).cloned().collect();
            assert_eq!(history, samples(&["load1"], &free));
            assert_eq!(i64::try_from(load1.len() - history.len()).unwrap(), ticks);
            assert_faultless(&world);
            world.reopen();
        }
    }
}

#[test]
fn a_long_hole_is_filled_and_a_short_one_is_not() {
    let mut world = World::new();
    for begin in [0, 5 * HOUR_MS, 15 * HOUR_MS] {
        world.tick(begin, &[("load1", 1.0)]);
    }
    let done = import_all(&mut world, FILE, &["load1"], &rows(0, HOUR_MS / 2, 31, 1));
    // Up to 5 h and at 15 h it is taken, between them is a hole of ten hours.
    assert_eq!(figures(&done), (19, 12, None));
    let times: Vec<i64> = world.samples(&of("load1")).iter().map(|r| r.0).collect();
    let expected = [0].into_iter().chain((10..=30).map(|i| i * HOUR_MS / 2));
    assert_eq!(times, expected.collect::<Vec<_>>());
}

#[test]
fn an_interrupted_file_goes_on_where_it_stopped() {
    let series = ["load1", "load5", "other"];
    let mut file = rows(HOUR_MS, 15_000, 2_000, 3);
    // Cells are missing, and one is no number.
    file.iter_mut().step_by(3).for_each(|(_, cells)| cells[1] = None);
    file[1_000].1[2] = Some(f64::NAN);
    let known = |world: &mut World| {
        (0..300).for_each(|i| {
            world.tick(3 * HOUR_MS + i * 15_000, &[("load1", 0.0)]);
        })
    };
    let mut whole = World::new();
    known(&mut whole);
    let expected = import_all(&mut whole, FILE, &series, &file);
    let (imported, refused, _) = figures(&expected);
    assert_eq!((imported, refused), (6_000 - 667 - 301, 301));

    for (sent, is_killed) in [(100, true), (239, true), (240, true), (700, true), (1_999, true), (700, false)]
    {
        let mut world = World::new();
        known(&mut world);
        for part in file[..sent].chunks(170) {
            import(&mut world, FILE, &series, part, false);
        }
        if is_killed {
            world.reopen();
        }
        let done = import_all(&mut world, FILE, &series, &file);
        assert_eq!(figures(&done), figures(&expected), "after {sent} rows");
        assert_eq!(done.records, expected.records, "after {sent} rows");
        assert_eq!(world.samples(&all()), whole.samples(&all()), "after {sent} rows");
        assert_eq!(world.reader().series().unwrap().len(), 3);
        assert_faultless(&world);
    }
}

#[test]
fn rows_that_are_in_the_log_are_not_taken_again() {
    let mut world = World::new();
    let file = rows(0, 15_000, 700, 1);
    import(&mut world, FILE, &["load1"], &file[..600], false);
    world.reopen();
    // Two full chunks of 240 rows were durable, and are shown already.
    assert_eq!(world.samples(&of("load1")), samples(&["load1"], &file[..480]));
    // Other values where the file has been already change nothing.
    let mut other = file.clone();
    other[..480].iter_mut().for_each(|(_, cells)| cells[0] = Some(-1.0));
    let done = import_all(&mut world, FILE, &["load1"], &other);
    assert_eq!(figures(&done), (700, 0, None));
    assert_eq!(world.samples(&of("load1")), samples(&["load1"], &file));
}

#[test]
fn another_file_in_between_loses_nothing() {
    let mut world = World::new();
    let (one, two) = (rows(0, 15_000, 500, 1), rows(0, 15_000, 500, 1));
    import(&mut world, 1, &["load1"], &one[..300], false);
    import(&mut world, 2, &["load5"], &two[..100], false);
    assert_eq!(figures(&import(&mut world, 1, &["load1"], &one[300..], true)), (500, 0, None));
    assert_eq!(figures(&import(&mut world, 2, &["load5"], &two[100..], true)), (500, 0, None));
    assert_eq!(world.samples(&of("load1")), samples(&["load1"], &one));
    assert_eq!(world.samples(&of("load5")), samples(&["load5"], &two));
}

#[test]
fn a_complete_file_is_refused() {
    let mut world = World::new();
    let file = rows(0, 15_000, 300, 1);
    import_all(&mut world, FILE, &["load1"], &file);
    for _ in 0..2 {
        let again = import(&mut world, FILE, &["load1"], &file[..100], false);
        assert_eq!(figures(&again), (0, 0, Some("this file was imported already")));
        assert!(again.records.is_empty());
        world.reopen();
    }
    // The same samples under another checksum lie where samples are.
    let done = import_all(&mut world, FILE + 1, &["load1"], &file);
    assert_eq!(figures(&done), (0, 300, None));
    assert_eq!(world.samples(&of("load1")), samples(&["load1"], &file));
}

#[test]
fn what_cannot_be_loaded_is_told_and_leaves_nothing_behind() {
    let mut world = World::new();
    let row = rows(0, 15_000, 1, 2);
    let check = |world: &mut World, file: u64, series: &[&str], expected: &str| {
        let done = import(world, file, series, &row, true);
        assert_eq!(figures(&done), (0, 0, Some(expected)));
        assert_eq!(world.log().seq(), Seq::ZERO);
    };
    check(&mut world, 1, &["load1", "load1"], "a series has two columns");
    let names: Vec<String> = (0..=IMPORT_SERIES).map(|i| format!("m{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    check(&mut world, 2, &names, "more than 1024 columns: split the file");
    assert!(world.reader().series().unwrap().is_empty());

    import(&mut world, 3, &["load1", "load5"], &row, false);
    check(&mut world, 3, &["load1", "load15"], "the columns changed within the file");
    import(&mut world, 4, &["load1", "load5"], &rows(HOUR_MS, 1_000, 300, 2), false);
    world.reopen();
    check(&mut world, 4, &["load1"], "the columns are not those the import began with");
}

#[test]
fn rows_that_do_not_fit_are_counted_as_refused() {
    let mut world = World::new();
    let mut file = rows(0, 15_000, 6, 2);
    file[2].0 = at(15_000);
    file[4].0 = at(7);
    file[5].1.pop();
    let done = import(&mut world, FILE, &["load1", "load5"], &file, true);
    assert_eq!(figures(&done), (6, 5, None));
    assert_eq!(world.samples(&of("load1")).iter().map(|r| r.0).collect::<Vec<_>>(), [0, 15_000, 45_000]);
}

#[test]
fn as_many_columns_as_are_allowed_are_learned_in_one_step() {
    let mut world = World::new();
    let names: Vec<String> = (0..IMPORT_SERIES).map(|i| format!("m{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let columns = i32::try_from(IMPORT_SERIES).unwrap();
    let done = import(&mut world, FILE, &names, &rows(0, 15_000, 250, columns), true);
    assert_eq!(figures(&done), (u64::try_from(IMPORT_SERIES).unwrap() * 250, 0, None));
    assert_eq!(learned(&done), vec![250; IMPORT_SERIES]);
    world.reopen();
    assert_eq!(world.log().load_state().unwrap().trends().len(), IMPORT_SERIES);
    assert_eq!(world.blobs(), 0);
}

fn assert_faultless(world: &World) {
    let rows = asked(&world.reader(), &State::default(), &Request::Verify);
    let [Row::Verified(verified)] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(verified.faults, Vec::<String>::new());
}
