//! Watched services: what is known of each beyond that it is missing, and when it is to be started again.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Address, Seq, Series, State, Timestamp, limits, rules::Service};

/// The process that a service was found as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Number of its process; none for a systemd unit that has no main process.
    pub pid: Option<u32>,
    /// When that process started, in clock ticks since boot (proc_pid_stat(5), field 22): tells two processes apart
    /// that had one number.
    pub started: u64,
    /// The same by the wall clock.
    pub since: Timestamp,
}

impl Seen {
    /// Whether it is the same process, whatever the wall clock did meanwhile.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (self.pid, self.started) == (other.pid, other.started)
    }
}

/// A watched service that one pass found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub service: String,
    /// As what.
    pub seen: Seen,
}

/// What became of a start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It came up and stayed.
    Running,
    /// It ran already when the start was about to begin, so nothing was started.
    AlreadyRunning,
    /// It did not come up, for this reason.
    Failed(String),
    /// The daemon ended in the middle of it.
    Unknown,
}

impl Outcome {
    /// Its word in output for machines.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::AlreadyRunning => "already_running",
            Self::Failed(_) => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the service runs.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Running | Self::AlreadyRunning)
    }

    /// The words for people.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Running => "it came up",
            Self::AlreadyRunning => "it ran already",
            Self::Failed(reason) => reason,
            Self::Unknown => "systembot ended in the middle of it",
        }
    }
}

/// A start that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// Number of the record that ordered it.
    pub seq: Seq,
    /// When that was.
    pub at: Timestamp,
    /// Who asked for it; `None` where its death did.
    pub by: Option<Address>,
}

/// What is known of a watched service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// The process it was last found as.
    pub seen: Option<Seen>,
    /// The start that is under way.
    pub ordered: Option<Ordered>,
    /// The newest start that ended, and how.
    pub last: Option<(Seq, Outcome)>,
    /// When that was.
    pub finished_at: Option<Timestamp>,
    /// Starts since it last ran for long.
    pub failures: u32,
    /// When starts were ordered by its death, oldest first, as far back as the start limit looks.
    pub starts: VecDeque<Timestamp>,
    /// All starts by day (days since the epoch), for as many days as are told of.
    pub days: VecDeque<(i64, u32)>,
    /// No start before this.
    pub next_at: Option<Timestamp>,
    /// Since when it runs after a start.
    pub up_since: Option<Timestamp>,
    /// When it was given up.
    pub given_up: Option<Timestamp>,
    /// Since when it is not watched, and by whose word.
    pub paused: Option<(Timestamp, Address)>,
    /// What its health check says is wrong.
    pub problem: Option<String>,
}

/// Lines of a failed start's output that are told.
const LAST_LINES: usize = 3;
/// Bytes of them.
const LAST_BYTES: usize = 300;
const DAY_MS: i64 = 86_400_000;
/// Days that [`Watched::restarts`] looks back.
const DAYS: i64 = 7;

impl Watched {
    /// Starts of the last seven days, today among them.
    #[must_use]
    pub fn restarts(&self, now: Timestamp) -> u32 {
        let first = day(now) - DAYS;
        self.days.iter().filter(|(day, _)| *day > first).map(|(_, count)| count).sum()
    }

    /// Starts by its death within a span.
    #[must_use]
    pub fn starts_within(&self, span: Duration, now: Timestamp) -> usize {
        self.starts.iter().filter(|at| now.since(**at) < span).count()
    }

