//! `doctor`: what is right and wrong around the bot, a line each, and how to mend it.

use std::path::PathBuf;

use anyhow::Result;
use systembot_config::{Env, Loaded, Mistakes, data_dir, find};

use super::{Outcome, View};
use crate::{
    args::{Format, Global},
    edges::FindingSink,
    open::become_owner,
    output::{Cell, Csv, Fields, human, json},
    setup::{absolute, read},
};

/// What is to be examined; nothing in it need be in order.
pub struct Checkup<'a> {
    /// The configuration file, absolute; `None` on defaults; an error where a named one is missing.
    pub config: Result<Option<PathBuf>>,
    /// What it sets.
    pub loaded: Result<Loaded, Mistakes>,
    /// The data directory, absolute; it need not exist.
    pub data_dir: Result<PathBuf>,
    /// Whether this process may look into it: root is its owner from here on, as with every other command.
    pub access: Result<()>,
    /// The environment.
    pub env: Env<'a>,
}

impl<'a> Checkup<'a> {
    /// Finds what there is.
    pub(crate) fn find(global: &Global, env: Env<'a>) -> Self {
        let config = find(global.config.as_deref(), env).map_err(Into::into);
        let config = config.and_then(|file| file.as_deref().map(absolute).transpose());
        let file = config.as_ref().ok().and_then(Option::as_deref);
        let loaded = read(file);
        let dir = data_dir(global.data_dir.as_deref(), env).map_err(Into::into);
        let data_dir = dir.and_then(|dir: PathBuf| absolute(&dir));
        let access = data_dir.as_ref().map_or(Ok(()), |dir| become_owner(dir));
        Self { config, loaded, data_dir, access, env }
    }
}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and something about it is worth knowing.
    Warning,
    /// It does not work.
    Failed,
}

impl Verdict {
    /// Its word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at: `data directory`, `service test_bot`.
    pub check: String,
    /// What it came to.
    pub verdict: Verdict,
    /// What was found, one line.
    pub found: String,
    /// What to type or do, where there is something to mend.
    pub mend: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Ok, found: found.into(), mend: None }
    }

    /// Worth knowing.
    pub fn warning(
        check: impl Into<String>,
        found: impl Into<String>,
        mend: impl Into<Option<String>>,
    ) -> Self {
        Self { check: check.into(), verdict: Verdict::Warning, found: found.into(), mend: mend.into() }
    }

    /// Broken.
    pub fn failed(
        check: impl Into<String>,
        found: impl Into<String>,
        mend: impl Into<Option<String>>,
    ) -> Self {
        Self { check: check.into(), verdict: Verdict::Failed, found: found.into(), mend: mend.into() }
    }
}

/// Columns of the names of the checks; a service with a long name pushes its own line only.
const NAME_WIDTH: usize = 14;

/// Prints every finding as it comes; one that failed is an exit of 1.
///
/// # Errors
/// Those of the examination and of the output.
pub fn doctor(
    examine: &mut dyn FnMut(FindingSink<'_>) -> Result<()>,
    view: &mut View<'_>,
) -> Result<Outcome> {
    let (mut checks, mut warnings, mut failures) = (0_u64, 0_u64, 0_u64);
    let mut csv = Csv::default();
    examine(&mut |finding| {
        checks += 1;
        warnings += u64::from(finding.verdict == Verdict::Warning);
        failures += u64::from(finding.verdict == Verdict::Failed);
        match view.format {
            Format::Table => tell(&finding, view)?,
            Format::Json => json::write_line(view.out, &fields(&finding))?,
            Format::Csv => csv.write(view.out, &fields(&finding))?,
        }
        // Some checks take seconds; what is known is shown.
        Ok(view.out.flush()?)
    })?;
    if view.format == Format::Table {
        let (warned, failed) = (human::counted(warnings, "warning"), human::thousands(failures));
        writeln!(view.out, "\n{}: {warned}, {failed} failed", human::counted(checks, "check"))?;
    }
    Ok(if failures == 0 { Outcome::Done } else { Outcome::Faulty })
}

fn tell(finding: &Finding, view: &mut View<'_>) -> Result<()> {
    let (mark, style) = match finding.verdict {
        Verdict::Ok => ("ok  ", Cell::GREEN),
        Verdict::Warning => ("warn", Cell::YELLOW),
        Verdict::Failed => ("FAIL", Cell::RED),
    };
    let mark = view.screen.paint.text(style, mark);
    // One line each, however long: what is to be typed can then be copied, and lines can be counted.
    write!(view.out, "{mark}  {:<NAME_WIDTH$}  {}", finding.check, finding.found)?;
    if let Some(mend) = &finding.mend {
        write!(view.out, " -> {}", view.screen.paint.text(Cell::BOLD, mend))?;
    }
    Ok(writeln!(view.out)?)
}

fn fields(finding: &Finding) -> Fields {
    vec![
        ("check", finding.check.as_str().into()),
        ("state", finding.verdict.word().into()),
        ("found", finding.found.as_str().into()),
        ("mend", json::maybe(finding.mend.as_deref())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::fake::{check, printed};

    fn examine(findings: &[Finding]) -> impl FnMut(FindingSink<'_>) -> Result<()> {
        move |sink| findings.iter().cloned().try_for_each(sink)
    }

    #[test]
    fn a_line_each_and_an_exit_of_1_where_one_failed() {
        let fine = [
            Finding::ok("log", "opens"),
            Finding::warning("clock", "not synchronised", "sudo timedatectl set-ntp true".to_owned()),
        ];
        check(
            Format::Table,
            |view| doctor(&mut examine(&fine), view),
            "ok    log             opens\n\
             warn  clock           not synchronised -> sudo timedatectl set-ntp true\n\
             \n2 checks: 1 warning, 0 failed\n",
        );
        let broken = [Finding::failed("a, b", "x", None)];
        let (outcome, text) = printed(Format::Json, |view| doctor(&mut examine(&broken), view));
        assert_eq!(outcome, Ok(Outcome::Faulty));
        assert_eq!(text, "{\"check\":\"a, b\",\"state\":\"failed\",\"found\":\"x\",\"mend\":null}\n");
        let (_, text) = printed(Format::Csv, |view| doctor(&mut examine(&broken), view));
        assert_eq!(text, "check,state,found,mend\n\"a, b\",failed,x,\n");
    }
}
