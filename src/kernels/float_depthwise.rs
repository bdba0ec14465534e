//! Float depthwise convolutions over CHW planes, for graphs that are not quantized.
//!
//! Each plane is copied into as many small planes as the window has strides: plane (y, x) holds every row and column
//! that leaves the remainders y and x, padding included. There each weight meets neighbours only, at one distance from
//! the output, and rows follow each other: the sums of a plane are one run over memory. Every set finds the same bits.
use crate::kernels::{
    error::{KernelError, check_length},
    kernel_set::KernelSet,
    window::Window,
};

/// Outputs that are summed at once, in registers.
const BLOCK: usize = 32;

/// A convolution of each channel with a filter of its own, its result kept to a range.
pub struct FloatDepthwise {
    set: KernelSet,
    window: Window,
    weights: Vec<f32>, // (channels, kernel height, kernel width)
    bias: Vec<f32>,    // (channels)
    range: [f32; 2],
    distances: Vec<usize>, // of each weight's first value in the split plane
    split_len: usize,
    row_len: usize,
}

impl FloatDepthwise {
    /// # Errors
    /// If a slice has not the length that the window asks for, or the window does not fit its image.
    pub fn new(
        set: KernelSet,
        window: Window,
        weights: Vec<f32>,
        bias: Vec<f32>,
        range: [f32; 2],
    ) -> Result<Self, KernelError> {
        window.check()?;
        let Window { kernel: [height, width], stride: [down, across], .. } = window;
        check_length("the filters", weights.len(), window.channels * height * width)?;
        check_length("the bias", bias.len(), window.channels)?;
        let row_len = window.output_width() + (width - 1) / across;
        let part_len = (window.output_height() + (height - 1) / down) * row_len;
        let distance =
            |y: usize, x: usize| (y % down * across + x % across) * part_len + y / down * row_len + x / across;
        let distances =
            (0..height).flat_map(|y| (0..width).map(move |x| (y, x))).map(|(y, x)| distance(y, x)).collect();
        // The last block of sums reads past the last value that counts.
        let split_len = down * across * part_len + width + BLOCK;
        Ok(Self { set, window, weights, bias, range, distances, split_len, row_len })
    }

    pub fn window(&self) -> Window {
        self.window
    }

    /// Values of working memory that a run needs.
    pub fn scratch_len(&self) -> usize {
        self.split_len + self.sums_len()
    }

    /// Computes all channels of an image.
    ///
    /// # Panics
    /// If a slice has not the length that the window asks for.
    pub fn run(&self, input: &[f32], scratch: &mut [f32], output: &mut [f32]) {
        let Window { height, width, kernel, .. } = self.window;
        let plane_len = self.window.output_height() * self.window.output_width();
        assert_eq!(input.len(), self.window.input_len(), "the input is not one image");
        assert_eq!(output.len(), self.window.channels * plane_len, "the output is not one image");
        assert_eq!(scratch.len(), self.scratch_len(), "the working memory has another length");
        let (split, sums) = scratch.split_at_mut(self.split_len);
        // What no plane writes is padding.
        split.fill(0.0);
        let filters = self.weights.chunks_exact(kernel[0] * kernel[1]).zip(&self.bias);
        let planes = input.chunks_exact(height * width).zip(output.chunks_exact_mut(plane_len));
        for ((input, output), (weights, &bias)) in planes.zip(filters) {
            self.split(input, split);
            let filter = Filter { distances: &self.distances, weights, bias, range: self.range };
            (self.set.kernels().elementwise.filter_split)(&filter, split, sums);
            let rows = output.chunks_exact_mut(self.window.output_width());
            for (output, sums) in rows.zip(sums.chunks_exact(self.row_len)) {
                output.copy_from_slice(&sums[..output.len()]);
            }
        }
    }

    /// Sums of all outputs, and of the columns between their rows that mean nothing.
    fn sums_len(&self) -> usize {
        (self.window.output_height() * self.row_len).next_multiple_of(BLOCK)
    }

    /// Copies a plane to its parts.
    fn split(&self, plane: &[f32], split: &mut [f32]) {
        let Window { width, kernel, stride: [down, across], padding: [top, left, ..], .. } = self.window;
        let rows = self.window.output_height() + (kernel[0] - 1) / down;
        for (y, row) in plane.chunks_exact(width).enumerate() {
            let (part, at) = ((y + top) % down, (y + top) / down);
            if at >= rows {
                continue;
            }
            for (x, column) in (0..across.min(width)).map(|x| (x, x + left)) {
                let start = ((part * across + column % across) * rows + at) * self.row_len;
                let to = &mut split[start..start + self.row_len];
                let to = to.get_mut(column / across..).unwrap_or_default();
                if across == 1 {
                    let len = to.len().min(row.len());
                    to[..len].copy_from_slice(&row[..len]);
                } else {
                    to.iter_mut().zip(row[x..].iter().step_by(across)).for_each(|(to, value)| *to = *value);
                }
            }
        }
    }
}

