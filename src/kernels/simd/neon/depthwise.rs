//! Depthwise convolution: eight channels of some rows are widened to 16 bits in order, with their padding, and every
//! tap of several neighbouring outputs is one multiplication that adds to sums in registers.
use crate::kernels::{
    depthwise::{DepthwiseKernel, PackedDepthwise},
    matrix::WeightForm,
    requantize::Limits,
    simd::qreg::steps_of,
    window::{ImageRows, Window},
};
use std::{arch::aarch64::*, mem::MaybeUninit, ops::Range};

pub(super) const DEPTHWISE: DepthwiseKernel = DepthwiseKernel {
    channels: CHANNELS,
    row_group: 1,
    form: WeightForm::Words,
    parts: 1,
    activation_shift: 0,
    supports: Window::is_three_or_five_square,
    run: |packed, input, rows, output| match (packed.window.kernel[0], packed.window.stride[0]) {
        (3, 1) => filter::<3, 1>(packed, input, rows, output),
        (3, _) => filter::<3, 2>(packed, input, rows, output),
        (_, 1) => filter::<5, 1>(packed, input, rows, output),
        (_, _) => filter::<5, 2>(packed, input, rows, output),
    },
};

/// Of a block.
const CHANNELS: usize = 8;

/// Pixels that fit in a patch.
const MAX_PIXELS: usize = 768;

/// Pixels of a patch, if the window allows it: one line of the cache is read for each, so that they and the patch fit
/// in 32 KiB, and the next block finds its channels in the same lines.
const CACHED_PIXELS: usize = 384;

/// A part of the image, widened: `height` rows of `width` pixels of `CHANNELS` values each.
#[repr(align(64))]
struct Patch([MaybeUninit<[i16; CHANNELS]>; MAX_PIXELS]);

/// Which outputs are computed from a patch, and which part of the padded image it holds.
#[derive(Clone)]
struct Part {
    rows: Range<usize>,
    columns: Range<usize>,
    first: [usize; 2],
    size: [usize; 2],
}

impl Part {
    fn new(window: &Window, rows: Range<usize>, columns: Range<usize>) -> Self {
        let span = |outputs: &Range<usize>, axis: usize| {
            let first = outputs.start * window.stride[axis];
            (first, (outputs.len() - 1) * window.stride[axis] + window.kernel[axis])
        };
        let ((top, height), (left, width)) = (span(&rows, 0), span(&columns, 1));
        Self { rows, columns, first: [top, left], size: [height, width] }
    }
}

/// Computes output rows with a window of `K` times `K` and stride `STRIDE` both ways, which the caller has checked.
fn filter<const K: usize, const STRIDE: usize>(
    packed: &PackedDepthwise,
    input: ImageRows<'_>,
    rows: Range<usize>,
    output: &mut [u8],
) {
    let window = &packed.window;
    let (end, width) = (rows.end, window.output_width());
    let most_columns = ((MAX_PIXELS / K - K) / STRIDE + 1).min(width);
    let patch_width = (most_columns - 1) * STRIDE + K;
    let most_rows = (CACHED_PIXELS / patch_width).saturating_sub(K) / STRIDE + 1;
    let mut patch = Patch([MaybeUninit::uninit(); MAX_PIXELS]);
    for row in rows.clone().step_by(most_rows) {
        let strip = row..(row + most_rows).min(end);
        for column in (0..width).step_by(most_columns) {
            let part = Part::new(window, strip.clone(), column..(column + most_columns).min(width));
            for (block, first_channel) in packed.blocks().enumerate() {
                let start = (row - rows.start) * width * window.channels + first_channel;
                // SAFETY: NEON is part of aarch64. The patch has room for `MAX_PIXELS`: rows are more than `K` only if
                // they fit in fewer. A block's channels lie within the image's, and the part within the output.
                unsafe {
                    widen(&mut patch, packed, input, first_channel, &part);
                    filter_part::<K, STRIDE>(&patch, packed, block, &part, output[start..].as_mut_ptr());
                }
            }
        }
    }
}

/// Fills the patch with the part's pixels, and with the zero point where the part lies outside of the image.
#[inline(always)]
unsafe fn widen(patch: &mut Patch, packed: &PackedDepthwise, input: ImageRows<'_>, channel: usize, part: &Part) {
    let (window, [top, left]) = (&packed.window, part.first);
    let [height, width] = part.size;
    let start = window.padding[1].saturating_sub(left).min(width);
    let end = (window.padding[1] + window.width).saturating_sub(left).clamp(start, width);
    let mut to = patch.0.as_mut_ptr().cast::<u16>();
    // SAFETY: the caller vouches for the room in the patch; what is read lies within the image's row and the pixel of
    // padding.
    unsafe {
        let padding = vmovl_u8(vld1_u8(packed.padding[channel..].as_ptr()));
        for y in top..top + height {
            let row = y.wrapping_sub(window.padding[0]);
            let (start, end) = if row < window.height { (start, end) } else { (width, width) };
            for x in 0..start {
                vst1q_u16(to.add(x * CHANNELS), padding);
            }
            if start < end {
                let column = left + start - window.padding[1];
                let pixel = ((row - input.first) * window.width + column) * window.channels + channel;
                widen_pixels(input.bytes[pixel..].as_ptr(), window.channels, end - start, to.add(start * CHANNELS));
            }
            for x in end..width {
                vst1q_u16(to.add(x * CHANNELS), padding);
            }
            to = to.add(width * CHANNELS);
        }
    }
}

