//! Pressure: how much time tasks lost waiting for CPU, memory and I/O.

use systembot_model::{Series, sample::Pass};

use super::{Roots, file::Source};

/// Reads /proc/pressure; kernels without it (before 4.20, or built or booted so) have no such series.
pub(super) struct Pressure {
    files: [(Source, Series); 3],
}

impl Pressure {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            files: ["cpu", "memory", "io"].map(|of| {
                let path = roots.proc.join("pressure").join(of);
                (Source::new(path), Series::new(&format!("pressure_{of}_some_percent")))
            }),
        }
    }

    pub(super) fn read(&mut self, pass: &mut Pass) {
        for (source, series) in &mut self.files {
            if let Some(percent) = source.text().ok().and_then(|text| average(&text)) {
                pass.sample.push(series.clone(), percent);
            }
        }
    }
}

/// The mean over 10 s of the line `some avg10=1.21 avg60=0.85 avg300=0.74 total=12210890`.
fn average(text: &str) -> Option<f64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let average = some.split_ascii_whitespace().find_map(|word| word.strip_prefix("avg10="))?;
    average.parse().ok().filter(|percent| (0.0..=100.0).contains(percent))
}
