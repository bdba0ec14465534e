//! JPEGs one after another, without anything between them: what `rpicam-vid --codec mjpeg` writes.

use std::io::Read;
use std::path::Path;

use super::counters::Counters;
use super::jpeg::{Part, Splitter};
use super::raw_frame::{Coding, RawFrame, RawSource};
use super::raw_stream::Ending;
use super::stop::Stop;
use crate::error::{Error, Result};
use crate::limits::MAX_STREAM_JPEG_BYTES;

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;

/// A stream of JPEGs, told apart by their markers. Bytes between them are passed over, and so is a frame that was cut short.
#[derive(Debug)]
pub struct MjpegStream<R> {
    reader: R,
    ending: Ending,
    splitter: Splitter,
    chunk: Box<[u8]>,
    start: usize,
    end: usize,
    stray: usize, // bytes since the last frame
}

impl<R: Read + Send> MjpegStream<R> {
    /// Reads frames; `name` is for messages.
    pub fn new(reader: R, name: &Path, stop: &Stop, counters: Counters) -> Self {
        let ending = Ending::new(name, stop, counters);
        let (splitter, chunk) = (Splitter::default(), vec![0; CHUNK].into());
        Self { reader, ending, splitter, chunk, start: 0, end: 0, stray: 0 }
    }

    /// Reads on if all that was read is used; `false` at the end.
    fn refill(&mut self) -> Result<bool> {
        while self.start == self.end {
            match self.reader.read(&mut self.chunk) {
                Ok(0) => return Ok(false),
                Ok(len) => (self.start, self.end) = (0, len),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(self.ending.error(cause)),
            }
        }
        Ok(true)
    }

    fn error(&self, problem: String) -> Error {
        Error::StreamFormat { path: self.ending.name().into(), format: "mjpeg", problem }
    }
}

impl<R: Read + Send> RawSource for MjpegStream<R> {
    fn next_raw(&mut self, frame: &mut RawFrame) -> Result<bool> {
        frame.coding = Coding::Picture;
        frame.name.clone_from(self.ending.name());
        frame.bytes.clear();
        while self.refill()? {
            let (part, len) = self.splitter.advance(&self.chunk[self.start..self.end]);
            let bytes = &self.chunk[self.start..self.start + len];
            self.start += len;
            match part {
                Part::Outside => self.stray += len,
                Part::Start { is_torn } => {
                    if is_torn {
                        self.ending.count_torn_frame();
                    }
                    self.stray = 0;
                    frame.bytes.clear();
                    frame.bytes.extend(Splitter::START);
                }
                Part::Inside => frame.bytes.extend_from_slice(bytes),
                Part::End => {
                    frame.bytes.extend_from_slice(bytes);
                    self.ending.count_frame();
                    return Ok(true);
                }
            }
            if frame.bytes.len() > MAX_STREAM_JPEG_BYTES {
                return Err(self.error(format!("a frame does not end within {MAX_STREAM_JPEG_BYTES} bytes")));
            }
            if self.stray > MAX_STREAM_JPEG_BYTES {
                return Err(self.error(format!("no JPEG begins within {MAX_STREAM_JPEG_BYTES} bytes")));
            }
        }
        if self.splitter.is_inside() {
            self.ending.warn_of_torn_frame(&format!("{} bytes", frame.bytes.len()));
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use image::ImageEncoder;
    use image::codecs::jpeg::JpegEncoder;

    use super::super::image_file::decode_picture;
    use super::*;

    /// A picture of one grey value as a JPEG.
    fn jpeg(value: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let pixels = vec![value; 40 * 24 * 3];
        JpegEncoder::new_with_quality(&mut bytes, 90)
            .write_image(&pixels, 40, 24, image::ExtendedColorType::Rgb8)
            .unwrap();
        bytes
    }

    /// The JPEG with a thumbnail, itself a JPEG, in an EXIF segment.
    fn with_thumbnail(value: u8) -> Vec<u8> {
        let (picture, thumbnail) = (jpeg(value), jpeg(255 - value));
        let len = (thumbnail.len() + 8) as u16;
        [&picture[..2], &[0xFF, 0xE1], &len.to_be_bytes(), b"Exif\0\0", &thumbnail, &picture[2..]].concat()
    }

    /// Reads a few bytes at a time, as pipes give them.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
            let len = self.0.len().min(self.1).min(bytes.len());
            bytes[..len].copy_from_slice(&self.0[..len]);
            self.0 = &self.0[len..];
            Ok(len)
        }
    }

