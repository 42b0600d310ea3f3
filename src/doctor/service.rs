//! A watched service: is it there, and could it be started again?

use std::{ffi::OsString, fs, path::Path};

use nix::unistd::{Uid, User};
use systembot_cli::{Finding, Verdict};
use systembot_config::Env;
use systembot_model::rules::{Probe, Service};

use super::{machine::Reading, program};
use crate::clock::Clock;

/// Where a shell lies, by POSIX's custom.
const SHELL: &str = "/bin/sh";

/// What is wrong with a service, gravest first in what is shown.
struct Problems(Vec<(Verdict, String, String)>);

impl Problems {
    fn add(&mut self, verdict: Verdict, found: impl Into<String>, mend: impl Into<String>) {
        self.0.push((verdict, found.into(), mend.into()));
    }
}

/// Everything about one service, in one line.
pub(super) fn service(
    service: &Service,
    reading: &Reading,
    config: Option<&Path>,
    clock: &dyn Clock,
    env: Env<'_>,
) -> Finding {
    let check = format!("service {}", service.name);
    let file = config.map_or_else(String::new, |file| format!(" in {}", file.display()));
    let correct = |key: &str| format!("correct `{key}` of this [[service]]{file}");
    let mut problems = Problems(Vec::new());

    if let Some(name) = &service.user {
        let user = match name.parse() {
            Ok(number) => User::from_uid(Uid::from_raw(number)),
            Err(_) => User::from_name(name),
        };
        if user.ok().flatten().is_none() {
            problems.add(Verdict::Failed, format!("there is no user {name}"), correct("user"));
        }
    }
    if let Some(directory) = &service.directory
        && !Path::new(directory).is_dir()
    {
        problems.add(Verdict::Failed, format!("{directory} is no directory"), correct("directory"));
    }
    if let Some(restart) = &service.restart {
        startable(service, restart, env, &correct, &mut problems);
    }
    if let Some(Probe::Command(command)) = service.check.as_ref().map(|check| &check.probe)
        && let Some(problem) = command_problem(command, service, env)
    {
        problems.add(Verdict::Failed, format!("its check: {problem}"), correct("check"));
    }
    let state = present(service, reading, clock, env, &correct, &mut problems);

    problems.0.sort_by_key(|(verdict, ..)| std::cmp::Reverse(*verdict));
    let Some((verdict, _, mend)) = problems.0.first() else { return Finding::ok(check, state) };
    let (verdict, mend) = (*verdict, mend.clone());
    let found: Vec<&str> = problems.0.iter().map(|(_, found, _)| found.as_str()).collect();
    Finding { check, verdict, found: found.join("; "), mend: Some(mend) }
}

/// Whether it runs now, by each way in which it is to be found.
fn present(
    service: &Service,
    reading: &Reading,
    clock: &dyn Clock,
    env: Env<'_>,
    correct: &dyn Fn(&str) -> String,
    problems: &mut Problems,
) -> String {
    let gone = || match &service.restart {
        Some(restart) => format!("start it: {restart}"),
        None => "start it".to_owned(),
    };
    if let Some(unit) = &service.unit {
        let args = ["show", "--property=LoadState,ActiveState", "--", unit.as_str()];
        let mut all = vec![];
        if service.user.is_some() {
            all.push("--user");
        }
        all.extend(args);
        match program::said("systemctl", &all, clock, env) {
            None => problems.add(
                Verdict::Warning,
                format!("systemctl does not tell of the unit {unit}"),
                correct("unit"),
            ),
            Some(said) if program::property(&said, "LoadState") != Some("loaded") => {
                problems.add(Verdict::Failed, format!("there is no unit {unit}"), correct("unit"));
            }
            Some(said) if program::property(&said, "ActiveState") != Some("active") => {
                problems.add(
                    Verdict::Warning,
                    format!("the unit {unit} is not active"),
                    format!("sudo systemctl start {unit}"),
                );
            }
            Some(_) => return format!("runs, as the unit {unit}"),
        }
        return String::new();
    }
    if let Some(pidfile) = &service.pidfile {
        match fs::read_to_string(pidfile) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                problems.add(Verdict::Warning, format!("not running: {pidfile} is not there"), gone());
            }
            Err(error) => {
                problems.add(
                    Verdict::Failed,
                    format!("{pidfile} cannot be read: {error}"),
                    correct("pidfile"),
                );
            }
            Ok(text) => match text.trim().parse::<u32>() {
                Err(_) => {
                    problems.add(Verdict::Failed, format!("{pidfile} holds no number"), correct("pidfile"));
                }
                Ok(pid) if !Path::new(&format!("/proc/{pid}")).exists() => {
                    problems.add(Verdict::Warning, format!("not running: there is no process {pid}"), gone());
                }
                Ok(pid) => return format!("runs, pid {pid}"),
            },
        }
        return String::new();
    }
    if reading.is_missing(&service.name) {
        let found = format!("not running: no command line begins with `{}`", service.matches);
        problems.add(Verdict::Warning, found, gone());
    }
    "runs".to_owned()
}

