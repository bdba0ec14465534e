//! The newest frame of a source that does not wait.

use std::mem::swap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::counters::Counters;
use super::raw_frame::{RawFrame, RawSource};
use super::stop::{SLICE, Stop};
use crate::error::{Error, Result};

/// Reads a live source in a thread of its own and keeps its newest frame, so that a slow reader sees the present.
///
/// Three frames take turns in memory: one being read, the newest, and the reader's. A frame that is overtaken before it was
/// asked for is counted as dropped.
#[derive(Debug)]
pub struct Latest {
    shared: Arc<Shared>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    slot: Mutex<Slot>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Slot {
    newest: RawFrame,
    is_fresh: bool,
    end: Option<Result<()>>,
}

impl Latest {
    /// Starts reading. `open` is given a stop flag of the thread's own, which is set with `stop` and when this is dropped.
    ///
    /// # Errors
    /// What `open` says; [`Error::SourceThread`].
    pub fn start<S: RawSource + 'static>(
        open: impl FnOnce(&Stop) -> Result<S>,
        stop: &Stop,
        counters: Counters,
    ) -> Result<Self> {
        let stop = stop.nested();
        let source = open(&stop)?;
        let shared = Arc::<Shared>::default();
        let drain = Drain { shared: Arc::clone(&shared), counters };
        let thread = thread::Builder::new().name("source".into()).spawn(move || drain.run(source));
        let thread = thread.map_err(|cause| Error::SourceThread { cause })?;
        Ok(Self { shared, stop, thread: Some(thread) })
    }
}

impl RawSource for Latest {
    fn next_raw(&mut self, frame: &mut RawFrame) -> Result<bool> {
        let mut slot = self.shared.lock();
        while !self.stop.is_requested() {
            if slot.is_fresh {
                slot.is_fresh = false;
                swap(&mut slot.newest, frame);
                return Ok(true);
            }
            if let Some(end) = &mut slot.end {
                return std::mem::replace(end, Ok(())).map(|()| false);
            }
            let waited = self.shared.changed.wait_timeout(slot, SLICE);
            slot = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(false)
    }
}

impl Drop for Latest {
    fn drop(&mut self) {
        self.stop.request();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("the thread that reads the source has failed");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The side of the thread.
struct Drain {
    shared: Arc<Shared>,
    counters: Counters,
}

impl Drain {
    fn run(self, mut source: impl RawSource) {
        let mut frame = RawFrame::default();
        loop {
            match source.next_raw(&mut frame) {
                Ok(true) => self.put(&mut frame),
                Ok(false) => return,
                Err(error) => return self.shared.lock().end = Some(Err(error)),
            }
        }
    }

    fn put(&self, frame: &mut RawFrame) {
        let mut slot = self.shared.lock();
        if slot.is_fresh {
            self.counters.drop_frames(1);
        }
        slot.is_fresh = true;
        swap(&mut slot.newest, frame);
        self.shared.changed.notify_one();
    }
}

impl Drop for Drain {
    /// Whatever ended the thread, the reader must not wait on.
    fn drop(&mut self) {
        self.shared.lock().end.get_or_insert(Ok(()));
        self.shared.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use super::*;

    /// Gives what is sent; 0 is an error, no sender the end.
    struct Sent(Receiver<u8>, Stop);

    impl RawSource for Sent {
        fn next_raw(&mut self, frame: &mut RawFrame) -> Result<bool> {
            loop {
                match self.0.recv_timeout(SLICE) {
                    Ok(0) => return Err(Error::SourceThread { cause: std::io::ErrorKind::Other.into() }),
                    Ok(number) => {
                        frame.bytes.clear();
                        frame.bytes.push(number);
                        return Ok(true);
                    }
                    Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return Ok(false),
                    Err(_) if self.1.is_requested() => return Ok(false),
                    Err(_) => {}
                }
            }
        }
    }

    fn after_all_were_read(sent: &[u8]) -> (Latest, Counters) {
        let (sender, receiver) = sync_channel(0);
        let counters = Counters::default();
        let open = |stop: &Stop| Ok(Sent(receiver, stop.clone()));
        let mut latest = Latest::start(open, &Stop::default(), counters.clone()).unwrap();
        sent.iter().for_each(|number| sender.send(*number).unwrap());
        drop(sender);
        latest.thread.take().unwrap().join().unwrap();
        (latest, counters)
    }

    #[test]
    fn the_newest_frame_is_given_and_the_overtaken_ones_are_counted() {
        let (mut latest, counters) = after_all_were_read(&[1, 2, 3]);
        let mut frame = RawFrame::default();
        assert!(latest.next_raw(&mut frame).unwrap());
        assert_eq!(frame.bytes, [3]);
        assert_eq!(counters.counts().dropped, 2);
        assert!(!latest.next_raw(&mut frame).unwrap());
    }

    #[test]
    fn an_error_comes_after_the_last_frame_and_then_the_end() {
        let (mut latest, _) = after_all_were_read(&[7, 0]);
        let mut frame = RawFrame::default();
        assert!(latest.next_raw(&mut frame).unwrap());
        assert!(latest.next_raw(&mut frame).is_err());
        assert!(!latest.next_raw(&mut frame).unwrap());
    }

    #[test]
    fn a_stop_ends_the_wait_and_dropping_ends_the_thread() {
        let (_sender, receiver) = sync_channel(0);
        let stop = Stop::default();
        let mut latest =
            Latest::start(|inner: &Stop| Ok(Sent(receiver, inner.clone())), &stop, Counters::default()).unwrap();
        stop.request();
        assert!(!latest.next_raw(&mut RawFrame::default()).unwrap());
        drop(latest);
        let (_sender, receiver) = sync_channel(0);
        let stop = Stop::default();
        drop(Latest::start(|inner: &Stop| Ok(Sent(receiver, inner.clone())), &stop, Counters::default()).unwrap());
        assert!(!stop.is_requested());
    }
}
