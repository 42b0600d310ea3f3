//! One start of one service, from the order to its end.

use std::{process::Child, time::Duration};

use rustix::process::{Signal, WaitIdStatus};
use systembot_cli::child;
use systembot_model::{
    Seq,
    decide::Finished,
    effect::Start,
    render::span,
    rules::Service,
    service::{Outcome, Seen},
};

use super::{
    World,
    launch::launch,
    output::{Output, Outputs},
    remains,
};
use crate::collect::{
    file::Buffer,
    look::{Finder, Look, Running},
};

/// Time for which a service must be seen before it counts as up: what dies at once has not come up.
const SETTLES: Duration = Duration::from_secs(1);
/// Time that a process gets to end after SIGTERM.
const TERM_PATIENCE: Duration = Duration::from_secs(10);
/// Time that it takes to be gone after SIGKILL, at most; then it hangs in the kernel.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// Time for which a start is looked at in each round; most services are up by then.
const QUICK: Duration = Duration::from_secs(3);
/// Time between two looks from then on, and between two questions to systemctl.
const SLOW_PAUSE: Duration = Duration::from_millis(700);

/// One start.
pub(super) struct Starting {
    start: Start,
    settings: Service,
    finder: Finder,
    /// The other services: what belongs to one of them is not this one's remains.
    others: Vec<Finder>,
    phase: Phase,
    output: Option<Output>,
    buffer: Buffer,
    /// What ran before, where the command itself is to see to its end, as that of a unit's manager does.
    replaced: Option<Seen>,
    /// When it was first looked for.
    began: Option<Duration>,
    /// When it was last looked for.
    asked: Option<Duration>,
}

/// Moments are of the steady clock.
enum Phase {
    /// Nothing has been done.
    New,
    /// The process that runs has been told to end, and then what it leaves of its process group.
    Ending(Ending),
    /// An earlier start may still come up; nothing is started beside it.
    Waiting { before: Seq, until: Duration, found: Option<(Running, Duration)> },
    /// The command was started.
    Launched { child: Child, until: Duration, found: Option<(Running, Duration)> },
    /// It has not come up, and what is left of it is told to end.
    Clearing { child: Option<Child>, of: Seq, reason: String, notice: Notice },
}

/// Processes have been told to end.
#[derive(Clone, Copy)]
struct Notice {
    until: Duration,
    is_killed: bool,
}

impl Notice {
    /// Tells them for the first time.
    fn give(pids: &[u32], now: Duration) -> Self {
        remains::signal(pids, Signal::TERM);
        Self { until: now + TERM_PATIENCE, is_killed: false }
    }

    /// Insists on the end of those that are left once their time is up; their numbers, where nothing ends them.
    fn insist(self, left: &[u32], now: Duration) -> Result<Self, String> {
        if now < self.until {
            return Ok(self);
        }
        if self.is_killed {
            return Err(left.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        }
        remains::signal(left, Signal::KILL);
        Ok(Self { until: now + KILL_PATIENCE, is_killed: true })
    }
}

/// A process that runs and is to end before the start.
#[derive(Clone, Copy)]
struct Ending {
    pid: u32,
    /// Whether its process group is its own, and so to end with it: half of a service is none.
    is_leader: bool,
    /// Whether it has ended, and the rest of its group has been told to.
    is_rest: bool,
    notice: Notice,
}

/// The end of a start: what is reported, and the program that was started, if it is a child of this process, to be
/// taken note of when it ends.
pub(super) type End = (Finished, Option<Child>);

/// What a step leads to.
enum Step {
    /// Look again later.
    Stay(Phase),
    /// It is over.
    End(Outcome, Option<Running>, Option<Child>),
}

impl Starting {
    pub(super) fn new(world: &World, settings: Service, others: Vec<Service>, start: Start) -> Self {
        Self {
            start,
            finder: Finder::new(&world.roots, settings.clone()),
            others: others.into_iter().map(|other| Finder::new(&world.roots, other)).collect(),
            settings,
            phase: Phase::New,
            output: None,
            buffer: Buffer::default(),
            replaced: None,
            began: None,
            asked: None,
        }
    }

