//! What each setting may be: the checks that both forms share. Each error says what is right instead.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use systembot_model::limits;

use crate::{Url, mistake::quote, size, source::Source, span};

/// Bounds of `sample_interval` and of `poll_interval`.
pub(crate) const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// Bounds of `repeat_interval`.
pub(crate) const REPEAT: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(30 * 86_400);
/// Bounds of `retention`: the windows that outlive samples are recorded once a day, and a hundred years outlive the
/// machine.
pub(crate) const RETENTION: RangeInclusive<Duration> =
    Duration::from_secs(86_400)..=Duration::from_secs(36_500 * 86_400);
/// Bounds of `rollup_retention`: ten years are what the design of the log reckons with.
pub(crate) const ROLLUP_RETENTION: RangeInclusive<Duration> =
    Duration::from_secs(86_400)..=Duration::from_secs(3_650 * 86_400);
/// Bounds of `max_size` in bytes. The database takes some megabytes before there is a sample, in segments of half a
/// megabyte of which some are always free, and what is kept for ever needs room; no disk holds the most.
const SIZE_BYTES: RangeInclusive<u64> = 16 << 20..=1 << 50;
/// Smallest window: two samples make a deviation.
const WINDOW_MINIMUM: usize = 2;
/// Longest name of the bot or of a service, in bytes: as long as the longest host name of DNS.
const NAME_BYTES: usize = 253;

/// Bounds of what a service waits for: its start, the next start.
pub(crate) const WAIT: RangeInclusive<Duration> = INTERVAL;
/// Bounds of `start_limit_interval`.
pub(crate) const STARTS_WITHIN: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(86_400);
/// Bounds of a check's `timeout`: a connection over a slow line takes the least, a slow command the most.
pub(crate) const CHECK_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(60);
/// Most starts that a limit may allow: one every few seconds for an hour.
const STARTS_MAX: u32 = 1000;
/// Longest name of a unit, in bytes: UNIT_NAME_MAX of systemd less its end.
const UNIT_BYTES: usize = 255;
/// Longest name of a user, in bytes: LOGIN_NAME_MAX of limits.h less its end.
const USER_BYTES: usize = 255;
/// Suffixes of units, as systemd knows them.
const UNIT_SUFFIXES: [&str; 11] = [
    "service",
    "socket",
    "device",
    "mount",
    "automount",
    "swap",
    "target",
    "path",
    "timer",
    "slice",
    "scope",
];

/// A span within bounds.
pub(crate) fn within(span: Duration, bounds: &RangeInclusive<Duration>) -> Result<Duration, String> {
    if bounds.contains(&span) {
        return Ok(span);
    }
    let [value, least, most] = [span, *bounds.start(), *bounds.end()].map(span::format);
    Err(format!("{value} is not within {least} to {most}"))
}

/// A percentage.
pub(crate) fn percent(value: f64) -> Result<f64, String> {
    if (0.0..=100.0).contains(&value) { Ok(value) } else { Err(format!("{value} is not within 0 to 100")) }
}

/// A number of standard deviations.
pub(crate) fn deviations(value: f64) -> Result<f64, String> {
    if value > 0.0 && value <= 100.0 {
        return Ok(value);
    }
    Err(format!("{value} is not above 0 and at most 100"))
}

/// A length of the FIFO window.
pub(crate) fn length(value: i64) -> Result<usize, String> {
    usize::try_from(value)
        .ok()
        .filter(|length| (WINDOW_MINIMUM..=limits::WINDOW_SAMPLES).contains(length))
        .ok_or_else(|| format!("{value} is not within {WINDOW_MINIMUM} to {}", limits::WINDOW_SAMPLES))
}

/// Both lengths of the FIFO window together.
pub(crate) fn lengths(minimum: usize, maximum: usize) -> Result<(), String> {
    if minimum <= maximum {
        return Ok(());
    }
    Err(format!("the minimum length {minimum} is above the maximum length {maximum}"))
}

/// A size of the log.
pub(crate) fn log_size(bytes: u64) -> Result<u64, String> {
    if SIZE_BYTES.contains(&bytes) {
        return Ok(bytes);
    }
    let [value, least, most] = [bytes, *SIZE_BYTES.start(), *SIZE_BYTES.end()].map(size::format);
    Err(format!("{value} is not within {least} to {most}"))
}

/// A name in messages.
pub(crate) fn name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.len() > NAME_BYTES {
        return Err(format!("is longer than {NAME_BYTES} bytes"));
    }
    one_line(text)
}

