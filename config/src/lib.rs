//! What the owner wants: read once, checked once.
//!
//! Two forms give the same [`Settings`]: `systembot.toml`, and the `system_bot.conf` of the original bot.

use std::{fmt, path::PathBuf, time::Duration};

use systembot_model::rules::Service;

/// Everything that can be set, checked and with defaults filled in.
#[derive(Clone, Debug, PartialEq)]
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
    /// Age at which raw samples are pruned.
    pub retention: Duration,
    /// Size of the log directory above which the oldest samples are pruned, in bytes.
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
    /// The bot's own address.
    pub jid: String,
    /// File that holds its password and nothing else.
    pub password_file: PathBuf,
    /// Who is answered.
    pub owners: Vec<String>,
    /// `host:port` instead of the DNS lookup.
    pub server: Option<String>,
}

/// An `http` or `https` address that may hold a password: printing it hides that.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    /// The whole address, password included: for requests and `config import` only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
