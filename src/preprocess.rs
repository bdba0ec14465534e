//! From a frame to the encoder's input: resize, crop, normalise.
//!
//! The resize is Pillow's, bit for bit (`Image.resize` on 8-bit RGB: antialiased, two passes, 22-bit fixed point), since
//! encoders are trained on pictures that Pillow resized. It works row by row, so that a 64-megapixel photo needs no more
//! memory than a thumbnail: source rows are resized across into a ring, and the ring is resized down into one row.

use std::f64::consts::PI;

use crate::frame::Frame;
use crate::limits::MAX_PICTURE_SIDE;
use crate::spec::{Filter, PreprocessSpec, Resize};

/// Pillow's `PRECISION_BITS` for 8-bit channels.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// Turns frames into the input tensor of one encoder.
#[derive(Debug)]
pub struct Preprocessor {
    spec: PreprocessSpec,
    normalised: Box<[[f32; 256]; 3]>, // (channel, value)
}

/// Working memory of [`Preprocessor::run`], for the largest picture allowed.
#[derive(Debug)]
pub struct ResizeBuffers {
    columns: Weights,
    rows: Weights,
    ring: Box<[u8]>, // (rows.window, width, 3), source rows resized across
    row: Box<[u8]>,  // (width, 3), one resized row
    prepared_for: (u32, u32),
}

impl Preprocessor {
    /// Tabulates what becomes of each value. `spec` is as [`PreprocessSpec::parse`] gives it, within the limits.
    pub fn new(spec: PreprocessSpec) -> Self {
        let mut normalised = Box::new([[0.0; 256]; 3]);
        for (channel, table) in normalised.iter_mut().enumerate() {
            for (value, normal) in table.iter_mut().enumerate() {
                *normal = (value as f32 * spec.rescale - spec.mean[channel]) / spec.std[channel];
            }
        }
        Self { spec, normalised }
    }

    /// What was asked for by `preprocessor_config.json`.
    pub fn spec(&self) -> &PreprocessSpec {
        &self.spec
    }

    /// Number of f32 values that [`run`](Self::run) writes: `3 * height * width`.
    pub fn output_len(&self) -> usize {
        3 * self.spec.input[0] * self.spec.input[1]
    }

    /// Allocates the working memory.
    pub fn buffers(&self) -> ResizeBuffers {
        let [height, width] = self.spec.input;
        let [least_height, least_width] = match self.spec.resize {
            Resize::Squash(size) => size,
            Resize::ShortestEdge(side) => [side, side],
        };
        let columns = Weights::with_capacity(width, least_width, self.spec.filter);
        let rows = Weights::with_capacity(height, least_height, self.spec.filter);
        let ring = vec![0; rows.window * width * 3].into();
        ResizeBuffers { columns, rows, ring, row: vec![0; width * 3].into(), prepared_for: (0, 0) }
    }

    /// Writes the normalised picture into `pixels`, (3, height, width). Allocates nothing.
    ///
    /// # Panics
    /// If `pixels` is not of [`output_len`](Self::output_len), `buffers` is of another preprocessor, or a side of the
    /// frame is over [`MAX_PICTURE_SIDE`].
    pub fn run(&self, frame: &Frame, buffers: &mut ResizeBuffers, pixels: &mut [f32]) {
        assert_eq!(pixels.len(), self.output_len(), "pixels must hold the encoder's input");
        self.resize_rows(frame, buffers, |y, row| self.normalise_row(y, row, pixels));
    }

