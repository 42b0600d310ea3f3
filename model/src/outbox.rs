//! What is owed to a destination, and how an outage is told in one message.
//!
//! A [`Waiting`] holds what one destination is owed, oldest first, and says what goes out next as a [`Parcel`]: one
//! message as it is, or, where more than [`limits::DIGEST_ABOVE`] piled up while the destination was away, a
//! digest of them. Nothing leaves it but by [`Waiting::forget`], so a digest can lose nothing.

use std::{borrow::Cow, collections::VecDeque};

use crate::{LocalTime, Message, Seq, Timestamp, limits};

/// How a text begins that may have arrived already.
pub const AGAIN: &str = "(again) ";
/// How an alert begins that leaves before its record is written.
pub const NOT_RECORDED: &str = "(not recorded) ";
/// How a text ends that was longer than [`limits::MESSAGE_BYTES`]; it says where the rest is.
pub const CUT: &str = "\n(cut here; `systembot alerts` and `systembot status` on the machine show the rest)";
/// Room kept in a digest for the line about those that follow: the words and a count of ten digits.
const FOLLOW_BYTES: usize = 32;

/// A message that is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// Its number.
    pub number: Seq,
    /// When it was queued, which a digest tells.
    pub queued_at: Timestamp,
    /// The message.
    pub message: Message,
    /// Whether it may have arrived already: it was attempted, and what became of that is unknown.
    pub again: bool,
}

/// What is handed over in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Numbers of the messages in it, ascending; never empty.
    pub numbers: Vec<Seq>,
    /// The text, at most [`limits::MESSAGE_BYTES`].
    pub text: String,
}

/// What one destination is owed, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    messages: VecDeque<Owed>,
    /// What piled up in an outage and is told in digests, if anything.
    backlog: Option<Backlog>,
}

/// Messages up to a number that piled up in an outage.
#[derive(Clone, Copy, Debug)]
struct Backlog {
    last: Seq,
    since: Option<Timestamp>,
}

impl Waiting {
    /// Takes a message at its place in the order; one that is there already is left as it is.
    pub fn push(&mut self, owed: Owed) {
        if let Err(place) = self.messages.binary_search_by_key(&owed.number, |other| other.number) {
            self.messages.insert(place, owed);
        }
    }

    /// Gives messages that went without a record the number and the text of the one that they have now.
    pub fn renumber(&mut self, recorded: &[(Seq, Owed)]) {
        let number_of = |number: Seq| recorded.iter().find(|(before, _)| *before == number);
        for owed in &mut self.messages {
            if let Some((_, now)) = number_of(owed.number) {
                *owed = Owed { again: owed.again, ..now.clone() };
            }
        }
        // One that is gone went last, so nothing of that backlog is left.
        self.backlog = self.backlog.take().and_then(|backlog| match number_of(backlog.last) {
            Some((_, now)) => Some(Backlog { last: now.number, ..backlog }),
            None => Some(backlog).filter(|backlog| !backlog.last.is_provisional()),
        });
        self.messages.make_contiguous().sort_by_key(|owed| owed.number);
    }

    /// Forgets messages that are owed no more: delivered, or dropped.
    pub fn forget(&mut self, numbers: &[Seq]) {
        self.messages.retain(|owed| !numbers.contains(&owed.number));
    }

    /// Remembers that these may have arrived.
    pub fn mark_again(&mut self, numbers: &[Seq]) {
        for owed in self.messages.iter_mut().filter(|owed| numbers.contains(&owed.number)) {
            owed.again = true;
        }
    }

    /// Those of the numbers that have surely not arrived, by all that is known.
    #[must_use]
    pub fn surely_missing(&self, numbers: &[Seq]) -> Vec<Seq> {
        let missing = |owed: &&Owed| !owed.again && numbers.contains(&owed.number);
        self.messages.iter().filter(missing).map(|owed| owed.number).collect()
    }

