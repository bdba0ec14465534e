//! Any bytes as a stream: YUV4MPEG2, JPEGs one after another, samples without headers; decoded, cropped and turned.
//!
//! The first four bytes choose the format, how many bytes arrive at a time, and what is done with each frame.
#![no_main]

use std::io::{self, Read};
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use scenescribe::FrameSource;
use scenescribe::source::{
    ColorSpec, Counters, Crop, Decoded, MjpegStream, PixelFormat, RawLayout, RawSource, RawStream, Rotation, Stop,
    Transform, Transformed, Y4mStream,
};
use scenescribe_fuzz::{Input, start, within};

/// Frames of `scenescribe::limits`, 64 megapixels: the raw frame of three bytes a pixel, RGB, and RGB transformed.
const BUDGET: usize = (3 * (3 + 3 + 3)) << 26;

/// Frames of more take their time, and are read once.
const MANY_PIXELS: u64 = 1 << 20;

const FORMATS: [PixelFormat; 8] = [
    PixelFormat::Rgb24,
    PixelFormat::Bgr24,
    PixelFormat::Gray,
    PixelFormat::Yuyv,
    PixelFormat::Nv12,
    PixelFormat::Yuv420,
    PixelFormat::Yuv422,
    PixelFormat::Yuv444,
];

fuzz_target!(init: start(), |input: &[u8]| {
    let mut input = Input(input);
    let [kind, drop, turn, size] = std::array::from_fn(|_| input.byte());
    let whole = within(BUDGET, || frames(input.0, usize::MAX, kind, turn, size));
    let pixels: u64 = whole.0.iter().map(|(width, height, _)| u64::from(*width) * u64::from(*height)).sum();
    if pixels > MANY_PIXELS {
        return;
    }
    let piecemeal = within(BUDGET, || frames(input.0, usize::from(drop) + 1, kind, turn, size));
    assert_eq!(whole, piecemeal, "a stream must be read the same way however it arrives");
});

/// Reads a few bytes at a time, as pipes give them.
struct Drops<'a>(&'a [u8], usize);

impl Read for Drops<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let len = self.0.len().min(self.1).min(bytes.len());
        bytes[..len].copy_from_slice(&self.0[..len]);
        self.0 = &self.0[len..];
        Ok(len)
    }
}

/// Size and checksum of every frame, and the error at the end.
fn frames(stream: &[u8], drop: usize, kind: u8, turn: u8, size: u8) -> (Vec<(u32, u32, u32)>, Option<String>) {
    let (name, stop, counters) = (Path::new("a stream"), Stop::default(), Counters::default());
    let reader = Drops(stream, drop);
    let source: Box<dyn RawSource + '_> = match kind {
        0..64 => Box::new(Y4mStream::new(reader, name, &stop, counters.clone())),
        64..128 => Box::new(MjpegStream::new(reader, name, &stop, counters.clone())),
        _ => match layout(kind, size) {
            Ok(layout) => Box::new(RawStream::new(reader, name, layout, &stop, counters.clone())),
            Err(error) => return (vec![], Some(error.to_string())),
        },
    };
    let mut source = Transformed::new(Decoded::new(source, ColorSpec::default(), counters), transform(turn));
    let mut seen = vec![];
    loop {
        match source.next_frame() {
            Ok(Some(frame)) => {
                let mut sum = crc32fast::Hasher::new();
                (0..frame.height() as usize).for_each(|y| sum.update(frame.row(y)));
                seen.push((frame.width(), frame.height(), sum.finalize()));
            }
            Ok(None) => return (seen, None),
            Err(error) => return (seen, Some(error.to_string())),
        }
    }
}

fn layout(kind: u8, size: u8) -> scenescribe::Result<RawLayout> {
    let (width, height) = (u32::from(size & 15), u32::from(size >> 4));
    let tight = RawLayout::new(FORMATS[usize::from(kind & 7)], width, height)?;
    tight.with_stride(tight.stride() as u32 + u32::from(kind >> 3 & 15))
}

fn transform(turn: u8) -> Transform {
    let rotation = [Rotation::None, Rotation::By90, Rotation::By180, Rotation::By270][usize::from(turn & 3)];
    let [x, y] = [3, 4].map(|bit| u32::from(turn >> bit & 1));
    let crop = (turn & 0x80 != 0).then_some(Crop { x, y, width: 2, height: 3 });
    Transform { crop, rotation, flips: turn & 4 != 0 }
}
