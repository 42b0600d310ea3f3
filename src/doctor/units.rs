//! systemd: is a unit installed, enabled and running, does it go on after the owner logs out, and is the bot that
//! this one replaces still there?

use std::path::Path;

use systembot_cli::Finding;
use systembot_config::Env;

use super::{machine::Reading, program, settings::own_name};

const UNIT: &str = "systembot.service";
/// The unit of the bot that this one replaces; ours answers to it too, as an alias.
const ORIGINAL: &str = "system_bot.service";

/// One of the two managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    System,
    User,
}

impl Manager {
    const ALL: [Self; 2] = [Self::System, Self::User];

    /// The beginning of a command to it.
    const fn command(self) -> &'static str {
        match self {
            Self::System => "sudo systemctl",
            Self::User => "systemctl --user",
        }
    }

    const fn journal(self) -> &'static str {
        match self {
            Self::System => "journalctl -u",
            Self::User => "journalctl --user -u",
        }
    }

    const fn whose(self) -> &'static str {
        match self {
            Self::System => "the system's",
            Self::User => "your own",
        }
    }
}

/// What a manager tells of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Unit {
    id: String,
    load: String,
    active: String,
    sub: String,
    file: String,
}

impl Unit {
    fn ask(manager: Manager, name: &str, env: Env<'_>) -> Option<Self> {
        let show = ["show", "--property=Id,LoadState,ActiveState,SubState,UnitFileState", "--", name];
        let user = match manager {
            Manager::System => "--system",
            Manager::User => "--user",
        };
        let args: Vec<&str> = [user].into_iter().chain(show).collect();
        let said = program::said("systemctl", &args, env)?;
        let of = |key| program::property(&said, key).unwrap_or_default().to_owned();
        Some(Self {
            id: of("Id"),
            load: of("LoadState"),
            active: of("ActiveState"),
            sub: of("SubState"),
            file: of("UnitFileState"),
        })
    }

    fn is_there(&self) -> bool {
        self.load == "loaded"
    }

    fn is_active(&self) -> bool {
        matches!(self.active.as_str(), "active" | "activating" | "reloading")
    }

    /// Whether it ends as often as it is started. Our own never becomes `failed`: systemd never gives it up.
    fn is_looping(&self) -> bool {
        self.sub.starts_with("auto-restart")
    }

    fn is_enabled(&self) -> bool {
        matches!(self.file.as_str(), "enabled" | "enabled-runtime" | "alias" | "linked" | "static")
    }
}

/// What both managers tell.
pub(super) struct Units {
    /// Ours, by manager; a manager that does not answer is left out.
    own: Vec<(Manager, Unit)>,
    /// That of the bot before us.
    original: Vec<(Manager, Unit)>,
    /// Whether any manager answered.
    has_systemd: bool,
}

impl Units {
    /// Asks them.
    pub(super) fn ask(env: Env<'_>) -> Self {
        let ask = |name: &str| -> Vec<(Manager, Unit)> {
            let told = Manager::ALL.into_iter().map(|manager| (manager, Unit::ask(manager, name, env)));
            told.filter_map(|(manager, unit)| Some((manager, unit?))).collect()
        };
        let (own, original) = (ask(UNIT), ask(ORIGINAL));
        let has_systemd = !own.is_empty() || !original.is_empty();
        let own = own.into_iter().filter(|(_, unit)| unit.is_there()).collect();
        // An alias of ours tells our name.
        let is_original = |unit: &Unit| unit.is_there() && unit.id != UNIT;
        let original = original.into_iter().filter(|(_, unit)| is_original(unit)).collect();
        Self { own, original, has_systemd }
    }

