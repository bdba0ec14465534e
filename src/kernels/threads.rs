//! A tiny persistent thread pool for splitting one operator at a time over the cores.
//!
//! Workers park between runs; a run wakes them, hands out chunk numbers by a shared counter and returns when all are
//! done. The calling thread works too, so a pool of one has no workers and costs nothing, and a run never waits for a
//! worker that a busy machine did not wake in time. A run allocates nothing.
use std::{
    any::Any,
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long a thread looks for a change before it parks: about what parking and waking cost.
const SPIN: Duration = Duration::from_micros(20);

/// `N - 1` parked workers and the calling thread.
pub struct Threads {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    has_work: Condvar,
    is_done: Condvar,
    next_chunk: AtomicUsize,
    /// Copies of the state's fields, for looking without the lock.
    run: AtomicUsize,
    active: AtomicUsize,
}

#[derive(Default)]
struct State {
    work: Option<Work>,
    /// Changes with each run, so that a worker joins each run once.
    run: usize,
    /// Workers that have joined the current run and not finished.
    active: usize,
    panic: Option<Box<dyn Any + Send>>,
    is_closing: bool,
}

/// The closure of the current run, its lifetime erased.
#[derive(Clone, Copy)]
struct Work {
    chunks: usize,
    task: &'static (dyn Fn(usize) + Sync),
}

impl Threads {
    /// A pool of `count` threads, the caller's included.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn new(count: NonZero<usize>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            has_work: Condvar::new(),
            is_done: Condvar::new(),
            next_chunk: AtomicUsize::new(0),
            run: AtomicUsize::new(0),
            active: AtomicUsize::new(0),
        });
        let mut threads = Self { shared, workers: Vec::new() };
        for number in 1..count.get() {
            let shared = Arc::clone(&threads.shared);
            let worker = std::thread::Builder::new().name(format!("kernel-{number}"));
            threads.workers.push(worker.spawn(move || shared.work_until_closed())?);
        }
        Ok(threads)
    }

    /// Threads that take part in a run.
    pub fn count(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task` once with each number below `chunks`, spread over the threads, and waits for all calls.
    ///
    /// # Panics
    /// With the panic of a `task` that panicked, after all threads have stopped.
    pub fn run(&mut self, chunks: usize, task: impl Fn(usize) + Sync) {
        if self.workers.is_empty() || chunks <= 1 {
            return (0..chunks).for_each(task);
        }
        let task: &(dyn Fn(usize) + Sync) = &task;
        // SAFETY: workers use the reference between `start` and the end of `finish` only, and this function does not
        // return before that: a panic of the task in this thread is held back.
        let task = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(task) };
        let work = Work { chunks, task };
        self.shared.start(work);
        let own = catch_unwind(AssertUnwindSafe(|| self.shared.take_chunks(work)));
        let others = self.shared.finish();
        if let Some(panic) = own.err().or(others) {
            resume_unwind(panic);
        }
    }

    /// Cuts `output` into pieces of `piece_len` (the last may be shorter) and calls `task` once with each and its
    /// number, spread over the threads.
    ///
    /// # Panics
    /// As [`Threads::run`]; if `piece_len` is 0.
    pub fn run_pieces<T: Send>(&mut self, output: &mut [T], piece_len: usize, task: impl Fn(usize, &mut [T]) + Sync) {
        let (len, start) = (output.len(), Pointer(output.as_mut_ptr()));
        self.run(len.div_ceil(piece_len), |piece| {
            let first = piece * piece_len;
            // SAFETY: each piece number occurs once, the pieces do not overlap and lie within `output`, which is
            // borrowed until `run` returns.
            let piece_of_output =
                unsafe { std::slice::from_raw_parts_mut(start.get().add(first), piece_len.min(len - first)) };
            task(piece, piece_of_output);
        });
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.lock().is_closing = true;
        self.shared.has_work.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches its tasks' panics, so there is nothing to report.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, work: Work) {
        self.next_chunk.store(0, Ordering::Relaxed);
        let mut state = self.lock();
        state.work = Some(work);
        state.run = state.run.wrapping_add(1);
        self.run.store(state.run, Ordering::Release);
        drop(state);
        self.has_work.notify_all();
    }

    /// Takes the work away from workers that have not joined, and waits for those that have.
    fn finish(&self) -> Option<Box<dyn Any + Send>> {
        self.lock().work = None;
        spin_until(|| self.active.load(Ordering::Acquire) == 0);
        let state = self.lock();
        let is_running = |state: &mut State| state.active > 0;
        let mut state = self.is_done.wait_while(state, is_running).unwrap_or_else(PoisonError::into_inner);
        state.panic.take()
    }

    fn take_chunks(&self, work: Work) {
        loop {
            let chunk = self.next_chunk.fetch_add(1, Ordering::Relaxed);
            if chunk >= work.chunks {
                return;
            }
            (work.task)(chunk);
        }
    }

    fn work_until_closed(&self) {
        let mut last_run = 0;
        while let Some((run, work)) = self.join_run_after(last_run) {
            let outcome = catch_unwind(AssertUnwindSafe(|| self.take_chunks(work)));
            last_run = run;
            let mut state = self.lock();
            state.panic = state.panic.take().or(outcome.err());
            state.active -= 1;
            self.active.store(state.active, Ordering::Release);
            if state.active == 0 {
                self.is_done.notify_one();
            }
        }
    }

    /// Waits for another run than `last_run` and joins it; `None` when the pool closes.
    fn join_run_after(&self, last_run: usize) -> Option<(usize, Work)> {
        spin_until(|| self.run.load(Ordering::Acquire) != last_run);
        let state = self.lock();
        let is_idle = |state: &mut State| !state.is_closing && (state.run == last_run || state.work.is_none());
        let mut state = self.has_work.wait_while(state, is_idle).unwrap_or_else(PoisonError::into_inner);
        let work = state.work.filter(|_| !state.is_closing)?;
        state.active += 1;
        self.active.store(state.active, Ordering::Release);
        Some((state.run, work))
    }
}

/// Looks for `is_true` for a short while.
fn spin_until(is_true: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_true() && start.elapsed() < SPIN {
        std::hint::spin_loop();
    }
}

/// A pointer that may be shared by the threads of a run.
struct Pointer<T>(*mut T);

impl<T> Pointer<T> {
    fn get(&self) -> *mut T {
        self.0
    }
}

// SAFETY: `run_pieces` lets each thread touch other elements, and `T` may be sent between threads.
unsafe impl<T: Send> Sync for Pointer<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(count: usize) -> Threads {
        Threads::new(NonZero::new(count).unwrap()).unwrap()
    }

    #[test]
    fn every_chunk_is_run_once() {
        for count in 1..5 {
            let mut threads = pool(count);
            for chunks in [0, 1, 2, 7, 100] {
                let calls: Vec<AtomicUsize> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
                threads.run(chunks, |chunk| {
                    calls[chunk].fetch_add(1, Ordering::Relaxed);
                });
                assert!(
                    calls.iter().all(|calls| calls.load(Ordering::Relaxed) == 1),
                    "{count} threads, {chunks} chunks"
                );
            }
        }
    }

    #[test]
    fn pieces_cover_the_output_without_overlap() {
        let mut output = vec![0; 103];
        pool(3).run_pieces(&mut output, 10, |piece, output| output.iter_mut().for_each(|value| *value += piece + 1));
        let expected: Vec<usize> = (0..103).map(|i| i / 10 + 1).collect();
        assert_eq!(output, expected);
    }

    #[test]
    fn many_runs_in_a_row_lose_no_chunk() {
        let mut threads = pool(4);
        let total = AtomicUsize::new(0);
        for _ in 0..2000 {
            threads.run(5, |chunk| {
                total.fetch_add(chunk, Ordering::Relaxed);
            });
        }
        assert_eq!(total.into_inner(), 2000 * 10);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_leaves_the_pool_usable() {
        let mut threads = pool(3);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            threads.run(20, |chunk| assert!(chunk != 13, "unlucky"));
        }));
        assert!(panicked.is_err());
        let calls = AtomicUsize::new(0);
        threads.run(20, |_| {
            calls.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(calls.into_inner(), 20);
    }

    #[test]
    fn dropping_the_pool_ends_its_threads() {
        let threads = pool(3);
        let shared = Arc::downgrade(&threads.shared);
        drop(threads);
        assert_eq!(shared.strong_count(), 0);
    }
}
