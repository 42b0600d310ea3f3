//! Everything that can be set, checked and with defaults filled in.

use std::{fmt, path::PathBuf, time::Duration};

use systembot_model::{
    Address, Rules,
    rules::{Environment, Service},
};

use crate::{
    show::{Form, show},
    url::Url,
};

/// Everything that can be set, checked and with defaults filled in.
#[derive(Clone, PartialEq)]
pub struct Settings {
    /// The bot's name; also the name of its queue at the bridge.
    pub name: String,
    /// Time between two ticks, 1 s to 1 h.
    pub sample_interval: Duration,
    /// Time between two messages about one alert, 0 s to 30 d; zero tells none.
    pub repeat_interval: Duration,
    /// What is logged to stderr.
    pub log_level: LogLevel,
    /// How long and how much is kept.
    pub storage: Storage,
    /// Limits that alert when passed.
    pub thresholds: Thresholds,
    /// The trend rule.
    pub trend: Trend,
    /// Mounts that never alert, as prefixes of whole path components.
    pub ignore_mounts: Vec<String>,
    /// Mounts that are read though their file system is a pseudo one.
    pub include_mounts: Vec<String>,
    /// The service that tells the public address, and whether the owner named it (then it is asked hourly).
    pub public_address: PublicAddress,
    /// The HTTP message bridge, where one is used.
    pub bridge: Option<Bridge>,
    /// The XMPP account, where one is used.
    pub xmpp: Option<Xmpp>,
    /// Processes that should be running.
    pub services: Vec<Service>,
}

/// What is logged to stderr: this and graver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// What the owner must act on.
    Error,
    /// What went wrong and was recovered from.
    Warn,
    /// What the owner did and what the bot does.
    #[default]
    Info,
    /// How it does it.
    Debug,
    /// Everything.
    Trace,
}

/// `[storage]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Age at which raw samples are pruned, 1 d and more.
    pub retention: Duration,
    /// Age at which 5-minute roll-ups are pruned, 1 d to 3650 d.
    pub rollup_retention: Duration,
    /// Size of the log directory above which the oldest raw samples are pruned, in bytes, 16 MiB and more.
    pub max_size_bytes: u64,
}

/// `[thresholds]`, percentages 0 to 100
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Disk full above it.
    pub disk_used_percent: f64,
    /// Memory low at or below it.
    pub memory_available_percent: f64,
    /// CPU busy below it.
    pub cpu_idle_percent: f64,
}

/// `[trend]`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Standard deviations that alert, above 0 to 100.
    pub standard_deviations: f64,
    /// Samples before a window says anything, 2 to 800.
    pub minimum_length: usize,
    /// Samples that a window holds, 2 to 800.
    pub maximum_length: usize,
}

/// `[public_address]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicAddress {
    /// A service that answers with the address alone.
    pub url: Url,
    /// Whether the configuration names it: then it is asked hourly, else only when the owner asks.
    pub is_named: bool,
}

/// `[bridge]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// Its address, ending in a slash.
    pub url: Url,
    /// Time between two polls, 1 s to 1 h.
    pub poll_interval: Duration,
}

/// `[xmpp]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xmpp {
    /// The bot's own address, `name@domain` and perhaps `/resource`.
    pub jid: String,
    /// File that holds its password and nothing else; a relative one was meant from the configuration's directory.
    pub password_file: PathBuf,
    /// Who is answered, at least one, each `name@domain`.
    pub owners: Vec<String>,
    /// `host:port` instead of the DNS lookup.
    pub server: Option<String>,
}

/// The bot's name where neither the configuration nor the machine has one.
const NAME: &str = "systembot";

