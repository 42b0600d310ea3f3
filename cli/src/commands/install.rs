//! `install` and `uninstall`: the unit that has systemd run the bot.
//!
//! What is to be done is a list of steps, made first and done then: what is told by `--dry-run`, what is done, and what
//! is left to be typed by hand when a command fails are the same list.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use systembot_config::{Env, data_dir, find};
use systembot_storage::remote::Client;

use super::{Outcome, View};
use crate::{
    args::{Global, Unit},
    child,
    setup::read,
};

const SYSTEM_UNIT: &str = include_str!("../../../systemd/systembot.service");
const USER_UNIT: &str = include_str!("../../../systemd/user/systembot.service");
const SYSUSERS: &str = include_str!("../../../systemd/sysusers.d/systembot.conf");
/// The program in the units as they lie in the source.
const PROGRAM: &str = "/usr/bin/systembot";
/// Where the system unit keeps its log.
const SYSTEM_LOG: &str = "/var/lib/systembot";
/// Name of the unit.
const UNIT: &str = "systembot.service";
/// Name of the original's unit, which the user unit takes as a second name.
const ORIGINAL: &str = "system_bot.service";
/// How the first line of what is written here begins; a checksum of all lines below it follows.
const STAMP: &str = "# Written by `systembot install`, not overwritten once changed; checksum ";
/// Time for a command: a start is waited for, which may take ten minutes where a log of years is read anew.
const LIMIT: Duration = Duration::from_secs(630);

/// Writes and enables the unit.
///
/// # Errors
/// One line: a configuration with mistakes, a unit that was changed or is in the way, a command that failed with what
/// to type by hand.
pub fn install(unit: &Unit, global: &Global, env: Env<'_>, view: &mut View<'_>) -> Result<Outcome> {
    let place = Place::find(unit, env)?;
    let program = std::env::current_exe().context("the path of this program")?;
    let arguments = arguments(unit, global, env)?;
    if unit.scope.system {
        check_reachable(&program)?;
        global.config.as_deref().map_or(Ok(()), check_readable)?;
    }
    place.check_original()?;
    if unit.scope.user && !unit.dry_run {
        check_unused(&data_dir(global.data_dir.as_deref(), env)?)?;
    }
    let text = render(place.text, &program, &arguments);
    let mut steps = Vec::new();
    if let Some(path) =
        place.packaged().filter(|path| fs::read(path).is_ok_and(|unit| unit == text.as_bytes()))
    {
        steps.push(Step::Say(format!("kept the unit of the package, {}", path.display())));
    } else {
        steps.push(Step::write(&place.path, &text, unit.force)?);
    }
    let was_there = place.path.exists();
    steps.extend(place.enabling(unit, was_there)?);
    carry_out(&steps, unit, view)?;
    let (how, log) = place.epilogue(global, env)?;
    if !unit.dry_run && unit.root.is_none() {
        writeln!(view.out, "systembot runs; its log lies in {}; ask it: {how}", log.display())?;
    }
    Ok(Outcome::Done)
}

/// Disables and removes the unit; the log stays.
///
/// # Errors
/// One line: a unit that was changed, a command that failed with what to type by hand.
pub fn uninstall(unit: &Unit, global: &Global, env: Env<'_>, view: &mut View<'_>) -> Result<Outcome> {
    let place = Place::find(unit, env)?;
    let packaged = place.packaged();
    if packaged.is_none() && !place.path.exists() {
        return Ok(Outcome::Nothing(format!("{}: there is no such unit", place.path.display())));
    }
    let mut steps = place.disabling();
    match packaged {
        Some(path) => steps.push(Step::Say(format!("kept the unit of the package, {}", path.display()))),
        None => {
            check_unchanged(&place.path, unit.force, "remove")?;
            steps.push(Step::Remove(place.path.clone()));
        }
    }
    if let Some(users) = place.sysusers.as_ref().filter(|users| is_ours(users)) {
        steps.push(Step::Remove(users.clone()));
    }
    if unit.root.is_none() {
        steps.push(place.systemctl(&["daemon-reload"]));
    }
    if unit.scope.user {
        steps.push(Step::Say("kept lingering, which others may need: loginctl disable-linger".to_owned()));
    }
    let (_, log) = place.epilogue(global, env)?;
    steps.push(Step::Say(format!("kept the log in {}", log.display())));
    carry_out(&steps, unit, view)?;
    Ok(Outcome::Done)
}

