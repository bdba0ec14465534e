//! Several sinks at once, none of which waits for another.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use embedded_io::Write;

use super::framer::Framer;
use super::io_error;
use super::lane::{Lane, Output, SinkCounts};
use super::wire::Framing;
use crate::caption::Report;
use crate::error::{Error, Result};
use crate::limits::MAX_SINKS;

/// What happens to a report when a sink's queue is full.
#[derive(Debug, Clone)]
pub enum WhenFull {
    /// The oldest in the queue is dropped and counted: for a live camera.
    DropOldest,
    /// [`Sinks::send`] waits for the sink, until the flag is set: for a source that can wait, such as a file.
    WaitUnless(Arc<AtomicBool>),
}

/// Sinks that all get every report, each through a queue of [`MAX_QUEUED_REPORTS`](crate::limits::MAX_QUEUED_REPORTS) and a
/// thread of its own. After the sinks are added, nothing is allocated.
pub struct Sinks {
    source: Box<str>,
    lanes: heapless::Vec<(Lane, WhenFull), MAX_SINKS>,
}

/// Counts the reports of [`Sinks`], from any thread.
#[derive(Clone)]
pub struct SinkMonitor(heapless::Vec<Lane, MAX_SINKS>);

impl Sinks {
    /// No sinks yet. `source` is what JSON lines name as theirs.
    pub fn new(source: &str) -> Self {
        Self { source: source.into(), lanes: heapless::Vec::new() }
    }

    /// Adds any sink. When it fails, it fails for good: see [`send`](Self::send).
    ///
    /// # Errors
    /// More than [`MAX_SINKS`], or the system starts no thread.
    pub fn add<W: Write + Send + 'static>(
        &mut self,
        name: &str,
        sink: W,
        framing: Framing,
        when_full: WhenFull,
    ) -> Result<()> {
        self.add_output(name, Plain(sink), framing, when_full)
    }

    pub(super) fn add_output(
        &mut self,
        name: &str,
        output: impl Output + 'static,
        framing: Framing,
        when_full: WhenFull,
    ) -> Result<()> {
        if self.lanes.is_full() {
            let (value, max) = (MAX_SINKS + 1, MAX_SINKS);
            return Err(Error::OutOfRange { option: "the number of sinks", value, min: 0, max });
        }
        let lane = Lane::start(name, output, Framer::new(framing, &self.source))
            .map_err(|cause| Error::Sink { name: name.into(), cause })?;
        // There is room: it was checked above.
        let _ = self.lanes.push((lane, when_full));
        Ok(())
    }

    /// Gives the report to every sink. Waits only where [`WhenFull::WaitUnless`] says so; allocates nothing.
    ///
    /// # Errors
    /// A sink that is gone for good, told by this or a later call, once: of kind [`io::ErrorKind::BrokenPipe`] if its reader went
    /// away. The other sinks go on. A serial line is never gone for good.
    pub fn send(&mut self, report: &Report) -> io::Result<()> {
        for (lane, when_full) in &self.lanes {
            match when_full {
                WhenFull::DropOldest => lane.push(report),
                WhenFull::WaitUnless(stop) => lane.push_with_patience(report, &|| stop.load(Ordering::Relaxed)),
            }
        }
        self.check()
    }

    /// What became of the sinks since the last report; costs next to nothing.
    ///
    /// # Errors
    /// Those of [`send`](Self::send). The reader of standard output who goes away is told within a second, without a report.
    pub fn check(&mut self) -> io::Result<()> {
        match self.lanes.iter().find_map(|(lane, _)| lane.take_failure()) {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    /// Counters of the sinks that were added so far.
    pub fn monitor(&self) -> SinkMonitor {
        SinkMonitor(self.lanes.iter().map(|(lane, _)| lane.clone()).collect())
    }

    /// Writes what is queued, for at most `patience`, and closes the sinks. A sink that is stuck in the system beyond that is
    /// left to the end of the process.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn finish(mut self, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        self.lanes.iter().for_each(|(lane, _)| lane.close(deadline));
        self.lanes.iter().for_each(|(lane, _)| lane.wait_for_end(deadline + GRACE));
        self.check()
    }
}

/// A lane looks at its deadline this often at least, with room for a busy machine.
const GRACE: Duration = Duration::from_secs(1);

impl Drop for Sinks {
    fn drop(&mut self) {
        self.lanes.iter().for_each(|(lane, _)| lane.close(Instant::now()));
    }
}

