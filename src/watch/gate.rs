//! The change gate: has the scene changed enough to be worth a caption?
//!
//! A frame is reduced to the mean brightness of 32 x 24 cells. A cell has changed if it is darker or brighter than all that
//! the other picture shows in that cell and its eight neighbours, by more than [`Gate::noise`] grey levels; the neighbours
//! forgive a camera that shakes. Before that the new picture is scaled and shifted to the other's mean and spread, so that
//! a lamp, a cloud or the camera's own exposure change nothing. What is left is the share of cells that have changed.
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

/// Mean brightness of each cell, 0 to 255.
type Grid = [f32; COLUMNS * ROWS]; // (ROWS, COLUMNS)

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
    /// Grey levels of 255 that a cell may be off before it has changed.
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
        let empty = [0.0; COLUMNS * ROWS];
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

/// Mean brightness of the cells. In a picture of fewer pixels than cells, neighbours share a pixel.
fn shrink(frame: &Frame, grid: &mut Grid) {
    let columns: [_; COLUMNS] = std::array::from_fn(|column| samples(column, COLUMNS, frame.width() as usize));
    for (row, cells) in grid.chunks_exact_mut(COLUMNS).enumerate() {
        let mut sums = [0u32; COLUMNS];
        let (first, last, step) = samples(row, ROWS, frame.height() as usize);
        let mut rows = 0;
        for y in (first..last).step_by(step) {
            let pixels = frame.row(y);
            for (sum, (first, last, step)) in sums.iter_mut().zip(columns) {
                *sum += mean_brightness(&pixels[first * 3..last * 3], step);
            }
            rows += 1;
        }
        for (cell, sum) in cells.iter_mut().zip(sums) {
            *cell = sum as f32 / (rows as f32 * 256.0);
        }
    }
}

/// First place of a cell, the place after it, and the step between the places that are read.
fn samples(cell: usize, cells: usize, len: usize) -> (usize, usize, usize) {
    let first = cell * len / cells;
    let last = ((cell + 1) * len / cells).max(first + 1);
    (first, last, (last - first).div_ceil(SAMPLES))
}

/// Mean brightness of every `step`-th RGB pixel in 1/256 of a grey level, weighted as BT.601 does.
fn mean_brightness(pixels: &[u8], step: usize) -> u32 {
    let mut sum = 0;
    let mut count = 0;
    for pixel in pixels.chunks_exact(3).step_by(step) {
        sum += 77 * u32::from(pixel[0]) + 150 * u32::from(pixel[1]) + 29 * u32::from(pixel[2]);
        count += 1;
    }
    sum / count
}

/// Share of cells outside what `other` shows around them, once brightness and contrast are matched.
fn changed_share(now: &Grid, other: &Grid, noise: f32) -> f32 {
    let (mean, spread) = mean_and_spread(now);
    let (other_mean, other_spread) = mean_and_spread(other);
    let gain = (other_spread / spread.max(0.1)).clamp(*GAIN.start(), *GAIN.end());
    let mut changed = 0;
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            let value = (now[row * COLUMNS + column] - mean) * gain + other_mean;
            let (low, high) = range_around(other, row, column);
            changed += u32::from(value < low - noise || value > high + noise);
        }
    }
    changed as f32 / (COLUMNS * ROWS) as f32
}

fn mean_and_spread(grid: &Grid) -> (f32, f32) {
    let len = grid.len() as f32;
    let mean = grid.iter().sum::<f32>() / len;
    let variance = grid.iter().map(|value| (value - mean) * (value - mean)).sum::<f32>() / len;
    (mean, variance.sqrt())
}

/// Darkest and brightest of a cell and its neighbours.
fn range_around(grid: &Grid, row: usize, column: usize) -> (f32, f32) {
    let mut range = (f32::INFINITY, f32::NEG_INFINITY);
    let columns = column.saturating_sub(1)..(column + 2).min(COLUMNS);
    for row in row.saturating_sub(1)..(row + 2).min(ROWS) {
        for value in &grid[row * COLUMNS..][columns.clone()] {
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
        let mut gate = Gate::new(10.0);
        gate.look(&before.frame());
        gate.settle();
        gate.look(&after.frame()).from_settled
    }

    #[test]
    fn the_first_frame_is_all_change_and_the_same_again_is_none() {
        let picture = TestPattern::new(320, 240);
        let mut gate = Gate::new(10.0);
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
    fn a_covered_lens_is_a_change() {
        let scene = Painted::new(240, |x, y| hills(x, y, 0.0) as u8);
        let covered = Painted::new(240, |_, _| 8);
        assert!(change(&scene, &covered) > 0.3, "{}", change(&scene, &covered));
        assert!(change(&covered, &scene) > 0.3, "{}", change(&covered, &scene));
    }

    #[test]
    fn pictures_smaller_than_the_grid_are_compared_too() {
        for (width, height) in [(1, 1), (3, 50), (50, 3)] {
            let mut gate = Gate::new(10.0);
            gate.look(&TestPattern::new(width, height).frame());
            gate.settle();
            assert_eq!(gate.look(&TestPattern::new(width, height).frame()).from_settled, 0.0, "{width} x {height}");
        }
    }
}
