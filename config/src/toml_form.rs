//! `systembot.toml`: a walk over its tree that tells every mistake with its line and dotted key.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "DeValue is toml's: a value of any other kind is one mistake"
)]

mod recovery;
mod service;
mod statement;
mod tree;
mod walk;

use std::{path::PathBuf, time::Duration};

use toml::de::{DeTable, DeValue};

use crate::{
    LogLevel, PublicAddress, Settings, Url, Xmpp, bounds,
    mistake::{Mistake, did_you_mean},
    nearest::nearest,
    settings::Bridge,
    size,
    source::{Reading, Source},
    span,
};
use recovery::{Recovered, recover};
pub(crate) use tree::Tree;
use walk::{Section, Walk, number, text, whole};

/// Reads the tree of a file.
pub(crate) fn read(source: &Source, tree: &Tree<'_>, host_name: &str) -> Reading {
    if tree.is_whole() {
        return read_tree(source, tree, Vec::new(), host_name);
    }
    let Recovered { source, mistakes } = recover(source);
    read_tree(&source, &Tree::parse(source.text()), mistakes, host_name)
}

fn read_tree(source: &Source, tree: &Tree<'_>, mistakes: Vec<Mistake>, host_name: &str) -> Reading {
    let mut walk = Walk::new(source, mistakes);
    let root = Section { path: "", line: 1, table: tree.root() };
    let mut settings = Settings::defaults(host_name);
    walk.check_keys(&root);
    read_root(&mut walk, &root, &mut settings);
    read_tables(&mut walk, &root, &mut settings);
    if let Some(bridge) = walk.section(&root, "bridge") {
        settings.bridge = Some(read_bridge(&mut walk, &bridge));
        // Without a name of its own the bot goes by the host's, which the bridge may not serve either.
        if let Err(what) = bounds::bridge_name(&settings.name) {
            let line = walk.line_of(&root, "name").unwrap_or(bridge.line);
            walk.mistake(line, "name", &what);
        }
    }
    if let Some(xmpp) = walk.section(&root, "xmpp") {
        settings.xmpp = read_xmpp(&mut walk, &xmpp);
    }
    settings.services = service::read(&mut walk, &root);
    let (mistakes, warnings) = walk.into_mistakes();
    Reading { settings, mistakes, warnings }
}

fn read_root(walk: &mut Walk<'_>, root: &Section<'_>, settings: &mut Settings) {
    set(&mut settings.name, walk.get(root, "name", |value| bounds::name(text(value)?)));
    let interval = walk.get(root, "sample_interval", |v| bounds::within(a_span(v)?, &bounds::INTERVAL));
    set(&mut settings.sample_interval, interval);
    let repeat = walk.get(root, "repeat_interval", |v| bounds::within(a_span(v)?, &bounds::REPEAT));
    set(&mut settings.repeat_interval, repeat);
    set(&mut settings.log_level, walk.get(root, "log_level", |value| log_level(text(value)?)));
}

