//! The task of one destination: hands over what is owed, in order, and brings in what was said.
//!
//! It goes in rounds. A round asks the destination first, until it has nothing more to say: the answer is the health
//! check too, so while a destination is away no message is risked on it. Then it hands over what waits. A round
//! begins when the poll is due, a retry is, or an order comes in. Orders are taken in at every moment, also while
//! a request or a record is under way, so that the engine never waits for a slow destination.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    mem,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use systembot_model::{
    Input, Seq, number,
    outbox::{Owed, Parcel, Waiting},
};
use tokio::{
    select,
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tracing::debug;

use super::{Failure, Transport, condition::Condition};
use crate::{
    clock::Clock,
    inbox::{Closed, Inbox},
};

/// Orders on their way to one destination; a full channel makes the engine wait for a moment only, as they are
/// taken in at once.
pub const ORDERS_MAX: usize = 64;
/// Waits after the 1st, 2nd ... failure in a row, in units of [`Pace::retry`]; the last one for all after.
const WAITS: [u32; 6] = [1, 2, 4, 8, 16, 30];
/// Commands fetched, and messages handed over, in one round: far more than a person types, and little enough
/// that neither starves the other.
const ROUND: usize = 100;

/// What the engine wants of a destination's task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Hand this over, after what came before.
    Deliver(Owed),
    /// These are owed no more.
    Forget(Vec<Seq>),
    /// What went by the first number has a record now, and this number and text.
    Renumber(Vec<(Seq, Owed)>),
    /// Hand over what waits, within [`Pace::finish`], and end.
    Finish,
}

/// What ties the task to the engine.
pub struct Desk {
    /// Orders from the engine; the task ends when it is closed.
    pub orders: mpsc::Receiver<Order>,
    /// The way to the engine.
    pub inbox: Inbox,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
}

/// How fast the task goes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Time between two polls, give or take a tenth, so that many bots do not ask at the same moment.
    pub poll_interval: Duration,
    /// Wait after the first failure; it doubles up to 16 times, then 30 times as much.
    pub retry: Duration,
    /// Time for what waits when the task is to finish.
    pub finish: Duration,
    /// Where the chance in the poll interval begins.
    pub seed: u64,
}

impl Pace {
    /// The pace of the daemon: retries after 1 to 30 s, 5 s to finish, and a seed of its own.
    #[must_use]
    pub fn new(poll_interval: Duration) -> Self {
        let seed = RandomState::new().build_hasher().finish();
        Self { poll_interval, retry: Duration::from_secs(1), finish: Duration::from_secs(5), seed }
    }

    fn wait(&self, failures: usize) -> Duration {
        let last = WAITS.last().copied().unwrap_or(1);
        self.retry.saturating_mul(WAITS.get(failures.saturating_sub(1)).copied().unwrap_or(last))
    }

    /// The next poll interval: 0.9 to 1.1 times the one set (splitmix64 by Sebastiano Vigna).
    fn interval(&mut self) -> Duration {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.seed;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
        self.poll_interval.mul_f64(0.9 + 0.2 * number::float(x % 1_001) / 1_000.0)
    }
}

/// Serves a destination until it is told to finish or the engine has ended.
pub async fn drive<T: Transport>(transport: T, desk: Desk, pace: Pace) {
    let now = Instant::now();
    let mut driver = Driver {
        condition: Condition::new(&transport),
        transport,
        inbox: desk.inbox,
        clock: desk.clock,
        hold: Hold {
            orders: desk.orders,
            waiting: Waiting::default(),
            under_way: Vec::new(),
            finish: pace.finish,
            deadline: None,
        },
        pace,
        polls: Attempts { failures: 0, next: now },
        sends: Attempts { failures: 0, next: now },
        is_open: false,
        is_hurried: false,
    };
    let ended = driver.run().await;
    debug!(waiting = driver.hold.waiting.len(), ?ended, "{} is served no more", driver.condition.name());
}

/// Why the task ends.
#[derive(Clone, Copy, Debug)]
enum Ended {
    /// All was handed over, as ordered.
    Finished,
    /// The time to finish was over; what waits goes out at the next start.
    TooLate,
    /// The engine has ended.
    Alone,
}

impl From<Closed> for Ended {
    fn from(_: Closed) -> Self {
        Self::Alone
    }
}

