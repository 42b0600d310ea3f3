//! Facts, in the past tense, and the record that the log makes of each.
//!
//! Stored by position: variants are only ever appended, and the fields of a stored variant never change. What
//! needs a new field becomes a new variant, with a record of its own in the storage crate's fixtures.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{
    Sample, Seq, Series, Timestamp,
    host::Host,
    rules::Severity,
    service::{Outcome, Seen},
    window::Window,
};

/// One entry of the log: an event with its number and the moment it was recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its number, which alone orders it.
    pub seq: Seq,
    /// When it was recorded, by the wall clock of the machine.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// Where messages go and chat lines come from: `bridge`, `console`, later `xmpp:me@example.org`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    /// An address by its written form.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The HTTP message bridge.
    #[must_use]
    pub fn bridge() -> Self {
        Self::new("bridge")
    }

    /// Somebody at a shell of this machine.
    #[must_use]
    pub fn console() -> Self {
        Self::new("console")
    }

    /// The written form.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why nothing was recorded for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlindReason {
    /// The daemon had been stopped in good order.
    Stopped,
    /// The daemon ended without a word: killed, crashed, or the power went.
    Crashed,
    /// The machine slept.
    Suspended,
    /// The wall clock was set forward.
    ClockStepped,
    /// The daemon ran but its passes took too long or were starved.
    Stalled,
    /// The log could not be written for longer than passes could be kept in memory.
    NotRecorded,
}

impl BlindReason {
    /// Its word in output for machines.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Crashed => "crashed",
            Self::Suspended => "suspended",
            Self::ClockStepped => "clock stepped",
            Self::Stalled => "stalled",
            Self::NotRecorded => "not recorded",
        }
    }
}

/// What kind of thing a message says; decides what becomes of it while its destination is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageKind {
    /// "I am online": replaced by the next one if it could not be delivered.
    Greeting,
    /// "I am going": dropped if it cannot be delivered at once.
    Goodbye,
    /// Alerts fired, repeated or resolved.
    Alert,
    /// The answer to a chat line.
    Reply,
    /// Anything else worth telling.
    Notice,
}

/// One text for one destination. Its number is that of the record that queued it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Where it goes.
    pub to: Address,
    /// What it is about.
    pub kind: MessageKind,
    /// The text, at most [`crate::limits::MESSAGE_BYTES`].
    pub text: String,
}

/// An alert at the moment it fired, with all that it was judged by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fired {
    /// Number of the alert: 1, 2, 3 ... over the whole life of the log.
    pub id: u64,
    /// Name of the rule, `disk_full`.
    pub rule: String,
    /// Version of that rule's code, for recomputation.
    pub rule_version: u16,
    /// Number of the `configured` record in force.
    pub configured: Seq,
    /// What it is about; for services `service{name="..."}`.
    pub series: Series,
    /// How grave.
    pub severity: Severity,
    /// When the condition began to hold.
    pub since: Timestamp,
    /// The value judged; `None` where there is none (services).
    pub value: Option<f64>,
    /// The limit it passed, for rules that have one.
    pub limit: Option<f64>,
    /// Mean of the window without the value, for the trend rule.
    pub mean: Option<f64>,
    /// Standard deviation of that window (n - 1).
    pub stdev: Option<f64>,
    /// Standard deviations from the mean, signed.
    pub sigma: Option<f64>,
    /// Samples in that window.
    pub length: u32,
    /// The sentence for people, without the alert's number.
    pub message: String,
    /// Whether it was told at once, or only recorded (muted, repeated too soon, telling switched off).
    pub told: bool,
}