    /// The first half of [`run`](Self::run), perhaps on another thread: writes the picture at the encoder's size, (height,
    /// width, 3), as many bytes as `run` writes values. Allocates nothing.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn resize(&self, frame: &Frame, buffers: &mut ResizeBuffers, resized: &mut [u8]) {
        assert_eq!(resized.len(), self.output_len(), "resized must hold the encoder's input");
        self.resize_rows(frame, buffers, |y, row| resized[y * row.len()..][..row.len()].copy_from_slice(row));
    }

    /// The second half of [`run`](Self::run): normalises what [`resize`](Self::resize) has written. Allocates nothing.
    ///
    /// # Panics
    /// If one of them is not of [`output_len`](Self::output_len).
    pub fn normalise(&self, resized: &[u8], pixels: &mut [f32]) {
        assert_eq!(resized.len(), self.output_len(), "resized must hold the encoder's input");
        assert_eq!(pixels.len(), self.output_len(), "pixels must hold the encoder's input");
        for (y, row) in resized.chunks_exact(3 * self.spec.input[1]).enumerate() {
            self.normalise_row(y, row, pixels);
        }
    }

    /// Gives each row of the resized picture to `write`, from the top.
    fn resize_rows(&self, frame: &Frame, buffers: &mut ResizeBuffers, mut write: impl FnMut(usize, &[u8])) {
        assert!(frame.width().max(frame.height()) <= MAX_PICTURE_SIDE, "frames are at most {MAX_PICTURE_SIDE} a side");
        self.prepare(frame, buffers);
        let ResizeBuffers { columns, rows, ring, row, .. } = buffers;
        let row_bytes = row.len();
        let mut resized_rows = 0;
        for y in 0..self.spec.input[0] {
            let (start, weights) = rows.at(y);
            for source_y in resized_rows.max(start)..start + weights.len() {
                let slot = source_y % rows.window * row_bytes;
                resize_row(frame.row(source_y), columns, &mut ring[slot..slot + row_bytes]);
            }
            resized_rows = start + weights.len();
            combine_rows(ring, rows.window, start, weights, row);
            write(y, row);
        }
    }

    /// Computes the weights, unless the last frame had the same size.
    fn prepare(&self, frame: &Frame, buffers: &mut ResizeBuffers) {
        let size = (frame.width(), frame.height());
        if buffers.prepared_for == size {
            return;
        }
        let (width, height) = (size.0 as usize, size.1 as usize);
        let [resized_height, resized_width] = resized_size(self.spec.resize, height, width);
        let [input_height, input_width] = self.spec.input;
        buffers.columns.compute(width, resized_width, (resized_width - input_width) / 2);
        buffers.rows.compute(height, resized_height, (resized_height - input_height) / 2);
        buffers.prepared_for = size;
    }

    fn normalise_row(&self, y: usize, row: &[u8], pixels: &mut [f32]) {
        let [height, width] = self.spec.input;
        for (channel, table) in self.normalised.iter().enumerate() {
            let start = (channel * height + y) * width;
            let values = row.iter().skip(channel).step_by(3);
            for (pixel, value) in pixels[start..start + width].iter_mut().zip(values) {
                *pixel = table[usize::from(*value)];
            }
        }
    }
}

/// Height and width of the whole picture once resized; Hugging Face's `get_resize_output_image_size`.
fn resized_size(resize: Resize, height: usize, width: usize) -> [usize; 2] {
    match resize {
        Resize::Squash(size) => size,
        Resize::ShortestEdge(side) if height <= width => [side, side * width / height],
        Resize::ShortestEdge(side) => [side * height / width, side],
    }
}

/// Resizes one source row across.
fn resize_row(source: &[u8], columns: &Weights, resized: &mut [u8]) {
    for (x, pixel) in resized.chunks_exact_mut(3).enumerate() {
        let (start, weights) = columns.at(x);
        let mut sums = [1i32 << (PRECISION_BITS - 1); 3];
        for (rgb, weight) in source[start * 3..].chunks_exact(3).zip(weights) {
            for (sum, value) in sums.iter_mut().zip(rgb) {
                *sum += i32::from(*value) * weight;
            }
        }
        for (value, sum) in pixel.iter_mut().zip(sums) {
            *value = round(sum);
        }
    }
}

