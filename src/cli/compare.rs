//! `scenescribe bench --compare`: another engine on the same graphs, in turns with ours.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;
use std::{env, fs, process};

use clap::ValueEnum;
use scenescribe::{Model, embedded_files};
use serde::{Deserialize, Serialize};

use super::bench::{milliseconds, percentile};

/// Rounds in which each engine runs each graph [`RUNS`] times; what slows the machine for a while slows both.
const ROUNDS: usize = 7;
const RUNS: usize = 20;

const PYTHON: &str = "python3";
const SCRIPT: &str = include_str!("../../scripts/onnxruntime_rounds.py");

/// An engine to compare with.
#[derive(Clone, Copy, ValueEnum)]
pub enum Engine {
    /// The Python package of that name, under `python3`
    Onnxruntime,
}

/// Why there is nothing to compare with.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("cannot start {PYTHON}: {0} (ONNX Runtime needs Python 3 and: {PYTHON} -m pip install onnxruntime)")]
    Python(io::Error),
    #[error("no answer from ONNX Runtime (if it is not installed: {PYTHON} -m pip install onnxruntime)")]
    NoAnswer,
    #[error("cannot write the graphs inside the program to {folder}: {cause}")]
    Graphs { folder: PathBuf, cause: io::Error },
    #[error(transparent)]
    Ours(#[from] scenescribe::Error),
}

/// Both engines on the same graphs, threads and rows; medians of the rounds.
#[derive(Serialize)]
pub struct Comparison {
    engine: String,
    rounds: usize,
    encode: Pair,
    step: Pair,
}

/// Milliseconds, and the median of the rounds' ratios.
#[derive(Serialize)]
struct Pair {
    ours_ms: f64,
    theirs_ms: f64,
    ratio: f64,
}

/// What one engine took in one round.
#[derive(Deserialize)]
struct Round {
    encode_ms: f64,
    step_ms: f64,
}

impl Comparison {
    /// Takes turns with `engine`.
    ///
    /// # Errors
    /// If it is not there, or a graph fails.
    pub fn run(engine: Engine, model: &mut Model, pixels: &[f32]) -> Result<Self, Problem> {
        let Engine::Onnxruntime = engine;
        let graphs = Graphs::of(model)?;
        let mut rival = Rival::start(&graphs, model)?;
        let (mut ours, mut theirs) = (vec![], vec![]);
        for _ in 0..ROUNDS {
            ours.push(our_round(model, pixels)?);
            theirs.push(rival.round()?);
        }
        let pair = |part: fn(&Round) -> f64| Pair::of(ours.iter().map(part), theirs.iter().map(part));
        Ok(Self {
            engine: format!("onnxruntime {}", rival.version),
            rounds: ROUNDS,
            encode: pair(|round| round.encode_ms),
            step: pair(|round| round.step_ms),
        })
    }

    pub fn table(&self) -> String {
        let Self { engine, rounds, encode, step } = self;
        let title = format!("ms, {rounds} rounds in turns");
        let mut table = format!("\n{title:<24}{:>9}{:>9}\n", "encode", "step");
        let _ = writeln!(table, "{:<24}{:>9.3}{:>9.3}", "scenescribe", encode.ours_ms, step.ours_ms);
        let _ = writeln!(table, "{engine:<24}{:>9.3}{:>9.3}", encode.theirs_ms, step.theirs_ms);
        let _ = writeln!(table, "{:<24}{:>9.2}{:>9.2}", "ours of theirs", encode.ratio, step.ratio);
        table
    }
}

impl Pair {
    fn of(ours: impl Iterator<Item = f64> + Clone, theirs: impl Iterator<Item = f64> + Clone) -> Self {
        let median = |times: &mut dyn Iterator<Item = f64>| percentile(&mut times.collect::<Vec<_>>(), 50);
        Self {
            ours_ms: median(&mut ours.clone()),
            theirs_ms: median(&mut theirs.clone()),
            ratio: median(&mut ours.zip(theirs).map(|(ours, theirs)| ours / theirs)),
        }
    }
}

fn our_round(model: &mut Model, pixels: &[f32]) -> Result<Round, scenescribe::Error> {
    let median = |run: &mut dyn FnMut() -> Result<(), scenescribe::Error>| {
        let mut times = vec![];
        for _ in 0..RUNS {
            let start = Instant::now();
            run()?;
            times.push(milliseconds(start.elapsed()));
        }
        Ok::<_, scenescribe::Error>(percentile(&mut times, 50))
    };
    let Model { encoder, decoder, .. } = model;
    let encode_ms = median(&mut || encoder.run(pixels).map(|_| ()))?;
    let features = encoder.run(pixels)?;
    let step_ms = median(&mut || decoder.run_step(features))?;
    Ok(Round { encode_ms, step_ms })
}

/// Files of a model's two graphs; those of the model inside the program lie in a folder of their own until the end.
struct Graphs {
    encoder: PathBuf,
    decoder: PathBuf,
    folder: Option<PathBuf>,
}

impl Graphs {
    fn of(model: &Model) -> Result<Self, Problem> {
        let [encoder, decoder] = [model.encoder.path(), model.decoder.path()];
        if encoder.is_file() && decoder.is_file() {
            return Ok(Self { encoder: encoder.into(), decoder: decoder.into(), folder: None });
        }
        let folder = env::temp_dir().join(format!("scenescribe-{}", process::id()));
        let problem = |cause| Problem::Graphs { folder: folder.clone(), cause };
        fs::create_dir(&folder).map_err(problem)?;
        let place = |graph: &Path| folder.join(graph.file_name().unwrap_or_default());
        let graphs = Self { encoder: place(encoder), decoder: place(decoder), folder: Some(folder.clone()) };
        for (name, bytes) in embedded_files() {
            fs::write(folder.join(name), bytes).map_err(problem)?;
        }
        Ok(graphs)
    }
}

impl Drop for Graphs {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's cleaning of its temporary files.
        let _ = self.folder.take().map(fs::remove_dir_all);
    }
}

/// The script, at work; it ends when its standard input does.
struct Rival {
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    version: String,
}

#[derive(Deserialize)]
struct Greeting {
    version: String,
}

impl Rival {
    fn start(graphs: &Graphs, model: &Model) -> Result<Self, Problem> {
        let mut command = Command::new(PYTHON);
        command.args(["-c", SCRIPT]).args([&graphs.encoder, &graphs.decoder]);
        let numbers = [("--threads", model.threads), ("--rows", model.decoder.rules().beam), ("--runs", RUNS)];
        command.args(numbers.iter().flat_map(|(name, number)| [name.to_string(), number.to_string()]));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(Problem::Python)?;
        let orders = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().ok_or(Problem::NoAnswer)?);
        let mut rival = Self { process, orders, answers, version: String::new() };
        rival.version = rival.answer::<Greeting>()?.version;
        Ok(rival)
    }

    fn round(&mut self) -> Result<Round, Problem> {
        let orders = self.orders.as_mut().ok_or(Problem::NoAnswer)?;
        orders.write_all(b"\n").and_then(|()| orders.flush()).map_err(|_| Problem::NoAnswer)?;
        self.answer()
    }

    fn answer<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, Problem> {
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|_| Problem::NoAnswer)?;
        serde_json::from_str(&line).map_err(|_| Problem::NoAnswer)
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.process.wait();
    }
}