/// The event that made the log what it is now; see the module's first lines before changing it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The daemon began to run.
    Started {
        /// Its version.
        version: String,
        /// The configuration file in use, if any.
        config: Option<String>,
        /// Whether the run before ended without `Stopped`.
        unclean: bool,
    },
    /// The daemon ended in good order.
    Stopped,
    /// One pass read the machine.
    Sampled(Sample),
    /// These settings are in force from now on.
    Configured {
        /// [`crate::Rules`] as JSON, which names its fields and so may grow.
        rules: String,
    },
    /// The machine is this one now.
    Described(Host),
    /// Nothing was recorded for a while.
    Blind {
        /// Last moment of which something is known.
        from: Timestamp,
        /// First moment of which something is known again.
        to: Timestamp,
        /// Why.
        reason: BlindReason,
    },
    /// The wall clock jumped against the steady one.
    ClockStepped {
        /// Milliseconds it was set forward; negative for back.
        by_ms: i64,
    },
    /// A rule's condition held long enough.
    AlertFired(Fired),
    /// An alert that is still firing was told again.
    AlertRepeated {
        /// Number of the alert.
        id: u64,
        /// What was told.
        message: String,
    },
    /// The condition ended.
    AlertResolved {
        /// Number of the alert.
        id: u64,
        /// The value that ended it, where there is one.
        value: Option<f64>,
        /// The sentence for people.
        message: String,
        /// Whether it was told.
        told: bool,
    },
    /// The owner knows: no repeats until it resolves.
    AlertAcknowledged {
        /// Number of the alert.
        id: u64,
        /// Who said so.
        by: Address,
    },
    /// Alerts of some series are recorded but not told.
    Muted {
        /// Which series, a [`crate::Pattern`].
        scope: String,
        /// Until when.
        until: Timestamp,
        /// Who asked for it.
        by: Address,
    },
    /// A mute was lifted, or had run its time.
    Unmuted {
        /// The scope as it was muted.
        scope: String,
        /// Who lifted it; `None` where its time was up.
        by: Option<Address>,
    },
    /// A chat line arrived.
    Heard {
        /// From where.
        from: Address,
        /// The line, at most [`crate::limits::HEARD_BYTES`], control characters removed.
        text: String,
    },
    /// A message is owed to a destination.
    MessageQueued(Message),
    /// Messages are being handed over; from here on they may have arrived.
    MessageAttempted {
        /// Their numbers.
        messages: Vec<Seq>,
    },
    /// The destination surely did not take them: they are owed as before.
    MessageReturned {
        /// Their numbers.
        messages: Vec<Seq>,
    },
    /// The destination has taken them.
    MessageDelivered {
        /// Their numbers.
        messages: Vec<Seq>,
    },
    /// Messages are owed no more: overtaken, too many, or their destination is no longer configured.
    MessageDropped {
        /// Their numbers.
        messages: Vec<Seq>,
        /// Why.
        reason: String,
    },
    /// A watched service is not in the process table.
    ServiceMissing {
        /// Its name.
        service: String,
    },
    /// A watched service is there again.
    ServiceRecovered {
        /// Its name.
        service: String,
    },
    /// The public address was learned, or is another one than before.
    AddressChanged {
        /// The address before.
        from: Option<IpAddr>,
        /// The address now.
        to: IpAddr,
    },
    /// Something that cannot be read began to be so: a file system that does not answer, say.
    Noted {
        /// What it is about, such as `mount /mnt/nas`.
        subject: String,
        /// The note.
        text: String,
    },
    /// What was noted is over.
    Cleared {
        /// What it was about.
        subject: String,
    },
    /// History of one series was loaded from a file; its samples lie in the log as such.
    Imported {
        /// The series.
        series: Series,
        /// First moment.
        from: Timestamp,
        /// Last moment.
        to: Timestamp,
        /// How many samples.
        samples: u64,
        /// The newest ones, for a series that had none before: its window begins with them.
        learned: Vec<(Timestamp, f64)>,
        /// Checksum of the whole file, which recognises it when it comes again.
        file: u64,
    },
    /// The log was damaged and mended.
    Salvaged {
        /// Records saved.
        saved: u64,
        /// Records lost, as far as can be known.
        lost: u64,
    },
    /// Somebody asked something whose answer has to be fetched.
    Asked {
        /// Who, and where the answer goes.
        from: Address,
        /// What.
        question: Question,
    },
    /// Questions were answered, or given up.
    Answered {
        /// Numbers of the records that asked.
        questions: Vec<Seq>,
    },
    /// The service that tells the public address was asked.
    AddressFetched {
        /// What it told.
        address: Option<IpAddr>,
        /// Or why it told nothing.
        problem: Option<String>,
    },
    /// A watched service runs as this process now: found for the first time, or as another one than before.
    ServiceSeen {
        /// Its name.
        service: String,
        /// The process.
        seen: Seen,
    },
    /// A watched service is to be started.
    RestartOrdered {
        /// Its name.
        service: String,
        /// Which start this is since it last ran for long: 1, 2, 3 ...
        attempt: u32,
        /// The command, as the owner wrote it.
        command: String,
        /// The process that is ended before, for a service that runs.
        stop: Option<u32>,
        /// Who asked for it; `None` where its death, or its health, did.
        by: Option<Address>,
    },
    /// A start ended.
    RestartFinished {
        /// Name of the service.
        service: String,
        /// Number of the record that ordered it.
        ordered: Seq,
        /// What became of it.
        outcome: Outcome,
        /// The end of what was printed meanwhile, at most [`crate::limits::OUTPUT_BYTES`].
        output: String,
    },
    /// A watched service was started too often: it is left alone until it runs, or its owner says so.
    RestartGivenUp {
        /// Its name.
        service: String,
        /// Starts within the time of its start limit.
        starts: u32,
    },
    /// The health check of a watched service began to fail.
    ServiceUnhealthy {
        /// Its name.
        service: String,
        /// What is wrong.
        problem: String,
    },
    /// The health check of a watched service succeeds again, or is no longer asked for.
    ServiceHealthy {
        /// Its name.
        service: String,
    },
    /// A service is not watched until further notice: neither told of nor started.
    WatchingStopped {
        /// Its name.
        service: String,
        /// Who said so.
        by: Address,
    },
    /// A service is watched as if nothing had been.
    WatchingResumed {
        /// Its name.
        service: String,
        /// Who said so; `boot` for a service that had been given up before the machine started anew.
        by: Address,
    },
    /// The window of one series, to outlive the samples that it came from; see [`crate::baseline`].
    Baseline {
        /// Whose window.
        series: Series,
        /// The window before the tick of the same step.
        window: Window,
    },
}