    /// A start was ordered.
    pub(crate) fn order(&mut self, settings: &Service, at: Timestamp, ordered: Ordered) {
        if ordered.by.is_some() {
            self.forgive();
        } else {
            self.starts.retain(|start| at.since(*start) < settings.start_limit_interval);
            if self.starts.len() >= limits::STARTS {
                self.starts.pop_front();
            }
            self.starts.push_back(at);
        }
        match self.days.back_mut().filter(|(last, _)| *last >= day(at)) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.days.push_back((day(at), 1)),
        }
        let first = day(at) - DAYS;
        self.days.retain(|(day, _)| *day > first);
        self.failures = self.failures.saturating_add(1);
        self.up_since = None;
        self.ordered = Some(ordered);
    }

    /// A start ended.
    pub(crate) fn finish(&mut self, settings: &Service, at: Timestamp, ordered: Seq, outcome: &Outcome) {
        let cut_off = self.ordered.take().filter(|_| *outcome == Outcome::Unknown);
        self.last = Some((ordered, outcome.clone()));
        self.finished_at = Some(at);
        // One that was cut off may still come up within its grace, and nothing may be started beside it.
        let may_come = cut_off.map(|cut_off| cut_off.at.plus(settings.grace));
        self.next_at = may_come.max(Some(at.plus(wait(settings, self.failures))));
        self.up_since = outcome.is_success().then_some(at);
    }

    /// It died: one that had run for long begins anew.
    pub(crate) fn miss(&mut self, settings: &Service, at: Timestamp) {
        // One that came up without a start from here, or behind one that failed, counts by its process.
        let since = self.up_since.take().or(self.seen.map(|seen| seen.since));
        if since.is_some_and(|since| at.since(since) >= settings.start_limit_interval) {
            self.forgive();
        }
    }

    /// Forgets what speaks against a start.
    pub(crate) fn forgive(&mut self) {
        self.failures = 0;
        self.starts.clear();
        self.next_at = None;
        self.given_up = None;
    }

    /// Moments that spans are counted from.
    pub(crate) fn moments(&mut self) -> impl Iterator<Item = &mut Timestamp> {
        let single = [&mut self.finished_at, &mut self.next_at, &mut self.up_since, &mut self.given_up];
        let since = self.seen.as_mut().map(|seen| &mut seen.since);
        let since = since.into_iter().chain(self.paused.as_mut().map(|(since, _)| since));
        let ordered = self.ordered.iter_mut().map(|ordered| &mut ordered.at);
        single.into_iter().flatten().chain(since).chain(ordered).chain(&mut self.starts)
    }
}

fn day(at: Timestamp) -> i64 {
    at.as_ms().div_euclid(DAY_MS)
}

/// The wait after so many starts: none before the first, then the back-off, doubled each time up to its most.
fn wait(settings: &Service, starts: u32) -> Duration {
    let Some(doublings) = starts.checked_sub(1) else { return Duration::ZERO };
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    settings.backoff.saturating_mul(factor).min(settings.backoff_max)
}

/// What whoever asked for a start is told of its end.
#[must_use]
pub fn report(service: &str, outcome: &Outcome, pid: Option<u32>, output: &str) -> String {
    if outcome.is_success() {
        let pid = pid.map_or_else(String::new, |pid| format!(", pid {pid}"));
        return format!("{service} is running{pid}.");
    }
    let mut text = format!("{service} did not come up: {}.", outcome.text());
    let last = last_words(output);
    if !last.is_empty() {
        text += &format!("\nIts last words:\n{last}");
    }
    text
}

/// The last lines of an output.
fn last_words(output: &str) -> &str {
    let output = output.trim_end();
    let begin = output.rmatch_indices('\n').nth(LAST_LINES - 1).map_or(0, |(at, _)| at + 1);
    limits::cut_front(output.get(begin..).unwrap_or_default(), LAST_BYTES)
}

/// When a service is to be started; `None` where it is not: it runs, there is no command, or something is in the way.
#[must_use]
pub fn start_at(state: &State, service: &Service) -> Option<Timestamp> {
    // What a start of the daemon, or a gap, has found is not known before the first tick.
    if service.restart.is_none() || !state.missing.contains_key(&service.name) || state.ticks_since_gap == 0 {
        return None;
    }
    let watched = state.services.get(&service.name);
    let in_the_way = watched.is_some_and(|watched| {
        watched.ordered.is_some() || watched.given_up.is_some() || watched.paused.is_some()
    });
    if in_the_way || waits_for(state, service).is_some() {
        return None;
    }
    Some(watched.and_then(|watched| watched.next_at).unwrap_or(Timestamp::MIN))
}

/// The process that is ended before a service that runs is started anew. A unit's is its manager's business.
pub(crate) fn to_stop(service: &Service, watched: &Watched) -> Option<u32> {
    watched.seen.and_then(|seen| seen.pid).filter(|_| service.unit.is_none())
}

/// The service that has to run before this one is started, and does not.
#[must_use]
pub fn waits_for<'a>(state: &State, service: &'a Service) -> Option<&'a str> {
    let is_up = |name: &String| {
        let is_starting = state.services.get(name).is_some_and(|watched| watched.ordered.is_some());
        !state.missing.contains_key(name) && !is_starting
    };
    service.after.iter().find(|name| !is_up(name)).map(String::as_str)
}

