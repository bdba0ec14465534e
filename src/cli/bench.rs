//! `scenescribe bench`: how long each stage takes here.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use scenescribe::{Captioner, Frame, Latency, Model, PictureReader, Result, TestPattern};
use serde::Serialize;

use super::compare::{Comparison, Engine, Problem};
use super::model_args::ModelArgs;
use super::{memory, print_report, profile};

/// Measure how long each stage takes on this machine
///
/// Frames after the warm-up are steady state. The picture is decoded once, before the measurement. A step is one run of
/// the decoder's graph for all rows of the beam, without the search.
#[derive(clap::Args)]
pub struct Args {
    /// Picture to caption again and again [default: a test pattern of 640 x 480 pixels]
    #[arg(value_name = "PHOTO")]
    photo: Option<PathBuf>,

    /// Frames to measure
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    frames: u32,

    /// Frames before the measurement, the first one included
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    warm_up: u32,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// Also show where the time of the graphs goes, operator by operator
    #[arg(long, conflicts_with = "json")]
    profile: bool,

    /// Also run the same graphs in another engine, in turns, on as many threads
    #[arg(long, value_name = "ENGINE")]
    compare: Option<Engine>,

    #[command(flatten)]
    model: ModelArgs,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    print_report(report(args))
}

fn report(args: &Args) -> std::result::Result<String, Problem> {
    let start = Instant::now();
    let mut captioner = args.model.captioner()?;
    let open_ms = milliseconds(start.elapsed());
    let mut reader = PictureReader::new();
    let pattern = TestPattern::new(640, 480);
    let frame = match &args.photo {
        Some(photo) => reader.read(photo)?,
        None => pattern.frame(),
    };
    captioner.caption(&frame)?;
    let first_caption_ms = milliseconds(start.elapsed());
    let mut report = measure(args, &mut captioner, &frame, [open_ms, first_caption_ms])?;
    if let Some(engine) = args.compare {
        let pixels = pixels(captioner.model(), &frame);
        report.compare = Some(Comparison::run(engine, captioner.model_mut(), &pixels)?);
    }
    let profile =
        if args.profile { profile::table(captioner.model_mut(), &frame, args.frames)? } else { String::new() };
    Ok(if args.json { report.json() } else { report.table() + &profile })
}

/// What is measured, times in milliseconds.
#[derive(Serialize)]
struct Report {
    model: String,
    kernels: String,
    caption: String,
    tokens: usize,
    open_ms: f64,
    first_caption_ms: f64,
    frames: u32,
    frames_per_second: f64,
    stages: Vec<Stage>,
    peak_memory_mb: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compare: Option<Comparison>,
}

#[derive(Serialize)]
struct Stage {
    stage: &'static str,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

/// The steady state, after what the start has shown.
fn measure(
    args: &Args,
    captioner: &mut Captioner,
    frame: &Frame,
    [open_ms, first_caption_ms]: [f64; 2],
) -> Result<Report> {
    let kernels = kernels(captioner.model());
    for _ in 1..args.warm_up {
        captioner.caption(frame)?;
    }
    let steady = Instant::now();
    let latencies = steady_state(captioner, frame, args.frames)?;
    let frames_per_second = f64::from(args.frames) / steady.elapsed().as_secs_f64();
    let steps = steps(captioner.model_mut(), frame, args.frames)?;
    let caption = captioner.caption(frame)?;
    Ok(Report {
        model: args.model.name(),
        kernels,
        caption: caption.text.as_str().into(),
        tokens: caption.tokens.len(),
        open_ms,
        first_caption_ms,
        frames: args.frames,
        frames_per_second,
        stages: stages(&latencies, steps),
        peak_memory_mb: memory::peak_mb(),
        compare: None,
    })
}

/// What most operators of the encoder compute with.
fn kernels(model: &Model) -> String {
    let operators = model.encoder.operators();
    operators.into_iter().next().map_or_else(String::new, |operator| operator.arithmetic)
}

fn steady_state(captioner: &mut Captioner, frame: &Frame, frames: u32) -> Result<Vec<Latency>> {
    (0..frames).map(|_| captioner.caption(frame).map(|caption| caption.latency)).collect()
}

/// Times of the decoder's graph alone, for all rows of the beam.
fn steps(model: &mut Model, frame: &Frame, frames: u32) -> Result<Vec<Duration>> {
    let pixels = pixels(model, frame);
    let features = model.encoder.run(&pixels)?;
    let mut step = || {
        let start = Instant::now();
        model.decoder.run_step(features).map(|()| start.elapsed())
    };
    (0..frames).map(|_| step()).collect()
}

/// What the encoder sees of a frame.
pub(super) fn pixels(model: &Model, frame: &Frame) -> Vec<f32> {
    let mut pixels = vec![0.0; model.preprocessor.output_len()];
    model.preprocessor.run(frame, &mut model.preprocessor.buffers(), &mut pixels);
    pixels
}

fn stages(latencies: &[Latency], steps: Vec<Duration>) -> Vec<Stage> {
    let of = |stage, time: fn(&Latency) -> Duration| Stage::of(stage, latencies.iter().map(time));
    vec![
        of("preprocess", |latency| latency.preprocess),
        of("encode", |latency| latency.encode),
        of("decode", |latency| latency.decode),
        of("total", Latency::total),
        Stage::of("step", steps),
    ]
}

impl Stage {
    fn of(stage: &'static str, times: impl IntoIterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.into_iter().map(milliseconds).collect();
        let mut percentile = |percent| percentile(&mut times, percent);
        Self { stage, p50_ms: percentile(50), p90_ms: percentile(90), p99_ms: percentile(99), max_ms: percentile(100) }
    }
}

/// The least of `times` that so many percent do not exceed.
pub(super) fn percentile(times: &mut [f64], percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times[(times.len() - 1) * percent / 100]
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    1e3 * duration.as_secs_f64()
}

impl Report {
    fn json(&self) -> String {
        let mut line = serde_json::to_string(self).expect("numbers and strings have a JSON form");
        line.push('\n');
        line
    }

    fn table(&self) -> String {
        let mut table = format!("model          {}\n", self.model);
        let _ = writeln!(table, "caption        {} ({} tokens)", self.caption, self.tokens);
        let _ = writeln!(table, "kernels        {}", self.kernels);
        let _ = writeln!(table, "open           {:.1} ms", self.open_ms);
        let _ = writeln!(table, "first caption  {:.1} ms after the start", self.first_caption_ms);
        let _ =
            writeln!(table, "steady state   {:.1} frames a second over {} frames", self.frames_per_second, self.frames);
        if let Some(peak) = self.peak_memory_mb {
            let _ = writeln!(table, "peak memory    {peak:.1} MB resident");
        }
        let _ = writeln!(table, "\n{:<12}{:>9}{:>9}{:>9}{:>9}", "stage, ms", "p50", "p90", "p99", "max");
        for Stage { stage, p50_ms, p90_ms, p99_ms, max_ms } in &self.stages {
            let _ = writeln!(table, "{stage:<12}{p50_ms:>9.3}{p90_ms:>9.3}{p99_ms:>9.3}{max_ms:>9.3}");
        }
        table + &self.compare.as_ref().map(Comparison::table).unwrap_or_default()
    }
}
