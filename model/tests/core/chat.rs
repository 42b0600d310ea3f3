//! The commands over a known machine.

use systembot_model::{
    Address, Effect, Input, Question, Rules,
    command::COMMANDS,
    host::{Host, Process},
};

use crate::sim::{Sim, kinds, texts};

const MACHINE: &[(&str, f64)] = &[
    ("load1", 0.42),
    ("load5", 0.4),
    ("load15", 0.31),
    ("cpu_idle_percent", 93.25),
    ("cpu_user_percent", 4.5),
    ("cpu_system_percent", 2.0),
    ("cpu_iowait_percent", 0.25),
    ("cpu_steal_percent", 0.0),
    ("memory_total_bytes", 8_589_934_592.0),
    ("memory_used_bytes", 2_147_483_648.0),
    ("memory_available_bytes", 6_442_450_944.0),
    ("memory_available_percent", 75.0),
    ("swap_total_bytes", 1_073_741_824.0),
    ("swap_used_bytes", 0.0),
    ("disk_total_bytes{mount=\"/\"}", 21_474_836_480.0),
    ("disk_used_bytes{mount=\"/\"}", 10_737_418_240.0),
    ("disk_available_bytes{mount=\"/\"}", 9_663_676_416.0),
    ("disk_used_percent{mount=\"/\"}", 52.63),
    ("disk_total_bytes{mount=\"/Home\"}", 1024.0),
    ("disk_used_bytes{mount=\"/Home\"}", 512.0),
    ("disk_available_bytes{mount=\"/Home\"}", 512.0),
    ("disk_used_percent{mount=\"/Home\"}", 50.0),
    ("network_sent_bytes_total{interface=\"lo\"}", 1.0),
    ("network_received_bytes_total{interface=\"lo\"}", 1.0),
    ("network_sent_bytes_total{interface=\"eth0\"}", 1_288_490_189.0),
    ("network_received_bytes_total{interface=\"eth0\"}", 3_650_722_202.0),
    ("temperature_celsius{sensor=\"coretemp Core 0\"}", 45.0),
    ("uptime_seconds", 273_906.0),
    ("log_bytes", 524_288.0),
];

fn sim() -> Sim {
    let mut sim = Sim::started(Rules::default());
    let mut pass = sim.pass(MACHINE);
    pass.host = Host {
        name: "leela".into(),
        os: "Debian GNU/Linux 12 (bookworm)".into(),
        kernel: "6.1.0-18-amd64".into(),
        build: "#1 SMP Debian".into(),
        architecture: "x86_64".into(),
        cpus: 4,
        interface: Some("eth0".into()),
        ipv4: Some("192.0.2.7".parse().unwrap()),
        ipv6: Some("2001:db8::7".parse().unwrap()),
    };
    sim.step(Input::Sampled(Box::new(pass)));
    sim
}

