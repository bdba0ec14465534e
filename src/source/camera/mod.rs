//! V4L2 cameras.

mod colors;
mod device;
#[cfg(test)]
mod fake;
mod ioctls;
mod listing;
mod negotiate;
mod structures;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use device::{Capability, Device, Filled};
use ioctls::VideoDevice;
use negotiate::{Refusal, Wish, coding, negotiate};

pub use listing::{ListedCamera, ListedFormat, list_cameras};

use super::StreamFormat;
use super::counters::Counters;
use super::raw_frame::{Coding, RawFrame, RawSource};
use super::stop::{SLICE, Stop};
use crate::error::{Error, Result};
use crate::limits::MAX_BROKEN_FRAMES;

/// Buffers that the driver fills in turn.
const BUFFERS: u32 = 4;

/// Wake-ups in a row without a buffer before the device counts as broken.
const MAX_EMPTY_WAKES: u32 = 1_000;

/// What is asked of a camera; it gives what comes closest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CameraOptions {
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// The only format to ask for; `None` for the one that is cheapest to convert.
    pub format: Option<StreamFormat>,
    /// Longest silence before the camera counts as lost.
    pub stall: Duration,
}

/// A capture device that streams into mapped buffers; gives its newest frame.
///
/// Frames that were overtaken, that the driver marks as damaged, or that it has lost itself, are counted as dropped.
pub struct Camera {
    stream: Stream<VideoDevice>,
}

impl Camera {
    /// Opens a device node such as `/dev/video0` and starts it.
    ///
    /// # Errors
    /// [`Error::CameraOpen`], [`Error::CsiReceiver`], [`Error::NotACamera`], [`Error::CameraFormat`].
    pub fn open(path: &Path, options: &CameraOptions, stop: &Stop, counters: Counters) -> Result<Self> {
        let device = VideoDevice::open(path).map_err(|cause| open_error(path, cause))?;
        let stream = Stream::start(device, path, options, stop, counters)?;
        Ok(Self { stream })
    }
}

impl RawSource for Camera {
    fn next_raw(&mut self, frame: &mut RawFrame) -> Result<bool> {
        self.stream.next_raw(frame)
    }
}

/// What is made of a device's buffers.
struct Stream<D> {
    device: D,
    path: PathBuf,
    coding: Coding,
    buffers: usize,
    last_sequence: Option<u32>,
    stall: Duration,
    stop: Stop,
    counters: Counters,
}

impl<D: Device> Stream<D> {
    fn start(mut device: D, path: &Path, options: &CameraOptions, stop: &Stop, counters: Counters) -> Result<Self> {
        let capability = device.capability().map_err(|cause| not_a_camera(path, cause.to_string()))?;
        check(path, &capability)?;
        let format = negotiate(&mut device, options.wish()).map_err(|refusal| match refusal {
            Refusal::System(cause) => open_error(path, cause),
            Refusal::NoneKnown(offered) => Error::CameraFormat { path: path.into(), offered: listing::names(&offered) },
        })?;
        let coding = coding(&format)?
            .ok_or_else(|| Error::CameraFormat { path: path.into(), offered: listing::names(&[format.fourcc]) })?;
        let buffers = device.start(BUFFERS).map_err(|cause| open_error(path, cause))?;
        let (name, fourcc) = (path.display(), listing::names(&[format.fourcc]));
        log::info!("{name} ({}) gives {fourcc} of {} x {} pixels", capability.card, format.width, format.height);
        let (stall, stop) = (options.stall, stop.clone());
        Ok(Self { device, path: path.into(), coding, buffers, last_sequence: None, stall, stop, counters })
    }

    /// The newest buffer; `None` if a stop came first.
    fn newest(&mut self) -> Result<Option<Filled>> {
        let Some(mut newest) = self.wait_for_one()? else { return Ok(None) };
        let mut ready = 1;
        while ready < self.buffers {
            match self.dequeue() {
                Ok(next) => {
                    self.pass_over(newest)?;
                    newest = next;
                    ready += 1;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Some(newest)),
                Err(cause) => return Err(self.lost(cause)),
            }
        }
        if self.buffers == 1 {
            return Ok(Some(newest));
        }
        // All buffers were full, so the driver had none to write the present into: even the newest is old.
        self.pass_over(newest)?;
        self.wait_for_one()
    }

