//! Settings as text: for people, for programs, and as a `systembot.toml` that gives them again.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use systembot_model::rules::{self, Probe};

use crate::{Settings, Url, size, span};

/// How settings are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As a `systembot.toml`.
    Toml,
    /// As one JSON object on one line, its keys those of `systembot.toml`; `bridge` and `xmpp` may be null.
    Json,
    /// As CSV with the columns `key,value`; the keys dotted, items of lists numbered from 1.
    Csv,
}

/// The settings in force, secrets hidden, in a form that ends its last line.
#[must_use]
pub fn show(settings: &Settings, form: Form) -> String {
    let document = Document::new(settings, Url::to_string, |_| "***");
    match form {
        Form::Toml => toml_text(&document),
        // Plain fields with text keys always serialise.
        Form::Json => serde_json::to_string(&document).unwrap_or_default() + "\n",
        Form::Csv => csv_text(&document),
    }
}

/// A `systembot.toml` that gives the same settings, secrets included: what `config import` prints.
#[must_use]
pub fn to_toml(settings: &Settings) -> String {
    let mut document = Document::new(settings, |url| url.expose().to_owned(), |value| value);
    // Naming the service makes the bot ask it hourly.
    document.public_address = document.public_address.filter(|_| settings.public_address.is_named);
    toml_text(&document)
}

/// Keys of `systembot.toml` whose settings differ, dotted; all of `[[service]]` counts as one. Tells no value.
#[must_use]
pub fn changes(from: &Settings, to: &Settings) -> Vec<String> {
    let tree = |settings| {
        let document = Document::new(settings, |url| url.expose().to_owned(), |value| value);
        serde_json::to_value(&document).unwrap_or_default()
    };
    let mut keys = Vec::new();
    differing("", &tree(from), &tree(to), &mut keys);
    // Some of a service is not written to any document, and of the address only where it is asked.
    if from.services != to.services && !keys.iter().any(|key| key == "service") {
        keys.push("service".to_owned());
    }
    if from.public_address != to.public_address && !keys.iter().any(|key| key == "public_address.url") {
        keys.push("public_address.url".to_owned());
    }
    keys
}

/// Adds the keys at or below a path where two trees differ; lists are compared as a whole.
fn differing(path: &str, from: &Value, to: &Value, keys: &mut Vec<String>) {
    let none = serde_json::Map::new();
    let (from_table, to_table) = match (from, to) {
        (Value::Object(from), Value::Object(to)) => (from, to),
        (Value::Object(from), Value::Null) => (from, &none),
        (Value::Null, Value::Object(to)) => (&none, to),
        _ if from == to => return,
        _ => return keys.push(path.to_owned()),
    };
    let names: BTreeSet<&String> = from_table.keys().chain(to_table.keys()).collect();
    let of =
        |table: &serde_json::Map<String, Value>, name: &str| table.get(name).cloned().unwrap_or_default();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        differing(&path, &of(from_table, name), &of(to_table, name), keys);
    }
}

fn toml_text(document: &Document<'_>) -> String {
    toml::to_string(document).unwrap_or_default()
}

fn csv_text(document: &Document<'_>) -> String {
    let mut text = "key,value\n".to_owned();
    flatten("", &serde_json::to_value(document).unwrap_or_default(), &mut text);
    text
}

/// Writes a line for every value in a tree.
fn flatten(path: &str, value: &Value, text: &mut String) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let value = match value {
        Value::Null => return,
        Value::Object(entries) => {
            return entries.iter().for_each(|(key, value)| flatten(&below(key), value, text));
        }
        Value::Array(items) => {
            let numbered = (1..).zip(items);
            return numbered.for_each(|(number, item)| flatten(&below(&number.to_string()), item, text));
        }
        Value::String(value) => value.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    // RFC 4180: what holds a comma, a quote or a line end is quoted.
    let value = if value.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value
    };
    text.push_str(&format!("{path},{value}\n"));
}

/// `systembot.toml` as a tree.
#[derive(Serialize)]
struct Document<'s> {
    name: &'s str,
    sample_interval: String,
    repeat_interval: String,
    log_level: &'static str,
    storage: Storage,
    thresholds: Thresholds,
    trend: Trend,
    ignore: Mounts<'s>,
    include: Mounts<'s>,
    public_address: Option<PublicAddress>,
    bridge: Option<Bridge>,
    xmpp: Option<Xmpp<'s>>,
    service: Vec<Service<'s>>,
}

#[derive(Serialize)]
struct Storage {
    retention: String,
    rollup_retention: String,
    max_size: String,
}

#[derive(Serialize)]
struct Thresholds {
    disk_used_percent: f64,
    memory_available_percent: f64,
    cpu_idle_percent: f64,
}

#[derive(Serialize)]
struct Trend {
    standard_deviations: f64,
    minimum_length: usize,
    maximum_length: usize,
}

#[derive(Serialize)]
struct Mounts<'s> {
    mounts: &'s [String],
}

#[derive(Serialize)]
struct PublicAddress {
    url: String,
}

#[derive(Serialize)]
struct Bridge {
    url: String,
    poll_interval: String,
}

#[derive(Serialize)]
struct Xmpp<'s> {
    jid: &'s str,
    password_file: String,
    owner: &'s [String],
    server: Option<&'s str>,
}

