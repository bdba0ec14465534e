//! Graphs of the tiny model with flipped bits, another structure, cut, or of random bytes.

use std::fs;

use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto};

use super::*;

/// Captions with each graph of the tiny model, quantized or not, damaged in 100 ways by `damage`, which gets the whole graph's
/// bytes, the number of the trial and randomness from `first_seed` on.
fn damage_each_graph(first_seed: u64, damage: impl Fn(&[u8], usize, &mut Random) -> Vec<u8>) {
    for (seed, graph) in
        ["encoder_model_quantized.onnx", "decoder_model_quantized.onnx", "encoder_model.onnx", "decoder_model.onnx"]
            .into_iter()
            .enumerate()
    {
        let model = if graph.contains("quantized") { tiny_model() } else { float_model() };
        let whole = fs::read(model.path().join(graph)).unwrap();
        let mut random = Random(first_seed + seed as u64);
        for trial in 0..trials(100) {
            fs::write(model.path().join(graph), damage(&whole, trial, &mut random)).unwrap();
            assert_harmless(&model, &format!("{graph}, seed {seed}, trial {trial}"));
        }
    }
}

#[test]
fn graphs_with_flipped_bits_caption_or_are_refused() {
    damage_each_graph(0, |whole, trial, random| {
        let mut damaged = whole.to_vec();
        for _ in 0..=random.below(4) {
            // Every other time near the start, where structure is denser than weights.
            let end = if trial % 2 == 0 { damaged.len() } else { damaged.len().min(4096) };
            damaged[random.below(end)] ^= 1 << random.below(8);
        }
        damaged
    });
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
    damage_each_graph(1000, |whole, _, random| {
        let mut damaged = ModelProto::decode(whole).unwrap();
        for _ in 0..=random.below(2) {
            mutate(damaged.graph.as_mut().unwrap(), random);
        }
        damaged.encode_to_vec()
    });
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