impl SinkMonitor {
    /// What became of the reports, sink by sink, in the order in which they were added.
    pub fn counts(&self) -> impl Iterator<Item = SinkCounts<'_>> {
        self.0.iter().map(Lane::counts)
    }

    /// Reports dropped by all sinks together.
    pub fn dropped(&self) -> u64 {
        self.counts().map(|counts| counts.dropped).sum()
    }
}

/// A sink that waits as long as it likes and does not come back.
struct Plain<W>(W);

impl<W: Write + Send> Output for Plain<W> {
    fn write_frame(&mut self, frame: &[u8], _: &dyn Fn() -> bool) -> io::Result<()> {
        self.0.write_all(frame).map_err(io_error)?;
        self.0.flush().map_err(io_error)
    }

    fn reopen(&mut self) -> Option<io::Result<()>> {
        None
    }

    fn is_abandoned(&self) -> bool {
        false
    }

    fn finish(&mut self, _: Instant) {}
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Mutex, PoisonError};
    use std::time::SystemTime;

    use super::*;
    use crate::caption::Caption;

    const LONG: Duration = Duration::from_secs(60);

    fn report(sequence: u32) -> Report {
        let text = sequence.to_string().as_str().try_into().unwrap();
        let caption = Caption { text, ..Caption::default() };
        Report { sequence, time: SystemTime::UNIX_EPOCH, caption, is_unsure: false }
    }

    /// Keeps what is written where the test can see it.
    #[derive(Clone, Default)]
    struct Shelf(Arc<Mutex<Vec<u8>>>);

    impl Shelf {
        fn lines(&self) -> Vec<u32> {
            let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let lines = str::from_utf8(&bytes).unwrap().lines().filter(|line| !line.is_empty());
            lines.map(|line| line.parse().unwrap()).collect()
        }
    }

    impl embedded_io::ErrorType for Shelf {
        type Error = Infallible;
    }

    impl Write for Shelf {
        fn write(&mut self, bytes: &[u8]) -> std::result::Result<usize, Infallible> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::result::Result<(), Infallible> {
            Ok(())
        }
    }

    /// Tells when a write begins and ends it when told to.
    struct Gate {
        shelf: Shelf,
        began: Sender<()>,
        go_on: Receiver<()>,
    }

    impl embedded_io::ErrorType for Gate {
        type Error = Infallible;
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> std::result::Result<usize, Infallible> {
            // Whoever holds the other ends may be gone when the test is over.
            let _ = self.began.send(());
            let _ = self.go_on.recv();
            self.shelf.write(bytes)
        }

        fn flush(&mut self) -> std::result::Result<(), Infallible> {
            Ok(())
        }
    }

    fn patient() -> WhenFull {
        WhenFull::WaitUnless(Arc::default())
    }

    #[test]
    fn every_sink_gets_every_report_in_order() {
        let shelves = [Shelf::default(), Shelf::default()];
        let mut sinks = Sinks::new("");
        for (name, shelf) in ["a", "b"].into_iter().zip(&shelves) {
            sinks.add(name, shelf.clone(), Framing::Line, patient()).unwrap();
        }
        (0..100).for_each(|sequence| sinks.send(&report(sequence)).unwrap());
        let monitor = sinks.monitor();
        sinks.finish(LONG).unwrap();
        for (shelf, counts) in shelves.iter().zip(monitor.counts()) {
            assert_eq!(shelf.lines(), (0..100).collect::<Vec<_>>());
            assert_eq!((counts.sent, counts.dropped, counts.is_connected), (100, 0, false));
        }
    }

    #[test]
    fn a_stuck_sink_loses_the_oldest_and_holds_up_no_other() {
        let (stuck, free) = (Shelf::default(), Shelf::default());
        let (began, has_begun) = channel();
        let (open, go_on) = channel();
        let mut sinks = Sinks::new("");
        let gate = Gate { shelf: stuck.clone(), began, go_on };
        sinks.add("stuck", gate, Framing::Line, WhenFull::DropOldest).unwrap();
        sinks.add("free", free.clone(), Framing::Line, patient()).unwrap();
        sinks.send(&report(0)).unwrap();
        has_begun.recv().unwrap();
        (1..20).for_each(|sequence| sinks.send(&report(sequence)).unwrap());
        let monitor = sinks.monitor();
        assert_eq!(monitor.dropped(), 11);
        drop(open);
        sinks.finish(LONG).unwrap();
        assert_eq!(free.lines(), (0..20).collect::<Vec<_>>());
        assert_eq!(stuck.lines(), [0, 12, 13, 14, 15, 16, 17, 18, 19]);
        assert_eq!(
            monitor.counts().map(|counts| (counts.sent, counts.dropped)).collect::<Vec<_>>(),
            [(9, 11), (20, 0)]
        );
    }

    #[test]
    fn the_end_does_not_wait_for_a_stuck_sink() {
        let (began, has_begun) = channel();
        let (open, go_on) = channel();
        let mut sinks = Sinks::new("");
        let gate = Gate { shelf: Shelf::default(), began, go_on };
        sinks.add("stuck", gate, Framing::Line, WhenFull::DropOldest).unwrap();
        sinks.send(&report(0)).unwrap();
        has_begun.recv().unwrap();
        sinks.finish(Duration::ZERO).unwrap();
        drop(open);
    }

    #[test]
    fn a_patient_sink_gives_up_when_it_is_told_to_stop() {
        let stop = Arc::new(AtomicBool::new(true));
        let (began, has_begun) = channel();
        let (_open, go_on) = channel();
        let mut sinks = Sinks::new("");
        let gate = Gate { shelf: Shelf::default(), began, go_on };
        sinks.add("stuck", gate, Framing::Line, WhenFull::WaitUnless(stop)).unwrap();
        sinks.send(&report(0)).unwrap();
        has_begun.recv().unwrap();
        (1..20).for_each(|sequence| sinks.send(&report(sequence)).unwrap());
        assert_eq!(sinks.monitor().dropped(), 11);
    }

    #[test]
    fn a_reader_who_goes_away_is_told_once_and_the_others_go_on() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let shelf = Shelf::default();
        let mut sinks = Sinks::new("");
        sinks.add("a pipe", embedded_io_adapters::std::FromStd::new(writer), Framing::Line, patient()).unwrap();
        sinks.add("shelf", shelf.clone(), Framing::Line, patient()).unwrap();
        let told = (0..1000).filter_map(|sequence| sinks.send(&report(sequence)).err()).collect::<Vec<_>>();
        assert_eq!(told.iter().map(io::Error::kind).collect::<Vec<_>>(), [io::ErrorKind::BrokenPipe]);
        sinks.finish(LONG).unwrap();
        assert_eq!(shelf.lines().len(), 1000);
    }

    /// Fails a number of times to write, then to reopen.
    struct Flaky {
        shelf: Shelf,
        failures: u32,
    }

    impl Output for Flaky {
        fn write_frame(&mut self, frame: &[u8], _: &dyn Fn() -> bool) -> io::Result<()> {
            if self.failures > 0 {
                return Err(io::Error::other("unplugged"));
            }
            self.shelf.write_all(frame).map_err(io_error)
        }

        fn reopen(&mut self) -> Option<io::Result<()>> {
            self.failures = self.failures.saturating_sub(1);
            Some(if self.failures > 0 { Err(io::Error::other("not there")) } else { Ok(()) })
        }

        fn is_abandoned(&self) -> bool {
            false
        }

        fn finish(&mut self, _: Instant) {}
    }

    #[test]
    fn what_was_not_sent_is_sent_when_the_sink_is_back() {
        let shelf = Shelf::default();
        let mut sinks = Sinks::new("");
        sinks.add_output("flaky", Flaky { shelf: shelf.clone(), failures: 3 }, Framing::Line, patient()).unwrap();
        (0..20).for_each(|sequence| sinks.send(&report(sequence)).unwrap());
        let monitor = sinks.monitor();
        sinks.finish(LONG).unwrap();
        let lines = shelf.lines();
        assert!(lines.is_sorted() && lines.ends_with(&[19]), "{lines:?}");
        let counts = monitor.counts().next().unwrap();
        assert_eq!((counts.sent + counts.dropped, counts.reconnects), (20, 1));
    }

    #[test]
    fn more_sinks_than_the_limit_are_refused() {
        let mut sinks = Sinks::new("");
        for _ in 0..MAX_SINKS {
            sinks.add("shelf", Shelf::default(), Framing::Line, patient()).unwrap();
        }
        assert!(matches!(
            sinks.add("shelf", Shelf::default(), Framing::Line, patient()),
            Err(Error::OutOfRange { .. })
        ));
    }
}
