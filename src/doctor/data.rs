//! The data directory, the daemon, the log in it, and the room that it has.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::Access;
use systembot_cli::{Checkup, Finding};
use systembot_config::Settings;
use systembot_model::{
    Address, Event, Record, Seq, Timestamp,
    render::{bytes, span},
};
use systembot_storage::{
    Error, KEPT_PREFIX, Log,
    query::{self, Request, Row, Sink, Status},
    remote::{Client, RemoteError},
};

use super::settings::own_name;
use crate::{clock::Clock, collect::Usage};

/// Room below which nothing else matters: sled itself wants to grow by some MiB at a time.
const ROOM_LEAST: u64 = 64 * 1024 * 1024;
/// Intervals after which the newest sample is late.
const LATE_INTERVALS: u32 = 3;
/// A pass may take this much longer, or a start.
const LATE_GRACE: Duration = Duration::from_secs(10);

/// Where the system's service keeps its log, as its unit says.
const SYSTEM_DIR: &str = "/var/lib/systembot";

/// What was learned of the daemon and its log, for the checks that follow.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// What the log tells, from the daemon or read by this process.
    pub(super) status: Option<Status>,
    /// Whether a daemon answers.
    pub(super) is_running: bool,
    /// Where the daemon looks for programs: under systemd not where a shell does.
    pub(super) path: Option<OsString>,
    /// When a command came through the bridge last, of late: then the bridge knows the bot's name.
    pub(super) heard_at: Option<Timestamp>,
}

impl Known {
    /// The moment of the newest sample.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.status.as_ref()?.latest.iter().map(|(_, at, _)| *at).max()
    }
}

/// So far back commands are looked for.
const HEARD_WITHIN_MS: i64 = 30 * 86_400_000;

/// Learns from whoever answers questions about the log.
fn learn(
    clock: &dyn Clock,
    known: &mut Known,
    ask: &mut dyn FnMut(&Request, Sink<'_>) -> Result<(), String>,
) -> Result<(), String> {
    ask(&Request::Status, &mut |row| {
        if let Row::Status(status) = row {
            known.status = Some(*status);
        }
        Ok(())
    })?;
    let now = clock.now();
    let heard = Request::Events {
        since: Timestamp::from_ms(now.as_ms().saturating_sub(HEARD_WITHIN_MS)),
        until: now,
        kinds: vec!["heard".to_owned()],
        after: Seq::ZERO,
    };
    ask(&heard, &mut |row| {
        if let Row::Event(record) = row
            && let Record { at, event: Event::Heard { from, .. }, .. } = *record
            && from == Address::bridge()
        {
            known.heard_at = Some(at);
        }
        Ok(())
    })
}

/// The directory: there, this user's, closed to others, writable.
pub(super) fn directory(checkup: &Checkup<'_>) -> Finding {
    const CHECK: &str = "data directory";
    let dir = match &checkup.data_dir {
        Ok(dir) => dir,
        Err(error) => {
            let mend = "systembot --data-dir DIR doctor".to_owned();
            return Finding::failed(CHECK, format!("{error:#}"), mend);
        }
    };
    let name = dir.display();
    if let Err(error) = &checkup.access {
        let mend = format!("sudo systembot --data-dir {name} doctor");
        return Finding::failed(CHECK, format!("{error:#}"), mend);
    }
    let found = match fs::metadata(dir) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return not_there(CHECK, dir),
        Err(error) => return Finding::failed(CHECK, format!("{name}: {error}"), None),
    };
    let mode = found.permissions().mode() & 0o777;
    if rustix::fs::access(dir, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let found = format!("{name} cannot be written by {}: its mode is {mode:04o}", own_name());
        return Finding::failed(CHECK, found, format!("chmod 700 {name}"));
    }
    if mode & 0o077 != 0 {
        let found = format!("{name} is open to others: its mode is {mode:04o}");
        return Finding::warning(CHECK, found, format!("chmod 700 {name}"));
    }
    Finding::ok(CHECK, format!("{name} is {}'s alone", own_name()))
}