fn read_tables(walk: &mut Walk<'_>, root: &Section<'_>, settings: &mut Settings) {
    if let Some(table) = walk.section(root, "storage") {
        let retention = walk.get(&table, "retention", |v| bounds::within(a_span(v)?, &bounds::RETENTION));
        set(&mut settings.storage.retention, retention);
        let rollups =
            walk.get(&table, "rollup_retention", |v| bounds::within(a_span(v)?, &bounds::ROLLUP_RETENTION));
        set(&mut settings.storage.rollup_retention, rollups);
        set(&mut settings.storage.max_size_bytes, walk.get(&table, "max_size", log_size));
    }
    if let Some(table) = walk.section(root, "thresholds") {
        let limits = &mut settings.thresholds;
        let mut percent = |key| walk.get(&table, key, |value| bounds::percent(number(value)?));
        set(&mut limits.disk_used_percent, percent("disk_used_percent"));
        set(&mut limits.memory_available_percent, percent("memory_available_percent"));
        set(&mut limits.cpu_idle_percent, percent("cpu_idle_percent"));
    }
    if let Some(table) = walk.section(root, "trend") {
        let trend = &mut settings.trend;
        let sigma = walk.get(&table, "standard_deviations", |value| bounds::deviations(number(value)?));
        set(&mut trend.standard_deviations, sigma);
        let mut length = |key| walk.get(&table, key, |value| bounds::length(whole(value)?));
        set(&mut trend.minimum_length, length("minimum_length"));
        set(&mut trend.maximum_length, length("maximum_length"));
        let set_by = ["minimum_length", "maximum_length"].into_iter().find(|key| table.value(key).is_some());
        if let (Some(key), Err(what)) = (set_by, bounds::lengths(trend.minimum_length, trend.maximum_length))
        {
            walk.mistake_at(&table, key, &what);
        }
    }
    for (key, mounts) in [("ignore", &mut settings.ignore_mounts), ("include", &mut settings.include_mounts)]
    {
        if let Some(table) = walk.section(root, key) {
            set(mounts, walk.list(&table, "mounts", bounds::mount));
        }
    }
    if let Some(table) = walk.section(root, "public_address")
        && let Some(url) = walk.get(&table, "url", |value| Url::parse(text(value)?))
    {
        settings.public_address = PublicAddress { url, is_named: true };
    }
}

fn read_bridge(walk: &mut Walk<'_>, table: &Section<'_>) -> Bridge {
    let mut bridge = Bridge::default();
    set(&mut bridge.url, walk.get(table, "url", |value| Url::parse_directory(text(value)?)));
    let interval = walk.get(table, "poll_interval", |v| bounds::within(a_span(v)?, &bounds::INTERVAL));
    set(&mut bridge.poll_interval, interval);
    bridge
}

fn read_xmpp(walk: &mut Walk<'_>, table: &Section<'_>) -> Option<Xmpp> {
    for key in ["jid", "password_file", "owner"] {
        walk.require(table, key);
    }
    let source = walk.source();
    let jid = walk.get(table, "jid", |value| bounds::jid(text(value)?));
    let password_file: Option<PathBuf> =
        walk.get(table, "password_file", |value| bounds::file(text(value)?, source));
    let owners = match table.value("owner") {
        Some(DeValue::Array(list)) if list.is_empty() => {
            walk.mistake_at(table, "owner", "must name at least one owner");
            None
        }
        Some(DeValue::Array(_)) => walk.list(table, "owner", bounds::bare_jid),
        _ => walk.get(table, "owner", |value| bounds::bare_jid(text(value)?)).map(|owner| vec![owner]),
    };
    let server = walk.get(table, "server", |value| bounds::server(text(value)?, "xmpp.example.org:5222"));
    Some(Xmpp { jid: jid?, password_file: password_file?, owners: owners?, server })
}

fn set<T>(target: &mut T, found: Option<T>) {
    if let Some(value) = found {
        *target = value;
    }
}

fn a_span(value: &DeValue<'_>) -> Result<Duration, String> {
    match value {
        DeValue::Integer(number) => Err(format!("needs a unit: write it as \"{number}s\" or \"{number}m\"")),
        _ => span::parse(text(value)?),
    }
}

fn log_size(value: &DeValue<'_>) -> Result<u64, String> {
    let bytes = match value {
        DeValue::Integer(_) => {
            u64::try_from(whole(value)?).map_err(|_| "must not be below zero".to_owned())?
        }
        _ => size::parse(text(value)?)?,
    };
    bounds::log_size(bytes)
}

fn log_level(word: &str) -> Result<LogLevel, String> {
    let known = LogLevel::WORDS.iter().find(|(_, known)| *known == word);
    known.map(|(level, _)| *level).ok_or_else(|| {
        let near = nearest(word, LogLevel::WORDS.map(|(_, word)| word));
        format!("must be error, warn, info, debug or trace{}", did_you_mean(near))
    })
}

/// Whether a table holds a `[DEFAULT]` section, which only the legacy form has.
pub(crate) fn has_default_section(root: &DeTable<'_>) -> bool {
    root.iter().any(|(key, value)| {
        key.get_ref().eq_ignore_ascii_case("default") && matches!(value.get_ref(), DeValue::Table(_))
    })
}
