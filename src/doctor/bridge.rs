//! The ways out: the message bridge, asked in a way that takes no command off it, and the address service.
//!
//! `GET /<name>` pops a command, which would be lost: so the bot's own queue is never asked. The bridge's root names
//! its queues where the bridge is one that tells; another name is answered 404 with that name in it, which only a
//! message bridge does. And a command that once came through is in the log.

use std::{path::Path, time::Duration};

use reqwest::{StatusCode, Url, header::CONNECTION};
use serde_json::Value;
use systembot_cli::Finding;
use systembot_config::Settings;
use systembot_model::render::span;

use super::data::Known;
use crate::{clock::Clock, transport::http};

/// Time that each of the two requests has.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes: a bridge has a dozen queues.
const ANSWER_BYTES: usize = 64 * 1024;
/// A name that no bot has.
const NOBODY: &str = "systembot-doctor-asks-for-nobody";

/// What answers at the bridge's address.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// A bridge that told the names of its queues.
    Names(Vec<String>),
    /// A bridge.
    Bridge,
    /// Something else: how it answered.
    Stranger(String),
    /// Nothing: why not.
    Nobody(String),
}

/// Whether the bridge can be reached, is one, and knows the bot's name.
pub(super) fn bridge(
    settings: &Settings,
    config: Option<&Path>,
    known: &Known,
    clock: &dyn Clock,
) -> Finding {
    const CHECK: &str = "bridge";
    let Some(bridge) = &settings.bridge else {
        return Finding::ok(CHECK, "none is set: alerts are recorded and shown, none go to chat");
    };
    let (url, name) = (&bridge.url, &settings.name);
    let file = config.map_or_else(|| "the configuration".to_owned(), |file| file.display().to_string());
    let names = match ask(url.expose()) {
        Answer::Nobody(why) => {
            let mend = format!("start the bridge, or correct `bridge.url` in {file}");
            return Finding::failed(CHECK, format!("{url} cannot be reached: {why}"), mend);
        }
        Answer::Stranger(how) => {
            let mend = format!("correct `bridge.url` in {file}");
            return Finding::failed(CHECK, format!("{url} {how}: that is no message bridge"), mend);
        }
        Answer::Names(names) if !names.contains(name) => {
            let mend = format!(
                "set `name` in {file} to one of these, or add {name} to the bridge's own configuration"
            );
            let found = format!("{url} has no queue named {name}; it has: {}", names.join(", "));
            return Finding::failed(CHECK, found, mend);
        }
        Answer::Names(_) => Some(format!("it has the queue {name}")),
        Answer::Bridge => None,
    };
    let waiting = known.status.as_ref().map_or(0, |status| status.backlog);
    if known.is_running && waiting > 0 {
        let mend = "ask again in a minute; if they still wait, look into the bridge's own log".to_owned();
        return Finding::warning(CHECK, format!("{url} answers, yet messages wait: {waiting}"), mend);
    }
    let heard =
        known.heard_at.map(|at| format!("a command came through {} ago", span(clock.now().since(at))));
    match names.or(heard) {
        Some(proof) => Finding::ok(CHECK, format!("{url} answers; {proof}")),
        None => Finding::warning(
            CHECK,
            format!("{url} answers; whether it has a queue named {name} shows with the first command"),
            format!("in chat: {name}, help"),
        ),
    }
}

/// Whether the address service is asked by itself. It is not asked now: that is the owner's to decide.
pub(super) fn public_address(settings: &Settings) -> Finding {
    const CHECK: &str = "public address";
    let address = &settings.public_address;
    let found = match address.is_named {
        true => format!("{} is asked every hour, as the configuration names it", address.url),
        false => format!("{} is asked only when you ask the bot", address.url),
    };
    Finding::ok(CHECK, found)
}

fn ask(url: &str) -> Answer {
    // A second call only says that one is installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Answer::Nobody(error.to_string()),
    };
    let answer = runtime.block_on(async {
        match get(url).await {
            Ok((StatusCode::OK, Some(Value::Object(told)))) => {
                match names(told.into_iter().map(|(_, v)| v)) {
                    Some(names) => Answer::Names(names),
                    None => ask_for_nobody(url).await,
                }
            }
            Ok(_) => ask_for_nobody(url).await,
            Err(why) => Answer::Nobody(why),
        }
    });
    // A name that is still being looked up would be waited for.
    runtime.shutdown_background();
    answer
}

/// The list of names among the values of an object, if one of them is such a list.
fn names(mut values: impl Iterator<Item = Value>) -> Option<Vec<String>> {
    values.find_map(|value| {
        let all = value.as_array()?.iter().map(|name| name.as_str().map(str::to_owned));
        all.collect::<Option<Vec<String>>>().filter(|names| !names.is_empty())
    })
}

async fn ask_for_nobody(url: &str) -> Answer {
    match get(&format!("{url}{NOBODY}")).await {
        Ok((StatusCode::NOT_FOUND, Some(told))) if told.get(NOBODY).is_some() => Answer::Bridge,
        Ok((StatusCode::OK, _)) => Answer::Stranger("answers with a page".to_owned()),
        Ok((status, _)) => Answer::Stranger(format!("answers {}", status.as_u16())),
        Err(why) => Answer::Nobody(why),
    }
}

/// The status and, where it is some, the JSON of an answer.
async fn get(url: &str) -> Result<(StatusCode, Option<Value>), String> {
    let url = Url::parse(url).map_err(|_| "it is no http or https address".to_owned())?;
    let builder = http::builder(&url).timeout(PATIENCE);
    let builder = if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
    let why = |error: reqwest::Error| match error.is_timeout() {
        true => format!("no answer within {} s", PATIENCE.as_secs()),
        false => http::reason(error),
    };
    let client = builder.build().map_err(why)?;
    let response = client.get(url).header(CONNECTION, "close").send().await.map_err(why)?;
    let status = response.status();
    let json = match http::read(response, ANSWER_BYTES).await {
        Ok(body) => serde_json::from_slice(&body).ok(),
        Err(http::Unread::TooLong) => None,
        Err(http::Unread::Failed(error)) => return Err(why(error)),
    };
    Ok((status, json))
}
