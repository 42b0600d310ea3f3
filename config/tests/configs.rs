//! Every file of `tests/configs` is judged as the `.expected` file beside it says.
//!
//! Of an invalid file that holds the report of its mistakes; of a valid one its warnings, then the settings that
//! differ from the defaults as `config show` tells them. Beside that no secret is told, and the settings of a
//! valid file survive their way through `systembot.toml`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use systembot_config::{Form, Loaded, Settings, load, parse, show, to_toml};

const HOST: &str = "myhost";
/// Stands in the files where secrets do.
const SECRET: &str = "hunter2";

fn files(kind: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/configs").join(kind);
    let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().unwrap() != "expected");
    files.sort();
    files
}

fn expected(path: &Path) -> String {
    let beside = format!("{}.expected", path.display());
    fs::read_to_string(&beside).unwrap_or_else(|_| panic!("{beside} is missing"))
}

/// Lines without the directory that they begin with.
fn without_directory(text: &str, path: &Path) -> String {
    text.replace(&format!("{}/", path.parent().unwrap().display()), "")
}

/// Warnings, then what differs from the defaults.
fn told(loaded: &Loaded) -> String {
    let defaults = show(&Settings::defaults(HOST), Form::Csv);
    let warnings = loaded.warnings.iter().map(|warning| format!("{warning}\n"));
    let shown = show(&loaded.settings, Form::Csv);
    let changed = shown.lines().filter(|line| !defaults.lines().any(|default| default == *line));
    warnings.chain(changed.map(|line| format!("{line}\n"))).collect()
}

#[test]
fn every_mistake_of_an_invalid_file_is_told() {
    let files = files("invalid");
    assert!(files.len() > 30);
    for path in files {
        let mistakes = load(&path, HOST).expect_err(&path.display().to_string());
        let report = without_directory(&mistakes.report(), &path);
        if std::env::var("BLESS").is_ok() {
            fs::write(format!("{}.expected", path.display()), &report).unwrap();
        }
        assert_eq!(report, expected(&path), "{}", path.display());
        assert!(!report.contains(SECRET), "{}", path.display());
        assert!(!report.contains(|c: char| c.is_control() && c != '\n'), "{}", path.display());
        assert_eq!(mistakes.to_string().lines().count(), 1);
        assert!(!mistakes.is_unreadable());
    }
}

#[test]
fn a_valid_file_gives_its_settings() {
    let files = files("valid");
    assert!(files.len() > 10);
    for path in files {
        let loaded = load(&path, HOST).unwrap_or_else(|mistakes| panic!("{}", mistakes.report()));
        let told = without_directory(&told(&loaded), &path);
        if std::env::var("BLESS").is_ok() {
            fs::write(format!("{}.expected", path.display()), &told).unwrap();
        }
        assert_eq!(told, expected(&path), "{}", path.display());
        let settings = loaded.settings;
        for form in [Form::Toml, Form::Json, Form::Csv] {
            assert!(!show(&settings, form).contains(SECRET), "{}", path.display());
        }
        assert!(!format!("{settings:?}").contains(SECRET), "{}", path.display());
        let again = parse(&to_toml(&settings), &path, "other").unwrap_or_else(|m| panic!("{}", m.report()));
        assert_eq!(again.settings, settings, "{}", path.display());
        // Debug hides what is secret, so equal texts would not do.
        assert!(
            again.settings.services.iter().zip(&settings.services).all(|(again, before)| again == before)
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let report = |path: &Path| {
        let mistakes = load(path, HOST).unwrap_err();
        assert!(mistakes.is_unreadable());
        without_directory(&mistakes.report(), path)
    };
    assert_eq!(
        report(&dir.path().join("none")),
        "none: cannot be read: No such file or directory (os error 2)\n"
    );
    let inner = dir.path().join("dir");
    fs::create_dir(&inner).unwrap();
    assert_eq!(report(&inner), "dir: cannot be read: Is a directory (os error 21)\n");
    let large = dir.path().join("large");
    fs::write(&large, vec![b'\n'; 1024 * 1024 + 1]).unwrap();
    assert_eq!(report(&large), "large: is larger than 1 MiB: is it a configuration at all?\n");
}

#[test]
fn a_relative_password_file_lies_beside_the_configuration() {
    let text =
        "[xmpp]\njid = \"bot@example.org\"\npassword_file = \"password\"\nowner = \"me@example.org\"\n";
    let loaded = parse(text, Path::new("/etc/systembot/systembot.toml"), HOST).unwrap();
    assert_eq!(loaded.settings.xmpp.unwrap().password_file, Path::new("/etc/systembot/password"));
}
