//! Models made to do harm: each is refused with the file's name and the reason, in time and within the memory given, or else
//! it captions. Nothing panics, aborts or hangs.
//!
//! All are made here, from the tiny model and from nodes put together.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use image::ImageFormat;
use prost::Message;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, type_proto,
};

use crate::support::*;

const ENCODER: &str = "encoder_model.onnx";

/// Longer than any of these takes on an emulated CPU.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// What the tiny model runs in many times over.
const MEMORY: &str = "64M";

const OUT_OF_MEMORY: i32 = 3;

/// A model of the float graphs, which are the simplest to change.
fn float_model() -> TempDir {
    let model = tiny_model();
    for kind in ["encoder", "decoder"] {
        fs::remove_file(model.path().join(format!("{kind}_model_quantized.onnx"))).unwrap();
    }
    model
}

/// Captions a picture with this model; fails if the program does not end.
fn caption(model: &TempDir, options: &[&str]) -> Output {
    let photo = file(model, "photo.png", &encoded(&square(32), ImageFormat::Png));
    let mut command = program();
    command.args(["caption", "--threads", "1", "--model"]).arg(model.path()).args(options).arg(photo);
    let child = command.stdin(Stdio::null()).spawn().unwrap();
    let pid = Pid::from_child(&child);
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || done.send(child.wait_with_output().unwrap()));
    is_done.recv_timeout(TIME_LIMIT).unwrap_or_else(|_| {
        kill_process(pid, Signal::KILL).unwrap();
        panic!("{} hangs: {}", model.path().display(), stderr(&is_done.recv().unwrap()));
    })
}

/// The one line that is said when the model is refused, with a pool of memory and without.
fn complaint(model: &TempDir, file: &str) -> String {
    let mut last = String::new();
    for options in [&["--memory", MEMORY][..], &[]] {
        let output = caption(model, options);
        let complaint = stderr(&output);
        let code = output.status.code();
        assert!(code == Some(1) || code == Some(OUT_OF_MEMORY), "{:?}: {complaint}", output.status);
        assert!(complaint.starts_with("scenescribe: error: ") && complaint.lines().count() == 1, "{complaint}");
        assert!(complaint.contains(file), "{file} is not named: {complaint}");
        assert_eq!(stdout(&output), "");
        last = complaint.into();
    }
    last
}

/// Whatever becomes of the model, it is a caption or an error.
fn assert_harmless(model: &TempDir, what: &str) -> bool {
    let output = caption(model, &["--memory", MEMORY]);
    let said = stderr(&output);
    assert!(matches!(output.status.code(), Some(0 | 1 | OUT_OF_MEMORY)), "{what}: {:?} {said}", output.status);
    assert!(!said.contains("panicked") && said.lines().count() <= 1, "{what}: {said}");
    output.status.success()
}

/// Pseudo-random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ mixed >> 31) % end as u64) as usize
    }
}

/// How many of the mutations to try: under an emulator each start takes long.
fn trials(count: usize) -> usize {
    if std::env::var_os("SCENESCRIBE_TEST_RUNNER").is_some() { count / 10 } else { count }
}

#[test]
fn graphs_with_flipped_bits_caption_or_are_refused() {
    for (seed, graph) in
        ["encoder_model_quantized.onnx", "decoder_model_quantized.onnx", "encoder_model.onnx", "decoder_model.onnx"]
            .into_iter()
            .enumerate()
    {
        let model = if graph.contains("quantized") { tiny_model() } else { float_model() };
        let whole = fs::read(model.path().join(graph)).unwrap();
        let mut random = Random(seed as u64);
        for trial in 0..trials(100) {
            let mut damaged = whole.clone();
            for _ in 0..=random.below(4) {
                // Every other time near the start, where structure is denser than weights.
                let end = if trial % 2 == 0 { damaged.len() } else { damaged.len().min(4096) };
                damaged[random.below(end)] ^= 1 << random.below(8);
            }
            fs::write(model.path().join(graph), &damaged).unwrap();
            assert_harmless(&model, &format!("{graph}, seed {seed}, trial {trial}"));
        }
    }
}

