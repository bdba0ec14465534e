//! Recognising convolutions: pointwise, depthwise, and dense with any window.

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::Conv;
use tract_onnx::tract_core::ops::cnn::conv::KernelFormat;
use tract_onnx::tract_core::ops::nn::DataFormat;

use super::bias;
use super::layer::{Kernel, Layout, Operation};
use super::patterns::Found;
use super::view::View;
use crate::kernels::{Output, WeightOrder, Window};

/// A convolution that makes `source`, with its sums requantized to `output`.
pub(super) fn convolution(view: View<'_>, source: OutletId, output: &Output) -> Option<Found> {
    let (node, op) = view.maker::<Conv>(source)?;
    let &[input, kernel, bias] = &node.inputs[..] else { return None };
    let input = view.activation(input)?;
    let kernel = view.kernel(kernel, 0, WeightOrder::ChannelMajor)?;
    let window = window(op, input.layout).filter(|_| op.pool_spec.data_format == DataFormat::NCHW)?;
    let channels = op.output_channels();
    let is_depthwise = op.group > 1;
    check_channels(op, &kernel, &window)?;
    let size = [window.output_height(), window.output_width()];
    let actual = view.layout(source)?;
    if actual.size() != Some(size) || actual.channels() != channels {
        return None;
    }
    let units: Vec<f32> = kernel.scales.iter().map(|scale| input.quantization.scale * scale).collect();
    let bias = bias::in_steps(view, bias, &units)?;
    let (output, inputs) = (output.clone(), tvec!(input.outlet));
    let is_pointwise = !is_depthwise && window.kernel == [1, 1] && window.stride == [1, 1] && window.padding == [0; 4];
    Some(if is_pointwise {
        (Operation::Product { input, kernel, bias, output, residual: None }, inputs)
    } else {
        (Operation::Convolution { window, is_depthwise, input, kernel, bias, output }, inputs)
    })
}

/// The window of a two-dimensional convolution that is neither dilated nor odd in another way, whatever the order of axes.
pub(super) fn window(op: &Conv, input: Layout) -> Option<Window> {
    let pool = &op.pool_spec;
    let [height, width] = input.size()?;
    let &[kernel_height, kernel_width] = &pool.kernel_shape[..] else { return None };
    let is_plain = op.q_params.is_none()
        && op.kernel_fmt == KernelFormat::OIHW
        && pool.dilations().iter().all(|dilation| *dilation == 1)
        && pool.strides().len() == 2
        && !pool.strides().contains(&0);
    if !is_plain || kernel_height == 0 || kernel_width == 0 {
        return None;
    }
    let padding = pool.computed_padding(&[height, width]);
    let [down, across] = &padding[..] else { return None };
    let padding = [down.pad_before, across.pad_before, down.pad_after, across.pad_after];
    // Padding as wide as the kernel makes outputs of nothing but padding: no network has it.
    let fits = |len: usize, kernel: usize, before: usize, after: usize| {
        before < kernel && after < kernel && len + before + after >= kernel
    };
    let fits_both =
        fits(height, kernel_height, padding[0], padding[2]) && fits(width, kernel_width, padding[1], padding[3]);
    fits_both.then_some(Window {
        height,
        width,
        channels: input.channels(),
        kernel: [kernel_height, kernel_width],
        stride: [pool.stride(0), pool.stride(1)],
        padding,
    })
}

/// One group, or one for each channel.
fn check_channels(op: &Conv, kernel: &Kernel, window: &Window) -> Option<()> {
    let (channels, is_depthwise) = (op.output_channels(), op.group > 1);
    let depth = if is_depthwise { 1 } else { window.channels };
    let shape = [channels, depth, window.kernel[0], window.kernel[1]];
    let groups_fit = if is_depthwise { op.group == window.channels && channels == op.group } else { op.group == 1 };
    (groups_fit && kernel.values.shape() == shape).then_some(())
}
