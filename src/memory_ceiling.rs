//! A bound on what opening a model may take, in a program whose memory is not from a pool of fixed size.
//!
//! A graph of a hundred bytes can ask for terabytes. What a model needs is told from its files before it is loaded; a model
//! that takes several times as much is not what its files say, and is ended in words before the system ends the program.

use std::alloc::Layout;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::memory_pool::{Exhaustion, MemoryPool};

/// What opening may take beyond a multiple of what was computed.
const ALLOWANCE: usize = 64 << 20;

/// Bytes that reading settings and vocabulary may take, before anything is known of the graphs.
const READING: usize = 128 << 20;

static CEILING: AtomicUsize = AtomicUsize::new(usize::MAX);
static ON_EXHAUSTION: OnceLock<fn(Exhaustion)> = OnceLock::new();

impl MemoryPool {
    /// Lets `on_exhaustion` be called, on whatever thread, when opening a model takes much more memory than the model's
    /// files say that it needs; it must not allocate. If it returns, the allocation fails, which ends most programs. Where
    /// a pool is taken, its size is the bound and this does nothing.
    pub fn bound_opening(on_exhaustion: fn(Exhaustion)) {
        let _ = ON_EXHAUSTION.set(on_exhaustion);
    }
}

/// The bound, while it lives.
pub(crate) struct Ceiling(());

impl Ceiling {
    /// Bounds what is allocated from here on.
    pub fn new() -> Self {
        raise(READING);
        Self(())
    }

    /// Bounds it by what the model needs.
    pub fn set_need(&self, bytes: usize) {
        raise(bytes.saturating_mul(2).saturating_add(ALLOWANCE));
    }
}

impl Drop for Ceiling {
    fn drop(&mut self) {
        CEILING.store(usize::MAX, Relaxed);
    }
}

fn raise(allowance: usize) {
    if ON_EXHAUSTION.get().is_some() {
        CEILING.store(MemoryPool::used().saturating_add(allowance), Relaxed);
    }
}

/// Whether there may be an allocation more; tells of it otherwise.
pub(crate) fn admits(layout: Layout) -> bool {
    let (ceiling, used) = (CEILING.load(Relaxed), MemoryPool::used());
    if used.saturating_add(layout.size()) <= ceiling {
        return true;
    }
    if let Some(on_exhaustion) = ON_EXHAUSTION.get() {
        on_exhaustion(Exhaustion { asked: layout.size(), used, size: ceiling, needed: MemoryPool::needed() });
    }
    false
}