struct Driver<T> {
    transport: T,
    inbox: Inbox,
    clock: Arc<dyn Clock>,
    hold: Hold,
    pace: Pace,
    condition: Condition,
    polls: Attempts,
    sends: Attempts,
    /// Whether the newest request was answered.
    is_open: bool,
    /// Whether the waits were cut short because the task is to finish.
    is_hurried: bool,
}

/// When to try next.
struct Attempts {
    failures: usize,
    next: Instant,
}

impl Attempts {
    fn fail(&mut self, pace: &Pace) {
        self.failures = self.failures.saturating_add(1);
        self.next = Instant::now() + pace.wait(self.failures);
    }

    fn succeed(&mut self, next: Instant) {
        *self = Self { failures: 0, next };
    }
}

impl<T: Transport> Driver<T> {
    async fn run(&mut self) -> Ended {
        loop {
            if let Err(ended) = self.step().await {
                return ended;
            }
        }
    }

    async fn step(&mut self) -> Result<(), Ended> {
        self.hold.take_in()?;
        if self.hold.waiting.is_empty() && self.is_open {
            self.condition.sent(0, self.clock.now());
            self.sends.failures = 0;
        }
        if self.hold.deadline.is_some() {
            if self.hold.waiting.is_empty() {
                return Err(Ended::Finished);
            }
            if !self.is_hurried {
                self.is_hurried = true;
                let now = Instant::now();
                self.polls.succeed(now);
                self.sends.succeed(now);
            }
        }
        let due = self.due();
        if Instant::now() < due {
            return self.hold.rest(due).await;
        }
        // Once it is to finish, no poll that is not needed fetches a command that nobody would answer.
        if self.hold.deadline.is_none() || !self.is_open {
            self.listen().await?;
        }
        if self.is_open && Instant::now() >= self.sends.next {
            self.speak().await?;
        }
        Ok(())
    }

    /// When the next round begins, if no order comes before.
    fn due(&self) -> Instant {
        if !self.is_open {
            return self.polls.next;
        }
        if self.hold.waiting.is_empty() {
            return self.polls.next;
        }
        if self.hold.deadline.is_some() {
            return self.sends.next;
        }
        self.polls.next.min(self.sends.next)
    }

    /// Fetches what was said, until there is nothing more.
    async fn listen(&mut self) -> Result<(), Ended> {
        for _ in 0..ROUND {
            match self.hold.attend(self.transport.poll()).await? {
                Ok(Some(text)) => {
                    self.answered(None);
                    let heard = Input::Heard { from: self.transport.address(), text };
                    self.hold.attend(self.inbox.record(heard)).await??;
                    if self.hold.deadline.is_some() {
                        return Ok(());
                    }
                }
                Ok(None) => {
                    self.answered(None);
                    self.polls.succeed(Instant::now() + self.pace.interval());
                    return Ok(());
                }
                Err(failure @ Failure::UnknownName(_)) => {
                    self.answered(Some(failure));
                    self.polls.succeed(Instant::now() + self.pace.interval());
                    return Ok(());
                }
                Err(failure) => {
                    self.is_open = false;
                    self.polls.fail(&self.pace);
                    self.condition.poll_failed(failure, self.clock.now());
                    return Ok(());
                }
            }
        }
        // There may be more, but a queue that never ends must not become a busy loop.
        self.polls.succeed(Instant::now() + self.pace.retry);
        Ok(())
    }

    /// The destination answered, be it that it does not know our name.
    fn answered(&mut self, complaint: Option<Failure>) {
        let now = self.clock.now();
        if !self.is_open || self.condition.is_sending_bad() {
            self.hold.waiting.reached(self.condition.since());
        }
        self.is_open = true;
        self.condition.polled(complaint, self.hold.waiting.len(), now);
    }

    /// Hands over what waits, until one fails.
    async fn speak(&mut self) -> Result<(), Ended> {
        for _ in 0..ROUND {
            let Some(parcel) = self.hold.waiting.next(&self.clock.local()) else { break };
            let Parcel { numbers, text } = parcel;
            let attempting = Input::Attempting(numbers.clone());
            self.hold.under_way = numbers;
            self.hold.attend(self.inbox.record(attempting)).await??;
            // What was dropped meanwhile goes all the same: it is part of a text that is recorded as attempted.
            let sent = self.hold.attend(self.transport.reply(&text)).await?;
            let numbers = mem::take(&mut self.hold.under_way);
            match sent {
                Ok(()) => self.delivered(numbers).await?,
                Err(failure) => return self.failed(&numbers, failure).await,
            }
        }
        Ok(())
    }

