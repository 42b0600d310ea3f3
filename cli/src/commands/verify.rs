//! `verify`: every record read and checked.

use anyhow::Result;
use systembot_storage::query::{Request, Row, Verified};

use super::{Opener, Outcome, View};
use crate::{
    args::Format,
    output::{Cell, Csv, Fields, human, json},
    source::{one, unexpected},
};

/// Checks the whole log; faults are an exit of 1. A log that is too damaged to be opened is one fault.
///
/// # Errors
/// Those of the source and of the output.
pub fn verify(open: &mut Opener<'_>, view: &mut View<'_>) -> Result<Outcome> {
    let asked = open().and_then(|mut source| one(source.as_mut(), &Request::Verify));
    let found = match asked {
        Ok(Some(Row::Verified(found))) => found,
        Ok(_) => return Err(unexpected()),
        Err(error) if is_damage(&error) => {
            Verified { faults: vec![format!("{error:#}")], ..Verified::default() }
        }
        Err(error) => return Err(error),
    };
    match view.format {
        Format::Table => tell(&found, view)?,
        Format::Json => json::write_line(view.out, &fields(&found))?,
        Format::Csv => Csv::default().write(view.out, &fields(&found))?,
    }
    Ok(if found.faults.is_empty() { Outcome::Done } else { Outcome::Faulty })
}

fn is_damage(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(systembot_storage::Error::Damaged { .. }))
}

fn tell(found: &Verified, view: &mut View<'_>) -> Result<()> {
    writeln!(
        view.out,
        "{}, {}, {} ({} of them computed again)",
        human::counted(found.records, "record"),
        human::counted(found.samples, "sample"),
        human::counted(found.alerts, "alert"),
        human::thousands(found.recomputed),
    )?;
    let paint = view.screen.paint;
    if found.faults.is_empty() {
        writeln!(view.out, "{}", paint.text(Cell::GREEN, "no faults"))?;
        return Ok(());
    }
    let count = u64::try_from(found.faults.len())?;
    writeln!(view.out, "{}", paint.text(Cell::RED, &human::counted(count, "fault")))?;
    for fault in &found.faults {
        writeln!(view.out, "  {fault}")?;
    }
    Ok(())
}

fn fields(found: &Verified) -> Fields {
    vec![
        ("records", found.records.into()),
        ("samples", found.samples.into()),
        ("alerts", found.alerts.into()),
        ("recomputed", found.recomputed.into()),
        ("faults", found.faults.clone().into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::fake::{Fake, check, lend, printed};

    #[test]
    fn a_sound_log_and_a_faulty_one() {
        let verified = |faults: &[&str]| Verified {
            records: 12_345,
            samples: 400_000,
            alerts: 3,
            recomputed: 2,
            faults: faults.iter().map(|fault| (*fault).to_owned()).collect(),
            damaged: !faults.is_empty(),
        };
        let sound = |_: &Request| vec![Row::Verified(verified(&[]))];
        check(
            Format::Table,
            |view| verify(&mut lend(&mut Fake::new(&sound)), view),
            "12,345 records, 400,000 samples, 3 alerts (2 of them computed again)\nno faults\n",
        );
        let faulty = |_: &Request| vec![Row::Verified(verified(&["17: checksum differs"]))];
        let (outcome, text) = printed(Format::Json, |view| verify(&mut lend(&mut Fake::new(&faulty)), view));
        assert_eq!(outcome, Ok(Outcome::Faulty));
        assert_eq!(
            text,
            "{\"records\":12345,\"samples\":400000,\"alerts\":3,\"recomputed\":2,\"faults\":[\"17: checksum differs\"]}\n"
        );
        let (_, text) = printed(Format::Table, |view| verify(&mut lend(&mut Fake::new(&faulty)), view));
        assert!(text.ends_with("1 fault\n  17: checksum differs\n"), "{text}");
    }

    #[test]
    fn a_log_that_cannot_be_opened_for_damage_is_a_fault_and_any_other_error_is_one() {
        let damaged = || systembot_storage::Error::Damaged { what: "a page".into() };
        let (outcome, text) = printed(Format::Json, |view| verify(&mut || Err(damaged().into()), view));
        assert_eq!(outcome, Ok(Outcome::Faulty));
        assert!(text.contains("\"faults\":[\"the log is damaged: a page\"]"), "{text}");
        let (outcome, _) = printed(Format::Json, |view| verify(&mut || Err(anyhow::anyhow!("no log")), view));
        assert_eq!(outcome, Err("no log".to_owned()));
    }
}
