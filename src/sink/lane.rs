//! One sink's queue and the thread that empties it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use heapless::Deque;

use super::framer::Framer;
use crate::caption::Report;
use crate::limits::{FIRST_RECONNECT_DELAY, LAST_RECONNECT_DELAY, MAX_QUEUED_REPORTS};

/// Stack of a lane's thread: a report, a frame and the formatters stand on it, and no more.
const STACK_BYTES: usize = 128 << 10;

/// How often a sink with nothing to write is looked at.
const IDLE: Duration = Duration::from_secs(1);

/// What a lane writes to.
pub(super) trait Output: Send {
    /// Sends a whole frame. A wait for room ends with an error once `is_out_of_time` says so.
    fn write_frame(&mut self, frame: &[u8], is_out_of_time: &dyn Fn() -> bool) -> io::Result<()>;

    /// Opens again what was lost; `None` for what never comes back.
    fn reopen(&mut self) -> Option<io::Result<()>>;

    /// Whether nobody will read what is written next, as far as that shows without writing.
    fn is_abandoned(&self) -> bool;

    /// Lets what was written get out, at most until `deadline`.
    fn finish(&mut self, deadline: Instant);
}

/// The end of a lane that the fan-out holds; the lane's thread holds another clone.
#[derive(Clone)]
pub(super) struct Lane(Arc<Shared>);

struct Shared {
    name: Box<str>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: Deque<Report, MAX_QUEUED_REPORTS>,
    sent: u64,
    dropped: u64,
    reconnects: u64,
    is_lost: bool,
    /// Set when the lane is to end: when it has to have ended.
    deadline: Option<Instant>,
    /// Why the lane ended before it was asked to.
    failure: Option<io::Error>,
    has_ended: bool,
}

/// What became of the reports that one sink was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkCounts<'a> {
    /// The sink in words: `standard output`, or the path of a device.
    pub name: &'a str,
    /// Reports that were written.
    pub sent: u64,
    /// Reports that were thrown away, because the sink was too slow or away.
    pub dropped: u64,
    /// How often the sink came back after it was lost.
    pub reconnects: u64,
    /// Whether the sink is there now, as far as the last report showed.
    pub is_connected: bool,
}

impl Lane {
    /// Starts the thread.
    pub fn start(name: &str, output: impl Output + 'static, framer: Framer) -> io::Result<Self> {
        let state = Mutex::new(State::default());
        let lane = Self(Arc::new(Shared { name: name.into(), state, changed: Condvar::new() }));
        let worker = Worker { lane: lane.clone(), output, framer };
        thread::Builder::new().name("sink".into()).stack_size(STACK_BYTES).spawn(|| worker.run())?;
        Ok(lane)
    }

    /// Queues a report; a full queue loses its oldest. Never waits.
    pub fn push(&self, report: &Report) {
        self.push_into(&mut self.lock(), report);
    }

    /// Queues a report, waiting for room until `is_stopping`; then as [`push`](Self::push).
    pub fn push_with_patience(&self, report: &Report, is_stopping: &dyn Fn() -> bool) {
        let mut state = self.lock();
        while state.queue.is_full() && !state.has_ended && !is_stopping() {
            state = self.wait(state, Duration::from_millis(100));
        }
        self.push_into(&mut state, report);
    }

    fn push_into(&self, state: &mut State, report: &Report) {
        if state.has_ended {
            state.dropped += 1;
            return;
        }
        if state.queue.is_full() {
            state.queue.pop_front();
            state.dropped += 1;
        }
        // There is room: a report was taken out if there was none.
        let _ = state.queue.push_back(report.clone());
        self.0.changed.notify_all();
    }

    /// Why the lane ended early; said once.
    pub fn take_failure(&self) -> Option<io::Error> {
        self.lock().failure.take()
    }

    /// Tells the lane to write what is queued and end by `deadline`.
    pub fn close(&self, deadline: Instant) {
        self.lock().deadline.get_or_insert(deadline);
        self.0.changed.notify_all();
    }

