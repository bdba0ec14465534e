//! aarch64 NEON with dot products (Cortex-A55, A76): four products of signed bytes per lane and instruction.
//!
//! The instruction is written as inline assembly, since its intrinsics are not stable. Activations are shifted to
//! -128..=127, because mixed signs need a later extension of the architecture.
use super::{
    depthwise::Filter,
    finish,
    qreg::{load_shifted, steps_of},
    vector::{Vector, row_ends},
};
use crate::kernels::{
    depthwise::DepthwiseKernel,
    kernel_set::Kernels,
    matrix::{MatrixLayout, WeightForm},
    reference,
    requantize::Limits,
    window::Window,
};
use std::arch::{aarch64::*, asm, is_aarch64_feature_detected};

pub(crate) static NEON_DOTPROD: Kernels = Kernels {
    name: "neon-dotprod",
    is_supported: || is_aarch64_feature_detected!("dotprod"),
    matrix_layout: MatrixLayout { lanes: 4, group: 4, vectors: 3, form: WeightForm::Bytes, activation_shift: 128 },
    // SAFETY: a kernel set is only made after its CPU features have been detected; the operators check the slices.
    multiply_to_u8: |matrix, rows, stage, residual, output| unsafe {
        multiply_to_u8(matrix, rows, stage, residual, output)
    },
    // SAFETY: as above.
    multiply_to_f32: |matrix, rows, quantizations, to_float, output| unsafe {
        multiply_to_f32(matrix, rows, quantizations, to_float, output)
    },
    depthwise: &[DepthwiseKernel {
        channels: DotProduct::CHANNELS,
        row_group: 4,
        form: WeightForm::Bytes,
        parts: 1,
        activation_shift: 128,
        supports: Window::is_three_or_five_square,
        // SAFETY: as above.
        run: |packed, input, rows, output| unsafe { depthwise(packed, input, rows, output) },
    }],
    elementwise: reference::ELEMENTWISE,
};

matrix_entries!("neon,dotprod", DotProduct);
depthwise_entry!(depthwise, "neon,dotprod", DotProduct);

/// Four lanes.
struct DotProduct;

