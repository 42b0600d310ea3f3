//! Effects handed to whoever brings them about.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc as std_mpsc,
    },
    thread,
};

use systembot_config::Settings;
use systembot_model::{Address, Effect, Input, effect::Start, outbox::Owed};
use tokio::{runtime::Handle, sync::mpsc};
use tracing::{error, warn};

use crate::{
    address,
    clock::{Clock, SystemClock},
    collect,
    inbox::Inbox,
    supervise,
    transport::drive::Order,
};

/// Processes read for "top processes": the most that can be asked for.
const PROCESSES_READ: usize = 50;

/// What is under way, whoever hands effects out: one fetch or reading answers everybody who asked before it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnderWay {
    is_fetching: Arc<AtomicBool>,
    is_reading: Arc<AtomicBool>,
}

/// Where effects go.
pub(crate) struct Ends {
    pub(crate) orders: Option<mpsc::Sender<Order>>,
    pub(crate) starts: Option<std_mpsc::Sender<supervise::Order>>,
    pub(crate) inbox: Inbox,
}

/// Hands effects out, with the settings of one moment.
pub(crate) struct HandOut {
    ends: Ends,
    runtime: Handle,
    address_url: String,
    under_way: UnderWay,
}

impl HandOut {
    /// Needs the runtime that fetches, so it is made on it.
    pub(crate) fn new(settings: &Settings, ends: Ends, under_way: UnderWay) -> Self {
        let address_url = settings.public_address.url.expose().to_owned();
        Self { ends, runtime: Handle::current(), address_url, under_way }
    }

    pub(crate) fn take(&mut self, effect: Effect) {
        match effect {
            Effect::Deliver(owed) if owed.message.to == Address::bridge() => self.order(Order::Deliver(owed)),
            // Nobody serves this address in this run; it stays owed until a start drops it.
            Effect::Deliver(_) => {}
            Effect::Forget(messages) => self.order(Order::Forget(messages)),
            Effect::Renumber(recorded) => {
                let is_ours = |owed: &Owed| owed.message.to == Address::bridge();
                self.order(Order::Renumber(recorded.into_iter().filter(|(_, owed)| is_ours(owed)).collect()));
            }
            Effect::FetchAddress => self.fetch_address(),
            Effect::ReadProcesses(_) => self.read_processes(),
            Effect::Start(start) => self.start(start),
            Effect::Show { seq, alert, text } if seq.is_provisional() => warn!(alert, "{text}"),
            Effect::Show { seq, alert, text } => warn!(seq = seq.get(), alert, "{text}"),
        }
    }

    fn start(&self, start: Start) {
        // A supervisor that has died takes the daemon down, and the next run closes the start as unknown.
        if let Some(starts) = &self.ends.starts {
            let _ = starts.send(supervise::Order::Start(start));
        }
    }

    fn order(&self, order: Order) {
        // A transport that has ended owes nothing any more; the outbox is in the log.
        if let Some(orders) = &self.ends.orders {
            let _ = orders.blocking_send(order);
        }
    }

    fn fetch_address(&self) {
        if self.under_way.is_fetching.swap(true, Ordering::AcqRel) {
            return;
        }
        let (url, inbox) = (self.address_url.clone(), self.ends.inbox.clone());
        let is_fetching = Arc::clone(&self.under_way.is_fetching);
        self.runtime.spawn(async move {
            let result = address::fetch(&url).await.map_err(|error| error.to_string());
            is_fetching.store(false, Ordering::Release);
            // The engine has ended: nobody waits.
            let _ = inbox.record(Input::AddressFetched(result)).await;
        });
    }

    fn read_processes(&self) {
        if self.under_way.is_reading.swap(true, Ordering::AcqRel) {
            return;
        }
        let (inbox, is_reading) = (self.ends.inbox.clone(), Arc::clone(&self.under_way.is_reading));
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
            self.under_way.is_reading.store(false, Ordering::Release);
            error!(%error, "the process table cannot be read");
        }
    }
}
