//! `doctor`: everything that an owner gets wrong is found, told in a line, and comes with what to type.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    bridge::{ALWAYS, FakeBridge, Fault, Requests},
    daemon::{Home, LIMIT, until},
};

/// Programs that say what a test wants, in a directory that comes first in PATH.
struct Programs(tempfile::TempDir);

impl Programs {
    /// None at all: neither systemctl nor loginctl nor timedatectl, whatever this machine has.
    fn none() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["sh", "cat", "true", "sleep"] {
            symlink(Path::new("/bin").join(name), dir.path().join(name)).unwrap();
        }
        Self(dir)
    }

    /// And this one, as a shell script.
    fn with(self, name: &str, script: &str) -> Self {
        let file = self.0.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        set_mode(&file, 0o755);
        self
    }
}

fn set_mode(file: &Path, mode: u32) {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
}

/// Every finding, and the exit code.
fn examine(home: &Home, programs: &Programs) -> (Vec<Value>, Option<i32>) {
    let mut command = home.command(&["--format", "json", "doctor"]);
    let output = command.env("PATH", programs.0.path()).stdin(Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).unwrap();
    let findings: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(findings.len() > 8, "{text}");
    for finding in &findings {
        let keys: Vec<&String> = finding.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["check", "found", "mend", "state"], "{finding}");
        assert_eq!(finding["found"].as_str().unwrap().lines().count(), 1, "{finding}");
    }
    let has_failed = findings.iter().any(|finding| finding["state"] == "failed");
    assert_eq!(output.status.code(), Some(i32::from(has_failed)), "{text}");
    (findings, output.status.code())
}

fn finding(home: &Home, programs: &Programs, check: &str) -> Value {
    let (findings, _) = examine(home, programs);
    let found = findings.iter().find(|finding| finding["check"] == check);
    found.unwrap_or_else(|| panic!("no {check} in {findings:?}")).clone()
}

/// Asserts state, words of what was found, and words of the remedy (`""` for none at all).
#[track_caller]
fn assert_finding(finding: &Value, state: &str, found: &str, mend: &str) {
    assert_eq!(finding["state"], state, "{finding}");
    assert!(finding["found"].as_str().unwrap().contains(found), "{found:?} in {finding}");
    match finding["mend"].as_str() {
        Some(told) => assert!(!mend.is_empty() && told.contains(mend), "{mend:?} in {finding}"),
        None => assert_eq!(mend, "", "{finding}"),
    }
}

#[test]
fn without_a_configuration_and_a_daemon_nothing_has_failed() {
    let home = Home::on_defaults();
    let programs = Programs::none();
    let (findings, code) = examine(&home, &programs);
    assert_eq!(code, Some(0), "{findings:?}");
    let names: Vec<&str> = findings.iter().map(|finding| finding["check"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "configuration",
            "data directory",
            "daemon",
            "log",
            "disk space",
            "bridge",
            "public address",
            "clock",
            "sensors",
            "processes",
            "mounts",
            "units",
            "system_bot",
        ]
    );
    assert!(!home.data_dir().exists(), "it changes nothing");
    assert_finding(&finding(&home, &programs, "daemon"), "warning", "none runs", "systembot run");
    let table = home.ask(&["doctor"]);
    assert_eq!(table.stdout.lines().count(), names.len() + 2, "{table:?}");
    assert!(table.stdout.contains("ok    configuration   none"), "{table:?}");
    assert!(table.stdout.lines().last().unwrap().starts_with("13 checks: "), "{table:?}");
}

#[test]
fn a_configuration_that_is_missing_broken_or_open_to_all() {
    let programs = Programs::none();
    let check = |home: &Home, state, found, mend| {
        assert_finding(&finding(home, &programs, "configuration"), state, found, mend);
    };
    let broken = Home::with_toml("nmae = \"x\"\n[trend]\nminimum_length = 1\n");
    check(&broken, "failed", "systembot.toml:1: nmae", "config check");
    let (findings, _) = examine(&broken, &programs);
    assert!(findings.iter().all(|finding| finding["check"] != "bridge"), "none is known: {findings:?}");
    fs::remove_file(broken.config().unwrap()).unwrap();
    check(&broken, "failed", "no such configuration file", "name a file");

    let secret = Home::with_toml("[bridge]\nurl = \"http://me:hunter2@127.0.0.1:1/\"\n");
    let file = secret.config().unwrap();
    set_mode(&file, 0o644);
    check(&secret, "failed", "holds a password, and its mode 0644", "chmod o= ");
    let all = secret.ask(&["doctor"]).stdout;
    assert!(!all.contains("hunter2"), "{all}");
    set_mode(&file, 0o640);
    check(&secret, "ok", "is valid", "");

    let plain = Home::with_toml("name = \"leela\"\n");
    set_mode(&plain.config().unwrap(), 0o644);
    check(&plain, "ok", "is valid", "");
    set_mode(&plain.config().unwrap(), 0o646);
    check(&plain, "failed", "everybody can write", "chmod o-w ");
    let legacy = Home::with_file("system_bot.conf", "[DEFAULT]\nbot_name = leela\ncolour = blue\n");
    check(&legacy, "warning", "colour", "config check");
}

