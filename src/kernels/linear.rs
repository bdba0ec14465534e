//! Matrix products with a float result: the decoder's matrices and layers whose output stays real.
use crate::kernels::{
    error::{KernelError, check_length},
    kernel_set::KernelSet,
    matrix::{PackedMatrix, Rows, Weights, padded},
    requantize::Quantization,
};

/// A packed matrix that turns u8 rows into f32 rows: `acc as f32 * (input_scale * weight_scale) + bias`, each
/// operation rounded to f32 as ONNX Runtime's MatMulIntegerToFloat does.
///
/// The quantization of the input is given at each run, since a decoder's activations are quantized as they come
/// ([`KernelSet::quantize_dynamic`]).
pub struct Linear {
    set: KernelSet,
    matrix: PackedMatrix,
    to_float: ToFloat,
}

/// What makes floats of sums; the tables are padded to whole blocks.
pub(crate) struct ToFloat {
    pub weight_scales: Vec<f32>,
    pub bias: Vec<f32>,
}

impl ToFloat {
    /// The real number of one sum of a row quantized as given.
    #[inline(always)]
    pub(crate) fn real(&self, matrix: &PackedMatrix, channel: usize, sum: i32, row: Quantization) -> f32 {
        let zero_point = i32::from(row.zero_point) - matrix.layout.activation_shift;
        let sum = sum.wrapping_sub(matrix.sums[channel].wrapping_mul(zero_point));
        sum as f32 * (row.scale * self.weight_scales[channel]) + self.bias[channel]
    }
}

impl Linear {
    /// Packs a matrix of `channels` rows by `depth` columns. `weights.bias` must be empty: `bias` is real, one per
    /// channel, and may be empty.
    ///
    /// # Errors
    /// If a slice has not the length that the shape asks for.
    pub fn pack(
        set: KernelSet,
        [channels, depth]: [usize; 2],
        weights: &Weights<'_>,
        bias: &[f32],
    ) -> Result<Self, KernelError> {
        weights.check(channels, depth)?;
        check_length("the integer bias", weights.bias.len(), 0)?;
        check_length("the bias", bias.len(), if bias.is_empty() { 0 } else { channels })?;
        let values = weights.channel_major(channels, depth);
        let matrix = PackedMatrix::new(set.kernels().matrix_layout, &values, channels, 1, depth);
        let bias = bias.iter().copied().chain(std::iter::repeat(0.0)).take(channels);
        let to_float = ToFloat { weight_scales: padded(weights.scales.iter().copied()), bias: padded(bias) };
        Ok(Self { set, matrix, to_float })
    }

    /// Computes one row of output per row of `input`, whose quantization is `quantizations[row]`.
    ///
    /// # Panics
    /// If the lengths do not belong together.
    pub fn run(&self, input: &[u8], quantizations: &[Quantization], output: &mut [f32]) {
        let rows = Rows::dense(input, self.matrix.depth);
        assert_eq!(quantizations.len() * self.matrix.depth, input.len(), "each row needs one quantization");
        assert_eq!(output.len(), rows.count * self.matrix.channels, "the output has another number of rows");
        (self.set.kernels().multiply_to_f32)(&self.matrix, rows, quantizations, &self.to_float, output);
    }
}
