//! Nodes that make tensors of a size that a constant says: small files that ask for much memory.

use std::collections::HashMap;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::{elements, named};
use crate::limits::{MAX_RANK, MAX_TENSOR_ELEMENTS, MAX_WINDOW};

/// Lists longer than this are no shapes.
const MAX_NUMBERS: usize = 4 * MAX_RANK;

/// The short lists of numbers among a graph's constants, by name.
pub struct Numbers<'a>(HashMap<&'a str, Vec<f64>>);

impl<'a> Numbers<'a> {
    pub fn of(graph: &'a GraphProto) -> Self {
        let constants = graph.initializer.iter().map(|constant| (&*constant.name, numbers(constant)));
        let nodes = graph.node.iter().filter(|node| node.op_type == "Constant").filter_map(|node| {
            let attribute = node.attribute.first()?;
            let ints = || attribute.ints.iter().map(|number| *number as f64);
            let list = match &attribute.t {
                Some(constant) => numbers(constant),
                None if attribute.name == "value_int" => vec![attribute.i as f64],
                None => ints().chain(attribute.floats.iter().map(|number| f64::from(*number))).collect(),
            };
            Some((&**node.output.first()?, list))
        });
        let is_short = |(_, list): &(&str, Vec<f64>)| (1..=MAX_NUMBERS).contains(&list.len());
        Self(constants.chain(nodes).filter(is_short).collect())
    }

    /// The constant that a node reads as its input `at`.
    fn read_by(&self, node: &NodeProto, at: usize) -> Option<&[f64]> {
        self.0.get(&**node.input.get(at)?).map(|list| &**list)
    }
}

/// The numbers of a constant, if they are few.
fn numbers(constant: &TensorProto) -> Vec<f64> {
    let raw = &constant.raw_data;
    if raw.len() > MAX_NUMBERS * 8 {
        return vec![];
    }
    match DataType::try_from(constant.data_type) {
        Ok(DataType::Int64) => {
            let raw = raw.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes));
            constant.int64_data.iter().copied().take(MAX_NUMBERS + 1).chain(raw).map(|number| number as f64).collect()
        }
        Ok(DataType::Int32) => {
            let raw = raw.as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes));
            constant.int32_data.iter().copied().take(MAX_NUMBERS + 1).chain(raw).map(f64::from).collect()
        }
        Ok(DataType::Float) => {
            let raw = raw.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            constant.float_data.iter().copied().take(MAX_NUMBERS + 1).chain(raw).map(f64::from).collect()
        }
        _ => vec![],
    }
}

/// Checks the sizes that a node is given as constants.
///
/// # Errors
/// A sentence that names the node and the limit.
pub fn check(node: &NodeProto, numbers: &Numbers) -> Result<(), String> {
    let input = |at| numbers.read_by(node, at);
    let shape = |at| input(at).is_none_or(is_shape);
    let is_sane = match node.op_type.as_str() {
        "ConstantOfShape" | "HannWindow" | "HammingWindow" | "BlackmanWindow" => shape(0),
        "Expand" | "Tile" | "OneHot" => shape(1),
        // 0 keeps an axis, -1 takes what is left.
        "Reshape" => input(1).is_none_or(|dims| is_shape(&dims.iter().map(|dim| dim.max(1.0)).collect::<Vec<_>>())),
        "Upsample" => input(1).is_none_or(is_scale),
        "Resize" => input(1).is_none_or(is_scale) && input(2).is_none_or(is_scale) && shape(3),
        "Pad" => input(1).is_none_or(|pads| pads.iter().all(|pad| pad.abs() <= MAX_WINDOW as f64)),
        "Range" => is_range([input(0), input(1), input(2)]),
        _ => true,
    };
    if is_sane {
        return Ok(());
    }
    Err(format!("{} makes a tensor beyond {MAX_TENSOR_ELEMENTS} elements, or of no size at all", named(node)))
}

fn is_shape(dims: &[f64]) -> bool {
    let dims = dims.iter().map(|dim| *dim as i64);
    dims.len() <= MAX_NUMBERS && elements(dims).is_some_and(|elements| elements <= MAX_TENSOR_ELEMENTS)
}

fn is_scale(scales: &[f64]) -> bool {
    scales.iter().all(|scale| *scale > 0.0 && *scale <= MAX_WINDOW as f64)
}

/// Whether a range from the first number to the second by the third ends; what is not known may.
fn is_range(bounds: [Option<&[f64]>; 3]) -> bool {
    let [start, end, step] = bounds.map(|bound| bound.and_then(|list| list.first()).copied());
    if step == Some(0.0) {
        return false;
    }
    let (Some(start), Some(end)) = (start, end) else { return true };
    (end - start) / step.unwrap_or(1.0) <= MAX_TENSOR_ELEMENTS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(name: &str, numbers: &[i64]) -> TensorProto {
        TensorProto {
            name: name.into(),
            data_type: DataType::Int64.into(),
            dims: vec![numbers.len() as i64],
            int64_data: numbers.into(),
            ..TensorProto::default()
        }
    }

    fn complaint(operator: &str, inputs: &[&[i64]]) -> Option<String> {
        let names: Vec<String> = (0..inputs.len()).map(|i| i.to_string()).collect();
        let node = NodeProto { op_type: operator.into(), name: "bomb".into(), input: names, ..NodeProto::default() };
        let initializer = inputs.iter().enumerate().map(|(i, numbers)| constant(&i.to_string(), numbers)).collect();
        let graph = GraphProto { initializer, ..GraphProto::default() };
        check(&node, &Numbers::of(&graph)).err()
    }

    #[test]
    fn sizes_beyond_the_limit_are_refused_with_the_nodes_name() {
        let cases: [(&str, &[&[i64]]); 9] = [
            ("ConstantOfShape", &[&[1 << 20, 1 << 20]]),
            ("ConstantOfShape", &[&[-1]]),
            ("Expand", &[&[0], &[1 << 40]]),
            ("Tile", &[&[0], &[1 << 31, 1 << 31, 1 << 31]]),
            ("Reshape", &[&[0], &[-1, 1 << 50]]),
            ("Pad", &[&[0], &[0, i64::MAX]]),
            ("Range", &[&[0], &[i64::MAX], &[1]]),
            ("Range", &[&[0], &[5], &[0]]),
            ("Resize", &[&[0], &[0], &[1 << 30]]),
        ];
        for (operator, inputs) in cases {
            let complaint = complaint(operator, inputs).unwrap_or_else(|| panic!("{operator} {inputs:?} passes"));
            assert!(complaint.contains("bomb") && complaint.contains(operator), "{complaint}");
        }
    }

    #[test]
    fn sizes_of_real_graphs_pass() {
        let cases: [(&str, &[&[i64]]); 5] = [
            ("ConstantOfShape", &[&[1, 49, 1280]]),
            ("Reshape", &[&[0], &[0, -1, 49]]),
            ("Range", &[&[10], &[0], &[-1]]),
            ("Expand", &[&[0], &[0, 4]]),
            ("Expand", &[&[0]]),
        ];
        for (operator, inputs) in cases {
            assert_eq!(complaint(operator, inputs), None, "{operator}");
        }
    }
}
