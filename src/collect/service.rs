//! Watched services: do they run, and what do they use?

use std::{path::PathBuf, sync::Arc, time::Duration};

use systembot_model::{
    Series,
    number::float,
    sample::{Note, Pass},
    service::Found,
};

use super::{
    Options,
    file::Buffer,
    look::{Finder, Look, Running, command_line, own_pid},
    unit::{Asking, Question, Standing},
};
use crate::{clock::Clock, supervise::output};

/// Time that a pass waits for what systemctl says of units whose process is gone.
const UNITS_WAIT: Duration = Duration::from_secs(1);
/// Time between two questions about a unit that is active without a process to look at.
const UNIT_AGAIN: Duration = Duration::from_secs(60);

/// Looks all watched services up.
///
/// A pass costs one command line a service. Only where one of them is not where it was, the whole table is read, once
/// for all that are sought, and anew in every pass.
pub(super) struct Services {
    proc: PathBuf,
    outputs_dir: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    watched: Vec<Watched>,
    buffer: Buffer,
    /// Asks about units; begun with the first question.
    asking: Option<Asking>,
}

struct Watched {
    finder: Finder,
    memory: Series,
    cpu: Series,
    /// Whether a question about its unit is on its way.
    is_asked: bool,
    /// When its unit was active without a process, by the steady clock.
    was_active: Option<Duration>,
}

impl Services {
    pub(super) fn new(options: &Options, clock: Arc<dyn Clock>) -> Self {
        let roots = &options.roots;
        let watched = options.services.iter().cloned().map(|service| Watched {
            memory: Series::labelled("service_memory_bytes", "service", &service.name),
            cpu: Series::labelled("service_cpu_seconds_total", "service", &service.name),
            finder: Finder::new(roots, service),
            is_asked: false,
            was_active: None,
        });
        // A service without anything to find it by is none that could be told of.
        let is_findable = |watched: &Watched| {
            let service = &watched.finder.service;
            !service.matches.trim().is_empty() || service.pidfile.is_some() || service.unit.is_some()
        };
        let watched = watched.filter(is_findable).collect();
        Self {
            proc: roots.proc.clone(),
            outputs_dir: options.outputs_dir.clone(),
            clock,
            watched,
            buffer: Buffer::default(),
            asking: None,
        }
    }

    /// Tells what runs and what is missing, in the order of the configuration. `pids` is the process table of this
    /// pass.
    pub(super) fn read(&mut self, pass: &mut Pass, pids: &[u32]) {
        // Without a process table (an unreadable /proc is told elsewhere) nothing is known to be missing.
        if self.watched.is_empty() || pids.is_empty() {
            return;
        }
        let mut looks: Vec<Option<Look>> = self.watched.iter().map(|_| None).collect();
        self.look_again(&mut looks);
        self.search(&looks, pids);
        self.ask_units(&mut looks);
        for (watched, look) in self.watched.iter().zip(looks) {
            let name = &watched.finder.service.name;
            let look = look.unwrap_or_else(|| {
                watched.finder.seen(self.clock.as_ref(), &mut self.buffer).map_or(Look::Missing, Look::Found)
            });
            match look {
                Look::Found(running) => found(pass, watched, running),
                Look::Missing => {
                    pass.missing.push(name.clone());
                    let last = self.outputs_dir.as_ref().and_then(|dir| output::last_line(dir, name));
                    pass.last_lines.extend(last.map(|line| (name.clone(), line)));
                }
                Look::Unknown(Some(text)) => {
                    pass.notes.push(Note { subject: format!("service {name}"), text });
                }
                Look::Unknown(None) => {}
            }
        }
    }

    /// Looks where each was last, and into pidfiles.
    fn look_again(&mut self, looks: &mut [Option<Look>]) {
        let own = own_pid(&self.proc);
        for (watched, look) in self.watched.iter_mut().zip(looks) {
            let finder = &mut watched.finder;
            if let Some(problem) = finder.resolve_user() {
                *look = Some(Look::Unknown(Some(problem)));
            } else if finder.service.pidfile.is_some() {
                finder.read_pidfile(&mut self.buffer);
            } else if finder.unit.is_none() {
                finder.is_at_last(own, &mut self.buffer);
            }
        }
    }

