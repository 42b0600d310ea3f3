//! Series of something that there are several of: made once for each, then only cloned.

use std::collections::HashMap;

use systembot_model::Series;

/// Labels remembered at once; where more come and go (containers have an interface each), all are made anew.
const LABELS: usize = 4096;

/// The series of `N` metrics for every label seen.
pub(super) struct Labelled<const N: usize> {
    metrics: [&'static str; N],
    key: &'static str,
    series: HashMap<String, [Series; N]>,
}

impl<const N: usize> Labelled<N> {
    /// Series of these metrics, whose label has this key.
    pub(super) fn new(key: &'static str, metrics: [&'static str; N]) -> Self {
        Self { metrics, key, series: HashMap::new() }
    }

    /// The series of one label, in the order of the metrics.
    pub(super) fn of(&mut self, label: &str) -> [Series; N] {
        if let Some(series) = self.series.get(label) {
            return series.clone();
        }
        if self.series.len() >= LABELS {
            self.series.clear();
        }
        let series = self.metrics.map(|metric| Series::labelled(metric, self.key, label));
        self.series.insert(label.to_owned(), series.clone());
        series
    }
}
