//! How a watched service is found: by its command line, by its pidfile, or as a systemd unit.

use std::{
    fs::File,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::OFlags;
use systembot_model::{number, rules::Service, service::Seen};

use super::{
    Roots,
    file::Buffer,
    interpreter,
    process::{Stat, pids, user_id},
    unit::{Standing, Unit},
};
use crate::{account, clock::Clock};

/// Longest pidfile that is read: a number and a line end, with room for what some write behind it.
const PIDFILE_BYTES: usize = 64;

/// The process of a service that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Running {
    /// Which process.
    pub(crate) seen: Seen,
    /// What it uses; `None` for a unit without a main process.
    pub(crate) stat: Option<Stat>,
}

/// What a look at a service shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It runs.
    Found(Running),
    /// It does not.
    Missing,
    /// It cannot be told just now; why, where that is worth a note.
    Unknown(Option<String>),
}

/// Finds one service.
///
/// It was most likely found before: then its process is looked at first, and a look costs one command line. Command
/// lines change when a process becomes another program, so none is remembered.
pub(crate) struct Finder {
    pub(super) service: Service,
    proc: PathBuf,
    /// The user's number, once it is known.
    user: Option<u32>,
    /// Where it was found last.
    pub(super) pid: Option<u32>,
    /// When that process started, for a unit's: nothing else tells it from another of the same number.
    started: Option<u64>,
    /// The unit that it is.
    pub(super) unit: Option<Unit>,
}

impl Finder {
    /// Finds a service below these roots.
    pub(crate) fn new(roots: &Roots, service: Service) -> Self {
        let unit = service.unit.clone().map(|name| Unit { name, user: service.user.clone() });
        Self { service, proc: roots.proc.clone(), user: None, pid: None, started: None, unit }
    }

    /// How the service is found, in the words of its settings.
    pub(crate) fn criterion(&self) -> String {
        let user = self.service.user.as_ref().map_or_else(String::new, |user| format!(" of {user}"));
        match (&self.service.unit, &self.service.pidfile) {
            (Some(unit), _) => format!("unit {unit}{user}"),
            (None, Some(pidfile)) => format!("a process{user} by pidfile {pidfile}"),
            (None, None) => format!("a process{user} that matches \"{}\"", self.service.matches),
        }
    }

    /// Looks for it, reading whatever that takes; for a unit that is a question to systemctl.
    pub(crate) fn look(&mut self, roots: &Roots, clock: &dyn Clock, buffer: &mut Buffer) -> Look {
        if let Some(problem) = self.resolve_user() {
            return Look::Unknown(Some(problem));
        }
        if let Some(unit) = &self.unit {
            let standing = unit.ask();
            return self.of_unit(standing, clock, buffer);
        }
        let own = own_pid(&self.proc);
        if self.service.pidfile.is_some() {
            self.read_pidfile(buffer);
        } else if !self.is_at_last(own, buffer) {
            let others = pids(roots).into_iter().filter(|pid| Some(*pid) != own);
            self.pid = others.into_iter().find(|pid| self.is_it(*pid, buffer));
        }
        self.seen(clock, buffer).map_or(Look::Missing, Look::Found)
    }

    /// What a unit's standing means.
    pub(super) fn of_unit(&mut self, standing: Standing, clock: &dyn Clock, buffer: &mut Buffer) -> Look {
        (self.pid, self.started) = (None, None);
        match standing {
            Standing::Active(Some(pid)) => {
                self.pid = Some(pid);
                // Its main process may have ended since.
                let running = self.seen(clock, buffer);
                self.started = running.as_ref().map(|running| running.seen.started);
                running.map_or(Look::Unknown(None), Look::Found)
            }
            Standing::Active(None) => {
                let seen = Seen { pid: None, started: 0, since: clock.now() };
                Look::Found(Running { seen, stat: None })
            }
            Standing::Inactive => Look::Missing,
            Standing::Unknown(problem) => Look::Unknown(problem),
        }
    }

