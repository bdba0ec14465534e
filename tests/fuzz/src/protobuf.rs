//! Edits of ONNX graphs that keep them well-formed, so that they get past the parser.

use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, ValueInfoProto, type_proto,
};

use crate::Input;

/// Numbers at which something may go over.
const NUMBERS: [i64; 24] = [
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    16,
    32,
    100,
    1000,
    1024,
    1025,
    65_536,
    1 << 20,
    i32::MAX as i64,
    u32::MAX as i64,
    1 << 40,
    i64::MAX,
    i64::MIN,
    -1,
    -2,
    -1000,
];

/// Operators of every family that tract knows, and one that it does not.
const OPERATORS: [&str; 72] = [
    "Add",
    "And",
    "ArgMax",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "CumSum",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "Einsum",
    "Exp",
    "Expand",
    "Flatten",
    "GRU",
    "Gather",
    "GatherElements",
    "GatherND",
    "Gemm",
    "GlobalAveragePool",
    "Identity",
    "If",
    "LSTM",
    "LayerNormalization",
    "Loop",
    "LpPool",
    "MatMul",
    "MatMulInteger",
    "MaxPool",
    "Mod",
    "Mul",
    "MultiBroadcastTo",
    "NonZero",
    "OneHot",
    "Pad",
    "Pow",
    "QGemm",
    "QLinearAdd",
    "QLinearConv",
    "QLinearGlobalAveragePool",
    "QLinearMatMul",
    "QLinearSigmoid",
    "QuantizeLinear",
    "RNN",
    "Range",
    "ReduceMean",
    "ReduceSum",
    "Reshape",
    "Resize",
    "Scan",
    "ScatterElements",
    "ScatterND",
    "Shape",
    "Size",
    "Slice",
    "Softmax",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Sub",
    "Tanh",
    "Tile",
    "TopK",
    "Transpose",
    "Unsqueeze",
    "Where",
];

const ATTRIBUTES: [&str; 24] = [
    "kernel_shape",
    "strides",
    "pads",
    "dilations",
    "group",
    "auto_pad",
    "axis",
    "axes",
    "to",
    "perm",
    "value",
    "keepdims",
    "epsilon",
    "hidden_size",
    "direction",
    "transA",
    "alpha",
    "shape",
    "equation",
    "ceil_mode",
    "num_outputs",
    "split",
    "blocksize",
    "body",
];

/// Makes one edit; what does not apply changes nothing.
pub fn edit(model: &mut ModelProto, kind: u8, mut input: Input) {
    if kind == 0 {
        return edit_model(model, &mut input);
    }
    let Some(graph) = &mut model.graph else { return };
    match kind {
        1..=9 => edit_nodes(graph, kind, &mut input),
        10..=14 => edit_constants(graph, kind, &mut input),
        15 => add_filled(graph, &mut input),
        16 => nest(graph, input.number()),
        17 => chain(graph, &mut input),
        18 => edit_port(pick(&mut graph.input, &mut input), &mut input),
        19 => edit_port(pick(&mut graph.output, &mut input), &mut input),
        20 => drop(remove(&mut graph.output, &mut input)),
        21 => drop(remove(&mut graph.input, &mut input)),
        _ => {
            let (from, to) = (name(graph, &mut input), text(&mut input));
            rename(graph, &from, &to);
        }
    }
}

fn edit_model(model: &mut ModelProto, input: &mut Input) {
    match input.byte() & 3 {
        0 => model.ir_version = number(input),
        1 => model.opset_import.clear(),
        2 => model.opset_import.iter_mut().for_each(|set| set.version = i64::from(input.byte())),
        _ => model.opset_import.push(OperatorSetIdProto { domain: text(input), version: number(input) }),
    }
}

fn edit_nodes(graph: &mut GraphProto, kind: u8, input: &mut Input) {
    let other = name(graph, input);
    let count = graph.node.len();
    let Some(node) = pick(&mut graph.node, input) else { return };
    match kind {
        1 => node.op_type = OPERATORS[usize::from(input.byte()) % OPERATORS.len()].into(),
        2 => node.op_type = text(input),
        3 => drop(remove(&mut graph.node, input)),
        4 => drop(pick(&mut node.input, input).map(|place| *place = other)),
        5 => node.input.push(other),
        6 => drop(remove(&mut node.input, input)),
        7 => edit_attribute(node, input),
        8 => {
            let at = usize::from(input.byte()) % count;
            let copy = node.clone();
            graph.node.swap(0, at);
            graph.node.push(copy);
        }
        _ => {
            let output = format!("new{count}");
            let op_type = OPERATORS[usize::from(input.byte()) % OPERATORS.len()].into();
            let replaced = node.input.first_mut().map(|place| std::mem::replace(place, output.clone()));
            let inputs = replaced.into_iter().chain((0..input.byte() & 3).map(|_| name(graph, input))).collect();
            let mut new = NodeProto { op_type, input: inputs, output: vec![output], ..NodeProto::default() };
            edit_attribute(&mut new, input);
            graph.node.insert(usize::from(input.byte()) % (count + 1), new);
        }
    }
}

