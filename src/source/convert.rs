//! Uncoded frames to RGB.

use super::color::{ColorMatrix, ColorRange, ColorSpec, YuvToRgb};
use super::layout::{PixelFormat, RawLayout};

/// Turns frames into RGB, with the colours that it was last told.
///
/// U and V are repeated for the pixels that share them, as fast players do; where exactly they were sampled is not looked at.
#[derive(Debug, Default)]
pub(crate) struct Converter {
    prepared: Option<((ColorMatrix, ColorRange), YuvToRgb)>,
}

impl Converter {
    /// Writes (height, width, 3) RGB into `rgb`, which is resized to it.
    ///
    /// `bytes` holds at least `layout.least_len()`.
    pub fn run(&mut self, layout: &RawLayout, color: ColorSpec, bytes: &[u8], rgb: &mut Vec<u8>) {
        let row_len = layout.width() as usize * 3;
        rgb.resize(row_len * layout.height() as usize, 0);
        let yuv = self.prepare(layout, color);
        let planes = Planes::new(layout, bytes);
        for (y, row) in rgb.chunks_exact_mut(row_len).enumerate() {
            write_row(layout, &planes, &yuv, y, row);
        }
    }

    fn prepare(&mut self, layout: &RawLayout, color: ColorSpec) -> YuvToRgb {
        let is_high = layout.width() >= 1280 || layout.height() >= 720;
        let usual_matrix = if is_high { ColorMatrix::Bt709 } else { ColorMatrix::Bt601 };
        let is_gray = layout.format() == PixelFormat::Gray;
        let usual_range = if is_gray { ColorRange::Full } else { ColorRange::Limited };
        let key = (color.matrix.unwrap_or(usual_matrix), color.range.unwrap_or(usual_range));
        match self.prepared {
            Some((prepared, yuv)) if prepared == key => yuv,
            _ => self.prepared.insert((key, YuvToRgb::new(key.0, key.1))).1,
        }
    }
}

fn write_row(layout: &RawLayout, planes: &Planes, yuv: &YuvToRgb, y: usize, rgb: &mut [u8]) {
    let first = planes.first(y);
    let pairs = first.chunks(2).map(|pair| [pair[0], pair[pair.len() - 1]]);
    match layout.format() {
        PixelFormat::Rgb24 => rgb.copy_from_slice(&first[..rgb.len()]),
        PixelFormat::Bgr24 => {
            for (pixel, bgr) in rgb.chunks_exact_mut(3).zip(first.chunks_exact(3)) {
                pixel.copy_from_slice(&[bgr[2], bgr[1], bgr[0]]);
            }
        }
        PixelFormat::Gray => yuv.write_singles(rgb, first.iter().map(|luma| (*luma, [128, 128]))),
        PixelFormat::Yuyv => {
            let groups = first.chunks_exact(4);
            yuv.write_pairs(rgb, groups.map(|group| ([group[0], group[2]], [group[1], group[3]])));
        }
        PixelFormat::Nv12 => {
            let uv = planes.chroma(0, y / 2).chunks_exact(2).map(|uv| [uv[0], uv[1]]);
            yuv.write_pairs(rgb, pairs.zip(uv));
        }
        PixelFormat::Yuv420 => yuv.write_pairs(rgb, pairs.zip(planes.uv(y / 2))),
        PixelFormat::Yuv422 => yuv.write_pairs(rgb, pairs.zip(planes.uv(y))),
        PixelFormat::Yuv444 => yuv.write_singles(rgb, first.iter().copied().zip(planes.uv(y))),
    }
}

/// The rows of a frame's planes.
struct Planes<'a> {
    bytes: &'a [u8],
    stride: usize,
    row_bytes: usize,
    chroma: super::layout::Chroma,
    chroma_starts: [usize; 2],
}

impl<'a> Planes<'a> {
    fn new(layout: &RawLayout, bytes: &'a [u8]) -> Self {
        let chroma = layout.chroma();
        let first = layout.stride() * layout.height() as usize;
        let chroma_starts = [first, first + chroma.stride * chroma.rows];
        Self { bytes, stride: layout.stride(), row_bytes: layout.row_bytes(), chroma, chroma_starts }
    }