    /// Looks the user up, once; says what is wrong with it.
    pub(super) fn resolve_user(&mut self) -> Option<String> {
        let name = self.service.user.as_ref().filter(|_| self.user.is_none())?;
        self.user = account::number(name);
        if self.user.is_some() {
            None
        } else {
            Some(format!("there is no user {name}; it cannot be looked for"))
        }
    }

    /// Whether it still is where it was found last.
    pub(super) fn is_at_last(&mut self, own: Option<u32>, buffer: &mut Buffer) -> bool {
        let last = self.pid.filter(|pid| Some(*pid) != own);
        self.pid = last.filter(|pid| self.is_it(*pid, buffer));
        self.pid.is_some()
    }

    /// Whether a process is this service.
    pub(super) fn is_it(&self, pid: u32, buffer: &mut Buffer) -> bool {
        command_line(&self.proc, pid, buffer).is_some_and(|line| self.is_line(pid, &line, buffer))
    }

    /// Whether a process with this command line is this service.
    pub(super) fn is_line(&self, pid: u32, line: &[String], buffer: &mut Buffer) -> bool {
        // What has a pidfile may go without a text; what has neither is none that a process table could tell of.
        let is_like = if self.service.matches.trim().is_empty() {
            self.service.pidfile.is_some()
        } else {
            is_match(&self.service, line)
        };
        let status = || self.proc.join(pid.to_string()).join("status");
        is_like && self.user.is_none_or(|user| user_id(&status(), buffer) == Some(user))
    }

    /// Whether a process is this service, as far as a process table can tell.
    pub(crate) fn is_process(&mut self, pid: u32, buffer: &mut Buffer) -> bool {
        if self.unit.is_some() {
            return false;
        }
        if self.service.pidfile.is_some() {
            self.read_pidfile(buffer);
            return self.pid == Some(pid);
        }
        !self.service.matches.trim().is_empty() && self.is_it(pid, buffer)
    }

    /// Takes the process that the pidfile names, if it is there and can be it.
    pub(super) fn read_pidfile(&mut self, buffer: &mut Buffer) {
        self.pid = None;
        let Some(path) = &self.service.pidfile else { return };
        // A pipe in its place must not hold the pass up.
        let opened =
            File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path);
        let Ok(file) = opened else { return };
        if buffer.fill(&file).is_err() {
            return;
        }
        let head = buffer.content().get(..buffer.content().len().min(PIDFILE_BYTES)).unwrap_or_default();
        let number: Option<u32> =
            String::from_utf8_lossy(head).split_ascii_whitespace().next().and_then(|word| word.parse().ok());
        let own = own_pid(&self.proc);
        let Ok(of_file) = file.metadata().map(|file| file.uid()) else { return };
        // Whoever may write the file could name any process for it: then only one of their own is believed.
        let may_name = |pid: u32, buffer: &mut Buffer| {
            let status = self.proc.join(pid.to_string()).join("status");
            of_file == 0 || user_id(&status, buffer) == Some(of_file)
        };
        let found = number.filter(|pid| Some(*pid) != own && self.is_it(*pid, buffer));
        self.pid = found.filter(|pid| may_name(*pid, buffer));
    }

    /// The process found last, as it is now.
    pub(super) fn seen(&self, clock: &dyn Clock, buffer: &mut Buffer) -> Option<Running> {
        let pid = self.pid?;
        let stat = Stat::read(&self.proc, pid, buffer).filter(|stat| !stat.is_zombie)?;
        if self.started.is_some_and(|started| started != stat.start) {
            return None;
        }
        let hertz = number::float(rustix::param::clock_ticks_per_second());
        let started = Duration::try_from_secs_f64(number::float(stat.start) / hertz).unwrap_or_default();
        let age = clock.since_boot().saturating_sub(started);
        let seen = Seen { pid: Some(pid), started: stat.start, since: clock.now().minus(age) };
        Some(Running { seen, stat: Some(stat) })
    }
}

/// The bot's own number, as a process table counts.
pub(super) fn own_pid(proc: &Path) -> Option<u32> {
    std::fs::read_link(proc.join("self")).ok()?.to_str()?.parse().ok()
}

