//! The daemon's own log on stderr: for people on a terminal, with journal priorities under systemd.

use std::{fmt, io::IsTerminal};

use systembot_config::LogLevel;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    filter::Targets,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::SubscriberExt,
    registry::LookupSpan,
};

use crate::clock::{Clock, SystemClock};

/// How lines begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `<4>` as sd-daemon(3) has it; the journal knows the time.
    Journal,
    /// `11:23:54 WARN`, coloured.
    Terminal,
    /// `2026-11-22T11:23:54.000Z WARN`.
    File,
}

/// Sends log lines of this level and graver to stderr.
pub fn begin(level: LogLevel) {
    let style = if is_journal() {
        Style::Journal
    } else if std::io::stderr().is_terminal() {
        Style::Terminal
    } else {
        Style::File
    };
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    // Libraries below us may speak of what goes wrong, never of what they carry.
    let targets = Targets::new().with_default(Level::ERROR).with_target("systembot", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).event_format(Lines(style));
    let subscriber = tracing_subscriber::registry().with(targets).with(lines);
    // Only a second call can fail, and then the first one holds.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Whether stderr is the journal's socket: device and inode as `JOURNAL_STREAM` of systemd.exec(5) names them. A
/// shell below a unit inherits the variable, but not the stream.
fn is_journal() -> bool {
    let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    rustix::fs::fstat(std::io::stderr())
        .is_ok_and(|stream| named == format!("{}:{}", stream.st_dev, stream.st_ino))
}

struct Lines(Style);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        let (priority, colour) = match level {
            Level::ERROR => (3, "31"),
            Level::WARN => (4, "33"),
            Level::INFO => (6, "32"),
            _ => (7, "2"),
        };
        match self.0 {
            Style::Journal => write!(writer, "<{priority}>")?,
            Style::File => write!(writer, "{} {level} ", SystemClock.now().rfc3339())?,
            Style::Terminal if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) => {
                write!(writer, "{} {level:5} ", clock_face())?;
            }
            Style::Terminal => write!(writer, "{} \x1b[{colour}m{level:5}\x1b[0m ", clock_face())?,
        }
        let mut parts = Parts::default();
        event.record(&mut parts);
        writeln!(writer, "{}{}", parts.message, parts.fields)
    }
}

/// Local time of day.
fn clock_face() -> String {
    let full = SystemClock.local().civil_full();
    full.split(' ').nth(2).unwrap_or_default().to_owned()
}

/// The message of an event, and its fields behind it. A line break in either would forge a line of its own.
#[derive(Default)]
struct Parts {
    message: String,
    fields: String,
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}").replace('\n', " | ");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.fields += &format!(" {}={text}", field.name());
        }
    }
}
