//! What the packages are made of: that it is there, and that what is generated for them is valid.

use std::{fs, path::Path, process::Command};

use crate::daemon::{Home, program};

/// The tree that the packages are built from.
fn tree() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Sources and destinations of the Debian package.
fn assets() -> Vec<(String, String)> {
    let manifest = fs::read_to_string(tree().join("Cargo.toml")).unwrap();
    let lines = manifest.lines().skip_while(|line| *line != "assets = [").skip(1);
    let rows = lines.take_while(|line| *line != "]").map(|line| {
        let words: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
        (words[0].to_owned(), words[1].to_owned())
    });
    rows.collect()
}

#[test]
fn every_file_of_the_package_is_there_or_generated() {
    let dir = tempfile::tempdir().unwrap();
    let script = tree().join("scripts/assets");
    let made = Command::new(script).arg(program()).arg(dir.path()).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let by_deb = ["changelog.gz"];
    let assets = assets();
    assert!(assets.len() > 10, "{assets:?}");
    for (source, _) in &assets {
        let is_there = match source.strip_prefix("target/package/release/assets/") {
            Some(made) => by_deb.contains(&made) || dir.path().join(made).is_file(),
            None if source == "target/release/systembot" => true,
            None => tree().join(source.replace("*.md", "operations.md")).is_file(),
        };
        assert!(is_there, "{source}");
    }
    for place in ["usr/lib/systemd/system/", "usr/lib/systemd/user/", "usr/lib/sysusers.d/systembot.conf"] {
        assert!(assets.iter().any(|(_, to)| to == place), "{place}");
    }

    let completions = dir.path().join("systembot.bash");
    let parsed = Command::new("bash").arg("-n").arg(&completions).output().unwrap();
    assert!(parsed.status.success() && parsed.stderr.is_empty(), "{parsed:?}");
    let page = fs::read_to_string(dir.path().join("systembot.1")).unwrap();
    assert!(page.contains(".TH systembot 1") && page.contains(".SS systembot doctor"), "{page}");
    for made in ["_systembot", "systembot.fish"] {
        assert!(fs::read_to_string(dir.path().join(made)).unwrap().contains("doctor"), "{made}");
    }
}

/// It is installed as /etc/systembot/systembot.toml, and must change nothing until its owner does.
#[test]
fn the_installed_configuration_says_what_holds_without_it() {
    let example = fs::read_to_string(tree().join("docs/systembot.example.toml")).unwrap();
    let installed = Home::with_toml(&example);
    assert_eq!(installed.ask(&["config", "check"]).code, Some(0));
    let show = |home: &Home| home.ask(&["config", "show"]).stdout;
    assert_eq!(show(&installed), show(&Home::on_defaults()));
}

#[test]
fn the_user_of_the_service_is_the_one_that_is_made() {
    let read = |path: &str| fs::read_to_string(tree().join(path)).unwrap();
    let unit = read("systemd/systembot.service");
    let user = unit.lines().find_map(|line| line.strip_prefix("User=")).unwrap();
    assert!(read("systemd/sysusers.d/systembot.conf").contains(&format!("\nu {user} - ")), "{user}");
    assert!(read("packaging/deb/postinst").contains(&format!(" {user}\n")), "{user}");
    let directory = unit.lines().find_map(|line| line.strip_prefix("StateDirectory=")).unwrap();
    assert!(read("packaging/deb/postrm").contains(&format!("rm -rf /var/lib/{directory}\n")), "{directory}");
    assert!(unit.contains("\nExecStart=/usr/bin/systembot "), "{unit}");
}

#[test]
fn the_scripts_are_shell() {
    let scripts = fs::read_dir(tree().join("scripts")).unwrap().map(|entry| ("bash", entry.unwrap().path()));
    let is_python =
        |script: &Path| fs::read(script).is_ok_and(|text| text.starts_with(b"#!/usr/bin/python3"));
    let scripts = scripts.filter(|(_, script)| !is_python(script));
    let maintainer =
        fs::read_dir(tree().join("packaging/deb")).unwrap().map(|entry| ("sh", entry.unwrap().path()));
    let all: Vec<_> = scripts.chain(maintainer).collect();
    assert!(all.len() > 8, "{all:?}");
    for (shell, script) in all {
        let parsed = Command::new(shell).arg("-n").arg(&script).output().unwrap();
        assert!(parsed.status.success(), "{}: {parsed:?}", script.display());
    }
}
