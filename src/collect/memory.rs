//! Memory and swap.

use std::{io, path::Path};

use sysinfo::System;
use systembot_model::{Series, number::float, sample::Pass};

use super::file::unreadable;

/// Reads how much memory there is and how much of it is to be had (/proc/meminfo).
///
/// What is to be had is the kernel's own estimate, and free memory, buffers and caches on kernels before 3.14 that
/// make none.
pub(super) struct Memory {
    /// `None` where sysinfo cannot be set up; then nothing is read.
    system: Option<System>,
    total: Series,
    used: Series,
    available: Series,
    available_percent: Series,
    swap_total: Series,
    swap_used: Series,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            system: System::new().ok(),
            total: Series::new("memory_total_bytes"),
            used: Series::new("memory_used_bytes"),
            available: Series::new("memory_available_bytes"),
            available_percent: Series::new("memory_available_percent"),
            swap_total: Series::new("swap_total_bytes"),
            swap_used: Series::new("swap_used_bytes"),
        }
    }

    pub(super) fn read(&mut self, pass: &mut Pass) {
        let Some(system) = &mut self.system else { return };
        system.refresh_memory();
        let total = system.total_memory();
        if total == 0 {
            let error = io::Error::other("no MemTotal in it");
            pass.notes.push(unreadable(Path::new("/proc/meminfo"), &error));
            return;
        }
        let available = system.available_memory().min(total);
        let sample = &mut pass.sample;
        sample.push(self.total.clone(), float(total));
        sample.push(self.used.clone(), float(total - available));
        sample.push(self.available.clone(), float(available));
        sample.push(self.available_percent.clone(), float(available) / float(total) * 100.0);
        sample.push(self.swap_total.clone(), float(system.total_swap()));
        sample.push(self.swap_used.clone(), float(system.used_swap()));
    }
}
