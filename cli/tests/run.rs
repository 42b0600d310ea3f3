//! Whole commands from arguments to exit code, over real logs in temporary directories: no log, a log of this
//! process, a log behind a control socket, a log that others hold; configurations; broken pipes.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    cell::{Cell, RefCell},
    ffi::OsString,
    io::{self, Write},
    path::Path,
    thread,
    time::Duration,
};

use jiff::tz::TimeZone;
use systembot_cli::{Answer, Asked, Edges, Io, Wait, commands::detect::plain_detector, output::Screen, run};
use systembot_model::{Event, Sample, Series, Timestamp};
use systembot_storage::{
    Log,
    query::{self, Row},
    remote,
};

/// 2026-11-22 09:00 in UTC.
const NOW: i64 = 1_795_338_000_000;

/// What a command said.
#[derive(Debug, PartialEq)]
struct Said {
    code: u8,
    out: String,
    err: String,
}

/// Runs a command line on a data directory with an empty environment.
fn systembot(data: &Path, line: &[&str]) -> Said {
    let mut out = Vec::new();
    let (code, err) = run_into(data, line, &mut out);
    Said { code, out: String::from_utf8(out).unwrap(), err }
}

fn run_into(data: &Path, line: &[&str], out: &mut dyn Write) -> (u8, String) {
    let waits = Cell::new(0);
    let wait = |_: Duration| {
        waits.set(waits.get() + 1);
        assert!(waits.get() < 1000, "it waits for ever");
        Wait::Over
    };
    run_waiting(data, line, out, &wait)
}

fn run_waiting(
    data: &Path,
    line: &[&str],
    out: &mut dyn Write,
    wait: &dyn Fn(Duration) -> Wait,
) -> (u8, String) {
    let ask = |asked: Asked<'_>| {
        let log = if asked.opened.is_some() { "a" } else { "no" };
        let text = format!("{} with {log} log at {}", asked.text, asked.now.civil_minute(asked.now.at));
        Ok(Answer { text, understood: asked.text != "gibberish" })
    };
    let edges = Edges {
        now: &|| Timestamp::from_ms(NOW),
        run: &|setup| anyhow::bail!("running {}\non two lines", setup.loaded.settings.name),
        ask: &ask,
        doctor: &|_, _| Ok(()),
        detector: &plain_detector,
    };
    let mut err = Vec::new();
    let home = OsString::from("/nonexistent");
    let mut io = Io {
        input: &mut "load\ngibberish\n".as_bytes(),
        is_typed: false,
        errors: &mut err,
        is_errors_seen: false,
        screen: Screen::plain(),
        zone: TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap(),
        wait,
        env: &|name| (name == "HOME").then(|| home.clone()),
    };
    let dir = data.to_str().unwrap();
    let args = ["systembot", "--data-dir", dir].into_iter().chain(line.iter().copied()).map(OsString::from);
    let code = run(args, &edges, &mut io, out);
    (code, String::from_utf8(err).unwrap())
}

/// A log with two ticks, a minute and half a minute ago, between a start and a stop.
fn log(data: &Path) -> Log {
    let mut log = Log::open(&data.join("log")).unwrap();
    let started = Event::Started { version: "0.1.0".into(), config: None, unclean: false };
    log.append(Timestamp::from_ms(NOW - 70_000), vec![started]).unwrap();
    for (seconds, load) in [(60, 0.5), (30, 1.5)] {
        let mut sample = Sample::default();
        sample.push(Series::new("load1"), load);
        sample.push(Series::labelled("disk_used_percent", "mount", "/"), 48.25);
        log.append(Timestamp::from_ms(NOW - seconds * 1000), vec![Event::Sampled(sample)]).unwrap();
    }
    log.append(Timestamp::from_ms(NOW - 10_000), vec![Event::Stopped]).unwrap();
    log
}

const HISTORY: &str = "\
{\"time\":\"2026-11-22T08:59:00.000Z\",\"series\":\"load1\",\"value\":0.5}
{\"time\":\"2026-11-22T08:59:30.000Z\",\"series\":\"load1\",\"value\":1.5}
";

#[test]
fn without_a_log_questions_say_how_to_start_and_make_none() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("none");
    for line in [
        &["status"][..],
        &["history", "load1"],
        &["alerts"],
        &["why", "3"],
        &["ack"],
        &["mute", "load", "--for", "2h"],
        &["unmute"],
        &["events", "--follow"],
        &["export"],
        &["verify"],
    ] {
        let said = systembot(&data, line);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{line:?}: {said:?}");
        let expected =
            format!("systembot: there is no log in {} yet: `systembot run` starts one\n", data.display());
        assert_eq!(said.err, expected, "{line:?}");
    }
    let said = systembot(&data, &["ask", "load"]);
    assert_eq!((said.code, said.out.as_str()), (0, "load with no log at 2026-11-22 10:00\n"));
    assert!(!data.exists());
}

