//! A camera that may go away and come back.

use std::time::Duration;

use super::clock::{Clock, SystemClock};
use super::counters::Counters;
use super::raw_frame::{RawFrame, RawSource};
use super::stop::Stop;
use crate::error::{Error, Result};

/// Wait before the first attempt to open a lost camera again; doubled after each that fails.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Frames after which a camera counts as sound again: one that dies at once each time is not hurried.
const SOUND_FRAMES: u32 = 30;

/// Opens a camera, and opens it again whenever it fails, with growing waits.
///
/// A loss is logged once, and so is the return; each return is counted as a recovery.
pub struct Recovering<S, F> {
    open: F,
    source: Option<S>,
    failures: u32, // since the camera was last sound
    good_frames: u32,
    is_lost: bool,
    retry_limit: Option<u32>,
    stop: Stop,
    clock: Box<dyn Clock>,
    counters: Counters,
}

impl<S: RawSource, F: FnMut() -> Result<S> + Send> Recovering<S, F> {
    /// Opens the camera for the first time. `retry_limit` is the most failures in a row that are forgiven, `None` any.
    ///
    /// # Errors
    /// What `open` says: a camera that is not there at the start is not waited for.
    pub fn start(open: F, retry_limit: Option<u32>, stop: &Stop, counters: Counters) -> Result<Self> {
        Self::with_clock(open, retry_limit, stop, counters, Box::new(SystemClock::default()))
    }

    pub(crate) fn with_clock(
        mut open: F,
        retry_limit: Option<u32>,
        stop: &Stop,
        counters: Counters,
        clock: Box<dyn Clock>,
    ) -> Result<Self> {
        let source = Some(open()?);
        let stop = stop.clone();
        Ok(Self { open, source, failures: 0, good_frames: 0, is_lost: false, retry_limit, stop, clock, counters })
    }

    fn attempt(&mut self, frame: &mut RawFrame) -> Result<bool> {
        let source = match &mut self.source {
            Some(source) => source,
            None => self.source.insert((self.open)()?),
        };
        source.next_raw(frame)
    }

    fn succeed(&mut self) {
        if self.is_lost {
            self.is_lost = false;
            self.counters.recover();
            log::warn!("the camera is back after {} attempts", self.failures);
        }
        self.good_frames = self.good_frames.saturating_add(1);
        if self.good_frames >= SOUND_FRAMES {
            self.failures = 0;
        }
    }

    /// Gives up, or waits for the next attempt.
    fn fail(&mut self, error: Error) -> Result<()> {
        // The device must be closed for its name to become free.
        self.source = None;
        self.good_frames = 0;
        self.failures = self.failures.saturating_add(1);
        if self.retry_limit.is_some_and(|limit| self.failures > limit) {
            return Err(error);
        }
        let wait = wait_before(self.failures);
        if self.is_lost {
            log::debug!("{error}; next attempt in {wait:.1?}");
        } else {
            log::warn!("{error}; trying again");
        }
        self.is_lost = true;
        self.stop.sleep(&*self.clock, wait);
        Ok(())
    }
}

impl<S: RawSource, F: FnMut() -> Result<S> + Send> RawSource for Recovering<S, F> {
    fn next_raw(&mut self, frame: &mut RawFrame) -> Result<bool> {
        while !self.stop.is_requested() {
            match self.attempt(frame) {
                Ok(true) => {
                    self.succeed();
                    return Ok(true);
                }
                Ok(false) => return Ok(false),
                Err(error) => self.fail(error)?,
            }
        }
        Ok(false)
    }
}

