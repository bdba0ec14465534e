//! aarch64 NEON without dot products (Cortex-A53, A72): products of signed bytes, added in pairs as i16, then as i32.
//!
//! Activations are shifted to -128..=127. Two products fit an i16 unless a weight is -128, so matrices with such a
//! weight take a slower way that adds every product to the i32 sum on its own. Most rows go through `strips`; what
//! `Neon` implements here is for the last one to three.
mod depthwise;
mod strips;
mod tile;

use self::{depthwise::DEPTHWISE, strips::TileFinish};
use super::{
    finish::{AddedSteps, RealNumbers, Steps},
    gemm,
    qreg::load_shifted,
    vector::{Vector, row_ends},
};
use crate::kernels::{
    columns::Columns,
    kernel_set::Kernels,
    linear::ToFloat,
    matrix::{Block, MatrixLayout, PackedMatrix, Rows, WeightForm},
    reference,
    requantize::{Addend, Quantization, Requantize},
};
use std::arch::aarch64::*;

pub(crate) static NEON: Kernels = Kernels {
    name: "neon",
    is_supported: || true,
    matrix_layout: MatrixLayout { lanes: 4, group: 16, vectors: 3, form: WeightForm::Bytes, activation_shift: 128 },
    multiply_to_u8: |matrix, rows, stage, residual, output| {
        if matrix.has_lowest_weight {
            multiply_to_u8::<false>(matrix, rows, stage, residual, output);
        } else {
            multiply_to_u8::<true>(matrix, rows, stage, residual, output);
        }
    },
    multiply_to_f32: |matrix, rows, quantizations, to_float, output| {
        if matrix.has_lowest_weight {
            multiply_to_f32::<false>(matrix, rows, quantizations, to_float, output);
        } else {
            multiply_to_f32::<true>(matrix, rows, quantizations, to_float, output);
        }
    },
    depthwise: &[DEPTHWISE],
    elementwise: reference::ELEMENTWISE,
};

fn multiply_to_u8<const PAIRED: bool>(
    matrix: &PackedMatrix,
    rows: Rows<'_>,
    stage: &Requantize,
    residual: Addend<'_>,
    output: &mut [u8],
) {
    let (output, channels) = (output.as_mut_ptr(), matrix.channels);
    // SAFETY: NEON is part of aarch64; the operators check the slices.
    unsafe {
        match residual {
            None => multiply::<PAIRED, _>(matrix, matrix.blocks(), rows, &Steps { stage, output, channels }),
            Some((residual, addend)) => {
                let addend = addend.as_ptr();
                let finish = AddedSteps { stage, residual, addend, output, channels };
                multiply::<PAIRED, _>(matrix, matrix.blocks(), rows, &finish);
            }
        }
    }
}

fn multiply_to_f32<const PAIRED: bool>(
    matrix: &PackedMatrix,
    rows: Rows<'_>,
    quantizations: &[Quantization],
    to_float: &ToFloat,
    output: Columns<'_>,
) {
    let blocks = matrix.blocks_of(output.range());
    let finish = RealNumbers { matrix, quantizations, to_float, output };
    // SAFETY: as above.
    unsafe { multiply::<PAIRED, _>(matrix, blocks, rows, &finish) }
}

/// Tiles of four rows by assembly, and what is left by the loops of all sets.
#[inline(always)]
unsafe fn multiply<const PAIRED: bool, F: TileFinish<PAIRED>>(
    matrix: &PackedMatrix,
    blocks: impl Iterator<Item = Block> + Clone,
    rows: Rows<'_>,
    finish: &F,
) {
    // SAFETY: passed on from the caller.
    unsafe {
        let done = strips::multiply::<PAIRED, F>(matrix, blocks.clone(), &rows, finish);
        gemm::multiply::<Neon<PAIRED>, F>(matrix, blocks, rows, done, finish);
    }
}

/// Four lanes; `PAIRED` if the sum of two products fits an i16.
struct Neon<const PAIRED: bool>;

