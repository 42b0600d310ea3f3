//! The command line as clap reads it, and nothing else.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// What SERIES, T and D may be; shown below the help of the commands that take them.
const SERIES_HELP: &str = "\
SERIES is an exact id (load1, 'disk_used_percent{mount=\"/\"}'), a metric's name, a glob ('disk_*'), or a word: \
load, cpu, memory, disk, traffic, temperature, pressure, processes.";

const TIME_HELP: &str = "\
T is a moment: RFC 3339 (2026-11-22T11:30:00Z), a local date and time ('2026-11-22 11:30'), a span back (90s, 2h, \
7d, 1h30m), or words: now, today, yesterday 14:00, 3am, noon, midnight, monday, friday 9am, last night (20:00 of \
the day before), 20 nov, @1795346634. A day or a time alone is the latest one that has passed. D is a span: 90s, \
5m, 2h, 1d, 1w; a day in it is 24 hours.";

/// Joins the texts of a command's long help.
macro_rules! help {
    ($($text:expr),+ $(,)?) => {
        [$($text),+].join("\n\n")
    };
}

/// Watches this machine, remembers everything, and answers its owner.
#[derive(Debug, Parser)]
#[command(
    name = "systembot",
    bin_name = "systembot",
    version,
    max_term_width = 110,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "\
Examples:
  systembot run                        watch this machine, on defaults
  systembot status                     one screen about everything
  systembot ask load                   ask as you would in chat
  systembot history load1 --since 2h --chart
  systembot history disk --since monday --step 1d --format csv

Exit codes: 0 done, 1 nothing found or a check that failed, 2 a mistake or an error."
)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const GLOBAL: &str = "Options of every command";

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Configuration file: systembot.toml, or a system_bot.conf as it is
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    pub config: Option<PathBuf>,
    /// Directory that holds the log
    #[arg(long, global = true, value_name = "DIR", help_heading = GLOBAL)]
    pub data_dir: Option<PathBuf>,
    /// Form of the output: table, json (one object a line) or csv
    #[arg(long, global = true, value_enum, default_value_t, help_heading = GLOBAL, hide_possible_values = true)]
    pub format: Format,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// One object a line
    Json,
    /// With a header line
    Csv,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch this machine: the daemon, in the foreground
    #[command(after_help = "\
With no configuration at all it runs on defaults: it samples every 15 seconds, keeps the log, judges it, and \
shows alerts here. Ctrl-C ends it in good order; nothing that was recorded is ever lost.")]
    Run,
    /// Asks one question.
    #[command(flatten)]
    Question(Question),
    /// Read and check every record, and compute every alert again
    #[command(after_help = "\
Exit code 1 means that there are faults; each is named with its number. Alerts whose samples, settings or rule \
are no longer in the log are counted and are no fault.")]
    Verify,
    /// List every record that is no sample
    #[command(after_help = help!("\
Examples:
  systembot events --since today
  systembot events --kind alert_fired,alert_resolved --since 30d
  systembot events --follow --format json", TIME_HELP))]
    Events(Events),
    /// Start a watched service, and tell how that ends; one that runs is ended first
    #[command(after_help = "\
Needs the daemon. Waits until the service has come up or failed to; exit code 1 means that it failed.

Examples:
  systembot restart web
  systembot restart web --no-wait")]
    Restart {
        /// Its name
        #[arg(required = true)]
        service: Vec<String>,
        /// Do not wait for the end of it
        #[arg(long)]
        no_wait: bool,
    },
    /// Talk with the bot, line by line
    #[command(after_help = "\
A prompt over `ask`; `exit`, `quit` or the end of the input leaves.

Examples:
  systembot chat
  printf 'load\\nuptime\\n' | systembot chat")]
    Chat,
    /// Load history from a file: CSV, JSON lines, or what `sadf -d` prints of sar's
    #[command(after_help = "\
The form is seen by the first line. CSV: the first column is `timestamp` (RFC 3339, `YYYY-MM-DD HH:MM:SS` in UTC, or \
Unix seconds or milliseconds), ascending; every other column is a series, named by its id; an empty cell is no \
sample. What `export` prints as CSV or JSON is read too. Mistakes are told with their line before anything is loaded, \
and nothing is loaded over samples that are there. An import that was cut off goes on where it stopped when it is \
started again.

Examples:
  systembot import old.csv
  systembot export > all.csv; systembot --data-dir other import all.csv
  sadf -d /var/log/sysstat/sa24 -- -A > sa24.csv; systembot import sa24.csv

