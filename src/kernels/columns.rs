//! Neighbouring columns of a row-major matrix, which a thread writes while others write the other columns.
use std::{marker::PhantomData, ops::Range};

/// Some columns of every row of a matrix, lent for writing.
pub(crate) struct Columns<'a> {
    matrix: *mut f32,
    rows: usize,
    row_len: usize,
    range: Range<usize>,
    lent: PhantomData<&'a mut [f32]>,
}

// SAFETY: a `Columns` is the only way to its elements while it lives, as `&mut [f32]` would be.
unsafe impl Send for Columns<'_> {}

impl<'a> Columns<'a> {
    /// All columns of a matrix of rows of `row_len`.
    pub(crate) fn all(matrix: &'a mut [f32], row_len: usize) -> Self {
        let rows = matrix.len().checked_div(row_len).unwrap_or(0);
        Self { matrix: matrix.as_mut_ptr(), rows, row_len, range: 0..row_len, lent: PhantomData }
    }

    /// Cuts off the columns before `end`.
    pub(crate) fn cut(&mut self, end: usize) -> Self {
        let cut = self.range.start..end.clamp(self.range.start, self.range.end);
        self.range.start = cut.end;
        Self { range: cut, ..*self }
    }

    pub(crate) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The columns in one row.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline(always)]
    pub(crate) fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        // SAFETY: the range lies within a row, the row within the matrix, and no other `Columns` has these columns:
        // `cut` takes from one what it gives to the other.
        unsafe {
            let start = self.matrix.add(row * self.row_len + self.range.start);
            std::slice::from_raw_parts_mut(start, self.range.len())
        }
    }

    /// Where column `column` of row `row` lies, for kernels that write it unchecked.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[inline(always)]
    pub(crate) fn pointer(&self, row: usize, column: usize) -> *mut f32 {
        self.matrix.wrapping_add(row * self.row_len + column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_columns_share_nothing_and_leave_nothing_out() {
        let mut matrix = [0.0; 3 * 7];
        let mut rest = Columns::all(&mut matrix, 7);
        let (first, second) = (rest.cut(3), rest.cut(3));
        for (value, mut columns) in [(1.0, first), (2.0, second), (3.0, rest)] {
            (0..3).for_each(|row| columns.row(row).iter_mut().for_each(|element| *element += value));
        }
        assert_eq!(matrix.as_chunks::<7>().0, [[1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 3.0]; 3]);
    }

    #[test]
    #[should_panic(expected = "row 2 of 2")]
    fn a_row_that_is_not_there_is_refused() {
        Columns::all(&mut [0.0; 6], 3).row(2);
    }
}
