//! A picture made of arithmetic, the same everywhere: for trying out a model where no photo is at hand.

use super::FrameSource;
use crate::error::Result;
use crate::frame::Frame;

/// Colour ramps with a bright square, as pixels in memory.
#[derive(Debug, Clone)]
pub struct TestPattern {
    width: u32,
    height: u32,
    pixels: Box<[u8]>, // (height, width, 3)
}

impl TestPattern {
    /// Draws the pattern.
    ///
    /// # Panics
    /// If a side is zero or the pixels do not fit the memory.
    pub fn new(width: u32, height: u32) -> Self {
        assert!(width > 0 && height > 0, "a picture has at least one pixel");
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let pixels = places.flat_map(|(x, y)| pixel(x, y, width, height)).collect();
        Self { width, height, pixels }
    }

    /// The pattern as a frame.
    pub fn frame(&self) -> Frame<'_> {
        Frame::new(self.width, self.height, &self.pixels).expect("drawn at this size")
    }
}

impl FrameSource for TestPattern {
    fn next_frame(&mut self) -> Result<Option<Frame<'_>>> {
        Ok(Some(self.frame()))
    }
}

fn pixel(x: u32, y: u32, width: u32, height: u32) -> [u8; 3] {
    let ramp = |place: u32, len: u32| (u64::from(place) * 255 / u64::from(len)) as u8;
    let is_inside = |place: u32, len: u32| (len / 3..len / 3 * 2).contains(&place);
    if is_inside(x, width) && is_inside(y, height) {
        return [250, 240, 60];
    }
    [ramp(x, width), ramp(y, height), 255 - ramp(x, width)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_pattern_is_one_pixel() {
        assert_eq!(TestPattern::new(1, 1).frame().row(0).len(), 3);
    }
}
