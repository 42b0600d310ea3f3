//! The table of everything that can be set in `system_bot.conf`.

use crate::keys::Unset;

/// A key of `[DEFAULT]`.
pub(crate) struct Twin {
    /// Its name.
    pub(crate) key: &'static str,
    /// The key of `systembot.toml` that stands for it.
    pub(crate) twin: &'static str,
    /// What holds without it.
    pub(crate) default: Unset,
    /// What it may be.
    pub(crate) range: &'static str,
    /// What it is for, in a sentence.
    pub(crate) says: &'static str,
}

/// A section beside `[DEFAULT]`, whose keys are numbered.
pub(crate) struct Numbered {
    /// Its name.
    pub(crate) section: &'static str,
    /// What its keys begin with.
    pub(crate) stem: &'static str,
    /// What stands for it in `systembot.toml`.
    pub(crate) twin: &'static str,
    /// How one is written.
    pub(crate) example: &'static str,
    /// What it is for, in a sentence.
    pub(crate) says: &'static str,
}

/// Section of the watched processes.
pub(crate) const PROCESSES: &str = "processes to monitor";
/// Section of the mounts that never alert.
pub(crate) const MOUNTS: &str = "file systems to ignore";

const fn twin(
    key: &'static str,
    twin: &'static str,
    default: Unset,
    range: &'static str,
    says: &'static str,
) -> Twin {
    Twin { key, twin, default, range, says }
}

/// The keys of `[DEFAULT]`, each with its twin in `systembot.toml`.
pub(crate) static TWINS: [Twin; 11] = [
    twin(
        "queue",
        "bridge.url",
        Unset::Nothing("http://localhost:8003/"),
        "http:// or https://",
        "The message bridge's address; without it no bridge is used.",
    ),
    twin(
        "bot_name",
        "name",
        Unset::HostName("myhost"),
        "letters, digits, - and _",
        "The bot's name in messages, and the name of its queue at the bridge.",
    ),
    twin(
        "loglevel",
        "log_level",
        Unset::Is("info"),
        "critical, error, warning, info or debug",
        "What is logged.",
    ),
    twin(
        "polling_time",
        "bridge.poll_interval",
        Unset::Is("10"),
        "1 to 3600 seconds, perhaps with a fraction",
        "Seconds between two looks into the queue. The machine is read four times as often, once a second at most: \
         sample_interval is a quarter of it.",
    ),
    twin(
        "time_between_alerts",
        "repeat_interval",
        Unset::Is("3600"),
        "0 to 2592000 seconds",
        "Seconds of silence about an alert that was told and goes on; 0 sends no alerts at all.",
    ),
    twin(
        "disk_usage",
        "thresholds.disk_used_percent",
        Unset::Is("90"),
        "0 to 100",
        "A disk is full above it.",
    ),
    twin(
        "memory_remaining",
        "thresholds.memory_available_percent",
        Unset::Is("15"),
        "0 to 100",
        "Memory is low at or below it.",
    ),
    twin(
        "standard_deviations",
        "trend.standard_deviations",
        Unset::Is("2"),
        "above 0 to 100",
        "How many standard deviations from its window make a value unusual.",
    ),
    twin(
        "minimum_length",
        "trend.minimum_length",
        Unset::Is("2"),
        "2 to 800",
        "Values that must be known before anything is called unusual.",
    ),
    twin(
        "maximum_length",
        "trend.maximum_length",
        Unset::Is("100"),
        "2 to 800",
        "Values that are compared with.",
    ),
    twin(
        "ip_addr_site",
        "public_address.url",
        Unset::Is("https://api.ipify.org/"),
        "http:// or https://",
        "A service that answers with this machine's address and nothing else; named here, it is asked hourly.",
    ),
];

/// The sections beside `[DEFAULT]`.
pub(crate) static SECTIONS: [Numbered; 2] = [
    Numbered {
        section: PROCESSES,
        stem: "process",
        twin: "[[service]]",
        example: "process1 = test_bot.py --loglevel,python3 /home/me/test_bot.py --loglevel debug",
        says: "A process that should be running: how its command line begins, a comma, and the command that starts \
               it again. Only the first comma splits. It is named after its program or script.",
    },
    Numbered {
        section: MOUNTS,
        stem: "mount",
        twin: "ignore.mounts",
        example: "mount1 = /snap",
        says: "A mount that never alerts, with all that is mounted below it; / is only itself.",
    },
];
