//! Depthwise convolutions that stay on floats: tract sums them one tap at a time, ours run in blocks with the clamp that
//! follows them.

use std::fmt;
use std::sync::Arc;

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::Conv;
use tract_onnx::tract_core::ops::nn::DataFormat;

use super::convolution::window;
use super::layer::Layout;
use super::view::View;
use crate::kernels::{FloatDepthwise, KernelSet};

/// Largest window and stride that are taken on; networks have windows of 3 to 7 and strides of 1 and 2.
const MAX_KERNEL: usize = 15;
const MAX_STRIDE: usize = 4;

/// `model` with its float depthwise convolutions computed by `set`.
pub(super) fn replace(mut model: TypedModel, set: KernelSet) -> TractResult<TypedModel> {
    let is_candidate = |node: &TypedNode| node.op_as::<Conv>().is_some_and(|op| op.group > 1);
    if !model.nodes().iter().any(is_candidate) {
        return Ok(model);
    }
    // Only then are batch norms part of the filters and paddings part of the windows.
    model.declutter()?;
    for id in 0..model.nodes().len() {
        let node = model.node(id);
        if !is_candidate(node) {
            continue;
        }
        if let Some(found) = find(View { model: &model }, set, id) {
            let mut patch = TypedModelPatch::default();
            let input = patch.tap_model(&model, found.input)?;
            let made = patch.wire_node(node.name.clone(), found.op, &[input])?;
            patch.shunt_outside(&model, found.output, made[0])?;
            patch.apply(&mut model)?;
        } else {
            log::debug!("{} stays with tract: {:?}", node.name, node.op);
        }
    }
    Ok(model)
}

/// A convolution with the clamps behind it.
struct Found {
    op: FloatDepthwiseOp,
    input: OutletId,
    output: OutletId,
}

fn find(view: View<'_>, set: KernelSet, id: usize) -> Option<Found> {
    let source = OutletId::new(id, 0);
    let (node, op) = view.maker::<Conv>(source)?;
    let &[input, weights, bias] = &node.inputs[..] else { return None };
    let shape = view.shape(input)?;
    // tract leaves the batch of one out where it can.
    let image = match op.pool_spec.data_format {
        DataFormat::NCHW => shape.strip_prefix(&[1])?,
        DataFormat::CHW => shape,
        _ => return None,
    };
    let &[channels, height, width] = image else { return None };
    let window = window(op, Layout::Image { height, width, channels })?;
    let is_depthwise = op.group == window.channels && op.output_channels() == op.group;
    let is_usual = window.kernel.iter().all(|len| *len <= MAX_KERNEL) && window.stride.iter().all(|s| *s <= MAX_STRIDE);
    let (shape, made) = (view.shape(source)?, [channels, window.output_height(), window.output_width()]);
    if !is_depthwise || !is_usual || !view.is_float(input) || !shape.ends_with(&made) {
        return None;
    }
    let weights = view.constant_floats(weights)?;
    let bias = view.constant_floats(bias)?;
    let bias = if let [bias] = bias[..] { vec![bias; channels] } else { bias };
    let (output, range) = clamped(view, source);
    let kernel = FloatDepthwise::new(set, window, weights, bias, range).ok()?;
    Some(Found { op: FloatDepthwiseOp { kernel: Arc::new(kernel), shape: shape.into() }, input, output })
}

/// The last of the clamps that nothing but the next one reads, and the range that all of them keep to.
fn clamped(view: View<'_>, source: OutletId) -> (OutletId, [f32; 2]) {
    let mut found = (source, [f32::NEG_INFINITY, f32::INFINITY]);
    while !view.model.outputs.contains(&found.0)
        && let [reader] = view.model.outlet_successors(found.0)
    {
        let next = OutletId::new(reader.node, 0);
        let (behind, range) = view.behind_clamps(next);
        if behind != source || view.shape(next) != view.shape(source) {
            break;
        }
        found = (next, range);
    }
    found
}

/// The operator; its weights are shared by all who hold it.
#[derive(Clone)]
struct FloatDepthwiseOp {
    kernel: Arc<FloatDepthwise>,
    /// Of the output: the image's, with or without a batch of one.
    shape: TVec<usize>,
}

impl fmt::Debug for FloatDepthwiseOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FloatDepthwise({:?})", self.kernel.window())
    }
}

impl PartialEq for FloatDepthwiseOp {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.kernel, &other.kernel)
    }
}

impl Eq for FloatDepthwiseOp {}

