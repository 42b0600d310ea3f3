//! `why`: one alert explained by what it was judged by.

use anyhow::Result;
use serde_json::Value;
use systembot_model::{Rules, alert::Alert};
use systembot_storage::query::{Request, Row, Why};

use super::{Outcome, View, alerts};
use crate::{
    args::Format,
    output::{Align, Cell, Csv, Table, human, json, spark},
    source::{Source, one, unexpected},
};

/// Columns of the sparkline around the moment.
const AROUND: usize = 40;

/// Explains the alert of a number.
///
/// # Errors
/// Those of the source and of the output.
pub fn why(id: u64, source: &mut dyn Source, view: &mut View<'_>) -> Result<Outcome> {
    let why = match one(source, &Request::Why { id })? {
        Some(Row::Why(why)) => why,
        Some(_) => return Err(unexpected()),
        None => return Ok(unknown(id)),
    };
    match view.format {
        Format::Table => explain(&why, view)?,
        Format::Json => write_json(&why, view)?,
        Format::Csv => Csv::default().write(view.out, &alerts::fields(&why.alert))?,
    }
    Ok(Outcome::Done)
}

/// What to say of a number that no alert has.
#[must_use]
pub fn unknown(id: u64) -> Outcome {
    Outcome::Nothing(format!("there is no alert #{id}; `systembot alerts` lists them"))
}

fn explain(why: &Why, view: &mut View<'_>) -> Result<()> {
    let fired = &why.alert.fired;
    let style = alerts::severity_style(fired.severity);
    let title = view.screen.paint.text(style, fired.severity.word());
    writeln!(view.out, "#{} {}, {title}", fired.id, fired.rule)?;
    let mut message = Table::new(view.screen, &[("", Align::Fold)]);
    message.push(vec![fired.message.as_str().into()]);
    message.write(view.out)?;
    writeln!(view.out)?;
    let mut table = Table::new(view.screen, &[("", Align::Left), ("", Align::Fold)]);
    for (name, text) in facts(why, view) {
        table.push(vec![Cell::styled(name, Cell::DIM), text.into()]);
    }
    Ok(table.write(view.out)?)
}

/// What is known, a name and a text each.
fn facts(why: &Why, view: &View<'_>) -> Vec<(&'static str, String)> {
    let (alert, fired) = (&why.alert, &why.alert.fired);
    let value = |value| human::value(&fired.series, value);
    let time = |at| human::second(at, view.zone());
    let mut facts = vec![("series", fired.series.id().to_owned())];
    let mut add = |name, text: Option<String>| facts.extend(text.map(|text| (name, text)));
    add("value", fired.value.map(value));
    add("limit", fired.limit.map(value));
    add("window", window(alert));
    add("sigma", fired.sigma.map(|sigma| human::sigma(Some(sigma))));
    add("held since", (fired.since != alert.fired_at).then(|| time(fired.since)));
    add("fired", Some(time(alert.fired_at)));
    add("told", Some(told(alert, view)));
    add("acknowledged", alert.acknowledged.as_ref().map(|(at, by)| format!("{} by {by}", time(*at))));
    add("resolved", Some(resolved(alert, view)));
    add("now", why.present.clone().filter(|now| *now != fired.message));
    let rules = why.rules.as_deref().map(Rules::from_json);
    add("settings", rules.and_then(|rules| settings(&fired.rule, &rules)));
    add("rule version", Some(fired.rule_version.to_string()));
    add("around it", around(why));
    for earlier in &why.earlier {
        let lasted = earlier.resolved_at.map_or_else(
            || "open still".to_owned(),
            |end| format!("lasted {}", human::span(end.since(earlier.fired_at))),
        );
        let value = earlier.fired.value.map(|x| format!(", {}", value(x))).unwrap_or_default();
        facts.push(("earlier", format!("#{} {}{value}, {lasted}", earlier.fired.id, time(earlier.fired_at))));
    }
    facts
}

fn window(alert: &Alert) -> Option<String> {
    let fired = &alert.fired;
    let mean = fired.mean.map(|mean| human::figure(&fired.series, mean))?;
    let stdev = fired.stdev.map_or_else(|| "-".to_owned(), |stdev| human::figure(&fired.series, stdev));
    Some(format!("{} samples before it, mean {mean}, standard deviation {stdev}", fired.length))
}

fn told(alert: &Alert, view: &View<'_>) -> String {
    match alert.told_at {
        Some(at) if alert.fired.told && at == alert.fired_at => "at once".to_owned(),
        Some(at) => format!("last {}", human::second(at, view.zone())),
        None => "not told, only recorded".to_owned(),
    }
}

fn resolved(alert: &Alert, view: &View<'_>) -> String {
    alert.resolved_at.map_or_else(
        || "firing still".to_owned(),
        |end| {
            let lasted = human::span(end.since(alert.fired_at));
            format!("{}, after {lasted}", human::second(end, view.zone()))
        },
    )
}

