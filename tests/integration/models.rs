//! Model folders that are not as they should be: a message that names the file, exit code 1, no panic.

use std::fs;
use std::path::Path;

use image::ImageFormat;
use tempfile::TempDir;

use crate::support::*;

/// What `caption` says when it is given this model.
fn complaint(model: &TempDir) -> String {
    let photo = file(model, "photo.png", &encoded(&square(32), ImageFormat::Png));
    let model = model.path().display().to_string();
    let output = scenescribe(&["caption", "--model", &model, &photo.display().to_string()]);
    assert_eq!(output.status.code(), Some(1), "{}{}", stdout(&output), stderr(&output));
    assert_eq!(stdout(&output), "");
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    stderr(&output).into()
}

fn edit(model: &TempDir, name: &str, from: &str, to: &str) {
    let path = model.path().join(name);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{name} has no {from}");
    fs::write(path, text.replace(from, to)).unwrap();
}

/// Both graphs of a kind, so that no whole one is left to be chosen.
fn graphs(model: &TempDir, kind: &str) -> Vec<std::path::PathBuf> {
    [format!("{kind}_model.onnx"), format!("{kind}_model_quantized.onnx")].map(|name| model.path().join(name)).into()
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let photo = fixture("pictures/cmyk.jpg").display().to_string();
    let output = scenescribe(&["caption", "--model", "/no/such/model", &photo]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/no/such/model"), "{}", stderr(&output));
}

#[test]
fn each_missing_file_is_named() {
    for name in ["config.json", "preprocessor_config.json", "generation_config.json", "tokenizer.json"] {
        let model = tiny_model();
        fs::remove_file(model.path().join(name)).unwrap();
        assert!(complaint(&model).contains(name));
    }
    for kind in ["encoder", "decoder"] {
        let model = tiny_model();
        graphs(&model, kind).iter().for_each(|graph| fs::remove_file(graph).unwrap());
        assert!(complaint(&model).contains(&format!("{kind}_model")));
    }
}

#[test]
fn float_graphs_serve_where_there_are_no_int8_ones() {
    let model = tiny_model();
    for kind in ["encoder", "decoder"] {
        fs::remove_file(model.path().join(format!("{kind}_model_quantized.onnx"))).unwrap();
    }
    let photo = file(&model, "photo.png", &encoded(&square(64), ImageFormat::Png));
    let output = scenescribe(&["caption".as_ref(), "--model".as_ref(), model.path(), photo.as_path()]);
    assert!(stdout(&output).starts_with("a large red square"), "{}", stderr(&output));
}

#[test]
fn json_that_does_not_parse_is_named_with_its_place() {
    for name in ["config.json", "preprocessor_config.json", "generation_config.json", "tokenizer.json"] {
        let model = tiny_model();
        fs::write(model.path().join(name), b"{\n  \"size\": \n").unwrap();
        let complaint = complaint(&model);
        assert!(complaint.contains(name) && complaint.contains("line "), "{complaint}");
    }
}

#[test]
fn settings_out_of_range_are_named() {
    let cases = [
        ("config.json", "\"vocabulary_size\": 39", "\"vocabulary_size\": 40", "vocab_size is 40"),
        ("preprocessor_config.json", "\"height\": 32", "\"height\": 0", "size is 0"),
        ("preprocessor_config.json", "\"resample\": 2", "\"resample\": 7", "resample is 7"),
        ("generation_config.json", "\"eos_token_id\": 2", "\"eos_token_id\": 999999", "token id is 999999"),
        ("generation_config.json", "\"max_new_tokens\": 12", "\"max_new_tokens\": 0", "max_new_tokens is 0"),
    ];
    for (name, from, to, expected) in cases {
        let model = tiny_model();
        edit(&model, name, from, to);
        let complaint = complaint(&model);
        assert!(complaint.contains(name) && complaint.contains(expected), "{complaint}");
    }
}

#[test]
fn an_encoder_of_another_input_size_is_refused() {
    let model = tiny_model();
    edit(&model, "preprocessor_config.json", "32", "48");
    let complaint = complaint(&model);
    assert!(complaint.contains("encoder_model") && complaint.contains("pixel_values"), "{complaint}");
}

#[test]
fn a_vocabulary_that_does_not_fit_is_refused() {
    let model = tiny_model();
    edit(&model, "tokenizer.json", "\"vocab\": {", "\"vocab\": {\"surplus\": 999, ");
    let complaint = complaint(&model);
    assert!(complaint.contains("tokenizer.json") && complaint.contains("1000 tokens"), "{complaint}");
}

#[test]
fn graphs_with_the_wrong_inputs_are_refused() {
    let model = tiny_model();
    for (encoder, decoder) in graphs(&model, "encoder").iter().zip(graphs(&model, "decoder")) {
        fs::copy(&decoder, encoder).unwrap();
    }
    assert!(complaint(&model).contains("pixel_values must be the only input"));

    let model = tiny_model();
    for (encoder, decoder) in graphs(&model, "encoder").iter().zip(graphs(&model, "decoder")) {
        fs::copy(encoder, &decoder).unwrap();
    }
    assert!(complaint(&model).contains("decoder_model"));
}

#[test]
fn graphs_that_are_no_onnx_are_refused() {
    for bytes in [&b""[..], b"not a graph", &[0xFF; 300], &[0; 300]] {
        let model = tiny_model();
        graphs(&model, "encoder").iter().for_each(|graph| fs::write(graph, bytes).unwrap());
        assert!(complaint(&model).contains("encoder_model"));
    }
}

#[test]
fn graphs_cut_anywhere_are_refused() {
    for kind in ["encoder", "decoder"] {
        let whole = fs::read(fixture("tiny").join(format!("{kind}_model_quantized.onnx"))).unwrap();
        for part in [1, 3, 5, 7, 9] {
            let model = tiny_model();
            let cut = &whole[..whole.len() * part / 10];
            graphs(&model, kind).iter().for_each(|graph| fs::write(graph, cut).unwrap());
            assert!(complaint(&model).contains(&format!("{kind}_model")));
        }
    }
}

#[test]
fn a_damaged_graph_never_panics() {
    let photo = fixture("pictures/cmyk.jpg");
    for kind in ["encoder", "decoder"] {
        let name = format!("{kind}_model_quantized.onnx");
        let whole = fs::read(fixture("tiny").join(&name)).unwrap();
        for seed in 0..20usize {
            let model = tiny_model();
            let mut damaged = whole.clone();
            let place = (seed * 7919 + 13) % damaged.len();
            damaged[place] ^= 1 << (seed % 8);
            fs::write(model.path().join(&name), &damaged).unwrap();
            let arguments: [&Path; 4] = ["caption".as_ref(), "--model".as_ref(), model.path(), &photo];
            let output = scenescribe(&arguments);
            assert!(matches!(output.status.code(), Some(0 | 1)), "{kind} {seed}: {}", stderr(&output));
            assert!(!stderr(&output).contains("panicked"), "{kind} {seed}: {}", stderr(&output));
        }
    }
}

/// What `inspect --verify` and `caption --verify` say of a model that is not as listed.
fn mismatch(model: &TempDir, code: i32) -> String {
    let path = model.path().display().to_string();
    let photo = fixture("pictures/cmyk.jpg").display().to_string();
    let inspected = scenescribe(&["inspect", "--verify", "--model", &path]);
    let captioned = scenescribe(&["caption", "--verify", "--model", &path, &photo]);
    for output in [&inspected, &captioned] {
        assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
        assert_eq!(output.stdout.is_empty(), code != 0, "{}", stdout(output));
    }
    assert_eq!(stderr(&inspected), stderr(&captioned));
    stderr(&inspected).into()
}

#[test]
fn files_are_compared_with_their_checksums_on_request() {
    let model = tiny_model();
    assert_eq!(mismatch(&model, 0), "");
    let listed = scenescribe(&["inspect".as_ref(), "--verify".as_ref(), "--model".as_ref(), model.path()]);
    assert_eq!(stdout(&listed).lines().filter(|line| line.ends_with(": ok")).count(), 8, "{}", stdout(&listed));

    // A change that still loads.
    edit(&model, "config.json", "\n", "\n\n");
    let complaint = mismatch(&model, 1);
    assert!(complaint.contains("config.json") && complaint.contains("has changed"), "{complaint}");

    let model = tiny_model();
    fs::remove_file(model.path().join("encoder_model.onnx")).unwrap();
    let complaint = mismatch(&model, 1);
    assert!(complaint.contains("encoder_model.onnx") && complaint.contains("not there"), "{complaint}");

    let model = tiny_model();
    let list = fs::read_to_string(model.path().join("SHA256SUMS")).unwrap();
    let rest: Vec<&str> = list.lines().filter(|line| !line.ends_with("tokenizer.json")).collect();
    fs::write(model.path().join("SHA256SUMS"), rest.join("\n")).unwrap();
    let complaint = mismatch(&model, 1);
    assert!(complaint.contains("tokenizer.json") && complaint.contains("is not listed"), "{complaint}");

    for (content, expected) in [(&b"nonsense"[..], "line 1"), (&[0xFF; 100], "line 1")] {
        fs::write(model.path().join("SHA256SUMS"), content).unwrap();
        assert!(mismatch(&model, 1).contains(expected));
    }
    fs::remove_file(model.path().join("SHA256SUMS")).unwrap();
    assert!(mismatch(&model, 1).contains("SHA256SUMS"));
}

#[test]
fn the_model_inside_the_program_is_compared_with_the_list_inside_it() {
    let output = scenescribe(&["inspect", "--verify"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/default/SHA256SUMS");
    for line in fs::read_to_string(list).unwrap().lines() {
        assert!(stdout(&output).contains(&format!("{line}: ok")), "{line} is not in {}", stdout(&output));
    }
}

#[test]
fn the_other_models_are_what_their_lists_say_and_see_the_dog() {
    for name in ["models/small", "models/broad"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let (folder, photo) = (folder.display().to_string(), fixture("photos/dog.jpg").display().to_string());
        let output = scenescribe(&["caption", "--verify", "--model", &folder, &photo]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stdout(&output).contains("brown dog"), "{name}: {}", stdout(&output));
    }
}
