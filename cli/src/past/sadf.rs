//! What `sadf -d` prints of the files of sar(1): sections one after the other, each with a head of its own.
//!
//! A head is `# hostname;interval;timestamp;` and the columns; a first column in capitals names what the line is
//! about, a CPU, a device. Columns that mean what a metric means become its series; the rates of disks and network
//! become series of their own beside the totals. All others are counted and left out.

use anyhow::{Result, anyhow};
use systembot_model::{Series, Timestamp};

use super::{
    Fnv, Found, Section, Table,
    columns::Columns,
    form::{Form, wrong_width},
};
use crate::rows::{self, Rows};

const HEAD: &str = "# hostname;interval;timestamp";
/// Cells of a line before those of its own columns.
const FIRST: usize = 3;

/// A kind of section: those with the same columns.
pub(super) struct Kind {
    columns: Vec<String>,
    sources: Vec<Source>,
}

/// A series made of columns.
struct Source {
    metric: &'static str,
    /// The key of the label, and the head of the column that has its value.
    label: Option<(&'static str, usize)>,
    /// The lines it is made of.
    lines: Lines,
    /// What a column counts, and the columns that are added; those in the other list are taken away from 100.
    factor: f64,
    plus: Vec<usize>,
    from_hundred: bool,
}

/// Lines of a section about CPUs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    Any,
    /// That of all CPUs together.
    Whole,
    /// Those of one CPU.
    Parts,
}

/// One row of [`SOURCES`].
struct Known {
    metric: &'static str,
    label: Option<(&'static str, &'static str)>,
    lines: Lines,
    factor: f64,
    /// Columns that must be there.
    all: &'static [&'static str],
    /// Columns that are added where they are there.
    more: &'static [&'static str],
    from_hundred: bool,
}

const CPU: Known = Known {
    metric: "",
    label: None,
    lines: Lines::Whole,
    factor: 1.0,
    all: &[],
    more: &[],
    from_hundred: false,
};
const PLAIN: Known = Known { lines: Lines::Any, ..CPU };
const KIB: f64 = 1024.0;
const MIB: f64 = 1_048_576.0;

/// The metrics that sar knows too.
static SOURCES: &[Known] = &[
    Known { metric: "cpu_idle_percent", all: &["%idle"], ..CPU },
    Known { metric: "cpu_user_percent", all: &["%user", "%nice"], ..CPU },
    Known { metric: "cpu_user_percent", all: &["%usr", "%nice"], more: &["%guest", "%gnice"], ..CPU },
    Known { metric: "cpu_system_percent", all: &["%system"], ..CPU },
    Known { metric: "cpu_system_percent", all: &["%sys", "%irq", "%soft"], ..CPU },
    Known { metric: "cpu_iowait_percent", all: &["%iowait"], ..CPU },
    Known { metric: "cpu_steal_percent", all: &["%steal"], ..CPU },
    Known {
        metric: "cpu_busy_percent",
        label: Some(("cpu", "CPU")),
        lines: Lines::Parts,
        all: &["%idle", "%iowait"],
        from_hundred: true,
        ..CPU
    },
    Known { metric: "load1", all: &["ldavg-1"], ..PLAIN },
    Known { metric: "load5", all: &["ldavg-5"], ..PLAIN },
    Known { metric: "load15", all: &["ldavg-15"], ..PLAIN },
    Known { metric: "processes_running", all: &["runq-sz"], ..PLAIN },
    Known { metric: "processes_blocked", all: &["blocked"], ..PLAIN },
    Known { metric: "memory_available_bytes", all: &["kbavail"], factor: KIB, ..PLAIN },
    Known { metric: "swap_used_bytes", all: &["kbswpused"], factor: KIB, ..PLAIN },
    Known { metric: "swap_total_bytes", all: &["kbswpfree", "kbswpused"], factor: KIB, ..PLAIN },
    Known { metric: "pressure_cpu_some_percent", all: &["%scpu-10"], ..PLAIN },
    Known { metric: "pressure_memory_some_percent", all: &["%smem-10"], ..PLAIN },
    Known { metric: "pressure_io_some_percent", all: &["%sio-10"], ..PLAIN },
    Known { metric: "disk_used_bytes", label: MOUNT, all: &["MBfsused"], factor: MIB, ..PLAIN },
    Known { metric: "disk_total_bytes", label: MOUNT, all: &["MBfsfree", "MBfsused"], factor: MIB, ..PLAIN },
    Known { metric: "disk_inodes_used_percent", label: MOUNT, all: &["%Iused"], ..PLAIN },
    Known { metric: "disk_read_bytes_per_second", label: DEVICE, all: &["rkB/s"], factor: KIB, ..PLAIN },
    Known { metric: "disk_read_bytes_per_second", label: DEVICE, all: &["rd_sec/s"], factor: 512.0, ..PLAIN },
    Known { metric: "disk_written_bytes_per_second", label: DEVICE, all: &["wkB/s"], factor: KIB, ..PLAIN },
    Known {
        metric: "disk_written_bytes_per_second",
        label: DEVICE,
        all: &["wr_sec/s"],
        factor: 512.0,
        ..PLAIN
    },
    Known { metric: "disk_busy_percent", label: DEVICE, all: &["%util"], ..PLAIN },
    Known {
        metric: "network_received_bytes_per_second",
        label: IFACE,
        all: &["rxkB/s"],
        factor: KIB,
        ..PLAIN
    },
    Known { metric: "network_sent_bytes_per_second", label: IFACE, all: &["txkB/s"], factor: KIB, ..PLAIN },
];
const MOUNT: Option<(&str, &str)> = Some(("mount", "MOUNTPOINT"));
const DEVICE: Option<(&str, &str)> = Some(("device", "DEV"));
const IFACE: Option<(&str, &str)> = Some(("interface", "IFACE"));

