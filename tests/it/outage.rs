//! The bridge fails in every way; sampling goes on, memory stays bounded, and all that is owed arrives in order.

use crate::{
    bridge::{ALWAYS, FakeBridge, Fault, Requests},
    daemon::{Home, LIMIT, until},
};

/// Resident memory that no fault may reach: the daemon's own and a good deal of a debug build's.
const RSS_KIB_MAX: u64 = 64 * 1024;

/// Defect 7 of the original: each of these crashed or froze it.
#[test]
fn no_fault_of_the_bridge_stops_the_sampling_or_loses_a_reply() {
    for fault in [
        Fault::Stalled,
        Fault::Garbage,
        Fault::Page,
        Fault::Status(500),
        Fault::Status(404),
        Fault::Huge,
        Fault::Drip,
        Fault::RequestLost,
        Fault::AnswerLost,
    ] {
        let bridge = FakeBridge::start("leela");
        let home = Home::on_bridge(&bridge.url(), "");
        let daemon = home.start();
        bridge.wait_for_replies(1, LIMIT);
        until("the greeting to be recorded", || home.rows(&["status"])[0]["backlog"] == 0);

        bridge.fail(Requests::Puts, fault, ALWAYS);
        for line in ["uptime", "cpus", "date"] {
            bridge.push_command(line);
        }
        let before = home.rows(&["history", "load1"]).len();
        until("three more passes", || home.rows(&["history", "load1"]).len() >= before + 3);
        assert!(daemon.rss_kib() < RSS_KIB_MAX, "{fault:?}: {} KiB", daemon.rss_kib());

        bridge.heal();
        let has_all = |replies: &[String]| {
            ["Up ", " CPU", "It is "].iter().all(|t| replies.iter().any(|r| r.contains(t)))
        };
        let seen = bridge.wait_until(LIMIT * 3, |seen| has_all(&seen.replies));
        let all = seen.replies.join("\n");
        let position = |text: &str| all.find(text).unwrap_or_else(|| panic!("{fault:?}: no {text} in {all}"));
        assert!(
            position("Up ") < position(" CPU") && position(" CPU") < position("It is "),
            "{fault:?}: {all}"
        );
        let marked = matches!(
            fault,
            Fault::Stalled
                | Fault::Garbage
                | Fault::Page
                | Fault::Huge
                | Fault::Drip
                | Fault::RequestLost
                | Fault::AnswerLost
        );
        assert!(marked || !all.contains("(again)"), "{fault:?}: {all}");
        assert_eq!(daemon.stop(), Some(0));
    }
}

#[test]
fn an_outage_ends_in_one_digest_oldest_first() {
    let bridge = FakeBridge::start("leela");
    let home = Home::on_bridge(&bridge.url(), "");
    let daemon = home.start();
    bridge.wait_for_replies(1, LIMIT);
    bridge.fail(Requests::Puts, Fault::Status(500), ALWAYS);
    for line in ["load", "cpus", "memory", "uptime", "date", "disk", "services"] {
        bridge.push_command(line);
    }
    until("all replies to wait", || home.rows(&["status"])[0]["backlog"] == 7);
    bridge.heal();
    let replies = bridge
        .wait_until(LIMIT * 3, |seen| seen.replies.iter().any(|r| r.contains("No service is watched")))
        .replies;
    let digest = replies.last().unwrap();
    assert!(digest.contains("Load: ") && digest.contains("Up ") && digest.contains("It is "), "{replies:?}");
    until("the delivery to be recorded", || home.rows(&["status"])[0]["backlog"] == 0);
    drop(daemon);
}
