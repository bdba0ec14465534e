//! The options that say where captions go.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use scenescribe::Result;
use scenescribe::sink::{self, Framing, Sinks, WhenFull};

#[derive(Args)]
pub struct SinkArgs {
    /// Print JSON lines: sequence, time, source, caption, confidence, unsure, tokens, latency
    #[arg(long)]
    pub(super) json: bool,

    /// Print no captions to standard output
    #[arg(long, requires = "serial")]
    no_stdout: bool,
}

impl SinkArgs {
    /// Opens all sinks. `source` is what JSON lines name as theirs; a source that is not `is_live` can wait for a reader of
    /// standard output, until `stop` is set.
    pub fn open(&self, source: &str, is_live: bool, stop: &Arc<AtomicBool>) -> Result<Sinks> {
        let mut sinks = Sinks::new(source);
        if !self.no_stdout {
            let framing = if self.json { Framing::Json } else { Framing::Line };
            let when_full = if is_live { WhenFull::DropOldest } else { WhenFull::WaitUnless(Arc::clone(stop)) };
            sinks.add("standard output", sink::stdout(), framing, when_full)?;
        }
        Ok(sinks)
    }
}
