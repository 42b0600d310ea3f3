//! What waits in memory while the log cannot be written, and the state as if it had been.
//!
//! Each input is decided at once, on a copy of the state, and what was decided waits to be written as it is. Its records
//! go by provisional numbers until they have those of the log; numbers of alerts are part of what was decided, and so
//! are those that the records get.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use systembot_model::{
    Effect, Event, Input, LocalTime, Reading, Record, Seq, State, Timestamp, decide_unrecorded, effects,
    event::BlindReason,
};
use tokio::sync::oneshot;

/// Waits between two attempts to open a log that could not be written; the last one again and again.
const REOPEN_WAITS_S: [u64; 6] = [1, 2, 4, 8, 16, 30];
/// Time for which a log has to be well before its owner hears anew, and at once, that it is not.
const CALM: Duration = Duration::from_secs(600);
/// Time after which the owner hears of it nevertheless.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a step costs besides its events.
const STEP_BYTES: usize = size_of::<Step>();

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Passes that recorded nothing but their sample: at 15 s those of 17 hours.
    pub(crate) passes: usize,
    /// Bytes of those: 50 readings a pass are some 1.5 KB, so all of them fit; on a machine with many more it is what
    /// bounds them.
    pass_bytes: usize,
    /// Bytes of all else, which is given up last: some thousand messages.
    rest_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { passes: 4_096, pass_bytes: 8 << 20, rest_bytes: 2 << 20 }
    }
}

/// What is not written yet, if anything, and what is kept of the time before.
#[derive(Default)]
pub(crate) struct Unrecorded {
    pub(crate) outage: Option<Outage>,
    pub(crate) limits: Limits,
    /// Provisional numbers that were given in this run; none is given twice.
    numbers: u64,
    /// The numbers that messages of the last outage got: who hands them over may not know yet.
    renumbered: BTreeMap<Seq, Seq>,
    /// When the last outage ended, on steady time.
    mended_at: Option<Duration>,
}

/// A time in which the log cannot be written.
pub(crate) struct Outage {
    /// The state, with all that waits.
    pub(crate) state: State,
    /// Why, in words for the owner.
    pub(crate) problem: String,
    steps: VecDeque<Step>,
    passes: usize,
    pass_bytes: usize,
    rest_bytes: usize,
    /// Ticks that were written after all.
    late: u64,
    given_up: u64,
    /// The numbers that provisional ones have become.
    numbers: BTreeMap<Seq, Seq>,
    failures: usize,
    /// When to try next to open the log, on steady time; `None` while it is being written.
    pub(crate) next_try: Option<Duration>,
    /// When its owner is to be told, on steady time; `None` once that is done.
    pub(crate) tell_at: Option<Duration>,
}

/// What is written in one step.
enum Step {
    Taken {
        at: Timestamp,
        events: Vec<Event>,
        /// Provisional numbers given before the first of these.
        before: u64,
        bytes: usize,
        /// Told once it is written.
        done: Option<oneshot::Sender<()>>,
    },
    /// Here passes were given up.
    GivenUp { first: Timestamp, last: Timestamp },
}

impl Step {
    /// Whether it is a pass that recorded nothing but its sample, and nobody waits for it.
    fn is_plain(&self) -> bool {
        match self {
            Self::Taken { events, done, .. } => {
                done.is_none() && matches!(events.as_slice(), [Event::Sampled(_)])
            }
            Self::GivenUp { .. } => false,
        }
    }

    /// When it sampled, if it did.
    fn sampled_at(&self) -> Option<Timestamp> {
        match self {
            Self::Taken { at, events, .. } => {
                events.iter().any(|event| matches!(event, Event::Sampled(_))).then_some(*at)
            }
            Self::GivenUp { .. } => None,
        }
    }
}

impl Unrecorded {
    /// The log has failed, at a moment of steady time.
    pub(crate) fn begin(&mut self, state: State, problem: String, steady: Duration) {
        let is_calm = self.mended_at.is_none_or(|at| steady.saturating_sub(at) >= CALM);
        let mut outage = Outage {
            state,
            problem,
            steps: VecDeque::new(),
            passes: 0,
            pass_bytes: 0,
            rest_bytes: 0,
            late: 0,
            given_up: 0,
            numbers: BTreeMap::new(),
            failures: 0,
            next_try: None,
            tell_at: Some(if is_calm { steady } else { steady + PATIENCE }),
        };
        outage.fail(steady);
        self.outage = Some(outage);
    }

