//! Tensors as they cross the border of a region: channel planes (ONNX) outside, pixels (NHWC) inside.

use tract_onnx::tract_core::internal::*;

use super::layer::Layout;
use super::split::Split;
use crate::kernels::{KernelSet, Quantization, Threads};

/// Rows that are transposed at once; they stay in the first cache level.
const ROWS: usize = 64;

/// Added to i8 to make it u8.
const SIGN: u8 = 128;

/// Whether the elements lie elsewhere inside than outside.
fn is_transposed(layout: Layout) -> bool {
    matches!(layout, Layout::Image { .. }) && layout.rows() > 1 && layout.channels() > 1
}

/// Real numbers outside, steps inside.
pub(super) struct Border {
    pub set: KernelSet,
    pub layout: Layout,
    pub quantization: Quantization,
}

impl Border {
    /// f32 outside to u8 inside.
    pub fn quantize(&self, input: &Tensor, split: Split, threads: &mut Threads, output: &mut [u8]) -> TractResult<()> {
        let view = input.try_as_plain_ram()?;
        let input = view.as_slice::<f32>()?;
        ensure!(input.len() == output.len(), "{} elements where {} were planned", input.len(), output.len());
        if is_transposed(self.layout) {
            let channels = self.layout.channels();
            split.run(threads, output, |pixels, output| {
                self.set.quantize_planes(input, channels, pixels, self.quantization, output);
            });
        } else {
            self.set.quantize(input, self.quantization, output);
        }
        Ok(())
    }

    /// u8 inside to f32 outside.
    pub fn dequantize(&self, input: &[u8], output: &mut Tensor) -> TractResult<()> {
        let mut view = output.try_as_plain_ram_mut()?;
        let output = view.as_slice_mut::<f32>()?;
        if !is_transposed(self.layout) {
            self.set.dequantize(input, self.quantization, output);
            return Ok(());
        }
        let (rows, channels) = (self.layout.rows(), self.layout.channels());
        let mut plane = [0; ROWS];
        for (chunk, steps) in input.chunks(ROWS * channels).enumerate() {
            let count = steps.len() / channels;
            for channel in 0..channels {
                for (step, row) in plane.iter_mut().zip(steps.chunks_exact(channels)) {
                    *step = row[channel];
                }
                let start = channel * rows + chunk * ROWS;
                self.set.dequantize(&plane[..count], self.quantization, &mut output[start..start + count]);
            }
        }
        Ok(())
    }
}

/// u8 or i8 outside to u8 inside.
pub(super) fn load(input: &Tensor, layout: Layout, output: &mut [u8]) -> TractResult<()> {
    let view = input.try_as_plain_ram()?;
    ensure!(input.len() == output.len(), "{} elements where {} were planned", input.len(), output.len());
    let (rows, channels) = if is_transposed(layout) { (layout.rows(), layout.channels()) } else { (1, output.len()) };
    let mut place = |at: usize, step: u8| output[at % rows * channels + at / rows] = step;
    if input.datum_type() == i8::datum_type() {
        view.as_slice::<i8>()?.iter().enumerate().for_each(|(at, step)| place(at, (*step as u8).wrapping_add(SIGN)));
    } else {
        view.as_slice::<u8>()?.iter().enumerate().for_each(|(at, step)| place(at, *step));
    }
    Ok(())
}

/// u8 inside to u8 or i8 outside.
pub(super) fn store(input: &[u8], layout: Layout, output: &mut Tensor) -> TractResult<()> {
    let (rows, channels) = if is_transposed(layout) { (layout.rows(), layout.channels()) } else { (1, input.len()) };
    let step = |at: usize| input[at % rows * channels + at / rows];
    let is_signed = output.datum_type() == i8::datum_type();
    let mut view = output.try_as_plain_ram_mut()?;
    if is_signed {
        let steps = view.as_slice_mut::<i8>()?.iter_mut().enumerate();
        steps.for_each(|(at, out)| *out = step(at).wrapping_sub(SIGN) as i8);
    } else {
        view.as_slice_mut::<u8>()?.iter_mut().enumerate().for_each(|(at, out)| *out = step(at));
    }
    Ok(())
}
