//! Everything derived: a fold of the log.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use crate::{
    Address, Event, Message, Pattern, Question, Record, Rules, Sample, Seq, Series, Timestamp,
    alert::Alert,
    baseline::Baselines,
    event::Fired,
    host::Host,
    judge::{self, Condition, RuleKind, Stand, Verdict},
    limits,
    outbox::Owed,
    rules::Service,
    service::{Ordered, Watched},
    window::{Trend, Window},
};

/// What is known at one moment: a fold of all records up to a number, and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Number of the newest record folded in.
    pub seq: Seq,
    /// The run of the daemon that is on, or was the last.
    pub run: Run,
    /// The settings in force.
    pub rules: Rules,
    /// Number of the record that put them in force.
    pub configured: Seq,
    /// The machine.
    pub host: Host,
    /// The window of every series.
    pub windows: BTreeMap<Series, Window>,
    /// The newest set of baselines.
    pub baselines: Baselines,
    /// When the newest tick was recorded.
    pub sampled_at: Option<Timestamp>,
    /// Ticks since the last gap in recording, counted to 1,000.
    pub ticks_since_gap: u32,
    /// Conditions that hold, but not long enough yet, and since when.
    pub pending: BTreeMap<Condition, Pending>,
    /// Alerts that are firing, by number.
    pub alerts: BTreeMap<u64, Alert>,
    /// Number of the newest alert.
    pub last_alert: u64,
    /// When each condition was last told, kept while that may silence a re-fire.
    pub told: BTreeMap<Condition, Timestamp>,
    /// Mutes by scope.
    pub mutes: BTreeMap<String, Mute>,
    /// What is owed, by number.
    pub outbox: BTreeMap<Seq, Queued>,
    /// Watched services that are missing, and since when.
    pub missing: BTreeMap<String, Timestamp>,
    /// What else is known of watched services.
    pub services: BTreeMap<String, Watched>,
    /// What cannot be read at the moment, by subject.
    pub notes: BTreeMap<String, String>,
    /// The newest blind spans, oldest first.
    pub blind: VecDeque<Record>,
    /// When the newest blind span of more than a day ended: the clock may have been wrong then, or be so since.
    pub leapt: Option<Timestamp>,
    /// The public address as far as known.
    pub public: PublicAddress,
    /// Questions whose answer is being fetched, by the number of the record that asked.
    pub questions: BTreeMap<Seq, (Address, Question)>,
    /// The newest record of a damaged log that was mended.
    pub salvaged: Option<Record>,
}

/// Since when a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The moment of the first tick that said so.
    pub since: Timestamp,
    /// The number of that tick.
    pub seq: Seq,
}

/// One run of the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Whether it goes on, as far as the log tells.
    pub is_on: bool,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// Version of the program.
    pub version: String,
    /// Its configuration file.
    pub config: Option<String>,
}

/// Silence for some series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mute {
    /// Its beginning.
    pub since: Timestamp,
    /// Its end. It moves with the clock where that is set: a mute lasts as long as was asked for.
    pub until: Timestamp,
    /// Who asked for it.
    pub by: Address,
}

/// A message in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// When it was queued.
    pub at: Timestamp,
    /// The message.
    pub message: Message,
    /// Whether it is being handed over right now.
    pub is_attempted: bool,
    /// Whether an earlier attempt may have delivered it.
    pub is_doubtful: bool,
}

/// What is known of the public address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicAddress {
    /// The address, and when it was last confirmed.
    pub known: Option<(IpAddr, Timestamp)>,
    /// When the service was last asked, and why it told nothing, if so.
    pub asked: Option<(Timestamp, Option<String>)>,
}

/// Ticks after which counting them serves nothing; far fewer than a fold reads of any series.
const TICKS_COUNTED: u32 = 5;

