//! Watched services on the real binary: real little programs that are killed, and start well, badly, late or never.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    path::PathBuf,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use systembot::clock::{Clock, SystemClock};

use crate::daemon::{Daemon, Home, until};

/// How often each service is killed; `SYSTEMBOT_SERVICE_KILLS` asks for more.
fn kills() -> usize {
    std::env::var("SYSTEMBOT_SERVICE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

/// A directory of programs, with everything that they left running ended at its end.
struct Programs {
    dir: tempfile::TempDir,
}

impl Programs {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// Writes a shell script; its path.
    fn script(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Processes whose command line names a file of this directory as its script. What a shell has forked and not
    /// yet made another program looks like itself, and is none.
    fn running(&self, name: &str) -> Vec<u32> {
        let path = self.path(name).to_str().unwrap().to_owned();
        let is_it = |(_, words): &(u32, Vec<String>)| words.get(1) == Some(&path);
        let pids: Vec<u32> = processes().into_iter().filter(is_it).map(|(pid, _)| pid).collect();
        pids.iter()
            .copied()
            .filter(|pid| parent(*pid).is_some_and(|parent| !pids.contains(&parent)))
            .collect()
    }

    /// Its only process.
    fn pid(&self, name: &str) -> Option<u32> {
        let running = self.running(name);
        assert!(running.len() < 2, "{} copies of {name} run at once", running.len());
        running.first().copied()
    }

    fn kill(&self, name: &str) {
        let pid = self.pid(name).unwrap_or_else(|| panic!("{name} does not run"));
        kill(pid);
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let dir = self.dir.path().to_str().unwrap().to_owned();
        for (pid, words) in processes() {
            if words.iter().any(|word| word.contains(&dir)) && pid != std::process::id() {
                kill(pid);
            }
        }
    }
}

fn kill(pid: u32) {
    // It may have ended by itself.
    let _ = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL);
}

/// The parent of a process that has not ended.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut columns = stat.rsplit_once(')')?.1.split_whitespace();
    let state = columns.next()?;
    columns.next()?.parse().ok().filter(|_| state != "Z")
}

/// All processes with their command lines.
fn processes() -> Vec<(u32, Vec<String>)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok().filter(|line| !line.is_empty())?;
        Some((pid, line.trim_end_matches('\0').split('\0').map(str::to_owned).collect()))
    })
    .collect()
}

/// Settings that make a test quick: a pass each second, starts one second apart, no limit.
const QUICK: &str = "backoff = \"1s\"\nbackoff_max = \"1s\"\nstart_limit = 0\n";
const HEAD: &str = "name = \"leela\"\nsample_interval = \"1s\"\n";
/// A program that runs until it is ended.
const STAYS: &str = "while :; do sleep 0.1; done\n";

fn events(home: &Home, kind: &str, service: &str) -> Vec<Value> {
    let rows = home.rows(&["events", "--kind", kind]);
    rows.into_iter().filter(|row| row["service"] == service).collect()
}

fn count(home: &Home, kind: &str, service: &str) -> usize {
    events(home, kind, service).len()
}

fn state(home: &Home, service: &str) -> String {
    let row = row(home, service);
    row["state"].as_str().unwrap().to_owned()
}

fn row(home: &Home, service: &str) -> Value {
    let rows = home.rows(&["services"]);
    rows.into_iter().find(|row| row["service"] == service).unwrap_or_else(|| panic!("no {service}"))
}

fn service(name: &str, keys: &str) -> String {
    format!("[[service]]\nname = \"{name}\"\n{keys}\n{QUICK}")
}

/// Waits for a condition for as long as many starts take.
fn eventually(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    let (clock, began) = (SystemClock, SystemClock.steady());
    while !is_so() {
        assert!(clock.steady().saturating_sub(began) < limit, "waited {limit:?} for {what}");
        clock.wait(Duration::from_millis(20));
    }
}

