//! Frames no faster than a rate.

use std::time::Duration;

use super::clock::{Clock, SystemClock};
use super::raw_frame::{RawFrame, RawSource};
use super::stop::Stop;
use crate::error::Result;

/// Waits before it takes a frame, so that there are at most so many a second; drops none itself.
pub struct Paced<S> {
    source: S,
    interval: Duration,
    due: Duration,
    stop: Stop,
    clock: Box<dyn Clock>,
}

impl<S: RawSource> Paced<S> {
    /// At most `rate` frames a second, a positive number.
    pub fn new(source: S, rate: f32, stop: &Stop) -> Self {
        Self::with_clock(source, rate, stop, Box::new(SystemClock::default()))
    }

    fn with_clock(source: S, rate: f32, stop: &Stop, clock: Box<dyn Clock>) -> Self {
        let interval = Duration::try_from_secs_f32(1.0 / rate).unwrap_or(Duration::MAX);
        Self { source, interval, due: clock.now(), stop: stop.clone(), clock }
    }
}

impl<S: RawSource> RawSource for Paced<S> {
    fn next_raw(&mut self, frame: &mut RawFrame) -> Result<bool> {
        self.stop.sleep(&*self.clock, self.due.saturating_sub(self.clock.now()));
        // Time lost is not made up for: a burst after a pause would describe nothing new.
        let late = self.clock.now().saturating_sub(self.due);
        let from = if late > self.interval { self.clock.now() } else { self.due };
        self.due = from.saturating_add(self.interval);
        self.source.next_raw(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::FakeClock;
    use super::*;

    struct Slow(FakeClock, Duration);

    impl RawSource for Slow {
        fn next_raw(&mut self, _: &mut RawFrame) -> Result<bool> {
            self.0.sleep(self.1);
            Ok(true)
        }
    }

    /// Time after each of some frames, in milliseconds.
    fn times(rate: f32, frame_ms: u64, count: usize) -> Vec<u128> {
        let clock = FakeClock::default();
        let source = Slow(clock.clone(), Duration::from_millis(frame_ms));
        let mut paced = Paced::with_clock(source, rate, &Stop::default(), Box::new(clock.clone()));
        let mut frame = RawFrame::default();
        (0..count)
            .map(|_| {
                assert!(paced.next_raw(&mut frame).unwrap());
                clock.now().as_millis()
            })
            .collect()
    }

    #[test]
    fn frames_come_at_the_rate_and_lost_time_is_not_made_up_for() {
        assert_eq!(times(4.0, 0, 4), [0, 250, 500, 750]);
        assert_eq!(times(4.0, 100, 3), [100, 350, 600]);
        assert_eq!(times(4.0, 900, 3), [900, 1800, 2700]);
    }

    #[test]
    fn a_stop_ends_the_wait() {
        let (clock, stop) = (FakeClock::default(), Stop::default());
        let source = Slow(clock.clone(), Duration::ZERO);
        let mut paced = Paced::with_clock(source, 0.001, &stop, Box::new(clock.clone()));
        let mut frame = RawFrame::default();
        paced.next_raw(&mut frame).unwrap();
        stop.request();
        paced.next_raw(&mut frame).unwrap();
        assert_eq!(clock.now(), Duration::ZERO);
    }
}
