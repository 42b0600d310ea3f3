//! The daemon's life: start, questions while it runs and after, end.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;
use systembot::clock::{Clock, SystemClock};

use crate::daemon::{Home, until};

fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or_else(|| panic!("{key} in {row}"))
}

#[test]
fn the_main_job_runs_on_defaults_and_answers_while_it_runs_and_after() {
    let home = Home::on_defaults();
    let daemon = home.start();
    let log = daemon.log();
    assert_eq!(
        log.lines().take_while(|line| !line.contains("watching")).count(),
        3,
        "three lines first:\n{log}"
    );
    assert!(log.contains("systembot status"), "{log}");

    let series: Vec<String> =
        home.rows(&["series"]).iter().map(|row| row["series"].as_str().unwrap().to_owned()).collect();
    for id in
        ["load1", "memory_available_percent", "disk_used_percent{mount=\"/\"}", "uptime_seconds", "log_bytes"]
    {
        assert!(series.iter().any(|series| series == id), "{id} in {series:?}");
    }
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    let now: f64 = load.split(' ').next().unwrap().parse().unwrap();
    let read = number(&home.rows(&["history", "load1", "--since", "5m"])[0], "value");
    assert!((read - now).abs() < 2.0, "{read} against {now}");

    let answer = home.ask(&["ask", "load"]);
    assert!(answer.stdout.starts_with("Load: ") && answer.code == Some(0), "{answer:?}");
    let top = home.ask(&["ask", "top processes"]);
    assert_eq!(top.stdout.lines().count(), 6, "{top:?}");
    assert_eq!(home.ask(&["ask", "loaded", "gun"]).code, Some(1));
    let status = &home.rows(&["status"])[0];
    assert_eq!(status["open_alerts"], 0);
    assert_eq!(status["config"], Value::Null);
    assert!(number(status, "samples") > 20.0);

    assert_eq!(daemon.stop(), Some(0));
    let kinds: Vec<Value> = home.rows(&["events"]).iter().map(|row| row["kind"].clone()).collect();
    assert_eq!(kinds.first().unwrap(), "started");
    assert_eq!(kinds.last().unwrap(), "stopped");
    assert!(home.ask(&["ask", "load"]).stdout.starts_with("Load: "));
    assert_eq!(home.ask(&["ask", "top processes"]).stdout.lines().count(), 6);
    assert_eq!(home.ask(&["verify"]).code, Some(0));
}

#[test]
fn same_bytes_with_the_daemon_and_without() {
    let home = Home::with_toml(
        "name = \"leela\"\nsample_interval = \"1h\"\n[thresholds]\ndisk_used_percent = 0.0\n",
    );
    let daemon = home.start();
    until("the alert", || !home.rows(&["alerts"]).is_empty());
    let questions: &[&[&str]] = &[
        &["history", "*", "--since", "1h"],
        &["history", "load", "--since", "1h", "--step", "1m"],
        &["--format", "json", "history", "disk", "--since", "2020-01-01", "--step", "1d"],
        &["--format", "csv", "history", "*", "--since", "1h", "--limit", "7"],
        &["--format", "json", "series"],
        &["trends"],
        &["--format", "json", "trends"],
        &["alerts"],
        &["--format", "json", "alerts", "--open"],
        &["why", "1"],
        &["--format", "csv", "events", "--kind", "started,configured,alert_fired"],
    ];
    let with: Vec<String> = questions.iter().map(|question| home.ask(question).stdout).collect();
    assert!(with.iter().all(|text| !text.is_empty()), "{with:?}");
    daemon.kill();
    for (question, with) in questions.iter().zip(with) {
        assert_eq!(home.ask(question).stdout, with, "{question:?}");
    }
}

#[test]
fn a_second_run_on_the_same_directory_is_refused_with_the_pid() {
    let home = Home::on_defaults();
    let daemon = home.start();
    let second = home.ask(&["run"]);
    assert_eq!(second.code, Some(2), "{second:?}");
    let last = second.stderr.lines().last().unwrap();
    assert!(last.contains(&daemon.pid().to_string()) && last.contains("data"), "{last}");
}

#[test]
fn what_it_makes_is_for_its_owner_alone() {
    let home = Home::on_defaults();
    let daemon = home.start();
    let mode = |path: &str| fs::metadata(home.data_dir().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("."), 0o700);
    assert_eq!(mode("control.sock"), 0o600);
    assert_eq!(mode("log/db"), 0o600);
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(mode("checkpoint"), 0o600);
    assert!(!home.data_dir().join("control.sock").exists());
}

