//! The options that choose where frames come from, the same for every command that follows one.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgGroup, Args, CommandFactory};
use scenescribe::Result;
use scenescribe::source::{self, ColorSpec, FrameSource, Input, SourceOptions, Stop, StreamFormat, Transform};

use super::source_values::{Color, Cropped, Format, Range, Rotate, Size, rate, seconds};

/// Options of a source.
#[derive(Args)]
#[group(skip)]
#[command(group(ArgGroup::new("origin").args(["input", "camera"]).required(true)))]
pub struct SourceArgs {
    /// Camera device, such as /dev/video0, or rpicam for a Raspberry Pi's own
    #[arg(long, value_name = "DEVICE")]
    camera: Option<PathBuf>,

    /// Stream, or - for standard input; pictures or a folder; or test-pattern
    ///
    /// A stream may be a file or a FIFO. Picture files and folders are replayed in the order of their names.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    input: Vec<PathBuf>,

    /// What a stream holds [default: by the file's ending], or the only format to ask a camera for
    #[arg(long)]
    format: Option<Format>,

    /// Size of raw frames, or a wish to a camera [default: 640x480]
    #[arg(long, value_name = "WxH")]
    size: Option<Size>,

    /// Bytes from row to row of raw frames [default: told by the length of a file]
    #[arg(long, value_name = "BYTES")]
    stride: Option<u32>,

    /// Matrix of YUV frames [default: as the source says, else bt709 from 1280 x 720 on, else bt601]
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

    /// Keep only this part of each frame, in pixels from its top left corner
    #[arg(long, value_name = "X,Y,W,H")]
    crop: Option<Cropped>,

    /// Turn frames clockwise, after the crop
    #[arg(long, value_name = "DEGREES", default_value = "0", hide_possible_values = true)]
    rotate: Rotate,

    /// Mirror left and right, after the turn
    #[arg(long)]
    flip: bool,

    /// Silence after which a source counts as lost [default: 10 for cameras, none for streams]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    stall: Option<Duration>,