/// Every kind of service that comes up, in one daemon: killed again and again, and never two copies.
#[test]
fn services_of_each_kind_are_started_again() {
    let programs = Programs::new();
    let fore = programs.script("fore.sh", STAYS);
    let forked = programs.script("forked.sh", STAYS);
    let launcher = programs.script("launcher", &format!("setsid sh {forked} >/dev/null 2>&1 &\n"));
    let pidfile = programs.path("pid").to_str().unwrap().to_owned();
    let with_pid = programs.script("with_pid.sh", &format!("echo $$ > {pidfile}\n{STAYS}"));
    let late = programs.script("late.sh", STAYS);
    let noisy =
        programs.script("noisy.sh", "while :; do echo 0123456789012345678901234567890123456789; done\n");
    let shell = programs.script("shell.sh", STAYS);
    // Every second try of these two fails, or hangs.
    let second = |name: &str, otherwise: &str| {
        let count = programs.path(&format!("{name}.count")).display().to_string();
        format!("echo x >> {count}; [ $(($(wc -l < {count}) % 2)) = 0 ] || {{ {otherwise}; }}\n")
    };
    let (flaky, sticky) = (programs.script("flaky.sh", STAYS), programs.script("sticky.sh", STAYS));
    let fails =
        programs.script("fails", &format!("{}exec sh {flaky}\n", second("flaky", "echo no port; exit 3")));
    let hangs = programs.script("hangs", &format!("{}exec sh {sticky}\n", second("sticky", "sleep 1000")));
    let run = |path: &str| format!("match = \"{path}\"\nrestart = \"sh {path}\"");
    let cases = [
        ("fore", "fore.sh", run(&fore)),
        ("forked", "forked.sh", format!("match = \"{forked}\"\nrestart = \"sh {launcher}\"")),
        ("pidfile", "with_pid.sh", format!("pidfile = \"{pidfile}\"\nrestart = \"sh {with_pid}\"")),
        ("late", "late.sh", format!("match = \"{late}\"\nsh = true\nrestart = \"sleep 2; exec sh {late}\"")),
        ("noisy", "noisy.sh", run(&noisy)),
        (
            "shell",
            "shell.sh",
            format!("match = \"{shell}\"\nsh = true\nrestart = \"X=1; exec sh '{shell}' & exit 0\""),
        ),
        ("flaky", "flaky.sh", format!("match = \"{flaky}\"\nrestart = \"sh {fails}\"")),
        ("sticky", "sticky.sh", format!("match = \"{sticky}\"\nrestart = \"sh {hangs}\"\ngrace = \"2s\"")),
    ];
    // A start that the daemon's end cuts off holds the next one back for as long.
    let grace = |keys: &str| if keys.contains("grace") { "" } else { "\ngrace = \"5s\"" };
    let toml: String =
        cases.iter().map(|(name, _, keys)| service(name, &format!("{keys}{}", grace(keys)))).collect();
    let home = Home::with_toml(&format!("{HEAD}{toml}"));
    let mut daemon = home.start();
    let kills = kills();
    for round in 0..=kills {
        for (name, script, _) in &cases {
            eventually(&format!("{name} to run, round {round}"), Duration::from_secs(90), || {
                programs.pid(script).is_some()
                    && count(&home, "service_recovered", name) == round + 1
                    && row(&home, name)["pid"] == programs.pid(script).unwrap()
            });
        }
        if round < kills {
            // Half way a daemon that is killed in the middle of it all changes nothing.
            cases.iter().for_each(|(_, script, _)| programs.kill(script));
            if round % 2 == 1 {
                SystemClock.wait(Duration::from_millis(u64::try_from(round).unwrap() % 7 * 400));
                daemon.kill();
                daemon = home.start();
            }
        }
    }
    for (name, _, _) in &cases {
        let finished = events(&home, "restart_finished", name);
        let bad = finished.iter().filter(|row| row["outcome"] == "failed").count();
        assert_eq!(bad > 0, matches!(*name, "flaky" | "sticky"), "{name}: {finished:#?}");
        let good =
            finished.iter().filter(|row| row["outcome"] == "running" || row["outcome"] == "already_running");
        assert!(good.count() <= kills + 1, "{name}: {finished:#?}");
        assert_eq!(count(&home, "service_missing", name), kills + 1, "{name}");
        assert_eq!(count(&home, "restart_given_up", name), 0);
    }
    let noise = fs::metadata(home.data_dir().join("services/noisy.out")).unwrap();
    until("the noise to be cut", || {
        fs::metadata(home.data_dir().join("services/noisy.out")).unwrap().len() <= 64 << 10
    });
    assert!(noise.len() < 64 << 20, "{}", noise.len());
    assert!(fs::metadata(home.data_dir().join("services")).unwrap().permissions().mode_is(0o700));
    assert_eq!(daemon.stop(), Some(0));
    // The daemon's own end is nobody else's.
    cases.iter().for_each(|(name, script, _)| {
        assert!(programs.pid(script).is_some(), "{name} ended with the daemon")
    });
    assert_eq!(home.ask(&["verify"]).code, Some(0));
}

trait Mode {
    fn mode_is(&self, mode: u32) -> bool;
}

impl Mode for fs::Permissions {
    fn mode_is(&self, mode: u32) -> bool {
        use std::os::unix::fs::PermissionsExt;
        self.mode() & 0o777 == mode
    }
}

/// Defect 5 of the original: it ran Python in place of the command's first word, cut the command at its second comma,
/// and reported success whatever happened.
#[test]
fn the_legacy_form_starts_the_command_as_it_is_written() {
    let programs = Programs::new();
    let bot = programs.script("test_bot.py", STAYS);
    let home = Home::with_file(
        "system_bot.conf",
        &format!(
            "[DEFAULT]\npolling_time = 4\n[processes to monitor]\nprocess1 = {bot} --list,sh {bot} --list a,b\n\
             process2 = no_such_bot,/no/such/program --x\n"
        ),
    );
    let _daemon = home.start();
    until("the bot", || programs.pid("test_bot.py").is_some());
    let pid = programs.pid("test_bot.py").unwrap();
    let words = processes().into_iter().find(|(other, _)| *other == pid).unwrap().1;
    assert_eq!(words, ["sh", bot.as_str(), "--list", "a,b"]);
    until("its success", || count(&home, "service_recovered", "test_bot") == 1);
    until("the other's failure", || count(&home, "restart_finished", "no_such_bot") > 0);
    let failed = &events(&home, "restart_finished", "no_such_bot")[0];
    assert_eq!(failed["outcome"], "failed");
    assert!(
        failed["reason"].as_str().unwrap().contains("/no/such/program cannot be started: No such file"),
        "{failed}"
    );
}

