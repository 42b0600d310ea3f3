//! The commented example of the legacy form says what holds without it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{path::Path, time::Duration};

use systembot_config::{Bridge, Settings, load, parse};

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
