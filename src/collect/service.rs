//! Watched services: are they in the process table?

use std::{fs::File, path::PathBuf};

use systembot_model::{rules::Service, sample::Pass};

use super::{Roots, file::Buffer, interpreter};

/// Looks watched services up by their command lines.
///
/// A service was most likely found before: then its process is looked at first, and a pass costs one command line a
/// service. Only where one of them is not there any more the whole table is read, and anew in every pass: command
/// lines change when a process becomes another program, so none is remembered.
pub(super) struct Services {
    proc: PathBuf,
    watched: Vec<Watched>,
    buffer: Buffer,
}

struct Watched {
    service: Service,
    /// Where it was found last.
    pid: Option<u32>,
}

impl Services {
    pub(super) fn new(roots: &Roots, services: Vec<Service>) -> Self {
        let watched = services.into_iter().map(|service| Watched { service, pid: None });
        // A service without a text is none that a process table could tell of.
        let watched = watched.filter(|watched| !watched.service.matches.trim().is_empty()).collect();
        Self { proc: roots.proc.clone(), watched, buffer: Buffer::default() }
    }

    /// Names those that are missing, in the order of the configuration. `pids` is the process table of this pass.
    pub(super) fn read(&mut self, pass: &mut Pass, pids: &[u32]) {
        // Without a process table (an unreadable /proc is told elsewhere) nothing is known to be missing.
        if self.watched.is_empty() || pids.is_empty() {
            return;
        }
        let own = self.own_pid();
        for watched in &mut self.watched {
            let last = watched.pid.filter(|pid| Some(*pid) != own);
            watched.pid = last.filter(|pid| {
                command_line(&self.proc, *pid, &mut self.buffer)
                    .is_some_and(|line| is_match(&watched.service, &line))
            });
        }
        if self.watched.iter().any(|watched| watched.pid.is_none()) {
            for &pid in pids.iter().filter(|pid| Some(**pid) != own) {
                let Some(line) = command_line(&self.proc, pid, &mut self.buffer) else { continue };
                for watched in self.watched.iter_mut().filter(|watched| watched.pid.is_none()) {
                    watched.pid = is_match(&watched.service, &line).then_some(pid);
                }
            }
        }
        let missing = self.watched.iter().filter(|watched| watched.pid.is_none());
        pass.missing.extend(missing.map(|watched| watched.service.name.clone()));
    }

    /// The bot's own number, as this process table counts.
    fn own_pid(&self) -> Option<u32> {
        std::fs::read_link(self.proc.join("self")).ok()?.to_str()?.parse().ok()
    }
}

/// The words of a process's command line. `None` for kernel threads, for zombies, which have none any more, and for
/// what is gone.
fn command_line(proc: &std::path::Path, pid: u32, buffer: &mut Buffer) -> Option<Vec<String>> {
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
