//! Depthwise convolution: each channel of an NHWC image is filtered by its own window.
//!
//! Channels are cut into blocks as wide as the kernel's vectors. The last block is moved back to end at the last
//! channel, so it may overlap the one before: the shared channels are computed twice, and no kernel reads or writes
//! part of a vector.
use crate::kernels::{
    error::KernelError,
    kernel_set::KernelSet,
    matrix::{CacheAligned, WeightForm, Weights},
    requantize::{Limits, Output, Quantization, Requantize, multiplier},
    window::{ImageRows, Window},
};
use std::ops::Range;

/// A depthwise kernel of a set, with the order in which it wants its weights.
#[derive(Clone, Copy)]
pub(crate) struct DepthwiseKernel {
    /// Channels of a block; images with fewer channels need another kernel.
    pub channels: usize,
    /// Rows of the window whose weights lie side by side.
    pub row_group: usize,
    pub form: WeightForm,
    /// 128-bit parts of a vector: interleaving instructions work within each.
    pub parts: usize,
    /// See [`crate::kernels::matrix::MatrixLayout::activation_shift`].
    pub activation_shift: i32,
    /// Whether the kernel has code for a window and stride.
    pub supports: fn(&Window) -> bool,
    pub run: fn(&PackedDepthwise, ImageRows<'_>, Range<usize>, &mut [u8]),
}

/// A packed depthwise convolution.
pub struct Depthwise {
    packed: PackedDepthwise,
}

/// Weights and tables of a depthwise convolution in the order of one kernel.
pub(crate) struct PackedDepthwise {
    pub window: Window,
    pub kernel: DepthwiseKernel,
    /// In the blocks' order, [`PackedDepthwise::blocks`] times `kernel.channels` values each.
    pub requantize: Requantize,
    /// One pixel of padding.
    pub padding: Vec<u8>,
    #[allow(dead_code, reason = "only ARMv7's kernel multiplies signed bytes in 16 bits")]
    pub has_lowest_weight: bool,
    /// Bytes of packed weights of one block.
    pub block_bytes: usize,
    weights: CacheAligned,
}

impl Depthwise {
    /// Packs weights in ONNX's order `[channels][1][kernel height][kernel width]`; `weights.order` is not used.
    ///
    /// # Errors
    /// If the window does not fit its image, or a slice has not the length that the shape asks for.
    pub fn pack(
        set: KernelSet,
        window: Window,
        weights: &Weights<'_>,
        input: Quantization,
        output: &Output,
    ) -> Result<Self, KernelError> {
        window.check()?;
        let taps = window.kernel[0] * window.kernel[1];
        weights.check(window.channels, taps)?;
        let kernel = set.depthwise_kernel(&window);
        Ok(Self { packed: PackedDepthwise::new(kernel, window, weights, input, output) })
    }

    /// Computes the output rows `rows` of `input`, a whole image; `output` holds just these rows.
    ///
    /// # Panics
    /// If the lengths do not belong together.
    pub fn run(&self, input: &[u8], rows: Range<usize>, output: &mut [u8]) {
        assert_eq!(input.len(), self.packed.window.input_len(), "the input is not one image");
        self.run_strip(ImageRows { bytes: input, first: 0 }, rows, output);
    }

    /// As [`Depthwise::run`] with only some rows of the image at hand, at least [`Window::input_rows`].
    ///
    /// A caller that computes its input and uses its output strip by strip needs memory for a strip, not for the
    /// image, and finds the strip in the cache.
    ///
    /// # Panics
    /// If a row is missing, or if the lengths do not belong together.
    pub fn run_strip(&self, input: ImageRows<'_>, rows: Range<usize>, output: &mut [u8]) {
        let window = &self.packed.window;
        let (present, needed) = (input.bytes.len() / (window.width * window.channels), window.input_rows(rows.clone()));
        let has_rows = input.first <= needed.start && needed.end <= input.first + present;
        assert!(
            has_rows || needed.is_empty(),
            "input rows {needed:?} are needed, {present} from {} given",
            input.first
        );
        assert!(rows.end <= window.output_height(), "output row {} does not exist", rows.end);
        let row_len = window.output_width() * window.channels;
        assert_eq!(output.len(), rows.len() * row_len, "the output does not hold the rows asked for");
        (self.packed.kernel.run)(&self.packed, input, rows, output);
    }
}

impl PackedDepthwise {
    fn new(
        kernel: DepthwiseKernel,
        window: Window,
        weights: &Weights<'_>,
        input: Quantization,
        output: &Output,
    ) -> Self {
        let mut packed = Self {
            window,
            kernel,
            requantize: Requantize { bias: vec![], multipliers: vec![], limits: Limits::of(output) },
            padding: vec![input.zero_point; window.channels],
            has_lowest_weight: weights.values.contains(&i8::MIN),
            block_bytes: kernel.block_bytes(&window),
            weights: CacheAligned::default(),
        };
        let taps = window.kernel[0] * window.kernel[1];
        let offset = i32::from(input.zero_point) - kernel.activation_shift;
        let mut bytes = Vec::new();
        for first_channel in packed.blocks() {
            for position in 0..kernel.channels {
                let channel = first_channel + kernel.channel_at(position);
                let sum: i32 = weights.values[channel * taps..][..taps].iter().map(|&w| i32::from(w)).sum();
                let bias = weights.bias.get(channel).copied().unwrap_or(0);
                packed.requantize.bias.push(bias.wrapping_sub(sum.wrapping_mul(offset)));
                packed.requantize.multipliers.push(multiplier(input, weights.scales[channel], output.quantization));
            }
            kernel.pack_block(&window, &weights.values[first_channel * taps..], &mut bytes);
        }
        packed.weights = CacheAligned::new(&bytes);
        packed
    }

    /// The first channel of each block.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = usize> + use<> {
        let (channels, width) = (self.window.channels, self.kernel.channels);
        (0..channels.div_ceil(width)).map(move |block| (block * width).min(channels - width))
    }

    pub(crate) fn weights(&self) -> &[i8] {
        self.weights.as_slice()
    }
}

impl DepthwiseKernel {
    /// The channel of a block that the kernel keeps at `position` of its accumulators: interleaving two vectors
    /// leaves every 128-bit part in place, so neighbouring channels stay in the same part.
    fn channel_at(&self, position: usize) -> usize {
        let part_channels = self.channels / self.parts;
        let (vector, within) = (position / (4 * self.parts), position % (4 * self.parts));
        within / 4 * part_channels + vector * 4 + within % 4
    }

    fn block_bytes(&self, window: &Window) -> usize {
        let [height, width] = window.kernel;
        let value_bytes = if self.form == WeightForm::Bytes { 1 } else { 2 };
        width * height.next_multiple_of(self.row_group) * self.channels * value_bytes
    }

    /// Orders one block's weights by column, group of rows, position and row.
    fn pack_block(&self, window: &Window, values: &[i8], packed: &mut Vec<i8>) {
        let [height, width] = window.kernel;
        for x in 0..width {
            for first_row in (0..height).step_by(self.row_group) {
                for position in 0..self.channels {
                    for y in first_row..first_row + self.row_group {
                        let tap = (self.channel_at(position) * height + y) * width + x;
                        let weight = if y < height { values[tap] } else { 0 };
                        match self.form {
                            WeightForm::Bytes => packed.push(weight),
                            WeightForm::Words => {
                                packed.extend(i16::from(weight).to_le_bytes().map(|byte| byte as i8));
                            }
                        }
                    }
                }
            }
        }
    }
}
