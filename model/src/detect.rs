//! The trend detector: does a value stray from its own history?
//!
//! A value strays when it lies more than N standard deviations from the window before it, and by more than N
//! times the smallest change of its metric that is worth an alert.

use crate::{Rules, Series, Timestamp, metric::Least, stats::Summary, window::Window};

/// Version of this rule's code, stored with every alert that it fires.
pub const VERSION: u16 = 1;

/// Share of the limit below which a stray value counts as back: hysteresis against flapping at the edge.
const CLEAR: f64 = 0.98;

/// A value held against the window before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// Mean of the window.
    pub mean: f64,
    /// Its standard deviation (n - 1).
    pub stdev: f64,
    /// Deviations from the mean, signed; of a window that never moved, in smallest changes worth an alert.
    pub sigma: f64,
    /// Samples in the window.
    pub length: usize,
    /// How far out the value is in limits: above 1 it strays, below 0.98 it is back.
    pub excess: f64,
}

impl Judgement {
    /// Whether the value strays.
    #[must_use]
    pub fn strays(&self) -> bool {
        self.excess > 1.0
    }

    /// Whether the value is back where it usually is.
    #[must_use]
    pub fn is_back(&self) -> bool {
        self.excess < CLEAR
    }
}

/// Holds a value against the window before it; `None` while that is shorter than `minimum_length`.
#[must_use]
pub fn judge(window: &Window, value: f64, rules: &Rules, least: f64) -> Option<Judgement> {
    let before = window.summary();
    if before.count < rules.minimum_length {
        return None;
    }
    let (mean, stdev) = (before.mean?, before.stdev?);
    let effective = stdev.max(least);
    let distance = (value - mean).abs();
    let excess = if effective > 0.0 {
        distance / (rules.standard_deviations * effective)
    } else if distance > 0.0 {
        f64::MAX
    } else {
        0.0
    };
    let sigma = Summary { stdev: Some(if stdev > 0.0 { stdev } else { least }), ..before }.sigma(value, 0.0);
    Some(Judgement { mean, stdev, sigma: sigma.unwrap_or(0.0), length: before.count, excess })
}

/// The smallest change of a series that is worth an alert, in its own unit.
///
/// `mean` is that of its window, `latest` gives the newest value of another series.
#[must_use]
pub fn least(series: &Series, mean: f64, cpus: u32, latest: impl Fn(&Series) -> Option<f64>) -> f64 {
    let Some(metric) = series.known() else { return 0.0 };
    match metric.least {
        Least::Absolute(least) => least,
        Least::PerCpu(least) => least * f64::from(cpus.max(1)),
        Least::Share(share) => share * mean.abs(),
        Least::ShareOf(whole, share) => {
            let whole = match metric.label.zip(series.label()) {
                Some((key, label)) => Series::labelled(whole, key, &label),
                None => Series::new(whole),
            };
            share * latest(&whole).unwrap_or(mean).abs()
        }
    }
}

/// The detector over one series, strictly online: what `systembot detect` runs.
#[derive(Clone, Debug, Default)]
pub struct Detector {
    rules: Rules,
    window: Window,
}

impl Detector {
    /// A detector with the trend settings of some rules.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, window: Window::default() }
    }

    /// Takes the next sample: a score from 0 (usual) towards 1, and whether it strays.
    pub fn push(&mut self, at: Timestamp, value: f64) -> (f64, bool) {
        let judgement = judge(&self.window, value, &self.rules, 0.0);
        self.window.push(at, value, self.rules.maximum_length);
        judgement.map_or((0.0, false), |j| (j.excess / (1.0 + j.excess), j.strays()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(values: &[f64]) -> Window {
        let mut window = Window::default();
        for value in values {
            window.push(Timestamp::default(), *value, 100);
        }
        window
    }

    /// Defect 1 of the original: it compared the deviation itself with the setting, z = 3 on a quiet machine went unseen.
    #[test]
    fn sigma_counts_deviations_not_units() {
        let quiet: Vec<f64> = (0..100).map(|i| 0.10 + 0.01 * f64::from(i % 2)).collect();
        let judged = judge(&window(&quiet), 0.125, &Rules::default(), 0.0).unwrap();
        assert!(judged.strays() && judged.sigma > 3.0, "{judged:?}");
        let swinging: Vec<f64> = (0..100).map(|i| 6.0 * f64::from(i % 2)).collect();
        assert!(!judge(&window(&swinging), 6.0, &Rules::default(), 0.0).unwrap().strays());
    }

    #[test]
    fn a_change_too_small_to_matter_does_not_stray() {
        let quiet: Vec<f64> = (0..100).map(|i| 0.10 + 0.01 * f64::from(i % 2)).collect();
        assert!(!judge(&window(&quiet), 0.125, &Rules::default(), 0.2).unwrap().strays());
        assert!(judge(&window(&quiet), 0.6, &Rules::default(), 0.2).unwrap().strays());
    }

    #[test]
    fn short_and_flat_windows_are_handled() {
        let rules = Rules { minimum_length: 3, ..Rules::default() };
        assert_eq!(judge(&window(&[1.0, 1.0]), 9.0, &rules, 0.0), None);
        assert!(judge(&window(&[1.0; 3]), 9.0, &rules, 0.0).unwrap().strays());
        assert!(!judge(&window(&[1.0; 3]), 1.0, &rules, 0.0).unwrap().strays());
        let floored = judge(&window(&[1.0; 3]), 9.0, &rules, 2.0).unwrap();
        assert_eq!((floored.sigma, floored.excess, floored.stdev), (4.0, 2.0, 0.0));
    }

    #[test]
    fn the_smallest_change_is_that_of_the_metric() {
        let check = |id: &str, expected: f64| {
            let latest =
                |series: &Series| (series.id() == "disk_total_bytes{mount=\"/a\"}").then_some(5000.0);
            let found = least(&Series::parse(id).unwrap(), -200.0, 4, latest);
            assert!((found - expected).abs() < 1e-9, "{id}: {found}, not {expected}");
        };
        check("load15", 0.4);
        check("temperature_celsius{sensor=\"x\"}", 3.0);
        check("cpu_idle_percent", 5.0);
        check("disk_used_bytes{mount=\"/a\"}", 50.0);
        check("disk_used_bytes{mount=\"/b\"}", 2.0);
        check("memory_used_bytes", 2.0);
        check("network_sent_bytes_total{interface=\"x\"}", 2.0);
        check("imported", 0.0);
    }

    #[test]
    fn the_detector_never_looks_ahead() {
        let mut detector = Detector::new(Rules::default());
        let alerts: Vec<bool> = [1.0, 1.1, 1.0, 1.1, 9.0, 1.0]
            .iter()
            .map(|v| detector.push(Timestamp::default(), *v).1)
            .collect();
        assert_eq!(alerts, [false, false, false, false, true, false]);
    }
}
