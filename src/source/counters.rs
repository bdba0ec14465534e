//! How many frames came, were dropped, and how often a source was lost and found again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a source has been through since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Frames that the device or stream gave.
    pub received: u64,
    /// Frames that were not handed on: overtaken by a newer one, damaged, or lost by the driver.
    pub dropped: u64,
    /// Times that a lost camera gave frames again.
    pub recoveries: u64,
}

/// The live counts; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<Atomics>);

#[derive(Debug, Default)]
struct Atomics {
    received: AtomicU64,
    dropped: AtomicU64,
    recoveries: AtomicU64,
}

impl Counters {
    /// The counts as they are now.
    pub fn counts(&self) -> SourceCounts {
        let Atomics { received, dropped, recoveries } = &*self.0;
        let [received, dropped, recoveries] =
            [received, dropped, recoveries].map(|count| count.load(Ordering::Relaxed));
        SourceCounts { received, dropped, recoveries }
    }

    pub(crate) fn receive(&self, frames: u64) {
        self.0.received.fetch_add(frames, Ordering::Relaxed);
    }

    pub(crate) fn drop_frames(&self, frames: u64) {
        self.0.dropped.fetch_add(frames, Ordering::Relaxed);
    }

    pub(crate) fn recover(&self) {
        self.0.recoveries.fetch_add(1, Ordering::Relaxed);
    }
}
