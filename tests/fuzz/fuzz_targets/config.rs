//! Any bytes as each JSON file of a model folder; what parses is used.
//!
//! The first byte chooses the file, the second how many tokens a vocabulary is said to have.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use scenescribe::limits::{MAX_BEAM, MAX_CAPTION_BYTES, MAX_TOKENS, MAX_VOCABULARY};
use scenescribe::{Frame, GenerationSpec, ModelSpec, PreprocessSpec, Preprocessor, Text, Token, Vocabulary};
use scenescribe_fuzz::{Input, start, within};

/// The largest input of an encoder, 12 MiB, with the resize's buffers; or a vocabulary of the most tokens.
const BUDGET: usize = 48 << 20;

fuzz_target!(init: start(), |input: &[u8]| {
    let mut input = Input(input);
    let [file, vocabulary] = std::array::from_fn(|_| input.byte());
    within(BUDGET, || match file & 3 {
        0 => preprocessor_config(input.0),
        1 => generation_config(input.0, vocabulary.into()),
        2 => drop(ModelSpec::parse(Path::new("config.json"), input.0, vocabulary.into())),
        _ => tokenizer(input.0),
    });
});

fn preprocessor_config(json: &[u8]) {
    let Ok(spec) = PreprocessSpec::parse(Path::new("preprocessor_config.json"), json) else { return };
    let preprocessor = Preprocessor::new(spec);
    let (mut buffers, mut pixels) = (preprocessor.buffers(), vec![0.0; preprocessor.output_len()]);
    for (width, height) in [(3, 2), (1, 999), (40, 30)] {
        let rgb = vec![77; 3 * width * height];
        let frame = Frame::new(width as u32, height as u32, &rgb).expect("the size is right");
        preprocessor.run(&frame, &mut buffers, &mut pixels);
    }
}

fn generation_config(json: &[u8], vocabulary: usize) {
    let Ok(rules) = GenerationSpec::parse(Path::new("generation_config.json"), json, vocabulary) else { return };
    assert!((1..=MAX_TOKENS).contains(&rules.max_tokens) && (1..=MAX_BEAM).contains(&rules.beam));
    assert!(rules.end.iter().chain(&rules.suppressed).chain([&rules.start]).all(|id| (*id as usize) < vocabulary));
}

fn tokenizer(json: &[u8]) {
    let Ok(vocabulary) = Vocabulary::parse(Path::new("tokenizer.json"), json) else { return };
    assert!((1..=MAX_VOCABULARY).contains(&vocabulary.len()));
    let mut text = Text::new();
    let tokens: Vec<Token> = (0..vocabulary.len().min(2 * MAX_TOKENS) as Token).collect();
    for tokens in tokens.chunks(MAX_TOKENS) {
        for has_ended in [false, true] {
            let is_cut = vocabulary.write_text(tokens, has_ended, &mut text);
            assert!(text.len() <= MAX_CAPTION_BYTES && (is_cut || has_ended));
        }
    }
}