/// Whether the bridge can serve a name. It takes the name from the request line as it stands there, undecoded,
/// and the owner's client ends it at the first blank or comma.
pub(crate) fn bridge_name(name: &str) -> Result<(), String> {
    let is_served = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+;=:@".contains(c);
    let why = match name.chars().find(|c| !is_served(*c)) {
        Some(' ') => "a blank ends the name in a chat line, and the bridge decodes no URL".to_owned(),
        Some(',') => "the first comma of a chat line ends the name".to_owned(),
        Some('/') => "a slash ends the name in the bridge's URL".to_owned(),
        Some(c) if !c.is_ascii() => format!("the bridge decodes no URL, so {c} never arrives"),
        Some(c) => format!("the bridge decodes no URL, so {} never arrives", quote(&c.to_string())),
        None if matches!(name, "." | "..") => "it means a directory in a URL".to_owned(),
        None if name == "replies" => "the bridge takes replies under it".to_owned(),
        None => return Ok(()),
    };
    Err(format!(
        "the bridge cannot serve the name `{}`: {why}; use letters, digits, - and _ alone",
        quote(name)
    ))
}

/// A mount point.
pub(crate) fn mount(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("`{}` is no absolute path: it must begin with /", quote(text)));
    }
    one_line(text)
}

/// An absolute path.
pub(crate) fn path(text: &str) -> Result<String, String> {
    mount(text)
}

/// What a command line begins with.
pub(crate) fn matching(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("must not be empty: it would match every process".to_owned());
    }
    one_line(text)
}

/// A command that starts a service again.
pub(crate) fn restart(text: &str, runs_in_shell: RunsInShell) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("must not be empty: leave it out to be told of the death only".to_owned());
    }
    command(text, runs_in_shell)
}

/// A command.
pub(crate) fn command(text: &str, runs_in_shell: RunsInShell) -> Result<String, String> {
    if text.contains('\0') {
        return Err("must not contain a NUL character".to_owned());
    }
    match (runs_in_shell, shell_words::split(text)) {
        (RunsInShell::No, Err(_)) => Err("has a quote that is not closed".to_owned()),
        (RunsInShell::No, Ok(words)) if words.first().is_none_or(String::is_empty) => {
            Err("names no program".to_owned())
        }
        (RunsInShell::No, Ok(_)) | (RunsInShell::Yes, _) => Ok(text.to_owned()),
    }
}

/// Whether a command goes to a shell, which has its own mind about quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunsInShell {
    /// It is split into words here.
    No,
    /// It is handed over as it stands.
    Yes,
}

/// The name of a systemd unit, its suffix added where it has none, as systemctl does.
pub(crate) fn unit(text: &str) -> Result<String, String> {
    let whole = match text.rsplit_once('.') {
        Some((_, suffix)) if UNIT_SUFFIXES.contains(&suffix) => text.to_owned(),
        Some(_) | None => format!("{text}.service"),
    };
    let stem = whole.rsplit_once('.').map_or("", |(stem, _)| stem);
    let is_part = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    if stem.is_empty()
        || stem.starts_with(['@', '-'])
        || !stem.chars().all(is_part)
        || whole.len() > UNIT_BYTES
    {
        return Err(format!("`{}` is no name of a systemd unit, such as nginx.service", quote(text)));
    }
    if stem.ends_with('@') {
        return Err(format!("`{}` is a template: name one instance of it, such as {stem}1", quote(text)));
    }
    Ok(whole)
}

/// A user by name or number.
pub(crate) fn user(text: &str) -> Result<String, String> {
    let is_part = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, ':' | '/' | ',');
    if text.is_empty() || text.starts_with('-') || text.len() > USER_BYTES || !text.chars().all(is_part) {
        return Err("must be the name or the number of a user".to_owned());
    }
    Ok(text.to_owned())
}

/// A variable of an environment; says nothing of its value, which may be a secret.
pub(crate) fn variable(name: &str, value: &str) -> Result<(), String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_part) {
        return Err("a variable's name has letters, digits and _, and begins with no digit".to_owned());
    }
    if value.contains('\0') {
        return Err("must not contain a NUL character".to_owned());
    }
    Ok(())
}

/// A number of starts.
pub(crate) fn starts(value: i64) -> Result<u32, String> {
    u32::try_from(value)
        .ok()
        .filter(|starts| *starts <= STARTS_MAX)
        .ok_or_else(|| format!("{value} is not within 0 to {STARTS_MAX}"))
}

/// The address of a health check, which is recorded and so must hold no password.
pub(crate) fn health(text: &str) -> Result<String, String> {
    let url = Url::parse(text)?;
    if url.has_user() {
        return Err(
            "must not hold a user or a password: use `command` with curl and a file of its own".to_owned()
        );
    }
    Ok(url.expose().to_owned())
}

/// Both waits between starts together.
pub(crate) fn waits(first: Duration, longest: Duration) -> Result<(), String> {
    if first <= longest {
        return Ok(());
    }
    let [first, longest] = [first, longest].map(span::format);
    Err(format!("the longest wait backoff_max = {longest} is below the first, backoff = {first}"))
}

