//! The loops of a matrix product: blocks of channels and tiles of rows.
use super::{
    finish::{AddedSteps, Finish, RealNumbers, Steps},
    vector::Vector,
};
use crate::kernels::{
    columns::Columns,
    linear::ToFloat,
    matrix::{Block, PackedMatrix, Rows},
    requantize::{Addend, Quantization, Requantize},
};

/// A loop over at most 7 rows, unrolled: sums only stay in registers if their indices are constants.
macro_rules! for_each_row {
    ($count:ident, $row:ident => $body:expr) => {
        for_each_row!($count, $row => $body, 0 1 2 3 4 5 6)
    };
    ($count:ident, $row:ident => $body:expr, $($index:literal)*) => {$(
        if $index < $count {
            let $row = $index.min($count - 1);
            $body;
        }
    )*};
}

/// # Safety
/// The CPU must have the instructions of `S`, and `matrix` must be packed for them. `rows`, `addend` and `output` must
/// have been checked against the shape of `matrix`.
#[inline(always)]
pub(super) unsafe fn multiply_to_u8<S: Vector>(
    matrix: &PackedMatrix,
    rows: Rows<'_>,
    stage: &Requantize,
    residual: Addend<'_>,
    output: &mut [u8],
) {
    let (output, channels) = (output.as_mut_ptr(), matrix.channels);
    // SAFETY: passed on from the caller.
    unsafe {
        match residual {
            None => multiply::<S, _>(matrix, matrix.blocks(), rows, 0, &Steps { stage, output, channels }),
            Some((residual, addend)) => {
                let addend = addend.as_ptr();
                multiply::<S, _>(
                    matrix,
                    matrix.blocks(),
                    rows,
                    0,
                    &AddedSteps { stage, residual, addend, output, channels },
                );
            }
        }
    }
}

/// # Safety
/// As for [`multiply_to_u8`]; `quantizations` has one element per row.
#[inline(always)]
pub(super) unsafe fn multiply_to_f32<S: Vector>(
    matrix: &PackedMatrix,
    rows: Rows<'_>,
    quantizations: &[Quantization],
    to_float: &ToFloat,
    output: Columns<'_>,
) {
    let blocks = matrix.blocks_of(output.range());
    let finish = RealNumbers { matrix, quantizations, to_float, output };
    // SAFETY: passed on from the caller.
    unsafe { multiply::<S, _>(matrix, blocks, rows, 0, &finish) }
}

/// Computes the rows from `first_row` on.
///
/// # Safety
/// As for [`multiply_to_u8`]; the rows must lie within what `finish` writes.
#[inline(always)]
pub(super) unsafe fn multiply<S: Vector, F: Finish<S>>(
    matrix: &PackedMatrix,
    blocks: impl Iterator<Item = Block>,
    rows: Rows<'_>,
    first_row: usize,
    finish: &F,
) {
    for block in blocks {
        // SAFETY: the blocks are those of `matrix`; the rest is passed on.
        unsafe {
            match block.vectors {
                1 => multiply_block::<S, F, 1>(matrix, rows, first_row, block, finish),
                2 => multiply_block::<S, F, 2>(matrix, rows, first_row, block, finish),
                _ => multiply_block::<S, F, 3>(matrix, rows, first_row, block, finish),
            }
        }
    }
}

#[inline(always)]
unsafe fn multiply_block<S: Vector, F: Finish<S>, const V: usize>(
    matrix: &PackedMatrix,
    rows: Rows<'_>,
    first_row: usize,
    block: Block,
    finish: &F,
) {
    let mut row = first_row;
    macro_rules! tiles_of {
        ($($tile_rows:literal)*) => {$(
            while S::MAX_ROWS >= $tile_rows && rows.count - row >= $tile_rows {
                // SAFETY: these rows exist.
                unsafe { multiply_tile::<S, F, $tile_rows, V>(matrix, &rows, row, block, finish) };
                row += $tile_rows;
            }
        )*};
    }
    tiles_of!(7 4 3 2 1);
}

#[inline(always)]
unsafe fn multiply_tile<S: Vector, F: Finish<S>, const R: usize, const V: usize>(
    matrix: &PackedMatrix,
    rows: &Rows<'_>,
    first_row: usize,
    block: Block,
    finish: &F,
) {
    // SAFETY: `rows` holds R rows from `first_row` on, the packed weights hold V vectors at the block's offset, and
    // per-channel tables are padded to whole blocks.
    unsafe {
        let initial = finish.initial(block.first_channel);
        let mut sums = [[S::load_ints(initial); V]; R];
        for row in &mut sums {
            for (vector, sums) in row.iter_mut().enumerate() {
                *sums = S::load_ints(initial.add(vector * S::LANES));
            }
        }
        let mut input = rows.bytes.as_ptr().add(first_row * rows.row_stride);
        let mut weights = matrix.weights().as_ptr().add(block.offset);
        for _ in 0..matrix.segments {
            S::accumulate::<R, V>(&mut sums, input, rows.row_stride, weights, matrix.depth);
            input = input.wrapping_add(rows.segment_stride);
            weights = weights.add(V * matrix.vector_bytes);
        }
        let (channel, whole) = (block.first_channel, V * S::LANES);
        let count = (matrix.channels - channel).min(whole);
        // The common case is written apart, so that its count is a constant.
        if count == whole {
            for_each_row!(R, row => finish.write(first_row + row, channel, sums[row], whole));
        } else {
            for_each_row!(R, row => finish.write(first_row + row, channel, sums[row], count));
        }
    }
}
