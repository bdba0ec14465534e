//! Where frames come from: picture files, streams of samples or JPEGs, cameras, a test pattern.
//!
//! A live source is a chain. At its start is a [`RawSource`], which gives frames that are not decoded yet; wrappers that
//! are raw sources too slow it down, skip frames or keep the newest one; [`Decoded`] makes RGB at the end. [`open`] builds
//! the chain that [`SourceOptions`] describes.

#[cfg(all(feature = "camera", target_os = "linux"))]
mod camera;
mod clock;
mod color;
mod convert;
mod counters;
mod decoded;
mod every;
mod huffman;
mod image_file;
mod jpeg;
mod latest;
mod layout;
mod listing;
mod mjpeg;
mod moving_pattern;
mod open;
mod paced;
mod pipe;
mod raw_frame;
mod raw_stream;
mod recovering;
mod replay;
mod rpicam;
mod scaled_jpeg;
mod stop;
mod test_pattern;
mod transformed;
mod y4m;

#[cfg(all(feature = "camera", target_os = "linux"))]
pub use camera::{Camera, CameraOptions, ListedCamera, ListedFormat, list_cameras};
pub use color::{ColorMatrix, ColorRange, ColorSpec};
pub use counters::{Counters, SourceCounts};
pub use decoded::Decoded;
pub use every::Every;
pub use image_file::PictureReader;
pub use latest::Latest;
pub use layout::{PixelFormat, RawLayout};
pub use listing::list_pictures;
pub(crate) use listing::walk_pictures;
pub use mjpeg::MjpegStream;
pub use moving_pattern::{MovingPattern, SCENE_FRAMES};
pub use open::{Input, SourceOptions, StreamFormat, open};
pub use paced::Paced;
pub use pipe::Pipe;
pub use raw_frame::{Coding, RawFrame, RawSource};
pub use raw_stream::RawStream;
pub use recovering::Recovering;
pub use replay::Replay;
pub use rpicam::{Rpicam, RpicamOptions, find_rpicam};
pub use stop::Stop;
pub use test_pattern::TestPattern;
pub use transformed::{Crop, Rotation, Transform, Transformed};
pub use y4m::Y4mStream;

use crate::error::Result;
use crate::frame::Frame;

/// Frames, one after another: a camera, a stream, a folder replayed.
pub trait FrameSource {
    /// Waits for the next frame; `None` is the end of the stream, after which there are no more.
    ///
    /// # Errors
    /// What keeps this source from giving frames.
    fn next_frame(&mut self) -> Result<Option<Frame<'_>>>;

    /// What the source has been through so far; zeros where nothing is counted.
    fn counts(&self) -> SourceCounts {
        SourceCounts::default()
    }
}

impl<S: FrameSource + ?Sized> FrameSource for Box<S> {
    fn next_frame(&mut self) -> Result<Option<Frame<'_>>> {
        (**self).next_frame()
    }

    fn counts(&self) -> SourceCounts {
        (**self).counts()
    }
}