    /// Whether the bot comes back after a restart of the machine.
    pub(super) fn unit(&self) -> Finding {
        const CHECK: &str = "units";
        if !self.has_systemd {
            return Finding::ok(CHECK, "systemd does not run here: it is up to you to start `systembot run`");
        }
        if self.own.is_empty() {
            let found = "none is installed: after a restart of the machine nobody watches";
            return Finding::warning(CHECK, found, "systembot install --user".to_owned());
        }
        let failed = self.own.iter().find(|(_, unit)| unit.active == "failed");
        if let Some((manager, _)) = failed {
            let found = format!("{} {UNIT} has failed", manager.whose());
            return Finding::failed(CHECK, found, format!("{} {UNIT} -n 50", manager.journal()));
        }
        if let Some((manager, _)) = self.own.iter().find(|(_, unit)| unit.is_looping()) {
            let found =
                format!("{} {UNIT} does not stay up, and is started again and again", manager.whose());
            return Finding::failed(CHECK, found, format!("{} {UNIT} -n 50", manager.journal()));
        }
        let enabled: Vec<&(Manager, Unit)> = self.own.iter().filter(|(_, unit)| unit.is_enabled()).collect();
        if enabled.len() > 1 {
            let found = "the system's and your own are both enabled: two bots watch this machine";
            return Finding::warning(CHECK, found, format!("systemctl --user disable --now {UNIT}"));
        }
        match (enabled.first(), self.own.first()) {
            (Some((manager, unit)), _) if unit.is_active() => {
                Finding::ok(CHECK, format!("{} {UNIT} is enabled and runs", manager.whose()))
            }
            (Some((manager, _)), _) => {
                let found = format!("{} {UNIT} is enabled and does not run", manager.whose());
                Finding::warning(CHECK, found, format!("{} start {UNIT}", manager.command()))
            }
            (None, Some((manager, _))) => {
                let found =
                    format!("{} {UNIT} is not enabled: it does not come back by itself", manager.whose());
                Finding::warning(CHECK, found, format!("{} enable --now {UNIT}", manager.command()))
            }
            // There is one, as was seen above.
            (None, None) => Finding::ok(CHECK, "none"),
        }
    }

    /// Whether the bot before us still takes commands from the same queue.
    pub(super) fn original(&self, reading: &Reading) -> Finding {
        const CHECK: &str = "system_bot";
        let alive = self.original.iter().find(|(_, unit)| unit.is_enabled() || unit.is_active());
        if let Some((manager, _)) = alive {
            let found = format!(
                "{} {ORIGINAL} is still enabled or runs: both take commands from one queue",
                manager.whose()
            );
            return Finding::failed(CHECK, found, format!("{} disable --now {ORIGINAL}", manager.command()));
        }
        if reading.has_original() {
            let found = "system_bot.py runs: both take commands from one queue";
            return Finding::failed(CHECK, found, "stop it: pgrep -af system_bot.py".to_owned());
        }
        Finding::ok(CHECK, "the original bot does not run beside this one")
    }

    /// Whether the owner's own unit goes on when the owner is logged out; `None` where there is no such unit.
    pub(super) fn linger(&self, env: Env<'_>) -> Option<Finding> {
        const CHECK: &str = "linger";
        let has_own = |(manager, unit): &(Manager, Unit)| *manager == Manager::User && unit.is_enabled();
        self.own.iter().find(|unit| has_own(unit))?;
        let user = own_name();
        let told = program::said("loginctl", &["show-user", "--property=Linger", "--", &user], env);
        let told = told.as_deref().and_then(|said| program::property(said, "Linger"));
        // It tells nothing of a user who is not logged in and does not linger.
        let lingers = told == Some("yes") || Path::new("/var/lib/systemd/linger").join(&user).exists();
        Some(match lingers {
            true => Finding::ok(CHECK, format!("{user}'s services go on after a logout")),
            // Some want no more: a desktop that is watched while somebody is at it.
            false => Finding::warning(
                CHECK,
                format!("your own {UNIT} ends when {user} logs out, and does not start with the machine"),
                format!("sudo loginctl enable-linger {user}"),
            ),
        })
    }
}
