//! `verify`: every record read and checked.

use anyhow::Result;
use systembot_storage::query::{Request, Row, Verified};

use super::{Outcome, View};
use crate::{
    args::Format,
    output::{Cell, Csv, Fields, human, json},
    source::{Source, one, unexpected},
};

/// Checks the whole log; faults are an exit of 1.
///
/// # Errors
/// Those of the source and of the output.
pub fn verify(source: &mut dyn Source, view: &mut View<'_>) -> Result<Outcome> {
    let Some(Row::Verified(found)) = one(source, &Request::Verify)? else { return Err(unexpected()) };
    match view.format {
        Format::Table => tell(&found, view)?,
        Format::Json => json::write_line(view.out, &fields(&found))?,
        Format::Csv => Csv::default().write(view.out, &fields(&found))?,
    }
    Ok(if found.faults.is_empty() { Outcome::Done } else { Outcome::Faulty })
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
    use crate::commands::fake::{Fake, check, printed};

    #[test]
    fn a_sound_log_and_a_faulty_one() {
        let verified = |faults: &[&str]| Verified {
            records: 12_345,
            samples: 400_000,
            alerts: 3,
            recomputed: 2,
            faults: faults.iter().map(|fault| (*fault).to_owned()).collect(),
        };
        let sound = |_: &Request| vec![Row::Verified(verified(&[]))];
        check(
            Format::Table,
            |view| verify(&mut Fake::new(&sound), view),
            "12,345 records, 400,000 samples, 3 alerts (2 of them computed again)\nno faults\n",
        );
        let faulty = |_: &Request| vec![Row::Verified(verified(&["17: checksum differs"]))];
        let (outcome, text) = printed(Format::Json, |view| verify(&mut Fake::new(&faulty), view));
        assert_eq!(outcome, Ok(Outcome::Faulty));
        assert_eq!(
            text,
            "{\"records\":12345,\"samples\":400000,\"alerts\":3,\"recomputed\":2,\"faults\":[\"17: checksum differs\"]}\n"
        );
        let (_, text) = printed(Format::Table, |view| verify(&mut Fake::new(&faulty), view));
        assert!(text.ends_with("1 fault\n  17: checksum differs\n"), "{text}");
    }
}
