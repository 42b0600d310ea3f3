//! The rules: what a tick says about each condition.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    Sample, Series, State, detect,
    render::{bytes, percent, plain, temperature},
    rules::Severity,
};

/// The rules there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RuleKind {
    /// A file system is nearly full.
    DiskFull,
    /// Little memory is available.
    MemoryLow,
    /// The CPUs have little idle time left.
    CpuBusy,
    /// A sensor passed the driver's high point.
    SensorHigh,
    /// A sensor passed the driver's critical point.
    SensorCritical,
    /// A value strays from its own history.
    Trend,
    /// A watched process is not in the process table.
    ServiceMissing,
    /// The health check of a watched service fails.
    ServiceUnhealthy,
}

impl RuleKind {
    /// All rules.
    pub const ALL: [Self; 8] = [
        Self::DiskFull,
        Self::MemoryLow,
        Self::CpuBusy,
        Self::SensorHigh,
        Self::SensorCritical,
        Self::Trend,
        Self::ServiceMissing,
        Self::ServiceUnhealthy,
    ];

    /// Those about a watched service instead of a series that a tick reads.
    pub const SERVICE: [Self; 2] = [Self::ServiceMissing, Self::ServiceUnhealthy];

    /// The rule's name in alerts and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::MemoryLow => "memory_low",
            Self::CpuBusy => "cpu_busy",
            Self::SensorHigh => "sensor_high",
            Self::SensorCritical => "sensor_critical",
            Self::Trend => "trend",
            Self::ServiceMissing => "service_missing",
            Self::ServiceUnhealthy => "service_unhealthy",
        }
    }

    /// The rule of a name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// How grave its alerts are.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Trend => Severity::Info,
            Self::DiskFull | Self::MemoryLow | Self::CpuBusy | Self::SensorHigh => Severity::Warning,
            Self::SensorCritical | Self::ServiceMissing | Self::ServiceUnhealthy => Severity::Critical,
        }
    }

    /// How long the condition must hold before it fires.
    ///
    /// Half a minute for CPU and memory, which a single program start can exhaust for a moment.
    #[must_use]
    pub const fn holds_for(self) -> Duration {
        match self {
            Self::CpuBusy | Self::MemoryLow => Duration::from_secs(30),
            Self::DiskFull
            | Self::SensorHigh
            | Self::SensorCritical
            | Self::Trend
            | Self::ServiceMissing
            | Self::ServiceUnhealthy => Duration::ZERO,
        }
    }

    /// Version of the rule's code, stored with each alert so that it can be recomputed by the same code.
    #[must_use]
    pub const fn version(self) -> u16 {
        match self {
            Self::Trend => detect::VERSION,
            Self::DiskFull
            | Self::MemoryLow
            | Self::CpuBusy
            | Self::SensorHigh
            | Self::SensorCritical
            | Self::ServiceMissing
            | Self::ServiceUnhealthy => 1,
        }
    }
}

/// One condition: a rule about a series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Condition {
    /// The rule.
    pub rule: RuleKind,
    /// The series it judges.
    pub series: Series,
}

/// What a tick says about a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It holds.
    Bad,
    /// Neither: not bad enough to fire, not good enough to resolve.
    Between,
    /// It is over.
    Good,
}

/// A condition judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Which condition.
    pub condition: Condition,
    /// How it stands.
    pub stand: Stand,
    /// The value judged.
    pub value: f64,
    /// The limit, for rules that have one.
    pub limit: Option<f64>,
    /// The window it was held against, for the trend rule.
    pub trend: Option<detect::Judgement>,
}

/// Share of a limit's distance to the good end that a value must come back before an alert resolves.
const CLEAR_SHARE: f64 = 0.02;

/// Judges every condition that a tick says something about. The state is that before the tick.
#[must_use]
pub fn judge(state: &State, sample: &Sample) -> Vec<Verdict> {
    let mut verdicts = limits(state, sample);
    verdicts.extend(trends(state, sample));
    verdicts
}

