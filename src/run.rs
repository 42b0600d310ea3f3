//! `systembot run`: the daemon, from its start to its end.

use std::{
    fs::{self, DirBuilder},
    io::Write,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc as std_mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, bail};
use systembot_cli::Setup;
use systembot_config::Settings;
use systembot_model::{Address, Effect, Input, effect::Start};
use systembot_storage::remote::Client;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use tracing::{error, info, warn};

use crate::{
    address,
    clock::{Clock, SystemClock},
    collect::{self, Collectors},
    control::ControlSocket,
    engine::Engine,
    inbox::Inbox,
    logging, sampler, supervise,
    transport::{
        bridge::{Bridge, Timeouts},
        drive::{Desk, ORDERS_MAX, Order, Pace, drive},
    },
};

/// What a run needs to know.
#[derive(Debug)]
pub struct Run {
    /// Everything that is set.
    pub settings: Settings,
    /// The file it was read from.
    pub config: Option<PathBuf>,
    /// Where the log lies, or shall lie.
    pub data_dir: PathBuf,
    /// What the owner should know of the file, a line each.
    pub warnings: Vec<String>,
}

impl Run {
    /// The run of the configuration in force.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let warnings = setup.loaded.warnings.iter().map(ToString::to_string).collect();
        Self { settings: setup.loaded.settings, config: setup.config, data_dir: setup.data_dir, warnings }
    }
}

/// Time for the goodbye to reach its destinations.
const GOODBYE: Duration = Duration::from_secs(5);
/// Time for the engine to record what is under way when the daemon ends; a stalled disk gets no more.
const LAST_RECORDS: Duration = Duration::from_secs(5);
/// Time that a passing reader of the log gets to finish before a start gives up.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// Processes read for "top processes": the most that can be asked for.
const PROCESSES_READ: usize = 50;

/// Runs the daemon until SIGTERM, SIGINT or SIGHUP.
///
/// # Errors
/// One line: a data directory that cannot be made or is in use, a log that cannot be opened, a thread that died.
pub fn run(run: Run) -> anyhow::Result<()> {
    logging::begin(run.settings.log_level);
    // A second call only says that one is installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start")?;
    // Before the first record: from then on an end by a signal is one in good order.
    let signals = runtime.block_on(async { Signals::catch() })?;
    let ended = serve(&run, &runtime, signals);
    // A name that is still being looked up would be waited for, and nobody wants the answer any more.
    runtime.shutdown_background();
    ended
}

/// Everything between the start and the end.
fn serve(run: &Run, runtime: &Runtime, signals: Signals) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    make_private(&run.data_dir)
        .with_context(|| format!("cannot make the data directory {}", run.data_dir.display()))?;
    let mut engine = open(&run.data_dir, &clock)?;
    // Not before: a start that is refused says why in one line.
    introduce(run);
    let (inbox, ends) = Inbox::new();
    let mut effects = engine.owed();
    let starting = Input::Starting {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config: run.config.as_ref().map(|path| path.display().to_string()),
        rules: Box::new(run.settings.rules()),
    };
    effects.extend(engine.step(&starting).context("cannot write the log")?);
    let sampling = begin_sampling(run, &clock, inbox.clone())?;
    let socket_path = run.data_dir.join("control.sock");
    let socket = ControlSocket::listen(&socket_path, inbox.clone())
        .with_context(|| format!("cannot listen on {}", socket_path.display()))?;

    let ended = runtime.block_on(async {
        let (orders, driving) = begin_transport(&run.settings, &inbox, &clock)?;
        let services = run.settings.services.clone();
        let (starts, _supervisor) = supervise::begin(services, &run.data_dir, inbox.clone(), Arc::clone(&clock))?;
        let _checks = supervise::watch_health(&run.settings.services, &inbox);
        let mut hand_out = HandOut::new(&run.settings, orders.clone(), starts, inbox.clone());
        let (engine_ended, mut engine_end) = oneshot::channel();
        let handle = Handle::current();
        let engine = thread::Builder::new().name("engine".into()).spawn(move || {
            // On this thread, which may wait until the transport takes what is owed.
            effects.into_iter().for_each(|effect| hand_out.take(effect));
            engine.run(ends, &handle, |effect| hand_out.take(effect));
            // Whoever supervises may be gone already.
            let _ = engine_ended.send(());
        })?;
        info!(
            interval_s = run.settings.sample_interval.as_secs_f64(),
            "watching; the log lies in {}",
            run.data_dir.display()
        );
        let mut running = Running { inbox: inbox.clone(), orders, driving, sampling, engine };
        // Cancel-safe: a signal that is not waited for stays noted by its stream, the others only look whether
        // something has ended. A part that dies takes the daemon down: a supervisor starts it again, whole.
        tokio::select! {
            biased;
            _ = &mut engine_end => { bail!("the engine died; the log is intact, start again") }
            _ = &mut running.sampling.ended => { bail!("the sampler died; the log is intact, start again") }
            () = transport_ended(&mut running.driving) => { bail!("the bridge's task died; the log is intact, start again") }
            () = signals.terminated() => running.end(&mut engine_end).await
        }
    });
    drop(socket);
    ended
}

