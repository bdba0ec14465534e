//! The options that say where captions go.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Args, ValueEnum};
use scenescribe::Result;
use scenescribe::sink::{self, Serial, Sinks, WhenFull};

#[derive(Args)]
pub struct SinkArgs {
    /// Print JSON lines
    ///
    /// Each has sequence, time, source, caption, confidence, unsure, cut, tokens and the latency of each stage.
    #[arg(long)]
    pub(super) json: bool,

    /// Print no captions to standard output
    #[arg(long, requires = "serial", hide_short_help = true)]
    no_stdout: bool,

    /// Send captions to this serial device too, such as /dev/serial0
    ///
    /// May be given several times.
    #[arg(long, value_name = "DEVICE")]
    serial: Vec<PathBuf>,

    /// Rate of the serial devices (8N1, no flow control)
    #[arg(long, value_name = "RATE", default_value_t = 115_200, hide_short_help = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(50..=4_000_000))]
    baud: u32,

    /// How captions are framed on the serial devices
    #[arg(long, default_value = "line")]
    framing: Framing,
}

#[derive(Clone, Copy, ValueEnum)]
enum Framing {
    /// A line of text
    Line,
    /// $SCAP,sequence,ms,confidence,caption*checksum, as NMEA 0183 has it
    Ascii,
    /// A JSON object a line
    Json,
    /// Packets with a CRC-32, between zero bytes
    Cobs,
}

impl From<Framing> for sink::Framing {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::Line => Self::Line,
            Framing::Ascii => Self::Ascii,
            Framing::Json => Self::Json,
            Framing::Cobs => Self::Cobs,
        }
    }
}

impl SinkArgs {
    /// Opens all sinks. `source` is what JSON lines name as theirs; a source that is not `is_live` can wait for a reader of
    /// standard output, until `stop` is set.
    pub fn open(&self, source: &str, is_live: bool, stop: &Arc<AtomicBool>) -> Result<Sinks> {
        let mut sinks = Sinks::new(source);
        if !self.no_stdout {
            let framing = if self.json { sink::Framing::Json } else { sink::Framing::Line };
            let when_full = if is_live { WhenFull::DropOldest } else { WhenFull::WaitUnless(Arc::clone(stop)) };
            sinks.add_stdout(framing, when_full)?;
        }
        for device in &self.serial {
            sinks.add_serial(Serial::open(device, self.baud)?, self.framing.into())?;
        }
        Ok(sinks)
    }
}
