//! Floats to u8 steps and back: ONNX QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear.
use crate::kernels::{
    kernel_set::KernelSet,
    requantize::{Limits, Quantization, step},
};
use std::ops::Range;

/// Pixels whose planes are quantized before they are interleaved; they stay in the first cache level.
const PIXELS: usize = 64;
/// Planes that are interleaved through the stack; more are written one by one.
const PLANES: usize = 4;

impl KernelSet {
    /// `clamp(round_half_even(x / scale) + zero_point)` for each value; NaN becomes 0.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn quantize(self, input: &[f32], quantization: Quantization, output: &mut [u8]) {
        assert_eq!(input.len(), output.len(), "input and output differ in length");
        (self.kernels().elementwise.quantize)(input, quantization.scale, all_steps(quantization), output);
    }

    /// Quantizes the pixels `pixels` of `input`, `channels` whole planes (CHW), to interleaved pixels (HWC).
    ///
    /// # Panics
    /// If the lengths do not belong together.
    pub fn quantize_planes(
        self,
        input: &[f32],
        channels: usize,
        pixels: Range<usize>,
        quantization: Quantization,
        output: &mut [u8],
    ) {
        assert_eq!(output.len(), pixels.len() * channels, "the output does not hold the pixels asked for");
        let plane_len = input.len() / channels;
        let elementwise = &self.kernels().elementwise;
        let limits = all_steps(quantization);
        let mut steps = [[0; PIXELS]; PLANES];
        for (first, output) in pixels.step_by(PIXELS).zip(output.chunks_mut(PIXELS * channels)) {
            let count = output.len() / channels;
            let plane = |channel: usize| &input[channel * plane_len + first..][..count];
            if channels <= PLANES {
                for (channel, steps) in steps.iter_mut().enumerate().take(channels) {
                    (elementwise.quantize)(plane(channel), quantization.scale, limits, &mut steps[..count]);
                }
                let planes = steps.each_ref().map(|plane| &plane[..count]);
                (elementwise.interleave)(&planes[..channels], output);
            } else {
                for channel in 0..channels {
                    for (&value, pixel) in plane(channel).iter().zip(output.chunks_exact_mut(channels)) {
                        pixel[channel] = step(value / quantization.scale, limits);
                    }
                }
            }
        }
    }

    /// `(step - zero_point) * scale` for each value.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn dequantize(self, input: &[u8], quantization: Quantization, output: &mut [f32]) {
        assert_eq!(input.len(), output.len(), "input and output differ in length");
        (self.kernels().elementwise.dequantize)(input, quantization, output);
    }

    /// Quantizes values to the range that they span together with 0, and tells how: ONNX DynamicQuantizeLinear.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn quantize_dynamic(self, input: &[f32], output: &mut [u8]) -> Quantization {
        let (lowest, highest) = (self.kernels().elementwise.range)(input);
        let quantization = spanning(lowest, highest);
        self.quantize(input, quantization, output);
        quantization
    }
}

/// The quantization whose steps span `lowest..=highest`, which contains 0.
fn spanning(lowest: f32, highest: f32) -> Quantization {
    let scale = if lowest == highest { 1.0 } else { (highest - lowest) / 255.0 };
    let whole = Limits { zero_point: 0, lowest: 0, highest: 255 };
    Quantization { scale, zero_point: step(0.0 - lowest / scale, whole) }
}

fn all_steps(quantization: Quantization) -> Limits {
    Limits { zero_point: quantization.zero_point, lowest: 0, highest: 255 }
}

#[inline(always)]
pub(crate) fn quantize_values(input: &[f32], scale: f32, limits: Limits, output: &mut [u8]) {
    for (&value, output) in input.iter().zip(output) {
        *output = step(value / scale, limits);
    }
}

#[inline(always)]
pub(crate) fn dequantize_values(input: &[u8], quantization: Quantization, output: &mut [f32]) {
    for (&step, output) in input.iter().zip(output) {
        *output = (f32::from(step) - f32::from(quantization.zero_point)) * quantization.scale;
    }
}

