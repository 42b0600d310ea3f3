//! The defects of the original bot, none of which may come back.
//!
//! Each has a test that says so where its cause would lie, found by `Defect N of the original`:
//!
//! 1. "2 sigma" compared the deviation itself with 2.
//! 2. The first alert came only after an hour of trouble.
//! 3. Without `polling_time` it polled without a pause, and never alerted.
//! 4. Temperature and process alerts had no pause between them, and the texts of high and critical were swapped.
//! 5. A restart ran the interpreter instead of the command, and always succeeded.
//! 6. A process counted as alive if its text stood anywhere in the list of processes.
//! 7. No timeouts and no handling of errors: one bad answer crashed or froze it.
//! 8. 404 for its own name, and 500 for a reply, went unnoticed.
//! 9. Windows, counters and alerts were gone at a restart.
//! 10. Commands were matched by their beginning.
//! 11. "Top 5" listed six, and the first answer said that everything was idle.
//! 12. One unreadable mount crashed it, ignored mounts were parts of a text, and the local address needed a broadcast
//!     address and was docker0's.
//! 13. A window of 100 kept 99.
//! 14. Ctrl-C was told as a crash, SIGTERM not at all.

use std::{fs, path::Path};

use crate::{
    bridge::FakeBridge,
    daemon::{Home, LIMIT, until},
};

/// How many there are.
const DEFECTS: u32 = 14;

/// Adds the text of every source file below a directory.
fn read_all(dir: &Path, text: &mut String) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_all(&path, text);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn each_defect_of_the_original_has_a_test() {
    let mut text = String::new();
    for dir in ["model", "config", "storage", "cli", "src", "tests"] {
        read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut text);
    }
    let lines = || text.lines().filter(|line| line.trim_start().starts_with("/// Defect"));
    let numbers: Vec<u32> = lines()
        .filter_map(|line| line.split_once(" of the original"))
        .flat_map(|(numbers, _)| {
            numbers.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok())
        })
        .collect();
    for defect in 1..=DEFECTS {
        assert!(numbers.contains(&defect), "defect {defect} is tested nowhere");
    }
}

/// Defect 3 of the original: left out, `polling_time` made a busy loop of 100 requests a second, and no alert ever.
#[test]
fn without_polling_time_it_polls_each_ten_seconds_and_alerts() {
    let bridge = FakeBridge::start("leela");
    let home = Home::with_file(
        "system_bot.conf",
        &format!(
            "[DEFAULT]\nqueue = {}\nbot_name = leela\n[processes to monitor]\nprocess1 = no_such_process,true\n",
            bridge.url()
        ),
    );
    let daemon = home.start();
    bridge.wait_until(LIMIT, |seen| {
        seen.replies.iter().any(|text| text.ends_with("is not running; starting it again #1"))
    });
    until("a second pass", || home.rows(&["history", "load1"]).len() > 1);
    let polls = bridge.seen().requests.iter().filter(|request| request.method == "GET").count();
    assert!(polls <= 2, "{polls} polls within some 3 s");
    assert_eq!(daemon.stop(), Some(0));
}
