//! `import`: history from a CSV file, checked as a whole before any of it is sent.

use std::io::{BufRead, Seek, Write};

use anyhow::{Context, Result, anyhow, bail};
use systembot_model::{Series, Timestamp};
use systembot_storage::query::{Import, Request, Row};

use super::{Opener, Outcome, View};
use crate::{
    args::Format,
    output::{Csv, Fields, human, json},
    rows::{self, Rows},
    source::{each, unexpected},
};

/// Cells that go in one part: some hundred KiB on the control socket.
const PART_CELLS: usize = 20_000;
/// Rows that go in one part.
const PART_ROWS: usize = 5_000;
/// Columns of the progress bar.
const BAR: u64 = 30;

/// A file that can be read twice: once to check it, once to send it.
pub trait File: BufRead + Seek {}
impl<T: BufRead + Seek> File for T {}

/// What to import, and who sees how far it is.
pub struct Input<'a> {
    /// What the file is called in errors.
    pub name: &'a str,
    /// The file.
    pub file: &'a mut dyn File,
    /// Standard error if it is a terminal.
    pub progress: Option<&'a mut dyn Write>,
}

/// Loads a file.
///
/// # Errors
/// A line that cannot be read, with its number; why the whole is refused; those of source and output.
pub fn import(mut input: Input<'_>, open: &mut Opener<'_>, view: &mut View<'_>) -> Result<Outcome> {
    let found = survey(&mut input)?;
    let rewound = input.file.rewind();
    rewound.with_context(|| format!("{}: no file that can be read twice; save it first", input.name))?;
    // Not before: a daemon does not keep a connection on which nothing is asked.
    let mut source = open()?;
    let name = input.name;
    let (mut imported, mut refused, mut first) = (0, 0, None);
    let mut sent = 0;
    let mut send = |part: Import, progress: &mut Option<&mut dyn Write>| -> Result<()> {
        sent += u64::try_from(part.rows.len())?;
        each(source.as_mut(), &Request::Import(part), &mut |row| {
            let Row::Imported { imported: all, refused: none, first_refused, problem } = row else {
                return Err(unexpected());
            };
            (imported, refused, first) = (all, none, first_refused);
            problem.map_or(Ok(()), |problem| Err(anyhow!("{name}: {problem}")))
        })?;
        show(progress, sent, found.rows)
    };
    let sent = parts(&mut input, &found, &mut send);
    if let Some(progress) = &mut input.progress {
        writeln!(progress)?;
    }
    sent?;
    let overlap = first.map(|first| overlap(&mut input, &found, &first)).transpose()?;
    let fields: Fields = vec![("imported", imported.into()), ("refused", refused.into())];
    match view.format {
        Format::Table => {
            write!(view.out, "{} imported", human::counted(imported, "sample"))?;
            if refused > 0 {
                write!(view.out, "; {} refused where others lie", human::counted(refused, "sample"))?;
            }
            if let Some(overlap) = overlap.as_ref().filter(|_| imported > 0) {
                write!(view.out, ", first at {overlap}")?;
            }
            writeln!(view.out)?;
        }
        Format::Json => json::write_line(view.out, &fields)?,
        Format::Csv => Csv::default().write(view.out, &fields)?,
    }
    if imported == 0 && refused > 0 {
        let place = overlap.unwrap_or_else(|| input.name.to_owned());
        bail!("{place}: samples lie there already; nothing was imported");
    }
    Ok(Outcome::Done)
}

/// Where the first refused sample stands in the file, and its series.
fn overlap(input: &mut Input<'_>, found: &Survey, first: &(Timestamp, Series)) -> Result<String> {
    let (moment, series) = first;
    input.file.rewind()?;
    let mut lines = Rows::new(input.file, input.name);
    lines.read()?;
    while let Some(line) = lines.read()? {
        if row_of(line, found.series.len()).is_ok_and(|(at, _)| at == *moment) {
            break;
        }
    }
    Ok(format!("{}: {series}", lines.place()))
}

/// Sends a part, and shows how far the file is.
type Send<'a> = dyn FnMut(Import, &mut Option<&mut dyn Write>) -> Result<()> + 'a;

/// What the first reading of a file found.
struct Survey {
    checksum: u64,
    series: Vec<Series>,
    rows: u64,
}

/// Reads the whole file and checks every cell.
fn survey(input: &mut Input<'_>) -> Result<Survey> {
    let mut checksum = Fnv::default();
    let mut lines = Rows::new(input.file, input.name);
    let Some(head) = lines.read()? else { bail!("{}: empty", input.name) };
    checksum.add(head);
    let series = head_of(head).map_err(|what| anyhow!("{}: {what}", lines.place()))?;
    let (mut rows, mut last) = (0, None);
    while let Some(line) = lines.read()? {
        checksum.add(line);
        let (at, _) = row_of(line, series.len()).map_err(|what| anyhow!("{}: {what}", lines.place()))?;
        if last.is_some_and(|last| at <= last) {
            bail!("{}: not after the line before it; timestamps must ascend", lines.place());
        }
        last = Some(at);
        rows += 1;
    }
    if rows == 0 {
        bail!("{}: no rows below its head", input.name);
    }
    Ok(Survey { checksum: checksum.0, series, rows })
}