    /// Whether another start is of the same service, whatever it is named: two at once would be two copies.
    pub(super) fn is_of_one_with(&self, other: &Self) -> bool {
        let (own, other) = (&self.settings, &other.settings);
        let is_found_alike = (&own.matches, &own.pidfile, &own.unit, &own.user)
            == (&other.matches, &other.pidfile, &other.unit, &other.user);
        own.name == other.name || is_found_alike
    }

    /// Does what can be done now; the end of it, once it has come.
    pub(super) fn go_on(&mut self, world: &World, outputs: &mut Outputs) -> Option<End> {
        let phase = std::mem::replace(&mut self.phase, Phase::New);
        match self.step(phase, world, outputs) {
            Step::Stay(phase) => {
                self.phase = phase;
                None
            }
            Step::End(outcome, running, child) => {
                let finished = Finished {
                    service: self.settings.name.clone(),
                    ordered: self.start.ordered,
                    outcome,
                    seen: running.map(|running| running.seen),
                    output: self.output.as_ref().map(Output::end).unwrap_or_default(),
                };
                Some((finished, child))
            }
        }
    }

    fn step(&mut self, phase: Phase, world: &World, outputs: &mut Outputs) -> Step {
        let now = world.clock.steady();
        match phase {
            Phase::New => self.look_first(world, outputs, now),
            Phase::Ending(ending) => self.ending(world, outputs, now, ending),
            Phase::Waiting { before, until, found } => {
                self.waiting(world, outputs, now, (before, until, found))
            }
            Phase::Launched { child, until, found } => self.launched(world, now, child, until, found),
            Phase::Clearing { child, of, reason, notice } => {
                self.clearing(world, now, (child, of, reason, notice))
            }
        }
    }

    /// Looks before anything is started: what runs already is not started beside itself.
    fn look_first(&mut self, world: &World, outputs: &mut Outputs, now: Duration) -> Step {
        if !self.may_look(now) {
            return Step::Stay(Phase::New);
        }
        let look = self.finder.look(&world.roots, world.clock.as_ref(), &mut self.buffer);
        // What its manager is just bringing up, or does not tell of, is not started beside that.
        if let (Look::Unknown(problem), Some(_), false) =
            (&look, &self.settings.unit, self.start.is_asked_for)
        {
            if now.saturating_sub(self.began.unwrap_or(now)) < self.settings.grace {
                return Step::Stay(Phase::New);
            }
            let why = problem.as_deref().unwrap_or("it has been on its way up all the while");
            let reason = format!("it cannot be told whether it runs: {why}");
            return Step::End(Outcome::Failed(reason), None, None);
        }
        if let Look::Found(running) = look {
            let is_anew =
                |pid: &u32| self.start.is_up && self.start.is_asked_for || self.start.stop == Some(*pid);
            let stop = running.seen.pid.filter(is_anew);
            let is_unit = self.settings.unit.is_some();
            // What is another user's only its command can see to, with sudo for one.
            if is_unit && self.start.is_up || !is_unit && stop.is_some_and(remains::is_untouchable) {
                self.replaced = Some(running.seen);
                return self.launch(world, outputs, now);
            }
            return match stop {
                Some(pid) => Step::Stay(Phase::Ending(Ending {
                    pid,
                    is_leader: running.stat.is_some_and(|stat| stat.group == pid),
                    is_rest: false,
                    notice: Notice::give(&[pid], now),
                })),
                None => Step::End(Outcome::AlreadyRunning, Some(running), None),
            };
        }
        if let Some(before) =
            self.start.before.filter(|before| !self.remains(world, None, *before).is_empty())
        {
            return Step::Stay(Phase::Waiting { before, until: now + self.settings.grace, found: None });
        }
        self.launch(world, outputs, now)
    }

