//! What is told of each record: keys for programs, a line for people.

use std::{collections::BTreeMap, time::Duration};

use jiff::tz::TimeZone;
use serde_json::Value;
use systembot_model::{
    Address, Event, Record, Rules, Seq, Series, Timestamp,
    event::{Fired, MessageKind, Question},
    service::Seen,
    window::Window,
};

use super::{Fields, human, json};

/// Which series an alert is about, by the alert's number: only the record of its begin says it.
pub type AlertSeries = BTreeMap<u64, Series>;

/// Every kind that `events` tells and takes as a filter.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    Event::KINDS.iter().copied().filter(|kind| *kind != "sampled")
}

/// What programs are told of a record: a row, or one for each message where it is about several.
#[must_use]
pub fn event_rows(record: &Record, alerts: &AlertSeries) -> Vec<Fields> {
    let head = || {
        vec![
            ("seq", Value::from(record.seq.get())),
            ("time", json::time(record.at)),
            ("kind", Value::from(record.event.kind())),
        ]
    };
    let with = |fields: Fields| head().into_iter().chain(fields).collect::<Fields>();
    let fields = event_fields(&record.event, alerts);
    if let Event::MessageQueued(_) = &record.event {
        return vec![with(std::iter::once(("message", record.seq.get().into())).chain(fields).collect())];
    }
    let (Event::MessageAttempted { messages }
    | Event::MessageReturned { messages }
    | Event::MessageDelivered { messages }
    | Event::MessageDropped { messages, .. }) = &record.event
    else {
        return vec![with(fields)];
    };
    let rest: Fields = fields.into_iter().filter(|(key, _)| *key != "messages").collect();
    let row =
        |message: &Seq| with([("message", message.get().into())].into_iter().chain(rest.clone()).collect());
    messages.iter().map(row).collect()
}

