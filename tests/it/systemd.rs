//! Life under systemd: the notify protocol and the watchdog with a socket of the test's own, the journal, the units.

use std::{
    fs,
    io::{PipeReader, PipeWriter, Read, Write, pipe},
    os::{
        fd::AsRawFd,
        unix::{fs::OpenOptionsExt, net::UnixDatagram},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rustix::{fs::OFlags, process::Signal};
use systembot::clock::{Clock, SystemClock};

use crate::{
    bridge::{ALWAYS, FakeBridge, Fault, Requests},
    daemon::{Daemon, Home, LIMIT, program, until},
};

/// The service manager's end of the protocol.
pub(crate) struct Manager {
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    pub(crate) fn listen(home: &Home) -> Self {
        let path = home.data_dir().with_file_name("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self { socket, path: path.to_str().unwrap().to_owned() }
    }

    /// The daemon under this manager.
    pub(crate) fn command(&self, home: &Home) -> Command {
        let mut command = home.command(&["run"]);
        command.env("NOTIFY_SOCKET", &self.path);
        command
    }

    /// The next message, if one comes within this time.
    pub(crate) fn next_within(&self, limit: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(limit)).unwrap();
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    /// The next message that holds a line which begins so.
    pub(crate) fn wait_for(&self, start: &str) -> String {
        let mut seen = Vec::new();
        loop {
            let message = self.next_within(LIMIT);
            let message = message.unwrap_or_else(|| panic!("no {start} within {LIMIT:?}, but {seen:?}"));
            if message.lines().any(|line| line.starts_with(start)) {
                return message;
            }
            seen.push(message);
        }
    }

    /// Forgets what has come so far.
    fn drain(&self) {
        while self.next_within(Duration::from_millis(1)).is_some() {}
    }
}

fn value<'a>(message: &'a str, key: &str) -> Option<&'a str> {
    message.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

#[test]
fn it_is_ready_once_the_first_sample_is_in_the_log_and_says_when_it_ends() {
    let home = Home::with_toml("sample_interval = \"1h\"\n");
    let manager = Manager::listen(&home);
    let daemon = Daemon::begin(manager.command(&home));
    let first = manager.next_within(LIMIT).unwrap();
    assert!(value(&first, "EXTEND_TIMEOUT_USEC").is_some() && value(&first, "READY").is_none(), "{first}");
    let ready = manager.wait_for("READY=1");
    // Nothing that happens after it can make it true.
    daemon.kill();
    let samples = home.rows(&["history", "load1"]).len();
    assert_eq!(samples, 1, "{ready}");
    let status = value(&ready, "STATUS").unwrap();
    let recorded = home.rows(&["status"])[0]["samples"].to_string();
    assert!(
        status.starts_with(&format!("{recorded} samples of {recorded} series; no alert open")),
        "{status}"
    );

    let daemon = Daemon::begin(manager.command(&home));
    manager.wait_for("READY=1");
    assert_eq!(daemon.stop(), Some(0));
    manager.wait_for("STOPPING=1");
}

#[test]
fn the_status_line_follows_the_state() {
    let home = Home::with_toml(
        "sample_interval = \"1s\"\n[[service]]\nname = \"ghost\"\nmatch = \"no_such_process_anywhere\"\n",
    );
    let manager = Manager::listen(&home);
    let _daemon = Daemon::begin(manager.command(&home));
    let began = SystemClock.steady();
    manager.wait_for("READY=1");
    let status = manager.wait_for("STATUS=");
    assert!(status.contains("1 alert open; 1 service missing: ghost"), "{status}");
    let apart = SystemClock.steady().saturating_sub(began);
    assert!(apart >= Duration::from_secs(4), "told again after {apart:?}");
}

/// A daemon under a watchdog of 0.6 s, which is ready.
fn watched(home: &Home, manager: &Manager) -> Daemon {
    let mut command = manager.command(home);
    command.env("WATCHDOG_USEC", "600000");
    let daemon = Daemon::begin(command);
    manager.wait_for("READY=1");
    daemon
}

#[test]
fn the_watchdog_is_fed_thrice_in_its_time() {
    let home = Home::on_defaults();
    let manager = Manager::listen(&home);
    let _daemon = watched(&home, &manager);
    manager.wait_for("WATCHDOG=1");
    let began = SystemClock.steady();
    (0..10).for_each(|_| drop(manager.wait_for("WATCHDOG=1")));
    let apart = SystemClock.steady().saturating_sub(began) / 10;
    assert!(apart > Duration::from_millis(150) && apart < Duration::from_millis(500), "fed each {apart:?}");
}

#[test]
fn no_watchdog_no_food() {
    let home = Home::with_toml("sample_interval = \"1s\"\n");
    let manager = Manager::listen(&home);
    let mut command = manager.command(&home);
    // Of the shell that started it, say.
    command.env("WATCHDOG_USEC", "600000").env("WATCHDOG_PID", "1");
    let _daemon = Daemon::begin(command);
    manager.wait_for("READY=1");
    let message = manager.next_within(LIMIT).unwrap();
    assert!(message.starts_with("STATUS="), "{message}");
}

#[test]
fn a_bridge_that_never_answers_does_not_starve_the_watchdog() {
    let bridge = FakeBridge::start("leela");
    bridge.fail(Requests::All, Fault::Stalled, ALWAYS);
    let home = Home::on_bridge(&bridge.url(), "");
    let manager = Manager::listen(&home);
    let _daemon = watched(&home, &manager);
    bridge.wait_until(LIMIT, |seen| seen.stalled > 0);
    manager.drain();
    let began = SystemClock.steady();
    (0..10).for_each(|_| drop(manager.wait_for("WATCHDOG=1")));
    let apart = SystemClock.steady().saturating_sub(began) / 10;
    assert!(apart < Duration::from_millis(500), "fed each {apart:?}");
}

/// Fills a pipe to the brim; whoever writes to it then waits.
fn fill(writer: &PipeWriter) {
    // A description of its own: the flag must not reach the one that is the daemon's stderr.
    let own = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap();
    let mut own = fs::OpenOptions::new().write(true).custom_flags(flags).open(own).unwrap();
    while own.write(&[b'x'; 4096]).is_ok() {}
    while own.write(b"x").is_ok() {}
}

#[test]
fn a_stalled_engine_starves_the_watchdog() {
    let home = Home::with_toml("log_level = \"debug\"\nsample_interval = \"1h\"\n");
    let manager = Manager::listen(&home);
    let (mut reader, writer) = pipe().unwrap();
    let mut command = manager.command(&home);
    command.env("WATCHDOG_USEC", "600000").stderr(writer.try_clone().unwrap());
    let _daemon = Daemon::begin_silent(command);
    manager.wait_for("READY=1");
    manager.wait_for("WATCHDOG=1");
    fill(&writer);
    // The engine writes a line about this order, and stands there.
    let mut order = home.command(&["mute", "load", "--for", "1h"]);
    let mut order = order.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the watchdog to starve", || manager.next_within(Duration::from_millis(1200)).is_none());
    assert_eq!(manager.next_within(Duration::from_millis(1200)), None, "it is stalled for good");

    drain(&mut reader, writer);
    manager.wait_for("WATCHDOG=1");
    assert!(order.wait().unwrap().success());
}

/// Reads a pipe from now on, until nobody writes to it any more.
fn drain(reader: &mut PipeReader, writer: PipeWriter) {
    drop(writer);
    let mut reader = reader.try_clone().unwrap();
    std::thread::spawn(move || reader.read_to_end(&mut Vec::new()));
}

#[test]
fn under_the_journal_lines_have_fields_and_without_it_they_go_to_stderr() {
    let home = Home::with_toml(
        "sample_interval = \"1s\"\n[[service]]\nname = \"ghost\"\nmatch = \"no_such_process_anywhere\"\n",
    );
    let journal = home.data_dir().with_file_name("journal");
    let begin = || {
        let (reader, writer) = pipe().unwrap();
        let stream = rustix::fs::fstat(&writer).unwrap();
        let mut command = home.command(&["run"]);
        command
            .env("JOURNAL_STREAM", format!("{}:{}", stream.st_dev, stream.st_ino))
            .env("SYSTEMBOT_JOURNAL_SOCKET", &journal)
            .stderr(writer);
        (reader, Daemon::begin_silent(command))
    };
    let socket = UnixDatagram::bind(&journal).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let (mut reader, daemon) = begin();
    let line = || {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).expect("a line for the journal");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let alert = std::iter::repeat_with(line).find(|line| line.contains("SYSTEMBOT_ALERT=")).unwrap();
    assert_eq!(value(&alert, "PRIORITY"), Some("4"));
    assert_eq!(value(&alert, "SYSLOG_IDENTIFIER"), Some("systembot"));
    assert_eq!(value(&alert, "SYSTEMBOT_ALERT"), Some("1"));
    let message = value(&alert, "MESSAGE").unwrap();
    assert!(message.contains("ghost") && message.ends_with(" #1"), "{alert}");
    let seq: u64 = value(&alert, "SYSTEMBOT_SEQ").unwrap().parse().unwrap();
    let events = home.rows(&["events", "--kind", "alert_fired"]);
    assert_eq!(events[0]["seq"], seq);
    assert_eq!(daemon.stop(), Some(0));
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert_eq!(said, "", "all went to the journal");

    drop(socket);
    let (mut reader, daemon) = begin();
    until("it to watch", || home.rows(&["status"])[0]["name"].is_string());
    assert_eq!(daemon.stop(), Some(0));
    reader.read_to_string(&mut said).unwrap();
    assert!(said.contains("<6>watching; the log lies in "), "{said}");
}

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)
}

