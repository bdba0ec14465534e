//! A device that does what a test says, at the seam of the ioctls.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use super::device::{Capability, Device, Filled, Format, FourCc, FrameSize};
use crate::source::{ColorSpec, Stop};

/// What the device does when it is polled or dequeued.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// A frame of these bytes, with its number.
    Frame(u32, Vec<u8>),
    /// A frame with the error flag.
    Damaged(u32),
    /// Nothing within the time of a poll.
    Silence,
    /// Ready when polled, but nothing to dequeue.
    FalseAlarm,
    /// Dequeuing fails with this code of errno.
    Failure(i32),
    /// The user asks for the end.
    StopAsked,
}

/// Buffers queue up as in a driver: one event is taken for each that is free.
pub(crate) struct FakeDevice {
    pub capability: Capability,
    pub refuses_formats: bool,
    pub start_error: Option<i32>,
    pub events: RefCell<VecDeque<Event>>,
    pub stop: Stop,
    pub is_queued: Vec<bool>,
    offered: Vec<(FourCc, Vec<(u32, u32)>)>,
    current: Format,
    contents: Vec<Vec<u8>>,
}

impl FakeDevice {
    pub fn offering(offered: &[(&FourCc, &[(u32, u32)])]) -> Self {
        let offered: Vec<_> = offered.iter().map(|(fourcc, sizes)| (**fourcc, sizes.to_vec())).collect();
        let (fourcc, sizes) = &offered[0];
        let (width, height) = sizes[0];
        let current = Format { fourcc: *fourcc, width, height, stride: 0, color: ColorSpec::default() };
        let driver = "uvcvideo".into();
        Self {
            capability: Capability { driver, captures: true, streams: true, ..Capability::default() },
            refuses_formats: false,
            start_error: None,
            events: RefCell::default(),
            stop: Stop::default(),
            is_queued: Vec::new(),
            offered,
            current,
            contents: Vec::new(),
        }
    }

    pub fn current(&self) -> Format {
        self.current
    }
}

impl Device for FakeDevice {
    fn capability(&self) -> io::Result<Capability> {
        Ok(self.capability.clone())
    }

    fn format(&self, index: u32) -> io::Result<FourCc> {
        let format = self.offered.get(index as usize).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(format.0)
    }

    fn frame_size(&self, fourcc: FourCc, index: u32) -> io::Result<FrameSize> {
        let sizes = self.offered.iter().find(|(offered, _)| *offered == fourcc).map(|(_, sizes)| sizes);
        let size = sizes.and_then(|sizes| sizes.get(index as usize)).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(FrameSize::One(size.0, size.1))
    }

    fn set_format(&mut self, fourcc: FourCc, width: u32, height: u32) -> io::Result<Format> {
        if self.refuses_formats {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        // As drivers do: the closest size, and the first format for one that is not known.
        let known = self.offered.iter().find(|(offered, _)| *offered == fourcc).unwrap_or(&self.offered[0]);
        let distance = |size: &&(u32, u32)| size.0.abs_diff(width) + size.1.abs_diff(height);
        let (width, height) = *known.1.iter().min_by_key(distance).unwrap();
        self.current = Format { fourcc: known.0, width, height, ..self.current };
        Ok(self.current)
    }

    fn start(&mut self, buffers: u32) -> io::Result<usize> {
        if let Some(code) = self.start_error {
            return Err(io::Error::from_raw_os_error(code));
        }
        self.is_queued = vec![true; buffers as usize];
        self.contents = vec![Vec::new(); buffers as usize];
        Ok(buffers as usize)
    }

    fn wait(&self, _: Duration) -> io::Result<bool> {
        let mut events = self.events.borrow_mut();
        match events.front() {
            Some(Event::StopAsked) => self.stop.request(),
            None | Some(Event::Silence) => {}
            Some(_) => return Ok(true),
        }
        events.pop_front();
        Ok(false)
    }

    fn dequeue(&mut self) -> io::Result<Filled> {
        let mut events = self.events.borrow_mut();
        let event = match events.front() {
            None | Some(Event::Silence | Event::StopAsked) => return Err(io::ErrorKind::WouldBlock.into()),
            Some(_) => events.pop_front().unwrap(),
        };
        drop(events);
        let (sequence, bytes, is_damaged) = match event {
            Event::Frame(sequence, bytes) => (sequence, bytes, false),
            Event::Damaged(sequence) => (sequence, vec![0; 64], true),
            Event::Failure(code) => return Err(io::Error::from_raw_os_error(code)),
            _ => return Err(io::ErrorKind::WouldBlock.into()),
        };
        let index = self.is_queued.iter().position(|is_queued| *is_queued).expect("no buffer is queued");
        self.is_queued[index] = false;
        self.contents[index] = bytes;
        Ok(Filled { index, sequence, is_damaged })
    }

    fn bytes(&self, index: usize) -> &[u8] {
        assert!(!self.is_queued[index], "buffer {index} is the driver's");
        &self.contents[index]
    }

    fn enqueue(&mut self, index: usize) -> io::Result<()> {
        assert!(!std::mem::replace(&mut self.is_queued[index], true), "buffer {index} is queued twice");
        Ok(())
    }
}
