//! The change gate: has the scene changed enough to be worth a caption?
//!
//! A frame is reduced to 32 x 24 cells, each with the mean of its brightness and of two colour differences. A cell has
//! changed if it is outside all that the other picture shows in that cell and its eight neighbours, by more than
//! [`Gate::noise`] levels; the neighbours forgive a camera that shakes. Before that the new picture is scaled and shifted to
//! the other's mean and spread, so that a lamp, a cloud or the camera's own exposure and white balance change nothing. What
//! is left is the share of cells that have changed.
//!
//! About 50,000 pixels are read a frame, whatever its size; nothing is allocated.

use crate::frame::Frame;

/// Cells across a picture.
const COLUMNS: usize = 32;

/// Cells down a picture.
const ROWS: usize = 24;

/// Pixels read of a cell in each direction, at most: 64 of them bring the noise of a sensor down to an eighth.
const SAMPLES: usize = 8;

/// How far contrast is matched: a fade beyond this is a change.
const GAIN: std::ops::RangeInclusive<f32> = 0.5..=2.0;

/// Weights of red, green and blue in brightness (BT.601).
const BRIGHTNESS: [f32; 3] = [0.299, 0.587, 0.114];

/// Mean of each cell, in levels of 0 to 255.
type Plane = [f32; COLUMNS * ROWS]; // (ROWS, COLUMNS)

/// Brightness, red less brightness, blue less brightness.
type Grid = [Plane; 3];

/// How much of the picture differs, as shares of its area in 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// From the scene that was [settled](Gate::settle) on last; 1 if there is none.
    pub from_settled: f32,
    /// From the frame before; 1 if there is none.
    pub from_last: f32,
}

/// Compares each frame with the one before and with the scene that was settled on.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Levels of 255 by which a cell may be off before it has changed.
    pub noise: f32,
    now: Grid,
    last: Grid,
    settled: Grid,
    has_last: bool,
    has_settled: bool,
}

impl Gate {
    /// A gate that has seen nothing, for which all is change.
    pub fn new(noise: f32) -> Self {
        let empty = [[0.0; COLUMNS * ROWS]; 3];
        Self { noise, now: empty, last: empty, settled: empty, has_last: false, has_settled: false }
    }

    /// Looks at the next frame, of any size.
    pub fn look(&mut self, frame: &Frame) -> Change {
        std::mem::swap(&mut self.now, &mut self.last);
        shrink(frame, &mut self.now);
        let from_last = if self.has_last { changed_share(&self.now, &self.last, self.noise) } else { 1.0 };
        let from_settled = if self.has_settled { changed_share(&self.now, &self.settled, self.noise) } else { 1.0 };
        self.has_last = true;
        Change { from_settled, from_last }
    }

    /// Takes the frame of the last [`look`](Self::look) as the scene that those to come are compared with.
    pub fn settle(&mut self) {
        self.settled = self.now;
        self.has_settled = self.has_last;
    }
}

/// Means of the cells. In a picture of fewer pixels than cells, neighbours share a pixel.
fn shrink(frame: &Frame, grid: &mut Grid) {
    let columns: [_; COLUMNS] = std::array::from_fn(|column| samples(column, COLUMNS, frame.width() as usize));
    for row in 0..ROWS {
        let mut sums = [[0u32; 3]; COLUMNS];
        let (first, last, step) = samples(row, ROWS, frame.height() as usize);
        for y in (first..last).step_by(step) {
            let pixels = frame.row(y);
            for (sum, (first, last, step)) in sums.iter_mut().zip(columns) {
                add_pixels(&pixels[first * 3..last * 3], step, sum);
            }
        }
        let rows = (last - first).div_ceil(step);
        for (column, (sum, (first, last, step))) in sums.iter().zip(columns).enumerate() {
            let count = (rows * (last - first).div_ceil(step)) as f32;
            let [red, green, blue] = sum.map(|sum| sum as f32 / count);
            let brightness = BRIGHTNESS[0] * red + BRIGHTNESS[1] * green + BRIGHTNESS[2] * blue;
            for (plane, value) in grid.iter_mut().zip([brightness, red - brightness, blue - brightness]) {
                plane[row * COLUMNS + column] = value;
            }
        }
    }
}

/// First place of a cell, the place after it, and the step between the places that are read.
fn samples(cell: usize, cells: usize, len: usize) -> (usize, usize, usize) {
    let first = cell * len / cells;
    let last = ((cell + 1) * len / cells).max(first + 1);
    (first, last, (last - first).div_ceil(SAMPLES))
}

/// Adds every `step`-th RGB pixel.
fn add_pixels(pixels: &[u8], step: usize, sum: &mut [u32; 3]) {
    for pixel in pixels.chunks_exact(3).step_by(step) {
        for (sum, channel) in sum.iter_mut().zip(pixel) {
            *sum += u32::from(*channel);
        }
    }
}

/// Share of cells outside what `other` shows around them, once exposure and white balance are matched.
fn changed_share(now: &Grid, other: &Grid, noise: f32) -> f32 {
    let means = now.each_ref().map(mean);
    let other_means = other.each_ref().map(mean);
    let spread = spread(&now[0], means[0]);
    let gain = (self::spread(&other[0], other_means[0]) / spread.max(0.1)).clamp(*GAIN.start(), *GAIN.end());
    let mut changed = 0;
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            let is_outside = |plane: usize| {
                let value = (now[plane][row * COLUMNS + column] - means[plane]) * gain + other_means[plane];
                let (low, high) = range_around(&other[plane], row, column);
                value < low - noise || value > high + noise
            };
            changed += u32::from((0..3).any(is_outside));
        }
    }
    changed as f32 / (COLUMNS * ROWS) as f32
}