impl Settings {
    /// What holds without a configuration.
    #[must_use]
    pub fn defaults(host_name: &str) -> Self {
        let rules = Rules::default();
        Self {
            name: if host_name.is_empty() { NAME } else { host_name }.to_owned(),
            sample_interval: rules.sample_interval,
            repeat_interval: rules.repeat_interval,
            log_level: LogLevel::default(),
            storage: Storage {
                retention: Duration::from_secs(400 * 86_400),
                rollup_retention: Duration::from_secs(3_650 * 86_400),
                max_size_bytes: 512 * 1024 * 1024,
            },
            thresholds: Thresholds {
                disk_used_percent: rules.disk_used_percent,
                memory_available_percent: rules.memory_available_percent,
                cpu_idle_percent: rules.cpu_idle_percent,
            },
            trend: Trend {
                standard_deviations: rules.standard_deviations,
                minimum_length: rules.minimum_length,
                maximum_length: rules.maximum_length,
            },
            ignore_mounts: Vec::new(),
            include_mounts: Vec::new(),
            public_address: PublicAddress { url: Url::public_address(), is_named: false },
            bridge: None,
            xmpp: None,
            services: Vec::new(),
        }
    }

    /// The part that decides over alerts and messages.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            name: self.name.clone(),
            sample_interval: self.sample_interval,
            repeat_interval: self.repeat_interval,
            disk_used_percent: self.thresholds.disk_used_percent,
            memory_available_percent: self.thresholds.memory_available_percent,
            cpu_idle_percent: self.thresholds.cpu_idle_percent,
            standard_deviations: self.trend.standard_deviations,
            minimum_length: self.trend.minimum_length,
            maximum_length: self.trend.maximum_length,
            ignore_mounts: self.ignore_mounts.clone(),
            include_mounts: self.include_mounts.clone(),
            services: self.services.iter().map(recorded).collect(),
            destinations: self.bridge.iter().map(|_| Address::bridge()).collect(),
            address_hourly: self.public_address.is_named,
            trend_series: Rules::default().trend_series,
            config: None,
        }
    }
}

/// A service without what is never recorded.
fn recorded(service: &Service) -> Service {
    Service { environment: Environment::default(), ..service.clone() }
}

/// As they are shown: the environment of services may hold secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(show(self, Form::Json).trim_end())
    }
}

impl Default for Bridge {
    fn default() -> Self {
        Self { url: Url::bridge(), poll_interval: Duration::from_secs(10) }
    }
}

impl LogLevel {
    /// All levels with their words, gravest first.
    pub const WORDS: [(Self, &'static str); 5] = [
        (Self::Error, "error"),
        (Self::Warn, "warn"),
        (Self::Info, "info"),
        (Self::Debug, "debug"),
        (Self::Trace, "trace"),
    ];

    /// Its word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn defaults_are_those_of_the_rules() {
        let settings = Settings::defaults("leela");
        assert_eq!(settings.rules(), Rules { name: "leela".into(), ..Rules::default() });
        assert_eq!(Settings::defaults("").name, "systembot");
    }

    #[test]
    fn messages_go_to_the_bridge_where_there_is_one() {
        let settings = Settings { bridge: Some(Bridge::default()), ..Settings::defaults("leela") };
        assert_eq!(settings.rules().destinations, [Address::bridge()]);
    }

    #[test]
    fn only_a_service_that_is_named_is_asked_hourly() {
        let mut settings = Settings::defaults("leela");
        assert!(!settings.rules().address_hourly);
        settings.public_address.is_named = true;
        assert!(settings.rules().address_hourly);
    }

    /// They may be secrets, and the log is for ever.
    #[test]
    fn variables_of_services_are_not_recorded() {
        let environment = Environment(BTreeMap::from([("TOKEN".to_owned(), "hunter2".to_owned())]));
        let service = Service { name: "bot".into(), environment, ..Service::default() };
        let settings = Settings { services: vec![service], ..Settings::defaults("leela") };
        assert!(settings.rules().services.iter().all(|service| service.environment.0.is_empty()));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn levels_and_their_words_agree() {
        LogLevel::WORDS.iter().for_each(|(level, word)| assert_eq!(level.word(), *word));
    }
}