fn analyze(arguments: &[&str], runtime_dir: &Path) -> (bool, String) {
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .env("XDG_RUNTIME_DIR", runtime_dir)
        .env("SYSTEMD_PAGER", "")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("systemd-analyze, which scripts/test installs");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

#[test]
fn systemd_finds_nothing_to_complain_about_in_the_units() {
    let dir = tempfile::tempdir().unwrap();
    for (name, scope) in [("systembot.service", "--system"), ("user/systembot.service", "--user")] {
        let text = fs::read_to_string(unit(name)).unwrap();
        let path = dir.path().join("systembot.service");
        fs::write(&path, text.replace("/usr/bin/systembot", program().to_str().unwrap())).unwrap();
        let (is_sound, said) = analyze(&["verify", scope, path.to_str().unwrap()], dir.path());
        assert!(is_sound && said.is_empty(), "{name}: {said}");
        for line in ["Type=notify", "WatchdogSec=30", "Restart=always", "KillMode=process"] {
            assert!(text.lines().any(|present| present == line), "{name}: {line}");
        }
    }
}

#[test]
fn the_system_unit_exposes_little_and_hides_nothing_that_is_watched() {
    let path = unit("systembot.service");
    let arguments = ["security", "--offline=true", "--no-pager", path.to_str().unwrap()];
    let (_, said) = analyze(&arguments, Path::new("/tmp"));
    let last = said.lines().last().unwrap();
    let exposure = last.split_whitespace().find_map(|word| word.parse::<f64>().ok());
    assert!(exposure.is_some_and(|exposure| exposure <= 2.0), "{said}");
    let text = fs::read_to_string(path).unwrap();
    let hiding =
        ["ProtectProc", "ProcSubset", "PrivateUsers", "PrivateNetwork", "PrivateTmp", "InaccessiblePaths"];
    for key in hiding {
        assert!(!text.lines().any(|line| line.starts_with(key)), "{key}");
    }
    assert!(text.contains("\nProtectHome=read-only\n"));
}

#[test]
fn signals_before_it_is_ready_do_not_make_it_ready() {
    let home = Home::with_toml("sample_interval = \"1h\"\n");
    let manager = Manager::listen(&home);
    let daemon = Daemon::begin(manager.command(&home));
    manager.next_within(LIMIT).unwrap();
    daemon.signal(Signal::HUP);
    manager.wait_for("READY=1");
    daemon.kill();
    assert_eq!(home.rows(&["history", "load1"]).len(), 1);
}