    /// The destination answers again after it was away since a moment, if one is known: what waits now and is
    /// more than [`limits::DIGEST_ABOVE`] goes in digests; what comes later goes message by message.
    pub fn reached(&mut self, since: Option<Timestamp>) {
        let last = self.messages.back().filter(|_| self.messages.len() > limits::DIGEST_ABOVE);
        self.backlog = last.map(|owed| Backlog { last: owed.number, since });
    }

    /// What to hand over next.
    #[must_use]
    pub fn next(&mut self, now: &LocalTime) -> Option<Parcel> {
        let messages = self.messages.make_contiguous();
        let first = messages.first()?;
        let piled = match self.backlog {
            Some(Backlog { last, since }) if first.number <= last => {
                Some((messages.partition_point(|owed| owed.number <= last), since))
            }
            _ => None,
        };
        match piled {
            Some((count, since)) => digest(messages.get(..count)?, since, now),
            None => Some(single(first)),
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

/// Holds a text at [`limits::MESSAGE_BYTES`]; what is cut ends in [`CUT`] and its alert's number.
#[must_use]
pub fn fit(text: &str) -> Cow<'_, str> {
    fit_in(text, limits::MESSAGE_BYTES)
}

/// One message as it goes out.
fn single(owed: &Owed) -> Parcel {
    Parcel { numbers: vec![owed.number], text: fit(&marked(owed)).into_owned() }
}

/// As many of the oldest messages as fit in one text: at least one, cut where it must be. `None` only of nothing.
///
/// Each comes with the moment it was queued, and marked where it may have arrived already; if one may have, the
/// whole begins so too.
fn digest(waiting: &[Owed], since: Option<Timestamp>, now: &LocalTime) -> Option<Parcel> {
    let mut body = match since {
        Some(since) => format!("While I could not reach you (since {}):", now.civil_minute(since)),
        None => "While I could not reach you:".to_owned(),
    };
    let room = limits::MESSAGE_BYTES.saturating_sub(AGAIN.len()).saturating_sub(FOLLOW_BYTES);
    let mut included = Vec::new();
    for owed in waiting {
        let entry = format!("\n\n{}: {}", now.civil_minute(owed.queued_at), marked(owed));
        let left = room.saturating_sub(body.len());
        if entry.len() > left && !included.is_empty() {
            break;
        }
        body.push_str(&fit_in(&entry, left));
        included.push(owed);
    }
    let follow = waiting.len().saturating_sub(included.len());
    if follow > 0 {
        body.push_str(&format!("\n\n({follow} more follow)"));
    }
    let again = if included.iter().any(|owed| owed.again) { AGAIN } else { "" };
    let numbers: Vec<_> = included.iter().map(|owed| owed.number).collect();
    (!numbers.is_empty()).then(|| Parcel { numbers, text: format!("{again}{body}") })
}

fn marked(owed: &Owed) -> Cow<'_, str> {
    if owed.again {
        return Cow::Owned(format!("{AGAIN}{}", owed.message.text));
    }
    Cow::Borrowed(&owed.message.text)
}

/// Cuts the text of an alert before its number, which `why` and `ack` take.
fn fit_in(text: &str, bytes: usize) -> Cow<'_, str> {
    if text.len() <= bytes {
        return Cow::Borrowed(text);
    }
    let id = text.rsplit(char::is_whitespace).next().filter(|word| is_alert_id(word));
    let end = id.map_or_else(|| CUT.to_owned(), |id| format!("{CUT} {id}"));
    Cow::Owned(format!("{}{end}", limits::cut(text, bytes.saturating_sub(end.len()))))
}

