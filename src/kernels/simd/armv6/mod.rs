//! ARMv6 without NEON (ARM1176): matrix products by the instruction that adds two products of 16-bit halves.
//!
//! The instruction is reached through assembly (`kernels.s`), as Rust has no stable intrinsic for it. Everything else
//! is the reference's.
use crate::kernels::{
    kernel_set::Kernels,
    matrix::{Block, MatrixLayout, PackedMatrix, Rows, WeightForm},
    reference,
};
use std::arch::global_asm;

pub(crate) static ARMV6_DSP: Kernels = Kernels {
    name: "armv6-dsp",
    is_supported: || true,
    matrix_layout: MatrixLayout { lanes: 2, group: 4, vectors: 1, form: WeightForm::Words, activation_shift: 0 },
    multiply_to_u8: |matrix, rows, stage, addend, output| {
        reference::sums_to_u8(two_rows, matrix, rows, stage, addend, output);
    },
    multiply_to_f32: |matrix, rows, quantizations, to_float, output| {
        reference::sums_to_f32(two_rows, matrix, rows, quantizations, to_float, output);
    },
    depthwise: &[],
    elementwise: reference::ELEMENTWISE,
};

global_asm!(include_str!("kernels.s"), options(raw));

/// Sums of two rows and two channels.
type Sums = [[i32; 2]; 2];

#[repr(C)]
struct Tile {
    rows: [*const u8; 2],
    weights: *const i8,
    /// Of four input values; not 0.
    groups: usize,
    sums: *mut Sums,
}

// Needs valid pointers in its argument.
unsafe extern "C" {
    fn scenescribe_armv6_tile(tile: &Tile);
}

fn two_rows(matrix: &PackedMatrix, rows: &Rows<'_>, block: Block, pair: [usize; 2]) -> Sums {
    let mut sums = Sums::default();
    let whole = matrix.depth / 4 * 4;
    for segment in 0..matrix.segments {
        let values = pair.map(|row| {
            let start = row * rows.row_stride + segment * rows.segment_stride;
            &rows.bytes[start..start + matrix.depth]
        });
        let weights = &matrix.weights()[block.offset + segment * matrix.vector_bytes..][..matrix.vector_bytes];
        add_groups(values.map(|values| &values[..whole]), weights, &mut sums);
        if whole < matrix.depth {
            let ends = values.map(|values| padded_end(&values[whole..]));
            add_groups(ends.each_ref().map(<[u8; 4]>::as_slice), &weights[whole * 4..], &mut sums);
        }
    }
    sums
}

fn padded_end(values: &[u8]) -> [u8; 4] {
    let mut end = [0; 4];
    end[..values.len()].copy_from_slice(values);
    end
}

/// Adds the products of two rows, whole groups of 4 values, with 2 channels' weights of 2 bytes.
fn add_groups(rows: [&[u8]; 2], weights: &[i8], sums: &mut Sums) {
    let groups = rows[0].len() / 4;
    if groups > 0 {
        assert!(rows[1].len() == rows[0].len() && weights.len() >= groups * 16);
        let tile = Tile { rows: rows.map(<[u8]>::as_ptr), weights: weights.as_ptr(), groups, sums };
        // SAFETY: ARMv6 is what the target asks for; the assertion vouches for the pointers. Rows need no alignment:
        // Linux lets ARMv6 load words from any address.
        unsafe { scenescribe_armv6_tile(&tile) };
    }
}
