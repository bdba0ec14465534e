//! Each channel of an image times a factor of its own, both quantized: the excitation of squeeze and excitation
//! (Hu et al. 2018).
use crate::kernels::{
    kernel_set::KernelSet,
    requantize::{Limits, Output, Quantization, multiplier, requantize},
};

/// `image * factors` in real numbers: the product of the steps is exact, all scales are one f32 multiplier.
pub struct Excitation {
    set: KernelSet,
    image_zero_point: i32,
    factors_zero_point: i32,
    multiplier: f32,
    limits: Limits,
}

impl Excitation {
    pub fn new(set: KernelSet, image: Quantization, factors: Quantization, output: &Output) -> Self {
        Self {
            set,
            image_zero_point: image.zero_point.into(),
            factors_zero_point: factors.zero_point.into(),
            multiplier: multiplier(image, factors.scale, output.quantization),
            limits: Limits::of(output),
        }
    }

    /// Multiplies as many pixels as are given by one factor a channel.
    ///
    /// # Panics
    /// If `image` and `output` differ in length or are not whole pixels.
    pub fn run(&self, image: &[u8], factors: &[u8], output: &mut [u8]) {
        assert_eq!(image.len(), output.len(), "image and output differ in length");
        assert!(image.len().is_multiple_of(factors.len()), "the image is not whole pixels");
        (self.set.kernels().elementwise.excite)(self, image, factors, output);
    }
}

#[inline(always)]
pub(crate) fn excite(excitation: &Excitation, image: &[u8], factors: &[u8], output: &mut [u8]) {
    let Excitation { image_zero_point, factors_zero_point, multiplier, limits, .. } = *excitation;
    for (pixel, output) in image.chunks_exact(factors.len()).zip(output.chunks_exact_mut(factors.len())) {
        for ((&step, &factor), output) in pixel.iter().zip(factors).zip(output) {
            let product = (i32::from(step) - image_zero_point) * (i32::from(factor) - factors_zero_point);
            *output = requantize(product, multiplier, limits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_its_factor() {
        let image = Quantization { scale: 0.5, zero_point: 10 };
        let factors = Quantization { scale: 0.01, zero_point: 0 };
        let output = Quantization { scale: 0.5, zero_point: 20 };
        let excitation = Excitation::new(KernelSet::reference(), image, factors, &output.into());
        let mut pixels = [0; 6];
        excitation.run(&[10, 30, 110, 0, 255, 20], &[100, 50, 0], &mut pixels);
        assert_eq!(pixels, [20, 30, 20, 10, 142, 20]);
    }
}
