//! Recognising global average pools: GlobalAveragePool, or ReduceMean over height and width.

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::math::Div;
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

use super::layer::{Layout, Operation};
use super::patterns::Found;
use super::view::View;
use crate::kernels::Output;

/// Most pixels whose sum of u8 steps fits an i32 with room to spare.
const MAX_PIXELS: usize = 1 << 22;

/// A mean over all pixels that makes `source`, requantized to `output`.
pub(super) fn global_average(view: View<'_>, source: OutletId, output: &Output) -> Option<Found> {
    let [sum, count] = view.binary::<Div>(source)?;
    let (node, op) = view.maker::<Reduce>(view.behind_reshapes(sum))?;
    let input = view.activation(node.inputs[0])?;
    let Layout::Image { height, width, .. } = input.layout else { return None };
    let pixels = height * width;
    let is_mean = op.reducer == Reducer::Sum
        && op.axes[..] == [2, 3]
        && view.constant_float(count) == Some(pixels as f32)
        && pixels <= MAX_PIXELS;
    let inputs = tvec!(input.outlet);
    is_mean.then(|| (Operation::GlobalAveragePool { input, output: output.clone() }, inputs))
}
