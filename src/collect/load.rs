//! Load averages.

use std::path::Path;

use sysinfo::System;
use systembot_model::{Series, sample::Pass};

use super::file::unreadable;

/// Reads the three load averages (/proc/loadavg).
pub(super) struct Load {
    series: [Series; 3],
}

impl Load {
    pub(super) fn new() -> Self {
        Self { series: ["load1", "load5", "load15"].map(Series::new) }
    }

    pub(super) fn read(&mut self, pass: &mut Pass) {
        match System::load_average() {
            Ok(load) => {
                for (series, value) in self.series.iter().zip([load.one, load.five, load.fifteen]) {
                    pass.sample.push(series.clone(), value);
                }
            }
            Err(error) => pass
                .notes
                .push(unreadable(Path::new("/proc/loadavg"), &std::io::Error::other(error.to_string()))),
        }
    }
}
