//! The ioctls of a V4L2 device and its mapped buffers: the one file of the sources that may be unsafe.

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io;
use std::path::Path;
use std::ptr::{NonNull, null_mut};
use std::slice;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter, Updater, ioctl, opcode};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::colors::{Colorimetry, color};
use super::device::{Capability, Device, Filled, Format, FourCc, FrameSize};
use super::structures::{
    Buffer, BufferRequest, FormatDescription, FormatRequest, FormatUnion, FrameSizeDescription, PixelLayout,
    QueryCapability,
};
use crate::source::pipe::is_readable;

const CAPTURE: u32 = 1; // V4L2_BUF_TYPE_VIDEO_CAPTURE
const MMAP: u32 = 1; // V4L2_MEMORY_MMAP
const NO_FIELD: u32 = 1; // V4L2_FIELD_NONE: whole frames
const PRIVATE_MAGIC: u32 = 0xFEED_CAFE; // V4L2_PIX_FMT_PRIV_MAGIC: the fields behind `private` are meant

const CAP_CAPTURE: u32 = 0x0000_0001;
const CAP_CAPTURE_PLANES: u32 = 0x0000_1000;
const CAP_STREAMING: u32 = 0x0400_0000;
const CAP_DEVICE_CAPS: u32 = 0x8000_0000;

const BUFFER_ERROR: u32 = 0x0000_0040; // V4L2_BUF_FLAG_ERROR

const QUERYCAP: Opcode = opcode::read::<QueryCapability>(b'V', 0);
const ENUM_FMT: Opcode = opcode::read_write::<FormatDescription>(b'V', 2);
const S_FMT: Opcode = opcode::read_write::<FormatRequest>(b'V', 5);
const REQBUFS: Opcode = opcode::read_write::<BufferRequest>(b'V', 8);
const QUERYBUF: Opcode = opcode::read_write::<Buffer>(b'V', 9);
const QBUF: Opcode = opcode::read_write::<Buffer>(b'V', 15);
const DQBUF: Opcode = opcode::read_write::<Buffer>(b'V', 17);
const STREAMON: Opcode = opcode::write::<c_int>(b'V', 18);
const STREAMOFF: Opcode = opcode::write::<c_int>(b'V', 19);
const ENUM_FRAMESIZES: Opcode = opcode::read_write::<FrameSizeDescription>(b'V', 74);

/// An open `/dev/video*` node.
pub(crate) struct VideoDevice {
    file: File,
    buffers: Vec<MappedBuffer>,
}

struct MappedBuffer {
    memory: Mapping,
    filled: Option<usize>, // bytes that the driver has written, while the buffer is not its own
}

impl VideoDevice {
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(Self { file: open(path, flags, Mode::empty())?.into(), buffers: Vec::new() })
    }

    fn update<const OPCODE: Opcode, T>(&self, argument: &mut T) -> io::Result<()> {
        loop {
            // SAFETY: each opcode above is made from the structure that it is called with in this file. The structures
            // hold plain numbers, so that whatever the driver writes into one is valid; the kernel keeps no reference
            // to it once the call has returned.
            let outcome = unsafe { ioctl(&self.file, Updater::<OPCODE, T>::new(argument)) };
            if outcome != Err(Errno::INTR) {
                return Ok(outcome?);
            }
        }
    }

    fn stream<const OPCODE: Opcode>(&self) -> io::Result<()> {
        // SAFETY: STREAMON and STREAMOFF read one int, the buffer type.
        Ok(unsafe { ioctl(&self.file, Setter::<OPCODE, c_int>::new(CAPTURE as c_int)) }?)
    }

    fn map(&mut self, index: u32) -> io::Result<()> {
        let mut buffer = Buffer { index, kind: CAPTURE, memory: MMAP, ..Buffer::default() };
        self.update::<QUERYBUF, _>(&mut buffer)?;
        let memory = Mapping::new(&self.file, buffer.len as usize, (buffer.offset & 0xFFFF_FFFF) as u64)?;
        self.buffers.push(MappedBuffer { memory, filled: Some(0) });
        Ok(())
    }
}

impl Device for VideoDevice {
    fn capability(&self) -> io::Result<Capability> {
        let mut answer = QueryCapability::default();
        self.update::<QUERYCAP, _>(&mut answer)?;
        let has_own = answer.capabilities & CAP_DEVICE_CAPS != 0;
        let flags = if has_own { answer.device_capabilities } else { answer.capabilities };
        Ok(Capability {
            driver: text(&answer.driver),
            card: text(&answer.card),
            bus: text(&answer.bus),
            captures: flags & CAP_CAPTURE != 0,
            captures_planes: flags & CAP_CAPTURE_PLANES != 0,
            streams: flags & CAP_STREAMING != 0,
        })
    }

    fn format(&self, index: u32) -> io::Result<FourCc> {
        let mut answer = FormatDescription { index, kind: CAPTURE, ..FormatDescription::default() };
        self.update::<ENUM_FMT, _>(&mut answer)?;
        Ok(answer.fourcc.to_le_bytes())
    }