/// Widens `count` pixels that are `step` bytes apart.
#[inline(always)]
unsafe fn widen_pixels(mut from: *const u8, step: usize, count: usize, mut to: *mut u16) {
    // SAFETY: the caller vouches for the pixels and the room for them.
    unsafe {
        for _ in 0..count / 4 {
            let pixels = [0, 1, 2, 3].map(|i| vmovl_u8(vld1_u8(from.add(i * step))));
            (0..4).for_each(|i| vst1q_u16(to.add(i * CHANNELS), pixels[i]));
            (from, to) = (from.wrapping_add(4 * step), to.add(4 * CHANNELS));
        }
        for _ in 0..count % 4 {
            vst1q_u16(to, vmovl_u8(vld1_u8(from)));
            (from, to) = (from.wrapping_add(step), to.add(CHANNELS));
        }
    }
}

/// Eight channels of neighbouring outputs.
struct Filter {
    weights: *const i16, // by column of the window, row, channel
    bias: *const i32,
    multipliers: *const f32,
    limits: Limits,
    /// From one row of the patch to the next.
    row_step: usize,
    /// From one output column to the next.
    output_step: usize,
}

/// Computes one block of the part's outputs; `output` is where the block's channels begin in the strip's first pixel.
#[inline(always)]
unsafe fn filter_part<const K: usize, const STRIDE: usize>(
    patch: &Patch,
    packed: &PackedDepthwise,
    block: usize,
    part: &Part,
    output: *mut u8,
) {
    let window = &packed.window;
    // SAFETY: the tables hold `CHANNELS` values per block; the patch holds the pixels under each output of the part,
    // all of which exist.
    unsafe {
        let filter = Filter {
            weights: packed.weights().as_ptr().add(block * packed.block_bytes).cast(),
            bias: packed.requantize.bias.as_ptr().add(block * CHANNELS),
            multipliers: packed.requantize.multipliers.as_ptr().add(block * CHANNELS),
            limits: packed.requantize.limits,
            row_step: part.size[1] * CHANNELS,
            output_step: window.channels,
        };
        let columns = part.columns.len();
        for row in 0..part.rows.len() {
            let pixels = patch.0.as_ptr().cast::<i16>().add(row * STRIDE * filter.row_step);
            let output = output.add((row * window.output_width() + part.columns.start) * window.channels);
            macro_rules! tile {
                ($width:literal, $column:expr) => {{
                    let column: usize = $column;
                    let pixels = pixels.add(column * STRIDE * CHANNELS);
                    filter.run::<K, STRIDE, $width>(pixels, output.add(column * window.channels));
                }};
            }
            // The last tile is moved back to end at the last column.
            if columns % 7 == 0 {
                (0..columns).step_by(7).for_each(|column| tile!(7, column));
            } else if columns >= 4 {
                (0..columns).step_by(4).for_each(|column| tile!(4, column.min(columns - 4)));
            } else {
                (0..columns).for_each(|column| tile!(1, column));
            }
        }
    }
}

impl Filter {
    /// Computes `T` neighbouring outputs.
    #[inline(always)]
    unsafe fn run<const K: usize, const STRIDE: usize, const T: usize>(&self, pixels: *const i16, output: *mut u8) {
        // SAFETY: the caller vouches for the pixels and the outputs, `filter_part` for the tables.
        unsafe {
            let mut sums = [[vld1q_s32(self.bias), vld1q_s32(self.bias.add(4))]; T];
            for y in 0..K {
                let pixel = |x: usize| vld1q_s16(pixels.add(y * self.row_step + x * CHANNELS));
                for x in 0..K {
                    let weights = vld1q_s16(self.weights.add((x * K + y) * CHANNELS));
                    for (column, [low, high]) in sums.iter_mut().enumerate() {
                        let pixel = pixel(column * STRIDE + x);
                        *low = vmlal_s16(*low, vget_low_s16(pixel), vget_low_s16(weights));
                        *high = vmlal_high_s16(*high, pixel, weights);
                    }
                }
            }
            let multipliers = [vld1q_f32(self.multipliers), vld1q_f32(self.multipliers.add(4))];
            for (column, sums) in sums.into_iter().enumerate() {
                let offsets =
                    [0, 1].map(|half| vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sums[half]), multipliers[half])));
                vst1_u8(output.add(column * self.output_step), steps_of(offsets, self.limits));
            }
        }
    }
}
