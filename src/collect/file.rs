//! A file of the kernel's that is read again and again.

use std::{
    borrow::Cow,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use systembot_model::sample::Note;

/// Most that is read of one file: command lines end at 6 MiB (three quarters of the kernel's stack limit), and no
/// other file comes near.
const FILE_BYTES: usize = 8 << 20;
/// Room to begin with: what the kernel fills at once for most files, a page.
const ROOM: usize = 4096;

/// A file that stays open between passes; its buffer is reused.
pub(super) struct Source {
    path: PathBuf,
    file: Option<File>,
    buffer: Buffer,
}

impl Source {
    /// A file that is opened when it is first read.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None, buffer: Buffer::default() }
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the whole file anew. After an error it is opened anew: a device may have come back under its name.
    pub(super) fn read(&mut self) -> io::Result<&[u8]> {
        let file = match self.file.take() {
            Some(file) => file,
            None => File::open(&self.path)?,
        };
        self.buffer.fill(&file)?;
        self.file = Some(file);
        Ok(self.buffer.content())
    }

    /// Whether the file may differ from what was read last: for the kernel's table of mounts, which is dear to read and
    /// tells of changes through poll(2). A plain file, as tests have, is always ready to be written and counts as
    /// changed.
    pub(super) fn is_changed(&self) -> bool {
        let Some(file) = &self.file else { return true };
        let mut asked = [PollFd::new(file, PollFlags::PRI | PollFlags::OUT)];
        poll(&mut asked, Some(&Timespec::default())).map_or(true, |changed| changed > 0)
    }

    /// Reads it as text; what is no UTF-8 is replaced.
    pub(super) fn text(&mut self) -> io::Result<Cow<'_, str>> {
        self.read().map(String::from_utf8_lossy)
    }

    /// Reads it as text, and tells the owner if that is not possible.
    pub(super) fn text_or_note(&mut self, notes: &mut Vec<Note>) -> Option<Cow<'_, str>> {
        // Two steps, for the borrow of the error's case to end before the path is named.
        if let Err(error) = self.read() {
            notes.push(unreadable(&self.path, &error));
            return None;
        }
        Some(String::from_utf8_lossy(self.buffer.content()))
    }
}

/// Bytes of a file, in room that is kept.
#[derive(Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    length: usize,
}

impl Buffer {
    /// Reads a file from its start to its end, or to [`FILE_BYTES`].
    ///
    /// Files of proc(5) may give less than they are asked for before they end: only nothing at all is the end.
    pub(crate) fn fill(&mut self, file: &File) -> io::Result<()> {
        self.length = 0;
        while self.length < FILE_BYTES {
            if self.length == self.bytes.len() {
                self.bytes.resize(self.length.saturating_mul(2).clamp(ROOM, FILE_BYTES), 0);
            }
            let room = self.bytes.get_mut(self.length..).unwrap_or_default();
            match file.read_at(room, u64::try_from(self.length).unwrap_or(u64::MAX)) {
                Ok(0) => break,
                Ok(read) => self.length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What was read last.
    pub(crate) fn content(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The note that a file cannot be read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Note {
    Note {
        subject: format!("file {}", path.display()),
        text: format!("cannot be read ({error}); its series are left out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_anew_whole_and_only_to_its_present_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut source = Source::new(path.clone());
        assert!(source.read().is_err());
        for length in [0, 1, ROOM - 1, ROOM, ROOM + 1, 3 * ROOM, 5] {
            let content = vec![b'x'; length];
            std::fs::write(&path, &content).unwrap();
            assert_eq!(source.read().unwrap(), content, "{length}");
        }
    }
}