/// A directory that the first run makes: can it?
fn not_there(check: &str, dir: &Path) -> Finding {
    let parent = existing(dir);
    if rustix::fs::access(parent, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let found = format!("{} is not there, and {} cannot make it", dir.display(), own_name());
        let mend = format!("sudo install -d -m 700 -o {} {}", own_name(), dir.display());
        return Finding::failed(check, found, mend);
    }
    Finding::ok(check, format!("{} is not there yet: the first run makes it", dir.display()))
}

/// The nearest directory on the way to one that is there.
fn existing(dir: &Path) -> &Path {
    dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"))
}

/// Whether a daemon runs, and whether the log can be read and grows.
pub(super) fn daemon_and_log(
    dir: &Path,
    settings: &Settings,
    config: Option<&Path>,
    clock: &dyn Clock,
) -> (Known, Vec<Finding>) {
    const CHECK: &str = "daemon";
    let socket = dir.join("control.sock");
    let mut client = match Client::connect(&socket) {
        Ok(client) => client,
        Err(RemoteError::NoDaemon { .. } | RemoteError::Closed) => return without_daemon(dir, clock),
        Err(error @ RemoteError::Version { .. }) => {
            let found = Finding::failed(CHECK, error.to_string(), restart());
            return (Known { is_running: true, ..Known::default() }, vec![found]);
        }
        Err(error) => {
            let found = format!("{}: {error}", socket.display());
            let found = Finding::failed(CHECK, found, restart());
            return (Known { is_running: true, ..Known::default() }, vec![found]);
        }
    };
    let pid = client.daemon_pid().map_or_else(String::new, |pid| format!(", pid {pid}"));
    let path = client.daemon_pid().and_then(path_of);
    let mut known = Known { is_running: true, path, ..Known::default() };
    let asked = learn(clock, &mut known, &mut |request, sink| {
        client.ask(request, sink).map_err(|error| error.to_string())
    });
    let Some(status) = &known.status else {
        let why = asked.err().unwrap_or_else(|| "an answer of another version".to_owned());
        // What was read meanwhile waits for room, and would be lost.
        let mend = match Usage::read(existing(dir)) {
            Ok(usage) if is_full(&usage) => "make room, do not restart it: it goes on by itself".to_owned(),
            Ok(_) | Err(_) => restart(),
        };
        let found = Finding::failed(CHECK, format!("it runs{pid}, and does not answer: {why}"), mend);
        return (known, vec![found]);
    };
    if let Some(problem) = &status.problem {
        // What was read meanwhile waits in its memory, and would be lost.
        let mend = "make room, do not restart it: it goes on by itself".to_owned();
        let found =
            Finding::failed(CHECK, format!("it runs{pid}, and cannot write its log: {problem}"), mend);
        return (known, vec![found]);
    }
    let own = env!("CARGO_PKG_VERSION");
    let config = config.map(|file| file.display().to_string());
    let daemon = if status.version != own {
        let found = format!("version {} runs{pid}, this program is {own}", status.version);
        Finding::warning(CHECK, found, restart())
    } else if status.config != config {
        let file = |file: &Option<String>| file.clone().unwrap_or_else(|| "no configuration".to_owned());
        let found = format!("it runs{pid} with {}, not with {}", file(&status.config), file(&config));
        Finding::warning(CHECK, found, restart())
    } else {
        Finding::ok(CHECK, format!("version {own} runs{pid}, and answers"))
    };
    let log = growing(&known, settings, clock);
    (known, vec![daemon, log])
}

/// The search path of a process, where this user may see it.
fn path_of(pid: impl std::fmt::Display) -> Option<OsString> {
    let variables = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let path = variables.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(b"PATH="))?;
    Some(OsStr::from_bytes(path).to_owned())
}

fn restart() -> String {
    "systemctl --user restart systembot, or sudo systemctl restart systembot".to_owned()
}

