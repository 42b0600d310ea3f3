//! The heart of the daemon: inputs become events, events become durable records, records become effects.
//!
//! Plain synchronous code on a thread of its own. Nothing else appends to the log, nothing else changes the state.

use std::{path::Path, sync::Arc, time::Duration};

use systembot_model::{
    Address, Effect, Event, Input, LocalTime, Question, Record, State,
    command::{self, Reply},
    decide, due, effects, owed,
    summary::summary,
};
use systembot_storage::{Error, Log, query::Row};
use tokio::{
    runtime::Handle,
    select,
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};
use tracing::{debug, error, info, warn};

use crate::{
    clock::Clock,
    inbox::{Answered, Asked, Ends, Entry, HandOut, in_zone},
    salvage,
};

/// Longest wait for an input: the wall clock may have been set since a deadline was looked up.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Shortest wait after waking for a deadline: whatever the state says, it never spins.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// Waits between two attempts to open a log that could not be written; the last one again and again.
const REOPEN_WAITS_S: [u64; 6] = [1, 2, 4, 8, 16, 30];

/// The log, the state folded from it, and who at a shell waits for an answer.
pub struct Engine {
    log: Log,
    state: State,
    clock: Arc<dyn Clock>,
    waiting: Vec<(Question, oneshot::Sender<Answered>)>,
    /// Samples that this run recorded.
    samples: u64,
    /// What is wrong with the log, until it is mended.
    damage: Option<String>,
    /// Steady time until which a log that was just mended is not mended again.
    whole_until: Option<Duration>,
}

