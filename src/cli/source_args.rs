//! The options that choose where frames come from, the same for every command that follows one.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, ValueEnum};
use scenescribe::Result;
use scenescribe::source::{
    self, ColorMatrix, ColorRange, ColorSpec, FrameSource, Input, PixelFormat, SourceOptions, Stop, StreamFormat,
};

/// Options of a source.
#[derive(Args)]
pub struct SourceArgs {
    /// Stream file, FIFO or - for standard input; picture files or a folder to replay; or test-pattern
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    input: Vec<PathBuf>,

    /// What a stream holds [default: by the file's ending]
    #[arg(long)]
    format: Option<Format>,

    /// Width and height of raw frames, in pixels
    #[arg(long, value_name = "WxH")]
    size: Option<Size>,

    /// Bytes from row to row of raw frames [default: told by the length of a file]
    #[arg(long, value_name = "BYTES")]
    stride: Option<u32>,

    /// Matrix of YUV frames [default: bt709 from 1280 x 720 on, else bt601]
    #[arg(long)]
    color: Option<Color>,

    /// Range of YUV frames [default: as the source says, else limited, full for gray]
    #[arg(long)]
    range: Option<Range>,

    /// Most frames a second
    #[arg(long, value_name = "FPS", value_parser = rate)]
    rate: Option<f32>,

    /// Take one of N frames
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,

    /// Start picture files again at their end
    #[arg(long)]
    repeat: bool,

    /// Read each frame of a pipe, also when that falls behind [default: only the newest]
    #[arg(long)]
    all_frames: bool,

    /// Silence after which a stream counts as lost [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    stall: Option<Duration>,
}

/// What a stream of bytes holds, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Rgb24,
    Bgr24,
    Gray,
    Yuyv,
    Nv12,
    Yuv420,
}

#[derive(Clone, Copy, ValueEnum)]
enum Color {
    Bt601,
    Bt709,
}

#[derive(Clone, Copy, ValueEnum)]
enum Range {
    Limited,
    Full,
}

/// `640x480`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Size(u32, u32);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let sides = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
        let (width, height) = sides.ok_or("must be like 640x480")?;
        Ok(Self(width, height))
    }
}

fn rate(text: &str) -> std::result::Result<f32, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=1000.0).contains(rate));
    rate.ok_or_else(|| "must be 0.001 to 1000".into())
}

fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f32).ok_or_else(|| "must be 0.1 to 86400".into())
}

impl SourceArgs {
    /// Ends the program with a usage error if the options do not fit together.
    pub fn check(&self) {
        let _ = self.options_or_exit();
    }

    /// Opens the source; when `stop` is requested its next frame is the end.
    pub fn open(&self, stop: &Stop) -> Result<Box<dyn FrameSource + Send>> {
        source::open(&self.options_or_exit(), stop)
    }

    /// Whether frames that nobody takes are lost, as a camera's are.
    pub fn is_live(&self) -> bool {
        let input = self.options_or_exit().input;
        !self.all_frames && !matches!(input, Input::Pictures(_) | Input::TestPattern)
    }

    /// Where frames come from, in words.
    pub fn name(&self) -> String {
        match &self.input[..] {
            [one] if is_stdin(one) => "standard input".into(),
            [one] => one.display().to_string(),
            several => format!("{} and {} more", several[0].display(), several.len() - 1),
        }
    }

    fn options_or_exit(&self) -> SourceOptions {
        match self.options() {
            Ok(options) => options,
            Err(problem) => super::Cli::command().error(ErrorKind::ArgumentConflict, problem).exit(),
        }
    }

    fn options(&self) -> std::result::Result<SourceOptions, String> {
        let input = self.chosen_input()?;
        self.check_size(&input)?;
        let mut options = SourceOptions::new(input);
        options.size = self.size.map(|Size(width, height)| (width, height));
        options.stride = self.stride;
        options.color = self.colors();
        options.rate = self.rate;
        options.every = self.every;
        options.repeats = self.repeat;
        options.all_frames = self.all_frames;
        options.stall = self.stall;
        Ok(options)
    }

    fn chosen_input(&self) -> std::result::Result<Input, String> {
        let first = &self.input[0];
        let is_stream = is_stdin(first) || self.format.is_some();
        if is_stream && self.input.len() > 1 {
            return Err("one stream at a time: give --input one path".into());
        }
        if first.as_os_str() == "test-pattern" && self.input.len() == 1 {
            return Ok(Input::TestPattern);
        }
        if !is_stream {
            return Ok(Input::Pictures(self.input.clone()));
        }
        let format = self.format.ok_or("standard input has no file ending: say what it holds with --format")?;
        let path = Some(first.clone()).filter(|path| !is_stdin(path));
        Ok(Input::Stream { path, format: format.into() })
    }

    fn check_size(&self, input: &Input) -> std::result::Result<(), String> {
        let is_raw = matches!(input, Input::Stream { format: StreamFormat::Raw(_), .. });
        if is_raw && self.size.is_none() {
            return Err("raw frames carry no size: give --size WIDTHxHEIGHT".into());
        }
        if !is_raw && self.stride.is_some() {
            return Err("--stride is for raw frames: leave it out".into());
        }
        Ok(())
    }

    fn colors(&self) -> ColorSpec {
        let matrix = self.color.map(|color| match color {
            Color::Bt601 => ColorMatrix::Bt601,
            Color::Bt709 => ColorMatrix::Bt709,
        });
        let range = self.range.map(|range| match range {
            Range::Limited => ColorRange::Limited,
            Range::Full => ColorRange::Full,
        });
        ColorSpec { matrix, range }
    }
}

impl From<Format> for StreamFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Rgb24 => Self::Raw(PixelFormat::Rgb24),
            Format::Bgr24 => Self::Raw(PixelFormat::Bgr24),
            Format::Gray => Self::Raw(PixelFormat::Gray),
            Format::Yuyv => Self::Raw(PixelFormat::Yuyv),
            Format::Nv12 => Self::Raw(PixelFormat::Nv12),
            Format::Yuv420 => Self::Raw(PixelFormat::Yuv420),
        }
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}