/// Something to be done.
enum Step {
    /// Write a file, with everything above it.
    Write {
        path: PathBuf,
        text: String,
    },
    Remove(PathBuf),
    Run(Vec<OsString>),
    /// Nothing but a line for the owner.
    Say(String),
}

impl Step {
    /// Writes a file with its stamp, unless it holds that already.
    fn write(path: &Path, text: &str, force: bool) -> Result<Self> {
        let stamped = format!("{STAMP}{:08x}\n{text}", crc32fast::hash(text.as_bytes()));
        if fs::read(path).is_ok_and(|present| present == stamped.as_bytes()) {
            return Ok(Self::Say(format!("kept {}, nothing in it changes", path.display())));
        }
        check_unchanged(path, force, "overwrite")?;
        Ok(Self::Write { path: path.to_owned(), text: stamped })
    }

    fn run(words: &[&str]) -> Self {
        Self::Run(words.iter().map(OsString::from).collect())
    }

    /// What is told once it is done.
    fn done(&self) -> String {
        match self {
            Self::Write { path, .. } => format!("wrote {}", path.display()),
            Self::Remove(path) => format!("removed {}", path.display()),
            Self::Run(words) => format!("ran {}", line(words)),
            Self::Say(text) => text.clone(),
        }
    }

    /// What is told instead of doing it.
    fn planned(&self) -> String {
        match self {
            Self::Write { path, .. } => format!("would write {}", path.display()),
            Self::Remove(path) => format!("would remove {}", path.display()),
            Self::Run(words) => format!("would run {}", line(words)),
            Self::Say(text) => text.clone(),
        }
    }

    /// What to type to do it by hand.
    fn by_hand(&self) -> Option<String> {
        match self {
            Self::Remove(path) => Some(line(&["rm".into(), path.into()])),
            Self::Run(words) => Some(line(words)),
            Self::Write { .. } | Self::Say(_) => None,
        }
    }

    fn carry_out(&self) -> Result<()> {
        match self {
            Self::Write { path, text } => {
                write(path, text).map_err(|error| denied(error, path)).context("cannot write the unit")
            }
            Self::Remove(path) => {
                fs::remove_file(path).map_err(|error| denied(error, path)).context("cannot remove the unit")
            }
            Self::Run(words) => run(words),
            Self::Say(_) => Ok(()),
        }
    }
}

/// Does all steps in order and tells each; the first that fails ends it, with what is left to be typed by hand.
fn carry_out(steps: &[Step], unit: &Unit, view: &mut View<'_>) -> Result<()> {
    for (index, step) in steps.iter().enumerate() {
        if unit.dry_run {
            writeln!(view.out, "{}", step.planned())?;
            continue;
        }
        step.carry_out().map_err(|error| {
            // Without the file that could not be written the rest is of no use.
            if let Step::Write { .. } = step {
                return error;
            }
            let left: Vec<String> = steps.iter().skip(index).filter_map(Step::by_hand).collect();
            anyhow!("{error:#}; by hand: {}", left.join(" && "))
        })?;
        writeln!(view.out, "{}", step.done())?;
        // Each as it is done: the next may take minutes.
        view.out.flush()?;
    }
    Ok(())
}