#[test]
fn a_log_that_nobody_holds_is_opened() {
    let data = tempfile::tempdir().unwrap();
    drop(log(data.path()));
    let json = |line: &[&str]| systembot(data.path(), &[&["--format", "json"], line].concat());
    assert_eq!(json(&["history", "load"]), Said { code: 0, out: HISTORY.into(), err: String::new() });
    let series = json(&["series"]).out;
    assert_eq!(series.lines().count(), 2, "{series}");
    let status: serde_json::Value = serde_json::from_str(&json(&["status"]).out).unwrap();
    assert_eq!(status.pointer("/samples"), Some(&4.into()));
    assert_eq!(status.pointer("/data_dir"), Some(&data.path().to_str().unwrap().into()));
    let events = json(&["events", "--kind", "started,stopped"]).out;
    assert!(events.lines().zip(["started", "stopped"]).all(|(line, kind)| line.contains(kind)), "{events}");
    assert_eq!(json(&["verify"]).code, 0);
    let trends = json(&["trends", "load1"]).out;
    assert!(trends.starts_with("{\"series\":\"load1\",\"count\":2,\"mean\":1,"), "{trends}");
    assert_eq!(systembot(data.path(), &["ask", "load"]).out, "load with a log at 2026-11-22 10:00\n");
    assert_eq!(systembot(data.path(), &["ask", "gibberish"]).code, 1);
}

#[test]
fn nothing_found_exits_1() {
    let data = tempfile::tempdir().unwrap();
    drop(log(data.path()));
    for line in [
        &["history", "lod"][..],
        &["history", "load1", "--since", "5s"],
        &["history", "load1", "--limit", "0"],
        &["trends", "lod"],
        &["alerts"],
        &["alerts", "--open"],
        &["why", "1"],
        &["ack"],
        &["ack", "1"],
        &["events", "--kind", "heard"],
        &["export", "--since", "1s"],
    ] {
        let said = systembot(data.path(), line);
        assert_eq!(said.code, 1, "{line:?}: {said:?}");
        assert_eq!(said.err.lines().count(), 1, "{line:?}: {said:?}");
        assert!(said.out.is_empty() || line.first() == Some(&"export"), "{line:?}: {said:?}");
        let json = systembot(data.path(), &[&["--format", "json"], line].concat());
        assert_eq!((json.code, json.out.as_str(), json.err.as_str()), (1, "", ""), "{line:?}");
    }
    for (line, head) in [
        (
            &["alerts"][..],
            "id,series,rule,severity,state,fired_at,resolved_at,acknowledged,value,mean,stdev,sigma,message",
        ),
        (&["trends", "lod"], "series,count,mean,stdev,last,sigma"),
        (&["events", "--kind", "heard"], "seq,time,kind,text,fields"),
        (&["history", "lod"], "time,series,value"),
        (&["export", "--since", "1s"], "time,series,value"),
    ] {
        let csv = systembot(data.path(), &[&["--format", "csv"], line].concat());
        assert_eq!((csv.code, csv.out, csv.err.as_str()), (1, format!("{head}\n"), ""), "{line:?}");
    }
}

#[test]
fn mistakes_exit_2_with_one_line() {
    let data = tempfile::tempdir().unwrap();
    drop(log(data.path()));
    for (line, part) in [
        (&["history", "load1", "--since", "soon"][..], "`soon` is no time"),
        (&["history", "load1", "--step", "0s"], "too short"),
        (&["events", "--kind", "herd"], "`herd` is no kind of event"),
        (&["mute", "load", "--for", "ever"], "`ever` is no span"),
        (&["detect", "/no/such.csv"], "/no/such.csv: No such file"),
        (&["import", "/"], "/: is a directory"),
        (&["--config", "/no/such.toml", "status"], "/no/such.toml"),
        (&["run"], "; on two lines"),
    ] {
        let said = systembot(data.path(), line);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{line:?}: {said:?}");
        assert_eq!(said.err.lines().count(), 1, "{line:?}: {said:?}");
        assert!(said.err.starts_with("systembot: ") && said.err.contains(part), "{line:?}: {said:?}");
    }
    let usage = systembot(data.path(), &["history"]);
    assert_eq!((usage.code, usage.out.as_str()), (2, ""));
    assert!(usage.err.contains("SERIES"), "{usage:?}");
    let help = systembot(data.path(), &["history", "--help"]);
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    assert!(help.out.contains("last night"), "{help:?}");
}

#[test]
fn a_broken_configuration_stops_every_command_but_its_check() {
    let data = tempfile::tempdir().unwrap();
    let config = data.path().join("broken.toml");
    std::fs::write(&config, "nmae = \"x\"\nsample_interval = 3\n").unwrap();
    let config = config.to_str().unwrap();
    for line in [&["status"][..], &["run"], &["detect", "x.csv"], &["config", "show"], &["chat"]] {
        let said = systembot(data.path(), &[&["--config", config], line].concat());
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{line:?}: {said:?}");
        assert!(said.err.starts_with(&format!("systembot: {config}:1: nmae: ")), "{said:?}");
        assert!(said.err.lines().count() == 1 && said.err.contains("1 more"), "{said:?}");
    }
    let said = systembot(data.path(), &["--config", config, "config", "check"]);
    assert_eq!((said.code, said.err.as_str(), said.out.lines().count()), (1, "", 2), "{said:?}");
    assert_eq!(systembot(data.path(), &["--config", config, "man"]).code, 0);
}

