//! `import`: history from a file, checked as a whole before any of it is sent.

use anyhow::{Result, anyhow, bail};
use systembot_model::{Series, Timestamp};
use systembot_storage::{
    IMPORTED_ALREADY,
    query::{Import, Request, Row},
};

use super::{Opener, Outcome, View};
use crate::{
    args::Format,
    output::{Csv, Fields, Progress, human, json},
    past::{File, Found, Row as Past, Table, survey},
    source::{Source, each, unexpected},
};

/// Cells that go in one part: the daemon does nothing else for some 20 ms.
const PART_CELLS: usize = 10_000;
/// Rows that go in one part.
const PART_ROWS: usize = 5_000;

/// What to import, and who sees how far it is.
pub struct Input<'a> {
    /// What the file is called in errors.
    pub name: &'a str,
    /// The file.
    pub file: &'a mut dyn File,
    /// Shows how far it is.
    pub progress: Progress<'a>,
}

/// What became of the tables so far.
#[derive(Default)]
struct Done {
    imported: u64,
    refused: u64,
    /// Tables that were in the log before.
    complete: usize,
    /// The first sample that was refused, with its table.
    overlap: Option<(usize, Timestamp, Series)>,
    /// Rows sent.
    rows: u64,
}

/// Loads a file.
///
/// # Errors
/// A line that cannot be read, with its number; why the whole is refused; those of source and output.
pub fn import(mut input: Input<'_>, open: &mut Opener<'_>, view: &mut View<'_>) -> Result<Outcome> {
    let mut found = survey(input.file, input.name)?;
    if found.tables.is_empty() {
        bail!("{}: none of its columns means what a metric of ours does", input.name);
    }
    // Not before: a daemon does not keep a connection on which nothing is asked.
    let mut source = open()?;
    let mut done = Done::default();
    let all = found.tables.iter().map(|table| table.rows).sum();
    let loaded = found
        .tables
        .iter_mut()
        .enumerate()
        .try_for_each(|(i, table)| load(&mut input, (i, table), all, source.as_mut(), &mut done));
    input.progress.end()?;
    loaded?;
    if done.complete == found.tables.len() {
        bail!("{}: {IMPORTED_ALREADY}", input.name);
    }
    tell(&mut input, &mut found, &done, view)
}

/// Sends the rows of one table in parts, the last one marked.
fn load(
    input: &mut Input<'_>,
    (index, table): (usize, &mut Table),
    all: u64,
    source: &mut dyn Source,
    done: &mut Done,
) -> Result<()> {
    let Input { name, file, progress } = input;
    let (series, checksum, mut left) = (table.series().to_vec(), table.checksum, table.rows);
    let most = (PART_CELLS / series.len().max(1)).clamp(1, PART_ROWS);
    let before = (done.imported, done.refused);
    let mut rows: Vec<Past> = Vec::with_capacity(most);
    let mut is_complete = false;
    let read = table.read(*file, name, &mut |row| {
        // What the file has got since it was checked is not for this import.
        if is_complete || left == 0 {
            return Ok(());
        }
        rows.push(row);
        left -= 1;
        if rows.len() < most && left > 0 {
            return Ok(());
        }
        let sent = u64::try_from(rows.len())?;
        let rows = std::mem::replace(&mut rows, Vec::with_capacity(most));
        let part = Import { file: checksum, series: series.clone(), rows, last: left == 0 };
        each(source, &Request::Import(part), &mut |row| {
            let Row::Imported { imported, refused, first_refused, problem } = row else {
                return Err(unexpected());
            };
            (done.imported, done.refused) = (before.0 + imported, before.1 + refused);
            if let (None, Some((at, series))) = (&done.overlap, first_refused) {
                done.overlap = Some((index, at, series));
            }
            is_complete = problem.as_deref() == Some(IMPORTED_ALREADY);
            problem.filter(|_| !is_complete).map_or(Ok(()), |problem| Err(anyhow!("{name}: {problem}")))
        })?;
        done.rows += sent;
        Ok(progress.show(done.rows, Some(all))?)
    });
    read?;
    if is_complete {
        (done.imported, done.refused) = before;
        done.complete += 1;
    } else if left > 0 {
        bail!("{name}: became shorter while it was read");
    }
    Ok(())
}

