//! Which cameras there are.

use std::fs;
use std::path::{Path, PathBuf};

use super::device::{Capability, Device, FourCc, FrameSize};
use super::ioctls::VideoDevice;
use super::{check, negotiate, not_a_camera, open_error};
use crate::error::{Error, Result};

/// Sizes that a driver may list for a format; a bound for drivers that never end.
const MAX_SIZES: u32 = 64;

/// A device node that captures video.
#[derive(Debug)]
pub struct ListedCamera {
    /// Such as `/dev/video0`.
    pub path: PathBuf,
    /// What the device calls itself.
    pub card: String,
    /// Name of the kernel's driver.
    pub driver: String,
    /// What it gives.
    pub formats: Vec<ListedFormat>,
    /// Why it cannot be used, with the remedy.
    pub problem: Option<Error>,
}

/// A pixel format with its sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFormat {
    /// The four characters of V4L2.
    pub name: String,
    /// Least and greatest width and height; the same twice where it is one size.
    pub sizes: Vec<[(u32, u32); 2]>,
}

/// All devices `/dev/video*` that capture, in the order of their numbers, those that cannot be used included.
///
/// # Errors
/// [`Error::Read`] if `/dev` cannot be read.
pub fn list_cameras() -> Result<Vec<ListedCamera>> {
    let read_error = |cause| Error::Read { path: "/dev".into(), cause };
    let mut nodes: Vec<(u32, PathBuf)> = fs::read_dir("/dev")
        .map_err(read_error)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter_map(|path| number(&path).map(|number| (number, path)))
        .collect();
    nodes.sort();
    Ok(nodes.into_iter().filter_map(|(_, path)| list(&path)).collect())
}

fn number(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_prefix("video")?.parse().ok()
}

/// What is at a node; `None` if it is there for something else than capturing.
fn list(path: &Path) -> Option<ListedCamera> {
    let opened = VideoDevice::open(path).map_err(|cause| open_error(path, cause));
    match opened {
        Ok(device) => describe(&device, path),
        Err(problem) => Some(unusable(path, &Capability::default(), problem)),
    }
}

fn describe(device: &impl Device, path: &Path) -> Option<ListedCamera> {
    let capability = match device.capability() {
        Ok(capability) => capability,
        Err(cause) => {
            return Some(unusable(path, &Capability::default(), not_a_camera(path, cause.to_string())));
        }
    };
    if !capability.captures && !capability.captures_planes {
        return None;
    }
    if let Err(problem) = check(path, &capability) {
        return Some(unusable(path, &capability, problem));
    }
    let formats = negotiate::formats(device).into_iter().map(|fourcc| listed_format(device, fourcc)).collect();
    let (path, card, driver) = (path.into(), capability.card, capability.driver);
    Some(ListedCamera { path, card, driver, formats, problem: None })
}

fn unusable(path: &Path, capability: &Capability, problem: Error) -> ListedCamera {
    let (card, driver) = (capability.card.clone(), capability.driver.clone());
    ListedCamera { path: path.into(), card, driver, formats: Vec::new(), problem: Some(problem) }
}

fn listed_format(device: &impl Device, fourcc: FourCc) -> ListedFormat {
    let mut sizes = Vec::new();
    for index in 0..MAX_SIZES {
        match device.frame_size(fourcc, index) {
            Ok(FrameSize::One(width, height)) => sizes.push([(width, height); 2]),
            Ok(FrameSize::Between(least, greatest)) => {
                sizes.push([least, greatest].map(|[width, height]| (width, height)));
                break;
            }
            Err(_) => break,
        }
    }
    ListedFormat { name: names(&[fourcc]), sizes }
}

/// Names of formats, what cannot be printed replaced.
pub(super) fn names(formats: &[FourCc]) -> String {
    if formats.is_empty() {
        return "no format".into();
    }
    let printable = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
    let name = |fourcc: &FourCc| match fourcc[3] {
        b' ' => fourcc[..3].iter().map(printable).collect::<String>(),
        _ => fourcc.iter().map(printable).collect(),
    };
    formats.iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::fake::FakeDevice;
    use super::*;

    #[test]
    fn a_webcam_is_described_with_its_formats_and_sizes() {
        let device = FakeDevice::offering(&[(b"YUYV", &[(640, 480), (320, 240)]), (b"Y16 ", &[(8, 8)])]);
        let camera = describe(&device, Path::new("/dev/video3")).unwrap();
        assert!(camera.problem.is_none());
        let sizes = vec![[(640, 480); 2], [(320, 240); 2]];
        assert_eq!(camera.formats[0], ListedFormat { name: "YUYV".into(), sizes });
        assert_eq!(camera.formats[1].name, "Y16");
    }

    #[test]
    fn receivers_are_recognised_and_what_does_not_capture_is_left_out() {
        for driver in ["unicam", "rp1-cfe", "bm2835 mmal"] {
            let mut device = FakeDevice::offering(&[(b"pRAA", &[(640, 480)])]);
            device.capability.driver = driver.into();
            let problem = describe(&device, Path::new("/dev/video0")).unwrap().problem.unwrap().to_string();
            assert!(problem.contains(driver) && problem.contains("rpicam-vid"), "{problem}");
        }
        let mut codec = FakeDevice::offering(&[(b"YUYV", &[(640, 480)])]);
        codec.capability.captures = false;
        assert!(describe(&codec, Path::new("/dev/video10")).is_none());
        codec.capability.captures_planes = true;
        assert!(describe(&codec, Path::new("/dev/video10")).unwrap().problem.is_some());
    }

    #[test]
    fn nodes_are_told_by_their_number() {
        for (path, expected) in [("/dev/video10", Some(10)), ("/dev/video", None), ("/dev/videoX", None)] {
            assert_eq!(number(Path::new(path)), expected, "{path}");
        }
    }
}
