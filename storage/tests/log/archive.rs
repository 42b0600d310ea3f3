//! A log in one file, and back.

use std::{fs, path::Path, thread};

use systembot_model::{Event, Record, Seq, Series, State};
use systembot_storage::{
    Reader,
    archive::{ArchiveError, Faults, restore},
    query::{Import, Request, Row, Stop, Verified, answer},
};
use tempfile::TempDir;

use crate::{
    damage::edit,
    world::{World, all, asked, at, of, open, sampled, sorted},
};

/// Copies a log, and calls something after each piece.
fn copied(reader: &Reader, mut between: impl FnMut()) -> Vec<u8> {
    let (mut archive, mut is_whole) = (Vec::new(), false);
    answer(reader, &State::default(), &Request::Backup, &mut |row| {
        let Row::Archived { bytes, is_last, .. } = row else { panic!("{row:?}") };
        assert!(!is_whole);
        archive.extend(bytes);
        is_whole = is_last;
        between();
        Ok(())
    })
    .unwrap();
    assert!(is_whole);
    archive
}

fn restored(archive: &[u8], data: &Path) -> Result<Verified, ArchiveError> {
    restore(&mut &archive[..], data, Faults::Refused, &mut |_| {})
}

/// Ticks, events and imported history: something in every tree.
fn full() -> World {
    let mut world = World::new();
    for i in 0..600_u32 {
        world.tick(i64::from(i) * 1000, &[("load1", f64::from(i)), ("disk_used_percent{mount=\"/\"}", 1.0)]);
    }
    let text = "x".repeat(30_000);
    world.log().append(at(600_000), vec![Event::Noted { subject: "a".into(), text }]).unwrap();
    let rows = (0..300_i32).map(|i| (at(-9_000_000 + i64::from(i) * 15_000), vec![Some(f64::from(i))]));
    let series = vec![Series::new("old")];
    let import = Import { file: 7, series, rows: rows.collect(), last: true };
    world.log().import(at(600_001), &import).unwrap();
    world
}

#[test]
fn what_was_there_is_there_again() {
    let mut world = full();
    let archive = copied(&world.reader(), || {});
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("new/data");
    let found = restored(&archive, &data).unwrap();
    assert_eq!(found.faults, Vec::<String>::new());
    let (records, samples, seq) = (world.records(0), world.samples(&all()), world.log().seq());
    let state = world.log().load_state().unwrap();
    let mut other = World::at(&data);
    assert_eq!((other.records(0), other.samples(&all()), other.log().seq()), (records, samples, seq));
    assert_eq!(other.log().load_state().unwrap(), state);
    assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "the log alone");
    assert_eq!(other.blobs(), 0);
    // It goes on where it stopped; the imported file is known.
    let next = other.log().append(at(700_000), vec![sampled(&[("load1", 1.0)])]).unwrap();
    assert_eq!(next.records[0].seq, seq.next());
    let again = Import { file: 7, series: vec![Series::new("old")], rows: Vec::new(), last: true };
    let row = other.log().import(at(1), &again).unwrap().row;
    assert!(matches!(&row, Row::Imported { problem: Some(text), .. } if text.contains("already")), "{row:?}");
}

/// A checkpoint belongs to the log it was written of, whatever lies in its place later.
#[test]
fn a_checkpoint_of_the_log_before_is_not_taken_for_its_own() {
    let mut world = full();
    let archive = copied(&world.reader(), || {});
    for i in 0..50 {
        world.tick(800_000 + i, &[("load1", 99.0)]);
    }
    let state = world.log().load_state().unwrap();
    world.log().checkpoint(&state).unwrap();
    world.close();
    let data = world.data();
    fs::rename(data.join("log"), data.join("moved")).unwrap();
    restored(&archive, &data).unwrap();
    world.reopen();
    assert_eq!(world.log().lost(), None);
    assert_eq!(world.log().load_state().unwrap().seq, world.log().seq());
}

