//! The options that choose a model, the same for every command.

use std::path::PathBuf;
use std::process;
use std::time::Instant;

use clap::{Args, ValueEnum};
use scenescribe::limits::{MAX_BEAM, MAX_THREADS, MAX_TOKENS};
use scenescribe::{Captioner, Error, GenerationSpec, MemoryPool, Model, Options, Result, release_code};

use super::memory_args::OUT_OF_MEMORY;

#[derive(Args)]
pub struct ModelArgs {
    /// Model folder, instead of the model inside the program
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,

    /// Width of the beam; 1 is greedy [default: as the model says]
    #[arg(long, value_name = "N", value_parser = in_range(MAX_BEAM))]
    beam: Option<u64>,

    /// Most tokens of a caption [default: as the model says]
    #[arg(long, value_name = "N", value_parser = in_range(MAX_TOKENS))]
    max_tokens: Option<u64>,

    /// Threads that share the work [default: one a core]
    #[arg(long, value_name = "N", value_parser = in_range(MAX_THREADS))]
    threads: Option<u64>,

    /// Which graphs to load where the folder has both [default: int8]
    #[arg(long)]
    precision: Option<Precision>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Precision {
    Int8,
    Float,
}

fn in_range(max: usize) -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=max as u64)
}

impl ModelArgs {
    /// Opens the model.
    pub fn captioner(&self) -> Result<Captioner> {
        let start = Instant::now();
        let options = self.options();
        let opened = match &self.model {
            Some(folder) => Captioner::open(folder, &options),
            None => Captioner::embedded(&options),
        };
        if let Err(error @ Error::ModelMemory { .. }) = &opened {
            log::error!("{error}");
            process::exit(OUT_OF_MEMORY.into());
        }
        let mut captioner = opened?;
        MemoryPool::set_thrifty(false);
        release_code();
        if MemoryPool::size().is_some() {
            captioner.rehearse()?;
        }
        log::info!("opened {} in {:.1?}", self.name(), start.elapsed());
        Ok(captioner)
    }

    fn options(&self) -> Options {
        Options {
            beam: self.beam.map(|n| n as usize),
            max_tokens: self.max_tokens.map(|n| n as usize),
            threads: self.threads.map(|n| n as usize),
            precision: self.precision.map(|precision| match precision {
                Precision::Int8 => scenescribe::Precision::Int8,
                Precision::Float => scenescribe::Precision::Float,
            }),
        }
    }

    /// [`Model::digest`] of the model with these rules.
    pub fn digest(&self, rules: &GenerationSpec) -> Result<String> {
        Model::digest(self.model.as_deref(), &self.options(), rules)
    }

    /// The folder's own name; `default` for the model inside the program.
    pub fn short_name(&self) -> String {
        let folder = self.model.as_ref().map(|folder| folder.canonicalize().unwrap_or_else(|_| folder.clone()));
        let name = folder.as_ref().and_then(|folder| folder.file_name());
        name.map_or_else(|| "default".into(), |name| name.to_string_lossy().into())
    }

    /// Where the model comes from, in words.
    pub fn name(&self) -> String {
        self.model.as_ref().map_or_else(|| "the model inside the program".into(), |folder| folder.display().to_string())
    }
}
