//! Questions and answers over real sockets.

use std::{
    fs, io,
    io::{Read, Write},
    os::unix::{
        fs::{DirBuilderExt, PermissionsExt},
        net::{UnixListener, UnixStream},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};

use systembot_model::{Event, Pattern, Seq, State, Timestamp};
use systembot_storage::{
    Reader,
    query::{History, Import, Request, Row, Stop, answer},
    remote::{self, Client, PROTOCOL, RemoteError, RowWriter},
};

use crate::world::{World, asked, at};

/// Longest wait for a peer of a test: far below what the protocol itself waits.
const LIMIT: Duration = Duration::from_secs(8);
/// Where the child that is a stranger finds the socket.
const STRANGER: &str = "SYSTEMBOT_STRANGER_SOCKET";

/// A daemon's side of the socket, reduced to what the protocol needs.
struct Server {
    path: PathBuf,
    /// How each connection ended, in order.
    ends: mpsc::Receiver<Result<(), RemoteError>>,
}

impl Server {
    fn start(path: &Path, reader: Reader) -> Self {
        let listener = remote::bind(path).unwrap();
        let (sender, ends) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                if sender.send(serve(stream.unwrap(), &reader)).is_err() {
                    return;
                }
            }
        });
        Self { path: path.to_owned(), ends }
    }

    fn client(&self) -> Client {
        Client::connect(&self.path).unwrap()
    }

    /// A connection that says what it likes.
    fn raw(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// One that has said a proper hello and heard the other side's.
    fn greeted(&self) -> UnixStream {
        let mut stream = self.raw();
        stream.write_all(&hello(PROTOCOL)).unwrap();
        stream.read_exact(&mut [0; 6]).unwrap();
        stream
    }

    fn next_end(&self) -> Result<(), RemoteError> {
        self.ends.recv_timeout(LIMIT).expect("the connection does not end")
    }
}

fn serve(mut stream: UnixStream, reader: &Reader) -> Result<(), RemoteError> {
    remote::check_peer(&stream)?;
    let mut connection = remote::accept(&mut stream)?;
    while let Some(request) = connection.read_request()? {
        let mut rows = RowWriter::new(&mut connection);
        answer(reader, &State::default(), &request, &mut |row| rows.push(&row)).unwrap();
        rows.finish()?;
    }
    Ok(())
}

fn hello(version: u16) -> Vec<u8> {
    [&b"sbot"[..], &version.to_le_bytes()].concat()
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes].concat()
}

/// A log with so many ticks of a hundred series, and a record.
fn world(ticks: i32) -> (World, Server) {
    let mut world = World::new();
    let names: Vec<String> = (0..100).map(|i| format!("metric_{i}")).collect();
    for i in 0..ticks {
        let readings: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), f64::from(i))).collect();
        world.tick(i64::from(i) * 15_000, &readings);
    }
    world.log().append(at(0), vec![Event::Stopped]).unwrap();
    let server = Server::start(&world.data().join("control.sock"), world.reader());
    (world, server)
}

fn history() -> Request {
    let patterns = vec![Pattern::all()];
    let (since, until) = (Timestamp::MIN, Timestamp::MAX);
    Request::History(History { patterns, since, until, step: None, limit: None, newest: false })
}

fn ask(client: &mut Client, request: &Request) -> Result<Vec<Row>, RemoteError> {
    let mut rows = Vec::new();
    client.ask(request, &mut |row| {
        rows.push(row);
        Ok(())
    })?;
    Ok(rows)
}

#[test]
fn answers_are_the_same_over_the_socket() {
    let (world, server) = world(150);
    let mut client = server.client();
    assert_eq!(client.daemon_pid(), i32::try_from(std::process::id()).ok());
    let (since, until) = (Timestamp::MIN, Timestamp::MAX);
    let events = Request::Events { since, until, kinds: Vec::new(), after: Seq::ZERO };
    // Nothing, one row, and some frames of rows, one question after another.
    let why = Request::Why { id: 7 };
    for request in [why, Request::Status, history(), events, Request::Series, Request::Verify] {
        let direct = asked(&world.reader(), &State::default(), &request);
        assert_eq!(ask(&mut client, &request).unwrap(), direct, "{request:?}");
    }
    assert_eq!(ask(&mut client, &history()).unwrap().len(), 1 + 100 * 150);
}

#[test]
fn one_connection_carries_many_questions_and_long_answers_in_frames_of_64_kib() {
    let (_world, server) = world(150);
    let mut stream = server.greeted();
    // Variant 1 is `series`, variant 0 `status`, variant 2 `history`; 15,000 points of some fifteen bytes are three frames or more.
    let history = [&[2, 1, 1, b'*'][..], &[253], &u64::MAX.to_le_bytes(), &[253]].concat();
    let history = [&history[..], &(u64::MAX - 1).to_le_bytes(), &[0, 0, 0]].concat();
    let mut frames_of = |request: &[u8]| {
        stream.write_all(&frame(request)).unwrap();
        let mut lengths = Vec::new();
        loop {
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let length = usize::try_from(u32::from_le_bytes(length)).unwrap();
            if length == 0 {
                return lengths;
            }
            stream.read_exact(&mut vec![0; length]).unwrap();
            lengths.push(length);
        }
    };
    assert_eq!(frames_of(&[1]).len(), 1);
    let lengths = frames_of(&history);
    let (last, full) = lengths.split_last().unwrap();
    assert!(full.len() > 1 && full.iter().all(|length| (65_536..66_560).contains(length)), "{lengths:?}");
    assert!(*last < 66_560, "{lengths:?}");
    assert_eq!(frames_of(&[0]).len(), 1);
    drop(stream);
    server.next_end().unwrap();
}

