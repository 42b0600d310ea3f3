//! Rows of any form: a table for people, lines for programs.

use std::io::{self, Write};

use crate::{
    args::Format,
    output::{Align, Cell, Csv, Fields, Table, json},
};

use super::View;

/// Prints rows in the form that was asked for, and counts them.
pub struct Listing {
    form: Form,
    /// Keys of every row, for the head of a CSV without any.
    keys: &'static [&'static str],
    rows: usize,
}

enum Form {
    /// Filled, then written at the end, with columns as wide as their cells.
    Whole(Table),
    /// Written row by row, with columns of widths known before.
    Streamed(Table),
    Json,
    Csv(Csv),
}

impl Listing {
    /// A list whose table is written when all is known.
    #[must_use]
    pub fn new(view: &View<'_>, columns: &[(&'static str, Align)], keys: &'static [&'static str]) -> Self {
        Self::of(view.format, keys, || Form::Whole(Table::new(view.screen, columns)))
    }

    /// A list whose table is written row by row, each column of the width given.
    #[must_use]
    pub fn streamed(
        view: &View<'_>,
        columns: &[(&'static str, Align, usize)],
        keys: &'static [&'static str],
    ) -> Self {
        Self::of(view.format, keys, || {
            let heads: Vec<_> = columns.iter().map(|(title, align, _)| (*title, *align)).collect();
            let mut table = Table::new(view.screen, &heads);
            table.widen(columns.iter().map(|(_, _, width)| *width));
            Form::Streamed(table)
        })
    }

    fn of(format: Format, keys: &'static [&'static str], table: impl FnOnce() -> Form) -> Self {
        let form = match format {
            Format::Table => table(),
            Format::Json => Form::Json,
            Format::Csv => Form::Csv(Csv::default()),
        };
        Self { form, keys, rows: 0 }
    }

    /// Whether this is a table for people.
    #[must_use]
    pub const fn is_table(&self) -> bool {
        matches!(self.form, Form::Whole(_) | Form::Streamed(_))
    }

    /// Rows so far.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a row of a table.
    ///
    /// # Errors
    /// What the output says.
    pub fn cells(&mut self, out: &mut dyn Write, cells: Vec<Cell>) -> io::Result<()> {
        match &mut self.form {
            Form::Whole(table) => table.push(cells),
            Form::Streamed(table) => {
                if self.rows == 0 {
                    table.write_head(out)?;
                }
                table.write_row(out, &cells)?;
            }
            Form::Json | Form::Csv(_) => return Ok(()),
        }
        self.rows += 1;
        Ok(())
    }

    /// Adds a row for programs.
    ///
    /// # Errors
    /// What the output says.
    pub fn fields(&mut self, out: &mut dyn Write, fields: &Fields) -> io::Result<()> {
        match &mut self.form {
            Form::Json => json::write_line(out, fields)?,
            Form::Csv(csv) => csv.write(out, fields)?,
            Form::Whole(_) | Form::Streamed(_) => return Ok(()),
        }
        self.rows += 1;
        Ok(())
    }

    /// Writes what is not written yet: a table, or the head of a CSV that has no rows.
    ///
    /// # Errors
    /// What the output says.
    pub fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match &mut self.form {
            Form::Whole(table) if self.rows > 0 => table.write(out),
            Form::Csv(_) if self.rows == 0 => writeln!(out, "{}", self.keys.join(",")),
            Form::Whole(_) | Form::Streamed(_) | Form::Json | Form::Csv(_) => Ok(()),
        }
    }
}
