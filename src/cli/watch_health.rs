//! The health line, from a thread of its own: it is most wanted when frames do not come.

use std::io::{self, Write as _};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use scenescribe::watch::{Board, Health};

/// What the loop counts and the line reads.
#[derive(Clone, Default)]
pub struct SharedHealth(Arc<Mutex<Health>>);

impl SharedHealth {
    /// Counts something.
    pub fn change<T>(&self, change: impl FnOnce(&mut Health) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Prints a line each period and a last one when it is dropped.
pub struct HealthLog {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HealthLog {
    /// Starts the thread; without one there is a warning, and no line.
    pub fn start(period: Duration, health: SharedHealth, is_json: bool) -> Self {
        let (end, ended) = mpsc::channel();
        let start = Instant::now();
        let print = move || {
            let board = Board::here();
            loop {
                let waited = ended.recv_timeout(period);
                print_line(&health, start.elapsed(), &board, is_json);
                if waited != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("health".into()).spawn(print);
        let thread = thread.inspect_err(|error| log::warn!("no health line: {error}")).ok();
        Self { end: Some(end), thread }
    }
}

impl Drop for HealthLog {
    fn drop(&mut self) {
        drop(self.end.take());
        // A thread that panicked has said so itself.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn print_line(health: &SharedHealth, uptime: Duration, board: &Board, is_json: bool) {
    let line = health.change(|health| health.line(uptime, board));
    let text = if is_json {
        serde_json::to_string(&line).expect("numbers have a JSON form")
    } else {
        format!("scenescribe: health: {line}")
    };
    // A standard error that nobody reads is no reason to end.
    let _ = writeln!(io::stderr(), "{text}");
}