/// A writer at full speed in one thread, copies in another: each is the log as of some record, and nothing else.
#[test]
fn a_copy_made_while_the_log_is_written_is_the_log_of_a_moment() {
    let mut world = World::new();
    let wide: Vec<String> = (0..30).map(|i| format!("m{i}")).collect();
    let tick = |i: u32| {
        let readings: Vec<_> = wide.iter().map(|name| (name.as_str(), f64::from(i % 97))).collect();
        sampled(&readings)
    };
    let mut written: Vec<Record> = Vec::new();
    let mut loaded: Vec<(i64, String, f64)> = Vec::new();
    let mut step = |world: &mut World, written: &mut Vec<Record>, ticks: u32| {
        let i = u32::try_from(written.len()).unwrap();
        let mut events: Vec<Event> = (i..i + ticks).map(tick).collect();
        if i % 7 == 0 {
            events.push(Event::Noted { subject: format!("s{i}"), text: "x".repeat(2_000) });
        }
        let records = world.log().append(at(i64::from(i) * 1000), events).unwrap().records;
        written.extend(records.into_iter().map(sorted));
        // A file is loaded beside it, part by part, and never ends.
        if i % 5 == 0 {
            let cell = |k: u32| (at(-1_000_000_000 + i64::from(k) * 15_000), vec![Some(f64::from(k % 7))]);
            let rows: Vec<_> =
                (loaded.len()..loaded.len() + 170).map(|k| cell(u32::try_from(k).unwrap())).collect();
            loaded.extend(rows.iter().map(|(at, cells)| (at.as_ms(), "old".to_owned(), cells[0].unwrap())));
            let series = vec![Series::new("old")];
            world.log().import(at(0), &Import { file: 9, series, rows, last: false }).unwrap();
        }
    };
    for _ in 0..250 {
        step(&mut world, &mut written, 12);
    }
    let reader = world.reader();
    let archives = thread::scope(|scope| {
        let copying = scope.spawn(|| {
            let copy = |_| {
                let before = reader.newest();
                // A slow disk: much is written between two pieces.
                let archive = copied(&reader, || {
                    let seen = reader.newest().get() + 10;
                    while reader.newest().get() < seen {
                        thread::park_timeout(std::time::Duration::from_millis(1));
                    }
                });
                (before, archive, reader.newest())
            };
            (0..3).map(copy).collect::<Vec<_>>()
        });
        while !copying.is_finished() {
            step(&mut world, &mut written, 1);
        }
        copying.join().unwrap()
    });
    drop(reader);
    for (before, archive, after) in archives {
        let dir = tempfile::tempdir().unwrap();
        let found = restored(&archive, dir.path()).unwrap();
        assert_eq!(found.faults, Vec::<String>::new());
        let other = World::at(dir.path());
        let records = other.records(0);
        let newest = records.last().unwrap().seq;
        assert!(newest >= before && newest <= after.next().next(), "{before:?} {newest:?} {after:?}");
        assert_eq!(records, written[..records.len()], "records up to {}", newest.get());
        let old = other.samples(&of("old"));
        assert!(!old.is_empty() && old == loaded[..old.len()], "{} loaded", old.len());
    }
}

#[test]
fn one_copy_at_a_time_and_the_next_after_it() {
    let world = full();
    let reader = world.reader();
    let mut told = Vec::new();
    let mut first = true;
    answer(&reader, &State::default(), &Request::Backup, &mut |_| {
        if std::mem::take(&mut first) {
            told = asked(&world.reader(), &State::default(), &Request::Backup);
            return Ok(());
        }
        // Nobody wants the rest of it.
        Err(Stop)
    })
    .unwrap();
    assert!(matches!(told.as_slice(), [Row::Failed(text)] if text.contains("another backup")), "{told:?}");
    copied(&reader, || {});
}

