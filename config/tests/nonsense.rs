//! Whatever a file holds, it is judged: without a panic, and settings come only from files without mistakes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::{path::Path, time::Duration};

use proptest::prelude::*;
use systembot_config::{
    Bridge, Form, Loaded, LogLevel, PublicAddress, Settings, Storage, Thresholds, Trend, Url, Xmpp, load,
    parse, show, to_toml,
};
use systembot_model::rules::{Check, Environment, Probe, Service};

/// Judges a file by all means there are.
fn judge(bytes: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    match load(&path, "myhost") {
        Ok(Loaded { settings, warnings }) => {
            for form in [Form::Toml, Form::Json, Form::Csv] {
                assert!(show(&settings, form).ends_with('\n'));
            }
            assert!(warnings.iter().all(|warning| warning.to_string().lines().count() == 1));
            let again = parse(&to_toml(&settings), &path, "other").map_err(|mistakes| mistakes.report());
            assert_eq!(again.map(|loaded| loaded.settings), Ok(settings));
        }
        Err(mistakes) => {
            let lines = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).count();
            let mut last = None;
            for mistake in mistakes.iter() {
                assert!(!mistake.to_string().contains(char::is_control), "{mistake:?}");
                assert!(
                    mistake.line.is_some_and(|line| (1..=lines).contains(&line)),
                    "{mistake:?} of {lines}"
                );
                assert!(mistake.line >= last);
                last = mistake.line;
            }
        }
    }
}

/// Files that are right, to be made wrong.
const SEEDS: [&str; 7] = [
    include_str!("../../tests/configs/valid/all.toml"),
    include_str!("../../tests/configs/valid/inline.toml"),
    include_str!("../../tests/configs/valid/legacy.conf"),
    include_str!("../../tests/configs/valid/legacy_forms.conf"),
    include_str!("../../docs/systembot.example.toml"),
    include_str!("../../tests/configs/valid/services.toml"),
    include_str!("../system_bot.conf.example"),
];

/// Pieces that matter to one of the two forms.
const PIECES: [&str; 24] = [
    "[",
    "]",
    "[[",
    "{",
    "}",
    "\"",
    "\"\"\"",
    "'",
    "'''",
    "=",
    ":",
    ".",
    ",",
    "#",
    ";",
    "\n",
    "\r",
    "\t",
    " ",
    "%(",
    ")s",
    "\\u",
    "[DEFAULT]\n",
    "\u{feff}",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        judge(&bytes);
    }

    #[test]
    fn any_mix_of_pieces_is_judged(
        pieces in proptest::collection::vec((0..PIECES.len(), "[a-z_0-9é]{0,3}"), 0..60),
        is_legacy in any::<bool>(),
    ) {
        let text: String = pieces.iter().map(|(piece, word)| format!("{}{word}", PIECES[*piece])).collect();
        judge(format!("{}{text}", if is_legacy { "[DEFAULT]\n" } else { "" }).as_bytes());
    }

    #[test]
    fn any_wound_to_a_right_file_is_judged(
        seed in 0..SEEDS.len(),
        wounds in proptest::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>(), 0..PIECES.len()), 1..6),
    ) {
        let mut bytes = SEEDS[seed].as_bytes().to_vec();
        for (place, kind, byte, piece) in wounds {
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => drop(bytes.drain(at..(at + usize::from(byte)).min(bytes.len()))),
                2 => drop(bytes.splice(at..at, PIECES[piece].bytes())),
                _ => bytes.truncate(at.max(1)),
            }
            if bytes.is_empty() {
                bytes.push(b' ');
            }
        }
        judge(&bytes);
    }

    #[test]
    fn any_settings_survive_as_toml(settings in settings()) {
        let text = to_toml(&settings);
        let again = parse(&text, Path::new("/etc/x.toml"), "other").map_err(|mistakes| mistakes.report());
        prop_assert_eq!(again.map(|loaded| loaded.settings), Ok(settings), "{}", text);
    }
}

fn span(ms: std::ops::RangeInclusive<u64>) -> impl Strategy<Value = Duration> {
    ms.prop_map(Duration::from_millis)
}

fn url(path: &'static str) -> impl Strategy<Value = Url> {
    let url = ("(user(:[!-.0->A-~&&[^#/?@\\\\]]{0,8})?@)?[a-z][a-z0-9-]{0,10}(:[1-9][0-9]{0,3})?", path);
    url.prop_map(|(authority, path)| Url::parse(&format!("https://{authority}/{path}")).unwrap())
}

/// How a service is found: by its command line, by a file, or as a unit.
fn found() -> impl Strategy<Value = Service> {
    let matches = ("[ -~é]{0,8}x", any::<bool>(), proptest::option::of(PATH)).prop_map(
        |(matches, anywhere, pidfile)| Service { matches, anywhere, pidfile, ..Service::default() },
    );
    let pidfile = PATH.prop_map(|path| Service { pidfile: Some(path), ..Service::default() });
    let unit = "[a-z][a-z0-9@_.\\\\-]{0,8}[a-z]\\.(service|timer)"
        .prop_map(|unit| Service { unit: Some(unit), ..Service::default() });
    prop_oneof![matches, pidfile, unit]
}

