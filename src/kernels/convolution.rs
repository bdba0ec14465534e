//! Dense convolution with a window, made for the first layer of a network: few input channels, any kernel.
//!
//! One output row at a time, the input rows under the window are copied next to each other with their padding.
//! There the values under the window are `kernel height` runs of neighbouring bytes, so the convolution is a matrix
//! product whose rows overlap, without an im2col buffer.
use crate::kernels::{
    error::KernelError,
    kernel_set::KernelSet,
    matrix::{PackedMatrix, Rows, WeightOrder, Weights},
    pointwise::{multiply_to_u8, requantize_sums},
    requantize::{Output, Quantization, Requantize},
    window::Window,
};
use std::ops::Range;

/// A packed convolution with one group.
pub struct Convolution {
    set: KernelSet,
    window: Window,
    input_zero_point: u8,
    matrix: PackedMatrix,
    requantize: Requantize,
}

impl Convolution {
    /// Packs weights in ONNX's order `[channels][window.channels][kernel height][kernel width]`; `weights.order` must
    /// be [`WeightOrder::ChannelMajor`].
    ///
    /// # Errors
    /// If the window does not fit its image, or a slice has not the length that the shape asks for.
    ///
    /// # Panics
    /// If `weights.order` is another.
    pub fn pack(
        set: KernelSet,
        window: Window,
        channels: usize,
        weights: &Weights<'_>,
        input: Quantization,
        output: &Output,
    ) -> Result<Self, KernelError> {
        window.check()?;
        let [height, width] = window.kernel;
        weights.check(channels, window.channels * height * width)?;
        assert_eq!(weights.order, WeightOrder::ChannelMajor, "a convolution's weights are channel-major");
        let layout = set.kernels().matrix_layout;
        let depth = (width * window.channels).next_multiple_of(layout.group);
        let values = segments_of_rows(weights.values, channels, &window, depth);
        let matrix = PackedMatrix::new(layout, &values, channels, height, depth);
        let requantize = requantize_sums(&matrix, weights, input, output);
        Ok(Self { set, window, input_zero_point: input.zero_point, matrix, requantize })
    }

    /// Bytes of scratch memory that a run needs.
    pub fn scratch_len(&self) -> usize {
        self.window.kernel[0] * self.padded_row_len() + self.matrix.layout.group
    }

    /// Computes the output rows `rows` of `input`, a whole image; `output` holds just these rows.
    ///
    /// # Panics
    /// If the lengths do not belong together.
    pub fn run(&self, input: &[u8], rows: Range<usize>, scratch: &mut [u8], output: &mut [u8]) {
        assert_eq!(input.len(), self.window.input_len(), "the input is not one image");
        assert!(rows.end <= self.window.output_height(), "output row {} does not exist", rows.end);
        let output_row_len = self.window.output_width() * self.matrix.channels;
        assert_eq!(output.len(), rows.len() * output_row_len, "the output does not hold the rows asked for");
        let scratch = &mut scratch[..self.scratch_len()];
        scratch.fill(self.input_zero_point);
        for (row, output) in rows.zip(output.chunks_exact_mut(output_row_len)) {
            self.copy_rows(input, row, scratch);
            let rows = Rows {
                bytes: scratch,
                count: self.window.output_width(),
                row_stride: self.window.stride[1] * self.window.channels,
                segment_stride: self.padded_row_len(),
            };
            multiply_to_u8(self.set, &self.matrix, rows, &self.requantize, None, output);
        }
    }

    fn copy_rows(&self, input: &[u8], output_row: usize, scratch: &mut [u8]) {
        let row_len = self.window.width * self.window.channels;
        let left = self.window.padding[1] * self.window.channels;
        for (kernel_row, padded) in scratch.chunks_exact_mut(self.padded_row_len()).enumerate() {
            let image = &mut padded[left..left + row_len];
            match self.window.input_row(output_row, kernel_row) {
                Some(row) => image.copy_from_slice(&input[row * row_len..][..row_len]),
                None => image.fill(self.input_zero_point),
            }
        }
    }

    fn padded_row_len(&self) -> usize {
        (self.window.padding[1] + self.window.width + self.window.padding[3]) * self.window.channels
    }
}

/// Reorders `[channel][input channel][y][x]` to `[channel][y][x][input channel]`, each row padded with zeros.
fn segments_of_rows(values: &[i8], channels: usize, window: &Window, depth: usize) -> Vec<i8> {
    let ([height, width], inputs) = (window.kernel, window.channels);
    let mut segments = vec![0; channels * height * depth];
    for (i, &value) in values.iter().enumerate() {
        let (x, y) = (i % width, i / width % height);
        let (input, channel) = (i / (width * height) % inputs, i / (width * height * inputs));
        segments[(channel * height + y) * depth + x * inputs + input] = value;
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_become_padded_rows_of_pixels() {
        let window = Window { height: 2, width: 2, channels: 2, kernel: [2, 2], stride: [1, 1], padding: [0; 4] };
        let onnx = [1, 2, 3, 4, 10, 20, 30, 40];
        assert_eq!(segments_of_rows(&onnx, 1, &window, 6), [1, 10, 2, 20, 0, 0, 3, 30, 4, 40, 0, 0]);
    }
}
