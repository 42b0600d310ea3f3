//! `install` and `uninstall`, with a systemctl and a loginctl that only note what they are told.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::daemon::{Home, Output, program};

/// A home whose programs are fakes, and what they were told.
struct Desk {
    home: Home,
    bin: PathBuf,
}

impl Desk {
    fn new() -> Self {
        let desk = Self::at(Home::on_defaults());
        desk.fake("systemctl", "exit 0");
        desk.fake("loginctl", "exit 0");
        desk
    }

    fn at(home: Home) -> Self {
        let bin = home.data_dir().with_file_name("bin");
        fs::create_dir(&bin).unwrap();
        Self { home, bin }
    }

    /// A program that notes its arguments and then does this.
    fn fake(&self, name: &str, then: &str) {
        let path = self.bin.join(name);
        let script =
            format!("#!/bin/sh\necho \"{name} $*\" >> {}\n{then}\n", self.bin.join("told").display());
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What the fakes were told since the last time.
    fn told(&self) -> Vec<String> {
        let path = self.bin.join("told");
        let told = fs::read_to_string(&path).unwrap_or_default();
        // Nothing was told yet.
        let _ = fs::remove_file(path);
        told.lines().map(str::to_owned).collect()
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.bin.display());
        let mut command = self.home.command(arguments);
        let output = command.env("PATH", path).stdin(Stdio::null()).output().unwrap();
        Output {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }

    fn units(&self) -> PathBuf {
        self.home.data_dir().with_file_name(".config").join("systemd/user")
    }

    fn unit(&self) -> String {
        fs::read_to_string(self.units().join("systembot.service")).unwrap()
    }
}

const ENABLED: [&str; 3] = [
    "systemctl --user daemon-reload",
    "systemctl --user enable --now systembot.service",
    "loginctl enable-linger",
];

#[test]
fn a_user_unit_is_written_enabled_and_undone_again() {
    let desk = Desk::new();
    let output = desk.ask(&["install", "--user"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(desk.told(), ENABLED);
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert!(lines[0].starts_with("wrote /") && lines[0].ends_with(".config/systemd/user/systembot.service"));
    assert_eq!(lines[1], "ran systemctl --user daemon-reload");
    assert!(lines[4].starts_with("systembot runs; its log lies in "), "{output:?}");
    let program = program();
    let program = program.display();
    let data_dir = desk.home.data_dir();
    let start = format!("ExecStart={program} --data-dir {} run", data_dir.display());
    assert!(desk.unit().lines().any(|line| line == start), "{}", desk.unit());

    let again = desk.ask(&["install", "--user"]);
    assert!(again.stdout.starts_with("kept /"), "{again:?}");
    assert_eq!(
        desk.told()[1..3],
        ["systemctl --user enable systembot.service", "systemctl --user restart systembot.service"]
    );

    let output = desk.ask(&["uninstall", "--user"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(
        desk.told(),
        ["systemctl --user disable --now systembot.service", "systemctl --user daemon-reload"]
    );
    assert!(output.stdout.contains(&format!("kept the log in {}", data_dir.display())), "{output:?}");
    assert!(!desk.units().join("systembot.service").exists());
    assert_eq!(desk.ask(&["uninstall", "--user"]).code, Some(1));
}

#[test]
fn the_configuration_is_checked_and_named_in_the_unit() {
    let desk = Desk::at(Home::with_file("my bot.conf", "[DEFAULT]\nbot_name = leela\n"));
    desk.fake("systemctl", "exit 0");
    desk.fake("loginctl", "exit 0");
    assert_eq!(desk.ask(&["install", "--user"]).code, Some(0));
    let config = desk.home.config().unwrap();
    let check = format!("--config \"{}\"", config.display());
    assert_eq!(desk.unit().matches(&check).count(), 3, "{}", desk.unit());

    fs::write(&config, "[DEFAULT]\npolling_time = often\n").unwrap();
    let broken = desk.ask(&["install", "--user"]);
    assert_eq!((broken.code, broken.stderr.lines().count()), (Some(2), 1), "{broken:?}");
    assert!(broken.stderr.contains("my bot.conf:2: "), "{broken:?}");
}

#[test]
fn a_command_that_fails_is_told_with_what_to_type_by_hand() {
    let desk = Desk::new();
    desk.fake("systemctl", "echo 'Failed to connect to bus: No medium found' >&2\nexit 1");
    let output = desk.ask(&["install", "--user"]);
    assert_eq!(output.code, Some(2));
    assert_eq!(
        output.stderr,
        "systembot: `systemctl --user daemon-reload` failed: Failed to connect to bus: No medium found; by hand: \
         systemctl --user daemon-reload && systemctl --user enable --now systembot.service && loginctl enable-linger\n"
    );
    assert!(output.stdout.starts_with("wrote /"), "{output:?}");
}

#[test]
fn a_unit_that_was_changed_is_not_overwritten_nor_removed() {
    let desk = Desk::new();
    desk.ask(&["install", "--user"]);
    let path = desk.units().join("systembot.service");
    let changed = desk.unit().replace("WatchdogSec=30", "WatchdogSec=60");
    fs::write(&path, &changed).unwrap();
    desk.told();
    for command in ["install", "uninstall"] {
        let output = desk.ask(&[command, "--user"]);
        assert_eq!(output.code, Some(2), "{output:?}");
        assert!(output.stderr.contains("was changed") && output.stderr.contains("--force"), "{output:?}");
    }
    assert_eq!(desk.unit(), changed);
    assert!(desk.told().is_empty());
    assert_eq!(desk.ask(&["install", "--user", "--force"]).code, Some(0));
    assert!(desk.unit().contains("WatchdogSec=30"));
}

#[test]
fn the_unit_of_the_original_bot_is_named_and_left_alone() {
    let desk = Desk::new();
    fs::create_dir_all(desk.units()).unwrap();
    let original = desk.units().join("system_bot.service");
    fs::write(&original, "[Service]\nExecStart=/home/me/system_bot.py\n").unwrap();
    let output = desk.ask(&["install", "--user"]);
    assert_eq!((output.code, output.stderr.lines().count()), (Some(2), 1), "{output:?}");
    assert!(output.stderr.contains("systemctl --user disable --now system_bot.service"), "{output:?}");
    assert!(original.exists() && desk.told().is_empty());
    assert!(!desk.units().join("systembot.service").exists());
    // The second name of our own unit is no such thing.
    fs::remove_file(&original).unwrap();
    std::os::unix::fs::symlink(desk.units().join("systembot.service"), &original).unwrap();
    assert_eq!(desk.ask(&["install", "--user"]).code, Some(0));
}

#[test]
fn a_dry_run_tells_and_does_nothing() {
    let desk = Desk::new();
    let output = desk.ask(&["install", "--user", "--dry-run"]);
    assert_eq!(output.code, Some(0));
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert!(lines[0].starts_with("would write /"), "{output:?}");
    assert_eq!(lines[1..], ENABLED.map(|line| format!("would run {line}")));
    assert!(desk.told().is_empty() && !desk.units().exists());
}

/// The manager starts the unit without the variables of the shell that `install` was typed in.
#[test]
fn what_variables_of_the_shell_name_stands_in_the_unit() {
    let desk = Desk::new();
    let config = desk.home.file("elsewhere.toml", "name = \"leela\"\n");
    let home = desk.home.data_dir().with_file_name("");
    let ask = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_systembot"));
        command.env_clear().env("PATH", &desk.bin).env("HOME", &home).envs(variables.iter().copied());
        let output = command.args(["install", "--user"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        (desk.unit(), String::from_utf8(output.stdout).unwrap())
    };
    let program = env!("CARGO_BIN_EXE_systembot");
    let (unit, _) = ask(&[]);
    assert!(unit.contains(&format!("\nExecStart={program} run\n")), "{unit}");
    let (unit, _) = ask(&[("SYSTEMBOT_CONFIG", &config)]);
    assert!(unit.contains(&format!("\nExecStart={program} --config {config} run\n")), "{unit}");
    for (name, value, dir) in
        [("SYSTEMBOT_DATA_DIR", "/d", "/d"), ("XDG_STATE_HOME", "/state", "/state/systembot")]
    {
        let (unit, said) = ask(&[(name, value)]);
        assert!(unit.contains(&format!("\nExecStart={program} --data-dir {dir} run\n")), "{unit}");
        assert!(said.contains(&format!("its log lies in {dir}; ")), "{said}");
    }
}

#[test]
fn a_bot_that_runs_in_a_terminal_is_to_be_ended_first() {
    let desk = Desk::new();
    let daemon = desk.home.start();
    let output = desk.ask(&["install", "--user"]);
    assert_eq!((output.code, output.stderr.lines().count()), (Some(2), 1), "{output:?}");
    assert!(output.stderr.contains(&format!("pid {}: end it first", daemon.pid())), "{output:?}");
    assert!(desk.told().is_empty() && !desk.units().exists());
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(desk.ask(&["install", "--user"]).code, Some(0));
}

#[test]
fn a_unit_that_cannot_be_written_leaves_nothing_to_be_typed() {
    let desk = Desk::new();
    desk.home.file(".config", "in the way of a directory");
    let output = desk.ask(&["install", "--user"]);
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(
        output.stderr.contains("cannot write the unit") && !output.stderr.contains("by hand"),
        "{output:?}"
    );
    assert!(desk.told().is_empty());
}

/// A package's unit is taken as it is by `install`, and only ended by `uninstall`.
#[test]
fn the_unit_of_a_package_is_ended_and_stays() {
    let desk = Desk::at(Home::on_defaults());
    desk.fake("systemctl", "exit 0");
    let image = desk.home.data_dir().with_file_name("image");
    let packaged = image.join("usr/lib/systemd/system/systembot.service");
    fs::create_dir_all(packaged.parent().unwrap()).unwrap();
    fs::write(&packaged, "[Service]\n").unwrap();
    let root = image.to_str().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_systembot"));
    command.env_clear().env("PATH", format!("{}:/usr/bin:/bin", desk.bin.display()));
    let output = command.args(["uninstall", "--system", "--root", root]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(desk.told(), [format!("systemctl --root={root} disable systembot.service")]);
    assert!(said.contains(&format!("kept the unit of the package, {}", packaged.display())), "{said}");
    assert!(packaged.exists());
}

/// With the real systemctl, which needs no manager to change files below another root.
#[test]
fn a_system_unit_is_enabled_in_an_image_with_its_user_and_undone_again() {
    let desk = Desk::at(Home::on_defaults());
    let image = desk.home.data_dir().with_file_name("image");
    fs::create_dir_all(image.join("etc")).unwrap();
    let program = desk.bin.join("systembot");
    fs::copy(crate::daemon::program(), &program).unwrap();
    let close = |mode| {
        let home = desk.bin.parent().unwrap();
        fs::set_permissions(home, fs::Permissions::from_mode(mode)).unwrap();
    };
    let ask = |words: &[&str]| {
        let mut command = Command::new(&program);
        command.env_clear().env("PATH", "/usr/bin:/bin").args(words).arg("--root").arg(&image);
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    close(0o700);
    let (code, said) = ask(&["install", "--system"]);
    assert!(
        code == Some(2) && said.contains("may not enter it") && said.contains("install -m 755"),
        "{said}"
    );
    assert!(!image.join("etc/systemd").exists());

    close(0o755);
    let (code, said) = ask(&["install", "--system"]);
    assert_eq!(code, Some(0), "{said}");
    let link = image.join("etc/systemd/system/multi-user.target.wants/systembot.service");
    assert!(fs::symlink_metadata(&link).is_ok());
    assert!(fs::read_to_string(image.join("etc/passwd")).unwrap().starts_with("systembot:"));
    let unit = fs::read_to_string(image.join("etc/systemd/system/systembot.service")).unwrap();
    assert!(unit.contains(&format!("\nExecStart={} run\n", program.display())), "{unit}");
    let (code, said) = ask(&["uninstall", "--system"]);
    assert!(code == Some(0) && said.contains("kept the log in /var/lib/systembot"), "{said}");
    assert!(fs::symlink_metadata(&link).is_err());
    assert!(!image.join("etc/systemd/system/systembot.service").exists());
}
