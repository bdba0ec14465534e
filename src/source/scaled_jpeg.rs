//! Baseline JPEG decoded at a fraction of its size, from the low frequencies alone.
//!
//! A photo of megapixels is shrunk to a few hundred pixels a side before the encoder sees it: decoding it in full first takes
//! longer than describing it. Here each block's lowest N x N coefficients become as many pixels by an inverse DCT of that
//! size (as libjpeg's `scale_denom` does); chroma that is subsampled gets more of its coefficients instead of upsampling. The
//! higher coefficients are passed over, several at a lookup. Memory: a row of blocks and a window on the file's data.
//!
//! Decoded is sequential Huffman JPEG of 8 bits, grey or YCbCr, in one scan (ITU-T T.81); of all else, and of whatever is
//! damaged, nothing is said, and the caller decodes it in full. All arithmetic is in integers: the same on every CPU.

mod bits;
mod block;
mod header;
mod huffman;
mod transform;

use bits::Bits;
use block::{Coding, Wanted};
use header::{Component, Header};
use transform::Inverse;

/// A JPEG that can be decoded at a fraction of its size.
pub(crate) struct ScaledJpeg<'a> {
    header: Header<'a>,
    data: &'a [u8],
}

/// In eighths of the picture's sides.
pub(crate) const SCALES: [usize; 3] = [2, 3, 4];

impl<'a> ScaledJpeg<'a> {
    /// Reads the header; `None` if the JPEG is of another kind.
    pub fn open(file: &'a [u8]) -> Option<Self> {
        let (header, data) = Header::parse(file)?;
        Some(Self { header, data })
    }

    /// Width and height of the whole picture.
    pub fn full_size(&self) -> [usize; 2] {
        [self.header.width, self.header.height]
    }

    /// Width and height at a scale in eighths.
    pub fn size(&self, scale: usize) -> [usize; 2] {
        self.full_size().map(|side| (side * scale).div_ceil(8))
    }

    /// The EXIF segment's content.
    pub fn exif(&self) -> Option<&'a [u8]> {
        self.header.exif
    }

    /// The smallest scale at which width and height are at least `least`.
    pub fn scale(&self, least: [usize; 2]) -> Option<usize> {
        SCALES
            .into_iter()
            .find(|scale| self.full_size().iter().zip(least).all(|(side, least)| side * scale / 8 >= least))
    }

    /// Decodes into `pixels`, (height, width, 3), of the [`size`](Self::size) at this scale; `None` if the data are damaged.
    pub fn decode(&self, scale: usize, pixels: &mut [u8]) -> Option<()> {
        let [width, _] = self.size(scale);
        let mut scan = Scan::new(self, scale)?;
        for rows in pixels.chunks_mut(width * 3 * scan.down * scale) {
            scan.read_units()?;
            scan.write_rgb(width, rows);
        }
        scan.bits.pass_marker(|code| code == 0xD9)
    }
}

/// The scan on its way through the picture, one row of units (T.81's MCUs) at a time.
struct Scan<'a> {
    bits: Bits<'a>,
    channels: Vec<Channel<'a>>,
    units: usize, // in a row
    down: usize,  // blocks of luma in a unit
    restart_interval: usize,
    until_restart: usize,
    restarts: u8,
}

/// A component, and a row of its units.
struct Channel<'a> {
    component: Component,
    coding: Coding<'a>,
    inverse: Inverse,
    block: [usize; 2], // pixels of a block, across and down
    predictor: i32,
    coefficients: [i32; 64], // zeros between blocks, but for the last one where that is not wanted
    plane: Vec<u8>,
    stride: usize,
}

impl<'a> Scan<'a> {
    fn new(jpeg: &'a ScaledJpeg, scale: usize) -> Option<Self> {
        let header = &jpeg.header;
        let luma = header.components.first()?;
        let units = header.width.div_ceil(8 * luma.across);
        let channel = |component: &Component| Channel::new(header, component, luma, scale, units);
        Some(Self {
            bits: Bits::new(jpeg.data),
            channels: header.components.iter().map(channel).collect::<Option<_>>()?,
            units,
            down: luma.down,
            restart_interval: header.restart_interval,
            until_restart: header.restart_interval,
            restarts: 0,
        })
    }

