//! `restore`: a log from one file, in a data directory that has none.

use std::{
    io::{self, BufReader, Read},
    path::Path,
};

use anyhow::{Result, anyhow};
use systembot_storage::archive::{self, ArchiveError, Faults};

use super::{Outcome, View};
use crate::{
    args::Format,
    output::{Csv, Fields, Progress, human, json},
};

/// What to restore.
pub struct Input<'a> {
    /// What the file is called in errors.
    pub name: &'a str,
    /// The file.
    pub file: &'a mut dyn Read,
    /// Its size, where that is known.
    pub bytes: Option<u64>,
    /// What is done with a log that has faults.
    pub faults: Faults,
}

/// Makes the log, checks it, and moves it into its place.
///
/// # Errors
/// Why the archive is refused; then nothing was changed.
pub fn restore(
    input: Input<'_>,
    data_dir: &Path,
    mut progress: Progress<'_>,
    view: &mut View<'_>,
) -> Result<Outcome> {
    let mut shown: io::Result<()> = Ok(());
    let restored = archive::restore(&mut BufReader::new(input.file), data_dir, input.faults, &mut |bytes| {
        shown = progress.show(bytes, input.bytes)
    });
    progress.end()?;
    shown?;
    let found = restored.map_err(|error| told(input.name, error))?;
    let place = data_dir.join("log");
    let fields: Fields = vec![
        ("log", place.display().to_string().into()),
        ("records", found.records.into()),
        ("samples", found.samples.into()),
        ("alerts", found.alerts.into()),
        ("faults", found.faults.clone().into()),
    ];
    match view.format {
        Format::Table => {
            let (records, samples) =
                (human::counted(found.records, "record"), human::counted(found.samples, "sample"));
            let faults = human::counted(u64::try_from(found.faults.len())?, "fault");
            writeln!(view.out, "{}: {records}, {samples}, {faults}", place.display())?;
        }
        Format::Json => json::write_line(view.out, &fields)?,
        Format::Csv => Csv::default().write(view.out, &fields)?,
    }
    Ok(Outcome::Done)
}

/// Errors of the archive begin with its name; those of the place name that.
fn told(name: &str, error: ArchiveError) -> anyhow::Error {
    match error {
        ArchiveError::Foreign
        | ArchiveError::Newer
        | ArchiveError::CutOff { .. }
        | ArchiveError::Damaged { .. }
        | ArchiveError::Faulty { .. }
        | ArchiveError::Unread(_) => anyhow!("{name} {error}"),
        ArchiveError::Taken { .. }
        | ArchiveError::Busy { .. }
        | ArchiveError::Io { .. }
        | ArchiveError::Log(_) => error.into(),
    }
}
