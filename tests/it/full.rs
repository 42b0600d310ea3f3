//! A full disk: alerts leave all the same, the owner is told once, questions are answered, and when there is room again
//! all of it is recorded once, in order.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use systembot::clock::{Clock, SystemClock};
use systembot_model::{Event, Input, Record, Seq};
use systembot_storage::query::{self, Request, Row};

use crate::{
    bare::Bare,
    bridge::{ALWAYS, FakeBridge, Fault, Requests},
    daemon::{Daemon, Home, LIMIT, until},
    namespace::{is_inside, run_inside},
    systemd::Manager,
};

/// Where the small disk lies, and the data directory on it.
const PLACE: &str = "SYSTEMBOT_TEST_SMALL_DISK";

/// A file system of 6 MiB.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Runs a test of this module with such a disk, in a mount namespace of its own.
    fn with(test: &str, run: fn(&Self)) {
        if is_inside() {
            return run(&Self(PathBuf::from(std::env::var_os(PLACE).unwrap())));
        }
        let dir = tempfile::tempdir().unwrap();
        let script = format!("mount -t tmpfs -o size=6m,mode=700 none \"$1\" && export {PLACE}=\"$1\"");
        run_inside(&format!("full::{test}"), &script, dir.path());
    }

    fn data_dir(&self) -> PathBuf {
        self.0.join("data")
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        while file.write_all(&[0; 1024]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }

    /// A configured bot on it that reads each second, with an alert when it is full.
    fn home(&self, bridge: &FakeBridge, more: &str) -> Home {
        let more = format!("{more}[include]\nmounts = [\"{}\"]\n", self.0.display());
        Home::on_bridge(&bridge.url(), &more).at(self.data_dir())
    }
}

fn fails(daemon: &Daemon) {
    until("the log to fail", || daemon.log().contains("the log cannot be written"));
}

fn goes_on(daemon: &Daemon) {
    until("the log to go on", || daemon.log().contains("can be written again"));
}

/// Replies that hold a text.
fn with<'a>(replies: &'a [String], text: &str) -> Vec<&'a str> {
    replies.iter().map(String::as_str).filter(|reply| reply.contains(text)).collect()
}

fn kind(rows: &[Value], kind: &str) -> Vec<Value> {
    rows.iter().filter(|row| row["kind"] == kind).cloned().collect()
}

#[test]
fn on_a_full_disk_nothing_is_lost_and_questions_are_answered() {
    SmallDisk::with("on_a_full_disk_nothing_is_lost_and_questions_are_answered", |disk| {
        let home = Home::with_toml("sample_interval = \"1s\"\n").at(disk.data_dir());
        let daemon = home.start();
        disk.fill();
        fails(&daemon);

        let answer = home.ask(&["ask", "load"]);
        assert!(answer.stdout.starts_with("Load: "), "{answer:?}");
        let order = home.ask(&["ask", "mute disk for 1h"]);
        assert!(
            order.stdout.contains("cannot be written"),
            "an order that is not recorded is not taken: {order:?}"
        );
        let advice = || home.ask(&["doctor"]).stdout;
        until("the daemon to have no handle on its log", || advice().contains("cannot write its log"));
        let advice = advice();
        assert!(
            advice.contains("make room, do not restart it") && advice.contains("FAIL  disk space "),
            "{advice}"
        );
        let status = home.ask(&["status"]);
        assert!(status.code == Some(0) && status.stdout.contains("load1"), "{status:?}");
        let rows = home.rows(&["status"]);
        assert!(rows[0]["problem"].as_str().unwrap().contains("is the disk full?"), "{rows:?}");
        assert!(rows[0]["samples"].as_u64().unwrap() > 0, "{rows:?}");
        fs::write(home.config().unwrap(), "name = \"fry\"\nsample_interval = \"1s\"\n").unwrap();
        daemon.signal(rustix::process::Signal::HUP);
        until("the new name", || home.rows(&["status"])[0]["name"] == "fry");

        disk.free();
        goes_on(&daemon);
        let count = || home.rows(&["history", "load1"]).len();
        let before = count();
        until("new samples", || count() > before);
        assert_eq!(daemon.log().matches("the log cannot be written").count(), 1);
        assert_eq!(daemon.stop(), Some(0));
        every_second(&home);
        assert!(home.rows(&["events", "--kind", "muted"]).is_empty());
        assert_eq!(home.rows(&["events", "--kind", "configured"]).len(), 2);
        assert!(home.rows(&["events", "--kind", "blind"]).is_empty());
        assert_eq!(home.ask(&["verify"]).code, Some(0));
    });
}

