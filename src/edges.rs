//! What is begun from the settings, and begun anew when they change while the daemon runs.
//!
//! To add one: a field in [`Edges`], its place in [`Stale`], an arm in `begin`, `end`, `ended` and `hand_out`.

use std::{
    path::PathBuf,
    sync::{Arc, mpsc as std_mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::bail;
use systembot_config::Settings;
use systembot_model::Effect;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tracing::{error, info};

use crate::{
    clock::Clock,
    collect::{self, Collectors},
    hand_out::{self, HandOut, UnderWay},
    inbox::{self, Inbox},
    sampler,
    supervise::{self, Supervision, output},
    transport::{
        bridge::{Bridge, Timeouts},
        drive::{Desk, ORDERS_MAX, Order, Pace, drive},
    },
};

/// Time for a transport to end: its own limit for what waits, the goodbye above all, is 5 s and comes first.
const FINISH: Duration = Duration::from_secs(6);

/// Which edges are to be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stale {
    pub(crate) sampling: bool,
    pub(crate) delivery: bool,
    pub(crate) services: bool,
}

impl Stale {
    /// All, as at a start.
    pub(crate) const ALL: Self = Self { sampling: true, delivery: true, services: true };

    /// Those whose settings differ.
    pub(crate) fn between(old: &Settings, new: &Settings) -> Self {
        Self {
            sampling: old.sample_interval != new.sample_interval
                || old.include_mounts != new.include_mounts
                || old.services != new.services,
            // The name is that of the bridge's queue.
            delivery: old.bridge != new.bridge || old.name != new.name,
            services: old.services != new.services,
        }
    }

    /// What of the effects that are owed has to be brought about by the edges that are begun anew.
    pub(crate) const fn resume(self) -> fn(&Effect) -> bool {
        match self.delivery {
            true => |effect| matches!(effect, Effect::Deliver(_)),
            false => |_| false,
        }
    }
}

/// The edges that run.
pub(crate) struct Edges {
    inbox: Inbox,
    clock: Arc<dyn Clock>,
    data_dir: PathBuf,
    under_way: UnderWay,
    sampling: Option<Sampling>,
    delivery: Option<Delivery>,
    /// Lives on when its services change: a start that is under way goes on with the settings it began with.
    supervision: Option<Supervision>,
    /// Those who look after the health of services.
    checks: Vec<tokio::task::JoinHandle<()>>,
}

/// The sampling thread.
struct Sampling {
    /// Ends it when dropped.
    stop: std_mpsc::Sender<()>,
    /// Closed when the thread ends, however it ends.
    ended: oneshot::Receiver<()>,
    /// Told once its first pass is recorded.
    first: Option<oneshot::Receiver<()>>,
    thread: JoinHandle<()>,
}

/// The task of the bridge.
struct Delivery {
    orders: mpsc::Sender<Order>,
    task: tokio::task::JoinHandle<()>,
}

impl Edges {
    /// None that runs yet.
    pub(crate) fn new(inbox: Inbox, clock: Arc<dyn Clock>, data_dir: PathBuf) -> Self {
        Self {
            inbox,
            clock,
            data_dir,
            under_way: UnderWay::default(),
            sampling: None,
            delivery: None,
            supervision: None,
            checks: Vec::new(),
        }
    }

    /// Begins those that are stale, with these settings.
    pub(crate) fn begin(&mut self, stale: Stale, settings: &Settings) -> anyhow::Result<()> {
        if stale.sampling {
            self.sampling = Some(self.begin_sampling(settings)?);
        }
        if stale.delivery {
            self.delivery = self.begin_delivery(settings)?;
        }
        if stale.services {
            self.begin_services(settings)?;
        }
        Ok(())
    }

    /// Ends those that are stale: they finish what is under way, and deliver what they can in a few seconds.
    ///
    /// May be dropped at any moment: what has not ended yet is still there.
    pub(crate) async fn end(&mut self, stale: Stale, new: &Settings) {
        if stale.delivery {
            self.end_delivery().await;
        }
        if stale.sampling {
            self.end_sampling().await;
        }
        if stale.services {
            self.checks.drain(..).for_each(|check| check.abort());
            // Before the engine takes the new settings, and orders a start by them at once.
            if let Some(supervision) = &self.supervision {
                supervision.watch(new.services.clone());
            }
        }
    }

    /// Takes no more samples, without waiting for a pass that is under way.
    pub(crate) fn stop_sampling(&mut self) {
        let Some(Sampling { stop, thread, .. }) = self.sampling.take() else { return };
        drop(stop);
        if thread.is_finished() && thread.join().is_err() {
            error!("the sampler had died");
        }
    }

    /// Hands over what waits, a goodbye above all, and ends the transport.
    pub(crate) async fn end_delivery(&mut self) {
        let Some(delivery) = &mut self.delivery else { return };
        // A transport that has ended already has nothing to finish.
        let _ = delivery.orders.send(Order::Finish).await;
        if timeout(FINISH, &mut delivery.task).await.is_err() {
            info!("not everything could be delivered before the end");
            delivery.task.abort();
        }
        self.delivery = None;
    }

    /// Returns with its name when one has died.
    pub(crate) async fn ended(&mut self) -> &'static str {
        // Cancel-safe: each only looks whether something has ended.
        tokio::select! {
            () = sampling_ended(&mut self.sampling) => "sampler",
            () = delivery_ended(&mut self.delivery) => "bridge's task",
            () = supervision_ended(&mut self.supervision) => "supervisor",
        }
    }

    /// What is told once the first pass is recorded; `None` where that was taken already.
    pub(crate) fn first_sample(&mut self) -> Option<oneshot::Receiver<()>> {
        self.sampling.as_mut()?.first.take()
    }

    /// Hands effects to the edges that run now.
    pub(crate) fn hand_out(&self, settings: &Settings) -> inbox::HandOut {
        let orders = self.delivery.as_ref().map(|delivery| delivery.orders.clone());
        let starts = self.supervision.as_ref().map(|supervision| supervision.orders().clone());
        let ends = hand_out::Ends { orders, starts, inbox: self.inbox.clone() };
        let mut hand_out = HandOut::new(settings, ends, self.under_way.clone());
        Box::new(move |effect| hand_out.take(effect))
    }

    fn begin_sampling(&self, settings: &Settings) -> anyhow::Result<Sampling> {
        let options = collect::Options {
            include_mounts: settings.include_mounts.clone(),
            services: settings.services.clone(),
            outputs_dir: Some(output::dir_of(&self.data_dir)),
            log_dir: Some(self.data_dir.join("log")),
            statvfs_deadline: collect::statvfs_deadline(settings.sample_interval),
            ..collect::Options::default()
        };
        let (interval, clock, inbox) =
            (settings.sample_interval, Arc::clone(&self.clock), self.inbox.clone());
        let (stop, stopped) = std_mpsc::channel();
        let (alive, ended) = oneshot::channel::<()>();
        let (first, first_recorded) = oneshot::channel();
        let thread = thread::Builder::new().name("sampler".into()).spawn(move || {
            let _alive = alive;
            let collectors = Collectors::new(options, Arc::clone(&clock));
            let ends = sampler::Ends { stop: stopped, first };
            sampler::run(collectors, interval, &clock, &inbox, ends);
        })?;
        Ok(Sampling { stop, ended, first: Some(first_recorded), thread })
    }

    fn begin_delivery(&self, settings: &Settings) -> anyhow::Result<Option<Delivery>> {
        let Some(bridge) = &settings.bridge else { return Ok(None) };
        let transport = Bridge::new(bridge.url.expose(), &settings.name, Timeouts::default())?;
        let (orders, ordered) = mpsc::channel(ORDERS_MAX);
        let desk = Desk { orders: ordered, inbox: self.inbox.clone(), clock: Arc::clone(&self.clock) };
        let task = tokio::spawn(drive(transport, desk, Pace::new(bridge.poll_interval)));
        Ok(Some(Delivery { orders, task }))
    }

    fn begin_services(&mut self, settings: &Settings) -> anyhow::Result<()> {
        let services = &settings.services;
        if self.supervision.is_none() {
            let (inbox, clock) = (self.inbox.clone(), Arc::clone(&self.clock));
            self.supervision = Some(Supervision::begin(services.clone(), &self.data_dir, inbox, clock)?);
        }
        self.checks = supervise::watch_health(services, &self.inbox);
        Ok(())
    }

    /// Waits for a pass that is under way: none of the old settings may come after the new ones.
    async fn end_sampling(&mut self) {
        let Some(sampling) = &mut self.sampling else { return };
        // Its other end is gone with this: the thread ends after its pass.
        sampling.stop = std_mpsc::channel().0;
        let _closed = (&mut sampling.ended).await;
        self.stop_sampling();
    }
}

async fn sampling_ended(sampling: &mut Option<Sampling>) {
    match sampling {
        // How it ended is told by the thread itself.
        Some(sampling) => drop((&mut sampling.ended).await),
        None => std::future::pending().await,
    }
}

/// Returns when the transport's task has ended; never where there is none.
async fn delivery_ended(delivery: &mut Option<Delivery>) {
    match delivery {
        // How it ended is told by the task itself.
        Some(delivery) => drop((&mut delivery.task).await),
        None => std::future::pending().await,
    }
}

async fn supervision_ended(supervision: &mut Option<Supervision>) {
    match supervision {
        Some(supervision) => supervision.ended().await,
        None => std::future::pending().await,
    }
}

/// What is said when a part has died: a supervisor starts the daemon again, whole.
pub(crate) fn died(part: &str) -> anyhow::Result<()> {
    bail!("the {part} died; the log is intact, start again")
}
