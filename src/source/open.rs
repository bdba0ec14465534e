//! From a description to a chain of sources.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::raw_stream::stream_layout;
#[cfg(all(feature = "camera", target_os = "linux"))]
use super::{Camera, CameraOptions};
use super::{
    ColorSpec, Counters, Decoded, Every, FrameSource, Latest, MjpegStream, MovingPattern, Paced, Pipe, PixelFormat,
    RawLayout, RawSource, RawStream, Recovering, Replay, Rpicam, RpicamOptions, Stop, Transform, Transformed,
    Y4mStream,
};
#[cfg(not(all(feature = "camera", target_os = "linux")))]
use crate::error::Error;
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
    /// A V4L2 device such as `/dev/video0`, opened again when it was lost.
    Camera(PathBuf),
    /// A Raspberry Pi's own camera through `rpicam-vid`, started again when it dies or stalls.
    Rpicam,
}

/// What a stream of bytes holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFormat {
    /// Frames without headers; their size must be given.
    Raw(PixelFormat),
    /// YUV4MPEG2, which says its size itself.
    Y4m,
    /// JPEGs one after another, as `rpicam-vid --codec mjpeg` and `ffmpeg -f mjpeg` write them.
    Mjpeg,
}

/// A source and what is done with its frames.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Where frames come from.
    pub input: Input,
    /// Width and height in pixels: needed by raw streams, a wish to cameras.
    pub size: Option<(u32, u32)>,
    /// The only format to ask a camera for.
    pub camera_format: Option<StreamFormat>,
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
    /// Longest silence of a source before it counts as lost; `None` is ten seconds for cameras, for ever for streams.
    pub stall: Option<Duration>,
    /// Most failures of a camera in a row that are forgiven; `None` is any.
    pub retry_limit: Option<u32>,
    /// What is done with each frame.
    pub transform: Transform,
}

impl SourceOptions {
    /// All frames of an input, as fast as they come.
    pub fn new(input: Input) -> Self {
        Self {
            input,
            size: None,
            camera_format: None,
            stride: None,
            color: ColorSpec::default(),
            rate: None,
            every: 1,
            repeats: false,
            all_frames: false,
            stall: None,
            retry_limit: None,
            transform: Transform::default(),
        }
    }
}

impl SourceOptions {
    /// Whether frames that nobody takes are dropped for newer ones: those of cameras and pipes, but not of files.
    pub fn is_live(&self) -> bool {
        match &self.input {
            Input::TestPattern | Input::Pictures(_) => false,
            Input::Camera(_) | Input::Rpicam => true,
            Input::Stream { path, .. } => !self.all_frames && !is_regular(path.as_deref()),
        }
    }
}

/// Whether a path, or standard input, is a plain file.
fn is_regular(path: Option<&Path>) -> bool {
    match path {
        Some(path) => path.is_file(),
        None => Pipe::stdin(&Stop::default(), None).is_ok_and(|pipe| pipe.regular_len().is_some()),
    }
}

/// Silence after which a camera counts as lost, where nothing else is asked for.
const USUAL_STALL: Duration = Duration::from_secs(10);

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
    Ok(Box::new(Transformed::new(Decoded::new(source, options.color, counters), options.transform)))
}

fn open_input(options: &SourceOptions, stop: &Stop, counters: &Counters) -> Result<Box<dyn RawSource>> {
    let counters = counters.clone();
    let (width, height) = options.size.unwrap_or(USUAL_SIZE);
    Ok(match &options.input {
        Input::TestPattern => Box::new(MovingPattern::new(width, height, stop, counters)?),
        Input::Pictures(paths) => Box::new(Replay::open(paths, options.repeats, stop, counters)?),
        Input::Stream { path, format } => open_stream(options, path.as_deref(), *format, stop, counters)?,
        Input::Camera(path) => open_camera(options, path, stop, counters)?,
        Input::Rpicam => open_rpicam(options, stop, counters)?,
    })
}

/// V4L2 gives the newest frame itself.
#[cfg(all(feature = "camera", target_os = "linux"))]
fn open_camera(options: &SourceOptions, path: &Path, stop: &Stop, counters: Counters) -> Result<Box<dyn RawSource>> {
    let size = options.size.unwrap_or(USUAL_SIZE);
    let wish = CameraOptions { size, format: options.camera_format, stall: options.stall.unwrap_or(USUAL_STALL) };
    let (path, inner_stop, inner_counters) = (path.to_path_buf(), stop.clone(), counters.clone());
    let open = move || Camera::open(&path, &wish, &inner_stop, inner_counters.clone());
    Ok(Box::new(Recovering::start(open, options.retry_limit, stop, counters)?))
}

#[cfg(not(all(feature = "camera", target_os = "linux")))]
fn open_camera(_: &SourceOptions, path: &Path, _: &Stop, _: Counters) -> Result<Box<dyn RawSource>> {
    Err(Error::NoCameraSupport { path: path.into() })
}

fn open_rpicam(options: &SourceOptions, stop: &Stop, counters: Counters) -> Result<Box<dyn RawSource>> {
    let wish = RpicamOptions {
        programs: None,
        size: options.size.unwrap_or(USUAL_SIZE),
        is_mjpeg: options.camera_format == Some(StreamFormat::Mjpeg),
        stall: options.stall.unwrap_or(USUAL_STALL),
    };
    let retry_limit = options.retry_limit;
    let start = |stop: &Stop| {
        let (inner_stop, inner_counters) = (stop.clone(), counters.clone());
        let open = move || Rpicam::start(&wish, &inner_stop, inner_counters.clone());
        Recovering::start(open, retry_limit, stop, counters.clone())
    };
    Ok(Box::new(Latest::start(start, stop, counters.clone())?))
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
        StreamFormat::Y4m => Box::new(Y4mStream::new(pipe, name, stop, counters)),
        StreamFormat::Mjpeg => Box::new(MjpegStream::new(pipe, name, stop, counters)),
    })
}
