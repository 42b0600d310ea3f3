//! Whom a command asks: the running daemon, or the log itself.

use anyhow::{Result, anyhow};
use systembot_storage::query::{Request, Row};

/// What answers questions.
pub trait Source {
    /// Asks, and hands over each row of the answer as it comes; an error of `row` ends it.
    ///
    /// # Errors
    /// What went wrong, as one line, or the error of `row`.
    fn ask(&mut self, request: &Request, row: &mut dyn FnMut(Row) -> Result<()>) -> Result<()>;
}

impl<S: Source + ?Sized> Source for &mut S {
    fn ask(&mut self, request: &Request, row: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
        (**self).ask(request, row)
    }
}

/// Asks, with a refusal of the whole question as an error.
///
/// # Errors
/// As [`Source::ask`], and the text of [`Row::Failed`].
pub fn each(
    source: &mut dyn Source,
    request: &Request,
    row: &mut dyn FnMut(Row) -> Result<()>,
) -> Result<()> {
    source.ask(request, &mut |answer| {
        if let Row::Failed(text) = answer {
            return Err(anyhow!(text));
        }
        row(answer)
    })
}

/// Asks for what is one row, or none.
///
/// # Errors
/// As [`each`].
pub fn one(source: &mut dyn Source, request: &Request) -> Result<Option<Row>> {
    let mut found = None;
    each(source, request, &mut |row| {
        found = Some(row);
        Ok(())
    })?;
    Ok(found)
}

/// The error for a row that does not belong to the question: another version answers.
#[must_use]
pub fn unexpected() -> anyhow::Error {
    anyhow!("the daemon answers in words of another version: restart it")
}
