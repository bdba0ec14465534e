//! YUV4MPEG2: samples with a header that says their size, as `ffmpeg -f yuv4mpegpipe` and mjpegtools write them.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::color::{ColorRange, ColorSpec};
use super::counters::Counters;
use super::layout::{PixelFormat, RawLayout};
use super::raw_frame::{Coding, RawFrame, RawSource};
use super::raw_stream::Ending;
use super::stop::Stop;
use crate::error::{Error, Result};
use crate::limits::MAX_Y4M_LINE;

const MAGIC: &[u8] = b"YUV4MPEG2";

/// A YUV4MPEG2 stream of eight bits a sample: 4:2:0, 4:2:2, 4:4:4 or luma alone.
#[derive(Debug)]
pub struct Y4mStream<R> {
    reader: BufReader<R>,
    ending: Ending,
    header: Option<(RawLayout, ColorSpec)>,
    line: Vec<u8>,
}

impl<R: Read + Send> Y4mStream<R> {
    /// Reads the header with the first frame; `name` is for messages.
    pub fn new(reader: R, name: &Path, stop: &Stop, counters: Counters) -> Self {
        let (reader, line) = (BufReader::new(reader), Vec::with_capacity(MAX_Y4M_LINE + 1));
        Self { reader, ending: Ending::new(name, stop, counters), header: None, line }
    }

    /// Reads a line into `self.line`, without its end; `false` if the stream ends before one.
    fn read_line(&mut self) -> Result<bool> {
        self.line.clear();
        let read = (&mut self.reader).take(MAX_Y4M_LINE as u64 + 1).read_until(b'\n', &mut self.line);
        read.map_err(|cause| self.ending.error(cause))?;
        if self.line.pop_if(|last| *last == b'\n').is_some() {
            return Ok(true);
        }
        if self.line.len() > MAX_Y4M_LINE {
            return Err(self.error(format!("a header line is longer than {MAX_Y4M_LINE} bytes")));
        }
        if !self.line.is_empty() {
            self.ending.warn_of_torn_frame("a part of its header");
        }
        Ok(false)
    }

    /// The header, read if it has not been; `None` if the stream is empty.
    fn header(&mut self) -> Result<Option<(RawLayout, ColorSpec)>> {
        if self.header.is_none() && self.read_line()? {
            let header = parse_header(&self.line).map_err(|problem| match problem {
                Problem::Words(problem) => self.error(problem),
                Problem::Size(error) => error,
            })?;
            self.header = Some(header);
        }
        Ok(self.header)
    }

    fn error(&self, problem: String) -> Error {
        Error::StreamFormat { path: self.ending.name().into(), format: "y4m", problem }
    }
}

impl<R: Read + Send> RawSource for Y4mStream<R> {
    fn next_raw(&mut self, frame: &mut RawFrame) -> Result<bool> {
        let Some((layout, color)) = self.header()? else { return Ok(false) };
        if !self.read_line()? {
            return Ok(false);
        }
        if self.line.split(|byte| *byte == b' ').next() != Some(b"FRAME") {
            let found = String::from_utf8_lossy(&self.line[..self.line.len().min(20)]).into_owned();
            return Err(self.error(format!("a frame begins with {found:?} instead of FRAME")));
        }
        frame.coding = Coding::Samples(layout, color);
        self.ending.read_frame(&mut self.reader, layout.frame_len(), frame)
    }
}

enum Problem {
    Words(String),
    Size(Error),
}

impl From<&str> for Problem {
    fn from(words: &str) -> Self {
        Self::Words(words.into())
    }
}

/// The parameters that matter here; frame rate, aspect and interlacing do not.
fn parse_header(line: &[u8]) -> std::result::Result<(RawLayout, ColorSpec), Problem> {
    let line = std::str::from_utf8(line).ok().filter(|line| line.as_bytes().starts_with(MAGIC));
    let parameters = line.ok_or("it does not begin with YUV4MPEG2")?.split(' ').skip(1);
    let (mut width, mut height, mut format, mut range) = (0, 0, PixelFormat::Yuv420, None);
    for parameter in parameters.filter(|parameter| !parameter.is_empty()) {
        let (key, value) = parameter.split_at_checked(1).unwrap_or_default();
        let side = || value.parse().map_err(|_| Problem::Words(format!("its size {parameter:?} is no number")));
        match key {
            "W" => width = side()?,
            "H" => height = side()?,
            "C" => format = pixel_format(value)?,
            "X" => range = color_range(value).or(range),
            _ => {}
        }
    }
    let layout = RawLayout::new(format, width, height).map_err(Problem::Size)?;
    Ok((layout, ColorSpec { matrix: None, range }))
}

