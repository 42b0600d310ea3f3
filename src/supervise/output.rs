//! What started programs print: a file each, kept short by cutting its beginning off.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use systembot_model::limits;

/// Size above which a file is cut.
const MOST: u64 = 64 << 10;
/// What is kept of it then, its end.
const KEPT: u64 = 32 << 10;
/// Longest name of a file made from a service's name, in bytes.
const NAME_BYTES: usize = 100;

/// How the name of a file ends.
const ENDING: &str = "out";
/// How the line begins that parts what one start printed from what the one before did.
const HEADLINE: &str = "--- ";
/// Bytes at the end of a file in which its last line is sought.
const LAST_LINE_BYTES: u64 = 1024;
/// Longest last line that is told, in bytes.
const LINE_BYTES: usize = 200;

/// Where a data directory has the output files.
pub(crate) fn dir_of(data_dir: &Path) -> PathBuf {
    data_dir.join("services")
}

/// The newest line that a service printed, if it ever printed one.
pub(crate) fn last_line(dir: &Path, service: &str) -> Option<String> {
    let file = File::open(dir.join(file_name(service))).ok()?;
    let bytes = read_end(&file, file.metadata().ok()?.len(), LAST_LINE_BYTES).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rfind(|line| !line.trim().is_empty())?;
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    (!line.starts_with(HEADLINE)).then(|| limits::cut(line.trim(), LINE_BYTES).to_owned())
}

/// The output files of all services.
///
/// A program gets the file itself and no pipe: a pipe's reader ends with the daemon, and the next line printed would
/// kill the program.
pub(crate) struct Outputs {
    dir: PathBuf,
    paths: Vec<PathBuf>,
    is_growing: bool,
}

impl Outputs {
    /// All that are there: what was started under a name that the settings have no more may still print.
    pub(super) fn new(data_dir: &Path) -> Self {
        let dir = dir_of(data_dir);
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let paths = entries.filter(|path| path.extension().is_some_and(|end| end == ENDING)).collect();
        Self { dir, paths, is_growing: false }
    }

    /// Whether there is none to look after.
    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Whether one had to be cut just now.
    pub(super) fn is_growing(&self) -> bool {
        self.is_growing
    }

    /// Opens a service's file for what a start is about to print, behind a line that says which start it is.
    pub(super) fn open(&mut self, service: &str, start: &str) -> io::Result<Output> {
        let headline = format!("{HEADLINE}{start}");
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let path = self.dir.join(file_name(service));
        let mut file = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(&path)?;
        writeln!(file, "{headline}")?;
        if !self.paths.contains(&path) {
            self.paths.push(path);
        }
        Ok(Output { file, headline })
    }

    /// Cuts every file that has grown too long.
    pub(super) fn trim(&mut self) {
        self.is_growing = false;
        for path in &self.paths {
            // One that cannot be cut, or was removed, harms nobody but the disk; the next look tries again.
            self.is_growing |= trim(path).unwrap_or(false);
        }
    }
}

/// The file that one start prints to.
pub(super) struct Output {
    file: File,
    headline: String,
}

impl Output {
    /// The file for a program to write to.
    pub(super) fn to_write(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Makes it a user's own; root goes on reading and cutting it.
    pub(super) fn give_to(&self, user: u32, group: u32) -> io::Result<()> {
        fchown(&self.file, Some(user), Some(group))
    }

    /// The end of what this start printed, without control characters that are no line ends.
    pub(super) fn end(&self) -> String {
        let length = self.file.metadata().map_or(0, |file| file.len());
        // Twice as much, for the headline to be found before as much as is kept.
        let most = u64::try_from(limits::OUTPUT_BYTES).unwrap_or(u64::MAX).saturating_mul(2);
        let bytes = read_end(&self.file, length, most).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let own = text.rsplit_once(&self.headline).map_or(&*text, |(_, own)| own);
        let own: String = own.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        limits::cut_front(own.trim_start_matches('\n'), limits::OUTPUT_BYTES).to_owned()
    }
}

/// A name for a file that no other service has: letters, digits and a few signs stay, the rest is written in hex.
fn file_name(service: &str) -> String {
    let mut name = String::new();
    for byte in service.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_@".contains(&byte) || byte == b'.' && !name.is_empty() {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    if name.len() > NAME_BYTES {
        let sum = service.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        name = format!("{}%{sum:016x}", limits::cut(&name, NAME_BYTES));
    }
    name + "." + ENDING
}