/// A directory whose entries are told.
fn entries(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[test]
fn what_is_not_whole_is_refused_and_leaves_nothing() {
    let world = full();
    let archive = copied(&world.reader(), || {});
    let check = |bytes: &[u8], expected: &str| {
        let dir: TempDir = tempfile::tempdir().unwrap();
        let error = restored(bytes, dir.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} is not about {expected}");
        assert_eq!(entries(dir.path()), Vec::<String>::new());
        let made = dir.path().join("made");
        restored(bytes, &made).unwrap_err();
        assert!(!made.exists());
    };
    check(b"", "is no backup");
    check(b"timestamp,load1\n1,2\n3,4\n", "is no backup");
    check(b"systembot backup 9\nwhatever", "later version");
    for cut in [19, 22, 500, archive.len() / 2, archive.len() - 1] {
        check(&archive[..cut], "cut off");
    }
    for place in [19, 21, 30, 700, archive.len() / 3, archive.len() - 3] {
        let mut damaged = archive.clone();
        damaged[place] ^= 0x10;
        let dir = tempfile::tempdir().unwrap();
        let error = restored(&damaged, dir.path()).unwrap_err();
        let is_refused = matches!(error, ArchiveError::Damaged { .. } | ArchiveError::CutOff { .. });
        assert!(is_refused, "byte {place}: {error}");
        assert_eq!(entries(dir.path()), Vec::<String>::new());
    }
    let longer = [archive.as_slice(), b"x"].concat();
    check(&longer, "something follows its end");
}

/// A whole frame that is missing, in an archive that is otherwise sound.
#[test]
fn an_archive_that_lost_a_part_is_refused() {
    let world = full();
    let mut pieces = Vec::new();
    answer(&world.reader(), &State::default(), &Request::Backup, &mut |row| {
        let Row::Archived { bytes, .. } = row else { panic!("{row:?}") };
        pieces.push(bytes);
        Ok(())
    })
    .unwrap();
    assert!(pieces.len() > 4);
    pieces.remove(2);
    let dir = tempfile::tempdir().unwrap();
    let error = restored(&pieces.concat(), dir.path()).unwrap_err();
    assert!(matches!(error, ArchiveError::Damaged { .. }), "{error}");
}

#[test]
fn a_log_is_never_written_over_and_two_restores_do_not_mix() {
    let mut world = full();
    let archive = copied(&world.reader(), || {});
    world.close();
    let error = restored(&archive, &world.data()).unwrap_err();
    assert!(matches!(&error, ArchiveError::Taken { dir } if dir.ends_with("data/log")), "{error}");
    let dir = tempfile::tempdir().unwrap();
    let busy = dir.path().join("restoring");
    fs::create_dir(&busy).unwrap();
    let lock = fs::File::open(&busy).unwrap();
    lock.lock().unwrap();
    let error = restored(&archive, dir.path()).unwrap_err();
    assert!(matches!(error, ArchiveError::Busy { .. }), "{error}");
    drop(lock);
    // What one that was killed has left behind is cleared.
    fs::create_dir(busy.join("log")).unwrap();
    fs::write(busy.join("log/db"), "half").unwrap();
    fs::create_dir(dir.path().join("log")).unwrap();
    restored(&archive, dir.path()).unwrap();
    assert_eq!(entries(dir.path()), ["log"]);
    let again = restored(&archive, dir.path()).unwrap_err();
    assert!(matches!(again, ArchiveError::Taken { .. }), "{again}");
}

/// The archive of a log that had lost records tells so, and is taken only on request.
#[test]
fn faults_of_the_log_are_told_and_taken_on_request() {
    let mut world = full();
    world.log().append(at(1), vec![Event::Noted { subject: "b".into(), text: "t".into() }]).unwrap();
    world.close();
    edit(&world, "event", &|tree| {
        let (key, value) = tree.last().unwrap().unwrap();
        let mut value = value.to_vec();
        value[7] ^= 1;
        tree.insert(key, value).unwrap();
    });
    world.reopen();
    let archive = copied(&world.reader(), || {});
    let dir = tempfile::tempdir().unwrap();
    let error = restored(&archive, dir.path()).unwrap_err();
    assert!(matches!(&error, ArchiveError::Faulty { first, .. } if !first.is_empty()), "{error}");
    assert_eq!(entries(dir.path()), Vec::<String>::new());
    let found = restore(&mut &archive[..], dir.path(), Faults::Taken, &mut |_| {}).unwrap();
    assert!(!found.faults.is_empty());
    let opened = open(&dir.path().join("log"));
    assert!(opened.seq() > Seq::ZERO);
}

#[test]
fn an_empty_log_is_one_too() {
    let world = World::new();
    let reader = world.reader();
    let archive = copied(&reader, || {});
    let dir = tempfile::tempdir().unwrap();
    let found = restored(&archive, dir.path()).unwrap();
    assert_eq!((found.records, found.faults), (0, Vec::new()));
}
