//! The heart of the daemon: inputs become events, events become durable records, records become effects.
//!
//! Plain synchronous code on a thread of its own. Nothing else appends to the log, nothing else changes the state.

use std::{path::Path, sync::Arc, time::Duration};

use systembot_model::{
    Address, Effect, Event, Input, LocalTime, Question, Record, State, Timestamp,
    command::{self, Reply},
    decide, due, due_unrecorded, effects, owed,
    summary::summary,
};
use systembot_storage::{Error, Limits, Log, query::Row};
use tokio::{
    runtime::Handle,
    select,
    sync::{mpsc, oneshot},
    time::sleep,
};
use tracing::{debug, error, info, warn};

use crate::{
    clock::Clock,
    inbox::{Answered, Asked, Ends, Entry, HandOut, in_zone},
    salvage,
    unrecorded::{Outage, Unrecorded, waits_for_disk},
};

/// Longest wait for an input: the wall clock may have been set since a deadline was looked up.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Shortest wait after waking for a deadline: whatever the state says, it never spins.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// Nothing was to be done for so long: a moment to prune, or to write the log anew. Shorter than the shortest interval
/// of samples.
const QUIET: Duration = Duration::from_millis(500);
/// A start is over by then, and what waited for it is done.
const STARTED_AFTER: Duration = Duration::from_secs(10);
/// Difference of wall and steady clock that counts as a step, as it does between two passes.
const STEP_MIN_MS: u64 = 2_000;
/// Longest time for which questions wait while what gathered in memory is written.
const WRITE_SLICE: Duration = Duration::from_millis(50);
/// Time to write what waits in memory before the end: less than the end is waited for.
const LAST_WRITES: Duration = Duration::from_secs(3);

/// The log, the state folded from it, and who at a shell waits for an answer.
pub struct Engine {
    log: Log,
    state: State,
    clock: Arc<dyn Clock>,
    waiting: Vec<(Question, oneshot::Sender<Answered>)>,
    /// Samples that this run recorded.
    samples: u64,
    /// What could not be written yet.
    unrecorded: Unrecorded,
    /// The wall clock and the steady one as of the newest pass.
    passed: Option<(Timestamp, Duration)>,
    /// Whether something may be beyond the limits of what is kept.
    is_to_prune: bool,
    /// What is wrong with the log, until it is mended.
    damage: Option<String>,
    /// Steady time at which the log was mended last.
    mended_at: Option<Duration>,
    /// Whether the log's warning was told.
    is_warned: bool,
}

/// What the engine needs while it runs.
struct Desk {
    questions: mpsc::Receiver<Asked>,
    hand_out: HandOut,
}

/// What the engine does next.
enum Next {
    Question(Asked),
    Entry(Entry),
    /// A deadline may have come.
    Nothing,
    /// Nobody is left who could say anything.
    End,
}

impl Engine {
    /// Opens the log below a data directory and folds its state.
    ///
    /// # Errors
    /// As [`Log::open`]; above all [`Error::Locked`] where another process holds it. One that has lost records is
    /// [`Error::Damaged`].
    pub fn open(data_dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let log = Log::open(&data_dir.join("log"))?;
        if let Some((first, last)) = log.lost() {
            let (first, last) = (first.get(), last.get());
            return Err(Error::Damaged { what: format!("the records {first} to {last} are lost") });
        }
        let state = log.load_state()?;
        Ok(Self {
            log,
            state,
            clock,
            waiting: Vec::new(),
            samples: 0,
            unrecorded: Unrecorded::default(),
            passed: None,
            is_to_prune: true,
            damage: None,
            mended_at: None,
            is_warned: false,
        })
    }

    /// What became of a damaged log, if that is not recorded yet.
    #[must_use]
    pub fn untold(&self) -> Option<Input> {
        let salvage = self.log.salvaged()?;
        let is_told = self.state.salvaged.as_ref().is_some_and(|told| told.seq > salvage.newest);
        (!is_told).then(|| Input::Salvaged(salvage::told(self.log.dir(), &salvage)))
    }

    /// Sets how much of the past is kept.
    pub fn limit(&mut self, limits: Limits) {
        self.log.limit(limits);
        self.is_to_prune = true;
    }

