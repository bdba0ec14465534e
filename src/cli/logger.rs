//! Log lines on standard error.

use std::io::Write as _;

use log::{Level, LevelFilter, Log, Metadata, Record};

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        // Other crates speak of their inner life: shown only on trouble or when asked for everything.
        let is_ours = record.target().starts_with("scenescribe");
        if is_ours || record.level() <= Level::Error || log::max_level() == LevelFilter::Trace {
            let level = record.level().as_str().to_lowercase();
            // Nobody listens any more: that is no reason to end.
            let _ = writeln!(std::io::stderr(), "scenescribe: {level}: {}", record.args());
        }
    }

    fn flush(&self) {}
}

/// Shows warnings and errors, and with each `-v` one level more.
pub fn init(verbosity: u8) {
    let level = match verbosity {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        2 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    if log::set_logger(&Stderr).is_ok() {
        log::set_max_level(level);
    }
}
