//! Weight matrices in the order that a kernel set reads them, and the rows they are multiplied with.
//!
//! Output channels are cut into blocks of a few vectors of `lanes` channels. Within a block the weights lie in the
//! order of the multiplications: for each group of `group` input values, for each vector, for each channel, the
//! group's weights. Missing channels and values are zero, so kernels only ever meet whole vectors and groups.
use crate::kernels::error::{KernelError, check_length};
use std::{borrow::Cow, ops::Range};

/// Where the weight of output channel `c` and input value `k` lies in a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightOrder {
    /// `[channels][depth]`: the weights of ONNX Conv, or of Gemm with `transB`.
    ChannelMajor,
    /// `[depth][channels]`: the right operand of ONNX MatMul.
    DepthMajor,
}

/// Quantized weights as they lie in a model, zero point 0.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    pub values: &'a [i8],
    pub order: WeightOrder,
    /// One per output channel.
    pub scales: &'a [f32],
    /// One per output channel, in units of input scale times weight scale; empty stands for zeros.
    pub bias: &'a [i32],
}

impl Weights<'_> {
    pub(crate) fn check(&self, channels: usize, depth: usize) -> Result<(), KernelError> {
        check_length("the weight matrix", self.values.len(), channels * depth)?;
        check_length("the list of weight scales", self.scales.len(), channels)?;
        check_length("the bias", self.bias.len(), if self.bias.is_empty() { 0 } else { channels })
    }

    /// The values of some of `channels` channels, in channel-major order.
    fn channel_major(&self, some: Range<usize>, channels: usize, depth: usize) -> Cow<'_, [i8]> {
        match self.order {
            WeightOrder::ChannelMajor => Cow::Borrowed(&self.values[some.start * depth..some.end * depth]),
            WeightOrder::DepthMajor => {
                let column = |channel| (0..depth).map(move |k| self.values[k * channels + channel]);
                Cow::Owned(some.flat_map(column).collect())
            }
        }
    }
}

/// How a kernel set wants its weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MatrixLayout {
    /// Output channels of one vector.
    pub lanes: usize,
    /// Input values multiplied at once.
    pub group: usize,
    /// Most vectors of a block.
    pub vectors: usize,
    pub form: WeightForm,
    /// What the kernel subtracts from each activation before it multiplies: 128 where it knows only signed bytes.
    pub activation_shift: i32,
}

impl MatrixLayout {
    fn vector_bytes(&self, depth: usize) -> usize {
        depth.next_multiple_of(self.group) * self.lanes * self.value_bytes()
    }

    pub(crate) fn value_bytes(&self) -> usize {
        if self.form == WeightForm::Bytes { 1 } else { 2 }
    }
}

/// How one group of weights is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WeightForm {
    Bytes,
    /// i16. In a matrix, the even values of a group come first for all channels of a vector, then the odd ones.
    #[allow(dead_code, reason = "only AVX2, ARMv6 and NEON without dot products want words")]
    Words,
}

/// Channels between the ends of per-channel tables and the next whole block of any kernel set.
const TABLE_PADDING: usize = 64;

/// Extends a per-channel table with zeros, so that kernels may read whole blocks.
pub(crate) fn padded<T: Copy + Default>(table: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut table: Vec<T> = table.into_iter().collect();
    table.resize(table.len() + TABLE_PADDING, T::default());
    table
}

/// A weight matrix packed for one kernel set.
pub(crate) struct PackedMatrix {
    pub channels: usize,
    /// The rows are read in `segments` runs of `depth` values each.
    pub segments: usize,
    pub depth: usize,
    pub layout: MatrixLayout,
    /// Bytes of packed weights that one vector takes in one segment.
    pub vector_bytes: usize,
    /// Per channel, the sum of all weights; padded to whole blocks.
    pub sums: Vec<i32>,
    /// A product of a weight and a shifted activation can be as large as 128 * 128.
    #[allow(dead_code, reason = "only ARM kernels multiply signed bytes in 16 bits")]
    pub has_lowest_weight: bool,
    weights: CacheAligned,
}

/// Output channels that are computed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub first_channel: usize,
    pub vectors: usize,
    /// Of the block's first weight in the packed bytes.
    pub offset: usize,
}

impl PackedMatrix {
    /// Packs `values`, `[channels][segments][depth]`.
    pub(crate) fn new(layout: MatrixLayout, values: &[i8], channels: usize, segments: usize, depth: usize) -> Self {
        let row_len = segments * depth;
        let rows = |some: Range<usize>| Cow::Borrowed(&values[some.start * row_len..some.end * row_len]);
        Self::pack(layout, [channels, segments, depth], rows)
    }