/// The words of a process's command line. `None` for kernel threads, for zombies, which have none any more, and for
/// what is gone.
pub(super) fn command_line(proc: &Path, pid: u32, buffer: &mut Buffer) -> Option<Vec<String>> {
    let file = File::open(proc.join(format!("{pid}/cmdline"))).ok()?;
    buffer.fill(&file).ok()?;
    let text = String::from_utf8_lossy(buffer.content());
    // Programs that rename themselves leave zeros behind their new title.
    let text = text.trim_end_matches('\0');
    (!text.is_empty()).then(|| text.split('\0').map(str::to_owned).collect())
}

/// Whether a command line is that of a service.
fn is_match(service: &Service, words: &[String]) -> bool {
    let text = service.matches.trim_start();
    if service.anywhere {
        return words.join(" ").contains(text);
    }
    let script = interpreter::script(words);
    [Some(0), script].into_iter().flatten().any(|index| {
        let Some((first, rest)) = words.get(index..).and_then(<[String]>::split_first) else { return false };
        // A word that is the whole command line may be a title that the program gave itself: there only what is
        // before the first blank is a path, and not what stands in `sshd: /root/x` or `/bin/less /var/x`.
        let path = if words.len() == 1 { first.split(' ').next().unwrap_or(first) } else { first };
        let base = path.rfind('/').and_then(|slash| first.get(slash + 1..)).unwrap_or(first);
        begins(first, rest, text) || begins(base, rest, text)
    })
}

/// Whether the first word and those behind it begin with a text; the text's end may fall inside a word.
fn begins(first: &str, rest: &[String], text: &str) -> bool {
    match text.strip_prefix(first) {
        Some("") => true,
        Some(text) => text.strip_prefix(' ').is_some_and(|text| rest.join(" ").starts_with(text)),
        None => first.starts_with(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(command: &[&str], text: &str) -> bool {
        let words: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        is_match(&Service { matches: text.to_owned(), ..Service::default() }, &words)
    }

    /// Defect 6 of the original: a process was alive if its text stood anywhere in a cut list of processes.
    #[test]
    fn a_match_begins_at_the_program_or_its_script() {
        let check = |command: &[&str], text: &str, expected| {
            assert_eq!(matches(command, text), expected, "{command:?} {text}");
        };
        let bot = ["python3", "/home/me/test_bot.py", "--loglevel", "debug"];
        check(&bot, "test_bot.py --loglevel", true);
        check(&bot, "/home/me/test_bot.py", true);
        check(&bot, "python3 /home/me/test_bot.py", true);
        check(&bot, "test_bot.py --log", true);
        check(&bot, "test_bot", true);
        check(&bot, "test_bot.py --loglevel info", false);
        check(&bot, "me/test_bot.py", false);
        check(&bot, "bot.py", false);
        check(&bot, "--loglevel", false);
        check(&bot, "test_bot.py --loglevel debug --more", false);
        check(&["/usr/bin/python3", "-u", "./test_bot.py"], "test_bot.py", true);
        check(&["vim", "test_bot.py", "--loglevel"], "test_bot.py --loglevel", false);
        check(&["grep", "test_bot.py --loglevel"], "test_bot.py --loglevel", false);
        check(&["python3", "-c", "test_bot.py --loglevel"], "test_bot.py", false);
        check(&["sh", "-c", "python3 test_bot.py"], "test_bot.py", false);
        check(&["/usr/sbin/nginx", "-g", "daemon off;"], "nginx -g daemon", true);
        check(&["nginx: master process /usr/sbin/nginx"], "nginx: master", true);
        check(&["tail: /var/test_bot.py"], "test_bot.py", false);
        check(&["/bin/less /var/test_bot.py"], "test_bot.py", false);
        check(&["/usr/sbin/apache2 -k start"], "apache2 -k", true);
        check(&["/opt/My App/run", "now"], "run now", true);
        check(&["/opt/run"], "run now", false);
    }

    #[test]
    fn anywhere_is_anywhere() {
        let service = Service { matches: "bot.py --log".to_owned(), anywhere: true, ..Service::default() };
        let check = |words: &[&str], expected| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(is_match(&service, &words), expected, "{words:?}");
        };
        check(&["vim", "test_bot.py", "--log"], true);
        check(&["vim", "test_bot.py"], false);
    }
}
