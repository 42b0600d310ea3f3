//! The real binary in a home of its own: configured, started, asked, killed.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use systembot::clock::{Clock, SystemClock};
use tempfile::TempDir;

/// Far above what anything here takes, on a machine that is busy with other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A directory with a configuration and a data directory; removed when dropped.
pub(crate) struct Home {
    dir: TempDir,
    config: Option<PathBuf>,
    data_dir: PathBuf,
    variables: Vec<(String, String)>,
}

/// The program under test: that of this build, or the one that `SYSTEMBOT_PROGRAM` names, a release build say.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("SYSTEMBOT_PROGRAM")
        .map_or_else(|| env!("CARGO_BIN_EXE_systembot").into(), PathBuf::from)
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
}

impl Output {
    /// The lines as JSON objects.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }
}

impl Home {
    /// No configuration at all.
    pub(crate) fn on_defaults() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        Self { dir, config: None, data_dir, variables: Vec::new() }
    }

    /// The same with its data directory elsewhere.
    pub(crate) fn at(mut self, data_dir: PathBuf) -> Self {
        self.data_dir = data_dir;
        self
    }

    /// A systembot.toml with this text.
    pub(crate) fn with_toml(text: &str) -> Self {
        Self::with_file("systembot.toml", text)
    }

    /// A bot named leela that reads and polls each second, on a bridge at this address; and more settings before it.
    pub(crate) fn on_bridge(url: &str, more: &str) -> Self {
        Self::with_toml(&format!(
            "name = \"leela\"\nsample_interval = \"1s\"\n{more}[bridge]\nurl = \"{url}\"\npoll_interval = \"1s\"\n"
        ))
    }

    /// A configuration file of this name and text.
    pub(crate) fn with_file(name: &str, text: &str) -> Self {
        let mut home = Self::on_defaults();
        let path = home.dir.path().join(name);
        fs::write(&path, text).unwrap();
        home.config = Some(path);
        home
    }

    /// The same for somebody who does not name the configuration.
    pub(crate) fn without_config(mut self) -> Self {
        self.config = None;
        self
    }

    /// The same with another search path for programs.
    pub(crate) fn with_path(self, path: &str) -> Self {
        self.with_variable("PATH", path)
    }

    /// The same with a variable in its environment.
    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data_dir.clone()
    }

    /// The configuration file, if there is one.
    pub(crate) fn config(&self) -> Option<PathBuf> {
        self.config.clone()
    }

    /// Writes a file beside the data directory; its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The program with these arguments, kept away from the machine's own configuration.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.dir.path()).env("TZ", "UTC");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.arg("--data-dir").arg(self.data_dir());
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.args(args);
        command
    }

    pub(crate) fn ask(&self, args: &[&str]) -> Output {
        let output = self.command(args).stdin(Stdio::null()).output().unwrap();
        Output {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }

    pub(crate) fn ask_with_input(&self, args: &[&str], input: &str) -> Output {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Output {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }

    /// Rows of a command in JSON.
    pub(crate) fn rows(&self, args: &[&str]) -> Vec<Value> {
        let mut all = vec!["--format", "json"];
        all.extend(args);
        let output = self.ask(&all);
        assert!(output.code == Some(0) || output.code == Some(1), "{args:?}: {output:?}");
        output.json()
    }

    /// Starts the daemon and returns once its first sample is in the log.
    pub(crate) fn start(&self) -> Daemon {
        // Before the first start there is no log to be asked.
        let samples =
            || self.ask(&["--format", "csv", "history", "load1", "--since", "1h"]).stdout.lines().count();
        let before = samples();
        let daemon = self.spawn();
        until("the first sample", || samples() > before);
        daemon
    }

    /// Starts the daemon and does not wait.
    pub(crate) fn spawn(&self) -> Daemon {
        Daemon::begin(self.command(&["run"]))
    }
}

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Daemon {
    /// Starts the daemon that a command is, and keeps what it says.
    pub(crate) fn begin(mut command: Command) -> Self {
        command.stderr(Stdio::piped());
        let mut daemon = Self::begin_silent(command);
        let (stderr, lines) = (daemon.child.stderr.take().unwrap(), Arc::clone(&daemon.log));
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = lines.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        daemon
    }

    /// The same with its stderr where the command puts it.
    pub(crate) fn begin_silent(mut command: Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        Self { child, log: Arc::default() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to stderr so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, and its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// SIGKILL, at this very moment.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its exit code, once it has ended.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let mut code = None;
        until("the daemon to end", || {
            code = self.child.try_wait().unwrap().map(|status| status.code());
            code.is_some()
        });
        code.flatten()
    }

    /// Resident memory in KiB, proc_pid_status(5).
    pub(crate) fn rss_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a condition, within [`LIMIT`].
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let clock = SystemClock;
    let began = clock.steady();
    while !is_so() {
        assert!(clock.steady().saturating_sub(began) < LIMIT, "waited {LIMIT:?} for {what}");
        clock.wait(Duration::from_millis(10));
    }
}