#[test]
fn the_password_of_the_account_is_there_and_closed() {
    let programs = Programs::none();
    let home = Home::with_toml(
        "[xmpp]\njid = \"bot@example.org\"\npassword_file = \"password\"\nowner = \"me@example.org\"\n",
    );
    let check = |state, found, mend| {
        assert_finding(&finding(&home, &programs, "xmpp password"), state, found, mend);
    };
    check("failed", "cannot be read", "chmod 600");
    let file = home.file("password", "");
    set_mode(Path::new(&file), 0o600);
    check("failed", "is empty", "put the password");
    home.file("password", "hunter2\n");
    check("ok", "can be read", "");
    set_mode(Path::new(&file), 0o644);
    check("failed", "its mode is 0644", "chmod 600");
}

#[test]
fn a_daemon_that_runs_stands_still_or_was_killed() {
    let home = Home::with_toml("sample_interval = \"1s\"\n");
    let programs = Programs::none();
    let mut daemon = home.start();
    let check = |name, state, found: &str, mend: &str| {
        assert_finding(&finding(&home, &programs, name), state, found, mend);
    };
    let version = format!("version {} runs, pid {}", env!("CARGO_PKG_VERSION"), daemon.pid());
    check("daemon", "ok", &version, "");
    check("log", "ok", "samples, the newest", "");
    check("data directory", "ok", "alone", "");
    let output =
        home.command(&["--format", "json", "doctor", "--config", &home.file("other.toml", "")]).output();
    let other = String::from_utf8(output.unwrap().stdout).unwrap();
    assert!(other.contains("systembot.toml, not with ") && other.contains("other.toml\",\"mend"), "{other}");
    set_mode(&home.data_dir(), 0o755);
    check("data directory", "warning", "its mode is 0755", "chmod 700 ");
    set_mode(&home.data_dir(), 0o700);

    // Without its socket it cannot be asked, and it holds the log.
    fs::remove_file(home.data_dir().join("control.sock")).unwrap();
    let holder = format!("systembot, pid {}", daemon.pid());
    check("log", "failed", &holder, &format!("kill {}", daemon.pid()));
    daemon.signal(Signal::KILL);
    daemon.wait();
    check("daemon", "warning", "none runs", "systembot run");
    check("log", "ok", "opens; its newest sample", "");
}

#[test]
fn a_data_directory_that_is_no_directory_or_another_users() {
    let programs = Programs::none();
    let home = Home::on_defaults();
    fs::write(home.data_dir(), "").unwrap();
    assert_finding(&finding(&home, &programs, "data directory"), "failed", "is no directory", "--data-dir");
    assert!(examine(&home, &programs).0.iter().all(|finding| finding["check"] != "log"));
}

#[test]
fn a_log_that_lost_its_file_and_those_that_were_kept_are_told() {
    let (home, programs) = (Home::on_defaults(), Programs::none());
    fs::create_dir_all(home.data_dir().join("log/blobs")).unwrap();
    assert_finding(&finding(&home, &programs, "log"), "failed", "db is missing", "systembot run");
    let (findings, _) = examine(&home, &programs);
    assert!(findings.iter().all(|finding| finding["check"] != "damaged logs"), "{findings:?}");
    for day in 1..3 {
        let kept = home.data_dir().join(format!("log.damaged-2026-11-0{day}T000000.000Z"));
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("db"), vec![0; 3 << 20]).unwrap();
    }
    let kept = finding(&home, &programs, "damaged logs");
    assert_finding(&kept, "warning", "2 are kept, 6.00 MiB, the newest", "rm -r");
    assert!(kept["found"].as_str().unwrap().ends_with("2026-11-02T000000.000Z"), "{kept}");
}

#[test]
fn disk_space_is_held_against_what_the_log_may_take() {
    let programs = Programs::none();
    let home = Home::with_toml("[storage]\nmax_size = \"900000GB\"\n");
    assert_finding(&finding(&home, &programs, "disk space"), "warning", "may grow to", "free some");
}