/// What makes an output of a split plane.
pub(crate) struct Filter<'a> {
    distances: &'a [usize],
    weights: &'a [f32],
    bias: f32,
    range: [f32; 2],
}

/// The bias and the weights times the values at their distances, kept to the range, for each of `sums` (whole blocks).
#[inline(always)]
pub(crate) fn filter_split(filter: &Filter<'_>, split: &[f32], sums: &mut [f32]) {
    let Filter { distances, weights, bias, range: [low, high] } = *filter;
    for (block, sums) in sums.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
        let values = &split[block * BLOCK..];
        let mut block_sums = [bias; BLOCK];
        for (&distance, weight) in distances.iter().zip(weights) {
            let values = values[distance..].first_chunk::<BLOCK>().expect("the split plane ends with a spare block");
            for lane in 0..BLOCK {
                block_sums[lane] += weight * values[lane];
            }
        }
        for lane in 0..BLOCK {
            let sum = if block_sums[lane] < low { low } else { block_sums[lane] };
            sums[lane] = if sum > high { high } else { sum };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(len: usize) -> Vec<f32> {
        (0..len).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect()
    }

    /// The definition, in the order of the kernels.
    fn by_definition(window: Window, input: &[f32], weights: &[f32], bias: &[f32]) -> Vec<f32> {
        let mut output = vec![];
        for channel in 0..window.channels {
            for (y, x) in (0..window.output_height()).flat_map(|y| (0..window.output_width()).map(move |x| (y, x))) {
                let mut sum = bias[channel];
                for (ky, kx) in (0..window.kernel[0]).flat_map(|y| (0..window.kernel[1]).map(move |x| (y, x))) {
                    let weight = weights[(channel * window.kernel[0] + ky) * window.kernel[1] + kx];
                    let pixel = window.input_row(y, ky).zip(window.input_column(x, kx));
                    let value = |(y, x)| input[(channel * window.height + y) * window.width + x];
                    sum += weight * pixel.map_or(0.0, value);
                }
                output.push(sum.clamp(-0.5, 2.0));
            }
        }
        output
    }

    #[test]
    fn any_window_gives_what_the_definition_gives() {
        let square = |kernel, stride, padding| ([kernel; 2], [stride; 2], [padding; 4]);
        for (kernel, stride, padding) in [
            square(1, 1, 0),
            square(3, 1, 1),
            square(3, 2, 1),
            square(5, 1, 2),
            square(5, 2, 2),
            square(3, 3, 0),
            square(2, 4, 0),
            ([3, 5], [2, 1], [0, 2, 1, 2]),
            ([1, 4], [1, 3], [0, 0, 0, 1]),
            ([3, 3], [2, 2], [0, 0, 1, 1]),
        ] {
            for (height, width) in [(7, 7), (14, 9), (5, 40)] {
                let window = Window { height, width, channels: 3, kernel, stride, padding };
                let (input, weights) = (values(window.input_len()), values(3 * kernel[0] * kernel[1]));
                let bias = vec![0.25, -0.5, 0.0];
                let expected = by_definition(window, &input, &weights, &bias);
                for set in KernelSet::available() {
                    let op = FloatDepthwise::new(set, window, weights.clone(), bias.clone(), [-0.5, 2.0]).unwrap();
                    let mut output = vec![9.0; expected.len()];
                    op.run(&input, &mut vec![7.0; op.scratch_len()], &mut output);
                    assert_eq!(output, expected, "{set:?} {window:?}");
                }
            }
        }
    }

    #[test]
    fn filters_of_another_shape_are_refused() {
        let window = Window { height: 4, width: 4, channels: 2, kernel: [3; 2], stride: [1; 2], padding: [1; 4] };
        let new = |weights, bias| FloatDepthwise::new(KernelSet::reference(), window, weights, bias, [0.0, 6.0]);
        assert!(new(vec![0.0; 17], vec![0.0; 2]).is_err() && new(vec![0.0; 18], vec![0.0; 1]).is_err());
    }
}
