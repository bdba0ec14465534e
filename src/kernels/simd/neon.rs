//! aarch64 NEON without dot products (Cortex-A53, A72): products of signed bytes, added in pairs as i16, then as i32.
//!
//! Activations are shifted to -128..=127. Two products fit an i16 unless a weight is -128, so matrices with such a
//! weight take a slower way that adds every product to the i32 sum on its own.
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
use std::arch::aarch64::*;

pub(crate) static NEON: Kernels = Kernels {
    name: "neon",
    is_supported: || true,
    matrix_layout: MatrixLayout { lanes: 4, group: 16, vectors: 3, form: WeightForm::Bytes, activation_shift: 128 },
    // SAFETY: NEON is part of aarch64; the operators check the slices.
    multiply_to_u8: |matrix, rows, stage, residual, output| unsafe {
        if matrix.has_lowest_weight {
            single::multiply_to_u8(matrix, rows, stage, residual, output);
        } else {
            paired::multiply_to_u8(matrix, rows, stage, residual, output);
        }
    },
    // SAFETY: as above.
    multiply_to_f32: |matrix, rows, quantizations, to_float, output| unsafe {
        if matrix.has_lowest_weight {
            single::multiply_to_f32(matrix, rows, quantizations, to_float, output);
        } else {
            paired::multiply_to_f32(matrix, rows, quantizations, to_float, output);
        }
    },
    depthwise: &[DEPTHWISE],
    elementwise: reference::ELEMENTWISE,
};

const DEPTHWISE: DepthwiseKernel = DepthwiseKernel {
    channels: 16,
    row_group: 2,
    form: WeightForm::Bytes,
    parts: 1,
    activation_shift: 128,
    supports: Window::is_three_or_five_square,
    // SAFETY: as above.
    run: |packed, input, rows, output| unsafe {
        if packed.has_lowest_weight {
            single::depthwise(packed, input, rows, output);
        } else {
            paired::depthwise(packed, input, rows, output);
        }
    },
};

mod paired {
    use super::Neon;
    matrix_entries!("neon", Neon<true>);
    depthwise_entry!(depthwise, "neon", Neon<true>);
}

mod single {
    use super::Neon;
    matrix_entries!("neon", Neon<false>);
    depthwise_entry!(depthwise, "neon", Neon<false>);
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
    const MAX_ROWS: usize = 4;
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

// SAFETY of every block below: NEON is part of aarch64; the caller vouches for the pointers, as the trait asks.
impl<const PAIRED: bool> Filter for Neon<PAIRED> {
    type Sums = [int32x4_t; 4];
    /// Pairs of rows side by side: channels 0 to 7, channels 8 to 15.
    type Column = [[int8x16_t; 2]; 3];
    const CHANNELS: usize = 16;

    #[inline(always)]
    unsafe fn load_sums(from: *const i32) -> [int32x4_t; 4] {
        unsafe { [vld1q_s32(from), vld1q_s32(from.add(4)), vld1q_s32(from.add(8)), vld1q_s32(from.add(12))] }
    }

    #[inline(always)]
    unsafe fn load_column<const K: usize>(rows: [*const u8; K]) -> [[int8x16_t; 2]; 3] {
        unsafe {
            let mut shifted = [vdupq_n_s8(0); 6];
            for (shifted, row) in shifted.iter_mut().zip(rows) {
                *shifted = load_shifted(row);
            }
            let [a, b, c, d, e, f] = shifted;
            [[vzip1q_s8(a, b), vzip2q_s8(a, b)], [vzip1q_s8(c, d), vzip2q_s8(c, d)], [vzip1q_s8(e, f), vzip2q_s8(e, f)]]
        }
    }

    #[inline(always)]
    unsafe fn add_products<const K: usize>(
        sums: [int32x4_t; 4],
        [first, second, third]: [[int8x16_t; 2]; 3],
        weights: *const i8,
    ) -> [int32x4_t; 4] {
        unsafe {
            let [mut a, mut b, mut c, mut d] = sums;
            for half in 0..2 {
                let weight = |pair: usize| vld1q_s8(weights.add(pair * 32 + half * 16));
                let (low, high) = if half == 0 { (&mut a, &mut b) } else { (&mut c, &mut d) };
                let mut low_products = vmull_s8(vget_low_s8(first[half]), vget_low_s8(weight(0)));
                let mut high_products = vmull_high_s8(first[half], weight(0));
                if PAIRED {
                    low_products = vmlal_s8(low_products, vget_low_s8(second[half]), vget_low_s8(weight(1)));
                    high_products = vmlal_high_s8(high_products, second[half], weight(1));
                } else {
                    *low = vpadalq_s16(*low, vmull_s8(vget_low_s8(second[half]), vget_low_s8(weight(1))));
                    *high = vpadalq_s16(*high, vmull_high_s8(second[half], weight(1)));
                }
                (*low, *high) = (vpadalq_s16(*low, low_products), vpadalq_s16(*high, high_products));
                if K > 4 {
                    *low = vpadalq_s16(*low, vmull_s8(vget_low_s8(third[half]), vget_low_s8(weight(2))));
                    *high = vpadalq_s16(*high, vmull_high_s8(third[half], weight(2)));
                }
            }
            [a, b, c, d]
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