/// The least and the greatest of all values and 0; NaN counts as 0.
#[inline(always)]
pub(crate) fn range_with_zero(input: &[f32]) -> (f32, f32) {
    const LANES: usize = 16;
    let (mut lowest, mut highest) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    let (chunks, rest) = input.as_chunks::<LANES>();
    let mut widen = |lane: usize, value: f32| {
        lowest[lane] = if value < lowest[lane] { value } else { lowest[lane] };
        highest[lane] = if value > highest[lane] { value } else { highest[lane] };
    };
    for chunk in chunks {
        (0..LANES).for_each(|lane| widen(lane, chunk[lane]));
    }
    rest.iter().enumerate().for_each(|(lane, &value)| widen(lane, value));
    (lowest.into_iter().fold(0.0, f32::min), highest.into_iter().fold(0.0, f32::max))
}

/// Writes planes of equal length as pixels.
#[inline(always)]
pub(crate) fn interleave_planes(planes: &[&[u8]], output: &mut [u8]) {
    match *planes {
        [red, green, blue] => {
            let colours = red.iter().zip(green).zip(blue);
            for (pixel, ((&red, &green), &blue)) in output.as_chunks_mut::<3>().0.iter_mut().zip(colours) {
                *pixel = [red, green, blue];
            }
        }
        _ => {
            for (channel, plane) in planes.iter().enumerate() {
                for (pixel, &value) in output.chunks_exact_mut(planes.len()).zip(*plane) {
                    pixel[channel] = value;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_range_always_holds_zero() {
        let set = KernelSet::reference();
        let mut steps = [0; 3];
        let quantization = set.quantize_dynamic(&[1.0, 2.0, 2.55], &mut steps);
        assert_eq!(quantization, Quantization { scale: 2.55 / 255.0, zero_point: 0 });
        assert_eq!(steps, [100, 200, 255]);
    }

    #[test]
    fn dynamic_zero_points_round_to_even() {
        assert_eq!(spanning(-0.5, 254.5), Quantization { scale: 1.0, zero_point: 0 });
        assert_eq!(spanning(-1.5, 253.5), Quantization { scale: 1.0, zero_point: 2 });
    }

    #[test]
    fn all_zeros_have_a_usable_scale() {
        assert_eq!(KernelSet::reference().quantize_dynamic(&[0.0; 4], &mut [9; 4]).scale, 1.0);
    }

    #[test]
    fn planes_become_pixels() {
        let input = [0.0, 1.0, 10.0, 11.0, 20.0, 21.0, f32::NAN, 300.0, -4.0, 41.0];
        let unit = Quantization { scale: 1.0, zero_point: 1 };
        let mut output = [0; 10];
        KernelSet::reference().quantize_planes(&input, 5, 0..2, unit, &mut output);
        assert_eq!(output, [1, 11, 21, 0, 0, 2, 12, 22, 255, 42]);
        KernelSet::reference().quantize_planes(&input[..6], 3, 0..2, unit, &mut output[..6]);
        assert_eq!(output[..6], [1, 11, 21, 2, 12, 22]);
        KernelSet::reference().quantize_planes(&input, 5, 1..2, unit, &mut output[..5]);
        assert_eq!(output[..5], [2, 12, 22, 255, 42]);
    }

    #[test]
    fn quantization_divides_rather_than_multiplies_by_the_reciprocal() {
        let scales = (1..1000).map(|thousandths| thousandths as f32 / 1000.0);
        let telling = scales.filter(|scale| (scale * 0.5 * 3.0) * (1.0 / scale) != (scale * 0.5 * 3.0) / scale);
        for scale in telling {
            let value = scale * 0.5 * 3.0;
            let expected = (value / scale).round_ties_even() as u8;
            let mut output = [9];
            KernelSet::reference().quantize(&[value], Quantization { scale, zero_point: 0 }, &mut output);
            assert_eq!(output, [expected], "{scale}");
        }
    }

    #[test]
    fn dequantized_steps_are_exact() {
        let mut output = [0.0; 3];
        KernelSet::reference().dequantize(&[0, 128, 255], Quantization { scale: 0.5, zero_point: 128 }, &mut output);
        assert_eq!(output, [-64.0, 0.0, 63.5]);
    }
}