A CSV file:
  timestamp,load1,\"disk_used_percent{mount=\"\"/\"\"}\"
  2026-11-22 10:00:00,0.31,48.2
  2026-11-22 10:00:15,0.29,")]
    Import {
        /// The file
        file: PathBuf,
    },
    /// Copy the whole log into one file, with the daemon running or not
    #[command(after_help = "\
The file is a log as it is at one moment; all of it is in there: samples, alerts, messages, imported history. It is \
written beside its name first and replaces a file of that name when it is whole. `-` is standard output.

Examples:
  systembot backup systembot.backup
  systembot backup - | ssh nas 'cat > systembot.backup'
  sudo systembot --data-dir /var/lib/systembot backup - > systembot.backup")]
    Backup {
        /// The file to write
        file: PathBuf,
    },
    /// Make a log from a backup, in a data directory that has none
    #[command(after_help = "\
Every part of the file is checked, and then the log, as `verify` does; only then it is moved to its place, \
DIR/log. A file that is damaged or cut off is refused and leaves nothing behind. A log that is there is never \
written over: stop the daemon and move it away first. `-` is standard input.

Examples:
  systembot restore systembot.backup
  systembot --data-dir look restore systembot.backup && systembot --data-dir look status")]
    Restore {
        /// The backup
        file: PathBuf,
        /// Restore also a log that had faults when it was copied
        #[arg(long)]
        faulty: bool,
    },
    /// Run the detector over a CSV file, strictly online
    #[command(after_help = "\
Reads `timestamp,value` (`-` is standard input) and prints `timestamp,value,score,alert`: the score lies in \
0 to 1, alert is 0 or 1. No line looks at those after it.

Example: systembot detect load.csv | grep ',1$'")]
    Detect {
        /// A CSV file of two columns, timestamp and value
        #[arg(value_name = "FILE.csv")]
        file: PathBuf,
    },
    /// Check, show or convert a configuration file
    #[command(subcommand)]
    Config(Config),
    /// Have systemd run the bot, from now on and at each start
    #[command(after_help = "\
Writes the unit, with the path of this program and the configuration that --config names, and enables it. It says \
what it did, or which command failed and what to type by hand. A unit that you changed is not overwritten.

Examples:
  systembot install --user                         as you, also while you are not logged in
  systembot install --user --config ~/system_bot.conf
  sudo systembot install --system                  as a user of its own, hardened
  systembot install --user --dry-run               only tell what it would do")]
    Install(Unit),
    /// Undo `install`, and leave the log
    #[command(after_help = "Example: systembot uninstall --user")]
    Uninstall(Unit),
    /// Check everything around the bot, and say how to mend what is wrong
    #[command(after_help = "\
Looks at the configuration, the data directory, the daemon, the log, the bridge, the clock, the sensors, the watched \
services and the systemd units. It changes nothing and takes no command off the bridge. Exit code 1 means that \
something failed; warnings are no failure.

Examples:
  systembot doctor
  sudo systembot --data-dir /var/lib/systembot doctor        the system's service, as its user")]
    Doctor,
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  systembot completions bash > ~/.local/share/bash-completion/completions/systembot
  systembot completions fish > ~/.config/fish/completions/systembot.fish")]
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example: systembot man | man -l -")]
    Man,
}

/// `install` and `uninstall`
#[derive(Clone, Debug, Args)]
pub struct Unit {
    /// For whom.
    #[command(flatten)]
    pub scope: Scope,
    /// Overwrite or remove also a unit that was changed
    #[arg(long)]
    pub force: bool,
    /// Only tell what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Work on the system below this directory, which does not run: an image, say
    #[arg(long, value_name = "DIR", conflicts_with = "user")]
    pub root: Option<PathBuf>,
}

/// Whose unit is meant: one of the two.
#[derive(Clone, Copy, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Scope {
    /// A unit of your own
    #[arg(long)]
    pub user: bool,
    /// A unit of the machine
    #[arg(long)]
    pub system: bool,
}

