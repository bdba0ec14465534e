//! Float products of a matrix with a single row or column, as attention has them at each step.
//!
//! Sums run in a fixed number of lanes and no operation is fused with another: every set finds the same bits.
use crate::kernels::kernel_set::KernelSet;

/// Columns that are summed at once.
const COLUMNS: usize = 16;

/// Partial sums of a dot product.
const LANES: usize = 8;

/// Rows whose partial sums wait to be added up.
const ROWS: usize = 16;

impl KernelSet {
    /// `row` (depth) times `matrix` (depth, columns) to `sums` (columns).
    ///
    /// # Panics
    /// If the lengths do not belong together.
    pub fn row_times_matrix(self, row: &[f32], matrix: &[f32], sums: &mut [f32]) {
        assert_eq!(row.len() * sums.len(), matrix.len(), "the matrix has another shape");
        (self.kernels().elementwise.row_times_matrix)(row, matrix, sums);
    }

    /// `matrix` (rows, depth) times `column` (depth) to `sums` (rows).
    ///
    /// # Panics
    /// If the lengths do not belong together.
    pub fn matrix_times_column(self, matrix: &[f32], column: &[f32], sums: &mut [f32]) {
        assert_eq!(sums.len() * column.len(), matrix.len(), "the matrix has another shape");
        (self.kernels().elementwise.matrix_times_column)(matrix, column, sums);
    }
}

#[inline(always)]
pub(crate) fn row_times_matrix(row: &[f32], matrix: &[f32], sums: &mut [f32]) {
    let columns = sums.len();
    let (blocks, rest) = sums.as_chunks_mut::<COLUMNS>();
    let first_of_rest = blocks.len() * COLUMNS;
    for (block, sums) in blocks.iter_mut().enumerate() {
        let mut block_sums = [0.0; COLUMNS];
        for (factor, values) in row.iter().zip(matrix.chunks_exact(columns)) {
            let values = values[block * COLUMNS..].first_chunk::<COLUMNS>();
            for (sum, value) in block_sums.iter_mut().zip(values.into_iter().flatten()) {
                *sum += factor * value;
            }
        }
        *sums = block_sums;
    }
    for (column, sum) in rest.iter_mut().enumerate() {
        let values = matrix.chunks_exact(columns).map(|values| values[first_of_rest + column]);
        *sum = row.iter().zip(values).fold(0.0, |sum, (factor, value)| sum + factor * value);
    }
}

#[inline(always)]
pub(crate) fn matrix_times_column(matrix: &[f32], column: &[f32], sums: &mut [f32]) {
    let depth = column.len();
    if depth == 0 {
        return sums.fill(0.0);
    }
    let (chunks, column_rest) = column.as_chunks::<LANES>();
    let mut partial_sums = [[0.0; LANES]; ROWS];
    for (rows, sums) in matrix.chunks(depth * ROWS).zip(sums.chunks_mut(ROWS)) {
        // Two loops, as compilers that see the lanes added up shuffle the products first.
        for (row, partial_sums) in rows.chunks_exact(depth).zip(&mut partial_sums) {
            *partial_sums = sums_of_products(row.as_chunks().0, chunks);
        }
        for ((row, partial_sums), sum) in rows.chunks_exact(depth).zip(&partial_sums).zip(sums) {
            let rest = row[depth - column_rest.len()..].iter().zip(column_rest);
            let rest = rest.fold(0.0, |sum, (value, factor)| sum + value * factor);
            let [a, b, c, d, e, f, g, h] = *partial_sums;
            *sum = ((a + e) + (c + g)) + ((b + f) + (d + h)) + rest;
        }
    }
}

#[inline(always)]
fn sums_of_products(values: &[[f32; LANES]], factors: &[[f32; LANES]]) -> [f32; LANES] {
    let mut sums = [0.0; LANES];
    for (values, factors) in values.iter().zip(factors) {
        for lane in 0..LANES {
            sums[lane] += values[lane] * factors[lane];
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values whose sums round.
    fn values(len: usize) -> Vec<f32> {
        (0..len).map(|i| (i * 7919 % 1000) as f32 / 333.0 - 1.5).collect()
    }

    #[test]
    fn products_of_any_shape_are_whole() {
        for (depth, count) in [(0, 3), (1, 1), (7, 5), (8, 16), (49, 64), (32, 49)] {
            let whole = |len: usize| (0..len).map(|i| (i % 11) as f32).collect::<Vec<_>>();
            let (factors, matrix) = (whole(depth), whole(depth * count));
            let at = |row: usize, column: usize, columns: usize| matrix[row * columns + column];
            let mut sums = vec![9.0; count];
            KernelSet::detect().row_times_matrix(&factors, &matrix, &mut sums);
            let expected = |column| (0..depth).map(|k| factors[k] * at(k, column, count)).sum::<f32>();
            assert_eq!(sums, (0..count).map(expected).collect::<Vec<_>>(), "{depth} x {count}");
            KernelSet::detect().matrix_times_column(&matrix, &factors, &mut sums);
            let expected = |row| (0..depth).map(|k| factors[k] * at(row, k, depth)).sum::<f32>();
            assert_eq!(sums, (0..count).map(expected).collect::<Vec<_>>(), "{count} x {depth}");
        }
    }

    #[test]
    fn every_set_finds_the_same_bits() {
        for (depth, count) in [(32, 49), (49, 64), (13, 37)] {
            let (factors, matrix) = (values(depth), values(depth * count));
            let run = |set: KernelSet| {
                let mut sums = [vec![0.0; count], vec![0.0; count]];
                set.row_times_matrix(&factors, &matrix, &mut sums[0]);
                set.matrix_times_column(&matrix, &factors, &mut sums[1]);
                sums.concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            let expected = run(KernelSet::reference());
            for set in KernelSet::available() {
                assert_eq!(run(set), expected, "{set:?}");
            }
        }
    }
}
