//! The bias of a layer: real in some graphs, quantized to i32 in others.

use tract_onnx::tract_core::internal::*;

use super::scheme::Dequantize;
use super::view::View;

/// How far the scale of a quantized bias may lie from the product of the scales of input and weights, as a share of it.
const SCALE_TOLERANCE: f32 = 1e-5;

/// `bias` in whole `units`, one a channel.
pub(super) fn in_steps(view: View<'_>, bias: OutletId, units: &[f32]) -> Option<Vec<i32>> {
    let real = real(view, bias, units.len())?;
    let Some((steps, scales)) = quantized(view, bias, units.len()) else {
        return real.iter().zip(units).map(|(value, unit)| whole(f64::from(*value) / f64::from(*unit))).collect();
    };
    let channels = steps.iter().zip(scales).zip(real.iter().zip(units));
    let step_of = |((step, scale), (value, unit)): ((&i32, f32), (&f32, &f32))| {
        let is_in_units = (scale - unit).abs() <= SCALE_TOLERANCE * unit;
        if is_in_units { Some(*step) } else { whole(f64::from(*value) / f64::from(*unit)) }
    };
    channels.map(step_of).collect()
}

/// `bias` in real numbers, one a channel.
pub(super) fn real(view: View<'_>, bias: OutletId, channels: usize) -> Option<Vec<f32>> {
    let bias = view.behind_reshapes(bias);
    let values = match view.maker::<Dequantize>(bias) {
        Some((node, op)) => op.real(&*view.constant(node.inputs[0])?).ok()?.into_arc_tensor(),
        None => view.constant(bias)?,
    };
    let values = values.as_plain_ram()?.as_slice::<f32>().ok()?.to_vec();
    let values = if values.len() == 1 { vec![values[0]; channels] } else { values };
    (values.len() == channels && values.iter().all(|value| value.is_finite())).then_some(values)
}

/// Steps and scales of a bias that is quantized, zero point 0.
fn quantized(view: View<'_>, bias: OutletId, channels: usize) -> Option<(Vec<i32>, Vec<f32>)> {
    let (node, op) = view.maker::<Dequantize>(view.behind_reshapes(bias))?;
    let steps = view.constant(node.inputs[0])?;
    let is_plain =
        steps.datum_type() == i32::datum_type() && steps.shape() == [channels] && !op.scheme.has_zero_points();
    let scales = op.scheme.scales_along(0, channels)?;
    is_plain.then(|| Some((steps.as_plain_ram()?.as_slice::<i32>().ok()?.to_vec(), scales)))?
}

fn whole(steps: f64) -> Option<i32> {
    let rounded = steps.round_ties_even();
    (rounded.abs() <= f64::from(i32::MAX)).then_some(rounded as i32)
}