/// The log under a daemon: its newest sample must not be old.
fn growing(known: &Known, settings: &Settings, clock: &dyn Clock) -> Finding {
    const CHECK: &str = "log";
    let Some(newest) = known.newest() else {
        let mend = "wait for the first sample, and ask again".to_owned();
        return Finding::warning(CHECK, "no sample is in it yet", mend);
    };
    let age = clock.now().since(newest);
    let samples = known.status.as_ref().map_or(0, |status| status.samples);
    if age > settings.sample_interval * LATE_INTERVALS + LATE_GRACE {
        let found = format!(
            "the newest sample is {} old, at an interval of {}",
            span(age),
            span(settings.sample_interval)
        );
        return Finding::failed(
            CHECK,
            found,
            "journalctl -u systembot -n 50 (or what it wrote to stderr); then restart it".to_owned(),
        );
    }
    warned(&known.status)
        .unwrap_or_else(|| Finding::ok(CHECK, format!("{samples} samples, the newest {} old", span(age))))
}

/// What the log itself warns of.
fn warned(status: &Option<Status>) -> Option<Finding> {
    let warning = status.as_ref()?.warning.clone()?;
    let mend = "stop the daemon and move its data directory aside: it begins a new log".to_owned();
    Some(Finding::warning("log", warning, mend))
}

/// No daemon answers: whether the log can be opened, and who holds it.
fn without_daemon(dir: &Path, clock: &dyn Clock) -> (Known, Vec<Finding>) {
    const CHECK: &str = "log";
    let has_system_dir = fs::symlink_metadata(SYSTEM_DIR).is_ok() && dir != Path::new(SYSTEM_DIR);
    let start = match has_system_dir {
        true => format!(
            "systembot run; or look at the system's service: sudo systembot --data-dir {SYSTEM_DIR} doctor"
        ),
        false => "systembot run".to_owned(),
    };
    let idle = Finding::warning("daemon", "none runs: nothing is recorded", start);
    let log_dir = dir.join("log");
    if !log_dir.join("db").exists() {
        let is_empty = fs::read_dir(&log_dir).map_or(true, |mut entries| entries.next().is_none());
        let log = if is_empty && !dir.join("checkpoint").exists() {
            Finding::ok(CHECK, "none yet: the first run makes it")
        } else {
            let found = format!("{} is missing; a start tells what is lost", log_dir.join("db").display());
            let mend = "systembot run; or, where there is a backup: systembot --data-dir NEW restore FILE"
                .to_owned();
            Finding::failed(CHECK, found, mend)
        };
        return (Known::default(), vec![idle, log]);
    }
    let mut known = Known::default();
    let opened = Log::open(&log_dir).and_then(|log| {
        let (state, reader) = (log.load_state()?, log.reader());
        let mut failed = None;
        let learned = learn(clock, &mut known, &mut |request, sink| {
            query::answer(&reader, &state, request, sink).map_err(|error| {
                let text = error.to_string();
                failed = Some(error);
                text
            })
        });
        learned.or_else(|_| failed.map_or(Ok(()), Err))
    });
    let log = match opened {
        Ok(_) => {
            let age = known.newest().map(|newest| span(clock.now().since(newest)));
            let opens = match age {
                Some(age) => format!("opens; its newest sample is {age} old"),
                None => "opens; no sample is in it".to_owned(),
            };
            warned(&known.status).unwrap_or_else(|| Finding::ok(CHECK, opens))
        }
        Err(Error::Locked { .. }) => {
            let holder = holder(&log_dir.join("db"));
            let who = holder.as_ref().map_or_else(
                || "another process".to_owned(),
                |(pid, name)| format!("{name}, pid {pid}, which does not answer"),
            );
            let mend = match &holder {
                Some((pid, _)) => format!("ask again; if it goes on: kill {pid}"),
                None => "ask again in a minute".to_owned(),
            };
            let found = Finding::failed(CHECK, format!("it is held by {who}"), mend);
            return (known, vec![found]);
        }
        // What is damaged says itself what mends it.
        Err(error) => Finding::failed(CHECK, error.to_string(), None),
    };
    (known, vec![idle, log])
}

