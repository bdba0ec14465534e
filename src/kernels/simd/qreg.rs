//! The 128-bit operations that the aarch64 sets share.
use crate::kernels::requantize::Limits;
use std::arch::aarch64::*;

/// The functions of `Vector` on four lanes of NEON, all but `accumulate`.
///
/// SAFETY of every block: NEON is part of aarch64; the caller vouches for the pointers, as the trait asks.
macro_rules! qreg_vector_functions {
    () => {
        type Ints = int32x4_t;
        type Floats = float32x4_t;
        const LANES: usize = 4;

        #[inline(always)]
        unsafe fn load_ints(from: *const i32) -> int32x4_t {
            unsafe { vld1q_s32(from) }
        }

        #[inline(always)]
        unsafe fn load_floats(from: *const f32) -> float32x4_t {
            unsafe { vld1q_f32(from) }
        }

        #[inline(always)]
        unsafe fn load_bytes(from: *const u8, count: usize) -> float32x4_t {
            let mut bytes = [0_u8; 8];
            unsafe {
                if count == 4 {
                    from.copy_to_nonoverlapping(bytes.as_mut_ptr(), 4);
                } else {
                    from.copy_to_nonoverlapping(bytes.as_mut_ptr(), count.min(4));
                }
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vld1_u8(bytes.as_ptr())))))
            }
        }

        #[inline(always)]
        unsafe fn splat(value: f32) -> float32x4_t {
            unsafe { vdupq_n_f32(value) }
        }

        #[inline(always)]
        unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            unsafe { vaddq_f32(a, b) }
        }

        #[inline(always)]
        unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            unsafe { vsubq_f32(a, b) }
        }

        #[inline(always)]
        unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            unsafe { vmulq_f32(a, b) }
        }

        #[inline(always)]
        unsafe fn div(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            unsafe { vdivq_f32(a, b) }
        }

        #[inline(always)]
        unsafe fn min(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            unsafe { vminq_f32(a, b) }
        }

        #[inline(always)]
        unsafe fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            unsafe { vmaxq_f32(a, b) }
        }

        #[inline(always)]
        unsafe fn round(a: float32x4_t) -> float32x4_t {
            unsafe { vrndnq_f32(a) }
        }

        #[inline(always)]
        unsafe fn to_floats(a: int32x4_t) -> float32x4_t {
            unsafe { vcvtq_f32_s32(a) }
        }

        #[inline(always)]
        unsafe fn round_to_ints(a: float32x4_t) -> int32x4_t {
            unsafe { vcvtnq_s32_f32(a) }
        }

        /// `store_steps` takes any offset.
        #[inline(always)]
        unsafe fn round_below(a: float32x4_t, _ceiling: f32) -> int32x4_t {
            unsafe { vcvtnq_s32_f32(a) }
        }

        #[inline(always)]
        unsafe fn sub_product(a: int32x4_t, b: int32x4_t, factor: i32) -> int32x4_t {
            unsafe { vmlsq_n_s32(a, b, factor) }
        }

        #[inline(always)]
        unsafe fn store_steps<const V: usize>(
            offsets: [int32x4_t; V],
            limits: $crate::kernels::requantize::Limits,
            to: *mut u8,
            count: usize,
        ) {
            unsafe {
                let vector = |i: usize| if i < V { offsets[i] } else { offsets[V - 1] };
                let low = $crate::kernels::simd::qreg::steps_of([vector(0), vector(1)], limits);
                if count == 4 {
                    to.cast::<u32>().write_unaligned(vget_lane_u32::<0>(vreinterpret_u32_u8(low)));
                } else if count == 8 {
                    vst1_u8(to, low);
                } else {
                    let high = $crate::kernels::simd::qreg::steps_of([vector(2), vector(2)], limits);
                    if count == 12 {
                        vst1_u8(to, low);
                        to.add(8).cast::<u32>().write_unaligned(vget_lane_u32::<0>(vreinterpret_u32_u8(high)));
                    } else {
                        let mut bytes = [0_u8; 16];
                        vst1q_u8(bytes.as_mut_ptr(), vcombine_u8(low, high));
                        to.copy_from_nonoverlapping(bytes.as_ptr(), count.min(16));
                    }
                }
            }
        }

        #[inline(always)]
        unsafe fn store_floats(values: float32x4_t, to: *mut f32, count: usize) {
            unsafe {
                if count == 4 {
                    vst1q_f32(to, values);
                } else {
                    let mut floats = [0.0_f32; 4];
                    vst1q_f32(floats.as_mut_ptr(), values);
                    to.copy_from_nonoverlapping(floats.as_ptr(), count.min(4));
                }
            }
        }
    };
}

/// Adds the zero point, narrows to bytes and applies the limits: narrowing saturates, so that needs not come first.
///
/// # Safety
/// None on aarch64: it reads no memory.
#[inline(always)]
pub(super) unsafe fn steps_of([low, high]: [int32x4_t; 2], limits: Limits) -> uint8x8_t {
    // SAFETY: these read no memory.
    unsafe {
        let offsets = vqmovn_high_s32(vqmovn_s32(low), high);
        let steps = vqaddq_s16(offsets, vdupq_n_s16(i16::from(limits.zero_point)));
        vmax_u8(vmin_u8(vqmovun_s16(steps), vdup_n_u8(limits.highest)), vdup_n_u8(limits.lowest))
    }
}

/// Subtracts 128 from each of 16 activations.
///
/// # Safety
/// `from` must be valid for 16 bytes.
#[inline(always)]
pub(super) unsafe fn load_shifted(from: *const u8) -> int8x16_t {
    // SAFETY: passed on from the caller.
    unsafe { vreinterpretq_s8_u8(veorq_u8(vld1q_u8(from), vdupq_n_u8(0x80))) }
}
