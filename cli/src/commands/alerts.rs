//! `alerts`: every alert, oldest first.

use anyhow::Result;
use systembot_model::{Timestamp, alert::Alert, rules::Severity};
use systembot_storage::query::{Request, Row};

use super::{Listing, Outcome, View};
use crate::{
    output::{Align, Cell, Fields, human, json},
    source::{Source, each, unexpected},
};

/// Which alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Every one.
    All,
    /// Those that are firing.
    Open,
}

/// Lists alerts that fired since a moment, or are open still.
///
/// # Errors
/// A time that cannot be read, and those of the source and of the output.
pub fn alerts(
    since: Option<&str>,
    which: Which,
    source: &mut dyn Source,
    view: &mut View<'_>,
) -> Result<Outcome> {
    let request = Request::Alerts { since: view.moment(since, Timestamp::MIN)?, open: which == Which::Open };
    let mut list = Listing::new(view, &COLUMNS, &KEYS);
    each(source, &request, &mut |row| {
        let Row::Alert(alert) = row else { return Err(unexpected()) };
        list.fields(view.out, &fields(&alert))?;
        let cells = cells(&alert, None, view);
        Ok(list.cells(view.out, cells)?)
    })?;
    list.finish(view.out)?;
    let nothing = match which {
        Which::All => "no alerts found",
        Which::Open => "no open alerts",
    };
    Ok(if list.rows() > 0 { Outcome::Done } else { Outcome::Nothing(nothing.to_owned()) })
}

/// Columns of a table of alerts.
pub const COLUMNS: [(&str, Align); 6] = [
    ("Id", Align::Right),
    ("Fired", Align::Left),
    ("Lasted", Align::Right),
    ("State", Align::Left),
    ("Severity", Align::Left),
    ("Message", Align::Fold),
];

/// Keys of an alert as programs read it.
const KEYS: [&str; 13] = [
    "id",
    "series",
    "rule",
    "severity",
    "state",
    "fired_at",
    "resolved_at",
    "acknowledged",
    "value",
    "mean",
    "stdev",
    "sigma",
    "message",
];

/// An alert as a row of a table; one that is open has lasted up to `now`, if that is told.
///
/// `alerts` does not tell it: what it prints follows from the log alone, whenever it is asked.
#[must_use]
pub fn cells(alert: &Alert, now: Option<Timestamp>, view: &View<'_>) -> Vec<Cell> {
    let end = alert.resolved_at.or(now);
    let lasted = end.map_or_else(|| "-".to_owned(), |end| human::span(end.since(alert.fired_at)));
    vec![
        format!("#{}", alert.fired.id).into(),
        human::brief(alert.fired_at, &view.now).into(),
        lasted.into(),
        state_cell(alert),
        Cell::styled(alert.fired.severity.word(), severity_style(alert.fired.severity)),
        alert.fired.message.as_str().into(),
    ]
}

fn state_cell(alert: &Alert) -> Cell {
    match (alert.is_open(), &alert.acknowledged) {
        (true, None) => Cell::styled("firing", Cell::RED),
        (true, Some(_)) => Cell::styled("acked", Cell::YELLOW),
        (false, _) => Cell::styled("resolved", Cell::GREEN),
    }
}

/// How a severity is coloured.
#[must_use]
pub fn severity_style(severity: Severity) -> clap::builder::styling::Style {
    match severity {
        Severity::Info => Cell::DIM,
        Severity::Warning => Cell::YELLOW,
        Severity::Critical => Cell::RED,
    }
}

/// An alert as programs read it.
#[must_use]
pub fn fields(alert: &Alert) -> Fields {
    let fired = &alert.fired;
    vec![
        ("id", fired.id.into()),
        ("series", fired.series.id().into()),
        ("rule", fired.rule.as_str().into()),
        ("severity", fired.severity.word().into()),
        ("state", if alert.is_open() { "firing" } else { "resolved" }.into()),
        ("fired_at", json::time(alert.fired_at)),
        ("resolved_at", json::maybe(alert.resolved_at.map(Timestamp::rfc3339))),
        ("acknowledged", json::maybe(alert.acknowledged.as_ref().map(|(at, _)| at.rfc3339()))),
        ("value", json::optional(fired.value)),
        ("mean", json::optional(fired.mean)),
        ("stdev", json::optional(fired.stdev)),
        ("sigma", json::optional(fired.sigma)),
        ("message", fired.message.as_str().into()),
    ]
}

