//! What the owner wants judged and told: the part of the settings that the core needs.
//!
//! Recorded as JSON with every change, so that what was decided can be decided again.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Address, Pattern};

/// How grave an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth looking at.
    Warning,
    /// Worth getting up for.
    Critical,
}

impl Severity {
    /// Its word in output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// A program that should be running, and how it is started again.
///
/// It is found by `matches`, by `pidfile` (which must name a process that `matches` too, where both are set), or as a
/// systemd `unit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Name in messages and commands.
    pub name: String,
    /// What its command line begins with, see the manual for where it may begin; empty where it is found otherwise.
    #[serde(rename = "match")]
    pub matches: String,
    /// Whether the text may stand anywhere in the command line.
    pub anywhere: bool,
    /// File that holds the number of its process, an absolute path.
    pub pidfile: Option<String>,
    /// The systemd unit that it is; of the manager of `user`, where that is set, else of the system's.
    pub unit: Option<String>,
    /// User it runs as, by name or number: other users' processes are not it, and root starts it as this user.
    pub user: Option<String>,
    /// Command that starts it again, as the owner wrote it.
    pub restart: Option<String>,
    /// Whether that command goes to a shell.
    pub sh: bool,
    /// Directory that it is started in, an absolute path.
    pub directory: Option<String>,
    /// Variables that it is started with besides the usual ones. Never recorded: they may be secrets.
    #[serde(skip)]
    pub environment: Environment,
    /// How long a start may take: what has not come up by then has failed.
    pub grace: Duration,
    /// Services that must run before this one is started.
    pub after: Vec<String>,
    /// How its health is looked after, beyond that it exists.
    pub check: Option<Check>,
    /// Wait before the second start; it doubles with each further one.
    pub backoff: Duration,
    /// Longest wait between two starts.
    pub backoff_max: Duration,
    /// Starts within [`Self::start_limit_interval`] beyond which it is given up; 0 for no limit.
    pub start_limit: u32,
    /// Time for which starts count; a service that ran that long begins anew.
    pub start_limit_interval: Duration,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            name: String::new(),
            matches: String::new(),
            anywhere: false,
            pidfile: None,
            unit: None,
            user: None,
            restart: None,
            sh: false,
            directory: None,
            environment: Environment::default(),
            grace: Duration::from_secs(30),
            after: Vec::new(),
            check: None,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(300),
            start_limit: 5,
            start_limit_interval: Duration::from_secs(600),
        }
    }
}

/// Variables with their values, which are not shown where the whole is printed to look for a mistake.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(pub BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// How the health of a running service is looked after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What must succeed.
    pub probe: Probe,
    /// Time within which it must.
    pub timeout: Duration,
    /// Time between two checks.
    pub interval: Duration,
    /// Whether a service that fails it is ended and started again; else it is only told.
    pub restart: bool,
}

/// What tells that a service is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// A connection to `host:port` is taken.
    Tcp(String),
    /// A GET of this URL is answered with 200 to 399.
    Http(String),
    /// A command, split into words without a shell, exits with 0.
    Command(String),
}

/// Everything that decides over alerts and messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// The bot's name.
    pub name: String,
    /// Time between two ticks.
    pub sample_interval: Duration,
    /// Time between two messages about one alert; zero tells none.
    pub repeat_interval: Duration,
    /// Disk full above this percentage.
    pub disk_used_percent: f64,
    /// Memory low at or below this percentage.
    pub memory_available_percent: f64,
    /// CPU busy below this percentage of idle time.
    pub cpu_idle_percent: f64,
    /// Standard deviations from the window that make a trend alert.
    pub standard_deviations: f64,
    /// Samples before a window says anything.
    pub minimum_length: usize,
    /// Samples that a window holds.
    pub maximum_length: usize,
    /// Series that the trend rule judges.
    pub trend_series: Vec<Pattern>,
    /// Mounts that never alert, as prefixes of whole path components; `/` is only itself.
    pub ignore_mounts: Vec<String>,
    /// Mounts that are read though they hold nothing on a device.
    pub include_mounts: Vec<String>,
    /// Processes that should be running.
    pub services: Vec<Service>,
    /// Where messages go.
    pub destinations: Vec<Address>,
    /// Whether the public address is asked for each hour: only where the owner names the service.
    pub address_hourly: bool,
    /// The configuration file that says so, if any.
    pub config: Option<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            name: String::new(),
            sample_interval: Duration::from_secs(15),
            repeat_interval: Duration::from_secs(3600),
            disk_used_percent: 90.0,
            memory_available_percent: 15.0,
            cpu_idle_percent: 15.0,
            standard_deviations: 2.0,
            minimum_length: 2,
            maximum_length: 100,
            trend_series: vec![Pattern::new("load"), Pattern::new("temperature_celsius")],
            ignore_mounts: Vec::new(),
            include_mounts: Vec::new(),
            services: Vec::new(),
            destinations: Vec::new(),
            address_hourly: false,
            config: None,
        }
    }
}

impl Rules {
    /// The recorded form.
    #[must_use]
    pub fn to_json(&self) -> String {
        // A struct of plain fields always serialises; an empty text reads back as the defaults.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the recorded form; what it does not name has its default.
    #[must_use]
    pub fn from_json(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// The settings of a watched service.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }

    /// Whether a mount is one of those that never alert.
    #[must_use]
    pub fn is_ignored(&self, mount: &str) -> bool {
        self.ignore_mounts.iter().any(|prefix| {
            let stem = prefix.trim_end_matches('/');
            if stem.is_empty() {
                return mount == "/";
            }
            mount.strip_prefix(stem).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Defect 12 of the original: they were parts of a text, and `/` ignored everything.
    #[test]
    fn ignored_mounts_are_prefixes_of_whole_components() {
        let rules =
            Rules { ignore_mounts: vec!["/snap/".into(), "/".into(), "/mnt".into()], ..Rules::default() };
        let check = |mount, expected| assert_eq!(rules.is_ignored(mount), expected, "{mount}");
        check("/snap", true);
        check("/snap/core/1", true);
        check("/snapshots", false);
        check("/", true);
        check("/home", false);
        check("/mnt/nas", true);
    }

    #[test]
    fn variables_are_neither_recorded_nor_printed() {
        let variables = BTreeMap::from([("TOKEN".to_owned(), "hunter2".to_owned())]);
        let service = Service { environment: Environment(variables), ..Service::default() };
        let rules = Rules { services: vec![service], ..Rules::default() };
        assert!(!rules.to_json().contains("TOKEN"));
        let printed = format!("{rules:?}");
        assert!(printed.contains("TOKEN") && !printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn the_recorded_form_reads_back() {
        let rules = Rules { name: "leela".into(), disk_used_percent: 85.5, ..Rules::default() };
        assert_eq!(Rules::from_json(&rules.to_json()), rules);
        assert_eq!(Rules::from_json("{\"name\":\"leela\"}").maximum_length, 100);
    }
}