/// Every alias of the original, in its own spelling and in capitals with a dot.
#[test]
fn every_alias_gives_the_right_values() {
    let rows: &[(&[&str], &str)] = &[
        (&["load", "sysload", "system load"], "Load: 0.42 (1 min), 0.40 (5 min), 0.31 (15 min) on 4 CPUs."),
        (
            &["uname", "info", "system info"],
            "leela: Debian GNU/Linux 12 (bookworm), kernel 6.1.0-18-amd64, build #1 SMP Debian, x86_64.",
        ),
        (&["cpus"], "leela has 4 CPUs."),
        (
            &["disk", "disk usage", "storage"],
            "/: 10.00 GiB used (52.6 %), 9.00 GiB free of 20.00 GiB\n/Home: 512 B used (50.0 %), 512 B free of 1.00 KiB",
        ),
        (
            &["memory", "free memory", "ram", "free ram", "free"],
            "Memory: 2.00 GiB used (25.0 %), 6.00 GiB free (75.0 %) of 8.00 GiB.\nSwap: 0 B used of 1.00 GiB.",
        ),
        (&["uptime"], "Up 3 days, 4 hours, 5 minutes, 6 seconds."),
        (&["ip", "local ip", "local addr"], "Local address: 192.0.2.7, 2001:db8::7 on eth0."),
        (
            &["network traffic", "traffic volume", "network stats", "traffic stats", "traffic count"],
            "eth0: 1.20 GiB sent, 3.40 GiB received",
        ),
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
            "coretemp Core 0: 45.0 °C (113.0 °F)",
        ),
        (
            &["date", "time", "local date", "local time", "datetime", "local datetime"],
            "It is Sunday, 2026-11-22 11:23:54 UTC.",
        ),
        (
            &["cpu"],
            "CPU: 93.2 % idle, 4.5 % user, 2.0 % system, 0.2 % waiting for I/O, 0.0 % stolen, over 4 CPUs.",
        ),
        (
            &[
                "disk /Home",
                "DISK /HOME.",
                "disk /home/",
                "disk home",
                "Disk usage of /Home?",
                "DISK OF /HOME.",
                "disk \u{201c}/Home\u{201d}",
            ],
            "/Home: 512 B used (50.0 %), 512 B free of 1.00 KiB",
        ),
        (&["alerts"], "No alert is open."),
        (&["services"], "No service is watched."),
    ];
    let mut sim = sim();
    for (lines, expected) in rows {
        for line in *lines {
            assert_eq!(sim.ask(line), *expected, "{line}");
            if !line.contains('/') {
                assert_eq!(sim.ask(&format!("{}.", line.to_uppercase())), *expected, "{line} in capitals");
            }
        }
    }
    let mut sim = self::sim();
    for line in ["help", "HELP."] {
        let help = sim.ask(line);
        for command in COMMANDS {
            assert!(help.contains(command.name()), "{}", command.name());
        }
    }
    assert!(sim.ask("help disk").starts_with("disk [mount]: used, free and total space"));
}

#[test]
fn silence_gets_no_reply() {
    let mut sim = sim();
    for line in ["", "   ", "no commands", "No Commands", "no commands.", "...", " . ", "\u{7}\u{0}"] {
        assert_eq!(
            kinds(&sim.step(Input::Heard { from: Address::bridge(), text: line.into() })).len(),
            0,
            "{line:?}"
        );
    }
}

#[test]
fn what_is_not_understood_gets_the_nearest_commands() {
    let mut sim = sim();
    for line in ["loaded gun", "ramble", "timeout", "ipconfig", "flurb"] {
        let answer = sim.ask(line);
        assert!(answer.starts_with(&format!("I did not understand \"{line}\". Did you mean \"")), "{answer}");
    }
    assert!(sim.ask("uptmie").contains("Did you mean \"uptime\""));
    let long = "x".repeat(5000);
    assert!(sim.ask(&long).len() < 300);
}

/// Defect 11 of the original: its first answer said that everything was idle, and "top 5" listed six.
#[test]
fn top_processes_come_from_two_readings_and_as_many_as_asked() {
    let mut sim = sim();
    for (line, count) in [
        ("top processes", 5_usize),
        ("busy processes", 5),
        ("busiest processes", 5),
        ("top 3 processes", 3),
        ("processes", 5),
    ] {
        let events = sim.step(Input::Heard { from: Address::bridge(), text: line.into() });
        assert_eq!(kinds(&events), ["heard", "asked"], "{line}");
        assert_eq!(sim.effects(events.len()), [Effect::ReadProcesses(u8::try_from(count).unwrap())]);
        let processes: Vec<Process> = (1..=8)
            .map(|i| Process {
                pid: i,
                name: format!("p{i}"),
                user: "root".into(),
                cpu_percent: 100.0 / f64::from(i),
                memory_bytes: 85_899_346,
            })
            .collect();
        let events = sim.step(Input::ProcessesRead(processes));
        let text = texts(&events)[0];
        assert_eq!(text.lines().count(), count + 1, "{text}");
        assert!(text.contains("p1 (1, root): 100.0 % CPU, 81.92 MiB (1.0 %)"), "{text}");
        assert!(sim.state.questions.is_empty());
    }
    assert!(sim.ask("top 0").contains("from 1 to 50"));
    assert!(sim.ask("top lots").contains("from 1 to 50"));
}

