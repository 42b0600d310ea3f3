//! Where the configuration and the log lie.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::ErrorKind,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// A way to ask for a variable of the environment.
pub type Env<'e> = &'e dyn Fn(&str) -> Option<OsString>;

/// The configuration of the whole machine.
const SYSTEM_FILE: &str = "/etc/systembot/systembot.toml";
/// Where the file lies in a directory for configuration.
const FILE: &str = "systembot/systembot.toml";

/// A file or directory that cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The owner named a configuration that is not there: correct the name.
    #[error("{}: no such configuration file{}", path.display(), named_by.hint())]
    Missing {
        /// What was named.
        path: PathBuf,
        /// Where it was named.
        named_by: NamedBy,
    },
    /// Neither a flag nor the environment tells where to keep the log: name a directory.
    #[error("no directory for the log is known: HOME is not set; give --data-dir")]
    NoDataDir,
}

/// Where a configuration file is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// On the command line, before the owner's eyes.
    Owner,
    /// By `$SYSTEMBOT_CONFIG`, which may have been set long ago.
    Variable,
}

impl NamedBy {
    /// The end of a message about the file that says where to correct its name.
    const fn hint(self) -> &'static str {
        match self {
            Self::Owner => "",
            Self::Variable => ": correct or unset SYSTEMBOT_CONFIG, which names it",
        }
    }
}

/// The configuration file to read; `None` stands for the defaults.
///
/// The first of: the one that `--config` names, `$SYSTEMBOT_CONFIG`, `systembot/systembot.toml` in
/// `$XDG_CONFIG_HOME` (or `~/.config`), `/etc/systembot/systembot.toml`.
///
/// # Errors
/// [`Error::Missing`] when the flag or `$SYSTEMBOT_CONFIG` names a file that is not there.
pub fn find(explicit: Option<&Path>, env: Env<'_>) -> Result<Option<PathBuf>, Error> {
    find_beside(explicit, env, Path::new(SYSTEM_FILE))
}

fn find_beside(explicit: Option<&Path>, env: Env<'_>, system: &Path) -> Result<Option<PathBuf>, Error> {
    let named = explicit
        .map(|path| (path.to_owned(), NamedBy::Owner))
        .or_else(|| set(env, "SYSTEMBOT_CONFIG").map(|path| (PathBuf::from(path), NamedBy::Variable)));
    if let Some((path, named_by)) = named {
        return if exists(&path) { Ok(Some(path)) } else { Err(Error::Missing { path, named_by }) };
    }
    // A home that is closed is another user's, as with `sudo -u`, which leaves HOME as it is.
    let of_user = base(env, "XDG_CONFIG_HOME", ".config").map(|base| base.join(FILE));
    let of_user = of_user.filter(|path| !is_closed(path));
    Ok(of_user.into_iter().chain([system.to_owned()]).find(|path| exists(path)))
}

/// The directory that holds the log.
///
/// The first of: the one that `--data-dir` names, `$SYSTEMBOT_DATA_DIR`, the first of `$STATE_DIRECTORY`
/// (systemd.exec(5) separates several by colons), `systembot` in `$XDG_STATE_HOME` (or `~/.local/state`).
///
/// # Errors
/// [`Error::NoDataDir`] when none of them is set, nor HOME.
pub fn data_dir(explicit: Option<&Path>, env: Env<'_>) -> Result<PathBuf, Error> {
    if let Some(path) = explicit {
        return Ok(path.to_owned());
    }
    if let Some(path) = set(env, "SYSTEMBOT_DATA_DIR") {
        return Ok(path.into());
    }
    let state = set(env, "STATE_DIRECTORY");
    let first = state.as_ref().and_then(|list| list.as_bytes().split(|byte| *byte == b':').next());
    if let Some(path) = first.filter(|path| !path.is_empty()) {
        return Ok(OsStr::from_bytes(path).into());
    }
    base(env, "XDG_STATE_HOME", ".local/state").map(|base| base.join("systembot")).ok_or(Error::NoDataDir)
}

/// A variable that is set to something: empty counts as not set, as the XDG base directory specification has it.
fn set(env: Env<'_>, variable: &str) -> Option<OsString> {
    env(variable).filter(|value| !value.is_empty())
}