fn mean(plane: &Plane) -> f32 {
    plane.iter().sum::<f32>() / plane.len() as f32
}

/// Standard deviation.
fn spread(plane: &Plane, mean: f32) -> f32 {
    let squares = plane.iter().map(|value| (value - mean) * (value - mean));
    (squares.sum::<f32>() / plane.len() as f32).sqrt()
}

/// Least and greatest of a cell and its neighbours.
fn range_around(plane: &Plane, row: usize, column: usize) -> (f32, f32) {
    let mut range = (f32::INFINITY, f32::NEG_INFINITY);
    let columns = column.saturating_sub(1)..(column + 2).min(COLUMNS);
    for row in row.saturating_sub(1)..(row + 2).min(ROWS) {
        for value in &plane[row * COLUMNS..][columns.clone()] {
            range = (range.0.min(*value), range.1.max(*value));
        }
    }
    range
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::TestPattern;

    /// A picture painted pixel by pixel.
    struct Painted {
        side: u32,
        pixels: Vec<u8>,
    }

    impl Painted {
        fn new(side: u32, paint: impl Fn(u32, u32) -> u8) -> Self {
            let places = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
            let pixels = places.flat_map(|(x, y)| [paint(x, y); 3]).collect();
            Self { side, pixels }
        }

        fn frame(&self) -> Frame<'_> {
            Frame::new(self.side, self.side, &self.pixels).unwrap()
        }
    }

    /// Soft hills of brightness, 60 to 180, moved by `shift` pixels.
    fn hills(x: u32, y: u32, shift: f32) -> f32 {
        let wave = |place: u32, length: f32| ((place as f32 + shift) / length).sin();
        120.0 + 30.0 * wave(x, 40.0) + 30.0 * wave(y, 25.0)
    }

    fn change(before: &Painted, after: &Painted) -> f32 {
        let mut gate = Gate::new(12.0);
        gate.look(&before.frame());
        gate.settle();
        gate.look(&after.frame()).from_settled
    }

    #[test]
    fn the_first_frame_is_all_change_and_the_same_again_is_none() {
        let picture = TestPattern::new(320, 240);
        let mut gate = Gate::new(12.0);
        assert_eq!(gate.look(&picture.frame()), Change { from_settled: 1.0, from_last: 1.0 });
        assert_eq!(gate.look(&picture.frame()), Change { from_settled: 1.0, from_last: 0.0 });
        gate.settle();
        assert_eq!(gate.look(&picture.frame()), Change { from_settled: 0.0, from_last: 0.0 });
    }

    #[test]
    fn exposure_shaking_and_noise_are_no_change() {
        let still = Painted::new(240, |x, y| hills(x, y, 0.0) as u8);
        let brighter = Painted::new(240, |x, y| (hills(x, y, 0.0) * 1.2 + 15.0) as u8);
        let shaken = Painted::new(240, |x, y| hills(x, y, 4.0) as u8);
        let noisy = Painted::new(240, |x, y| {
            let random = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761) >> 24; // 0 to 255
            (hills(x, y, 0.0) + (random as f32 - 127.5) / 6.0) as u8
        });
        for (name, picture) in [("brighter", brighter), ("shaken", shaken), ("noisy", noisy)] {
            assert!(change(&still, &picture) < 0.01, "{name}: {}", change(&still, &picture));
        }
    }

    #[test]
    fn what_covers_a_tenth_of_the_picture_changes_about_a_tenth() {
        let empty = Painted::new(240, |x, y| hills(x, y, 0.0) as u8);
        let is_thing = |x, y| (80..156).contains(&x) && (80..156).contains(&y);
        let visited = Painted::new(240, |x, y| if is_thing(x, y) { 20 } else { hills(x, y, 0.0) as u8 });
        let change = change(&empty, &visited);
        assert!((0.06..0.16).contains(&change), "{change}");
    }

    #[test]
    fn another_colour_of_the_same_brightness_is_a_change() {
        let lights = [[200, 20, 20], [20, 111, 20]].map(|light| {
            let is_lit = |place: u32| (10..40).contains(&(place % 64)) && place / 64 < 30;
            (0..64 * 48).flat_map(|place| if is_lit(place) { light } else { [70; 3] }).collect::<Vec<u8>>()
        });
        let mut gate = Gate::new(12.0);
        let [red, green] = lights.each_ref().map(|pixels| Frame::new(64, 48, pixels).unwrap());
        gate.look(&red);
        gate.settle();
        assert!(gate.look(&green).from_settled > 0.2);
    }

    #[test]
    fn a_covered_lens_is_a_change() {
        let scene = Painted::new(240, |x, y| hills(x, y, 0.0) as u8);
        let covered = Painted::new(240, |_, _| 8);
        assert!(change(&scene, &covered) > 0.3, "{}", change(&scene, &covered));
        assert!(change(&covered, &scene) > 0.3, "{}", change(&covered, &scene));
    }

    #[test]
    fn pictures_smaller_than_the_grid_are_compared_too() {
        for (width, height) in [(1, 1), (3, 50), (50, 3)] {
            let mut gate = Gate::new(12.0);
            gate.look(&TestPattern::new(width, height).frame());
            gate.settle();
            assert_eq!(gate.look(&TestPattern::new(width, height).frame()).from_settled, 0.0, "{width} x {height}");
        }
    }
}
