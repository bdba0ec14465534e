//! x86-64 with AVX-512 VNNI: four products of u8 and i8 per lane and instruction, added without saturation.
use super::{
    avxvnni::{DEPTHWISE_LAYOUT, Evex, Ymm},
    depthwise::Filter,
    finish,
    vector::{Vector, row_ends},
};
use crate::kernels::{
    depthwise::DepthwiseKernel,
    kernel_set::Kernels,
    matrix::{MatrixLayout, WeightForm},
    requantize::Limits,
    window::Window,
};
use std::arch::x86_64::*;

pub(crate) static AVX512VNNI: Kernels = Kernels {
    name: "avx512vnni",
    is_supported: || {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
    },
    matrix_layout: MatrixLayout { lanes: 16, group: 4, vectors: 3, form: WeightForm::Bytes, activation_shift: 0 },
    // SAFETY: a kernel set is only made after its CPU features have been detected; the operators check the slices.
    multiply_to_u8: |matrix, rows, stage, residual, output| unsafe {
        multiply_to_u8(matrix, rows, stage, residual, output)
    },
    // SAFETY: as above.
    multiply_to_f32: |matrix, rows, quantizations, to_float, output| unsafe {
        multiply_to_f32(matrix, rows, quantizations, to_float, output)
    },
    depthwise: &[
        DepthwiseKernel {
            channels: Avx512::CHANNELS,
            row_group: 4,
            form: WeightForm::Bytes,
            parts: 4,
            activation_shift: 0,
            supports: Window::is_three_or_five_square,
            // SAFETY: as above.
            run: |packed, input, rows, output| unsafe { depthwise_64(packed, input, rows, output) },
        },
        DepthwiseKernel {
            // SAFETY: as above.
            run: |packed, input, rows, output| unsafe { depthwise_32(packed, input, rows, output) },
            ..DEPTHWISE_LAYOUT
        },
    ],
    elementwise: elementwise_with!("avx512f,avx512bw,avx512vl,avx512vnni"),
};

matrix_entries!("avx512f,avx512bw,avx512vl,avx512vnni", Avx512);
depthwise_entry!(depthwise_64, "avx512f,avx512bw,avx512vl,avx512vnni", Avx512);
depthwise_entry!(depthwise_32, "avx512f,avx512bw,avx512vl,avx512vnni", Ymm<Evex>);

/// 16 lanes.
struct Avx512;

/// The first `count` of at most 64 bytes.
#[inline(always)]
fn first_bytes(count: usize) -> __mmask64 {
    u64::MAX >> (64 - count.clamp(1, 64)) & if count == 0 { 0 } else { u64::MAX }
}

// SAFETY of every block below: the caller has the instructions and vouches for the pointers, as the trait asks.
impl Vector for Avx512 {
    type Ints = __m512i;
    type Floats = __m512;
    const LANES: usize = 16;
    const MAX_ROWS: usize = 7;