fn wait_before(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    (FIRST_WAIT * 2u32.pow(doublings)).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use super::super::clock::FakeClock;
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Step {
        Frame,
        Fail,
        End,
        NotThere,
    }
    use Step::*;

    /// What the camera will do, shared by all times that it is opened.
    type Script = Arc<Mutex<VecDeque<Step>>>;

    struct Scripted(Script);

    fn failure() -> Error {
        Error::SourceThread { cause: std::io::ErrorKind::Other.into() }
    }

    impl RawSource for Scripted {
        fn next_raw(&mut self, _: &mut RawFrame) -> Result<bool> {
            match self.0.lock().unwrap().pop_front() {
                Some(Frame) => Ok(true),
                Some(Fail) => Err(failure()),
                Some(NotThere) => panic!("asked for a frame where the script says that opening fails"),
                Some(End) | None => Ok(false),
            }
        }
    }

    /// Frames that come of a script, whether it ended in an error, the recoveries, and the time it took.
    fn play(steps: &[Step], retry_limit: Option<u32>) -> (usize, bool, u64, Duration) {
        let script = Script::new(Mutex::new(steps.iter().copied().collect()));
        let (clock, counters) = (FakeClock::default(), Counters::default());
        let open = || {
            let mut steps = script.lock().unwrap();
            if steps.front() == Some(&NotThere) {
                steps.pop_front();
                return Err(failure());
            }
            Ok(Scripted(Arc::clone(&script)))
        };
        let (stop, boxed) = (Stop::default(), Box::new(clock.clone()));
        let mut camera = Recovering::with_clock(open, retry_limit, &stop, counters.clone(), boxed).unwrap();
        let (mut frames, mut frame) = (0, RawFrame::default());
        let has_failed = loop {
            match camera.next_raw(&mut frame) {
                Ok(true) => frames += 1,
                Ok(false) => break false,
                Err(_) => break true,
            }
        };
        (frames, has_failed, counters.counts().recoveries, clock.now())
    }

    #[test]
    fn a_camera_that_comes_back_is_one_recovery() {
        let steps = [Frame, Fail, NotThere, NotThere, Frame, Frame, End];
        let waits = Duration::from_millis(500 + 1000 + 2000);
        assert_eq!(play(&steps, None), (3, false, 1, waits));
    }

    #[test]
    fn waits_grow_to_their_limit() {
        let steps: Vec<_> = [Frame, Fail].into_iter().chain([NotThere; 9]).collect();
        let seconds: f64 = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0].iter().sum();
        assert_eq!(play(&steps, None), (1, false, 0, Duration::from_secs_f64(seconds)));
    }

    #[test]
    fn a_camera_that_dies_after_each_frame_is_not_hurried_and_a_sound_one_is() {
        let flapping: Vec<_> = [Frame, Fail].into_iter().cycle().take(8).collect();
        assert_eq!(play(&flapping, None), (4, false, 3, Duration::from_millis(500 + 1000 + 2000 + 4000)));
        let mut sound = vec![Frame, Fail];
        sound.extend([Frame; SOUND_FRAMES as usize]);
        sound.extend([Fail, Frame]);
        assert_eq!(play(&sound, None), (2 + SOUND_FRAMES as usize, false, 2, Duration::from_millis(500 + 500)));
    }

    #[test]
    fn the_retry_limit_makes_an_error_of_a_loss() {
        assert_eq!(play(&[Frame, Fail], Some(0)), (1, true, 0, Duration::ZERO));
        assert!(!play(&[Frame, Fail, NotThere, Frame, End], Some(2)).1);
        assert!(play(&[Frame, Fail, NotThere, NotThere, Frame], Some(2)).1);
    }

    #[test]
    fn a_camera_that_is_not_there_at_the_start_is_an_error() {
        let open = || -> Result<Scripted> { Err(failure()) };
        assert!(Recovering::start(open, None, &Stop::default(), Counters::default()).is_err());
    }

    #[test]
    fn a_stop_ends_the_attempts() {
        let stop = Stop::default();
        let script = Script::new(Mutex::new([Frame].into()));
        let open = || Ok(Scripted(Arc::clone(&script)));
        let mut camera = Recovering::start(open, None, &stop, Counters::default()).unwrap();
        stop.request();
        assert!(!camera.next_raw(&mut RawFrame::default()).unwrap());
    }
}