/// Reads the file again and sends it in parts, the last one marked.
fn parts(input: &mut Input<'_>, found: &Survey, send: &mut Send<'_>) -> Result<()> {
    let most = (PART_CELLS / found.series.len().max(1)).clamp(1, PART_ROWS);
    let mut lines = Rows::new(input.file, input.name);
    lines.read()?;
    let mut left = found.rows;
    while left > 0 {
        let mut rows = Vec::with_capacity(most);
        while rows.len() < most
            && let Some(line) = lines.read()?
        {
            rows.push(row_of(line, found.series.len()).map_err(|what| anyhow!("{}: {what}", lines.place()))?);
        }
        if rows.is_empty() {
            bail!("{}: became shorter while it was read", input.name);
        }
        left = left.saturating_sub(u64::try_from(rows.len())?);
        let part = Import { file: found.checksum, series: found.series.clone(), rows, last: left == 0 };
        send(part, &mut input.progress)?;
    }
    Ok(())
}

/// The series of a head line.
fn head_of(line: &str) -> Result<Vec<Series>, String> {
    let cells = rows::cells(line).ok_or("the quotes do not match")?;
    let Some((first, names)) = cells.split_first() else { return Err("empty".to_owned()) };
    if !first.trim().eq_ignore_ascii_case("timestamp") {
        return Err(format!("the first column is `{}`, not `timestamp`", first.trim()));
    }
    let mut series: Vec<Series> = Vec::with_capacity(names.len());
    for name in names {
        let name = name.trim();
        let one = Series::parse(name).ok_or_else(|| {
            format!("`{name}` is no id of a series: write load1, or \"disk_used_percent{{mount=\"\"/\"\"}}\"")
        })?;
        if series.contains(&one) {
            return Err(format!("the column `{name}` is there twice"));
        }
        series.push(one);
    }
    if series.is_empty() { Err("no columns beside `timestamp`".to_owned()) } else { Ok(series) }
}

/// Moment and values of a line.
fn row_of(line: &str, columns: usize) -> Result<(Timestamp, Vec<Option<f64>>), String> {
    let cells = rows::cells(line).ok_or("the quotes do not match")?;
    let Some((time, values)) = cells.split_first() else { return Err("empty".to_owned()) };
    if values.len() != columns {
        let found = human::counted(u64::try_from(cells.len()).unwrap_or(u64::MAX), "column");
        return Err(format!("{found} where the head has {}", columns + 1));
    }
    let at = rows::moment(time).ok_or_else(|| format!("`{time}` is no timestamp"))?;
    let value = |cell: &std::borrow::Cow<'_, str>| match cell.trim() {
        "" => Ok(None),
        text => rows::number(text).map(Some).ok_or_else(|| format!("`{text}` is no number")),
    };
    Ok((at, values.iter().map(value).collect::<Result<_, _>>()?))
}