/// The samples follow each other without a gap.
fn every_second(home: &Home) {
    let rows = home.rows(&["history", "load1"]);
    let times: Vec<jiff::Timestamp> =
        rows.iter().map(|row| row["time"].as_str().unwrap().parse().unwrap()).collect();
    for pair in times.windows(2) {
        let apart = pair[1].duration_since(pair[0]).as_millis();
        assert!(apart < 1_900, "a tick is missing between {} and {}", pair[0], pair[1]);
    }
}

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn alerts_leave_a_full_disk_marked_and_are_recorded_once_there_is_room() {
    SmallDisk::with("alerts_leave_a_full_disk_marked_and_are_recorded_once_there_is_room", |disk| {
        let marker = tempfile::tempdir().unwrap();
        let marker = marker.path().join("started");
        let mut service = Process(
            Command::new("sleep")
                .arg("98765.25")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let bridge = FakeBridge::start("leela");
        let home = disk.home(
            &bridge,
            &format!(
                "[[service]]\nname = \"web\"\nmatch = \"sleep 98765.25\"\nrestart = \"touch {}\"\n",
                marker.display()
            ),
        );
        let daemon = home.start();
        bridge.wait_for_replies(1, LIMIT);
        until("the service to be seen", || !home.rows(&["events", "--kind", "service_seen"]).is_empty());
        disk.fill();
        let told = |text: &str| {
            bridge.wait_until(LIMIT, |seen| seen.replies.iter().any(|r| r.contains(text))).replies
        };
        let replies = told("I cannot write my log");
        let notice = with(&replies, "I cannot write my log")[0].to_owned();
        assert!(notice.contains(&disk.data_dir().display().to_string()), "{notice}");

        service.0.kill().unwrap();
        service.0.wait().unwrap();
        let replies = told("service web is not running");
        let alert = "(not recorded) service web is not running #2";
        assert_eq!(with(&replies, "service web"), [alert]);
        assert!(daemon.log().contains(alert), "{}", daemon.log());
        bridge.push_command("alerts");
        bridge.push_command("ack 1");
        bridge.push_command("restart web");
        let replies = bridge.wait_until(LIMIT, |seen| with(&seen.replies, "Not done: ").len() == 2).replies;
        assert_eq!(with(&replies, "#2 service web is not running (critical").len(), 1, "{replies:?}");
        assert!(!marker.exists(), "a start that is not recorded is none");

        // One that is told while nobody takes it is delivered, unmarked, after its record.
        bridge.fail(Requests::Puts, Fault::Status(500), ALWAYS);
        bridge.push_command("uptime");
        until("the answer to wait", || daemon.log().contains("answered 500"));
        disk.free();
        goes_on(&daemon);
        bridge.heal();
        let replies = told("I can write my log again");
        assert_eq!(with(&replies, "Up ").len(), 1, "{replies:?}");
        until("the service to be started", || marker.exists());
        until("all to be delivered", || home.rows(&["status"])[0]["backlog"] == 0);
        let replies = bridge.replies();
        for text in ["I cannot write my log", "I can write my log again", "0 B free #1", alert] {
            assert_eq!(with(&replies, text).len(), 1, "{text}: {replies:?}");
        }
        assert!(with(&replies, "(again)").is_empty(), "{replies:?}");
        assert_eq!(daemon.stop(), Some(0));

        let events = home.rows(&["events"]);
        let fired = kind(&events, "alert_fired");
        assert_eq!((&fired[0]["id"], &fired[0]["series"]), (&1.into(), &disk_series(disk)));
        assert_eq!((&fired[1]["id"], &fired[1]["series"]), (&2.into(), &"service{name=\"web\"}".into()));
        let queued = kind(&events, "message_queued");
        let texts: Vec<&str> = queued.iter().map(|row| row["text"].as_str().unwrap()).collect();
        assert!(texts.iter().all(|text| !text.contains("(not recorded) ")), "{texts:?}");
        assert_eq!(texts.iter().filter(|text| alert.ends_with(**text)).count(), 1, "{texts:?}");
        let delivered: Vec<Value> = kind(&events, "message_delivered");
        let numbers: Vec<&Value> = delivered.iter().map(|row| &row["message"]).collect();
        for row in &queued {
            let number = &row["message"];
            assert_eq!(numbers.iter().filter(|n| **n == number).count(), 1, "{row}: {delivered:?}");
        }
        assert!(kind(&events, "alert_acknowledged").is_empty());
        assert_eq!(kind(&events, "restart_ordered").len(), 1);
        assert!(kind(&events, "blind").is_empty());
        every_second(&home);
        let verified = home.ask(&["verify"]);
        assert_eq!(verified.code, Some(0), "{verified:?}");
    });
}

fn disk_series(disk: &SmallDisk) -> Value {
    format!("disk_used_percent{{mount=\"{}\"}}", disk.0.display()).into()
}

#[test]
fn an_end_on_a_full_disk_comes_in_time_and_says_what_is_lost() {
    SmallDisk::with("an_end_on_a_full_disk_comes_in_time_and_says_what_is_lost", |disk| {
        let bridge = FakeBridge::start("leela");
        let home = disk.home(&bridge, "");
        let manager = Manager::listen(&home);
        let mut command = manager.command(&home);
        command.env("WATCHDOG_USEC", "600000");
        let mut daemon = Daemon::begin(command);
        manager.wait_for("READY=1");
        disk.fill();
        fails(&daemon);
        // It goes on, as the service manager sees it.
        (0..20).for_each(|_| drop(manager.wait_for("WATCHDOG=1")));
        assert!(manager.wait_for("STATUS=").contains("; the log cannot be written"));

        let began = SystemClock.steady();
        daemon.signal(rustix::process::Signal::TERM);
        assert_eq!(daemon.wait(), Some(2));
        let took = SystemClock.steady().saturating_sub(began);
        assert!(took < Duration::from_secs(10), "{took:?}");
        let log = daemon.log();
        assert!(log.contains("the log could not be written until the end"), "{log}");
        assert!(!with(&bridge.replies(), "leela is going offline").is_empty());

        disk.free();
        let daemon = home.start();
        assert_eq!(daemon.stop(), Some(0));
        assert_eq!(home.rows(&["events", "--kind", "blind"])[0]["reason"], "crashed");
        assert_eq!(home.ask(&["verify"]).code, Some(0));
    });
}

#[test]
fn an_end_with_room_again_writes_what_waited() {
    SmallDisk::with("an_end_with_room_again_writes_what_waited", |disk| {
        let home = Home::with_toml("sample_interval = \"1s\"\n").at(disk.data_dir());
        let daemon = home.start();
        disk.fill();
        fails(&daemon);
        disk.free();
        assert_eq!(daemon.stop(), Some(0));
        every_second(&home);
        assert!(home.rows(&["events", "--kind", "blind"]).is_empty());
        assert_eq!(kind(&home.rows(&["events"]), "stopped").len(), 1);
        assert_eq!(home.ask(&["verify"]).code, Some(0));
    });
}

#[test]
fn beyond_its_limit_the_oldest_passes_are_given_up_and_alerts_keep_their_numbers() {
    SmallDisk::with(
        "beyond_its_limit_the_oldest_passes_are_given_up_and_alerts_keep_their_numbers",
        |disk| {
            fs::create_dir(disk.data_dir()).unwrap();
            let mut bare = Bare::start(&disk.data_dir(), 10);
            // Enough that a small disk has no room for it for long.
            bare.width = 400;
            let mut before = 12;
            (0..before).for_each(|_| bare.used(50.0));
            disk.fill();
            while !bare.is_failing() {
                bare.used(50.0);
                before += 1;
            }
            bare.told();
            // 20 passes with an alert about the load at the third, and one about the disk from the fourth to the
            // sixteenth. Of what the first was judged by most is given up later.
            (0..2).for_each(|_| bare.used(50.0));
            bare.load = 9.0;
            bare.used(50.0);
            bare.load = 1.0;
            (0..12).for_each(|_| bare.used(95.0));
            (0..5).for_each(|_| bare.used(50.0));
            let told = bare.told();
            let texts: Vec<&str> = told.iter().map(|(_, text)| text.as_str()).collect();
            assert!(texts.iter().all(|text| text.starts_with("(not recorded) ")), "{texts:?}");
            assert!(texts[0].contains("load") && texts[0].ends_with("#1"), "{texts:?}");
            assert!(texts[1].contains("95.0 % full #2"), "{texts:?}");
            assert!(texts[2].contains("resolved") && texts[2].ends_with("#2"), "{texts:?}");
            // The first is taken, the second is under way when there is room again.
            bare.record(Input::Attempting(vec![told[0].0]));
            bare.record(Input::Delivered(vec![told[0].0]));
            bare.record(Input::Attempting(vec![told[1].0]));

            disk.free();
            until("the log to go on", || {
                bare.clock.pass(Duration::from_secs(30));
                !bare.is_failing()
            });
            bare.record(Input::Delivered(vec![told[1].0]));
            let log = bare.end(&disk.data_dir());

            let records: Vec<Record> = log.reader().records(Seq::ZERO).unwrap().map(Result::unwrap).collect();
            let ticks = records.iter().filter(|r| matches!(r.event, Event::Sampled(_))).count();
            // Those with an alert are kept beside the ten, as is the one that failed.
            assert!((before + 10..=before + 15).contains(&ticks), "{before} and {ticks}");
            let mut blind = records.iter().filter_map(|record| {
                let Event::Blind { from, to, reason } = &record.event else { return None };
                Some((*from, *to, reason.word()))
            });
            let (from, to, reason) = blind.next().unwrap();
            assert!(reason == "not recorded" && to > from, "{from:?} {to:?} {reason}");
            let fired: Vec<u64> = records
                .iter()
                .filter_map(|record| {
                    let Event::AlertFired(fired) = &record.event else { return None };
                    Some(fired.id)
                })
                .collect();
            assert_eq!(fired, [1, 2], "{fired:?}");
            for pair in records.windows(2) {
                assert!(pair[0].at <= pair[1].at && pair[1].seq == pair[0].seq.next());
            }
            let state = log.load_state().unwrap();
            let left: Vec<&str> = state.outbox.values().map(|q| q.message.text.as_str()).collect();
            assert!(left.iter().all(|text| !texts[..2].iter().any(|told| told.ends_with(*text))), "{left:?}");
            let mut rows = Vec::new();
            query::answer(&log.reader(), &state, &Request::Verify, &mut |row| {
                rows.push(row);
                Ok(())
            })
            .unwrap();
            let [Row::Verified(verified)] = rows.as_slice() else { panic!("{rows:?}") };
            assert!(verified.faults.is_empty() && verified.alerts >= 1, "{verified:?}");
        },
    );
}