    async fn delivered(&mut self, numbers: Vec<Seq>) -> Result<(), Ended> {
        debug!(messages = ?numbers, "{} took a text", self.condition.name());
        self.hold.waiting.forget(&numbers);
        self.sends.succeed(Instant::now());
        self.condition.sent(self.hold.waiting.len().saturating_add(numbers.len()), self.clock.now());
        self.hold.attend(self.inbox.record(Input::Delivered(numbers))).await??;
        Ok(())
    }

    /// The text stays first. It is returned unless it may have arrived, now or at an attempt before.
    async fn failed(&mut self, numbers: &[Seq], failure: Failure) -> Result<(), Ended> {
        self.sends.fail(&self.pace);
        if failure.may_have_arrived() {
            self.hold.waiting.mark_again(numbers);
        }
        if matches!(failure, Failure::Unreachable(_) | Failure::NoAnswer(_) | Failure::Lost(_)) {
            self.is_open = false;
            self.polls.fail(&self.pace);
        }
        self.condition.send_failed(failure, self.hold.waiting.len(), self.clock.now());
        let missing = self.hold.waiting.surely_missing(numbers);
        if !missing.is_empty() {
            self.hold.attend(self.inbox.record(Input::Returned(missing))).await??;
        }
        Ok(())
    }
}

/// What waits, and the orders that change it: taken in whatever else goes on.
///
/// It is bounded by the engine, which gives up the oldest message beyond its own limit and says so by `Forget`.
struct Hold {
    orders: mpsc::Receiver<Order>,
    waiting: Waiting,
    /// Numbers of the messages that are being handed over.
    under_way: Vec<Seq>,
    finish: Duration,
    /// When the task must end; set by `Finish`.
    deadline: Option<Instant>,
}

impl Hold {
    /// Takes in the orders that are there.
    fn take_in(&mut self) -> Result<(), Ended> {
        loop {
            match self.orders.try_recv() {
                Ok(order) => self.take(order),
                Err(mpsc::error::TryRecvError::Empty) => return Ok(()),
                Err(mpsc::error::TryRecvError::Disconnected) => return self.closed(),
            }
        }
    }

    /// Takes in orders while some work goes on; gives its result, or ends when the deadline is over.
    ///
    /// Work that is under way at the deadline is given up. For a request that is safe because the attempt is on
    /// record, for a record because it was handed to the engine when it was begun.
    async fn attend<W: Future>(&mut self, work: W) -> Result<W::Output, Ended> {
        let mut work = pin!(work);
        loop {
            // Every branch may be dropped and made anew: the work is pinned outside and only polled here, `recv` takes
            // an order or leaves it in the channel, and the deadline is a moment. The work is looked at first, so
            // that a result is never thrown away for a deadline that has come at the same time.
            select! {
                biased;
                result = &mut work => return Ok(result),
                order = self.orders.recv(), if !self.is_closed() => match order {
                    Some(order) => self.take(order),
                    None => self.closed()?,
                },
                () = until(self.deadline) => return Err(Ended::TooLate),
            }
        }
    }

    /// Waits for the next order, at most until a moment.
    async fn rest(&mut self, due: Instant) -> Result<(), Ended> {
        // Every branch may be dropped: `recv` takes an order or leaves it in the channel, the others are moments.
        select! {
            order = self.orders.recv(), if !self.is_closed() => match order {
                Some(order) => self.take(order),
                None => self.closed()?,
            },
            () = sleep_until(due) => {}
            () = until(self.deadline) => return Err(Ended::TooLate),
        }
        Ok(())
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Deliver(owed) => self.waiting.push(owed),
            Order::Forget(numbers) => self.waiting.forget(&numbers),
            Order::Renumber(recorded) => {
                self.waiting.renumber(&recorded);
                for number in &mut self.under_way {
                    if let Some((_, now)) = recorded.iter().find(|(before, _)| before == number) {
                        *number = now.number;
                    }
                }
            }
            Order::Finish => {
                self.deadline.get_or_insert_with(|| Instant::now() + self.finish);
            }
        }
    }

    /// The engine sends no more orders: after `Finish` that is as it should be.
    fn closed(&self) -> Result<(), Ended> {
        if self.deadline.is_some() { Ok(()) } else { Err(Ended::Alone) }
    }

    /// Whether there is nothing to receive any more; `recv` would give `None` at once and for ever.
    fn is_closed(&self) -> bool {
        self.orders.is_closed() && self.orders.is_empty()
    }
}

/// Ends at the deadline, never if there is none.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
