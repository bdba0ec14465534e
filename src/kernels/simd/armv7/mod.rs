//! ARMv7 NEON: the inner loops are assembly (`kernels.s`), since stable Rust has no 32-bit NEON intrinsics.
//!
//! The method is that of `neon`: signed bytes, products added in pairs as i16 where no weight is -128. NEON flushes
//! denormal floats to zero here, which changes no step: both round to the zero point. Float results and residuals are
//! finished by the reference's scalar code, on the VFP unit.
use crate::kernels::{
    depthwise::DepthwiseKernel,
    kernel_set::Kernels,
    matrix::{MatrixLayout, WeightForm},
    reference,
    requantize::{Limits, NO_FRACTION},
    window::Window,
};
use std::arch::global_asm;

mod depthwise;
mod matrix;

pub(crate) static ARMV7_NEON: Kernels = Kernels {
    name: "armv7-neon",
    is_supported: has_neon,
    matrix_layout: MatrixLayout { lanes: 4, group: 16, vectors: 4, form: WeightForm::Bytes, activation_shift: 128 },
    multiply_to_u8: matrix::multiply_to_u8,
    multiply_to_f32: matrix::multiply_to_f32,
    depthwise: &[DepthwiseKernel {
        channels: LANES,
        row_group: 1,
        form: WeightForm::Bytes,
        parts: 1,
        activation_shift: 128,
        supports: Window::is_three_or_five_square,
        run: depthwise::filter_rows,
    }],
    elementwise: reference::ELEMENTWISE,
};

/// Channels whose sums are kept together.
const LANES: usize = 16;

global_asm!(include_str!("kernels.s"), options(raw));

#[repr(C)]
struct Tile {
    rows: [*const u8; 2],
    weights: *const i8,
    /// From one group of 16 input values to the next.
    weights_step: usize,
    groups: usize,
    /// Four sums of the first row; those of the second lie `LANES` further.
    sums: *mut i32,
}

#[repr(C)]
struct WindowOfChannels {
    /// One per tap.
    pixels: *const *const u8,
    first_channel: usize,
    weights: *const i8,
    pairs: usize,
    bias: *const i32,
    sums: *mut i32,
}

#[repr(C)]
struct Rounding {
    floor: f32,
    ceiling: f32,
    no_fraction: f32,
    zero_point: i32,
}

// Each needs NEON and valid pointers in its arguments.
unsafe extern "C" {
    fn scenescribe_tile_paired(tile: &Tile);
    fn scenescribe_tile_single(tile: &Tile);
    fn scenescribe_window_paired(window: &WindowOfChannels);
    fn scenescribe_window_single(window: &WindowOfChannels);
    fn scenescribe_requantize(sums: *const i32, multipliers: *const f32, output: *mut u8, rounding: &Rounding);
}

/// Asks the kernel, which passes `AT_HWCAP` to each process.
fn has_neon() -> bool {
    const AT_HWCAP: usize = 16;
    const HWCAP_NEON: usize = 1 << 12;
    let auxiliary = std::fs::read("/proc/self/auxv").unwrap_or_default();
    let words = auxiliary.as_chunks::<4>().0.iter().map(|bytes| u32::from_ne_bytes(*bytes) as usize);
    let words: Vec<usize> = words.collect();
    words.as_chunks::<2>().0.iter().any(|[key, value]| *key == AT_HWCAP && value & HWCAP_NEON != 0)
}

impl Rounding {
    fn new(limits: Limits) -> Self {
        let (floor, ceiling) = (limits.floor(), limits.ceiling());
        Self { floor, ceiling, no_fraction: NO_FRACTION, zero_point: limits.zero_point.into() }
    }
}

/// Rounds 16 sums, of which the output may hold fewer.
fn requantize_channels(sums: &[i32; LANES], multipliers: &[f32], rounding: &Rounding, output: &mut [u8]) {
    assert!(multipliers.len() >= LANES);
    let mut steps = [0; LANES];
    // SAFETY: the set is only made where there is NEON; all slices hold 16 values.
    unsafe { scenescribe_requantize(sums.as_ptr(), multipliers.as_ptr(), steps.as_mut_ptr(), rounding) };
    output.copy_from_slice(&steps[..output.len()]);
}