fn pixel_format(name: &str) -> std::result::Result<PixelFormat, Problem> {
    match name {
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Ok(PixelFormat::Yuv420),
        "422" => Ok(PixelFormat::Yuv422),
        "444" => Ok(PixelFormat::Yuv444),
        "mono" => Ok(PixelFormat::Gray),
        other => Err(Problem::Words(format!("its samples are C{other}: make it with `ffmpeg -pix_fmt yuv420p`"))),
    }
}

fn color_range(value: &str) -> Option<ColorRange> {
    match value {
        "COLORRANGE=FULL" => Some(ColorRange::Full),
        "COLORRANGE=LIMITED" => Some(ColorRange::Limited),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Samples = (RawLayout, ColorSpec, Vec<u8>);

    fn read(bytes: &[u8]) -> (Vec<Samples>, Option<String>) {
        let mut stream = Y4mStream::new(bytes, Path::new("clip.y4m"), &Stop::default(), Counters::default());
        let (mut frames, mut frame) = (Vec::new(), RawFrame::default());
        loop {
            match stream.next_raw(&mut frame) {
                Ok(true) => {
                    let Coding::Samples(layout, color) = frame.coding else { panic!("samples") };
                    frames.push((layout, color, frame.bytes.clone()));
                }
                Ok(false) => return (frames, None),
                Err(error) => return (frames, Some(error.to_string())),
            }
        }
    }

    #[test]
    fn frames_follow_the_header_in_each_format() {
        let cases = [
            ("", PixelFormat::Yuv420, 6 + 4),
            ("C420jpeg", PixelFormat::Yuv420, 6 + 4),
            ("C420mpeg2", PixelFormat::Yuv420, 6 + 4),
            ("C420paldv", PixelFormat::Yuv420, 6 + 4),
            ("C422", PixelFormat::Yuv422, 6 + 8),
            ("C444", PixelFormat::Yuv444, 18),
            ("Cmono", PixelFormat::Gray, 6),
        ];
        for (parameter, format, len) in cases {
            let mut bytes = format!("YUV4MPEG2 W3 H2 F30:1 Ip A1:1 {parameter}\nFRAME\n").into_bytes();
            bytes.extend(vec![1; len]);
            bytes.extend(b"FRAME Ip\n");
            bytes.extend(vec![2; len]);
            let (frames, error) = read(&bytes);
            assert_eq!(error, None, "{parameter}");
            assert_eq!(frames.len(), 2, "{parameter}");
            for ((layout, _, samples), number) in frames.iter().zip(1..) {
                assert_eq!((layout.format(), layout.width(), layout.height()), (format, 3, 2), "{parameter}");
                assert_eq!(samples, &vec![number; len], "{parameter}");
            }
        }
    }

    #[test]
    fn the_range_is_taken_from_the_header() {
        for (tag, expected) in [
            ("XCOLORRANGE=FULL", Some(ColorRange::Full)),
            ("XCOLORRANGE=LIMITED", Some(ColorRange::Limited)),
            ("", None),
        ] {
            let bytes = [format!("YUV4MPEG2 W1 H1 Cmono {tag} XYSCSS=420\n").as_bytes(), b"FRAME\nx"].concat();
            assert_eq!(read(&bytes).0[0].1.range, expected, "{tag}");
        }
    }

    #[test]
    fn what_is_no_such_stream_is_named() {
        let long = format!("YUV4MPEG2 W1 H1 X{}\n", "a".repeat(MAX_Y4M_LINE));
        let cases: [(&[u8], &str); 9] = [
            (b"RIFF\n", "does not begin with"),
            (b"\xFF\xFE\n", "does not begin with"),
            (b"YUV4MPEG2 W1\n", "1 x 0"),
            (b"YUV4MPEG2 W99999 H99999\n", "99999 x 99999"),
            (b"YUV4MPEG2 W-1 H2\n", "no number"),
            (b"YUV4MPEG2 W1 H1 C420p10\n", "C420p10"),
            (long.as_bytes(), "longer than"),
            (b"YUV4MPEG2 W1 H1 Cmono\nFRAME\nxGARBAGE\n", "\"GARBAGE\""),
            (b"YUV4MPEG2 W1 H1 Cmono\nFRAMES\nx", "FRAMES"),
        ];
        for (bytes, expected) in cases {
            let error = read(bytes).1.unwrap();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_stream_cut_anywhere_gives_its_whole_frames() {
        let bytes = b"YUV4MPEG2 W2 H1 Cmono\nFRAME\nabFRAME\ncd";
        for len in 0..=bytes.len() {
            let (frames, error) = read(&bytes[..len]);
            let whole = [30, bytes.len()].iter().filter(|end| len >= **end).count();
            assert_eq!((frames.len(), error), (whole, None), "cut after {len} bytes");
        }
    }
}
