//! Chat: from a line to an answer.
//!
//! [`COMMANDS`] is all there is: names, help and function of each command. The parser, `help`, `systembot ask`
//! and every transport read it. A line only ever picks a row; it never reaches a shell.

mod alerts;
mod fold;
mod help;
mod machine;
mod overview;
mod services;

use std::net::IpAddr;

use crate::{Address, Event, LocalTime, Question, State, host::Process};

pub use fold::nearest;

/// The answer to a line: what it orders, and what is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What the line brought about, to be recorded.
    pub events: Vec<Event>,
    /// What is said.
    pub reply: Reply,
}

/// What is said to a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// This, at once.
    Text(String),
    /// The line was not understood, or names something that does not exist: suggestions.
    NotUnderstood(String),
    /// The answer has to be fetched, and follows.
    Later(Question),
}

impl Answer {
    fn text(text: impl Into<String>) -> Self {
        Self { events: Vec::new(), reply: Reply::Text(text.into()) }
    }

    fn not_understood(text: impl Into<String>) -> Self {
        Self { events: Vec::new(), reply: Reply::NotUnderstood(text.into()) }
    }

    fn later(question: Question) -> Self {
        Self { events: Vec::new(), reply: Reply::Later(question) }
    }
}

/// What a command may look at.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Everything known.
    pub state: &'a State,
    /// Now.
    pub now: &'a LocalTime,
    /// Who asks.
    pub from: &'a Address,
    /// What stood behind the command's name, its case kept.
    pub argument: &'a str,
}

/// One row of [`COMMANDS`].
#[derive(Debug)]
pub struct Command {
    /// Every way to say it, the first one its name.
    pub names: &'static [&'static str],
    /// What may follow it, as help shows it; empty where nothing may.
    pub argument: &'static str,
    /// What it does, one line.
    pub help: &'static str,
    /// The answer.
    pub run: fn(&Ask<'_>) -> Answer,
}

impl Command {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }
}

/// Every command there is, in the order of `help`.
pub static COMMANDS: &[Command] = &[
    Command {
        names: &["help", "commands"],
        argument: "[command]",
        help: "every command, or what one of them does",
        run: help::help,
    },
    Command {
        names: &["status", "overview", "summary"],
        argument: "",
        help: "how the machine is, in a few lines",
        run: overview::status,
    },
    Command {
        names: &["load", "sysload", "system load", "load average", "load averages"],
        argument: "",
        help: "load averages over 1, 5 and 15 minutes",
        run: machine::load,
    },
    Command {
        names: &["cpu", "cpu usage", "processor"],
        argument: "",
        help: "what the CPUs do: idle, user, system, waiting for I/O, stolen",
        run: machine::cpu,
    },
    Command { names: &["cpus", "cpu count"], argument: "", help: "number of CPUs", run: machine::cpus },
    Command {
        names: &["memory", "free memory", "ram", "free ram", "free", "mem", "memory usage"],
        argument: "",
        help: "memory used, available and total",
        run: machine::memory,
    },
    Command {
        names: &["disk", "disk usage", "storage", "disks", "df", "disk space"],
        argument: "[mount]",
        help: "used, free and total space of every mounted file system, or of one",
        run: machine::disk,
    },
    Command {
        names: &[
            "temperature",
            "system temperature",
            "system temp",
            "temp",
            "overheating",
            "core temperature",
            "core temp",
            "temperatures",
            "sensors",
        ],
        argument: "",
        help: "every temperature sensor, in Celsius and Fahrenheit",
        run: machine::temperature,
    },
    Command {
        names: &[
            "traffic",
            "network traffic",
            "traffic volume",
            "network stats",
            "traffic stats",
            "traffic count",
            "network",
        ],
        argument: "",
        help: "bytes sent and received by each network interface since boot",
        run: machine::traffic,
    },
    Command {
        names: &["top processes", "busy processes", "busiest processes", "top", "processes", "ps"],
        argument: "[how many]",
        help: "the busiest processes, measured over one second",
        run: machine::top,
    },
    Command {
        names: &["uptime", "up"],
        argument: "",
        help: "how long the machine has been up",
        run: machine::uptime,
    },
    Command {
        names: &["info", "uname", "system info", "host", "hostname", "kernel"],
        argument: "",
        help: "host name, system, kernel, build and architecture",
        run: machine::info,
    },
    Command {
        names: &["ip", "local ip", "local addr", "local address", "local ip address"],
        argument: "",
        help: "the local address, that of the default route",
        run: machine::local_address,
    },
    Command {
        names: &[
            "public ip",
            "ip address",
            "ip addr",
            "public ip address",
            "addr",
            "public address",
            "public addr",
            "external ip",
        ],
        argument: "",
        help: "the public address, as an address service sees it",
        run: machine::public,
    },
    Command {
        names: &["date", "time", "local date", "local time", "datetime", "local datetime"],
        argument: "",
        help: "local date and time",
        run: machine::date,
    },
    Command { names: &["alerts", "alarms"], argument: "", help: "alerts that are open", run: alerts::alerts },
    Command {
        names: &["why"],
        argument: "number",
        help: "what an open alert was judged by",
        run: alerts::why,
    },
    Command {
        names: &["ack", "acknowledge"],
        argument: "[number]",
        help: "I know: no repeats of one alert, or of all, until it resolves",
        run: alerts::acknowledge,
    },
    Command {
        names: &["mute"],
        argument: "series or all, for a span",
        help: "record alerts but do not tell them: \"mute disk for 2h\"",
        run: alerts::mute,
    },
    Command { names: &["unmute"], argument: "[series]", help: "end one mute, or all", run: alerts::unmute },
    Command { names: &["mutes"], argument: "", help: "what is muted, and until when", run: alerts::mutes },
    Command {
        names: &["trends", "trend"],
        argument: "[series]",
        help: "how far the newest values lie from their own history",
        run: overview::trends,
    },
    Command {
        names: &["services"],
        argument: "",
        help: "the watched services: state, process, restarts this week, memory and CPU",
        run: services::services,
    },
    Command {
        names: &["service"],
        argument: "name, and perhaps: stop watching, watch",
        help: "one watched service; \"service web stop watching\" leaves it alone for your own work on it",
        run: services::service,
    },
    Command {
        names: &["restart"],
        argument: "service",
        help: "end a watched service if it runs, and start it",
        run: services::restart,
    },
    Command {
        names: &["stop watching"],
        argument: "service",
        help: "neither tell of a service nor start it, until \"watch\"",
        run: services::stop,
    },
    Command {
        names: &["watch", "start watching", "resume watching"],
        argument: "service",
        help: "watch a service again",
        run: services::watch,
    },
];

/// Whether a line says nothing and gets no reply: blanks, dots, and what a bridge says that has no command.
#[must_use]
pub fn is_silence(line: &str) -> bool {
    fold::is_silence(line)
}

/// Answers a line, cleaned of control characters before.
#[must_use]
pub fn answer(state: &State, now: &LocalTime, from: &Address, line: &str) -> Answer {
    match fold::understand(line) {
        Some((command, argument)) => (command.run)(&Ask { state, now, from, argument: &argument }),
        None => help::suggest(line),
    }
}

/// The answer to "public ip", from what a fetch just told.
#[must_use]
pub fn public_address(state: &State, now: &LocalTime, result: &Result<IpAddr, String>) -> String {
    machine::public_address(state, now, result)
}

/// The answer to "top processes", from what two readings gave.
#[must_use]
pub fn top_processes(state: &State, now: &LocalTime, processes: &[Process], count: u8) -> String {
    machine::top_processes(state, now, processes, count)
}