#[derive(Serialize)]
struct Service<'s> {
    name: &'s str,
    #[serde(rename = "match")]
    matches: Option<&'s str>,
    anywhere: bool,
    pidfile: Option<&'s str>,
    unit: Option<&'s str>,
    user: Option<&'s str>,
    restart: Option<&'s str>,
    sh: bool,
    directory: Option<&'s str>,
    grace: String,
    after: &'s [String],
    backoff: String,
    backoff_max: String,
    start_limit: u32,
    start_limit_interval: String,
    environment: Option<BTreeMap<&'s str, &'s str>>,
    check: Option<Check<'s>>,
}

#[derive(Serialize)]
struct Check<'s> {
    tcp: Option<&'s str>,
    http: Option<String>,
    command: Option<&'s str>,
    timeout: String,
    interval: String,
    restart: bool,
}

impl<'s> Document<'s> {
    fn new(
        settings: &'s Settings,
        written: impl Fn(&Url) -> String,
        value: impl Fn(&'s str) -> &'s str,
    ) -> Self {
        Self {
            name: &settings.name,
            sample_interval: span::format(settings.sample_interval),
            repeat_interval: span::format(settings.repeat_interval),
            log_level: settings.log_level.word(),
            storage: Storage {
                retention: span::format(settings.storage.retention),
                rollup_retention: span::format(settings.storage.rollup_retention),
                max_size: size::format(settings.storage.max_size_bytes),
            },
            thresholds: Thresholds {
                disk_used_percent: settings.thresholds.disk_used_percent,
                memory_available_percent: settings.thresholds.memory_available_percent,
                cpu_idle_percent: settings.thresholds.cpu_idle_percent,
            },
            trend: Trend {
                standard_deviations: settings.trend.standard_deviations,
                minimum_length: settings.trend.minimum_length,
                maximum_length: settings.trend.maximum_length,
            },
            ignore: Mounts { mounts: &settings.ignore_mounts },
            include: Mounts { mounts: &settings.include_mounts },
            public_address: Some(PublicAddress { url: written(&settings.public_address.url) }),
            bridge: settings.bridge.as_ref().map(|bridge| Bridge {
                url: written(&bridge.url),
                poll_interval: span::format(bridge.poll_interval),
            }),
            xmpp: settings.xmpp.as_ref().map(|xmpp| Xmpp {
                jid: &xmpp.jid,
                password_file: xmpp.password_file.to_string_lossy().into_owned(),
                owner: &xmpp.owners,
                server: xmpp.server.as_deref(),
            }),
            service: settings
                .services
                .iter()
                .map(|service| Service::new(service, &written, &value))
                .collect(),
        }
    }
}

impl<'s> Service<'s> {
    fn new(
        service: &'s rules::Service,
        written: &impl Fn(&Url) -> String,
        value: &impl Fn(&'s str) -> &'s str,
    ) -> Self {
        let environment =
            service.environment.0.iter().map(|(name, set)| (name.as_str(), value(set.as_str())));
        Self {
            name: &service.name,
            matches: Some(service.matches.as_str()).filter(|matches| !matches.is_empty()),
            anywhere: service.anywhere,
            pidfile: service.pidfile.as_deref(),
            unit: service.unit.as_deref(),
            user: service.user.as_deref(),
            restart: service.restart.as_deref(),
            sh: service.sh,
            directory: service.directory.as_deref(),
            grace: span::format(service.grace),
            after: &service.after,
            backoff: span::format(service.backoff),
            backoff_max: span::format(service.backoff_max),
            start_limit: service.start_limit,
            start_limit_interval: span::format(service.start_limit_interval),
            environment: (!service.environment.0.is_empty()).then(|| environment.collect()),
            check: service.check.as_ref().map(|check| Check::new(check, written)),
        }
    }
}

impl<'s> Check<'s> {
    fn new(check: &'s rules::Check, written: &impl Fn(&Url) -> String) -> Self {
        let (mut tcp, mut http, mut command) = (None, None, None);
        match &check.probe {
            Probe::Tcp(server) => tcp = Some(server.as_str()),
            // It was an address when it was read; what is none is not shown.
            Probe::Http(url) => {
                http = Some(Url::parse(url).map_or_else(|_| "***".to_owned(), |url| written(&url)))
            }
            Probe::Command(words) => command = Some(words.as_str()),
        }
        Self {
            tcp,
            http,
            command,
            timeout: span::format(check.timeout),
            interval: span::format(check.interval),
            restart: check.restart,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parsed(text: &str) -> Settings {
        crate::parse(text, Path::new("x.toml"), "leela").unwrap().settings
    }

    #[test]
    fn keys_that_differ_are_named_and_no_value_is() {
        let check = |from: &str, to: &str, expected: &[&str]| {
            assert_eq!(changes(&parsed(from), &parsed(to)), expected, "{from} -> {to}");
        };
        check("", "", &[]);
        check("sample_interval = \"15s\"\n", "", &[]);
        check(
            "",
            "sample_interval = \"5s\"\n[trend]\nminimum_length = 3\n",
            &["sample_interval", "trend.minimum_length"],
        );
        let bridge = |password: &str| format!("[bridge]\nurl = \"http://me:{password}@localhost:8003/\"\n");
        check(&bridge("one"), &bridge("two"), &["bridge.url"]);
        check("", &bridge("one"), &["bridge.poll_interval", "bridge.url"]);
        check("", "[ignore]\nmounts = [\"/a\", \"/b\"]\n", &["ignore.mounts"]);
        check("", "[[service]]\nname = \"a\"\nmatch = \"a\"\n", &["service"]);
        // The address is the same, but it is asked hourly from now on.
        check("", "[public_address]\nurl = \"https://api.ipify.org/\"\n", &["public_address.url"]);
    }
}
