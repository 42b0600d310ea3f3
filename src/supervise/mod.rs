//! Starts watched services that died, and sees each start through to its end.
//!
//! A thread of its own takes orders from the engine, one at a time for each service, and reports how each ended. It
//! looks before it starts anything, waits until the service is found by its own criterion, ends what has not come up
//! within its grace, takes note of those that end later, and keeps their output files short.

mod check;
mod launch;
pub(crate) mod output;
mod remains;
mod start;

use std::{
    path::{Path, PathBuf},
    process::Child,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use systembot_model::{Input, decide::Finished, effect::Start, rules::Service, service::Outcome};
use tokio::sync::oneshot;
use tracing::{debug, warn};

pub use self::check::watch as watch_health;
use self::{output::Outputs, start::Starting};
use crate::{clock::Clock, collect::Roots, inbox::Inbox};

/// Time between two looks while something is being started.
const BUSY: Duration = Duration::from_millis(100);
/// Time between two looks at what was started, and at its output.
const CALM: Duration = Duration::from_secs(1);

/// What the supervisor is told.
#[derive(Debug)]
pub enum Order {
    /// Start a service.
    Start(Start),
    /// These are the services from now on.
    Services(Vec<Service>),
}

/// What every part of it needs.
struct World {
    roots: Roots,
    clock: Arc<dyn Clock>,
    data_dir: PathBuf,
}

/// The supervisor's thread, and the way to it.
#[derive(Debug)]
pub struct Supervision {
    orders: mpsc::Sender<Order>,
    /// Closed when the thread ends, however it ends.
    ended: oneshot::Receiver<()>,
}

impl Supervision {
    /// Begins to supervise; the thread ends once every sender of orders is dropped, and leaves running what runs.
    ///
    /// # Errors
    /// That no thread can be started.
    pub fn begin(
        services: Vec<Service>,
        data_dir: &Path,
        inbox: Inbox,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let (orders, ordered) = mpsc::channel();
        let (alive, ended) = oneshot::channel::<()>();
        let world = World { roots: Roots::default(), clock, data_dir: data_dir.to_owned() };
        thread::Builder::new().name("supervisor".into()).spawn(move || {
            let _alive = alive;
            Supervisor::new(world, services, inbox).run(&ordered);
        })?;
        Ok(Self { orders, ended })
    }

    /// Where orders go.
    #[must_use]
    pub const fn orders(&self) -> &mpsc::Sender<Order> {
        &self.orders
    }

    /// Looks after other services from now on.
    pub fn watch(&self, services: Vec<Service>) {
        // One that has died takes the daemon down.
        let _ = self.orders.send(Order::Services(services));
    }

    /// Returns once the thread has ended.
    pub async fn ended(&mut self) {
        // How it ended is told by the thread itself.
        let _closed = (&mut self.ended).await;
    }
}

struct Supervisor {
    world: World,
    services: Vec<Service>,
    inbox: Inbox,
    starting: Vec<Starting>,
    /// Programs that were started and are children of this process: they are waited for when they end.
    children: Vec<Child>,
    outputs: Outputs,
}

impl Supervisor {
    fn new(world: World, services: Vec<Service>, inbox: Inbox) -> Self {
        let outputs = Outputs::new(&world.data_dir);
        Self { world, services, inbox, starting: Vec::new(), children: Vec::new(), outputs }
    }

    fn run(mut self, orders: &mpsc::Receiver<Order>) {
        loop {
            let order = match self.pause() {
                Some(pause) => orders.recv_timeout(pause),
                None => orders.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
            };
            match order {
                Ok(Order::Start(start)) => self.begin(start),
                Ok(Order::Services(services)) => self.services = services,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            self.go_on();
        }
    }

    /// How long nothing needs to be looked at.
    fn pause(&self) -> Option<Duration> {
        if !self.starting.is_empty() || self.outputs.is_growing() {
            return Some(BUSY);
        }
        (!self.children.is_empty() || !self.outputs.is_empty()).then_some(CALM)
    }

    fn begin(&mut self, start: Start) {
        let settings = self.services.iter().find(|service| service.name == start.service).cloned();
        let Some(settings) = settings else {
            let reason = "the configuration names it no more".to_owned();
            self.report(Finished {
                service: start.service,
                ordered: start.ordered,
                outcome: Outcome::Failed(reason),
                seen: None,
                output: String::new(),
            });
            return;
        };
        let others = self.services.iter().filter(|other| other.name != settings.name).cloned().collect();
        self.starting.push(Starting::new(&self.world, settings, others, start));
    }

    fn go_on(&mut self) {
        for mut start in std::mem::take(&mut self.starting) {
            // One that was renamed, or taken out and put back, may be on its way already: it has its turn first.
            if self.starting.iter().any(|earlier| earlier.is_of_one_with(&start)) {
                self.starting.push(start);
                continue;
            }
            match start.go_on(&self.world, &mut self.outputs) {
                None => self.starting.push(start),
                Some((finished, child)) => {
                    self.children.extend(child);
                    self.report(finished);
                }
            }
        }
        // What cannot be waited for is gone already.
        self.children.retain_mut(|child| match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                debug!(pid = child.id(), %status, "a program that was started has ended");
                false
            }
            Err(_) => false,
        });
        self.outputs.trim();
    }

    fn report(&self, finished: Finished) {
        // The engine has ended: the next run closes the start as unknown.
        if self.inbox.put(Input::RestartFinished(finished)).is_err() {
            warn!("the end of a start came too late to be recorded");
        }
    }
}
