//! The commented examples that are shipped say what holds without them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{path::Path, time::Duration};

use systembot_config::{Bridge, Form, Settings, load, parse, show};

const HOST: &str = "myhost";

fn shipped(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn settings(text: &str) -> Settings {
    match parse(text, Path::new("example"), HOST) {
        Ok(loaded) => {
            assert_eq!(loaded.warnings, [], "{text}");
            loaded.settings
        }
        Err(mistakes) => panic!("{}\n{text}", mistakes.report()),
    }
}

/// Takes the `#` away from a line that is a commented table or key.
fn uncommented(line: &str) -> Option<&str> {
    let text = line.strip_prefix("# ")?;
    let key = text.split(" = ").next()?;
    let is_key = text.contains(" = ") && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_key || (text.starts_with('[') && text.ends_with(']'))).then_some(text)
}

fn uncomment(text: &str, is_wanted: impl Fn(&str) -> bool) -> String {
    let line = |line| uncommented(line).filter(|text| is_wanted(text)).unwrap_or(line);
    text.lines().map(|text| line(text).to_owned() + "\n").collect()
}

/// What legacy files without any key give.
fn legacy_defaults() -> Settings {
    Settings {
        sample_interval: Duration::from_millis(2500),
        bridge: Some(Bridge::default()),
        ..Settings::defaults(HOST)
    }
}

#[test]
fn the_shipped_toml_gives_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systembot.toml");
    assert_eq!(load(&path, HOST).unwrap().settings, Settings::defaults(HOST));
}

#[test]
fn each_line_of_the_shipped_toml_says_its_default() {
    let text = shipped("systembot.toml");
    let mut table = "";
    let mut keys = Vec::new();
    for line in text.lines().filter_map(uncommented) {
        if line.starts_with('[') {
            table = line;
            continue;
        }
        let key = line.split(" = ").next().unwrap();
        keys.push(format!("{table}{key}"));
        let alone = settings(&match table {
            // These two are examples: nothing is their default, and what they need to be valid stands around them.
            "[xmpp]" | "[[service]]" => continue,
            _ => format!("{table}\n{line}\n"),
        });
        let mut expected = Settings::defaults(HOST);
        match table {
            "[bridge]" => expected.bridge = Some(Bridge::default()),
            "[public_address]" => expected.public_address.is_named = true,
            _ => {}
        }
        assert_eq!(alone, expected, "{line}");
    }
    assert_eq!(
        keys.join(" "),
        "name sample_interval repeat_interval log_level \
        [storage]retention [storage]max_size \
        [thresholds]disk_used_percent [thresholds]memory_available_percent [thresholds]cpu_idle_percent \
        [trend]standard_deviations [trend]minimum_length [trend]maximum_length \
        [ignore]mounts [include]mounts [public_address]url [bridge]url [bridge]poll_interval \
        [xmpp]jid [xmpp]password_file [xmpp]owner [xmpp]server \
        [[service]]name [[service]]match [[service]]restart [[service]]anywhere [[service]]sh"
    );
}

#[test]
fn the_shipped_toml_holds_uncommented_too() {
    let all = settings(&uncomment(&shipped("systembot.toml"), |_| true));
    let shown = show(&all, Form::Csv);
    for line in [
        "xmpp.jid,bot@example.org",
        "xmpp.password_file,/etc/systembot/xmpp-password",
        "xmpp.owner.1,me@example.org",
        "xmpp.server,xmpp.example.org:5222",
        "service.1.name,test_bot",
        "service.1.match,test_bot.py --loglevel",
        "service.1.restart,python3 /home/me/test_bot.py --loglevel debug",
        "service.1.anywhere,false",
        "service.1.sh,false",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} in\n{shown}");
    }
    let mut expected = Settings::defaults(HOST);
    expected.bridge = Some(Bridge::default());
    expected.public_address.is_named = true;
    assert_eq!(Settings { xmpp: None, services: Vec::new(), ..all }, expected);
}

#[test]
fn the_shipped_legacy_example_gives_the_defaults_and_the_bridge() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("system_bot.conf.example");
    let loaded = load(&path, HOST).unwrap();
    assert_eq!((loaded.settings, loaded.warnings), (legacy_defaults(), Vec::new()));
}

#[test]
fn each_line_of_the_shipped_legacy_example_says_its_default() {
    let text = shipped("system_bot.conf.example");
    let lines: Vec<&str> = text.lines().filter_map(uncommented).collect();
    assert_eq!(lines.len(), 12);
    for line in lines {
        let with = settings(&uncomment(&text, |text| text == line));
        let mut expected = legacy_defaults();
        match line.split(" = ").next().unwrap() {
            "ip_addr_site" => expected.public_address.is_named = true,
            "mount1" => expected.ignore_mounts = vec!["/snap".into()],
            "process1" => {
                let [service] = with.services.as_slice() else { panic!("one service") };
                assert_eq!(
                    (service.name.as_str(), service.matches.as_str()),
                    ("test_bot", "test_bot.py --loglevel")
                );
                let restart = service.restart.as_deref();
                assert_eq!(restart, Some("python3 /home/me/test_bot.py --loglevel debug"));
                expected.services = with.services.clone();
            }
            _ => {}
        }
        assert_eq!(with, expected, "{line}");
    }
}
