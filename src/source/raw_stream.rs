//! Frames of samples one after another, without headers: what rpicam-vid and `ffmpeg -f rawvideo` write.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::color::ColorSpec;
use super::counters::Counters;
use super::layout::{PixelFormat, RawLayout};
use super::pipe::{Pipe, fill};
use super::raw_frame::{Coding, RawFrame, RawSource};
use super::stop::Stop;
use crate::error::{Error, Result};

/// rpicam pads rows to a multiple of this.
pub(crate) const RPICAM_ALIGNMENT: usize = 64;

/// Bytes that a frame gets room for before any of it has come: a header may promise far more than follows.
const FIRST_ROOM: usize = 4 << 20;

/// A stream of frames that are all of one size.
#[derive(Debug)]
pub struct RawStream<R> {
    reader: R,
    ending: Ending,
    layout: RawLayout,
}

impl<R: Read + Send> RawStream<R> {
    /// Reads frames of this layout; `name` is for messages.
    pub fn new(reader: R, name: &Path, layout: RawLayout, stop: &Stop, counters: Counters) -> Self {
        Self { reader, ending: Ending::new(name, stop, counters), layout }
    }
}

impl<R: Read + Send> RawSource for RawStream<R> {
    fn next_raw(&mut self, frame: &mut RawFrame) -> Result<bool> {
        frame.coding = Coding::Samples(self.layout, ColorSpec::default());
        self.ending.read_frame(&mut self.reader, self.layout.frame_len(), frame)
    }
}

/// The layout of a raw stream, with the stride that the user names or that alone fits the length of a file.
///
/// # Errors
/// [`Error::UnknownStride`] where both rows without padding and rpicam's rows are possible.
pub(crate) fn stream_layout(pipe: &Pipe, name: &Path, tight: RawLayout, stride: Option<u32>) -> Result<RawLayout> {
    if let Some(stride) = stride {
        return tight.with_stride(stride);
    }
    let padded_stride = tight.stride().next_multiple_of(RPICAM_ALIGNMENT);
    let padded = tight.with_stride(padded_stride as u32)?;
    // rpicam-vid writes no other uncoded format.
    if padded == tight || tight.format() != PixelFormat::Yuv420 {
        return Ok(tight);
    }
    let fits = |layout: &RawLayout| pipe.regular_len().is_some_and(|len| len % layout.frame_len() as u64 == 0);
    match (fits(&tight), fits(&padded)) {
        (true, false) => Ok(tight),
        (false, true) => Ok(padded),
        _ => Err(Error::UnknownStride { path: name.into(), tight: tight.stride(), padded: padded_stride }),
    }
}

/// Tells a stream that ends between frames from one that stops within one.
#[derive(Debug)]
pub(crate) struct Ending {
    name: PathBuf,
    stop: Stop,
    counters: Counters,
    frames: u64,
}

impl Ending {
    pub fn new(name: &Path, stop: &Stop, counters: Counters) -> Self {
        Self { name: name.into(), stop: stop.clone(), counters, frames: 0 }
    }

    pub fn name(&self) -> &PathBuf {
        &self.name
    }

    /// Reads `len` bytes into the frame; `false` at the end, also if it comes too early.
    pub fn read_frame(&mut self, reader: &mut impl Read, len: usize, frame: &mut RawFrame) -> Result<bool> {
        frame.name.clone_from(&self.name);
        let read = fill_up(reader, len, &mut frame.bytes).map_err(|cause| self.error(cause))?;
        if read == len {
            self.count_frame();
            return Ok(true);
        }
        if read > 0 {
            self.warn_of_torn_frame(&format!("{read} of {len} bytes"));
        }
        Ok(false)
    }

    pub fn count_frame(&mut self) {
        self.frames += 1;
        self.counters.receive(1);
    }

    /// A frame that another one began in.
    pub fn count_torn_frame(&mut self) {
        self.count_frame();
        self.counters.drop_frames(1);
        log::debug!("{}: frame {} is cut short", self.name.display(), self.frames);
    }

