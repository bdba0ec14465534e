//! Where frames come from.

mod image_file;
mod jpeg;
mod listing;
mod test_pattern;

pub use image_file::PictureReader;
pub use listing::list_pictures;
pub use test_pattern::TestPattern;

use crate::error::Result;
use crate::frame::Frame;

/// Frames, one after another: a camera, a stream, a folder replayed.
pub trait FrameSource {
    /// Waits for the next frame; `None` is the end of the stream, after which there are no more.
    ///
    /// # Errors
    /// What keeps this source from giving frames.
    fn next_frame(&mut self) -> Result<Option<Frame<'_>>>;
}

impl<S: FrameSource + ?Sized> FrameSource for Box<S> {
    fn next_frame(&mut self) -> Result<Option<Frame<'_>>> {
        (**self).next_frame()
    }
}