    fn read_units(&mut self) -> Option<()> {
        for unit in 0..self.units {
            if self.restart_interval > 0 {
                if self.until_restart == 0 {
                    self.restart()?;
                }
                self.until_restart -= 1;
            }
            self.bits.start_unit();
            for channel in &mut self.channels {
                channel.read_unit(unit, &mut self.bits)?;
            }
        }
        Some(())
    }

    fn restart(&mut self) -> Option<()> {
        let expected = 0xD0 + self.restarts % 8;
        self.bits.pass_marker(|code| code == expected)?;
        self.restarts = self.restarts.wrapping_add(1);
        self.until_restart = self.restart_interval;
        self.channels.iter_mut().for_each(|channel| channel.predictor = 0);
        Some(())
    }

    /// As many rows as `rows` has room for.
    fn write_rgb(&self, width: usize, rows: &mut [u8]) {
        for (y, row) in rows.chunks_exact_mut(width * 3).enumerate() {
            match &self.channels[..] {
                [luma, blue, red] => {
                    let chroma = blue.row(y, width).iter().zip(red.row(y, width));
                    for ((rgb, luma), (blue, red)) in row.chunks_exact_mut(3).zip(luma.row(y, width)).zip(chroma) {
                        rgb.copy_from_slice(&to_rgb(*luma, *blue, *red));
                    }
                }
                grey => row.chunks_exact_mut(3).zip(grey[0].row(y, width)).for_each(|(rgb, luma)| rgb.fill(*luma)),
            }
        }
    }
}

impl<'a> Channel<'a> {
    fn new(header: &'a Header, component: &Component, luma: &Component, scale: usize, units: usize) -> Option<Self> {
        let block = [scale * luma.across / component.across, scale * luma.down / component.down];
        let (ac, skips) = header.ac[component.ac].as_deref()?;
        let coding = Coding {
            dc: header.dc[component.dc].as_deref()?,
            ac,
            skips,
            quantization: header.quantization[component.quantization].as_ref()?,
            wanted: Wanted::lowest(block[0], block[1]),
        };
        let inverse = transform::inverse(block[0], block[1])?;
        let stride = units * luma.across * scale;
        let plane = vec![0; stride * luma.down * scale];
        Some(Self { component: *component, coding, inverse, block, predictor: 0, coefficients: [0; 64], plane, stride })
    }

    #[inline]
    fn read_unit(&mut self, unit: usize, bits: &mut Bits) -> Option<()> {
        for down in 0..self.component.down {
            for across in 0..self.component.across {
                let is_flat = self.coding.read(bits, &mut self.predictor, &mut self.coefficients)?;
                let x = (unit * self.component.across + across) * self.block[0];
                let start = down * self.block[1] * self.stride + x;
                (self.inverse)(&mut self.coefficients, is_flat, &mut self.plane[start..], self.stride);
            }
        }
        Some(())
    }

    fn row(&self, y: usize, width: usize) -> &[u8] {
        &self.plane[y * self.stride..][..width]
    }
}

/// JFIF's conversion in 16-bit fixed point. Factors are brought below a half, where SIMD multiplies them in 16 bits.
fn to_rgb(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let rounded = |product: i32| (product + (1 << 15)) >> 16;
    let (luma, blue, red) = (i32::from(luma), i32::from(blue) - 128, i32::from(red) - 128);
    [
        luma + red + rounded(26_345 * red),                 // 1.402
        luma - red + rounded(18_734 * red - 22_554 * blue), // -0.714136 and -0.344136
        luma + 2 * blue + rounded(-14_942 * blue),          // 1.772
    ]
    .map(|value| value.clamp(0, 255) as u8)
}

#[cfg(test)]
mod tests;
