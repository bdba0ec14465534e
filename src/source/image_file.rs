//! Picture files: the one module that imports `image`.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{
    ColorType, DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, Rgb, RgbImage,
    imageops,
};

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::guard::{Cause, guarded};
use crate::limits::{MAX_PICTURE_BYTES, MAX_PICTURE_PIXELS, MAX_PICTURE_SIDE};
use crate::memory_pool;
use crate::source::jpeg;
use crate::source::scaled_jpeg::ScaledJpeg;
use crate::spec::{PreprocessSpec, Resize};

/// Bytes that a decoder may allocate: the largest picture at eight bytes a pixel (16-bit RGBA).
const MAX_DECODER_BYTES: u64 = 8 * MAX_PICTURE_PIXELS;

/// Bytes of texts, profiles and EXIF of a PNG, unpacked.
const MAX_PNG_EXTRAS: u64 = 16 << 20;

/// A JPEG is scaled as long as its sides stay 4/3 of what the encoder takes, so that the resize still has several pixels to
/// average for each of its own.
const SCALING_MARGIN: [usize; 2] = [4, 3];

/// Of 100, for pictures of the size of a thumb.
const THUMBNAIL_QUALITY: u8 = 70;

/// Reads JPEG, PNG, WebP, BMP, GIF (first frame) and TIFF (first page), upright as EXIF says.
///
/// Keeps its memory from picture to picture. Transparent pixels are laid over white, 16-bit channels are reduced to eight.
#[derive(Debug, Default)]
pub struct PictureReader {
    file: Vec<u8>,
    pixels: Vec<u8>,           // (height, width, 3)
    least: Option<[usize; 2]>, // width and height
}

impl PictureReader {
    /// A reader that has allocated nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A reader for an encoder that shrinks pictures: a baseline JPEG that is much larger is decoded at a fraction of its
    /// size, which is several times faster, takes less memory, and changes what the encoder sees by little.
    pub fn for_encoder(spec: &PreprocessSpec) -> Self {
        let [height, width] = match spec.resize {
            Resize::Squash(size) => size,
            Resize::ShortestEdge(side) => [side; 2],
        };
        let [more, less] = SCALING_MARGIN;
        Self { least: Some([width, height].map(|side| (side * more).div_ceil(less))), ..Self::default() }
    }

    /// Reads and decodes a file.
    ///
    /// # Errors
    /// One variant for each way in which a picture can be bad; the reader can go on with the next.
    pub fn read(&mut self, path: &Path) -> Result<Frame<'_>> {
        let unreadable = |cause| Error::Read { path: path.into(), cause };
        let file = File::open(path).map_err(unreadable)?;
        let len = file.metadata().map_err(unreadable)?.len();
        let limit = memory_pool::left().map_or(MAX_PICTURE_BYTES, |left| MAX_PICTURE_BYTES.min(left as u64 / 2));
        if len > limit {
            return Err(Error::FileTooLarge { path: path.into(), limit });
        }
        self.file.clear();
        self.file.reserve_exact(len as usize + 1);
        self.read_from(file, path)
    }

    /// Decodes what a stream holds up to its end; `name` only names it in errors.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_from(&mut self, stream: impl Read, name: &Path) -> Result<Frame<'_>> {
        self.file.clear();
        let read = stream.take(MAX_PICTURE_BYTES + 1).read_to_end(&mut self.file);
        read.map_err(|cause| Error::Read { path: name.into(), cause })?;
        let decoding = Decoding { name, file: &self.file, least: self.least };
        let (width, height) = decoding.run(&mut self.pixels)?;
        Frame::new(width, height, &self.pixels)
    }

    /// Reads a file and makes a JPEG of it, of at most `side` pixels a side.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn thumbnail(&mut self, path: &Path, side: u32) -> Result<Vec<u8>> {
        self.least = Some([side as usize; 2]);
        let frame = self.read(path)?;
        let (width, height) = (frame.width(), frame.height());
        let longest = width.max(height).max(side);
        let scaled = |len: u32| (u64::from(len) * u64::from(side) / u64::from(longest)).max(1) as u32;
        let picture: ImageBuffer<Rgb<u8>, &[u8]> =
            ImageBuffer::from_raw(width, height, &self.pixels[..]).expect("a frame has the size that it states");
        let small = imageops::thumbnail(&picture, scaled(width), scaled(height));
        let mut jpeg = Vec::new();
        let encoded = JpegEncoder::new_with_quality(&mut jpeg, THUMBNAIL_QUALITY).encode_image(&small);
        encoded.map_err(|cause| Error::UnsupportedPicture { path: path.into(), cause: cause.into() })?;
        Ok(jpeg)
    }
}

