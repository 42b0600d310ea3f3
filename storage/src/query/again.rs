//! Computes every alert again, from the samples, the settings and the rules of its time.

use std::collections::BTreeMap;

use systembot_model::{
    Event, Record, Seq, Series, State,
    event::{BlindReason, Fired},
    judge::{self, RuleKind, Stand, Verdict},
};

/// Share by which two figures may differ: a mean is summed in another order after a restart.
const TOLERANCE: f64 = 1e-9;

/// A fold of the log that stays one tick behind, as alerts are judged by the state before their tick.
pub(super) struct Again {
    state: State,
    tick: Option<Record>,
    /// Ticks up to this number are gone.
    pruned: Seq,
    /// Whether the state is what it was then: nothing is gone, or a set of baselines has made up for it.
    is_whole: bool,
    /// Samples of each series since passes were given up, if any were: until a window is full of those, it is not the
    /// one that its alerts were judged by.
    since_gap: Option<BTreeMap<Series, usize>>,
}

impl Again {
    /// Begins with a log whose ticks are gone up to a number.
    pub(super) fn new(pruned: Seq) -> Self {
        Self { state: State::default(), tick: None, pruned, is_whole: pruned == Seq::ZERO, since_gap: None }
    }

    /// Takes the next record. For an alert that can be computed again, whether it came out as it is recorded; `None`
    /// for everything else: other records, rules of other versions, services, windows that the log has no more.
    pub(super) fn take(&mut self, record: Record) -> Option<bool> {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "what a tick records behind itself leaves it in hand"
        )]
        match &record.event {
            Event::Sampled(_) => {
                self.catch_up();
                self.tick = Some(record);
                None
            }
            Event::AlertFired(fired) => {
                let came_out = self.came_out(fired);
                self.state.apply(&record);
                came_out
            }
            Event::AlertResolved { .. } => {
                self.state.apply(&record);
                None
            }
            Event::Blind { reason: BlindReason::NotRecorded, .. } => {
                self.catch_up();
                self.since_gap = Some(BTreeMap::new());
                self.state.apply(&record);
                None
            }
            _ => {
                self.catch_up();
                self.state.apply(&record);
                None
            }
        }
    }

    fn catch_up(&mut self) {
        if let Some(tick) = self.tick.take() {
            if let (Some(since_gap), Event::Sampled(sample)) = (&mut self.since_gap, &tick.event) {
                for reading in &sample.readings {
                    *since_gap.entry(reading.series.clone()).or_default() += 1;
                }
            }
            self.state.apply(&tick);
            self.is_whole |= self.state.baselined().is_some_and(|from| from > self.pruned);
        }
    }

    fn came_out(&self, fired: &Fired) -> Option<bool> {
        let rule = RuleKind::find(&fired.rule).filter(|rule| rule.version() == fired.rule_version)?;
        if !self.is_whole || RuleKind::SERVICE.contains(&rule) || fired.configured != self.state.configured {
            return None;
        }
        let Event::Sampled(sample) = &self.tick.as_ref()?.event else { return None };
        if rule == RuleKind::Trend {
            let window = self.state.windows.get(&fired.series)?;
            let length = window.values().len();
            let is_whole = self
                .since_gap
                .as_ref()
                .is_none_or(|since| since.get(&fired.series).is_some_and(|n| *n >= length));
            if u32::try_from(length).ok() != Some(fired.length) || !is_whole {
                return None;
            }
        }
        let is_it = |verdict: &Verdict| {
            verdict.condition.rule == rule
                && verdict.condition.series == fired.series
                && verdict.stand == Stand::Bad
                && is_same(fired, verdict)
        };
        Some(judge::judge(&self.state, sample).iter().any(is_it))
    }
}

fn is_same(fired: &Fired, verdict: &Verdict) -> bool {
    let trend = verdict.trend;
    [
        (fired.value, Some(verdict.value)),
        (fired.limit, verdict.limit),
        (fired.mean, trend.map(|trend| trend.mean)),
        (fired.stdev, trend.map(|trend| trend.stdev)),
        (fired.sigma, trend.map(|trend| trend.sigma)),
    ]
    .into_iter()
    .all(|pair| match pair {
        (Some(then), Some(now)) => (then - now).abs() <= TOLERANCE * then.abs().max(1.0),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    })
}