/// Cuts the beginning off a file that is too long; whether it was.
///
/// Whoever writes appends, so what is written between the reading and the cutting is lost, and nothing else.
fn trim(path: &Path) -> io::Result<bool> {
    let length = path.symlink_metadata()?.len();
    if length <= MOST {
        return Ok(false);
    }
    let file = OpenOptions::new().read(true).append(true).open(path)?;
    let end = read_end(&file, length, KEPT)?;
    // From the begin of a line on, where there is one.
    let begin = end.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    file.set_len(0)?;
    (&file).write_all(end.get(begin..).unwrap_or_default())?;
    Ok(true)
}

fn read_end(file: &File, length: u64, most: u64) -> io::Result<Vec<u8>> {
    let kept = length.min(most);
    let mut bytes = vec![0; usize::try_from(kept).unwrap_or(0)];
    let mut filled = 0;
    while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
        let at = length - kept + u64::try_from(filled).unwrap_or(0);
        match file.read_at(room, at)? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut outputs = Outputs::new(dir.path());
        let output = outputs.open("web", "start 1").unwrap();
        let mut program = output.to_write().unwrap();
        for line in 0..20_000 {
            writeln!(program, "line {line}").unwrap();
        }
        outputs.trim();
        assert!(outputs.is_growing());
        writeln!(program, "\u{1b}[31mlast words").unwrap();
        let text = fs::read_to_string(dir.path().join("services/web.out")).unwrap();
        assert!(text.len() <= 40 << 10 && text.len() > 30 << 10, "{}", text.len());
        assert!(text.starts_with("line "), "{:?}", text.get(..20));
        assert!(output.end().ends_with("line 19999\n[31mlast words\n"));
        assert_eq!(output.end().len(), limits::OUTPUT_BYTES);
        outputs.trim();
        assert!(!outputs.is_growing());
    }

    /// One that was renamed or is watched no more goes on printing, also after the daemon's end.
    #[test]
    fn a_file_is_kept_short_whoever_its_service_was() {
        let dir = tempfile::tempdir().unwrap();
        let output = Outputs::new(dir.path()).open("before", "start 1").unwrap();
        output.to_write().unwrap().write_all(&[b'\n'; 100_000]).unwrap();
        Outputs::new(dir.path()).trim();
        assert!(fs::metadata(dir.path().join("services/before.out")).unwrap().len() <= MOST);
    }

    #[test]
    fn a_start_tells_of_itself_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut outputs = Outputs::new(dir.path());
        for start in ["start 1", "start 2"] {
            let output = outputs.open("web", start).unwrap();
            assert_eq!(
                last_line(&dir_of(dir.path()), "web"),
                None,
                "a start that printed nothing has no last line"
            );
            writeln!(output.to_write().unwrap(), "this is {start}\n").unwrap();
            assert_eq!(output.end(), format!("this is {start}\n\n"));
            assert_eq!(last_line(&dir_of(dir.path()), "web"), Some(format!("this is {start}")));
        }
    }

    #[test]
    fn names_stay_in_their_directory_and_apart() {
        assert_eq!(file_name("web-1.x"), "web-1.x.out");
        assert_eq!(file_name("../a b"), "%2e.%2fa%20b.out");
        assert_ne!(file_name(&"a".repeat(300)), file_name(&"a".repeat(301)));
        assert!(file_name(&"/".repeat(253)).len() < 200);
    }
}