    /// Sets who hears of progress while the log is written anew, and the engine answers nobody.
    pub fn report(&mut self, progress: impl Fn() + Send + Sync + 'static) {
        self.log.report(progress);
    }

    /// Keeps so many passes in memory while the log cannot be written, and not as many as a daemon should.
    pub const fn keep_at_most(&mut self, passes: usize) {
        self.unrecorded.limits.passes = passes;
    }

    /// The state as of the newest record.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The state with what is not recorded yet.
    fn current(&self) -> &State {
        self.unrecorded.outage.as_ref().map_or(&self.state, |outage| &outage.state)
    }

    /// What an earlier run left to be done.
    #[must_use]
    pub fn owed(&self) -> Vec<Effect> {
        owed(&self.state)
    }

    /// Takes one input: decides, appends durably, folds; returns what the new records promise.
    ///
    /// # Errors
    /// Those of the log's append; then nothing is changed, and the same input may be tried again.
    pub fn step(&mut self, input: &Input) -> Result<Vec<Effect>, Error> {
        let now = self.now(input);
        let events = decide(&self.state, &now, input.clone());
        let records = self.append(now.at, events)?;
        Ok(effects(&self.state, &records))
    }

    /// Writes the state beside the log, so that the next start need not fold it.
    pub fn checkpoint(&mut self) {
        if let Err(error) = self.log.checkpoint(&self.state) {
            // Only a cache: the next start takes longer.
            warn!(%error, "the checkpoint could not be written");
        }
    }

    /// Works through the inbox until [`Input::Stopping`] is recorded, handing effects out.
    pub fn run(mut self, inbox: Ends, runtime: &Handle, hand_out: HandOut) {
        let Ends { mut entries, questions } = inbox;
        let mut desk = Desk { questions, hand_out };
        let mut pause = Duration::ZERO;
        let started = self.clock.steady() + STARTED_AFTER;
        loop {
            let mut wait = self.wait(pause);
            let is_to_tidy = wait > QUIET && self.is_untidy() && self.clock.steady() >= started;
            if is_to_tidy {
                wait = QUIET;
            }
            let next = runtime.block_on(async {
                // Cancel-safe: `recv` takes an entry or leaves it in its channel, the wait is a moment. Questions
                // first: they are few, and somebody waits.
                select! {
                    biased;
                    Some(question) = desk.questions.recv() => Next::Question(question),
                    entry = entries.recv() => entry.map_or(Next::End, Next::Entry),
                    () = sleep(wait) => Next::Nothing,
                }
            });
            pause = Duration::ZERO;
            match next {
                Next::Question(question) => self.answer(question, &mut desk.hand_out),
                Next::Entry(entry) => {
                    let is_last = matches!(entry, Entry::Input { input: Input::Stopping, .. });
                    self.take(entry, &mut desk);
                    if is_last {
                        break;
                    }
                }
                Next::End => break,
                Next::Nothing if self.due().is_some_and(|due| due <= self.clock.now()) => {
                    self.input(Input::Woken, None, &mut desk);
                    pause = WAIT_MIN;
                }
                Next::Nothing if is_to_tidy => self.tidy(),
                Next::Nothing => {}
            }
            self.tend(&mut desk);
            if let Some(damage) = self.damage.take() {
                self.salvage(&damage, &mut desk);
            }
        }
        self.end(&mut desk);
    }

    /// Whether the log has something to let go, or to give back to the disk, and can be written.
    const fn is_untidy(&self) -> bool {
        self.unrecorded.outage.is_none() && (self.is_to_prune || self.log.is_size_changed())
    }

    /// Lets some of what is beyond the limits go; once there is no more of it, gives the disk back what the log does
    /// not need, if that is worth it.
    fn tidy(&mut self) {
        if self.is_to_prune {
            match self.log.prune(self.clock.now(), &self.state) {
                Ok(is_more) => self.is_to_prune = is_more,
                Err(error) => {
                    self.is_to_prune = false;
                    warn!(%error, "old samples could not be let go; it is tried again after the next sealing");
                    self.note(&error);
                }
            }
            return;
        }
        let begun = self.clock.steady();
        match self.log.compact_if_due() {
            Ok(None) => {}
            Ok(Some(done)) => {
                let ms = self.clock.steady().saturating_sub(begun).as_millis();
                let ms = u64::try_from(ms).unwrap_or(u64::MAX);
                info!(before = done.before, after = done.after, ms, "the log was written anew to save space");
            }
            // The log is as it was, or opened again with the next record.
            Err(error) => {
                warn!(%error, "the log could not be written anew");
                self.note(&error);
            }
        }
    }