    /// The input with the numbers that messages have now.
    pub(crate) fn renumber(&self, mut input: Input) -> Input {
        #[expect(clippy::wildcard_enum_match_arm, reason = "only these are about messages")]
        match &mut input {
            Input::Attempting(messages) | Input::Returned(messages) | Input::Delivered(messages) => {
                for number in messages {
                    *number = self.renumbered.get(number).copied().unwrap_or(*number);
                }
            }
            _ => {}
        }
        input
    }

    /// Takes an input from memory: what it promises. `done` is told once it is written.
    pub(crate) fn take(
        &mut self,
        now: &LocalTime,
        input: &Input,
        done: Option<oneshot::Sender<()>>,
    ) -> Vec<Effect> {
        let Some(outage) = &mut self.outage else { return Vec::new() };
        if outage.rest_bytes >= self.limits.rest_bytes && !is_needed(input) {
            if matches!(input, Input::Sampled(_)) {
                outage.give_up(now.at);
            }
            return Vec::new();
        }
        let events = decide_unrecorded(&outage.state, now, input.clone());
        let before = self.numbers;
        let mut records = Vec::with_capacity(events.len());
        for event in &events {
            let record = Record { seq: Seq::provisional(self.numbers), at: now.at, event: event.clone() };
            self.numbers = self.numbers.saturating_add(1);
            outage.state.apply(&record);
            records.push(record);
        }
        let effects = effects(&outage.state, &records);
        if !events.is_empty() {
            let bytes = events.iter().map(weight).sum::<usize>().saturating_add(STEP_BYTES);
            outage.push(Step::Taken { at: now.at, events, before, bytes, done }, self.limits);
        }
        effects.into_iter().map(Effect::unrecorded).collect()
    }

    /// All that waited is written, at a moment of steady time: what became of the messages, and what the owner is told.
    pub(crate) fn end(&mut self, outage: Outage, state: &State, steady: Duration) -> (Effect, Option<Input>) {
        let recorded = outage.numbers.iter().filter_map(|(before, number)| {
            let queued = state.outbox.get(number)?;
            let owed = state.owed_to(&queued.message.to).find(|owed| owed.number == *number)?;
            Some((*before, owed))
        });
        let recorded = Effect::Renumber(recorded.collect());
        self.renumbered = outage.numbers;
        self.mended_at = Some(steady);
        let told = Input::LogMended { late: outage.late, given_up: outage.given_up };
        (recorded, outage.tell_at.is_none().then_some(told))
    }
}

impl Outage {
    /// The log could not be opened, or written, again.
    pub(crate) fn fail(&mut self, steady: Duration) {
        let wait = REOPEN_WAITS_S.get(self.failures).or(REOPEN_WAITS_S.last()).copied().unwrap_or(1);
        self.failures = self.failures.saturating_add(1);
        self.next_try = Some(steady + Duration::from_secs(wait));
    }

    /// What is to be written next, with the numbers that are known by now; `None` when nothing waits any more.
    pub(crate) fn next(&mut self, sampled_at: Option<Timestamp>) -> Option<(Timestamp, Vec<Event>)> {
        let next_at = self.steps.iter().find_map(Step::sampled_at);
        let numbers = &self.numbers;
        match self.steps.front_mut()? {
            Step::Taken { at, events, .. } => {
                for event in events.iter_mut() {
                    event.renumber(|number| numbers.get(&number).copied().unwrap_or(number));
                }
                Some((*at, events.clone()))
            }
            Step::GivenUp { first, last } => {
                let to = next_at.unwrap_or(*last);
                let from = sampled_at.unwrap_or(*first).min(to);
                Some((*last, vec![Event::Blind { from, to, reason: BlindReason::NotRecorded }]))
            }
        }
    }

