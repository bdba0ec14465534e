//! Which layer, if any, makes a tensor of the graph.
//!
//! A pattern only reads backwards from the tensor it explains, so layers may overlap: what several of them cover is
//! computed by tract only if something outside needs it.

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::math::{Add, Mul};

use super::convolution::convolution;
use super::dynamic::dynamic_linear;
use super::layer::{Layer, Layout, Operation};
use super::product::{linear, product};
use super::scheme::{Dequantize, Quantize};
use super::view::{View, quantization};
use super::{lookup, pool};
use crate::kernels::{KernelSet, Output, Quantization};

/// The layer whose output is the first output of `node`.
pub(super) fn layer(view: View<'_>, node: &TypedNode) -> Option<Layer> {
    let output = OutletId::new(node.id, 0);
    let layout = view.layout(output)?;
    let (operation, inputs) = if let Some(op) = node.op_as::<Quantize>() {
        let quantization = quantization(&op.scheme, op.element)?;
        quantized(view, node.inputs[0], layout, quantization)
            .unwrap_or_else(|| (Operation::Quantize(quantization), tvec!(node.inputs[0])))
    } else if node.op_is::<Dequantize>() {
        let input = view.activation(output)?;
        (Operation::Dequantize(input.quantization), tvec!(input.outlet))
    } else {
        linear(view, output).or_else(|| dynamic_linear(view, output))?
    };
    Some(Layer { name: node.name.clone(), operation, inputs, output, layout })
}

/// An operation and the tensors that it reads.
pub(super) type Found = (Operation, TVec<OutletId>);

/// The operation behind a value that is then quantized to `quantization`.
fn quantized(view: View<'_>, value: OutletId, layout: Layout, quantization: Quantization) -> Option<Found> {
    let (source, range) = view.behind_clamps(value);
    // A clamp before quantization is a clamp of the steps.
    let mut limits = [0; 2];
    KernelSet::reference().quantize(&range, quantization, &mut limits);
    let output = Output { quantization, steps: limits[0]..=limits[1] };
    convolution(view, source, &output)
        .or_else(|| product(view, source, &output))
        .or_else(|| sum(view, source, &output))
        .or_else(|| excitation(view, source, &output))
        .or_else(|| pool::global_average(view, source, &output))
        .or_else(|| lookup::lookup(view, value, quantization))
        .filter(|_| view.layout(source).is_some_and(|behind| behind.len() == layout.len()))
}

fn sum(view: View<'_>, source: OutletId, output: &Output) -> Option<Found> {
    let addends = view.binary::<Add>(source)?;
    let [first, second] = addends.map(|addend| view.activation(addend));
    let (first, second) = (first?, second?);
    let is_broadcast = view.shape(addends[0]) != view.shape(addends[1]);
    let is_plain = first.layout == second.layout && first.outlet != second.outlet && !is_broadcast;
    let inputs = tvec!(first.outlet, second.outlet);
    is_plain.then(|| (Operation::Add { addends: [first, second], output: output.clone() }, inputs))
}

/// An image times one value a channel.
fn excitation(view: View<'_>, source: OutletId, output: &Output) -> Option<Found> {
    let [first, second] = view.binary::<Mul>(source)?;
    let (image, factors) = if view.layout(first) == view.layout(source) { (first, second) } else { (second, first) };
    let (image, factors) = (view.activation(image)?, view.activation(factors)?);
    let is_one_a_channel = matches!(image.layout, Layout::Image { .. })
        && factors.layout == Layout::Rows { rows: 1, channels: image.layout.channels() };
    let inputs = tvec!(image.outlet, factors.outlet);
    is_one_a_channel.then(|| (Operation::Excitation { image, factors, output: output.clone() }, inputs))
}
