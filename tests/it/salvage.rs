//! A damaged log is mended, whoever finds it so, and its owner is told.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    bridge::FakeBridge,
    daemon::{Home, LIMIT, until},
};

fn db(home: &Home) -> PathBuf {
    home.data_dir().join("log/db")
}

/// Where a part of a hundred of what was ever written to a file ends: much of it may be blank.
fn place(path: &Path, part: usize) -> u64 {
    let bytes = fs::read(path).unwrap();
    let used: Vec<usize> = (0..bytes.len()).filter(|i| bytes[*i] != 0).collect();
    used.get(used.len() * part / 100).copied().unwrap_or(0).try_into().unwrap()
}

/// Writes noise over some of a file, from a part of a hundred of it on.
fn spoil(path: &Path, part: usize, bytes: usize) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let noise: Vec<u8> = (0..bytes).map(|i| [0x5a, 0xc3, 0x19][i % 3]).collect();
    file.write_all_at(&noise, place(path, part)).unwrap();
}

fn truncate(path: &Path, part: usize) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(place(path, part)).unwrap();
}

/// A log of some seconds, with a bridge that heard its greeting.
fn lived(bridge: &FakeBridge) -> Home {
    let home = Home::on_bridge(&bridge.url(), "[thresholds]\ndisk_used_percent = 0.0\n");
    let daemon = home.start();
    until("an alert", || !home.rows(&["alerts"]).is_empty());
    until("some passes", || home.rows(&["history", "load1"]).len() > 5);
    assert_eq!(daemon.stop(), Some(0));
    home
}

fn newest(home: &Home) -> u64 {
    home.rows(&["events"]).iter().map(|event| event["seq"].as_u64().unwrap()).max().unwrap()
}

/// Starts on a damaged log, and checks everything that its owner is told.
fn told(home: &Home, bridge: &FakeBridge) -> Value {
    let daemon = home.start();
    let is_told = |text: &String| text.contains("was damaged and is mended");
    let seen = bridge.wait_until(LIMIT, |seen| seen.replies.iter().any(is_told));
    let line = seen.replies.iter().flat_map(|text| text.lines()).find(|line| is_told(&(*line).to_owned()));
    let text = line.unwrap().trim_start_matches(|c: char| !c.is_ascii_lowercase()).to_owned();
    let status = home.rows(&["status"]).remove(0)["salvaged"].clone();
    let events = home.rows(&["events", "--kind", "salvaged"]);
    assert_eq!(events.len(), 1, "{events:?}");
    for key in ["saved", "lost"] {
        assert_eq!(events[0][key], status[key]);
        assert!(text.contains(&format!("{} ", status[key])) || status[key] == 0, "{text}: {status}");
    }
    let kept = status["kept"].as_str().unwrap();
    assert!(text.contains(kept) && Path::new(kept).join("db").exists(), "{text}");
    assert!(daemon.log().contains(&text), "{}", daemon.log());
    assert!(home.ask(&["status"]).stdout.contains("mended"));
    assert!(home.ask(&["ask", "status"]).stdout.contains("is mended"));
    let verified = home.ask(&["verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert_eq!(daemon.stop(), Some(0));
    // It is told once.
    let daemon = home.start();
    assert_eq!(home.rows(&["events", "--kind", "salvaged"]).len(), 1);
    assert_eq!(daemon.stop(), Some(0));
    status
}

#[test]
fn a_damaged_log_is_mended_at_the_start_and_its_owner_is_told() {
    let check = |name: &str, damage: &dyn Fn(&Path)| {
        let bridge = FakeBridge::start("leela");
        let home = lived(&bridge);
        let (before, alerts) = (newest(&home), home.rows(&["alerts"]).len());
        damage(&db(&home));
        let status = told(&home, &bridge);
        let saved = status["saved"].as_u64().unwrap();
        assert!(saved > 0 || status["at_least"] == true, "{name}: {status}");
        let later = home.rows(&["events", "--kind", "salvaged"])[0]["seq"].as_u64().unwrap();
        assert!(later > before, "{name}: a number was given twice");
        let numbers: Vec<u64> =
            home.rows(&["alerts"]).iter().map(|alert| alert["id"].as_u64().unwrap()).collect();
        let mut unique = numbers.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), numbers.len(), "{name}: {numbers:?} after {alerts} alerts");
    };
    check("noise", &|db| spoil(db, 40, 2_000));
    check("cut off", &|db| truncate(db, 60));
    check("empty", &|db| truncate(db, 0));
    check("no settings and no snapshot, and noise", &|db| {
        for entry in fs::read_dir(db.parent().unwrap()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && path != db {
                fs::remove_file(path).unwrap();
            }
        }
        spoil(db, 20, 100);
    });
}