/// Changes numbers and names in the structure of a graph, leaving it valid protobuf.
fn mutate(graph: &mut GraphProto, random: &mut Random) {
    const NUMBERS: [i64; 9] = [0, 1, -1, 2, 7, 1 << 20, i64::MAX, i64::MIN, 4_294_967_296];
    let number = NUMBERS[random.below(NUMBERS.len())];
    let node = random.below(graph.node.len());
    let constant = random.below(graph.initializer.len());
    match random.below(8) {
        0 => {
            let from = random.below(graph.node.len());
            let name = graph.node[from].output[0].clone();
            let inputs = &mut graph.node[node].input;
            let at = random.below(inputs.len().max(1));
            inputs.get_mut(at).into_iter().for_each(|input| input.clone_from(&name));
        }
        1 => graph.node[node].op_type = graph.node[random.below(graph.node.len())].op_type.clone(),
        2 => drop(graph.node.remove(node)),
        3 => {
            for attribute in &mut graph.node[node].attribute {
                attribute.i = number;
                let at = random.below(attribute.ints.len().max(1));
                attribute.ints.get_mut(at).into_iter().for_each(|int| *int = number);
            }
        }
        4 => graph.node[node].attribute.clear(),
        5 => {
            let dims = &mut graph.initializer[constant].dims;
            let at = random.below(dims.len().max(1));
            dims.get_mut(at).into_iter().for_each(|dim| *dim = number);
        }
        6 => graph.initializer[constant].dims.reverse(),
        _ => {
            // Shapes and axes are constants too.
            let constant = &mut graph.initializer[constant];
            if constant.data_type == i32::from(DataType::Int64) {
                let at = random.below((constant.raw_data.len() / 8).max(1)) * 8;
                constant
                    .raw_data
                    .get_mut(at..at + 8)
                    .into_iter()
                    .for_each(|raw| raw.copy_from_slice(&number.to_le_bytes()));
            }
        }
    }
}

#[test]
fn graphs_with_another_structure_caption_or_are_refused() {
    for (seed, graph) in
        ["encoder_model_quantized.onnx", "decoder_model_quantized.onnx", "encoder_model.onnx", "decoder_model.onnx"]
            .into_iter()
            .enumerate()
    {
        let model = if graph.contains("quantized") { tiny_model() } else { float_model() };
        let whole = ModelProto::decode(&*fs::read(model.path().join(graph)).unwrap()).unwrap();
        let mut random = Random(1000 + seed as u64);
        for trial in 0..trials(100) {
            let mut damaged = whole.clone();
            for _ in 0..=random.below(2) {
                mutate(damaged.graph.as_mut().unwrap(), &mut random);
            }
            fs::write(model.path().join(graph), damaged.encode_to_vec()).unwrap();
            assert_harmless(&model, &format!("{graph}, seed {seed}, trial {trial}"));
        }
    }
}

#[test]
fn graphs_of_random_bytes_or_cut_anywhere_are_refused() {
    let model = float_model();
    let whole = fs::read(model.path().join(ENCODER)).unwrap();
    let mut random = Random(7);
    for trial in 0..trials(40) {
        let bytes: Vec<u8> = if trial % 2 == 0 {
            (0..random.below(3000)).map(|_| random.below(256) as u8).collect()
        } else {
            whole[..random.below(whole.len())].into()
        };
        fs::write(model.path().join(ENCODER), bytes).unwrap();
        complaint(&model, ENCODER);
    }
}

/// What is said of the tiny encoder after `change`.
fn changed(change: impl FnOnce(&mut GraphProto)) -> String {
    let model = float_model();
    let path = model.path().join(ENCODER);
    let mut proto = ModelProto::decode(&*fs::read(&path).unwrap()).unwrap();
    change(proto.graph.as_mut().unwrap());
    fs::write(&path, proto.encode_to_vec()).unwrap();
    complaint(&model, ENCODER)
}

