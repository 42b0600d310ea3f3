//! Readers of the machine: one pass reads everything once.
//!
//! A file here is one source: it knows which of the kernel's files hold its readings and what they mean. A source
//! never fails a pass. What it cannot read it leaves out and, where the owner should know, says so in a note. sysinfo
//! serves where it reads all that is wanted at a fair price (memory, what the machine is); the kernel's own
//! files serve where it knows less than the kernel tells (the parts of CPU time, inodes, pressure, run queue) or
//! costs more than all the rest together (its networks and its process table).
//!
//! Files that are read in every pass stay open and are read again from their start, and series are made once:
//! a pass of some 50 readings is little more than its system calls.

mod blockdev;
mod cpu;
mod disk;
pub(crate) mod file;
mod host;
mod interpreter;
mod labelled;
mod load;
pub(crate) mod look;
mod memory;
mod mount;
mod network;
mod own;
mod pressure;
pub(crate) mod process;
mod sensor;
mod service;
pub(crate) mod unit;
mod uptime;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use systembot_model::{
    Series,
    rules::Service,
    sample::{Pass, Sample},
};

pub use self::{
    disk::{Statvfs, Usage},
    process::top_processes,
};
use crate::clock::Clock;

/// Time that every file system has to answer statvfs(3); a local one takes microseconds, a network share milliseconds.
pub const STATVFS_DEADLINE: Duration = Duration::from_secs(2);
/// The same where passes follow each other closely: one that waits must be over before the next is due.
#[must_use]
pub fn statvfs_deadline(interval: Duration) -> Duration {
    STATVFS_DEADLINE.min(interval / 2)
}

/// Less than this between the two clocks is no sleep but a moment lost between reading one and the other.
const ASLEEP_LEAST: Duration = Duration::from_millis(100);

/// Where the kernel shows its files; tests have trees of their own.
///
/// What sysinfo reads (memory, the machine's names) comes from the machine itself, whatever stands here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// proc(5).
    pub proc: PathBuf,
    /// sysfs(5).
    pub sys: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: PathBuf::from("/proc"), sys: PathBuf::from("/sys") }
    }
}

/// What is read, and from where.
#[derive(Clone)]
pub struct Options {
    /// Where the kernel shows its files.
    pub roots: Roots,
    /// Mount points that are read whatever their file system is.
    pub include_mounts: Vec<String>,
    /// Processes that should be running; without any the process table is not read.
    pub services: Vec<Service>,
    /// Directory with what started services print, see [`crate::supervise`].
    pub outputs_dir: Option<PathBuf>,
    /// Directory of the log, whose size is a series.
    pub log_dir: Option<PathBuf>,
    /// Time that every file system has to answer, see [`STATVFS_DEADLINE`].
    pub statvfs_deadline: Duration,
    /// What asks a file system for its figures; tests have one that hangs.
    pub statvfs: Statvfs,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            roots: Roots::default(),
            include_mounts: Vec::new(),
            services: Vec::new(),
            outputs_dir: None,
            log_dir: None,
            statvfs_deadline: STATVFS_DEADLINE,
            statvfs: Arc::new(|path: &Path| Usage::read(path)),
        }
    }
}

/// All readers, with what each remembers from one pass to the next.
pub struct Collectors {
    clock: Arc<dyn Clock>,
    load: load::Load,
    cpu: cpu::Cpu,
    memory: memory::Memory,
    disk: disk::Disks,
    blockdev: blockdev::Devices,
    network: network::Network,
    sensor: sensor::Sensors,
    pressure: pressure::Pressure,
    process: process::Processes,
    service: service::Services,
    uptime: uptime::Uptime,
    own: own::Own,
    host: host::Facts,
    /// Steady time and time since boot at the pass before.
    before: Option<(Duration, Duration)>,
    /// Readings of the pass before: room to begin the next with.
    length: usize,
    seen: HashSet<Series>,
}

impl Collectors {
    /// Readers that have read nothing yet: the first pass has no CPU series, and no span since the pass before.
    #[must_use]
    pub fn new(options: Options, clock: Arc<dyn Clock>) -> Self {
        let roots = &options.roots;
        Self {
            load: load::Load::new(roots),
            cpu: cpu::Cpu::new(roots),
            memory: memory::Memory::new(),
            blockdev: blockdev::Devices::new(roots),
            network: network::Network::new(roots),
            sensor: sensor::Sensors::new(roots),
            pressure: pressure::Pressure::new(roots),
            process: process::Processes::new(roots),
            service: service::Services::new(&options, Arc::clone(&clock)),
            uptime: uptime::Uptime::new(roots),
            own: own::Own::new(roots, options.log_dir.clone()),
            host: host::Facts::new(roots),
            disk: disk::Disks::new(&options, Arc::clone(&clock)),
            clock,
            before: None,
            length: 0,
            seen: HashSet::new(),
        }
    }

    /// Reads everything once, on the calling thread.
    ///
    /// Takes a millisecond or less; only a file system that does not answer holds it up, once, for as long as
    /// [`Options::statvfs_deadline`].
    pub fn collect(&mut self) -> Pass {
        let (steady, since_boot) = (self.clock.steady(), self.clock.since_boot());
        let sample = Sample { readings: Vec::with_capacity(self.length) };
        // All clocks at once: read after a file system that was waited for, one would seem to have been set.
        let mut pass = Pass { at: self.clock.now(), sample, ..Pass::default() };
        if let Some((steady_before, boot_before)) = self.before.replace((steady, since_boot)) {
            let elapsed = steady.saturating_sub(steady_before);
            let asleep = since_boot.saturating_sub(boot_before).saturating_sub(elapsed);
            pass.elapsed = Some(elapsed);
            pass.asleep = if asleep < ASLEEP_LEAST { Duration::ZERO } else { asleep };
        }
        self.disk.begin(&mut pass);
        self.load.read(&mut pass);
        self.cpu.read(&mut pass);
        self.memory.read(&mut pass);
        self.blockdev.read(&mut pass);
        self.network.read(&mut pass);
        self.sensor.read(&mut pass, steady);
        self.pressure.read(&mut pass);
        self.process.read(&mut pass);
        self.service.read(&mut pass, self.process.pids());
        self.uptime.read(&mut pass);
        self.own.read(&mut pass);
        pass.host = self.host.read(steady, self.cpu.online());
        self.disk.finish(&mut pass);

        // Before it is judged and recorded, so that both see the same: noise in digits that no source has would fill
        // the log.
        for reading in &mut pass.sample.readings {
            if let Some(metric) = reading.series.known() {
                reading.value = metric.rounded(reading.value);
            }
        }
        // Two labels may become one where they are cut or no UTF-8; a sample has each series once.
        self.seen.clear();
        pass.sample.readings.retain(|reading| self.seen.insert(reading.series.clone()));
        self.length = pass.sample.readings.len();
        pass.notes.sort_by(|a, b| a.subject.cmp(&b.subject));
        pass
    }
}
