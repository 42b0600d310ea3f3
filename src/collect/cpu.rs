//! What the CPUs spent their time on, and how many threads want one.

use std::collections::HashMap;

use systembot_model::{
    Series,
    number::float,
    sample::{Note, Pass},
};

use super::{Roots, file::Source, labelled::Labelled};

/// Reads /proc/stat: shares of CPU time since the pass before, and the run queue.
pub(super) struct Cpu {
    stat: Source,
    shares: [Series; 5],
    busy: Labelled<1>,
    running: Series,
    blocked: Series,
    /// All CPUs together at the pass before.
    before: Option<Times>,
    /// Each CPU at the pass before, by its number.
    before_each: HashMap<u32, Times>,
    online: u32,
}

impl Cpu {
    pub(super) fn new(roots: &Roots) -> Self {
        let shares = ["idle", "user", "system", "iowait", "steal"];
        Self {
            stat: Source::new(roots.proc.join("stat")),
            shares: shares.map(|share| Series::new(&format!("cpu_{share}_percent"))),
            busy: Labelled::new("cpu", ["cpu_busy_percent"]),
            running: Series::new("processes_running"),
            blocked: Series::new("processes_blocked"),
            before: None,
            before_each: HashMap::new(),
            online: 0,
        }
    }

    /// CPUs online at the last pass; 0 before it and where they are not known.
    pub(super) const fn online(&self) -> u32 {
        self.online
    }

    pub(super) fn read(&mut self, pass: &mut Pass) {
        self.online = 0;
        let Some(text) = self.stat.text_or_note(&mut pass.notes) else {
            self.before = None;
            self.before_each.clear();
            return;
        };
        let (mut all, mut each) = (None, HashMap::with_capacity(self.before_each.len()));
        for line in text.lines() {
            let Some((name, rest)) = line.split_once(' ') else { continue };
            match name {
                "cpu" => {
                    all = Times::parse(rest);
                    let shares = all.zip(self.before).and_then(|(now, before)| now.shares_since(before));
                    for (series, share) in self.shares.iter().zip(shares.into_iter().flatten()) {
                        pass.sample.push(series.clone(), share);
                    }
                }
                "procs_running" => push_number(pass, &self.running, rest),
                "procs_blocked" => push_number(pass, &self.blocked, rest),
                _ => {
                    let Some(label) = name.strip_prefix("cpu") else { continue };
                    let Some((number, now)) = label.parse().ok().zip(Times::parse(rest)) else { continue };
                    self.online = self.online.saturating_add(1);
                    let before = self.before_each.get(&number).copied();
                    if let Some([idle, _, _, iowait, _]) = before.and_then(|before| now.shares_since(before))
                    {
                        let [series] = self.busy.of(label);
                        pass.sample.push(series, (100.0 - idle - iowait).max(0.0));
                    }
                    each.insert(number, now);
                }
            }
        }
        if all.is_none() {
            let subject = format!("file {}", self.stat.path().display());
            pass.notes.push(Note { subject, text: "tells no CPU times; they are left out".to_owned() });
        }
        self.before = all;
        self.before_each = each;
    }
}

fn push_number(pass: &mut Pass, series: &Series, text: &str) {
    if let Ok(number) = text.trim().parse() {
        pass.sample.push(series.clone(), float(number));
    }
}

/// CPU time since boot, in ticks.
#[derive(Clone, Copy)]
struct Times {
    idle: u64,
    /// In programs, nice included; the time of guests is part of it already.
    user: u64,
    /// In the kernel, interrupts included.
    system: u64,
    iowait: u64,
    steal: u64,
}

impl Times {
    /// Reads a line without its first word; kernels before 2.6.11 have fewer columns, only the first four are needed.
    fn parse(line: &str) -> Option<Self> {
        let mut columns = line.split_ascii_whitespace().map(|column| column.parse::<u64>().ok());
        let (user, nice, system, idle) =
            (columns.next()??, columns.next()??, columns.next()??, columns.next()??);
        let mut later = || columns.next().flatten().unwrap_or(0);
        let (iowait, irq, softirq, steal) = (later(), later(), later(), later());
        Some(Self {
            idle,
            user: user.saturating_add(nice),
            system: system.saturating_add(irq).saturating_add(softirq),
            iowait,
            steal,
        })
    }

    /// Shares in percent of idle, user, system, iowait and steal since an earlier reading.
    ///
    /// The kernel takes back a few ticks of idle and iowait now and then: those count as none. Where all together
    /// went back the machine has moved to another host or begun anew: nothing can be said.
    fn shares_since(self, before: Self) -> Option<[f64; 5]> {
        if self.total() <= before.total() {
            return None;
        }
        let columns = |times: Self| [times.idle, times.user, times.system, times.iowait, times.steal];
        let (now, before) = (columns(self), columns(before));
        let mut spent = now.map(float);
        for (spent, (now, before)) in spent.iter_mut().zip(now.into_iter().zip(before)) {
            *spent = float(now.saturating_sub(before));
        }
        let total: f64 = spent.iter().sum();
        (total > 0.0).then(|| spent.map(|ticks| (ticks / total * 100.0).clamp(0.0, 100.0)))
    }

    fn total(self) -> u128 {
        [self.idle, self.user, self.system, self.iowait, self.steal].map(u128::from).iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(before: &str, now: &str) -> Option<[f64; 5]> {
        Times::parse(now)?.shares_since(Times::parse(before)?)
    }

    #[test]
    fn time_is_shared_out_as_the_kernel_names_it() {
        let before = "100 10 50 1000 20 3 7 5 40 0";
        // user 30 + nice 10, system 15 + irq 2 + softirq 3, idle 120, iowait 10, steal 10: 200 ticks.
        let now = "130 20 65 1120 30 5 10 15 70 0";
        assert_eq!(shares(before, now), Some([60.0, 20.0, 10.0, 5.0, 5.0]));
        assert_eq!(shares("0 0 0 0", "1 0 1 2"), Some([50.0, 25.0, 25.0, 0.0, 0.0]));
    }

    #[test]
    fn counters_that_stand_still_or_go_back_say_nothing() {
        let line = "100 10 50 1000 20 3 7 5";
        assert_eq!(shares(line, line), None);
        assert_eq!(shares(line, "90 10 50 900 20 3 7 5"), None);
        assert_eq!(shares(line, "110 20 60 5 0 0 0 0"), None);
        assert_eq!(shares(line, "100 10 50 1100 10 3 7 5"), Some([100.0, 0.0, 0.0, 0.0, 0.0]));
        assert_eq!(shares(line, "x"), None);
        let most = "18446744073709551615 18446744073709551615 0 18446744073709551615 0 0 0 0";
        assert!(shares(line, most).unwrap().iter().all(|share| (0.0..=100.0).contains(share)));
    }
}
