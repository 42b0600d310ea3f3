//! The control socket: both sides over a real one.

use std::{
    io::{Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

use systembot_model::{Series, Timestamp};
use systembot_storage::{
    query::{Request, Row, Stop},
    remote::{Client, RemoteError, RowWriter, accept, bind, check_peer},
};

/// Rows of the long answer: several frames.
const MANY: u32 = 100_000;

fn point(n: u32) -> Row {
    Row::Point { at: Timestamp::from_ms(i64::from(n)), series: n, value: f64::from(n) }
}

/// Serves connections until one is for nobody: `Status` gets many points, everything else a failure. Tells how each
/// connection ended.
fn serve(path: &Path) -> mpsc::Receiver<Result<(), RemoteError>> {
    let listener = bind(path).unwrap();
    let (ended, ends) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            if ended.send(answer(stream.unwrap())).is_err() {
                return;
            }
        }
    });
    ends
}

fn answer(mut stream: UnixStream) -> Result<(), RemoteError> {
    check_peer(&stream)?;
    let mut connection = accept(&mut stream)?;
    while let Some(request) = connection.read_request()? {
        let mut rows = RowWriter::new(&mut connection);
        if request == Request::Status {
            for n in 0..MANY {
                if rows.push(&point(n)).is_err() {
                    break;
                }
            }
        } else {
            rows.push(&Row::Failed("not today".into())).unwrap();
        }
        rows.finish()?;
    }
    Ok(())
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    (dir, path)
}

#[test]
fn a_long_answer_comes_whole_and_in_order() {
    let (_dir, path) = place();
    let _ends = serve(&path);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut client = Client::connect(&path).unwrap();
    assert_eq!(client.daemon_pid(), i32::try_from(std::process::id()).ok());
    for _ in 0..2 {
        let mut next = 0;
        client
            .ask(&Request::Status, &mut |row| {
                assert_eq!(row, point(next));
                next += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(next, MANY);
    }
    let failed = client.ask(&Request::Series, &mut |_| Ok(())).unwrap_err();
    assert_eq!(failed.to_string(), "not today");
}

#[test]
fn who_has_seen_enough_may_go() {
    let (_dir, path) = place();
    let ends = serve(&path);
    let mut seen = 0;
    let asked = Client::connect(&path).unwrap().ask(&Request::Status, &mut |_| {
        seen += 1;
        if seen < 10 { Ok(()) } else { Err(Stop) }
    });
    assert!(asked.is_ok(), "{asked:?}");
    assert_eq!(seen, 10);
    assert!(ends.recv().unwrap().is_err(), "the server noticed");
    assert!(Client::connect(&path).is_ok(), "and serves the next");
}

#[test]
fn nobody_there_is_told_apart() {
    let (_dir, path) = place();
    assert!(matches!(Client::connect(&path), Err(RemoteError::NoDaemon { .. })));
    drop(UnixListener::bind(&path).unwrap());
    assert!(
        matches!(Client::connect(&path), Err(RemoteError::NoDaemon { .. })),
        "a socket that a dead one left"
    );
    let _ends = serve(&path);
    assert!(Client::connect(&path).is_ok(), "which the next daemon replaces");
}

#[test]
fn another_version_and_garbage_are_refused_on_both_sides() {
    let (_dir, path) = place();
    let ends = serve(&path);
    for (hello, is_version) in [(*b"sbot\x63\x00", true), (*b"GET / ", false)] {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(&hello).unwrap();
        let mut theirs = [0; 6];
        stream.read_exact(&mut theirs).unwrap();
        assert_eq!(&theirs[..4], b"sbot", "it says its own version first");
        let ended = ends.recv().unwrap().unwrap_err();
        assert_eq!(matches!(ended, RemoteError::Version { theirs: 99 }), is_version, "{ended}");
        assert_eq!(matches!(ended, RemoteError::Garbled), !is_version, "{ended}");
    }
    let mut stream = UnixStream::connect(&path).unwrap();
    let mut hello = [0; 6];
    stream.read_exact(&mut hello).unwrap();
    stream.write_all(&hello).unwrap();
    stream.write_all(&u32::MAX.to_le_bytes()).unwrap();
    assert!(matches!(ends.recv().unwrap(), Err(RemoteError::Garbled)), "a question without an end");

    let (_other_dir, other) = place();
    let listener = UnixListener::bind(&other).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"sbot\x07\x00").unwrap();
    });
    let refused = Client::connect(&other).unwrap_err();
    assert!(refused.to_string().contains("use the same version of both"), "{refused}");
}

#[test]
fn a_long_path_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("d".repeat(100)).join("e".repeat(100));
    std::fs::create_dir_all(&deep).unwrap();
    let path = deep.join("control.sock");
    let _ends = serve(&path);
    let failed = Client::connect(&path).unwrap().ask(&Request::Series, &mut |_| Ok(())).unwrap_err();
    assert_eq!(failed.to_string(), "not today");
}

#[test]
fn what_is_asked_arrives_as_it_was() {
    let (_dir, path) = place();
    let listener = bind(&path).unwrap();
    let asked = Request::Trends { patterns: vec![systembot_model::Pattern::new("disk_*")] };
    let expected = asked.clone();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut connection = accept(&mut stream).unwrap();
        let got = connection.read_request().unwrap();
        let mut rows = RowWriter::new(&mut connection);
        rows.push(&Row::Names(vec![Series::new("load1")])).unwrap();
        rows.finish().unwrap();
        got
    });
    let mut rows = Vec::new();
    let mut client = Client::connect(&path).unwrap();
    client
        .ask(&asked, &mut |row| {
            rows.push(row);
            Ok(())
        })
        .unwrap();
    assert_eq!(rows, [Row::Names(vec![Series::new("load1")])]);
    assert_eq!(server.join().unwrap(), Some(expected));
}
