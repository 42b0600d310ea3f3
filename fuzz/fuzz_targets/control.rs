//! The control socket: what a client may send to the daemon, with the answers to its questions, and what a daemon
//! may send to a client.
//!
//! The first byte chooses: 0 for bytes as they are, behind a good hello; 1 for one question behind a good length; 2
//! for the rows of an answer as they are, 3 behind good lengths.
#![no_main]

use std::{cell::RefCell, io::Write, net::Shutdown, os::unix::net::UnixStream, path::Path};

use libfuzzer_sys::fuzz_target;
use systembot_model::{Event, Sample, Series, State, Timestamp};
use systembot_storage::{
    Log, fuzz,
    query::{Request, Stop, answer},
    remote::PROTOCOL,
};
use tempfile::TempDir;

/// Rows of one answer that are looked at.
const ROWS: u32 = 10_000;
/// Imports into one log: with more of them each takes longer.
const IMPORTS: u32 = 500;

struct World {
    _dir: TempDir,
    log: Log,
    state: State,
    imports: u32,
}

thread_local!(static WORLD: RefCell<Option<World>> = const { RefCell::new(None) });

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let framed = |bytes: &[u8]| {
        let mut frame = u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
        frame.extend_from_slice(bytes);
        frame
    };
    match choice % 4 {
        0 => asked(bytes),
        1 => asked(&framed(bytes)),
        2 => drop(fuzz::rows(peer(bytes))),
        _ => drop(fuzz::rows(peer(&[framed(bytes), framed(&[])].concat()))),
    }
});

/// A connection whose other side says hello and these bytes, and no more; it still listens.
fn peer(bytes: &[u8]) -> UnixStream {
    let (mut theirs, ours) = UnixStream::pair().unwrap();
    theirs.write_all(b"sbot").unwrap();
    theirs.write_all(&PROTOCOL.to_le_bytes()).unwrap();
    theirs.write_all(bytes).unwrap();
    theirs.shutdown(Shutdown::Write).unwrap();
    // What is said to it stays in the socket's buffer.
    KEPT.with_borrow_mut(|kept| *kept = Some(theirs));
    ours
}

thread_local!(static KEPT: RefCell<Option<UnixStream>> = const { RefCell::new(None) });

fn asked(bytes: &[u8]) {
    let Ok(requests) = fuzz::requests(&mut peer(bytes)) else { return };
    WORLD.with_borrow_mut(|world| {
        if world.as_ref().is_none_or(|world| world.imports > IMPORTS) {
            *world = None;
            *world = Some(World::new());
        }
        let Some(world) = world else { return };
        requests.iter().for_each(|request| world.answer(request));
    });
}

impl World {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let mut log = Log::open(&dir.path().join("log")).unwrap();
        let mut state = State::default();
        // Some sealed, some not; an alert that is open.
        for tick in 0..300_i32 {
            let mut sample = Sample::default();
            sample.push(Series::new("load1"), f64::from(tick % 7));
            sample.push(Series::labelled("disk_used_percent", "mount", "/"), 50.0 + f64::from(tick) / 10.0);
            let at = Timestamp::from_ms(1_795_346_634_007 + i64::from(tick) * 15_000);
            for record in log.append(at, vec![Event::Sampled(sample)]).unwrap().records {
                state.apply(&record);
            }
        }
        Self { _dir: dir, log, state, imports: 0 }
    }

    fn answer(&mut self, request: &Request) {
        if let Request::Import(import) = request {
            self.imports += 1;
            if let Ok(imported) = self.log.import(Timestamp::from_ms(1_795_346_634_007), import) {
                imported.records.iter().for_each(|record| self.state.apply(record));
            }
            return;
        }
        let mut rows = 0;
        let reader = self.log.reader();
        answer(&reader, &self.state, request, &mut |_| {
            rows += 1;
            if rows < ROWS { Ok(()) } else { Err(Stop) }
        })
        .unwrap();
    }
}