/// The keys of an event beside those that every record has; none for samples, which are no events.
#[must_use]
pub fn event_fields(event: &Event, alerts: &AlertSeries) -> Fields {
    let series = |id: &u64| json::maybe(alerts.get(id).map(Series::id));
    let messages = |messages: &[Seq]| Value::from(messages.iter().map(|seq| seq.get()).collect::<Vec<_>>());
    match event {
        Event::Started { version, config, unclean } => vec![
            ("version", version.as_str().into()),
            ("unclean", (*unclean).into()),
            ("config", json::maybe(config.as_deref())),
        ],
        Event::Stopped | Event::Sampled(_) => Vec::new(),
        Event::Configured { rules } => {
            vec![("rules", serde_json::from_str(rules).unwrap_or_else(|_| rules.as_str().into()))]
        }
        Event::Described(host) => vec![
            ("name", host.name.as_str().into()),
            ("os", host.os.as_str().into()),
            ("kernel", host.kernel.as_str().into()),
            ("build", host.build.as_str().into()),
            ("architecture", host.architecture.as_str().into()),
            ("cpus", host.cpus.into()),
            ("interface", json::maybe(host.interface.as_deref())),
            ("ipv4", json::maybe(host.ipv4.map(|address| address.to_string()))),
            ("ipv6", json::maybe(host.ipv6.map(|address| address.to_string()))),
        ],
        Event::Blind { from, to, reason } => {
            vec![("from", json::time(*from)), ("to", json::time(*to)), ("reason", reason.word().into())]
        }
        Event::ClockStepped { by_ms } => vec![("by_ms", (*by_ms).into())],
        Event::AlertFired(fired) => fired_fields(fired),
        Event::AlertRepeated { id, message } => {
            vec![("id", (*id).into()), ("series", series(id)), ("message", message.as_str().into())]
        }
        Event::AlertResolved { id, value, message, told } => vec![
            ("id", (*id).into()),
            ("series", series(id)),
            ("value", json::optional(*value)),
            ("message", message.as_str().into()),
            ("told", (*told).into()),
        ],
        Event::AlertAcknowledged { id, by } => {
            vec![("id", (*id).into()), ("series", series(id)), ("by", by.text().into())]
        }
        Event::Muted { scope, until, by } => {
            vec![("scope", scope.as_str().into()), ("until", json::time(*until)), ("by", by.text().into())]
        }
        Event::Unmuted { scope, by } => vec![
            ("scope", scope.as_str().into()),
            ("by", json::maybe(by.as_ref().map(|address| address.text().to_owned()))),
        ],
        Event::Heard { from, text } => vec![("from", from.text().into()), ("text", text.as_str().into())],
        Event::MessageQueued(message) => vec![
            ("to", message.to.text().into()),
            ("about", message_kind(message.kind).into()),
            ("text", message.text.as_str().into()),
        ],
        Event::MessageAttempted { messages: numbers }
        | Event::MessageReturned { messages: numbers }
        | Event::MessageDelivered { messages: numbers } => vec![("messages", messages(numbers))],
        Event::MessageDropped { messages: numbers, reason } => {
            vec![("messages", messages(numbers)), ("reason", reason.as_str().into())]
        }
        Event::ServiceMissing { service }
        | Event::ServiceRecovered { service }
        | Event::ServiceHealthy { service } => vec![("service", service.as_str().into())],
        Event::ServiceSeen { service, seen } => vec![
            ("service", service.as_str().into()),
            ("pid", json::maybe(seen.pid)),
            ("since", json::time(seen.since)),
        ],
        Event::RestartOrdered { service, attempt, command, stop, by } => vec![
            ("service", service.as_str().into()),
            ("attempt", (*attempt).into()),
            ("command", command.as_str().into()),
            ("stop", json::maybe(*stop)),
            ("by", json::maybe(by.as_ref().map(Address::text))),
        ],
        Event::RestartFinished { service, ordered, outcome, output } => vec![
            ("service", service.as_str().into()),
            ("ordered", ordered.get().into()),
            ("outcome", outcome.word().into()),
            ("reason", json::maybe((!outcome.is_success()).then(|| outcome.text()))),
            ("output", output.as_str().into()),
        ],
        Event::RestartGivenUp { service, starts } => {
            vec![("service", service.as_str().into()), ("starts", (*starts).into())]
        }
        Event::ServiceUnhealthy { service, problem } => {
            vec![("service", service.as_str().into()), ("problem", problem.as_str().into())]
        }
        Event::WatchingStopped { service, by } | Event::WatchingResumed { service, by } => {
            vec![("service", service.as_str().into()), ("by", by.text().into())]
        }
        Event::AddressChanged { from, to } => vec![
            ("from", json::maybe(from.map(|address| address.to_string()))),
            ("to", to.to_string().into()),
        ],
        Event::Noted { subject, text } => {
            vec![("subject", subject.as_str().into()), ("text", text.as_str().into())]
        }
        Event::Cleared { subject } => vec![("subject", subject.as_str().into())],
        Event::Imported { series, from, to, samples, learned, file } => vec![
            ("series", series.id().into()),
            ("from", json::time(*from)),
            ("to", json::time(*to)),
            ("samples", (*samples).into()),
            ("learned", learned.len().into()),
            // In hexadecimal: most readers of JSON do not keep whole numbers of 64 bits.
            ("file", format!("{file:016x}").into()),
        ],
        Event::Salvaged { saved, lost } => vec![("saved", (*saved).into()), ("lost", (*lost).into())],
        Event::Asked { from, question } => {
            vec![("from", from.text().into()), ("question", question_text(*question).into())]
        }
        Event::Answered { questions } => vec![("questions", messages(questions))],
        Event::AddressFetched { address, problem } => vec![
            ("address", json::maybe(address.map(|address| address.to_string()))),
            ("problem", json::maybe(problem.as_deref())),
        ],
        Event::Baseline { series, window } => {
            let summary = window.summary();
            vec![
                ("series", series.id().into()),
                ("count", summary.count.into()),
                ("mean", json::optional(summary.mean)),
                ("stdev", json::optional(summary.stdev)),
            ]
        }
    }
}

/// The keys of an alert that fired.
fn fired_fields(fired: &Fired) -> Fields {
    vec![
        ("id", fired.id.into()),
        ("series", fired.series.id().into()),
        ("rule", fired.rule.as_str().into()),
        ("severity", fired.severity.word().into()),
        ("value", json::optional(fired.value)),
        ("limit", json::optional(fired.limit)),
        ("mean", json::optional(fired.mean)),
        ("stdev", json::optional(fired.stdev)),
        ("sigma", json::optional(fired.sigma)),
        ("message", fired.message.as_str().into()),
        ("told", fired.told.into()),
    ]
}

