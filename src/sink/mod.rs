//! Where captions go: anything that implements [`embedded_io::Write`].
//!
//! [`write_text`] and [`write_json`] write single captions. The reports of a run are framed by a [`Framer`], or go to several
//! [`Sinks`] at once: each has a bounded queue and a thread, so that a [`Serial`] line that is stuck or unplugged stops nothing
//! else. What the frames are, byte for byte, and how they are read at the other end, stands in [`wire`].

mod fan_out;
mod framer;
mod json;
mod lane;
mod serial;
mod std_io;
mod text;
pub mod wire;

use std::io;

use embedded_io::Write;

pub use fan_out::{SinkMonitor, Sinks, WhenFull};
pub use framer::Framer;
pub use json::{write_json, write_report_json};
pub use lane::SinkCounts;
pub use serial::Serial;
pub use std_io::stdout;
pub use text::{write_report_text, write_text};
pub use wire::Framing;

/// Lets the formatters of std write to a sink; errors keep their kind and words.
struct Formatted<'a, W>(&'a mut W);

impl<W: Write> io::Write for Formatted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(io_error)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(io_error)
    }
}

fn io_error(error: impl embedded_io::Error) -> io::Error {
    io::Error::new(error.kind().into(), error.to_string())
}
