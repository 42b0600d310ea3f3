//! An `http` or `https` address that may hold secrets, which printing it hides.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

/// An `http` or `https` address that may hold a password: printing it hides that.
///
/// Hidden are the password, a user without one (many services take a token there) and what the parameters of a
/// query are set to (others take it there).
#[derive(Clone, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    /// The bridge's usual address: it listens on the machine itself.
    pub(crate) fn bridge() -> Self {
        Self("http://localhost:8003/".to_owned())
    }

    /// A service that answers with the asking side's address and nothing else.
    pub(crate) fn public_address() -> Self {
        Self("https://api.ipify.org/".to_owned())
    }

    /// Reads an address; one without a path gets `/`.
    ///
    /// # Errors
    /// Says what is wrong with it without repeating any of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Parts { host, path, .. } = Parts::split(text).ok_or("must begin with http:// or https://")?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("must be ASCII without blanks: write other characters percent-encoded".to_owned());
        }
        if text.contains(['\\', '#']) {
            return Err("must not contain # or a backslash".to_owned());
        }
        check_host(host)?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        let (before, path) = text.split_at(text.len() - path.len());
        Ok(Self(format!("{before}{slash}{path}")))
    }

    /// Reads the address of a directory: it gets a `/` at its end, and has no query.
    ///
    /// # Errors
    /// Says what is wrong with it without repeating any of it.
    pub(crate) fn parse_directory(text: &str) -> Result<Self, String> {
        let Self(mut url) = Self::parse(text)?;
        if url.contains('?') {
            return Err("must not contain ?: the bot's name is put behind it".to_owned());
        }
        if !url.ends_with('/') {
            url.push('/');
        }
        Ok(Self(url))
    }

    /// Whether it holds a user, perhaps with a password.
    pub(crate) fn has_user(&self) -> bool {
        Parts::split(&self.0).is_some_and(|parts| parts.user.is_some())
    }

    /// The whole address, secrets included: for requests and `config import` only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Parts { scheme, user, host, path }) = Parts::split(&self.0) else {
            return f.write_str("***");
        };
        write!(f, "{scheme}://")?;
        if let Some(user) = user {
            match user.split_once(':') {
                Some((name, _)) => write!(f, "{name}:***@")?,
                None => f.write_str("***@")?,
            }
        }
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        write!(f, "{host}{path}")?;
        for (i, parameter) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
            f.write_str(if i == 0 { "?" } else { "&" })?;
            match parameter.split_once('=') {
                Some((name, _)) => write!(f, "{name}=***")?,
                None => f.write_str("***")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An address in its parts, nothing checked but the scheme.
struct Parts<'t> {
    /// As written, `http` or `https` in any case.
    scheme: &'t str,
    /// What stands before the last `@`: a user, perhaps with `:` and a password.
    user: Option<&'t str>,
    /// Name or address, perhaps with `:` and a port.
    host: &'t str,
    /// From the first `/` or `?` on; may be empty.
    path: &'t str,
}

impl<'t> Parts<'t> {
    fn split(text: &'t str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        if !["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
            return None;
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, host) =
            authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        Some(Self { scheme, user, host, path })
    }
}

/// Whether a name or address, perhaps with a port, can be connected to.
fn check_host(host: &str) -> Result<(), String> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or("has a [ without ] in its host")?;
            address.parse::<Ipv6Addr>().map_err(|_| "has no IPv6 address between [ and ]")?;
            (address, port.strip_prefix(':').or((!port.is_empty()).then_some(port)))
        }
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    if let Some(port) = port
        && !port.parse::<u16>().is_ok_and(|number| number > 0 && port.bytes().all(|c| c.is_ascii_digit()))
    {
        return Err("must have a port of 1 to 65535, or none".to_owned());
    }
    if host.starts_with('[') {
        return Ok(());
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.trim_matches('.').is_empty() || !name.chars().all(is_name) {
        return Err("needs the name of a host behind ://".to_owned());
    }
    // A last label of digits makes it an IPv4 address for every reader of addresses.
    let last = name.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|c| c.is_ascii_digit()) && name.parse::<Ipv4Addr>().is_err() {
        return Err("has a host that is neither a name nor an IPv4 address".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_printed() {
        let check = |text: &str, expected: &str| {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.to_string(), expected);
            assert_eq!(format!("{url:?}"), expected);
        };
        check("http://localhost:8003/", "http://localhost:8003/");
        check("https://bot:hunter2@example.org/q", "https://bot:***@example.org/q");
        check("https://bot:hun:t@er2@example.org", "https://bot:***@example.org/");
        check("https://token@example.org/", "https://***@example.org/");
        check("https://ipinfo.io/ip?token=hunter2&x", "https://ipinfo.io/ip?token=***&***");
        check("https://ipinfo.io?a@b=c:d", "https://ipinfo.io/?a@b=***");
        check("HTTP://[::1]:80/", "HTTP://[::1]:80/");
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for text in [
            "",
            "localhost:8003",
            "ftp://bot:hunter2@host/",
            "http://",
            "http:///hunter2",
            "http://bot:hunter2@/",
            "http://bot:hunter2@:80/",
            "http://host:hunter2/",
            "http://host:0/",
            "http://host:65536/",
            "http://host:+80/",
            "http://ho st/",
            "http://host/hunter2\n",
            "http://höst/",
            "http://host/#hunter2",
            "http://host\\hunter2/",
            "http://[::1/",
            "http://[hunter2]/",
            "http://[::1]hunter2/",
            "http://1.2.3.999/",
            "http://ho%st/",
        ] {
            let message = Url::parse(text).expect_err(text);
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn a_directory_ends_in_a_slash() {
        let check = |text, expected| assert_eq!(Url::parse_directory(text).unwrap().expose(), expected);
        check("http://localhost:8003", "http://localhost:8003/");
        check("http://localhost/bridge", "http://localhost/bridge/");
        check("http://localhost/bridge/", "http://localhost/bridge/");
        assert!(Url::parse_directory("http://localhost/?x").is_err());
    }
}
