//! Quantized operators of ONNX and of ONNX Runtime, spelled out between DequantizeLinear and QuantizeLinear.
//!
//! `QLinearConv` becomes DequantizeLinear, Conv, QuantizeLinear, and so do the others; the int8 pass knows that form, and
//! without the pass tract computes it on floats. It makes graphs load that ONNX Runtime's static quantizer writes in its
//! operator-oriented form, whose `com.microsoft` operators tract does not know.
//!
//! Not supported: other operators of `com.microsoft`, biases whose scales are not constants of the graph.

use std::collections::HashMap;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto, attribute_proto};

/// Where an operator has its operands: inputs of a tensor, its scale and its zero point.
struct Form {
    operator: &'static str,
    replacement: &'static str,
    /// First input of each triple that is an operand.
    operands: &'static [usize],
    /// Input of an i32 bias, in units of the product of the first two operands' scales.
    bias: Option<usize>,
    /// Input of the output's scale; its zero point follows.
    output: usize,
}

const FORMS: [Form; 5] = [
    Form { operator: "QLinearConv", replacement: "Conv", operands: &[0, 3], bias: Some(8), output: 6 },
    Form { operator: "QLinearMatMul", replacement: "MatMul", operands: &[0, 3], bias: None, output: 6 },
    Form { operator: "QLinearAdd", replacement: "Add", operands: &[0, 3], bias: None, output: 6 },
    Form {
        operator: "QLinearGlobalAveragePool",
        replacement: "GlobalAveragePool",
        operands: &[0],
        bias: None,
        output: 3,
    },
    Form { operator: "QGemm", replacement: "Gemm", operands: &[0, 3], bias: Some(6), output: 7 },
];

/// Replaces every quantized operator that has the form it should have.
pub(super) fn spell_out(graph: &mut GraphProto) {
    let nodes = std::mem::take(&mut graph.node);
    let mut scales = Scales::of(graph);
    for node in nodes {
        match FORMS
            .iter()
            .find(|form| form.operator == node.op_type)
            .and_then(|form| form.spell_out(&node, &mut scales))
        {
            Some(spelled_out) => graph.node.extend(spelled_out),
            None => graph.node.push(node),
        }
    }
    graph.initializer.extend(scales.added);
}

impl Form {
    fn spell_out(&self, node: &NodeProto, scales: &mut Scales) -> Option<Vec<NodeProto>> {
        let output = node.output.first()?;
        let is_planar = node.attribute.iter().all(|attribute| attribute.name != "channels_last" || attribute.i == 0);
        let mut nodes = vec![];
        let mut inputs = vec![];
        for &operand in self.operands {
            let real = format!("{output}.real{operand}");
            // The output channels of weights are the first axis, but for the right side of a product the last.
            let axis = if matches!(self.replacement, "MatMul") || self.is_untransposed(node) { 1 } else { 0 };
            nodes.push(linear("DequantizeLinear", node.input.get(operand..operand + 3)?, &real, axis));
            inputs.push(real);
        }
        if let Some(bias) = self.bias.and_then(|bias| node.input.get(bias)).filter(|name| !name.is_empty()) {
            let scale = scales.product(node.input.get(1)?, node.input.get(4)?, &format!("{output}.bias_scale"))?;
            let real = format!("{output}.real_bias");
            nodes.push(linear("DequantizeLinear", &[bias.clone(), scale], &real, 0));
            inputs.push(real);
        }
        let real = format!("{output}.real");
        nodes.push(NodeProto {
            op_type: self.replacement.into(),
            name: real.clone(),
            input: inputs,
            output: vec![real.clone()],
            attribute: node.attribute.iter().filter(|attribute| attribute.name != "channels_last").cloned().collect(),
            ..NodeProto::default()
        });
        let [scale, zero_point] = node.input.get(self.output..self.output + 2)? else { return None };
        nodes.push(linear("QuantizeLinear", &[real, scale.clone(), zero_point.clone()], output, 0));
        is_planar.then_some(nodes)
    }

    fn is_untransposed(&self, node: &NodeProto) -> bool {
        let is_transposed = |attribute: &AttributeProto| attribute.name == "transB" && attribute.i != 0;
        self.replacement == "Gemm" && !node.attribute.iter().any(is_transposed)
    }
}

fn linear(operator: &str, inputs: &[String], output: &str, axis: i64) -> NodeProto {
    let axis = AttributeProto {
        name: "axis".into(),
        r#type: attribute_proto::AttributeType::Int.into(),
        i: axis,
        ..AttributeProto::default()
    };
    NodeProto {
        op_type: operator.into(),
        name: output.into(),
        input: inputs.to_vec(),
        output: vec![output.into()],
        attribute: vec![axis],
        ..NodeProto::default()
    }
}

/// The constant scales of a graph, and those that are added to it.
struct Scales {
    known: HashMap<String, Vec<f32>>,
    added: Vec<TensorProto>,
}

impl Scales {
    fn of(graph: &GraphProto) -> Self {
        let known = graph.initializer.iter().filter_map(|tensor| Some((tensor.name.clone(), floats(tensor)?)));
        Self { known: known.collect(), added: vec![] }
    }

    /// The name of the product of a number with a list.
    fn product(&mut self, number: &str, list: &str, name: &str) -> Option<String> {
        let &[number] = &self.known.get(number)?[..] else { return None };
        let values: Vec<f32> = self.known.get(list)?.iter().map(|value| number * value).collect();
        let dims = if values.len() == 1 { vec![] } else { vec![i64::try_from(values.len()).ok()?] };
        self.added.push(TensorProto {
            name: name.into(),
            data_type: DataType::Float.into(),
            dims,
            float_data: values,
            ..TensorProto::default()
        });
        Some(name.into())
    }
}

/// The elements of a small f32 tensor.
fn floats(tensor: &TensorProto) -> Option<Vec<f32>> {
    if tensor.data_type != i32::from(DataType::Float) || tensor.dims.len() > 1 {
        return None;
    }
    if !tensor.float_data.is_empty() {
        return Some(tensor.float_data.clone());
    }
    Some(tensor.raw_data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}