fn node(operator: &str, name: &str, input: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: operator.into(),
        name: name.into(),
        input: input.iter().map(|name| String::from(*name)).collect(),
        output: vec![output.into()],
        ..NodeProto::default()
    }
}

fn integers(name: &str, numbers: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type: DataType::Int64.into(),
        dims: vec![numbers.len() as i64],
        int64_data: numbers.into(),
        ..TensorProto::default()
    }
}

fn scalar(constant: TensorProto) -> TensorProto {
    TensorProto { dims: vec![], ..constant }
}

/// Adds to a graph `node`, which must make "bomb", and gives what it makes to the first output, times zero.
fn light(graph: &mut GraphProto, node: NodeProto) {
    let output = graph.output[0].name.clone();
    let maker = graph.node.iter_mut().find(|node| node.output.contains(&output)).unwrap();
    maker.output.iter_mut().filter(|name| **name == output).for_each(|name| *name = "harmless".into());
    graph.node.push(node);
    graph.node.push(self::node("ReduceSum", "sum", &["bomb"], "sum"));
    graph.node.push(self::node("Cast", "cast", &["sum"], "cast"));
    let to = AttributeProto { name: "to".into(), i: 1, r#type: AttributeType::Int.into(), ..AttributeProto::default() };
    graph.node.last_mut().unwrap().attribute.push(to);
    graph.node.push(self::node("Add", "last", &["harmless", "cast"], &output));
}

#[test]
fn bombs_are_refused() {
    type Bomb = (NodeProto, Vec<TensorProto>);
    let bomb = |operator, input: &[&str], constants| -> Bomb { (node(operator, "boom", input, "bomb"), constants) };
    let huge = 1 << 40;
    let bombs = [
        bomb("ConstantOfShape", &["shape"], vec![integers("shape", &[huge])]),
        bomb("ConstantOfShape", &["shape"], vec![integers("shape", &[1 << 31, 1 << 31, 1 << 31])]),
        bomb("Expand", &["one", "shape"], vec![integers("one", &[1]), integers("shape", &[huge])]),
        bomb("Tile", &["one", "shape"], vec![integers("one", &[1]), integers("shape", &[huge])]),
        bomb(
            "Range",
            &["start", "end", "step"],
            vec![scalar(integers("start", &[0])), scalar(integers("end", &[i64::MAX])), scalar(integers("step", &[1]))],
        ),
        bomb(
            "Range",
            &["start", "end", "step"],
            vec![scalar(integers("start", &[0])), scalar(integers("end", &[9])), scalar(integers("step", &[0]))],
        ),
        bomb("Pad", &["one", "pads"], vec![integers("one", &[1]), integers("pads", &[0, huge])]),
        bomb("Reshape", &["one", "shape"], vec![integers("one", &[1]), integers("shape", &[huge])]),
    ];
    for (node, constants) in bombs {
        let operator = node.op_type.clone();
        let complaint = changed(|graph| {
            graph.initializer.extend(constants);
            light(graph, node);
        });
        assert!(complaint.contains("boom") && complaint.contains(&operator), "{complaint}");
    }
}

#[test]
fn bombs_that_the_graph_itself_computes_are_refused() {
    for doublings in [20, 40] {
        // x = Concat(x, x), again and again.
        let complaint = changed(|graph| {
            graph.initializer.push(integers("x0", &[1; 64]));
            for i in 0..doublings {
                let (from, to) = (format!("x{i}"), format!("x{}", i + 1));
                let mut double = node("Concat", &to, &[&from, &from], &to);
                let axis = AttributeProto {
                    name: "axis".into(),
                    r#type: AttributeType::Int.into(),
                    ..AttributeProto::default()
                };
                double.attribute.push(axis);
                graph.node.push(double);
            }
            light(graph, node("Identity", "boom", &[&format!("x{doublings}")], "bomb"));
        });
        assert!(["elements", "memory", "bytes"].iter().any(|word| complaint.contains(word)), "{complaint}");
    }
    // A shape that is a product of constants.
    let complaint = changed(|graph| {
        graph.initializer.push(integers("side", &[1 << 20]));
        graph.node.push(node("Mul", "square", &["side", "side"], "shape"));
        light(graph, node("ConstantOfShape", "boom", &["shape"], "bomb"));
    });
    assert!(complaint.contains("cannot be loaded") || complaint.contains("memory"), "{complaint}");
}

#[test]
fn weights_that_are_no_numbers_are_named() {
    for (number, expected) in [(f32::NAN, "NaN"), (f32::INFINITY, "infinite"), (f32::NEG_INFINITY, "infinite")] {
        for is_big in [false, true] {
            let mut name = String::new();
            let complaint = changed(|graph| {
                let weights = graph.initializer.iter_mut().filter(|constant| {
                    let is_float = constant.data_type == i32::from(DataType::Float);
                    is_float && (constant.raw_data.len() >= 4096) == is_big && constant.raw_data.len() > 4
                });
                let weights = weights.last().unwrap();
                name.clone_from(&weights.name);
                weights.raw_data[4..8].copy_from_slice(&number.to_le_bytes());
            });
            assert!(complaint.contains(&name) && complaint.contains(expected), "{complaint}");
        }
    }
}

#[test]
fn constants_of_other_shapes_types_and_sizes_than_their_content_are_named() {
    let changes: [fn(&mut TensorProto); 6] = [
        |constant| constant.dims = vec![0],
        |constant| constant.dims = vec![-1],
        |constant| constant.dims = vec![i64::MAX, 2],
        |constant| constant.raw_data.truncate(3),
        |constant| constant.data_type = 9999,
        |constant| constant.data_type = DataType::Complex128.into(),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut name = String::new();
        let complaint = changed(|graph| {
            let constant = graph.initializer.iter_mut().max_by_key(|constant| constant.raw_data.len()).unwrap();
            name.clone_from(&constant.name);
            change(constant);
        });
        assert!(complaint.contains(&name), "change {i}: {complaint}");
    }
}

#[test]
fn weights_in_other_files_are_never_read() {
    for (location, expected) in
        [("weights.bin", "another file"), ("../../../etc/passwd", "outside"), ("/etc/passwd", "outside")]
    {
        let complaint = changed(|graph| {
            let constant = graph.initializer.iter_mut().max_by_key(|constant| constant.raw_data.len()).unwrap();
            constant.raw_data.clear();
            constant.data_location = Some(DataLocation::External.into());
            constant.external_data.push(StringStringEntryProto { key: "location".into(), value: location.into() });
        });
        assert!(complaint.contains(location) && complaint.contains(expected), "{complaint}");
    }
}

#[test]
fn cycles_and_what_nothing_makes_are_refused() {
    let complaint = changed(|graph| {
        let (first, last) = (0, graph.node.len() - 1);
        let made = graph.node[last].output[0].clone();
        graph.node[first].input[0] = made;
    });
    assert!(complaint.contains("feeds itself"), "{complaint}");
    let complaint = changed(|graph| graph.node[1].input[0] = "nowhere".into());
    assert!(complaint.contains("nothing makes \"nowhere\""), "{complaint}");
    let complaint = changed(|graph| graph.output[0].name = "nowhere".into());
    assert!(complaint.contains("nothing makes the output \"nowhere\""), "{complaint}");
    let complaint = changed(|graph| {
        let twice = graph.node[0].clone();
        graph.node.push(twice);
    });
    assert!(complaint.contains("there already"), "{complaint}");
}

/// Puts a chain of nodes behind the first output.
fn lengthen(graph: &mut GraphProto, operator: &str, len: usize) {
    let output = graph.output[0].name.clone();
    for node in &mut graph.node {
        node.output
            .iter_mut()
            .chain(&mut node.input)
            .filter(|name| **name == output)
            .for_each(|name| *name = "0".into());
    }
    for i in 0..len {
        let to = if i + 1 == len { output.clone() } else { (i + 1).to_string() };
        graph.node.push(node(operator, &format!("link{i}"), &[&i.to_string()], &to));
    }
}

#[test]
fn graphs_of_a_thousand_nodes_in_a_row_caption_and_longer_ones_are_refused() {
    let model = float_model();
    let path = model.path().join(ENCODER);
    let mut proto = ModelProto::decode(&*fs::read(&path).unwrap()).unwrap();
    lengthen(proto.graph.as_mut().unwrap(), "Abs", 1000);
    fs::write(&path, proto.encode_to_vec()).unwrap();
    assert!(assert_harmless(&model, "a chain of 1000"));
    for (len, expected) in [(5_000, "one after another"), (20_000, "16384 nodes"), (100_000, "65536")] {
        let complaint = changed(|graph| lengthen(graph, "Abs", len));
        assert!(complaint.contains(expected), "{complaint}");
    }
}

#[test]
fn graphs_within_graphs_are_bounded() {
    for depth in [10, 40] {
        let complaint = changed(|graph| {
            let mut inner = GraphProto::default();
            for _ in 0..depth {
                let mut holder = node("If", "holder", &[], "y");
                let attribute = AttributeProto {
                    name: "then_branch".into(),
                    g: Some(inner),
                    r#type: AttributeType::Graph.into(),
                    ..AttributeProto::default()
                };
                holder.attribute.push(attribute);
                inner = GraphProto { node: vec![holder], ..GraphProto::default() };
            }
            graph.node.extend(inner.node);
        });
        assert!(complaint.contains("graphs stand in graphs") || complaint.contains("recursion"), "{complaint}");
    }
}

#[test]
fn operators_that_nobody_knows_are_named() {
    let complaint = changed(|graph| graph.node[2].op_type = "Detonate".into());
    assert!(complaint.contains("Detonate") && complaint.contains("not known"), "{complaint}");
}

#[test]
fn inputs_of_absurd_shapes_are_refused() {
    let input = |graph: &mut GraphProto, values: Vec<Dim>| {
        let dim = values.into_iter().map(|value| Dimension { value: Some(value), ..Dimension::default() }).collect();
        let tensor = type_proto::Tensor { elem_type: DataType::Float.into(), shape: Some(TensorShapeProto { dim }) };
        let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
        let name = graph.input[0].name.clone();
        graph.input[0] = ValueInfoProto { name, r#type: Some(r#type), ..ValueInfoProto::default() };
    };
    let deep = format!("{}n{}", "(".repeat(50_000), ")".repeat(50_000));
    let wide = vec!["(a+b)"; 5_000].join("*");
    for values in [
        vec![Dim::DimValue(1), Dim::DimValue(3), Dim::DimValue(1 << 40), Dim::DimValue(1 << 40)],
        vec![Dim::DimValue(0); 4],
        vec![Dim::DimValue(1); 1000],
        vec![Dim::DimValue(-1); 4],
        vec![Dim::DimParam(deep)],
        vec![Dim::DimParam(wide)],
        vec![],
    ] {
        changed(|graph| input(graph, values));
    }
}

#[test]
fn a_graph_of_endless_empty_parts_is_refused_before_it_is_decoded() {
    for (part, what) in [(&[0x0A, 0x00][..], "nodes"), (&[0x2A, 0x00], "constants"), (&[0x5A, 0x00], "inputs")] {
        let parts = part.repeat(5_000_000);
        let mut bytes = vec![0x3A];
        prost::encoding::encode_varint(parts.len() as u64, &mut bytes);
        bytes.extend(parts);
        let model = float_model();
        fs::write(model.path().join(ENCODER), bytes).unwrap();
        let complaint = complaint(&model, ENCODER);
        assert!(complaint.contains("more than 65536"), "{what}: {complaint}");
    }
}

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
            let output = scenescribe(&[arguments, &["--model", &path, "--load-timeout", "0.2"]].concat());
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