    /// Notes damage of the log, which is to be mended.
    fn note(&mut self, error: &Error) {
        if matches!(error, Error::Damaged { .. }) {
            self.damage = Some(error.to_string());
        }
    }

    /// How long to wait for an input: until something is due, of the state or of an outage.
    fn wait(&self, pause: Duration) -> Duration {
        let due = self.due().map_or(WAIT_MAX, |due| due.since(self.clock.now()).min(WAIT_MAX)).max(pause);
        let Some(outage) = &self.unrecorded.outage else { return due };
        let next = [outage.next_try, outage.tell_at].into_iter().flatten().min();
        let Some(next) = next.filter(|_| outage.next_try.is_some()) else { return Duration::ZERO };
        due.min(next.saturating_sub(self.clock.steady()))
    }

    /// When the state has to be looked at again. Not before the next pass where the clock was set or the machine slept
    /// since the last one: what it finds comes first, and moves the deadlines.
    fn due(&self) -> Option<Timestamp> {
        let (now, steady) = (self.clock.now(), self.clock.steady());
        if self.passed.is_some_and(|(at, then)| {
            is_apart(now.as_ms().saturating_sub(at.as_ms()), steady.saturating_sub(then))
        }) {
            return None;
        }
        match &self.unrecorded.outage {
            Some(outage) => due_unrecorded(&outage.state),
            None => due(&self.state),
        }
    }

    fn take(&mut self, entry: Entry, desk: &mut Desk) {
        match entry {
            Entry::Input { input, done } => {
                self.input(input, done, desk);
            }
            Entry::Import { import, reply } => {
                let row = self.import(&import);
                // As above.
                let _ = reply.send(row);
            }
            Entry::Limit(limits) => self.limit(limits),
            Entry::HandTo { hand_out, resume } => {
                desk.hand_out = hand_out;
                let owed = owed(self.current()).into_iter().filter(resume);
                owed.map(Effect::unrecorded).for_each(&mut desk.hand_out);
            }
        }
    }

    fn answer(&mut self, question: Asked, hand_out: &mut HandOut) {
        match question {
            Asked::Line { from, text, zone, reply } => self.ask(&from, &text, zone, reply, hand_out),
            Asked::Look(reply) => {
                // Who asked may have gone.
                let _ = reply.send((self.log.reader(), self.current().clone()));
            }
            Asked::Mend(damage) => self.damage = Some(damage),
            Asked::Pulse(reply) => {
                // As above.
                let trouble = self.unrecorded.outage.as_ref().map_or("", |_| "; the log cannot be written");
                let _ = reply.send(format!("{}{trouble}", summary(self.current(), self.samples)));
            }
        }
    }

    /// Takes an input: recorded before anything comes of it or, while the log cannot be written, from memory.
    fn input(&mut self, input: Input, done: Option<oneshot::Sender<()>>, desk: &mut Desk) {
        let input = self.unrecorded.renumber(input);
        if matches!(input, Input::Sampled(_)) {
            self.passed = Some((self.clock.now(), self.clock.steady()));
        }
        if self.unrecorded.outage.is_none() {
            match self.step(&input) {
                Ok(effects) => return self.taken(&input, done, effects, desk),
                Err(error @ Error::TooLarge { .. }) => {
                    // Every part of an event has a limit, so this is a mistake of ours; retrying would not end.
                    error!(%error, "an event was left out");
                    return self.taken(&input, done, Vec::new(), desk);
                }
                Err(error) => self.fail(&error),
            }
        }
        let (at_once, written) = if waits_for_disk(&input) { (None, done) } else { (done, None) };
        let effects = self.unrecorded.take(&self.now(&input), &input, written);
        self.taken(&input, at_once, effects, desk);
    }

