//! A stream made of arithmetic: scenes of coloured shapes that move a little and then change.

use super::color::ColorSpec;
use super::counters::Counters;
use super::layout::{PixelFormat, RawLayout};
use super::raw_frame::{Coding, RawFrame, RawSource};
use super::stop::Stop;
use crate::error::Result;

/// Frames of a scene before the next one.
pub const SCENE_FRAMES: u64 = 30;

/// An endless test stream, the same in every run: frame `n` follows from `n` alone.
///
/// A scene is a square on a ramp of two colours; the square moves one pixel a frame, and after [`SCENE_FRAMES`] frames the
/// next scene has other colours and another place.
#[derive(Debug)]
pub struct MovingPattern {
    layout: RawLayout,
    frame: u64,
    stop: Stop,
    counters: Counters,
}

impl MovingPattern {
    /// A pattern of this size.
    ///
    /// # Errors
    /// [`crate::Error::StreamSize`].
    pub fn new(width: u32, height: u32, stop: &Stop, counters: Counters) -> Result<Self> {
        let layout = RawLayout::new(PixelFormat::Rgb24, width, height)?;
        Ok(Self { layout, frame: 0, stop: stop.clone(), counters })
    }
}

impl RawSource for MovingPattern {
    fn next_raw(&mut self, frame: &mut RawFrame) -> Result<bool> {
        if self.stop.is_requested() {
            return Ok(false);
        }
        frame.coding = Coding::Samples(self.layout, ColorSpec::default());
        frame.bytes.resize(self.layout.frame_len(), 0);
        draw(self.frame, &self.layout, &mut frame.bytes);
        self.frame += 1;
        self.counters.receive(1);
        Ok(true)
    }
}

fn draw(frame: u64, layout: &RawLayout, rgb: &mut [u8]) {
    let (width, height) = (u64::from(layout.width()), u64::from(layout.height()));
    let scene = Scene::new(frame / SCENE_FRAMES, width, height);
    let left = scene.left + frame % SCENE_FRAMES;
    for (y, row) in (0..height).zip(rgb.chunks_exact_mut(layout.stride())) {
        let ground = scene.ground(y, height);
        let is_row_inside = (scene.top..scene.top + scene.side).contains(&y);
        for (x, pixel) in (0..width).zip(row.chunks_exact_mut(3)) {
            let is_inside = is_row_inside && (left..left + scene.side).contains(&x);
            pixel.copy_from_slice(if is_inside { &scene.square } else { &ground });
        }
    }
}

struct Scene {
    above: [u8; 3],
    below: [u8; 3],
    square: [u8; 3],
    left: u64,
    top: u64,
    side: u64,
}

impl Scene {
    fn new(number: u64, width: u64, height: u64) -> Self {
        let mut state = number;
        let side = width.min(height).div_ceil(3);
        let mut color = || {
            let [red, green, blue, ..] = mix(&mut state).to_le_bytes();
            [red, green, blue]
        };
        let [above, below, square] = [color(), color(), color()];
        let left = mix(&mut state) % (width / 2 + 1);
        let top = mix(&mut state) % (height - side + 1);
        Self { above, below, square, left, top, side }
    }

    fn ground(&self, y: u64, height: u64) -> [u8; 3] {
        let blend = |above: u8, below: u8| ((u64::from(above) * (height - y) + u64::from(below) * y) / height) as u8;
        [0, 1, 2].map(|channel| blend(self.above[channel], self.below[channel]))
    }
}

/// SplitMix64, by Sebastiano Vigna: a step of a sequence that looks random.
fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(count: usize) -> Vec<Vec<u8>> {
        let mut pattern = MovingPattern::new(40, 30, &Stop::default(), Counters::default()).unwrap();
        let mut frame = RawFrame::default();
        (0..count)
            .map(|_| {
                assert!(pattern.next_raw(&mut frame).unwrap());
                frame.bytes.clone()
            })
            .collect()
    }

    fn difference(a: &[u8], b: &[u8]) -> u64 {
        a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>() / a.len() as u64
    }

    #[test]
    fn frames_move_a_little_and_scenes_change_much() {
        let frames = frames(2 * SCENE_FRAMES as usize);
        let change = SCENE_FRAMES as usize;
        let within = (1..change).map(|i| difference(&frames[i - 1], &frames[i])).max().unwrap();
        assert!(frames[0] != frames[1] && within < 15, "{within}");
        assert!(difference(&frames[change - 1], &frames[change]) > 30);
    }

    #[test]
    fn every_run_is_the_same_and_tiny_sizes_are_drawn() {
        assert_eq!(frames(35), frames(35));
        let mut frame = RawFrame::default();
        for (width, height) in [(1, 1), (1, 9), (9, 1)] {
            let mut pattern = MovingPattern::new(width, height, &Stop::default(), Counters::default()).unwrap();
            assert!(pattern.next_raw(&mut frame).unwrap());
        }
    }
}
