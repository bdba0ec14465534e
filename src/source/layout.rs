//! How the bytes of an uncoded frame lie in memory.

use crate::error::{Error, Result};
use crate::limits::{MAX_PICTURE_PIXELS, MAX_PICTURE_SIDE};

/// Pixel formats that are turned into RGB here; V4L2's and ffmpeg's names in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Red, green, blue (`RGB3`, `rgb24`).
    Rgb24,
    /// Blue, green, red (`BGR3`, `bgr24`).
    Bgr24,
    /// Luma alone (`GREY`, `gray`).
    Gray,
    /// Two pixels in four bytes: Y U Y V (`YUYV`, `yuyv422`).
    Yuyv,
    /// A plane of Y, then one of U V pairs, one pair for 2 x 2 pixels (`NV12`, `nv12`).
    Nv12,
    /// Planes of Y, U, V; one U and V for 2 x 2 pixels (`YU12`, `yuv420p`).
    Yuv420,
    /// Planes of Y, U, V; one U and V for two pixels of a row (`422P`, `yuv422p`).
    Yuv422,
    /// Planes of Y, U, V, all of the picture's size (`yuv444p`).
    Yuv444,
}

impl PixelFormat {
    /// The name on the command line and in messages.
    pub fn name(self) -> &'static str {
        match self {
            PixelFormat::Rgb24 => "rgb24",
            PixelFormat::Bgr24 => "bgr24",
            PixelFormat::Gray => "gray",
            PixelFormat::Yuyv => "yuyv",
            PixelFormat::Nv12 => "nv12",
            PixelFormat::Yuv420 => "yuv420",
            PixelFormat::Yuv422 => "yuv422",
            PixelFormat::Yuv444 => "yuv444",
        }
    }
}

/// A format with its size: the places of all samples of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawLayout {
    format: PixelFormat,
    width: u32,
    height: u32,
    stride: usize, // bytes from a row of the first plane to the next
}

impl RawLayout {
    /// Rows without padding.
    ///
    /// # Errors
    /// [`Error::StreamSize`] if a side is zero or the picture is over the limits.
    pub fn new(format: PixelFormat, width: u32, height: u32) -> Result<Self> {
        let is_small = width.max(height) <= MAX_PICTURE_SIDE;
        let pixels = u64::from(width) * u64::from(height);
        if !is_small || !(1..=MAX_PICTURE_PIXELS).contains(&pixels) {
            let (max_side, max_pixels) = (MAX_PICTURE_SIDE, MAX_PICTURE_PIXELS);
            return Err(Error::StreamSize { width, height, max_side, max_pixels });
        }
        Ok(Self { format, width, height, stride: row_bytes(format, width) })
    }

    /// Rows of `stride` bytes, in the planes of U and V in proportion.
    ///
    /// # Errors
    /// [`Error::Stride`] if a row does not fit, or if it is over four times as long as a row.
    pub fn with_stride(self, stride: u32) -> Result<Self> {
        let least = row_bytes(self.format, self.width);
        let most = 4 * least + 4096;
        if !(least..=most).contains(&(stride as usize)) {
            let (format, width) = (self.format.name(), self.width);
            return Err(Error::Stride { format, width, stride, least: least as u64, most: most as u64 });
        }
        Ok(Self { stride: stride as usize, ..self })
    }

    /// How samples are ordered.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Bytes from one row of the first plane to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Bytes of a row of the first plane, without padding.
    pub(crate) fn row_bytes(&self) -> usize {
        row_bytes(self.format, self.width)
    }

    /// Bytes of a frame, the padding of all rows included.
    pub fn frame_len(&self) -> usize {
        let chroma = self.chroma();
        self.stride * self.height as usize + chroma.planes * chroma.stride * chroma.rows
    }

    /// Bytes up to the last sample: some drivers leave out the padding behind it.
    pub(crate) fn least_len(&self) -> usize {
        let chroma = self.chroma();
        let padding = match chroma.planes {
            0 => self.stride - row_bytes(self.format, self.width),
            _ => chroma.stride - chroma.row_bytes,
        };
        self.frame_len() - padding
    }

    pub(crate) fn chroma(&self) -> Chroma {
        let (width, height) = (self.width as usize, self.height as usize);
        let half_width = width.div_ceil(2);
        let (planes, row_bytes, stride, rows) = match self.format {
            PixelFormat::Nv12 => (1, 2 * half_width, self.stride.max(2 * half_width), height.div_ceil(2)),
            PixelFormat::Yuv420 => (2, half_width, self.stride.div_ceil(2), height.div_ceil(2)),
            PixelFormat::Yuv422 => (2, half_width, self.stride.div_ceil(2), height),
            PixelFormat::Yuv444 => (2, width, self.stride, height),
            _ => (0, 0, 0, 0),
        };
        Chroma { planes, row_bytes, stride, rows }
    }
}

/// The planes behind the first one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chroma {
    pub planes: usize,
    pub row_bytes: usize,
    pub stride: usize,
    pub rows: usize,
}

/// Bytes of a row of the first plane.
fn row_bytes(format: PixelFormat, width: u32) -> usize {
    let width = width as usize;
    match format {
        PixelFormat::Rgb24 | PixelFormat::Bgr24 => 3 * width,
        PixelFormat::Yuyv => 4 * width.div_ceil(2),
        _ => width,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_long_as_ffmpeg_writes_them() {
        // `ffmpeg -f lavfi -i testsrc=size=7x5:rate=1 -frames:v 1 -pix_fmt FORMAT -f rawvideo - | wc -c`
        let cases = [
            (PixelFormat::Rgb24, 105),
            (PixelFormat::Bgr24, 105),
            (PixelFormat::Gray, 35),
            (PixelFormat::Yuyv, 80),
            (PixelFormat::Nv12, 59),
            (PixelFormat::Yuv420, 59),
            (PixelFormat::Yuv422, 75),
            (PixelFormat::Yuv444, 105),
        ];
        for (format, expected) in cases {
            assert_eq!(RawLayout::new(format, 7, 5).unwrap().frame_len(), expected, "{format:?}");
        }
    }

    #[test]
    fn padding_counts_in_every_plane() {
        let cases =
            [(PixelFormat::Yuv420, 64 * 4 + 2 * 32 * 2), (PixelFormat::Nv12, 64 * 6), (PixelFormat::Rgb24, 256)];
        for (format, expected) in cases {
            let layout = RawLayout::new(format, 10, 4).unwrap().with_stride(64).unwrap();
            assert_eq!(layout.frame_len(), expected, "{format:?}");
        }
    }

    #[test]
    fn absurd_sizes_and_strides_are_refused() {
        for (width, height) in [(0, 4), (4, 0), (MAX_PICTURE_SIDE + 1, 1), (16_384, 16_384), (u32::MAX, u32::MAX)] {
            assert!(RawLayout::new(PixelFormat::Gray, width, height).is_err(), "{width} x {height}");
        }
        for stride in [0, 29, u32::MAX] {
            assert!(RawLayout::new(PixelFormat::Rgb24, 10, 4).unwrap().with_stride(stride).is_err(), "{stride}");
        }
    }
}