/// Whether a line is the head of a section.
pub(super) fn is_head(line: &str) -> bool {
    line.starts_with(HEAD)
}

/// Reads a file whose first line, the head of a section, was read.
pub(super) fn survey(lines: &mut Rows<'_>, checksum: &mut Fnv) -> Result<Found> {
    let (mut tables, mut left_out): (Vec<Table>, Vec<String>) = (Vec::new(), Vec::new());
    let mut host: Option<String> = None;
    let mut head = Some(lines.text().to_owned());
    let mut current = None;
    loop {
        if let Some(head) = head.take() {
            let columns: Vec<String> =
                head.split(';').skip(FIRST).map(|name| name.trim().to_owned()).collect();
            if columns.iter().any(|name| name.ends_with("[...]")) {
                return Err(anyhow!("{}: lines of several items: leave out -h of sadf", lines.place()));
            }
            let section = Section { offset: lines.offset(), line: lines.line() };
            current = table_of(columns, &mut tables, &mut left_out);
            if let Some(table) = current.and_then(|i| tables.get_mut(i)) {
                table.sections.push(section);
            }
        }
        let Some(line) = lines.read()? else { break };
        checksum.add(line);
        if is_head(line) {
            head = Some(line.to_owned());
            continue;
        }
        let name = line.split(';').next().unwrap_or_default();
        let taken = if host.get_or_insert_with(|| name.to_owned()) == name {
            current.and_then(|i| tables.get_mut(i)).map_or(Ok(()), |table| table.count(line))
        } else {
            let other = host.clone().unwrap_or_default();
            Err(format!("is of the machine {name}, those before it of {other}"))
        };
        taken.map_err(|what| anyhow!("{}: {what}", lines.place()))?;
    }
    Ok(Found { tables, left_out: left_out.len() })
}

