//! The configuration: found, valid, and closed to others where it holds secrets.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use systembot_cli::{Checkup, Finding};
use systembot_config::Settings;

const CHECK: &str = "configuration";

/// Whether there is a configuration, whether it is valid, and who can read what is secret in it.
pub(super) fn configuration(checkup: &Checkup<'_>) -> Finding {
    let file = match &checkup.config {
        Ok(Some(file)) => file,
        Ok(None) => return Finding::ok(CHECK, "none: everything is on its defaults"),
        Err(error) => {
            return Finding::failed(CHECK, format!("{error:#}"), "name a file that is there".to_owned());
        }
    };
    let name = file.display();
    // As the user that this process may have become since it was read.
    if let Err(error) = fs::File::open(file) {
        let mend = format!("sudo chgrp {} {name} && sudo chmod 640 {name}", own_group());
        return Finding::failed(CHECK, format!("{name} cannot be read by {}: {error}", own_name()), mend);
    }
    let loaded = match &checkup.loaded {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            let mend = format!("systembot config check {name}");
            return Finding::failed(CHECK, mistakes.to_string(), mend);
        }
    };
    let mode = fs::metadata(file).map_or(0, |found| found.permissions().mode()) & 0o777;
    if mode & 0o002 != 0 {
        let found = format!(
            "everybody can write {name}, its mode is {mode:04o}: what stands there is run as {}",
            own_name()
        );
        return Finding::failed(CHECK, found, format!("chmod o-w {name}"));
    }
    if holds_secrets(&loaded.settings) && mode & 0o007 != 0 {
        let found = format!("{name} holds a password, and its mode {mode:04o} lets everybody read it");
        return Finding::failed(CHECK, found, format!("chmod o= {name}"));
    }
    let mut warnings = loaded.warnings.iter();
    if let Some(first) = warnings.next() {
        let more = match warnings.count() {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        let mend = format!("systembot config check {name}");
        return Finding::warning(CHECK, format!("valid, but {first}{more}"), mend);
    }
    Finding::ok(CHECK, format!("{name} is valid"))
}

/// The password of the XMPP account, where there is one.
pub(super) fn xmpp(settings: &Settings) -> Option<Finding> {
    let file = &settings.xmpp.as_ref()?.password_file;
    Some(secret("xmpp password", file))
}

fn secret(check: &str, file: &Path) -> Finding {
    let name = file.display();
    if let Err(error) = fs::File::open(file) {
        let mend = format!("put the password, and nothing else, into {name}; then chmod 600 {name}");
        return Finding::failed(check, format!("{name} cannot be read: {error}"), mend);
    }
    let mode = fs::metadata(file).map_or(0, |found| found.permissions().mode()) & 0o777;
    if mode & 0o007 != 0 {
        let found = format!("everybody can read {name}: its mode is {mode:04o}");
        return Finding::failed(check, found, format!("chmod 600 {name}"));
    }
    if fs::metadata(file).is_ok_and(|found| found.size() == 0) {
        return Finding::failed(check, format!("{name} is empty"), "put the password into it".to_owned());
    }
    Finding::ok(check, format!("{name} can be read"))
}

/// Whether an address in the settings hides something when it is printed.
fn holds_secrets(settings: &Settings) -> bool {
    let urls = settings.bridge.iter().map(|bridge| &bridge.url).chain([&settings.public_address.url]);
    let is_secret = urls.into_iter().any(|url| url.to_string() != url.expose());
    is_secret || settings.services.iter().any(|service| !service.environment.0.is_empty())
}

/// Name of the user that this process is.
pub(super) fn own_name() -> String {
    let uid = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

fn own_group() -> String {
    let gid = nix::unistd::getegid();
    let group = nix::unistd::Group::from_gid(gid).ok().flatten();
    group.map_or_else(|| gid.to_string(), |group| group.name)
}