    fn ending(&mut self, world: &World, outputs: &mut Outputs, now: Duration, ending: Ending) -> Step {
        let Ending { pid, is_leader, is_rest, notice } = ending;
        let look = self.finder.look(&world.roots, world.clock.as_ref(), &mut self.buffer);
        let is_there = matches!(&look, Look::Found(running) if running.seen.pid == Some(pid));
        let left = match is_there {
            true => vec![pid],
            false if is_leader => {
                let group = remains::find(&world.roots, Some(pid), None, &mut self.buffer);
                self.without_others(group)
            }
            false => Vec::new(),
        };
        if left.is_empty() {
            return match look {
                // Whoever else looks after it was quicker.
                Look::Found(running) => Step::End(Outcome::AlreadyRunning, Some(running), None),
                Look::Missing | Look::Unknown(_) => self.launch(world, outputs, now),
            };
        }
        let notice =
            if is_there || is_rest { notice.insist(&left, now) } else { Ok(Notice::give(&left, now)) };
        match notice {
            Ok(notice) => {
                Step::Stay(Phase::Ending(Ending { is_rest: is_rest || !is_there, notice, ..ending }))
            }
            Err(pids) => {
                let reason = format!("the process that runs, pid {pids}, does not end");
                Step::End(Outcome::Failed(reason), None, None)
            }
        }
    }

    /// Waits for an earlier start, and ends what is left of it once its time is over too.
    fn waiting(
        &mut self,
        world: &World,
        outputs: &mut Outputs,
        now: Duration,
        (before, until, found): (Seq, Duration, Option<(Running, Duration)>),
    ) -> Step {
        let found = self.found(world, now, found);
        if let Some((running, since)) = &found {
            if now.saturating_sub(*since) >= SETTLES {
                return Step::End(Outcome::AlreadyRunning, Some(running.clone()), None);
            }
            return Step::Stay(Phase::Waiting { before, until, found });
        }
        let left = self.remains(world, None, before);
        if left.is_empty() {
            return self.launch(world, outputs, now);
        }
        if now < until {
            return Step::Stay(Phase::Waiting { before, until, found });
        }
        let reason = format!("an earlier start had not come up within {}", span(self.settings.grace));
        Step::Stay(Phase::Clearing { child: None, of: before, reason, notice: Notice::give(&left, now) })
    }

    fn launch(&mut self, world: &World, outputs: &mut Outputs, now: Duration) -> Step {
        let command = self.settings.restart.clone().unwrap_or_default();
        let moment = world.clock.local().civil_minute(world.clock.now());
        let number = self.start.ordered.get();
        let output = outputs.open(&self.settings.name, &format!("{moment}, start {number}: {command}"));
        let output = match output {
            Ok(output) => output,
            Err(error) => {
                let reason = format!("its output cannot be kept: {error}");
                return Step::End(Outcome::Failed(reason), None, None);
            }
        };
        let mark = remains::mark(&world.data_dir, self.start.ordered);
        let launched = launch(&self.settings, &mark, &output);
        self.output = Some(output);
        match launched {
            Ok(child) => Step::Stay(Phase::Launched { child, until: now + self.settings.grace, found: None }),
            Err(reason) => Step::End(Outcome::Failed(reason), None, None),
        }
    }

    fn launched(
        &mut self,
        world: &World,
        now: Duration,
        child: Child,
        until: Duration,
        found: Option<(Running, Duration)>,
    ) -> Step {
        // Its number names its group up to the end of the start, so nobody else may get it.
        let ended = child::ended(&child);
        // What ran before counts again only where its manager has left it running, and says that all is well.
        let replaced = self.replaced;
        let is_old = |running: &Running| replaced.is_some_and(|old| old.is_same(&running.seen));
        let is_done = self.settings.unit.is_some() && ended.as_ref().is_some_and(is_success);
        let found = self.found(world, now, found).filter(|(running, _)| is_done || !is_old(running));
        if let Some((running, since)) = &found {
            if now.saturating_sub(*since) >= SETTLES {
                return Step::End(Outcome::Running, Some(running.clone()), Some(child));
            }
            return Step::Stay(Phase::Launched { child, until, found });
        }
        let group = Some(child.id());
        if let Some(status) = ended.as_ref().filter(|status| !is_success(status))
            && self.remains(world, group, self.start.ordered).is_empty()
        {
            return Step::End(Outcome::Failed(how(status)), None, Some(child));
        }
        if now < until {
            return Step::Stay(Phase::Launched { child, until, found });
        }
        let left = self.remains(world, group, self.start.ordered);
        let reason = self.failure(&left, ended.is_some(), child.id());
        if left.is_empty() {
            return Step::End(Outcome::Failed(reason), None, Some(child));
        }
        let (of, notice) = (self.start.ordered, Notice::give(&left, now));
        Step::Stay(Phase::Clearing { child: Some(child), of, reason, notice })
    }