impl State {
    /// Folds one record in.
    pub fn apply(&mut self, record: &Record) {
        self.seq = record.seq;
        let at = record.at;
        match &record.event {
            Event::Sampled(sample) => self.sampled(record.seq, at, sample),
            Event::Started { version, config, .. } => {
                self.run = Run {
                    is_on: true,
                    started_at: Some(at),
                    version: version.clone(),
                    config: config.clone(),
                };
                self.gap();
                // The first set comes a day after the first start.
                self.baselines.at.get_or_insert(at);
                // A clock that is behind the last run's must not keep what was told then from being told again.
                self.moments_told().for_each(|told| *told = at.min(*told));
                // Nor must it make a mute longer than was asked for.
                for mute in self.mutes.values_mut().filter(|mute| mute.since > at) {
                    (mute.since, mute.until) = (at, at.plus(mute.until.since(mute.since)));
                }
                let oldest = at.minus(limits::WINDOW_AGE);
                self.windows.retain(|_, window| window.last().is_some_and(|(at, _)| at >= oldest));
            }
            Event::Stopped => self.run.is_on = false,
            Event::Configured { rules } => {
                self.configured(Rules::from_json(rules));
                self.configured = record.seq;
                // A start says it too; while the daemon runs another file may have taken its place.
                if self.rules.config.is_some() {
                    self.run.config.clone_from(&self.rules.config);
                }
            }
            Event::Described(host) => self.host = host.clone(),
            Event::Blind { from, to, .. } => {
                self.gap();
                if to.since(*from) > limits::LEAP {
                    self.leapt = Some(*to);
                }
                self.blind.push_back(record.clone());
                if self.blind.len() > limits::BLIND_SPANS {
                    self.blind.pop_front();
                }
            }
            Event::ClockStepped { by_ms } => {
                self.gap();
                self.shift(*by_ms);
            }
            Event::AlertFired(fired) => self.fired(at, fired),
            Event::AlertRepeated { id, .. } => {
                if let Some(condition) = self.alerts.get(id).and_then(condition) {
                    self.told.insert(condition, at);
                }
                self.fold_alert(*id, record);
            }
            Event::AlertAcknowledged { id, .. } => self.fold_alert(*id, record),
            Event::AlertResolved { id, .. } => {
                self.alerts.remove(id);
            }
            Event::Muted { scope, until, by } => {
                self.mutes.insert(scope.clone(), Mute { since: at, until: *until, by: by.clone() });
            }
            Event::Unmuted { scope, .. } => {
                self.mutes.remove(scope);
            }
            Event::MessageQueued(message) => {
                let queued = Queued { at, message: message.clone(), is_attempted: false, is_doubtful: false };
                self.outbox.insert(record.seq, queued);
            }
            Event::MessageAttempted { messages } => self.each_queued(messages, |queued| {
                queued.is_doubtful |= queued.is_attempted;
                queued.is_attempted = true;
            }),
            Event::MessageReturned { messages } => {
                self.each_queued(messages, |queued| queued.is_attempted = false);
            }
            Event::MessageDelivered { messages } | Event::MessageDropped { messages, .. } => {
                for number in messages {
                    self.outbox.remove(number);
                }
            }
            Event::ServiceMissing { service } => {
                self.missing.insert(service.clone(), at);
                self.watched(service, |watched, settings| watched.miss(settings, at));
            }
            Event::ServiceRecovered { service } => {
                self.missing.remove(service);
                self.watched(service, |watched, _| watched.given_up = None);
            }
            Event::ServiceSeen { service, seen } => {
                self.watched(service, |watched, _| watched.seen = Some(*seen));
            }
            Event::RestartOrdered { service, by, .. } => {
                let ordered = Ordered { seq: record.seq, at, by: by.clone() };
                self.watched(service, |watched, settings| watched.order(settings, at, ordered));
            }
            Event::RestartFinished { service, ordered, outcome, .. } => {
                self.watched(service, |watched, settings| watched.finish(settings, at, *ordered, outcome));
            }
            Event::RestartGivenUp { service, .. } => {
                self.watched(service, |watched, _| watched.given_up = Some(at));
            }
            Event::ServiceUnhealthy { service, problem } => {
                self.watched(service, |watched, _| watched.problem = Some(problem.clone()));
            }
            Event::ServiceHealthy { service } => self.watched(service, |watched, _| {
                // It runs: a death from now on is another matter than what it was given up for.
                (watched.problem, watched.given_up) = (None, None);
            }),
            Event::WatchingStopped { service, by } => {
                self.missing.remove(service);
                self.watched(service, |watched, _| watched.paused = Some((at, by.clone())));
            }
            Event::WatchingResumed { service, .. } => self.watched(service, |watched, _| {
                watched.paused = None;
                watched.forgive();
            }),
            Event::AddressFetched { address, problem } => {
                self.public.asked = Some((at, problem.clone()));
                if let Some(address) = address {
                    self.public.known = Some((*address, at));
                }
            }
            Event::Noted { subject, text } => {
                self.notes.insert(subject.clone(), text.clone());
            }
            Event::Cleared { subject } => {
                self.notes.remove(subject);
            }
            Event::Imported { series, learned, .. } => {
                let length = self.rules.maximum_length;
                if !learned.is_empty() && !self.windows.contains_key(series) {
                    learned.iter().for_each(|(at, value)| self.push(series, *at, *value, length));
                }
            }
            Event::Asked { from, question } => {
                self.questions.insert(record.seq, (from.clone(), *question));
            }
            Event::Answered { questions } => {
                for number in questions {
                    self.questions.remove(number);
                }
            }
            Event::Baseline { series, window } => {
                if self.baselines.take(record.seq, at) {
                    // A set is whole: what it does not hold is forgotten, wherever the fold began.
                    self.windows.clear();
                }
                self.windows.insert(series.clone(), window.clone());
            }
            Event::Salvaged { .. } => self.salvaged = Some(record.clone()),
            Event::Heard { .. } | Event::AddressChanged { .. } => {}
        }
    }