/// Prints what became of it.
fn tell(input: &mut Input<'_>, found: &mut Found, done: &Done, view: &mut View<'_>) -> Result<Outcome> {
    let Done { imported, refused, .. } = *done;
    let overlap = match &done.overlap {
        Some((index, at, series)) => {
            let table = found.tables.get_mut(*index);
            let place = table.map(|table| table.find(input.file, input.name, (*at, series))).transpose()?;
            Some(format!("{}: {series}", place.as_deref().unwrap_or(input.name)))
        }
        None => None,
    };
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
            if found.left_out > 0 {
                let columns = human::counted(u64::try_from(found.left_out)?, "column");
                write!(view.out, "; {columns} left out that no metric of ours stands for")?;
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::{
        commands::fake::{Fake, check, lend, printed},
        output::Counted,
    };

    fn taken(request: &Request) -> Vec<Row> {
        let Request::Import(part) = request else { panic!("{request:?}") };
        let imported = u64::try_from(part.rows.len()).unwrap();
        vec![Row::Imported { imported, refused: 0, first_refused: None, problem: None }]
    }

    fn run(text: &str, source: &mut Fake<'_>, format: Format) -> (Result<Outcome, String>, String) {
        printed(format, |view| {
            let mut file = Cursor::new(text.as_bytes());
            let progress = Progress::new(None, &|| Timestamp::from_ms(0), "importing", Counted::Rows);
            import(Input { name: "a.csv", file: &mut file, progress }, &mut lend(source), view)
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
                let now = || Timestamp::from_ms(0);
                let progress = Progress::new(Some(&mut shown), &now, "importing", Counted::Rows);
                let input = Input { name: "a.csv", file: &mut file, progress };
                import(input, &mut lend(&mut source), view)
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
        assert!(shown.ends_with("\rimporting [##############################] 100 %\x1b[K\n"), "{shown}");
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

    /// The rows of all parts, as `(series, ms, value)` in the order in which they were sent.
    fn sent(source: &Fake<'_>) -> Vec<(String, i64, f64)> {
        let mut all = Vec::new();
        for request in &source.asked {
            let Request::Import(part) = request else { panic!("{request:?}") };
            for (at, cells) in &part.rows {
                assert_eq!(cells.len(), part.series.len());
                let named = part.series.iter().zip(cells);
                all.extend(named.filter_map(|(s, v)| Some((s.id().to_owned(), at.as_ms(), (*v)?))));
            }
        }
        all
    }

    #[test]
    fn what_export_prints_is_read() {
        let csv = "time,series,value\n1970-01-01T00:00:01.500Z,\"d{m=\"\"/\"\"}\",1\n\
                   1970-01-01T00:00:01.500Z,load1,0.1\n1970-01-01T00:00:02.000Z,load1,1e-7\n";
        let json = "{\"time\":\"1970-01-01T00:00:01.500Z\",\"series\":\"d{m=\\\"/\\\"}\",\"value\":1.0}\n\
                    {\"time\":\"1970-01-01T00:00:01.500Z\",\"series\":\"load1\",\"value\":0.1}\n\
                    {\"time\":\"1970-01-01T00:00:02.000Z\",\"series\":\"load1\",\"value\":1e-7}\n";
        for text in [csv, json] {
            let mut source = Fake::new(&taken);
            let (outcome, _) = run(text, &mut source, Format::Table);
            assert_eq!(outcome, Ok(Outcome::Done), "{text}");
            let expected = [("d{m=\"/\"}", 1500, 1.0), ("load1", 1500, 0.1), ("load1", 2000, 1e-7)];
            assert_eq!(sent(&source), expected.map(|(name, ms, value)| (name.to_owned(), ms, value)));
            assert_eq!(source.asked.len(), 1);
        }
    }

    #[test]
    fn mistakes_in_what_export_prints_name_their_line() {
        let json = |time: &str, series: &str| {
            format!("{{\"time\":\"{time}\",\"series\":\"{series}\",\"value\":1}}\n")
        };
        let (first, second) = (json("1970-01-01T00:00:01Z", "a"), json("1970-01-01T00:00:02Z", "a"));
        for (text, expected) in [
            ("time,series,value\n1,a,1\n1,a,2\n".into(), "a.csv:3: a has a value of this moment already"),
            (
                "time,series,value\n2,a,1\n1,b,2\n".into(),
                "a.csv:3: not after the line before it; timestamps must ascend",
            ),
            ("time,series,value\n1,a\n".into(), "a.csv:2: 2 columns where the head has 3"),
            ("time,series,value\n1,a,b\n".into(), "a.csv:2: `b` is no number"),
            (format!("{second}{first}"), "a.csv:2: not after the line before it; timestamps must ascend"),
            (format!("{first}{first}"), "a.csv:2: a has a value of this moment already"),
            (format!("{first}{{}}\n"), "a.csv:2: has no `series`"),
            (json("soon", "a"), "a.csv:1: `soon` is no timestamp"),
        ] {
            let mut source = Fake::new(&taken);
            let (outcome, _) = run(&text, &mut source, Format::Table);
            assert_eq!((outcome, source.asked.len()), (Err(expected.to_owned()), 0), "{text}");
        }
    }

    const SADF: &str = "\
# hostname;interval;timestamp;CPU;%user;%nice;%system;%iowait;%steal;%idle
vm;600;2026-11-25 00:10:00 UTC;-1;1.00;2.50;3.00;4.00;0.50;89.00
vm;600;2026-11-25 00:10:00 UTC;0;0.00;0.00;0.00;10.00;0.00;80.00
vm;-1;2026-11-25 00:12:00 UTC;LINUX-RESTART\t(2 CPU)
# hostname;interval;timestamp;runq-sz;plist-sz;ldavg-1;ldavg-5;ldavg-15;blocked
vm;600;2026-11-25 00:10:00 UTC;4;126;1.82;1.41;1.23;0
# hostname;interval;timestamp;CPU;%user;%nice;%system;%iowait;%steal;%idle
vm;600;2026-11-25 00:30:00 UTC;-1;0,00;0,00;0,00;0,00;0,00;100,00
# hostname;interval;timestamp;MOUNTPOINT;MBfsfree;MBfsused;%fsused;%ufsused;Ifree;Iused;%Iused
vm;600;1795565400;/;10;30;75.00;90.30;3;1;25.00
vm;600;1795565400;/home;1;1;50.00;60.00;1;1;50.00
";

    #[test]
    fn what_sadf_prints_becomes_series_of_ours() {
        let mut source = Fake::new(&taken);
        let (outcome, printed) = run(SADF, &mut source, Format::Table);
        assert_eq!(outcome, Ok(Outcome::Done));
        assert_eq!(printed, "4 samples imported; 5 columns left out that no metric of ours stands for\n");
        let (ten, thirty) = (1_795_565_400_000, 1_795_566_600_000);
        let expected = [
            ("cpu_idle_percent", ten, 89.0),
            ("cpu_user_percent", ten, 3.5),
            ("cpu_system_percent", ten, 3.0),
            ("cpu_iowait_percent", ten, 4.0),
            ("cpu_steal_percent", ten, 0.5),
            ("cpu_busy_percent{cpu=\"0\"}", ten, 10.0),
            ("cpu_idle_percent", thirty, 100.0),
            ("cpu_user_percent", thirty, 0.0),
            ("cpu_system_percent", thirty, 0.0),
            ("cpu_iowait_percent", thirty, 0.0),
            ("cpu_steal_percent", thirty, 0.0),
            ("load1", ten, 1.82),
            ("load5", ten, 1.41),
            ("load15", ten, 1.23),
            ("processes_running", ten, 4.0),
            ("processes_blocked", ten, 0.0),
            ("disk_used_bytes{mount=\"/\"}", ten, 31_457_280.0),
            ("disk_total_bytes{mount=\"/\"}", ten, 41_943_040.0),
            ("disk_inodes_used_percent{mount=\"/\"}", ten, 25.0),
            ("disk_used_bytes{mount=\"/home\"}", ten, 1_048_576.0),
            ("disk_total_bytes{mount=\"/home\"}", ten, 2_097_152.0),
            ("disk_inodes_used_percent{mount=\"/home\"}", ten, 50.0),
        ];
        assert_eq!(sent(&source), expected.map(|(name, ms, value)| (name.to_owned(), ms, value)));
        // One import a kind of section, each recognised again.
        let files: std::collections::BTreeSet<u64> = source
            .asked
            .iter()
            .map(|request| {
                let Request::Import(part) = request else { panic!("{request:?}") };
                assert!(part.last);
                part.file
            })
            .collect();
        assert_eq!(files.len(), 3);
    }

    #[test]
    fn mistakes_in_what_sadf_prints_name_their_line() {
        let load = "# hostname;interval;timestamp;ldavg-1\n";
        for (text, expected) in [
            (
                format!("{load}a;1;2026-11-25 00:10:00;1\n"),
                "a.csv:2: `2026-11-25 00:10:00` is in some local time: \
              leave out -T and -t of sadf",
            ),
            (format!("{load}a;1;now;1\n"), "a.csv:2: `now` is no timestamp"),
            (format!("{load}a;1;7;1;2\n"), "a.csv:2: 5 columns where the head has 4"),
            (format!("{load}a;1;7;x\n"), "a.csv:2: `x` is no number"),
            (
                format!("{load}a;1;7;1\n{load}a;1;6;1\n"),
                "a.csv:4: not after the line before it; timestamps must \
              ascend",
            ),
            (format!("{load}a;1;7;1\nb;1;8;1\n"), "a.csv:3: is of the machine b, those before it of a"),
            (
                "# hostname;interval;timestamp;CPU;%user[...]\na;1;7;0;1\n".into(),
                "a.csv:1: lines of several items: \
              leave out -h of sadf",
            ),
            (
                "# hostname;interval;timestamp;tps\na;1;7;1\n".into(),
                "a.csv: none of its columns means what a metric \
              of ours does",
            ),
        ] {
            let mut source = Fake::new(&taken);
            let (outcome, _) = run(&text, &mut source, Format::Table);
            assert_eq!((outcome, source.asked.len()), (Err(expected.to_owned()), 0), "{text}");
        }
    }

    /// Some tables of a file may be in the log, of an import that was cut off: the others are loaded.
    #[test]
    fn a_file_of_several_tables_is_complete_when_all_are() {
        let mut done = 0;
        let answer = std::cell::RefCell::new(|| {
            done += 1;
            done
        });
        let some = |request: &Request| match (answer.borrow_mut())() {
            1 => {
                let problem = Some(IMPORTED_ALREADY.to_owned());
                vec![Row::Imported { imported: 0, refused: 0, first_refused: None, problem }]
            }
            _ => taken(request),
        };
        let (outcome, printed) = run(SADF, &mut Fake::new(&some), Format::Json);
        assert_eq!((outcome, printed.as_str()), (Ok(Outcome::Done), "{\"imported\":2,\"refused\":0}\n"));
        let all = |_: &Request| {
            let problem = Some(IMPORTED_ALREADY.to_owned());
            vec![Row::Imported { imported: 0, refused: 0, first_refused: None, problem }]
        };
        let (outcome, _) = run(SADF, &mut Fake::new(&all), Format::Json);
        assert_eq!(outcome, Err("a.csv: this file was imported already".to_owned()));
    }

    #[test]
    fn a_refusal_is_an_error() {
        let text = "timestamp,load1\n1,1\n";
        let twice = |_: &Request| {
            let problem = Some(IMPORTED_ALREADY.to_owned());
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
