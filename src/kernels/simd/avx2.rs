//! x86-64 with AVX2: values and weights are widened to i16, whose products the CPU adds in pairs without saturation.
//!
//! The instruction for bytes saturates the sum of two products, so it cannot be used. Weights are stored as i16;
//! activations are split into even and odd values, which takes two instructions for eight channels or more.
use super::{
    depthwise::Filter,
    finish,
    vector::{Vector, row_ends},
    ymm::steps_of,
};
use crate::kernels::{
    depthwise::DepthwiseKernel,
    kernel_set::Kernels,
    matrix::{MatrixLayout, WeightForm},
    requantize::Limits,
    window::Window,
};
use std::arch::x86_64::*;

pub(crate) static AVX2: Kernels = Kernels {
    name: "avx2",
    is_supported: || is_x86_feature_detected!("avx2"),
    matrix_layout: MatrixLayout { lanes: 8, group: 4, vectors: 3, form: WeightForm::Words, activation_shift: 0 },
    // SAFETY: a kernel set is only made after its CPU features have been detected; the operators check the slices.
    multiply_to_u8: |matrix, rows, stage, residual, output| unsafe {
        multiply_to_u8(matrix, rows, stage, residual, output)
    },
    // SAFETY: as above.
    multiply_to_f32: |matrix, rows, quantizations, to_float, output| unsafe {
        multiply_to_f32(matrix, rows, quantizations, to_float, output)
    },
    depthwise: &[DepthwiseKernel {
        channels: Avx2::CHANNELS,
        row_group: 2,
        form: WeightForm::Words,
        parts: 2,
        activation_shift: 0,
        supports: Window::is_three_or_five_square,
        // SAFETY: as above.
        run: |packed, input, rows, output| unsafe { depthwise(packed, input, rows, output) },
    }],
    elementwise: elementwise_with!("avx2"),
};

matrix_entries!("avx2", Avx2);
depthwise_entry!(depthwise, "avx2", Avx2);

/// Eight lanes.
struct Avx2;

impl Vector for Avx2 {
    const MAX_ROWS: usize = 3;
    ymm_vector_functions!();

    #[inline(always)]
    unsafe fn accumulate<const R: usize, const V: usize>(
        sums: &mut [[__m256i; V]; R],
        rows: *const u8,
        row_stride: usize,
        weights: *const i8,
        depth: usize,
    ) {
        // SAFETY: the rows hold `depth` values and the weights whole groups of four.
        unsafe {
            let whole = depth / 4 * 4;
            let mut weights = weights.cast::<[__m256i; 2]>();
            for k in (0..whole).step_by(4) {
                let group = rows.add(k);
                add_group(sums, |row| group.add(row * row_stride).cast::<i32>().read_unaligned(), weights);
                weights = weights.add(V);
            }
            if whole < depth {
                let ends = row_ends::<R, 4>(rows.add(whole), row_stride, depth - whole);
                add_group(sums, |row| i32::from_le_bytes(ends[row]), weights);
            }
        }
    }
}

/// Multiplies four values of each row with four weights of each channel.
#[inline(always)]
unsafe fn add_group<const R: usize, const V: usize>(
    sums: &mut [[__m256i; V]; R],
    values: impl Fn(usize) -> i32,
    weights: *const [__m256i; 2],
) {
    // SAFETY: the caller has the instructions, and `weights` is valid for `V` pairs of vectors.
    unsafe {
        for (row, sums) in sums.iter_mut().enumerate() {
            let values = _mm256_set1_epi32(values(row));
            let even = _mm256_and_si256(values, _mm256_set1_epi16(0xff));
            let odd = _mm256_srli_epi16::<8>(values);
            for (vector, sums) in sums.iter_mut().enumerate() {
                let [even_weights, odd_weights] = weights.add(vector).read_unaligned();
                *sums = _mm256_add_epi32(*sums, _mm256_madd_epi16(even, even_weights));
                *sums = _mm256_add_epi32(*sums, _mm256_madd_epi16(odd, odd_weights));
            }
        }
    }
}

// SAFETY of every block below: the caller has the instructions and vouches for the pointers, as the trait asks.
impl Filter for Avx2 {
    type Sums = [__m256i; 2];
    /// Pairs of rows side by side.
    type Column = [[__m256i; 2]; 3];
    const CHANNELS: usize = 16;

    #[inline(always)]
    unsafe fn load_sums(from: *const i32) -> [__m256i; 2] {
        unsafe { from.cast::<[__m256i; 2]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_column<const K: usize>(rows: [*const u8; K]) -> [[__m256i; 2]; 3] {
        unsafe {
            let row = |y: usize| _mm256_cvtepu8_epi16(rows[y.min(K - 1)].cast::<__m128i>().read_unaligned());
            let pair =
                |y: usize| [_mm256_unpacklo_epi16(row(y), row(y + 1)), _mm256_unpackhi_epi16(row(y), row(y + 1))];
            [pair(0), pair(2), if K > 4 { pair(4) } else { pair(0) }]
        }
    }

    #[inline(always)]
    unsafe fn add_products<const K: usize>(
        mut sums: [__m256i; 2],
        column: [[__m256i; 2]; 3],
        weights: *const i8,
    ) -> [__m256i; 2] {
        unsafe {
            for (pair, values) in column.into_iter().enumerate().take(K.div_ceil(2)) {
                for (i, sums) in sums.iter_mut().enumerate() {
                    let weights = _mm256_loadu_si256(weights.add((pair * 2 + i) * 32).cast());
                    *sums = _mm256_add_epi32(*sums, _mm256_madd_epi16(values[i], weights));
                }
            }
            sums
        }
    }

    #[inline(always)]
    unsafe fn write(sums: [__m256i; 2], multipliers: *const f32, limits: Limits, to: *mut u8) {
        unsafe {
            let [a, b] = finish::requantized::<Self, 2>(sums, multipliers, limits.ceiling());
            let steps = _mm256_permute4x64_epi64::<0b10_00>(steps_of([a, b, a, b], limits));
            _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(steps));
        }
    }
}
