//! The table of everything that is measured. A row here is all that a new metric needs besides its reading.

use crate::number;

/// What a metric's values count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A plain number.
    Number,
    /// 0 to 100.
    Percent,
    /// Bytes.
    Bytes,
    /// Degrees Celsius.
    Celsius,
    /// Seconds.
    Seconds,
}

impl Unit {
    /// The unit's word in output for machines; empty for plain numbers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Number => "",
            Self::Percent => "percent",
            Self::Bytes => "bytes",
            Self::Celsius => "celsius",
            Self::Seconds => "seconds",
        }
    }
}

/// How values of a metric follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A level that goes up and down.
    Gauge,
    /// A total that only grows, and starts again at zero with the machine.
    Counter,
}

/// The smallest change of a metric that may be worth an alert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Least {
    /// So much in the metric's own unit.
    Absolute(f64),
    /// So much per CPU of the machine.
    PerCpu(f64),
    /// This share of the value itself.
    Share(f64),
    /// This share of another metric with the same label, the whole of which it is a part.
    ShareOf(&'static str, f64),
}

/// One row of [`METRICS`].
#[derive(Debug)]
pub struct Metric {
    /// Name, the unit last.
    pub name: &'static str,
    /// Unit of its values.
    pub unit: Unit,
    /// Level or growing total.
    pub kind: Kind,
    /// Key of its label, for metrics with a series for each of something.
    pub label: Option<&'static str>,
    /// Decimals of its values: as many as its source has, or as a share measured in ticks of a clock is worth.
    pub decimals: u8,
    /// Smallest change worth an alert.
    pub least: Least,
    /// The chat word that stands for it on the command line, `load` for the three load averages.
    pub word: &'static str,
    /// One line for people.
    pub help: &'static str,
}

impl Metric {
    /// The row of a metric by its name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        METRICS.iter().find(|metric| metric.name == name)
    }

    /// A reading as it is recorded and judged: the nearest value with the metric's decimals.
    #[must_use]
    pub fn rounded(&self, value: f64) -> f64 {
        number::decimal(value, self.decimals)
    }
}

macro_rules! metrics {
    ($($name:literal $unit:ident $kind:ident $label:expr, $decimals:literal, $least:expr, $word:literal, $help:literal;)+) => {
        &[$(Metric {
            name: $name, unit: Unit::$unit, kind: Kind::$kind, label: $label, decimals: $decimals,
            least: $least, word: $word, help: $help,
        }),+]
    };
}

const LOAD: Least = Least::PerCpu(0.1);
const POINTS: Least = Least::Absolute(5.0);
const DEGREES: Least = Least::Absolute(3.0);
const HUNDREDTH: Least = Least::Share(0.01);
const MEMORY: Least = Least::ShareOf("memory_total_bytes", 0.01);
const SWAP: Least = Least::ShareOf("swap_total_bytes", 0.01);
const DISK: Least = Least::ShareOf("disk_total_bytes", 0.01);
const TEN: Least = Least::Absolute(10.0);