impl Op for FloatDepthwiseOp {
    fn name(&self) -> StaticName {
        "FloatDepthwise".into()
    }
    op_as_typed_op!();
}

impl EvalOp for FloatDepthwiseOp {
    not_out_of_plan!();

    fn state(&self, _: &EvalContext) -> TractResult<Option<Box<dyn OpState>>> {
        Ok(Some(Box::new(Scratch(vec![0.0; self.kernel.scratch_len()]))))
    }
}

impl TypedOp for FloatDepthwiseOp {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(&self.shape[..])))
    }
    as_op!();
}

/// Working memory between runs.
#[derive(Clone)]
struct Scratch(Vec<f32>);

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scratch({} values)", self.0.len())
    }
}

impl OpState for Scratch {
    fn eval(&mut self, _: &EvalContext, op: &dyn Op, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let op = op.downcast_ref::<FloatDepthwiseOp>().context("working memory met another operator")?;
        let mut output = Tensor::zero::<f32>(&op.shape)?;
        let input = inputs[0].try_as_plain_ram()?;
        op.kernel.run(input.as_slice::<f32>()?, &mut self.0, output.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?);
        Ok(tvec!(output.into_tvalue()))
    }

    fn reset_lanes(&mut self, _: &[LaneId]) -> TractResult<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::tract_core::ops::cnn::conv::KernelFormat;
    use tract_onnx::tract_core::ops::cnn::{PaddingSpec, PoolSpec};
    use tract_onnx::tract_core::ops::math::{max, min};

    use super::*;

    const CHANNELS: usize = 6;

    fn ramp(shape: &[usize]) -> TractResult<Tensor> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|i| (i * 7919 % 1000) as f32 / 250.0 - 2.0).collect();
        Tensor::from_shape(shape, &values)
    }

    /// A convolution of stride 2 in `groups`, clamped to 0..1.
    fn network(groups: usize) -> TractResult<TypedModel> {
        let mut model = TypedModel::default();
        let input = model.add_source("input", f32::fact([1, CHANNELS, 9, 11]))?;
        let weights = model.add_const("weights", ramp(&[CHANNELS, CHANNELS / groups, 3, 3])?)?;
        let bias = model.add_const("bias", ramp(&[CHANNELS])?)?;
        let pool_spec = PoolSpec {
            data_format: DataFormat::NCHW,
            kernel_shape: tvec![3, 3],
            padding: PaddingSpec::Explicit(tvec![0, 1], tvec![1, 1]),
            dilations: None,
            strides: Some(tvec![2, 2]),
            input_channels: CHANNELS,
            output_channels: CHANNELS,
        };
        let op = Conv { pool_spec, kernel_fmt: KernelFormat::OIHW, group: groups, q_params: None };
        let sums = model.wire_node("convolution", op, &[input, weights, bias])?;
        let [low, high] = [("low", 0.0_f32), ("high", 1.0)]
            .map(|(name, limit)| model.add_const(name, tensor0(limit).broadcast_into_rank(4)?));
        let positive = model.wire_node("positive", max(), &[sums[0], low?])?;
        let clamped = model.wire_node("clamped", min(), &[positive[0], high?])?;
        model.select_output_outlets(&clamped)?;
        Ok(model)
    }

    fn run(model: TypedModel) -> TractResult<Vec<f32>> {
        let output = model.into_optimized()?.into_runnable()?.run(tvec!(ramp(&[1, CHANNELS, 9, 11])?.into_tvalue()))?;
        let values = output[0].try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
        Ok(values)
    }

    #[test]
    fn a_clamped_depthwise_convolution_becomes_one_operator() -> TractResult<()> {
        let replaced = replace(network(CHANNELS)?, KernelSet::detect())?.into_compact()?;
        let names: Vec<_> = replaced.nodes().iter().map(|node| node.op().name().into_owned()).collect();
        assert_eq!(names, ["Source", "FloatDepthwise"]);
        let (ours, stock) = (run(replaced)?, run(network(CHANNELS)?)?);
        assert_eq!(ours.len(), stock.len());
        assert!(ours.iter().any(|value| 0.0 < *value && *value < 1.0) && ours.contains(&0.0) && ours.contains(&1.0));
        assert!(ours.iter().zip(&stock).all(|(a, b)| (a - b).abs() < 1e-5));
        Ok(())
    }

    #[test]
    fn other_groups_stay_with_tract() -> TractResult<()> {
        let kept = replace(network(2)?, KernelSet::detect())?;
        assert!(kept.nodes().iter().any(|node| node.op_is::<Conv>()));
        Ok(())
    }
}