/// Number and name of the process that has a file open, among those that this user may look at.
fn holder(file: &Path) -> Option<(u32, String)> {
    let file = fs::canonicalize(file).ok()?;
    let own = std::process::id();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find_map(|pid| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
        let has_it =
            pid != own && open.map(|fd| fd.path()).any(|fd| fs::read_link(fd).is_ok_and(|to| to == file));
        has_it.then(|| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            (pid, name.trim().to_owned())
        })
    })
}

/// The damaged logs that were kept beside the one that was saved from them.
pub(super) fn damaged_logs(dir: &Path) -> Option<Finding> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let kept: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().as_bytes().starts_with(KEPT_PREFIX.as_bytes()))
        .map(|entry| entry.path())
        .collect();
    let newest = kept.iter().max()?;
    let taken = size_text(kept.iter().map(|kept| size(kept)).fold(0, u64::saturating_add));
    let many = if kept.len() == 1 { "one is".to_owned() } else { format!("{} are", kept.len()) };
    let found = format!("{many} kept, {taken}, the newest {}", newest.display());
    let mend = format!("once nobody wants to look at it: rm -r {}/{KEPT_PREFIX}*", dir.display());
    Some(Finding::warning("damaged logs", found, mend))
}

/// Whether the log has room to grow to its limit.
pub(super) fn disk_space(dir: &Path, settings: &Settings, known: &Known) -> Finding {
    let (log_dir, limit) = (dir.join("log"), settings.storage.max_size_bytes);
    let log_bytes = known.status.as_ref().map_or_else(|| size(&log_dir), |status| status.log_bytes);
    match Usage::read(existing(dir)) {
        Ok(usage) => room(usage, log_bytes, limit),
        Err(error) => Finding::failed("disk space", format!("{}: {error}", dir.display()), None),
    }
}

/// Whether there is too little room to write at all.
fn is_full(usage: &Usage) -> bool {
    let free = usage.available.saturating_mul(usage.block_bytes);
    free < ROOM_LEAST || (usage.inodes > 0 && usage.inodes_free == 0)
}

fn room(usage: Usage, log_bytes: u64, limit: u64) -> Finding {
    const CHECK: &str = "disk space";
    let free = usage.available.saturating_mul(usage.block_bytes);
    let growth = limit.saturating_sub(log_bytes);
    let figures = format!(
        "{} free; the log has {} and may grow to {} ([storage] max_size)",
        size_text(free),
        size_text(log_bytes),
        size_text(limit)
    );
    if is_full(&usage) {
        let mend = "free some: du -xh / | sort -h | tail".to_owned();
        return Finding::failed(CHECK, figures, mend);
    }
    if free < growth {
        return Finding::warning(CHECK, figures, "free some: du -xh / | sort -h | tail".to_owned());
    }
    Finding::ok(CHECK, figures)
}

fn size_text(count: u64) -> String {
    bytes(systembot_model::number::float(count))
}

/// Bytes of the files in a directory.
fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let sizes = paths.map(|path: PathBuf| match fs::symlink_metadata(&path) {
        Ok(found) if found.is_dir() => size(&path),
        Ok(found) => found.size(),
        Err(_) => 0,
    });
    sizes.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use systembot_cli::Verdict;

    use super::*;

    #[test]
    fn the_room_of_the_log() {
        const MIB: u64 = 1024 * 1024;
        let usage = |free_mib: u64, inodes_free| Usage {
            block_bytes: MIB,
            available: free_mib,
            inodes: 10,
            inodes_free,
            ..Usage::default()
        };
        let check = |free_mib, inodes_free, log_mib: u64, expected| {
            let finding = room(usage(free_mib, inodes_free), log_mib * MIB, 512 * MIB);
            assert_eq!(finding.verdict, expected, "{finding:?}");
        };
        check(512, 1, 0, Verdict::Ok);
        check(511, 1, 0, Verdict::Warning);
        check(64, 1, 448, Verdict::Ok);
        check(63, 1, 512, Verdict::Failed);
        check(9_999, 0, 0, Verdict::Failed);
    }
}