    /// Failures of a camera in a row that are forgiven [default: all]
    #[arg(long, value_name = "N")]
    retry_limit: Option<u32>,
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
        self.options_or_exit().is_live()
    }

    /// Where frames come from, in words.
    pub fn name(&self) -> String {
        match (&self.camera, &self.input[..]) {
            (Some(camera), _) => camera.display().to_string(),
            (None, [one]) if is_stdin(one) => "standard input".into(),
            (None, [one]) => one.display().to_string(),
            (None, several) => format!("{} and {} more", several[0].display(), several.len() - 1),
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
        self.check_fit(&input)?;
        let is_stream = matches!(input, Input::Stream { .. });
        Ok(SourceOptions {
            size: self.size.map(|Size(width, height)| (width, height)),
            camera_format: self.format.filter(|_| !is_stream).map(Into::into),
            stride: self.stride,
            color: self.colors(),
            rate: self.rate,
            every: self.every,
            repeats: self.repeat,
            all_frames: self.all_frames,
            stall: self.stall,
            retry_limit: self.retry_limit,
            transform: self.transform(),
            ..SourceOptions::new(input)
        })
    }

    fn chosen_input(&self) -> std::result::Result<Input, String> {
        if let Some(camera) = &self.camera {
            let is_rpicam = camera.as_os_str() == "rpicam";
            return Ok(if is_rpicam { Input::Rpicam } else { Input::Camera(camera.clone()) });
        }
        let first = &self.input[0];
        if first.as_os_str() == "test-pattern" && self.input.len() == 1 {
            return Ok(Input::TestPattern);
        }
        let format = match self.format {
            Some(format) => Some(format),
            None if is_stdin(first) => return Err("standard input has no file ending: give --format".into()),
            None if is_fifo(first) => return Err("a FIFO has no file ending: give --format".into()),
            None => Format::of_ending(first),
        };
        match format {
            Some(_) if self.input.len() > 1 => Err("one stream at a time: give --input one path".into()),
            Some(format) => {
                let path = Some(first.clone()).filter(|path| !is_stdin(path));
                Ok(Input::Stream { path, format: format.into() })
            }
            None => Ok(Input::Pictures(self.input.clone())),
        }
    }

    /// Refuses options that the input has no use for, since whoever gave them expected one.
    fn check_fit(&self, input: &Input) -> std::result::Result<(), String> {
        let is_camera = matches!(input, Input::Camera(_) | Input::Rpicam);
        let is_raw = matches!(input, Input::Stream { format: StreamFormat::Raw(_), .. });
        let is_pattern = *input == Input::TestPattern;
        let rpicam_formats = [None, Some(Format::Mjpeg), Some(Format::Yuv420)];
        let refused = [
            (is_raw && self.size.is_none(), "raw frames carry no size: give --size WIDTHxHEIGHT"),
            (!is_raw && self.stride.is_some(), "--stride is for raw streams: leave it out"),
            (
                !is_raw && !is_camera && !is_pattern && self.size.is_some(),
                "--size is for raw streams and cameras, this input says its size itself: leave it out",
            ),
            (!matches!(input, Input::Pictures(_)) && self.repeat, "--repeat is for picture files: leave it out"),
            (!matches!(input, Input::Stream { .. }) && self.all_frames, "--all-frames is for pipes: leave it out"),
            (!is_camera && self.retry_limit.is_some(), "--retry-limit is for cameras: leave it out"),
            (is_camera && self.format == Some(Format::Y4m), "no camera gives y4m: leave --format out"),
            (
                *input == Input::Rpicam && !rpicam_formats.contains(&self.format),
                "rpicam-vid gives --format yuv420 or mjpeg",
            ),
            (is_pattern && self.format.is_some(), "the test pattern has no --format: leave it out"),
        ];
        refused.iter().find(|(is_wrong, _)| *is_wrong).map_or(Ok(()), |(_, remedy)| Err((*remedy).into()))
    }

    fn transform(&self) -> Transform {
        Transform { crop: self.crop.map(|Cropped(crop)| crop), rotation: self.rotate.into(), flips: self.flip }
    }

    fn colors(&self) -> ColorSpec {
        ColorSpec { matrix: self.color.map(Into::into), range: self.range.map(Into::into) }
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn is_fifo(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use scenescribe::source::{Crop, PixelFormat, Rotation};

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        source: SourceArgs,
    }

    /// What the words mean, or what is said against them.
    fn options(words: &str) -> std::result::Result<SourceOptions, String> {
        let program = Program::try_parse_from(["program"].into_iter().chain(words.split(' ')));
        program.map_err(|error| error.to_string())?.source.options()
    }

    #[test]
    fn inputs_are_told_apart() {
        let stream = |path: Option<&str>, format| Input::Stream { path: path.map(Into::into), format };
        let cases = [
            ("--input test-pattern", Input::TestPattern),
            ("--input photos", Input::Pictures(vec!["photos".into()])),
            ("--input a.jpg b.jpg", Input::Pictures(vec!["a.jpg".into(), "b.jpg".into()])),
            ("--input clip.Y4M", stream(Some("clip.Y4M"), StreamFormat::Y4m)),
            ("--input clip.mjpg", stream(Some("clip.mjpg"), StreamFormat::Mjpeg)),
            ("--input - --format mjpeg", stream(None, StreamFormat::Mjpeg)),
            ("--input f --format nv12 --size 4x2", stream(Some("f"), StreamFormat::Raw(PixelFormat::Nv12))),
            ("--camera /dev/video2", Input::Camera("/dev/video2".into())),
            ("--camera rpicam", Input::Rpicam),
        ];
        for (words, expected) in cases {
            assert_eq!(options(words).unwrap().input, expected, "{words}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused_with_a_remedy() {
        let cases = [
            ("--rate 1", "required"),
            ("--input a --camera b", "cannot be used with"),
            ("--input -", "give --format"),
            ("--input a b --format y4m", "one stream at a time"),
            ("--input - --format nv12", "give --size"),
            ("--input - --format y4m --size 4x2", "leave it out"),
            ("--input photos --stride 64", "leave it out"),
            ("--camera rpicam --repeat", "leave it out"),
            ("--camera rpicam --format yuyv", "yuv420 or mjpeg"),
            ("--input photos --retry-limit 3", "leave it out"),
            ("--input - --format nv12 --size 4by2", "640x480"),
            ("--input photos --crop 1,2,0,4", "0,0,320,240"),
            ("--input photos --rate 0", "0.001 to 1000"),
            ("--input photos --rotate 45", "270"),
        ];
        for (words, expected) in cases {
            let refusal = options(words).unwrap_err();
            assert!(refusal.contains(expected), "{words}: {refusal}");
        }
    }

    #[test]
    fn transforms_and_limits_arrive() {
        let options = options("--camera rpicam --crop 1,2,3,4 --rotate 90 --flip --stall 2.5 --retry-limit 7").unwrap();
        let crop = Some(Crop { x: 1, y: 2, width: 3, height: 4 });
        assert_eq!(options.transform, Transform { crop, rotation: Rotation::By90, flips: true });
        assert_eq!((options.stall, options.retry_limit), (Some(Duration::from_millis(2500)), Some(7)));
    }
}
