//! Rules about the tree itself that no compiler checks: who may depend on what, and on what terms.

use std::{collections::BTreeSet, fs, path::Path};

/// Crates of the workspace and those of its own that each may name: arrows point one way.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("config", &["systembot-model"]),
    ("storage", &["systembot-model"]),
    ("cli", &["systembot-model", "systembot-storage", "systembot-config"]),
];
/// All that the pure core is built on.
const CORE: &[&str] = &["serde", "serde_json", "statrs"];
/// What only `storage` may name.
const KEPT_BY_STORAGE: &[&str] = &["sled", "bincode", "pco"];
/// TLS is rustls on ring: a second provider in the binary makes rustls panic, and OpenSSL is not ours to patch.
const BANNED: &[&str] = &["openssl", "openssl-sys", "native-tls", "aws-lc-rs"];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names below a table of a manifest, with what is said of each.
fn table(manifest: &str, name: &str) -> Vec<(String, String)> {
    let header = format!("[{name}]");
    let lines = manifest.lines().skip_while(|line| *line != header).skip(1);
    lines
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().trim_end_matches(".workspace").to_owned(), value.trim().to_owned()))
        .collect()
}

fn names(manifest: &str) -> BTreeSet<String> {
    table(manifest, "dependencies").into_iter().map(|(name, _)| name).collect()
}

#[test]
fn dependencies_point_one_way() {
    for (name, allowed) in ARROWS {
        let all = names(&read(&format!("{name}/Cargo.toml")));
        assert!(!all.is_empty(), "{name}");
        for other in all.iter().filter(|other| other.starts_with("systembot")) {
            assert!(allowed.contains(&other.as_str()), "{name} may not depend on {other}");
        }
        for kept in KEPT_BY_STORAGE.iter().filter(|_| *name != "storage") {
            assert!(!all.contains(*kept), "{name} may not name {kept}, only storage does");
        }
    }
    let core = names(&read("model/Cargo.toml"));
    assert_eq!(core.iter().map(String::as_str).collect::<Vec<_>>(), CORE, "the core does no I/O");
    assert!(KEPT_BY_STORAGE.iter().all(|kept| !names(&read("Cargo.toml")).contains(*kept)));
}

#[test]
fn versions_stand_in_one_place_without_default_features() {
    let versions = table(&read("Cargo.toml"), "workspace.dependencies");
    assert!(versions.len() > 20);
    for (name, value) in versions.iter().filter(|(name, _)| !name.starts_with("systembot")) {
        assert!(value.contains("default-features = false"), "{name} = {value}");
    }
    for manifest in
        ["Cargo.toml", "model/Cargo.toml", "storage/Cargo.toml", "config/Cargo.toml", "cli/Cargo.toml"]
    {
        let text = read(manifest);
        for section in ["dependencies", "dev-dependencies"] {
            for (name, value) in table(&text, section) {
                assert!(
                    value == "true" || value.contains("workspace = true"),
                    "{manifest}: {name} = {value}"
                );
            }
        }
    }
}

#[test]
fn the_lock_file_holds_nothing_banned_and_nothing_from_elsewhere() {
    let lock = read("Cargo.lock");
    let field = |line: &str, key: &str| {
        line.strip_prefix(key)
            .map(|value| value.trim_matches(|c| c == ' ' || c == '=' || c == '"').to_owned())
    };
    let crates: Vec<String> = lock.lines().filter_map(|line| field(line, "name")).collect();
    assert!(crates.len() > 100);
    for banned in BANNED {
        assert!(!crates.iter().any(|name| name == banned), "{banned} is in Cargo.lock");
    }
    let sources: BTreeSet<String> = lock.lines().filter_map(|line| field(line, "source")).collect();
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert!(sources.iter().all(|source| source.starts_with("registry+")), "{sources:?}");
}

/// Else the crates that both workspaces need would be built twice, and be fuzzed as other ones than those that run.
#[test]
fn the_fuzz_targets_are_built_from_the_crates_of_the_program() {
    let versions = |lock: &str| -> BTreeSet<(String, String)> {
        let lock = read(lock);
        let crates = lock.split("[[package]]").skip(1);
        let field = |text: &str, key: &str| {
            let line = text.lines().find(|line| line.starts_with(key)).unwrap();
            line.split('"').nth(1).unwrap().to_owned()
        };
        crates.map(|text| (field(text, "name"), field(text, "version"))).collect()
    };
    let own = ["systembot-fuzz", "libfuzzer-sys", "arbitrary", "cc", "jobserver"];
    let program = versions("Cargo.lock");
    let fuzz = versions("fuzz/Cargo.lock");
    assert!(fuzz.len() > 50);
    for (name, version) in fuzz.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
        assert!(program.contains(&(name.clone(), version.clone())), "{name} {version} is not in Cargo.lock");
    }
    let listed = read("scripts/fuzz");
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap().replace(".rs", "");
        assert!(listed.contains(&format!(" {name}")), "scripts/fuzz does not run {name}");
    }
}