/// The rules with a limit: disks, memory, CPU and sensors.
#[must_use]
pub fn limits(state: &State, sample: &Sample) -> Vec<Verdict> {
    let rules = &state.rules;
    let mut points: Option<SensorPoints<'_>> = None;
    let mut verdicts = Vec::new();
    for reading in &sample.readings {
        let (series, value) = (&reading.series, reading.value);
        let mut add = |rule, stand, limit| {
            let condition = Condition { rule, series: series.clone() };
            verdicts.push(Verdict { condition, stand, value, limit: Some(limit), trend: None });
        };
        match series.metric() {
            "disk_used_percent" => {
                let limit = rules.disk_used_percent;
                let mount = series.label().unwrap_or(Cow::Borrowed(""));
                let stand = if rules.is_ignored(&mount) {
                    Stand::Good
                } else {
                    stand(value > limit, value <= limit - CLEAR_SHARE * limit)
                };
                add(RuleKind::DiskFull, stand, limit);
            }
            "memory_available_percent" => {
                let limit = rules.memory_available_percent;
                let stand = stand(value <= limit, value > limit + CLEAR_SHARE * (100.0 - limit));
                add(RuleKind::MemoryLow, stand, limit);
            }
            // A share of time since the tick before: the first one after a gap tells of the gap too.
            "cpu_idle_percent" if state.ticks_since_gap > 0 => {
                let limit = rules.cpu_idle_percent;
                let stand = stand(value < limit, value >= limit + CLEAR_SHARE * (100.0 - limit));
                add(RuleKind::CpuBusy, stand, limit);
            }
            "temperature_celsius" => {
                let points = points.get_or_insert_with(|| sensor_points(sample));
                let Some((high, critical)) = series.label().and_then(|sensor| points.get(&sensor).copied())
                else {
                    continue;
                };
                let stand_to = |point: f64| stand(value >= point, value < point * (1.0 - CLEAR_SHARE));
                let mut is_silenced = false;
                if let Some(point) = critical {
                    let stand = stand_to(point);
                    is_silenced =
                        stand == Stand::Bad || stand == Stand::Between && is_firing_critical(state, series);
                    add(RuleKind::SensorCritical, stand, point);
                }
                if let Some(point) = high {
                    let is_silenced = is_silenced && value >= point;
                    let stand = if is_silenced { Stand::Between } else { stand_to(point) };
                    add(RuleKind::SensorHigh, stand, point);
                }
            }
            _ => {}
        }
    }
    verdicts
}

/// Whether a sensor's critical alert is firing: it silences the one about its high point until it is over.
fn is_firing_critical(state: &State, series: &Series) -> bool {
    state.alert_about(&Condition { rule: RuleKind::SensorCritical, series: series.clone() }).is_some()
}

/// The trend rule, over the series that the settings name and sensors without points of their own.
fn trends(state: &State, sample: &Sample) -> Vec<Verdict> {
    // The first tick after a time in which nothing was recorded is compared with nothing.
    if state.ticks_since_gap == 0 {
        return Vec::new();
    }
    let points = sensor_points(sample);
    let judged = |series: &Series| {
        state.rules.trend_series.iter().any(|pattern| pattern.matches(series))
            && (series.metric() != "temperature_celsius"
                || series.label().is_some_and(|sensor| !points.contains_key(&sensor)))
    };
    let mut verdicts = Vec::new();
    for reading in sample.readings.iter().filter(|reading| judged(&reading.series)) {
        let Some(window) = state.windows.get(&reading.series) else { continue };
        let mean = window.summary().mean.unwrap_or(0.0);
        let least = detect::least(&reading.series, mean, state.host.cpus, |series| state.latest(series));
        let Some(judgement) = detect::judge(window, reading.value, &state.rules, least) else { continue };
        verdicts.push(Verdict {
            condition: Condition { rule: RuleKind::Trend, series: reading.series.clone() },
            stand: stand(judgement.strays(), judgement.is_back()),
            value: reading.value,
            limit: None,
            trend: Some(judgement),
        });
    }
    verdicts
}

fn stand(is_bad: bool, is_good: bool) -> Stand {
    match (is_bad, is_good) {
        (true, _) => Stand::Bad,
        (false, true) => Stand::Good,
        (false, false) => Stand::Between,
    }
}

/// High and critical point of each sensor that has one.
type SensorPoints<'a> = BTreeMap<Cow<'a, str>, (Option<f64>, Option<f64>)>;

fn sensor_points(sample: &Sample) -> SensorPoints<'_> {
    let mut points = SensorPoints::new();
    for reading in &sample.readings {
        let Some(sensor) = reading.series.label() else { continue };
        match reading.series.metric() {
            "temperature_high_celsius" => points.entry(sensor).or_default().0 = Some(reading.value),
            "temperature_critical_celsius" => points.entry(sensor).or_default().1 = Some(reading.value),
            _ => {}
        }
    }
    points
}

