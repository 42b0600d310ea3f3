//! kill -9 at any moment: what was shown once is shown again, windows go on, nothing is told twice or lost.

use std::time::Duration;

use crate::{
    bridge::FakeBridge,
    daemon::{Home, LIMIT, until},
};
use systembot::clock::{Clock, SystemClock};

/// How often the daemon is killed; each life is a second or so.
const LIVES: u64 = 8;

/// Defect 9 of the original: all windows and counters were gone at a restart.
#[test]
fn every_sample_shown_is_shown_again_and_the_windows_go_on() {
    let home = Home::with_toml("sample_interval = \"1s\"\n[trend]\nmaximum_length = 5\n");
    let mut shown: Vec<String> = Vec::new();
    for life in 0..LIVES {
        let daemon = home.start();
        SystemClock.wait(Duration::from_millis(137 * life % 1500));
        let rows = home.ask(&["--format", "csv", "history", "*", "--since", "1h"]).stdout;
        let trends = home.ask(&["--format", "json", "trends", "load1"]).stdout;
        daemon.kill();
        for row in &shown {
            assert!(rows.contains(row.as_str()), "lost {row} in life {life}");
        }
        shown = rows.lines().map(str::to_owned).collect();
        let after = home.ask(&["--format", "csv", "history", "*", "--since", "1h"]).stdout;
        for row in &shown {
            assert!(after.contains(row.as_str()), "lost {row} after life {life}");
        }
        if after == rows {
            assert_eq!(home.ask(&["--format", "json", "trends", "load1"]).stdout, trends);
        }
    }
    let trend = &home.rows(&["trends", "load1"])[0];
    assert_eq!(trend["count"], 5);
    let newest = home.rows(&["history", "load1", "--since", "1h", "--limit", "5"]);
    let mean = newest.iter().map(|row| row["value"].as_f64().unwrap()).sum::<f64>() / 5.0;
    assert!((trend["mean"].as_f64().unwrap() - mean).abs() < 1e-9, "{trend} against {newest:?}");
    assert_eq!(home.ask(&["verify"]).code, Some(0));
}

/// Defect 9 of the original: all alerts were forgotten at a restart.
#[test]
fn alerts_are_told_once_however_often_it_is_killed() {
    let bridge = FakeBridge::start("leela");
    let home = Home::on_bridge(&bridge.url(), "[thresholds]\ndisk_used_percent = 0.0\n");
    let alerts = |replies: &[String]| -> Vec<String> {
        replies
            .iter()
            .flat_map(|text| text.lines())
            .filter(|line| line.starts_with("disk "))
            .map(str::to_owned)
            .collect()
    };
    let daemon = home.start();
    bridge.wait_until(LIMIT, |seen| !alerts(&seen.replies).is_empty());
    until("the delivery to be recorded", || home.rows(&["status"])[0]["backlog"] == 0);
    let told = alerts(&bridge.replies());
    daemon.kill();
    for life in 0..LIVES {
        let daemon = home.start();
        SystemClock.wait(Duration::from_millis(211 * life % 900));
        daemon.kill();
    }
    let daemon = home.start();
    until("the backlog to be delivered", || home.rows(&["status"])[0]["backlog"] == 0);
    assert_eq!(alerts(&bridge.replies()), told);
    let ids: Vec<u64> = home.rows(&["alerts"]).iter().map(|row| row["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.first(), Some(&1));
    assert!(home.rows(&["events", "--kind", "alert_fired"]).len() == ids.len());
    let verified = &home.rows(&["verify"])[0];
    assert_eq!(verified["alerts"], ids.len());
    assert_eq!(verified["recomputed"], verified["alerts"], "each comes out again from the log: {verified}");
    drop(daemon);
}

#[test]
fn what_was_not_sent_before_the_kill_is_sent_after_it() {
    let bridge = FakeBridge::start("leela");
    bridge.close();
    let home = Home::on_bridge(&bridge.url(), "[thresholds]\ndisk_used_percent = 0.0\n");
    let daemon = home.start();
    until("the alert to be queued", || !home.rows(&["alerts"]).is_empty());
    daemon.kill();
    bridge.reopen();
    let _daemon = home.start();
    let seen = bridge.wait_until(LIMIT, |seen| seen.replies.iter().any(|text| text.contains("disk /")));
    let all = seen.replies.join("\n");
    assert!(!all.contains("(again)"), "it was never handed over before: {all}");
    assert_eq!(all.matches("disk / is").count(), 1, "{all}");
}
