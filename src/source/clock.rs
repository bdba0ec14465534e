//! The time, so that tests need not wait for it.

use std::thread;
use std::time::{Duration, Instant};

/// Tells the time since some start, and lets it pass.
pub(crate) trait Clock: Send {
    fn now(&self) -> Duration;
    fn sleep(&self, duration: Duration);
}

/// The clock of the system.
#[derive(Debug)]
pub(crate) struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }
}

/// Time that passes only while it is slept; clones share it.
#[cfg(test)]
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeClock(std::sync::Arc<std::sync::Mutex<Duration>>);

#[cfg(test)]
impl Clock for FakeClock {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) {
        *self.0.lock().unwrap() += duration;
    }
}
