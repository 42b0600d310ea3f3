//! The daemon's own log: for people on a terminal, for the journal with fields, else in lines on stderr.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
};

use systembot_config::LogLevel;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    layer::{Context, SubscriberExt},
    reload,
};

use crate::{
    clock::{Clock, SystemClock},
    journal::{Journal, Line},
};

/// Fields that are there to find lines by, and are not written into the text.
const UNWRITTEN: [&str; 2] = ["seq", "alert"];

/// How lines begin.
#[derive(Debug)]
enum Style {
    /// `<4>` as sd-daemon(3) has it, where the journal's own socket takes no line; the journal knows the time.
    Journal(Option<Journal>),
    /// `11:23:54 WARN`, coloured.
    Terminal,
    /// `2026-11-22T11:23:54.000Z WARN`.
    File,
}

/// How much is logged.
#[derive(Debug)]
pub struct Verbosity(reload::Handle<Targets, Registry>);

impl Verbosity {
    /// From now on logs lines of this level and graver.
    pub fn set(&self, level: LogLevel) {
        // Fails where another logger is in force, whose level is not ours.
        let _ = self.0.reload(targets(level));
    }
}

/// Logs lines of this level and graver.
pub fn begin(level: LogLevel) -> Verbosity {
    let style = if is_journal() {
        Style::Journal(Journal::new().ok())
    } else if io::stderr().is_terminal() {
        Style::Terminal
    } else {
        Style::File
    };
    let (filter, handle) = reload::Layer::new(targets(level));
    // Only a second call can fail, and then the first one holds.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(filter).with(style));
    Verbosity(handle)
}

/// Libraries below us may speak of what goes wrong, never of what they carry.
fn targets(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    Targets::new().with_default(Level::ERROR).with_target("systembot", level)
}

/// Whether stderr is the journal's stream: device and inode as `JOURNAL_STREAM` of systemd.exec(5) names them. A
/// shell below a unit inherits the variable, but not the stream.
fn is_journal() -> bool {
    let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    rustix::fs::fstat(io::stderr())
        .is_ok_and(|stream| named == format!("{}:{}", stream.st_dev, stream.st_ino))
}

impl<S: Subscriber> Layer<S> for Style {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        let (priority, colour) = match level {
            Level::ERROR => (3, "31"),
            Level::WARN => (4, "33"),
            Level::INFO => (6, "32"),
            _ => (7, "2"),
        };
        let mut parts = Parts::default();
        event.record(&mut parts);
        let text = parts.text();
        let line = match self {
            Self::Journal(journal) => {
                let line = Line { priority, message: &text, fields: &parts.fields };
                if journal.as_ref().is_some_and(|journal| journal.send(&line).is_ok()) {
                    return;
                }
                format!("<{priority}>{text}\n")
            }
            Self::File => format!("{} {level} {text}\n", SystemClock.now().rfc3339()),
            Self::Terminal if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) => {
                format!("{} {level:5} {text}\n", clock_face())
            }
            Self::Terminal => format!("{} \x1b[{colour}m{level:5}\x1b[0m {text}\n", clock_face()),
        };
        // There is nobody left to tell where this fails.
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

/// Local time of day.
fn clock_face() -> String {
    let full = SystemClock.local().civil_full();
    full.split(' ').nth(2).unwrap_or_default().to_owned()
}

/// The message of an event, and its fields. A line break in either would forge a line of its own.
#[derive(Default)]
struct Parts {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Parts {
    /// The message with its fields behind it.
    fn text(&self) -> String {
        let written = self.fields.iter().filter(|(name, _)| !UNWRITTEN.contains(name));
        written.fold(self.message.clone(), |text, (name, value)| format!("{text} {name}={value}"))
    }
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}").replace('\n', " | ");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.fields.push((field.name(), text));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{}", value.escape_debug()));
    }
}
