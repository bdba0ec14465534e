//! The tiny model with edits in its graphs and settings: opened, and where it opens, a caption made.
//!
//! The first byte chooses graphs and threads; then come edits, in pieces (see `Input::pieces`). The high bit of a piece's
//! kind says which graph.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use prost::Message;
use scenescribe::{Captioner, Options, Precision, TestPattern};
use scenescribe_fuzz::protobuf::edit;
use scenescribe_fuzz::{Input, scratch, start, tiny_model, within};
use tempfile::TempDir;
use tract_onnx::pb::ModelProto;

/// What the library lets a graph of a few kilobytes take while it is opened, and as much for running it.
const BUDGET: usize = 128 << 20;

const SETTINGS: [&str; 4] = ["config.json", "preprocessor_config.json", "generation_config.json", "tokenizer.json"];

/// Pieces from this kind on change bytes of files, below it they change the graph.
const BYTES: u8 = 32;

static FOLDER: LazyLock<TempDir> = LazyLock::new(scratch);
static MODEL: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(tiny_model);
static GRAPHS: LazyLock<Vec<(String, ModelProto)>> = LazyLock::new(|| {
    let graphs = MODEL.iter().filter(|(name, _)| name.ends_with(".onnx"));
    graphs.map(|(name, file)| (name.clone(), ModelProto::decode(&file[..]).expect("the tiny model is valid"))).collect()
});

fuzz_target!(init: start(), |input: &[u8]| {
    LazyLock::force(&GRAPHS);
    let mut input = Input(input);
    let flags = input.byte();
    let precision = if flags & 1 == 0 { Precision::Int8 } else { Precision::Float };
    write_edited(precision, input);
    let options =
        Options { precision: Some(precision), threads: Some(1 + usize::from(flags >> 1 & 1)), ..Options::default() };
    within(BUDGET, || caption(&options));
});

fn caption(options: &Options) {
    match Captioner::open(FOLDER.path(), options) {
        Ok(mut captioner) => {
            let picture = TestPattern::new(40, 30);
            for _ in 0..2 {
                if let Ok(caption) = captioner.caption(&picture.frame()) {
                    assert!(caption.text.len() <= scenescribe::limits::MAX_CAPTION_BYTES);
                }
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Puts the files into the folder, each with its edits.
fn write_edited(precision: Precision, input: Input) {
    let ending = if precision == Precision::Int8 { "_model_quantized.onnx" } else { "_model.onnx" };
    let graph = |name: &str| format!("{name}{ending}");
    let names = [graph("encoder"), graph("decoder")];
    let mut graphs: [Option<ModelProto>; 2] = [None, None];
    let mut bytes: Vec<(String, usize, u8, &[u8])> = vec![];
    for (kind, content) in input.pieces().take(16) {
        let which = usize::from(kind >> 7);
        let kind = kind & 0x7F;
        if kind < BYTES {
            edit(graphs[which].get_or_insert_with(|| original(&names[which])), kind, Input(content));
            continue;
        }
        let mut content = Input(content);
        let (name, at) = match kind & 7 {
            0..4 => (SETTINGS[usize::from(kind & 3)].to_owned(), usize::from(content.number())),
            _ => (names[which].clone(), usize::from(content.number())),
        };
        bytes.push((name, at, content.byte(), content.0));
    }
    for name in SETTINGS.iter().copied().chain(names.iter().map(String::as_str)) {
        let edited = names.iter().zip(&graphs).find(|(of, _)| *of == name).and_then(|(_, graph)| graph.as_ref());
        let mut file = edited.map_or_else(|| file(name), Message::encode_to_vec);
        for (_, at, removed, new) in bytes.iter().filter(|(of, ..)| of == name) {
            let at = (*at).min(file.len());
            let end = if *removed == 255 { file.len() } else { (at + usize::from(*removed)).min(file.len()) };
            file.splice(at..end, new.iter().copied());
        }
        fs::write(FOLDER.path().join(name), file).expect("the scratch folder can be written to");
    }
}

fn original(name: &str) -> ModelProto {
    GRAPHS.iter().find(|(of, _)| of == name).map(|(_, graph)| graph.clone()).unwrap_or_default()
}

fn file(name: &str) -> Vec<u8> {
    MODEL.iter().find(|(of, _)| of == name).map(|(_, file)| file.clone()).unwrap_or_default()
}
