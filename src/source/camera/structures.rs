//! The structures of Linux's `videodev2.h`, field by field.
//!
//! On 32-bit machines they are those with 64-bit time, which Linux has known since 5.6.

/// `struct v4l2_capability`.
#[repr(C)]
#[derive(Default)]
pub(super) struct QueryCapability {
    pub driver: [u8; 16],
    pub card: [u8; 32],
    pub bus: [u8; 32],
    pub version: u32,
    pub capabilities: u32,
    pub device_capabilities: u32,
    pub reserved: [u32; 3],
}

/// `struct v4l2_fmtdesc`.
#[repr(C)]
#[derive(Default)]
pub(super) struct FormatDescription {
    pub index: u32,
    pub kind: u32,
    pub flags: u32,
    pub description: [u8; 32],
    pub fourcc: u32,
    pub code: u32,
    pub reserved: [u32; 3],
}

/// `struct v4l2_frmsizeenum`; a discrete size has its two numbers first.
#[repr(C)]
#[derive(Default)]
pub(super) struct FrameSizeDescription {
    pub index: u32,
    pub fourcc: u32,
    pub kind: u32,
    pub sizes: [u32; 6], // least width, greatest, step, least height, greatest, step
    pub reserved: [u32; 2],
}

/// `struct v4l2_format`.
#[repr(C)]
pub(super) struct FormatRequest {
    pub kind: u32,
    pub choice: FormatUnion,
}

/// The union within, of 200 bytes, aligned as the pointers that other members hold.
#[repr(C)]
pub(super) struct FormatUnion {
    pub alignment: [usize; 0],
    pub pixels: PixelLayout,
    pub rest: [u8; 152],
}

/// `struct v4l2_pix_format`.
#[repr(C)]
#[derive(Default)]
pub(super) struct PixelLayout {
    pub width: u32,
    pub height: u32,
    pub fourcc: u32,
    pub field: u32,
    pub stride: u32,
    pub image_len: u32,
    pub color_space: u32,
    pub private: u32,
    pub flags: u32,
    pub matrix: u32,
    pub range: u32,
    pub transfer: u32,
}

/// `struct v4l2_requestbuffers`.
#[repr(C)]
#[derive(Default)]
pub(super) struct BufferRequest {
    pub count: u32,
    pub kind: u32,
    pub memory: u32,
    pub capabilities: u32,
    pub flags: u32,
}

/// `struct v4l2_buffer`.
#[repr(C)]
#[derive(Default)]
pub(super) struct Buffer {
    pub index: u32,
    pub kind: u32,
    pub bytes_used: u32,
    pub flags: u32,
    pub field: u32,
    pub timestamp: [i64; 2],
    pub timecode: [u32; 4],
    pub sequence: u32,
    pub memory: u32,
    pub offset: usize, // a union with pointers; the offset is its first 32 bits
    pub len: u32,
    pub reserved: u32,
    pub request: u32,
}

#[cfg(not(target_arch = "x86"))]
const _: () = {
    let is_64_bit = size_of::<usize>() == 8;
    assert!(size_of::<QueryCapability>() == 104);
    assert!(size_of::<FormatDescription>() == 64);
    assert!(size_of::<FrameSizeDescription>() == 44);
    assert!(size_of::<FormatRequest>() == if is_64_bit { 208 } else { 204 });
    assert!(size_of::<BufferRequest>() == 20);
    assert!(size_of::<Buffer>() == if is_64_bit { 88 } else { 80 });
};