/// Commands that are one question to one source.
#[derive(Debug, Subcommand)]
pub enum Question {
    /// Ask one thing, as in chat
    #[command(after_help = "\
Examples:
  systembot ask load
  systembot ask top 3 processes
  systembot ask help

Exit code 1 means that the line was not understood.")]
    Ask {
        /// The line, as it would be written in chat
        #[arg(required = true, value_name = "TEXT")]
        text: Vec<String>,
    },
    /// Show one screen about everything
    #[command(after_help = "\
Examples:
  systembot status
  systembot --format json status | jq .open_alerts")]
    Status,
    /// List the series in the log
    #[command(after_help = "\
Tells of each series its id, unit, first and last time, samples and bytes. An id may be given to `history` as it is.")]
    Series,
    /// List the watched services: state, process, restarts of the week, memory and CPU
    #[command(after_help = "\
States: running, unhealthy (its check fails), starting, missing, given_up (started too often), not_watched, unknown.
`systembot ask \"service NAME stop watching\"` leaves one alone, `systembot ask \"watch NAME\"` ends that.")]
    Services,
    /// Show samples, or buckets of them
    #[command(after_help = help!("\
Examples:
  systembot history load1                                  the last hour
  systembot history load --since 'yesterday 14:00' --until 'yesterday 15:00'
  systembot history disk --since 30d --step 1d --agg mean,max
  systembot history temperature --since 'last night' --chart", SERIES_HELP, TIME_HELP))]
    History(History),
    /// Show the window of every series: what a trend is judged by
    #[command(after_help = help!("\
Example: systembot trends load disk_used_percent", SERIES_HELP))]
    Trends {
        /// Which series; all if none is named
        #[arg(value_name = "SERIES")]
        series: Vec<String>,
    },
    /// List alerts, oldest first
    #[command(after_help = help!("\
Examples:
  systembot alerts --open
  systembot alerts --since 7d --format json", TIME_HELP))]
    Alerts {
        /// Only those that fired since, or are open still
        #[arg(long, value_name = "T", allow_hyphen_values = true)]
        since: Option<String>,
        /// Only those that are firing
        #[arg(long)]
        open: bool,
    },
    /// Explain an alert: what was measured, and what it was judged by
    #[command(after_help = "Example: systembot why 12\n\nExit code 1 means that no alert has this number.")]
    Why {
        /// Its number, as at the end of its message: 12 or #12
        #[arg(value_parser = alert_id)]
        id: u64,
    },
    /// Acknowledge an alert: no more repeats until it resolves
    #[command(after_help = "\
Examples:
  systembot ack 12
  systembot ack                        all that are open")]
    Ack {
        /// Its number, 12 or #12; what is open if left out
        #[arg(value_parser = alert_id)]
        id: Option<u64>,
    },
    /// Record alerts of some series without telling them
    #[command(after_help = help!("\
Examples:
  systembot mute load --for 2h
  systembot mute all --until 'tomorrow 8:00'", SERIES_HELP, "\
D is a span: 90s, 5m, 2h, 1d, 1w. T is a moment to come: 18:00, tomorrow, friday 9am, '2026-11-23 08:00'."))]
    Mute {
        /// Which series, or `all`
        #[arg(value_name = "SERIES|all")]
        series: String,
        /// For how long
        #[arg(long = "for", value_name = "D", required_unless_present = "until", conflicts_with = "until")]
        span: Option<String>,
        /// Until when
        #[arg(long, value_name = "T", allow_hyphen_values = true)]
        until: Option<String>,
    },
    /// Tell alerts again
    #[command(after_help = "\
Examples:
  systembot unmute load
  systembot unmute                     all that is muted")]
    Unmute {
        /// What was muted; everything if left out
        series: Option<String>,
    },
    /// Print the log as CSV, JSON lines or OpenMetrics text
    #[command(after_help = help!("\
Examples:
  systembot export --since 30d > month.csv
  systembot export --as openmetrics > metrics.om
  promtool tsdb create-blocks-from openmetrics metrics.om blocks

CSV and JSON can be imported again and give the same samples.", TIME_HELP))]
    Export {
        /// Form of the output: csv, json or openmetrics [default: that of --format, csv for table]
        #[arg(long = "as", value_enum, value_name = "FORM", hide_possible_values = true)]
        form: Option<ExportForm>,
        /// First moment [default: all]
        #[arg(long, value_name = "T", allow_hyphen_values = true)]
        since: Option<String>,
        /// The moment after the last
        #[arg(long, value_name = "T", allow_hyphen_values = true)]
        until: Option<String>,
    },
}

/// `history`
#[derive(Clone, Debug, Args)]
pub struct History {
    /// Which series
    #[arg(required = true, value_name = "SERIES")]
    pub series: Vec<String>,
    /// First moment
    #[arg(long, value_name = "T", default_value = "1h", allow_hyphen_values = true)]
    pub since: String,
    /// The moment after the last
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// Buckets of this length instead of single samples; whole days begin at local midnight
    #[arg(long, value_name = "D")]
    pub step: Option<String>,
    /// What to tell of each bucket: any of mean, min, max, last, count
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "mean,min,max,count",
        hide_possible_values = true
    )]
    pub agg: Vec<Aggregate>,
    /// Only the newest N rows
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Draw it in the terminal
    #[arg(long)]
    pub chart: bool,
}