    fn clearing(
        &mut self,
        world: &World,
        now: Duration,
        (child, of, reason, notice): (Option<Child>, Seq, String, Notice),
    ) -> Step {
        let left = self.remains(world, child.as_ref().map(Child::id), of);
        if left.is_empty() {
            return Step::End(Outcome::Failed(reason), None, child);
        }
        match notice.insist(&left, now) {
            Ok(notice) => Step::Stay(Phase::Clearing { child, of, reason, notice }),
            Err(pids) => {
                Step::End(Outcome::Failed(format!("{reason}; pid {pids} does not end")), None, child)
            }
        }
    }

    /// Whether it is time for another look: one is a whole process table, or, for a unit, a process of its own.
    fn may_look(&mut self, now: Duration) -> bool {
        let began = *self.began.get_or_insert(now);
        let pause = match now.saturating_sub(began) {
            _ if self.settings.unit.is_some() => SLOW_PAUSE,
            since if since < QUICK => Duration::ZERO,
            _ => SLOW_PAUSE,
        };
        let is_time = self.asked.is_none_or(|asked| now.saturating_sub(asked) >= pause);
        if is_time {
            self.asked = Some(now);
        }
        is_time
    }

    /// The process it runs as now, and since when it has been seen.
    fn found(
        &mut self,
        world: &World,
        now: Duration,
        before: Option<(Running, Duration)>,
    ) -> Option<(Running, Duration)> {
        if !self.may_look(now) {
            return before;
        }
        let look = self.finder.look(&world.roots, world.clock.as_ref(), &mut self.buffer);
        let Look::Found(running) = look else { return None };
        let since =
            before.filter(|(known, _)| known.seen.is_same(&running.seen)).map_or(now, |(_, since)| since);
        Some((running, since))
    }

    /// What a start left running, other watched services excepted.
    fn remains(&mut self, world: &World, group: Option<u32>, of: Seq) -> Vec<u32> {
        let mark = remains::mark(&world.data_dir, of);
        let left = remains::find(&world.roots, group, Some(&mark), &mut self.buffer);
        self.without_others(left)
    }

    /// These processes without those of other watched services.
    fn without_others(&mut self, mut pids: Vec<u32>) -> Vec<u32> {
        pids.retain(|pid| !self.others.iter_mut().any(|other| other.is_process(*pid, &mut self.buffer)));
        pids
    }

    /// Why a start whose time is over has failed.
    fn failure(&self, left: &[u32], has_ended: bool, leader: u32) -> String {
        let span = span(self.settings.grace);
        let wanted = self.finder.criterion();
        match has_ended {
            false if left.contains(&leader) => format!(
                "it runs as pid {leader}, but that is not {wanted}, and none came up within {span}; it was ended"
            ),
            _ if left.is_empty() => {
                format!("within {span} there came up no {}", wanted.trim_start_matches("a "))
            }
            _ => format!(
                "within {span} there came up no {}; what it started was ended",
                wanted.trim_start_matches("a ")
            ),
        }
    }
}

fn is_success(status: &WaitIdStatus) -> bool {
    status.exit_status() == Some(0)
}

fn how(status: &WaitIdStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("it ended with exit code {code}"),
        (None, Some(signal)) => format!("it was ended by signal {signal}"),
        (None, None) => "it ended".into(),
    }
}