/// The sentence about a condition that holds, without the alert's number.
///
/// `value_of` gives the present value of another series by its id.
#[must_use]
pub fn sentence(verdict: &Verdict, value_of: &dyn Fn(&Series) -> Option<f64>) -> String {
    let Verdict { condition: Condition { rule, series }, value, limit, trend, .. } = verdict;
    let label = series.label().unwrap_or(Cow::Borrowed(""));
    let of = |metric: &str| value_of(&Series::labelled(metric, "mount", &label));
    let point = limit.map(temperature).unwrap_or_default();
    match rule {
        RuleKind::DiskFull => {
            let share = percent(*value);
            match (of("disk_used_bytes"), of("disk_total_bytes"), of("disk_available_bytes")) {
                (Some(used), Some(total), Some(free)) => format!(
                    "disk {label} is {share} full: {} of {} used, {} free",
                    bytes(used),
                    bytes(total),
                    bytes(free)
                ),
                _ => format!("disk {label} is {share} full"),
            }
        }
        RuleKind::MemoryLow => {
            let share = percent(*value);
            let of = |metric| value_of(&Series::new(metric));
            match (of("memory_available_bytes"), of("memory_total_bytes")) {
                (Some(available), Some(total)) => {
                    format!("memory is low: {} of {} available ({share})", bytes(available), bytes(total))
                }
                _ => format!("memory is low: {share} available"),
            }
        }
        RuleKind::CpuBusy => format!("CPU is busy: only {} idle", percent(*value)),
        RuleKind::SensorHigh => {
            format!("sensor {label} is hot: {}, its high point is {point}", temperature(*value))
        }
        RuleKind::SensorCritical => {
            format!(
                "sensor {label} is critically hot: {}, its critical point is {point}",
                temperature(*value)
            )
        }
        RuleKind::Trend => {
            let name = friendly(series);
            let Some(judged) = trend else { return format!("{name} is {}", figure(series, *value)) };
            let side = if judged.sigma < 0.0 { "below" } else { "above" };
            format!(
                "{name} is {}: {:.1} sigma {side} its last {} samples (mean {})",
                figure(series, *value),
                judged.sigma.abs().min(99.9),
                judged.length,
                figure(series, judged.mean)
            )
        }
        RuleKind::ServiceMissing => format!("service {label} is not running"),
        RuleKind::ServiceUnhealthy => format!("service {label} runs, but its check fails"),
    }
}

/// The sentence about a condition that ended, without how long it lasted.
#[must_use]
pub fn relief(condition: &Condition, value: Option<f64>) -> String {
    let Condition { rule, series } = condition;
    let label = series.label().unwrap_or(Cow::Borrowed(""));
    let Some(value) = value else {
        return match rule {
            RuleKind::ServiceMissing => format!("service {label} is running again"),
            RuleKind::ServiceUnhealthy => format!("service {label} is well again"),
            RuleKind::DiskFull => format!("disk {label} is no longer there"),
            RuleKind::SensorHigh | RuleKind::SensorCritical => format!("sensor {label} is no longer there"),
            RuleKind::MemoryLow | RuleKind::CpuBusy | RuleKind::Trend => {
                format!("{} is no longer read", friendly(series))
            }
        };
    };
    match rule {
        RuleKind::DiskFull => format!("disk {label} is at {}", percent(value)),
        RuleKind::MemoryLow => format!("{} of memory available", percent(value)),
        RuleKind::CpuBusy => format!("CPU {} idle", percent(value)),
        RuleKind::SensorHigh | RuleKind::SensorCritical => {
            format!("sensor {label} is at {}", temperature(value))
        }
        RuleKind::Trend => format!("{} is {}", friendly(series), figure(series, value)),
        RuleKind::ServiceMissing => format!("service {label} is running again"),
        RuleKind::ServiceUnhealthy => format!("service {label} is well again"),
    }
}

/// A series as people call it: `load1`, `sensor coretemp Core 0`, `disk_used_percent of /home`.
#[must_use]
pub fn friendly(series: &Series) -> String {
    match (series.metric(), series.label()) {
        ("temperature_celsius", Some(sensor)) => format!("sensor {sensor}"),
        (metric, Some(label)) => format!("{metric} of {label}"),
        (metric, None) => metric.to_owned(),
    }
}

/// A value of a series as people read it.
#[must_use]
pub fn figure(series: &Series, value: f64) -> String {
    series.known().map_or_else(|| plain(value), |metric| crate::render::value(value, metric.unit))
}
