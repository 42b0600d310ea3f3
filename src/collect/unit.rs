//! systemd units: asked of systemctl(1), which knows what the process table does not.

use std::{io, process::Command, sync::mpsc, thread, time::Duration};

use systembot_cli::child;

use crate::account;

/// Time that systemctl gets; its own patience with a manager that hangs is 25 s.
const PATIENCE: Duration = Duration::from_secs(3);

/// How a unit stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is active; the number of its main process, where it has one.
    Active(Option<u32>),
    /// It is not.
    Inactive,
    /// It cannot be told: it is on its way up, or systemctl gave no answer, for this reason.
    Unknown(Option<String>),
}

/// Whose manager knows a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Its name.
    pub(crate) name: String,
    /// The user whose manager it is; `None` for the system's.
    pub(crate) user: Option<String>,
}

impl Unit {
    /// What tells systemctl whose manager is meant.
    pub(crate) fn whose(&self) -> Vec<String> {
        let Some(user) = &self.user else { return Vec::new() };
        let other = (!account::is_own(user)).then(|| format!("--machine={user}@.host"));
        std::iter::once("--user".to_owned()).chain(other).collect()
    }

    /// Asks how it stands.
    pub(crate) fn ask(&self) -> Standing {
        let mut command = Command::new("systemctl");
        command.args(self.whose()).args(["show", "--property=ActiveState,MainPID", "--", &self.name]);
        match child::answer(&mut command, PATIENCE) {
            Ok(answer) if answer.status.success() => parse(&answer.stdout),
            Ok(answer) => Standing::Unknown(Some(first_line(&answer.stderr))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Standing::Unknown(Some("there is no systemctl on this machine".into()))
            }
            Err(error) => Standing::Unknown(Some(error.to_string())),
        }
    }
}

/// The value of `KEY=` in lines as `systemctl show` prints them.
pub(crate) fn property<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("systemctl failed").to_owned()
}

fn parse(text: &str) -> Standing {
    match property(text, "ActiveState").unwrap_or_default() {
        "active" | "reloading" => {
            let pid = property(text, "MainPID").and_then(|pid| pid.parse().ok());
            Standing::Active(pid.filter(|pid: &u32| *pid > 0))
        }
        "inactive" | "failed" | "deactivating" => Standing::Inactive,
        _ => Standing::Unknown(None),
    }
}

/// One question: whose, and when it was asked by the steady clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    /// The place of the service among those that are watched.
    pub(super) number: usize,
    /// When it was asked.
    pub(super) at: Duration,
}

/// Asks about units on a thread of its own, so that a manager that hangs holds nothing else up.
pub(super) struct Asking {
    questions: mpsc::Sender<(Question, Unit)>,
    answers: mpsc::Receiver<(Question, Standing)>,
}

impl Asking {
    /// Begins; the thread ends when this is dropped.
    pub(super) fn begin() -> io::Result<Self> {
        let (questions, asked) = mpsc::channel::<(Question, Unit)>();
        let (told, answers) = mpsc::channel();
        thread::Builder::new().name("units".into()).spawn(move || {
            for (question, unit) in asked {
                if told.send((question, unit.ask())).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { questions, answers })
    }

    /// Asks a question.
    pub(super) fn ask(&self, question: Question, unit: &Unit) {
        // The thread ends only after this; if it died, there is no answer, which is told as such.
        let _ = self.questions.send((question, unit.clone()));
    }

    /// An answer, if one comes within a time.
    pub(super) fn answer(&self, within: Duration) -> Option<(Question, Standing)> {
        self.answers.recv_timeout(within).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemctl_shows() {
        let check = |load, active, pid, expected| {
            let text = format!("MainPID={pid}\nLoadState={load}\nActiveState={active}\n");
            assert_eq!(parse(&text), expected, "{text}");
        };
        check("loaded", "active", "42", Standing::Active(Some(42)));
        check("loaded", "active", "0", Standing::Active(None));
        check("loaded", "reloading", "42", Standing::Active(Some(42)));
        check("loaded", "failed", "0", Standing::Inactive);
        check("loaded", "inactive", "0", Standing::Inactive);
        check("loaded", "activating", "42", Standing::Unknown(None));
        // One that is not installed, or a transient one that has gone, does not run.
        check("not-found", "inactive", "0", Standing::Inactive);
        assert_eq!(parse(""), Standing::Unknown(None));
    }
}
