//! What becomes of the sums of a matrix product: steps, steps with a residual added, or real numbers.
use super::vector::Vector;
use crate::kernels::{
    columns::Columns,
    linear::ToFloat,
    matrix::PackedMatrix,
    requantize::{Quantization, Requantize, ResidualAdd},
};

/// Vectors of the widest block, times the lanes of the widest vector.
const MAX_BLOCK: usize = 64;

/// What becomes of the sums of a row.
pub(super) trait Finish<S: Vector> {
    /// What the sums of a block begin with.
    fn initial(&self, first_channel: usize) -> *const i32;

    /// Takes the sums of `V` vectors of channels, of which `count` exist.
    ///
    /// # Safety
    /// The element must lie within the output, and the CPU must have the instructions of `S`.
    unsafe fn write<const V: usize>(&self, row: usize, first_channel: usize, sums: [S::Ints; V], count: usize);
}

/// Writes steps.
pub(super) struct Steps<'a> {
    pub stage: &'a Requantize,
    pub output: *mut u8,
    pub channels: usize,
}

impl<S: Vector> Finish<S> for Steps<'_> {
    #[inline(always)]
    fn initial(&self, first_channel: usize) -> *const i32 {
        self.stage.bias[first_channel..].as_ptr()
    }

    #[inline(always)]
    unsafe fn write<const V: usize>(&self, row: usize, first_channel: usize, sums: [S::Ints; V], count: usize) {
        // SAFETY: the caller vouches for the element, and the tables are padded to whole blocks.
        unsafe {
            let multipliers = self.stage.multipliers.as_ptr().add(first_channel);
            let offsets = requantized::<S, V>(sums, multipliers, self.stage.limits.ceiling());
            S::store_steps(offsets, self.stage.limits, self.output.add(row * self.channels + first_channel), count);
        }
    }
}

/// The offsets from the zero point, clamped from above only, and not even so where `store_steps` takes any.
///
/// # Safety
/// `multipliers` must be valid for `V` vectors.
#[inline(always)]
pub(super) unsafe fn requantized<S: Vector, const V: usize>(
    sums: [S::Ints; V],
    multipliers: *const f32,
    ceiling: f32,
) -> [S::Ints; V] {
    let mut offsets = sums;
    for (vector, offsets) in offsets.iter_mut().enumerate() {
        // SAFETY: passed on from the caller.
        *offsets = unsafe {
            let scaled = S::mul(S::to_floats(*offsets), S::load_floats(multipliers.add(vector * S::LANES)));
            S::round_below(scaled, ceiling)
        };
    }
    offsets
}

/// Adds a residual and writes steps.
pub(super) struct AddedSteps<'a> {
    pub stage: &'a Requantize,
    pub residual: &'a ResidualAdd,
    pub addend: *const u8,
    pub output: *mut u8,
    pub channels: usize,
}

impl<S: Vector> Finish<S> for AddedSteps<'_> {
    #[inline(always)]
    fn initial(&self, first_channel: usize) -> *const i32 {
        self.stage.bias[first_channel..].as_ptr()
    }

    #[inline(always)]
    unsafe fn write<const V: usize>(&self, row: usize, first_channel: usize, sums: [S::Ints; V], count: usize) {
        let (mut offsets, start) = (sums, row * self.channels + first_channel);
        // SAFETY: the caller vouches for the element, and the tables are padded to whole blocks.
        unsafe {
            for (vector, offsets) in offsets.iter_mut().enumerate() {
                let lane = vector * S::LANES;
                let left = count.saturating_sub(lane).min(S::LANES);
                let multipliers = S::load_floats(self.stage.multipliers.as_ptr().add(first_channel + lane));
                let addend = S::load_bytes(self.addend.wrapping_add(start + lane), left);
                *offsets = self.added::<S>(S::mul(S::to_floats(*offsets), multipliers), addend);
            }
            S::store_steps(offsets, self.residual.limits, self.output.add(start), count);
        }
    }
}

impl AddedSteps<'_> {
    /// [`ResidualAdd::apply`] in vectors, clamped from above only.
    #[inline(always)]
    unsafe fn added<S: Vector>(&self, scaled: S::Floats, addend: S::Floats) -> S::Ints {
        let Self { stage, residual, .. } = self;
        // SAFETY: these read no memory; the caller vouches for the instructions.
        unsafe {
            let own = S::max(S::min(scaled, S::splat(stage.limits.ceiling())), S::splat(stage.limits.floor()));
            let own = S::mul(S::round(own), S::splat(residual.own_scale));
            let addend = S::sub(addend, S::splat(f32::from(residual.addend.zero_point)));
            let sum = S::add(own, S::mul(addend, S::splat(residual.addend.scale)));
            let steps = S::div(sum, S::splat(residual.scale));
            S::round_below(steps, residual.limits.ceiling())
        }
    }
}

/// Writes real numbers.
pub(super) struct RealNumbers<'a> {
    pub matrix: &'a PackedMatrix,
    pub quantizations: &'a [Quantization],
    pub to_float: &'a ToFloat,
    pub output: Columns<'a>,
}

impl<S: Vector> Finish<S> for RealNumbers<'_> {
    #[inline(always)]
    fn initial(&self, _first_channel: usize) -> *const i32 {
        static ZEROS: [i32; MAX_BLOCK] = [0; MAX_BLOCK];
        ZEROS.as_ptr()
    }

    #[inline(always)]
    unsafe fn write<const V: usize>(&self, row: usize, first_channel: usize, sums: [S::Ints; V], count: usize) {
        let Quantization { scale, zero_point } = self.quantizations[row];
        let zero_point = i32::from(zero_point) - self.matrix.layout.activation_shift;
        for (vector, sums) in sums.into_iter().enumerate() {
            let channel = first_channel + vector * S::LANES;
            let left = count.saturating_sub(vector * S::LANES).min(S::LANES);
            // SAFETY: the caller vouches for the element, and the tables are padded to whole blocks.
            unsafe {
                let totals = S::load_ints(self.matrix.sums.as_ptr().add(channel));
                let sums = S::to_floats(S::sub_product(sums, totals, zero_point));
                let scales = S::load_floats(self.to_float.weight_scales.as_ptr().add(channel));
                let product = S::mul(sums, S::mul(S::splat(scale), scales));
                let values = S::add(product, S::load_floats(self.to_float.bias.as_ptr().add(channel)));
                S::store_floats(values, self.output.pointer(row, channel), left);
            }
        }
    }
}