/// Adds to each lane the products of four values with four weights.
#[inline(always)]
unsafe fn dot(mut sums: int32x4_t, values: int8x16_t, weights: int8x16_t) -> int32x4_t {
    // SAFETY: the caller has the instruction, which touches registers only.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {values:v}.16b, {weights:v}.16b",
            sums = inout(vreg) sums, values = in(vreg) values, weights = in(vreg) weights,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// Adds to each lane the products of four weights with the values' quarter `QUARTER`.
#[inline(always)]
unsafe fn dot_quarter<const QUARTER: usize>(mut sums: int32x4_t, values: int8x16_t, weights: int8x16_t) -> int32x4_t {
    // SAFETY: as for `dot`.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {weights:v}.16b, {values:v}.4b[{quarter}]",
            sums = inout(vreg) sums, values = in(vreg) values, weights = in(vreg) weights,
            quarter = const QUARTER,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

// SAFETY of every block below: the caller has the instructions and vouches for the pointers, as the trait asks.
impl Vector for DotProduct {
    const MAX_ROWS: usize = 7;
    qreg_vector_functions!();

    #[inline(always)]
    unsafe fn accumulate<const R: usize, const V: usize>(
        sums: &mut [[int32x4_t; V]; R],
        rows: *const u8,
        row_stride: usize,
        mut weights: *const i8,
        depth: usize,
    ) {
        unsafe {
            let (sixteens, fours) = (depth / 16 * 16, depth / 4 * 4);
            for k in (0..sixteens).step_by(16) {
                let mut values = [vdupq_n_s8(0); R];
                for (row, values) in values.iter_mut().enumerate() {
                    *values = load_shifted(rows.add(row * row_stride + k));
                }
                add_quarter::<0, R, V>(sums, &values, weights);
                add_quarter::<1, R, V>(sums, &values, weights.add(V * 16));
                add_quarter::<2, R, V>(sums, &values, weights.add(V * 32));
                add_quarter::<3, R, V>(sums, &values, weights.add(V * 48));
                weights = weights.add(V * 64);
            }
            for k in (sixteens..fours).step_by(4) {
                let mut values = [vdupq_n_s8(0); R];
                for (row, values) in values.iter_mut().enumerate() {
                    *values = shifted(rows.add(row * row_stride + k).cast::<u32>().read_unaligned());
                }
                add_quarter::<0, R, V>(sums, &values, weights);
                weights = weights.add(V * 16);
            }
            if fours < depth {
                let ends = row_ends::<R, 4>(rows.add(fours), row_stride, depth - fours);
                let mut values = [vdupq_n_s8(0); R];
                for (end, values) in ends.into_iter().zip(&mut values) {
                    *values = shifted(u32::from_le_bytes(end));
                }
                add_quarter::<0, R, V>(sums, &values, weights);
            }
        }
    }
}

/// Subtracts 128 from each of four activations.
#[inline(always)]
unsafe fn shifted(four: u32) -> int8x16_t {
    // SAFETY: this reads no memory.
    unsafe { vreinterpretq_s8_u32(vdupq_n_u32(four ^ 0x8080_8080)) }
}

/// Multiplies four values of each row with four weights of each channel.
#[inline(always)]
unsafe fn add_quarter<const QUARTER: usize, const R: usize, const V: usize>(
    sums: &mut [[int32x4_t; V]; R],
    values: &[int8x16_t; R],
    weights: *const i8,
) {
    for vector in 0..V {
        // SAFETY: the caller has the instructions, and `weights` is valid for `V` vectors.
        unsafe {
            let weights = vld1q_s8(weights.add(vector * 16));
            for (sums, &values) in sums.iter_mut().zip(values) {
                sums[vector] = dot_quarter::<QUARTER>(sums[vector], values, weights);
            }
        }
    }
}

// SAFETY of every block below: the caller has the instructions and vouches for the pointers, as the trait asks.
impl Filter for DotProduct {
    type Sums = [int32x4_t; 4];
    /// Four rows side by side, then the fifth.
    type Column = [[int8x16_t; 4]; 2];
    const CHANNELS: usize = 16;

    #[inline(always)]
    unsafe fn load_sums(from: *const i32) -> [int32x4_t; 4] {
        unsafe { [vld1q_s32(from), vld1q_s32(from.add(4)), vld1q_s32(from.add(8)), vld1q_s32(from.add(12))] }
    }

    #[inline(always)]
    unsafe fn load_column<const K: usize>(rows: [*const u8; K]) -> [[int8x16_t; 4]; 2] {
        unsafe {
            let row = |y: usize| load_shifted(rows[y.min(K - 1)]);
            let first = interleave([row(0), row(1), row(2), row(3)]);
            let second = if K > 4 { interleave([row(4); 4]) } else { first };
            [first, second]
        }
    }

    #[inline(always)]
    unsafe fn add_products<const K: usize>(
        mut sums: [int32x4_t; 4],
        column: [[int8x16_t; 4]; 2],
        weights: *const i8,
    ) -> [int32x4_t; 4] {
        unsafe {
            for (group, values) in column.into_iter().enumerate().take(K.div_ceil(4)) {
                for (i, sums) in sums.iter_mut().enumerate() {
                    *sums = dot(*sums, values[i], vld1q_s8(weights.add((group * 4 + i) * 16)));
                }
            }
            sums
        }
    }

    #[inline(always)]
    unsafe fn write(sums: [int32x4_t; 4], multipliers: *const f32, limits: Limits, to: *mut u8) {
        unsafe {
            let [a, b, c, d] = finish::requantized::<Self, 4>(sums, multipliers, limits.ceiling());
            vst1q_u8(to, vcombine_u8(steps_of([a, b], limits), steps_of([c, d], limits)));
        }
    }
}

/// Puts the four rows' values of each channel side by side.
#[inline(always)]
unsafe fn interleave([a, b, c, d]: [int8x16_t; 4]) -> [int8x16_t; 4] {
    // SAFETY: these read no memory.
    unsafe {
        let pair = |low: int8x16_t, high: int8x16_t| (vreinterpretq_s16_s8(low), vreinterpretq_s16_s8(high));
        let (low_ab, low_cd) = pair(vzip1q_s8(a, b), vzip1q_s8(c, d));
        let (high_ab, high_cd) = pair(vzip2q_s8(a, b), vzip2q_s8(c, d));
        [
            vreinterpretq_s8_s16(vzip1q_s16(low_ab, low_cd)),
            vreinterpretq_s8_s16(vzip2q_s16(low_ab, low_cd)),
            vreinterpretq_s8_s16(vzip1q_s16(high_ab, high_cd)),
            vreinterpretq_s8_s16(vzip2q_s16(high_ab, high_cd)),
        ]
    }
}