#[test]
fn the_bridge_is_looked_at_without_taking_a_command() {
    let programs = Programs::none();
    let bridge = FakeBridge::start("leela");
    bridge.push_command("load");
    let home = Home::on_bridge(&bridge.url(), "");
    let check = |state, found, mend| {
        assert_finding(&finding(&home, &programs, "bridge"), state, found, mend);
    };
    // It answers as a bridge does; only a command could tell whether it knows us.
    check("warning", "whether it has a queue named leela", "leela, help");
    bridge.tell_names(true);
    check("ok", "it has the queue leela", "");
    bridge.rename("bender");
    check("failed", "no queue named leela; it has: bender", "set `name`");
    bridge.rename("leela");
    bridge.tell_names(false);
    assert!(bridge.seen().requests.iter().all(|request| request.path != "/leela"), "{:?}", bridge.seen());

    // The command that waited all the while comes to the daemon, and is proof from then on.
    let daemon = home.start();
    bridge.wait_until(LIMIT, |seen| seen.replies.len() > 1);
    until("the delivery to be recorded", || home.rows(&["status"])[0]["backlog"] == 0);
    check("ok", "a command came through", "");
    bridge.fail(Requests::Puts, Fault::Status(500), ALWAYS);
    bridge.push_command("uptime");
    until("a message to wait", || home.rows(&["status"])[0]["backlog"] == 1);
    check("warning", "messages wait: 1", "bridge's own log");
    drop(daemon);

    bridge.fail(Requests::All, Fault::Page, ALWAYS);
    check("failed", "answers with a page: that is no message bridge", "correct `bridge.url`");
    bridge.fail(Requests::All, Fault::Status(503), ALWAYS);
    check("failed", "answers 503", "correct `bridge.url`");
    bridge.close();
    check("failed", "cannot be reached: Connection refused", "start the bridge");
}

#[test]
fn the_address_service_is_named_or_not_and_never_asked() {
    let programs = Programs::none();
    let home = Home::with_toml("[public_address]\nurl = \"http://127.0.0.1:1/?token=hunter2\"\n");
    set_mode(&home.config().unwrap(), 0o600);
    let found = finding(&home, &programs, "public address");
    assert_finding(&found, "ok", "http://127.0.0.1:1/?token=*** is asked every hour", "");
    let found = finding(&Home::on_defaults(), &programs, "public address");
    assert_finding(&found, "ok", "only when you ask", "");
}

#[test]
fn the_clock_is_kept_right_where_somebody_says_so() {
    let home = Home::on_defaults();
    let check = |programs: Programs, state, mend| {
        assert_finding(&finding(&home, &programs, "clock"), state, "it", mend);
    };
    check(Programs::none().with("timedatectl", "echo NTP=yes; echo NTPSynchronized=yes"), "ok", "");
    check(Programs::none().with("chronyc", "echo 'Leap status     : Normal'"), "ok", "");
    if !Path::new("/run/systemd/timesync/synchronized").exists() {
        check(Programs::none().with("timedatectl", "echo NTPSynchronized=no"), "warning", "set-ntp");
        check(Programs::none().with("timedatectl", "exit 1"), "warning", "set-ntp");
    }
}

#[test]
fn a_watched_service_that_is_gone_or_could_not_be_started_again() {
    let programs = Programs::none();
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("service.sh");
    fs::write(&script, "read line\n").unwrap();
    let script = script.to_str().unwrap();
    let home = Home::with_toml(
        &"[[service]]\nname = \"here\"\nmatch = \"SCRIPT\"\nrestart = \"sh SCRIPT\"\n\
         [[service]]\nname = \"gone\"\nmatch = \"SCRIPTS\"\n\
         [[service]]\nname = \"typo\"\nmatch = \"SCRIPT\"\nrestart = \"hs SCRIPT\"\n\
         [[service]]\nname = \"moved\"\nmatch = \"SCRIPTS\"\nrestart = \"sh SCRIPTS\"\n\
         [[service]]\nname = \"shell\"\nmatch = \"SCRIPT\"\nrestart = \"anything > at all\"\nsh = true\n"
            .replace("SCRIPT", script),
    );
    // It ends with its input, and so with this test.
    let mut child = Command::new("sh").arg(script).stdin(Stdio::piped()).spawn().unwrap();
    let check = |name: &str, state, found, mend| {
        assert_finding(&finding(&home, &programs, &format!("service {name}")), state, found, mend);
    };
    check("here", "ok", "runs", "");
    check("gone", "warning", "not running", "start it");
    check("typo", "failed", "hs is in no directory of PATH", "correct `restart` of this [[service]] in /");
    check("moved", "failed", "/service.shS is not there; not running", "correct `restart`");
    check("shell", "ok", "runs", "");
    child.kill().unwrap();
    child.wait().unwrap();
    check("here", "warning", "not running", "start it: sh /");
}

