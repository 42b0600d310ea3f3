//! `ack`, `mute` and `unmute`: chat lines with checks before them.

use std::time::Duration;

use anyhow::{Result, bail};
use systembot_model::Timestamp;
use systembot_storage::query::{Request, Row};

use super::{Outcome, View, ask::ask, why::unknown};
use crate::{
    source::{Source, each},
    time::{self, Toward},
};

/// What is firing.
const OPEN: Request = Request::Alerts { since: Timestamp::MAX, open: true };

/// Acknowledges an alert, or what is open.
///
/// # Errors
/// Those of the source and of the output.
pub fn ack(id: Option<u64>, source: &mut dyn Source, view: &mut View<'_>) -> Result<Outcome> {
    let request = id.map_or(OPEN, |id| Request::Why { id });
    let mut is_known = false;
    each(source, &request, &mut |row| {
        is_known |= matches!(row, Row::Alert(_) | Row::Why(_));
        Ok(())
    })?;
    match (is_known, id) {
        (true, None) => ask("ack", source, view),
        (true, Some(id)) => ask(&format!("ack {id}"), source, view),
        (false, None) => Ok(Outcome::Nothing("no open alerts to acknowledge".to_owned())),
        (false, Some(id)) => Ok(unknown(id)),
    }
}

/// For how long to mute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length<'a> {
    /// A span.
    For(&'a str),
    /// A moment to come.
    Until(&'a str),
}

/// Mutes some series.
///
/// # Errors
/// A span or moment that cannot be read or is over, and those of the source and of the output.
pub fn mute(
    series: &str,
    length: Length<'_>,
    source: &mut dyn Source,
    view: &mut View<'_>,
) -> Result<Outcome> {
    let span = match length {
        Length::For(text) => time::span(text)?,
        Length::Until(text) => time::moment(text, &view.now, Toward::Future)?.since(view.at()),
    };
    if span.is_zero() {
        bail!("nothing to mute: that time is over before it begins");
    }
    // Without a log nothing could keep the mute; the question fails then.
    each(source, &OPEN, &mut |_| Ok(()))?;
    ask(&format!("mute {} for {}", series.trim(), compact(span)), source, view)
}

/// Tells alerts of some series again, or of all.
///
/// # Errors
/// Those of the source and of the output.
pub fn unmute(series: Option<&str>, source: &mut dyn Source, view: &mut View<'_>) -> Result<Outcome> {
    each(source, &OPEN, &mut |_| Ok(()))?;
    let line = series.map_or_else(|| "unmute".to_owned(), |series| format!("unmute {}", series.trim()));
    ask(&line, source, view)
}

/// A span in one unit, rounded up to whole seconds: `2h`, `90m`, `5430s`.
fn compact(span: Duration) -> String {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    let unit =
        [(86_400, "d"), (3600, "h"), (60, "m")].into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        args::Format,
        commands::{
            alerts::tests::alert,
            fake::{Fake, check, printed},
        },
    };

    #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else is asked")]
    fn rows(request: &Request) -> Vec<Row> {
        match request {
            Request::Ask { text, .. } => vec![Row::Answer { text: text.clone(), understood: true }],
            Request::Alerts { open: true, .. } | Request::Why { id: 12 } => {
                vec![Row::Alert(Box::new(alert(12)))]
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn they_are_chat_lines() {
        let mut source = Fake::new(&rows);
        check(Format::Table, |view| ack(None, &mut source, view), "ack\n");
        check(Format::Table, |view| ack(Some(12), &mut source, view), "ack 12\n");
        check(Format::Table, |view| unmute(None, &mut source, view), "unmute\n");
        check(Format::Table, |view| unmute(Some("load"), &mut source, view), "unmute load\n");
        for (length, expected) in [
            (Length::For("2h"), "2h"),
            (Length::For("90m"), "90m"),
            (Length::For("1h30m30s"), "5430s"),
            (Length::For("1w"), "7d"),
            (Length::Until("18:00"), "8h"),
            (Length::Until("tomorrow"), "14h"),
        ] {
            let line = format!("mute disk_used_percent{{mount=\"/a b\"}} for {expected}\n");
            let series = "disk_used_percent{mount=\"/a b\"}";
            check(Format::Table, |view| mute(series, length, &mut source, view), &line);
        }
    }

    #[test]
    fn what_is_not_there_exits_1_and_a_mistake_2() {
        let mut source = Fake::new(&rows);
        let outcome =
            |command: &mut dyn FnMut(&mut View<'_>) -> Result<Outcome>| printed(Format::Table, command).0;
        assert_eq!(outcome(&mut |view| ack(Some(99), &mut source, view)), Ok(unknown(99)));
        assert_eq!(
            outcome(&mut |view| ack(None, &mut Fake::new(&|_| Vec::new()), view)),
            Ok(Outcome::Nothing("no open alerts to acknowledge".into()))
        );
        for length in [Length::For("soon"), Length::For("0s"), Length::Until("2026-11-22 09:59")] {
            assert!(outcome(&mut |view| mute("load", length, &mut source, view)).is_err(), "{length:?}");
        }
    }
}