    fn taken(
        &mut self,
        input: &Input,
        done: Option<oneshot::Sender<()>>,
        effects: Vec<Effect>,
        desk: &mut Desk,
    ) {
        self.answer_waiting(input);
        effects.into_iter().for_each(&mut desk.hand_out);
        if let Some(done) = done {
            // Who waited may have gone; the records stand.
            let _ = done.send(());
        }
    }

    /// The log cannot be written, from now on.
    fn fail(&mut self, error: &Error) {
        error!(%error, "the log cannot be written; I keep trying, and keep in memory what it misses");
        self.unrecorded.begin(self.state.clone(), error.to_string(), self.clock.steady());
    }

    /// Does what an outage of the log asks for now: tells its owner, opens the log anew, writes what waits.
    fn tend(&mut self, desk: &mut Desk) {
        let steady = self.clock.steady();
        let Some(outage) = &mut self.unrecorded.outage else { return };
        if outage.tell_at.is_some_and(|at| at <= steady) {
            outage.tell_at = None;
            let failed = Input::LogFailed(outage.problem.clone());
            self.input(failed, None, desk);
        }
        self.mend(WRITE_SLICE, false, desk);
    }

    /// Opens the log anew, if it is time or `now`, and writes what waits, for so long at most.
    fn mend(&mut self, limit: Duration, now: bool, desk: &mut Desk) {
        let began = self.clock.steady();
        let Some(mut outage) =
            self.unrecorded.outage.take_if(|outage| now || outage.next_try.is_none_or(|at| at <= began))
        else {
            return;
        };
        // sled keeps failing once a write has failed: only a new handle writes again.
        if outage.next_try.is_some() {
            if let Err(error) = self.log.reopen() {
                if matches!(error, Error::Damaged { .. }) {
                    self.salvage_quietly(&error.to_string(), salvage::SHUT);
                } else {
                    debug!(%error, "the log cannot be opened yet");
                }
                outage.fail(self.clock.steady());
                self.unrecorded.outage = Some(outage);
                return;
            }
            outage.next_try = None;
        }
        while let Some((at, events)) = outage.next(self.state.sampled_at) {
            match self.append(at, events) {
                Ok(records) => outage.written(&records),
                Err(error @ Error::TooLarge { .. }) => {
                    // As for an input.
                    error!(%error, "an event was left out");
                    outage.written(&[]);
                }
                Err(error) => {
                    debug!(%error, "the log cannot be written yet");
                    outage.fail(self.clock.steady());
                    self.unrecorded.outage = Some(outage);
                    return;
                }
            }
            if self.clock.steady().saturating_sub(began) >= limit {
                self.unrecorded.outage = Some(outage);
                return;
            }
        }
        self.mended(outage, desk);
    }

    /// Puts a new log in the place of a damaged one, and tells what is lost.
    fn salvage(&mut self, damage: &str, desk: &mut Desk) {
        self.salvage_quietly(damage, salvage::WHOLE);
        if let Some(input) = self.untold() {
            self.input(input, None, desk);
        }
    }

    /// Puts a new log in the place of a damaged one, unless that was done less than `rest` ago. The state stays as it
    /// is: it knows more than the log now does.
    fn salvage_quietly(&mut self, damage: &str, rest: Duration) {
        let now = self.clock.steady();
        if self.mended_at.is_some_and(|at| now.saturating_sub(at) < rest) {
            error!("{damage}; the log was mended a short while ago, and is left as it is");
            return;
        }
        self.mended_at = Some(now);
        warn!("{damage}; mending the log");
        // It tells the new log which numbers were given.
        self.checkpoint();
        match self.log.mend(self.clock.now()) {
            Ok(mended) => warn!("{}", salvage::told(self.log.dir(), &mended).sentence()),
            Err(error) => {
                // Nothing was mended: the next attempt to open it may try again.
                self.mended_at = None;
                error!(%error, "the log cannot be mended");
            }
        }
    }

