//! Load averages.

use systembot_model::{Series, sample::Pass};

use super::{Roots, file::Source};

/// Reads the three load averages (/proc/loadavg), at a tenth of the price of sysinfo, which opens the file anew.
pub(super) struct Load {
    file: Source,
    series: [Series; 3],
}

impl Load {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            file: Source::new(roots.proc.join("loadavg")),
            series: ["load1", "load5", "load15"].map(Series::new),
        }
    }

    pub(super) fn read(&mut self, pass: &mut Pass) {
        let Some(text) = self.file.text_or_note(&mut pass.notes) else { return };
        for (series, word) in self.series.iter().zip(text.split_ascii_whitespace()) {
            if let Some(load) = word.parse().ok().filter(|load: &f64| *load >= 0.0) {
                pass.sample.push(series.clone(), load);
            }
        }
    }
}
