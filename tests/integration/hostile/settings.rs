//! Settings and vocabularies that are absurd or damaged, and models that never finish to open.

use std::fs;
use std::path::Path;

use super::*;

fn write(model: &TempDir, name: &str, from: &str, to: &str) {
    let path = model.path().join(name);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{name} has no {from}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn absurd_settings_are_named() {
    let (generation, preprocessor) = ("generation_config.json", "preprocessor_config.json");
    let mean = "\"image_mean\": [\n    0.4980392156862745";
    let std = "\"image_std\": [\n    0.5019607843137255";
    let cases = [
        (generation, "\"num_beams\": 3", "\"num_beams\": 1000000000", "num_beams"),
        (generation, "\"num_beams\": 3", "\"num_beams\": -1", "line 6"),
        (generation, "\"max_new_tokens\": 12", "\"max_new_tokens\": 0", "max_new_tokens"),
        (generation, "\"max_new_tokens\": 12", "\"max_new_tokens\": 1e9", "line 5"),
        (generation, "\"length_penalty\": 1.0", "\"length_penalty\": 1e30", "length_penalty"),
        (generation, "\"length_penalty\": 1.0", "\"length_penalty\": NaN", "line 7"),
        (generation, "\"eos_token_id\": 2", "\"eos_token_id\": 4294967295", "token id"),
        (generation, "\"eos_token_id\": 2", "\"eos_token_id\": -2", "generation_config"),
        (generation, "\"decoder_start_token_id\": 1", "\"decoder_start_token_id\": 39", "token id"),
        (preprocessor, "\"height\": 32", "\"height\": 0", "size"),
        (preprocessor, "\"height\": 32", "\"height\": 1000000000", "size"),
        (preprocessor, "\"height\": 32", "\"height\": -32", "preprocessor_config"),
        (preprocessor, "\"width\": 32", "\"width\": 1e9", "preprocessor_config"),
        (preprocessor, "0.00392156862745098", "1e38", "rescale_factor"),
        (preprocessor, "0.00392156862745098", "NaN", "line "),
        (preprocessor, mean, "\"image_mean\": [ 1e30", "image_mean"),
        (preprocessor, std, "\"image_std\": [ 0", "image_std"),
        (preprocessor, std, "\"image_std\": [ 1e-30", "image_std"),
        ("config.json", "\"vocabulary_size\": 39", "\"vocabulary_size\": 1000000000", "vocab_size"),
    ];
    for (name, from, to, expected) in cases {
        let model = tiny_model();
        write(&model, name, from, to);
        let complaint = complaint(&model, name);
        assert!(complaint.contains(expected), "{to}: {complaint}");
    }
    // Not absurd, only more than is ever told.
    let model = tiny_model();
    write(&model, generation, "\"max_new_tokens\": 12", "\"max_new_tokens\": 1000000000");
    assert!(assert_harmless(&model, "many tokens"));
}

#[test]
fn absurd_tokenizers_are_named() {
    let name = "tokenizer.json";
    let entries = |count: usize| (0..count).map(|i| format!("\"{i}\":{i}")).collect::<Vec<_>>().join(",");
    let level = |vocab: &str| format!("{{\"model\": {{\"type\": \"WordLevel\", \"vocab\": {{{vocab}}}}}}}");
    let unigram =
        |list: &str| format!("{{\"model\": {{\"vocab\": [{list}]}}, \"decoder\": {{\"type\": \"Metaspace\"}}}}");
    let cases = [
        (level(&entries(1_000_000)), "more than 131072 tokens"),
        (unigram(&vec!["[\"t\", 0.5]"; 1_000_000].join(",")), "more than 131072 tokens"),
        (level("\"a\": 4294967295"), "131072 tokens"),
        (level("\"a\": -1"), "line "),
        (level("\"a\": 0, \"b\": 0"), "two tokens of id 0"),
        (level("\"a\": 1e9"), "line "),
        (format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), "line "),
        (level(&format!("\"{}\": 38", "a".repeat(17 << 20))), "larger than"),
    ];
    for (json, expected) in cases {
        let model = tiny_model();
        fs::write(model.path().join(name), json).unwrap();
        let complaint = complaint(&model, name);
        assert!(complaint.contains(expected), "{complaint}");
    }
    // A long word is cut when it is told.
    let model = tiny_model();
    write(&model, name, "\"red\"", &format!("\"{}\"", "r".repeat(1 << 20)));
    assert!(assert_harmless(&model, "a word of a megabyte"));
}

#[test]
fn settings_with_flipped_bits_caption_or_are_refused() {
    let mut random = Random(99);
    for name in ["config.json", "preprocessor_config.json", "generation_config.json", "tokenizer.json"] {
        let model = tiny_model();
        let whole = fs::read(model.path().join(name)).unwrap();
        for trial in 0..trials(50) {
            let mut damaged = whole.clone();
            damaged[random.below(whole.len())] ^= 1 << random.below(8);
            fs::write(model.path().join(name), &damaged).unwrap();
            assert_harmless(&model, &format!("{name}, trial {trial}"));
        }
    }
}

/// A model one of whose files never comes: a FIFO that nobody writes to.
fn model_that_hangs(name: &str) -> TempDir {
    let model = tiny_model();
    let path = model.path().join(name);
    fs::remove_file(&path).unwrap();
    let mode = rustix::fs::Mode::from(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    model
}

#[test]
fn a_model_that_takes_too_long_to_open_is_given_up_with_its_name() {
    // Long enough to come to the file that hangs, which an emulator does slowly.
    let patience = if std::env::var_os("SCENESCRIBE_TEST_RUNNER").is_some() { "5" } else { "0.2" };
    for name in ["config.json", "tokenizer.json"] {
        let model = model_that_hangs(name);
        let path = model.path().display().to_string();
        let photo = fixture("pictures/cmyk.jpg").display().to_string();
        for arguments in [
            &["caption", &photo][..],
            &["annotate", &photo, "--jsonl", "-"],
            &["watch", "--input", "test-pattern"],
            &["inspect"],
            &["bench", &photo],
        ] {
            let output = scenescribe(&[arguments, &["--model", &path, "--load-timeout", patience]].concat());
            let complaint = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {complaint}");
            assert!(complaint.contains(name) && complaint.contains("--load-timeout"), "{arguments:?}: {complaint}");
            assert_eq!(complaint.lines().count(), 1, "{complaint}");
        }
    }
}

#[test]
fn the_model_inside_the_program_is_given_up_too_and_none_is_with_a_timeout_of_zero() {
    let photo = fixture("pictures/cmyk.jpg").display().to_string();
    let output = scenescribe(&["caption", "--load-timeout", "0.001", &photo]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("longer than 0.001 s"), "{}", stderr(&output));
    let output = caption_tiny(&[Path::new(&photo).into()], &["--load-timeout", "0"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = scenescribe(&["caption", "--load-timeout", "-1", &photo]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