/// Warns of the configuration; where there is none, says what it does, where its log lies and what to type next.
fn introduce(run: &Run) {
    let mut stderr = std::io::stderr();
    for warning in &run.warnings {
        // A closed stderr is no reason not to run.
        let _ = writeln!(stderr, "systembot: {warning}");
    }
    if run.settings.xmpp.is_some() {
        warn!("[xmpp] is understood, but this version does not serve it: chat goes by [bridge] alone");
    }
    if run.config.is_some() {
        return;
    }
    let text = format!(
        "systembot samples this machine every {} s, remembers everything, and shows alerts here; no configuration is needed.\n\
         Its log lies in {}; stop it with Ctrl-C, nothing is lost.\n\
         Type in another shell: systembot status; systembot history load1 --since 5m --chart; systembot ask \"top processes\"\n",
        run.settings.sample_interval.as_secs_f64(),
        run.data_dir.display()
    );
    // Nor is it here.
    let _ = stderr.write_all(text.as_bytes());
}

/// Opens the log; waits for a passing reader, but not for another daemon.
fn open(data_dir: &Path, clock: &Arc<dyn Clock>) -> anyhow::Result<Engine> {
    let began = clock.steady();
    loop {
        match Engine::open(data_dir, Arc::clone(clock)) {
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

/// The sampling thread, and what ends it when dropped.
struct Sampling {
    stop: std_mpsc::Sender<()>,
    /// Closed when the thread ends, however it ends.
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

fn begin_sampling(run: &Run, clock: &Arc<dyn Clock>, inbox: Inbox) -> anyhow::Result<Sampling> {
    let options = collect::Options {
        include_mounts: run.settings.include_mounts.clone(),
        services: run.settings.services.clone(),
        log_dir: Some(run.data_dir.join("log")),
        statvfs_deadline: collect::statvfs_deadline(run.settings.sample_interval),
        ..collect::Options::default()
    };
    let (interval, clock) = (run.settings.sample_interval, Arc::clone(clock));
    let (stop, stopped) = std_mpsc::channel();
    let (alive, ended) = oneshot::channel::<()>();
    let thread = thread::Builder::new().name("sampler".into()).spawn(move || {
        let _alive = alive;
        let collectors = Collectors::new(options, Arc::clone(&clock));
        sampler::run(collectors, interval, &clock, &inbox, &stopped);
    })?;
    Ok(Sampling { stop, ended, thread })
}

type Orders = Option<mpsc::Sender<Order>>;
type Driving = Option<tokio::task::JoinHandle<()>>;

fn begin_transport(
    settings: &Settings,
    inbox: &Inbox,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<(Orders, Driving)> {
    let Some(bridge) = &settings.bridge else { return Ok((None, None)) };
    let transport = Bridge::new(bridge.url.expose(), &settings.name, Timeouts::default())?;
    let (orders, ordered) = mpsc::channel(ORDERS_MAX);
    let desk = Desk { orders: ordered, inbox: inbox.clone(), clock: Arc::clone(clock) };
    let driving = tokio::spawn(drive(transport, desk, Pace::new(bridge.poll_interval)));
    Ok((Some(orders), Some(driving)))
}

/// Returns when the transport's task has ended; never where there is none.
async fn transport_ended(driving: &mut Driving) {
    match driving {
        // How it ended is told by the task itself.
        Some(task) => drop(task.await),
        None => std::future::pending().await,
    }
}

/// Hands effects to whoever brings them about.
struct HandOut {
    orders: Orders,
    starts: std_mpsc::Sender<supervise::Order>,
    inbox: Inbox,
    runtime: Handle,
    address_url: String,
    is_fetching: Arc<AtomicBool>,
    is_reading: Arc<AtomicBool>,
}

impl HandOut {
    fn new(
        settings: &Settings,
        orders: Orders,
        starts: std_mpsc::Sender<supervise::Order>,
        inbox: Inbox,
    ) -> Self {
        Self {
            orders,
            starts,
            inbox,
            runtime: Handle::current(),
            address_url: settings.public_address.url.expose().to_owned(),
            is_fetching: Arc::default(),
            is_reading: Arc::default(),
        }
    }

    fn take(&mut self, effect: Effect) {
        match effect {
            Effect::Deliver(owed) if owed.message.to == Address::bridge() => self.order(Order::Deliver(owed)),
            // Nobody serves this address in this run; it stays owed until a start drops it.
            Effect::Deliver(_) => {}
            Effect::Forget(messages) => self.order(Order::Forget(messages)),
            Effect::FetchAddress => self.fetch_address(),
            Effect::ReadProcesses(_) => self.read_processes(),
            Effect::Start(start) => self.start(start),
            Effect::Show(text) => warn!("{text}"),
        }
    }

    fn start(&self, start: Start) {
        // A supervisor that has ended takes the daemon down, and the next run closes the start as unknown.
        let _ = self.starts.send(supervise::Order::Start(start));
    }

    fn order(&self, order: Order) {
        // A transport that has ended owes nothing any more; the outbox is in the log.
        if let Some(orders) = &self.orders {
            let _ = orders.blocking_send(order);
        }
    }

    /// One fetch answers everybody who asked before it came.
    fn fetch_address(&self) {
        if self.is_fetching.swap(true, Ordering::AcqRel) {
            return;
        }
        let (url, inbox, is_fetching) =
            (self.address_url.clone(), self.inbox.clone(), Arc::clone(&self.is_fetching));
        self.runtime.spawn(async move {
            let result = address::fetch(&url).await.map_err(|error| error.to_string());
            is_fetching.store(false, Ordering::Release);
            // The engine has ended: nobody waits.
            let _ = inbox.record(Input::AddressFetched(result)).await;
        });
    }

    /// One reading answers everybody who asked before it came.
    fn read_processes(&self) {
        if self.is_reading.swap(true, Ordering::AcqRel) {
            return;
        }
        let (inbox, is_reading) = (self.inbox.clone(), Arc::clone(&self.is_reading));
        let spawned = thread::Builder::new().name("processes".into()).spawn(move || {
            let clock = SystemClock;
            let mut wait = |span| clock.wait(span);
            let processes =
                collect::top_processes(&collect::Roots::default(), &clock, PROCESSES_READ, &mut wait);
            is_reading.store(false, Ordering::Release);
            // The engine has ended: nobody waits.
            let _ = inbox.put(Input::ProcessesRead(processes));
        });
        if let Err(error) = spawned {
            self.is_reading.store(false, Ordering::Release);
            error!(%error, "the process table cannot be read");
        }
    }
}

/// Makes the data directory for its owner alone. One that was there is closed to others too, if nothing else is in it.
fn make_private(dir: &Path) -> std::io::Result<()> {
    const OURS: [&str; 5] = ["log", "checkpoint", "checkpoint.new", "control.sock", "services"];
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let is_ours = |entry: std::io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| OURS.iter().any(|name| entry.file_name() == *name))
    };
    if fs::metadata(dir)?.permissions().mode() & 0o077 != 0 && fs::read_dir(dir)?.all(is_ours) {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Time within which signals are one and the same: `timeout` sends its own to the process and to its group.
const ONE_SIGNAL: Duration = Duration::from_millis(500);

/// The signals that end the daemon, caught from the moment this is made.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn catch() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot catch SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot catch SIGINT")?,
            hangup: signal(SignalKind::hangup()).context("cannot catch SIGHUP")?,
        })
    }

    /// Returns at the first signal; a second one ends the process at once.
    async fn terminated(mut self) {
        tokio::select! {
            // Cancel-safe: each recv only looks at a flag.
            _ = self.terminate.recv() => info!("SIGTERM: ending"),
            _ = self.interrupt.recv() => info!("SIGINT: ending"),
            _ = self.hangup.recv() => info!("SIGHUP: ending"),
        }
        tokio::spawn(async move {
            let since = Instant::now();
            loop {
                tokio::select! {
                    // As above.
                    _ = self.terminate.recv() => {}
                    _ = self.interrupt.recv() => {}
                }
                if since.elapsed() >= ONE_SIGNAL {
                    break;
                }
            }
            warn!("a second signal: leaving at once");
            std::process::exit(1);
        });
    }
}

/// Everything that runs, to be ended in order.
struct Running {
    inbox: Inbox,
    orders: Orders,
    driving: Driving,
    sampling: Sampling,
    engine: JoinHandle<()>,
}

impl Running {
    async fn end(self, engine_end: &mut oneshot::Receiver<()>) -> anyhow::Result<()> {
        drop(self.sampling.stop);
        let said = timeout(LAST_RECORDS, self.inbox.record(Input::Leaving)).await;
        if let (Ok(Ok(())), Some(orders), Some(driving)) = (said, &self.orders, self.driving) {
            // A transport that has ended already has nothing to finish.
            let _ = orders.send(Order::Finish).await;
            if timeout(GOODBYE, driving).await.is_err() {
                info!("the goodbye could not be delivered");
            }
        }
        let recorded = timeout(LAST_RECORDS, self.inbox.record(Input::Stopping)).await;
        if !matches!(recorded, Ok(Ok(()))) {
            bail!("the end could not be recorded in time; the next start will call it unclean");
        }
        // The engine ends by itself after that record; its checkpoint is only a cache.
        if timeout(LAST_RECORDS, engine_end).await.is_ok() && self.engine.join().is_err() {
            error!("the engine died at its very end; the log is complete");
        }
        if self.sampling.thread.is_finished() && self.sampling.thread.join().is_err() {
            error!("the sampler had died");
        }
        Ok(())
    }
}