    /// Packs `weights` of `channels` channels and `depth` values each.
    pub(crate) fn of_weights(layout: MatrixLayout, weights: &Weights<'_>, channels: usize, depth: usize) -> Self {
        Self::pack(layout, [channels, 1, depth], |some| weights.channel_major(some, channels, depth))
    }

    /// Packs what `rows` gives for a range of channels, block by block, so that no second whole copy is ever held.
    fn pack<'v>(
        layout: MatrixLayout,
        [channels, segments, depth]: [usize; 3],
        rows: impl Fn(Range<usize>) -> Cow<'v, [i8]>,
    ) -> Self {
        let mut matrix = Self {
            channels,
            segments,
            depth,
            layout,
            vector_bytes: layout.vector_bytes(depth),
            sums: Vec::with_capacity(channels + TABLE_PADDING),
            has_lowest_weight: false,
            weights: CacheAligned::default(),
        };
        let mut packed = CacheAligned::zeroed(matrix.vector_bytes * segments * channels.div_ceil(layout.lanes));
        for block in matrix.blocks() {
            let end = channels.min(block.first_channel + block.vectors * layout.lanes);
            let rows = rows(block.first_channel..end);
            matrix.sums.extend(rows.chunks(segments * depth).map(|row| row.iter().map(|&w| i32::from(w)).sum::<i32>()));
            matrix.has_lowest_weight |= rows.contains(&i8::MIN);
            matrix.pack_block(block, &rows, &mut packed.as_mut_slice()[block.offset..]);
        }
        matrix.sums.resize(channels + TABLE_PADDING, 0);
        matrix.weights = packed;
        matrix
    }

    pub(crate) fn weights(&self) -> &[i8] {
        self.weights.as_slice()
    }

    /// The blocks in order. No block is a lone vector where it can be helped: two short ones are faster.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Block> + Clone + use<> {
        let (lanes, most) = (self.layout.lanes, self.layout.vectors);
        let vectors = self.channels.div_ceil(lanes);
        let bytes = self.vector_bytes * self.segments;
        let mut first = 0;
        std::iter::from_fn(move || {
            let left = vectors - first;
            let taken = if left == most + 1 { left.div_ceil(2) } else { left.min(most) };
            let block = Block { first_channel: first * lanes, vectors: taken, offset: first * bytes };
            first += taken;
            (taken > 0).then_some(block)
        })
    }

    /// The blocks whose first channels are among `channels`.
    pub(crate) fn blocks_of(&self, channels: Range<usize>) -> impl Iterator<Item = Block> + Clone + use<> {
        self.blocks().filter(move |block| channels.contains(&block.first_channel))
    }

    /// What `bias` becomes when the zero point of the input and the kernel's shift are taken out of the sums.
    pub(crate) fn folded_bias(&self, bias: &[i32], input_zero_point: u8) -> Vec<i32> {
        let offset = i32::from(input_zero_point) - self.layout.activation_shift;
        let bias = bias.iter().copied().chain(std::iter::repeat(0));
        let folded =
            self.sums[..self.channels].iter().zip(bias).map(|(&sum, b)| b.wrapping_sub(sum.wrapping_mul(offset)));
        padded(folded)
    }

    /// Packs `values`, those of the block's channels.
    fn pack_block(&self, block: Block, values: &[i8], packed: &mut [i8]) {
        let MatrixLayout { lanes, group, form, .. } = self.layout;
        let groups = self.depth.div_ceil(group);
        let value_bytes = self.vector_bytes / (groups * lanes * group);
        let channels = (self.channels - block.first_channel).min(block.vectors * lanes);
        for channel in 0..channels {
            let (vector, lane) = (channel / lanes, channel % lanes);
            for segment in 0..self.segments {
                let row = (channel * self.segments + segment) * self.depth;
                for (i, values) in values[row..row + self.depth].chunks(group).enumerate() {
                    let start = ((segment * groups + i) * block.vectors + vector) * lanes * group * value_bytes;
                    match form {
                        WeightForm::Bytes => {
                            let packed = &mut packed[start + lane * group..];
                            packed.iter_mut().zip(values).for_each(|(packed, &value)| *packed = value);
                        }
                        WeightForm::Words => {
                            for (k, &value) in values.iter().enumerate() {
                                let word = (k % 2 * lanes + lane) * group / 2 + k / 2;
                                let bytes = i16::from(value).to_le_bytes().map(|byte| byte as i8);
                                packed[start + word * 2..][..2].copy_from_slice(&bytes);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Activations as a kernel reads them: row `r`, segment `s` starts at `r * row_stride + s * segment_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub bytes: &'a [u8],
    pub count: usize,
    pub row_stride: usize,
    pub segment_stride: usize,
}

impl<'a> Rows<'a> {
    /// Rows that lie one after the other.
    pub(crate) fn dense(bytes: &'a [u8], depth: usize) -> Self {
        Self { bytes, count: bytes.len() / depth, row_stride: depth, segment_stride: 0 }
    }

    /// # Panics
    /// If a product with `matrix` would read past the end.
    pub(crate) fn check(&self, matrix: &PackedMatrix) {
        let last_row = self.count.saturating_sub(1) * self.row_stride;
        let end = last_row + (matrix.segments - 1) * self.segment_stride + matrix.depth;
        assert!(self.count == 0 || end <= self.bytes.len(), "{} bytes of activations, {end} wanted", self.bytes.len());
    }
}

/// Bytes that start at a multiple of 64, so that no vector load crosses a cache line.
#[derive(Default)]
pub(crate) struct CacheAligned {
    bytes: Vec<i8>,
    start: usize,
    len: usize,
}

impl CacheAligned {
    const LINE: usize = 64;

    pub(crate) fn new(content: &[i8]) -> Self {
        let mut aligned = Self::zeroed(content.len());
        aligned.as_mut_slice().copy_from_slice(content);
        aligned
    }

    pub(crate) fn zeroed(len: usize) -> Self {
        let bytes = vec![0; len + Self::LINE];
        let start = bytes.as_ptr().addr().wrapping_neg() % Self::LINE;
        Self { bytes, start, len }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [i8] {
        &mut self.bytes[self.start..self.start + self.len]
    }

    pub(crate) fn as_slice(&self) -> &[i8] {
        &self.bytes[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: MatrixLayout =
        MatrixLayout { lanes: 2, group: 2, vectors: 3, form: WeightForm::Bytes, activation_shift: 0 };

    fn blocks(channels: usize) -> Vec<usize> {
        let matrix = PackedMatrix::new(LAYOUT, &vec![1; channels], channels, 1, 1);
        matrix.blocks().map(|block| block.vectors).collect()
    }

    #[test]
    fn blocks_cover_all_channels_without_a_lone_vector() {
        for (channels, expected) in [(1, vec![1]), (6, vec![3]), (8, vec![2, 2]), (14, vec![3, 2, 2]), (9, vec![3, 2])]
        {
            assert_eq!(blocks(channels), expected, "{channels}");
        }
    }

    #[test]
    fn weights_lie_in_groups_padded_with_zeros() {
        let matrix = PackedMatrix::new(LAYOUT, &[1, 2, 3, 4, 5, 6, 7, 8, 9], 3, 1, 3);
        assert_eq!(matrix.weights(), [1, 2, 4, 5, 7, 8, 0, 0, 3, 0, 6, 0, 9, 0, 0, 0]);
        assert_eq!(matrix.sums[..3], [6, 15, 24]);
    }

    #[test]
    fn words_lie_even_values_first() {
        let layout = MatrixLayout { group: 4, vectors: 1, form: WeightForm::Words, ..LAYOUT };
        let matrix = PackedMatrix::new(layout, &[1, 2, 3, 4, -5, 6, 7, 8], 2, 1, 4);
        let words: Vec<i16> =
            matrix.weights().chunks(2).map(|b| i16::from_le_bytes([b[0] as u8, b[1] as u8])).collect();
        assert_eq!(words, [1, 3, -5, 7, 2, 4, 6, 8]);
    }

    #[test]
    fn depth_major_weights_are_transposed() {
        let weights = Weights { values: &[1, 2, 3, 4, 5, 6], order: WeightOrder::DepthMajor, scales: &[], bias: &[] };
        assert_eq!(*weights.channel_major(0..2, 2, 3), [1, 3, 5, 2, 4, 6]);
        assert_eq!(*weights.channel_major(1..2, 2, 3), [2, 4, 6]);
    }

    #[test]
    fn packed_weights_start_on_a_cache_line() {
        let mut aligned = CacheAligned::zeroed(100);
        aligned.as_mut_slice().fill(7);
        assert_eq!(aligned.as_slice().as_ptr().addr() % 64, 0);
        assert_eq!(aligned.as_slice(), [7; 100]);
    }
}
