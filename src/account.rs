//! Users, by name or number as settings name them.

use nix::unistd::{Uid, User};

/// The entry of a user.
pub(crate) fn find(name: &str) -> Option<User> {
    let found = match name.parse() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(name),
    };
    found.ok().flatten()
}

/// The number of a user; one that is written as a number needs no entry.
pub(crate) fn number(name: &str) -> Option<u32> {
    name.parse().ok().or_else(|| find(name).map(|user| user.uid.as_raw()))
}

/// Whether a user is the one this process runs as.
pub(crate) fn is_own(name: &str) -> bool {
    number(name) == Some(Uid::effective().as_raw())
}