/// A base directory of the XDG specification, which says that relative ones are to be ignored.
fn base(env: Env<'_>, variable: &str, below_home: &str) -> Option<PathBuf> {
    set(env, variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(PathBuf::from(set(env, "HOME")?).join(below_home)))
}

/// Whether a directory on the way to a file may not be entered.
fn is_closed(path: &Path) -> bool {
    fs::metadata(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// Whether something is there; what cannot be looked at is, so that reading it tells the reason.
fn exists(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An environment of `NAME=value` words, where `~` stands for a directory.
    fn env(words: &str, home: &Path) -> impl Fn(&str) -> Option<OsString> {
        let words = words.replace('~', home.to_str().unwrap());
        move |name| {
            let found = words.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            found.map(OsString::from)
        }
    }

    #[test]
    fn the_configuration_is_sought_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path();
        for path in ["flag", "env", "xdg/systembot/systembot.toml", ".config/systembot/systembot.toml", "etc"]
        {
            let path = home.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let look = |flag: Option<&str>, words: &str, system: &str| {
            let flag = flag.map(|path| home.join(path));
            find_beside(flag.as_deref(), &env(words, home), &home.join(system))
        };
        let check = |flag, words, system, expected: Option<&str>| {
            assert_eq!(look(flag, words, system), Ok(expected.map(|path| home.join(path))), "{words}");
        };
        check(Some("flag"), "SYSTEMBOT_CONFIG=~/env HOME=~", "etc", Some("flag"));
        check(None, "SYSTEMBOT_CONFIG=~/env XDG_CONFIG_HOME=~/xdg HOME=~", "etc", Some("env"));
        let (in_xdg, in_home) = ("xdg/systembot/systembot.toml", ".config/systembot/systembot.toml");
        check(None, "SYSTEMBOT_CONFIG= XDG_CONFIG_HOME=~/xdg HOME=~", "etc", Some(in_xdg));
        check(None, "XDG_CONFIG_HOME= HOME=~", "etc", Some(in_home));
        check(None, "XDG_CONFIG_HOME=relative HOME=~", "etc", Some(in_home));
        check(None, "XDG_CONFIG_HOME=~/none HOME=~", "etc", Some("etc"));
        check(None, "", "etc", Some("etc"));
        check(None, "HOME=~/none", "none", None);
        check(None, "HOME=~/flag", "none", None);

        let missing = |named_by| Error::Missing { path: home.join("none"), named_by };
        assert_eq!(look(Some("none"), "HOME=~", "etc"), Err(missing(NamedBy::Owner)));
        assert_eq!(look(None, "SYSTEMBOT_CONFIG=~/none HOME=~", "etc"), Err(missing(NamedBy::Variable)));
        assert!(missing(NamedBy::Owner).to_string().ends_with("/none: no such configuration file"));
        assert!(missing(NamedBy::Variable).to_string().contains("SYSTEMBOT_CONFIG"));
    }

    #[test]
    fn the_data_directory_is_told_in_order() {
        let check = |flag: Option<&str>, words: &str, expected: Result<&str, Error>| {
            let found = data_dir(flag.map(Path::new), &env(words, Path::new("/home/me")));
            assert_eq!(found, expected.map(PathBuf::from), "{words}");
        };
        let all = "SYSTEMBOT_DATA_DIR=/env STATE_DIRECTORY=/a:/b XDG_STATE_HOME=/xdg HOME=~";
        check(Some("here"), all, Ok("here"));
        check(None, all, Ok("/env"));
        check(None, "SYSTEMBOT_DATA_DIR= STATE_DIRECTORY=/a:/b XDG_STATE_HOME=/xdg", Ok("/a"));
        check(None, "STATE_DIRECTORY=/a", Ok("/a"));
        check(None, "STATE_DIRECTORY= XDG_STATE_HOME=/xdg HOME=~", Ok("/xdg/systembot"));
        check(None, "XDG_STATE_HOME=relative HOME=~", Ok("/home/me/.local/state/systembot"));
        check(None, "HOME=~", Ok("/home/me/.local/state/systembot"));
        check(None, "", Err(Error::NoDataDir));
    }
}
