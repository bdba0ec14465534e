//! An end to the opening of a model that takes too long, whatever it hangs in.

use std::io::{self, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use scenescribe::{exit_at_once, file_being_opened};

/// Enough to print a line.
const STACK_BYTES: usize = 128 << 10;

/// While it lives, the program ends when the time is over.
pub struct Watchdog {
    /// Dropped to call it off.
    _done: Option<Sender<()>>,
}

impl Watchdog {
    /// Starts a thread that ends the program with exit code 1 after `limit`; without a limit, none.
    ///
    /// # Errors
    /// If the system does not start the thread.
    pub fn start(limit: Option<Duration>) -> io::Result<Self> {
        let Some(limit) = limit else { return Ok(Self { _done: None }) };
        let (done, is_done) = channel();
        thread::Builder::new().name("load timeout".into()).stack_size(STACK_BYTES).spawn(move || {
            if let Err(RecvTimeoutError::Timeout) = is_done.recv_timeout(limit) {
                end(limit);
            }
        })?;
        Ok(Self { _done: Some(done) })
    }
}

/// Says what took too long, and ends the process: foreign code cannot be told to stop.
fn end(limit: Duration) {
    let seconds = limit.as_secs_f64();
    let mut stderr = io::stderr().lock();
    let _ = match file_being_opened() {
        Some(file) => write!(stderr, "scenescribe: error: opening {file} takes"),
        None => write!(stderr, "scenescribe: error: opening the model takes"),
    };
    let _ = writeln!(stderr, " longer than {seconds} s: if nothing is wrong with it, give --load-timeout more seconds");
    exit_at_once(1);
}