/// Everything that is measured, in the order in which it is shown.
#[rustfmt::skip]
pub static METRICS: &[Metric] = metrics![
    "load1" Number Gauge None, 2, LOAD, "load", "processes running or waiting, mean over 1 minute (/proc/loadavg)";
    "load5" Number Gauge None, 2, LOAD, "load", "processes running or waiting, mean over 5 minutes (/proc/loadavg)";
    "load15" Number Gauge None, 2, LOAD, "load", "processes running or waiting, mean over 15 minutes (/proc/loadavg)";
    "cpu_idle_percent" Percent Gauge None, 2, POINTS, "cpu", "time the CPUs had nothing to do, since the tick before (/proc/stat)";
    "cpu_user_percent" Percent Gauge None, 2, POINTS, "cpu", "time in programs, nice included, since the tick before (/proc/stat)";
    "cpu_system_percent" Percent Gauge None, 2, POINTS, "cpu", "time in the kernel, interrupts included, since the tick before (/proc/stat)";
    "cpu_iowait_percent" Percent Gauge None, 2, POINTS, "cpu", "idle time with I/O outstanding, since the tick before (/proc/stat)";
    "cpu_steal_percent" Percent Gauge None, 2, POINTS, "cpu", "time the hypervisor gave to others, since the tick before (/proc/stat)";
    "cpu_busy_percent" Percent Gauge Some("cpu"), 2, POINTS, "cpu", "time one CPU was neither idle nor waiting for I/O, since the tick before (/proc/stat)";
    "memory_total_bytes" Bytes Gauge None, 0, MEMORY, "memory", "memory the kernel manages (/proc/meminfo MemTotal)";
    "memory_used_bytes" Bytes Gauge None, 0, MEMORY, "memory", "total less available, as free(1) shows it";
    "memory_available_bytes" Bytes Gauge None, 0, MEMORY, "memory", "memory to be had without swapping (/proc/meminfo MemAvailable)";
    "memory_available_percent" Percent Gauge None, 2, POINTS, "memory", "available share of the total";
    "swap_total_bytes" Bytes Gauge None, 0, SWAP, "memory", "swap space (/proc/meminfo SwapTotal)";
    "swap_used_bytes" Bytes Gauge None, 0, SWAP, "memory", "swap space in use (/proc/meminfo SwapTotal - SwapFree)";
    "disk_total_bytes" Bytes Gauge Some("mount"), 0, DISK, "disk", "size of a file system (statvfs f_blocks)";
    "disk_used_bytes" Bytes Gauge Some("mount"), 0, DISK, "disk", "used space (statvfs f_blocks - f_bfree)";
    "disk_available_bytes" Bytes Gauge Some("mount"), 0, DISK, "disk", "space that users may still fill (statvfs f_bavail)";
    "disk_used_percent" Percent Gauge Some("mount"), 2, POINTS, "disk", "used / (used + available), as df(1) shows it";
    "disk_inodes_used_percent" Percent Gauge Some("mount"), 2, POINTS, "disk", "used share of the inodes, where a file system has a fixed number (statvfs f_files, f_ffree)";
    "disk_read_bytes_total" Bytes Counter Some("device"), 0, HUNDREDTH, "disk", "bytes read from a device since boot (/proc/diskstats, sectors of 512)";
    "disk_written_bytes_total" Bytes Counter Some("device"), 0, HUNDREDTH, "disk", "bytes written to a device since boot (/proc/diskstats, sectors of 512)";
    "network_sent_bytes_total" Bytes Counter Some("interface"), 0, HUNDREDTH, "traffic", "bytes sent since boot (/proc/net/dev)";
    "network_received_bytes_total" Bytes Counter Some("interface"), 0, HUNDREDTH, "traffic", "bytes received since boot (/proc/net/dev)";
    "network_errors_total" Number Counter Some("interface"), 0, TEN, "traffic", "errors, sending and receiving, since boot (/proc/net/dev)";
    "temperature_celsius" Celsius Gauge Some("sensor"), 3, DEGREES, "temperature", "a sensor's temperature (hwmon temp*_input)";
    "temperature_high_celsius" Celsius Gauge Some("sensor"), 3, DEGREES, "temperature", "the driver's high point of a sensor (hwmon temp*_max)";
    "temperature_critical_celsius" Celsius Gauge Some("sensor"), 3, DEGREES, "temperature", "the driver's critical point of a sensor (hwmon temp*_crit)";
    "pressure_cpu_some_percent" Percent Gauge None, 2, POINTS, "pressure", "time some task waited for a CPU, mean over 10 s (/proc/pressure/cpu)";
    "pressure_memory_some_percent" Percent Gauge None, 2, POINTS, "pressure", "time some task waited for memory, mean over 10 s (/proc/pressure/memory)";
    "pressure_io_some_percent" Percent Gauge None, 2, POINTS, "pressure", "time some task waited for I/O, mean over 10 s (/proc/pressure/io)";
    "processes_total" Number Gauge None, 0, TEN, "processes", "processes, kernel threads included (entries of /proc)";
    "processes_running" Number Gauge None, 0, TEN, "processes", "threads running or ready to run (/proc/stat procs_running)";
    "processes_blocked" Number Gauge None, 0, TEN, "processes", "threads blocked on I/O (/proc/stat procs_blocked)";
    "service_memory_bytes" Bytes Gauge Some("service"), 0, Least::Share(0.2), "services", "resident memory of a watched service's process (/proc/PID/stat)";
    "service_cpu_seconds_total" Seconds Counter Some("service"), 2, Least::Absolute(1.0), "services", "CPU time of a watched service's process, user and system (/proc/PID/stat)";
    "uptime_seconds" Seconds Gauge None, 2, Least::Absolute(f64::INFINITY), "uptime", "time since boot, sleep included (/proc/uptime)";
    "self_rss_bytes" Bytes Gauge None, 0, Least::Share(0.2), "self", "resident memory of Systembot itself (/proc/self/statm)";
    "self_cpu_seconds_total" Seconds Counter None, 2, Least::Absolute(1.0), "self", "CPU time of Systembot itself, user and system (/proc/self/stat)";
    "log_bytes" Bytes Gauge None, 0, Least::Share(0.2), "self", "size of the log on disk";
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_end_in_their_unit() {
        for (i, metric) in METRICS.iter().enumerate() {
            assert!(METRICS.iter().skip(i + 1).all(|other| other.name != metric.name), "{}", metric.name);
            let stem = metric.name.strip_suffix("_total").unwrap_or(metric.name);
            assert!(stem.ends_with(metric.unit.word()), "{}", metric.name);
            assert_eq!(
                metric.kind == Kind::Counter,
                metric.name.ends_with("_total") && metric.name != "processes_total"
            );
        }
    }
}