/// One line for people about an event, its times in a zone; its kind and time stand before it.
#[must_use]
pub fn event_line(event: &Event, alerts: &AlertSeries, zone: &TimeZone) -> String {
    let time = |at: &Timestamp| human::second(*at, zone);
    let about = |id: &u64| alerts.get(id).map_or_else(String::new, |series| format!(" ({series})"));
    let numbers =
        |messages: &[Seq]| messages.iter().map(|seq| seq.get().to_string()).collect::<Vec<_>>().join(", ");
    match event {
        Event::Started { version, config, unclean } => {
            let config =
                config.as_deref().map_or_else(|| "on defaults".to_owned(), |file| format!("with {file}"));
            let after = if *unclean { ", after an end without a word" } else { "" };
            format!("version {version} {config}{after}")
        }
        Event::Stopped | Event::Sampled(_) => String::new(),
        Event::Configured { rules } => configured_line(&Rules::from_json(rules)),
        Event::Described(host) => {
            let address = host.ipv4.map(|address| format!(", {address}")).unwrap_or_default();
            format!(
                "{}: {}, {} {}, {}{address}",
                host.name,
                host.os,
                host.kernel,
                host.architecture,
                cpus(host.cpus)
            )
        }
        Event::Blind { from, to, reason } => {
            format!("nothing recorded for {}: {}", human::span(to.since(*from)), reason.word())
        }
        Event::ClockStepped { by_ms } => {
            let direction = if *by_ms < 0 { "back" } else { "forward" };
            format!("{} {direction}", human::span(Duration::from_millis(by_ms.unsigned_abs())))
        }
        Event::AlertFired(fired) => {
            let silent = if fired.told { "" } else { " (not told)" };
            format!("#{} {}{silent}", fired.id, fired.message)
        }
        Event::AlertRepeated { id, message } => format!("#{id} {message}"),
        Event::AlertResolved { id, message, .. } => format!("#{id} {message}"),
        Event::AlertAcknowledged { id, by } => format!("#{id}{} by {by}", about(id)),
        Event::Muted { scope, until, by } => format!("{scope} until {} by {by}", time(until)),
        Event::Unmuted { scope, by: Some(by) } => format!("{scope} by {by}"),
        Event::Unmuted { scope, by: None } => format!("{scope}, its time was up"),
        Event::Heard { from, text } => format!("{from}: {text}"),
        Event::MessageQueued(message) => format!("to {}: {}", message.to, first_line(&message.text)),
        Event::MessageAttempted { messages }
        | Event::MessageReturned { messages }
        | Event::MessageDelivered { messages } => numbers(messages),
        Event::MessageDropped { messages, reason } => format!("{}: {reason}", numbers(messages)),
        Event::ServiceMissing { service }
        | Event::ServiceRecovered { service }
        | Event::ServiceHealthy { service } => service.clone(),
        Event::ServiceSeen { service, seen: Seen { pid: Some(pid), since, .. } } => {
            format!("{service}: pid {pid} since {}", time(since))
        }
        Event::ServiceSeen { service, seen } => format!("{service}: since {}", time(&seen.since)),
        Event::RestartOrdered { service, attempt, command, stop, by } => {
            let stop = stop.map_or_else(String::new, |pid| format!(", ending pid {pid} first"));
            let by = by.as_ref().map_or_else(String::new, |by| format!(", asked for by {by}"));
            format!("{service}: start {attempt}{stop}{by}: {command}")
        }
        Event::RestartFinished { service, outcome, output, .. } => {
            let last = output.lines().rfind(|line| !line.trim().is_empty());
            let last =
                last.filter(|_| !outcome.is_success()).map_or_else(String::new, |line| format!("; {line}"));
            format!("{service}: {}{last}", outcome.text())
        }
        Event::RestartGivenUp { service, starts } => {
            format!("{service}: after {}", human::counted((*starts).into(), "start"))
        }
        Event::ServiceUnhealthy { service, problem } => format!("{service}: {problem}"),
        Event::WatchingStopped { service, by } | Event::WatchingResumed { service, by } => {
            format!("{service}, by {by}")
        }
        Event::AddressChanged { from: Some(from), to } => format!("from {from} to {to}"),
        Event::AddressChanged { from: None, to } => to.to_string(),
        Event::Noted { subject, text } => format!("{subject}: {text}"),
        Event::Cleared { subject } => subject.clone(),
        Event::Imported { series, from, to, samples, .. } => {
            format!("{series}: {}, {} to {}", human::counted(*samples, "sample"), time(from), time(to))
        }
        Event::Salvaged { saved, lost } => format!("{saved} records saved, {lost} lost"),
        Event::Asked { from, question } => format!("{from}: {}", question_text(*question)),
        Event::Answered { questions } => numbers(questions),
        Event::AddressFetched { address: Some(address), .. } => address.to_string(),
        Event::AddressFetched { address: None, problem } => problem.clone().unwrap_or_default(),
        Event::Baseline { series, window } => baseline_line(series, window),
    }
}

