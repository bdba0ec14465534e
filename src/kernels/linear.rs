//! Matrix products with a float result: the decoder's matrices and layers whose output stays real.
use crate::kernels::{
    columns::Columns,
    error::{KernelError, check_length},
    kernel_set::KernelSet,
    matrix::{PackedMatrix, Rows, Weights, padded},
    requantize::Quantization,
    threads::Threads,
};
use std::sync::{Mutex, PoisonError};

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
        let matrix = PackedMatrix::of_weights(set.kernels().matrix_layout, weights, channels, depth);
        let bias = bias.iter().copied().chain(std::iter::repeat(0.0)).take(channels);
        let to_float = ToFloat { weight_scales: padded(weights.scales.iter().copied()), bias: padded(bias) };
        Ok(Self { set, matrix, to_float })
    }

    /// Computes one row of output per row of `input`, whose quantization is `quantizations[row]`.
    ///
    /// # Panics
    /// If the lengths do not belong together.
    pub fn run(&self, input: &[u8], quantizations: &[Quantization], output: &mut [f32]) {
        let (rows, columns) = self.checked(input, quantizations, output);
        (self.set.kernels().multiply_to_f32)(&self.matrix, rows, quantizations, &self.to_float, columns);
    }

    /// As [`Linear::run`], with the channels cut into `pieces` that `threads` share: few rows are no less work than
    /// many, as all weights are read. Allocates nothing.
    ///
    /// # Panics
    /// If the lengths do not belong together, or if `pieces` is 0.
    pub fn run_shared(
        &self,
        threads: &mut Threads,
        pieces: usize,
        input: &[u8],
        quantizations: &[Quantization],
        output: &mut [f32],
    ) {
        if pieces == 1 {
            return self.run(input, quantizations, output);
        }
        let (rows, columns) = self.checked(input, quantizations, output);
        let blocks = self.matrix.blocks().count();
        let left = Mutex::new((0, columns));
        threads.run(pieces, |_| {
            let columns = {
                let (taken, left) = &mut *left.lock().unwrap_or_else(PoisonError::into_inner);
                *taken += 1;
                let next_block = self.matrix.blocks().nth(*taken * blocks / pieces);
                left.cut(next_block.map_or(self.matrix.channels, |block| block.first_channel))
            };
            (self.set.kernels().multiply_to_f32)(&self.matrix, rows, quantizations, &self.to_float, columns);
        });
    }

    /// The rows to multiply and the whole output.
    fn checked<'a>(
        &self,
        input: &'a [u8],
        quantizations: &[Quantization],
        output: &'a mut [f32],
    ) -> (Rows<'a>, Columns<'a>) {
        let rows = Rows::dense(input, self.matrix.depth);
        assert_eq!(quantizations.len() * self.matrix.depth, input.len(), "each row needs one quantization");
        assert_eq!(output.len(), rows.count * self.matrix.channels, "the output has another number of rows");
        (rows, Columns::all(output, self.matrix.channels))
    }
}
