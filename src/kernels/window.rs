//! The geometry of a sliding window over one NHWC image.
use crate::kernels::error::KernelError;
use std::ops::Range;

/// Neighbouring rows of an image.
#[derive(Clone, Copy, Debug)]
pub struct ImageRows<'a> {
    pub bytes: &'a [u8],
    /// Which row of the image `bytes` begins with.
    pub first: usize,
}

/// An image and the window that slides over it; output shape follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Of the input image.
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Down and across.
    pub stride: [usize; 2],
    /// Top, left, bottom, right, as ONNX orders `pads`.
    pub padding: [usize; 4],
}

impl Window {
    pub fn output_height(&self) -> usize {
        (self.height + self.padding[0] + self.padding[2] - self.kernel[0]) / self.stride[0] + 1
    }

    pub fn output_width(&self) -> usize {
        (self.width + self.padding[1] + self.padding[3] - self.kernel[1]) / self.stride[1] + 1
    }

    /// Bytes of the input image.
    pub fn input_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// The input rows that lie under the window at the output rows `rows`.
    pub fn input_rows(&self, rows: Range<usize>) -> Range<usize> {
        if rows.is_empty() {
            return 0..0;
        }
        let start = (rows.start * self.stride[0]).saturating_sub(self.padding[0]);
        let end = ((rows.end - 1) * self.stride[0] + self.kernel[0]).saturating_sub(self.padding[0]);
        start.min(self.height)..end.clamp(start.min(self.height), self.height)
    }

    pub(crate) fn check(&self) -> Result<(), KernelError> {
        let [top, left, bottom, right] = self.padding;
        let is_empty = self.channels == 0 || self.kernel.contains(&0) || self.stride.contains(&0);
        let fits = self.kernel[0] <= self.height + top + bottom && self.kernel[1] <= self.width + left + right;
        if is_empty || self.height == 0 || self.width == 0 || !fits { Err(KernelError::BadWindow) } else { Ok(()) }
    }

    /// The windows for which the SIMD sets have code: 3x3 and 5x5, stride 1 or 2.
    #[allow(dead_code, reason = "the reference takes any window")]
    pub(crate) fn is_three_or_five_square(&self) -> bool {
        matches!(self.kernel, [3, 3] | [5, 5]) && matches!(self.stride, [1, 1] | [2, 2])
    }

    /// The input row that row `kernel_row` of the window meets at `output_row`, if it is not padding.
    pub(crate) fn input_row(&self, output_row: usize, kernel_row: usize) -> Option<usize> {
        let row = (output_row * self.stride[0] + kernel_row).checked_sub(self.padding[0])?;
        (row < self.height).then_some(row)
    }

    /// The input column that column `kernel_column` of the window meets at `output_column`, if it is not padding.
    pub(crate) fn input_column(&self, output_column: usize, kernel_column: usize) -> Option<usize> {
        let column = (output_column * self.stride[1] + kernel_column).checked_sub(self.padding[1])?;
        (column < self.width).then_some(column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAME: Window =
        Window { height: 5, width: 4, channels: 1, kernel: [3, 3], stride: [2, 2], padding: [1, 0, 1, 1] };

    #[test]
    fn output_shape_follows_onnx() {
        assert_eq!((SAME.output_height(), SAME.output_width()), (3, 2));
    }

    #[test]
    fn padding_has_no_input_row() {
        assert_eq!(SAME.input_row(0, 0), None);
        assert_eq!(SAME.input_row(0, 1), Some(0));
        assert_eq!(SAME.input_row(2, 2), None);
        assert_eq!(SAME.input_column(1, 2), None);
    }

    #[test]
    fn the_rows_under_the_window_leave_out_padding() {
        for (rows, expected) in [(0..1, 0..2), (1..2, 1..4), (2..3, 3..5), (0..3, 0..5), (1..1, 0..0)] {
            assert_eq!(SAME.input_rows(rows.clone()), expected, "{rows:?}");
        }
    }

    #[test]
    fn windows_that_do_not_fit_are_refused() {
        for bad in [
            Window { stride: [0, 1], ..SAME },
            Window { kernel: [0, 3], ..SAME },
            Window { kernel: [9, 3], ..SAME },
            Window { channels: 0, ..SAME },
        ] {
            assert_eq!(bad.check(), Err(KernelError::BadWindow));
        }
        assert_eq!(SAME.check(), Ok(()));
    }
}