/// Decodes a picture in memory into (height, width, 3) and gives its width and height; `name` only names it in errors.
///
/// # Errors
/// As [`PictureReader::read`]; `pixels` may then hold half a picture.
pub(crate) fn decode_picture(name: &Path, file: &[u8], pixels: &mut Vec<u8>) -> Result<(u32, u32)> {
    Decoding { name, file, least: None }.run(pixels)
}

/// One picture on its way from bytes to pixels.
struct Decoding<'a> {
    name: &'a Path,
    file: &'a [u8],
    least: Option<[usize; 2]>,
}

impl Decoding<'_> {
    fn run(&self, pixels: &mut Vec<u8>) -> Result<(u32, u32)> {
        let format = self.format()?;
        let size = guarded(|| match self.decode_scaled(pixels)? {
            Some(size) => Ok(size),
            None => self.decode(format, pixels),
        });
        size.map_err(|cause| match cause.downcast::<Error>() {
            Ok(known) => *known,
            Err(cause) => self.broken(cause),
        })
    }

    fn format(&self) -> Result<ImageFormat> {
        let path = || self.name.to_path_buf();
        if self.file.is_empty() {
            return Err(Error::EmptyFile { path: path() });
        }
        if self.file.len() as u64 > MAX_PICTURE_BYTES {
            return Err(Error::FileTooLarge { path: path(), limit: MAX_PICTURE_BYTES });
        }
        let format = image::guess_format(self.file).ok().filter(ImageFormat::reading_enabled);
        format.ok_or_else(|| Error::NotAPicture { path: path() })
    }

    /// A JPEG at a fraction of its size; `None` where it must be decoded in full.
    fn decode_scaled(&self, pixels: &mut Vec<u8>) -> Result<Option<(u32, u32)>> {
        let Some((least, jpeg)) = self.least.zip(ScaledJpeg::open(self.file)) else { return Ok(None) };
        let orientation = jpeg.exif().and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms);
        let least = if is_sideways(orientation) { [least[1], least[0]] } else { least };
        let Some(scale) = jpeg.scale(least) else { return Ok(None) };
        let [full_width, full_height] = jpeg.full_size().map(|side| side as u32);
        self.check_size(full_width, full_height)?;
        let [width, height] = jpeg.size(scale);
        let len = width * height * 3;
        if pixels.capacity() < len {
            *pixels = Vec::new();
        }
        let turned_len = if orientation == Orientation::NoTransforms { 0 } else { len };
        let needed = (len + turned_len).saturating_sub(pixels.capacity());
        self.check_memory(full_width, full_height, needed)?;
        pixels.resize(len, 0);
        let decoded = jpeg.decode(scale, pixels);
        Ok(decoded.map(|()| turned(orientation, width as u32, height as u32, pixels)))
    }

    fn decode(&self, format: ImageFormat, pixels: &mut Vec<u8>) -> Result<(u32, u32)> {
        if let (ImageFormat::Png, Some((width, height))) = (format, png_size(self.file)) {
            self.check_size(width, height)?;
        }
        if format == ImageFormat::Jpeg && jpeg::complete_len(self.file).is_none() {
            return Err(self.broken("the end marker is missing".into()));
        }
        let mut reader = ImageReader::with_format(Cursor::new(self.file), format);
        reader.limits(limits(format));
        let mut decoder = reader.into_decoder().map_err(|e| self.error(e))?;
        let (width, height) = decoder.dimensions();
        self.check_size(width, height)?;
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let is_plain = decoder.color_type() == ColorType::Rgb8 && orientation == Orientation::NoTransforms;
        if pixels.capacity() as u64 <= decoder.total_bytes() {
            *pixels = Vec::new();
        }
        let spare = if is_plain { pixels.capacity() } else { 0 };
        let bytes_per_pixel = self.bytes_per_pixel(format, decoder.color_type(), is_plain);
        let needed = u64::from(width) * u64::from(height) * bytes_per_pixel + self.file.len() as u64;
        self.check_memory(width, height, usize::try_from(needed).unwrap_or(usize::MAX).saturating_sub(spare))?;
        if is_plain {
            pixels.resize(decoder.total_bytes() as usize, 0);
            decoder.read_image(pixels).map_err(|e| self.error(e))?;
            return Ok((width, height));
        }
        let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| self.error(e))?;
        picture.apply_orientation(orientation);
        let rgb = flatten(picture);
        let size = rgb.dimensions();
        *pixels = rgb.into_raw();
        Ok(size)
    }

    fn check_size(&self, width: u32, height: u32) -> Result<()> {
        let is_small = width <= MAX_PICTURE_SIDE && height <= MAX_PICTURE_SIDE;
        if is_small && u64::from(width) * u64::from(height) <= MAX_PICTURE_PIXELS {
            return Ok(());
        }
        let (max_side, max_pixels) = (MAX_PICTURE_SIDE, MAX_PICTURE_PIXELS);
        Err(Error::PictureTooLarge { path: self.name.into(), width, height, max_side, max_pixels })
    }

    /// Bytes that decoding takes for each pixel, with the decoder's own: a progressive JPEG has all its coefficients in
    /// memory, WebP and GIF a frame with alpha; what is not plain RGB is converted by way of RGBA.
    fn bytes_per_pixel(&self, format: ImageFormat, color: ColorType, is_plain: bool) -> u64 {
        let decoder = match format {
            ImageFormat::Jpeg if jpeg::is_progressive(self.file) => 6,
            ImageFormat::WebP | ImageFormat::Gif => 4,
            _ => 0,
        };
        decoder + u64::from(color.bytes_per_pixel()) + if is_plain { 0 } else { 4 + 3 }
    }

    /// Refuses what the pool has no room for, an eighth of it left for the gaps between blocks.
    fn check_memory(&self, width: u32, height: u32, needed: usize) -> Result<()> {
        match memory_pool::left() {
            Some(left) if needed > left - left / 8 => {
                Err(Error::PictureMemory { path: self.name.into(), width, height, needed, left })
            }
            _ => Ok(()),
        }
    }

    fn error(&self, error: ImageError) -> Error {
        match error {
            ImageError::Unsupported(e) => Error::UnsupportedPicture { path: self.name.into(), cause: e.into() },
            ImageError::IoError(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                self.broken("it ends in the middle".into())
            }
            e => self.broken(e.into()),
        }
    }

    fn broken(&self, cause: Cause) -> Error {
        Error::BrokenPicture { path: self.name.into(), cause }
    }
}

