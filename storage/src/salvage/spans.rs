//! Sets of numbers as spans.

use std::collections::BTreeMap;

/// Numbers, by the first and last of each span; no two touch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans(BTreeMap<u64, u64>);

impl Spans {
    /// Adds the numbers from the first to the last.
    pub(crate) fn add(&mut self, first: u64, last: u64) {
        let (mut first, mut last) = (first, last);
        if let Some((start, end)) = self.0.range(..=first).next_back()
            && end.saturating_add(1) >= first
        {
            if *end >= last {
                return;
            }
            first = *start;
        }
        while let Some((start, end)) = self.0.range(first..=last.saturating_add(1)).next() {
            let (start, end) = (*start, *end);
            last = last.max(end);
            self.0.remove(&start);
        }
        self.0.insert(first, last);
    }

    /// Whether a number is among them.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, last)| number <= *last)
    }

    /// How many numbers there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// How many of them are in a span.
    pub(crate) fn count_in(&self, first: u64, last: u64) -> u64 {
        let before = self.0.range(..first).next_back().map(|(start, end)| (*start, *end));
        let within = self.0.range(first..=last).map(|(start, end)| (*start, *end));
        before
            .into_iter()
            .chain(within)
            .map(|(start, end)| (end.min(last) + 1).saturating_sub(start.max(first)))
            .sum()
    }

    /// The least one that is not below another number.
    pub(crate) fn next(&self, number: u64) -> Option<u64> {
        if self.has(number) { Some(number) } else { self.0.range(number..).next().map(|(first, _)| *first) }
    }

    /// The greatest one.
    pub(crate) fn last(&self) -> Option<u64> {
        self.0.last_key_value().map(|(_, last)| *last)
    }

    /// The spans between them, up to a number.
    pub(crate) fn gaps(&self, from: u64, to: u64) -> Vec<(u64, u64)> {
        let (mut next, mut gaps) = (from, Vec::new());
        for (first, last) in &self.0 {
            if *first > next && next <= to {
                gaps.push((next, to.min(first - 1)));
            }
            next = next.max(last.saturating_add(1));
        }
        if next <= to {
            gaps.push((next, to));
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_join_and_leave_gaps() {
        let mut spans = Spans::default();
        for (first, last) in [(5, 7), (1, 1), (9, 9), (8, 8), (20, 30), (22, 25), (19, 31)] {
            spans.add(first, last);
        }
        assert_eq!(spans.gaps(1, 40), [(2, 4), (10, 18), (32, 40)]);
        assert_eq!((spans.count(), spans.last()), (1 + 5 + 13, Some(31)));
        assert!(spans.has(9) && !spans.has(10) && spans.has(19));
        assert_eq!((spans.count_in(6, 21), spans.count_in(10, 18), spans.count_in(23, 24)), (7, 0, 2));
        assert_eq!(spans.gaps(3, 4), [(3, 4)]);
    }
}