#[test]
fn the_public_address_is_fetched_once_in_ten_minutes() {
    let mut sim = sim();
    for line in ["ip address", "public ip", "ip addr", "public ip address", "addr"] {
        let events = sim.step(Input::Heard { from: Address::bridge(), text: line.into() });
        assert_eq!(kinds(&events), ["heard", "asked"], "{line}");
    }
    let events = sim.step(Input::AddressFetched(Ok("203.0.113.9".parse().unwrap())));
    assert_eq!(texts(&events), ["Public address: 203.0.113.9."; 5]);
    assert_eq!(kinds(&events)[0], "address_changed");
    sim.wait(180);
    assert_eq!(sim.ask("addr"), "Public address: 203.0.113.9 (asked 3 min ago).");
    sim.wait(600);
    assert_eq!(
        kinds(&sim.step(Input::Heard { from: Address::bridge(), text: "addr".into() })),
        ["heard", "asked"]
    );
    let events = sim.step(Input::AddressFetched(Err("the address service did not answer within 5 s".into())));
    let expected = "I could not learn the public address: the address service did not answer within 5 s. It was 203.0.113.9 13 min ago.";
    assert_eq!(texts(&events), [expected]);
    assert!(sim.ask("addr").ends_with("I may ask again in 10 min."));
}

#[test]
fn a_question_survives_a_crash() {
    let mut sim = sim();
    sim.step(Input::Heard { from: Address::bridge(), text: "top".into() });
    assert!(systembot_model::owed(&sim.state).contains(&Effect::ReadProcesses(5)));
    assert_eq!(sim.state.questions.values().next().map(|(_, q)| *q), Some(Question::Processes(5)));
}

#[test]
fn old_values_say_how_old_they_are() {
    let mut sim = sim();
    sim.wait(600);
    assert!(sim.ask("load").ends_with("\n(as of 2026-11-22 11:23, 10 min ago)"));
    assert!(sim.ask("uptime").starts_with("Up 3 days, 4 hours, 15 minutes"));
}

#[test]
fn mutes_are_set_listed_and_lifted() {
    let mut sim = sim();
    assert_eq!(sim.ask("mute all for 30m"), "Muted all until 2026-11-22 11:53. Alerts are still recorded.");
    assert_eq!(
        sim.ask("mute disk_used_percent{mount=\"/\"} for 1h"),
        "Muted disk_used_percent{mount=\"/\"} until 2026-11-22 12:23. Alerts are still recorded."
    );
    assert!(sim.ask("mutes").contains("all until 2026-11-22 11:53 (30 min left)"));
    assert!(sim.ask("mute nonsense for 2h").contains("There is no series \"nonsense\""));
    assert!(sim.ask("mute disk for ever").contains("no span of time"));
    assert!(sim.ask("unmute cpu").contains("not muted"));
    assert!(sim.ask("MUTE LOAD FOR 2 HOURS.").starts_with("Muted load until 2026-11-22 13:23."));
    assert!(sim.ask("unmute load").starts_with("Unmuted load."));
    assert!(sim.ask("mute load 2h").starts_with("Muted load until 2026-11-22 13:23."));
    assert!(sim.ask("unmute load").starts_with("Unmuted load."));
    assert!(sim.ask("mute").starts_with("Mute what? say it like"));
    assert!(sim.ask("mute for 2h").starts_with("Mute what? say it like"));
    assert_eq!(sim.ask("unmute all"), "Unmuted all, disk_used_percent{mount=\"/\"}.");
    assert_eq!(sim.ask("unmute"), "Nothing is muted.");
}

