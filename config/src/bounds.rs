//! What each setting may be: the checks that both forms share. Each error says what is right instead.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use systembot_model::limits;

use crate::{mistake::quote, size, source::Source, span};

/// Bounds of `sample_interval` and of `poll_interval`.
pub(crate) const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// Bounds of `repeat_interval`.
pub(crate) const REPEAT: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(30 * 86_400);
/// Bounds of `retention`: none is below a tick, and a hundred years outlive the machine.
pub(crate) const RETENTION: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(36_500 * 86_400);
/// Bounds of `max_size` in bytes: an empty log takes almost the least, and no disk holds the most.
const SIZE_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 50;
/// Smallest window: two samples make a deviation.
const WINDOW_MINIMUM: usize = 2;
/// Longest name of the bot or of a service, in bytes: as long as the longest host name of DNS.
const NAME_BYTES: usize = 253;

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

/// What a command line begins with.
pub(crate) fn matching(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("must not be empty: it would match every process".to_owned());
    }
    one_line(text)
}

/// A command that starts a service again.
pub(crate) fn command(text: &str, runs_in_shell: RunsInShell) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("must not be empty: leave it out to be told of the death only".to_owned());
    }
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

/// `host:port`.
pub(crate) fn server(text: &str) -> Result<String, String> {
    text.rsplit_once(':')
        .filter(|(host, port)| {
            let is_bracketed = host.starts_with('[') && host.ends_with(']');
            !host.is_empty()
                && (is_bracketed || !host.contains(':'))
                && !host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/')
                && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
        .map(|_| text.to_owned())
        .ok_or_else(|| "must be host:port, such as xmpp.example.org:5222".to_owned())
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
        let check = |text, shell, expected| assert_eq!(command(text, shell).is_ok(), expected, "{text}");
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
            assert_eq!(server(text).is_ok(), expected, "{text}");
        }
    }
}