    /// The grey values of all frames that decode, how many do not, the frames dropped, and whether it ended in an error.
    fn values(bytes: &[u8], drop: usize) -> (Vec<u8>, usize, u64, bool) {
        let counters = Counters::default();
        let name = Path::new("clip.mjpeg");
        let mut stream = MjpegStream::new(Drops(bytes, drop), name, &Stop::default(), counters.clone());
        let (mut values, mut broken, mut frame, mut pixels) = (vec![], 0, RawFrame::default(), vec![]);
        let has_failed = loop {
            match stream.next_raw(&mut frame) {
                Ok(true) => match decode_picture(&frame.name, &frame.bytes, &mut pixels) {
                    Ok(_) => values.push(pixels[0]),
                    Err(_) => broken += 1,
                },
                Ok(false) => break false,
                Err(_) => break true,
            }
        };
        (values, broken, counters.counts().dropped, has_failed)
    }

    #[test]
    fn frames_are_told_apart_however_they_arrive() {
        let stream = [jpeg(10), with_thumbnail(60), jpeg(110)].concat();
        for drop in [1, 2, 7, 1000, stream.len()] {
            assert_eq!(values(&stream, drop), (vec![10, 60, 110], 0, 0, false), "{drop} bytes at a time");
        }
    }

    #[test]
    fn garbage_between_frames_is_passed_over() {
        let garbage = [0x00, 0xFF, 0x00, 0xFF, 0xD9, 0xFF, 0xFF, 0x12, 0xFF];
        let stream = [&garbage[..], &jpeg(10), &garbage, &garbage, &jpeg(60), &garbage].concat();
        assert_eq!(values(&stream, 5), (vec![10, 60], 0, 0, false));
    }

    #[test]
    fn a_torn_frame_costs_no_other() {
        let (torn, whole) = (jpeg(10), jpeg(60));
        for len in [3, 20, 200, torn.len() - 30, torn.len() - 2] {
            let stream = [&torn[..len], &whole, &whole, &whole].concat();
            let (values, broken, dropped, has_failed) = values(&stream, 64);
            // A cut in a segment's length or content may swallow the start of the next frame.
            assert!(values.len() >= 2 && values.iter().all(|value| *value == 60), "{len}: {values:?}");
            assert!(values.len() + broken + dropped as usize >= 3 && !has_failed, "{len}");
        }
    }

    #[test]
    fn a_stream_that_stops_within_a_frame_gives_the_whole_ones() {
        let stream = [jpeg(10), jpeg(60)].concat();
        assert_eq!(values(&stream[..stream.len() - 1], 64), (vec![10], 0, 0, false));
    }

    #[test]
    fn damage_is_met_the_same_way_however_it_arrives() {
        let whole = [jpeg(10), with_thumbnail(60), jpeg(110), jpeg(200)].concat();
        for seed in 0..40u32 {
            let mut stream = whole.clone();
            let mut state = seed;
            for _ in 0..4 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (state >> 8) as usize % stream.len();
                stream[at] = if seed % 2 == 0 { 0xFF } else { state as u8 };
            }
            let expected = values(&stream, CHUNK);
            assert_eq!(values(&stream, 1 + seed as usize % 5), expected, "seed {seed}");
            assert!(!expected.3, "seed {seed}");
        }
    }

    #[test]
    fn a_frame_or_garbage_without_end_is_an_error() {
        let mut endless = jpeg(10);
        endless.truncate(endless.len() - 2);
        endless.resize(MAX_STREAM_JPEG_BYTES + 2 * CHUNK, 0x55);
        assert!(values(&endless, CHUNK).3);
        assert!(values(&vec![0; MAX_STREAM_JPEG_BYTES + 2 * CHUNK], CHUNK).3);
    }
}