    fn first(&self, y: usize) -> &'a [u8] {
        &self.bytes[y * self.stride..][..self.row_bytes]
    }

    fn chroma(&self, plane: usize, y: usize) -> &'a [u8] {
        &self.bytes[self.chroma_starts[plane] + y * self.chroma.stride..][..self.chroma.row_bytes]
    }

    fn uv(&self, y: usize) -> impl Iterator<Item = [u8; 2]> + use<'a> {
        self.chroma(0, y).iter().zip(self.chroma(1, y)).map(|(u, v)| [*u, *v])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: [PixelFormat; 8] = [
        PixelFormat::Rgb24,
        PixelFormat::Bgr24,
        PixelFormat::Gray,
        PixelFormat::Yuyv,
        PixelFormat::Nv12,
        PixelFormat::Yuv420,
        PixelFormat::Yuv422,
        PixelFormat::Yuv444,
    ];

    /// A synthetic picture: samples that follow from their place, without a pattern that a mix-up would hide.
    struct Synthetic {
        width: usize,
        height: usize,
    }

    impl Synthetic {
        fn luma(&self, x: usize, y: usize) -> u8 {
            ((x * 37 + y * 91) % 256) as u8
        }

        fn u(&self, x: usize, y: usize) -> u8 {
            ((x * 53 + y * 17 + 40) % 256) as u8
        }

        fn v(&self, x: usize, y: usize) -> u8 {
            ((x * 29 + y * 71 + 90) % 256) as u8
        }

        /// The frame's bytes, padding filled with a value that would show.
        fn bytes(&self, format: PixelFormat, stride: usize) -> Vec<u8> {
            let (w, h) = (self.width, self.height);
            let (half_w, half_h) = (w.div_ceil(2), h.div_ceil(2));
            let mut bytes = Vec::new();
            let mut row = |samples: Vec<u8>, stride: usize| {
                let end = bytes.len() + stride;
                bytes.extend(samples);
                assert!(bytes.len() <= end);
                bytes.resize(end, 0xA5);
            };
            let plane =
                |w: usize, y: usize, sample: &dyn Fn(usize, usize) -> u8| (0..w).map(|x| sample(x, y)).collect();
            let rgb = |y: usize, order: [usize; 3]| {
                let pixel = |x| [self.luma(x, y), self.u(x, y), self.v(x, y)];
                (0..w).flat_map(|x| order.map(|channel| pixel(x)[channel])).collect()
            };
            let (luma, u, v) = (|x, y| self.luma(x, y), |x, y| self.u(x, y), |x, y| self.v(x, y));
            for y in 0..h {
                let samples = match format {
                    PixelFormat::Rgb24 => rgb(y, [0, 1, 2]),
                    PixelFormat::Bgr24 => rgb(y, [2, 1, 0]),
                    PixelFormat::Yuyv => {
                        (0..half_w).flat_map(|x| [luma(2 * x, y), u(x, y), luma(2 * x + 1, y), v(x, y)]).collect()
                    }
                    _ => plane(w, y, &luma),
                };
                row(samples, stride);
            }
            let half_stride = stride.div_ceil(2);
            match format {
                PixelFormat::Nv12 => (0..half_h)
                    .for_each(|y| row((0..half_w).flat_map(|x| [u(x, y), v(x, y)]).collect(), stride.max(2 * half_w))),
                PixelFormat::Yuv420 => {
                    (0..half_h).for_each(|y| row(plane(half_w, y, &u), half_stride));
                    (0..half_h).for_each(|y| row(plane(half_w, y, &v), half_stride));
                }
                PixelFormat::Yuv422 => {
                    (0..h).for_each(|y| row(plane(half_w, y, &u), half_stride));
                    (0..h).for_each(|y| row(plane(half_w, y, &v), half_stride));
                }
                PixelFormat::Yuv444 => {
                    (0..h).for_each(|y| row(plane(w, y, &u), stride));
                    (0..h).for_each(|y| row(plane(w, y, &v), stride));
                }
                _ => {}
            }
            bytes
        }

        /// What a pixel must become, from the definitions in floating point.
        fn expected(&self, format: PixelFormat, color: (ColorMatrix, ColorRange), x: usize, y: usize) -> [f64; 3] {
            let (u, v) = match format {
                PixelFormat::Rgb24 | PixelFormat::Bgr24 => {
                    return [self.luma(x, y), self.u(x, y), self.v(x, y)].map(f64::from);
                }
                PixelFormat::Gray => (128, 128),
                PixelFormat::Nv12 | PixelFormat::Yuv420 => (self.u(x / 2, y / 2), self.v(x / 2, y / 2)),
                PixelFormat::Yuyv | PixelFormat::Yuv422 => (self.u(x / 2, y), self.v(x / 2, y)),
                PixelFormat::Yuv444 => (self.u(x, y), self.v(x, y)),
            };
            rgb_of(color, self.luma(x, y), u, v)
        }
    }

    fn rgb_of((matrix, range): (ColorMatrix, ColorRange), y: u8, u: u8, v: u8) -> [f64; 3] {
        let (y, u, v) = (f64::from(y), f64::from(u) - 128.0, f64::from(v) - 128.0);
        let (y, scale) = if range == ColorRange::Full { (y, 1.0) } else { ((y - 16.0) * 255.0 / 219.0, 255.0 / 224.0) };
        // The usual rounded tables of both standards.
        let [vr, ug, vg, ub] = match matrix {
            ColorMatrix::Bt601 => [1.402, -0.344136, -0.714136, 1.772],
            ColorMatrix::Bt709 => [1.5748, -0.187324, -0.468124, 1.8556],
        };
        [y + vr * v * scale, y + (ug * u + vg * v) * scale, y + ub * u * scale].map(|value| value.clamp(0.0, 255.0))
    }

    #[test]
    fn every_format_gives_the_pixels_of_the_definition() {
        let mut converter = Converter::default();
        let mut rgb = Vec::new();
        let colors = [ColorMatrix::Bt601, ColorMatrix::Bt709]
            .into_iter()
            .flat_map(|matrix| [(matrix, ColorRange::Limited), (matrix, ColorRange::Full)]);
        for color in colors {
            for format in FORMATS {
                for (width, height, padding) in [(8, 6, 0), (7, 5, 0), (1, 1, 0), (7, 5, 9), (10, 4, 54), (13, 3, 3)] {
                    let picture = Synthetic { width, height };
                    let tight = RawLayout::new(format, width as u32, height as u32).unwrap();
                    let layout = tight.with_stride((tight.stride() + padding) as u32).unwrap();
                    let bytes = picture.bytes(format, layout.stride());
                    assert_eq!(bytes.len(), layout.frame_len(), "{format:?} {width} x {height} + {padding}");
                    let spec = ColorSpec { matrix: Some(color.0), range: Some(color.1) };
                    converter.run(&layout, spec, &bytes[..layout.least_len()], &mut rgb);
                    for (i, value) in rgb.iter().enumerate() {
                        let (x, y) = (i / 3 % width, i / 3 / width);
                        let expected = picture.expected(format, color, x, y)[i % 3];
                        let is_close = (f64::from(*value) - expected).abs() < 0.52;
                        assert!(
                            is_close,
                            "{format:?} {color:?} {width} x {height} + {padding}: {x},{y} {value} {expected}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn unknown_colours_are_those_usual_for_the_size_and_format() {
        let mut converter = Converter::default();
        let mut color = |format, width, height| {
            let mut rgb = Vec::new();
            let layout = RawLayout::new(format, width, height).unwrap();
            converter.run(&layout, ColorSpec::default(), &vec![90; layout.frame_len()], &mut rgb);
            converter.prepared.unwrap().0
        };
        assert_eq!(color(PixelFormat::Yuv420, 640, 480), (ColorMatrix::Bt601, ColorRange::Limited));
        assert_eq!(color(PixelFormat::Yuv420, 1280, 2), (ColorMatrix::Bt709, ColorRange::Limited));
        assert_eq!(color(PixelFormat::Gray, 640, 480), (ColorMatrix::Bt601, ColorRange::Full));
    }
}
