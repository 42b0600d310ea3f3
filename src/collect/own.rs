//! What Systembot itself costs.

use std::{fs, os::unix::fs::MetadataExt, path::Path, path::PathBuf};

use systembot_model::{
    Series,
    number::{count, float},
    sample::Pass,
};

use super::{Roots, file::Source, process::Stat};

/// Passes from one look at the log's size to the next: it changes slowly, and the look costs as much as ten readings.
const LOG_PASSES: u32 = 10;
/// Directories below the log's that are looked into: it has one level (the blobs), and the limit ends any loop.
const LOG_DEPTH: u32 = 3;

/// Reads /proc/self and the size of the log.
pub(super) struct Own {
    statm: Source,
    stat: Source,
    log_dir: Option<PathBuf>,
    log_bytes: Option<u64>,
    /// Passes until the log's size is looked at again.
    log_wait: u32,
    rss_series: Series,
    cpu_series: Series,
    log_series: Series,
}

impl Own {
    pub(super) fn new(roots: &Roots, log_dir: Option<PathBuf>) -> Self {
        Self {
            statm: Source::new(roots.proc.join("self/statm")),
            stat: Source::new(roots.proc.join("self/stat")),
            log_dir,
            log_bytes: None,
            log_wait: 0,
            rss_series: Series::new("self_rss_bytes"),
            cpu_series: Series::new("self_cpu_seconds_total"),
            log_series: Series::new("log_bytes"),
        }
    }

    pub(super) fn read(&mut self, pass: &mut Pass) {
        let pages = |text: &str| text.split_ascii_whitespace().nth(1)?.parse().ok();
        if let Some(pages) = self.statm.text().ok().and_then(|text| pages(&text)) {
            pass.sample.push(self.rss_series.clone(), float(pages) * count(rustix::param::page_size()));
        }
        if let Some(stat) = self.stat.read().ok().and_then(Stat::parse) {
            let seconds = float(stat.ticks) / float(rustix::param::clock_ticks_per_second());
            pass.sample.push(self.cpu_series.clone(), seconds);
        }
        let Some(log_dir) = &self.log_dir else { return };
        if self.log_wait == 0 {
            self.log_wait = LOG_PASSES;
            self.log_bytes = size(log_dir, LOG_DEPTH);
        }
        self.log_wait -= 1;
        if let Some(bytes) = self.log_bytes {
            pass.sample.push(self.log_series.clone(), float(bytes));
        }
    }
}

/// What the files of a directory take on disk, in bytes; `None` if it cannot be listed.
fn size(dir: &Path, depth: u32) -> Option<u64> {
    let mut bytes: u64 = 0;
    for entry in fs::read_dir(dir).ok()?.flatten() {
        // A file that has gone since counts nothing. Blocks are of 512 bytes here, whatever the file system's are.
        let Ok(metadata) = entry.metadata() else { continue };
        let below = metadata.is_dir() && depth > 0;
        let inside = if below { size(&entry.path(), depth - 1).unwrap_or(0) } else { 0 };
        bytes = bytes.saturating_add(metadata.blocks().saturating_mul(512)).saturating_add(inside);
    }
    Some(bytes)
}
