//! `systembot run`: the daemon, from its start to its end.

use std::{
    fs::{self, DirBuilder},
    io::{IsTerminal, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, bail};
use systembot_cli::Setup;
use systembot_config::{Settings, changes};
use systembot_model::{Input, Rules, decide::Reread};
use systembot_storage::{KEPT_PREFIX, Limits, remote::Client};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    time::{Instant, timeout},
};
use tracing::{error, info, warn};

use crate::{
    clock::{Clock, SystemClock},
    control::ControlSocket,
    edges::{Edges, Stale, died},
    engine::Engine,
    inbox::Inbox,
    logging::{self, Verbosity},
    notify::{self, Manager},
    salvage, scrub,
};

/// Time for the engine to record what is under way when the daemon ends; a stalled disk gets no more.
const LAST_RECORDS: Duration = Duration::from_secs(5);
/// Time that a passing reader of the log gets to finish before a start gives up.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// Runs the daemon until SIGTERM or SIGINT; SIGHUP has the configuration read again, unless it is the
/// end of the terminal that it runs on.
///
/// # Errors
/// One line: a data directory that cannot be made or is in use, a log that cannot be opened, a thread that died.
pub fn run(setup: Setup) -> anyhow::Result<()> {
    let level = logging::begin(setup.loaded.settings.log_level);
    // A second call only says that one is installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start")?;
    // Before the first record: from then on an end by a signal is one in good order.
    let signals = runtime.block_on(async { Signals::catch() })?;
    let ended = serve(setup, level, &runtime, signals);
    // A name that is still being looked up would be waited for, and nobody wants the answer any more.
    runtime.shutdown_background();
    ended
}

/// Everything between the start and the end.
fn serve(setup: Setup, level: Verbosity, runtime: &Runtime, mut signals: Signals) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let manager = Manager::of(&|name| std::env::var_os(name), std::process::id());
    let data_dir = setup.data_dir.clone();
    make_private(&data_dir)
        .with_context(|| format!("cannot make the data directory {}", data_dir.display()))?;
    manager.starting();
    let mut engine = open(&data_dir, &clock, &manager)?;
    engine.limit(limits(&setup.loaded.settings));
    engine.report(manager.hears(Arc::clone(&clock)));
    // Not before: a start that is refused says why in one line.
    introduce(&setup);
    let (inbox, ends) = Inbox::new();
    let mut effects = engine.owed();
    let starting = Input::Starting {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config: rules(&setup).config,
        rules: Box::new(rules(&setup)),
    };
    effects.extend(engine.step(&starting).context("cannot write the log")?);
    if let Some(untold) = engine.untold() {
        effects.extend(engine.step(&untold).context("cannot write the log")?);
    }
    let socket_path = data_dir.join("control.sock");
    let socket = ControlSocket::listen(&socket_path, inbox.clone())
        .with_context(|| format!("cannot listen on {}", socket_path.display()))?;
    scrub::begin(Arc::clone(&clock), inbox.clone())?;

    let ended = runtime.block_on(async {
        let mut edges = Edges::new(inbox.clone(), Arc::clone(&clock), data_dir.clone());
        edges.begin(Stale::ALL, &setup.loaded.settings)?;
        if let Some(first_sample) = edges.first_sample() {
            tokio::spawn(notify::attend(manager.clone(), inbox.clone(), first_sample));
        }
        let mut hand_out = edges.hand_out(&setup.loaded.settings);
        let (engine_ended, mut engine_end) = oneshot::channel();
        let handle = Handle::current();
        let engine = thread::Builder::new().name("engine".into()).spawn(move || {
            // On this thread, which may wait until the transport takes what is owed.
            effects.into_iter().for_each(&mut hand_out);
            engine.run(ends, &handle, hand_out);
            // Whoever supervises may be gone already.
            let _ = engine_ended.send(());
        })?;
        info!(
            interval_s = setup.loaded.settings.sample_interval.as_secs_f64(),
            "watching; the log lies in {}",
            data_dir.display()
        );
        let mut running = Running { setup, level, inbox, clock, manager, edges, engine };
        loop {
            // Cancel-safe: a signal that is not waited for stays noted by its stream, the others only look whether
            // something has ended. A part that dies takes the daemon down: a supervisor starts it again, whole.
            let ordered = tokio::select! {
                biased;
                _ = &mut engine_end => return died("engine"),
                part = running.edges.ended() => return died(part),
                ordered = signals.next() => ordered,
            };
            if ordered == Ordered::End {
                break;
            }
            // The end may come in the middle of it: what was not begun anew by then need not be ended.
            tokio::select! {
                biased;
                _ = &mut engine_end => return died("engine"),
                () = signals.end() => break,
                reloaded = running.reload() => reloaded?,
            }
        }
        signals.leave_at_a_second();
        running.end(&mut engine_end).await
    });
    drop(socket);
    ended
}