/// Where one kind of unit lies, and how its manager is spoken to.
struct Place {
    path: PathBuf,
    text: &'static str,
    /// Where the packages of the machine put the same unit.
    packaged: Vec<PathBuf>,
    /// What is said to systemctl before the command.
    manager: Option<OsString>,
    /// Whether a manager runs, or only files are changed.
    is_live: bool,
    /// Where the system unit's user is declared.
    sysusers: Option<PathBuf>,
    /// The unit of the original bot, where its name is ours too.
    original: Option<PathBuf>,
}

impl Place {
    fn find(unit: &Unit, env: Env<'_>) -> Result<Self> {
        let root = unit.root.as_deref().unwrap_or(Path::new("/"));
        let packaged = |kind: &str| {
            ["usr/lib", "lib"]
                .iter()
                .map(|lib| root.join(lib).join("systemd").join(kind).join(UNIT))
                .collect()
        };
        if unit.scope.system {
            let manager = unit.root.as_ref().map(|root| {
                let mut option = OsString::from("--root=");
                option.push(root);
                option
            });
            return Ok(Self {
                path: root.join("etc/systemd/system").join(UNIT),
                text: SYSTEM_UNIT,
                packaged: packaged("system"),
                is_live: manager.is_none(),
                manager,
                sysusers: Some(root.join("etc/sysusers.d/systembot.conf")),
                original: None,
            });
        }
        let of = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = of("XDG_CONFIG_HOME").or_else(|| Some(of("HOME")?.join(".config")));
        let dir =
            base.context("HOME is not set, so there is no place for a unit of yours")?.join("systemd/user");
        Ok(Self {
            path: dir.join(UNIT),
            text: USER_UNIT,
            packaged: packaged("user"),
            manager: Some("--user".into()),
            is_live: true,
            sysusers: None,
            original: Some(dir.join(ORIGINAL)),
        })
    }

    fn systemctl(&self, words: &[&str]) -> Step {
        let mut all = vec![OsString::from("systemctl")];
        all.extend(self.manager.clone());
        all.extend(words.iter().map(OsString::from));
        Step::Run(all)
    }

    /// What makes the manager run the unit.
    fn enabling(&self, unit: &Unit, was_there: bool) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        if let Some(path) = &self.sysusers {
            steps.push(Step::write(path, SYSUSERS, unit.force)?);
            let mut words = vec![OsString::from("systemd-sysusers")];
            words.extend(self.manager.clone());
            words.push("systembot.conf".into());
            steps.push(Step::Run(words));
        }
        if !self.is_live {
            steps.push(self.systemctl(&["enable", UNIT]));
            return Ok(steps);
        }
        steps.push(self.systemctl(&["daemon-reload"]));
        if was_there {
            // One that runs takes the new unit and the new program.
            steps.push(self.systemctl(&["enable", UNIT]));
            steps.push(self.systemctl(&["restart", UNIT]));
        } else {
            steps.push(self.systemctl(&["enable", "--now", UNIT]));
        }
        if unit.scope.user {
            steps.push(Step::run(&["loginctl", "enable-linger"]));
        }
        Ok(steps)
    }

    fn disabling(&self) -> Vec<Step> {
        if self.is_live {
            return vec![self.systemctl(&["disable", "--now", UNIT])];
        }
        vec![self.systemctl(&["disable", UNIT])]
    }

    /// Refuses while the original bot's unit has the name that the user unit takes as its second.
    fn check_original(&self) -> Result<()> {
        let Some(original) = &self.original else { return Ok(()) };
        let is_our_alias =
            fs::read_link(original).is_ok_and(|target| target.file_name().is_some_and(|name| name == UNIT));
        if is_our_alias || fs::symlink_metadata(original).is_err() {
            return Ok(());
        }
        bail!(
            "{0} is the unit of the original bot, whose name this one takes too; stop it and put it aside first: \
             systemctl --user disable --now {ORIGINAL} && mv {0} {0}.old",
            original.display()
        );
    }

    /// The unit of a package, where none was written here that hides it.
    fn packaged(&self) -> Option<&Path> {
        let path = self.packaged.iter().find(|path| path.exists())?;
        (!self.path.exists()).then_some(path)
    }

    /// How to ask the bot, and where its log lies.
    fn epilogue(&self, global: &Global, env: Env<'_>) -> Result<(String, PathBuf)> {
        if self.sysusers.is_some() {
            return Ok((format!("sudo systembot --data-dir {SYSTEM_LOG} status"), PathBuf::from(SYSTEM_LOG)));
        }
        let dir = std::path::absolute(data_dir(global.data_dir.as_deref(), env)?)?;
        let mut words = vec![OsString::from("systembot")];
        if global.data_dir.is_some() {
            words.extend(["--data-dir".into(), dir.clone().into()]);
        }
        words.push("status".into());
        Ok((line(&words), dir))
    }
}

