//! Frames cropped, turned and mirrored.

use super::{FrameSource, SourceCounts};
use crate::error::{Error, Result};
use crate::frame::Frame;

/// What is done with each frame: first the crop, then the rotation, then the flip.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transform {
    /// The part that is kept; `None` keeps all.
    pub crop: Option<Crop>,
    /// Turns clockwise.
    pub rotation: Rotation,
    /// Mirrors left and right.
    pub flips: bool,
}

/// A rectangle of a frame, in pixels from its top left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    /// Columns left of it.
    pub x: u32,
    /// Rows above it.
    pub y: u32,
    /// Its width, at least 1.
    pub width: u32,
    /// Its height, at least 1.
    pub height: u32,
}

/// A turn, clockwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rotation {
    /// As it is.
    #[default]
    None,
    /// What was left is then above.
    By90,
    /// Upside down.
    By180,
    /// What was right is then above.
    By270,
}

/// A source whose frames are transformed into memory that is used again.
#[derive(Debug)]
pub struct Transformed<S> {
    source: S,
    transform: Transform,
    pixels: Vec<u8>, // (height, width, 3)
}

impl<S: FrameSource> Transformed<S> {
    /// Transforms each frame of `source`.
    pub fn new(source: S, transform: Transform) -> Self {
        Self { source, transform, pixels: Vec::new() }
    }
}

impl<S: FrameSource> FrameSource for Transformed<S> {
    fn next_frame(&mut self) -> Result<Option<Frame<'_>>> {
        let Some(frame) = self.source.next_frame()? else { return Ok(None) };
        if self.transform == Transform::default() {
            return Ok(Some(frame));
        }
        let (width, height) = self.transform.run(&frame, &mut self.pixels)?;
        Frame::new(width, height, &self.pixels).map(Some)
    }

    fn counts(&self) -> SourceCounts {
        self.source.counts()
    }
}

impl Transform {
    /// Writes the transformed frame into `pixels` and gives its width and height.
    fn run(&self, frame: &Frame, pixels: &mut Vec<u8>) -> Result<(u32, u32)> {
        let crop = self.crop_of(frame)?;
        let is_upright = matches!(self.rotation, Rotation::None | Rotation::By180);
        let (width, height) = if is_upright { (crop.width, crop.height) } else { (crop.height, crop.width) };
        let row_len = width as usize * 3;
        pixels.resize(row_len * height as usize, 0);
        let (right, bottom) = (crop.x + crop.width - 1, crop.y + crop.height - 1);
        for (y, row) in (0..height).zip(pixels.chunks_exact_mut(row_len)) {
            for (i, pixel) in (0..width).zip(row.chunks_exact_mut(3)) {
                let x = if self.flips { width - 1 - i } else { i };
                let (from_x, from_y) = match self.rotation {
                    Rotation::None => (crop.x + x, crop.y + y),
                    Rotation::By90 => (crop.x + y, bottom - x),
                    Rotation::By180 => (right - x, bottom - y),
                    Rotation::By270 => (right - y, crop.y + x),
                };
                pixel.copy_from_slice(&frame.row(from_y as usize)[from_x as usize * 3..][..3]);
            }
        }
        Ok((width, height))
    }

    fn crop_of(&self, frame: &Frame) -> Result<Crop> {
        let (width, height) = (frame.width(), frame.height());
        let Some(crop) = self.crop else { return Ok(Crop { x: 0, y: 0, width, height }) };
        let is_within = |start: u32, len: u32, side| len > 0 && start.checked_add(len).is_some_and(|end| end <= side);
        if is_within(crop.x, crop.width, width) && is_within(crop.y, crop.height, height) {
            return Ok(crop);
        }
        let Crop { x, y, width: crop_width, height: crop_height } = crop;
        Err(Error::Crop { x, y, crop_width, crop_height, width, height })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Transforms a picture whose pixels are its letters, one line a row.
    fn run(picture: &str, transform: Transform) -> Result<String> {
        let rows: Vec<_> = picture.split('/').collect();
        let pixels: Vec<u8> = picture.bytes().filter(|byte| *byte != b'/').flat_map(|byte| [byte, 0, byte]).collect();
        let frame = Frame::new(rows[0].len() as u32, rows.len() as u32, &pixels).unwrap();
        let mut turned = Vec::new();
        let (width, height) = transform.run(&frame, &mut turned)?;
        let frame = Frame::new(width, height, &turned).unwrap();
        let row = |y| frame.row(y).chunks(3).map(|pixel| char::from(pixel[0])).collect::<String>();
        Ok((0..height as usize).map(row).collect::<Vec<_>>().join("/"))
    }

    #[test]
    fn pictures_are_turned_clockwise_and_then_mirrored() {
        let cases = [
            (Rotation::None, "abc/def", "cba/fed"),
            (Rotation::By90, "da/eb/fc", "ad/be/cf"),
            (Rotation::By180, "fed/cba", "def/abc"),
            (Rotation::By270, "cf/be/ad", "fc/eb/da"),
        ];
        for (rotation, turned, flipped) in cases {
            let transform = Transform { crop: None, rotation, flips: false };
            assert_eq!(run("abc/def", transform).unwrap(), turned, "{rotation:?}");
            assert_eq!(run("abc/def", Transform { flips: true, ..transform }).unwrap(), flipped, "{rotation:?}");
        }
    }

    #[test]
    fn the_crop_is_of_the_picture_as_it_came() {
        let crop = Some(Crop { x: 1, y: 0, width: 2, height: 2 });
        for (rotation, expected) in [(Rotation::None, "bc/ef"), (Rotation::By90, "eb/fc"), (Rotation::By270, "cf/be")] {
            assert_eq!(
                run("abc/def/ghi", Transform { crop, rotation, flips: false }).unwrap(),
                expected,
                "{rotation:?}"
            );
        }
    }

    #[test]
    fn a_crop_over_the_edge_is_an_error_with_both_sizes() {
        for (x, y, width, height) in [(2, 0, 2, 1), (0, 1, 1, 2), (0, 0, 0, 1), (u32::MAX, 0, 2, 1)] {
            let crop = Some(Crop { x, y, width, height });
            let error = run("abc/def", Transform { crop, ..Transform::default() }).unwrap_err().to_string();
            assert!(error.contains("3 x 2") && error.contains(&format!("{x},{y},{width},{height}")), "{error}");
        }
    }
}
