//! The command line as scripts and terminals see it: exit codes, one line an error, files it must refuse.

use std::{
    fs::{self, OpenOptions, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    process::Stdio,
};

use rustix::process::{Signal, geteuid};

use crate::daemon::{Home, Output, until};

/// Asserts an error: exit code 2, nothing printed, one line that holds these parts.
#[track_caller]
fn refused(output: &Output, parts: &[&str]) {
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    assert!(output.stderr.starts_with("systembot: "), "{output:?}");
    assert!(parts.iter().all(|part| output.stderr.contains(part)), "{parts:?} in {output:?}");
}

#[test]
fn a_second_run_is_refused_in_one_line() {
    let home = Home::on_defaults();
    let daemon = home.start();
    let second = home.ask(&["run"]);
    let parts = [home.data_dir().to_str().unwrap().to_owned(), daemon.pid().to_string()];
    refused(&second, &parts.each_ref().map(String::as_str));
    let conf = home.file("system_bot.conf", "[DEFAULT]\ncolour = blue\n");
    refused(&home.ask(&["run", "--config", &conf]), &parts.each_ref().map(String::as_str));
}

/// Root becomes the owner of the directory before anything is written there, `run` no less than a question.
#[test]
fn root_leaves_no_file_of_its_own_in_the_directory_of_another() {
    const OTHER: u32 = 65_534;
    if !geteuid().is_root() {
        return;
    }
    let home = Home::on_defaults();
    fs::create_dir(home.data_dir()).unwrap();
    chown(home.data_dir(), Some(OTHER), Some(OTHER)).unwrap();
    fs::set_permissions(home.data_dir().parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    let daemon = home.start();
    assert_eq!(home.ask(&["mute", "all", "--for", "1h"]).code, Some(0));
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(home.ask(&["unmute"]).code, Some(0));
    let mut left = vec![home.data_dir()];
    while let Some(path) = left.pop() {
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid()), (OTHER, OTHER), "{}", path.display());
        if found.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}

#[test]
fn a_daemon_that_hangs_is_told_and_not_waited_for() {
    let home = Home::on_defaults();
    let daemon = home.start();
    daemon.signal(Signal::STOP);
    refused(&home.ask(&["status"]), &["control.sock", "does not answer"]);
    daemon.signal(Signal::CONT);
    assert_eq!(home.ask(&["status"]).code, Some(0));
}

#[test]
fn a_data_directory_that_is_a_file_is_refused_by_every_command() {
    let home = Home::on_defaults();
    fs::write(home.data_dir(), "not mine").unwrap();
    for line in [&["status"][..], &["ask", "load"], &["run"], &["events", "--follow"], &["verify"]] {
        refused(&home.ask(line), &[home.data_dir().to_str().unwrap()]);
    }
    assert_eq!(fs::read_to_string(home.data_dir()).unwrap(), "not mine");
}

#[test]
fn an_output_that_fails_is_named() {
    let home = Home::on_defaults();
    for line in [&["man"][..], &["--help"], &["config", "show"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = home.command(line).stdin(Stdio::null()).stdout(full).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.starts_with("systembot: standard output: No space left"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn an_import_names_its_file_and_reads_no_pipe() {
    let home = Home::on_defaults();
    let file = home.file("a.csv", "timestamp,mine\n2026-01-01 00:00:00,1\n2026-01-01 00:00:15,2\n");
    assert_eq!(home.ask(&["import", &file]).code, Some(0));
    refused(&home.ask(&["import", &file]), &[&file, "imported already"]);
    let text = "timestamp,mine\n2025-12-31 00:00:00,1\n2026-01-01 00:00:07,2\n2026-01-01 00:00:15,2\n";
    let partly = home.ask(&["import", &home.file("b.csv", text)]);
    assert_eq!(partly.code, Some(0));
    assert!(partly.stdout.contains("1 sample imported; 2 samples refused"), "{partly:?}");
    assert!(partly.stdout.contains("b.csv:3: mine"), "{partly:?}");
    let none = home.ask(&["import", &home.file("c.csv", "timestamp,mine\n2026-01-01 00:00:15,2\n")]);
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.contains("c.csv:2: mine: samples lie there already"), "{none:?}");
    let piped = home.ask_with_input(&["import", "/dev/stdin"], "timestamp,other\n2026-01-01 00:00:00,1\n");
    refused(&piped, &["/dev/stdin", "save it first"]);
}

#[test]
fn both_forms_of_the_configuration_serve_every_command() {
    let home = Home::with_file(
        "system_bot.conf",
        "[DEFAULT]\nBot_Name: leela\npolling_time = 2\nqueue = http://me:hunter2@127.0.0.1:9/\n",
    );
    let daemon = home.start();
    assert_eq!(home.rows(&["status"])[0]["name"], "leela");
    assert_eq!(home.ask(&["config", "check"]).code, Some(0));
    let shown = home.ask(&["config", "show"]).stdout;
    let conf = home.config().unwrap();
    let imported = home.ask(&["config", "import", conf.to_str().unwrap()]).stdout;
    assert!(imported.contains("hunter2") && !shown.contains("hunter2"), "{imported}");
    let toml = home.file("imported.toml", &imported);
    assert_eq!(home.ask(&["config", "show", &toml]).stdout, shown);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_configuration_that_is_not_there_is_named_as_it_was_written() {
    let home = Home::on_defaults();
    for line in [&["--config", "none.toml", "status"][..], &["config", "check", "none.toml"]] {
        let output = home.ask(line);
        refused(&output, &["none.toml: no such configuration file"]);
        assert!(!output.stderr.contains("names it"), "{output:?}");
    }
}

#[test]
fn following_events_prints_what_comes_and_ends_with_its_reader() {
    let home = Home::with_toml("sample_interval = \"1h\"\n");
    let daemon = home.start();
    let mut child = home
        .command(&["--format", "json", "events", "--follow", "--kind", "muted"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(home.ask(&["mute", "Load", "--for", "2h"]).code, Some(0));
    let mut line = String::new();
    let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
    assert!(line.contains("\"kind\":\"muted\""), "{line}");
    drop(reader);
    until("the end of the command", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    daemon.signal(Signal::TERM);
}
