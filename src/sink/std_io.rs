//! Standard output as a sink.

use std::io::{self, LineWriter, Stdout, Write};
use std::os::fd::AsFd;
use std::time::Instant;

use embedded_io_adapters::std::FromStd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::fan_out::{Sinks, WhenFull};
use super::lane::Output;
use super::wire::Framing;
use crate::error::Result;

/// Standard output, a line at a time.
pub fn stdout() -> FromStd<LineWriter<Stdout>> {
    FromStd::new(LineWriter::new(std::io::stdout()))
}

impl Sinks {
    /// Adds standard output, flushed after each report, as `standard output`.
    ///
    /// # Errors
    /// Those of [`add`](Self::add).
    pub fn add_stdout(&mut self, framing: Framing, when_full: WhenFull) -> Result<()> {
        self.add_output("standard output", Pipe(io::stdout()), framing, when_full)
    }
}

/// An end of a pipe, or what may be one.
struct Pipe<W>(W);

impl<W: Write + AsFd + Send> Output for Pipe<W> {
    fn write_frame(&mut self, frame: &[u8], _: &dyn Fn() -> bool) -> io::Result<()> {
        self.0.write_all(frame)?;
        self.0.flush()
    }

    fn reopen(&mut self) -> Option<io::Result<()>> {
        None
    }

    /// A pipe without a reader is in error, a file never.
    fn is_abandoned(&self) -> bool {
        let mut pipe = [PollFd::new(&self.0, PollFlags::empty())];
        matches!(poll(&mut pipe, Some(&Timespec::default())), Ok(1..)) && pipe[0].revents().contains(PollFlags::ERR)
    }

    fn finish(&mut self, _: Instant) {}
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread::yield_now;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_reader_who_goes_away_is_told_without_a_report() {
        let (reader, writer) = io::pipe().unwrap();
        let mut sinks = Sinks::new("");
        let patient = WhenFull::WaitUnless(Arc::default());
        sinks.add_output("a pipe", Pipe(writer), Framing::Line, patient).unwrap();
        sinks.check().unwrap();
        drop(reader);
        let start = Instant::now();
        let error = loop {
            match sinks.check() {
                Ok(()) if start.elapsed() > Duration::from_secs(60) => panic!("nothing was told"),
                Ok(()) => yield_now(),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
