//! The threads that the graphs of a model share.

use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::error::{Error, Result};
use crate::kernels::Threads;
use crate::limits::MAX_THREADS;

/// A handle on the threads; graphs that run at the same time take turns with them.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Mutex<Threads>>);

impl Pool {
    /// Starts `count` threads, or one for each core.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for more than [`MAX_THREADS`] or none, [`Error::Threads`] if the system refuses.
    pub fn new(count: Option<usize>) -> Result<Self> {
        let cores = || thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS);
        let count = count.unwrap_or_else(cores);
        let out_of_range = || Error::OutOfRange { option: "threads", value: count, min: 1, max: MAX_THREADS };
        let checked = NonZero::new(count).filter(|count| count.get() <= MAX_THREADS).ok_or_else(out_of_range)?;
        let threads = Threads::new(checked).map_err(|cause| Error::Threads { count, cause })?;
        Ok(Self(Arc::new(Mutex::new(threads))))
    }

    /// Threads that take part in a run, the caller's included.
    pub fn count(&self) -> usize {
        self.lock().count()
    }

    /// The threads, for one run.
    pub fn lock(&self) -> MutexGuard<'_, Threads> {
        // A panic of a kernel leaves the threads parked, ready for the next run.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_numbers_of_threads_are_refused() {
        for count in [0, MAX_THREADS + 1] {
            assert!(matches!(Pool::new(Some(count)), Err(Error::OutOfRange { option: "threads", .. })), "{count}");
        }
    }
}
