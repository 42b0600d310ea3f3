//! Bytes that change on disk: an error or what is left, never a hang, a crash, or an answer made up.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use systembot_model::{Event, Seq, Timestamp};
use systembot_storage::{
    Error,
    query::{Request, Row, answer},
};

use crate::world::{World, at, open, sampled};

/// Far longer than reading such a log takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A log with chunks, ring and events, closed.
fn sound() -> World {
    let mut world = World::new();
    for i in 0..700_i64 {
        let value = f64::from(i32::try_from(i * 7_919 % 1_000).unwrap());
        let mut events = vec![sampled(&[("load1", value), ("load5", value / 8.0)])];
        if i % 10 == 0 {
            events.push(Event::Noted { subject: format!("n{i}"), text: "x".repeat(100) });
        }
        world.log().append(at(i * 1_000), events).unwrap();
    }
    world.close();
    world
}

/// What came of reading everything.
#[derive(Debug)]
enum Read {
    Refused(Error),
    Failed,
    Faulty(u64),
    Sound(u64),
}

/// Opens a log and reads all of it, on a thread that is given up after [`LIMIT`].
fn read(data: &Path) -> Read {
    let (sender, receiver) = mpsc::channel();
    let data = data.to_owned();
    thread::spawn(move || sender.send(read_all(&data)));
    receiver.recv_timeout(LIMIT).expect("reading a damaged log hung or panicked")
}

fn read_all(data: &Path) -> Read {
    let log = match open(data) {
        Ok(log) => log,
        Err(error) => return Read::Refused(error),
    };
    let reader = log.reader();
    let Ok(state) = log.load_state() else { return Read::Failed };
    let mut verified = None;
    let answered = answer(&reader, &state, &Request::Verify, &mut |row| {
        verified = Some(row);
        Ok(())
    });
    let (Ok(()), Some(Row::Verified(verified))) = (answered, verified) else { return Read::Failed };
    if verified.faults.is_empty() { Read::Sound(verified.records) } else { Read::Faulty(verified.records) }
}

fn check_line(error: &Error) {
    let text = error.to_string();
    assert!(!text.is_empty() && !text.contains('\n') && text.len() < 400, "{text}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Damages a copy of the sound log and reads it; it may tell less, but never more or anything else.
fn damaged(world: &World, damage: impl Fn(&Path)) -> Read {
    let dir = tempfile::tempdir().unwrap();
    copy(&world.data(), dir.path());
    damage(&dir.path().join("log"));
    let read = read(dir.path());
    match &read {
        Read::Refused(error) => check_line(error),
        Read::Sound(records) | Read::Faulty(records) => assert!(*records <= 770, "{read:?}"),
        Read::Failed => {}
    }
    read
}

fn snapshots(log: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("snap.")).collect()
}

#[test]
fn flipped_bytes_are_found_or_do_no_harm() {
    let world = sound();
    assert!(matches!(read(&world.data()), Read::Sound(770)));
    let bytes = fs::metadata(world.data().join("log/db")).unwrap().len();
    let mut found = 0;
    for i in 0..24_u64 {
        let place = usize::try_from(bytes * i / 24 + i * 31 % 97).unwrap();
        let read = damaged(&world, |log| {
            let mut db = fs::read(log.join("db")).unwrap();
            for byte in db.iter_mut().skip(place).take(64) {
                *byte ^= 0x55;
            }
            fs::write(log.join("db"), db).unwrap();
        });
        found += u32::from(!matches!(read, Read::Sound(770)));
    }
    assert!(found > 0, "no damage was found at all");
}

#[test]
fn a_file_cut_short_anywhere_is_one_clear_error_or_a_shorter_log() {
    let world = sound();
    let bytes = fs::metadata(world.data().join("log/db")).unwrap().len();
    for share in [0, 1, 13, 40, 77, 99] {
        damaged(&world, |log| {
            fs::File::options()
                .write(true)
                .open(log.join("db"))
                .unwrap()
                .set_len(bytes * share / 100)
                .unwrap();
        });
    }
}

#[test]
fn missing_and_misplaced_files_are_no_crash() {
    let world = sound();
    damaged(&world, |log| snapshots(log).iter().for_each(|path| fs::remove_file(path).unwrap()));
    damaged(&world, |log| snapshots(log).iter().for_each(|path| fs::write(path, b"nonsense").unwrap()));
    damaged(&world, |log| fs::write(log.join("conf"), b"").unwrap());
    damaged(&world, |log| fs::remove_file(log.join("conf")).unwrap());
    let read = damaged(&world, |log| {
        fs::remove_file(log.join("db")).unwrap();
        fs::create_dir(log.join("db")).unwrap();
    });
    assert!(matches!(read, Read::Refused(_)), "{read:?}");
    let read = damaged(&world, |log| {
        fs::remove_dir_all(log).unwrap();
        fs::write(log, b"a file").unwrap();
    });
    assert!(matches!(read, Read::Refused(_)), "{read:?}");
}

#[test]
fn a_log_of_a_later_format_is_named_as_such() {
    let world = sound();
    let dir = tempfile::tempdir().unwrap();
    copy(&world.data(), dir.path());
    {
        let db = sled::open(dir.path().join("log")).unwrap();
        let meta = db.open_tree("meta").unwrap();
        let (key, value) = meta
            .iter()
            .map(Result::unwrap)
            .find(|(key, _)| key.as_ref() == b"format")
            .expect("the log has a format");
        let later = systembot_storage::codec::encode(&9_999_u16).unwrap();
        assert_ne!(later, value.to_vec());
        meta.insert(key, later).unwrap();
        db.flush().unwrap();
    }
    let Read::Refused(error) = read(dir.path()) else { panic!() };
    assert!(matches!(error, Error::Newer { .. }), "{error}");
    check_line(&error);
}

#[test]
fn a_time_far_away_is_no_trap() {
    let mut world = World::new();
    for at in [Timestamp::MIN, Timestamp::MAX, Timestamp::from_ms(0), Timestamp::MAX] {
        world.log().append(at, vec![sampled(&[("load1", 1.0)])]).unwrap();
    }
    for _ in 0..300 {
        world.log().append(Timestamp::MAX, vec![sampled(&[("load1", 1.0)])]).unwrap();
    }
    assert_eq!(world.records(0).len(), 304);
    assert_eq!(world.log().load_state().unwrap().seq, Seq::new(304));
}
