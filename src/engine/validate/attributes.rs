//! Attributes of nodes: windows, axes and sizes within the limits, constants that are whole.

use std::ops::RangeInclusive;

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto};

use super::{constants, elements, named};
use crate::limits::{MAX_RANK, MAX_TENSOR_ELEMENTS, MAX_UNITS, MAX_WINDOW};

/// Checks the attributes of a node.
///
/// # Errors
/// A sentence that names the node, the attribute and the limit.
pub fn check(node: &NodeProto) -> Result<(), String> {
    for attribute in &node.attribute {
        let name = &attribute.name;
        if let Some((number, range)) = ints(attribute) {
            let (least, most) = (range.start(), range.end());
            return Err(format!("{} has {name} {number}, which must be {least} to {most}", named(node)));
        }
        if is_long(attribute) {
            return Err(format!("{} has {name} of more than {} numbers", named(node), 2 * MAX_RANK));
        }
        if name == "shape" && elements(attribute.ints.iter().copied()).is_none_or(|count| count > MAX_TENSOR_ELEMENTS) {
            return Err(format!("{} makes more than {MAX_TENSOR_ELEMENTS} elements", named(node)));
        }
        if attribute.f.is_nan() || attribute.floats.iter().any(|number| number.is_nan()) {
            return Err(format!("{} has {name} that is not a number (NaN)", named(node)));
        }
        if attribute.sparse_tensor.is_some() || !attribute.sparse_tensors.is_empty() {
            return Err(format!("{} has a sparse constant, which is not read here", named(node)));
        }
        let mut constants = attribute.t.iter().chain(&attribute.tensors);
        constants.try_for_each(constants::check).map_err(|problem| format!("{}: {problem}", named(node)))?;
    }
    Ok(())
}

/// What the numbers of an attribute must be within.
fn range(name: &str) -> Option<RangeInclusive<i64>> {
    let rank = MAX_RANK as i64;
    match name {
        "kernel_shape" | "strides" | "dilations" | "blocksize" => Some(1..=MAX_WINDOW),
        "pads" | "output_padding" => Some(-MAX_WINDOW..=MAX_WINDOW),
        "group" | "hidden_size" | "num_heads" | "num_outputs" => Some(1..=MAX_UNITS),
        "axis" | "axes" | "perm" | "batch_dims" | "start_axis" => Some(-rank..=rank),
        _ => None,
    }
}

/// The first number out of range, and the range.
fn ints(attribute: &AttributeProto) -> Option<(i64, RangeInclusive<i64>)> {
    let range = range(&attribute.name)?;
    let is_one = attribute.r#type == i32::from(AttributeType::Int);
    let mut numbers = attribute.ints.iter().chain(is_one.then_some(&attribute.i));
    let number = *numbers.find(|number| !range.contains(number))?;
    Some((number, range))
}

/// Lists of these attributes have a number or two for each axis.
fn is_long(attribute: &AttributeProto) -> bool {
    range(&attribute.name).is_some() && attribute.ints.len() > 2 * MAX_RANK
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, ints: &[i64]) -> NodeProto {
        let attribute = AttributeProto { name: name.into(), ints: ints.into(), ..AttributeProto::default() };
        NodeProto { op_type: "Conv".into(), attribute: vec![attribute], ..NodeProto::default() }
    }

    #[test]
    fn numbers_beyond_the_limits_are_refused() {
        let cases = [
            ("pads", i64::MAX),
            ("pads", 1 << 31),
            ("pads", i64::MIN),
            ("strides", 0),
            ("kernel_shape", -1),
            ("axes", i64::MIN),
            ("perm", 99),
            ("shape", 1 << 40),
        ];
        for (name, value) in cases {
            let complaint = check(&node(name, &[1, value])).unwrap_err();
            assert!(complaint.contains(name) || name == "shape", "{complaint}");
        }
        for (name, value) in [("axis", i64::MIN), ("blocksize", 0), ("group", -1), ("hidden_size", 1 << 40)] {
            let mut node = node(name, &[]);
            node.attribute[0].i = value;
            node.attribute[0].r#type = AttributeType::Int.into();
            assert!(check(&node).is_err(), "{name} {value}");
        }
        assert!(check(&node("pads", &[0; 100])).is_err());
        assert_eq!(check(&node("pads", &[0, 1, 1, 0])), Ok(()));
        assert_eq!(check(&node("kernel_shape", &[3, 3])), Ok(()));
        assert_eq!(check(&node("axes", &[-1])), Ok(()));
    }
}
