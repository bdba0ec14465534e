//! The loops of a depthwise convolution: rows, blocks of channels, and a walk along the columns.
//!
//! Each column of the input is loaded and interleaved once and added to every output whose window covers it: the sums
//! of these outputs move one slot on with each step, and the sum in the first slot is complete.
use crate::kernels::{depthwise::PackedDepthwise, requantize::Limits, window::ImageRows};
use std::ops::Range;

/// What the depthwise kernels need of an instruction set.
///
/// # Safety
/// All functions need the instruction set of the implementing type. Pointers must be valid for `CHANNELS` values, and
/// `weights` for those of one column of the window; no alignment is asked for.
pub(super) trait Filter {
    /// One block of channels' sums.
    type Sums: Copy;
    /// One column under the window, ready to be multiplied.
    type Column: Copy;
    const CHANNELS: usize;

    unsafe fn load_sums(from: *const i32) -> Self::Sums;
    unsafe fn load_column<const K: usize>(rows: [*const u8; K]) -> Self::Column;
    /// Adds the products of a column with one column of weights.
    unsafe fn add_products<const K: usize>(sums: Self::Sums, column: Self::Column, weights: *const i8) -> Self::Sums;
    unsafe fn write(sums: Self::Sums, multipliers: *const f32, limits: Limits, to: *mut u8);
}

/// Rows of the input under the window, for one block of channels; padding rows have step 0.
#[derive(Clone, Copy)]
struct InputRows<const K: usize> {
    starts: [*const u8; K],
    steps: [usize; K],
    padding: *const u8,
}

/// Computes output rows with a window of `K` times `K` and stride `STRIDE` both ways.
///
/// # Safety
/// The CPU must have the instructions of `S`, `packed` must be packed for them with this window, and `input` and
/// `output` must have been checked against it.
#[inline(always)]
pub(super) unsafe fn filter_rows<S: Filter, const K: usize, const STRIDE: usize>(
    packed: &PackedDepthwise,
    input: ImageRows<'_>,
    rows: Range<usize>,
    output: &mut [u8],
) {
    let row_len = packed.window.output_width() * packed.window.channels;
    for (row, output) in rows.zip(output.chunks_exact_mut(row_len)) {
        for (block, first_channel) in packed.blocks().enumerate() {
            let rows = input_rows::<K>(packed, input, row, first_channel);
            let output = output[first_channel..].as_mut_ptr();
            // SAFETY: passed on from the caller; a block's channels lie within the image's.
            unsafe { filter_block::<S, K, STRIDE>(packed, rows, block, output) };
        }
    }
}

#[inline(always)]
fn input_rows<const K: usize>(
    packed: &PackedDepthwise,
    input: ImageRows<'_>,
    row: usize,
    channel: usize,
) -> InputRows<K> {
    let (window, padding) = (&packed.window, packed.padding[channel..].as_ptr());
    let mut rows = InputRows { starts: [padding; K], steps: [0; K], padding };
    for kernel_row in 0..K {
        if let Some(row) = window.input_row(row, kernel_row) {
            let start = (row - input.first) * window.width * window.channels + channel;
            rows.starts[kernel_row] = input.bytes[start..].as_ptr();
            rows.steps[kernel_row] = window.channels;
        }
    }
    rows
}

#[inline(always)]
unsafe fn filter_block<S: Filter, const K: usize, const STRIDE: usize>(
    packed: &PackedDepthwise,
    rows: InputRows<K>,
    block: usize,
    output: *mut u8,
) {
    let slots = K.div_ceil(STRIDE);
    let width = packed.window.output_width();
    // SAFETY: the tables hold `CHANNELS` values per block, and each output column written exists.
    unsafe {
        let bias = packed.requantize.bias.as_ptr().add(block * S::CHANNELS);
        let multipliers = packed.requantize.multipliers.as_ptr().add(block * S::CHANNELS);
        let weights = packed.weights().as_ptr().add(block * packed.block_bytes);
        let mut sums = [S::load_sums(bias); K];
        for step in 0..slots - 1 {
            walk_step::<S, K, STRIDE, false>(packed, &rows, weights, step, &mut sums);
            next_slot::<S, K, STRIDE>(&mut sums, bias);
        }
        for column in 0..width.saturating_sub(slots - 1) {
            walk_step::<S, K, STRIDE, true>(packed, &rows, weights, column + slots - 1, &mut sums);
            let output = output.add(column * packed.window.channels);
            S::write(sums[0], multipliers, packed.requantize.limits, output);
            next_slot::<S, K, STRIDE>(&mut sums, bias);
        }
        for column in width.saturating_sub(slots - 1)..width {
            walk_step::<S, K, STRIDE, false>(packed, &rows, weights, column + slots - 1, &mut sums);
            let output = output.add(column * packed.window.channels);
            S::write(sums[0], multipliers, packed.requantize.limits, output);
            next_slot::<S, K, STRIDE>(&mut sums, bias);
        }
    }
}

/// Moves the sums on by one slot.
#[inline(always)]
unsafe fn next_slot<S: Filter, const K: usize, const STRIDE: usize>(sums: &mut [S::Sums; K], bias: *const i32) {
    let slots = K.div_ceil(STRIDE);
    for slot in 1..slots {
        sums[slot - 1] = sums[slot];
    }
    // SAFETY: passed on from the caller.
    sums[slots - 1] = unsafe { S::load_sums(bias) };
}

/// Adds the next `STRIDE` columns to the outputs whose windows they are in: `ALL` of the slots, or those that exist.
#[inline(always)]
unsafe fn walk_step<S: Filter, const K: usize, const STRIDE: usize, const ALL: bool>(
    packed: &PackedDepthwise,
    rows: &InputRows<K>,
    weights: *const i8,
    step: usize,
    sums: &mut [S::Sums; K],
) {
    let slots = K.div_ceil(STRIDE);
    let window = &packed.window;
    let column_bytes = packed.block_bytes / K;
    for phase in 0..STRIDE {
        let x = (step * STRIDE + phase).wrapping_sub(window.padding[1]);
        let mut pointers = [rows.padding; K];
        if x < window.width {
            for (pointer, (start, step)) in pointers.iter_mut().zip(rows.starts.into_iter().zip(rows.steps)) {
                *pointer = start.wrapping_add(x * step);
            }
        }
        // SAFETY: the pointers lie within the image or the padding pixel; the weights hold K columns.
        unsafe {
            let column = S::load_column(pointers);
            for (slot, sums) in sums.iter_mut().enumerate().take(slots) {
                let kernel_column = phase + STRIDE * (slots - 1 - slot);
                let output_column = (step + slot + 1).wrapping_sub(slots);
                if kernel_column < K && (ALL || output_column < window.output_width()) {
                    let weights = weights.add(kernel_column * column_bytes);
                    *sums = S::add_products::<K>(*sums, column, weights);
                }
            }
        }
    }
}
