//! A full disk: nothing is lost, the owner is told once, and questions are answered all the same.

use std::{fs, io::Write, path::Path};

use crate::{
    daemon::{Home, until},
    namespace::{is_inside, run_inside},
};

/// Where the small disk lies, and the data directory on it.
const PLACE: &str = "SYSTEMBOT_TEST_SMALL_DISK";

#[test]
fn on_a_full_disk_nothing_is_lost_and_questions_are_answered() {
    if is_inside() {
        return with_a_small_disk(Path::new(&std::env::var_os(PLACE).unwrap()));
    }
    let dir = tempfile::tempdir().unwrap();
    let script = format!("mount -t tmpfs -o size=6m,mode=700 none \"$1\" && export {PLACE}=\"$1\"");
    run_inside("full::on_a_full_disk_nothing_is_lost_and_questions_are_answered", &script, dir.path());
}

fn with_a_small_disk(disk: &Path) {
    let home = Home::with_toml("sample_interval = \"1s\"\n").at(disk.join("data"));
    let daemon = home.start();
    let filler = disk.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 1024]).is_ok() {}
    drop(file);
    until("the log to fail", || daemon.log().contains("the log cannot be written"));

    let answer = home.ask(&["ask", "load"]);
    assert!(answer.stdout.starts_with("Load: "), "{answer:?}");
    let order = home.ask(&["ask", "mute disk for 1h"]);
    assert!(
        order.stdout.contains("cannot be written"),
        "an order that is not recorded is not taken: {order:?}"
    );
    let status = home.ask(&["status"]);
    assert!(status.code == Some(0) || status.stderr.contains("is the disk full?"), "{status:?}");
    let advice = || home.ask(&["doctor"]).stdout;
    until("the daemon to have no handle on its log", || advice().contains("does not answer"));
    let advice = advice();
    assert!(
        advice.contains("make room, do not restart it") && advice.contains("FAIL  disk space "),
        "{advice}"
    );

    fs::remove_file(&filler).unwrap();
    until("the log to go on", || daemon.log().contains("can be written again"));
    let count = || home.rows(&["history", "load1"]).len();
    let before = count();
    until("new samples", || count() > before);
    assert_eq!(daemon.log().matches("the log cannot be written").count(), 1);
    assert_eq!(daemon.stop(), Some(0));
    let times: Vec<jiff::Timestamp> = home
        .rows(&["history", "load1"])
        .iter()
        .map(|row| row["time"].as_str().unwrap().parse().unwrap())
        .collect();
    for pair in times.windows(2) {
        let apart = pair[1].duration_since(pair[0]).as_millis();
        assert!(apart < 1_900, "a tick is missing between {} and {}", pair[0], pair[1]);
    }
    assert_eq!(home.ask(&["verify"]).code, Some(0));
}
