//! A chat line answered without a daemon: from the log, and from a fresh reading where it is about now.

use std::{path::Path, sync::Arc, time::Duration};

use systembot_config::Settings;
use systembot_model::{
    Address, Event, Question, Record, State,
    command::{self, Reply},
};
use systembot_storage::Log;

use crate::{
    address,
    clock::{Clock, SystemClock},
    collect::{self, Collectors},
    inbox::{Answered, in_zone},
};

/// Time between the two readings that the CPU series need.
const BETWEEN_READINGS: Duration = Duration::from_millis(250);

/// Answers a line for somebody at a shell; what it orders (`ack`, `mute`) is recorded where there is a log.
///
/// # Errors
/// Those of the log, and of the network's start for the public address.
pub fn ask(
    data_dir: &Path,
    settings: &Settings,
    text: &str,
    zone: Option<(i32, String)>,
) -> anyhow::Result<Answered> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let log_dir = data_dir.join("log");
    // A question alone does not begin a log.
    let mut log = if log_dir.exists() { Some(Log::open(&log_dir)?) } else { None };
    let recorded = match &log {
        Some(log) => log.load_state()?,
        None => State { rules: settings.rules(), ..State::default() },
    };
    let state = refreshed(recorded.clone(), settings, &clock);
    let now = in_zone(clock.local(), zone);
    let answer = command::answer(&state, &now, &Address::console(), text);
    if let (Some(log), false) = (&mut log, answer.events.is_empty()) {
        log.append(now.at, answer.events)?;
    }
    let text = match answer.reply {
        Reply::Text(text) => text,
        Reply::NotUnderstood(text) => return Ok(Answered { text, understood: false }),
        Reply::Later(Question::Processes(count)) => {
            let (roots, count) = (collect::Roots::default(), usize::from(count));
            let processes =
                collect::top_processes(&roots, clock.as_ref(), count, &mut |span| clock.wait(span));
            command::top_processes(&state, &in_zone(clock.local(), None), &processes, count)
        }
        Reply::Later(Question::PublicAddress) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            // A second call only says that one is installed.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let result = runtime
                .block_on(address::fetch(settings.public_address.url.expose()))
                .map_err(|error| error.to_string());
            let fetched = Event::AddressFetched {
                address: result.as_ref().ok().copied(),
                problem: result.clone().err(),
            };
            if let Some(log) = &mut log {
                log.append(clock.now(), vec![fetched])?;
            }
            command::public_address(&state, &now, &result)
        }
    };
    Ok(Answered { text, understood: true })
}

/// The recorded state with two fresh passes folded in, which are not recorded: no daemon watches.
fn refreshed(mut state: State, settings: &Settings, clock: &Arc<dyn Clock>) -> State {
    let options = collect::Options {
        include_mounts: settings.include_mounts.clone(),
        services: settings.services.clone(),
        ..collect::Options::default()
    };
    let mut collectors = Collectors::new(options, Arc::clone(clock));
    collectors.collect();
    clock.wait(BETWEEN_READINGS);
    let pass = collectors.collect();
    let at = clock.now();
    for event in [Event::Described(pass.host), Event::Sampled(pass.sample)] {
        state.apply(&Record { seq: state.seq.next(), at, event });
    }
    state
}
