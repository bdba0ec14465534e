//! Recognising functions of one quantized tensor, element by element: a table of 256 steps computes them.

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;

use super::layer::Operation;
use super::patterns::Found;
use super::scheme::Dequantize;
use super::view::View;
use crate::kernels::{KernelSet, Quantization};

/// Longest chain of functions that is followed.
const MAX_FUNCTIONS: usize = 16;

/// A chain of functions, perhaps empty, from a quantized tensor to `value`, which is then quantized to `output`.
pub(super) fn lookup(view: View<'_>, value: OutletId, output: Quantization) -> Option<Found> {
    let mut functions = vec![];
    let mut at = view.behind_reshapes(value);
    while view.maker::<Dequantize>(at).is_none() {
        let node = view.model.node(at.node);
        let varying = varying_input(view, node)?;
        functions.push((node, varying));
        at = view.behind_reshapes(node.inputs[varying]);
        if functions.len() > MAX_FUNCTIONS {
            return None;
        }
    }
    let input = view.activation(at)?;
    let real: Vec<f32> = (0..=255)
        .map(|step| (step as f32 - f32::from(input.quantization.zero_point)) * input.quantization.scale)
        .collect();
    let mut values = tensor1(&real);
    for (node, varying) in functions.into_iter().rev() {
        values = apply(view, node, varying, values)?;
    }
    let mut table = Box::new([0; 256]);
    KernelSet::reference().quantize(values.as_plain_ram()?.as_slice::<f32>().ok()?, output, &mut table[..]);
    let inputs = tvec!(input.outlet);
    Some((Operation::Lookup(table), inputs))
}

/// The one input of a function that is not a constant number.
fn varying_input(view: View<'_>, node: &TypedNode) -> Option<usize> {
    if node.op_is::<ElementWiseOp>() && node.inputs.len() == 1 {
        return Some(0);
    }
    if !node.op_is::<TypedBinOp>() || node.inputs.len() != 2 {
        return None;
    }
    let is_number = |input: &OutletId| view.constant_float(*input).is_some();
    match [is_number(&node.inputs[0]), is_number(&node.inputs[1])] {
        [true, false] => Some(1),
        [false, true] => Some(0),
        _ => None,
    }
}

/// `node` of 256 values at once.
fn apply(view: View<'_>, node: &TypedNode, varying: usize, values: Tensor) -> Option<Tensor> {
    let mut inputs = tvec!();
    for (slot, input) in node.inputs.iter().enumerate() {
        let is_varying = slot == varying;
        inputs.push(if is_varying {
            values.clone().into_tvalue()
        } else {
            tensor1(&[view.constant_float(*input)?]).into_tvalue()
        });
    }
    let output = node.op.eval_out_of_plan(inputs).ok()??.into_iter().next()?.into_tensor();
    (output.datum_type() == f32::datum_type() && output.shape() == [256]).then_some(output)
}