/// Defect 14 of the original: Ctrl-C was told as a crash.
#[test]
fn interrupt_ends_it_in_good_order_and_an_unclean_end_is_told() {
    let home = Home::with_toml("sample_interval = \"1s\"\n");
    let mut daemon = home.start();
    daemon.signal(Signal::INT);
    assert_eq!(daemon.wait(), Some(0));
    home.start().kill();
    drop(home.start());
    let rows = home.rows(&["events", "--kind", "started"]);
    let unclean: Vec<bool> = rows.iter().map(|row| row["unclean"].as_bool().unwrap()).collect();
    assert_eq!(unclean, [false, false, true]);
    let rows = home.rows(&["events", "--kind", "blind"]);
    let reasons: Vec<&str> = rows.iter().map(|row| row["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["stopped", "crashed"]);
}

#[test]
fn a_broken_configuration_stops_every_command_but_its_check() {
    let home = Home::with_toml("name = \"a\"\nsample_intervall = \"1s\"\n[trend]\nminimum_length = 1\n");
    let check = home.ask(&["config", "check"]);
    assert_eq!((check.code, check.stdout.lines().count()), (Some(1), 2), "{check:?}");
    assert!(check.stdout.contains("systembot.toml:2: sample_intervall: "), "{check:?}");
    for command in [&["run"][..], &["status"], &["ask", "load"]] {
        let output = home.ask(command);
        assert_eq!((output.code, output.stderr.lines().count()), (Some(2), 1), "{output:?}");
    }
}

#[test]
fn a_chat_over_a_pipe_answers_line_by_line() {
    let home = Home::on_defaults();
    let _daemon = home.start();
    let output = home.ask_with_input(&["chat"], "load\nUPTIME.\n\nnonsense\n");
    assert!(output.stdout.contains("Load: ") && output.stdout.contains("Up "), "{output:?}");
    assert!(output.stdout.contains("I did not understand \"nonsense\""), "{output:?}");
}

#[test]
fn a_signal_right_after_the_start_ends_it_in_good_order_too() {
    for _ in 0..8 {
        let home = Home::on_defaults();
        let daemon = home.spawn();
        until("it to watch", || daemon.log().contains("watching"));
        assert_eq!(daemon.stop(), Some(0));
        assert_eq!(home.rows(&["events"]).last().unwrap()["kind"], "stopped");
    }
}

#[test]
fn two_signals_of_one_moment_are_one() {
    let home = Home::with_toml("sample_interval = \"1s\"\n");
    let mut daemon = home.start();
    daemon.signal(Signal::INT);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.log());
    assert_eq!(home.rows(&["events"]).last().unwrap()["kind"], "stopped");
}

#[test]
fn status_knows_whether_a_daemon_runs_however_the_last_one_ended() {
    let home = Home::with_toml("sample_interval = \"1s\"\n");
    let daemon = home.start();
    assert!(home.ask(&["status"]).stdout.contains("up since"));
    daemon.kill();
    let status = home.ask(&["status"]).stdout;
    assert!(status.contains("not running") && !status.contains("up since"), "{status}");
}

#[test]
fn silent_connections_hold_nobody_up() {
    let home = Home::with_toml("sample_interval = \"1s\"\n");
    let _daemon = home.start();
    let socket = home.data_dir().join("control.sock");
    let _silent: Vec<UnixStream> = (0..8).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let clock = SystemClock;
    let began = clock.steady();
    assert_eq!(home.ask(&["status"]).code, Some(0));
    assert!(clock.steady().saturating_sub(began) < Duration::from_secs(5));
}

#[test]
fn a_data_directory_that_was_open_to_others_is_closed_if_nothing_else_lies_in_it() {
    let home = Home::on_defaults();
    fs::create_dir(home.data_dir()).unwrap();
    let mode = || fs::metadata(home.data_dir()).unwrap().permissions().mode() & 0o777;
    let open = || fs::set_permissions(home.data_dir(), fs::Permissions::from_mode(0o755)).unwrap();
    open();
    assert_eq!(home.start().stop(), Some(0));
    assert_eq!(mode(), 0o700);
    open();
    fs::write(home.data_dir().join("notes"), "somebody's").unwrap();
    assert_eq!(home.start().stop(), Some(0));
    assert_eq!(mode(), 0o755, "it is not ours alone");
}

#[test]
fn without_a_daemon_services_and_mounts_are_those_that_it_watched() {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let tmpfs = mounts.lines().find(|line| line.contains(" tmpfs ")).expect("a tmpfs, as every machine has");
    let mount = tmpfs.split(' ').nth(1).unwrap();
    let home = Home::with_toml(&format!(
        "sample_interval = \"1s\"\n[include]\nmounts = [\"{mount}\"]\n\
         [[service]]\nname = \"ghost\"\nmatch = \"no_such_process_anywhere\"\n",
    ));
    let daemon = home.start();
    until("the missing service", || !home.rows(&["alerts"]).is_empty());
    SystemClock.wait(Duration::from_millis(1100));
    daemon.kill();
    let home = home.without_config();
    let services = home.ask(&["ask", "services"]).stdout;
    assert!(services.contains("ghost: missing for") && !services.contains("for 0 s"), "{services}");
    let disks = home.ask(&["ask", "disk"]).stdout;
    assert!(disks.contains(&format!("{mount}: ")), "{disks}");
}

#[test]
fn what_is_configured_and_not_served_yet_is_told() {
    let home = Home::with_toml(
        "[xmpp]\njid = \"bot@example.org\"\npassword_file = \"/nowhere\"\nowner = \"me@example.org\"\n",
    );
    let daemon = home.start();
    until("it to be told", || daemon.log().contains("[xmpp] is understood"));
}