/// What stands behind the program in the unit, read and found in order first.
///
/// A user's manager need not know the variables of the shell that this is typed in: what they name is written down.
fn arguments(unit: &Unit, global: &Global, env: Env<'_>) -> Result<Vec<PathBuf>> {
    let of_manager = |name: &str| (name == "HOME").then(|| env(name)).flatten();
    let (mut config, mut dir) = (global.config.clone(), global.data_dir.clone());
    if unit.scope.system && dir.is_some() {
        bail!("--data-dir: the system unit keeps its log in {SYSTEM_LOG}");
    }
    if unit.scope.user || config.is_some() {
        let found = find(config.as_deref(), env)?;
        read(found.as_deref())?;
        if config.is_none() && found != find(None, &of_manager)? {
            config = found;
        }
    }
    if unit.scope.user && dir.is_none() {
        dir = Some(data_dir(None, env)?).filter(|dir| data_dir(None, &of_manager).as_ref() != Ok(dir));
    }
    let mut arguments = Vec::new();
    for (flag, path) in [("--config", config), ("--data-dir", dir)] {
        if let Some(path) = path {
            arguments.extend([PathBuf::from(flag), std::path::absolute(path)?]);
        }
    }
    Ok(arguments)
}

/// The unit with the program and its arguments.
fn render(text: &str, program: &Path, arguments: &[PathBuf]) -> String {
    // Variables are not looked for in the program's own path.
    let mut words = quoted(&program.to_string_lossy());
    for argument in arguments {
        words += &format!(" {}", quoted(&argument.to_string_lossy()).replace('$', "$$"));
    }
    let render_line = |line: &str| match line.split_once(PROGRAM) {
        Some((key, rest)) if key.starts_with("Exec") => format!("{key}{words}{rest}\n"),
        Some(_) | None => format!("{line}\n"),
    };
    text.lines().map(render_line).collect()
}

