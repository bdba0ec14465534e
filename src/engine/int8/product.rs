//! Recognising products of rows with a constant matrix: MatMul and Gemm.

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::math::Add;

use super::bias;
use super::layer::{Activation, Kernel, Operation};
use super::patterns::Found;
use super::view::View;
use crate::kernels::{Output, WeightOrder};

/// A product, with its bias if there is one, that makes `source` and is requantized to `output`.
pub(super) fn product(view: View<'_>, source: OutletId, output: &Output) -> Option<Found> {
    let (matrix, bias) = matrix_and_bias(view, source)?;
    let Matrix { input, kernel } = matrix;
    let units: Vec<f32> = kernel.scales.iter().map(|scale| input.quantization.scale * scale).collect();
    let bias = bias.map_or(Some(vec![]), |bias| bias::in_steps(view, bias, &units))?;
    let inputs = tvec!(input.outlet);
    Some((Operation::Product { input, kernel, bias, output: output.clone(), residual: None }, inputs))
}

/// A product, with its bias if there is one, that makes `source` in real numbers.
pub(super) fn linear(view: View<'_>, source: OutletId) -> Option<Found> {
    let (matrix, bias) = matrix_and_bias(view, source)?;
    let Matrix { input, kernel } = matrix;
    let bias = bias.map_or(Some(vec![]), |bias| bias::real(view, bias, kernel.scales.len()))?;
    let inputs = tvec!(input.outlet);
    Some((Operation::Linear { input, kernel, bias }, inputs))
}

struct Matrix {
    input: Activation,
    kernel: Kernel,
}

fn matrix_and_bias(view: View<'_>, source: OutletId) -> Option<(Matrix, Option<OutletId>)> {
    with_bias(view, source, |source| matrix(view, source), |matrix| matrix.kernel.scales.len())
}

/// What `product` finds to make `source`, or all of it but a bias of one row of `channels`.
pub(super) fn with_bias<P>(
    view: View<'_>,
    source: OutletId,
    product: impl Fn(OutletId) -> Option<P>,
    channels: impl Fn(&P) -> usize,
) -> Option<(P, Option<OutletId>)> {
    if let Some(found) = product(source) {
        return Some((found, None));
    }
    let [first, second] = view.binary::<Add>(source)?;
    let (found, bias) = match product(view.behind_reshapes(first)) {
        Some(found) => (found, second),
        None => (product(view.behind_reshapes(second))?, first),
    };
    // Where a bias is more than one row, the sum has another shape or other numbers in each row.
    let channels = channels(&found);
    let is_row = view
        .shape(bias)?
        .split_last()
        .is_none_or(|(last, others)| (*last == channels || *last == 1) && others.iter().all(|dim| *dim == 1));
    (is_row && view.layout(source)?.channels() == channels).then_some((found, Some(bias)))
}

fn matrix(view: View<'_>, source: OutletId) -> Option<Matrix> {
    let (node, op) = view.maker::<EinSum>(source)?;
    let &[input, weights] = &node.inputs[..] else { return None };
    if op.q_params.is_some() || !view.is_float(source) {
        return None;
    }
    let input = view.activation(input).filter(|_| view.shape(input).is_some_and(|shape| shape.len() != 4))?;
    let order = order(op, view.shape(node.inputs[0])?.len(), view.shape(weights)?.len())?;
    let axis = if order == WeightOrder::DepthMajor { 1 } else { 0 };
    let kernel = view.kernel(weights, axis, order)?;
    let depth = kernel.values.shape()[1 - axis];
    (depth == input.layout.channels() && depth > 0).then_some(Matrix { input, kernel })
}

/// How the weights lie, if the product is that of rows (the last axis of `rank`) with a matrix.
fn order(op: &EinSum, rank: usize, weights_rank: usize) -> Option<WeightOrder> {
    if rank == 0 || weights_rank != 2 || op.axes.rank(InOut::Out(0)) != rank {
        return None;
    }
    let place =
        |axis: (InOut, usize)| op.axes.axis(axis).ok().map(|axis| (&axis.inputs[0], &axis.inputs[1], &axis.outputs[0]));
    let (_, summed, out) = place((InOut::In(0), rank - 1))?;
    let (summed_at, is_summed) = (*summed.first()?, summed.len() == 1 && out.is_empty());
    let (rows, kept, out) = place((InOut::Out(0), rank - 1))?;
    let keeps_channels = rows.is_empty() && kept[..] == [1 - summed_at.min(1)] && out.len() == 1;
    let keeps_row = |axis: usize| {
        place((InOut::In(0), axis))
            .is_some_and(|(rows, weights, out)| rows[..] == [axis] && weights.is_empty() && out[..] == [axis])
    };
    let is_product = is_summed && keeps_channels && (0..rank - 1).all(keeps_row);
    is_product.then_some(if summed_at == 0 { WeightOrder::DepthMajor } else { WeightOrder::ChannelMajor })
}
