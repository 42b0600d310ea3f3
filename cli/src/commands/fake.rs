//! A source of given rows, and a view that keeps what was printed.

use anyhow::Result;
use jiff::{civil::DateTime, tz::TimeZone};
use systembot_storage::query::{Request, Row};

use super::{Outcome, View};
use crate::{
    args::Format,
    output::{Paint, Screen},
    source::Source,
};

/// Answers every question with the rows that a function gives, and remembers the questions.
pub(crate) struct Fake<'a> {
    pub(crate) answer: &'a dyn Fn(&Request) -> Vec<Row>,
    pub(crate) asked: Vec<Request>,
}

impl<'a> Fake<'a> {
    pub(crate) fn new(answer: &'a dyn Fn(&Request) -> Vec<Row>) -> Self {
        Self { answer, asked: Vec::new() }
    }
}

impl Source for Fake<'_> {
    fn ask(&mut self, request: &Request, row: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
        self.asked.push(request.clone());
        (self.answer)(request).into_iter().try_for_each(row)
    }
}

/// What a command prints on a plain screen of 80 columns, on a Sunday in Berlin at 10:00.
pub(crate) fn printed(
    format: Format,
    command: impl FnOnce(&mut View<'_>) -> Result<Outcome>,
) -> (Result<Outcome, String>, String) {
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let now = "2026-11-22 10:00:00".parse::<DateTime>().unwrap().to_zoned(zone).unwrap();
    let mut out = Vec::new();
    let screen = Screen { width: 80, paint: Paint::Plain };
    let outcome = command(&mut View { format, screen, now, out: &mut out });
    (outcome.map_err(|e| format!("{e:#}")), String::from_utf8(out).unwrap())
}

/// Asserts what is printed, with an exit of 0.
#[track_caller]
pub(crate) fn check(format: Format, command: impl FnOnce(&mut View<'_>) -> Result<Outcome>, expected: &str) {
    let (outcome, text) = printed(format, command);
    assert_eq!(text, expected);
    assert_eq!(outcome, Ok(Outcome::Done));
}

/// Opens the same source once.
pub(super) fn lend<'s>(source: &'s mut Fake<'_>) -> impl FnMut() -> Result<Box<dyn Source + 's>> + 's {
    let mut source = Some(source);
    move || Ok(Box::new(source.take().unwrap()))
}
