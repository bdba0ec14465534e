//! The matrix products of ARMv7: two rows and 16 channels at a time.
use super::{LANES, Rounding, Tile, requantize_channels, scenescribe_tile_paired, scenescribe_tile_single};
use crate::kernels::{
    columns::Columns,
    linear::ToFloat,
    matrix::{Block, PackedMatrix, Rows},
    requantize::{Addend, Quantization, Requantize, rounded},
};

/// Two rows' sums of a block of channels.
type Sums = [[i32; LANES]; 2];

pub(super) fn multiply_to_u8(
    matrix: &PackedMatrix,
    rows: Rows<'_>,
    stage: &Requantize,
    residual: Addend<'_>,
    output: &mut [u8],
) {
    let rounding = Rounding::new(stage.limits);
    for_each_row_of_sums(matrix, matrix.blocks(), &rows, &stage.bias, |row, block, sums| {
        let start = row * matrix.channels + block.first_channel;
        let multipliers = &stage.multipliers[block.first_channel..][..LANES];
        let output = &mut output[start..start + channels_of(matrix, block)];
        match residual {
            None => requantize_channels(sums, multipliers, &rounding, output),
            Some((residual, addend)) => {
                let addend = &addend[start..];
                for (lane, output) in output.iter_mut().enumerate() {
                    let own = rounded(sums[lane] as f32 * multipliers[lane], stage.limits);
                    *output = residual.apply(own, addend[lane]);
                }
            }
        }
    });
}

pub(super) fn multiply_to_f32(
    matrix: &PackedMatrix,
    rows: Rows<'_>,
    quantizations: &[Quantization],
    to_float: &ToFloat,
    mut output: Columns<'_>,
) {
    let columns = output.range();
    for_each_row_of_sums(matrix, matrix.blocks_of(columns.clone()), &rows, &[], |row, block, sums| {
        let output = &mut output.row(row)[block.first_channel - columns.start..][..channels_of(matrix, block)];
        for (lane, output) in output.iter_mut().enumerate() {
            *output = to_float.real(matrix, block.first_channel + lane, sums[lane], quantizations[row]);
        }
    });
}

fn channels_of(matrix: &PackedMatrix, block: Block) -> usize {
    (block.vectors * matrix.layout.lanes).min(matrix.channels - block.first_channel)
}

/// Calls `take` with each row and block and its sums, which begin with `bias` or, if that is empty, with zeros.
fn for_each_row_of_sums(
    matrix: &PackedMatrix,
    blocks: impl Iterator<Item = Block>,
    rows: &Rows<'_>,
    bias: &[i32],
    mut take: impl FnMut(usize, Block, &[i32; LANES]),
) {
    for block in blocks {
        let mut initial = [0; LANES];
        let bias = bias.get(block.first_channel..).unwrap_or_default();
        initial.iter_mut().zip(bias).for_each(|(initial, &bias)| *initial = bias);
        for first in (0..rows.count).step_by(2) {
            let second = (first + 1).min(rows.count - 1);
            let mut sums = [initial; 2];
            add_two_rows(matrix, rows, block, [first, second], &mut sums);
            take(first, block, &sums[0]);
            if second != first {
                take(second, block, &sums[1]);
            }
        }
    }
}

fn add_two_rows(matrix: &PackedMatrix, rows: &Rows<'_>, block: Block, pair: [usize; 2], sums: &mut Sums) {
    let whole = matrix.depth / 16 * 16;
    for segment in 0..matrix.segments {
        let starts = pair.map(|row| row * rows.row_stride + segment * rows.segment_stride);
        let weights = &matrix.weights()[block.offset + segment * block.vectors * matrix.vector_bytes..];
        if whole > 0 {
            add_groups(matrix, block, starts.map(|start| &rows.bytes[start..start + whole]), weights, sums);
        }
        if whole < matrix.depth {
            let [first, second] = starts.map(|start| padded_end(&rows.bytes[start + whole..start + matrix.depth]));
            let weights = &weights[whole * block.vectors * 4..];
            add_groups(matrix, block, [&first, &second], weights, sums);
        }
    }
}

fn padded_end(values: &[u8]) -> [u8; 16] {
    let mut end = [0; 16];
    end[..values.len()].copy_from_slice(values);
    end
}

/// Adds the products of two rows, whole groups of 16 values, to the sums of a block.
fn add_groups(matrix: &PackedMatrix, block: Block, rows: [&[u8]; 2], weights: &[i8], sums: &mut Sums) {
    let groups = rows[0].len() / 16;
    let weights_step = block.vectors * 64;
    assert!(rows[0].len() == rows[1].len() && weights.len() >= groups * weights_step);
    let kernel = if matrix.has_lowest_weight { scenescribe_tile_single } else { scenescribe_tile_paired };
    for vector in 0..block.vectors {
        let tile = Tile {
            rows: rows.map(<[u8]>::as_ptr),
            weights: weights[vector * 64..].as_ptr(),
            weights_step,
            groups,
            sums: sums.as_flattened_mut()[vector * 4..].as_mut_ptr(),
        };
        // SAFETY: the set is only made where there is NEON; the assertion vouches for rows and weights, and a block
        // has at most four vectors of sums.
        unsafe { kernel(&tile) };
    }
}
