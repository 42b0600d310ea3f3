//! systemd units: asked of systemctl(1), which knows what the process table does not.

use std::{io, process::Command, sync::mpsc, thread, time::Duration};

use nix::unistd::{Uid, User};

use systembot_cli::child;

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
    /// Asks how it stands.
    pub(crate) fn ask(&self) -> Standing {
        let mut command = Command::new("systemctl");
        if let Some(user) = &self.user {
            command.arg("--user");
            if !is_own(user) {
                command.arg(format!("--machine={user}@.host"));
            }
        }
        command.args(["show", "--property=ActiveState,MainPID", "--", &self.name]);
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

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("systemctl failed").to_owned()
}

/// Whether a user, by name or number, is the one this process runs as.
fn is_own(user: &str) -> bool {
    let own = Uid::effective();
    user.parse() == Ok(own.as_raw())
        || User::from_name(user).ok().flatten().is_some_and(|known| known.uid == own)
}

fn parse(text: &str) -> Standing {
    let property = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
    };
    match property("ActiveState") {
        "active" | "reloading" => {
            Standing::Active(property("MainPID").parse().ok().filter(|pid: &u32| *pid > 0))
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
