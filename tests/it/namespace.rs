//! A mount namespace of a test's own, in which the same test runs once more.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

/// Set in the process that runs inside.
const INSIDE: &str = "SYSTEMBOT_TEST_INSIDE_NAMESPACE";

/// Whether this is the process inside.
pub(crate) fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Runs a test of this binary once more inside a new mount namespace, after a shell script, which has `path` as `$1`.
///
/// Panics where that run fails, and where this user may make no namespaces: nothing is left out in silence.
pub(crate) fn run_inside(test: &str, script: &str, path: &Path) {
    let privileged: &[&str] = &["--mount"];
    let mapped: &[&str] = &["--user", "--map-root-user", "--mount"];
    let may = |how: &&&[&str]| {
        let probe = Command::new("unshare").args(**how).arg("true").stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    };
    let how = [privileged, mapped].iter().find(may).copied();
    let how =
        how.expect("this user may make no mount namespace: run the tests as root, or allow user namespaces");
    let output = Command::new("unshare")
        .args(how)
        .args(["sh", "-c", &format!("{script} && shift && exec \"$@\""), "sh"])
        .arg(path)
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
}