/// One line for a whole set of baselines.
#[must_use]
pub fn baselines_line(series: u64) -> String {
    format!("of {} series", human::thousands(series))
}

fn baseline_line(series: &Series, window: &Window) -> String {
    let summary = window.summary();
    let samples = human::counted(u64::try_from(summary.count).unwrap_or(u64::MAX), "sample");
    let mean =
        summary.mean.map_or_else(String::new, |mean| format!(", mean {}", human::figure(series, mean)));
    let stdev =
        summary.stdev.map_or_else(String::new, |stdev| format!(", stdev {}", human::figure(series, stdev)));
    format!("{series}: {samples}{mean}{stdev}")
}

fn configured_line(rules: &Rules) -> String {
    format!(
        "{}: a sample each {}, repeats each {}, disk above {} %, memory at {} %, idle below {} %, {} sigma of {}",
        rules.name,
        human::span(rules.sample_interval),
        human::span(rules.repeat_interval),
        rules.disk_used_percent,
        rules.memory_available_percent,
        rules.cpu_idle_percent,
        rules.standard_deviations,
        rules.maximum_length,
    )
}

fn cpus(count: u32) -> String {
    if count == 1 { "1 CPU".to_owned() } else { format!("{count} CPUs") }
}

fn question_text(question: Question) -> String {
    match question {
        Question::PublicAddress => "public address".to_owned(),
        Question::Processes(count) => format!("top {count} processes"),
    }
}

fn first_line(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    if lines.next().is_some() { format!("{first} …") } else { first.to_owned() }
}

