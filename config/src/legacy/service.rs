//! `[processes to monitor]`: `processN = match,command`.

use std::collections::HashMap;

use systembot_model::{limits, rules::Service};

use super::{Walk, ini::Section};
use crate::bounds::{self, RunsInShell};

/// Longest name made here, in bytes: a number fits behind it.
const NAME_BYTES: usize = 200;
/// Endings of scripts, which a service's name does without.
const SCRIPTS: [&str; 5] = [".py", ".sh", ".pl", ".rb", ".js"];

/// Reads the section.
pub(super) fn read<'s>(walk: &mut Walk<'s>, section: &'s Section) -> Vec<Service> {
    let mut names = Names::default();
    let mut services = Vec::new();
    for (item, service) in walk.numbered(section, "process", service) {
        if service.restart.is_none() {
            walk.warn(item.line, &item.key, "has no command behind its comma: its death is only told");
        }
        if let Err(what) = bounds::services(services.len() + 1) {
            walk.mistake(item.line, &item.key, &what);
            break;
        }
        services.push(Service { name: names.unused(&service.name), ..service });
    }
    services
}

/// A service by its line.
fn service(value: &str) -> Result<Service, String> {
    let (matches, command) =
        value.split_once(',').ok_or("has no comma: write what to look for, a comma, and the command")?;
    // Words of a command line are compared joined by single blanks.
    let matches = bounds::matching(matches.trim().replace('\n', " ").as_str())?;
    let command = command.trim();
    let restart = if command.is_empty() { None } else { Some(bounds::restart(command, RunsInShell::No)?) };
    let name = limits::cut(name(&matches), NAME_BYTES).to_owned();
    Ok(Service { name, matches, restart, ..Service::default() })
}

/// The name of a service that has none: the program or script that it begins with, without directory and ending.
fn name(matches: &str) -> &str {
    let program = matches.split_whitespace().next().unwrap_or(matches);
    let base = program.trim_end_matches('/').rsplit('/').next().unwrap_or(program);
    let stem = SCRIPTS.iter().find_map(|ending| base.strip_suffix(ending)).unwrap_or(base);
    if stem.is_empty() { program } else { stem }
}

/// Names that are taken, in lower case, each with the number that the next of its kind gets at least.
#[derive(Default)]
struct Names(HashMap<String, usize>);

impl Names {
    /// The name, with a number behind it where another has it already.
    fn unused(&mut self, name: &str) -> String {
        let mut unused = name.to_owned();
        while self.0.contains_key(&unused.to_lowercase()) {
            let next = self.0.entry(name.to_lowercase()).or_insert(1);
            *next += 1;
            unused = format!("{name}-{next}");
        }
        self.0.insert(unused.to_lowercase(), 1);
        unused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_named_after_their_program() {
        let check = |matches, expected| assert_eq!(name(matches), expected);
        check("test_bot.py --loglevel", "test_bot");
        check("/usr/sbin/sshd -D", "sshd");
        check("python3 x.py", "python3");
        check("/", "/");
        check(".py", ".py");
    }

    #[test]
    fn no_two_services_have_one_name() {
        let mut names = Names::default();
        let given = ["bot", "Bot", "bot-2", "bot", "bot-2"].map(|name| names.unused(name));
        assert_eq!(given, ["bot", "Bot-2", "bot-2-2", "bot-3", "bot-2-3"]);
    }

    #[test]
    fn only_the_first_comma_splits() {
        let service = service("a b,sh -c 'x, y'").unwrap();
        assert_eq!((service.matches.as_str(), service.restart.as_deref()), ("a b", Some("sh -c 'x, y'")));
    }
}
