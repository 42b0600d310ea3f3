//! `backup`: the whole log in one file, while the daemon writes it or not.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use systembot_storage::query::{Request, Row};

use super::{Outcome, View};
use crate::{
    args::Format,
    output::{Csv, Fields, Progress, human, json},
    source::{Source, each, unexpected},
};

/// Writes an archive to a file, which is replaced once all of it is on disk, or to the output for `-`.
///
/// # Errors
/// Those of the source and of the file; then the file is as it was.
pub fn backup(
    file: &Path,
    mut progress: Progress<'_>,
    source: &mut dyn Source,
    view: &mut View<'_>,
) -> Result<Outcome> {
    if file.as_os_str() == "-" {
        copy(view.out, &mut progress, source)?;
        view.out.flush()?;
        return Ok(Outcome::Done);
    }
    let mut part = Unfinished::create(file)?;
    let bytes = copy(&mut part, &mut progress, source)?;
    part.finish(file)?;
    let fields: Fields = vec![("file", file.display().to_string().into()), ("bytes", bytes.into())];
    match view.format {
        Format::Table => {
            let size = human::bytes(systembot_model::number::float(bytes));
            writeln!(view.out, "{}: {size}, the whole log", file.display())?;
        }
        Format::Json => json::write_line(view.out, &fields)?,
        Format::Csv => Csv::default().write(view.out, &fields)?,
    }
    Ok(Outcome::Done)
}

/// Copies the archive as it comes; gives its bytes.
fn copy(out: &mut dyn Write, progress: &mut Progress<'_>, source: &mut dyn Source) -> Result<u64> {
    let (mut done, mut is_whole) = (0, false);
    let copied = each(source, &Request::Backup, &mut |row| {
        let Row::Archived { bytes, of, is_last } = row else { return Err(unexpected()) };
        out.write_all(&bytes)?;
        done += u64::try_from(bytes.len())?;
        is_whole = is_last;
        // The end is not known before it comes; until then it is not told.
        let of = if is_last { done } else { of.max(done.saturating_add(1)) };
        Ok(progress.show(done, Some(of).filter(|_| of > 0))?)
    });
    progress.end()?;
    copied?;
    if !is_whole {
        bail!("the backup was cut off: try again");
    }
    Ok(done)
}

/// A file that is being written under another name; gone if it is not finished.
struct Unfinished {
    path: PathBuf,
    file: Option<File>,
}

impl Unfinished {
    /// In the directory of the file it is to become, for its owner alone.
    fn create(file: &Path) -> Result<Self> {
        let Some(name) = file.file_name().filter(|_| !file.is_dir()) else {
            bail!("{}: is a directory; name a file", file.display());
        };
        // A device or a pipe must not be replaced by a file.
        if file.metadata().is_ok_and(|found| !found.is_file()) {
            bail!("{}: is no file; `-` is standard output", file.display());
        }
        let mut name = name.to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let path = file.with_file_name(name);
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let opened = opened.map_err(|error| {
            let place = file.display();
            // Root has become the owner of the log by now, who may not write everywhere.
            let hint = "`systembot backup - > FILE` writes as who asks";
            let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
            if is_denied { anyhow!("{place}: {error}; {hint}") } else { anyhow!("{place}: {error}") }
        })?;
        Ok(Self { path, file: Some(opened) })
    }

    /// Sees it to the disk and gives it its name.
    fn finish(mut self, file: &Path) -> Result<()> {
        let name = || file.display().to_string();
        self.file.as_ref().map_or(Ok(()), File::sync_all).with_context(name)?;
        fs::rename(&self.path, file).with_context(name)?;
        self.file = None;
        let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(dir).and_then(|dir| dir.sync_all()).with_context(name)
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_mut().map_or(Ok(0), |file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // What cannot be removed is at least no backup by its name.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use systembot_model::Timestamp;

    use super::*;
    use crate::{
        commands::fake::{Fake, printed},
        output::Counted,
    };

    fn piece(bytes: &[u8], is_last: bool) -> Row {
        Row::Archived { bytes: bytes.to_vec(), of: 0, is_last }
    }

    fn run(
        file: &Path,
        rows: &dyn Fn(&Request) -> Vec<Row>,
        format: Format,
    ) -> (Result<Outcome, String>, String) {
        let now = || Timestamp::from_ms(0);
        printed(format, |view| {
            let progress = Progress::new(None, &now, "backing up", Counted::Bytes);
            backup(file, progress, &mut Fake::new(rows), view)
        })
    }

    #[test]
    fn a_file_is_replaced_when_the_backup_is_whole_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.backup");
        fs::write(&file, "the one before").unwrap();
        let names = || fs::read_dir(dir.path()).unwrap().count();
        let cut = |_: &Request| vec![piece(b"half", false)];
        let (outcome, _) = run(&file, &cut, Format::Table);
        assert_eq!(outcome, Err("the backup was cut off: try again".to_owned()));
        let failed = |_: &Request| vec![piece(b"half", false), Row::Failed("no".into())];
        assert_eq!(run(&file, &failed, Format::Table).0, Err("no".to_owned()));
        assert_eq!((fs::read(&file).unwrap(), names()), (b"the one before".to_vec(), 1));
        let whole = |_: &Request| vec![piece(b"one ", false), piece(b"two", true)];
        let (outcome, text) = run(&file, &whole, Format::Json);
        assert_eq!(outcome, Ok(Outcome::Done));
        assert_eq!(text, format!("{{\"file\":\"{}\",\"bytes\":7}}\n", file.display()));
        assert_eq!((fs::read(&file).unwrap(), names()), (b"one two".to_vec(), 1));
    }

    #[test]
    fn a_dash_is_the_output() {
        let whole = |_: &Request| vec![piece(b"one ", false), piece(b"two", true)];
        assert_eq!(run(Path::new("-"), &whole, Format::Table), (Ok(Outcome::Done), "one two".to_owned()));
    }
}