const PATH: &str = "/[ -~é]{0,8}";

fn check() -> impl Strategy<Value = Check> {
    let probe = prop_oneof![
        "[a-z]{1,5}:[1-9][0-9]{0,3}".prop_map(Probe::Tcp),
        "https?://[a-z]{1,8}/[a-z?=&]{0,8}".prop_map(Probe::Http),
        "[a-z]{1,8}( [a-z]{1,3})?".prop_map(Probe::Command),
    ];
    (probe, span(100..=60_000), INTERVAL.prop_map(Duration::from_millis), any::<bool>())
        .prop_map(|(probe, timeout, interval, restart)| Check { probe, timeout, interval, restart })
}

const INTERVAL: std::ops::RangeInclusive<u64> = 1000..=3_600_000;

fn service() -> impl Strategy<Value = Service> {
    let start = (
        proptest::option::of("[a-z\n\t'\"\\\\é]{1,8}"),
        any::<bool>(),
        proptest::option::of(PATH),
        proptest::collection::btree_map("[A-Za-z_][A-Za-z0-9_]{0,5}", "[^\\x00]{0,8}", 0..3),
        span(INTERVAL),
        (span(1000..=60_000), span(60_000..=3_600_000)),
        0..=1000u32,
        span(1000..=86_400_000),
    );
    let user = proptest::option::of("[a-z][a-z0-9_-]{0,8}");
    ("[a-z]{0,8}", found(), user, start, proptest::option::of(check())).prop_map(
        |(name, found, user, start, check)| {
            let (restart, sh, directory, environment, grace, (backoff, backoff_max), start_limit, within) =
                start;
            let restart = restart.filter(|text| !text.trim().is_empty());
            // What a shell is not to split must be well quoted; anything goes to a shell.
            let sh = sh || restart.as_ref().is_some_and(|text| text.contains(['\'', '"', '\\']));
            let check = check.map(|check| Check { restart: check.restart && restart.is_some(), ..check });
            Service {
                name,
                user,
                restart,
                sh,
                directory,
                environment: Environment(environment),
                grace,
                check,
                backoff,
                backoff_max,
                start_limit,
                start_limit_interval: within,
                ..found
            }
        },
    )
}

fn settings() -> impl Strategy<Value = Settings> {
    let level = (0..LogLevel::WORDS.len()).prop_map(|i| LogLevel::WORDS[i].0);
    let mounts =
        || proptest::collection::btree_set("/[ -~é]{0,8}", 0..4).prop_map(|set| set.into_iter().collect());
    let bridge = (url("([a-z]{1,5}/)?"), span(1000..=3_600_000))
        .prop_map(|(url, poll_interval)| Bridge { url, poll_interval });
    let xmpp = (
        "[a-z]{1,5}@[a-z]{1,5}(/[a-z]{1,5})?",
        "/[ -~é]{1,8}",
        proptest::collection::btree_set("[a-z]{1,5}@[a-z]{1,5}", 1..4),
        proptest::option::of("[a-z]{1,5}:[1-9][0-9]{0,3}"),
    )
        .prop_map(|(jid, password_file, owners, server)| Xmpp {
            jid,
            password_file: password_file.into(),
            owners: owners.into_iter().collect(),
            server,
        });
    let services = proptest::collection::vec(service(), 0..4).prop_map(|services| {
        let mut services: Vec<Service> = services;
        for i in 0..services.len() {
            services[i].name.push_str(&i.to_string());
            // Each may come after those above it, which makes no circle.
            services[i].after = services[..i].iter().step_by(2).map(|service| service.name.clone()).collect();
        }
        services
    });
    let first = (
        "[a-z][a-z0-9_.-]{0,20}",
        span(1000..=3_600_000),
        span(0..=2_592_000_000),
        level,
        (span(86_400_000..=3_153_600_000_000), span(86_400_000..=315_360_000_000), (16u64 << 20)..=1 << 50),
        (0.0..=100.0, 0.0..=100.0, 0.0..=100.0),
        (1e-9..=100.0, 2usize..=400, 400usize..=800),
    );
    let second = (
        mounts(),
        mounts(),
        proptest::option::of(url("[a-z?=&]{0,8}")),
        proptest::option::of(bridge),
        proptest::option::of(xmpp),
        services,
    );
    (first, second).prop_map(|(first, second)| {
        let (name, sample_interval, repeat_interval, log_level, storage, percents, trend) = first;
        let (ignore_mounts, include_mounts, public, bridge, xmpp, services) = second;
        let defaults = Settings::defaults(&name);
        Settings {
            sample_interval,
            repeat_interval,
            log_level,
            storage: Storage { retention: storage.0, rollup_retention: storage.1, max_size_bytes: storage.2 },
            thresholds: Thresholds {
                disk_used_percent: percents.0,
                memory_available_percent: percents.1,
                cpu_idle_percent: percents.2,
            },
            trend: Trend { standard_deviations: trend.0, minimum_length: trend.1, maximum_length: trend.2 },
            ignore_mounts,
            include_mounts,
            public_address: public
                .map_or(defaults.public_address.clone(), |url| PublicAddress { url, is_named: true }),
            bridge,
            xmpp,
            services,
            ..defaults
        }
    })
}