    /// All that waited is in the log.
    fn mended(&mut self, outage: Outage, desk: &mut Desk) {
        info!("the log can be written again");
        let (renumber, told) = self.unrecorded.end(outage, &self.state, self.clock.steady());
        (desk.hand_out)(renumber);
        let Some(told) = told else { return };
        match self.step(&told) {
            Ok(effects) => effects.into_iter().for_each(&mut desk.hand_out),
            Err(error) => {
                self.fail(&error);
                // Its owner still believes so.
                self.unrecorded.outage.iter_mut().for_each(|outage| outage.tell_at = None);
            }
        }
    }

    /// Writes what waits still, as far as that is possible, and the checkpoint.
    fn end(&mut self, desk: &mut Desk) {
        self.mend(LAST_WRITES, true, desk);
        match &self.unrecorded.outage {
            Some(outage) => {
                let (ticks, others) = outage.waiting();
                error!(
                    ticks,
                    others, "the log could not be written until the end: what waited in memory is lost"
                );
            }
            None => self.checkpoint(),
        }
    }

    fn append(&mut self, at: Timestamp, events: Vec<Event>) -> Result<Vec<Record>, Error> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let appended = self.log.append(at, events)?;
        for record in &appended.records {
            self.state.apply(record);
            if let Event::Sampled(sample) = &record.event {
                self.samples += u64::try_from(sample.readings.len()).unwrap_or(0);
            }
            log_record(record);
        }
        if let Some(error) = appended.problem {
            warn!(%error, "older ticks could not be packed; it is tried again with the next one");
            self.note(&error);
        }
        if !self.is_warned
            && let Some(warning) = self.log.reader().warning()
        {
            warn!("the log: {warning}");
            self.is_warned = true;
        }
        if appended.sealed {
            self.checkpoint();
            self.is_to_prune = true;
        }
        Ok(appended.records)
    }

    /// Ticks are labelled with the moment they were read, everything else with that of its recording.
    fn now(&self, input: &Input) -> LocalTime {
        let now = self.clock.local();
        match input {
            Input::Sampled(pass) => LocalTime { at: pass.at, ..now },
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
            | Input::Leaving
            | Input::Stopping => now,
        }
    }

    /// A line from a shell: answered at once, not queued; what it orders is recorded like any other.
    fn ask(
        &mut self,
        from: &Address,
        text: &str,
        zone: Option<(i32, String)>,
        reply: oneshot::Sender<Answered>,
        hand_out: &mut HandOut,
    ) {
        let now = in_zone(self.clock.local(), zone);
        let answer = command::answer(self.current(), &now, from, text);
        let appended = self.order(now.at, answer.events);
        if let Ok(records) = &appended {
            effects(&self.state, records).into_iter().for_each(&mut *hand_out);
        }
        let answered = match (appended, answer.reply) {
            (Err(problem), _) => {
                let text = format!("not done, as the log cannot be written: {problem}");
                Answered { text, understood: false }
            }
            (Ok(_), Reply::Text(text)) => Answered { text, understood: true },
            (Ok(_), Reply::NotUnderstood(text)) => Answered { text, understood: false },
            (Ok(_), Reply::Later(question)) => {
                let is_new = self.waiting.iter().all(|(other, _)| *other != question)
                    && self.current().questions.values().all(|(_, other)| *other != question);
                self.waiting.push((question, reply));
                if is_new {
                    hand_out(match question {
                        Question::PublicAddress => Effect::FetchAddress,
                        Question::Processes(count) => Effect::ReadProcesses(count),
                    });
                }
                return;
            }
        };
        // Who asked may have gone.
        let _ = reply.send(answered);
    }

    /// Records what somebody orders; while that cannot be, nothing is done, and the problem is given back.
    fn order(&mut self, at: Timestamp, events: Vec<Event>) -> Result<Vec<Record>, String> {
        if let Some(outage) = self.unrecorded.outage.as_ref().filter(|_| !events.is_empty()) {
            return Err(outage.problem.clone());
        }
        self.append(at, events).map_err(|error| {
            if !matches!(error, Error::TooLarge { .. }) {
                self.fail(&error);
            }
            error.to_string()
        })
    }

    /// Answers those at a shell who wait for what this input brought.
    fn answer_waiting(&mut self, input: &Input) {
        let now = self.clock.local();
        let waiting = std::mem::take(&mut self.waiting);
        let state = self.current();
        let text = |question: Question| match (input, question) {
            (Input::AddressFetched(result), Question::PublicAddress) => {
                Some(command::public_address(state, &now, result))
            }
            (Input::ProcessesRead(processes), Question::Processes(count)) => {
                Some(command::top_processes(state, &now, processes, count))
            }
            _ => None,
        };
        let mut still = Vec::new();
        for (question, reply) in waiting {
            match text(question) {
                // Who asked may have gone.
                Some(text) => drop(reply.send(Answered { text, understood: true })),
                None if !reply.is_closed() => still.push((question, reply)),
                None => {}
            }
        }
        self.waiting = still;
    }

    fn import(&mut self, import: &systembot_storage::query::Import) -> Row {
        match self.log.import(self.clock.now(), import) {
            Ok(imported) => {
                for record in &imported.records {
                    self.state.apply(record);
                }
                imported.row
            }
            Err(error) => Row::Failed(error.to_string()),
        }
    }
}