    /// The newest value of a series, in the newest tick or an older one.
    #[must_use]
    pub fn latest(&self, series: &Series) -> Option<f64> {
        self.windows.get(series)?.last().map(|(_, value)| value)
    }

    /// The value of a series in the newest tick; `None` where that lacks it.
    #[must_use]
    pub fn now(&self, series: &Series) -> Option<f64> {
        self.newest(self.windows.get(series)?)
    }

    fn newest(&self, window: &Window) -> Option<f64> {
        window.last().filter(|(at, _)| Some(*at) == self.sampled_at).map(|(_, value)| value)
    }

    /// Series of the newest tick with their values, in order of name; those that have gone are left out.
    pub fn current(&self) -> impl Iterator<Item = (&Series, f64)> {
        self.windows.iter().filter_map(|(series, window)| Some((series, self.newest(window)?)))
    }

    /// What `trends` tells, in order of name: series with a sample of the last 30 days.
    #[must_use]
    pub fn trends(&self) -> Vec<Trend> {
        let oldest = self.sampled_at.unwrap_or(Timestamp::MIN).minus(limits::WINDOW_AGE);
        let is_live = |window: &Window| window.last().is_some_and(|(at, _)| at >= oldest);
        self.windows.iter().filter(|(_, w)| is_live(w)).filter_map(|(series, w)| w.trend(series)).collect()
    }

    /// The number before which no tick is needed any more.
    ///
    /// Where it is `Some(number)`, a fold of the log without any of the `Sampled` records below that number, and
    /// without any of the `Baseline` records below it, is this state; and as what follows is the same for both, so is
    /// every state after it. An allowed number stays allowed for ever, whatever this says later: it may say `None`
    /// again, or a higher number. All other records stay, and the newest set of baselines stays whole.
    ///
    /// It is the number of the newest set's first record, as soon as what follows has made the fold forget where it
    /// began: five ticks, and no condition pending since the first of them or before. That one belongs to the step of
    /// the set; a fold that begins there takes it for the first after a gap, by which no share of time is judged.
    #[must_use]
    pub fn baselined(&self) -> Option<Seq> {
        let has_settled = self.baselines.ticks >= TICKS_COUNTED
            && self.pending.values().all(|pending| pending.seq > self.baselines.to.next());
        self.baselines.from.filter(|_| has_settled)
    }

    /// The open alert about a condition.
    #[must_use]
    pub fn alert_about(&self, about: &Condition) -> Option<&Alert> {
        self.alerts.values().find(|alert| condition(alert).as_ref() == Some(about))
    }

    /// Whether alerts about a series are muted at a moment.
    #[must_use]
    pub fn is_muted(&self, series: &Series, now: Timestamp) -> bool {
        self.mutes.iter().any(|(scope, mute)| mute.until > now && Pattern::new(scope).matches(series))
    }

    /// Messages owed to a destination, in order.
    pub fn owed_to<'a>(&'a self, to: &'a Address) -> impl Iterator<Item = Owed> + 'a {
        self.outbox.iter().filter(move |(_, queued)| queued.message.to == *to).map(|(number, queued)| Owed {
            number: *number,
            queued_at: queued.at,
            message: queued.message.clone(),
            again: queued.is_attempted || queued.is_doubtful,
        })
    }

    fn configured(&mut self, rules: Rules) {
        let before = std::mem::replace(&mut self.rules, rules);
        let length = self.rules.maximum_length;
        self.windows.values_mut().for_each(|window| window.shorten(length));
        let services = &self.rules.services;
        self.missing.retain(|name, _| self.rules.service(name).is_some());
        self.services.retain(|name, _| self.rules.service(name).is_some());
        // Whoever changed the settings of a service wants it tried with them.
        for service in services.iter().filter(|service| !before.services.contains(service)) {
            if let Some(watched) = self.services.get_mut(&service.name) {
                watched.forgive();
            }
        }
    }