/// A figure of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Aggregate {
    /// Mean value
    Mean,
    /// Least value
    Min,
    /// Greatest value
    Max,
    /// Newest value
    Last,
    /// Number of samples
    Count,
}

/// `events`
#[derive(Clone, Debug, Default, Args)]
pub struct Events {
    /// First moment [default: all]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// The moment after the last
    #[arg(long, value_name = "T", conflicts_with = "follow")]
    pub until: Option<String>,
    /// Only this kind; may be given again, or several with commas between
    #[arg(long = "kind", value_name = "K", value_delimiter = ',')]
    pub kinds: Vec<String>,
    /// Go on with what is recorded from now on, until interrupted
    #[arg(long)]
    pub follow: bool,
}

/// Form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportForm {
    /// `time,series,value`
    Csv,
    /// One object a line
    Json,
    /// OpenMetrics text, for Prometheus and its like
    Openmetrics,
}

/// `config`
#[derive(Debug, Subcommand)]
pub enum Config {
    /// List every mistake with its line and key
    #[command(after_help = "\
Prints FILE:LINE: KEY: what is wrong, a line each. Exit code 1 means that there is any; warnings are none.")]
    Check {
        /// The file; the one in force if left out
        file: Option<PathBuf>,
    },
    /// Print the settings in force, passwords hidden
    #[command(after_help = "Example: systembot --config system_bot.conf config show")]
    Show {
        /// The file; the one in force if left out
        file: Option<PathBuf>,
    },
    /// Turn a system_bot.conf into systembot.toml, printed with its passwords
    #[command(after_help = "Example: systembot config import system_bot.conf > systembot.toml")]
    Import {
        /// The file
        file: PathBuf,
    },
}

/// An alert's number as people copy it from a message.
fn alert_id(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    digits.parse().map_err(|_| "is no number of an alert: give it as 12 or '#12'".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_manual_is_read() {
        for line in [
            "run --config a.toml --data-dir d",
            "ask top 3 processes",
            "chat",
            "--format json status",
            "series --format csv",
            "history load1 disk_* --since 2h --until now --step 5m --agg mean,last --limit 3",
            "history load1 --chart",
            "trends",
            "trends load",
            "alerts --since 7d --open",
            "why 12",
            "ack",
            "ack 12",
            "mute all --for 2h",
            "mute load --until 18:00",
            "unmute",
            "unmute load",
            "events --since T --until T --kind heard --kind started,stopped",
            "events --follow",
            "services",
            "restart web --no-wait",
            "detect a.csv",
            "import a.csv",
            "export --as openmetrics --since 1d --until now",
            "verify",
            "backup a.backup",
            "backup -",
            "restore a.backup --faulty",
            "config check",
            "config check a.toml",
            "config show",
            "config import system_bot.conf",
            "install --user --config system_bot.conf",
            "install --system --root image --dry-run --force",
            "uninstall --user",
            "doctor",
            "completions zsh",
            "man",
        ] {
            let words = std::iter::once("systembot").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn mistakes_are_refused() {
        for line in [
            "",
            "history",
            "mute load",
            "mute load --for 2h --until 3pm",
            "why",
            "why twelve",
            "history load1 --agg median",
            "history load1 --limit -1",
            "export --as xml",
            "install",
            "install --user --system",
            "uninstall --user --root image",
            "status --format yaml",
            "completions csh",
            "config",
            "start",
        ] {
            let words = std::iter::once("systembot").chain(line.split_whitespace());
            assert!(Cli::try_parse_from(words).is_err(), "{line}");
        }
    }

    #[test]
    fn aggregates_come_in_the_order_asked_for() {
        let cli = Cli::try_parse_from(["systembot", "history", "load1", "--agg", "count,mean"]);
        let Ok(Cli { command: Command::Question(Question::History(history)), .. }) = cli else {
            panic!("{cli:?}")
        };
        assert_eq!(history.agg, [Aggregate::Count, Aggregate::Mean]);
        let cli = Cli::try_parse_from(["systembot", "history", "load1"]);
        let Ok(Cli { command: Command::Question(Question::History(history)), .. }) = cli else {
            panic!("{cli:?}")
        };
        assert_eq!(history.agg, [Aggregate::Mean, Aggregate::Min, Aggregate::Max, Aggregate::Count]);
    }

    #[test]
    fn the_number_of_an_alert_is_taken_as_its_message_has_it() {
        assert_eq!((alert_id("12"), alert_id("#12")), (Ok(12), Ok(12)));
        assert!(["", "#", "##1", "-1", "disk"].iter().all(|text| alert_id(text).is_err()));
    }
}
