//! The machine: its clock, its sensors, its process table, its mounts.

use std::{fs, io::ErrorKind, path::Path, sync::Arc, time::Duration};

use systembot_cli::Finding;
use systembot_config::{Env, Settings};
use systembot_model::{Rules, Timestamp, render::span, rules::Service, sample::Pass};

use super::{data::Known, program};
use crate::{
    clock::{Clock, SystemClock},
    collect::{Collectors, Options, Roots, STATVFS_DEADLINE},
};

/// 2026-11-01: no clock of a machine that runs this program can rightly show an earlier moment.
const EARLIEST: Timestamp = Timestamp::from_ms(1_793_491_200_000);
/// So far the newest sample may lie ahead of the clock: it is stepped by a second or two now and then.
const AHEAD: Duration = Duration::from_secs(5);
/// There once the clock was set from the network, systemd-timesyncd.service(8).
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";
/// What stands for the bot that this one replaces, among the services that are looked for; no owner's service has
/// an empty name.
const ORIGINAL: &str = "";

/// One reading of the machine.
pub(super) struct Reading {
    pass: Pass,
}

impl Reading {
    /// Reads everything once, as the daemon does in each pass.
    pub(super) fn take(settings: &Settings, roots: Roots) -> Self {
        let original = Service { matches: "system_bot.py".to_owned(), ..Service::default() };
        let mut services = settings.services.clone();
        services.push(Service { name: ORIGINAL.to_owned(), ..original });
        let options = Options {
            roots,
            include_mounts: settings.include_mounts.clone(),
            services,
            statvfs_deadline: STATVFS_DEADLINE,
            ..Options::default()
        };
        Self { pass: Collectors::new(options, Arc::new(SystemClock)).collect() }
    }

    /// Whether a service runs; `None` where nothing is known of it just now.
    pub(super) fn runs(&self, service: &str) -> Option<bool> {
        if self.pass.services.iter().any(|found| found.service == service) {
            return Some(true);
        }
        self.pass.missing.iter().any(|missing| missing == service).then_some(false)
    }

    /// Whether the bot that this one replaces runs.
    pub(super) fn has_original(&self) -> bool {
        self.runs(ORIGINAL) == Some(true)
    }
}

/// Whether the wall clock can be right, and is kept right.
pub(super) fn clock(known: &Known, clock: &dyn Clock, env: Env<'_>) -> Finding {
    let is_synchronized = Path::new(SYNCHRONIZED).exists()
        || program::said("timedatectl", &["show"], env)
            .is_some_and(|said| program::property(&said, "NTPSynchronized") == Some("yes"))
        || program::said("chronyc", &["-n", "tracking"], env).is_some_and(|said| {
            said.lines().any(|line| line.starts_with("Leap status") && line.ends_with("Normal"))
        });
    judge_clock(clock.now(), known.newest(), is_synchronized)
}

fn judge_clock(now: Timestamp, newest: Option<Timestamp>, is_synchronized: bool) -> Finding {
    const CHECK: &str = "clock";
    let set = || "sudo timedatectl set-ntp true (without systemd: sudo apt install chrony)".to_owned();
    if now < EARLIEST {
        let found = format!("it shows {}, before this program was made", now.rfc3339());
        return Finding::failed(CHECK, found, set());
    }
    let ahead = newest.map_or(Duration::ZERO, |newest| newest.since(now));
    if ahead > AHEAD {
        let found = format!(
            "it shows {}, {} before the newest sample in the log: it was set back",
            now.rfc3339(),
            span(ahead)
        );
        return Finding::failed(CHECK, found, set());
    }
    if !is_synchronized {
        let found = format!("it shows {}; nothing says that it is kept right", now.rfc3339());
        return Finding::warning(CHECK, found, set());
    }
    Finding::ok(CHECK, "it is kept right over the network")
}

/// Whether temperatures can be read.
pub(super) fn sensors(reading: &Reading, proc: &Path) -> Finding {
    const CHECK: &str = "sensors";
    let readings = &reading.pass.sample.readings;
    let count = readings.iter().filter(|reading| reading.series.metric() == "temperature_celsius").count();
    if count > 0 {
        return Finding::ok(CHECK, format!("temperatures: {count}"));
    }
    let cpus = fs::read_to_string(proc.join("cpuinfo")).unwrap_or_default();
    let is_guest = cpus
        .lines()
        .any(|line| line.starts_with("flags") && line.split_whitespace().any(|flag| flag == "hypervisor"));
    if is_guest {
        return Finding::ok(CHECK, "none: this is a virtual machine, which has none");
    }
    let mend = "sudo apt install lm-sensors && sudo sensors-detect --auto".to_owned();
    Finding::warning(CHECK, "no temperature can be read: a driver may be missing", mend)
}

/// Whether this user sees everybody's processes.
pub(super) fn processes(proc: &Path) -> Finding {
    const CHECK: &str = "processes";
    // The first process is root's, and always there.
    let hidden = match fs::read(proc.join("1/cmdline")) {
        Ok(_) => return Finding::ok(CHECK, "those of every user are seen"),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            "only your own are seen: /proc is mounted with hidepid".to_owned()
        }
        Err(error) => format!("{}: {error}", proc.display()),
    };
    let mend = "sudo mount -o remount,hidepid=0 /proc (and in /etc/fstab)".to_owned();
    Finding::warning(CHECK, format!("{hidden}; watched services of others seem to be missing"), mend)
}