fn edit_attribute(node: &mut NodeProto, input: &mut Input) {
    let choice = input.byte();
    if choice & 0x80 != 0 {
        return drop(remove(&mut node.attribute, input));
    }
    if choice & 0x40 != 0 || node.attribute.is_empty() {
        let name = ATTRIBUTES[usize::from(input.byte()) % ATTRIBUTES.len()].into();
        node.attribute.push(AttributeProto { name, ..AttributeProto::default() });
    }
    let Some(attribute) = pick(&mut node.attribute, input) else { return };
    // Types of attributes as onnx.proto numbers them.
    match choice & 7 {
        0 => (attribute.i, attribute.r#type) = (number(input), 2),
        1 => (attribute.ints, attribute.r#type) = (numbers(input), 7),
        2 => attribute.ints.iter_mut().for_each(|value| *value = number(input)),
        3 => (attribute.f, attribute.r#type) = (float(input), 1),
        4 => (attribute.s, attribute.r#type) = (text(input).into_bytes(), 3),
        5 => (attribute.t, attribute.r#type) = (Some(constant("", input)), 4),
        6 => attribute.r#type = i32::from(input.byte() & 15),
        _ => (attribute.floats, attribute.r#type) = ((0..input.byte() & 7).map(|_| float(input)).collect(), 6),
    }
}

fn edit_constants(graph: &mut GraphProto, kind: u8, input: &mut Input) {
    let Some(constant) = pick(&mut graph.initializer, input) else { return };
    match kind {
        10 => constant.dims = numbers(input),
        11 => constant.data_type = i32::from(input.byte() & 31),
        12 => {
            let (at, value) = (usize::from(input.number()), input.take(4).to_vec());
            let at = at.min(constant.raw_data.len().saturating_sub(value.len())) / 4 * 4;
            let end = (at + value.len()).min(constant.raw_data.len());
            constant.raw_data.splice(at..end, value);
        }
        13 => {
            let value = float(input).to_le_bytes();
            constant.raw_data.chunks_exact_mut(4).for_each(|place| place.copy_from_slice(&value));
        }
        _ => {
            let entry = |key: &str, value: String| StringStringEntryProto { key: key.into(), value };
            constant.external_data = vec![entry("location", text(input)), entry("length", number(input).to_string())];
            constant.data_location = Some(1);
        }
    }
}

/// A constant that is as large as its shape says, in place of some tensor: `ConstantOfShape`, `Expand` or `Tile`.
fn add_filled(graph: &mut GraphProto, input: &mut Input) {
    let at = usize::from(input.byte());
    let (shape, output) = (format!("shape{}", graph.node.len()), format!("filled{}", graph.node.len()));
    let dims = numbers(input);
    let raw_data = dims.iter().flat_map(|dim| dim.to_le_bytes()).collect();
    let (name, dims) = (shape.clone(), vec![dims.len() as i64]);
    graph.initializer.push(TensorProto { name, dims, data_type: 7, raw_data, ..TensorProto::default() });
    let source = self::name(graph, input);
    let (op_type, inputs) = match at % 4 {
        0 => ("Expand", vec![source, shape]),
        1 => ("Tile", vec![source, shape]),
        2 => ("Reshape", vec![source, shape]),
        _ => ("ConstantOfShape", vec![shape]),
    };
    let new =
        NodeProto { op_type: op_type.into(), input: inputs, output: vec![output.clone()], ..NodeProto::default() };
    if let Some(place) = pick(&mut graph.node, input).and_then(|node| pick(&mut node.input, input)) {
        *place = output;
    }
    graph.node.insert(0, new);
}

/// A graph in an attribute of a graph, and so on; deeper than any decoder of protobuf follows.
fn nest(graph: &mut GraphProto, depth: u16) {
    let mut inner = GraphProto::default();
    for _ in 0..depth % 256 {
        let attribute =
            AttributeProto { name: "then_branch".into(), g: Some(inner), r#type: 5, ..AttributeProto::default() };
        let node = NodeProto { op_type: "If".into(), attribute: vec![attribute], ..NodeProto::default() };
        inner = GraphProto { node: vec![node], ..GraphProto::default() };
    }
    graph.node.extend(inner.node);
}

/// Many nodes one behind the other, before the first.
fn chain(graph: &mut GraphProto, input: &mut Input) {
    let op_type = OPERATORS[usize::from(input.byte()) % OPERATORS.len()];
    let len = input.number() % 2048;
    let Some(place) = pick(&mut graph.node, input).and_then(|node| node.input.first_mut()) else { return };
    let mut last = std::mem::replace(place, format!("chain{len}"));
    let first: Vec<_> = (1..=len)
        .map(|i| {
            let output = format!("chain{i}");
            let from = std::mem::replace(&mut last, output.clone());
            NodeProto { op_type: op_type.into(), input: vec![from], output: vec![output], ..NodeProto::default() }
        })
        .collect();
    graph.node.splice(0..0, first);
}

fn edit_port(port: Option<&mut ValueInfoProto>, input: &mut Input) {
    let Some(port) = port else { return };
    let choice = input.byte();
    if choice & 3 == 0 {
        port.name = text(input);
        return;
    }
    let Some(type_proto::Value::TensorType(tensor)) = port.r#type.as_mut().and_then(|of| of.value.as_mut()) else {
        return;
    };
    if choice & 3 == 1 {
        tensor.elem_type = i32::from(input.byte() & 31);
        return;
    }
    let dim = |value: i64| {
        let value =
            if value == -1000 { dimension::Value::DimParam("n".into()) } else { dimension::Value::DimValue(value) };
        Dimension { value: Some(value), ..Dimension::default() }
    };
    tensor.shape = Some(TensorShapeProto { dim: numbers(input).into_iter().map(dim).collect() });
}

fn rename(graph: &mut GraphProto, from: &str, to: &str) {
    let ports = graph.input.iter_mut().chain(&mut graph.output).map(|port| &mut port.name);
    let nodes = graph.node.iter_mut().flat_map(|node| node.input.iter_mut().chain(&mut node.output));
    let constants = graph.initializer.iter_mut().map(|constant| &mut constant.name);
    ports.chain(nodes).chain(constants).filter(|name| *name == from).for_each(|name| *name = to.into());
}

fn constant(name: &str, input: &mut Input) -> TensorProto {
    let (dims, data_type) = (numbers(input), i32::from(input.byte() & 15));
    let raw_data = input.take(64).to_vec();
    TensorProto { name: name.into(), dims, data_type, raw_data, ..TensorProto::default() }
}

/// The name of some tensor.
fn name(graph: &GraphProto, input: &mut Input) -> String {
    let names = graph.node.iter().flat_map(|node| node.input.iter().chain(&node.output));
    let names: Vec<_> = names.chain(graph.input.iter().chain(&graph.output).map(|port| &port.name)).collect();
    let index = usize::from(input.number());
    names.get(index % names.len().max(1)).map_or_else(String::new, |name| (*name).clone())
}

fn text(input: &mut Input) -> String {
    let len = usize::from(input.byte() & 63);
    String::from_utf8_lossy(input.take(len)).into_owned()
}

fn number(input: &mut Input) -> i64 {
    match input.byte() {
        choice @ 0..128 => NUMBERS[usize::from(choice) % NUMBERS.len()],
        choice => i64::from(choice) - 160,
    }
}

fn numbers(input: &mut Input) -> Vec<i64> {
    (0..input.byte() & 7).map(|_| number(input)).collect()
}

fn float(input: &mut Input) -> f32 {
    const FLOATS: [f32; 8] = [0.0, 1.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE];
    FLOATS[usize::from(input.byte() & 7)]
}

fn pick<'a, T>(all: &'a mut [T], input: &mut Input) -> Option<&'a mut T> {
    let index = usize::from(input.number()) % all.len().max(1);
    all.get_mut(index)
}

fn remove<T>(all: &mut Vec<T>, input: &mut Input) -> Option<T> {
    let index = usize::from(input.number()) % all.len().max(1);
    (!all.is_empty()).then(|| all.remove(index))
}
