//! Raw frames to RGB: the last step of every live source.

use super::FrameSource;
use super::color::ColorSpec;
use super::convert::Converter;
use super::counters::{Counters, SourceCounts};
use super::huffman::add_missing_tables;
use super::image_file::decode_picture;
use super::raw_frame::{Coding, RawFrame, RawSource};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::limits::MAX_BROKEN_FRAMES;

/// Decodes what a raw source gives. A damaged frame is passed over, counted as dropped and logged.
#[derive(Debug)]
pub struct Decoded<S> {
    source: S,
    raw: RawFrame,
    pixels: Vec<u8>, // (height, width, 3)
    color: ColorSpec,
    converter: Converter,
    counters: Counters,
    broken_in_a_row: u32,
}

impl<S: RawSource> Decoded<S> {
    /// Decodes with the colours that the source knows, unless `color` says otherwise.
    pub fn new(source: S, color: ColorSpec, counters: Counters) -> Self {
        let (raw, pixels, converter) = Default::default();
        Self { source, raw, pixels, color, converter, counters, broken_in_a_row: 0 }
    }

    fn decode(&mut self) -> Result<(u32, u32)> {
        match self.raw.coding {
            Coding::Picture => {
                add_missing_tables(&mut self.raw.bytes);
                decode_picture(&self.raw.name, &self.raw.bytes, &mut self.pixels)
            }
            Coding::Samples(layout, color) => {
                let (width, height) = (layout.width(), layout.height());
                if self.raw.bytes.len() < layout.least_len() {
                    let (expected, actual) = (layout.least_len() as u64, self.raw.bytes.len());
                    return Err(Error::FrameSize { width, height, expected, actual });
                }
                self.converter.run(&layout, self.color.or(color), &self.raw.bytes, &mut self.pixels);
                Ok((width, height))
            }
        }
    }

    /// Lets a damaged frame pass, unless there were too many without a good one between them.
    fn pass_over(&mut self, error: Error) -> Result<()> {
        self.broken_in_a_row += 1;
        self.counters.drop_frames(1);
        match self.broken_in_a_row {
            MAX_BROKEN_FRAMES.. => return Err(error),
            1 => log::warn!("passed over a frame: {error}"),
            _ => log::debug!("passed over a frame: {error}"),
        }
        Ok(())
    }
}

impl<S: RawSource> FrameSource for Decoded<S> {
    fn next_frame(&mut self) -> Result<Option<Frame<'_>>> {
        loop {
            if !self.source.next_raw(&mut self.raw)? {
                return Ok(None);
            }
            match self.decode() {
                Ok((width, height)) => {
                    self.broken_in_a_row = 0;
                    return Frame::new(width, height, &self.pixels).map(Some);
                }
                Err(error) => self.pass_over(error)?,
            }
        }
    }

    fn counts(&self) -> SourceCounts {
        self.counters.counts()
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::{PixelFormat, RawLayout};
    use super::*;

    /// Gray frames of one byte; those marked 0 are cut short.
    struct Marked(std::vec::IntoIter<u8>);

    impl RawSource for Marked {
        fn next_raw(&mut self, frame: &mut RawFrame) -> Result<bool> {
            let Some(mark) = self.0.next() else { return Ok(false) };
            frame.bytes = if mark == 0 { vec![] } else { vec![mark] };
            frame.coding = Coding::Samples(RawLayout::new(PixelFormat::Gray, 1, 1)?, ColorSpec::default());
            Ok(true)
        }
    }

    fn decoded(marks: Vec<u8>) -> Decoded<Marked> {
        Decoded::new(Marked(marks.into_iter()), ColorSpec::default(), Counters::default())
    }

    #[test]
    fn a_damaged_frame_is_passed_over_and_counted() {
        let mut source = decoded(vec![5, 0, 0, 7]);
        for expected in [5, 7] {
            assert_eq!(source.next_frame().unwrap().unwrap().row(0), [expected; 3]);
        }
        assert!(source.next_frame().unwrap().is_none());
        assert_eq!(source.counts().dropped, 2);
    }

    #[test]
    fn a_source_of_nothing_but_damage_is_given_up() {
        let mut source = decoded(vec![0; MAX_BROKEN_FRAMES as usize + 1]);
        assert!(source.next_frame().is_err());
    }
}
