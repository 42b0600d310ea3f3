//! Files with history: which form they have, what is in them, and their rows in order of time.
//!
//! A file is read twice: [`survey`] checks every line of it before anything is taken, and [`Table::read`] gives the
//! rows. A table has the rows of one import; a file of `sadf -d` has one for each kind of section, any other has one.

mod columns;
mod form;
mod sadf;

use std::io::{BufRead, Seek, SeekFrom};

use anyhow::{Context, Result, anyhow, bail};
use systembot_model::{Series, Timestamp};

use self::{columns::Columns, form::Form};
use crate::rows::Rows;

/// A file that can be read twice.
pub trait File: BufRead + Seek {}
impl<T: BufRead + Seek> File for T {}

/// A moment and a cell for each column.
pub type Row = (Timestamp, Vec<Option<f64>>);

/// What a file has.
pub struct Found {
    /// Its tables.
    pub tables: Vec<Table>,
    /// Columns that no series is made of.
    pub left_out: usize,
}

/// Rows that belong together, in order of time.
pub struct Table {
    /// Recognises file and table.
    pub checksum: u64,
    /// Rows in it.
    pub rows: u64,
    form: Form,
    columns: Columns,
    sections: Vec<Section>,
    gathered: Gathered,
}

/// Lines that follow each other and belong to one table.
#[derive(Clone, Copy)]
struct Section {
    /// Where the first one begins.
    offset: u64,
    /// Its number, less one.
    line: u64,
}

/// The row that lines are gathered for.
#[derive(Default)]
struct Gathered {
    at: Option<Timestamp>,
    cells: Vec<Option<f64>>,
    values: Vec<(usize, f64)>,
}

impl Table {
    fn new(form: Form, columns: Columns) -> Self {
        let gathered = Gathered::default();
        Self { checksum: 0, rows: 0, form, columns, sections: Vec::new(), gathered }
    }

    /// The series, one a column.
    #[must_use]
    pub fn series(&self) -> &[Series] {
        self.columns.series()
    }

    /// Gives the rows, each with the cells of all columns.
    ///
    /// # Errors
    /// What the file says, and those of `row`.
    pub fn read(
        &mut self,
        file: &mut dyn File,
        name: &str,
        row: &mut dyn FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        self.gathered = Gathered::default();
        for section in self.sections.clone() {
            let mut lines = section.lines(file, name)?;
            while let Some(line) = lines.read()?.filter(|line| !self.form.ends_at(line)) {
                let taken = self.take(line);
                taken.map_err(|what| anyhow!("{}: {what}", lines.place()))?.map_or(Ok(()), &mut *row)?;
            }
        }
        self.finish().map_or(Ok(()), row)
    }

    /// Where a sample stands in the file: `file.csv:17`.
    ///
    /// # Errors
    /// What the file says.
    pub fn find(
        &mut self,
        file: &mut dyn File,
        name: &str,
        (at, series): (Timestamp, &Series),
    ) -> Result<String> {
        let Some(column) = self.columns.series().iter().position(|one| one == series) else {
            return Ok(name.to_owned());
        };
        let mut values = Vec::new();
        for section in self.sections.clone() {
            let mut lines = section.lines(file, name)?;
            while let Some(line) = lines.read()?.filter(|line| !self.form.ends_at(line)) {
                values.clear();
                let found = self.form.values(line, &mut self.columns, &mut values);
                if found == Ok(Some(at)) && values.iter().any(|(i, _)| *i == column) {
                    return Ok(lines.place());
                }
            }
        }
        Ok(name.to_owned())
    }

    /// Takes a line; gives the row before it, once that is whole.
    fn take(&mut self, line: &str) -> Result<Option<Row>, String> {
        let Self { form, columns, gathered, .. } = self;
        gathered.values.clear();
        let Some(at) = form.values(line, columns, &mut gathered.values)? else { return Ok(None) };
        if gathered.at.is_some_and(|before| at < before || (at == before && form.is_whole_row())) {
            return Err("not after the line before it; timestamps must ascend".to_owned());
        }
        let whole = if gathered.at == Some(at) { None } else { self.finish() };
        let Self { columns, gathered, .. } = self;
        gathered.at = Some(at);
        gathered.cells.resize(columns.series().len(), None);
        for (column, value) in gathered.values.drain(..) {
            let Some(cell) = gathered.cells.get_mut(column) else { continue };
            if cell.replace(value).is_some() {
                let series = columns.series().get(column).map(Series::id).unwrap_or_default();
                return Err(format!("{series} has a value of this moment already"));
            }
        }
        Ok(whole)
    }

    /// The row that was gathered last.
    fn finish(&mut self) -> Option<Row> {
        let at = self.gathered.at.take()?;
        let mut cells = std::mem::take(&mut self.gathered.cells);
        cells.resize(self.columns.series().len(), None);
        Some((at, cells))
    }

    /// The same while nobody wants the rows: they are counted.
    fn count(&mut self, line: &str) -> Result<(), String> {
        self.rows += u64::from(self.take(line)?.is_some());
        Ok(())
    }
}

impl Section {
    fn lines<'f>(self, file: &'f mut dyn File, name: &str) -> Result<Rows<'f>> {
        file.seek(SeekFrom::Start(self.offset)).map_err(|error| anyhow!("{name}: {error}"))?;
        Ok(Rows::after(file, name, self.offset, self.line))
    }
}

/// Reads the whole file and checks every line; what cannot be read twice is refused.
///
/// # Errors
/// One line that names file and line, and what is wrong there.
pub fn survey(file: &mut dyn File, name: &str) -> Result<Found> {
    file.rewind().with_context(|| format!("{name}: no file that can be read twice; save it first"))?;
    let mut checksum = Fnv::default();
    let mut lines = Rows::after(file, name, 0, 0);
    let Some(head) = lines.read()?.map(str::to_owned) else { bail!("{name}: empty") };
    checksum.add(&head);
    let mut found = if sadf::is_head(&head) {
        sadf::survey(&mut lines, &mut checksum)?
    } else {
        let begun = form::begin(&head).map_err(|what| anyhow!("{}: {what}", lines.place()))?;
        let mut table = Table::new(begun.form, begun.columns);
        if begun.is_row {
            table.sections.push(Section { offset: 0, line: 0 });
            table.count(&head).map_err(|what| anyhow!("{}: {what}", lines.place()))?;
        } else {
            table.sections.push(Section { offset: lines.offset(), line: lines.line() });
        }
        while let Some(line) = lines.read()? {
            checksum.add(line);
            let counted = table.count(line);
            counted.map_err(|what| anyhow!("{}: {what}", lines.place()))?;
        }
        Found { tables: vec![table], left_out: 0 }
    };
    for (i, table) in (0_u64..).zip(&mut found.tables) {
        table.rows += u64::from(table.finish().is_some());
        table.checksum = checksum.0.wrapping_add(i);
    }
    found.tables.retain(|table| table.rows > 0);
    if found.tables.is_empty() && found.left_out == 0 {
        bail!("{name}: no rows below its head");
    }
    Ok(found)
}

/// FNV-1a of 64 bits over the lines: it recognises a file, no more.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, line: &str) {
        for byte in line.bytes().chain(std::iter::once(b'\n')) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