    pub fn warn_of_torn_frame(&self, came: &str) {
        if !self.stop.is_requested() {
            let (name, frame) = (self.name.display(), self.frames + 1);
            log::warn!("{name} ends in the middle of frame {frame} ({came}): that frame is left out");
        }
    }

    pub fn error(&self, cause: std::io::Error) -> Error {
        Error::Read { path: self.name.clone(), cause }
    }
}

/// Reads up to `len` bytes in place of those that are there, and gives how many came; allocates nothing if there is room.
fn fill_up(reader: &mut impl Read, len: usize, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut filled = 0;
    loop {
        let room = bytes.capacity().max(2 * filled).max(FIRST_ROOM);
        bytes.truncate(len);
        bytes.reserve_exact(len.min(room).saturating_sub(bytes.len()));
        bytes.resize(len.min(room), 0);
        filled += fill(reader, &mut bytes[filled..])?;
        if filled == len || filled < bytes.len() {
            return Ok(filled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(width: u32, height: u32) -> RawLayout {
        RawLayout::new(PixelFormat::Yuv420, width, height).unwrap()
    }

    #[test]
    fn whole_frames_are_given_and_a_torn_one_is_left_out() {
        let bytes: Vec<u8> = (0..6 * 2 + 3).collect();
        let counters = Counters::default();
        let mut stream =
            RawStream::new(&bytes[..], Path::new("a pipe"), layout(2, 2), &Stop::default(), counters.clone());
        let mut frame = RawFrame::default();
        for expected in [0..6, 6..12] {
            assert!(stream.next_raw(&mut frame).unwrap());
            assert_eq!(frame.bytes, expected.collect::<Vec<u8>>());
        }
        assert!(!stream.next_raw(&mut frame).unwrap());
        assert_eq!(counters.counts().received, 2);
    }

    #[test]
    fn a_frame_takes_memory_as_it_comes() {
        let len = 3 * FIRST_ROOM + 5;
        let sent: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        for (came, room) in [(0, FIRST_ROOM), (100, FIRST_ROOM), (FIRST_ROOM + 1, 2 * FIRST_ROOM), (len, len)] {
            let mut bytes = vec![];
            assert_eq!(fill_up(&mut &sent[..came], len, &mut bytes).unwrap(), came);
            assert!(bytes[..came] == sent[..came] && bytes.capacity() == room, "{came}: {}", bytes.capacity());
        }
        let mut bytes = Vec::with_capacity(len);
        assert_eq!(fill_up(&mut &sent[..], 7, &mut bytes).unwrap(), 7);
        assert_eq!((&bytes[..], bytes.capacity()), (&sent[..7], len));
    }

    #[test]
    fn the_stride_is_told_by_the_length_where_only_one_fits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("frames.yuv");
        let stride = |len: usize, width, stride| {
            std::fs::write(&path, vec![0; len]).unwrap();
            let pipe = Pipe::open(&path, &Stop::default(), None).unwrap();
            stream_layout(&pipe, &path, layout(width, 4), stride).ok().map(|layout| layout.stride())
        };
        let (tight, padded) = (60 * 6, 64 * 6);
        assert_eq!(stride(tight * 5, 60, None), Some(60));
        assert_eq!(stride(padded * 5, 60, None), Some(64));
        assert_eq!(stride(tight * 16, 60, None), None, "15 padded frames are as long");
        assert_eq!(stride(tight * 5 + 1, 60, None), None, "torn");
        assert_eq!(stride(tight * 5 + 1, 60, Some(60)), Some(60));
        assert_eq!(stride(7, 64, None), Some(64), "both are the same");
    }

    #[test]
    fn the_stride_of_a_pipe_must_be_said_where_it_could_be_rpicams() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let pipe = Pipe::new(reader, &Stop::default(), None);
        let name = Path::new("standard input");
        let message = stream_layout(&pipe, name, layout(1000, 4), None).unwrap_err().to_string();
        assert!(message.contains("1000") && message.contains("1024") && message.contains("--stride"), "{message}");
        let rgb = RawLayout::new(PixelFormat::Rgb24, 1000, 4).unwrap();
        assert_eq!(stream_layout(&pipe, name, rgb, None).unwrap(), rgb);
    }
}
