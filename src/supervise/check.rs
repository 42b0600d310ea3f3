//! Health beyond existence: a connection, a request or a command that must succeed.

use std::{process::Command, time::Duration};

use systembot_cli::child;
use systembot_model::{
    Input,
    rules::{Check, Probe, Service},
};
use tokio::{net::TcpStream, task::JoinHandle, time};
use tracing::warn;

use crate::inbox::Inbox;

/// Failures in a row that count as one: a single one may be chance.
const FAILURES: u32 = 2;

/// Begins to look after the health of those services that have a check; each ends when its task is aborted.
#[must_use]
pub fn watch(services: &[Service], inbox: &Inbox) -> Vec<JoinHandle<()>> {
    let checked = services.iter().filter_map(|service| Some((service.name.clone(), service.check.clone()?)));
    checked.map(|(name, check)| tokio::spawn(look_after(name, check, inbox.clone()))).collect()
}

async fn look_after(service: String, check: Check, inbox: Inbox) {
    let client = match client(&check) {
        Ok(client) => client,
        Err(error) => {
            warn!("service {service} cannot be checked: {error}");
            return;
        }
    };
    let mut failures = 0_u32;
    loop {
        time::sleep(check.interval).await;
        let problem = ask(&check, client.as_ref()).await.err();
        failures = if problem.is_some() { failures.saturating_add(1) } else { 0 };
        if problem.is_some() && failures < FAILURES {
            continue;
        }
        if inbox.record(Input::Checked { service: service.clone(), problem }).await.is_err() {
            return;
        }
    }
}

fn client(check: &Check) -> reqwest::Result<Option<reqwest::Client>> {
    match check.probe {
        Probe::Http(_) => {
            let builder =
                reqwest::Client::builder().timeout(check.timeout).pool_max_idle_per_host(0).no_proxy();
            builder.redirect(reqwest::redirect::Policy::none()).build().map(Some)
        }
        Probe::Tcp(_) | Probe::Command(_) => Ok(None),
    }
}

/// Asks once; the error says in words what is wrong.
async fn ask(check: &Check, client: Option<&reqwest::Client>) -> Result<(), String> {
    match (&check.probe, client) {
        (Probe::Tcp(address), _) => match time::timeout(check.timeout, TcpStream::connect(address)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("{address}: {error}")),
            Err(_) => Err(format!("{address}: {}", late(check.timeout))),
        },
        (Probe::Http(url), Some(client)) => {
            let shown = url.split(['?', '#']).next().unwrap_or(url);
            let answer = client.get(url).send().await.map_err(|error| {
                if error.is_timeout() {
                    format!("{shown}: {}", late(check.timeout))
                } else {
                    format!("{shown}: no answer")
                }
            })?;
            let status = answer.status();
            if status.is_success() || status.is_redirection() {
                Ok(())
            } else {
                Err(format!("{shown}: answered {status}"))
            }
        }
        (Probe::Http(_), None) => Ok(()),
        (Probe::Command(text), _) => {
            let (text, timeout) = (text.clone(), check.timeout);
            let ran = tokio::task::spawn_blocking(move || run(&text, timeout)).await;
            ran.unwrap_or_else(|_| Err("the check itself failed".into()))
        }
    }
}

fn run(text: &str, within: Duration) -> Result<(), String> {
    let words = shell_words::split(text).map_err(|error| error.to_string())?;
    let (program, arguments) = words.split_first().ok_or("the command is empty")?;
    let answer = child::answer(Command::new(program).args(arguments), within)
        .map_err(|error| format!("{program}: {error}"))?;
    if answer.status.success() {
        return Ok(());
    }
    let said = [&answer.stderr, &answer.stdout].into_iter().find_map(|text| text.lines().next());
    let said = said.map_or_else(String::new, |line| format!(": {}", systembot_model::limits::cut(line, 200)));
    Err(format!("{program} ended with {}{said}", answer.status))
}

fn late(timeout: Duration) -> String {
    format!("no answer within {} s", timeout.as_secs_f64())
}
