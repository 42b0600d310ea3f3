//! Answers about everything at once.

use crate::{
    Event, Pattern, Record, Series,
    command::{Answer, Ask, alerts},
    judge::{figure, friendly},
    render::{bytes, counted, percent, span, sparkline},
};

pub(super) fn status(ask: &Ask<'_>) -> Answer {
    let state = ask.state;
    let of = |metric| state.now(&Series::new(metric));
    let mut parts: Vec<String> = Vec::new();
    parts.extend(of("load1").map(|load| format!("load {load:.2}")));
    parts.extend(of("cpu_idle_percent").map(|idle| format!("CPU {} idle", percent(idle))));
    parts.extend(of("memory_available_percent").map(|free| format!("memory {} free", percent(free))));
    let is_ignored = |series: &Series| series.label().is_some_and(|mount| state.rules.is_ignored(&mount));
    let fullest =
        state.current().filter(|(series, _)| series.metric() == "disk_used_percent" && !is_ignored(series));
    parts.extend(fullest.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(series, share)| {
        format!("disk {} {} full", series.label().unwrap_or_default(), percent(share))
    }));
    let hottest = state.current().filter(|(series, _)| series.metric() == "temperature_celsius");
    parts.extend(
        hottest
            .max_by(|(_, a), (_, b)| a.total_cmp(b))
            .map(|(series, value)| format!("{} {value:.1} °C", series.label().unwrap_or_default())),
    );
    let mut lines = vec![format!("{}: {}.", state.rules.name, parts.join(", "))];
    if state.alerts.is_empty() {
        lines.push("No alert is open.".into());
    } else {
        lines.extend(state.alerts.values().map(|alert| alerts::line(ask, alert)));
    }
    let paused = state.services.iter().filter_map(|(name, watched)| Some((name, watched.paused.as_ref()?)));
    lines.extend(paused.map(|(name, (since, _))| {
        format!("service {name}: not watched for {}", span(ask.now.at.since(*since)))
    }));
    lines.extend(state.notes.iter().map(|(subject, text)| format!("{subject}: {text}")));
    if let Some(started_at) = state.run.started_at.filter(|_| state.run.is_on) {
        lines.push(format!("I have been watching for {}.", span(ask.now.at.since(started_at))));
    }
    if let Some(log) = of("log_bytes") {
        let series = u64::try_from(state.windows.len()).unwrap_or(u64::MAX);
        lines.push(format!("The log has {} series in {}.", series, bytes(log)));
    }
    if let Some(Record { at, event: Event::Salvaged { saved, lost }, .. }) = &state.salvaged {
        let (ago, saved) = (span(ask.now.at.since(*at)), counted(*saved, "record"));
        lines.push(format!("It was damaged {ago} ago and is mended: {saved} saved, {lost} lost."));
    }
    let waiting = u64::try_from(state.outbox.len()).unwrap_or(u64::MAX);
    if waiting > 0 {
        lines.push(format!("{} to be delivered.", counted(waiting, "message")));
    }
    Answer::text(lines.join("\n"))
}

pub(super) fn trends(ask: &Ask<'_>) -> Answer {
    /// Blocks of a sparkline that fit a phone.
    const WIDTH: usize = 16;
    let patterns = if ask.argument.is_empty() {
        ask.state.rules.trend_series.clone()
    } else {
        vec![Pattern::new(ask.argument)]
    };
    let is_chosen = |series: &Series| patterns.iter().any(|pattern| pattern.matches(series));
    let lines: Vec<String> = ask
        .state
        .trends()
        .into_iter()
        .filter(|trend| is_chosen(&trend.series))
        .map(|trend| {
            let sigma = trend.sigma.map_or_else(|| "steady".to_owned(), |sigma| format!("{sigma:+.1} sigma"));
            let spark = ask
                .state
                .windows
                .get(&trend.series)
                .map(|w| sparkline(&w.values(), WIDTH))
                .unwrap_or_default();
            let of = |n| figure(&trend.series, n);
            format!(
                "{}: {}, {sigma} ({}, mean {}) {spark}",
                friendly(&trend.series),
                of(trend.last),
                counted(u64::try_from(trend.count).unwrap_or(u64::MAX), "sample"),
                of(trend.mean)
            )
        })
        .collect();
    if !lines.is_empty() {
        return Answer::text(lines.join("\n"));
    }
    if ask.argument.is_empty() {
        return Answer::text("There are no samples yet.");
    }
    Answer::not_understood(format!(
        "There is no series \"{}\". Try \"trends load\" or \"trends disk\".",
        ask.argument
    ))
}
