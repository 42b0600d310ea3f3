//! What is read from and written to disks.

use std::{collections::HashMap, path::PathBuf};

use systembot_model::{number::float, sample::Pass};

use super::{
    Roots,
    file::{Source, unreadable},
    labelled::Labelled,
};

/// /proc/diskstats counts in sectors of this many bytes, whatever the device's own are.
const SECTOR_BYTES: f64 = 512.0;
/// Devices that most machines have and few use: left out until something was read or written.
const OFTEN_IDLE: [&str; 5] = ["loop", "zram", "nbd", "fd", "sr"];
/// Devices remembered as whole or parts of another; where more come and go, all are looked up anew.
const DEVICES: usize = 4096;

/// Reads /proc/diskstats: whole disks, no partitions.
pub(super) struct Devices {
    file: Source,
    /// Whole devices have a directory here.
    block: PathBuf,
    whole: HashMap<String, bool>,
    series: Labelled<2>,
}

impl Devices {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            file: Source::new(roots.proc.join("diskstats")),
            block: roots.sys.join("block"),
            whole: HashMap::new(),
            series: Labelled::new("device", ["disk_read_bytes_total", "disk_written_bytes_total"]),
        }
    }

    pub(super) fn read(&mut self, pass: &mut Pass) {
        let text = match self.file.text() {
            Ok(text) => text,
            // Containers may not see it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                let note = unreadable(self.file.path(), &error);
                pass.notes.push(note);
                return;
            }
        };
        for (name, read, written) in text.lines().filter_map(device) {
            let is_idle = read == 0 && written == 0;
            if name.starts_with("ram") || is_idle && OFTEN_IDLE.iter().any(|kind| name.starts_with(kind)) {
                continue;
            }
            let whole = self.whole.get(name).copied().unwrap_or_else(|| {
                if self.whole.len() >= DEVICES {
                    self.whole.clear();
                }
                // sysfs writes the slash of names like cciss/c0d0 so.
                let whole = self.block.join(name.replace('/', "!")).exists();
                self.whole.insert(name.to_owned(), whole);
                whole
            });
            if whole {
                let [read_series, written_series] = self.series.of(name);
                pass.sample.push(read_series, float(read) * SECTOR_BYTES);
                pass.sample.push(written_series, float(written) * SECTOR_BYTES);
            }
        }
    }
}

/// One line: `254 0 vda reads merged sectors ms writes merged sectors ...`. Gives name, sectors read and written.
fn device(line: &str) -> Option<(&str, u64, u64)> {
    let mut columns = line.split_ascii_whitespace().skip(2);
    let name = columns.next()?;
    let read = columns.nth(2)?.parse().ok()?;
    let written = columns.nth(3)?.parse().ok()?;
    (!matches!(name, "." | "..")).then_some((name, read, written))
}