/// Resizes the rows of the ring down into one.
fn combine_rows(ring: &[u8], window: usize, start: usize, weights: &[i32], row: &mut [u8]) {
    const CHUNK: usize = 96;
    let row_bytes = row.len();
    for (i, chunk) in row.chunks_mut(CHUNK).enumerate() {
        let mut sums = [1i32 << (PRECISION_BITS - 1); CHUNK];
        for (source_y, weight) in (start..).zip(weights) {
            let slot = source_y % window * row_bytes + i * CHUNK;
            for (sum, value) in sums.iter_mut().zip(&ring[slot..slot + chunk.len()]) {
                *sum += i32::from(*value) * weight;
            }
        }
        for (value, sum) in chunk.iter_mut().zip(sums) {
            *value = round(sum);
        }
    }
}

fn round(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// For each output position, where its window of source positions starts, and a weight for each of these.
#[derive(Debug)]
struct Weights {
    filter: Filter,
    window: usize, // longest window of any picture
    starts: Box<[usize]>,
    lens: Box<[usize]>,
    values: Box<[i32]>, // (output, window), fixed point of PRECISION_BITS
}

impl Weights {
    /// Room for `outputs` positions of an axis that is resized to at least `least_resized`.
    fn with_capacity(outputs: usize, least_resized: usize, filter: Filter) -> Self {
        let largest_scale = (f64::from(MAX_PICTURE_SIDE) / least_resized as f64).max(1.0);
        let window = (filter.support() * largest_scale).ceil() as usize * 2 + 1;
        let (starts, lens) = (vec![0; outputs].into(), vec![0; outputs].into());
        Self { filter, window, starts, lens, values: vec![0; outputs * window].into() }
    }

    fn at(&self, output: usize) -> (usize, &[i32]) {
        let first = output * self.window;
        (self.starts[output], &self.values[first..first + self.lens[output]])
    }

    /// Pillow's `precompute_coeffs` and `normalize_coeffs_8bpc`, for the outputs from `skipped` on.
    fn compute(&mut self, source: usize, resized: usize, skipped: usize) {
        let scale = source as f64 / resized as f64;
        let filter_scale = scale.max(1.0);
        let support = self.filter.support() * filter_scale;
        for output in 0..self.starts.len() {
            let center = ((output + skipped) as f64 + 0.5) * scale;
            let start = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(source);
            let weight = |x: usize| self.filter.weight((x as f64 - center + 0.5) / filter_scale);
            let sum: f64 = (start..end).map(weight).sum();
            let first = output * self.window;
            for (value, x) in self.values[first..].iter_mut().zip(start..end) {
                let share = if sum == 0.0 { 0.0 } else { weight(x) / sum };
                *value = (share * f64::from(1 << PRECISION_BITS)).round() as i32;
            }
            (self.starts[output], self.lens[output]) = (start, end - start);
        }
    }
}

impl Filter {
    /// Half the width of the filter at scale 1, in source pixels.
    fn support(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
            Filter::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Filter::Bilinear => (1.0 - x).max(0.0),
            Filter::Bicubic => bicubic(x),
            Filter::Lanczos if x < 3.0 => sinc(x) * sinc(x / 3.0),
            Filter::Lanczos => 0.0,
        }
    }
}