/// What the engine needs while it runs.
struct Desk<'a> {
    questions: mpsc::Receiver<Asked>,
    runtime: &'a Handle,
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
        let (waiting, samples) = (Vec::new(), 0);
        Ok(Self { log, state, clock, waiting, samples, damage: None, whole_until: None })
    }

    /// What became of a damaged log, if that is not recorded yet.
    #[must_use]
    pub fn untold(&self) -> Option<Input> {
        let salvage = self.log.salvaged()?;
        let is_told = self.state.salvaged.as_ref().is_some_and(|told| told.seq > salvage.newest);
        (!is_told).then(|| Input::Salvaged(salvage::told(self.log.dir(), &salvage)))
    }

    /// The state as of the newest record.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
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
        let records = self.append(&now, events)?;
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
        let mut desk = Desk { questions, runtime, hand_out };
        let mut pause = Duration::ZERO;
        loop {
            let wait =
                due(&self.state).map_or(WAIT_MAX, |due| due.since(self.clock.now()).min(WAIT_MAX)).max(pause);
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
                Next::Nothing if due(&self.state).is_some_and(|due| due <= self.clock.now()) => {
                    self.input(Input::Woken, &mut desk);
                    pause = WAIT_MIN;
                    continue;
                }
                Next::Nothing => {}
            }
            pause = Duration::ZERO;
            if let Some(damage) = self.damage.take() {
                self.mend(&damage, &mut desk);
            }
        }
        self.checkpoint();
    }

    fn take(&mut self, entry: Entry, desk: &mut Desk<'_>) {
        match entry {
            Entry::Input { input, done } => {
                self.input(input, desk);
                if let Some(done) = done {
                    // Who waited may have gone; the records stand.
                    let _ = done.send(());
                }
            }
            Entry::Import { import, reply } => {
                let row = self.import(&import);
                // As above.
                let _ = reply.send(row);
            }
            Entry::HandTo { hand_out, resume } => {
                desk.hand_out = hand_out;
                self.owed().into_iter().filter(resume).for_each(&mut desk.hand_out);
            }
        }
    }

    fn answer(&mut self, question: Asked, hand_out: &mut HandOut) {
        match question {
            Asked::Line { from, text, zone, reply } => self.ask(&from, &text, zone, reply, hand_out),
            Asked::Look(reply) => {
                // Who asked may have gone.
                let _ = reply.send((self.log.reader(), self.state.clone()));
            }
            Asked::Mend(damage) => self.damage = Some(damage),
            Asked::Pulse(reply) => {
                // As above.
                let _ = reply.send(summary(&self.state, self.samples));
            }
        }
    }

    /// Takes an input, however long the log refuses to be written: nothing is told that is not recorded.
    fn input(&mut self, input: Input, desk: &mut Desk<'_>) {
        let mut failures = 0_usize;
        let effects = loop {
            match self.step(&input) {
                Ok(effects) => break effects,
                Err(error @ Error::TooLarge { .. }) => {
                    // Every part of an event has a limit, so this is a mistake of ours; retrying would not end.
                    error!(%error, "an event was left out");
                    break Vec::new();
                }
                Err(error) => {
                    if failures == 0 {
                        error!(%error, "the log cannot be written; I keep trying, and nothing is lost meanwhile");
                    }
                    self.reopen(failures, desk);
                    failures = failures.saturating_add(1);
                }
            }
        };
        if failures > 0 {
            info!("the log can be written again");
        }
        self.answer_waiting(&input);
        effects.into_iter().for_each(&mut desk.hand_out);
    }

    /// sled keeps failing once a write has failed: only a new handle writes again.
    fn reopen(&mut self, failures: usize, desk: &mut Desk<'_>) {
        let wait = REOPEN_WAITS_S.get(failures).or(REOPEN_WAITS_S.last()).copied().unwrap_or(1);
        let until = self.clock.steady() + Duration::from_secs(wait);
        while let Some(left) = until.checked_sub(self.clock.steady()).filter(|left| !left.is_zero()) {
            match desk.runtime.block_on(async { timeout(left, desk.questions.recv()).await }) {
                Ok(Some(question)) => self.answer(question, &mut desk.hand_out),
                // Nobody can ask any more; the log is still worth the wait.
                Ok(None) => self.clock.wait(left),
                Err(_) => {}
            }
        }
        match self.log.reopen() {
            Ok(()) => {}
            Err(error @ Error::Damaged { .. }) => self.mend_quietly(&error.to_string()),
            Err(error) => debug!(%error, "the log cannot be opened yet"),
        }
    }

    /// Puts a new log in the place of a damaged one, and tells what is lost.
    fn mend(&mut self, damage: &str, desk: &mut Desk<'_>) {
        self.mend_quietly(damage);
        if let Some(input) = self.untold() {
            self.input(input, desk);
        }
    }

    /// Puts a new log in the place of a damaged one. The state stays as it is: it knows more than the log now does.
    fn mend_quietly(&mut self, damage: &str) {
        let now = self.clock.steady();
        if self.whole_until.is_some_and(|until| now < until) {
            error!("{damage}; the log was mended a short while ago, and is left as it is");
            return;
        }
        self.whole_until = Some(now + salvage::WHOLE);
        warn!("{damage}; mending the log");
        // It tells the new log which numbers were given.
        self.checkpoint();
        match self.log.mend(self.clock.now()) {
            Ok(mended) => warn!("{}", salvage::told(self.log.dir(), &mended).sentence()),
            Err(error) => error!(%error, "the log cannot be mended"),
        }
    }

    fn append(&mut self, now: &LocalTime, events: Vec<Event>) -> Result<Vec<Record>, Error> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let appended = self.log.append(now.at, events)?;
        for record in &appended.records {
            self.state.apply(record);
            if let Event::Sampled(sample) = &record.event {
                self.samples += u64::try_from(sample.readings.len()).unwrap_or(0);
            }
            log_record(record);
        }
        if let Some(error) = appended.problem {
            warn!(%error, "older ticks could not be packed; it is tried again with the next one");
            if matches!(error, Error::Damaged { .. }) {
                self.damage = Some(error.to_string());
            }
        }
        if appended.sealed {
            self.checkpoint();
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
        let answer = command::answer(&self.state, &now, from, text);
        let appended = self.append(&now, answer.events);
        if let Ok(records) = &appended {
            effects(&self.state, records).into_iter().for_each(&mut *hand_out);
        }
        let answered = match (appended, answer.reply) {
            (Err(error), _) => {
                Answered { text: format!("the log cannot be written: {error}"), understood: false }
            }
            (Ok(_), Reply::Text(text)) => Answered { text, understood: true },
            (Ok(_), Reply::NotUnderstood(text)) => Answered { text, understood: false },
            (Ok(_), Reply::Later(question)) => {
                let is_new = self.waiting.iter().all(|(other, _)| *other != question)
                    && self.state.questions.values().all(|(_, other)| *other != question);
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

    /// Answers those at a shell who wait for what this input brought.
    fn answer_waiting(&mut self, input: &Input) {
        let now = self.clock.local();
        let state = &self.state;
        let text = |question: Question| match (input, question) {
            (Input::AddressFetched(result), Question::PublicAddress) => {
                Some(command::public_address(state, &now, result))
            }
            (Input::ProcessesRead(processes), Question::Processes(count)) => {
                Some(command::top_processes(state, &now, processes, count))
            }
            _ => None,
        };
        for (question, reply) in std::mem::take(&mut self.waiting) {
            match text(question) {
                // Who asked may have gone.
                Some(text) => drop(reply.send(Answered { text, understood: true })),
                None if !reply.is_closed() => self.waiting.push((question, reply)),
                None => {}
            }
        }
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

/// What the owner would want to find in the journal of each record.
fn log_record(record: &Record) {
    let kind = record.event.kind();
    let seq = record.seq.get();
    match &record.event {
        Event::Sampled(_) => {}
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
