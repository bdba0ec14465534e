//! From a description to a chain of sources.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::raw_stream::stream_layout;
use super::{
    ColorSpec, Counters, Decoded, Every, FrameSource, Latest, MovingPattern, Paced, Pipe, PixelFormat, RawLayout,
    RawSource, RawStream, Replay, Stop,
};
use crate::error::Result;

/// Size of a camera's frames or of the test pattern where none is asked for, in pixels.
const USUAL_SIZE: (u32, u32) = (640, 480);

/// Where frames are to come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// [`MovingPattern`], without end.
    TestPattern,
    /// Picture files, and folders of them.
    Pictures(Vec<PathBuf>),
    /// A file, a FIFO or, without a path, standard input.
    Stream {
        /// Where it is; `None` is standard input.
        path: Option<PathBuf>,
        /// What is in it.
        format: StreamFormat,
    },
}

/// What a stream of bytes holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFormat {
    /// Frames without headers; their size must be given.
    Raw(PixelFormat),
}

/// A source and what is done with its frames.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Where frames come from.
    pub input: Input,
    /// Width and height in pixels: needed by raw streams, a wish to cameras.
    pub size: Option<(u32, u32)>,
    /// Bytes from row to row of a raw stream.
    pub stride: Option<u32>,
    /// Colours of YUV frames, where the source does not know better.
    pub color: ColorSpec,
    /// Most frames a second.
    pub rate: Option<f32>,
    /// One of so many frames; 1 is all.
    pub every: u32,
    /// Whether picture files start again at their end.
    pub repeats: bool,
    /// Whether a pipe is read frame by frame; else only its newest frame is kept, so that captions describe the present.
    pub all_frames: bool,
    /// Longest silence of a source before it counts as lost.
    pub stall: Option<Duration>,
}

impl SourceOptions {
    /// All frames of an input, as fast as they come.
    pub fn new(input: Input) -> Self {
        let (size, stride, rate, stall) = (None, None, None, None);
        Self {
            input,
            size,
            stride,
            color: ColorSpec::default(),
            rate,
            every: 1,
            repeats: false,
            all_frames: false,
            stall,
        }
    }
}

/// Opens a source. When `stop` is requested its next frame is the end.
///
/// # Errors
/// What is wrong with the options or the device, by name.
pub fn open(options: &SourceOptions, stop: &Stop) -> Result<Box<dyn FrameSource + Send>> {
    let counters = Counters::default();
    let mut source = open_input(options, stop, &counters)?;
    if let Some(rate) = options.rate {
        source = Box::new(Paced::new(source, rate, stop));
    }
    if options.every > 1 {
        source = Box::new(Every::new(source, options.every));
    }
    Ok(Box::new(Decoded::new(source, options.color, counters)))
}

fn open_input(options: &SourceOptions, stop: &Stop, counters: &Counters) -> Result<Box<dyn RawSource>> {
    let counters = counters.clone();
    let (width, height) = options.size.unwrap_or(USUAL_SIZE);
    Ok(match &options.input {
        Input::TestPattern => Box::new(MovingPattern::new(width, height, stop, counters)?),
        Input::Pictures(paths) => Box::new(Replay::open(paths, options.repeats, stop, counters)?),
        Input::Stream { path, format } => open_stream(options, path.as_deref(), *format, stop, counters)?,
    })
}

fn open_stream(
    options: &SourceOptions,
    path: Option<&Path>,
    format: StreamFormat,
    stop: &Stop,
    counters: Counters,
) -> Result<Box<dyn RawSource>> {
    let pipe = match path {
        Some(path) => Pipe::open(path, stop, options.stall)?,
        None => Pipe::stdin(stop, options.stall)?,
    };
    let read = |pipe, stop: &Stop| read_stream(options, pipe, path, format, stop, counters.clone());
    if options.all_frames || pipe.regular_len().is_some() {
        return read(pipe, stop);
    }
    Ok(Box::new(Latest::start(|stop| read(pipe.with_stop(stop), stop), stop, counters.clone())?))
}

fn read_stream(
    options: &SourceOptions,
    pipe: Pipe,
    path: Option<&Path>,
    format: StreamFormat,
    stop: &Stop,
    counters: Counters,
) -> Result<Box<dyn RawSource>> {
    let name = path.unwrap_or(Path::new("standard input"));
    let (width, height) = options.size.unwrap_or(USUAL_SIZE);
    Ok(match format {
        StreamFormat::Raw(format) => {
            let layout = stream_layout(&pipe, name, RawLayout::new(format, width, height)?, options.stride)?;
            Box::new(RawStream::new(pipe, name, layout, stop, counters))
        }
    })
}
