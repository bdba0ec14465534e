//! `bench --compare` against a `python3` of the test's own, which answers as the script inside the program does.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{fixture, folder, is_left_out_under_emulator, scenescribe_with_path, stderr, stdout};

/// A folder with a `python3` that runs `script` in a shell.
fn python(script: &str) -> TempDir {
    let folder = folder();
    let path = folder.path().join("python3");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("the temporary folder can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the file is the test's own");
    folder
}

fn compare(path: &TempDir, options: &[&str]) -> std::process::Output {
    let mut arguments = vec!["bench", "--frames", "2", "--compare", "onnxruntime"];
    arguments.extend(options);
    scenescribe_with_path(&arguments, path.path())
}

#[test]
fn an_engine_is_measured_in_turns_on_the_same_threads_and_rows() {
    let record = folder();
    let orders = record.path().join("arguments");
    let script = format!(
        r#"shift 2; for word; do echo "$word"; done > {}
        echo '{{"version": "9.8.7"}}'
        while read -r line; do echo '{{"encode_ms": 1e6, "step_ms": 2e6}}'; done"#,
        orders.display()
    );
    let tiny = fixture("tiny");
    let options = ["--json", "--threads", "1", "--beam", "2", "--model", tiny.to_str().unwrap()];
    let output = compare(&python(&script), &options);
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_str(stdout(&output)).unwrap();
    let compare = &report["compare"];
    assert_eq!(compare["engine"], "onnxruntime 9.8.7");
    assert_eq!((&compare["encode"]["theirs_ms"], &compare["step"]["theirs_ms"]), (&1e6.into(), &2e6.into()));
    for part in ["encode", "step"] {
        let ratio = compare[part]["ratio"].as_f64().unwrap();
        assert!(0.0 < ratio && ratio < 1.0, "{part}: {ratio}");
    }
    let told = fs::read_to_string(orders).unwrap();
    let told: Vec<_> = told.lines().map(str::to_owned).collect();
    let graph = |name| tiny.join(name).display().to_string();
    assert_eq!(told[..2], [graph("encoder_model_quantized.onnx"), graph("decoder_model_quantized.onnx")]);
    assert_eq!(told[2..6], ["--threads", "1", "--rows", "2"]);
}

#[test]
fn the_model_inside_the_program_is_lent_as_files() {
    if is_left_out_under_emulator(
        "bench --compare with the model inside the program: its 140 runs take a quarter of an hour",
    ) {
        return;
    }
    let script = r#"[ -s "$3" ] && [ -s "$4" ] && echo '{"version": "1"}'
        while read -r line; do echo '{"encode_ms": 1e6, "step_ms": 1e6}'; done"#;
    let output = compare(&python(script), &["--threads", "1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("onnxruntime 1"), "{}", stdout(&output));
}

#[test]
fn a_missing_engine_is_a_failure_that_says_what_to_install() {
    let tiny = fixture("tiny");
    for (path, problem) in [(folder(), "cannot start python3"), (python("exit 1"), "no answer from ONNX Runtime")] {
        let output = compare(&path, &["--model", tiny.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let message = stderr(&output);
        assert!(message.contains(problem) && message.contains("pip install onnxruntime"), "{message}");
        assert_eq!(stdout(&output), "");
    }
}