#[cfg(test)]
pub(crate) mod tests {
    use systembot_model::{Address, Seq, Series, event::Fired};

    use super::*;
    use crate::{
        args::Format,
        commands::fake::{Fake, check, printed},
    };

    /// A trend alert of 09:30 that was acknowledged after 5 minutes.
    pub(crate) fn alert(id: u64) -> Alert {
        let at = Timestamp::from_ms(1_795_336_200_000);
        Alert {
            fired: Fired {
                id,
                rule: "trend".into(),
                rule_version: 1,
                configured: Seq::new(2),
                series: Series::new("load1"),
                severity: Severity::Warning,
                since: at,
                value: Some(7.5),
                limit: None,
                mean: Some(0.5),
                stdev: Some(1.0),
                sigma: Some(7.0),
                length: 100,
                message: "load1 is 7.50, 7.0 standard deviations above its mean of 0.50".into(),
                told: true,
            },
            fired_at: at,
            told_at: Some(at),
            acknowledged: Some((Timestamp::from_ms(1_795_336_500_000), Address::console())),
            resolved_at: None,
        }
    }

    fn rows(_: &Request) -> Vec<Row> {
        let mut over = alert(3);
        over.acknowledged = None;
        over.resolved_at = Some(Timestamp::from_ms(1_795_336_290_000));
        over.fired.sigma = None;
        vec![Row::Alert(Box::new(over)), Row::Alert(Box::new(alert(12)))]
    }

    #[test]
    fn alerts_in_every_form() {
        let mut source = Fake::new(&rows);
        check(
            Format::Table,
            |view| alerts(None, Which::All, &mut source, view),
            "\x20\
Id  Fired            Lasted  State     Severity  Message
 #3  11-22 09:30  1 min 30 s  resolved  warning   load1 is 7.50, 7.0 standard
                                                  deviations above its mean of
                                                  0.50
#12  11-22 09:30           -  acked     warning   load1 is 7.50, 7.0 standard
                                                  deviations above its mean of
                                                  0.50
",
        );
    }

    #[test]
    fn keys_are_those_of_the_rows() {
        assert!(fields(&alert(1)).iter().map(|(key, _)| *key).eq(KEYS));
    }

    #[test]
    fn alerts_as_objects() {
        let mut source = Fake::new(&rows);
        check(
            Format::Json,
            |view| alerts(None, Which::All, &mut source, view),
            "\
{\"id\":3,\"series\":\"load1\",\"rule\":\"trend\",\"severity\":\"warning\",\"state\":\"resolved\",\"fired_at\":\"2026-11-22T08:30:00.000Z\",\"resolved_at\":\"2026-11-22T08:31:30.000Z\",\"acknowledged\":null,\"value\":7.5,\"mean\":0.5,\"stdev\":1,\"sigma\":null,\"message\":\"load1 is 7.50, 7.0 standard deviations above its mean of 0.50\"}
{\"id\":12,\"series\":\"load1\",\"rule\":\"trend\",\"severity\":\"warning\",\"state\":\"firing\",\"fired_at\":\"2026-11-22T08:30:00.000Z\",\"resolved_at\":null,\"acknowledged\":\"2026-11-22T08:35:00.000Z\",\"value\":7.5,\"mean\":0.5,\"stdev\":1,\"sigma\":7,\"message\":\"load1 is 7.50, 7.0 standard deviations above its mean of 0.50\"}
",
        );
        let (outcome, text) =
            printed(Format::Json, |view| alerts(None, Which::Open, &mut Fake::new(&|_| Vec::new()), view));
        assert_eq!((outcome, text.as_str()), (Ok(Outcome::Nothing("no open alerts".into())), ""));
    }

    #[test]
    fn the_question_holds_what_was_asked() {
        let mut source = Fake::new(&rows);
        printed(Format::Json, |view| alerts(Some("7d"), Which::Open, &mut source, view)).0.unwrap();
        let since = Timestamp::from_ms(1_795_338_000_000 - 7 * 86_400_000);
        assert_eq!(source.asked, [Request::Alerts { since, open: true }]);
    }
}