/// Whether its command could be carried out.
fn startable(
    service: &Service,
    restart: &str,
    env: Env<'_>,
    correct: &dyn Fn(&str) -> String,
    problems: &mut Problems,
) {
    if service.sh {
        if !program::is_executable(Path::new(SHELL)) {
            problems.add(Verdict::Failed, format!("there is no {SHELL}"), correct("sh"));
        }
        return;
    }
    if let Some(problem) = command_problem(restart, service, env) {
        problems.add(Verdict::Failed, format!("its restart: {problem}"), correct("restart"));
    }
}

/// Why a command, split into words as a shell does, cannot be carried out.
fn command_problem(command: &str, service: &Service, env: Env<'_>) -> Option<String> {
    let words = match shell_words::split(command) {
        Ok(words) => words,
        Err(_) => return Some("a quote is not closed".to_owned()),
    };
    let Some(name) = words.first() else { return Some("it is empty".to_owned()) };
    let own_path = service.environment.0.get("PATH").map(OsString::from);
    let path = own_path.or_else(|| env("PATH")).unwrap_or_default();
    let is_below = name.contains('/') && !name.starts_with('/');
    let in_directory = service.directory.as_ref().filter(|_| is_below);
    let program = in_directory.map_or_else(|| name.clone(), |directory| format!("{directory}/{name}"));
    if program::find(&program, &path).is_none() {
        return Some(match name.contains('/') {
            true if Path::new(&program).exists() => format!("{program} may not be executed"),
            true => format!("{program} is not there"),
            false => format!("{name} is in no directory of PATH"),
        });
    }
    // A script that an interpreter is to run: the commonest mistake after a move.
    let script = words.get(1).filter(|word| word.starts_with('/'))?;
    let error = fs::metadata(script).err()?;
    (error.kind() == std::io::ErrorKind::NotFound).then(|| format!("{script} is not there"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_cannot_be_carried_out_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("plain");
        fs::write(&plain, "").unwrap();
        let place = dir.path().to_str().unwrap();
        let env = |name: &str| (name == "PATH").then(|| OsString::from("/nowhere:/usr/bin:/bin"));
        let check = |command: &str, directory: Option<&str>, expected: Option<&str>| {
            let service = Service { directory: directory.map(str::to_owned), ..Service::default() };
            let expected = expected.map(|text| text.replace("DIR", place));
            assert_eq!(
                command_problem(&command.replace("DIR", place), &service, &env),
                expected,
                "{command}"
            );
        };
        check("sh -c 'exit 0'", None, None);
        check("/bin/sh", None, None);
        check("no_such_program --x", None, Some("no_such_program is in no directory of PATH"));
        check("/no/such/program", None, Some("/no/such/program is not there"));
        check("DIR/plain", None, Some("DIR/plain may not be executed"));
        check("./plain", Some(place), Some("DIR/./plain may not be executed"));
        check("sh DIR/script.sh", None, Some("DIR/script.sh is not there"));
        check("sh DIR/plain", None, None);
        check("sh 'open", None, Some("a quote is not closed"));
        check("  ", None, Some("it is empty"));
    }
}
