//! Recognising products of rows that are quantized as they come: DynamicQuantizeLinear, MatMulInteger and the scaling.

use std::sync::Arc;

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::math::Mul;

use super::bias;
use super::layer::{Kernel, Layout, Operation};
use super::patterns::Found;
use super::product::with_bias;
use super::view::{View, is_scale};
use crate::kernels::WeightOrder;

/// tract's name of ONNX DynamicQuantizeLinear; its type is private.
const DYNAMIC_QUANTIZE: &str = "DynamicQuantizeLinearU8";

/// A product, with its bias if there is one, that makes `source`.
pub(super) fn dynamic_linear(view: View<'_>, source: OutletId) -> Option<Found> {
    let (matrix, bias) =
        with_bias(view, source, |source| matrix(view, source), |matrix: &Matrix| matrix.kernel.scales.len())?;
    let Matrix { input, layout, kernel } = matrix;
    let bias = bias.map_or(Some(vec![]), |bias| bias::real(view, bias, kernel.scales.len()))?;
    Some((Operation::DynamicLinear { input: layout, kernel, bias }, tvec!(input)))
}

struct Matrix {
    input: OutletId,
    layout: Layout,
    kernel: Kernel,
}

/// Integers times the product of both scales.
fn matrix(view: View<'_>, source: OutletId) -> Option<Matrix> {
    let [first, second] = view.binary::<Mul>(source)?;
    let integers = |outlet: OutletId| {
        let (node, _) = view.maker::<Cast>(view.behind_reshapes(outlet))?;
        view.maker::<EinSum>(node.inputs[0])
    };
    let ((product, op), factor) = match integers(first) {
        Some(found) => (found, second),
        None => (integers(second)?, first),
    };
    let &[steps, weights, sum, zero_point, one, weight_zero_points, other_one, ..] = &product.inputs[..] else {
        return None;
    };
    let dynamic = quantizer(view, steps)?;
    let is_plain = op.q_params == Some(i32::datum_type())
        && is_last_axis_product(op, view.shape(steps)?.len())
        && is_zero(view, sum)
        && is_zero(view, weight_zero_points)
        && [one, other_one].iter().all(|scale| view.constant_float(*scale) == Some(1.0))
        && behind(view, zero_point) == OutletId::new(dynamic.id, 2);
    let input = dynamic.inputs[0];
    let (layout, kernel) = (view.layout(input)?, kernel(view, weights, scales(view, factor, dynamic)?)?);
    let is_fitting = view.shape(input)?.len() != 4 && kernel.values.shape()[0] == layout.channels();
    (is_plain && is_fitting).then_some(Matrix { input, layout, kernel })
}

fn quantizer<'m>(view: View<'m>, steps: OutletId) -> Option<&'m TypedNode> {
    let node = view.model.node(view.behind_reshapes(steps).node);
    (node.op().name() == DYNAMIC_QUANTIZE).then_some(node)
}

/// What a value is made of, whatever its type is turned to on the way.
fn behind(view: View<'_>, outlet: OutletId) -> OutletId {
    let outlet = view.behind_reshapes(outlet);
    view.maker::<Cast>(outlet).map_or(outlet, |(node, _)| view.behind_reshapes(node.inputs[0]))
}

fn is_zero(view: View<'_>, outlet: OutletId) -> bool {
    let is_zero = |tensor: Arc<Tensor>| {
        let numbers = tensor.cast_to::<i32>().ok()?;
        Some(numbers.as_plain_ram()?.as_slice::<i32>().ok()?.iter().all(|number| *number == 0))
    };
    view.constant(outlet).and_then(is_zero).unwrap_or(false)
}

/// The weights' scales: `factor` is their product with the scale of `dynamic`.
fn scales(view: View<'_>, factor: OutletId, dynamic: &TypedNode) -> Option<Vec<f32>> {
    let [first, second] = view.binary::<Mul>(view.behind_reshapes(factor))?;
    let is_dynamic = |outlet| view.behind_reshapes(outlet) == OutletId::new(dynamic.id, 1);
    let constant = if is_dynamic(first) { second } else { is_dynamic(second).then_some(first)? };
    view.constant_floats(constant).filter(|scales| scales.iter().all(|scale| is_scale(*scale)))
}

fn kernel(view: View<'_>, weights: OutletId, scales: Vec<f32>) -> Option<Kernel> {
    let values = view.constant(view.behind_reshapes(weights))?;
    let &[_, channels] = values.shape() else { return None };
    let scales = if let [scale] = scales[..] { vec![scale; channels] } else { scales };
    let is_usable = values.datum_type() == i8::datum_type() && channels > 0 && scales.len() == channels;
    is_usable.then_some(Kernel { values, order: WeightOrder::DepthMajor, scales })
}

/// Whether the operator sums over the last axis of rows and the last but one of the weights.
fn is_last_axis_product(op: &EinSum, rank: usize) -> bool {
    let is_same = |first: (InOut, usize), second: (InOut, usize)| {
        op.axes.axis(first).ok().zip(op.axes.axis(second).ok()).is_some_and(|(first, second)| first == second)
    };
    let weights_rank = op.axes.rank(InOut::In(1));
    rank >= 2
        && weights_rank >= 2
        && op.axes.rank(InOut::Out(0)) == rank
        && is_same((InOut::In(0), rank - 1), (InOut::In(1), weights_rank - 2))
        && is_same((InOut::Out(0), rank - 1), (InOut::In(1), weights_rank - 1))
        && is_same((InOut::Out(0), rank - 2), (InOut::In(0), rank - 2))
}
