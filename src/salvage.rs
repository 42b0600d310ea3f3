//! Opening the log at the start, whatever has become of it.
//!
//! A damaged log is mended: a new one takes its place, and what is lost is told. The database may also hang on a damaged
//! file, or end the process, so an opening leaves a mark until it has ended. Where one is found, the log is opened by
//! another process first, which may be killed; one that takes too long is given up by beginning this process anew.

use std::{
    env,
    ffi::OsStr,
    fs::{self, OpenOptions},
    io,
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::Path,
    process::{Command, ExitCode, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use systembot_model::decide::Salvaged;
use systembot_storage::{Error, Salvage, salvage};
use tracing::{info, warn};

use crate::{
    clock::{Clock, SystemClock},
    engine::Engine,
    notify::Manager,
};

/// Time within which a log that was mended is not mended again while the daemon runs: what is wrong then is no damage.
pub(crate) const WHOLE: Duration = Duration::from_secs(24 * 3_600);
/// The same for a log that cannot be opened at all: until it is mended everything waits in memory.
pub(crate) const SHUT: Duration = Duration::from_secs(300);
/// The mark of an opening that has not ended.
const MARK: &str = "opening";
/// First argument of the process that only tries.
const TRY: &str = "--try-log";
/// Time to open a log and fold its state, besides that for its size.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of the log for each further second: a slow disk reads more.
const BYTES_A_SECOND: u64 = 4 << 20;
/// Time between two looks at the process that tries.
const LOOK: Duration = Duration::from_millis(20);

/// What became of a damaged log, for its owner.
pub(crate) fn told(log: &Path, salvage: &Salvage) -> Salvaged {
    let kept = salvage.kept.as_ref().map(|kept| log.with_file_name(kept).display().to_string());
    let Salvage { saved, lost, is_at_least, samples, .. } = *salvage;
    Salvaged { saved, lost, is_at_least, samples, kept }
}

/// Opens the log below a data directory and folds its state; mends it first where it is damaged.
///
/// # Errors
/// As [`Engine::open`], and those of mending.
pub fn open(data_dir: &Path, clock: &Arc<dyn Clock>, manager: &Manager) -> Result<Engine, Error> {
    let mark = data_dir.join(MARK);
    let log = data_dir.join("log");
    let was_there = log.exists();
    if mark.exists() && was_there {
        warn!("the last start ended while it opened the log; trying it apart first");
        if !try_apart(data_dir, clock) {
            mend(&log, clock, manager)?;
        }
    }
    let opened = watched(&mark, limit(&log), &|| Engine::open(data_dir, Arc::clone(clock)));
    let Err(Error::Damaged { what }) = opened else { return opened };
    warn!("{what}; mending it");
    if !was_there {
        // Nothing is in it that was not made just now.
        fs::remove_dir_all(&log).map_err(|source| Error::Io { path: log.clone(), source })?;
    }
    mend(&log, clock, manager)?;
    watched(&mark, limit(&log), &|| Engine::open(data_dir, Arc::clone(clock)))
}

fn mend(log: &Path, clock: &Arc<dyn Clock>, manager: &Manager) -> Result<(), Error> {
    let hears = manager.hears(Arc::clone(clock));
    let salvage = salvage(log, clock.now(), &mut |_| hears())?;
    warn!("{}", told(log, &salvage).sentence());
    Ok(())
}

/// Opens with a mark that says so, and begins this process anew if it takes too long.
fn watched(mark: &Path, limit: Duration, open: &dyn Fn() -> Result<Engine, Error>) -> Result<Engine, Error> {
    let marked = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(mark);
    if let Err(error) = marked {
        // The opening says what is wrong with the directory; on a full disk the daemon goes on without.
        info!(%error, "the opening of the log cannot be marked");
        return open();
    }
    let (ended, end) = mpsc::channel::<()>();
    let watching = thread::Builder::new().name("opening".into()).spawn(move || {
        if end.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            warn!("the log does not open within {} s; beginning anew", limit.as_secs());
            let error = Command::new("/proc/self/exe").args(env::args_os().skip(1)).exec();
            warn!(%error, "that failed");
        }
    });
    let opened = open();
    drop(ended);
    if let Ok(watching) = watching {
        // It has nothing more to do than to see that.
        let _ = watching.join();
    }
    match fs::remove_file(mark) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => warn!(%error, "{} stays", mark.display()),
        _ => {}
    }
    opened
}

/// Time that opening may take.
fn limit(log: &Path) -> Duration {
    let bytes = fs::metadata(log.join("db")).map_or(0, |metadata| metadata.len());
    PATIENCE + Duration::from_secs(bytes / BYTES_A_SECOND)
}

/// Whether another process can open the log, within the time that it may take.
fn try_apart(data_dir: &Path, clock: &Arc<dyn Clock>) -> bool {
    let child = Command::new("/proc/self/exe")
        .arg(TRY)
        .arg(data_dir)
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else {
        // Without another process there is only this one.
        return true;
    };
    let until = clock.steady() + limit(&data_dir.join("log"));
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if clock.steady() < until => clock.wait(LOOK),
            Ok(None) | Err(_) => {
                // It may have ended by itself just now.
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

/// The process that only tries: how it ends tells whether the log opens; `None` where this is none.
#[must_use]
pub fn trial() -> Option<ExitCode> {
    let mut args = env::args_os().skip(1);
    if args.next().as_deref() != Some(OsStr::new(TRY)) {
        return None;
    }
    let data_dir = args.next()?;
    let opened = Engine::open(Path::new(&data_dir), Arc::new(SystemClock));
    // One that is locked, say, is not damaged.
    let is_sound = !matches!(opened, Err(Error::Damaged { .. }));
    Some(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
