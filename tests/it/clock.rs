//! Clocks that jump: the real binary under libfaketime, which sets the wall clock alone, and an engine whose machine
//! sleeps. Whatever the clock did, every sample is found, times are told as they were, and the log has no fault.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{Span, Timestamp, tz::TimeZone};
use serde_json::Value;
use systembot::clock::{Clock, SystemClock};
use systembot_model::{Address, Event, Input, Record, Seq};

use crate::{
    bare::Bare,
    daemon::{Daemon, Home, until},
};

/// A wall clock that a test sets.
struct Faked {
    file: PathBuf,
    zone: &'static str,
}

impl Faked {
    /// A bot that reads each second, on this clock, in this zone.
    fn home(zone: &'static str, more: &str) -> (Home, Self) {
        let home = Home::with_toml(&format!("name = \"leela\"\nsample_interval = \"1s\"\n{more}"));
        let file = PathBuf::from(home.file("clock", "+0"));
        let home = home
            .with_variable("LD_PRELOAD", library().to_str().unwrap())
            .with_variable("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap())
            .with_variable("FAKETIME_NO_CACHE", "1")
            .with_variable("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .with_variable("NO_FAKE_STAT", "1")
            .with_variable("TZ", zone);
        (home, Self { file, zone })
    }

    /// Puts the clock so many seconds ahead of the true one.
    fn set(&self, seconds: i64) {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{seconds:+}")).unwrap();
        fs::rename(&new, &self.file).unwrap();
    }

    /// Sets the clock to a moment of its zone; the seconds that it is ahead now.
    fn set_to(&self, civil: &str) -> i64 {
        let zone = TimeZone::get(self.zone).unwrap();
        let civil: jiff::civil::DateTime = civil.parse().unwrap();
        let ahead = civil.to_zoned(zone).unwrap().timestamp().as_second() - SystemClock.now().as_ms() / 1000;
        self.set(ahead);
        ahead
    }
}

fn library() -> PathBuf {
    let multiarch = fs::read_dir("/usr/lib").unwrap();
    let mut found = multiarch
        .map(|entry| entry.unwrap().path().join("faketime/libfaketime.so.1"))
        .filter(|path| path.exists());
    found.next().expect("libfaketime is not installed; scripts/test installs what the tests need")
}

fn ticks(home: &Home) -> Vec<Timestamp> {
    let rows = home.rows(&["history", "load1", "--since", "1960-01-01"]);
    rows.iter().map(|row| row["time"].as_str().unwrap().parse().unwrap()).collect()
}

/// Waits until so many more passes are in the log.
fn more(home: &Home, passes: usize) {
    let before = ticks(home).len();
    until("more passes", || ticks(home).len() >= before + passes);
}

fn events(home: &Home, kind: &str) -> Vec<Value> {
    home.rows(&["events", "--kind", kind, "--since", "1960-01-01"])
}

/// Seconds of CPU that a daemon has used, proc_pid_stat(5).
fn cpu_seconds(daemon: &Daemon) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u32 = fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap();
    f64::from(ticks) / 100.0
}

/// Every sample is found, once, by whatever range it is asked for, and nothing is wrong with the log. A daemon may go on
/// meanwhile, later than all that is there: what it adds is left out.
fn all_is_found(home: &Home) {
    let verified = home.ask(&["verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let count = |rows: &[Value], key: &str| rows.iter().map(|row| row[key].as_u64().unwrap()).sum::<u64>();
    let times = ticks(home);
    let told = count(&home.rows(&["series"]), "samples");
    let found = home.rows(&["history", "*", "--since", "1960-01-01"]).len();
    if ticks(home) == times {
        assert_eq!(u64::try_from(found).unwrap(), told);
    }
    assert!(times.is_sorted(), "{times:?}");
    let end = times.last().unwrap().checked_add(Span::new().milliseconds(1)).unwrap().to_string();
    let rows = |since: &str, until: &str, more: &[&str]| {
        home.rows(&[["history", "load1", "--since", since, "--until", until].as_slice(), more].concat())
    };
    for at in &times {
        let at = at.to_string();
        let (before, after) = (rows("1960-01-01", &at, &[]), rows(&at, &end, &[]));
        assert_eq!(before.len() + after.len(), times.len(), "{at}");
    }
    for step in ["1s", "1h", "1d"] {
        let rows = rows("1960-01-01", &end, &["--step", step]);
        assert_eq!(count(&rows, "count"), u64::try_from(times.len()).unwrap(), "{step}: {rows:?}");
    }
}

const DAY: i64 = 86_400;

#[test]
fn a_clock_that_is_set_forward_by_days_and_back_loses_nothing() {
    let (home, clock) = Faked::home("UTC", "");
    let began = SystemClock.steady();
    let daemon = home.start();
    more(&home, 2);
    assert!(home.ask(&["ask", "mute disk for 1h"]).stdout.contains("until"));
    clock.set(5 * DAY);
    more(&home, 3);
    assert_eq!(events(&home, "unmuted").len(), 0, "an hour is an hour");
    clock.set(0);
    more(&home, 3);
    assert!(home.ask(&["ask", "mutes"]).stdout.contains("disk"));

    let stepped: Vec<i64> =
        events(&home, "clock_stepped").iter().map(|row| row["by_ms"].as_i64().unwrap()).collect();
    assert!(stepped.len() == 2 && (stepped[0] - 5 * DAY * 1000).abs() < 2_000, "{stepped:?}");
    assert!((stepped[1] + 5 * DAY * 1000).abs() < 2_000, "{stepped:?}");
    let blind = events(&home, "blind");
    assert!(blind.len() == 1 && blind[0]["reason"] == "clock stepped", "{blind:?}");
    let times = ticks(&home);
    let ahead = times.iter().filter(|at| at.as_second() > SystemClock.now().as_ms() / 1000 + DAY).count();
    assert!(ahead >= 3, "times are told as they were: {times:?}");
    let days = home.rows(&["history", "load1", "--step", "1d", "--since", "2d"]);
    assert!(days.iter().any(|row| row["count"] == ahead), "each in its own day: {days:?}");
    let trend = &home.rows(&["trends", "load1"])[0];
    assert!(trend["count"].as_u64().unwrap() >= 8, "the window goes on: {trend}");

    let cpu = cpu_seconds(&daemon);
    let lasted = SystemClock.steady().saturating_sub(began).as_secs_f64();
    assert!(cpu < 0.3 * lasted, "{cpu} s of CPU in {lasted} s");
    assert_eq!(home.ask(&["verify"]).code, Some(0), "while it runs");
    assert_eq!(daemon.stop(), Some(0));
    all_is_found(&home);
}

#[test]
fn a_boot_in_1970_is_corrected() {
    let (home, clock) = Faked::home("UTC", "");
    clock.set_to("1970-01-01T00:00:30");
    let daemon = home.start();
    more(&home, 2);
    assert!(ticks(&home).iter().all(|at| at.as_second() < 3600));
    clock.set(0);
    more(&home, 3);
    assert_eq!(events(&home, "clock_stepped").len(), 1);
    let blind = events(&home, "blind");
    assert!(blind[0]["from"].as_str().unwrap().starts_with("1970-01-01T00:00:"), "{blind:?}");
    let status = home.ask(&["ask", "status"]).stdout;
    assert!(status.contains("I have been watching for ") && !status.contains("day"), "{status}");
    assert!(cpu_seconds(&daemon) < 5.0);
    all_is_found(&home);
    assert_eq!(daemon.stop(), Some(0));

    // The next boot has no clock either, and knows more than the clock does.
    clock.set_to("1970-01-01T00:00:30");
    let daemon = home.start();
    until("a pass in 1970", || ticks(&home).iter().filter(|at| at.as_second() < 3600).count() >= 5);
    clock.set(0);
    more(&home, 3);
    let trend = &home.rows(&["trends", "load1"])[0];
    assert!(trend["count"].as_u64().unwrap() >= 6, "{trend}");
    assert_eq!(daemon.stop(), Some(0));
    all_is_found(&home);
}

#[test]
fn summer_time_comes_and_goes() {
    let (home, clock) = Faked::home("Europe/Berlin", "");
    // Clocks go from 02:00 to 03:00.
    let ahead = clock.set_to("2027-03-28T01:59:54");
    let daemon = home.start();
    let date = home.ask(&["ask", "date"]).stdout;
    assert!(date.contains("Sunday, 2027-03-28 01:59:") && date.contains("CET"), "{date}");
    until("the change", || home.ask(&["ask", "date"]).stdout.contains("03:00:"));
    assert!(home.ask(&["ask", "date"]).stdout.contains("CEST"));
    more(&home, 2);
    // A day of 23 hours ends.
    clock.set(ahead + 21 * 3600 - 10);
    more(&home, 3);
    until("the next day", || home.ask(&["ask", "date"]).stdout.contains("Monday, 2027-03-29 00:00:"));
    more(&home, 2);
    let days = home.rows(&["history", "load1", "--since", "2027-03-01", "--step", "1d"]);
    let begins: Vec<&str> = days.iter().map(|row| row["time"].as_str().unwrap()).collect();
    assert_eq!(begins, ["2027-03-27T23:00:00.000Z", "2027-03-28T22:00:00.000Z"], "{days:?}");
    assert_eq!(events(&home, "clock_stepped").len(), 1, "the zone's change is none");
    assert_eq!(home.ask(&["status"]).code, Some(0));
    all_is_found(&home);

    // And from 03:00 to 02:00: an hour comes twice.
    clock.set_to("2027-10-31T02:59:54");
    more(&home, 2);
    until("the change", || home.ask(&["ask", "date"]).stdout.contains("02:00:"));
    assert!(home.ask(&["ask", "date"]).stdout.contains("CET"));
    more(&home, 2);
    let days = home.rows(&["history", "load1", "--since", "2027-10-01", "--step", "1d"]);
    assert_eq!(days.len(), 1, "{days:?}");
    assert_eq!(days[0]["time"], "2027-10-30T22:00:00.000Z");
    assert_eq!(events(&home, "clock_stepped").len(), 2);
    assert_eq!(daemon.stop(), Some(0));
    all_is_found(&home);
}

/// An engine with an alert that has been told, in passes of 15 s.
fn alerted(data_dir: &Path) -> Bare {
    let bare = Bare::start(data_dir, 10);
    (0..4).for_each(|_| bare.used(95.0));
    let told = bare.told();
    assert!(told.iter().any(|(_, text)| text.ends_with("#1")), "{told:?}");
    bare
}

/// Lets the engine look at its deadlines, which it does after each input.
fn look(bare: &Bare) {
    bare.record(Input::Returned(Vec::new()));
    (0..3).for_each(|_| drop(bare.pulse()));
    SystemClock.wait(Duration::from_millis(300));
    bare.record(Input::Returned(Vec::new()));
}

fn ended(bare: Bare, data_dir: &Path) -> Vec<Record> {
    let log = bare.end(data_dir);
    log.reader().records(Seq::ZERO).unwrap().map(Result::unwrap).collect()
}

fn kinds(records: &[Record]) -> Vec<&'static str> {
    let told = ["clock_stepped", "blind", "alert_repeated", "unmuted"];
    records.iter().map(|record| record.event.kind()).filter(|kind| told.contains(kind)).collect()
}

#[test]
fn a_sleep_is_a_blind_span_and_what_it_made_due_waits_for_a_pass() {
    let dir = tempfile::tempdir().unwrap();
    let bare = alerted(dir.path());
    bare.clock.sleep(Duration::from_secs(8 * 3600));
    look(&bare);
    assert!(bare.told().is_empty(), "nobody knows yet whether it holds still");
    bare.used(50.0);
    let told = bare.told();
    assert!(told.len() == 1 && told[0].1.starts_with("resolved after 8 h"), "{told:?}");
    let records = ended(bare, dir.path());
    assert_eq!(kinds(&records), ["blind"]);
    let blind = records.iter().find_map(|record| {
        let Event::Blind { from, to, reason } = &record.event else { return None };
        Some((to.since(*from).as_secs(), reason.word()))
    });
    assert_eq!(blind, Some((8 * 3600 + 15, "suspended")));
}

#[test]
fn a_step_of_the_clock_neither_hastens_nor_delays_what_is_due() {
    for by in [40 * DAY, -40 * DAY] {
        let dir = tempfile::tempdir().unwrap();
        let bare = alerted(dir.path());
        bare.record(Input::Heard { from: Address::bridge(), text: "mute load1 for 2h".into() });
        bare.clock.pass(Duration::from_secs(5));
        bare.clock.step(by * 1000);
        look(&bare);
        bare.clock.pass(Duration::from_secs(10));
        bare.pass_now(95.0);
        look(&bare);
        bare.told();
        // One hour after it was told it is told again, and after two the mute ends.
        (0..234).for_each(|_| bare.used(95.0));
        look(&bare);
        let told = bare.told();
        assert!(told.is_empty(), "{by}: too early: {told:?}");
        (0..5).for_each(|_| bare.used(95.0));
        look(&bare);
        let told = bare.told();
        assert!(told.len() == 1 && told[0].1.starts_with("still ("), "{by}: {told:?}");
        (0..240).for_each(|_| bare.used(95.0));
        look(&bare);
        let records = ended(bare, dir.path());
        let first = if by > 0 { vec!["clock_stepped", "blind"] } else { vec!["clock_stepped"] };
        let mut after = kinds(&records);
        assert_eq!(after.drain(..first.len()).collect::<Vec<_>>(), first, "{by}");
        after.sort_unstable();
        assert_eq!(after, ["alert_repeated", "alert_repeated", "unmuted"], "{by}");
    }
}
