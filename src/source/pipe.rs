//! Bytes of a pipe, a FIFO or a file, in waits that a stop can end.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};

use super::stop::{SLICE, Stop};
use crate::error::{Error, Result};

/// Reads what has arrived, and waits for more; a requested stop reads as the end.
///
/// A pipe that stays silent for the stall time is an error of kind [`io::ErrorKind::TimedOut`].
#[derive(Debug)]
pub struct Pipe {
    file: File,
    stop: Stop,
    stall: Option<Duration>,
}

impl Pipe {
    /// Wraps an open file; `stall` is the longest silence, `None` for any.
    pub fn new(file: impl Into<OwnedFd>, stop: &Stop, stall: Option<Duration>) -> Self {
        Self { file: file.into().into(), stop: stop.clone(), stall }
    }

    /// Opens a file or a FIFO; a FIFO that nobody writes to yet is waited for when it is read.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn open(path: &Path, stop: &Stop, stall: Option<Duration>) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = open(path, flags, Mode::empty());
        let file = file.map_err(|cause| Error::Read { path: path.into(), cause: cause.into() })?;
        Ok(Self::new(file, stop, stall))
    }

    /// Standard input.
    ///
    /// # Errors
    /// [`Error::Read`] if it is closed.
    pub fn stdin(stop: &Stop, stall: Option<Duration>) -> Result<Self> {
        let file = io::stdin().as_fd().try_clone_to_owned();
        let file = file.map_err(|cause| Error::Read { path: "standard input".into(), cause })?;
        Ok(Self::new(file, stop, stall))
    }

    /// The same pipe, to be ended by another flag.
    pub(crate) fn with_stop(self, stop: &Stop) -> Self {
        Self { stop: stop.clone(), ..self }
    }

    /// Length of a regular file from here to its end; `None` for what has no length.
    pub fn regular_len(&self) -> Option<u64> {
        let metadata = self.file.metadata().ok().filter(|metadata| metadata.is_file())?;
        let position = rustix::fs::tell(&self.file).ok()?;
        Some(metadata.len().saturating_sub(position))
    }

    /// Waits until there is something to read; `false` if a stop came first.
    fn wait(&self) -> io::Result<bool> {
        let mut waited = Duration::ZERO;
        while !self.stop.is_requested() {
            let left = self.stall.map_or(SLICE, |stall| stall.saturating_sub(waited));
            if left.is_zero() {
                let silence = format!("nothing came for {waited:.1?}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, silence));
            }
            let slice = left.min(SLICE);
            if is_readable(&self.file, slice)? {
                return Ok(true);
            }
            waited += slice;
        }
        Ok(false)
    }
}

impl Read for Pipe {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.wait()? {
            match self.file.read(bytes) {
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                read => return read,
            }
        }
        Ok(0)
    }
}

/// Whether reading would give something, if only the end or an error; waits at most `timeout`.
pub(crate) fn is_readable(file: &impl AsFd, timeout: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
    let mut files = [PollFd::new(file, PollFlags::IN)];
    match poll(&mut files, Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Reads until `bytes` is full or the stream ends; gives how many came.
pub(crate) fn fill(reader: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match reader.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::thread;

    use super::*;

    #[test]
    fn bytes_come_as_they_were_written_and_then_the_end() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut pipe = Pipe::new(reader, &Stop::default(), None);
        assert_eq!(pipe.regular_len(), None);
        writer.write_all(b"one two").unwrap();
        drop(writer);
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one two");
    }

    #[test]
    fn a_stop_ends_a_read_that_waits() {
        let (reader, writer) = io::pipe().unwrap();
        let stop = Stop::default();
        let mut pipe = Pipe::new(reader, &stop, None);
        let reading = thread::spawn(move || pipe.read(&mut [0; 8]).unwrap());
        stop.request();
        assert_eq!(reading.join().unwrap(), 0);
        drop(writer);
    }

    #[test]
    fn silence_is_an_error_after_the_stall_time() {
        let (reader, _writer) = io::pipe().unwrap();
        let mut pipe = Pipe::new(reader, &Stop::default(), Some(Duration::from_millis(5)));
        let error = pipe.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_fifo_is_waited_for_and_a_file_knows_its_length() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, Mode::from(0o600), 0).unwrap();
        let mut pipe = Pipe::open(&fifo, &Stop::default(), None).unwrap();
        let writing = thread::spawn(move || std::fs::write(fifo, b"late").unwrap());
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        writing.join().unwrap();
        assert_eq!(bytes, b"late");
        let path = folder.path().join("file");
        std::fs::write(&path, b"12345").unwrap();
        let mut pipe = Pipe::open(&path, &Stop::default(), None).unwrap();
        assert_eq!(pipe.regular_len(), Some(5));
        assert_eq!(fill(&mut pipe, &mut [0; 2]).unwrap(), 2);
        assert_eq!(pipe.regular_len(), Some(3));
    }
}
