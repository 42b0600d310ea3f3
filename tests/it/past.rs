//! History that comes and goes: files loaded, the log printed for other programs, copied and restored.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::Signal;

use crate::daemon::{Home, Output, until};

/// A day of some series of every kind, each minute; values as their sources have them, and others.
fn day() -> String {
    let mut text =
        "timestamp,load1,\"disk_used_percent{mount=\"\"/srv/a b\"\"}\",network_sent_bytes_total{interface=eth0},my-own.x\n"
            .replace("network_sent_bytes_total{interface=eth0}", "\"network_sent_bytes_total{interface=\"\"eth0\"\"}\"");
    for minute in 0..1_440_u32 {
        let x = f64::from(minute);
        let disk = if minute % 3 == 0 { String::new() } else { format!("{:.2}", 40.0 + x / 100.0) };
        text.push_str(&format!(
            "{}.{:03},{:.2},{disk},{},{}\n",
            1_790_000_000 + minute * 60,
            minute % 1000,
            x.sin().abs(),
            minute * 1_000,
            x / 7.0
        ));
    }
    text
}

fn exported(home: &Home, form: &str) -> String {
    let output = home.ask(&["export", "--as", form]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    output.stdout
}

#[test]
fn what_is_exported_can_be_imported() {
    let home = Home::on_defaults();
    let file = home.file("day.csv", &day());
    assert_eq!(home.ask(&["import", &file]).code, Some(0));
    let csv = exported(&home, "csv");
    assert_eq!(csv.lines().count(), 1 + 1_440 * 4 - 480);
    for (form, name) in [("csv", "samples.csv"), ("json", "samples.json")] {
        let text = exported(&home, form);
        let other = Home::on_defaults();
        let file = other.file(name, &text);
        let imported = other.rows(&["import", &file]);
        assert_eq!((&imported[0]["imported"], &imported[0]["refused"]), (&5_280.into(), &0.into()));
        assert!(exported(&other, "csv") == csv, "by way of {form}");
        assert_eq!(other.ask(&["import", &file]).code, Some(2));
    }
}

/// Values that `promtool tsdb dump` prints, by series and millisecond.
fn dumped(blocks: &Path) -> BTreeMap<String, Vec<(i64, f64)>> {
    // It reads a whole database of Prometheus, of which this is the rest.
    fs::create_dir(blocks.join("wal")).unwrap();
    let output = Command::new("promtool").args(["tsdb", "dump"]).arg(blocks).output();
    let output = output.expect("promtool, which scripts/test unpacks");
    assert!(output.status.success(), "{output:?}");
    let mut found: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (series, rest) = line.split_once("} ").unwrap();
        let (value, at) = rest.split_once(' ').unwrap();
        found.entry(format!("{series}}}")).or_default().push((at.parse().unwrap(), value.parse().unwrap()));
    }
    found.values_mut().for_each(|values| values.sort_by_key(|(at, _)| *at));
    found
}

#[test]
fn prometheus_takes_the_openmetrics_text_and_has_every_sample() {
    let home = Home::on_defaults();
    let file = home.file("day.csv", &day());
    assert_eq!(home.ask(&["import", &file]).code, Some(0));
    // Live samples too, of every metric that this machine has.
    let daemon = home.start();
    assert_eq!(daemon.stop(), Some(0));
    let text = exported(&home, "openmetrics");
    let om = home.file("metrics.om", &text);
    let blocks = home.data_dir().with_file_name("blocks");
    let made = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics", &om])
        .arg(&blocks)
        .output()
        .expect("promtool, which scripts/test unpacks");
    assert!(made.status.success(), "{made:?}");
    let found = dumped(&blocks);
    let all = exported(&home, "csv");
    let samples = all.lines().count() - 1;
    assert_eq!(found.values().map(Vec::len).sum::<usize>(), samples);
    let x = |minute: u32| {
        (i64::from(1_790_000_000 + minute * 60) * 1000 + i64::from(minute % 1000), f64::from(minute))
    };
    let mine = &found["{__name__=\"my_own_x\"}"];
    assert_eq!(*mine, (0..1_440).map(|i| (x(i).0, x(i).1 / 7.0)).collect::<Vec<_>>());
    let sent = &found["{__name__=\"network_sent_bytes_total\", interface=\"eth0\"}"];
    assert_eq!(sent[..1_440], (0..1_440).map(|i| (x(i).0, x(i).1 * 1_000.0)).collect::<Vec<_>>());
    assert!(found.contains_key("{__name__=\"disk_used_percent\", mount=\"/srv/a b\"}"), "{:?}", found.keys());
    assert!(found.contains_key("{__name__=\"processes_total\"}"), "{:?}", found.keys());
}

