//! A graph that panics inside the engine on some pictures: an error for these, and the others are captioned as ever. Memory
//! that runs out inside it: words and an exit code. Both also where backtraces are asked for.

use std::fs;
use std::process::{Output, Stdio};

use image::{ImageFormat, RgbImage};
use tempfile::TempDir;

use crate::support::*;

/// What the engine's panic says.
const PANIC: &str = "index out of bounds";

/// The tiny model with an encoder that panics on pictures with white in them.
fn model_that_panics() -> TempDir {
    let model = tiny_model();
    for kind in ["encoder", "decoder"] {
        fs::remove_file(model.path().join(format!("{kind}_model_quantized.onnx"))).unwrap();
    }
    fs::copy(fixture("failing/encoder_model.onnx"), model.path().join("encoder_model.onnx")).unwrap();
    model
}

/// Two good pictures around a white one.
fn pictures(folder: &TempDir) -> [String; 3] {
    let white = RgbImage::from_pixel(64, 64, image::Rgb([255; 3]));
    [("1.png", &square(64)), ("2.png", &white), ("3.png", &square(64))]
        .map(|(name, picture)| file(folder, name, &encoded(picture, ImageFormat::Png)).display().to_string())
}

fn run(arguments: &[&str], backtrace: &str) -> Output {
    program().args(arguments).env("RUST_BACKTRACE", backtrace).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_panic_of_the_engine_is_an_error_for_one_picture() {
    let (model, folder) = (model_that_panics(), folder());
    let model = model.path().display().to_string();
    let [first, white, last] = pictures(&folder);
    let undisturbed = run(&["caption", "--model", &model, &first], "0");
    assert!(undisturbed.status.success(), "{}", stderr(&undisturbed));
    for (options, backtrace) in
        [(&[][..], "0"), (&[], "full"), (&["--memory", "16M"], "0"), (&["--memory", "16M"], "full")]
    {
        let arguments = [&["caption", "--model", &model, &first, &white, &last][..], options].concat();
        let output = run(&arguments, backtrace);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let captions: Vec<&str> = stdout(&output).lines().filter_map(|line| line.split('\t').nth(1)).collect();
        assert_eq!(captions, [stdout(&undisturbed).trim_end(); 2], "{}", stderr(&output));
        let said = stderr(&output);
        assert!(said.lines().count() == 1 && said.contains(PANIC) && said.contains("encoder_model.onnx"), "{said}");
    }
}

#[test]
fn a_panic_of_the_engine_is_a_record_of_annotate() {
    let (model, folder) = (model_that_panics(), folder());
    let model = model.path().display().to_string();
    let [first, white, last] = pictures(&folder);
    let output = run(&["annotate", "--model", &model, "--jsonl", "-", &first, &white, &last], "1");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let records: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 3, "{}", stderr(&output));
    assert!(records[1]["error"].as_str().unwrap().contains(PANIC), "{}", records[1]);
    assert!(records[0]["caption"].is_string());
    assert_eq!(records[0]["caption"], records[2]["caption"]);
}

#[test]
fn memory_that_runs_out_while_the_model_is_opened_is_said_whatever_the_backtraces() {
    for backtrace in ["0", "1", "full"] {
        // Enough by the estimate that a model is admitted by, and too little for the gaps between blocks.
        let output = run(&["inspect", "--threads", "1", "--memory", "12M"], backtrace);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        let said = stderr(&output);
        assert!(
            said.contains("out of memory") && said.contains("while opening") && said.lines().count() == 1,
            "{said}"
        );
    }
}
