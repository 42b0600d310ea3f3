//! A destination, and whoever hands messages over to it: it refuses, stalls, takes a text and loses the answer, is
//! away and comes back. Each step of a delivery is one of the life, so anything may come between two of them.

use systembot_model::{
    Address, Input, LocalTime, Seq, Timestamp,
    outbox::{Owed, Parcel, Waiting},
};

use super::world::Random;

/// A text that a destination took.
#[derive(Clone, Debug)]
pub(super) struct Receipt {
    pub(super) to: Address,
    pub(super) numbers: Vec<Seq>,
    pub(super) text: String,
    /// The newest record at that moment.
    pub(super) seq: Seq,
}

#[derive(Debug)]
pub(super) struct Desk {
    address: Address,
    waiting: Waiting,
    /// Since when the destination is away.
    away: Option<Timestamp>,
    phase: Phase,
}

/// How far the delivery is.
#[derive(Debug)]
enum Phase {
    Idle,
    /// The attempt is on record.
    Attempted(Parcel),
    /// The destination has it, and its answer is on the way.
    Taken(Parcel),
}

impl Desk {
    pub(super) fn new(address: Address) -> Self {
        Self { address, waiting: Waiting::default(), away: None, phase: Phase::Idle }
    }

    pub(super) fn push(&mut self, owed: Owed) {
        self.waiting.push(owed);
    }

    pub(super) fn forget(&mut self, numbers: &[Seq]) {
        self.waiting.forget(numbers);
    }

    /// The next step of a delivery: what is to be recorded, if anything.
    pub(super) fn step(
        &mut self,
        now: &LocalTime,
        newest: Seq,
        random: &mut Random,
        receipts: &mut Vec<Receipt>,
    ) -> Option<Input> {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Idle => {
                if let Some(since) = self.away {
                    if !random.is_one_in(4) {
                        return None;
                    }
                    self.away = None;
                    self.waiting.reached(Some(since));
                } else if random.is_one_in(12) {
                    self.away = Some(now.at);
                    return None;
                }
                let parcel = self.waiting.next(now)?;
                let numbers = parcel.numbers.clone();
                self.phase = Phase::Attempted(parcel);
                Some(Input::Attempting(numbers))
            }
            Phase::Attempted(parcel) => {
                let fate = random.below(10);
                let is_taken = fate < 7;
                if is_taken {
                    receipts.push(Receipt {
                        to: self.address.clone(),
                        numbers: parcel.numbers.clone(),
                        text: parcel.text.clone(),
                        seq: newest,
                    });
                }
                match fate {
                    0..=5 => {
                        self.phase = Phase::Taken(parcel);
                        None
                    }
                    // Nobody knows whether it was taken.
                    6 | 7 => {
                        self.waiting.mark_again(&parcel.numbers);
                        self.away = random.is_one_in(2).then_some(now.at);
                        self.returned(&parcel)
                    }
                    // It stalls.
                    8 => {
                        self.phase = Phase::Attempted(parcel);
                        None
                    }
                    _ => {
                        self.away = random.is_one_in(2).then_some(now.at);
                        self.returned(&parcel)
                    }
                }
            }
            Phase::Taken(parcel) => {
                self.waiting.forget(&parcel.numbers);
                Some(Input::Delivered(parcel.numbers))
            }
        }
    }

    fn returned(&self, parcel: &Parcel) -> Option<Input> {
        let missing = self.waiting.surely_missing(&parcel.numbers);
        (!missing.is_empty()).then_some(Input::Returned(missing))
    }
}