/// systemd's search path is not that of the owner's shell.
#[test]
fn what_only_the_shell_finds_the_daemon_cannot_start() {
    let programs = Programs::none().with("mybot", "exit 0");
    let service =
        "[[service]]\nname = \"mybot\"\nmatch = \"no_such_process_anywhere\"\nrestart = \"mybot\"\n";
    let home = Home::with_toml(service);
    let check = |state, found, mend| {
        assert_finding(&finding(&home, &programs, "service mybot"), state, found, mend);
    };
    check("warning", "not running", "start it");
    let daemon = home.start();
    check("failed", "mybot is in no directory of PATH", "correct `restart`");
    assert_eq!(daemon.stop(), Some(0));
}

/// What a stand-in for systemctl tells: our own unit and the one of the bot before us, of both managers.
fn systemd(system: &str, user: &str, original: &str) -> Programs {
    let told = |words: &str| words.split(' ').map(|word| format!("echo {word};")).collect::<String>();
    let script = format!(
        "case \"$*\" in *--system*system_bot*) {nothing} ;; *--user*system_bot*) {} ;; *--system*) {} ;; *) {} ;; esac",
        told(original),
        told(system),
        told(user),
        nothing = told(NONE),
    );
    Programs::none().with("systemctl", &script)
}

const NONE: &str = "Id=x.service LoadState=not-found ActiveState=inactive UnitFileState=";
const RUNS: &str = "Id=systembot.service LoadState=loaded ActiveState=active UnitFileState=enabled";
const DEAD: &str = "Id=systembot.service LoadState=loaded ActiveState=inactive UnitFileState=enabled";
const OFF: &str = "Id=systembot.service LoadState=loaded ActiveState=inactive UnitFileState=disabled";
const FAILED: &str = "Id=systembot.service LoadState=loaded ActiveState=failed UnitFileState=enabled";
const LOOPS: &str = "Id=systembot.service LoadState=loaded ActiveState=activating SubState=auto-restart UnitFileState=enabled";
const OLD: &str = "Id=system_bot.service LoadState=loaded ActiveState=inactive UnitFileState=enabled";
const OLD_OFF: &str = "Id=system_bot.service LoadState=loaded ActiveState=inactive UnitFileState=disabled";

#[test]
fn units_are_installed_enabled_and_run() {
    let home = Home::on_defaults();
    let check = |system, user, state, found, mend| {
        assert_finding(&finding(&home, &systemd(system, user, NONE), "units"), state, found, mend);
    };
    check(NONE, NONE, "warning", "none is installed", "systembot install --user");
    check(RUNS, NONE, "ok", "the system's systembot.service is enabled and runs", "");
    check(NONE, RUNS, "ok", "your own systembot.service is enabled and runs", "");
    check(NONE, DEAD, "warning", "does not run", "systemctl --user start systembot.service");
    check(OFF, NONE, "warning", "is not enabled", "sudo systemctl enable --now systembot.service");
    check(OFF, RUNS, "ok", "your own systembot.service is enabled and runs", "");
    check(NONE, FAILED, "failed", "has failed", "journalctl --user -u systembot.service");
    check(NONE, LOOPS, "failed", "does not stay up", "journalctl --user -u systembot.service");
    check(RUNS, RUNS, "warning", "two bots", "systemctl --user disable --now systembot.service");
    let hung = Programs::none().with("systemctl", "exit 1");
    assert_finding(&finding(&home, &hung, "units"), "ok", "systemd does not run here", "");
}

#[test]
fn the_original_beside_it_is_found_by_its_unit() {
    let home = Home::on_defaults();
    let check = |original, state, found, mend| {
        assert_finding(&finding(&home, &systemd(NONE, RUNS, original), "system_bot"), state, found, mend);
    };
    check(NONE, "ok", "does not run", "");
    check(OLD_OFF, "ok", "does not run", "");
    // Our own unit answers to that name too.
    check(RUNS, "ok", "does not run", "");
    check(OLD, "failed", "still enabled", "systemctl --user disable --now system_bot.service");
}

#[test]
fn the_owners_own_unit_needs_linger() {
    let home = Home::on_defaults();
    let user = nix_user();
    let told = |script: &str| systemd(NONE, RUNS, NONE).with("loginctl", script);
    let found = finding(&home, &told("echo Linger=yes"), "linger");
    assert_finding(&found, "ok", "go on after a logout", "");
    if !Path::new("/var/lib/systemd/linger").join(&user).exists() {
        for script in ["echo Linger=no", "exit 1"] {
            let found = finding(&home, &told(script), "linger");
            let mend = format!("sudo loginctl enable-linger {user}");
            assert_finding(&found, "warning", "logs out", &mend);
        }
    }
    // The system's service goes on anyway.
    let (findings, _) = examine(&home, &systemd(RUNS, NONE, NONE));
    assert!(findings.iter().all(|finding| finding["check"] != "linger"), "{findings:?}");
}

/// Name of the user that the tests run as.
fn nix_user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
