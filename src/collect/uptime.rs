//! How long the machine has been up.

use systembot_model::{Series, sample::Pass};

use super::{Roots, file::Source};

/// Reads /proc/uptime, which counts sleep too; sysinfo gives whole seconds only.
pub(super) struct Uptime {
    file: Source,
    series: Series,
}

impl Uptime {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { file: Source::new(roots.proc.join("uptime")), series: Series::new("uptime_seconds") }
    }

    pub(super) fn read(&mut self, pass: &mut Pass) {
        let Some(text) = self.file.text_or_note(&mut pass.notes) else { return };
        let seconds: Option<f64> = text.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
        if let Some(seconds) = seconds.filter(|seconds| *seconds >= 0.0) {
            pass.sample.push(self.series.clone(), seconds);
        }
    }
}
