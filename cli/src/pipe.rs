//! An output that remembers that its reader has gone, or that it failed.

use std::io::{self, Write};

/// Bytes that are written at once; the answer to a month of one series has some hundred of these.
pub(crate) const OUTPUT_BYTES: usize = 64 * 1024;

/// Tells a reader that has gone, which is the end of a command in good order, from any other broken connection.
pub(crate) struct Pipe<'a> {
    inner: &'a mut dyn Write,
    end: Option<End>,
}

/// Why nothing more can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nobody reads any more.
    ReaderGone,
    /// The disk is full, or the like.
    Failed,
}

impl<'a> Pipe<'a> {
    pub(crate) fn new(inner: &'a mut dyn Write) -> Self {
        Self { inner, end: None }
    }

    /// Why nothing more could be written, if so.
    pub(crate) const fn end(&self) -> Option<End> {
        self.end
    }

    fn watch<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Interrupted
        {
            let is_gone = error.kind() == io::ErrorKind::BrokenPipe;
            self.end.get_or_insert(if is_gone { End::ReaderGone } else { End::Failed });
        }
        result
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.inner.write(bytes);
        self.watch(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.inner.flush();
        self.watch(result)
    }
}