/// Whether every mount answers that the owner has not set aside.
pub(super) fn mounts(reading: &Reading, rules: &Rules) -> Finding {
    const CHECK: &str = "mounts";
    let notes = reading.pass.notes.iter().filter_map(|note| {
        let path = note.subject.strip_prefix("mount ")?;
        (!rules.is_ignored(path)).then_some((path, note.text.as_str()))
    });
    // What is closed to this user answers: a directory on the way to it is another's, or it is another's FUSE mount.
    let (hung, closed): (Vec<_>, Vec<_>) = notes.partition(|(_, text)| !text.contains("Permission denied"));
    let names = |mounts: &[(&str, &str)]| mounts.iter().map(|(path, _)| *path).collect::<Vec<_>>().join(", ");
    let silent = |path: &str| format!("to be silent about it: [ignore] mounts = [\"{path}\"]");
    if let Some((first, _)) = hung.first() {
        let mend = format!("mend its server, or: sudo umount -l {first}; {}", silent(first));
        return Finding::failed(CHECK, format!("no answer from {}", names(&hung)), mend);
    }
    if let Some((first, text)) = closed.first() {
        return Finding::warning(CHECK, format!("{} {text}", names(&closed)), silent(first));
    }
    let readings = &reading.pass.sample.readings;
    let good = readings.iter().filter(|reading| reading.series.metric() == "disk_used_percent").count();
    Finding::ok(CHECK, format!("all answer: {good}"))
}

#[cfg(test)]
mod tests {
    use systembot_cli::Verdict;
    use systembot_model::sample::Note;

    use super::*;

    #[test]
    fn a_clock_before_the_program_or_before_its_log_is_wrong() {
        let check = |now_s: i64, newest_s: Option<i64>, is_synchronized, expected| {
            let at = |s: i64| EARLIEST.plus(Duration::from_secs(1_000)).minus_s(1_000 - s);
            let finding = judge_clock(at(now_s), newest_s.map(at), is_synchronized);
            assert_eq!(finding.verdict, expected, "{finding:?}");
        };
        check(-1, None, true, Verdict::Failed);
        check(0, None, true, Verdict::Ok);
        check(0, None, false, Verdict::Warning);
        check(100, Some(105), true, Verdict::Ok);
        check(100, Some(106), true, Verdict::Failed);
    }

    trait MinusSeconds {
        fn minus_s(self, seconds: i64) -> Self;
    }

    impl MinusSeconds for Timestamp {
        fn minus_s(self, seconds: i64) -> Self {
            Self::from_ms(self.as_ms() - seconds * 1000)
        }
    }

    #[test]
    fn a_process_table_that_hides_others_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(processes(dir.path()).verdict, Verdict::Warning);
        fs::create_dir(dir.path().join("1")).unwrap();
        fs::write(dir.path().join("1/cmdline"), "init").unwrap();
        assert_eq!(processes(dir.path()).verdict, Verdict::Ok);
    }

    /// In a process table of its own: others that read the machine's meanwhile would find it too.
    #[test]
    fn the_original_is_found_among_the_processes() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots { proc: dir.path().to_owned(), sys: dir.path().to_owned() };
        let has_original = || Reading::take(&Settings::defaults("x"), roots.clone()).has_original();
        assert!(!has_original(), "nothing is known of a table that is empty");
        for (pid, line) in [("1", "init\0"), ("7", "vi\0/opt/system_bot.py\0")] {
            fs::create_dir(dir.path().join(pid)).unwrap();
            fs::write(dir.path().join(pid).join("cmdline"), line).unwrap();
            let stat =
                format!("{pid} (x) S 1 9 9 0 -1 41 98 0 0 0 250 50 0 0 20 0 1 0 156228 3133440 362 18\n");
            fs::write(dir.path().join(pid).join("stat"), stat).unwrap();
        }
        assert!(!has_original());
        fs::write(dir.path().join("7/cmdline"), "python3\0/opt/system_bot.py\0--loglevel\0").unwrap();
        assert!(has_original());
    }

    #[test]
    fn a_mount_that_does_not_answer_is_named() {
        const GONE: &str = "does not answer; left out until it does";
        const CLOSED: &str = "cannot be read (Permission denied (os error 13)); left out until it can";
        let mut settings = Settings::defaults("x");
        settings.ignore_mounts = vec!["/mnt/old".to_owned()];
        let check = |notes: &[(&str, &str)], expected, found: &str| {
            let note =
                |(subject, text): &(&str, &str)| Note { subject: (*subject).into(), text: (*text).into() };
            let pass = Pass { notes: notes.iter().map(note).collect(), ..Pass::default() };
            let finding = mounts(&Reading { pass }, &settings.rules());
            assert_eq!((finding.verdict, finding.found.as_str()), (expected, found));
        };
        check(&[], Verdict::Ok, "all answer: 0");
        check(&[("/proc/diskstats", GONE), ("mount /mnt/old/a", GONE)], Verdict::Ok, "all answer: 0");
        let (nas, b, closed) = (("mount /mnt/nas", GONE), ("mount /mnt/b", GONE), ("mount /mnt/c", CLOSED));
        let dead =
            ("mount /mnt/d", "cannot be read (Transport endpoint is not connected); left out until it can");
        check(&[dead], Verdict::Failed, "no answer from /mnt/d");
        check(&[nas, closed, b], Verdict::Failed, "no answer from /mnt/nas, /mnt/b");
        check(&[closed], Verdict::Warning, &format!("/mnt/c {CLOSED}"));
    }

    #[test]
    fn without_sensors_a_guest_is_told_from_a_machine() {
        let dir = tempfile::tempdir().unwrap();
        let reading = Reading { pass: Pass::default() };
        let check = |flags: &str, expected| {
            fs::write(dir.path().join("cpuinfo"), format!("model name\t: x\nflags\t\t: fpu {flags}\n"))
                .unwrap();
            assert_eq!(sensors(&reading, dir.path()).verdict, expected, "{flags}");
        };
        check("hypervisor lahf_lm", Verdict::Ok);
        check("lahf_lm", Verdict::Warning);
    }
}
