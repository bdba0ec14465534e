//! What is asked of a V4L2 device, one method for each kind of ioctl: the seam where tests put a device of their own.

use std::io;
use std::time::Duration;

use crate::source::ColorSpec;

/// The four characters that name a pixel format.
pub(crate) type FourCc = [u8; 4];

/// Who answers at a device node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Capability {
    pub driver: String,
    pub card: String,
    pub bus: String,
    pub captures: bool,
    pub captures_planes: bool,
    pub streams: bool,
}

/// What the driver has settled on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    pub fourcc: FourCc,
    pub width: u32,
    pub height: u32,
    /// Bytes from row to row; 0 where the driver does not tell, as for JPEG.
    pub stride: u32,
    pub color: ColorSpec,
}

/// Sizes of a pixel format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameSize {
    /// Width and height.
    One(u32, u32),
    /// Any between the smallest and the largest.
    Between([u32; 2], [u32; 2]),
}

/// A buffer that the driver has filled and handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Filled {
    pub index: usize,
    pub sequence: u32,
    pub is_damaged: bool,
}

/// A capture device with memory-mapped buffers, opened without blocking.
pub(crate) trait Device: Send {
    /// `VIDIOC_QUERYCAP`.
    fn capability(&self) -> io::Result<Capability>;

    /// `VIDIOC_ENUM_FMT`; an error ends the list.
    fn format(&self, index: u32) -> io::Result<FourCc>;

    /// `VIDIOC_ENUM_FRAMESIZES`; an error ends the list.
    fn frame_size(&self, fourcc: FourCc, index: u32) -> io::Result<FrameSize>;

    /// `VIDIOC_S_FMT`: what the driver makes of the wish.
    fn set_format(&mut self, fourcc: FourCc, width: u32, height: u32) -> io::Result<Format>;

    /// `VIDIOC_REQBUFS`, and for each buffer `VIDIOC_QUERYBUF`, mmap and `VIDIOC_QBUF`, then `VIDIOC_STREAMON`; gives the
    /// number of buffers.
    fn start(&mut self, buffers: u32) -> io::Result<usize>;

    /// poll(2): whether dequeuing would give a buffer or an error.
    fn wait(&self, timeout: Duration) -> io::Result<bool>;

    /// `VIDIOC_DQBUF`.
    fn dequeue(&mut self) -> io::Result<Filled>;

    /// What the driver has written into a dequeued buffer; nothing if it is not dequeued.
    fn bytes(&self, index: usize) -> &[u8];

    /// `VIDIOC_QBUF`: hands a buffer back.
    fn enqueue(&mut self, index: usize) -> io::Result<()>;
}
