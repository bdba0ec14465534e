//! The options that choose a model, the same for every command.

use std::path::PathBuf;
use std::process;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use scenescribe::limits::{MAX_BEAM, MAX_THREADS, MAX_TOKENS};
use scenescribe::{
    Captioner, Error, FileCheck, FileState, GenerationSpec, MemoryPool, Model, Options, Result, check_files,
    release_code,
};

use super::load_timeout::Watchdog;
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

    /// Compare the model's files with its SHA256SUMS first
    #[arg(long, hide_short_help = true)]
    pub verify: bool,

    /// End with an error if opening the model takes longer; 0 lets it
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = parse_seconds, hide_short_help = true)]
    load_timeout: Duration,
}

#[derive(Clone, Copy, ValueEnum)]
enum Precision {
    Int8,
    Float,
}

fn in_range(max: usize) -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=max as u64)
}

fn parse_seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_string())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

impl ModelArgs {
    /// Opens the model.
    pub fn captioner(&self) -> Result<Captioner> {
        let start = Instant::now();
        let _watchdog = self.watchdog()?;
        if self.verify {
            self.check_files()?;
        }
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

    fn watchdog(&self) -> Result<Watchdog> {
        let limit = Some(self.load_timeout).filter(|limit| !limit.is_zero());
        Watchdog::start(limit).map_err(|cause| Error::Threads { count: 1, cause })
    }

    /// Compares the model's files with its list, and does nothing else.
    ///
    /// # Errors
    /// [`Error::ModelChecksum`] for the last that differs; the others are logged.
    pub fn verify(&self) -> Result<Vec<FileCheck>> {
        let _watchdog = self.watchdog()?;
        self.check_files()
    }

    fn check_files(&self) -> Result<Vec<FileCheck>> {
        let checks = check_files(self.model.as_deref())?;
        let folder = self.model.clone().unwrap_or_else(|| "(embedded model)".into());
        let wrong = checks.iter().filter(|check| check.state != FileState::Whole);
        let mut errors = wrong
            .map(|check| Error::ModelChecksum { path: folder.join(&check.name), problem: check.state.words().into() });
        let Some(last) = errors.next_back() else { return Ok(checks) };
        errors.for_each(|error| log::error!("{error}"));
        Err(last)
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