    /// What came next is written as these records; none where it could not be, for good.
    pub(crate) fn written(&mut self, records: &[Record]) {
        let Some(step) = self.steps.pop_front() else { return };
        self.failures = 0;
        self.forget(&step);
        let Step::Taken { before, done, .. } = step else { return };
        for (record, before) in records.iter().zip(before..) {
            if matches!(record.event, Event::Sampled(_)) {
                self.late = self.late.saturating_add(1);
            } else {
                self.numbers.insert(Seq::provisional(before), record.seq);
            }
        }
        if let Some(done) = done {
            // Who waited may have gone.
            let _ = done.send(());
        }
    }

    /// Ticks and other records that wait.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let ticks = self.steps.iter().filter(|step| step.sampled_at().is_some()).count();
        let events = self.steps.iter().map(|step| match step {
            Step::Taken { events, .. } => events.len(),
            Step::GivenUp { .. } => 1,
        });
        (ticks, events.sum::<usize>().saturating_sub(ticks))
    }

    fn push(&mut self, step: Step, limits: Limits) {
        if let Step::Taken { bytes, .. } = &step {
            if step.is_plain() {
                self.passes += 1;
                self.pass_bytes = self.pass_bytes.saturating_add(*bytes);
            } else {
                self.rest_bytes = self.rest_bytes.saturating_add(*bytes);
            }
        }
        self.steps.push_back(step);
        while self.passes > limits.passes || self.pass_bytes > limits.pass_bytes {
            self.give_up_oldest();
        }
    }

    /// The step is in the queue no more.
    fn forget(&mut self, step: &Step) {
        let Step::Taken { bytes, .. } = step else { return };
        if step.is_plain() {
            self.passes = self.passes.saturating_sub(1);
            self.pass_bytes = self.pass_bytes.saturating_sub(*bytes);
        } else {
            self.rest_bytes = self.rest_bytes.saturating_sub(*bytes);
        }
    }

    /// Gives up the oldest plain pass, and joins the gaps that meet there.
    fn give_up_oldest(&mut self) {
        let Some(place) = self.steps.iter().position(Step::is_plain) else {
            // There is none, whatever was counted.
            (self.passes, self.pass_bytes) = (0, 0);
            return;
        };
        let Some(step) = self.steps.remove(place) else { return };
        self.forget(&step);
        let Step::Taken { at, .. } = step else { return };
        self.given_up = self.given_up.saturating_add(1);
        let before = place.checked_sub(1).and_then(|before| self.steps.get_mut(before));
        if let Some(Step::GivenUp { last, .. }) = before {
            *last = at;
        } else {
            self.steps.insert(place, Step::GivenUp { first: at, last: at });
        }
    }

    /// Gives up a pass that has just come.
    fn give_up(&mut self, at: Timestamp) {
        self.given_up = self.given_up.saturating_add(1);
        if let Some(Step::GivenUp { last, .. }) = self.steps.back_mut() {
            *last = at;
        } else {
            self.steps.push_back(Step::GivenUp { first: at, last: at });
        }
    }
}

/// Whether who hands an input over waits for the disk; everybody else goes on.
pub(crate) const fn waits_for_disk(input: &Input) -> bool {
    match input {
        Input::Sampled(_) | Input::Stopping => true,
        Input::Starting { .. }
        | Input::Heard { .. }
        | Input::Attempting(_)
        | Input::Returned(_)
        | Input::Delivered(_)
        | Input::AddressFetched(_)
        | Input::ProcessesRead(_)
        | Input::RestartFinished(_)
        | Input::Checked { .. }
        | Input::ConfigurationRead(_)
        | Input::Salvaged(_)
        | Input::Woken
        | Input::LogFailed(_)
        | Input::LogMended { .. }
        | Input::Leaving => false,
    }
}

/// Whether an input is taken however much waits: what was done in the world must not be forgotten, or done again.
const fn is_needed(input: &Input) -> bool {
    match input {
        Input::Delivered(_)
        | Input::RestartFinished(_)
        | Input::ConfigurationRead(_)
        | Input::Salvaged(_)
        | Input::LogFailed(_)
        | Input::LogMended { .. }
        | Input::Leaving
        | Input::Stopping => true,
        Input::Starting { .. }
        | Input::Sampled(_)
        | Input::Heard { .. }
        | Input::Attempting(_)
        | Input::Returned(_)
        | Input::AddressFetched(_)
        | Input::ProcessesRead(_)
        | Input::Checked { .. }
        | Input::Woken => false,
    }
}

