//! Elementwise sum of two quantized tensors, for residual connections that are not fused.
use crate::kernels::{
    kernel_set::KernelSet,
    requantize::{Output, Quantization, Residual, ResidualAdd},
};

/// `a + b` in real numbers, by the same rule as a fused residual.
pub struct Add {
    set: KernelSet,
    first: Quantization,
    sum: ResidualAdd,
}

impl Add {
    pub fn new(set: KernelSet, first: Quantization, second: Quantization, output: Output) -> Self {
        let residual = Residual { addend: second, sum: output };
        Self { set, first, sum: ResidualAdd::new(first, &residual) }
    }

    /// Adds as many values as are given.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn run(&self, first: &[u8], second: &[u8], output: &mut [u8]) {
        assert_eq!([first.len(), second.len()], [output.len(); 2], "operands and output differ in length");
        (self.set.kernels().elementwise.add)(self, first, second, output);
    }
}

#[inline(always)]
pub(crate) fn add_values(add: &Add, first: &[u8], second: &[u8], output: &mut [u8]) {
    for ((&first, &second), output) in first.iter().zip(second).zip(output) {
        *output = add.sum.apply(f32::from(first) - f32::from(add.first.zero_point), second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_saturates_at_the_output_range() {
        let unit = Quantization { scale: 1.0, zero_point: 100 };
        let output = Output { quantization: unit, steps: 100..=220 };
        let add = Add::new(KernelSet::reference(), unit, unit, output);
        let mut sums = [0; 3];
        add.run(&[90, 150, 200], &[95, 160, 200], &mut sums);
        assert_eq!(sums, [100, 210, 220]);
    }
}