    /// Waits until the lane has ended, at most until `deadline`.
    pub fn wait_for_end(&self, deadline: Instant) {
        let mut state = self.lock();
        while !state.has_ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                log::warn!("{} took no more captions and was left behind", self.0.name);
                return;
            }
            state = self.wait(state, left);
        }
    }

    /// What became of the reports so far.
    pub fn counts(&self) -> SinkCounts<'_> {
        let state = self.lock();
        SinkCounts {
            name: &self.0.name,
            sent: state.sent,
            dropped: state.dropped,
            reconnects: state.reconnects,
            is_connected: !state.is_lost && !state.has_ended,
        }
    }

    /// A panic elsewhere leaves the counters as good as they were.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.0.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// The next report; `None` when the lane is to end.
    ///
    /// # Errors
    /// The sink `is_abandoned`, which is looked at while there is nothing to write.
    fn next(&self, is_abandoned: impl Fn() -> bool) -> io::Result<Option<Report>> {
        let mut state = self.lock();
        loop {
            if state.is_out_of_time() {
                return Ok(None);
            }
            if let Some(report) = state.queue.pop_front() {
                self.0.changed.notify_all();
                return Ok(Some(report));
            }
            if state.deadline.is_some() {
                return Ok(None);
            }
            if is_abandoned() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            state = self.wait(state, IDLE);
        }
    }

    /// Puts back what was not sent; if there is no room any more, it is the oldest and dropped.
    fn put_back(&self, report: Report) {
        let mut state = self.lock();
        if state.queue.push_front(report).is_err() {
            state.dropped += 1;
        }
    }

    fn is_out_of_time(&self) -> bool {
        self.lock().is_out_of_time()
    }

    /// Sleeps, unless the lane is to end: then `false`.
    fn sleep(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut state = self.lock();
        while state.deadline.is_none() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            state = self.wait(state, left);
        }
        false
    }
}

impl State {
    fn is_out_of_time(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// What the thread owns.
struct Worker<O> {
    lane: Lane,
    output: O,
    framer: Framer,
}

impl<O: Output> Worker<O> {
    fn run(mut self) {
        let failure = self.write_all().err();
        let deadline = self.lane.lock().deadline;
        if let (Some(deadline), None) = (deadline, &failure) {
            self.output.finish(deadline);
        }
        // A device has to be free again when whoever waits for the end goes on.
        drop(self.output);
        let mut state = self.lane.lock();
        state.dropped += state.queue.len() as u64;
        state.queue.clear();
        state.failure = failure;
        state.has_ended = true;
        self.lane.0.changed.notify_all();
    }

    /// Writes report after report until the lane is closed or the sink is gone for good.
    fn write_all(&mut self) -> io::Result<()> {
        while let Some(report) = self.lane.next(|| self.output.is_abandoned())? {
            let frame = self.framer.frame(&report);
            match self.output.write_frame(frame, &|| self.lane.is_out_of_time()) {
                Ok(()) => self.lane.lock().sent += 1,
                Err(cause) => {
                    self.lane.put_back(report);
                    if !self.reconnect(cause)? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Tries until the sink is back; `false` when the lane was closed in the meantime.
    fn reconnect(&mut self, cause: io::Error) -> io::Result<bool> {
        if self.lane.is_out_of_time() {
            return Ok(false);
        }
        let name = &self.lane.0.name;
        let mut delay = FIRST_RECONNECT_DELAY;
        let dropped = self.lane.counts().dropped;
        let mut is_reported = false;
        loop {
            match self.output.reopen() {
                None => return Err(cause),
                Some(Ok(())) => break,
                Some(Err(_)) if !is_reported => {
                    log::warn!("{name} is lost ({cause}): captions wait until it is back, the oldest are dropped");
                    self.lane.lock().is_lost = true;
                    is_reported = true;
                }
                Some(Err(error)) => log::debug!("{name} is still away: {error}"),
            }
            if !self.lane.sleep(delay) {
                return Ok(false);
            }
            delay = (delay * 2).min(LAST_RECONNECT_DELAY);
        }
        // If this fails, the frame that follows does too.
        let _ = self.output.write_frame(self.framer.resynchronise(), &|| self.lane.is_out_of_time());
        let mut state = self.lane.lock();
        (state.is_lost, state.reconnects) = (false, state.reconnects + 1);
        log::warn!("{name} is back ({} captions dropped meanwhile)", state.dropped - dropped);
        Ok(true)
    }
}