/// Width and height in a PNG's header: on 32 bits the decoder gives up on huge ones before it tells them.
fn png_size(file: &[u8]) -> Option<(u32, u32)> {
    let header = file.get(12..)?.strip_prefix(b"IHDR")?;
    let (width, rest) = header.split_first_chunk()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(*rest.first_chunk()?)))
}

fn is_sideways(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH)
}

/// Turns (height, width, 3) as EXIF says, and gives its width and height.
fn turned(orientation: Orientation, width: u32, height: u32, pixels: &mut Vec<u8>) -> (u32, u32) {
    if orientation == Orientation::NoTransforms {
        return (width, height);
    }
    let picture = RgbImage::from_raw(width, height, std::mem::take(pixels));
    let mut picture = DynamicImage::from(picture.expect("decoded at this size"));
    picture.apply_orientation(orientation);
    let size = (picture.width(), picture.height());
    *pixels = picture.into_rgb8().into_raw();
    size
}

fn limits(format: ImageFormat) -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(match format {
        // What counts here is what stands beside the pixels.
        ImageFormat::Png => memory_pool::left().map_or(MAX_PNG_EXTRAS, |left| MAX_PNG_EXTRAS.min(left as u64 / 4)),
        _ => MAX_DECODER_BYTES,
    });
    limits
}

/// To eight bits of RGB, over white.
fn flatten(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let rgba = picture.into_rgba8();
    let over_white = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let mut rgb = RgbImage::new(rgba.width(), rgba.height());
    for (pixel, source) in rgb.pixels_mut().zip(rgba.pixels()) {
        let [red, green, blue, alpha] = source.0;
        pixel.0 = [red, green, blue].map(|value| over_white(value, alpha));
    }
    rgb
}
