//! The rounding rules, in one place: every kernel set gives these results bit for bit.
//!
//! - A sum `acc` (i32, wrapping) becomes the step `clamp(round_half_even(acc as f32 * multiplier) + zero_point)`,
//!   with `multiplier = input_scale * weight_scale / output_scale` rounded to f32 after each operation, as ONNX
//!   Runtime does. The product is one IEEE multiplication; nothing is contracted to a fused multiply-add.
//! - A residual addition follows DequantizeLinear, Add, QuantizeLinear: with `a` and `b` the two steps,
//!   `sum = (a - za) as f32 * sa + (b - zb) as f32 * sb` (two products, one sum, each rounded), and the result is
//!   `clamp(round_half_even(sum / scale) + zero_point)` by a true division.
//! - A product of two activations is exact in i32, `(a - za) * (b - zb)`, and becomes a step as a sum does.
//! - A float becomes a step by `clamp(round_half_even(x / scale) + zero_point)`; NaN becomes the lowest step.
//!
//! The clamp is applied to the float before it is rounded. That changes no result, since the bounds are integers,
//! and it keeps the conversion to integers in range on every CPU.
use std::ops::RangeInclusive;

/// How u8 steps stand for real numbers: `(step - zero_point) * scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantization {
    pub scale: f32,
    pub zero_point: u8,
}

/// The u8 tensor that an operator writes: its quantization and the steps it may take.
///
/// A fused ReLU6 is a narrower range: from the step of 0 to the step of 6.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub quantization: Quantization,
    pub steps: RangeInclusive<u8>,
}

impl From<Quantization> for Output {
    fn from(quantization: Quantization) -> Self {
        Self { quantization, steps: 0..=255 }
    }
}

/// A second tensor added to an operator's own output before it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Residual {
    /// Of the tensor that is added.
    pub addend: Quantization,
    /// Of the sum.
    pub sum: Output,
}

/// Steps allowed in an output, as offsets from its zero point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    pub zero_point: u8,
    pub lowest: u8,
    pub highest: u8,
}

impl Limits {
    pub(crate) fn of(output: &Output) -> Self {
        let (lowest, highest) = (*output.steps.start(), *output.steps.end());
        Self { zero_point: output.quantization.zero_point, lowest, highest: highest.max(lowest) }
    }

    /// The lowest step, counted from the zero point.
    pub(crate) fn floor(&self) -> f32 {
        f32::from(self.lowest) - f32::from(self.zero_point)
    }

    /// The highest step, counted from the zero point.
    pub(crate) fn ceiling(&self) -> f32 {
        f32::from(self.highest) - f32::from(self.zero_point)
    }
}

/// Scales, bias and limits that turn the sums of one operator into steps.
pub(crate) struct Requantize {
    pub bias: Vec<i32>,
    pub multipliers: Vec<f32>,
    pub limits: Limits,
}

/// What a product adds before it is written: how, and the values.
pub(crate) type Addend<'a> = Option<(&'a ResidualAdd, &'a [u8])>;

/// A fused residual addition, with the quantization of the operator's own output.
pub(crate) struct ResidualAdd {
    pub own_scale: f32,
    pub addend: Quantization,
    pub scale: f32,
    pub limits: Limits,
}

impl ResidualAdd {
    pub(crate) fn new(own: Quantization, residual: &Residual) -> Self {
        Self {
            own_scale: own.scale,
            addend: residual.addend,
            scale: residual.sum.quantization.scale,
            limits: Limits::of(&residual.sum),
        }
    }

    /// Adds `addend` to the operator's own result, given as steps from its zero point.
    #[inline(always)]
    pub(crate) fn apply(&self, own_steps: f32, addend: u8) -> u8 {
        let addend = (f32::from(addend) - f32::from(self.addend.zero_point)) * self.addend.scale;
        step((own_steps * self.own_scale + addend) / self.scale, self.limits)
    }
}

/// The factor that takes sums of `input` times weights to steps of `output`.
pub(crate) fn multiplier(input: Quantization, weight_scale: f32, output: Quantization) -> f32 {
    input.scale * weight_scale / output.scale
}

/// The step of a sum.
#[inline(always)]
pub(crate) fn requantize(acc: i32, multiplier: f32, limits: Limits) -> u8 {
    step(acc as f32 * multiplier, limits)
}

/// The step nearest to `steps_from_zero_point`, ties to even, within the limits.
#[inline(always)]
pub(crate) fn step(steps_from_zero_point: f32, limits: Limits) -> u8 {
    let shifted = clamped(steps_from_zero_point, limits) + NO_FRACTION;
    let offset = shifted.to_bits().wrapping_sub(NO_FRACTION.to_bits());
    offset.wrapping_add(u32::from(limits.zero_point)) as u8
}

/// Rounds to the nearest integer, ties to even, after clamping to the limits.
#[inline(always)]
pub(crate) fn rounded(steps_from_zero_point: f32, limits: Limits) -> f32 {
    (clamped(steps_from_zero_point, limits) + NO_FRACTION) - NO_FRACTION
}

/// 1.5 * 2^23. A small number added to it loses its fraction, rounded to even by the FPU itself, and the sum's lowest
/// bits are an integer: this needs no rounding or converting instruction and vectorises on every CPU.
pub(crate) const NO_FRACTION: f32 = 12_582_912.0;

#[inline(always)]
fn clamped(steps_from_zero_point: f32, limits: Limits) -> f32 {
    let (floor, ceiling) = (limits.floor(), limits.ceiling());
    // Not `f32::max`, whose rule for NaN costs two more instructions: here NaN becomes the floor.
    let above = if steps_from_zero_point > floor { steps_from_zero_point } else { floor };
    if above < ceiling { above } else { ceiling }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Limits = Limits { zero_point: 128, lowest: 0, highest: 255 };

    #[test]
    fn ties_go_to_the_even_step() {
        for (value, expected) in [(0.5, 128), (1.5, 130), (2.5, 130), (-0.5, 128), (-1.5, 126), (-2.5, 126)] {
            assert_eq!(step(value, ALL), expected, "{value}");
        }
    }

    #[test]
    fn rounding_equals_the_standard_library_everywhere_in_range() {
        for sixteenth in -128 * 16..=127 * 16 {
            let value = sixteenth as f32 / 16.0;
            assert_eq!(rounded(value, ALL), value.round_ties_even(), "{value}");
        }
    }

    #[test]
    fn huge_sums_saturate() {
        assert_eq!(requantize(i32::MAX, f32::MAX, ALL), 255);
        assert_eq!(requantize(i32::MIN, f32::MAX, ALL), 0);
        assert_eq!(requantize(i32::MIN, 0.0, ALL), 128);
    }

    #[test]
    fn a_fused_clamp_narrows_the_range() {
        let relu = Limits { zero_point: 10, lowest: 10, highest: 200 };
        assert_eq!(requantize(-5, 1.0, relu), 10);
        assert_eq!(requantize(250, 1.0, relu), 200);
        assert_eq!(requantize(7, 1.0, relu), 17);
    }

    #[test]
    fn nan_is_the_lowest_step() {
        assert_eq!(step(f32::NAN, ALL), 0);
    }

    #[test]
    fn a_residual_is_added_in_real_numbers() {
        let add = ResidualAdd {
            own_scale: 0.5,
            addend: Quantization { scale: 0.25, zero_point: 100 },
            scale: 1.0,
            limits: ALL,
        };
        // 3 * 0.5 + (107 - 100) * 0.25 = 3.25
        assert_eq!(add.apply(3.0, 107), 131);
    }
}