/// How it stands with a watched service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Nobody has looked for it yet, or it cannot be told.
    Unknown,
    /// It runs.
    Running,
    /// It runs, but its check fails.
    Unhealthy,
    /// It is being started.
    Starting,
    /// It does not run.
    Missing,
    /// It does not run, and was started too often.
    GivenUp,
    /// It is left alone until further notice.
    NotWatched,
}

impl Standing {
    /// Its word in output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Running => "running",
            Self::Unhealthy => "unhealthy",
            Self::Starting => "starting",
            Self::Missing => "missing",
            Self::GivenUp => "given_up",
            Self::NotWatched => "not_watched",
        }
    }
}

/// All there is to tell of a watched service in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Its name.
    pub service: String,
    /// How it stands.
    pub standing: Standing,
    /// The number of its process, where it runs and has one.
    pub pid: Option<u32>,
    /// Since when it stands so, as far as known.
    pub since: Option<Timestamp>,
    /// Starts of the last seven days.
    pub restarts: u32,
    /// Resident memory of its process.
    pub memory_bytes: Option<f64>,
    /// CPU time of its process between the two newest ticks, as a share of one CPU.
    pub cpu_percent: Option<f64>,
    /// When it is started next, where that is settled.
    pub next_at: Option<Timestamp>,
    /// The service that has to run before it is started.
    pub waits_for: Option<String>,
    /// What its check says is wrong.
    pub problem: Option<String>,
}

/// A line for each watched service, in the order of the configuration.
#[must_use]
pub fn lines(state: &State, now: Timestamp) -> Vec<Line> {
    state.rules.services.iter().map(|service| line(state, service, now)).collect()
}

/// The line of one service.
#[must_use]
pub fn line(state: &State, service: &Service, now: Timestamp) -> Line {
    let name = &service.name;
    let watched = state.services.get(name).cloned().unwrap_or_default();
    let missing = state.missing.get(name).copied();
    let (standing, since) = match (&watched.paused, &watched.ordered, missing) {
        (Some((since, _)), _, _) => (Standing::NotWatched, Some(*since)),
        (None, Some(_), missing) => (Standing::Starting, missing),
        (None, None, Some(since)) if watched.given_up.is_some() => (Standing::GivenUp, Some(since)),
        (None, None, Some(since)) => (Standing::Missing, Some(since)),
        (None, None, None) => match watched.seen {
            // What was seen once says nothing while it cannot be told.
            Some(_) if state.notes.contains_key(&format!("service {name}")) => (Standing::Unknown, None),
            Some(seen) if watched.problem.is_some() => (Standing::Unhealthy, Some(seen.since)),
            Some(seen) => (Standing::Running, Some(seen.since)),
            None => (Standing::Unknown, None),
        },
    };
    let runs = matches!(standing, Standing::Running | Standing::Unhealthy);
    let of = |metric| Series::labelled(metric, "service", name);
    Line {
        service: name.clone(),
        standing,
        pid: watched.seen.and_then(|seen| seen.pid).filter(|_| runs),
        since,
        restarts: watched.restarts(now),
        memory_bytes: state.now(&of("service_memory_bytes")).filter(|_| runs),
        cpu_percent: cpu_percent(state, &of("service_cpu_seconds_total")).filter(|_| runs),
        next_at: start_at(state, service).filter(|at| *at > Timestamp::MIN),
        waits_for: waits_for(state, service).filter(|_| missing.is_some()).map(str::to_owned),
        problem: watched.problem.filter(|_| runs),
    }
}

fn cpu_percent(state: &State, series: &Series) -> Option<f64> {
    state.now(series)?;
    let ((from, before), (to, now)) = state.windows.get(series)?.last_two()?;
    let seconds = to.since(from).as_secs_f64();
    (seconds > 0.0 && now >= before).then(|| 100.0 * (now - before) / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_most() {
        let settings = Service { backoff_max: Duration::from_secs(300), ..Service::default() };
        let waits: Vec<u64> = (0..12).map(|starts| wait(&settings, starts).as_secs()).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(wait(&settings, u32::MAX).as_secs(), 300);
    }

    #[test]
    fn restarts_are_counted_for_a_week() {
        let mut watched = Watched::default();
        let at = |day: i64| Timestamp::from_ms(day * DAY_MS + 5);
        for day in [10, 10, 11, 17] {
            watched.order(&Service::default(), at(day), Ordered { seq: Seq::ZERO, at: at(day), by: None });
        }
        assert_eq!(watched.restarts(at(17)), 2);
        assert_eq!(watched.restarts(at(18)), 1);
        assert_eq!(watched.restarts(at(24)), 0);
    }
}
