//! The manual's reference of all keys, and the commented example, both written from the tables of keys.

use crate::{
    keys::{Key, TABLES, Table, Unset, table},
    legacy::keys::{SECTIONS, TWINS},
};

/// Longest line of the example, in characters.
const WIDTH: usize = 100;

/// What the reference begins with.
const REFERENCE: &str = "\
# Configuration

<!-- Written by `SYSTEMBOT_WRITE=1 cargo test -p systembot-config reference` from config/src/keys.rs. -->

Systembot needs no configuration: every key has a default. It reads the first of these files that there is:

1. the one that `--config FILE` names
2. the one that `$SYSTEMBOT_CONFIG` names
3. `$XDG_CONFIG_HOME/systembot/systembot.toml`, which usually is `~/.config/systembot/systembot.toml`
4. `/etc/systembot/systembot.toml`

A file in the form of the original bot, [system_bot.conf](#system_botconf), is read as it is in each of these places.

`systembot config check FILE` tells every mistake at once with its line, `systembot config show` what holds now with
all secrets hidden, and [systembot.example.toml](systembot.example.toml) shows every key, commented out.

A *span* is written `\"90s\"`, `\"15m\"`, `\"1h30m\"` or `\"400d\"` (units ms, s, m, h, d and w); a *size* `\"512MiB\"`, `\"2GB\"` or
as plain bytes. An unknown key is a mistake.
";

/// What comes before the keys of the legacy form.
const LEGACY: &str = "
## system_bot.conf

The configuration of the original bot is read as Python read it: capitals of keys do not count, a line that begins
with `#` or `;` is a comment, there are no comments behind a value, an indented line goes on with the value above it,
and a percent sign is written `%%`. An unknown key is a warning here. `systembot config import FILE` prints the same
settings as a systembot.toml.

### `[DEFAULT]`

| key | in systembot.toml | default | may be | meaning |
|---|---|---|---|---|
";

/// The manual's reference of all keys, as Markdown.
#[must_use]
pub fn reference() -> String {
    let tables: String = TABLES.iter().map(reference_of).collect();
    let twins = TWINS.iter().map(|twin| {
        let default = default(twin.default, "not used");
        row([&code(twin.key), &code(twin.twin), &default, twin.range, twin.says])
    });
    let sections = SECTIONS.iter().map(|section| {
        format!(
            "\n### `[{}]`\n\n{} In systembot.toml: `{}`.\n\n```ini\n{}\n```\n",
            section.section, section.says, section.twin, section.example
        )
    });
    [REFERENCE.to_owned(), tables, LEGACY.to_owned()].into_iter().chain(twins).chain(sections).collect()
}

fn reference_of(table: &Table) -> String {
    let title = table.header().map_or_else(|| "Above the first table".to_owned(), |header| code(&header));
    let head = format!(
        "\n## {title}\n\n{}\n\n| key | type | default | may be | meaning |\n|---|---|---|---|---|\n",
        table.says
    );
    let rows = table.keys.iter().map(|key| {
        row([&code(key.name), key.kind.words(), &default(key.default, "none"), key.range, key.says])
    });
    head + &rows.collect::<String>()
}

fn row(cells: [&str; 5]) -> String {
    format!("| {} |\n", cells.join(" | ").replace("|  |", "| |"))
}

fn default(unset: Unset, nothing: &str) -> String {
    match unset {
        Unset::Is(value) => code(value),
        Unset::HostName(_) => "the host's name".to_owned(),
        Unset::Nothing(_) => nothing.to_owned(),
        Unset::Mistake(_) => "*required*".to_owned(),
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// What the example begins with.
const EXAMPLE: &str = "\
## systembot.toml: what Systembot watches, when it speaks up, and whom it talks to.
##
## Systembot needs none of this: every line below is a comment. Those with one # are settings, and what they show is
## what holds without them, or an example where nothing does. To change one, take the # away from the line and from
## the [table] above it.
##
## `systembot config check FILE` tells every mistake in a file, `systembot config show` what holds now.
##
## Spans of time are written 90s, 15m, 1h30m or 400d; sizes 512MiB, 2GB or plain bytes.
";

/// Keys that exclude another one, each shown in a service of its own.
const APART: [(&str, &str); 3] =
    [("service", "unit"), ("service.check", "http"), ("service.check", "command")];

/// The services that show them: what is set, and which keys are told about.
const MORE: [(&str, &str, &str); 3] = [
    ("name = \"database\"", "service", "unit"),
    ("name = \"web\"\nmatch = \"nginx: master\"", "service.check", "http"),
    ("name = \"queue\"\nmatch = \"queue.py\"", "service.check", "command"),
];

/// A `systembot.toml` that shows every key, commented out. With one `#` taken from each line it is one too.
#[must_use]
pub fn example() -> String {
    let tables = TABLES.iter().map(|table| {
        let is_apart = |key: &&Key| APART.contains(&(table.path, key.name));
        let keys = table.keys.iter().filter(|key| !is_apart(key)).map(key_example);
        let says = if table.path.is_empty() { String::new() } else { prose(table.says) };
        format!("\n{says}{}{}", head_example(table), keys.collect::<String>())
    });
    let more = MORE.iter().filter_map(|(set, path, name)| {
        let table = table(path)?;
        let key = table.keys.iter().find(|key| key.name == *name)?;
        let set: String = set.lines().map(|line| format!("# {line}\n")).collect();
        let head = if *path == "service" { String::new() } else { head_example(table) };
        Some(format!("\n# [[service]]\n{set}{head}{}", key_example(key)))
    });
    std::iter::once(EXAMPLE.to_owned()).chain(tables).chain(more).collect()
}

fn head_example(table: &Table) -> String {
    table.header().map_or_else(String::new, |header| format!("# {header}\n"))
}

fn key_example(key: &Key) -> String {
    let (Unset::Is(value) | Unset::HostName(value) | Unset::Nothing(value) | Unset::Mistake(value)) =
        key.default;
    let range = if key.range.is_empty() { String::new() } else { format!(" ({})", key.range) };
    let says = key.says.strip_suffix('.').unwrap_or(key.says);
    format!("{}# {} = {value}\n", prose(&format!("{says}{range}.")), key.name)
}

/// A text as comments of limited width.
fn prose(text: &str) -> String {
    let mut lines = vec!["##".to_owned()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(format!("## {word}")),
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use serde_json::Value;

    use super::*;
    use crate::{Form, Loaded, Settings, keys::Kind, parse, show, span};

    fn settings(text: &str) -> Settings {
        match parse(text, Path::new("x.toml"), "myhost") {
            Ok(Loaded { settings, warnings }) => {
                // A long grace alone is in its range, but no start limit is ever reached with it.
                let others: Vec<_> =
                    warnings.iter().filter(|w| !w.what.ends_with("never given up")).collect();
                assert!(others.is_empty(), "{others:?} {text}");
                settings
            }
            Err(mistakes) => panic!("{}\n{text}", mistakes.report()),
        }
    }

    /// Compares a file of the manual with what is generated, or writes it where that is asked for.
    fn check_file(name: &str, text: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
        if std::env::var_os("SYSTEMBOT_WRITE").is_some() {
            std::fs::write(&path, text).unwrap();
        }
        let is_same = std::fs::read_to_string(&path).unwrap_or_default() == text;
        assert!(
            is_same,
            "docs/{name} is out of date: SYSTEMBOT_WRITE=1 cargo test -p systembot-config reference"
        );
    }

    #[test]
    fn the_files_of_the_manual_are_the_generated_ones() {
        check_file("configuration.md", &reference());
        check_file("systembot.example.toml", &example());
    }

    #[test]
    fn every_key_is_in_the_reference_and_in_the_example() {
        let (reference, example) = (reference(), example());
        for table in TABLES {
            let head =
                table.header().map_or_else(|| "## Above".to_owned(), |header| format!("## `{header}`"));
            let section = reference.split(&head).nth(1).unwrap().split("\n## ").next().unwrap();
            for key in table.keys {
                assert!(section.contains(&format!("\n| `{}` |", key.name)), "{} {}", table.path, key.name);
                assert!(example.contains(&format!("\n# {} = ", key.name)), "{} {}", table.path, key.name);
                assert!(key.says.ends_with('.') && !key.says.contains('|'), "{}", key.says);
            }
        }
        assert!(TWINS.iter().all(|twin| reference.contains(&format!("\n| `{}` |", twin.key))));
    }

    #[test]
    fn the_example_holds_commented_and_uncommented() {
        assert_eq!(settings(&example()), Settings::defaults("myhost"));
        let text = example();
        let lines = text.lines().map(|line| line.strip_prefix('#').unwrap_or(line).to_owned() + "\n");
        let all = settings(&lines.collect::<String>());
        assert_eq!(all.services.len(), 4);
        let mut expected =
            Settings { bridge: Some(crate::Bridge::default()), ..Settings::defaults("myhost") };
        expected.public_address.is_named = true;
        assert_eq!(Settings { xmpp: None, services: Vec::new(), ..all }, expected);
    }

    /// A file with what a table needs to be valid, and its header last.
    fn around(table: &Table) -> String {
        let needed = table.keys.iter().filter_map(|key| match key.default {
            Unset::Mistake(value) => Some(format!("{} = {value}\n", key.name)),
            Unset::Is(_) | Unset::HostName(_) | Unset::Nothing(_) => None,
        });
        let above = match table.path {
            "service.check" => "[[service]]\nname = \"x\"\nunit = \"x\"\nrestart = \"x\"\n",
            _ => "",
        };
        let here = match table.path {
            "service" => "unit = \"x\"\nrestart = \"x\"\n",
            "service.check" => "tcp = \"x:1\"\n",
            _ => "",
        };
        let header = table.header().map_or_else(String::new, |header| format!("{header}\n"));
        format!("{above}{header}{}{here}", needed.collect::<String>())
    }

    /// The value of a key as settings are shown.
    fn shown(settings: &Settings, path: &str, key: &str) -> Value {
        let mut value: Value = serde_json::from_str(&show(settings, Form::Json)).unwrap();
        for name in path.split('.').filter(|name| !name.is_empty()).chain([key]) {
            value =
                value.as_array().map_or(value.clone(), |items| items.first().cloned().unwrap_or_default());
            value = value.get(name).cloned().unwrap_or_default();
        }
        value
    }

    #[test]
    fn every_default_of_the_reference_holds() {
        for table in TABLES {
            let file = around(table);
            let settings = settings(&file);
            for key in table.keys.iter().filter(|key| !file.contains(&format!("\n{} = ", key.name))) {
                let found = shown(&settings, table.path, key.name);
                let expected = match key.default {
                    Unset::Is(value) => {
                        let parsed: toml::Table = toml::from_str(&format!("x = {value}")).unwrap();
                        serde_json::to_value(parsed).unwrap().get("x").cloned().unwrap()
                    }
                    Unset::HostName(_) => Value::from("myhost"),
                    Unset::Nothing(_) | Unset::Mistake(_) => Value::Null,
                };
                assert_eq!(found, expected, "{} {}", table.path, key.name);
            }
        }
    }

    #[test]
    fn every_range_of_the_reference_holds() {
        let mut checked = 0;
        for (table, key) in TABLES.iter().flat_map(|table| table.keys.iter().map(move |key| (table, key))) {
            let Some((least, most)) = key.range.trim_start_matches("above ").split_once(" to ") else {
                continue;
            };
            let (inside, outside) = match key.kind {
                Kind::Span => {
                    let [least, most] = [least, most].map(|text| span::parse(text).unwrap());
                    let write = |span| format!("\"{}\"", span::format(span));
                    let ms = Duration::from_millis(1);
                    let below = least.checked_sub(ms).map(write);
                    ([least, most].map(write), [below, Some(write(most + ms))])
                }
                Kind::Whole => {
                    let [least, most] = [least, most].map(|text| text.parse::<i64>().unwrap());
                    ([least, most].map(|n| n.to_string()), [least - 1, most + 1].map(|n| Some(n.to_string())))
                }
                Kind::Number => {
                    let [least, most] = [least, most].map(|text| text.parse::<f64>().unwrap());
                    let least_allowed = if key.range.starts_with("above") { least + 0.1 } else { least };
                    (
                        [least_allowed, most].map(|n| n.to_string()),
                        [least - 0.1, most + 0.1].map(|n| Some(n.to_string())),
                    )
                }
                Kind::Size => ([least, most].map(|text| format!("\"{text}\"")), [Some("1".to_owned()), None]),
                Kind::Text | Kind::Flag | Kind::List | Kind::TextOrList | Kind::Texts => continue,
            };
            // What bounds these two beside their own range.
            let beside = match key.name {
                "minimum_length" => "maximum_length = 800\n",
                "backoff" => "backoff_max = \"1h\"\n",
                _ => "",
            };
            let file = |value: &str| format!("{}{} = {value}\n{beside}", around(table), key.name);
            for value in inside {
                settings(&file(&value));
            }
            for value in outside.into_iter().flatten() {
                let mistakes = parse(&file(&value), Path::new("x"), "h").expect_err(&file(&value));
                assert!(mistakes.report().contains("is not "), "{}", mistakes.report());
            }
            checked += 1;
        }
        assert_eq!(checked, 19);
    }

    #[test]
    fn every_default_of_the_legacy_form_in_the_reference_holds() {
        let read = |line: &str| settings(&format!("[DEFAULT]\nqueue = http://localhost:8003/\n{line}\n"));
        for twin in &TWINS {
            let (Unset::Is(value) | Unset::HostName(value)) = twin.default else { continue };
            let mut with = read(&format!("{} = {value}", twin.key));
            // Named, the service is asked hourly.
            with.public_address.is_named = false;
            assert_eq!(with, read(""), "{}", twin.key);
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/migration.md");
        let migration = std::fs::read_to_string(path).unwrap();
        for twin in &TWINS {
            let row = format!("\n| `{}` | `{}` |", twin.key, twin.twin);
            assert!(migration.contains(&row), "docs/migration.md has no row {row}");
        }
        for section in &SECTIONS {
            let with = read(&format!("[{}]\n{}", section.section, section.example));
            assert_eq!(with.services.len() + with.ignore_mounts.len(), 1);
        }
        let named = |path: &str| {
            let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
            crate::keys::names_in(table).any(|name| name == key)
        };
        assert!(TWINS.iter().all(|twin| named(twin.twin)));
    }
}
