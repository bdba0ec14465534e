//! Graphs put together to do one kind of harm each.

use std::fs;

use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, type_proto,
};

use super::*;

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
