//! Every alias over the bridge's protocol, against what the machine itself says.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    process::Command,
    thread,
};

use crate::{
    bridge::FakeBridge,
    daemon::{Home, LIMIT, until},
};

/// An address service on loopback that answers with this body.
fn address_service(body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            // Whatever was asked, the answer is the same.
            let _ = stream.read(&mut request);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    url
}

#[test]
fn every_alias_over_the_bridge_in_any_case() {
    let bridge = FakeBridge::start("leela");
    let service = address_service("203.0.113.9\n");
    // As an owner of the original has it, but for the two addresses.
    let home = Home::with_file(
        "system_bot.conf",
        &format!(
            "[DEFAULT]\nqueue = {}\nbot_name = leela\npolling_time = 1\nstandard_deviations = 100\nip_addr_site = {service}\n\
             [processes to monitor]\nprocess1 = no_such_process_anywhere,true\n",
            bridge.url()
        ),
    );
    let daemon = home.start();
    until("a second pass, for the CPU", || home.rows(&["history", "load1"]).len() > 1);
    bridge.wait_for_replies(1, LIMIT);

    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let cpus = format!("{} CPU", thread::available_parallelism().unwrap());
    let total = {
        let df = Command::new("df").args(["-B1", "--output=size", "/"]).output().unwrap();
        let text = String::from_utf8(df.stdout).unwrap();
        let bytes: f64 = text.lines().nth(1).unwrap().trim().parse().unwrap();
        format!("{:.2} GiB", bytes / 1024.0_f64.powi(3))
    };
    let rows: &[(&[&str], &str)] = &[
        (&["help"], "top processes [how many]: the busiest processes"),
        (&["load", "sysload", "system load"], "(15 min) on"),
        (&["uname", "info", "system info"], kernel.trim()),
        (&["cpus"], &cpus),
        (&["disk", "disk usage", "storage"], &total),
        (&["memory", "free memory", "ram", "free ram"], "Memory: "),
        (&["uptime"], "minute"),
        (&["ip address", "public ip", "ip addr", "public ip address", "addr"], "203.0.113.9"),
        (&["ip", "local ip", "local addr"], "ddress"),
        (&["network traffic", "traffic volume", "network stats", "traffic stats", "traffic count"], ""),
        (
            &[
                "system temperature",
                "system temp",
                "temperature",
                "temp",
                "overheating",
                "core temperature",
                "core temp",
            ],
            "",
        ),
        (&["top processes", "busy processes", "busiest processes"], "Busiest at"),
        (&["date", "time", "local date", "local time", "datetime", "local datetime"], "UTC"),
    ];
    let lines: Vec<(String, &str)> = rows
        .iter()
        .flat_map(|(aliases, expected)| aliases.iter().map(move |alias| (*alias, *expected)))
        .flat_map(|(alias, expected)| {
            [(alias.to_owned(), expected), (format!("{}.", alias.to_uppercase()), expected)]
        })
        .collect();
    // The greeting, and the alert about the process that is not there.
    let told = bridge.wait_for_replies(2, LIMIT).len();
    let mut answered = told;
    for (i, (line, expected)) in lines.iter().enumerate() {
        bridge.push_command(line);
        // What has to be fetched is waited for: its answer would come after those to later lines.
        let is_fetched = expected.contains("Busiest") || expected.contains("203.0.113.9");
        if !is_fetched && i + 1 < lines.len() {
            continue;
        }
        let replies = bridge.wait_for_replies(told + i + 1, LIMIT);
        for ((line, expected), reply) in lines[answered - told..].iter().zip(&replies[answered..]) {
            assert!(reply.contains(expected), "{line}: {reply}");
            assert!(!reply.contains("did not understand"), "{line}: {reply}");
        }
        answered = told + i + 1;
    }
    bridge.push_command("loaded gun");
    let replies = bridge.wait_for_replies(told + lines.len() + 1, LIMIT);
    assert!(replies.last().unwrap().contains("Did you mean"), "{replies:?}");
    assert_eq!(daemon.stop(), Some(0));
    let last = bridge.replies().pop().unwrap();
    assert_eq!(last, "leela is going offline; 1 alert open");
}

#[test]
fn without_a_daemon_a_new_public_address_is_an_event_too() {
    let service = address_service("203.0.113.9");
    let home = Home::on_defaults();
    assert_eq!(home.start().stop(), Some(0));
    let config = home.data_dir().with_file_name("named.toml");
    fs::write(&config, format!("[public_address]\nurl = \"{service}\"\n")).unwrap();
    let ask = || home.ask(&["--config", config.to_str().unwrap(), "ask", "public ip"]).stdout;
    assert_eq!(ask(), "Public address: 203.0.113.9.\n");
    assert!(ask().starts_with("Public address: 203.0.113.9 (asked "));
    assert_eq!(address_events(&home), ["address_changed", "address_fetched"]);
}

fn address_events(home: &Home) -> Vec<String> {
    let rows = home.rows(&["events", "--kind", "asked,address_changed,address_fetched,answered"]);
    rows.iter().map(|row| row["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_service_that_is_named_is_asked_for_the_public_address_without_anybody_asking() {
    let service = address_service("203.0.113.9");
    let home = Home::with_toml(&format!("[public_address]\nurl = \"{service}\"\n"));
    let daemon = home.start();
    let expected = ["asked", "address_changed", "address_fetched", "answered"];
    until("the address", || address_events(&home) == expected);
    assert!(home.ask(&["ask", "addr"]).stdout.starts_with("Public address: 203.0.113.9 (asked "));
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(address_events(&home), expected);
}

#[test]
fn a_mute_lifted_at_a_shell_is_told_to_the_owner_at_once() {
    let bridge = FakeBridge::start("leela");
    let home = Home::on_bridge(&bridge.url(), "[thresholds]\ndisk_used_percent = 0.0\n");
    let daemon = home.start();
    let told = bridge.wait_for_replies(2, LIMIT).len();
    assert_eq!(home.ask(&["mute", "disk", "--for", "2h"]).code, Some(0));
    let lifted = home.ask(&["unmute"]);
    assert!(lifted.stdout.starts_with("Unmuted disk. Still wrong:\nstill ("), "{lifted:?}");
    let replies = bridge.wait_for_replies(told + 1, LIMIT);
    assert!(replies[told].starts_with("the mute is over, still wrong:\nstill ("), "{replies:?}");
    assert!(replies[told].ends_with(" #1"), "{replies:?}");
    drop(daemon);
}

#[test]
fn nobody_claims_to_watch_once_the_daemon_was_killed() {
    let home = Home::on_defaults();
    let daemon = home.start();
    assert!(home.ask(&["ask", "status"]).stdout.contains("I have been watching for"));
    daemon.kill();
    assert!(!home.ask(&["ask", "status"]).stdout.contains("watching"));
}