fn show(progress: &mut Option<&mut dyn Write>, sent: u64, all: u64) -> Result<()> {
    let Some(out) = progress else { return Ok(()) };
    let percent = sent.saturating_mul(100) / all.max(1);
    let full = usize::try_from(percent * BAR / 100)?;
    let open = usize::try_from(BAR)?.saturating_sub(full);
    write!(out, "\rimporting [{}{}] {percent:3} %", "#".repeat(full), ".".repeat(open))?;
    Ok(out.flush()?)
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::commands::fake::{Fake, check, lend, printed};

    fn taken(request: &Request) -> Vec<Row> {
        let Request::Import(part) = request else { panic!("{request:?}") };
        let imported = u64::try_from(part.rows.len()).unwrap();
        vec![Row::Imported { imported, refused: 0, first_refused: None, problem: None }]
    }

    fn run(text: &str, source: &mut Fake<'_>, format: Format) -> (Result<Outcome, String>, String) {
        printed(format, |view| {
            let mut file = Cursor::new(text.as_bytes());
            import(Input { name: "a.csv", file: &mut file, progress: None }, &mut lend(source), view)
        })
    }

    #[test]
    fn rows_are_sent_as_they_are() {
        let mut source = Fake::new(&taken);
        let text =
            "timestamp,load1,\"disk_used_percent{mount=\"\"/\"\"}\"\n1970-01-01 00:00:01,0.5,\n2,,48.25\r\n";
        let (outcome, printed) = run(text, &mut source, Format::Json);
        assert_eq!((outcome, printed.as_str()), (Ok(Outcome::Done), "{\"imported\":2,\"refused\":0}\n"));
        let [Request::Import(part)] = source.asked.as_slice() else { panic!("{:?}", source.asked) };
        assert_eq!(part.series, [Series::new("load1"), Series::labelled("disk_used_percent", "mount", "/")]);
        let at = Timestamp::from_ms;
        assert_eq!(part.rows, [(at(1000), vec![Some(0.5), None]), (at(2000), vec![None, Some(48.25)])]);
        assert!(part.last);
    }

    #[test]
    fn a_long_file_goes_in_parts_with_one_checksum() {
        let mut text = "timestamp,load1\n".to_owned();
        (0..12_000).for_each(|i| text.push_str(&format!("{i},1\n")));
        let mut source = Fake::new(&taken);
        let mut shown = Vec::new();
        check(
            Format::Table,
            |view| {
                let mut file = Cursor::new(text.as_bytes());
                import(
                    Input { name: "a.csv", file: &mut file, progress: Some(&mut shown) },
                    &mut lend(&mut source),
                    view,
                )
            },
            "2,000 samples imported\n",
        );
        let parts: Vec<_> = source
            .asked
            .iter()
            .map(|request| {
                let Request::Import(part) = request else { panic!("{request:?}") };
                (part.file, part.rows.len(), part.last)
            })
            .collect();
        let file = parts.first().unwrap().0;
        assert_eq!(parts, [(file, 5000, false), (file, 5000, false), (file, 2000, true)]);
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.ends_with("\rimporting [##############################] 100 %\n"), "{shown}");
        let mut other = Fake::new(&taken);
        run(&text.replace("7,1", "7,2"), &mut other, Format::Json).0.unwrap();
        assert!(!matches!(other.asked.first(), Some(Request::Import(part)) if part.file == file));
    }

    #[test]
    fn mistakes_name_their_line_and_nothing_is_sent() {
        for (text, expected) in [
            ("", "a.csv: empty"),
            ("timestamp,load1\n", "a.csv: no rows below its head"),
            ("time,load1\n1,2\n", "a.csv:1: the first column is `time`, not `timestamp`"),
            ("timestamp\n1\n", "a.csv:1: no columns beside `timestamp`"),
            ("timestamp,load1,load1\n", "a.csv:1: the column `load1` is there twice"),
            (
                "timestamp,my load\n",
                "a.csv:1: `my load` is no id of a series: write load1, or \"disk_used_percent{mount=\"\"/\"\"}\"",
            ),
            ("timestamp,\"load1\n", "a.csv:1: the quotes do not match"),
            ("timestamp,load1\n1,2\n\n2,x\n", "a.csv:4: `x` is no number"),
            ("timestamp,load1\n1,inf\n", "a.csv:2: `inf` is no number"),
            ("timestamp,load1\n1,2,3\n", "a.csv:2: 3 columns where the head has 2"),
            ("timestamp,load1\n1\n", "a.csv:2: 1 column where the head has 2"),
            ("timestamp,load1\nnow,2\n", "a.csv:2: `now` is no timestamp"),
            ("timestamp,load1\n2,1\n1,1\n", "a.csv:3: not after the line before it; timestamps must ascend"),
            ("timestamp,load1\n2,1\n2,1\n", "a.csv:3: not after the line before it; timestamps must ascend"),
        ] {
            let mut source = Fake::new(&taken);
            let (outcome, printed) = run(text, &mut source, Format::Table);
            assert_eq!((outcome, printed.as_str()), (Err(expected.to_owned()), ""), "{text}");
            assert_eq!(source.asked, [], "{text}");
        }
    }

    #[test]
    fn a_refusal_is_an_error() {
        let text = "timestamp,load1\n1,1\n";
        let twice = |_: &Request| {
            let problem = Some("this file was imported already".to_owned());
            vec![Row::Imported { imported: 0, refused: 1, first_refused: None, problem }]
        };
        let (outcome, printed) = run(text, &mut Fake::new(&twice), Format::Json);
        assert_eq!((outcome, printed.as_str()), (Err("a.csv: this file was imported already".into()), ""));
        let refused = |imported| {
            let first_refused = Some((Timestamp::from_ms(2000), Series::new("load1")));
            vec![Row::Imported { imported, refused: 1, first_refused, problem: None }]
        };
        let overlap = |_: &Request| refused(0);
        let text = "timestamp,load1\n1,1\n2,1\n3,1\n";
        let (outcome, printed) = run(text, &mut Fake::new(&overlap), Format::Json);
        let expected = "a.csv:3: load1: samples lie there already; nothing was imported";
        assert_eq!(outcome, Err(expected.to_owned()));
        assert_eq!(printed, "{\"imported\":0,\"refused\":1}\n");
        let partly = |_: &Request| refused(5);
        let (outcome, printed) = run(text, &mut Fake::new(&partly), Format::Table);
        assert_eq!(outcome, Ok(Outcome::Done));
        assert_eq!(
            printed,
            "5 samples imported; 1 sample refused where others lie, first at a.csv:3: load1\n"
        );
    }
}
