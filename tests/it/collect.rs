//! The readers of the machine: fake trees with known contents, file systems that hang, and this machine itself.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do; the lints know only functions marked as tests"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use proptest::prelude::*;
use systembot::{
    clock::{Clock, SystemClock},
    collect::{Collectors, Options, Roots, Usage, statvfs_deadline, top_processes},
};
use systembot_model::{Timestamp, host::Process, rules::Service, sample::Pass};
use tempfile::TempDir;

use crate::namespace::{is_inside, run_inside};

/// A clock that the test sets, in milliseconds.
#[derive(Default)]
struct TestClock {
    steady: AtomicU64,
    since_boot: AtomicU64,
}

impl TestClock {
    fn advance(&self, awake: u64, asleep: u64) {
        self.steady.fetch_add(awake, Ordering::Relaxed);
        self.since_boot.fetch_add(awake + asleep, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    /// Never set, and never asleep.
    fn now(&self) -> Timestamp {
        Timestamp::from_ms(i64::try_from(self.steady.load(Ordering::Relaxed)).unwrap())
    }

    fn wait(&self, span: Duration) {
        self.advance(u64::try_from(span.as_millis()).unwrap(), 0);
    }

    fn steady(&self) -> Duration {
        Duration::from_millis(self.steady.load(Ordering::Relaxed))
    }

    fn since_boot(&self) -> Duration {
        Duration::from_millis(self.since_boot.load(Ordering::Relaxed))
    }
}

/// A machine in a directory, `proc` and `sys` below it.
struct Machine {
    dir: TempDir,
    clock: Arc<TestClock>,
}

impl Machine {
    fn new(files: &[(&str, &str)]) -> Self {
        let machine = Self { dir: tempfile::tempdir().unwrap(), clock: Arc::default() };
        for (path, content) in files {
            machine.write(path, content);
        }
        machine
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn options(&self) -> Options {
        Options {
            roots: Roots { proc: self.dir.path().join("proc"), sys: self.dir.path().join("sys") },
            statvfs: Arc::new(|_: &Path| Ok(USAGE)),
            ..Options::default()
        }
    }

    fn collectors(&self, options: Options) -> Collectors {
        Collectors::new(options, Arc::<TestClock>::clone(&self.clock))
    }
}

const USAGE: Usage =
    Usage { block_bytes: 4096, blocks: 1000, free: 400, available: 350, inodes: 200, inodes_free: 150 };

const STAT: &str = "cpu  100 10 50 1000 20 3 7 5 0 0\ncpu0 50 5 25 500 10 3 7 0 0 0\ncpu1 50 5 25 500 10 0 0 5 0 0\n\
                    intr 5 0 0\nctxt 9\nbtime 1\nprocesses 77\nprocs_running 3\nprocs_blocked 1\nsoftirq 1 2\n";
const MOUNTS: &str = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:41 / /mnt/nas rw - nfs4 nas:/a rw\n\
                      3 1 0:5 / /proc rw - proc proc rw\n";

/// One of every file that is read in each pass.
const FILES: &[(&str, &str)] = &[
    ("proc/loadavg", "0.35 0.14 1.05 2/130 9999\n"),
    ("proc/stat", STAT),
    ("proc/self/mountinfo", MOUNTS),
    (
        "proc/diskstats",
        "   7  0 loop0 0 0 0 0 0 0 0 0 0 0 0\n   7  1 loop1 1 0 8 0 0 0 0 0 0 0 0\n   1  0 ram0 5 0 8 0 5 0 8 0 0 0 0\n\
         \x20254  0 vda 12642 5385 3690362 14063 2674 34041 3561576 49068 0 9172 65412 4039 106 63888 2266 32 14\n\
         \x20254  1 vda1 12642 5385 36 14063 2674 34041 35 49068 0 9172 65412\n 104 0 cciss/c0d0 1 2 3 4 5 6 7 8 0 0 0\n",
    ),
    (
        "proc/net/dev",
        "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs\n\
         \x20   lo:    3193      29    0    0    0     0          0         0     3194      29    0    0    0     0  0 0\n\
         \x20 eth0: 91819877    4079    2    0    0     0          0         0   263258    3008    5    0    0     0  0 0\n",
    ),
    ("proc/net/route", "eth7\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"),
    ("proc/net/ipv6_route", ""),
    ("proc/net/if_inet6", "20010db8000000000000000000000001 04 40 00 80     eth7\n"),
    ("proc/pressure/cpu", "some avg10=1.21 avg60=0.85 avg300=0.74 total=12210890\nfull avg10=9.00\n"),
    ("proc/pressure/memory", "some avg10=0.50 avg60=0.00 avg300=0.00 total=0\n"),
    ("proc/pressure/io", "some avg10=100.00 avg60=0.00 avg300=0.00 total=0\n"),
    ("proc/uptime", "1562.29 2792.16\n"),
    ("proc/self/statm", "765 408 380 5 0 123 0\n"),
    ("proc/self/stat", "9 (a b) R 1 9 6590 0 -1 41 98 0 0 0 250 50 0 0 20 0 1 0 156228 3133440 362 18\n"),
    ("proc/1/cmdline", "/sbin/init\0"),
    ("proc/2/cmdline", ""),
    ("sys/block/vda/size", "1"),
    ("sys/block/loop0/size", "1"),
    ("sys/block/loop1/size", "1"),
    ("sys/block/ram0/size", "1"),
    ("sys/block/cciss!c0d0/size", "1"),
    ("sys/class/hwmon/hwmon0/name", "k10temp\n"),
    ("sys/class/hwmon/hwmon0/temp1_input", "45250\n"),
    ("sys/class/hwmon/hwmon0/temp1_crit", "95000\n"),
];

/// All readings but those that sysinfo makes of this machine, as `id value` lines in order of id.
fn readings(pass: &Pass) -> Vec<String> {
    let is_ours = |id: &str| !["memory_", "swap_"].iter().any(|metric| id.starts_with(metric));
    let readings = pass.sample.readings.iter().filter(|reading| is_ours(reading.series.id()));
    let mut lines: Vec<String> =
        readings.map(|reading| format!("{} {}", reading.series, reading.value)).collect();
    lines.sort();
    lines
}

fn notes(pass: &Pass) -> Vec<(&str, &str)> {
    pass.notes.iter().map(|note| (note.subject.as_str(), note.text.as_str())).collect()
}

#[test]
fn a_known_machine_gives_known_readings() {
    let machine = Machine::new(FILES);
    let page = rustix::param::page_size();
    let hertz = rustix::param::clock_ticks_per_second();
    let log = machine.dir.path().join("log");
    machine.write("log/blobs/1", vec![1; 10_000]);
    let log_blocks = |path: &Path| std::os::unix::fs::MetadataExt::blocks(&fs::metadata(path).unwrap());
    let log_bytes = 512 * (log_blocks(&log.join("blobs")) + log_blocks(&log.join("blobs/1")));
    let mut collectors = machine.collectors(Options { log_dir: Some(log), ..machine.options() });
    let pass = collectors.collect();
    let mut expected: Vec<String> = "\
        load1 0.35\n\
        load5 0.14\n\
        load15 1.05\n\
        disk_total_bytes{mount=\"/\"} 4096000\n\
        disk_used_bytes{mount=\"/\"} 2457600\n\
        disk_available_bytes{mount=\"/\"} 1433600\n\
        disk_used_percent{mount=\"/\"} 63.16\n\
        disk_inodes_used_percent{mount=\"/\"} 25\n\
        disk_total_bytes{mount=\"/mnt/nas\"} 4096000\n\
        disk_used_bytes{mount=\"/mnt/nas\"} 2457600\n\
        disk_available_bytes{mount=\"/mnt/nas\"} 1433600\n\
        disk_used_percent{mount=\"/mnt/nas\"} 63.16\n\
        disk_inodes_used_percent{mount=\"/mnt/nas\"} 25\n\
        disk_read_bytes_total{device=\"loop1\"} 4096\n\
        disk_written_bytes_total{device=\"loop1\"} 0\n\
        disk_read_bytes_total{device=\"vda\"} 1889465344\n\
        disk_written_bytes_total{device=\"vda\"} 1823526912\n\
        disk_read_bytes_total{device=\"cciss/c0d0\"} 1536\n\
        disk_written_bytes_total{device=\"cciss/c0d0\"} 3584\n\
        network_sent_bytes_total{interface=\"lo\"} 3194\n\
        network_received_bytes_total{interface=\"lo\"} 3193\n\
        network_errors_total{interface=\"lo\"} 0\n\
        network_sent_bytes_total{interface=\"eth0\"} 263258\n\
        network_received_bytes_total{interface=\"eth0\"} 91819877\n\
        network_errors_total{interface=\"eth0\"} 7\n\
        temperature_celsius{sensor=\"k10temp temp1\"} 45.25\n\
        temperature_critical_celsius{sensor=\"k10temp temp1\"} 95\n\
        pressure_cpu_some_percent 1.21\n\
        pressure_memory_some_percent 0.5\n\
        pressure_io_some_percent 100\n\
        processes_total 2\n\
        processes_running 3\n\
        processes_blocked 1\n\
        uptime_seconds 1562.29"
        .lines()
        .map(str::to_owned)
        .collect();
    expected.push(format!("self_rss_bytes {}", 408 * page));
    expected.push(format!("self_cpu_seconds_total {}", 300 / hertz));
    expected.push(format!("log_bytes {log_bytes}"));
    expected.sort();
    assert_eq!(readings(&pass), expected);
    assert_eq!(notes(&pass), []);
    assert_eq!(pass.missing, [""; 0]);
    assert_eq!((pass.elapsed, pass.asleep), (None, Duration::ZERO));
    let address = pass.host.ipv6.map(|address| address.to_string());
    let host = (pass.host.cpus, pass.host.interface.as_deref(), pass.host.ipv4, address.as_deref());
    assert_eq!(host, (2, Some("eth7"), None, Some("2001:db8::1")));
}

#[test]
fn cpu_time_is_told_from_the_second_pass_on() {
    let machine = Machine::new(FILES);
    let mut collectors = machine.collectors(machine.options());
    assert!(readings(&collectors.collect()).iter().all(|line| !line.starts_with("cpu_")));
    let mut cpu = |stat: &str| {
        machine.write("proc/stat", stat);
        machine.clock.advance(15_000, 0);
        let lines = readings(&collectors.collect());
        lines.into_iter().filter(|line| line.starts_with("cpu_")).collect::<Vec<_>>().join(", ")
    };
    let now = "cpu  130 20 65 1120 30 5 10 15 9 9\ncpu0 90 5 25 560 10 3 7 0 0 0\ncpu3 1 1 1 1 1 1 1 1\n";
    assert_eq!(
        cpu(now),
        "cpu_busy_percent{cpu=\"0\"} 40, cpu_idle_percent 60, cpu_iowait_percent 5, cpu_steal_percent 5, \
         cpu_system_percent 10, cpu_user_percent 20"
    );
    assert_eq!(
        cpu("cpu  131 20 66 1121 30 5 10 15 9 9\ncpu0 91 5 25 562 10 3 7 0 0 0\n"),
        "cpu_busy_percent{cpu=\"0\"} 33.33, cpu_idle_percent 33.33, cpu_iowait_percent 0, cpu_steal_percent 0, \
         cpu_system_percent 33.33, cpu_user_percent 33.33",
        "a third of the time each"
    );
    assert_eq!(cpu(STAT), "", "counters that went back");
    assert_eq!(cpu(STAT), "", "counters that stood still");
    assert_eq!(cpu("cpu x"), "");
    assert_eq!(cpu(now), "", "nothing to compare with");
}

#[test]
fn time_awake_and_asleep_is_told_apart() {
    let machine = Machine::new(FILES);
    let mut collectors = machine.collectors(machine.options());
    let mut check = |awake, asleep, expected_asleep| {
        machine.clock.advance(awake, asleep);
        let pass = collectors.collect();
        assert_eq!(pass.asleep, Duration::from_millis(expected_asleep));
        pass.elapsed
    };
    assert_eq!(check(5, 0, 0), None);
    assert_eq!(check(15_000, 0, 0), Some(Duration::from_secs(15)));
    assert_eq!(check(15_000, 3_600_000, 3_600_000), Some(Duration::from_secs(15)));
    assert_eq!(check(15_000, 2, 0), Some(Duration::from_secs(15)));
}

#[test]
fn a_file_that_cannot_be_read_costs_its_series_and_no_more() {
    let essential = ["proc/loadavg", "proc/stat", "proc/self/mountinfo", "proc/net/dev", "proc/uptime"];
    let silent =
        ["proc/pressure/io", "proc/diskstats", "proc/net/route", "proc/self/statm", "sys/class/hwmon"];
    let whole = readings(&Machine::new(FILES).collectors(Machine::new(FILES).options()).collect()).len();
    for (path, is_told) in
        essential.map(|path| (path, true)).into_iter().chain(silent.map(|path| (path, false)))
    {
        let machine = Machine::new(FILES);
        let file = machine.dir.path().join(path);
        if file.is_dir() { fs::remove_dir_all(&file) } else { fs::remove_file(&file) }.unwrap();
        let pass = machine.collectors(machine.options()).collect();
        let subject = format!("file {}", file.display());
        let subjects: Vec<&str> = notes(&pass).into_iter().map(|(subject, _)| subject).collect();
        assert_eq!(subjects, if is_told { vec![subject.as_str()] } else { vec![] }, "{path}");
        let left = readings(&pass).len();
        assert!(path == "proc/net/route" || left < whole, "{path}");
        assert!(left + 12 > whole, "{path}");
    }
}

#[test]
fn odd_contents_are_left_out_where_they_say_nothing() {
    let check = |path: &str, content: &str, metric: &str, expected: &str| {
        let machine = Machine::new(FILES);
        machine.write(path, content);
        let lines = readings(&machine.collectors(machine.options()).collect());
        let lines: Vec<_> = lines.into_iter().filter(|line| line.starts_with(metric)).collect();
        assert_eq!(lines.join(", "), expected, "{path}: {content}");
    };
    check("proc/loadavg", "0.5 x -1", "load", "load1 0.5");
    check("proc/loadavg", "inf nan", "load", "");
    check("proc/uptime", "", "uptime", "");
    check("proc/uptime", "-5 1", "uptime", "");
    check("proc/uptime", "inf 1", "uptime", "");
    check("proc/uptime", "NaN 1", "uptime", "");
    check("proc/uptime", "1e999 1", "uptime", "");
    check("proc/uptime", "12", "uptime", "uptime_seconds 12");
    check("proc/pressure/cpu", "some avg10=1", "pressure_cpu", "pressure_cpu_some_percent 1");
    check("proc/pressure/cpu", "some avg10=101", "pressure_cpu", "");
    check("proc/pressure/cpu", "full avg10=1", "pressure_cpu", "");
    check("proc/stat", "procs_running 18446744073709551616\nprocs_blocked -1\n", "processes_r", "");
    check("proc/self/statm", "765", "self_rss", "");
    check("proc/self/stat", "9 (a b R 1", "self_cpu", "");
    check("proc/diskstats", "254 0 vda 1 2 3\n254 0 .. 1 2 3 4 5 6 7 8", "disk_read", "");
    check("proc/net/dev", "eth0: 1 2 3", "network", "");
    let twice = "a: 1 0 0 0 0 0 0 0 2 0 0\n a: 3 0 0 0 0 0 0 0 4 0 0\n";
    check("proc/net/dev", twice, "network_sent", "network_sent_bytes_total{interface=\"a\"} 2");
    let most = "eth0: 18446744073709551615 0 18446744073709551615 0 0 0 0 0 1 0 18446744073709551615\n";
    check(
        "proc/net/dev",
        most,
        "network_errors",
        "network_errors_total{interface=\"eth0\"} 36893488147419103000",
    );
    check("sys/class/hwmon/hwmon0/temp1_input", "\u{0}\u{1}", "temperature_celsius", "");
    check("sys/class/hwmon/hwmon0/temp1_input", "200001", "temperature_celsius", "");
    check("sys/class/hwmon/hwmon0/temp1_input", "-50001", "temperature_celsius", "");
    check("sys/class/hwmon/hwmon0/temp1_crit", "0", "temperature_critical", "");
    check("sys/class/hwmon/hwmon0/temp1_crit", "255500", "temperature_critical", "");
}

#[test]
fn figures_of_a_file_system_are_those_of_df() {
    let check = |usage: Usage, expected: &str| {
        let machine = Machine::new(FILES);
        let options = Options { statvfs: Arc::new(move |_: &Path| Ok(usage)), ..machine.options() };
        let lines = readings(&machine.collectors(options).collect());
        let lines: Vec<_> = lines
            .into_iter()
            .filter_map(|line| Some(line.strip_prefix("disk_")?.to_owned()))
            .filter(|line| line.contains("\"/\""))
            .map(|line| line.replace("{mount=\"/\"}", ""))
            .collect();
        assert_eq!(lines.join(", "), expected, "{usage:?}");
    };
    check(
        USAGE,
        "available_bytes 1433600, inodes_used_percent 25, total_bytes 4096000, used_bytes 2457600, \
         used_percent 63.16",
    );
    let full =
        Usage { block_bytes: 1, blocks: 100, free: 0, available: u64::MAX - 3, inodes: 0, inodes_free: 9 };
    check(full, "available_bytes 0, total_bytes 100, used_bytes 100, used_percent 100");
    check(Usage { free: 101, available: 0, ..full }, "available_bytes 0, total_bytes 100, used_bytes 0");
    check(Usage::default(), "");
}

/// A statvfs that waits for leave on some mounts, and counts how often it was asked for each.
#[derive(Default)]
struct Hanging {
    leave: Mutex<BTreeMap<String, mpsc::Receiver<()>>>,
    asked: Mutex<BTreeMap<String, usize>>,
    inside: AtomicUsize,
}

impl Hanging {
    fn hang(&self, mount: &str) -> mpsc::Sender<()> {
        let (leave, wait) = mpsc::channel();
        self.leave.lock().unwrap().insert(mount.to_owned(), wait);
        leave
    }

    fn statvfs(&self, path: &Path) -> io::Result<Usage> {
        let mount = path.to_str().unwrap().to_owned();
        *self.asked.lock().unwrap().entry(mount.clone()).or_default() += 1;
        let waiting = self.leave.lock().unwrap().remove(&mount);
        if let Some(waiting) = waiting {
            self.inside.fetch_add(1, Ordering::SeqCst);
            // An error is leave too: the test has ended.
            let _ = waiting.recv();
            self.inside.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(USAGE)
    }

    fn asked(&self, mount: &str) -> usize {
        self.asked.lock().unwrap().get(mount).copied().unwrap_or(0)
    }
}

#[test]
fn a_hung_mount_costs_its_reading_and_a_note() {
    let machine = Machine::new(FILES);
    let dead = "2 1 0:41 / /mnt/a rw - nfs4 nas:/a rw\n3 1 0:42 / /mnt/b rw - nfs4 nas:/b rw\n";
    machine.write("proc/self/mountinfo", format!("{dead}4 1 8:1 / /srv rw - btrfs /dev/sda1 rw\n"));
    let hanging = Arc::new(Hanging::default());
    let leave = [hanging.hang("/mnt/a"), hanging.hang("/mnt/b")];
    let asked = Arc::clone(&hanging);
    let mut collectors = machine.collectors(Options {
        statvfs: Arc::new(move |path: &Path| asked.statvfs(path)),
        statvfs_deadline: Duration::from_millis(400),
        ..machine.options()
    });
    let mut mounts = || {
        let pass = collectors.collect();
        let lines = readings(&pass).into_iter();
        let read: Vec<_> =
            lines.filter_map(|line| Some(line.strip_prefix("disk_total")?.to_owned())).collect();
        assert!(readings(&pass).iter().any(|line| line.starts_with("uptime_seconds")), "the pass goes on");
        (read, notes(&pass).into_iter().map(|(a, b)| format!("{a} {b}")).collect::<Vec<_>>())
    };
    let line = |mount: &str| format!("_bytes{{mount=\"{mount}\"}} 4096000");
    let note = |mount: &str| format!("mount {mount} does not answer; left out until it does");
    for pass in 1..=3 {
        assert_eq!(mounts(), (vec![line("/srv")], vec![note("/mnt/a"), note("/mnt/b")]), "pass {pass}");
        let asked = ["/mnt/a", "/mnt/b", "/srv"].map(|mount| hanging.asked(mount));
        assert_eq!(asked, [1, 1, pass], "one thread a mount");
        assert!(wait_until(|| hanging.inside.load(Ordering::SeqCst) == 2));
    }
    leave[0].send(()).unwrap();
    let both = (vec![line("/mnt/a"), line("/srv")], vec![note("/mnt/b")]);
    assert!(wait_until(|| mounts() == both), "the one that answers again is read again");
    assert_eq!(hanging.asked("/mnt/b"), 1);
    drop(leave);
    assert!(wait_until(|| mounts().1.is_empty()), "all well again");
    assert!(wait_until(|| hanging.inside.load(Ordering::SeqCst) == 0), "no thread is left");
}

#[test]
fn a_hung_mount_never_costs_the_next_pass() {
    let check = |interval, expected| {
        let deadline = statvfs_deadline(Duration::from_secs(interval));
        assert_eq!(deadline, Duration::from_millis(expected), "{interval} s");
    };
    check(1, 500);
    check(4, 2000);
    check(3600, 2000);
}

#[test]
fn a_pass_that_was_held_up_is_labelled_with_its_begin() {
    let machine = Machine::new(FILES);
    let clock = Arc::clone(&machine.clock);
    let slow = AtomicU64::new(0);
    let statvfs = move |path: &Path| {
        if path == Path::new("/") && slow.fetch_add(1, Ordering::Relaxed) == 1 {
            clock.advance(2_000, 0);
        }
        Ok(USAGE)
    };
    let mut collectors = machine.collectors(Options { statvfs: Arc::new(statvfs), ..machine.options() });
    let mut before = collectors.collect().at;
    for awake in [15_000, 13_000, 15_000] {
        machine.clock.advance(awake, 0);
        let pass = collectors.collect();
        assert_eq!(Some(pass.at.since(before)), pass.elapsed, "the wall clock was not set");
        before = pass.at;
    }
}

/// Defect 12 of the original: it crashed on one unreadable mount.
#[test]
fn an_unreadable_mount_is_a_note() {
    let machine = Machine::new(FILES);
    let statvfs = |path: &Path| match path.to_str() {
        Some("/mnt/nas") => Err(io::Error::from_raw_os_error(13)),
        _ => Ok(USAGE),
    };
    let options = Options { statvfs: Arc::new(statvfs), ..machine.options() };
    let pass = machine.collectors(options).collect();
    let text = "cannot be read (Permission denied (os error 13)); left out until it can";
    assert_eq!(notes(&pass), [("mount /mnt/nas", text)]);
    assert_eq!(pass.sample.value("disk_used_bytes{mount=\"/\"}"), Some(2_457_600.0));
}

#[test]
fn mounts_come_and_go_between_passes() {
    let machine = Machine::new(FILES);
    let options = Options { include_mounts: vec!["/run/".to_owned()], ..machine.options() };
    let mut collectors = machine.collectors(options);
    let mut check = |table: &str, expected: &[&str]| {
        machine.write("proc/self/mountinfo", table);
        let pass = collectors.collect();
        let series =
            pass.sample.readings.iter().filter(|reading| reading.series.metric() == "disk_total_bytes");
        let mounts: Vec<_> =
            series.filter_map(|reading| Some(reading.series.label()?.into_owned())).collect();
        assert_eq!(mounts, expected);
    };
    check(MOUNTS, &["/", "/mnt/nas"]);
    check("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n5 1 0:9 / /run rw - tmpfs tmpfs rw\n", &["/", "/run"]);
    check("7 1 8:1 / /a\\040\"b rw - ext4 /dev/sda1 rw\n", &["/a \"b"]);
    check("", &[]);
}

/// A tree of chips as sysfs shows it, below a directory for `/sys/class`.
fn write_hwmon(class: &Path) {
    let write = |path: &str, content: &str| {
        let path = class.join("hwmon").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    for (chip, device) in [("hwmon0", "nvme0"), ("hwmon1", "nvme1")] {
        write(&format!("{chip}/name"), "nvme\n");
        write(&format!("{chip}/temp1_label"), "Composite\n");
        write(&format!("{chip}/temp1_input"), if chip == "hwmon0" { "36850\n" } else { "-5000\n" });
        write(&format!("{chip}/temp1_max"), "81850\n");
        write(&format!("{chip}/temp1_crit"), "84850\n");
        // What drivers write where no point is set.
        write(&format!("{chip}/temp1_min"), "-273150\n");
        symlink(
            format!("../../../devices/pci0000:00/{device}"),
            class.join("hwmon").join(chip).join("device"),
        )
        .unwrap();
    }
    write("hwmon2/name", "coretemp\n");
    write("hwmon2/temp1_label", "Package id 0\n");
    write("hwmon2/temp1_input", "55000\n");
    write("hwmon2/temp1_max", "0\n");
    write("hwmon2/temp1_crit", "65261850\n");
    write("hwmon2/temp2_label", "Core\n");
    write("hwmon2/temp2_input", "50000\n");
    write("hwmon2/temp10_label", "Core\n");
    write("hwmon2/temp10_input", "51000\n");
    write("hwmon2/temp3_input", "-128000\n");
    write("hwmon2/temp4_input", "");
    // A reading that fails: reading a directory is an error, as is EAGAIN of a driver.
    fs::create_dir_all(class.join("hwmon/hwmon2/temp5_input")).unwrap();
    write("hwmon2/fan1_input", "1200\n");
    // An old driver: everything with the device.
    write("hwmon10/device/name", "w83627hf\n");
    write("hwmon10/device/temp1_input", "30000\n");
}

const HWMON_READINGS: &[&str] = &[
    "temperature_celsius{sensor=\"coretemp Core temp10\"} 51",
    "temperature_celsius{sensor=\"coretemp Core temp2\"} 50",
    "temperature_celsius{sensor=\"coretemp Package id 0\"} 55",
    "temperature_celsius{sensor=\"nvme Composite nvme0\"} 36.85",
    "temperature_celsius{sensor=\"nvme Composite nvme1\"} -5",
    "temperature_celsius{sensor=\"w83627hf temp1\"} 30",
    "temperature_critical_celsius{sensor=\"nvme Composite nvme0\"} 84.85",
    "temperature_critical_celsius{sensor=\"nvme Composite nvme1\"} 84.85",
    "temperature_high_celsius{sensor=\"nvme Composite nvme0\"} 81.85",
    "temperature_high_celsius{sensor=\"nvme Composite nvme1\"} 81.85",
];

fn temperatures(pass: &Pass) -> Vec<String> {
    readings(pass).into_iter().filter(|line| line.starts_with("temperature")).collect()
}

#[test]
fn sensors_have_names_of_their_own_and_points() {
    let machine = Machine::new(&[]);
    write_hwmon(&machine.dir.path().join("sys/class"));
    let mut collectors = machine.collectors(machine.options());
    assert_eq!(temperatures(&collectors.collect()), HWMON_READINGS);

    machine.write("sys/class/hwmon/hwmon2/temp1_input", "56000");
    machine.write("sys/class/hwmon/hwmon11/name", "acpitz");
    machine.write("sys/class/hwmon/hwmon11/temp1_input", "20000");
    let mut check = |line: &str, expected| {
        let lines = temperatures(&collectors.collect());
        assert_eq!(lines.iter().any(|found| found == line), expected, "{line}: {lines:?}");
    };
    check("temperature_celsius{sensor=\"coretemp Package id 0\"} 56", true);
    check("temperature_celsius{sensor=\"acpitz temp1\"} 20", false);
    machine.clock.advance(60_000, 0);
    check("temperature_celsius{sensor=\"acpitz temp1\"} 20", true);
}

#[test]
fn a_machine_without_sensors_is_silent_about_it() {
    let pass = Machine::new(&FILES[..FILES.len() - 3]);
    let pass = pass.collectors(pass.options()).collect();
    assert_eq!((temperatures(&pass), notes(&pass)), (vec![], vec![]));
}

/// The tree lies over the kernel's own in a mount namespace of the test's own, where this test runs once more.
#[test]
fn sensors_are_read_where_the_kernel_has_them() {
    if is_inside() {
        let pass = Collectors::new(Options::default(), Arc::new(SystemClock)).collect();
        assert_eq!(temperatures(&pass), HWMON_READINGS);
        the_kernel_tells_of_new_mounts();
        return;
    }
    let class = tempfile::tempdir().unwrap();
    write_hwmon(class.path());
    // A machine without hwmon drivers has no such directory; then the tree lies over the one above.
    let script = "if [ -d /sys/class/hwmon ]; then mount --bind \"$1/hwmon\" /sys/class/hwmon
                  else mount --bind \"$1\" /sys/class; fi";
    run_inside("collect::sensors_are_read_where_the_kernel_has_them", script, class.path());
}

/// In a mount namespace of its own: mounts and unmounts, and looks what a pass shows.
fn the_kernel_tells_of_new_mounts() {
    let dir = tempfile::tempdir().unwrap();
    let mount = dir.path().to_str().unwrap();
    let options = Options { include_mounts: vec![mount.to_owned()], ..Options::default() };
    let mut collectors = Collectors::new(options, Arc::new(SystemClock));
    let id = format!("disk_total_bytes{{mount=\"{mount}\"}}");
    let mut check = |expected| assert_eq!(collectors.collect().sample.value(&id), expected);
    let run = |command: &str, arguments: &[&str]| {
        assert!(Command::new(command).args(arguments).arg(mount).status().unwrap().success());
    };
    check(None);
    check(None);
    run("mount", &["-t", "tmpfs", "-o", "size=1m", "none"]);
    check(Some(1_048_576.0));
    check(Some(1_048_576.0));
    run("umount", &[]);
    check(None);
}

fn service(name: &str, matches: &str) -> Service {
    Service { name: name.to_owned(), matches: matches.to_owned(), ..Service::default() }
}

/// A stat(5) of a process that started at its number of ticks since boot.
fn stat_of(pid: u32) -> String {
    format!("{pid} (x) S 1 {pid} 6590 0 -1 41 98 0 0 0 250 50 0 0 20 0 1 0 {pid} 3133440 362 18\n")
}

#[test]
fn a_pidfile_and_a_user_narrow_what_a_service_is() {
    let machine = Machine::new(FILES);
    for (pid, uid) in [(20, 0), (21, 33), (22, 33)] {
        machine.write(&format!("proc/{pid}/cmdline"), "/usr/sbin/web\0-k\0");
        machine.write(&format!("proc/{pid}/status"), format!("Name:\tweb\nUid:\t0\t{uid}\t0\t0\n"));
        machine.write(&format!("proc/{pid}/stat"), stat_of(pid));
    }
    machine.write("web.pid", "22\n");
    machine.write("stale.pid", "99\n");
    machine.write("wrong.pid", "1\n");
    let path = |name: &str| Some(machine.dir.path().join(name).to_str().unwrap().to_owned());
    let by_pidfile =
        |name: &str, file: &str, matches: &str| Service { pidfile: path(file), ..service(name, matches) };
    let of_user = |name: &str, user: &str| Service { user: Some(user.to_owned()), ..service(name, "web") };
    let mut collectors = machine.collectors(Options {
        services: vec![
            by_pidfile("web", "web.pid", ""),
            by_pidfile("stale", "stale.pid", ""),
            by_pidfile("wrong", "wrong.pid", "web"),
            by_pidfile("no file", "no.pid", ""),
            of_user("of root", "root"),
            of_user("of 33", "33"),
            of_user("of nobody", "65534"),
            of_user("of a ghost", "no-such-user"),
        ],
        ..machine.options()
    });
    let pass = collectors.collect();
    let pids: Vec<(&str, Option<u32>)> =
        pass.services.iter().map(|f| (f.service.as_str(), f.seen.pid)).collect();
    assert_eq!(pids, [("web", Some(22)), ("of root", Some(20)), ("of 33", Some(21))]);
    assert_eq!(pass.missing, ["stale", "wrong", "no file", "of nobody"]);
    let note = pass.notes.iter().find(|note| note.subject == "service of a ghost").unwrap();
    assert_eq!(note.text, "there is no user no-such-user; it cannot be looked for");
    let memory = pass.sample.value("service_memory_bytes{service=\"web\"}").unwrap();
    assert!((memory - 362.0 * 4096.0).abs() < 1.0, "{memory}");
    assert_eq!(pass.sample.value("service_cpu_seconds_total{service=\"web\"}"), Some(3.0));
}

/// Defect 6 of the original: an editor that showed the name counted as the process, and long lines were cut.
#[test]
fn services_are_looked_up_by_their_command_lines() {
    let machine = Machine::new(FILES);
    symlink("4242", machine.dir.path().join("proc/myself")).unwrap();
    fs::remove_dir_all(machine.dir.path().join("proc/self")).unwrap();
    symlink("4242", machine.dir.path().join("proc/self")).unwrap();
    let long = format!("/usr/bin/python3\0-u\0/srv/long.py\0{}\0--end\0", "x".repeat(20_000));
    machine.write("proc/10/cmdline", long);
    machine.write("proc/11/cmdline", "vim\0/home/me/test_bot.py\0");
    machine.write("proc/12/cmdline", "");
    machine.write("proc/12/stat", "12 (test_bot.py) Z 1");
    for pid in [1, 10, 11] {
        machine.write(&format!("proc/{pid}/stat"), stat_of(pid));
    }
    machine.write("proc/4242/cmdline", "systembot\0run\0");
    machine.write("proc/nonsense/cmdline", "ghost\0");
    let text_end = format!("long.py {} --end", "x".repeat(20_000));
    let mut collectors = machine.collectors(Options {
        services: vec![
            service("bot", "test_bot.py"),
            service("long", &text_end),
            service("own", "systembot"),
            service("kernel", "kworker"),
            service("ghost", "ghost"),
            service("nothing", " "),
            Service { anywhere: true, ..service("anywhere", "me/test_bot.py") },
            service("init", "init"),
        ],
        ..machine.options()
    });
    let found = collectors.collect().services;
    let pids: Vec<(&str, Option<u32>)> = found.iter().map(|f| (f.service.as_str(), f.seen.pid)).collect();
    assert_eq!(pids, [("long", Some(10)), ("anywhere", Some(11)), ("init", Some(1))]);
    let mut check = |expected: &[&str]| assert_eq!(collectors.collect().missing, expected);
    check(&["bot", "own", "kernel", "ghost"]);
    // A process becomes another program under its number, as `exec` does.
    machine.write("proc/11/cmdline", "python3\0/home/me/test_bot.py\0");
    check(&["own", "kernel", "ghost"]);
    machine.write("proc/10/cmdline", "sh\0");
    check(&["long", "own", "kernel", "ghost"]);
    fs::remove_dir_all(machine.dir.path().join("proc/11")).unwrap();
    check(&["bot", "long", "own", "kernel", "ghost", "anywhere"]);
}

/// Waits until something holds, for 10 s at most.
fn wait_until(mut holds: impl FnMut() -> bool) -> bool {
    let (_keep, never) = mpsc::channel::<()>();
    (0..1000).any(|_| holds() || never.recv_timeout(Duration::from_millis(10)).is_ok())
}

#[test]
fn a_killed_process_is_missing_before_its_parent_has_buried_it() {
    let script = tempfile::Builder::new().suffix(".sh").tempfile().unwrap();
    fs::write(script.path(), "read line\n").unwrap();
    let name = script.path().file_name().unwrap().to_str().unwrap().to_owned();
    let mut child = Command::new("sh").arg(script.path()).stdin(Stdio::piped()).spawn().unwrap();
    let options = Options { services: vec![service("reader", &name)], ..Options::default() };
    let mut collectors = Collectors::new(options, Arc::new(SystemClock));
    assert!(wait_until(|| collectors.collect().missing.is_empty()));
    child.kill().unwrap();
    assert!(wait_until(|| collectors.collect().missing == ["reader"]));
    assert!(Path::new(&format!("/proc/{}", child.id())).exists(), "it is a zombie");
    child.wait().unwrap();
}

/// A line of /proc/PID/stat.
fn stat(pid: u32, name: &str, ticks: u64, start: u64, pages: u64) -> String {
    format!("{pid} ({name}) S 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 {start} 9 {pages} 0")
}

/// Defect 11 of the original: "top 5" listed six, and the first answer said that everything was idle.
#[test]
fn top_processes_are_those_that_used_cpu_in_between() {
    let machine = Machine::new(&[]);
    let hertz = rustix::param::clock_ticks_per_second();
    let write = |pid: u32, stat: String| machine.write(&format!("proc/{pid}/stat"), stat);
    let status = |pid: u32, uid: u32| {
        machine.write(&format!("proc/{pid}/status"), format!("Name:\tx\nUid:\t77\t{uid}\t77\t77\n"));
    };
    write(1, stat(1, "init", 90_000, 1, 10));
    write(2, stat(2, "busy one", 1_000, 5, 20));
    write(3, stat(3, "small", 0, 5, 1));
    write(4, stat(4, "large", 0, 5, 1000));
    write(5, stat(5, "before", 800_000, 5, 3));
    write(6, stat(6, "gone", 0, 5, 3));
    status(2, 0);
    status(7, 4_000_000_001);
    let page = u64::try_from(rustix::param::page_size()).unwrap();
    let roots = machine.options().roots;
    let top = |count| {
        top_processes(&roots, &*machine.clock, count, &mut |span| {
            assert_eq!(span, Duration::from_secs(1));
            machine.clock.advance(2_000, 0);
            write(2, stat(2, "busy one", 1_000 + 3 * hertz, 5, 20));
            write(7, stat(7, "new", hertz, 9, 2));
            // Another process under an old number.
            write(5, stat(5, "after", hertz / 2, 99, 3));
            // A process that has ended since it was listed.
            fs::create_dir_all(machine.dir.path().join("proc/8")).unwrap();
            let gone = machine.dir.path().join("proc/6");
            if gone.exists() {
                fs::remove_dir_all(gone).unwrap();
            }
        })
    };
    let process = |pid, name: &str, user: &str, cpu_percent, pages| Process {
        pid,
        name: name.to_owned(),
        user: user.to_owned(),
        cpu_percent,
        memory_bytes: pages * page,
    };
    let expected = [
        process(2, "busy one", "root", 150.0, 20),
        process(7, "new", "4000000001", 50.0, 2),
        process(5, "after", "?", 25.0, 3),
        process(4, "large", "?", 0.0, 1000),
        process(1, "init", "?", 0.0, 10),
        process(3, "small", "?", 0.0, 1),
    ];
    let all = top(5);
    assert_eq!(all, expected[..5], "exactly as many as asked for");
    assert_eq!(top(0), []);
}

/// What a command prints, by lines of words.
fn words(command: &str, arguments: &[&str]) -> Vec<Vec<String>> {
    let output = Command::new(command).args(arguments).env("LC_ALL", "C").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split_ascii_whitespace().map(str::to_owned).collect()).collect()
}

#[test]
fn this_machine_is_told_as_its_own_tools_tell_it() {
    let mut collectors = Collectors::new(Options::default(), Arc::new(SystemClock));
    collectors.collect();
    let mut second = None;
    assert!(wait_until(|| {
        let pass = collectors.collect();
        let has_cpu = pass.sample.value("cpu_idle_percent").is_some();
        second = Some(pass);
        has_cpu
    }));
    let pass = second.unwrap();
    let near = |id: &str, expected: f64, tolerance: f64| {
        let value = pass.sample.value(id).unwrap_or_else(|| panic!("{id} is missing: {:?}", readings(&pass)));
        assert!((value - expected).abs() <= tolerance, "{id}: {value}, not {expected}");
    };
    let number = |text: &str| text.trim_end_matches('%').parse::<f64>().unwrap();

    let df = words("df", &["-P", "-B1", "/"]).pop().unwrap();
    let [_, total, used, available, percent, _] = df.as_slice() else { panic!("{df:?}") };
    near("disk_total_bytes{mount=\"/\"}", number(total), 0.0);
    near("disk_used_bytes{mount=\"/\"}", number(used), 3e8);
    near("disk_available_bytes{mount=\"/\"}", number(available), 3e8);
    near("disk_used_percent{mount=\"/\"}", number(percent), 1.5);

    let free = words("free", &["-b"]);
    near("memory_total_bytes", number(&free[1][1]), 0.0);
    near("memory_available_bytes", number(&free[1][6]), 5e8);
    near("memory_used_bytes", number(&free[1][1]) - number(&free[1][6]), 5e8);
    near("swap_total_bytes", number(&free[2][1]), 0.0);
    near("swap_used_bytes", number(&free[2][2]), 5e8);

    let read = |path: &str| fs::read_to_string(path).unwrap();
    near("uptime_seconds", number(read("/proc/uptime").split(' ').next().unwrap()), 30.0);
    near("load1", number(read("/proc/loadavg").split(' ').next().unwrap()), 3.0);
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let is_pid = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let processes = processes.filter(|entry| entry.file_name().to_str().is_some_and(is_pid)).count();
    near("processes_total", systembot_model::number::count(processes), 60.0);

    let cpu: f64 = ["idle", "user", "system", "iowait", "steal"]
        .map(|share| pass.sample.value(&format!("cpu_{share}_percent")).unwrap())
        .iter()
        .sum();
    // Five shares, each rounded.
    assert!((cpu - 100.0).abs() < 0.03, "{cpu}");
    assert!(pass.elapsed.is_some());

    let uname = words("uname", &["-nrm"]).remove(0);
    assert_eq!([&pass.host.name, &pass.host.kernel, &pass.host.architecture].map(String::as_str), *uname);
    assert!(!pass.host.os.is_empty() && !pass.host.build.is_empty());
    let online: u32 = words("getconf", &["_NPROCESSORS_ONLN"])[0][0].parse().unwrap();
    assert_eq!(pass.host.cpus, online);
    if let Some(address) = pass.host.ipv4 {
        let interface = pass.host.interface.as_deref().unwrap();
        assert_ne!(interface, "lo");
        assert!(!address.is_loopback());
    }

    let ids: BTreeSet<&str> = pass.sample.readings.iter().map(|reading| reading.series.id()).collect();
    assert_eq!(ids.len(), pass.sample.readings.len(), "each series once");
    for reading in &pass.sample.readings {
        let metric = reading.series.known();
        let metric = metric.unwrap_or_else(|| panic!("{} is not in the table of metrics", reading.series));
        assert!(decimals(reading.value) <= metric.decimals.into(), "{reading:?}");
    }
}

/// Digits after the point that it takes to write a value so that it is read as the same.
fn decimals(value: f64) -> usize {
    value.to_string().split_once('.').map_or(0, |(_, digits)| digits.len())
}

#[test]
fn top_processes_of_this_machine_are_real() {
    let (_keep, never) = mpsc::channel::<()>();
    let mut wait = |_| assert!(never.recv_timeout(Duration::from_millis(50)).is_err());
    let top = top_processes(&Roots::default(), &SystemClock, 5, &mut wait);
    assert!(!top.is_empty() && top.len() <= 5);
    assert!(top.is_sorted_by(|a, b| a.cpu_percent >= b.cpu_percent), "{top:?}");
    let own = top_processes(&Roots::default(), &SystemClock, usize::MAX, &mut wait);
    let own = own.into_iter().find(|process| process.pid == std::process::id()).unwrap();
    let comm = fs::read_to_string("/proc/self/comm").unwrap();
    assert_eq!(own.name, comm.trim_end());
    assert!(own.memory_bytes > 100_000, "{own:?}");
    assert_eq!(own.user, words("id", &["-un"])[0][0]);
}

/// Bytes that look somewhat like what the kernel writes: pieces of real files, shuffled and broken.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => (0..FILES.len(), any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(file, a, b)| {
            let content = FILES[file].1.as_bytes();
            let (a, b) = (a.index(content.len() + 1), b.index(content.len() + 1));
            content[a.min(b)..a.max(b)].to_vec()
        }),
        2 => prop::sample::select(vec![
            "18446744073709551615", "18446744073709551616", "-1", "1e999", "nan", "inf", "\n", " ", ":", "- ", "(",
            ")", "\\", "\\400", "\0", "cpu", "cpu4294967296 ", "some avg10=", "avg10=",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_content_of_any_file_breaks_a_pass(
        contents in prop::collection::vec((0..FILES.len(), bytes(), bytes()), 1..6),
        usage in any::<[u64; 6]>(),
    ) {
        let machine = Machine::new(FILES);
        let [block_bytes, blocks, free, available, inodes, inodes_free] = usage;
        let usage = Usage { block_bytes, blocks, free, available, inodes, inodes_free };
        let mut collectors = machine.collectors(Options {
            statvfs: Arc::new(move |_: &Path| Ok(usage)),
            services: vec![service("a", "a")],
            ..machine.options()
        });
        for second in [false, true] {
            for (file, first_content, second_content) in &contents {
                machine.write(FILES[*file].0, if second { second_content } else { first_content });
            }
            machine.clock.advance(60_000, 0);
            let pass = collectors.collect();
            let mut seen = BTreeSet::new();
            for reading in &pass.sample.readings {
                prop_assert!(reading.value.is_finite(), "{reading:?}");
                prop_assert!(seen.insert(reading.series.clone()), "{reading:?} twice");
                let metric = reading.series.known().unwrap();
                prop_assert!(decimals(reading.value) <= metric.decimals.into(), "{reading:?}");
                if metric.unit == systembot_model::metric::Unit::Percent {
                    prop_assert!((0.0..=100.0).contains(&reading.value), "{reading:?}");
                }
            }
        }
    }
}