#[test]
fn status_and_trends_are_short_and_exact() {
    let mut sim = sim();
    assert_eq!(
        sim.ask("status"),
        "leela: load 0.42, CPU 93.2 % idle, memory 75.0 % free, disk / 52.6 % full, coretemp Core 0 45.0 °C.\nNo alert is open.\n\
         I have been watching for 0 s.\nThe log has 29 series in 512.00 KiB.\n1 message to be delivered."
    );
    assert!(
        sim.ask("trends load").contains("load1: 0.42, steady (1 sample, mean 0.42)"),
        "{}",
        sim.ask("trends load")
    );
    assert!(sim.ask("trends nothing").contains("There is no series"));
}

#[test]
fn a_service_is_muted_and_unmuted_by_its_name() {
    let services = vec![systembot_model::rules::Service { name: "test_bot".into(), ..Default::default() }];
    let mut sim = Sim::started(Rules { services, ..Rules::default() });
    assert!(sim.ask("mute test_bot for 2h").starts_with("Muted service{name=\"test_bot\"} until"));
    assert_eq!(sim.ask("Unmute Test_bot."), "Unmuted service{name=\"test_bot\"}.");
}

/// After a start the CPU series come with the second tick: until then there is no answer, and no old one.
#[test]
fn values_of_an_earlier_run_are_not_told_as_those_of_now() {
    let mut sim = sim();
    sim.step(Input::Stopping);
    sim.wait(3600);
    sim.start();
    sim.tick(&[("memory_available_percent", 50.0)]);
    assert!(sim.ask("cpu").contains("still to come"), "{}", sim.ask("cpu"));
    assert_eq!(sim.ask("load"), "The load cannot be read at the moment.");
    assert_eq!(sim.ask("memory"), "Memory cannot be read at the moment.");
    assert!(sim.ask("status").starts_with("leela: memory 50.0 % free.\n"), "{}", sim.ask("status"));
}

#[test]
fn an_alert_is_explained_while_it_is_open_and_pointed_at_after() {
    let mut sim = Sim::started(Rules::default());
    let at = |sim: &mut Sim, percent| {
        sim.wait(60);
        sim.tick(&[("disk_used_percent{mount=\"/\"}", percent)]);
    };
    assert_eq!(sim.ask("why"), "Which alert? Say its number; none is open.");
    at(&mut sim, 95.0);
    assert_eq!(
        sim.ask("why #1."),
        "#1 disk / is 95.0 % full\nRule disk_full on disk_used_percent{mount=\"/\"}, warning, fired 2026-11-22 11:24.\n\
         Value 95.0 %, limit 90.0 %."
    );
    assert_eq!(sim.ask("WHY 2"), "There is no open alert 2; open: #1.");
    at(&mut sim, 50.0);
    assert_eq!(sim.ask("why 1"), "Alert #1 is over. \"systembot why 1\" on leela explains it.");
}

#[test]
fn status_names_a_missing_service_once() {
    let services = vec![systembot_model::rules::Service { name: "test_bot".into(), ..Default::default() }];
    let mut sim = Sim::started(Rules { services, ..Rules::default() });
    let mut pass = sim.pass(MACHINE);
    pass.missing = vec!["test_bot".into()];
    sim.step(Input::Sampled(Box::new(pass)));
    assert_eq!(sim.ask("status").matches("test_bot").count(), 1, "{}", sim.ask("status"));
    assert_eq!(sim.ask("services"), "test_bot: missing for 0 s");
}

#[test]
fn the_points_of_a_sensor_are_told_as_they_are() {
    let mut sim = Sim::started(Rules::default());
    sim.tick(&[
        ("temperature_celsius{sensor=\"nvme Composite\"}", 36.85),
        ("temperature_high_celsius{sensor=\"nvme Composite\"}", 81.85),
        ("temperature_critical_celsius{sensor=\"nvme Composite\"}", 85.0),
    ]);
    assert_eq!(sim.ask("temp"), "nvme Composite: 36.9 °C (98.3 °F), high from 81.85 °C, critical from 85 °C");
}