/// The settings that a rule goes by; none for those whose limit is the driver's, all for rules of a later version.
fn settings(rule: &str, rules: &Rules) -> Option<String> {
    let disk = || format!("disk_used_percent above {}", rules.disk_used_percent);
    let memory = || format!("memory_available_percent at or below {}", rules.memory_available_percent);
    let idle = || format!("cpu_idle_percent below {}", rules.cpu_idle_percent);
    let (least, most) = (rules.minimum_length, rules.maximum_length);
    let trend = || format!("{} standard deviations, of {least} to {most} samples", rules.standard_deviations);
    match rule {
        "disk_full" => Some(disk()),
        "memory_low" => Some(memory()),
        "cpu_busy" => Some(idle()),
        "trend" => Some(trend()),
        "sensor_high" | "sensor_critical" | "service_missing" | "service_unhealthy" => None,
        _ => Some([disk(), memory(), idle(), trend()].join("; ")),
    }
}

fn around(why: &Why) -> Option<String> {
    let (from, to) = (why.around.first()?.0, why.around.last()?.0);
    let values: Vec<f64> = why.around.iter().map(|(_, value)| *value).collect();
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let series = &why.alert.fired.series;
    Some(format!(
        "{} {} to {} in {}",
        spark(&peaks(&values, AROUND), AROUND),
        human::value(series, least),
        human::value(series, most),
        human::span(to.since(from))
    ))
}

/// At most so many values that stand for all, each the one of its part that lies farthest from the mean.
fn peaks(values: &[f64], width: usize) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / systembot_model::number::count(values.len().max(1));
    let part = values.len().div_ceil(width.max(1)).max(1);
    let far = |part: &[f64]| {
        part.iter().copied().max_by(|a, b| (a - mean).abs().total_cmp(&(b - mean).abs())).unwrap_or(mean)
    };
    values.chunks(part).map(far).collect()
}

fn write_json(why: &Why, view: &mut View<'_>) -> Result<()> {
    let fired = &why.alert.fired;
    let mut fields = alerts::fields(&why.alert);
    let around = why
        .around
        .iter()
        .map(|(at, value)| json::object(vec![("time", json::time(*at)), ("value", json::number(*value))]));
    let rules = why.rules.as_deref().and_then(|rules| serde_json::from_str::<Value>(rules).ok());
    fields.extend([
        ("since", json::time(fired.since)),
        ("limit", json::optional(fired.limit)),
        ("length", fired.length.into()),
        ("told", fired.told.into()),
        ("present", json::maybe(why.present.as_deref())),
        ("rule_version", fired.rule_version.into()),
        ("configured", fired.configured.get().into()),
        ("settings", rules.unwrap_or_default()),
        ("around", around.collect()),
        ("earlier", why.earlier.iter().map(|alert| json::object(alerts::fields(alert))).collect()),
    ]);
    Ok(json::write_line(view.out, &fields)?)
}

#[cfg(test)]
mod tests {
    use systembot_model::Timestamp;

    use super::*;
    use crate::commands::{
        alerts::tests::alert,
        fake::{Fake, check, printed},
    };

    fn rows(request: &Request) -> Vec<Row> {
        if *request != (Request::Why { id: 12 }) {
            return Vec::new();
        }
        let mut earlier = alert(3);
        earlier.resolved_at = Some(Timestamp::from_ms(1_795_336_290_000));
        let around = (0..80).map(|i| (Timestamp::from_ms(i * 15_000), if i == 60 { 7.5 } else { 0.5 }));
        vec![Row::Why(Box::new(Why {
            alert: alert(12),
            rules: Some("{\"standard_deviations\":2.5}".into()),
            present: Some("load1 is 0.50".into()),
            around: around.collect(),
            earlier: vec![earlier],
        }))]
    }

    #[test]
    fn an_alert_is_explained() {
        check(
            Format::Table,
            |view| why(12, &mut Fake::new(&rows), view),
            "\
#12 trend, warning
load1 is 7.50, 7.0 standard deviations above its mean of 0.50

series        load1
value         7.50
window        100 samples before it, mean 0.500, standard deviation 1.000
sigma         +7.0σ
fired         2026-11-22 09:30:00
told          at once
acknowledged  2026-11-22 09:35:00 by console
resolved      firing still
now           load1 is 0.50
settings      2.5 standard deviations, of 2 to 100 samples
rule version  1
around it     ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁█▁▁▁▁▁▁▁▁▁ 0.50 to 7.50 in 19 min
earlier       #3 2026-11-22 09:30:00, 7.50, lasted 1 min 30 s
",
        );
    }

    #[test]
    fn programs_get_all_of_it() {
        let (outcome, text) = printed(Format::Json, |view| why(12, &mut Fake::new(&rows), view));
        assert_eq!(outcome, Ok(Outcome::Done));
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value.pointer("/settings/standard_deviations"), Some(&Value::from(2.5)));
        assert_eq!(value.pointer("/around/60/value"), Some(&Value::from(7.5)));
        assert_eq!(value.pointer("/earlier/0/id"), Some(&Value::from(3)));
        assert_eq!(value.pointer("/state"), Some(&Value::from("firing")));
    }

    #[test]
    fn an_unknown_number_exits_1() {
        let (outcome, text) = printed(Format::Table, |view| why(99, &mut Fake::new(&rows), view));
        assert_eq!(outcome, Ok(unknown(99)));
        assert_eq!(text, "");
    }
}
