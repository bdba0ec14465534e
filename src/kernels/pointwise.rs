//! Pointwise convolution and fully connected layers: u8 rows times a weight matrix, rounded to u8.
use crate::kernels::{
    error::KernelError,
    kernel_set::KernelSet,
    matrix::{PackedMatrix, Rows, Weights, padded},
    requantize::{Addend, Limits, Output, Quantization, Requantize, Residual, ResidualAdd, multiplier},
};

/// A packed 1x1 convolution: each row of `depth` values gives a row of `channels` values.
pub struct Pointwise {
    set: KernelSet,
    matrix: PackedMatrix,
    requantize: Requantize,
    residual: Option<ResidualAdd>,
}

impl Pointwise {
    /// Packs a matrix of `channels` rows by `depth` columns for `set`; a residual is added to the output if given.
    ///
    /// # Errors
    /// If a slice of `weights` has not the length that the shape asks for.
    pub fn pack(
        set: KernelSet,
        [channels, depth]: [usize; 2],
        weights: &Weights<'_>,
        input: Quantization,
        output: &Output,
        residual: Option<&Residual>,
    ) -> Result<Self, KernelError> {
        weights.check(channels, depth)?;
        let matrix = PackedMatrix::of_weights(set.kernels().matrix_layout, weights, channels, depth);
        let requantize = requantize_sums(&matrix, weights, input, output);
        let residual = residual.map(|residual| ResidualAdd::new(output.quantization, residual));
        Ok(Self { set, matrix, requantize, residual })
    }

    /// Computes as many rows as `input` holds.
    ///
    /// # Panics
    /// If the lengths do not belong together, or if the operator was packed with a residual.
    pub fn run(&self, input: &[u8], output: &mut [u8]) {
        assert!(self.residual.is_none(), "this operator adds a residual: use run_adding");
        self.multiply(input, None, output);
    }

    /// Computes as many rows as `input` holds and adds `addend`, which has the shape of `output`.
    ///
    /// # Panics
    /// If the lengths do not belong together, or if the operator was packed without a residual.
    pub fn run_adding(&self, input: &[u8], addend: &[u8], output: &mut [u8]) {
        let residual = self.residual.as_ref().expect("this operator adds no residual: use run");
        assert_eq!(addend.len(), output.len(), "addend and output differ in length");
        self.multiply(input, Some((residual, addend)), output);
    }

    fn multiply(&self, input: &[u8], residual: Addend<'_>, output: &mut [u8]) {
        let rows = Rows::dense(input, self.matrix.depth);
        assert_eq!(rows.count * self.matrix.depth, input.len(), "the input is not a whole number of rows");
        multiply_to_u8(self.set, &self.matrix, rows, &self.requantize, residual, output);
    }
}

/// Checks the lengths once and runs the set's kernel.
pub(crate) fn multiply_to_u8(
    set: KernelSet,
    matrix: &PackedMatrix,
    rows: Rows<'_>,
    requantize: &Requantize,
    residual: Addend<'_>,
    output: &mut [u8],
) {
    rows.check(matrix);
    assert_eq!(output.len(), rows.count * matrix.channels, "the output has another number of rows than the input");
    (set.kernels().multiply_to_u8)(matrix, rows, requantize, residual, output);
}

pub(crate) fn requantize_sums(
    matrix: &PackedMatrix,
    weights: &Weights<'_>,
    input: Quantization,
    output: &Output,
) -> Requantize {
    Requantize {
        bias: matrix.folded_bias(weights.bias, input.zero_point),
        multipliers: padded(weights.scales.iter().map(|&scale| multiplier(input, scale, output.quantization))),
        limits: Limits::of(output),
    }
}