#[test]
fn another_version_is_told_to_both_sides() {
    let (world, server) = world(1);
    let mut newer = server.raw();
    newer.write_all(&hello(PROTOCOL + 1)).unwrap();
    let mut told = [0; 6];
    newer.read_exact(&mut told).unwrap();
    assert_eq!(told.as_slice(), hello(PROTOCOL));
    let end = server.next_end().unwrap_err();
    assert!(matches!(end, RemoteError::Version { theirs } if theirs == PROTOCOL + 1), "{end}");

    let path = world.data().join("newer.sock");
    let heard = fake(&path, hello(PROTOCOL + 4));
    let refused = Client::connect(&path).unwrap_err();
    assert!(matches!(refused, RemoteError::Version { theirs } if theirs == PROTOCOL + 4), "{refused}");
    assert!(refused.to_string().contains("use the same version of both"), "{refused}");
    assert_eq!(heard.recv_timeout(LIMIT).unwrap(), hello(PROTOCOL));
}

#[test]
fn a_client_that_speaks_garbage_is_turned_away() {
    let (_world, server) = world(1);
    let check = |what: &str, hello: &[u8], then: &[u8], expected: &str| {
        let mut stream = server.raw();
        stream.write_all(&[hello, then].concat()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let end = server.next_end();
        assert_eq!(end.map_or_else(|error| error.to_string(), |()| "fine".into()), expected, "{what}");
        // What it is told is a hello and no row.
        let mut told = Vec::new();
        let _ = stream.read_to_end(&mut told);
        assert_eq!(told, self::hello(PROTOCOL), "{what}");
    };
    let (good, garbled) = (hello(PROTOCOL), "the control socket spoke no known protocol");
    let gone = "the daemon closed the connection: ask again";
    check("a web browser", b"GET / HTTP/1.1\r\n\r\n", b"", garbled);
    check("nothing at all", b"", b"", gone);
    check("half a hello", b"sbo", b"", gone);
    check("a hello alone", &good, b"", "fine");
    check("half a length", &good, &[1, 0], "fine");
    check("half a question", &good, &[9, 0, 0, 0, 4], "fine");
    check("no question", &good, &frame(&[99]), garbled);
    check("a question and more", &good, &frame(&[0, 0]), garbled);
    check("an empty frame", &good, &frame(&[]), garbled);
    check("16 MiB and one byte", &good, &((16_u32 << 20) + 1).to_le_bytes(), garbled);
    check("the greatest length", &good, &[0xff; 4], garbled);
    // A list of 2^60 names in a frame of 20 bytes takes no memory.
    let greedy = [&[3, 253][..], &(1_u64 << 60).to_le_bytes(), &[0; 10]].concat();
    check("a greedy list", &good, &frame(&greedy), garbled);
    assert_eq!(ask(&mut server.client(), &Request::Series).unwrap().len(), 100, "others are served still");
}

#[test]
fn a_daemon_that_speaks_garbage_is_an_error_and_no_wait() {
    let world = World::new();
    let path = world.data().join("control.sock");
    let check = |what: &str, says: &[u8], expected: &str| {
        let _heard = fake(&path, [&hello(PROTOCOL), says].concat());
        let mut client = Client::connect(&path).unwrap();
        let error = ask(&mut client, &Request::Series).unwrap_err().to_string();
        assert_eq!(error, expected, "{what}");
    };
    let (garbled, closed) =
        ("the control socket spoke no known protocol", "the daemon closed the connection: ask again");
    check("nothing", b"", closed);
    check("half a frame", &[200, 0, 0, 0, 1, 2, 3], closed);
    check("no row", &frame(&[200, 1, 2]), garbled);
    check("a length beyond all", &[0xff; 4], garbled);
    let failed = [&[12, 9][..], b"no reason"].concat();
    check("its own failure", &frame(&failed), "no reason");
    let refused = fs::remove_file(&path).map(|()| Client::connect(&path).unwrap_err()).unwrap();
    assert!(matches!(refused, RemoteError::NoDaemon { .. }), "{refused}");
}

#[test]
fn what_is_too_long_is_not_sent() {
    let (_world, server) = world(1);
    let mut client = server.client();
    let rows = (0..200_000).map(|i| (at(i), vec![Some(1.0); 10])).collect();
    let import = Import { file: 1, series: Vec::new(), rows, last: true };
    let refused = ask(&mut client, &Request::Import(import)).unwrap_err();
    assert!(matches!(refused, RemoteError::TooLong(bytes) if bytes > 16 << 20), "{refused}");
    assert_eq!(ask(&mut client, &Request::Series).unwrap().len(), 100);

    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(&hello(PROTOCOL)).unwrap();
    let mut connection = remote::accept(&mut ours).unwrap();
    let mut writer = RowWriter::new(&mut connection);
    assert_eq!(writer.push(&Row::Failed("x".repeat((64 << 20) - 100))), Err(Stop));
    assert!(matches!(writer.finish(), Err(RemoteError::TooLong(_))));
}

#[test]
fn a_client_that_goes_away_costs_its_own_answer_alone() {
    let (_world, server) = world(400);
    let mut client = server.client();
    let mut taken = 0;
    let mut some = |_| {
        taken += 1;
        if taken < 10 { Ok(()) } else { Err(Stop) }
    };
    client.ask(&history(), &mut some).unwrap();
    assert_eq!(taken, 10);
    // The whole answer may have left before the client was gone: this one may end well.
    let _ = server.next_end();

    // One that asks and is gone without taking a row: half a megabyte waits in no buffer.
    let mut stream = server.greeted();
    let long = [&[2, 0, 253][..], &u64::MAX.to_le_bytes(), &[253], &(u64::MAX - 1).to_le_bytes(), &[0, 0]];
    stream.write_all(&frame(&long.concat())).unwrap();
    drop(stream);
    assert!(server.next_end().is_err());
    assert_eq!(ask(&mut client, &history()).unwrap().len(), 1 + 100 * 400);
}

#[test]
fn the_socket_is_its_owners_and_replaces_a_dead_one() {
    let world = World::new();
    let path = world.data().join("control.sock");
    assert!(matches!(Client::connect(&path).unwrap_err(), RemoteError::NoDaemon { .. }));
    drop(UnixListener::bind(&path).unwrap());
    let refused = Client::connect(&path).unwrap_err();
    assert!(matches!(refused, RemoteError::NoDaemon { .. }), "{refused}");
    let _listener = remote::bind(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let below = path.join("not-a-directory.sock");
    assert!(matches!(Client::connect(&below).unwrap_err(), RemoteError::NoDaemon { .. }));
    let blocked = world.data().join("a-directory.sock");
    fs::create_dir(&blocked).unwrap();
    assert!(remote::bind(&blocked).is_err(), "what is no socket stays");
}

#[test]
fn a_path_longer_than_a_socket_may_have_is_served() {
    let mut world = World::new();
    world.tick(0, &[("load1", 1.0)]);
    let dir = world.data().join("d".repeat(100)).join("e".repeat(100));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).unwrap();
    let path = dir.join("control.sock");
    let too_long = UnixListener::bind(&path).unwrap_err();
    assert_eq!(too_long.kind(), io::ErrorKind::InvalidInput);
    let server = Server::start(&path, world.reader());
    assert_eq!(ask(&mut server.client(), &Request::Series).unwrap().len(), 1);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn strangers_are_kept_out_by_the_mode_and_by_the_check() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    remote::check_peer(&ours).unwrap();
    if !rustix::process::geteuid().is_root() {
        // Only root can become somebody else.
        return;
    }
    let (world, server) = world(1);
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(world.data().parent().unwrap(), 0o755);
    open(&world.data(), 0o755);
    assert_eq!(stranger(&server.path), "Denied");
    open(&server.path, 0o666);
    assert_eq!(stranger(&server.path), "Closed");
    let end = server.next_end().unwrap_err();
    assert!(matches!(end, RemoteError::Stranger { uid: 65_534 }), "{end}");
}

/// The stranger, in a process of its own; without a socket it does nothing.
#[test]
fn stranger_child() {
    let Some(path) = std::env::var_os(STRANGER).map(PathBuf::from) else { return };
    let word = match Client::connect(&path) {
        Err(RemoteError::Denied { .. }) => "Denied",
        Err(RemoteError::Closed) => "Closed",
        Err(_) => "another error",
        Ok(_) => "connected",
    };
    println!("\nstranger: {word}");
}

/// What somebody else meets at a socket.
fn stranger(path: &Path) -> String {
    // By this name the program can be started where its directory cannot be entered.
    let mut command = Command::new("/proc/self/exe");
    command.args(["--exact", "remote::stranger_child", "--nocapture"]).env(STRANGER, path);
    let output = command.uid(65_534).gid(65_534).current_dir("/").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("stranger: ")).expect("it says nothing").to_owned()
}

/// Listens once, says something, and gives the first hello that it heard.
fn fake(path: &Path, says: Vec<u8>) -> mpsc::Receiver<Vec<u8>> {
    let listener = remote::bind(path).unwrap();
    let (sender, heard) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut hello = vec![0; 6];
        stream.read_exact(&mut hello).unwrap();
        stream.write_all(&says).unwrap();
        // Nobody need listen.
        let _ = sender.send(hello);
        // The question, if one comes, so that closing is no reset.
        let mut length = [0; 4];
        if stream.read_exact(&mut length).is_ok() {
            let _ = stream.read_exact(&mut vec![0; usize::try_from(u32::from_le_bytes(length)).unwrap()]);
        }
    });
    heard
}
