//! The log written anew: the same content in fewer bytes, whenever the machine stops.

use std::{
    fs,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use systembot_model::{Event, Record, Seq, Series};
use systembot_storage::{
    Error,
    query::{Import, Request, Row},
};

use crate::world::{World, all, asked, sampled};

const TICKS: i64 = 4_000;

/// A log with chunks in three groups, records in pieces, and ticks that are not sealed.
fn world(ticks: i64) -> World {
    let mut world = World::new();
    append(&mut world, 0, ticks);
    world
}

fn append(world: &mut World, from: i64, to: i64) {
    let names: Vec<String> = (0..25).map(|i| format!("m{i:02}")).collect();
    for n in from..to {
        let value = |i: usize| f64::from(i32::try_from(n).unwrap() % 97 * i32::try_from(i).unwrap()) / 8.0;
        let readings: Vec<(&str, f64)> =
            names.iter().enumerate().map(|(i, name)| (name.as_str(), value(i))).collect();
        // The clock goes back once.
        let at = n * 15_000 - n / 1_500 * 3_600_000;
        world.tick(at, &readings);
        if n % 500 == 3 {
            let text = "x".repeat(20_000);
            let note = Event::Noted { subject: format!("s{n}"), text };
            world.log().append(crate::world::at(at), vec![note]).unwrap();
        }
    }
}

/// All that can be asked.
fn content(world: &mut World) -> (Vec<Record>, Vec<(i64, String, f64)>, String) {
    let state = world.log().load_state().unwrap();
    let rows = asked(&world.reader(), &state, &Request::Verify);
    let [Row::Verified(verified)] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(verified.faults, Vec::<String>::new());
    let series = world.reader().series().unwrap();
    let told: Vec<_> = series.iter().map(|s| (s.series.clone(), s.first, s.last, s.samples)).collect();
    (world.records(0), world.samples(&all()), format!("{state:?} {told:?} {}", verified.samples))
}

fn bytes(dir: &Path) -> u64 {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn everything_reads_the_same_from_fewer_bytes() {
    let mut world = world(TICKS);
    let before = content(&mut world);
    let reports = Arc::new(AtomicUsize::new(0));
    let heard = Arc::clone(&reports);
    world.log().report(move || {
        heard.fetch_add(1, Ordering::Relaxed);
    });
    let done = world.log().compact().unwrap().unwrap();
    assert!(done.after < done.before / 10 * 8, "{done:?}");
    assert!(reports.load(Ordering::Relaxed) > 0, "nobody heard of its progress");
    assert_eq!(done.after, world.reader().log_bytes().unwrap());
    assert!(content(&mut world) == before, "after it");
    assert_eq!(world.blobs(), 0);
    world.reopen();
    assert!(content(&mut world) == before, "after a reopen");
    // Joining ends: nothing changes any more.
    world.log().compact().unwrap().unwrap();
    let settled = bytes(&world.data().join("log"));
    world.log().compact().unwrap().unwrap();
    assert!(content(&mut world) == before, "the third time");
    assert!(bytes(&world.data().join("log")).abs_diff(settled) < 64 << 10);
    append(&mut world, TICKS, TICKS + 600);
    world.reopen();
    assert_eq!(content(&mut world).0.len(), before.0.len() + 602);
    let names: Vec<_> = fs::read_dir(world.data()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["log"]);
}

#[test]
fn a_reader_reads_on_in_the_old_one() {
    let mut world = world(600);
    let before = world.records(0);
    let reader = world.reader();
    world.log().compact().unwrap().unwrap();
    append(&mut world, 600, 1_200);
    let read: Vec<Record> =
        reader.records(Seq::ZERO).unwrap().map(|record| crate::world::sorted(record.unwrap())).collect();
    assert!(read == before);
    assert!(world.records(0).len() > before.len());
}

#[test]
fn a_crash_at_any_step_leaves_a_whole_log() {
    let mut world = world(300);
    let before = content(&mut world);
    world.close();
    let [log, new, old] = ["log", "log.compact", "log.old"].map(|name| world.data().join(name));
    // While the copy is written, and after the names were exchanged.
    fs::create_dir_all(new.join("blobs")).unwrap();
    fs::write(new.join("db"), b"half").unwrap();
    world.reopen();
    assert!(!new.exists() && content(&mut world) == before);
    world.close();
    // Between two renames, where names cannot be exchanged.
    fs::rename(&log, &old).unwrap();
    fs::create_dir(&new).unwrap();
    world.reopen();
    assert!(!new.exists() && !old.exists() && content(&mut world) == before);
    world.close();
    // After them.
    fs::create_dir(&old).unwrap();
    world.reopen();
    assert!(!old.exists() && content(&mut world) == before);
}

#[test]
fn it_is_due_only_when_it_helps() {
    let mut world = World::new();
    append(&mut world, 0, 300);
    assert!(world.log().is_size_changed());
    assert_eq!(world.log().compact_if_due().unwrap(), None, "a small log stays as it is");
    assert!(!world.log().is_size_changed());
    append(&mut world, 300, 12_000);
    assert!(world.log().is_size_changed());
    let done = world.log().compact_if_due().unwrap().unwrap();
    assert!(done.after < done.before);
    while world.log().is_size_changed() {
        let _ = world.log().compact_if_due().unwrap();
    }
    let sealed = sampled(&[]);
    world.log().append(crate::world::at(0), vec![sealed]).unwrap();
    assert_eq!(world.log().compact_if_due().unwrap(), None, "it was just written anew");
}

#[test]
fn an_import_goes_on_across_it() {
    let part = |part: u32| Import {
        file: 7,
        series: vec![Series::new("m0"), Series::new("m1")],
        rows: (part * 100..(part + 1) * 100)
            .map(|row| (crate::world::at(i64::from(row) * 15_000), vec![Some(f64::from(row)), Some(0.5)]))
            .collect(),
        last: part == 9,
    };
    let mut worlds = [World::new(), World::new()];
    for n in 0..10 {
        for (world, is_compacted) in worlds.iter_mut().zip([false, true]) {
            let done = world.log().import(crate::world::at(0), &part(n)).unwrap();
            assert!(matches!(done.row, Row::Imported { problem: None, .. }), "part {n}: {:?}", done.row);
            if is_compacted {
                world.log().compact().unwrap().unwrap();
            }
        }
    }
    let [plain, compacted] = &mut worlds;
    assert_eq!(plain.samples(&all()).len(), 2_000);
    assert!(content(plain) == content(compacted));
}

#[test]
fn damage_stops_it_and_the_log_stays() {
    let mut world = world(1_200);
    world.reopen();
    let dir = world.data().join("log");
    let db = fs::File::options().read(true).write(true).open(dir.join("db")).unwrap();
    // What the log has not read since it was opened.
    let length = db.metadata().unwrap().len();
    for place in (length / 8..length / 16 * 15).step_by(1_024) {
        let mut byte = [0];
        db.read_exact_at(&mut byte, place).unwrap();
        db.write_all_at(&[!byte[0]], place).unwrap();
    }
    let error = world.log().compact().unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    let names: Vec<_> = fs::read_dir(world.data()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["log"], "nothing of the copy is left");
    assert_eq!(db.metadata().unwrap().ino(), fs::metadata(dir.join("db")).unwrap().ino(), "another log");
}
