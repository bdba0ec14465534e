//! Luma and colour differences to RGB, in 16-bit fixed point.

/// Which weights make luma out of red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorMatrix {
    /// ITU-R BT.601, of standard definition, JPEG and most webcams.
    Bt601,
    /// ITU-R BT.709, of high definition.
    Bt709,
}

/// Which values stand for black and white.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorRange {
    /// Luma 16 to 235, colour differences 16 to 240: video.
    Limited,
    /// 0 to 255: JPEG, grey cameras.
    Full,
}

/// What is known of the colours of a stream; `None` is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ColorSpec {
    /// The matrix; unknown, it is BT.709 from 1280 x 720 pixels on, else BT.601, as rpicam and most players hold it.
    pub matrix: Option<ColorMatrix>,
    /// The range; unknown, it is limited, but full where there is luma alone.
    pub range: Option<ColorRange>,
}

impl ColorSpec {
    /// What is said here, else what is said there.
    pub fn or(self, other: Self) -> Self {
        Self { matrix: self.matrix.or(other.matrix), range: self.range.or(other.range) }
    }
}

const BITS: u32 = 16;

/// One matrix and range, ready for use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct YuvToRgb {
    black: i32,
    luma: i32, // fixed point of `BITS`, as all below
    v_to_red: i32,
    u_to_green: i32,
    v_to_green: i32,
    u_to_blue: i32,
}

/// What U and V add to red, green and blue.
#[derive(Debug, Clone, Copy)]
struct Tint([i32; 3]);

impl YuvToRgb {
    pub fn new(matrix: ColorMatrix, range: ColorRange) -> Self {
        let (red, blue) = match matrix {
            ColorMatrix::Bt601 => (0.299, 0.114),
            ColorMatrix::Bt709 => (0.2126, 0.0722),
        };
        let green = 1.0 - red - blue;
        let (black, luma, chroma) = match range {
            ColorRange::Limited => (16, 255.0 / 219.0, 255.0 / 224.0),
            ColorRange::Full => (0, 1.0, 1.0),
        };
        let fixed = |value: f64| (value * f64::from(1 << BITS)).round() as i32;
        Self {
            black,
            luma: fixed(luma),
            v_to_red: fixed(2.0 * (1.0 - red) * chroma),
            u_to_green: fixed(-2.0 * (1.0 - blue) * blue / green * chroma),
            v_to_green: fixed(-2.0 * (1.0 - red) * red / green * chroma),
            u_to_blue: fixed(2.0 * (1.0 - blue) * chroma),
        }
    }

    /// A row where each U and V serves two pixels; of an odd width, the last pair's second luma is not used.
    pub fn write_pairs(&self, rgb: &mut [u8], pairs: impl Iterator<Item = ([u8; 2], [u8; 2])>) {
        for (pixels, (luma, uv)) in rgb.chunks_mut(6).zip(pairs) {
            let tint = self.tint(uv);
            for (pixel, luma) in pixels.chunks_exact_mut(3).zip(luma) {
                self.write_pixel(pixel, luma, tint);
            }
        }
    }

    /// A row where each pixel has its own U and V.
    pub fn write_singles(&self, rgb: &mut [u8], singles: impl Iterator<Item = (u8, [u8; 2])>) {
        for (pixel, (luma, uv)) in rgb.chunks_exact_mut(3).zip(singles) {
            self.write_pixel(pixel, luma, self.tint(uv));
        }
    }

    fn tint(&self, [u, v]: [u8; 2]) -> Tint {
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        Tint([self.v_to_red * v, self.u_to_green * u + self.v_to_green * v, self.u_to_blue * u])
    }

    fn write_pixel(&self, pixel: &mut [u8], luma: u8, tint: Tint) {
        let luma = (i32::from(luma) - self.black) * self.luma + (1 << (BITS - 1));
        for (value, add) in pixel.iter_mut().zip(tint.0) {
            *value = ((luma + add) >> BITS).clamp(0, 255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definitions of BT.601 and BT.709, in floating point.
    fn reference(matrix: ColorMatrix, range: ColorRange, y: u8, u: u8, v: u8) -> [f64; 3] {
        let (kr, kb) = if matrix == ColorMatrix::Bt601 { (0.299, 0.114) } else { (0.2126, 0.0722) };
        let (y, u, v) = (f64::from(y), f64::from(u), f64::from(v));
        let (y, pb, pr) = match range {
            ColorRange::Limited => ((y - 16.0) / 219.0, (u - 128.0) / 224.0, (v - 128.0) / 224.0),
            ColorRange::Full => (y / 255.0, (u - 128.0) / 255.0, (v - 128.0) / 255.0),
        };
        let r = y + 2.0 * (1.0 - kr) * pr;
        let b = y + 2.0 * (1.0 - kb) * pb;
        let g = (y - kr * r - kb * b) / (1.0 - kr - kb);
        [r, g, b].map(|value| (value * 255.0).clamp(0.0, 255.0))
    }

    #[test]
    fn every_colour_is_within_rounding_of_the_definition() {
        for matrix in [ColorMatrix::Bt601, ColorMatrix::Bt709] {
            for range in [ColorRange::Limited, ColorRange::Full] {
                let yuv = YuvToRgb::new(matrix, range);
                for color in (0..1 << 24).step_by(97) {
                    let [_, y, u, v] = u32::to_be_bytes(color);
                    let mut pixel = [0; 3];
                    yuv.write_singles(&mut pixel, [(y, [u, v])].into_iter());
                    for (value, expected) in pixel.iter().zip(reference(matrix, range, y, u, v)) {
                        let difference = (f64::from(*value) - expected).abs();
                        assert!(difference < 0.51, "{matrix:?} {range:?} {y} {u} {v}: {pixel:?}, {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn black_and_white_are_where_the_range_says() {
        for (range, black, white) in [(ColorRange::Limited, 16, 235), (ColorRange::Full, 0, 255)] {
            let mut pixels = [9; 6];
            YuvToRgb::new(ColorMatrix::Bt601, range)
                .write_pairs(&mut pixels, [([black, white], [128, 128])].into_iter());
            assert_eq!(pixels, [0, 0, 0, 255, 255, 255], "{range:?}");
        }
    }
}