/// What `sadf -d` of sysstat 12.6.1 printed of a file with two starts of the machine and a comment.
#[test]
fn the_history_of_sar_stands_beside_the_new_one() {
    let home = Home::on_defaults();
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sadf/sysstat-12.6.1.csv"));
    let file = home.file("sar.csv", &text.unwrap());
    let output = home.ask(&["import", &file]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains("columns left out"), "{output:?}");
    let history = |series: &str| {
        home.ask(&["--format", "csv", "history", series, "--since", "2026-11-25 11:00"]).stdout
    };
    assert_eq!(
        history("load1"),
        "time,series,value\n2026-11-25T11:15:47.000Z,load1,4.12\n2026-11-25T11:15:48.000Z,load1,4.12\n"
    );
    assert!(history("cpu_idle_percent").lines().count() == 3);
    assert!(history("disk_written_bytes_per_second").contains("{device=\"\"vda\"\"}\",59142144\n"));
    let again = home.ask(&["import", &file]);
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("imported already"), "{again:?}");
    assert_eq!(home.ask(&["verify"]).code, Some(0));
}

/// Killed on either side in the middle, an import goes on where it was.
#[test]
fn an_import_that_was_cut_off_is_finished_by_the_next() {
    const ROWS: u32 = 15_000;
    let columns: Vec<String> = (0..20).map(|i| format!("m{i}")).collect();
    let mut text = format!("timestamp,{}\n", columns.join(","));
    for i in 0..ROWS {
        let cells: Vec<String> = (0..20_u32).map(|m| format!("{}.25", (i * (m + 3)) % 97)).collect();
        text.push_str(&format!("{},{}\n", 1_700_000_000 + i * 15, cells.join(",")));
    }
    let home = Home::with_toml("sample_interval = \"1s\"\n");
    let file = home.file("long.csv", &text);
    let samples = || {
        let rows = home.rows(&["series"]);
        rows.iter().find(|row| row["series"] == "m7").map_or(0, |row| row["samples"].as_u64().unwrap())
    };
    let begin = |home: &Home| {
        let mut command = home.command(&["import", &file]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let daemon = home.start();
    // The asking side dies once something is there.
    let mut asking = begin(&home);
    until("the first rows", || samples() > 0);
    asking.kill().unwrap();
    asking.wait().unwrap();
    let first = samples();
    // Then the daemon.
    let mut asking = begin(&home);
    until("more rows", || samples() > first);
    daemon.kill();
    assert_eq!(asking.wait().unwrap().code(), Some(2));
    assert!(samples() < ROWS.into(), "the import was over before it was cut off");
    let daemon = home.start();
    let output = home.rows(&["import", &file]);
    let all = ROWS * 20;
    assert_eq!((&output[0]["imported"], &output[0]["refused"]), (&all.into(), &0.into()), "{output:?}");
    let again = home.ask(&["import", &file]);
    assert!(again.code == Some(2) && again.stderr.contains("imported already"), "{again:?}");
    assert_eq!(daemon.stop(), Some(0));
    let verified = home.ask(&["verify"]);
    assert!(verified.stdout.ends_with("no faults\n"), "{verified:?}");
    assert_eq!(samples(), u64::from(ROWS));
}

/// Asserts an error of one line on stderr that holds these parts, and an exit of 2.
#[track_caller]
fn refused(output: &Output, parts: &[&str]) {
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    assert!(parts.iter().all(|part| output.stderr.contains(part)), "{parts:?} in {output:?}");
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_backup_of_a_running_daemon_is_restored_elsewhere() {
    let home = Home::with_toml("sample_interval = \"1s\"\n");
    let csv = home.file("day.csv", &day());
    assert_eq!(home.ask(&["import", &csv]).code, Some(0));
    let daemon = home.start();
    assert_eq!(home.ask(&["mute", "load", "--for", "2h"]).code, Some(0));
    let file = home.file("a.backup", "one of another day");
    let made = home.ask(&["backup", &file]);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.stdout.starts_with(&format!("{file}: ")), "{made:?}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let beside = names(Path::new(&file).parent().unwrap());
    assert!(!beside.iter().any(|name| name.contains(".part")), "{beside:?}");
    let newest = home.rows(&["events"]).last().unwrap()["seq"].as_u64().unwrap();
    // The place that has a log keeps it.
    refused(&home.ask(&["restore", &file]), &["data/log is there already"]);
    assert_eq!(daemon.stop(), Some(0));
    refused(&home.ask(&["restore", &file]), &["data/log is there already"]);

    let other = Home::on_defaults();
    let restored = other.ask(&["restore", &file]);
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert!(
        restored.stdout.contains("data/log: ") && restored.stdout.ends_with(", 0 faults\n"),
        "{restored:?}"
    );
    assert_eq!(names(&other.data_dir()), ["log"]);
    assert_eq!(fs::metadata(other.data_dir()).unwrap().permissions().mode() & 0o777, 0o700);
    let events = |home: &Home| {
        let mut rows = home.rows(&["events"]);
        rows.retain(|row| row["seq"].as_u64().unwrap() <= newest);
        rows
    };
    assert_eq!(events(&other), events(&home));
    let history =
        |home: &Home| home.ask(&["--format", "csv", "history", "my-own.x", "--since", "2026-09-01"]).stdout;
    assert!(history(&other) == history(&home));
    assert_eq!(history(&other).lines().count(), 1_441);
    assert_eq!(other.ask(&["verify"]).code, Some(0));
    // A daemon goes on with it.
    let daemon = other.start();
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_backup_through_pipes_and_without_a_daemon() {
    let home = Home::on_defaults();
    let csv = home.file("day.csv", &day());
    refused(&home.ask(&["backup", "-"]), &["there is no log"]);
    assert_eq!(home.ask(&["import", &csv]).code, Some(0));
    let output = home.command(&["backup", "-"]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{:?}", output.status);
    let archive = output.stdout;
    let other = Home::on_defaults();
    let file = other.file("a.backup", "");
    fs::write(&file, &archive).unwrap();
    let input = fs::File::open(&file).unwrap();
    let restored = other.command(&["--format", "json", "restore", "-"]).stdin(input).output().unwrap();
    assert!(restored.status.success(), "{restored:?}");
    assert!(exported(&other, "csv") == exported(&home, "csv"));

    // Whatever is wrong with a file is told with its name, and nothing is left behind.
    let third = Home::on_defaults();
    let check = |bytes: &[u8], parts: &[&str]| {
        let file = third.file("b.backup", "");
        fs::write(&file, bytes).unwrap();
        refused(&third.ask(&["restore", &file]), &[&["b.backup "], parts].concat());
        assert!(!third.data_dir().exists());
    };
    check(&archive[..archive.len() - 7], &["is cut off", "nothing was restored"]);
    check(&archive[..archive.len() / 2], &["is cut off"]);
    let mut flipped = archive.clone();
    flipped[archive.len() / 2] ^= 1;
    check(&flipped, &["is damaged before byte", "checksum"]);
    check(day().as_bytes(), &["is no backup of systembot"]);
    check(b"systembot backup 7\n", &["later version"]);
    refused(&third.ask(&["restore", "none.backup"]), &["none.backup"]);
    refused(&home.ask(&["backup", "/nowhere/a.backup"]), &["/nowhere/a.backup", "No such file"]);
    refused(&home.ask(&["backup", "/"]), &["is a directory"]);
    refused(&home.ask(&["backup", "/dev/null"]), &["/dev/null: is no file"]);
}

/// A daemon that stops in the middle of a backup, and a reader that goes: no half file, no daemon that hangs.
#[test]
fn a_backup_that_is_cut_off_leaves_the_one_before() {
    let home = Home::with_toml("sample_interval = \"1s\"\n");
    let csv = home.file("day.csv", &day());
    assert_eq!(home.ask(&["import", &csv]).code, Some(0));
    let daemon = home.start();
    let file = home.file("a.backup", "the one before");
    daemon.signal(Signal::STOP);
    let mut child =
        home.command(&["backup", &file]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    daemon.kill();
    assert_eq!(child.wait().unwrap().code().map(|code| code > 2), Some(false));
    let kept = fs::read(&file).unwrap();
    assert!(kept == b"the one before" || kept.starts_with(b"systembot backup 1\n"));
    let beside = names(Path::new(&file).parent().unwrap());
    assert!(!beside.iter().any(|name| name.contains(".part")), "{beside:?}");
    let daemon = home.start();
    let mut gone =
        home.command(&["backup", "-"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(gone.stdout.take());
    assert_eq!(gone.wait().unwrap().code(), Some(0));
    assert_eq!(home.ask(&["backup", &file]).code, Some(0));
    assert_eq!(daemon.stop(), Some(0));
}
