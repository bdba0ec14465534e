//! Which format and size a camera is asked for.

use std::io;

use super::device::{Device, Format, FourCc};
use crate::error::Result;
use crate::source::{Coding, PixelFormat, RawLayout};

/// Formats that are read here, in the order in which they are liked: what costs little to convert first, colour before grey.
const LIKED: [(FourCc, Kind); 9] = [
    (*b"YUYV", Kind::Samples(PixelFormat::Yuyv)),
    (*b"NV12", Kind::Samples(PixelFormat::Nv12)),
    (*b"YU12", Kind::Samples(PixelFormat::Yuv420)),
    (*b"422P", Kind::Samples(PixelFormat::Yuv422)),
    (*b"RGB3", Kind::Samples(PixelFormat::Rgb24)),
    (*b"BGR3", Kind::Samples(PixelFormat::Bgr24)),
    (*b"MJPG", Kind::Jpeg),
    (*b"JPEG", Kind::Jpeg),
    (*b"GREY", Kind::Samples(PixelFormat::Gray)),
];

/// Formats that a driver may list; a bound for drivers that never end.
const MAX_FORMATS: u32 = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Samples(PixelFormat),
    Jpeg,
}

/// What a camera is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    pub size: (u32, u32),
    pub kind: Option<Kind>,
}

/// Why there is no format.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The driver refuses them all.
    System(io::Error),
    /// It offers only what is not read here, or nothing of the kind that was asked for.
    NoneKnown(Vec<FourCc>),
}

/// Sets the format whose size is closest to the wish, the better liked of two.
pub(crate) fn negotiate(device: &mut impl Device, wish: Wish) -> std::result::Result<Format, Refusal> {
    let offered = formats(device);
    let is_wanted = |kind| wish.kind.is_none_or(|wanted| wanted == kind);
    let candidates = LIKED.iter().filter(|(fourcc, kind)| offered.contains(fourcc) && is_wanted(*kind));
    let mut best: Option<Format> = None;
    let mut refused = None;
    for (fourcc, _) in candidates {
        match device.set_format(*fourcc, wish.size.0, wish.size.1) {
            // A driver may answer with another format than it was asked for.
            Ok(format) if kind_of(format.fourcc).is_some_and(is_wanted) => {
                if best.is_none_or(|best| distance(&format, wish) < distance(&best, wish)) {
                    best = Some(format);
                }
            }
            Ok(_) => {}
            Err(cause) => refused = Some(cause),
        }
    }
    match (best, refused) {
        (Some(best), _) => device.set_format(best.fourcc, best.width, best.height).map_err(Refusal::System),
        (None, Some(cause)) => Err(Refusal::System(cause)),
        (None, None) => Err(Refusal::NoneKnown(offered)),
    }
}

/// All formats that the driver lists.
pub(crate) fn formats(device: &impl Device) -> Vec<FourCc> {
    (0..MAX_FORMATS).map_while(|index| device.format(index).ok()).collect()
}

/// How frames of a format are read; `None` for an unknown one.
///
/// # Errors
/// A size over the limits, a stride that fits no row.
pub(crate) fn coding(format: &Format) -> Result<Option<Coding>> {
    let pixels = match kind_of(format.fourcc) {
        Some(Kind::Samples(pixels)) => pixels,
        Some(Kind::Jpeg) => return Ok(Some(Coding::Picture)),
        None => return Ok(None),
    };
    let tight = RawLayout::new(pixels, format.width, format.height)?;
    let layout = if format.stride == 0 { tight } else { tight.with_stride(format.stride)? };
    Ok(Some(Coding::Samples(layout, format.color)))
}

fn kind_of(fourcc: FourCc) -> Option<Kind> {
    LIKED.iter().find(|(known, _)| *known == fourcc).map(|(_, kind)| *kind)
}

/// How far a size is from the wish: the sum of both sides' differences.
fn distance(format: &Format, wish: Wish) -> u64 {
    let (width, height) = wish.size;
    u64::from(format.width.abs_diff(width)) + u64::from(format.height.abs_diff(height))
}

#[cfg(test)]
mod tests {
    use super::super::fake::FakeDevice;
    use super::*;

    fn wish(width: u32, height: u32) -> Wish {
        Wish { size: (width, height), kind: None }
    }

    fn chosen(offered: &[(&FourCc, &[(u32, u32)])], wish: Wish) -> Option<(FourCc, u32, u32)> {
        let mut device = FakeDevice::offering(offered);
        let format = negotiate(&mut device, wish).ok()?;
        assert_eq!(device.current(), format);
        Some((format.fourcc, format.width, format.height))
    }

    #[test]
    fn the_best_liked_format_of_the_right_size_is_set() {
        let sizes: &[(u32, u32)] = &[(320, 240), (640, 480), (1280, 720)];
        let webcam: &[(&FourCc, &[(u32, u32)])] = &[(b"MJPG", sizes), (b"YUYV", &sizes[..2])];
        assert_eq!(chosen(webcam, wish(640, 480)), Some((*b"YUYV", 640, 480)));
        assert_eq!(chosen(webcam, wish(1280, 720)), Some((*b"MJPG", 1280, 720)));
        assert_eq!(chosen(webcam, wish(1, 1)), Some((*b"YUYV", 320, 240)));
        let only_jpeg = Wish { kind: Some(Kind::Jpeg), ..wish(640, 480) };
        assert_eq!(chosen(webcam, only_jpeg), Some((*b"MJPG", 640, 480)));
        let grey: &[(&FourCc, &[(u32, u32)])] = &[(b"GREY", sizes), (b"BGR3", sizes)];
        assert_eq!(chosen(grey, wish(640, 480)), Some((*b"BGR3", 640, 480)));
    }

    #[test]
    fn formats_that_are_not_read_here_are_named() {
        let mut device = FakeDevice::offering(&[(b"H264", &[(640, 480)]), (b"pRAA", &[(640, 480)])]);
        let Err(Refusal::NoneKnown(offered)) = negotiate(&mut device, wish(640, 480)) else { panic!("found one") };
        assert_eq!(offered, [*b"H264", *b"pRAA"]);
    }

    #[test]
    fn a_driver_that_refuses_every_format_is_quoted() {
        let mut device = FakeDevice::offering(&[(b"YUYV", &[(640, 480)])]);
        device.refuses_formats = true;
        assert!(matches!(negotiate(&mut device, wish(640, 480)), Err(Refusal::System(_))));
    }

    #[test]
    fn a_padded_row_is_read_as_such_and_an_impossible_one_is_refused() {
        let mut format = FakeDevice::offering(&[(b"YUYV", &[(60, 40)])]).current();
        format.stride = 128;
        let Some(Coding::Samples(layout, _)) = coding(&format).unwrap() else { panic!("YUYV is known") };
        assert_eq!((layout.stride(), layout.frame_len()), (128, 128 * 40));
        format.stride = 100;
        assert!(coding(&format).is_err());
    }
}