#[test]
fn a_question_changes_no_damaged_log_and_says_who_mends_it() {
    let bridge = FakeBridge::start("leela");
    let home = lived(&bridge);
    spoil(&db(&home), 40, 2_000);
    let before = fs::read(db(&home)).unwrap();
    let asked = home.ask(&["history", "load1"]);
    assert_eq!((asked.code, asked.stderr.lines().count()), (Some(2), 1), "{asked:?}");
    assert!(asked.stderr.contains("systembot run"), "{asked:?}");
    assert!(fs::read(db(&home)).unwrap() == before, "the question changed it");
    told(&home, &bridge);
}

#[test]
fn what_only_cannot_be_read_now_is_not_mended() {
    let bridge = FakeBridge::start("leela");
    let home = lived(&bridge);
    let aside = home.data_dir().join("aside");
    fs::rename(db(&home), &aside).unwrap();
    fs::create_dir(db(&home)).unwrap();
    let refused = home.ask(&["run"]);
    assert_eq!((refused.code, refused.stderr.lines().count()), (Some(2), 1), "{refused:?}");
    fs::remove_dir(db(&home)).unwrap();
    fs::rename(&aside, db(&home)).unwrap();
    let daemon = home.start();
    assert!(home.rows(&["events", "--kind", "salvaged"]).is_empty());
    drop(daemon);
}

#[test]
fn a_start_after_one_that_died_while_it_opened_the_log_tries_it_apart() {
    let bridge = FakeBridge::start("leela");
    let home = lived(&bridge);
    let mark = home.data_dir().join("opening");
    fs::write(&mark, "").unwrap();
    let daemon = home.start();
    assert!(daemon.log().contains("trying it apart"), "{}", daemon.log());
    assert!(!mark.exists() && home.rows(&["events", "--kind", "salvaged"]).is_empty());
    assert_eq!(daemon.stop(), Some(0));
    fs::write(&mark, "").unwrap();
    // Without a snapshot all of it is read at the opening.
    for entry in fs::read_dir(home.data_dir().join("log")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("snap.") {
            fs::remove_file(path).unwrap();
        }
    }
    spoil(&db(&home), 40, 2_000);
    told(&home, &bridge);
    assert!(!mark.exists());
}

#[test]
fn damage_that_is_met_while_it_runs_is_mended_without_a_restart() {
    let bridge = FakeBridge::start("leela");
    let home = lived(&bridge);
    let mut rows = String::from("timestamp,mine,yours\n");
    let mut noise = 1_u64;
    for row in 0..60_000 {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        rows += &format!("{},{},{}\n", 1_700_000_000 + row * 15, noise >> 12, noise >> 20);
    }
    assert_eq!(home.ask(&["import", &home.file("a.csv", &rows)]).code, Some(0));
    let daemon = home.start();
    assert_eq!(daemon.stop(), Some(0));
    let daemon = home.start();
    for part in 1..12 {
        spoil(&db(&home), part * 5, 8_000);
    }
    let whole = ["history", "mine", "--since", "2020-01-01", "--limit", "100000"];
    until("the damage to be met and mended", || {
        home.ask(&whole);
        daemon.log().contains("is mended")
    });
    bridge
        .wait_until(LIMIT, |seen| seen.replies.iter().any(|text| text.contains("was damaged and is mended")));
    let status = home.rows(&["status"]).remove(0)["salvaged"].clone();
    let found = home.rows(&whole).len();
    assert!(found < 60_000 && found > 20_000, "{found}: {status}");
    assert!(status["samples_lost"].as_u64().unwrap() >= 60_000 - u64::try_from(found).unwrap(), "{status}");
    let before = home.rows(&["history", "load1"]).len();
    until("new samples", || home.rows(&["history", "load1"]).len() > before);
    assert_eq!(home.ask(&["verify"]).code, Some(0));
    assert_eq!(daemon.stop(), Some(0));
}
