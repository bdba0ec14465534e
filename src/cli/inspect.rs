//! `scenescribe inspect`: what a model is, and what it needs.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use scenescribe::{MemoryNeed, MemoryPool, OperatorCount, Port, Result, TestPattern};

use super::model_args::ModelArgs;
use super::{fingerprint, memory, print_report};

/// Show a model's inputs, outputs, sizes, operators and memory
#[derive(clap::Args)]
pub struct Args {
    /// Instead, print for each picture a hash of the encoder's output, and the caption's tokens: equal on every CPU
    #[arg(long, value_name = "PHOTO", num_args = 1..)]
    fingerprint: Vec<PathBuf>,

    #[command(flatten)]
    model: ModelArgs,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    print_report(match args.fingerprint.as_slice() {
        [] if args.model.verify => checksums(&args.model),
        [] => report(&args.model),
        photos => args.model.captioner().and_then(|mut captioner| fingerprint::lines(&mut captioner, photos)),
    })
}

/// The files of the model with their hashes, which are those listed.
fn checksums(args: &ModelArgs) -> Result<String> {
    let checks = args.verify()?;
    Ok(checks.iter().map(|check| format!("{}  {}: {}\n", check.sha256, check.name, check.state.words())).collect())
}

fn report(args: &ModelArgs) -> Result<String> {
    let mut captioner = args.captioner()?;
    let model = captioner.model();
    let mut report = format!("model       {}, {}\n", args.name(), model.spec.model_type);
    let [height, width] = model.preprocessor.spec().input;
    let _ = writeln!(report, "input       {width} x {height} pixels, {:?}", model.preprocessor.spec().resize);
    let rules = model.decoder.rules();
    let (beam, max_tokens) = (rules.beam, rules.max_tokens);
    let _ = writeln!(report, "vocabulary  {} tokens", model.vocabulary.len());
    let _ = writeln!(report, "search      beam {beam}, at most {max_tokens} tokens");
    let (encoder, decoder) = (&model.encoder, &model.decoder);
    describe(&mut report, "encoder", encoder.file_len(), [encoder.inputs(), encoder.outputs()], &encoder.operators());
    describe(&mut report, "decoder", decoder.file_len(), [decoder.inputs(), decoder.outputs()], &decoder.operators());
    let pattern = TestPattern::new(640, 480);
    let caption = captioner.caption(&pattern.frame())?;
    let latency = caption.latency;
    let _ = writeln!(
        report,
        "first frame {:.1?} (preprocess {:.1?}, encode {:.1?}, decode {:.1?} for {} tokens)",
        latency.total(),
        latency.preprocess,
        latency.encode,
        latency.decode,
        caption.tokens.len()
    );
    let peak = memory::peak_mb().map_or_else(|| "not told by this system".into(), |mb| format!("{mb:.1} MB resident"));
    let _ = writeln!(report, "peak memory {peak}");
    describe_memory(&mut report, &captioner.model().memory_need);
    Ok(report)
}

fn describe_memory(report: &mut String, need: &MemoryNeed) {
    let mb = |bytes: usize| bytes as f64 / 1e6;
    let MemoryNeed { weights, activations, caches, other, loading } = *need;
    let _ = writeln!(report, "needs       {:.2} MB with a picture of 640 x 480 pixels", mb(need.total()));
    for (name, bytes) in
        [("weights", weights), ("activations", activations), ("caches", caches), ("other", other), ("loading", loading)]
    {
        let _ = writeln!(report, "  {name:<12}{:>6.2} MB", mb(bytes));
    }
    let _ = writeln!(report, "used        {:.2} MB at most", mb(MemoryPool::peak()));
    if let Some([program, own]) = memory::resident_mb() {
        let _ = writeln!(report, "resident    {program:.2} MB of the program's file, {own:.2} MB of its own, now");
    }
}

fn describe(
    report: &mut String,
    name: &str,
    bytes: usize,
    [inputs, outputs]: [&[Port]; 2],
    operators: &[OperatorCount],
) {
    let _ = writeln!(report, "{name:<11} {:.2} MB", bytes as f64 / 1e6);
    for (way, ports) in [("in", inputs), ("out", outputs)] {
        for port in ports {
            let _ = writeln!(report, "  {way:<4}{:<28} {:?} {}", port.name, port.element, shape(port));
        }
    }
    let is_int8 = |operator: &&OperatorCount| operator.arithmetic.contains('8');
    let (int8, float): (Vec<_>, Vec<_>) = operators.iter().partition(is_int8);
    let _ = writeln!(report, "  int8  {}", counts(&int8));
    let _ = writeln!(report, "  other {}", counts(&float));
}

fn shape(port: &Port) -> String {
    let dims = port.dims.iter().map(|dim| dim.map_or_else(|| "?".into(), |len| len.to_string()));
    format!("[{}]", dims.collect::<Vec<_>>().join(", "))
}

fn counts(operators: &[&OperatorCount]) -> String {
    if operators.is_empty() {
        return "none".into();
    }
    let count = |kind: &&OperatorCount| format!("{} {} ({})", kind.count, kind.operator, kind.arithmetic);
    operators.iter().map(count).collect::<Vec<_>>().join(", ")
}