const fn message_kind(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Greeting => "greeting",
        MessageKind::Goodbye => "goodbye",
        MessageKind::Alert => "alert",
        MessageKind::Reply => "reply",
        MessageKind::Notice => "notice",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use systembot_model::{
        Address, Message, event::BlindReason, host::Host, rules::Severity, service::Outcome,
    };

    use super::*;

    fn fired() -> Fired {
        Fired {
            id: 12,
            rule: "disk_full".into(),
            rule_version: 1,
            configured: Seq::new(2),
            series: Series::labelled("disk_used_percent", "mount", "/"),
            severity: Severity::Critical,
            since: Timestamp::from_ms(0),
            value: Some(93.5),
            limit: Some(90.0),
            mean: None,
            stdev: None,
            sigma: None,
            length: 0,
            message: "/ is 93.5 % full".into(),
            told: true,
        }
    }

    fn window(values: &[f64]) -> Window {
        let mut window = Window::default();
        values.iter().for_each(|value| window.push(Timestamp::from_ms(0), *value, 100));
        window
    }

    /// One of each, to be completed with every new event.
    fn all() -> Vec<(Event, &'static str, &'static str)> {
        let at = Timestamp::from_ms;
        let messages = || vec![Seq::new(4), Seq::new(5)];
        vec![
            (
                Event::Started { version: "0.1.0".into(), config: None, unclean: true },
                r#""version":"0.1.0","unclean":true,"config":null"#,
                "version 0.1.0 on defaults, after an end without a word",
            ),
            (Event::Stopped, "", ""),
            (
                Event::Configured { rules: "no json".into() },
                r#""rules":"no json""#,
                ": a sample each 15 s, repeats each 1 h, disk above 90 %, memory at 15 %, idle below 15 %, 2 sigma of 100",
            ),
            (
                Event::Described(Host {
                    name: "leela".into(),
                    os: "Debian".into(),
                    cpus: 2,
                    ..Host::default()
                }),
                r#""name":"leela","os":"Debian","kernel":"","build":"","architecture":"","cpus":2,"interface":null,"ipv4":null,"ipv6":null"#,
                "leela: Debian,  , 2 CPUs",
            ),
            (
                Event::Blind { from: at(0), to: at(60_000), reason: BlindReason::Crashed },
                r#""from":"1970-01-01T00:00:00.000Z","to":"1970-01-01T00:01:00.000Z","reason":"crashed""#,
                "nothing recorded for 1 min: crashed",
            ),
            (Event::ClockStepped { by_ms: -90_000 }, r#""by_ms":-90000"#, "1 min 30 s back"),
            (
                Event::AlertFired(fired()),
                r#""id":12,"series":"disk_used_percent{mount=\"/\"}","rule":"disk_full","severity":"critical","value":93.5,"limit":90,"mean":null,"stdev":null,"sigma":null,"message":"/ is 93.5 % full","told":true"#,
                "#12 / is 93.5 % full",
            ),
            (
                Event::AlertRepeated { id: 12, message: "still full".into() },
                r#""id":12,"series":"disk_used_percent{mount=\"/\"}","message":"still full""#,
                "#12 still full",
            ),
            (
                Event::AlertResolved { id: 13, value: Some(80.0), message: "over".into(), told: false },
                r#""id":13,"series":null,"value":80,"message":"over","told":false"#,
                "#13 over",
            ),
            (
                Event::AlertAcknowledged { id: 12, by: Address::bridge() },
                r#""id":12,"series":"disk_used_percent{mount=\"/\"}","by":"bridge""#,
                "#12 (disk_used_percent{mount=\"/\"}) by bridge",
            ),
            (
                Event::Muted { scope: "load".into(), until: at(0), by: Address::console() },
                r#""scope":"load","until":"1970-01-01T00:00:00.000Z","by":"console""#,
                "load until 1970-01-01 00:00:00 by console",
            ),
            (
                Event::Unmuted { scope: "load".into(), by: None },
                r#""scope":"load","by":null"#,
                "load, its time was up",
            ),
            (
                Event::Heard { from: Address::bridge(), text: "help".into() },
                r#""from":"bridge","text":"help""#,
                "bridge: help",
            ),
            (
                Event::MessageQueued(Message {
                    to: Address::bridge(),
                    kind: MessageKind::Reply,
                    text: "a\nb".into(),
                }),
                r#""message":9,"to":"bridge","about":"reply","text":"a\nb""#,
                "to bridge: a …",
            ),
            (Event::MessageAttempted { messages: messages() }, r#""message":4"#, "4, 5"),
            (Event::MessageReturned { messages: messages() }, r#""message":4"#, "4, 5"),
            (Event::MessageDelivered { messages: messages() }, r#""message":4"#, "4, 5"),
            (
                Event::MessageDropped { messages: messages(), reason: "overtaken".into() },
                r#""message":4,"reason":"overtaken""#,
                "4, 5: overtaken",
            ),
            (Event::ServiceMissing { service: "web".into() }, r#""service":"web""#, "web"),
            (Event::ServiceRecovered { service: "web".into() }, r#""service":"web""#, "web"),
            (Event::ServiceHealthy { service: "web".into() }, r#""service":"web""#, "web"),
            (
                Event::ServiceSeen {
                    service: "web".into(),
                    seen: Seen { pid: Some(7), started: 9, since: at(0) },
                },
                r#""service":"web","pid":7,"since":"1970-01-01T00:00:00.000Z""#,
                "web: pid 7 since 1970-01-01 00:00:00",
            ),
            (
                Event::RestartOrdered {
                    service: "web".into(),
                    attempt: 2,
                    command: "httpd -k".into(),
                    stop: Some(7),
                    by: Some(Address::bridge()),
                },
                r#""service":"web","attempt":2,"command":"httpd -k","stop":7,"by":"bridge""#,
                "web: start 2, ending pid 7 first, asked for by bridge: httpd -k",
            ),
            (
                Event::RestartFinished {
                    service: "web".into(),
                    ordered: Seq::new(8),
                    outcome: Outcome::Failed("it ended with exit code 3".into()),
                    output: "a\nno port\n".into(),
                },
                r#""service":"web","ordered":8,"outcome":"failed","reason":"it ended with exit code 3","output":"a\nno port\n""#,
                "web: it ended with exit code 3; no port",
            ),
            (
                Event::RestartGivenUp { service: "web".into(), starts: 5 },
                r#""service":"web","starts":5"#,
                "web: after 5 starts",
            ),
            (
                Event::ServiceUnhealthy { service: "web".into(), problem: "refused".into() },
                r#""service":"web","problem":"refused""#,
                "web: refused",
            ),
            (
                Event::WatchingStopped { service: "web".into(), by: Address::bridge() },
                r#""service":"web","by":"bridge""#,
                "web, by bridge",
            ),
            (
                Event::WatchingResumed { service: "web".into(), by: Address::bridge() },
                r#""service":"web","by":"bridge""#,
                "web, by bridge",
            ),
            (
                Event::AddressChanged { from: None, to: [192, 0, 2, 1].into() },
                r#""from":null,"to":"192.0.2.1""#,
                "192.0.2.1",
            ),
            (
                Event::Noted { subject: "mount /nas".into(), text: "does not answer".into() },
                r#""subject":"mount /nas","text":"does not answer""#,
                "mount /nas: does not answer",
            ),
            (Event::Cleared { subject: "mount /nas".into() }, r#""subject":"mount /nas""#, "mount /nas"),
            (
                Event::Imported {
                    series: Series::new("load1"),
                    from: at(0),
                    to: at(1000),
                    samples: 2,
                    learned: Vec::new(),
                    file: u64::MAX,
                },
                r#""series":"load1","from":"1970-01-01T00:00:00.000Z","to":"1970-01-01T00:00:01.000Z","samples":2,"learned":0,"file":"ffffffffffffffff""#,
                "load1: 2 samples, 1970-01-01 00:00:00 to 1970-01-01 00:00:01",
            ),
            (Event::Salvaged { saved: 7, lost: 1 }, r#""saved":7,"lost":1"#, "7 records saved, 1 lost"),
            (
                Event::Asked { from: Address::bridge(), question: Question::Processes(3) },
                r#""from":"bridge","question":"top 3 processes""#,
                "bridge: top 3 processes",
            ),
            (Event::Answered { questions: messages() }, r#""questions":[4,5]"#, "4, 5"),
            (
                Event::AddressFetched { address: None, problem: Some("no answer within 5 s".into()) },
                r#""address":null,"problem":"no answer within 5 s""#,
                "no answer within 5 s",
            ),
            (
                Event::Baseline { series: Series::new("load1"), window: window(&[1.0, 1.5, 2.0]) },
                r#""series":"load1","count":3,"mean":1.5,"stdev":0.5"#,
                "load1: 3 samples, mean 1.500, stdev 0.500",
            ),
            (
                Event::Baseline { series: Series::new("load1"), window: window(&[]) },
                r#""series":"load1","count":0,"mean":null,"stdev":null"#,
                "load1: 0 samples",
            ),
        ]
    }

    #[test]
    fn every_event_has_its_keys_and_its_line() {
        let alerts = AlertSeries::from([(12, fired().series)]);
        for (event, fields, line) in all() {
            let kind = event.kind();
            assert_eq!(event_line(&event, &alerts, &TimeZone::UTC), line, "{kind}");
            let record = Record { seq: Seq::new(9), at: Timestamp::from_ms(0), event };
            let mut out = Vec::new();
            let rows = event_rows(&record, &alerts);
            json::write_line(&mut out, rows.first().unwrap()).unwrap();
            let comma = if fields.is_empty() { "" } else { "," };
            assert_eq!(
                String::from_utf8(out).unwrap(),
                format!(
                    "{{\"seq\":9,\"time\":\"1970-01-01T00:00:00.000Z\",\"kind\":\"{kind}\"{comma}{fields}}}\n"
                )
            );
        }
    }

    #[test]
    fn a_record_about_several_messages_is_a_row_for_each() {
        let event = Event::MessageDelivered { messages: vec![Seq::new(4), Seq::new(5)] };
        let rows =
            event_rows(&Record { seq: Seq::new(9), at: Timestamp::from_ms(0), event }, &AlertSeries::new());
        let numbers: Vec<_> =
            rows.iter().filter_map(|row| row.last()).map(|(_, number)| number.clone()).collect();
        assert_eq!(numbers, [Value::from(4), Value::from(5)]);
    }

    #[test]
    fn every_kind_can_be_asked_for() {
        for (event, _, _) in all() {
            assert!(kinds().any(|kind| kind == event.kind()), "{}", event.kind());
        }
        let tested: BTreeSet<&str> = all().iter().map(|(event, _, _)| event.kind()).collect();
        assert_eq!(kinds().count(), tested.len(), "an event is missing in the test above");
    }
}
