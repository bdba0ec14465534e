//! `stage MODEL encoder|step|search BEAM TIMES`: runs one stage of a model that many times, on one thread.
//!
//! `encoder` looks at a made-up picture, `step` runs the decoder's graph once, `search` writes a whole caption. Prints
//! what computes the graphs, and the tokens of the caption. `scripts/bench-arm.sh` counts its instructions.

use std::collections::BTreeSet;
use std::error::Error;

use scenescribe::{Hypothesis, Model, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, stage, beam, times] = arguments.as_slice() else {
        return Err("usage: stage MODEL encoder|step|search BEAM TIMES".into());
    };
    let options = Options { beam: Some(beam.parse()?), threads: Some(1), ..Options::default() };
    let Model { preprocessor, mut encoder, mut decoder, .. } = Model::open(folder, &options)?;
    let operators = [encoder.operators(), decoder.operators()].concat();
    let arithmetics: BTreeSet<_> = operators.into_iter().map(|operator| operator.arithmetic).collect();
    let pixels: Vec<f32> = (0..preprocessor.output_len()).map(|i| (i * 7919 % 255) as f32 / 128.0 - 1.0).collect();
    let mut best = Hypothesis::default();
    let times: usize = times.parse()?;
    let (looks, words) = if stage == "encoder" { (times, 0) } else { (1, times) };
    for _ in 1..looks {
        encoder.run(&pixels)?;
    }
    let features = encoder.run(&pixels)?;
    for _ in 0..words {
        match stage.as_str() {
            "step" => drop(decoder.run_timed(features)?),
            "search" => decoder.run(features, &mut best)?,
            other => return Err(format!("no stage `{other}`").into()),
        }
    }
    println!("arithmetic {arithmetics:?} tokens {:?}", best.tokens);
    Ok(())
}
