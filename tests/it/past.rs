//! History that comes and goes: files loaded, the log printed for other programs, copied and restored.

use std::{fs, path::Path, process::Stdio};

use crate::daemon::{Home, until};

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
