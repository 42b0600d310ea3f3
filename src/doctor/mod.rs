//! `systembot doctor`: looks at everything around the bot that an owner can get wrong.
//!
//! Each check is a function that gives one finding, what is found and what to type about it. Nothing is changed, no
//! check waits longer than a few seconds, and none needs a configuration or a daemon. The order is that of mending:
//! what stands first may be the cause of what follows.

mod bridge;
mod data;
mod machine;
mod program;
mod service;
mod settings;
mod units;

use std::path::Path;

use systembot_cli::{Checkup, FindingSink};
use systembot_config::Settings;

use crate::{clock::SystemClock, collect::Roots};

/// Examines everything and gives each finding as it is made.
///
/// # Errors
/// Those of the sink alone: what is wrong is a finding.
pub fn examine(checkup: &Checkup<'_>, sink: FindingSink<'_>) -> anyhow::Result<()> {
    let clock = SystemClock;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let defaults = Settings::defaults(&host);
    let settings = checkup.loaded.as_ref().map_or(&defaults, |loaded| &loaded.settings);
    let config = checkup.config.as_ref().ok().and_then(Option::as_deref);

    sink(settings::configuration(checkup))?;
    if let Some(finding) = settings::xmpp(settings) {
        sink(finding)?;
    }
    sink(data::directory(checkup))?;
    let known = match &checkup.data_dir {
        Ok(dir) if checkup.access.is_ok() => {
            let (known, findings) = data::daemon_and_log(dir, settings, config, &clock);
            findings.into_iter().chain(data::damaged_logs(dir)).try_for_each(&mut *sink)?;
            sink(data::disk_space(dir, settings, &known))?;
            known
        }
        Ok(_) | Err(_) => data::Known::default(),
    };
    // Nothing is known of these where the configuration has mistakes.
    if checkup.loaded.is_ok() && checkup.config.is_ok() {
        sink(bridge::bridge(settings, config, &known, &clock))?;
        sink(bridge::public_address(settings))?;
    }
    sink(machine::clock(&known, &clock, checkup.env))?;
    let reading = machine::Reading::take(settings, Roots::default());
    sink(machine::sensors(&reading, Path::new("/proc")))?;
    sink(machine::processes(Path::new("/proc")))?;
    sink(machine::mounts(&reading, &settings.rules()))?;
    // The daemon is who starts them.
    let path = |name: &str| known.path.clone().filter(|_| name == "PATH").or_else(|| (checkup.env)(name));
    for service in &settings.services {
        sink(service::service(service, &reading, config, &path))?;
    }
    let units = units::Units::ask(checkup.env);
    sink(units.unit())?;
    sink(units.original(&reading))?;
    if let Some(finding) = units.linger(checkup.env) {
        sink(finding)?;
    }
    Ok(())
}
