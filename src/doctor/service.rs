//! A watched service: is it there, and could it be started again?

use std::{ffi::OsString, fs, path::Path};

use nix::unistd::Uid;
use systembot_cli::{Finding, Verdict};
use systembot_config::Env;
use systembot_model::rules::{Probe, Service};

use super::{machine::Reading, program, settings::own_name};
use crate::{account, collect::unit::Unit};

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
pub(super) fn service(service: &Service, reading: &Reading, config: Option<&Path>, env: Env<'_>) -> Finding {
    let check = format!("service {}", service.name);
    let file = config.map_or_else(String::new, |file| format!(" in {}", file.display()));
    let correct = |key: &str| format!("correct `{key}` of this [[service]]{file}");
    let mut problems = Problems(Vec::new());

    if let Some(name) = &service.user {
        match account::find(name) {
            None => problems.add(Verdict::Failed, format!("there is no user {name}"), correct("user")),
            Some(user)
                if user.uid != Uid::effective() && service.restart.is_some() && service.unit.is_none() =>
            {
                becoming(name, env, &correct, &mut problems);
            }
            Some(_) => {}
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
    let state = present(service, reading, env, &correct, &mut problems);

    problems.0.sort_by_key(|(verdict, ..)| std::cmp::Reverse(*verdict));
    let Some((verdict, _, mend)) = problems.0.first() else { return Finding::ok(check, state) };
    let (verdict, mend) = (*verdict, mend.clone());
    let found: Vec<&str> = problems.0.iter().map(|(_, found, _)| found.as_str()).collect();
    Finding { check, verdict, found: found.join("; "), mend: Some(mend) }
}

/// Whether a service can be started as another user than this one.
fn becoming(name: &str, env: Env<'_>, correct: &dyn Fn(&str) -> String, problems: &mut Problems) {
    if !Uid::effective().is_root() {
        let found = format!("only root could start it as {name}, and this bot is {}", own_name());
        let mend = format!("let {name}'s own bot watch it, or {}", correct("user"));
        problems.add(Verdict::Failed, found, mend);
    } else if program::find("setpriv", &env("PATH").unwrap_or_default()).is_none() {
        let found = format!("setpriv, which starts it as {name}, is not installed");
        problems.add(Verdict::Failed, found, "sudo apt install util-linux");
    }
}

/// Whether it runs now, by each way in which it is to be found.
fn present(
    service: &Service,
    reading: &Reading,
    env: Env<'_>,
    correct: &dyn Fn(&str) -> String,
    problems: &mut Problems,
) -> String {
    let gone = || match &service.restart {
        Some(restart) => format!("start it: {restart}"),
        None => "start it".to_owned(),
    };
    if let Some(unit) = &service.unit {
        let whose = Unit { name: unit.clone(), user: service.user.clone() }.whose();
        let show = ["show", "--property=LoadState,ActiveState", "--", unit.as_str()];
        let all: Vec<&str> = whose.iter().map(String::as_str).chain(show).collect();
        match program::said("systemctl", &all, env) {
            None => problems.add(
                Verdict::Warning,
                format!("systemctl does not tell of the unit {unit}"),
                correct("unit"),
            ),
            Some(said) if program::property(&said, "LoadState") != Some("loaded") => {
                problems.add(Verdict::Failed, format!("there is no unit {unit}"), correct("unit"));
            }
            Some(said)
                if !matches!(program::property(&said, "ActiveState"), Some("active" | "reloading")) =>
            {
                problems.add(
                    Verdict::Warning,
                    format!("the unit {unit} is not active"),
                    match whose.is_empty() {
                        true => format!("sudo systemctl start {unit}"),
                        false => format!("systemctl {} start {unit}", whose.join(" ")),
                    },
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
    match reading.runs(&service.name) {
        Some(true) => return "runs".to_owned(),
        Some(false) => {
            let found = format!("not running: no command line begins with `{}`", service.matches);
            problems.add(Verdict::Warning, found, gone());
        }
        None => problems.add(
            Verdict::Warning,
            "whether it runs cannot be told just now",
            "see `processes` above, and ask again".to_owned(),
        ),
    }
    String::new()
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
    use std::{os::unix::fs::PermissionsExt, time::Duration};

    use systembot_config::Settings;
    use systembot_model::rules;

    use super::*;
    use crate::collect::Roots;

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

    /// What is found of a service on a machine whose systemctl knows `here.service`, and `there.service` is dead.
    fn check(service: Service, expected: Verdict, words: &str) {
        let dir = tempfile::tempdir().unwrap();
        let systemctl = dir.path().join("systemctl");
        let script = "case \"$*\" in *here.service) echo LoadState=loaded; echo ActiveState=active ;; \
                      *rereads.service) echo LoadState=loaded; echo ActiveState=reloading ;; \
                      *dead.service) echo LoadState=loaded; echo ActiveState=failed ;; \
                      *) echo LoadState=not-found ;; esac";
        fs::write(&systemctl, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
        let path = dir.path().as_os_str().to_owned();
        let env = move |name: &str| (name == "PATH").then(|| path.clone());
        let reading = Reading::take(&Settings::defaults("x"), Roots::default());
        let finding = super::service(&service, &reading, Some(Path::new("/x.toml")), &env);
        assert!(finding.verdict == expected && finding.found.contains(words), "{finding:?}");
        assert_eq!(finding.mend.is_some(), expected != Verdict::Ok, "{finding:?}");
    }

    #[test]
    fn a_unit_is_asked_for() {
        let unit = |name: &str| Service { unit: Some(name.to_owned()), ..Service::default() };
        check(unit("here.service"), Verdict::Ok, "runs, as the unit here.service");
        check(unit("rereads.service"), Verdict::Ok, "runs, as the unit rereads.service");
        check(unit("dead.service"), Verdict::Warning, "dead.service is not active");
        check(unit("gone.service"), Verdict::Failed, "there is no unit gone.service");
    }

    #[test]
    fn a_pidfile_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let service = || Service { pidfile: Some(file.display().to_string()), ..Service::default() };
        check(service(), Verdict::Warning, "not running: ");
        fs::write(&file, format!("{}\n", std::process::id())).unwrap();
        check(service(), Verdict::Ok, "runs, pid ");
        fs::write(&file, "4194305").unwrap();
        check(service(), Verdict::Warning, "there is no process 4194305");
        fs::write(&file, "soon").unwrap();
        check(service(), Verdict::Failed, "holds no number");
    }

    #[test]
    fn user_directory_and_check_must_be_there() {
        let here = || Service { unit: Some("here.service".to_owned()), ..Service::default() };
        check(
            Service { user: Some("nosuchuser".to_owned()), ..here() },
            Verdict::Failed,
            "no user nosuchuser",
        );
        check(
            Service { directory: Some("/no/such".to_owned()), ..here() },
            Verdict::Failed,
            "/no/such is no",
        );
        // As root for lack of setpriv in that PATH, as anybody else because only root could.
        let restart = Some("/bin/sh".to_owned());
        let daemon = Service { user: Some("daemon".to_owned()), restart, ..Service::default() };
        let words =
            if Uid::effective().is_root() { "setpriv, which starts it as daemon" } else { "only root could" };
        check(daemon, Verdict::Failed, words);
        let probe = Probe::Command("/no/such/check".to_owned());
        let second = Duration::from_secs(1);
        let with = rules::Check { probe, timeout: second, interval: second, restart: false };
        check(
            Service { check: Some(with), ..here() },
            Verdict::Failed,
            "its check: /no/such/check is not there",
        );
        check(
            Service { user: Some("0".to_owned()), directory: Some("/".to_owned()), ..here() },
            Verdict::Ok,
            "runs, as the unit here.service",
        );
    }
}
