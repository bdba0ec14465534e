//! The reference kernels: plain safe Rust that every CPU runs and every other set must equal bit for bit.
//!
//! They are also what boards without SIMD run (ARMv6), so weights are read in order and sums stay in registers.
use crate::kernels::{
    add::add_values,
    average_pool::sum_pixels,
    columns::Columns,
    depthwise::{DepthwiseKernel, PackedDepthwise},
    excitation::excite,
    float_depthwise::filter_split,
    kernel_set::{Elementwise, Kernels},
    linear::ToFloat,
    matrix::{Block, MatrixLayout, PackedMatrix, Rows, WeightForm},
    quantize::{dequantize_values, interleave_planes, quantize_values, range_with_zero},
    requantize::{Addend, Quantization, Requantize, requantize, rounded},
    thin::{matrix_times_column, row_times_matrix},
    window::ImageRows,
};
use std::ops::Range;

/// Output channels summed at once.
const LANES: usize = 4;

pub(crate) static REFERENCE: Kernels = Kernels {
    name: "reference",
    is_supported: || true,
    matrix_layout: MatrixLayout { lanes: LANES, group: 1, vectors: 1, form: WeightForm::Bytes, activation_shift: 0 },
    multiply_to_u8: |matrix, rows, stage, addend, output| sums_to_u8(two_rows, matrix, rows, stage, addend, output),
    multiply_to_f32: |matrix, rows, quantizations, to_float, output| {
        sums_to_f32(two_rows, matrix, rows, quantizations, to_float, output);
    },
    depthwise: &[depthwise_kernel::<16>(), depthwise_kernel::<1>()],
    elementwise: ELEMENTWISE,
};

/// For whatever instructions the compiler may use everywhere on the target.
pub(crate) const ELEMENTWISE: Elementwise = Elementwise {
    quantize: quantize_values,
    interleave: interleave_planes,
    dequantize: dequantize_values,
    range: range_with_zero,
    add: add_values,
    excite,
    sum_pixels,
    row_times_matrix,
    matrix_times_column,
    filter_split,
};