impl<const PAIRED: bool> Neon<PAIRED> {
    /// Adds 16 products to the four lanes.
    #[inline(always)]
    unsafe fn add_sixteen(sums: int32x4_t, values: int8x16_t, weights: int8x16_t) -> int32x4_t {
        // SAFETY: these read no memory.
        unsafe {
            let low = vmull_s8(vget_low_s8(values), vget_low_s8(weights));
            if PAIRED {
                vpadalq_s16(sums, vmlal_high_s8(low, values, weights))
            } else {
                vpadalq_s16(vpadalq_s16(sums, low), vmull_high_s8(values, weights))
            }
        }
    }

    /// Adds `R` rows of 16 values times one vector's weights, of which the next row of channels is `step` bytes on.
    #[inline(always)]
    unsafe fn add_group<const R: usize>(
        partial: &mut [[int32x4_t; 4]; R],
        values: impl Fn(usize) -> int8x16_t,
        weights: *const i8,
    ) {
        for lane in 0..4 {
            // SAFETY: a vector's group is 4 channels of 16 weights.
            unsafe {
                let weights = vld1q_s8(weights.add(lane * 16));
                for (row, partial) in partial.iter_mut().enumerate() {
                    partial[lane] = Self::add_sixteen(partial[lane], values(row), weights);
                }
            }
        }
    }
}

// SAFETY of every block below: NEON is part of aarch64; the caller vouches for the pointers, as the trait asks.
impl<const PAIRED: bool> Vector for Neon<PAIRED> {
    /// Four are for `strips`.
    const MAX_ROWS: usize = 3;
    qreg_vector_functions!();

    /// Each register of partial sums belongs to one row and channel, so one vector of channels is done at a time.
    #[inline(always)]
    unsafe fn accumulate<const R: usize, const V: usize>(
        sums: &mut [[int32x4_t; V]; R],
        rows: *const u8,
        row_stride: usize,
        weights: *const i8,
        depth: usize,
    ) {
        unsafe {
            let whole = depth / 16 * 16;
            for vector in 0..V {
                let mut partial = [[vdupq_n_s32(0); 4]; R];
                let mut weights = weights.add(vector * 64);
                for k in (0..whole).step_by(16) {
                    let mut values = [vdupq_n_s8(0); R];
                    for (row, values) in values.iter_mut().enumerate() {
                        *values = load_shifted(rows.add(row * row_stride + k));
                    }
                    Self::add_group(&mut partial, |row| values[row], weights);
                    weights = weights.add(V * 64);
                }
                if depth - whole == 8 {
                    add_eight(&mut partial, rows.add(whole), row_stride, weights);
                } else if whole < depth {
                    let ends = row_ends::<R, 16>(rows.add(whole), row_stride, depth - whole);
                    Self::add_group(&mut partial, |row| load_shifted(ends[row].as_ptr()), weights);
                }
                for (row, partial) in partial.into_iter().enumerate() {
                    let [a, b, c, d] = partial;
                    let total = vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
                    sums[row][vector] = vaddq_s32(sums[row][vector], total);
                }
            }
        }
    }
}

/// As `add_group` for the first half of a group.
#[inline(always)]
unsafe fn add_eight<const R: usize>(
    partial: &mut [[int32x4_t; 4]; R],
    rows: *const u8,
    row_stride: usize,
    weights: *const i8,
) {
    for (row, partial) in partial.iter_mut().enumerate() {
        // SAFETY: the rows hold eight more values; a vector's group is 4 channels of 16 weights.
        unsafe {
            let values = vreinterpret_s8_u8(veor_u8(vld1_u8(rows.add(row * row_stride)), vdup_n_u8(0x80)));
            for (lane, partial) in partial.iter_mut().enumerate() {
                *partial = vpadalq_s16(*partial, vmull_s8(values, vld1_s8(weights.add(lane * 16))));
            }
        }
    }
}
