//! A chat line answered without a daemon: from the log, and from a fresh reading where it is about now.

use std::{sync::Arc, time::Duration};

use systembot_cli::{Answer, Asked};
use systembot_config::Settings;
use systembot_model::{
    Address, Event, Input, LocalTime, Question, Record, State,
    command::{self, Reply},
    decide,
};

use crate::{
    address,
    clock::{Clock, SystemClock},
    collect::{self, Collectors, Roots},
};

/// Time between the two readings that the CPU series need.
const BETWEEN_READINGS: Duration = Duration::from_millis(250);

/// Answers a line for somebody at a shell; what it orders (`ack`, `mute`) is recorded where there is a log.
///
/// # Errors
/// Those of the log, and of the network's start for the public address.
pub fn ask(asked: Asked<'_>) -> anyhow::Result<Answer> {
    let Asked { mut opened, setup, text, now } = asked;
    let settings = &setup.loaded.settings;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let recorded = match &opened {
        Some(opened) => opened.state.clone(),
        None => State { rules: settings.rules(), ..State::default() },
    };
    let state = refreshed(recorded.clone(), &clock);
    let now = LocalTime { at: clock.now(), ..now };
    let answer = command::answer(&state, &now, &Address::console(), text);
    let mut events = answer.events;
    let (text, understood) = match answer.reply {
        Reply::Text(text) => (text, true),
        Reply::NotUnderstood(text) => (text, false),
        Reply::Later(Question::Processes(count)) => {
            let (roots, count_max) = (Roots::default(), usize::from(count));
            let processes =
                collect::top_processes(&roots, clock.as_ref(), count_max, &mut |span| clock.wait(span));
            (command::top_processes(&state, &now, &processes, count), true)
        }
        Reply::Later(Question::PublicAddress) => {
            let result = fetch_address(settings)?;
            let text = command::public_address(&state, &now, &result);
            events.extend(decide(&recorded, &now, Input::AddressFetched(result)));
            (text, true)
        }
    };
    if let (Some(opened), false) = (&mut opened, events.is_empty()) {
        for record in opened.log.append(clock.now(), events)?.records {
            opened.state.apply(&record);
        }
    }
    Ok(Answer { text, understood })
}

fn fetch_address(settings: &Settings) -> anyhow::Result<Result<std::net::IpAddr, String>> {
    // A second call only says that one is installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let fetched = runtime.block_on(address::fetch(settings.public_address.url.expose()));
    // A name that is still being looked up would be waited for.
    runtime.shutdown_background();
    Ok(fetched.map_err(|error| error.to_string()))
}

/// The recorded state with a fresh pass folded in, which is not recorded: no daemon watches.
///
/// It looks for what the settings of the log name, not for those of whoever asks.
fn refreshed(mut state: State, clock: &Arc<dyn Clock>) -> State {
    let options = collect::Options {
        include_mounts: state.rules.include_mounts.clone(),
        services: state.rules.services.clone(),
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
    let missing = std::mem::take(&mut state.missing);
    let since = |service: &str| missing.get(service).copied().unwrap_or(at);
    state.missing = pass.missing.into_iter().map(|service| (service.clone(), since(&service))).collect();
    state.notes = pass.notes.into_iter().map(|note| (note.subject, note.text)).collect();
    state.run.is_on = false;
    state
}