/// A question whose answer is neither in the state nor in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// The address that the world sees.
    PublicAddress,
    /// The busiest processes, so many of them.
    Processes(u8),
}

impl Event {
    /// The kinds, in the order of the variants.
    pub const KINDS: &'static [&'static str] = &[
        "started",
        "stopped",
        "sampled",
        "configured",
        "described",
        "blind",
        "clock_stepped",
        "alert_fired",
        "alert_repeated",
        "alert_resolved",
        "alert_acknowledged",
        "muted",
        "unmuted",
        "heard",
        "message_queued",
        "message_attempted",
        "message_returned",
        "message_delivered",
        "message_dropped",
        "service_missing",
        "service_recovered",
        "address_changed",
        "noted",
        "cleared",
        "imported",
        "salvaged",
        "asked",
        "answered",
        "address_fetched",
        "service_seen",
        "restart_ordered",
        "restart_finished",
        "restart_given_up",
        "service_unhealthy",
        "service_healthy",
        "watching_stopped",
        "watching_resumed",
        "baseline",
    ];

    /// Gives other numbers to the records that it is about.
    pub fn renumber(&mut self, number: impl Fn(Seq) -> Seq) {
        match self {
            Self::MessageAttempted { messages }
            | Self::MessageReturned { messages }
            | Self::MessageDelivered { messages }
            | Self::MessageDropped { messages, .. }
            | Self::Answered { questions: messages } => {
                messages.iter_mut().for_each(|seq| *seq = number(*seq));
            }
            Self::RestartFinished { ordered, .. } => *ordered = number(*ordered),
            Self::AlertFired(fired) => fired.configured = number(fired.configured),
            Self::Started { .. }
            | Self::Stopped
            | Self::Sampled(_)
            | Self::Configured { .. }
            | Self::Described(_)
            | Self::Blind { .. }
            | Self::ClockStepped { .. }
            | Self::AlertRepeated { .. }
            | Self::AlertResolved { .. }
            | Self::AlertAcknowledged { .. }
            | Self::Muted { .. }
            | Self::Unmuted { .. }
            | Self::Heard { .. }
            | Self::MessageQueued(_)
            | Self::ServiceMissing { .. }
            | Self::ServiceRecovered { .. }
            | Self::AddressChanged { .. }
            | Self::Noted { .. }
            | Self::Cleared { .. }
            | Self::Imported { .. }
            | Self::Salvaged { .. }
            | Self::Asked { .. }
            | Self::AddressFetched { .. }
            | Self::ServiceSeen { .. }
            | Self::RestartOrdered { .. }
            | Self::RestartGivenUp { .. }
            | Self::ServiceUnhealthy { .. }
            | Self::ServiceHealthy { .. }
            | Self::WatchingStopped { .. }
            | Self::WatchingResumed { .. }
            | Self::Baseline { .. } => {}
        }
    }

    /// Its kind in `events` and in filters, snake_case.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Stopped => "stopped",
            Self::Sampled(_) => "sampled",
            Self::Configured { .. } => "configured",
            Self::Described(_) => "described",
            Self::Blind { .. } => "blind",
            Self::ClockStepped { .. } => "clock_stepped",
            Self::AlertFired(_) => "alert_fired",
            Self::AlertRepeated { .. } => "alert_repeated",
            Self::AlertResolved { .. } => "alert_resolved",
            Self::AlertAcknowledged { .. } => "alert_acknowledged",
            Self::Muted { .. } => "muted",
            Self::Unmuted { .. } => "unmuted",
            Self::Heard { .. } => "heard",
            Self::MessageQueued(_) => "message_queued",
            Self::MessageAttempted { .. } => "message_attempted",
            Self::MessageReturned { .. } => "message_returned",
            Self::MessageDelivered { .. } => "message_delivered",
            Self::MessageDropped { .. } => "message_dropped",
            Self::ServiceMissing { .. } => "service_missing",
            Self::ServiceRecovered { .. } => "service_recovered",
            Self::AddressChanged { .. } => "address_changed",
            Self::Noted { .. } => "noted",
            Self::Cleared { .. } => "cleared",
            Self::Imported { .. } => "imported",
            Self::Salvaged { .. } => "salvaged",
            Self::Asked { .. } => "asked",
            Self::Answered { .. } => "answered",
            Self::AddressFetched { .. } => "address_fetched",
            Self::ServiceSeen { .. } => "service_seen",
            Self::RestartOrdered { .. } => "restart_ordered",
            Self::RestartFinished { .. } => "restart_finished",
            Self::RestartGivenUp { .. } => "restart_given_up",
            Self::ServiceUnhealthy { .. } => "service_unhealthy",
            Self::ServiceHealthy { .. } => "service_healthy",
            Self::WatchingStopped { .. } => "watching_stopped",
            Self::WatchingResumed { .. } => "watching_resumed",
            Self::Baseline { .. } => "baseline",
        }
    }
}