    fn frame_size(&self, fourcc: FourCc, index: u32) -> io::Result<FrameSize> {
        const DISCRETE: u32 = 1;
        let fourcc = u32::from_le_bytes(fourcc);
        let mut answer = FrameSizeDescription { index, fourcc, ..FrameSizeDescription::default() };
        self.update::<ENUM_FRAMESIZES, _>(&mut answer)?;
        let [first, second, _, third, fourth, _] = answer.sizes;
        Ok(match answer.kind {
            DISCRETE => FrameSize::One(first, second),
            _ => FrameSize::Between([first, third], [second, fourth]),
        })
    }

    fn set_format(&mut self, fourcc: FourCc, width: u32, height: u32) -> io::Result<Format> {
        let fourcc = u32::from_le_bytes(fourcc);
        let pixels =
            PixelLayout { width, height, fourcc, field: NO_FIELD, private: PRIVATE_MAGIC, ..PixelLayout::default() };
        let choice = FormatUnion { alignment: [], pixels, rest: [0; 152] };
        let mut request = FormatRequest { kind: CAPTURE, choice };
        self.update::<S_FMT, _>(&mut request)?;
        let PixelLayout { width, height, fourcc, stride, color_space, matrix, range, .. } = request.choice.pixels;
        let fourcc = fourcc.to_le_bytes();
        let color = color(fourcc, Colorimetry { color_space, matrix, range });
        Ok(Format { fourcc, width, height, stride, color })
    }

    fn start(&mut self, buffers: u32) -> io::Result<usize> {
        let mut request = BufferRequest { count: buffers, kind: CAPTURE, memory: MMAP, ..BufferRequest::default() };
        self.update::<REQBUFS, _>(&mut request)?;
        for index in 0..request.count {
            self.map(index)?;
            self.enqueue(index as usize)?;
        }
        self.stream::<STREAMON>()?;
        Ok(self.buffers.len())
    }

    fn wait(&self, timeout: Duration) -> io::Result<bool> {
        is_readable(&self.file, timeout)
    }

    fn dequeue(&mut self) -> io::Result<Filled> {
        let mut buffer = Buffer { kind: CAPTURE, memory: MMAP, ..Buffer::default() };
        self.update::<DQBUF, _>(&mut buffer)?;
        let index = buffer.index as usize;
        let mapped = self.buffers.get_mut(index).ok_or(io::ErrorKind::InvalidData)?;
        mapped.filled = Some((buffer.bytes_used as usize).min(mapped.memory.len));
        Ok(Filled { index, sequence: buffer.sequence, is_damaged: buffer.flags & BUFFER_ERROR != 0 })
    }

    fn bytes(&self, index: usize) -> &[u8] {
        let Some(MappedBuffer { memory, filled: Some(len) }) = self.buffers.get(index) else { return &[] };
        // SAFETY: the mapping is at least `len` bytes long and lives as long as `self`. The driver writes into a buffer
        // only while it is queued: `filled` is set when it is dequeued and taken back before it is queued again, which
        // needs `&mut self`.
        unsafe { slice::from_raw_parts(memory.start.as_ptr().cast(), *len) }
    }

    fn enqueue(&mut self, index: usize) -> io::Result<()> {
        let mapped = self.buffers.get_mut(index).ok_or(io::ErrorKind::InvalidInput)?;
        mapped.filled = None;
        let mut buffer = Buffer { index: index as u32, kind: CAPTURE, memory: MMAP, ..Buffer::default() };
        self.update::<QBUF, _>(&mut buffer)
    }
}

impl Drop for VideoDevice {
    fn drop(&mut self) {
        if !self.buffers.is_empty() {
            // An unplugged camera refuses; closing the file does the rest.
            let _ = self.stream::<STREAMOFF>();
        }
    }
}

/// Memory shared with the driver.
struct Mapping {
    start: NonNull<c_void>,
    len: usize,
}

// SAFETY: the memory belongs to the process, not to a thread, and only the owner of the mapping reads it.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(file: &File, len: usize, offset: u64) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use.
        let start = unsafe { mmap(null_mut(), len, protection, MapFlags::SHARED, file, offset) }?;
        let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped with this length in `new`; every slice of it borrows the device that owns it.
        let _ = unsafe { munmap(self.start.as_ptr(), self.len) };
    }
}

/// Text up to the first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcodes_are_those_of_videodev2_h() {
        // _IOR and _IOWR of 'V' with the sizes asserted above.
        let of_size = |size: u32, number: u32| 0xC000_5600 | size << 16 | number;
        assert_eq!(QUERYCAP, 0x8068_5600);
        assert_eq!(ENUM_FMT, 0xC040_5602);
        assert_eq!(REQBUFS, 0xC014_5608);
        assert_eq!(STREAMON, 0x4004_5612);
        assert_eq!(ENUM_FRAMESIZES, 0xC02C_564A);
        assert_eq!(S_FMT, of_size(size_of::<FormatRequest>() as u32, 5));
        assert_eq!(DQBUF, of_size(size_of::<Buffer>() as u32, 17));
    }

    #[test]
    fn a_file_that_is_no_camera_answers_no_ioctl() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let device = VideoDevice::open(file.path()).unwrap();
        assert!(device.capability().is_err());
        assert!(device.bytes(0).is_empty());
    }

    #[test]
    fn names_end_at_the_first_zero() {
        assert_eq!(text(b"vivid\0\0x"), "vivid");
        assert_eq!(text(b"full"), "full");
    }
}
