//! The values of the options that choose a source: their words on the command line, and what they mean.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use scenescribe::source::{ColorMatrix, ColorRange, Crop, PixelFormat, Rotation, StreamFormat};

/// What a stream of bytes holds, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Y4m,
    Mjpeg,
    Rgb24,
    Bgr24,
    Gray,
    Yuyv,
    Nv12,
    Yuv420,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Color {
    Bt601,
    Bt709,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Range {
    Limited,
    Full,
}

/// `640x480`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size(pub u32, pub u32);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let sides = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
        let (width, height) = sides.ok_or("must be like 640x480")?;
        Ok(Self(width, height))
    }
}

/// `0,0,320,240`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cropped(pub Crop);

impl FromStr for Cropped {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let numbers: Option<Vec<u32>> = text.split(',').map(|number| number.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[x, y, width, height]) if width > 0 && height > 0 => Ok(Self(Crop { x, y, width, height })),
            _ => Err("must be like 0,0,320,240: left, top, width, height".into()),
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Rotate {
    #[value(name = "0")]
    None,
    #[value(name = "90")]
    By90,
    #[value(name = "180")]
    By180,
    #[value(name = "270")]
    By270,
}

pub fn rate(text: &str) -> std::result::Result<f32, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=1000.0).contains(rate));
    rate.ok_or_else(|| "must be 0.001 to 1000".into())
}

pub fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f32).ok_or_else(|| "must be 0.1 to 86400".into())
}

impl Format {
    pub fn of_ending(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "y4m" => Some(Self::Y4m),
            "mjpeg" | "mjpg" => Some(Self::Mjpeg),
            _ => None,
        }
    }
}

impl From<Format> for StreamFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Y4m => Self::Y4m,
            Format::Mjpeg => Self::Mjpeg,
            Format::Rgb24 => Self::Raw(PixelFormat::Rgb24),
            Format::Bgr24 => Self::Raw(PixelFormat::Bgr24),
            Format::Gray => Self::Raw(PixelFormat::Gray),
            Format::Yuyv => Self::Raw(PixelFormat::Yuyv),
            Format::Nv12 => Self::Raw(PixelFormat::Nv12),
            Format::Yuv420 => Self::Raw(PixelFormat::Yuv420),
        }
    }
}

impl From<Color> for ColorMatrix {
    fn from(color: Color) -> Self {
        match color {
            Color::Bt601 => Self::Bt601,
            Color::Bt709 => Self::Bt709,
        }
    }
}

impl From<Range> for ColorRange {
    fn from(range: Range) -> Self {
        match range {
            Range::Limited => Self::Limited,
            Range::Full => Self::Full,
        }
    }
}

impl From<Rotate> for Rotation {
    fn from(rotate: Rotate) -> Self {
        match rotate {
            Rotate::None => Self::None,
            Rotate::By90 => Self::By90,
            Rotate::By180 => Self::By180,
            Rotate::By270 => Self::By270,
        }
    }
}
