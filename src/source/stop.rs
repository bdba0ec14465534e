//! A flag that ends every wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::clock::Clock;

/// Longest time that a source waits without looking at the flag.
pub(crate) const SLICE: Duration = Duration::from_millis(100);

/// Asks sources to end: clones share one flag, and a source that waits sees it within 200 ms.
///
/// A signal handler may set the flag itself: `Stop::from(flag)`.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    outer: Option<Box<Stop>>,
}

impl Stop {
    /// Ends the sources that were opened with this flag; nothing takes it back.
    pub fn request(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// Whether the end was asked for.
    pub fn is_requested(&self) -> bool {
        self.flag.load(Ordering::Relaxed) || self.outer.as_ref().is_some_and(|outer| outer.is_requested())
    }

    /// A flag that is set with this one, and can be set alone.
    pub(crate) fn nested(&self) -> Self {
        Self { flag: Arc::default(), outer: Some(Box::new(self.clone())) }
    }

    /// Sleeps in slices until the time is over or the end is asked for.
    pub(crate) fn sleep(&self, clock: &dyn Clock, duration: Duration) {
        let mut left = duration;
        while !left.is_zero() && !self.is_requested() {
            let slice = left.min(SLICE);
            clock.sleep(slice);
            left -= slice;
        }
    }
}

impl From<Arc<AtomicBool>> for Stop {
    fn from(flag: Arc<AtomicBool>) -> Self {
        Self { flag, outer: None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::FakeClock;
    use super::*;

    #[test]
    fn clones_share_the_flag_and_a_nested_one_can_be_set_alone() {
        let flag = Arc::new(AtomicBool::new(false));
        let stop = Stop::from(Arc::clone(&flag));
        let nested = stop.nested();
        nested.request();
        assert!(nested.is_requested() && !stop.is_requested());
        let other = stop.nested();
        flag.store(true, Ordering::Relaxed);
        assert!(stop.clone().is_requested() && other.is_requested());
    }

    #[test]
    fn a_sleep_ends_within_a_slice_of_the_stop() {
        let (clock, stop) = (FakeClock::default(), Stop::default());
        stop.sleep(&clock, Duration::from_millis(250));
        assert_eq!(clock.now(), Duration::from_millis(250));
        stop.request();
        stop.sleep(&clock, Duration::from_secs(60));
        assert_eq!(clock.now(), Duration::from_millis(250));
    }
}
