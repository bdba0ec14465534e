//! Global average pool: the mean of each channel over all pixels of an NHWC image.
use crate::kernels::{
    kernel_set::KernelSet,
    requantize::{Limits, Output, Quantization, requantize},
};

/// Channels summed at once, on the stack.
const CHANNELS: usize = 256;

/// Rounds as ONNX Runtime's QLinearGlobalAveragePool: sums are exact, the mean is part of one f32 multiplier.
pub struct GlobalAveragePool {
    set: KernelSet,
    pixels: usize,
    channels: usize,
    bias: i32,
    multiplier: f32,
    limits: Limits,
}

impl GlobalAveragePool {
    pub fn new(set: KernelSet, pixels: usize, channels: usize, input: Quantization, output: &Output) -> Self {
        Self {
            set,
            pixels,
            channels,
            bias: -(i32::from(input.zero_point) * pixels as i32),
            multiplier: input.scale / (output.quantization.scale * pixels as f32),
            limits: Limits::of(output),
        }
    }

    /// # Panics
    /// If `input` is not one image or `output` not one pixel.
    pub fn run(&self, input: &[u8], output: &mut [u8]) {
        assert_eq!(input.len(), self.pixels * self.channels, "the input is not one image");
        assert_eq!(output.len(), self.channels, "the output is not one pixel");
        let mut sums = [0; CHANNELS];
        for (chunk, output) in output.chunks_mut(CHANNELS).enumerate() {
            let sums = &mut sums[..output.len()];
            sums.fill(self.bias);
            (self.set.kernels().elementwise.sum_pixels)(input, self.channels, chunk * CHANNELS, sums);
            for (output, &sum) in output.iter_mut().zip(&*sums) {
                *output = requantize(sum, self.multiplier, self.limits);
            }
        }
    }
}

/// Adds the channels from `first_channel` on of every pixel to `sums`.
#[inline(always)]
pub(crate) fn sum_pixels(input: &[u8], channels: usize, first_channel: usize, sums: &mut [i32]) {
    for pixel in input.chunks_exact(channels) {
        for (sum, &step) in sums.iter_mut().zip(&pixel[first_channel..]) {
            *sum += i32::from(step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_each_channel_is_rounded_to_even() {
        let unit = Quantization { scale: 1.0, zero_point: 10 };
        let pool = GlobalAveragePool::new(KernelSet::reference(), 2, 3, unit, &unit.into());
        let mut means = [0; 3];
        pool.run(&[10, 20, 255, 11, 23, 255], &mut means);
        assert_eq!(means, [10, 22, 255]);
    }

    #[test]
    fn more_channels_than_fit_the_stack_are_summed_in_parts() {
        let unit = Quantization { scale: 1.0, zero_point: 0 };
        let pool = GlobalAveragePool::new(KernelSet::reference(), 1, 600, unit, &unit.into());
        let image: Vec<u8> = (0..600).map(|i| i as u8).collect();
        let mut means = vec![0; 600];
        pool.run(&image, &mut means);
        assert_eq!(means, image);
    }
}
