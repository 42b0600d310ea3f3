//! A machine of 40 series, and what the process that writes them costs.

use std::fs;

use systembot_model::{Sample, Series, Timestamp, metric::METRICS};

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;
/// Milliseconds between two ticks.
pub(crate) const TICK_MS: i64 = 15_000;

/// A machine of 40 series that behave as their metrics do.
pub(crate) struct Machine {
    pub(crate) begin_ms: i64,
    series: Vec<(Series, f64, u8)>,
    noise: u64,
    tick: i64,
}

impl Machine {
    pub(crate) fn new(begin_ms: i64) -> Self {
        let mut series = Vec::new();
        for metric in METRICS.iter().cycle().take(40) {
            let copy = series.len() / METRICS.len();
            let name = metric.label.map_or_else(
                || {
                    if copy == 0 {
                        Series::new(metric.name)
                    } else {
                        Series::new(&format!("{}_{copy}", metric.name))
                    }
                },
                |key| Series::labelled(metric.name, key, &format!("x{copy}")),
            );
            series.push((name, 50.0, metric.decimals));
        }
        Self { begin_ms, series, noise: 1, tick: 0 }
    }

    fn random(&mut self) -> f64 {
        self.noise =
            self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.noise >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The series, in the order of every sample.
    pub(crate) fn series(&self) -> Vec<Series> {
        self.series.iter().map(|(name, ..)| name.clone()).collect()
    }

    /// The next tick.
    pub(crate) fn sample(&mut self) -> (Timestamp, Sample) {
        self.tick += 1;
        let jitter = (self.random() * 8.0) as i64;
        let at = Timestamp::from_ms(self.begin_ms + self.tick * TICK_MS + jitter);
        let mut sample = Sample::default();
        for i in 0..self.series.len() {
            let (r, s) = (self.random(), self.random());
            let (name, value, decimals) = &mut self.series[i];
            let scale = 10_f64.powi(i32::from(*decimals));
            *value = match name.metric() {
                n if n.contains("total") && n.contains("bytes") && !n.ends_with("_total") => 8_589_934_592.0,
                n if n.ends_with("_total") => *value + if r < 0.6 { (s * 200_000.0).floor() } else { 0.0 },
                n if n.contains("bytes") => {
                    // Whole pages.
                    let bytes = (*value + if r < 0.5 { (s - 0.5) * 2_000_000.0 } else { 0.0 }).abs();
                    (bytes.max(1e9) / 4096.0).floor() * 4096.0
                }
                n if n.contains("uptime") => *value + 15.0,
                n if n.contains("disk") => (*value + if r < 0.05 { 0.01 } else { 0.0 }).min(90.0),
                _ => (*value + (s - 0.5) * 4.0).clamp(0.0, 100.0),
            };
            *value = (*value * scale).round() / scale;
            let (name, value) = (name.clone(), *value);
            sample.push(name, value);
        }
        (at, sample)
    }
}

/// CPU time of this thread, proc_pid_schedstat(5).
pub(crate) fn cpu_us() -> u64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<u64>().unwrap() / 1_000
}

/// Resident memory of this process.
pub(crate) fn rss_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