/// Bytes of memory that an event takes, as far as they may be many.
fn weight(event: &Event) -> usize {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are small")]
    let more = match event {
        Event::Sampled(sample) => sample.readings.len().saturating_mul(size_of::<Reading>()),
        Event::MessageQueued(message) => message.text.len(),
        Event::Heard { text, .. } => text.len(),
        Event::AlertFired(fired) => fired.message.len(),
        Event::Configured { rules } => rules.len(),
        Event::RestartFinished { output, .. } => output.len(),
        _ => 0,
    };
    size_of::<Event>().saturating_add(more)
}

#[cfg(test)]
mod tests {
    use systembot_model::{Rules, Sample, Series, sample::Pass};

    use super::*;

    fn pass(n: u64) -> Input {
        let mut sample = Sample::default();
        (0..50).for_each(|_| sample.push(Series::new("load1"), 1.0));
        let at = Timestamp::from_ms(i64::try_from(n).unwrap() * 15_000);
        Input::Sampled(Box::new(Pass {
            at,
            sample,
            elapsed: Some(Duration::from_secs(15)),
            ..Pass::default()
        }))
    }

    fn take(unrecorded: &mut Unrecorded, input: &Input, n: u64) {
        let at = Timestamp::from_ms(i64::try_from(n).unwrap() * 15_000);
        unrecorded.take(&LocalTime::utc(at), input, None);
    }

    fn failed() -> Unrecorded {
        let rules = Rules { destinations: vec![systembot_model::Address::bridge()], ..Rules::default() };
        let mut unrecorded = Unrecorded::default();
        unrecorded.begin(State { rules, ..State::default() }, "full".into(), Duration::ZERO);
        unrecorded
    }

    #[test]
    fn so_many_passes_as_are_told_fit_and_the_oldest_go_first() {
        let mut unrecorded = failed();
        (0..4_200).for_each(|n| take(&mut unrecorded, &pass(n), n));
        let outage = unrecorded.outage.as_ref().unwrap();
        assert_eq!((outage.passes, outage.given_up), (4_096, 104));
        assert!(outage.pass_bytes < 7 << 20, "{} bytes", outage.pass_bytes);
        let [Step::GivenUp { first, last }, Step::Taken { at, .. }, ..] =
            outage.steps.iter().collect::<Vec<_>>()[..]
        else {
            panic!("the gap is not in front, and one")
        };
        assert_eq!([first, last, at].map(|at| at.as_ms() / 15_000), [0, 103, 104]);
    }

    #[test]
    fn a_flood_of_lines_is_bounded_and_what_was_done_is_taken_all_the_same() {
        let mut unrecorded = failed();
        let line = Input::Heard { from: systembot_model::Address::bridge(), text: "help".into() };
        (0..2_000).for_each(|_| take(&mut unrecorded, &line, 0));
        let full = unrecorded.outage.as_ref().unwrap().rest_bytes;
        assert!((2 << 20..(2 << 20) + 20_000).contains(&full), "{full} bytes");
        take(&mut unrecorded, &pass(1), 1);
        let outage = unrecorded.outage.as_ref().unwrap();
        assert_eq!((outage.passes, outage.given_up), (0, 1));
        take(&mut unrecorded, &Input::Delivered(vec![Seq::provisional(1)]), 2);
        assert!(unrecorded.outage.as_ref().unwrap().rest_bytes > full);
    }

    #[test]
    fn a_log_that_fails_again_and_again_is_told_of_once() {
        let mut unrecorded = failed();
        assert_eq!(unrecorded.outage.as_ref().unwrap().tell_at, Some(Duration::ZERO));
        let steady = Duration::from_secs(100);
        let outage = unrecorded.outage.take().unwrap();
        let (_, told) = unrecorded.end(outage, &State::default(), steady);
        assert_eq!(told, None, "who heard nothing of it hears no end of it");
        for (at, after) in [(200, 60), (100 + 600, 0)] {
            unrecorded.begin(State::default(), "full".into(), Duration::from_secs(at));
            let tell_at = unrecorded.outage.as_ref().unwrap().tell_at;
            assert_eq!(tell_at, Some(Duration::from_secs(at + after)));
        }
    }
}
