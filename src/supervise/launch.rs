//! How a service's command becomes a process: words, user, directory, environment, control group.

use std::{
    env,
    ffi::OsString,
    fs, io,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::unistd::{Gid, Uid, User};
use systembot_cli::child;
use systembot_model::rules::Service;

use super::{output::Output, remains::MARK};
use crate::account;

/// Variables that speak to the daemon alone: what it starts must not take its watchdog or its sockets for its own.
const OWN_VARIABLES: [&str; 17] = [
    "CACHE_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LOGS_DIRECTORY",
    "MALLOC_TRIM_THRESHOLD_",
    "MANAGERPID",
    "NOTIFY_SOCKET",
    "RUNTIME_DIRECTORY",
    "STATE_DIRECTORY",
    "SYSTEMD_EXEC_PID",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];
/// Variables by which the owner points this program somewhere; no other program's business.
const OWN_PREFIX: &str = "SYSTEMBOT_";
/// Time that systemd-run gets to show that it works.
const SCOPE_PATIENCE: Duration = Duration::from_secs(5);

/// Starts a service's command, its output going to a file; the error says what is wrong in words.
pub(super) fn launch(service: &Service, mark: &str, output: &Output) -> Result<Child, String> {
    let mut words = scope(service);
    let user = switched_to(service)?;
    if let Some(user) = &user {
        words.extend(as_user(user));
    }
    words.extend(words_of(service)?);
    let (program, arguments) = words.split_first().ok_or("its command is empty")?;
    let mut command = Command::new(program);
    command.args(arguments);
    let prefixed = env::vars_os().map(|(name, _)| name);
    let prefixed = prefixed.filter(|name| name.to_str().is_some_and(|name| name.starts_with(OWN_PREFIX)));
    for name in OWN_VARIABLES.into_iter().map(OsString::from).chain(prefixed) {
        command.env_remove(name);
    }
    if let Some(user) = &user {
        let name = OsString::from(&user.name);
        command.envs([("USER", name.clone()), ("LOGNAME", name)]);
        command.envs([
            ("HOME", user.dir.clone().into_os_string()),
            ("SHELL", user.shell.clone().into_os_string()),
        ]);
    }
    command.envs(&service.environment.0).env(MARK, mark);
    if let Some(user) = &user {
        // Some programs open their output anew, as /dev/stderr.
        output.give_to(user.uid.as_raw(), user.gid.as_raw()).map_err(|error| kept(&error))?;
    }
    let directory = service.directory.as_ref().map(PathBuf::from).or_else(|| user.map(|user| user.dir));
    if let Some(directory) = &directory {
        let found = fs::metadata(directory);
        if !found.is_ok_and(|found| found.is_dir()) {
            return Err(format!("there is no directory {}", directory.display()));
        }
        command.current_dir(directory);
    }
    let file = |file: io::Result<_>| file.map_err(|error| kept(&error));
    command
        .stdin(Stdio::null())
        .stdout(file(output.to_write())?)
        .stderr(file(output.to_write())?)
        .process_group(0)
        .spawn()
        .map_err(|error| format!("{} cannot be started: {error}", program.to_string_lossy()))
}

fn kept(error: &io::Error) -> String {
    format!("its output cannot be kept: {error}")
}

/// The command as the owner wrote it, in words.
fn words_of(service: &Service) -> Result<Vec<OsString>, String> {
    let text = service.restart.as_deref().unwrap_or_default();
    if service.sh {
        return Ok(["/bin/sh", "-c", text].map(OsString::from).to_vec());
    }
    let words = shell_words::split(text).map_err(|error| format!("its command cannot be read: {error}"))?;
    Ok(words.into_iter().map(OsString::from).collect())
}

/// The user that the command is to run as, where that is another one than this process's.
fn switched_to(service: &Service) -> Result<Option<User>, String> {
    let Some(name) = service.user.as_deref() else { return Ok(None) };
    // The manager of a user's units runs as that user already.
    if service.unit.is_some() {
        return Ok(None);
    }
    let user = account::find(name).ok_or_else(|| format!("there is no user {name}"))?;
    if user.uid == Uid::effective() {
        return Ok(None);
    }
    if !Uid::effective().is_root() {
        return Err(format!("only root could start it as {name}; run systembot as {name}, or as root"));
    }
    Ok(Some(user))
}

/// setpriv(1) takes on the user with all its groups and becomes the command itself.
fn as_user(user: &User) -> [OsString; 5] {
    let (uid, gid): (Uid, Gid) = (user.uid, user.gid);
    [
        "setpriv".into(),
        format!("--reuid={uid}").into(),
        format!("--regid={gid}").into(),
        "--init-groups".into(),
        "--".into(),
    ]
}

/// Under systemd: what puts a program into a control group of its own, so that it outlives this unit. Nothing where
/// systemd does not allow that, or does not run this program.
fn scope(service: &Service) -> Vec<OsString> {
    if env::var_os("INVOCATION_ID").is_none() {
        return Vec::new();
    }
    let is_user = fs::read_to_string("/proc/self/cgroup").is_ok_and(|groups| groups.contains("/user@"));
    let manager = if is_user { "--user" } else { "--system" };
    let begin = ["systemd-run", manager, "--scope", "--quiet", "--collect"];
    let [program, options @ ..] = begin;
    let mut probe = Command::new(program);
    probe.args(options).args(["--", "true"]);
    if !child::answer(&mut probe, SCOPE_PATIENCE).is_ok_and(|answer| answer.status.success()) {
        return Vec::new();
    }
    let description = format!("--description={} (started by systembot)", service.name);
    begin.map(OsString::from).into_iter().chain([description.into(), "--".into()]).collect()
}