/// Keys' cubic convolution with a = -0.5.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(resize: Resize, input: [usize; 2], filter: Filter) -> PreprocessSpec {
        PreprocessSpec { resize, filter, input, rescale: 1.0, mean: [0.0; 3], std: [1.0; 3] }
    }

    /// A picture whose values follow from their place, without a pattern that a resize would hide.
    fn picture(width: usize, height: usize) -> Vec<u8> {
        (0..width * height * 3).map(|i| (i * 7919 % 251) as u8).collect()
    }

    fn run(spec: PreprocessSpec, width: usize, height: usize) -> Vec<f32> {
        let bytes = picture(width, height);
        let preprocessor = Preprocessor::new(spec);
        let mut pixels = vec![0.0; preprocessor.output_len()];
        let frame = Frame::new(width as u32, height as u32, &bytes).unwrap();
        preprocessor.run(&frame, &mut preprocessor.buffers(), &mut pixels);
        pixels
    }

    #[test]
    fn a_picture_of_the_right_size_stays_as_it_is() {
        let bytes = picture(5, 4);
        for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            let pixels = run(spec(Resize::Squash([4, 5]), [4, 5], filter), 5, 4);
            for (i, value) in bytes.iter().enumerate() {
                assert_eq!(pixels[i % 3 * 20 + i / 3], f32::from(*value), "{filter:?} {i}");
            }
        }
    }

    #[test]
    fn values_are_rescaled_and_normalised_a_channel() {
        let mut spec = spec(Resize::Squash([1, 1]), [1, 1], Filter::Bilinear);
        (spec.rescale, spec.mean, spec.std) = (1.0 / 255.0, [0.5, 0.25, 0.0], [0.5, 1.0, 2.0]);
        let preprocessor = Preprocessor::new(spec);
        let mut pixels = [0.0; 3];
        preprocessor.run(&Frame::new(1, 1, &[255; 3]).unwrap(), &mut preprocessor.buffers(), &mut pixels);
        assert_eq!(pixels, [1.0, 0.75, 0.5]);
    }

    #[test]
    fn the_shortest_edge_is_resized_and_the_middle_kept() {
        let whole = run(spec(Resize::Squash([6, 9]), [6, 9], Filter::Bilinear), 30, 20);
        let middle = run(spec(Resize::ShortestEdge(6), [4, 4], Filter::Bilinear), 30, 20);
        for (y, x) in [(0, 0), (0, 3), (3, 0), (3, 3)] {
            assert_eq!(middle[y * 4 + x], whole[(y + 1) * 9 + x + 2], "row {y}, column {x}");
        }
    }

    #[test]
    fn extreme_proportions_are_resized() {
        for (width, height) in [(1, 1), (1, MAX_PICTURE_SIDE as usize), (MAX_PICTURE_SIDE as usize, 1), (3, 700)] {
            let pixels = run(spec(Resize::Squash([7, 7]), [7, 7], Filter::Lanczos), width, height);
            assert!(pixels.iter().all(|pixel| (0.0..=255.0).contains(pixel)), "{width} x {height}");
        }
    }

    #[test]
    fn the_halves_give_what_the_whole_gives() {
        let mut spec = spec(Resize::ShortestEdge(9), [7, 8], Filter::Bicubic);
        (spec.rescale, spec.mean, spec.std) = (1.0 / 255.0, [0.5, 0.25, 0.0], [0.5, 1.0, 2.0]);
        let preprocessor = Preprocessor::new(spec.clone());
        let (mut resized, mut pixels) = (vec![0; preprocessor.output_len()], vec![0.0; preprocessor.output_len()]);
        let bytes = picture(50, 31);
        preprocessor.resize(&Frame::new(50, 31, &bytes).unwrap(), &mut preprocessor.buffers(), &mut resized);
        preprocessor.normalise(&resized, &mut pixels);
        assert_eq!(pixels, run(spec, 50, 31));
    }

    #[test]
    fn one_set_of_buffers_serves_frames_of_many_sizes() {
        let preprocessor = Preprocessor::new(spec(Resize::Squash([8, 8]), [8, 8], Filter::Bicubic));
        let mut buffers = preprocessor.buffers();
        for (width, height) in [(100, 3), (8, 8), (3, 100), (100, 3)] {
            let bytes = picture(width, height);
            let frame = Frame::new(width as u32, height as u32, &bytes).unwrap();
            let (mut reused, mut fresh) = (vec![0.0; 192], vec![0.0; 192]);
            preprocessor.run(&frame, &mut buffers, &mut reused);
            preprocessor.run(&frame, &mut preprocessor.buffers(), &mut fresh);
            assert_eq!(reused, fresh, "{width} x {height}");
        }
    }
}