/// Computes two rows of a block of channels.
pub(crate) trait TwoRows<const LANES: usize>:
    Fn(&PackedMatrix, &Rows<'_>, Block, [usize; 2]) -> [[i32; LANES]; 2]
{
}

impl<const LANES: usize, F> TwoRows<LANES> for F where
    F: Fn(&PackedMatrix, &Rows<'_>, Block, [usize; 2]) -> [[i32; LANES]; 2]
{
}

/// A product rounded to u8, from sums computed by `two_rows`.
#[inline(always)]
pub(crate) fn sums_to_u8<const LANES: usize>(
    two_rows: impl TwoRows<LANES>,
    matrix: &PackedMatrix,
    rows: Rows<'_>,
    stage: &Requantize,
    residual: Addend<'_>,
    output: &mut [u8],
) {
    for_each_sum(two_rows, matrix, matrix.blocks(), rows, |row, channel, sum| {
        let (at, sum) = (row * matrix.channels + channel, sum.wrapping_add(stage.bias[channel]));
        let multiplier = stage.multipliers[channel];
        output[at] = match residual {
            None => requantize(sum, multiplier, stage.limits),
            Some((residual, addend)) => residual.apply(rounded(sum as f32 * multiplier, stage.limits), addend[at]),
        };
    });
}

/// A product as real numbers, from sums computed by `two_rows`.
#[inline(always)]
pub(crate) fn sums_to_f32<const LANES: usize>(
    two_rows: impl TwoRows<LANES>,
    matrix: &PackedMatrix,
    rows: Rows<'_>,
    quantizations: &[Quantization],
    to_float: &ToFloat,
    mut output: Columns<'_>,
) {
    let columns = output.range();
    for_each_sum(two_rows, matrix, matrix.blocks_of(columns.clone()), rows, |row, channel, sum| {
        output.row(row)[channel - columns.start] = to_float.real(matrix, channel, sum, quantizations[row]);
    });
}

/// Calls `take` with row, channel and sum of every element of the product.
#[inline(always)]
fn for_each_sum<const LANES: usize>(
    two_rows: impl TwoRows<LANES>,
    matrix: &PackedMatrix,
    blocks: impl Iterator<Item = Block>,
    rows: Rows<'_>,
    mut take: impl FnMut(usize, usize, i32),
) {
    for block in blocks {
        let channels = LANES.min(matrix.channels - block.first_channel);
        for first_row in (0..rows.count).step_by(2) {
            let second_row = (first_row + 1).min(rows.count - 1);
            let sums = two_rows(matrix, &rows, block, [first_row, second_row]);
            for (row, sums) in (first_row..=second_row).zip(sums) {
                for (channel, sum) in sums.into_iter().enumerate().take(channels) {
                    take(row, block.first_channel + channel, sum);
                }
            }
        }
    }
}

fn two_rows(matrix: &PackedMatrix, rows: &Rows<'_>, block: Block, pair: [usize; 2]) -> [[i32; LANES]; 2] {
    let mut sums = [[0_i32; LANES]; 2];
    let segment_bytes = matrix.vector_bytes;
    for segment in 0..matrix.segments {
        let [first, second] = pair.map(|row| {
            let start = row * rows.row_stride + segment * rows.segment_stride;
            &rows.bytes[start..start + matrix.depth]
        });
        let weights = &matrix.weights()[block.offset + segment * segment_bytes..][..segment_bytes];
        for ((&first, &second), weights) in first.iter().zip(second).zip(weights.as_chunks::<LANES>().0) {
            for (lane, &weight) in weights.iter().enumerate() {
                sums[0][lane] = sums[0][lane].wrapping_add(i32::from(first) * i32::from(weight));
                sums[1][lane] = sums[1][lane].wrapping_add(i32::from(second) * i32::from(weight));
            }
        }
    }
    sums
}

const fn depthwise_kernel<const CHANNELS: usize>() -> DepthwiseKernel {
    DepthwiseKernel {
        channels: CHANNELS,
        row_group: 1,
        form: WeightForm::Bytes,
        parts: 1,
        activation_shift: 0,
        supports: |_| true,
        run: depthwise::<CHANNELS>,
    }
}

fn depthwise<const CHANNELS: usize>(
    packed: &PackedDepthwise,
    input: ImageRows<'_>,
    rows: Range<usize>,
    output: &mut [u8],
) {
    let (window, width) = (&packed.window, packed.window.output_width());
    for (output_row, output) in rows.zip(output.chunks_exact_mut(width * window.channels)) {
        for (block, first_channel) in packed.blocks().enumerate() {
            for column in 0..width {
                let sums = window_sums::<CHANNELS>(packed, input, block, [output_row, column]);
                let multipliers = &packed.requantize.multipliers[block * CHANNELS..];
                let output = &mut output[column * window.channels + first_channel..];
                for ((output, sum), &multiplier) in output.iter_mut().zip(sums).zip(multipliers) {
                    *output = requantize(sum, multiplier, packed.requantize.limits);
                }
            }
        }
    }
}

fn window_sums<const CHANNELS: usize>(
    packed: &PackedDepthwise,
    input: ImageRows<'_>,
    block: usize,
    [output_row, output_column]: [usize; 2],
) -> [i32; CHANNELS] {
    let window = &packed.window;
    let first_channel = packed.blocks().nth(block).expect("the caller counts the blocks");
    let mut sums: [i32; CHANNELS] = std::array::from_fn(|lane| packed.requantize.bias[block * CHANNELS + lane]);
    let weights = &packed.weights()[block * packed.block_bytes..][..packed.block_bytes];
    let mut taps = weights.as_chunks::<CHANNELS>().0.iter();
    for x in 0..window.kernel[1] {
        for (y, weights) in taps.by_ref().take(window.kernel[0]).enumerate() {
            let pixel = match (window.input_row(output_row, y), window.input_column(output_column, x)) {
                (Some(row), Some(column)) => {
                    &input.bytes[((row - input.first) * window.width + column) * window.channels..]
                }
                _ => &packed.padding,
            };
            let steps = &pixel[first_channel..first_channel + CHANNELS];
            for ((sum, &step), &weight) in sums.iter_mut().zip(steps).zip(weights) {
                *sum = sum.wrapping_add(i32::from(i16::from(step) * i16::from(weight)));
            }
        }
    }
    sums
}
