//! What is refused in a graph before tract sees it: sizes for which it would ask for more memory than there is.

use tract_onnx::pb::{AttributeProto, GraphProto};

use crate::limits::MAX_WINDOW;

/// Checks the windows of convolutions and pools.
///
/// # Errors
/// A sentence that names the node, the attribute and the limit.
pub(super) fn check(graph: &GraphProto) -> Result<(), String> {
    for node in &graph.node {
        if let Some(attribute) = node.attribute.iter().find(|attribute| !is_sane(attribute)) {
            let (name, values) = (&attribute.name, &attribute.ints);
            return Err(format!("{} {:?} has {name} {values:?}, beyond {MAX_WINDOW}", node.op_type, node.name));
        }
    }
    Ok(())
}

fn is_sane(attribute: &AttributeProto) -> bool {
    let range = match attribute.name.as_str() {
        "kernel_shape" | "strides" | "dilations" => 1..=MAX_WINDOW,
        "pads" => -MAX_WINDOW..=MAX_WINDOW,
        _ => return true,
    };
    attribute.ints.iter().all(|value| range.contains(value))
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::NodeProto;

    use super::*;

    fn graph(name: &str, ints: &[i64]) -> GraphProto {
        let attribute = AttributeProto { name: name.into(), ints: ints.into(), ..AttributeProto::default() };
        let node = NodeProto { op_type: "Conv".into(), attribute: vec![attribute], ..NodeProto::default() };
        GraphProto { node: vec![node], ..GraphProto::default() }
    }

    #[test]
    fn windows_beyond_the_limit_are_refused() {
        let cases = [("pads", i64::MAX), ("pads", 1 << 31), ("pads", i64::MIN), ("strides", 0), ("kernel_shape", -1)];
        for (name, value) in cases {
            let complaint = check(&graph(name, &[1, value])).unwrap_err();
            assert!(complaint.contains(name), "{complaint}");
        }
        assert_eq!(check(&graph("pads", &[0, 1, 1, 0])), Ok(()));
        assert_eq!(check(&graph("axes", &[-1])), Ok(()));
    }
}
