//! The 256-bit operations that AVX2 and AVX-VNNI share.

/// The functions of `Vector` on eight lanes of AVX2, all but `accumulate`.
///
/// SAFETY of every block: the caller has the instructions and vouches for the pointers, as the trait asks.
macro_rules! ymm_vector_functions {
    () => {
        type Ints = __m256i;
        type Floats = __m256;
        const LANES: usize = 8;

        #[inline(always)]
        unsafe fn load_ints(from: *const i32) -> __m256i {
            unsafe { _mm256_loadu_si256(from.cast()) }
        }

        #[inline(always)]
        unsafe fn load_floats(from: *const f32) -> __m256 {
            unsafe { _mm256_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn load_bytes(from: *const u8, count: usize) -> __m256 {
            unsafe {
                let mut bytes = [0_u8; 8];
                from.copy_to_nonoverlapping(bytes.as_mut_ptr(), count.min(8));
                _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(bytes.as_ptr().cast())))
            }
        }

        #[inline(always)]
        unsafe fn splat(value: f32) -> __m256 {
            unsafe { _mm256_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn add(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_add_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn sub(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_sub_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn mul(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_mul_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn div(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_div_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn min(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_min_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn max(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_max_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn round(a: __m256) -> __m256 {
            unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
        }

        #[inline(always)]
        unsafe fn to_floats(a: __m256i) -> __m256 {
            unsafe { _mm256_cvtepi32_ps(a) }
        }

        #[inline(always)]
        unsafe fn round_to_ints(a: __m256) -> __m256i {
            unsafe { _mm256_cvtps_epi32(a) }
        }

        #[inline(always)]
        unsafe fn sub_product(a: __m256i, b: __m256i, factor: i32) -> __m256i {
            unsafe { _mm256_sub_epi32(a, _mm256_mullo_epi32(b, _mm256_set1_epi32(factor))) }
        }

        #[inline(always)]
        unsafe fn store_steps<const V: usize>(offsets: [__m256i; V], limits: Limits, to: *mut u8, count: usize) {
            unsafe {
                let vector = |i: usize| if i < V { offsets[i] } else { offsets[V - 1] };
                let steps = $crate::kernels::simd::ymm::steps_of([vector(0), vector(1), vector(2), vector(3)], limits);
                let in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
                let steps = _mm256_permutevar8x32_epi32(steps, in_order);
                if count == 24 {
                    _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(steps));
                    _mm_storel_epi64(to.add(16).cast(), _mm256_extracti128_si256::<1>(steps));
                } else if count == 16 {
                    _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(steps));
                } else {
                    let mut bytes = [0_u8; 32];
                    _mm256_storeu_si256(bytes.as_mut_ptr().cast(), steps);
                    to.copy_from_nonoverlapping(bytes.as_ptr(), count.min(32));
                }
            }
        }

        #[inline(always)]
        unsafe fn store_floats(values: __m256, to: *mut f32, count: usize) {
            unsafe {
                if count == 8 {
                    _mm256_storeu_ps(to, values);
                } else {
                    let mut floats = [0.0_f32; 8];
                    _mm256_storeu_ps(floats.as_mut_ptr(), values);
                    to.copy_from_nonoverlapping(floats.as_ptr(), count.min(8));
                }
            }
        }
    };
}

use crate::kernels::requantize::Limits;
use std::arch::x86_64::*;

/// Adds the zero point, applies the limits and narrows to bytes, 128-bit part by part.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
pub(super) unsafe fn steps_of([a, b, c, d]: [__m256i; 4], limits: Limits) -> __m256i {
    // SAFETY: these read no memory; the caller has the instructions.
    unsafe {
        let zero_point = _mm256_set1_epi16(i16::from(limits.zero_point));
        let low = _mm256_adds_epi16(_mm256_packs_epi32(a, b), zero_point);
        let high = _mm256_adds_epi16(_mm256_packs_epi32(c, d), zero_point);
        _mm256_max_epu8(_mm256_packus_epi16(low, high), _mm256_set1_epi8(limits.lowest as i8))
    }
}