#[test]
fn one_that_never_comes_up_is_given_up_told_and_left_alone_until_asked_for() {
    let programs = Programs::new();
    let marker = programs.path("tries");
    let fails =
        programs.script("fails.sh", &format!("echo try >> {}; echo no port >&2; exit 3\n", marker.display()));
    let home = Home::with_toml(&format!(
        "{HEAD}[[service]]\nname = \"bad\"\nmatch = \"bad_one\"\nrestart = \"sh {fails}\"\nbackoff = \"1s\"\nstart_limit = 3\n"
    ));
    let daemon = home.start();
    let tries = || fs::read_to_string(&marker).unwrap_or_default().lines().count();
    until("it to be given up", || count(&home, "restart_given_up", "bad") == 1);
    assert_eq!(tries(), 3);
    let finished = events(&home, "restart_finished", "bad");
    assert_eq!(finished[0]["reason"], "it ended with exit code 3");
    assert_eq!(finished[0]["output"], "no port\n");
    // The waits between starts double: 1 s, 2 s.
    let times: Vec<jiff::Timestamp> = events(&home, "restart_ordered", "bad")
        .iter()
        .map(|row| row["time"].as_str().unwrap().parse().unwrap())
        .collect();
    let waits: Vec<i128> = times.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_millis()).collect();
    assert!(waits[0] >= 1000 && waits[1] >= 2000, "{waits:?}");
    until("it to be told", || {
        daemon.log().contains(
            "service bad is down and given up: 3 starts in 10 min, the last: it ended with exit code 3",
        )
    });
    assert_eq!(state(&home, "bad"), "given_up");
    let why = home.ask(&["why", "1"]).stdout;
    assert!(why.contains("now") && why.contains("given up: 3 starts in 10 min"), "{why}");
    // A new life of the daemon knows.
    daemon.kill();
    let daemon = home.start();
    until("passes", || home.rows(&["history", "load1"]).len() > 5);
    assert_eq!((tries(), state(&home, "bad")), (3, "given_up".to_owned()));
    let said = home.ask(&["restart", "BAD"]);
    let told = "Starting bad.\nbad did not come up: it ended with exit code 3.\nIts last words:\nno port\n";
    assert_eq!((said.stdout.as_str(), said.code), (told, Some(1)));
    assert_eq!(tries(), 4);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn one_that_dies_at_once_has_not_come_up_and_one_that_will_not_end_is_killed() {
    let programs = Programs::new();
    let brief = programs.script("brief.sh", "sleep 0.4\nexit 3\n");
    let deaf = programs.script("deaf.sh", &format!("trap '' TERM\n{STAYS}"));
    let keys = "start_limit = 1\ngrace = \"1s\"";
    let brief_keys = format!("match = \"{brief}\"\nrestart = \"sh {brief}\"\n{keys}");
    let deaf_keys = format!("match = \"no_such_deaf\"\nrestart = \"sh {deaf}\"\n{keys}");
    let table = |name: &str, keys: &str| format!("[[service]]\nname = \"{name}\"\n{keys}\n");
    let home =
        Home::with_toml(&format!("{HEAD}{}{}", table("brief", &brief_keys), table("deaf", &deaf_keys)));
    let daemon = home.start();
    until("one to fail", || count(&home, "restart_finished", "brief") == 1);
    assert_eq!(events(&home, "restart_finished", "brief")[0]["reason"], "it ended with exit code 3");
    until("the other to fail", || count(&home, "restart_finished", "deaf") == 1);
    assert_eq!(programs.pid("deaf.sh"), None);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn one_that_hangs_is_ended_with_all_that_it_started() {
    let programs = Programs::new();
    let hangs = programs.script("hangs.sh", "sleep 1000 & sleep 1000\n");
    let home = Home::with_toml(&format!(
        "{HEAD}{}grace = \"1s\"\n",
        service("slow", &format!("match = \"never_there\"\nrestart = \"sh {hangs}\""))
    ));
    let daemon = home.start();
    until("two failures", || count(&home, "restart_finished", "slow") >= 2);
    let finished = &events(&home, "restart_finished", "slow")[0];
    let reason = finished["reason"].as_str().unwrap();
    assert!(reason.starts_with("it runs as pid ") && reason.contains("never_there"), "{reason}");
    assert!(programs.running("hangs.sh").len() <= 1);
    let sleepers =
        processes().into_iter().filter(|(_, words)| *words == ["sleep", "1000"]).filter(|(pid, _)| {
            fs::read_to_string(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| environ.contains(home.data_dir().to_str().unwrap()))
        });
    assert!(sleepers.count() <= 2);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_a_failed_start_has_left_of_another_service_is_left_alone() {
    let programs = Programs::new();
    let (good, pid) = (programs.script("good.sh", STAYS), programs.path("good.pid"));
    let other = programs.script("other.sh", STAYS);
    let text = format!("sh {good} & echo $! > {}\nexec sh {other}\n", pid.display());
    let bad = programs.script("bad.sh", &text);
    let bad = format!("match = \"no_such_bad\"\nrestart = \"sh {bad}\"\ngrace = \"2s\"");
    let good = format!("[[service]]\nname = \"good\"\npidfile = \"{}\"\n", pid.display());
    let home = Home::with_toml(&format!("{HEAD}{}{good}", service("bad", &bad)));
    let daemon = home.start();
    until("the first to fail", || count(&home, "restart_finished", "bad") == 1);
    let reason = &events(&home, "restart_finished", "bad")[0]["reason"];
    assert!(reason.as_str().unwrap().ends_with("it was ended"), "{reason}");
    let pid: u32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    assert!(processes().iter().any(|(running, _)| *running == pid), "it was ended too");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn after_a_crash_in_the_middle_of_a_start_it_looks_before_it_leaps() {
    let programs = Programs::new();
    let (late, bare) = (programs.script("late.sh", STAYS), programs.script("bare.sh", STAYS));
    // The second leaves nothing by which it could be told whose it is.
    let home = Home::with_toml(&format!(
        "{HEAD}{}{}",
        service("late", &format!("match = \"{late}\"\nsh = true\nrestart = \"sleep 4; exec sh {late}\"")),
        service("bare", &format!("match = \"{bare}\"\nrestart = \"env -i sh -c 'sleep 4; exec sh {bare}'\""))
    ));
    let daemon = home.start();
    let names = ["late", "bare"];
    until("the orders", || names.iter().all(|name| count(&home, "restart_ordered", name) == 1));
    let is_shell = |words: &[String]| words.iter().any(|word| word.starts_with("sleep 4; "));
    until("their shells", || processes().iter().filter(|(_, words)| is_shell(words)).count() >= 2);
    daemon.kill();
    let daemon = home.start();
    for (name, script) in [("late", "late.sh"), ("bare", "bare.sh")] {
        until("the service", || programs.pid(script).is_some());
        until("its recovery", || count(&home, "service_recovered", name) == 1);
        let outcomes: Vec<String> = events(&home, "restart_finished", name)
            .iter()
            .map(|row| row["outcome"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!((name, outcomes), (name, vec!["unknown".to_owned()]));
        assert_eq!(programs.running(script).len(), 1);
    }
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn one_waits_for_another_and_starts_behind_it() {
    let programs = Programs::new();
    let (db, web) = (programs.script("db.sh", STAYS), programs.script("web.sh", STAYS));
    let home = Home::with_toml(&format!(
        "{HEAD}{}after = [\"db\"]\n{}",
        service("web", &format!("match = \"{web}\"\nrestart = \"sh {web}\"")),
        service("db", &format!("match = \"{db}\"\nsh = true\nrestart = \"sleep 1; exec sh {db}\""))
    ));
    let daemon = home.start();
    until("both", || count(&home, "service_recovered", "web") == 1);
    let seq = |kind, name| events(&home, kind, name)[0]["seq"].as_u64().unwrap();
    assert!(seq("restart_ordered", "web") > seq("restart_finished", "db"));
    until("what it waits for to be told", || {
        daemon.log().contains("service web is not running; it is started once db runs")
    });
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn one_under_repair_is_left_alone_until_it_is_watched_again() {
    let programs = Programs::new();
    let fore = programs.script("fore.sh", STAYS);
    let home = Home::with_toml(&format!(
        "{HEAD}{}",
        service("web", &format!("match = \"{fore}\"\nrestart = \"sh {fore}\""))
    ));
    let daemon = home.start();
    until("it to run", || state(&home, "web") == "running");
    let said = home.ask(&["ask", "service web stop watching"]).stdout;
    assert!(said.starts_with("web is left alone"), "{said}");
    programs.kill("fore.sh");
    let passes = home.rows(&["history", "load1"]).len();
    until("passes", || home.rows(&["history", "load1"]).len() > passes + 3);
    assert_eq!((state(&home, "web"), programs.pid("fore.sh")), ("not_watched".to_owned(), None));
    assert_eq!(count(&home, "service_missing", "web"), 1);
    // A new life of the daemon remembers.
    assert_eq!(daemon.stop(), Some(0));
    let daemon = home.start();
    assert_eq!(state(&home, "web"), "not_watched");
    assert_eq!(home.ask(&["ask", "Watch WEB"]).stdout, "web is watched again.\n");
    until("it to run again", || state(&home, "web") == "running");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_restart_by_the_owner_ends_what_runs_first() {
    let programs = Programs::new();
    let fore = programs.script("fore.sh", STAYS);
    let home = Home::with_toml(&format!(
        "{HEAD}{}[[service]]\nname = \"told\"\nmatch = \"no_such_one\"\n",
        service("web", &format!("match = \"{fore}\"\nrestart = \"sh {fore}\""))
    ));
    let daemon = home.start();
    until("it to run", || state(&home, "web") == "running");
    let before = programs.pid("fore.sh").unwrap();
    let said = home.ask(&["restart", "web"]);
    let pid = programs.pid("fore.sh").unwrap();
    assert_ne!(pid, before);
    let told = format!("Ending web (pid {before}) and starting it again.\nweb is running, pid {pid}.\n");
    assert_eq!((said.stdout, said.code), (told, Some(0)));
    assert_eq!(count(&home, "restart_finished", "web"), 2);
    assert_eq!(events(&home, "restart_ordered", "web")[1]["by"], "console");
    let said = home.ask(&["ask", "restart told"]);
    assert_eq!(
        (said.stdout.as_str(), said.code),
        ("told has no restart command in the configuration.\n", Some(1))
    );
    let said = home.ask(&["--format", "json", "restart", "--no-wait", "web"]);
    assert_eq!(said.json()[0]["understood"], true, "{said:?}");
    let said = home.ask(&["--format", "json", "restart", "web"]);
    assert_eq!(
        (&said.json()[0]["kind"], &said.json()[0]["outcome"]),
        (&"restart_finished".into(), &"running".into())
    );
    let said = home.ask(&["restart", "nothing"]);
    assert_eq!(said.stdout, "There is no service \"nothing\". Watched: web, told.\n");
    assert_eq!(daemon.stop(), Some(0));
    let said = home.ask(&["restart", "web"]);
    assert!(said.stdout.ends_with("so nothing is started.\n"), "{said:?}");
    assert_eq!(programs.running("fore.sh").len(), 1);
}

#[test]
fn a_restart_by_the_owner_ends_also_what_no_pass_has_seen_yet() {
    let programs = Programs::new();
    let bot = programs.script("bot.sh", STAYS);
    let home = Home::with_toml(&format!(
        "name = \"leela\"\nsample_interval = \"1h\"\n[[service]]\nname = \"bot\"\nmatch = \"{bot}\"\nrestart = \"sh {bot}\"\n"
    ));
    let by_hand = || std::process::Command::new("sh").arg(&bot).spawn().unwrap();
    let mut first = by_hand();
    let daemon = home.start();
    until("it to be seen", || state(&home, "bot") == "running");
    first.kill().unwrap();
    first.wait().unwrap();
    let mut second = by_hand();
    home.ask(&["ask", "restart bot"]);
    until("the other to end", || second.try_wait().unwrap().is_some());
    until("its end", || count(&home, "restart_finished", "bot") == 1);
    assert_eq!(events(&home, "restart_finished", "bot")[0]["outcome"], "running");
    assert!(programs.pid("bot.sh").is_some());
    assert_eq!(daemon.stop(), Some(0));
}

/// A service may be several processes: the half that outlives the other must not be taken for it, nor run on beside
/// the new one.
#[test]
fn a_restart_ends_what_the_service_has_forked_too() {
    let programs = Programs::new();
    let worker = programs.script("worker.sh", STAYS);
    let wrap = programs.script("wrap.sh", &format!("sh {worker} &\nwait\n"));
    let twin = programs.script("twin.sh", "( while :; do sleep 0.1; done ) &\nwait\n");
    let key = |path: &str| format!("match = \"{path}\"\nrestart = \"sh {path}\"");
    let home =
        Home::with_toml(&format!("{HEAD}{}{}", service("wrap", &key(&wrap)), service("twin", &key(&twin))));
    let daemon = home.start();
    until("both to run", || state(&home, "wrap") == "running" && state(&home, "twin") == "running");
    let before = [programs.pid("wrap.sh"), programs.pid("worker.sh"), programs.pid("twin.sh")];
    for name in ["wrap", "twin"] {
        let finished = count(&home, "restart_finished", name);
        assert!(home.ask(&["ask", &format!("restart {name}")]).stdout.starts_with("Ending "));
        until("its end", || count(&home, "restart_finished", name) > finished);
        assert_eq!(events(&home, "restart_finished", name).pop().unwrap()["outcome"], "running");
    }
    let after = [programs.pid("wrap.sh"), programs.pid("worker.sh"), programs.pid("twin.sh")];
    for (before, after) in before.into_iter().zip(after) {
        assert!(after.is_some() && before != after, "{before:?} {after:?}");
    }
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn health_is_more_than_being_there() {
    let programs = Programs::new();
    let fore = programs.script("fore.sh", STAYS);
    let sick = programs.path("sick");
    let home = Home::with_toml(&format!(
        "{HEAD}{}[service.check]\ncommand = \"sh -c 'echo tired; test ! -e {}'\"\ninterval = \"1s\"\n",
        service("web", &format!("match = \"{fore}\"\nrestart = \"sh {fore}\"")),
        sick.display()
    ));
    let daemon = home.start();
    until("it to run", || state(&home, "web") == "running");
    fs::write(&sick, "").unwrap();
    until("it to be unwell", || state(&home, "web") == "unhealthy");
    let problem = row(&home, "web")["problem"].as_str().unwrap().to_owned();
    assert_eq!(problem, "sh ended with exit status: 1: tired");
    until("it to be told", || daemon.log().contains("service web runs, but its check fails: sh ended"));
    fs::remove_file(&sick).unwrap();
    until("it to be well", || state(&home, "web") == "running");
    until("the alert to end", || home.rows(&["alerts", "--open"]).is_empty());
    assert_eq!(count(&home, "restart_ordered", "web"), 1);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn one_that_fails_its_check_is_started_again_where_asked_for() {
    let programs = Programs::new();
    let fore = programs.script("fore.sh", STAYS);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let home = Home::with_toml(&format!(
        "{HEAD}{}grace = \"1s\"\n[service.check]\ntcp = \"{address}\"\ninterval = \"1s\"\nrestart = true\n",
        service("web", &format!("match = \"{fore}\"\nrestart = \"sh {fore}\""))
    ));
    let daemon = home.start();
    until("it to run", || state(&home, "web") == "running");
    let before = programs.pid("fore.sh").unwrap();
    drop(listener);
    until("another process", || programs.pid("fore.sh").is_some_and(|pid| pid != before));
    until("its end to be told", || count(&home, "restart_finished", "web") >= 2);
    assert!(events(&home, "restart_ordered", "web")[1]["stop"] == before);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_unit_is_asked_of_systemctl() {
    let programs = Programs::new();
    let unit = programs.script("unit.sh", STAYS);
    // Answers as systemctl does, from a file with the number of the process.
    let bin = programs.path("bin");
    fs::create_dir(&bin).unwrap();
    let (pid, calls) = (programs.path("pid"), programs.path("calls"));
    let text = format!(
        "#!/bin/sh\necho \"$*\" >> {calls}\nif [ \"$1\" = restart ]; then read p < {pid} && kill $p; setsid sh {unit} >/dev/null 2>&1 & echo $! > {pid}; exit; fi\n\
         read p < {pid} 2>/dev/null && kill -0 $p 2>/dev/null && s=active || {{ s=failed; p=0; }}\n\
         echo LoadState=loaded; echo ActiveState=$s; echo MainPID=$p\n",
        calls = calls.display(),
        pid = pid.display()
    );
    let systemctl = bin.join("systemctl");
    fs::write(&systemctl, text).unwrap();
    fs::set_permissions(&systemctl, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let home = Home::with_toml(&format!(
        "{HEAD}{}",
        service("web", "unit = \"web.service\"\nrestart = \"systemctl restart web.service\"")
    ))
    .with_path(&format!("{}:/usr/bin:/bin", bin.display()));
    let daemon = home.start();
    until("it to run", || state(&home, "web") == "running");
    until("its recovery", || count(&home, "service_recovered", "web") == 1);
    programs.kill("unit.sh");
    until("it to run again", || count(&home, "service_recovered", "web") == 2);
    let asked = fs::read_to_string(&calls).unwrap();
    let shows = asked.lines().filter(|line| line.starts_with("show ")).count();
    let passes = home.rows(&["history", "load1"]).len();
    until("passes", || home.rows(&["history", "load1"]).len() > passes + 4);
    let later = fs::read_to_string(&calls).unwrap().lines().filter(|line| line.starts_with("show ")).count();
    assert!(later <= shows + 1, "asked {} times within five passes", later - shows);

    // One that runs is ended by its manager, and not by a signal from here.
    let before = programs.pid("unit.sh");
    let finished = count(&home, "restart_finished", "web");
    let answer = home.ask(&["ask", "restart web"]).stdout;
    assert!(answer.contains("Having web started again."), "{answer}");
    until("its end", || count(&home, "restart_finished", "web") > finished);
    assert_ne!(programs.pid("unit.sh"), before);
    let ordered = events(&home, "restart_ordered", "web");
    assert!(ordered.iter().all(|order| order["stop"].is_null()), "{ordered:?}");
    let last = events(&home, "restart_finished", "web").pop().unwrap();
    assert_eq!(last["outcome"], "running");
    assert_eq!(daemon.stop(), Some(0));
}

/// Under systemd a start goes into a control group of its own; a stand-in for systemd-run records how it was asked.
#[test]
fn under_systemd_it_starts_outside_its_own_control_group() {
    let programs = Programs::new();
    let fore =
        programs.script("fore.sh", &format!("env > {}\n{STAYS}", programs.path("environment").display()));
    let bin = programs.path("bin");
    fs::create_dir(&bin).unwrap();
    let calls = programs.path("calls");
    let systemd_run = bin.join("systemd-run");
    let text = format!(
        "#!/bin/sh\necho \"$*\" >> {}\nwhile [ \"$1\" != -- ]; do shift; done; shift; exec \"$@\"\n",
        calls.display()
    );
    fs::write(&systemd_run, text).unwrap();
    fs::set_permissions(&systemd_run, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let home = Home::with_toml(&format!(
        "{HEAD}{}environment = {{ PORT = \"80\" }}\ndirectory = \"{}\"\n",
        service("web", &format!("match = \"{fore}\"\nrestart = \"sh {fore}\"")),
        programs.dir.path().display()
    ))
    .with_path(&format!("{}:/usr/bin:/bin", bin.display()))
    .with_variable("INVOCATION_ID", "0123");
    let daemon = home.start();
    until("it to run", || state(&home, "web") == "running");
    let calls = fs::read_to_string(&calls).unwrap();
    let last = calls.lines().last().unwrap();
    assert!(last.contains(" --scope ") && last.ends_with(&format!("-- sh {fore}")), "{calls}");
    let environment = fs::read_to_string(programs.path("environment")).unwrap();
    let names: BTreeSet<&str> =
        environment.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert!(names.contains("PORT") && names.contains("SYSTEMBOT_START"), "{environment}");
    assert!(!names.contains("INVOCATION_ID"), "{environment}");
    assert!(environment.contains(&format!("PWD={}", programs.dir.path().display())), "{environment}");
    assert!(
        !home.ask(&["--format", "json", "events"]).stdout.contains("PORT"),
        "the environment is never recorded"
    );
    assert_eq!(daemon.stop(), Some(0));
}

/// What is asked for in chat is answered there, and so is how it ends.
#[test]
fn whoever_asks_for_a_start_in_chat_is_told_how_it_ends() {
    let programs = Programs::new();
    let fore = programs.script("fore.sh", STAYS);
    let bridge = crate::bridge::FakeBridge::start("leela");
    let fails = programs.script("fails.sh", "echo no port; exit 3\n");
    let home = Home::on_bridge(
        &bridge.url(),
        &format!(
            "{}{}",
            service("web", &format!("match = \"{fore}\"\nrestart = \"sh {fore}\"")),
            "[[service]]\nname = \"bad\"\nmatch = \"no_such_bad\"\nstart_limit = 1\nrestart = \"sh FAILS\"\n"
                .replace("FAILS", &fails)
        ),
    );
    let daemon: Daemon = home.start();
    until("both to be settled", || {
        state(&home, "web") == "running" && count(&home, "restart_given_up", "bad") == 1
    });
    bridge.push_command("restart bad");
    let heard = |end: &'static str| {
        bridge
            .wait_until(crate::daemon::LIMIT, move |seen| seen.replies.iter().any(|text| text.contains(end)));
    };
    heard("Starting bad.");
    heard("bad did not come up: it ended with exit code 3.\nIts last words:\nno port");
    heard("service web is not running; starting it again #");
    heard("service web is running again (pid ");
    bridge.push_command("restart web");
    heard("web is running, pid ");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn services_change_while_the_daemon_runs() {
    let programs = Programs::new();
    let (old, new) = (programs.script("old.sh", STAYS), programs.script("new.sh", STAYS));
    let bad = "[[service]]\nname = \"bad\"\nmatch = \"no_such_bad\"\nrestart = \"false\"\nstart_limit = 1\n";
    let home = Home::with_toml(&format!(
        "{HEAD}{}{bad}",
        service("old", &format!("match = \"{old}\"\nrestart = \"sh {old}\""))
    ));
    let daemon = home.start();
    until("both to be settled", || state(&home, "old") == "running" && state(&home, "bad") == "given_up");
    let better =
        bad.replace("restart = \"false\"", &format!("restart = \"sh {new}\"")).replace("no_such_bad", &new);
    fs::write(home.config().unwrap(), format!("{HEAD}{better}")).unwrap();
    daemon.signal(Signal::HUP);
    until("the other settings to be tried", || state(&home, "bad") == "running");
    assert_eq!(row(&home, "bad")["pid"], programs.pid("new.sh").unwrap());
    assert!(programs.pid("old.sh").is_some(), "what is watched no more goes on");
    assert_eq!(home.rows(&["services"]).len(), 1);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn one_that_is_renamed_while_it_comes_up_is_not_started_twice() {
    let programs = Programs::new();
    let slow = programs.script("slow.sh", STAYS);
    let begun = programs.path("begun");
    let begin =
        programs.script("begin.sh", &format!("echo >> {}\nsleep 4\nexec sh {slow}\n", begun.display()));
    let keys = format!("match = \"{slow}\"\nrestart = \"sh {begin}\"");
    let home = Home::with_toml(&format!("{HEAD}{}", service("old", &keys)));
    let daemon = home.start();
    until("its start", || begun.exists());
    fs::write(home.config().unwrap(), format!("{HEAD}{}", service("new", &keys))).unwrap();
    daemon.signal(Signal::HUP);
    until("its recovery", || count(&home, "service_recovered", "new") == 1);
    assert_eq!(fs::read_to_string(&begun).unwrap().lines().count(), 1);
    assert!(programs.pid("slow.sh").is_some());
    let finished = events(&home, "restart_finished", "new");
    assert_eq!(finished[0]["outcome"], "already_running");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_death_is_told_with_the_last_line_that_was_printed() {
    let programs = Programs::new();
    let fore = programs.script("fore.sh", &format!("echo serving on port 80; echo; {STAYS}"));
    let home = Home::with_toml(&format!(
        "{HEAD}{}",
        service("web", &format!("match = \"{fore}\"\nrestart = \"sh {fore}\""))
    ));
    let daemon = home.start();
    until("it to run", || state(&home, "web") == "running");
    programs.kill("fore.sh");
    until("its death", || count(&home, "service_missing", "web") == 2);
    let told = "service web is not running; starting it again; its last line: serving on port 80";
    assert!(
        home.rows(&["alerts"]).iter().any(|alert| alert["message"] == told),
        "{:?}",
        home.rows(&["alerts"])
    );
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn an_http_check_wants_an_answer_that_is_no_error() {
    let programs = Programs::new();
    let fore = programs.script("fore.sh", STAYS);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let status = std::sync::Arc::new(std::sync::Mutex::new("200 OK"));
    let answers = std::sync::Arc::clone(&status);
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"GET /health?token=hunter2 HTTP/1.1\r\n"));
            let status = *answers.lock().unwrap();
            if status.is_empty() {
                // Taken, and never answered.
                std::mem::forget(stream);
            } else {
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nLocation: /\r\n\r\n").unwrap();
            }
        }
    });
    let home = Home::with_toml(&format!(
        "{HEAD}{}[service.check]\nhttp = \"http://{address}/health?token=hunter2\"\ninterval = \"1s\"\ntimeout = \"200ms\"\n",
        service("web", &format!("match = \"{fore}\"\nrestart = \"sh {fore}\""))
    ));
    let daemon = home.start();
    until("it to run", || state(&home, "web") == "running");
    let problem = || row(&home, "web")["problem"].as_str().unwrap_or_default().to_owned();
    for (answer, expected) in [
        ("503 Service Unavailable", format!("http://{address}/health: answered 503 Service Unavailable")),
        ("302 Found", String::new()),
        ("", format!("http://{address}/health: no answer within 0.2 s")),
        ("200 OK", String::new()),
    ] {
        *status.lock().unwrap() = answer;
        until(answer, || problem() == expected);
    }
    let told = home.ask(&["--format", "json", "events", "--kind", "service_unhealthy,alert_fired"]).stdout;
    assert!(told.contains("/health: answered 503") && !told.contains("hunter2"), "{told}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn root_starts_a_service_as_the_user_it_is_watched_as_and_nobody_else_can() {
    let programs = Programs::new();
    fs::set_permissions(programs.dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let fore = programs.script("fore.sh", &format!("id -un; echo $HOME; pwd; {STAYS}"));
    let home = Home::with_toml(&format!(
        "{HEAD}{}user = \"nobody\"\ndirectory = \"/usr\"\n",
        service("web", &format!("match = \"{fore}\"\nrestart = \"sh {fore}\""))
    ));
    let daemon = home.start();
    let output = || fs::read_to_string(home.data_dir().join("services/web.out")).unwrap_or_default();
    if rustix::process::geteuid().is_root() {
        until("it to run", || state(&home, "web") == "running");
        let uid = fs::metadata(format!("/proc/{}", programs.pid("fore.sh").unwrap())).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&uid), 65534);
        assert!(output().ends_with("nobody\n/nonexistent\n/usr\n"), "{}", output());
    } else {
        until("it to fail", || count(&home, "restart_finished", "web") > 0);
        let reason = &events(&home, "restart_finished", "web")[0]["reason"];
        assert!(reason.as_str().unwrap().starts_with("only root could start it as nobody; "), "{reason}");
    }
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn one_failure_of_a_check_may_be_chance() {
    let programs = Programs::new();
    let fore = programs.script("fore.sh", STAYS);
    let count_file = programs.path("count").display().to_string();
    let check = programs
        .script("check", &format!("echo x >> {count_file}; [ $(($(wc -l < {count_file}) % 2)) = 0 ]\n"));
    let home = Home::with_toml(&format!(
        "{HEAD}{}[service.check]\ncommand = \"sh {check}\"\ninterval = \"1s\"\n",
        service("web", &format!("match = \"{fore}\"\nrestart = \"sh {fore}\""))
    ));
    let daemon = home.start();
    until("it to run", || state(&home, "web") == "running");
    let checks = || fs::read_to_string(&count_file).unwrap_or_default().lines().count();
    let before = checks();
    until("five checks", || checks() >= before + 5);
    assert_eq!(count(&home, "service_unhealthy", "web"), 0);
    assert_eq!(daemon.stop(), Some(0));
}