#[test]
fn the_daemon_and_the_log_give_the_same_bytes() {
    let data = tempfile::tempdir().unwrap();
    let log = log(data.path());
    let questions = [
        &["--format", "json", "history", "*", "--step", "1m"][..],
        &["--format", "csv", "series"],
        &["trends"],
        &["events", "--format", "json"],
        &["export", "--as", "openmetrics"],
        &["history", "load1", "--chart"],
    ];
    let listener = remote::bind(&data.path().join("control.sock")).unwrap();
    let state = log.load_state().unwrap();
    let asked = thread::scope(|scope| {
        let server = scope.spawn(|| {
            // One that says nothing ends it.
            while let Ok((mut stream, _)) = listener.accept()
                && let Ok(mut connection) = remote::accept(&mut stream)
            {
                let Ok(Some(request)) = connection.read_request() else { break };
                let mut rows = remote::RowWriter::new(&mut connection);
                query::answer(&log.reader(), &state, &request, &mut |row: Row| rows.push(&row)).unwrap();
                rows.finish().unwrap();
            }
        });
        let asked = questions.map(|line| systembot(data.path(), line));
        drop(remote::Client::connect(&data.path().join("control.sock")).unwrap());
        server.join().unwrap();
        asked
    });
    drop((listener, log));
    for (line, asked) in questions.into_iter().zip(asked) {
        assert_eq!(asked.code, 0, "{line:?}: {asked:?}");
        assert_eq!(asked, systembot(data.path(), line), "{line:?}");
    }
}

#[test]
fn a_log_that_another_holds_is_waited_for() {
    let data = tempfile::tempdir().unwrap();
    let held = RefCell::new(Some(log(data.path())));
    let waits = Cell::new(0);
    let wait = |_: Duration| {
        waits.set(waits.get() + 1);
        if waits.get() == 3 {
            held.replace(None);
        }
        Wait::Over
    };
    let mut out = Vec::new();
    let (code, err) = run_waiting(data.path(), &["--format", "json", "history", "load1"], &mut out, &wait);
    assert_eq!((code, err.as_str(), waits.get()), (0, "", 3));
    assert_eq!(String::from_utf8(out).unwrap(), HISTORY);
    let _held = Log::open(&data.path().join("log")).unwrap();
    let said = systembot(data.path(), &["status"]);
    assert_eq!((said.code, said.out.as_str(), said.err.lines().count()), (2, "", 1));
    assert!(said.err.contains("in use by another process"), "{said:?}");
}

#[test]
fn an_import_makes_a_log_and_is_taken_once() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("new");
    let file = dir.path().join("a.csv");
    let mut text = "timestamp,load1,mine\n".to_owned();
    (0..3000).for_each(|i| text.push_str(&format!("{},{},\n", 1_700_000_000 + i * 15, f64::from(i) / 100.0)));
    std::fs::write(&file, text).unwrap();
    let import = ["--format", "json", "import", file.to_str().unwrap()];
    let said = systembot(&data, &import);
    assert_eq!(said, Said { code: 0, out: "{\"imported\":3000,\"refused\":0}\n".into(), err: String::new() });
    let said = systembot(&data, &import);
    assert_eq!((said.code, said.err.lines().count()), (2, 1), "{said:?}");
    let rows = systembot(&data, &["--format", "csv", "export"]).out;
    assert_eq!(rows.lines().count(), 3001);
    assert_eq!(rows.lines().last(), Some("2023-11-15T10:43:05.000Z,load1,29.99"));
}

#[test]
fn chat_and_detect_read_the_input() {
    let data = tempfile::tempdir().unwrap();
    let said = systembot(data.path(), &["chat"]);
    let expected =
        ["load", "gibberish"].map(|text| format!("{text} with no log at 2026-11-22 10:00\n")).concat();
    assert_eq!(said, Said { code: 0, out: expected, err: String::new() });
    let said = systembot(data.path(), &["detect", "-"]);
    assert_eq!(
        (said.code, said.err.as_str()),
        (2, "systembot: standard input:1: 1 column where `timestamp,value` has two\n")
    );
}

/// Takes some bytes, then nobody reads any more.
struct Reader(usize);

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.0 == 0 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}

#[test]
fn a_broken_pipe_is_0() {
    let data = tempfile::tempdir().unwrap();
    drop(log(data.path()));
    for line in [
        &["history", "load1"][..],
        &["--format", "json", "export"],
        &["--help"],
        &["man"],
        &["completions", "bash"],
        &["chat"],
        &["events", "--follow"],
        &["status"],
    ] {
        let (code, err) = run_into(data.path(), line, &mut Reader(7));
        assert_eq!((code, err.as_str()), (0, ""), "{line:?}");
    }
}