    /// Changes what is known of a service; one that the settings name no more is left alone.
    fn watched(&mut self, name: &str, change: impl FnOnce(&mut Watched, &Service)) {
        if let Some(settings) = self.rules.service(name) {
            change(self.services.entry(name.to_owned()).or_default(), settings);
        }
    }

    fn sampled(&mut self, seq: Seq, at: Timestamp, sample: &Sample) {
        if sample.readings.is_empty() {
            // A tick that read nothing recorded nothing; a fold of the newest samples need not look for it.
            return;
        }
        // Only rules with a limit wait before they fire; what a trend says needs no memory but the window. What a
        // tick does not tell has not held.
        let before = std::mem::take(&mut self.pending);
        for Verdict { condition, stand, .. } in judge::limits(self, sample) {
            let waits = !condition.rule.holds_for().is_zero();
            if waits && stand == Stand::Bad && self.alert_about(&condition).is_none() {
                let since = before.get(&condition).copied().unwrap_or(Pending { since: at, seq });
                self.pending.insert(condition, since);
            }
        }
        let length = self.rules.maximum_length;
        for reading in &sample.readings {
            self.push(&reading.series, at, reading.value, length);
        }
        self.sampled_at = Some(at);
        self.ticks_since_gap = (self.ticks_since_gap + 1).min(TICKS_COUNTED);
        self.baselines.ticks = (self.baselines.ticks + 1).min(TICKS_COUNTED);
    }

    fn push(&mut self, series: &Series, at: Timestamp, value: f64, length: usize) {
        if let Some(window) = self.windows.get_mut(series) {
            window.push(at, value, length);
        } else if self.windows.len() < limits::LIVE_SERIES {
            self.windows.entry(series.clone()).or_default().push(at, value, length);
        }
    }

    fn gap(&mut self) {
        self.ticks_since_gap = 0;
        self.pending.clear();
    }

    /// Moves what counts from an earlier moment with the clock, so that a step neither hastens nor delays it.
    fn shift(&mut self, by_ms: i64) {
        let shift = |at: &mut Timestamp| *at = Timestamp::from_ms(at.as_ms().saturating_add(by_ms));
        self.moments_told().for_each(shift);
        self.mutes.values_mut().flat_map(|mute| [&mut mute.since, &mut mute.until]).for_each(shift);
        self.run.started_at.iter_mut().for_each(shift);
    }

    /// The moments from which on something is told, or asked, again after an interval, and those since when a service
    /// stands as it does.
    fn moments_told(&mut self) -> impl Iterator<Item = &mut Timestamp> {
        let told = self.told.values_mut();
        let told = told.chain(self.alerts.values_mut().filter_map(|alert| alert.told_at.as_mut()));
        let fetched = self.public.known.iter_mut().map(|(_, at)| at);
        let asked = self.public.asked.iter_mut().map(|(at, _)| at);
        let services = self.services.values_mut().flat_map(Watched::moments);
        let baselines = self.baselines.at.iter_mut();
        told.chain(fetched).chain(asked).chain(services).chain(self.missing.values_mut()).chain(baselines)
    }

    fn fired(&mut self, at: Timestamp, fired: &Fired) {
        let alert = Alert::begin(fired, at);
        if let Some(condition) = condition(&alert) {
            self.pending.remove(&condition);
            if fired.told {
                let interval = self.rules.repeat_interval;
                self.told.retain(|_, told_at| at.since(*told_at) < interval);
                self.told.insert(condition, at);
            }
        }
        self.last_alert = self.last_alert.max(fired.id);
        self.alerts.insert(fired.id, alert);
    }

    fn fold_alert(&mut self, id: u64, record: &Record) {
        if let Some(alert) = self.alerts.get_mut(&id) {
            alert.apply(record);
        }
    }

    fn each_queued(&mut self, numbers: &[Seq], change: impl Fn(&mut Queued)) {
        for number in numbers {
            if let Some(queued) = self.outbox.get_mut(number) {
                change(queued);
            }
        }
    }
}

/// The condition that an alert is about; `None` for a rule that this version does not know.
#[must_use]
pub fn condition(alert: &Alert) -> Option<Condition> {
    Some(Condition { rule: RuleKind::find(&alert.fired.rule)?, series: alert.fired.series.clone() })
}