    fn wait_for_one(&mut self) -> Result<Option<Filled>> {
        let (mut waited, mut empty_wakes) = (Duration::ZERO, 0);
        while !self.stop.is_requested() {
            if waited >= self.stall {
                let silence = format!("no frame for {waited:.1?}");
                return Err(self.lost(io::Error::new(io::ErrorKind::TimedOut, silence)));
            }
            let slice = SLICE.min(self.stall - waited);
            if !self.device.wait(slice).map_err(|cause| self.lost(cause))? {
                waited += slice;
                continue;
            }
            match self.dequeue() {
                Ok(filled) => return Ok(Some(filled)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && empty_wakes < MAX_EMPTY_WAKES => empty_wakes += 1,
                Err(cause) => return Err(self.lost(cause)),
            }
        }
        Ok(None)
    }

    fn dequeue(&mut self) -> io::Result<Filled> {
        let filled = self.device.dequeue()?;
        let lost = self.last_sequence.map_or(0, |last| filled.sequence.wrapping_sub(last).wrapping_sub(1));
        // A driver that counts otherwise than up by one says nothing about losses.
        let lost = if lost > u32::MAX / 2 { 0 } else { lost };
        self.last_sequence = Some(filled.sequence);
        self.counters.receive(1 + u64::from(lost));
        self.counters.drop_frames(lost.into());
        Ok(filled)
    }

    fn pass_over(&mut self, filled: Filled) -> Result<()> {
        self.counters.drop_frames(1);
        self.device.enqueue(filled.index).map_err(|cause| self.lost(cause))
    }

    /// Whether the buffer holds a whole frame.
    fn is_whole(&self, filled: Filled) -> bool {
        let len = self.device.bytes(filled.index).len();
        let least_len = match self.coding {
            Coding::Samples(layout, _) => layout.least_len(),
            Coding::Picture => 1,
        };
        !filled.is_damaged && len >= least_len
    }

    fn lost(&self, cause: io::Error) -> Error {
        Error::CameraLost { name: self.path.display().to_string(), cause }
    }
}

impl<D: Device> RawSource for Stream<D> {
    fn next_raw(&mut self, frame: &mut RawFrame) -> Result<bool> {
        for _ in 0..MAX_BROKEN_FRAMES {
            let Some(filled) = self.newest()? else { return Ok(false) };
            if !self.is_whole(filled) {
                self.pass_over(filled)?;
                continue;
            }
            frame.bytes.clear();
            frame.bytes.extend_from_slice(self.device.bytes(filled.index));
            frame.coding = self.coding;
            frame.name.clone_from(&self.path);
            self.device.enqueue(filled.index).map_err(|cause| self.lost(cause))?;
            return Ok(true);
        }
        Err(self.lost(io::Error::other("all its frames are damaged or short")))
    }
}

impl CameraOptions {
    fn wish(&self) -> Wish {
        let kind = self.format.map(|format| match format {
            StreamFormat::Raw(pixels) => negotiate::Kind::Samples(pixels),
            StreamFormat::Y4m | StreamFormat::Mjpeg => negotiate::Kind::Jpeg,
        });
        Wish { size: self.size, kind }
    }
}

/// Refuses what is no camera, or one that gives pictures only to libcamera.
fn check(path: &Path, capability: &Capability) -> Result<()> {
    if is_csi_receiver(&capability.driver) {
        return Err(Error::CsiReceiver { path: path.into(), driver: capability.driver.clone() });
    }
    match capability {
        Capability { captures: true, streams: true, .. } => Ok(()),
        Capability { captures_planes: true, .. } => {
            Err(not_a_camera(path, format!("driver {} has the multi-planar interface only", capability.driver)))
        }
        _ => Err(not_a_camera(path, format!("driver {} does not capture", capability.driver))),
    }
}

/// Whether a driver is a Raspberry Pi's camera receiver, whose pictures only libcamera can develop.
fn is_csi_receiver(driver: &str) -> bool {
    matches!(driver, "unicam" | "rp1-cfe" | "bm2835 mmal")
}

fn not_a_camera(path: &Path, problem: String) -> Error {
    Error::NotACamera { path: path.into(), problem }
}

fn open_error(path: &Path, cause: io::Error) -> Error {
    let remedy = match cause.kind() {
        io::ErrorKind::PermissionDenied => " (is the user in group `video`?)",
        io::ErrorKind::NotFound => " (is it plugged in? `scenescribe cameras` lists what is there)",
        io::ErrorKind::ResourceBusy => " (another program uses it)",
        _ => "",
    };
    Error::CameraOpen { path: path.into(), cause, remedy }
}

#[cfg(test)]
mod tests;
