//! SIGHUP: new settings without an end, and mistakes that change nothing.

use std::fs;

use rustix::{
    process::Signal,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use serde_json::Value;

use crate::{
    bridge::{ALWAYS, FakeBridge, Fault, Requests},
    daemon::{Daemon, Home, LIMIT, until},
    systemd::Manager,
};

fn rewrite(home: &Home, text: &str) {
    fs::write(home.config().unwrap(), text).unwrap();
}

fn bridged(url: &str, more: &str) -> String {
    format!(
        "name = \"leela\"\nsample_interval = \"1s\"\n{more}[bridge]\nurl = \"{url}\"\npoll_interval = \"1s\"\n"
    )
}

/// Waits until the daemon has said this, so many times.
fn said(daemon: &Daemon, text: &str, times: usize) {
    until(text, || daemon.log().matches(text).count() >= times);
}

fn kinds(home: &Home) -> Vec<Value> {
    home.rows(&["events"]).iter().map(|row| row["kind"].clone()).collect()
}

/// A daemon that is ready and has greeted, with its bridge, its home and the service manager that it tells.
fn greeted() -> (FakeBridge, Home, Manager, Daemon) {
    let bridge = FakeBridge::start("leela");
    let home = Home::on_bridge(&bridge.url(), "");
    let manager = Manager::listen(&home);
    let daemon = Daemon::begin(manager.command(&home));
    manager.wait_for("READY=1");
    bridge.wait_for_replies(1, LIMIT);
    (bridge, home, manager, daemon)
}

#[test]
fn new_settings_are_in_force_at_once_and_told() {
    let (bridge, home, manager, daemon) = greeted();

    rewrite(&home, &bridged(&bridge.url(), "log_level = \"debug\"\n[thresholds]\ndisk_used_percent = 0.0\n"));
    daemon.signal(Signal::HUP);
    let reloading = manager.wait_for("RELOADING=1");
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    manager.wait_for("READY=1");
    let notice = "configuration read again: 2 settings changed: log_level, thresholds.disk_used_percent";
    said(&daemon, notice, 1);
    let told =
        bridge.wait_until(LIMIT, |seen| seen.replies.iter().any(|reply| reply.contains("disk"))).replies;
    assert_eq!(told.iter().filter(|reply| *reply == notice).count(), 1, "{told:?}");
    until("an alert of the new threshold", || !home.rows(&["alerts", "--open"]).is_empty());
    said(&daemon, "DEBUG ", 1);

    // A slower pace: the old sampler has ended, and a new one begun.
    let slow = bridged(&bridge.url(), "").replace("sample_interval = \"1s\"", "sample_interval = \"1h\"");
    rewrite(&home, &slow);
    daemon.signal(Signal::HUP);
    said(&daemon, "3 settings changed: log_level, sample_interval, thresholds.disk_used_percent", 1);
    let samples = || home.rows(&["history", "load1"]).len();
    let count = samples();
    bridge.push_command("uptime");
    bridge.wait_until(LIMIT, |seen| seen.replies.iter().any(|reply| reply.contains("Up ")));
    let polls = || bridge.seen().requests.iter().filter(|request| request.method == "GET").count();
    let polled = polls();
    until("three polls, a second apart", || polls() >= polled + 3);
    assert!(samples() <= count + 1, "it still samples each second");

    daemon.signal(Signal::HUP);
    said(&daemon, "configuration read again: nothing changed", 1);
    assert_eq!(daemon.stop(), Some(0));
    let kinds = kinds(&home);
    assert_eq!(kinds.iter().filter(|kind| *kind == "started").count(), 1);
    assert_eq!(kinds.iter().filter(|kind| *kind == "configured").count(), 3, "at the start, and twice");
    assert_eq!(home.ask(&["verify"]).code, Some(0));
}

#[test]
fn a_mistake_leaves_the_old_settings_in_force_and_is_told() {
    let (bridge, home, manager, daemon) = greeted();
    let before = home.rows(&["events", "--kind", "configured"]).len();

    rewrite(&home, "name = \"leela\"\nsample_intervall = \"5s\"\n[trend]\nminimum_length = 1\n");
    daemon.signal(Signal::HUP);
    manager.wait_for("RELOADING=1");
    manager.wait_for("READY=1");
    let told = bridge.wait_for_replies(2, LIMIT);
    let notice = &told[1];
    assert!(notice.starts_with("the old settings stay in force"), "{told:?}");
    assert!(notice.contains("systembot.toml:2: sample_intervall: "), "{told:?}");
    assert!(
        notice.contains("and 1 more: see `systembot config check") && notice.lines().count() == 1,
        "{told:?}"
    );
    said(&daemon, "ERROR the old settings stay in force: ", 1);

    fs::remove_file(home.config().unwrap()).unwrap();
    daemon.signal(Signal::HUP);
    let told = bridge.wait_for_replies(3, LIMIT);
    assert!(told[2].contains("no such configuration file"), "{told:?}");
    assert_eq!(home.without_config().rows(&["events", "--kind", "configured"]).len(), before);
    bridge.push_command("uptime");
    bridge.wait_until(LIMIT, |seen| seen.replies.iter().any(|reply| reply.contains("Up ")));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_the_old_bridge_did_not_take_goes_to_the_new_one_once_and_in_order() {
    let (old, new) = (FakeBridge::start("leela"), FakeBridge::start("leela"));
    let home = Home::on_bridge(&old.url(), "");
    let daemon = home.start();
    old.wait_for_replies(1, LIMIT);
    old.fail(Requests::Puts, Fault::Status(500), ALWAYS);
    let lines = ["uptime", "cpus", "date"];
    lines.iter().for_each(|line| old.push_command(line));
    until("the replies to wait", || home.rows(&["status"])[0]["backlog"] == 3);

    rewrite(&home, &bridged(&new.url(), ""));
    daemon.signal(Signal::HUP);
    let replies = new.wait_for_replies(4, LIMIT);
    let marks = ["Up ", " CPU", "It is ", "1 setting changed: bridge.url"];
    let is_right =
        replies.iter().zip(marks).all(|(reply, mark)| reply.contains(mark) && !reply.contains("(again)"));
    assert!(is_right, "{replies:?}");
    new.push_command("load");
    let replies =
        new.wait_until(LIMIT, |seen| seen.replies.iter().any(|reply| reply.contains("Load: "))).replies;
    assert_eq!(replies.len(), 5, "{replies:?}");
    until("all to be recorded as delivered", || home.rows(&["status"])[0]["backlog"] == 0);
    assert_eq!(old.replies().len(), 1, "the greeting alone");
    assert_eq!(daemon.stop(), Some(0));
    assert!(new.replies().last().unwrap().contains("going offline"));
}

#[test]
fn a_bridge_comes_and_goes() {
    let bridge = FakeBridge::start("leela");
    let home = Home::with_toml("name = \"leela\"\nsample_interval = \"1s\"\n");
    let daemon = home.start();
    rewrite(&home, &bridged(&bridge.url(), ""));
    daemon.signal(Signal::HUP);
    let told = bridge.wait_for_replies(1, LIMIT);
    assert!(told[0].contains("2 settings changed: bridge.poll_interval, bridge.url"), "{told:?}");

    bridge.fail(Requests::Puts, Fault::Status(500), ALWAYS);
    bridge.push_command("uptime");
    until("the reply to wait", || home.rows(&["status"])[0]["backlog"] == 1);
    rewrite(&home, "name = \"leela\"\nsample_interval = \"1s\"\n");
    daemon.signal(Signal::HUP);
    until("it to be dropped", || home.rows(&["status"])[0]["backlog"] == 0);
    assert!(kinds(&home).contains(&"message_dropped".into()));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_machine_without_certificates_is_watched_all_the_same() {
    let bridge = FakeBridge::start("leela");
    let home = Home::on_bridge(&bridge.url(), "")
        .with_variable("SSL_CERT_FILE", "/nonexistent")
        .with_variable("SSL_CERT_DIR", "/nonexistent");
    let daemon = home.start();
    bridge.wait_for_replies(1, LIMIT);
    rewrite(&home, &bridged(&bridge.url().replace("http:", "https:"), ""));
    daemon.signal(Signal::HUP);
    said(&daemon, "bridge cannot be reached: ", 1);
    assert_eq!(home.rows(&["status"])[0]["backlog"], 1, "what changed is told once it can be");
    assert_eq!(daemon.stop(), Some(0));

    let daemon = home.start();
    said(&daemon, "bridge cannot be reached: ", 1);
    rewrite(&home, &bridged(&bridge.url(), ""));
    daemon.signal(Signal::HUP);
    bridge.wait_until(LIMIT, |seen| seen.replies.iter().any(|reply| reply.contains("changed: bridge.url")));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn an_end_in_the_middle_of_it_is_an_end_in_good_order() {
    let bridge = FakeBridge::start("leela");
    let home = Home::on_bridge(&bridge.url(), "");
    let mut daemon = home.start();
    bridge.wait_for_replies(1, LIMIT);
    bridge.fail(Requests::All, Fault::Stalled, ALWAYS);
    bridge.wait_until(LIMIT, |seen| seen.stalled > 0);
    home.ask(&["ask", "mute load for 1h"]);
    rewrite(&home, &bridged("http://127.0.0.1:9/", ""));
    daemon.signal(Signal::HUP);
    said(&daemon, "SIGHUP: reading the configuration again", 1);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.log());
    assert_eq!(home.rows(&["events"]).last().unwrap()["kind"], "stopped");
}

#[test]
fn the_end_of_its_terminal_is_no_order_to_read_again() {
    let home = Home::with_toml("sample_interval = \"1s\"\n");
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let screen = fs::OpenOptions::new().read(true).write(true).open(name).unwrap();
    let mut command = home.command(&["run"]);
    command.stderr(screen);
    let mut daemon = Daemon::begin_silent(command);
    let seen = |kind: &str| home.rows(&["events", "--kind", kind]).len();
    // Before the first start there is no log to be asked.
    until("the first sample", || {
        home.ask(&["--format", "csv", "history", "load1"]).stdout.lines().count() > 1
    });
    rewrite(&home, "sample_interval = \"2s\"\n");
    daemon.signal(Signal::HUP);
    until("the new settings", || seen("configured") == 2);
    drop(terminal);
    daemon.signal(Signal::HUP);
    assert_eq!(daemon.wait(), Some(0));
    assert_eq!(seen("stopped"), 1);
}