/// Whether a word is the number of an alert: `#` and the digits of a u64.
fn is_alert_id(word: &str) -> bool {
    word.strip_prefix('#').is_some_and(|digits| digits.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Address, event::MessageKind};

    fn owed(number: u64, text: &str) -> Owed {
        let message = Message { to: Address::bridge(), kind: MessageKind::Alert, text: text.to_owned() };
        let queued_at = Timestamp::from_ms(i64::try_from(number).unwrap() * 60_000);
        Owed { number: Seq::new(number), queued_at, message, again: false }
    }

    fn waiting(texts: impl IntoIterator<Item = Owed>) -> Waiting {
        let mut waiting = Waiting::default();
        texts.into_iter().for_each(|owed| waiting.push(owed));
        waiting
    }

    fn now() -> LocalTime {
        LocalTime::utc(Timestamp::from_ms(3_600_000))
    }

    /// Hands everything over and tells what went out.
    fn deliver_all(waiting: &mut Waiting) -> Vec<Parcel> {
        let mut parcels = Vec::new();
        while let Some(parcel) = waiting.next(&now()) {
            waiting.forget(&parcel.numbers);
            parcels.push(parcel);
        }
        parcels
    }

    fn texts(parcels: &[Parcel]) -> Vec<&str> {
        parcels.iter().map(|parcel| parcel.text.as_str()).collect()
    }

    #[test]
    fn up_to_five_go_one_by_one_and_six_as_one_digest_oldest_first() {
        let mut five = waiting((1..=5).map(|n| owed(n, &format!("text #{n}"))));
        five.reached(Some(Timestamp::from_ms(0)));
        assert_eq!(texts(&deliver_all(&mut five)), ["text #1", "text #2", "text #3", "text #4", "text #5"]);

        let mut six = waiting((1..=6).rev().map(|n| owed(n, &format!("text #{n}"))));
        six.reached(Some(Timestamp::from_ms(0)));
        assert_eq!(
            texts(&deliver_all(&mut six)),
            ["While I could not reach you (since 1970-01-01 00:00):\n\n\
              1970-01-01 00:01: text #1\n\n1970-01-01 00:02: text #2\n\n1970-01-01 00:03: text #3\n\n\
              1970-01-01 00:04: text #4\n\n1970-01-01 00:05: text #5\n\n1970-01-01 00:06: text #6"]
        );
    }

    #[test]
    fn many_messages_without_an_outage_go_one_by_one() {
        let mut waiting = waiting((1..=20).map(|n| owed(n, "reply")));
        assert_eq!(deliver_all(&mut waiting).len(), 20);
    }

    #[test]
    fn what_comes_after_the_outage_is_no_part_of_its_digest() {
        let mut waiting = waiting((1..=6).map(|n| owed(n, "alert")));
        waiting.reached(None);
        (7..=15).for_each(|n| waiting.push(owed(n, "reply")));
        let parcels = deliver_all(&mut waiting);
        assert!(parcels[0].text.starts_with("While I could not reach you:\n\n"));
        assert_eq!(parcels[0].numbers.len(), 6);
        assert_eq!(texts(&parcels[1..]), ["reply"; 9]);
    }

    #[test]
    fn a_text_that_may_have_arrived_begins_with_again() {
        let mut few = waiting([owed(1, "one"), owed(2, "two")]);
        few.mark_again(&[Seq::new(1)]);
        assert_eq!(few.surely_missing(&[Seq::new(1), Seq::new(2)]), [Seq::new(2)]);
        assert_eq!(texts(&deliver_all(&mut few)), ["(again) one", "two"]);

        let mut many = waiting((1..=6).map(|n| owed(n, "text")));
        many.mark_again(&[Seq::new(2)]);
        many.reached(None);
        let text = deliver_all(&mut many).remove(0).text;
        assert!(text.starts_with("(again) While I could not reach you:\n\n1970-01-01 00:01: text\n\n"));
        assert!(text.contains("00:02: (again) text\n\n1970-01-01 00:03: text"), "{text}");
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_with_a_note() {
        let mut long = waiting([owed(1, &"é".repeat(5_000))]);
        let text = long.next(&now()).unwrap().text;
        assert!(text.len() <= limits::MESSAGE_BYTES && text.ends_with(CUT), "{} bytes", text.len());
        let mut alert = waiting([owed(1, &format!("{} #12", "x".repeat(7_000)))]);
        assert!(alert.next(&now()).unwrap().text.ends_with(&format!("{CUT} #12")));
        assert_eq!(fit(&"x".repeat(limits::MESSAGE_BYTES)), "x".repeat(limits::MESSAGE_BYTES));
    }

    #[test]
    fn what_is_pushed_twice_goes_once_and_what_is_forgotten_never() {
        let mut waiting = waiting([owed(3, "c"), owed(1, "a"), owed(3, "other"), owed(2, "b")]);
        waiting.forget(&[Seq::new(2)]);
        assert_eq!(waiting.len(), 2);
        assert_eq!(texts(&deliver_all(&mut waiting)), ["a", "c"]);
        assert!(waiting.is_empty());
    }

    #[test]
    fn what_went_without_a_record_keeps_its_place_under_its_number() {
        let provisional =
            |n: u64| Owed { number: Seq::provisional(n), ..owed(0, &format!("(not recorded) {n}")) };
        let mut few = waiting([owed(1, "before"), provisional(0), provisional(7)]);
        few.mark_again(&[Seq::provisional(0)]);
        // One that was queued when there were records again, before the transport heard of them.
        few.push(owed(9, "after"));
        few.renumber(&[(Seq::provisional(0), owed(3, "a")), (Seq::provisional(7), owed(8, "b"))]);
        let parcels = deliver_all(&mut few);
        assert_eq!(texts(&parcels), ["before", "(again) a", "b", "after"]);

        // A backlog ends where it ended, also when its last message has gone.
        let mut away = waiting((0..6).map(provisional));
        away.reached(None);
        away.renumber(&(0..6).map(|n| (Seq::provisional(n), owed(n + 1, "text"))).collect::<Vec<_>>());
        away.push(owed(20, "reply"));
        assert_eq!(deliver_all(&mut away).iter().map(|p| p.numbers.len()).collect::<Vec<_>>(), [6, 1]);
        let mut gone = waiting((0..6).map(provisional));
        gone.reached(None);
        gone.forget(&(0..6).map(Seq::provisional).collect::<Vec<_>>());
        gone.renumber(&[]);
        gone.push(owed(20, "reply"));
        assert_eq!(texts(&deliver_all(&mut gone)), ["reply"]);
    }

    proptest! {
        #[test]
        fn digests_lose_nothing_keep_the_order_and_stay_within_the_limit(
            messages in prop::collection::vec((("\\PC{0,8}", prop_oneof![Just(1), 200_usize..900]), any::<bool>()), 0..40),
            later in 0_usize..10,
            known in any::<bool>(),
        ) {
            let all: Vec<Owed> = messages
                .iter()
                .zip(1..)
                .map(|(((text, times), again), n)| Owed { again: *again, ..owed(n, &format!("{} #{n}", text.repeat(*times))) })
                .collect();
            let (before, after) = all.split_at(all.len().saturating_sub(later));
            let mut waiting = waiting(before.iter().cloned());
            waiting.reached(known.then(|| Timestamp::from_ms(0)));
            after.iter().cloned().for_each(|owed| waiting.push(owed));

            let parcels = deliver_all(&mut waiting);
            let numbers: Vec<Seq> = parcels.iter().flat_map(|parcel| parcel.numbers.clone()).collect();
            prop_assert_eq!(numbers, all.iter().map(|owed| owed.number).collect::<Vec<_>>());
            for parcel in &parcels {
                prop_assert!(parcel.text.len() <= limits::MESSAGE_BYTES);
                let included: Vec<&Owed> =
                    all.iter().filter(|owed| parcel.numbers.contains(&owed.number)).collect();
                prop_assert_eq!(
                    parcel.text.starts_with(AGAIN),
                    included.iter().any(|owed| owed.again)
                );
                let mut rest = parcel.text.as_str();
                for owed in included {
                    let text = &owed.message.text;
                    let whole = rest.find(text.as_str());
                    // Only a text that does not fit by itself may be cut.
                    prop_assert!(whole.is_some() || (text.len() > 5_800 && rest.contains(CUT)));
                    rest = &rest[whole.map_or(0, |at| at + text.len())..];
                }
            }
            let digests = parcels.iter().filter(|parcel| parcel.text.contains("While I could not reach")).count();
            prop_assert_eq!(digests > 0, before.len() > limits::DIGEST_ABOVE);
        }
    }
}
