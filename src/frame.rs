//! A picture in memory: RGB, eight bits a channel, rows from the top without padding.

use crate::error::{Error, Result};

/// Borrowed pixels, (height, width, 3), as every source hands them on.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    width: u32,
    height: u32,
    pixels: &'a [u8], // (height, width, 3)
}

impl<'a> Frame<'a> {
    /// Wraps `width * height * 3` bytes of RGB.
    ///
    /// ```
    /// let pixels = [128u8; 4 * 2 * 3];
    /// let frame = scenescribe::Frame::new(4, 2, &pixels)?;
    /// assert_eq!(frame.row(1).len(), 12);
    /// # Ok::<(), scenescribe::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::FrameSize`] if a side is zero or the number of bytes is another.
    pub fn new(width: u32, height: u32, pixels: &'a [u8]) -> Result<Self> {
        let expected = u64::from(width) * u64::from(height) * 3;
        if expected == 0 || expected != pixels.len() as u64 {
            return Err(Error::FrameSize { width, height, expected, actual: pixels.len() });
        }
        Ok(Self { width, height, pixels })
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// All rows, `height * width * 3` bytes.
    pub(crate) fn pixels(&self) -> &'a [u8] {
        self.pixels
    }

    /// One row, `width * 3` bytes.
    ///
    /// # Panics
    /// If `y` is not below the height.
    pub fn row(&self, y: usize) -> &'a [u8] {
        let row_bytes = self.width as usize * 3;
        &self.pixels[y * row_bytes..(y + 1) * row_bytes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_the_wrong_size_is_refused() {
        for (width, height, bytes) in [(0, 1, 0), (1, 0, 0), (2, 2, 11), (2, 2, 13), (u32::MAX, u32::MAX, 3)] {
            let pixels = vec![0; bytes];
            assert!(Frame::new(width, height, &pixels).is_err(), "{width} x {height} of {bytes} bytes");
        }
    }

    #[test]
    fn rows_follow_each_other_from_the_top() {
        let pixels: Vec<u8> = (0..12).collect();
        let frame = Frame::new(2, 2, &pixels).unwrap();
        assert_eq!(frame.row(0), [0, 1, 2, 3, 4, 5]);
        assert_eq!(frame.row(1), [6, 7, 8, 9, 10, 11]);
    }
}
