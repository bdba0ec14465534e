//! Each stage against Pillow and ONNX Runtime on the same pixels and graphs; `scripts/make_parity_goldens.py` makes the
//! goldens.

use std::fs;

use scenescribe::{Frame, Hypothesis, Model, Options, PictureReader, Precision};
use serde_json::Value;

use crate::support::*;

fn model(folder: &std::path::Path, precision: Precision, beam: usize) -> Model {
    let options = Options { precision: Some(precision), beam: Some(beam), ..Options::default() };
    Model::open(folder, &options).unwrap()
}

fn preprocess(model: &Model, frame: &Frame) -> Vec<f32> {
    let mut pixels = vec![0.0; model.preprocessor.output_len()];
    model.preprocessor.run(frame, &mut model.preprocessor.buffers(), &mut pixels);
    pixels
}

#[test]
fn pictures_are_resized_as_pillow_does_bit_for_bit() {
    for filter in ["1", "2", "3"] {
        let folder = tiny_model();
        let path = folder.path().join("preprocessor_config.json");
        let config = fs::read_to_string(&path).unwrap();
        fs::write(&path, config.replace("\"resample\": 2", &format!("\"resample\": {filter}"))).unwrap();
        let model = model(folder.path(), Precision::Int8, 1);
        let (mut ours, mut pillows) = (PictureReader::new(), PictureReader::new());
        let ours = ours.read(&fixture("parity/picture.png")).unwrap();
        let pillows = pillows.read(&fixture(&format!("parity/resized_{filter}.png"))).unwrap();
        assert_eq!((pillows.width(), pillows.height()), (32, 32));
        assert_eq!(preprocess(&model, &ours), preprocess(&model, &pillows), "resample {filter}");
    }
}

#[test]
fn graphs_give_what_onnx_runtime_gives() {
    let goldens = fs::read_to_string(fixture("parity/outputs.json")).unwrap();
    let goldens: Value = serde_json::from_str(&goldens).unwrap();
    // Sums in another order move a float graph by single bits. In the int8 graph such a bit can tip a value at the edge
    // between two of the 256 steps over, and each tipped value moves what follows by a fraction of a step.
    for (name, precision, tolerance) in [("float", Precision::Float, 1e-4), ("int8", Precision::Int8, 0.05)] {
        for beam in [1, 3] {
            let mut model = model(&fixture("tiny"), precision, beam);
            let mut reader = PictureReader::new();
            let pixels = preprocess(&model, &reader.read(&fixture("parity/picture.png")).unwrap());
            let features = model.encoder.run(&pixels).unwrap();
            for (output, golden) in goldens[name]["encoder"].as_object().unwrap() {
                let (_, ours) = features.get(output).unwrap();
                assert_close(ours, golden, tolerance, &format!("{name} {output}"));
            }
            let mut best = Hypothesis::default();
            model.decoder.run(features, &mut best).unwrap();
            let golden = &goldens[name]["captions"][beam.to_string()];
            let tokens: Vec<u32> = serde_json::from_value(golden["tokens"].clone()).unwrap();
            assert_eq!(best.tokens.as_slice(), tokens, "{name}, beam {beam}");
            assert_close(&[best.log_probability], &vec![golden["log_probability"].clone()].into(), tolerance, name);
        }
    }
}

fn assert_close(ours: &[f32], golden: &Value, tolerance: f64, what: &str) {
    let golden: Vec<f64> = serde_json::from_value(golden.clone()).unwrap();
    assert_eq!(ours.len(), golden.len(), "{what}");
    let worst = ours.iter().zip(&golden).map(|(ours, golden)| (f64::from(*ours) - golden).abs()).fold(0.0, f64::max);
    assert!(worst <= tolerance, "{what}: off by {worst}");
}

#[test]
fn a_cache_that_grows_gives_what_onnx_runtime_gives() {
    let golden: Value = serde_json::from_slice(&fs::read(fixture("cache/golden.json")).unwrap()).unwrap();
    let tokens: Vec<u32> = serde_json::from_value(golden["tokens"].clone()).unwrap();
    for beam in [1, 3] {
        let mut model = model(&fixture("cache"), Precision::Float, beam);
        let pixels = vec![0.25; model.preprocessor.output_len()];
        let mut best = Hypothesis::default();
        // The second picture starts from an empty cache again.
        for picture in 0..2 {
            let features = model.encoder.run(&pixels).unwrap();
            model.decoder.run(features, &mut best).unwrap();
            assert_eq!((best.tokens.len(), best.has_ended), (tokens.len(), false), "picture {picture}");
            let log_probability = golden["log_probability"].as_f64().unwrap();
            if beam == 1 {
                assert_eq!(best.tokens.as_slice(), tokens, "picture {picture}");
                assert_close(&[best.log_probability], &vec![log_probability].into(), 1e-3, "cache");
            } else {
                assert!(f64::from(best.log_probability) >= log_probability - 1e-3, "a beam finds no worse caption");
            }
        }
    }
}
