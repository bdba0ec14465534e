//! Standard output as a sink.

use std::io::{LineWriter, Stdout};

use embedded_io_adapters::std::FromStd;

/// Standard output, a line at a time.
pub fn stdout() -> FromStd<LineWriter<Stdout>> {
    FromStd::new(LineWriter::new(std::io::stdout()))
}