/// The rules of a configuration, with the file that it was read from.
fn rules(setup: &Setup) -> Rules {
    let config = setup.config.as_ref().map(|path| path.display().to_string());
    Rules { config, ..setup.loaded.settings.rules() }
}

/// How much of the past the settings keep.
const fn limits(settings: &Settings) -> Limits {
    Limits {
        retention: settings.storage.retention,
        rollup_retention: settings.storage.rollup_retention,
        max_bytes: settings.storage.max_size_bytes,
    }
}

/// Warns of what is understood and not served.
fn warn_of_unserved(settings: &Settings) {
    if settings.xmpp.is_some() {
        warn!("[xmpp] is understood, but this version does not serve it: chat goes by [bridge] alone");
    }
}

/// Warns of the configuration; where there is none, says what it does, where its log lies and what to type next.
fn introduce(setup: &Setup) {
    let mut stderr = std::io::stderr();
    let settings = &setup.loaded.settings;
    for warning in &setup.loaded.warnings {
        // A closed stderr is no reason not to run.
        let _ = writeln!(stderr, "systembot: {warning}");
    }
    warn_of_unserved(&setup.loaded.settings);
    if setup.config.is_some() {
        return;
    }
    let text = format!(
        "systembot samples this machine every {} s, remembers everything, and shows alerts here; no configuration is needed.\n\
         Its log lies in {}; stop it with Ctrl-C, nothing is lost.\n\
         Type in another shell: systembot status; systembot history load1 --since 5m --chart; systembot ask \"top processes\"\n",
        settings.sample_interval.as_secs_f64(),
        setup.data_dir.display()
    );
    // Nor is it here.
    let _ = stderr.write_all(text.as_bytes());
}

/// Opens the log; waits for a passing reader, but not for another daemon.
fn open(data_dir: &Path, clock: &Arc<dyn Clock>, manager: &Manager) -> anyhow::Result<Engine> {
    let began = clock.steady();
    loop {
        match salvage::open(data_dir, clock, manager) {
            Ok(engine) => return Ok(engine),
            Err(systembot_storage::Error::Locked { .. }) => {
                let other = Client::connect(&data_dir.join("control.sock")).ok();
                if let Some(pid) = other.and_then(|client| client.daemon_pid()) {
                    bail!("{} is in use by another systembot, pid {pid}", data_dir.display());
                }
                if clock.steady().saturating_sub(began) > LOCK_PATIENCE {
                    bail!("{} is in use by another process", data_dir.display());
                }
                clock.wait(Duration::from_millis(20));
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot open the log in {}", data_dir.display()));
            }
        }
    }
}

/// Makes the data directory for its owner alone. One that was there is closed to others too, if nothing else is in it.
fn make_private(dir: &Path) -> std::io::Result<()> {
    const OURS: [&str; 8] = [
        "log",
        "log.new",
        "log.ready",
        "checkpoint",
        "checkpoint.new",
        "control.sock",
        "services",
        "opening",
    ];
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let is_ours = |entry: std::io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| {
            let found = entry.file_name();
            OURS.iter().any(|name| found == *name) || found.to_string_lossy().starts_with(KEPT_PREFIX)
        })
    };
    if fs::metadata(dir)?.permissions().mode() & 0o077 != 0 && fs::read_dir(dir)?.all(is_ours) {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Time for the configuration to be read again.
const CONFIG_PATIENCE: Duration = Duration::from_secs(10);
/// Time within which signals are one and the same: `timeout` sends its own to the process and to its group.
const ONE_SIGNAL: Duration = Duration::from_millis(500);

/// What a signal orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ordered {
    End,
    ReadAgain,
}

/// The signals that the daemon obeys, caught from the moment this is made.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Whether a person watches on a terminal, whose end comes as a hangup too.
    is_watched: bool,
}

/// Whether there is a terminal at either end: one of them may be sent to a file.
fn has_terminal() -> bool {
    std::io::stdin().is_terminal() || std::io::stderr().is_terminal()
}

impl Signals {
    fn catch() -> anyhow::Result<Self> {
        Ok(Self {
            is_watched: has_terminal(),
            terminate: signal(SignalKind::terminate()).context("cannot catch SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot catch SIGINT")?,
            hangup: signal(SignalKind::hangup()).context("cannot catch SIGHUP")?,
        })
    }