    /// Searches the process table for those that are not where they were.
    fn search(&mut self, looks: &[Option<Look>], pids: &[u32]) {
        let is_sought = |watched: &Watched, look: &Option<Look>| {
            let finder = &watched.finder;
            look.is_none()
                && finder.pid.is_none()
                && finder.unit.is_none()
                && finder.service.pidfile.is_none()
        };
        if !self.watched.iter().zip(looks).any(|(watched, look)| is_sought(watched, look)) {
            return;
        }
        let own = own_pid(&self.proc);
        for &pid in pids.iter().filter(|pid| Some(**pid) != own) {
            let Some(line) = command_line(&self.proc, pid, &mut self.buffer) else { continue };
            for (watched, look) in self.watched.iter_mut().zip(looks) {
                if is_sought(watched, look) && watched.finder.is_line(pid, &line, &mut self.buffer) {
                    watched.finder.pid = Some(pid);
                }
            }
        }
    }

    /// Asks about units whose process is not there any more, and takes what is answered in time.
    fn ask_units(&mut self, looks: &mut [Option<Look>]) {
        let now = self.clock.steady();
        let mut open = 0_usize;
        for (number, (watched, look)) in self.watched.iter_mut().zip(&mut *looks).enumerate() {
            let Some(unit) = watched.finder.unit.clone() else { continue };
            // While nothing else is known, nothing is said.
            *look = look.take().or(Some(Look::Unknown(None)));
            if let Some(running) = watched.finder.seen(self.clock.as_ref(), &mut self.buffer) {
                *look = Some(Look::Found(running));
                continue;
            }
            if watched.was_active.is_some_and(|at| now.saturating_sub(at) < UNIT_AGAIN) {
                *look = Some(watched.finder.of_unit(
                    Standing::Active(None),
                    self.clock.as_ref(),
                    &mut self.buffer,
                ));
                continue;
            }
            open += 1;
            if !watched.is_asked {
                if self.asking.is_none() {
                    // Without a thread nothing is known of units, and the next pass tries again.
                    self.asking = Asking::begin().ok();
                }
                if let Some(asking) = &self.asking {
                    asking.ask(Question { number, at: now }, &unit);
                    watched.is_asked = true;
                }
            }
        }
        let until = now.saturating_add(UNITS_WAIT);
        while open > 0 {
            let left = until.saturating_sub(self.clock.steady());
            let Some(asking) = &self.asking else { break };
            let Some((Question { number, at }, standing)) = asking.answer(left) else { break };
            let (Some(watched), Some(look)) = (self.watched.get_mut(number), looks.get_mut(number)) else {
                continue;
            };
            // An answer that comes a pass late tells of then: that something did not run says nothing of now.
            let is_late = at < now && !matches!(standing, Standing::Active(_));
            if let Some(unit) = watched.finder.unit.as_ref().filter(|_| is_late) {
                asking.ask(Question { number, at: now }, unit);
                continue;
            }
            open -= 1;
            watched.is_asked = false;
            watched.was_active = (standing == Standing::Active(None)).then_some(now);
            *look = Some(watched.finder.of_unit(standing, self.clock.as_ref(), &mut self.buffer));
        }
    }
}

fn found(pass: &mut Pass, watched: &Watched, running: Running) {
    if let Some(stat) = &running.stat {
        let hertz = float(rustix::param::clock_ticks_per_second());
        pass.sample.push(watched.memory.clone(), float(stat.memory_bytes()));
        pass.sample.push(watched.cpu.clone(), float(stat.ticks) / hertz);
    }
    pass.services.push(Found { service: watched.finder.service.name.clone(), seen: running.seen });
}