/// The table of a section, a new one for columns that were not seen; none where no series is made of them.
fn table_of(columns: Vec<String>, tables: &mut Vec<Table>, left_out: &mut Vec<String>) -> Option<usize> {
    let is_same = |table: &Table| matches!(&table.form, Form::Sadf(kind) if kind.columns == columns);
    if let Some(known) = tables.iter().position(is_same) {
        return Some(known);
    }
    let kind = Kind::of(columns);
    for (i, name) in kind.columns.iter().enumerate() {
        let is_label = name.chars().all(|c| c.is_ascii_uppercase() || c == '*');
        // Columns of one name in sections about different things are two.
        let place = format!("{} {name}", kind.columns.first().filter(|_| i > 0).map_or("", String::as_str));
        if !is_label && !kind.takes(i) && !left_out.contains(&place) {
            left_out.push(place);
        }
    }
    if kind.sources.is_empty() {
        return None;
    }
    tables.push(Table::new(Form::Sadf(kind), Columns::default()));
    Some(tables.len() - 1)
}

impl Kind {
    fn of(columns: Vec<String>) -> Self {
        let find = |name: &str| columns.iter().position(|column| column == name);
        let is_cpu = find("CPU").is_some();
        let sources = SOURCES.iter().filter_map(|known| {
            if (known.lines == Lines::Any) == is_cpu {
                return None;
            }
            let label = match known.label {
                Some((key, name)) => Some((key, find(name)?)),
                None => None,
            };
            let mut plus = known.all.iter().map(|name| find(name)).collect::<Option<Vec<_>>>()?;
            plus.extend(known.more.iter().filter_map(|name| find(name)));
            let Known { metric, lines, factor, from_hundred, .. } = *known;
            Some(Source { metric, label, lines, factor, plus, from_hundred })
        });
        let sources = sources.collect();
        Self { columns, sources }
    }

    /// Whether a series is made of a column.
    fn takes(&self, column: usize) -> bool {
        self.sources.iter().any(|source| source.plus.contains(&column))
    }

    /// The values of a line; `None` for a start of the machine or a comment.
    pub(super) fn values(
        &self,
        line: &str,
        columns: &mut Columns,
        values: &mut Vec<(usize, f64)>,
    ) -> Result<Option<Timestamp>, String> {
        let cells: Vec<&str> = line.split(';').collect();
        let [_, interval, time, rest @ ..] = cells.as_slice() else {
            return Err(wrong_width(cells.len(), FIRST + self.columns.len()));
        };
        if *interval == "-1" {
            return Ok(None);
        }
        if rest.len() != self.columns.len() {
            return Err(wrong_width(cells.len(), FIRST + self.columns.len()));
        }
        let at = moment(time)?;
        let number = |column: usize| {
            let text = rest.get(column).copied().unwrap_or_default();
            // A locale may write a comma; the cells are parted by semicolons.
            rows::number(&text.replace(',', ".")).ok_or_else(|| format!("`{text}` is no number"))
        };
        let is_whole = rest.first().is_some_and(|cpu| matches!(*cpu, "-1" | "all"));
        for source in &self.sources {
            if source.lines != Lines::Any && (source.lines == Lines::Whole) != is_whole {
                continue;
            }
            let mut sum = 0.0;
            for column in &source.plus {
                sum += number(*column)?;
            }
            // sar has two decimals: more of them come from adding.
            let value = if source.from_hundred { (100.0 - sum).max(0.0) } else { sum } * source.factor;
            let value = (value * 100.0).round() / 100.0;
            let series = match source.label {
                Some((key, column)) => {
                    Series::labelled(source.metric, key, rest.get(column).copied().unwrap_or_default())
                }
                None => Series::new(source.metric),
            };
            values.push((columns.of(series.id())?, value));
        }
        Ok(Some(at))
    }
}

/// `2026-11-25 11:02:56 UTC`, or Unix seconds.
fn moment(text: &str) -> Result<Timestamp, String> {
    let plain = text.strip_suffix(" UTC");
    let is_told = plain.is_some() || text.chars().all(|c| c.is_ascii_digit());
    if !is_told && rows::moment(text).is_some() {
        return Err(format!("`{text}` is in some local time: leave out -T and -t of sadf"));
    }
    let at = rows::moment(plain.unwrap_or(text)).filter(|_| is_told);
    at.ok_or_else(|| format!("`{text}` is no timestamp"))
}
