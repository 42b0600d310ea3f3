//! An output that remembers that its reader has gone.

use std::io::{self, Write};

/// Bytes that are written at once; the answer to a month of one series has some hundred of these.
pub(crate) const OUTPUT_BYTES: usize = 64 * 1024;

/// Tells a reader that has gone, which is the end of a command in good order, from any other broken connection.
pub(crate) struct Pipe<'a> {
    inner: &'a mut dyn Write,
    is_broken: bool,
}

impl<'a> Pipe<'a> {
    pub(crate) fn new(inner: &'a mut dyn Write) -> Self {
        Self { inner, is_broken: false }
    }

    /// Whether the reader has gone.
    pub(crate) const fn is_broken(&self) -> bool {
        self.is_broken
    }

    fn watch<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        self.is_broken |= result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
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