/// A service beyond the number that can be watched.
pub(crate) fn services(count: usize) -> Result<(), String> {
    if count <= limits::SERVICES {
        return Ok(());
    }
    Err(format!("is one too many: {} services can be watched", limits::SERVICES))
}

/// An XMPP address with or without a resource (RFC 7622).
pub(crate) fn jid(text: &str) -> Result<String, String> {
    let bare = text.split_once('/').map_or(text, |(bare, _)| bare);
    let is_whole = bare
        .split_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    if !is_whole || text.ends_with('/') || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("must be an XMPP address such as bot@example.org".to_owned());
    }
    Ok(text.to_owned())
}

/// An XMPP address without a resource.
pub(crate) fn bare_jid(text: &str) -> Result<String, String> {
    if text.contains('/') {
        return Err("must be the address without /resource: the owner is heard from every device".to_owned());
    }
    jid(text)
}

/// `host:port`, such as the example.
pub(crate) fn server(text: &str, example: &str) -> Result<String, String> {
    text.rsplit_once(':')
        .filter(|(host, port)| {
            let is_bracketed = host.starts_with('[') && host.ends_with(']');
            !host.is_empty()
                && (is_bracketed || !host.contains(':'))
                && !host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/')
                && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
        .map(|_| text.to_owned())
        .ok_or_else(|| format!("must be host:port, such as {example}"))
}

/// A file beside the configuration or anywhere.
pub(crate) fn file(text: &str, source: &Source) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        return Err("must be the path of a file".to_owned());
    }
    Ok(source.resolve(text))
}

fn one_line(text: &str) -> Result<String, String> {
    if text.contains(char::is_control) {
        return Err("must not contain line ends or other control characters".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_at_their_ends() {
        let s = Duration::from_secs;
        let check = |is_right: bool, expected| assert_eq!(is_right, expected);
        check(within(s(1), &INTERVAL).is_ok(), true);
        check(within(s(3600), &INTERVAL).is_ok(), true);
        check(within(Duration::from_millis(999), &INTERVAL).is_ok(), false);
        check(within(s(3601), &INTERVAL).is_ok(), false);
        check(within(s(0), &REPEAT).is_ok(), true);
        check(within(s(2_592_001), &REPEAT).is_ok(), false);
        for (value, expected) in
            [(0.0, true), (100.0, true), (-0.1, false), (100.1, false), (f64::NAN, false)]
        {
            check(percent(value).is_ok(), expected);
        }
        for (value, expected) in
            [(0.0, false), (1e-9, true), (100.0, true), (100.1, false), (f64::NAN, false)]
        {
            check(deviations(value).is_ok(), expected);
        }
        for (value, expected) in [(1, false), (2, true), (800, true), (801, false), (-5, false)] {
            check(length(value).is_ok(), expected);
        }
        assert_eq!(within(s(5400), &INTERVAL).unwrap_err(), "1h30m is not within 1s to 1h");
    }

    #[test]
    fn names_that_the_bridge_cannot_serve_are_refused() {
        for name in ["leela", "web-1.example.org", "Test_Bot", "o'brien"] {
            assert_eq!(bridge_name(name), Ok(()), "{name}");
        }
        for (name, why) in [
            ("my bot", "blank"),
            ("a,b", "comma"),
            ("a/b", "slash"),
            ("bücher", "ü"),
            ("a%20b", "%"),
            ("a?b", "?"),
            ("..", "directory"),
            ("replies", "replies"),
        ] {
            let message = bridge_name(name).unwrap_err();
            assert!(message.contains(why), "{message}");
        }
    }

    #[test]
    fn commands_have_words() {
        let check = |text, shell, expected| assert_eq!(restart(text, shell).is_ok(), expected, "{text}");
        check("systemctl --user restart 'my bot'", RunsInShell::No, true);
        check("echo 'open", RunsInShell::No, false);
        check("echo 'open", RunsInShell::Yes, true);
        check("'' x", RunsInShell::No, false);
        check(" ", RunsInShell::Yes, false);
        check("a\0b", RunsInShell::Yes, false);
    }

    #[test]
    fn xmpp_addresses_have_two_parts() {
        for text in ["bot@example.org", "bot@example.org/home", "bot@example.org/a@b"] {
            assert!(jid(text).is_ok(), "{text}");
        }
        for text in ["", "bot", "@example.org", "bot@", "a@b@c", "bot@example.org/", "b ot@example.org"] {
            assert!(jid(text).is_err(), "{text}");
        }
        assert!(bare_jid("bot@example.org/home").is_err());
        for (text, expected) in [
            ("xmpp.example.org:5222", true),
            ("[::1]:5222", true),
            ("::1:5222", false),
            ("host", false),
            (":5222", false),
            ("host:0", false),
            ("host:99999", false),
        ] {
            assert_eq!(server(text, "").is_ok(), expected, "{text}");
        }
    }
}