/// Whether the wall clock went other than the steady one: it was set, or the machine slept.
fn is_apart(wall_ms: i64, steady: Duration) -> bool {
    let steady_ms = i64::try_from(steady.as_millis()).unwrap_or(i64::MAX);
    wall_ms.saturating_sub(steady_ms).unsigned_abs() >= STEP_MIN_MS
}

/// What the owner would want to find in the journal of each record.
fn log_record(record: &Record) {
    let kind = record.event.kind();
    let seq = record.seq.get();
    match &record.event {
        // A set has one for each series.
        Event::Sampled(_) | Event::Baseline { .. } => {}
        Event::Blind { reason, from, to } => {
            info!(seq, reason = reason.word(), "nothing was recorded for {} s", to.since(*from).as_secs());
        }
        Event::ClockStepped { by_ms } => warn!(seq, by_ms, "the clock was set"),
        Event::Noted { subject, text } => warn!(seq, "{subject}: {text}"),
        Event::Salvaged { saved, lost } => warn!(seq, saved, lost, "the log was damaged and is mended"),
        Event::Cleared { subject } => info!(seq, "{subject}: well again"),
        Event::MessageDropped { messages, reason } => {
            info!(seq, count = messages.len(), "messages dropped: {reason}")
        }
        Event::ServiceMissing { service } => warn!(seq, "service {service} is not running"),
        Event::ServiceRecovered { service } => info!(seq, "service {service} is running"),
        Event::RestartOrdered { service, attempt, command, .. } => {
            info!(seq, attempt, "starting service {service}: {command}");
        }
        Event::RestartFinished { service, outcome, .. } if outcome.is_success() => {
            info!(seq, "start of service {service}: {}", outcome.text());
        }
        Event::RestartFinished { service, outcome, .. } => {
            warn!(seq, "start of service {service}: {}", outcome.text());
        }
        Event::RestartGivenUp { service, starts } => error!(seq, starts, "service {service} is given up"),
        Event::ServiceUnhealthy { service, problem } => {
            warn!(seq, "service {service}: its check fails: {problem}")
        }
        Event::ServiceHealthy { service } => info!(seq, "service {service}: its check succeeds"),
        Event::WatchingStopped { service, by } => info!(seq, "service {service} is not watched, by {by}"),
        Event::WatchingResumed { service, by } => info!(seq, "service {service} is watched again, by {by}"),
        Event::Started { .. }
        | Event::Stopped
        | Event::Configured { .. }
        | Event::Described(_)
        | Event::AlertFired(_)
        | Event::AlertRepeated { .. }
        | Event::AlertResolved { .. }
        | Event::AlertAcknowledged { .. }
        | Event::Muted { .. }
        | Event::Unmuted { .. }
        | Event::Heard { .. }
        | Event::MessageQueued(_)
        | Event::MessageAttempted { .. }
        | Event::MessageReturned { .. }
        | Event::MessageDelivered { .. }
        | Event::ServiceSeen { .. }
        | Event::AddressChanged { .. }
        | Event::Imported { .. }
        | Event::Asked { .. }
        | Event::Answered { .. }
        | Event::AddressFetched { .. } => debug!(seq, kind, "record {seq}"),
    }
}
