//! What must hold of the records of a life, and of what its destinations took.

use std::collections::{BTreeMap, BTreeSet};

use systembot_model::{Address, Event, Message, Record, Seq, State, outbox, state::condition};

use super::desk::Receipt;

/// Checks the records of a life, the first to the last; gives the state that is their fold.
pub(super) fn kept(records: &[Record], receipts: &[Receipt]) -> State {
    let mut state = State::default();
    let mut alerts = Alerts::default();
    let mut under_way = BTreeMap::new();
    let mut messages = Messages { receipts, ..Messages::default() };
    for record in records {
        assert_eq!(record.seq, state.seq.next(), "no number is left out");
        alerts.take(&state, record);
        starts(&state, record, &mut under_way);
        messages.take(record);
        state.apply(record);
    }
    assert!(state.alerts.keys().eq(alerts.open.iter()), "what fired is resolved or open");
    messages.end(&state);
    state
}

#[derive(Default)]
struct Alerts {
    count: u64,
    open: BTreeSet<u64>,
}

impl Alerts {
    fn take(&mut self, state: &State, record: &Record) {
        match &record.event {
            Event::AlertFired(fired) => {
                self.count += 1;
                assert_eq!(fired.id, self.count, "alerts count 1, 2, 3");
                self.open.insert(fired.id);
                assert!(
                    !(fired.told && state.is_muted(&fired.series, record.at)),
                    "told while muted: {record:?}"
                );
                let same = state.alerts.values().filter(|alert| {
                    condition(alert)
                        .is_some_and(|about| about.series == fired.series && about.rule.name() == fired.rule)
                });
                assert_eq!(same.count(), 0, "one open alert a condition: {record:?}");
            }
            Event::AlertRepeated { id, message } => {
                assert!(self.open.contains(id), "{record:?}");
                // That a service is given up is news also to those who know that it is down.
                let is_news = message.contains("given up");
                assert!(state.alerts[id].acknowledged.is_none() || is_news, "acknowledged: {record:?}");
            }
            Event::AlertResolved { id, .. } => assert!(self.open.remove(id), "resolved once: {record:?}"),
            _ => {}
        }
    }
}

fn starts(state: &State, record: &Record, under_way: &mut BTreeMap<String, Seq>) {
    match &record.event {
        Event::RestartOrdered { service, by, .. } => {
            let before = under_way.insert(service.clone(), record.seq);
            assert_eq!(before, None, "one start at a time: {record:?}");
            let settings = state.rules.service(service).unwrap();
            assert!(settings.restart.is_some());
            let watched = state.services.get(service).cloned().unwrap_or_default();
            if by.is_none() {
                assert!(state.missing.contains_key(service), "only what is missing: {record:?}");
                assert!(watched.paused.is_none() && watched.given_up.is_none(), "{record:?}: {watched:?}");
                assert!(watched.next_at.is_none_or(|at| at <= record.at), "before its back-off: {record:?}");
                let recent = watched.starts_within(settings.start_limit_interval, record.at);
                assert!(
                    u32::try_from(recent).unwrap() < settings.start_limit,
                    "beyond its limit: {record:?}"
                );
            }
        }
        Event::RestartFinished { service, ordered, .. } => {
            assert_eq!(under_way.remove(service), Some(*ordered), "each start ends once: {record:?}");
        }
        _ => {}
    }
}

/// What became of each message.
#[derive(Default)]
struct Messages<'a> {
    receipts: &'a [Receipt],
    queued: BTreeMap<Seq, Message>,
    attempts: BTreeMap<Seq, u32>,
    received: BTreeSet<Seq>,
    delivered: BTreeSet<Seq>,
    dropped: BTreeSet<Seq>,
    /// The newest message that each destination took.
    newest: BTreeMap<Address, Seq>,
}

impl Messages<'_> {
    fn take(&mut self, record: &Record) {
        while let Some((receipt, rest)) =
            self.receipts.split_first().filter(|(next, _)| next.seq < record.seq)
        {
            self.receipts = rest;
            self.receive(receipt);
        }
        match &record.event {
            Event::MessageQueued(message) => {
                assert!(self.queued.insert(record.seq, message.clone()).is_none());
            }
            Event::MessageAttempted { messages } => {
                messages.iter().for_each(|number| *self.attempts.entry(*number).or_default() += 1);
            }
            Event::MessageReturned { messages } => {
                for number in messages {
                    assert!(!self.received.contains(number), "{number:?} has arrived: {record:?}");
                    *self.attempts.get_mut(number).unwrap() -= 1;
                }
            }
            Event::MessageDelivered { messages } => {
                for number in messages {
                    assert!(self.received.contains(number), "{number:?} was not taken: {record:?}");
                    assert!(self.delivered.insert(*number), "{number:?} was delivered before: {record:?}");
                    assert!(!self.dropped.contains(number), "{number:?} was dropped before: {record:?}");
                }
            }
            Event::MessageDropped { messages, reason } => {
                assert!(!reason.is_empty());
                for number in messages {
                    assert!(self.dropped.insert(*number), "{number:?} was dropped before: {record:?}");
                    assert!(!self.delivered.contains(number), "{number:?} was delivered before: {record:?}");
                }
            }
            _ => {}
        }
    }

    fn receive(&mut self, receipt: &Receipt) {
        let Receipt { to, numbers, text, .. } = receipt;
        assert!(numbers.is_sorted() && !numbers.is_empty(), "{receipt:?}");
        let is_marked = text.starts_with(outbox::AGAIN);
        let is_second = numbers.iter().any(|number| self.received.contains(number));
        assert!(is_marked || !is_second, "it came before, and does not say so: {receipt:?}");
        let is_doubtful =
            numbers.iter().any(|number| self.attempts.get(number).is_some_and(|count| *count > 1));
        assert!(!is_marked || is_doubtful, "it cannot have come before: {receipt:?}");
        for number in numbers {
            let message = &self.queued[number];
            assert_eq!(message.to, *to, "{receipt:?}");
            let head = message.text.lines().next().unwrap_or_default();
            assert!(numbers.len() > 1 || text.contains(head), "{message:?} is not in {receipt:?}");
            assert!(self.attempts.get(number).is_some_and(|count| *count > 0), "not attempted: {receipt:?}");
            assert!(!self.delivered.contains(number), "it is known to have come: {receipt:?}");
            let newest = self.newest.entry(to.clone()).or_default();
            if self.received.insert(*number) {
                assert!(number > newest, "{newest:?} came before: {receipt:?}");
                *newest = *number;
            }
        }
    }

    fn end(mut self, state: &State) {
        for receipt in self.receipts {
            self.receive(receipt);
        }
        let has_ended = |number: &Seq| self.delivered.contains(number) || self.dropped.contains(number);
        let owed: BTreeSet<Seq> = self.queued.keys().copied().filter(|number| !has_ended(number)).collect();
        assert!(state.outbox.keys().eq(owed.iter()), "every message is delivered, dropped, or owed");
    }
}