/// A word as systemd.syntax(7) reads it.
fn quoted(word: &str) -> String {
    let escaped = word.replace('%', "%%");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+%@:=,$".contains(c);
    if escaped.chars().all(is_plain) {
        return escaped;
    }
    format!("\"{}\"", escaped.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Refuses a program that the system unit's user cannot reach.
fn check_reachable(program: &Path) -> Result<()> {
    let is_open = |path: &Path| fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o001 != 0);
    if let Some(closed) = program.ancestors().find(|path| !is_open(path)) {
        bail!(
            "{}: the user systembot may not enter it; put the program where all may run it: \
             install -m 755 {} /usr/local/bin/systembot, and call that one",
            closed.display(),
            program.display()
        );
    }
    Ok(())
}

/// Refuses a configuration that the system unit's user may not read: root's own, with a mode for root alone.
fn check_readable(config: &Path) -> Result<()> {
    let found = fs::metadata(config).with_context(|| config.display().to_string())?;
    let mode = found.permissions().mode();
    let is_of_a_group = mode & 0o040 != 0 && found.gid() != 0;
    if mode & 0o004 != 0 || is_of_a_group {
        return Ok(());
    }
    bail!(
        "{path}: the user systembot may not read it: chown root:systembot {path} && chmod 640 {path}",
        path = config.display()
    )
}

/// Refuses while a bot that systemd did not start holds the log: the unit could not start beside it.
fn check_unused(dir: &Path) -> Result<()> {
    let client = Client::connect(&dir.join("control.sock")).ok();
    let Some(pid) = client.and_then(|client| client.daemon_pid()) else { return Ok(()) };
    // What cannot be read is of a process that has ended in this very moment, or of another namespace.
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    if groups.is_empty() || groups.contains(UNIT) {
        return Ok(());
    }
    bail!("{} is in use by a systembot that this unit did not start, pid {pid}: end it first", dir.display());
}

/// Whether a file is as `install` wrote it.
fn is_ours(path: &Path) -> bool {
    let Ok(text) = fs::read_to_string(path) else { return false };
    let Some((first, rest)) = text.split_once('\n') else { return false };
    first.strip_prefix(STAMP) == Some(&format!("{:08x}", crc32fast::hash(rest.as_bytes())))
}

fn check_unchanged(path: &Path, force: bool, verb: &str) -> Result<()> {
    if force || fs::symlink_metadata(path).is_err() || is_ours(path) {
        return Ok(());
    }
    bail!("{} was changed or written by somebody else: --force to {verb} it all the same", path.display());
}

/// Writes a file whole or not at all, readable for all as units are.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
    let new = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&new)?;
    file.write_all(text.as_bytes())?;
    // The mask of this program is that of secrets.
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.sync_all()?;
    fs::rename(&new, path)
}

fn denied(error: io::Error, path: &Path) -> anyhow::Error {
    let hint = if error.kind() == io::ErrorKind::PermissionDenied { ": be root, by sudo say" } else { "" };
    anyhow!("{}: {error}{hint}", path.display())
}

/// Runs a command to its end; what it says matters only where it fails.
fn run(words: &[OsString]) -> Result<()> {
    let typed = line(words);
    let (program, arguments) = words.split_first().context("no command")?;
    let answer = child::answer(Command::new(program).args(arguments), LIMIT)
        .with_context(|| format!("`{typed}` cannot be run"))?;
    if answer.status.success() {
        return Ok(());
    }
    let said = answer.stderr.lines().map(str::trim).find(|line| !line.is_empty());
    bail!("`{typed}` failed: {}", said.unwrap_or("it did not say why"));
}

/// A command as it is typed.
fn line(words: &[OsString]) -> String {
    let words = words.iter().map(|word| {
        let word = word.to_string_lossy();
        let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-=@:".contains(c));
        if is_plain { word.into_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_and_its_arguments_stand_in_both_commands() {
        let render = |program: &str, arguments: &[&str]| {
            let arguments: Vec<PathBuf> = arguments.iter().map(PathBuf::from).collect();
            let text = render(USER_UNIT, Path::new(program), &arguments);
            let lines = text.lines().filter(|line| line.starts_with("ExecStart")).map(str::to_owned);
            lines.collect::<Vec<_>>()
        };
        assert_eq!(
            render("/usr/bin/systembot", &[]),
            ["ExecStartPre=/usr/bin/systembot config check", "ExecStart=/usr/bin/systembot run"]
        );
        assert_eq!(
            render("/home/me/my bin/100%/systembot", &["--config", "/a \"b\"/$c.toml"])[1],
            r#"ExecStart="/home/me/my bin/100%%/systembot" --config "/a \"b\"/$$c.toml" run"#
        );
        assert_eq!(super::render(SYSTEM_UNIT, Path::new(PROGRAM), &[]), SYSTEM_UNIT);
    }

    #[test]
    fn a_command_is_shown_as_it_is_typed() {
        let words = ["rm", "/a b/it's"].map(OsString::from);
        assert_eq!(line(&words), r"rm '/a b/it'\''s'");
    }
}
