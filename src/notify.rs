//! What the daemon tells the service manager that started it, as sd_notify(3) and sd_watchdog_enabled(3) have it.
//!
//! A message is one datagram of `KEY=value` lines to the socket that `NOTIFY_SOCKET` names; a name that begins with `@`
//! is an abstract one. Without the variable nobody listens, and nothing is sent.

use std::{
    ffi::OsString,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    select,
    sync::oneshot,
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::debug;

use crate::{clock::Clock, inbox::Inbox};

/// Time that the manager's socket may be full: it takes messages in at once, or is in trouble itself.
const SEND: Duration = Duration::from_secs(1);
/// Time that a start may take from its beginning: the fold of a log of years, on a slow disk, without its checkpoint.
const STARTING: Duration = Duration::from_secs(600);
/// Longest time between two words of a log that is written anew.
const WORD: Duration = Duration::from_secs(1);
/// Least time between two status lines.
const STATUS: Duration = Duration::from_secs(5);

/// The service manager, where there is one.
#[derive(Clone, Debug)]
pub struct Manager {
    address: Option<SocketAddr>,
    /// Time within which it wants to hear of us, if at all.
    watchdog: Option<Duration>,
    is_ready: Arc<AtomicBool>,
}

impl Manager {
    /// The manager that the environment names, for the process of this number.
    pub fn of(env: &dyn Fn(&str) -> Option<OsString>, pid: u32) -> Self {
        let address = env("NOTIFY_SOCKET").and_then(|name| match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
            [b'/', ..] => SocketAddr::from_pathname(&name).ok(),
            // Other kinds of sockets (vsock, of virtual machines) are for the manager itself.
            _ => None,
        });
        let number = |name: &str| env(name).and_then(|value| value.to_str()?.parse::<u64>().ok());
        // A child inherits the variables, but is not the one that is watched.
        let is_meant = env("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(pid.into());
        let watchdog = number("WATCHDOG_USEC").filter(|usec| *usec > 0 && is_meant);
        Self { address, watchdog: watchdog.map(Duration::from_micros), is_ready: Arc::default() }
    }

    /// The daemon begins, and its first sample may be a while off.
    pub fn starting(&self) {
        self.tell(&format!("STATUS=reading the log\nEXTEND_TIMEOUT_USEC={}", STARTING.as_micros()));
    }

    /// The whole log is being read, and a new one written: some of it is done. Until the daemon is ready the start may
    /// take longer for it; from then on the watchdog hears of it here, as the engine answers nobody meanwhile.
    pub fn rewriting(&self) {
        if !self.is_ready.load(Ordering::Acquire) {
            self.tell(&format!("STATUS=mending the log\nEXTEND_TIMEOUT_USEC={}", STARTING.as_micros()));
        } else if self.watchdog.is_some() {
            self.tell("WATCHDOG=1");
        }
    }

    /// Says so whenever it is called, but not too often.
    pub fn hears(&self, clock: Arc<dyn Clock>) -> impl Fn() + Send + Sync + 'static {
        let (manager, said) = (self.clone(), Mutex::new(None::<Duration>));
        let apart = self.watchdog.map_or(WORD, |watchdog| (watchdog / 3).min(WORD));
        move || {
            let now = clock.steady();
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.is_none_or(|said| now.saturating_sub(said) >= apart) {
                *said = Some(now);
                manager.rewriting();
            }
        }
    }

    /// The first sample is in the log.
    fn ready(&self, status: &str) {
        self.is_ready.store(true, Ordering::Release);
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// The configuration is being read again, at this moment of steady time.
    pub fn reloading(&self, steady: Duration) {
        if self.is_ready.load(Ordering::Acquire) {
            self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", steady.as_micros()));
        }
    }

    /// The configuration was read again, to whatever end. A start that is not ready yet stays so.
    pub fn reloaded(&self) {
        if self.is_ready.load(Ordering::Acquire) {
            self.tell("READY=1");
        }
    }

    /// The daemon is about to end.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=saying goodbye");
    }

    fn tell(&self, message: &str) {
        let Some(address) = &self.address else { return };
        let send = || -> io::Result<usize> {
            let socket = UnixDatagram::unbound()?;
            socket.set_write_timeout(Some(SEND))?;
            socket.send_to_addr(message.as_bytes(), address)
        };
        if let Err(error) = send() {
            // It misses us soon enough by itself.
            debug!(%error, "the service manager could not be told");
        }
    }
}

/// Says when the daemon is ready, and from then on how it is; feeds the watchdog by a round trip through the engine, so
/// that a stalled engine starves it, and nothing else does.
///
/// Returns when the engine has ended; at once where there is no manager.
pub async fn attend(manager: Manager, inbox: Inbox, first_sample: oneshot::Receiver<()>) {
    if manager.address.is_none() {
        return;
    }
    // Thrice within the time, so that one late round trip is not taken for a stall.
    let every = manager.watchdog.map_or(STATUS, |watchdog| watchdog / 3).max(Duration::from_millis(1));
    let mut rounds = interval(every);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut first_sample = Some(first_sample);
    let mut told = (String::new(), Instant::now());
    loop {
        // Cancel-safe: the next round is a moment, the first sample's channel is only looked at.
        let is_first = select! {
            recorded = recorded(&mut first_sample) => recorded,
            _ = rounds.tick() => false,
        };
        if is_first {
            first_sample = None;
        }
        let Ok(status) = inbox.pulse().await else { return };
        if is_first {
            manager.ready(&status);
            told = (status, Instant::now());
            continue;
        }
        if manager.watchdog.is_some() {
            manager.tell("WATCHDOG=1");
        }
        if first_sample.is_none() && status != told.0 && told.1.elapsed() >= STATUS {
            manager.tell(&format!("STATUS={status}"));
            told = (status, Instant::now());
        }
    }
}

/// Returns when the first sample is recorded; never where that was told already, or will not be.
async fn recorded(first_sample: &mut Option<oneshot::Receiver<()>>) -> bool {
    let Some(first) = first_sample else { return std::future::pending().await };
    match first.await {
        Ok(()) => true,
        // The engine has ended, or the sampler has: others say so.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(variables: &[(&str, &str)]) -> Manager {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        Manager::of(&find, 42)
    }

    #[test]
    fn the_watchdog_is_fed_only_by_the_process_it_watches() {
        let check = |variables: &[(&str, &str)], expected: Option<u64>| {
            assert_eq!(manager(variables).watchdog, expected.map(Duration::from_micros), "{variables:?}");
        };
        check(&[], None);
        check(&[("WATCHDOG_USEC", "30000000")], Some(30_000_000));
        check(&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "42")], Some(30_000_000));
        check(&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "43")], None);
        check(&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "me")], None);
        check(&[("WATCHDOG_USEC", "0")], None);
        check(&[("WATCHDOG_USEC", "soon")], None);
    }

    #[test]
    fn sockets_are_paths_or_abstract_names() {
        let name = format!("systembot-test-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        manager(&[("NOTIFY_SOCKET", &format!("@{name}"))]).stopping();
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"STOPPING=1\nSTATUS=saying goodbye");
        assert!(manager(&[("NOTIFY_SOCKET", "vsock:2:1234")]).address.is_none());
        assert!(manager(&[]).address.is_none());
    }
}