    /// Returns at the next signal.
    async fn next(&mut self) -> Ordered {
        tokio::select! {
            // Cancel-safe: each recv only looks at a flag.
            biased;
            _ = self.terminate.recv() => info!("SIGTERM: ending"),
            _ = self.interrupt.recv() => info!("SIGINT: ending"),
            _ = self.hangup.recv() => {
                if self.is_watched && !has_terminal() {
                    info!("the terminal has gone: ending");
                    return Ordered::End;
                }
                info!("SIGHUP: reading the configuration again");
                return Ordered::ReadAgain;
            }
        }
        Ordered::End
    }

    /// Returns at the next signal that orders the end.
    async fn end(&mut self) {
        tokio::select! {
            // As above.
            _ = self.terminate.recv() => info!("SIGTERM: ending"),
            _ = self.interrupt.recv() => info!("SIGINT: ending"),
        }
    }

    /// From now on a second signal to end ends the process at once.
    fn leave_at_a_second(mut self) {
        tokio::spawn(async move {
            let since = Instant::now();
            loop {
                self.end().await;
                if since.elapsed() >= ONE_SIGNAL {
                    break;
                }
            }
            warn!("a second signal: leaving at once");
            std::process::exit(1);
        });
    }
}

/// Everything that runs, to be begun anew in part, and ended in order.
struct Running {
    setup: Setup,
    level: Verbosity,
    inbox: Inbox,
    clock: Arc<dyn Clock>,
    manager: Manager,
    edges: Edges,
    engine: JoinHandle<()>,
}

impl Running {
    /// Reads the configuration again, and brings it into force if it is in order.
    async fn reload(&mut self) -> anyhow::Result<()> {
        self.manager.reloading(self.clock.steady());
        let read = match self.read_again().await {
            Ok(setup) => self.take(setup).await,
            Err(mistake) => {
                let mistake = format!("{mistake:#}");
                error!("the old settings stay in force: {mistake}");
                Ok(self.inbox.record(Input::ConfigurationRead(Err(mistake))).await?)
            }
        };
        self.manager.reloaded();
        read
    }

    /// Reads the configuration on a thread of its own: a file on a share that hangs must hold nothing else up.
    async fn read_again(&self) -> anyhow::Result<Setup> {
        let setup = self.setup.clone();
        let reading = tokio::task::spawn_blocking(move || setup.again(&|name| std::env::var_os(name)));
        match timeout(CONFIG_PATIENCE, reading).await {
            Ok(read) => read?,
            Err(_) => bail!("it could not be read within {} s", CONFIG_PATIENCE.as_secs()),
        }
    }

    /// Puts settings in force: the edges that they concern end, the engine takes the rules, and the edges begin anew.
    ///
    /// In that order, so that nothing of the old settings comes after the new ones, and what the old edges leave undone
    /// is owed by the new ones.
    async fn take(&mut self, setup: Setup) -> anyhow::Result<()> {
        let (old, new) = (&self.setup.loaded.settings, &setup.loaded.settings);
        let stale = Stale::between(old, new);
        let reread = Reread { rules: Box::new(rules(&setup)), changed: changes(old, new) };
        let told = reread.sentence();
        self.edges.end(stale, new).await;
        self.inbox.record(Input::ConfigurationRead(Ok(reread))).await?;
        self.inbox.limit(limits(new)).await?;
        self.edges.begin(stale, new)?;
        self.inbox.hand_to(self.edges.hand_out(new), stale.resume()).await?;
        self.level.set(new.log_level);
        info!("{told}");
        setup.loaded.warnings.iter().for_each(|warning| warn!("{warning}"));
        warn_of_unserved(new);
        self.setup = setup;
        Ok(())
    }

    async fn end(mut self, engine_end: &mut oneshot::Receiver<()>) -> anyhow::Result<()> {
        self.manager.stopping();
        self.edges.stop_sampling();
        let said = timeout(LAST_RECORDS, self.inbox.record(Input::Leaving)).await;
        if let Ok(Ok(())) = said {
            self.edges.end_delivery().await;
        }
        let recorded = timeout(LAST_RECORDS, self.inbox.record(Input::Stopping)).await;
        if !matches!(recorded, Ok(Ok(()))) {
            bail!("the end could not be recorded in time; the next start will call it unclean");
        }
        // The engine ends by itself after that record; its checkpoint is only a cache.
        if timeout(LAST_RECORDS, engine_end).await.is_ok() && self.engine.join().is_err() {
            error!("the engine died at its very end; the log is complete");
        }
        Ok(())
    }
}
