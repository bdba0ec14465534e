//! A frame as its source gives it, before it is decoded.

use std::path::PathBuf;

use super::color::ColorSpec;
use super::layout::RawLayout;
use crate::error::Result;

/// The bytes of one frame with what is needed to read them; its memory is used again for the next frame.
#[derive(Debug, Default)]
pub struct RawFrame {
    /// The samples, or the picture file.
    pub bytes: Vec<u8>,
    /// How to read them.
    pub coding: Coding,
    /// Where the frame is from, for messages.
    pub name: PathBuf,
}

/// How the bytes of a frame are to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Coding {
    /// A picture file: JPEG of an MJPEG stream, or a file of a folder.
    #[default]
    Picture,
    /// Samples.
    Samples(RawLayout, ColorSpec),
}

/// Frames that are not decoded yet, so that those which nobody will look at cost nothing.
pub trait RawSource: Send {
    /// Waits for the next frame and puts it into `frame`; `false` is the end of the stream, or that a stop was requested.
    ///
    /// # Errors
    /// What keeps this source from giving frames; `frame` then holds nothing of use.
    fn next_raw(&mut self, frame: &mut RawFrame) -> Result<bool>;
}

impl<S: RawSource + ?Sized> RawSource for Box<S> {
    fn next_raw(&mut self, frame: &mut RawFrame) -> Result<bool> {
        (**self).next_raw(frame)
    }
}