    #[inline(always)]
    unsafe fn accumulate<const R: usize, const V: usize>(
        sums: &mut [[__m512i; V]; R],
        rows: *const u8,
        row_stride: usize,
        weights: *const i8,
        depth: usize,
    ) {
        unsafe {
            let whole = depth / 4 * 4;
            let mut weights = weights.cast::<__m512i>();
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

    #[inline(always)]
    unsafe fn load_ints(from: *const i32) -> __m512i {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn load_floats(from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8, count: usize) -> __m512 {
        unsafe {
            let bytes = _mm_maskz_loadu_epi8(first_bytes(count) as __mmask16, from.cast());
            _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))
        }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m512 {
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn div(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn min(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn max(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn round(a: __m512) -> __m512 {
        unsafe { _mm512_roundscale_ps::<_MM_FROUND_TO_NEAREST_INT>(a) }
    }

    #[inline(always)]
    unsafe fn to_floats(a: __m512i) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(a) }
    }

    #[inline(always)]
    unsafe fn round_to_ints(a: __m512) -> __m512i {
        unsafe { _mm512_cvtps_epi32(a) }
    }

    #[inline(always)]
    unsafe fn sub_product(a: __m512i, b: __m512i, factor: i32) -> __m512i {
        unsafe { _mm512_sub_epi32(a, _mm512_mullo_epi32(b, _mm512_set1_epi32(factor))) }
    }

    #[inline(always)]
    unsafe fn store_steps<const V: usize>(offsets: [__m512i; V], limits: Limits, to: *mut u8, count: usize) {
        unsafe {
            let vector = |i: usize| if i < V { offsets[i] } else { offsets[V - 1] };
            let steps = steps_of(vector(0), vector(1), vector(2), vector(3), limits);
            let in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            let steps = _mm512_permutexvar_epi32(in_order, steps);
            _mm512_mask_storeu_epi8(to.cast(), first_bytes(count), steps);
        }
    }

    #[inline(always)]
    unsafe fn store_floats(values: __m512, to: *mut f32, count: usize) {
        unsafe { _mm512_mask_storeu_ps(to, first_bytes(count) as __mmask16, values) }
    }
}

/// Multiplies four values of each row with four weights of each channel.
#[inline(always)]
unsafe fn add_group<const R: usize, const V: usize>(
    sums: &mut [[__m512i; V]; R],
    values: impl Fn(usize) -> i32,
    weights: *const __m512i,
) {
    // SAFETY: the caller has the instructions, and `weights` is valid for `V` vectors.
    unsafe {
        let mut vectors = [_mm512_setzero_si512(); V];
        for (i, vector) in vectors.iter_mut().enumerate() {
            *vector = weights.add(i).read_unaligned();
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            let values = _mm512_set1_epi32(values(row));
            for (sums, weights) in sums.iter_mut().zip(vectors) {
                *sums = _mm512_dpbusd_epi32(*sums, values, weights);
            }
        }
    }
}

/// Adds the zero point, applies the limits and narrows to bytes, 128-bit part by part.
#[inline(always)]
unsafe fn steps_of(a: __m512i, b: __m512i, c: __m512i, d: __m512i, limits: Limits) -> __m512i {
    // SAFETY: these read no memory; the caller has the instructions.
    unsafe {
        let zero_point = _mm512_set1_epi16(i16::from(limits.zero_point));
        let low = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zero_point);
        let high = _mm512_adds_epi16(_mm512_packs_epi32(c, d), zero_point);
        _mm512_max_epu8(_mm512_packus_epi16(low, high), _mm512_set1_epi8(limits.lowest as i8))
    }
}

// SAFETY of every block below: the caller has the instructions and vouches for the pointers, as the trait asks.
impl Filter for Avx512 {
    type Sums = [__m512i; 4];
    /// Four rows side by side, then the fifth.
    type Column = [[__m512i; 4]; 2];
    const CHANNELS: usize = 64;

    #[inline(always)]
    unsafe fn load_sums(from: *const i32) -> [__m512i; 4] {
        unsafe { from.cast::<[__m512i; 4]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_column<const K: usize>(rows: [*const u8; K]) -> [[__m512i; 4]; 2] {
        unsafe {
            let row = |y: usize| rows[y.min(K - 1)].cast::<__m512i>().read_unaligned();
            let first = interleave([row(0), row(1), row(2), row(3)]);
            let second = if K > 4 { interleave([row(4); 4]) } else { first };
            [first, second]
        }
    }

    #[inline(always)]
    unsafe fn add_products<const K: usize>(
        mut sums: [__m512i; 4],
        column: [[__m512i; 4]; 2],
        weights: *const i8,
    ) -> [__m512i; 4] {
        unsafe {
            for (group, values) in column.into_iter().enumerate().take(K.div_ceil(4)) {
                for (i, sums) in sums.iter_mut().enumerate() {
                    let weights = _mm512_loadu_si512(weights.add((group * 4 + i) * 64).cast());
                    *sums = _mm512_dpbusd_epi32(*sums, values[i], weights);
                }
            }
            sums
        }
    }

    #[inline(always)]
    unsafe fn write(sums: [__m512i; 4], multipliers: *const f32, limits: Limits, to: *mut u8) {
        unsafe {
            let [a, b, c, d] = finish::requantized::<Self, 4>(sums, multipliers, limits.ceiling());
            _mm512_storeu_si512(to.cast(), steps_of(a, b, c, d, limits));
        }
    }
}

/// Puts the four rows' values of each channel side by side; the channels stay within their 128-bit part.
#[inline(always)]
unsafe fn interleave([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    // SAFETY: these read no memory; the caller has the instructions.
    unsafe {
        let (low_ab, high_ab) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
        let (low_cd, high_cd) = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
        [
            _mm512_unpacklo_epi16(low_ab, low_cd),
            _mm512_unpackhi_epi16(low_ab, low_cd),
            _mm512_unpacklo_epi16(high_ab, high_cd),
            _mm512_unpackhi_epi16(high_ab, high_cd),
        ]
    }
}
