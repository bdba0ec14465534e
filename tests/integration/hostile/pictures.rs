//! Pictures made to do harm: each is captioned, or refused in a line that names it, within a small memory. Nothing panics.

use std::io::Cursor;
use std::path::PathBuf;

use image::codecs::gif::GifEncoder;
use image::{Frame, ImageFormat, RgbaImage};
use miniz_oxide::deflate::compress_to_vec_zlib;
use tempfile::TempDir;

use super::Random;
use crate::support::*;

const FORMATS: [ImageFormat; 6] =
    [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Tiff];

/// What the tiny model and any of the good pictures here fit in many times over.
const MEMORY: [&str; 2] = ["--memory", "48M"];

/// Captions all pictures in one run: each gets a caption or a complaint with its name, and memory suffices throughout.
/// Returns captions and complaints.
fn captions(pictures: &[PathBuf]) -> (Vec<String>, Vec<String>) {
    let output = caption_tiny(pictures, &MEMORY);
    let lines = |text: &str| text.lines().map(String::from).collect::<Vec<_>>();
    let (captions, complaints) = (lines(stdout(&output)), lines(stderr(&output)));
    assert_eq!(output.status.code(), Some(i32::from(!complaints.is_empty())), "{complaints:#?}");
    for (picture, said) in pictures.iter().map(|picture| {
        let name = picture.display().to_string();
        let said = captions.iter().chain(&complaints).filter(|line| line.contains(&name)).count();
        (name, said)
    }) {
        let is_alone = pictures.len() == 1 && complaints.is_empty();
        assert!(said == 1 || is_alone, "{said} lines for {picture}: {complaints:#?}");
    }
    assert!(complaints.iter().all(|line| line.starts_with("scenescribe: error: ")), "{complaints:#?}");
    (captions, complaints)
}

/// The one complaint about a picture.
fn complaint(folder: &TempDir, name: &str, bytes: &[u8]) -> String {
    let (captions, mut complaints) = captions(&[file(folder, name, bytes)]);
    assert!(captions.is_empty(), "{name}: {captions:?}");
    complaints.pop().unwrap()
}

fn assert_captioned(folder: &TempDir, name: &str, bytes: &[u8]) -> String {
    let (mut captions, complaints) = captions(&[file(folder, name, bytes)]);
    assert!(complaints.is_empty(), "{name}: {complaints:?}");
    captions.pop().unwrap()
}

#[test]
fn every_format_cut_anywhere_and_with_flipped_bits_is_captioned_or_refused() {
    let folder = folder();
    let mut random = Random(1);
    for format in FORMATS {
        let whole = encoded(&square(64), format);
        let mut pictures = Vec::new();
        for trial in 0..120 {
            let mut damaged = whole.clone();
            if trial % 3 == 0 {
                damaged.truncate(random.below(whole.len()));
            }
            // Most of the flips where the structure is.
            for _ in 0..trial % 5 {
                let end = if trial % 2 == 0 { damaged.len() } else { damaged.len().min(200) };
                if end > 0 {
                    damaged[random.below(end)] ^= 1 << random.below(8);
                }
            }
            pictures.push(file(&folder, &format!("{format:?}-{trial}.x"), &damaged));
        }
        captions(&pictures);
    }
}

/// A chunk of a PNG.
fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let body = [kind, content].concat();
    let crc = crc32fast::hash(&body);
    [&(content.len() as u32).to_be_bytes(), &body[..], &crc.to_be_bytes()].concat()
}

/// A PNG with this header, chunks and rows (each after its filter byte).
fn png(width: u32, height: u32, depth_and_color: [u8; 2], chunks: &[Vec<u8>], rows: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &depth_and_color, &[0, 0, 0]].concat();
    let pixels = chunk(b"IDAT", &compress_to_vec_zlib(rows, 9));
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header), chunks.concat(), pixels, chunk(b"IEND", b"")].concat()
}

/// A frame header of a JPEG, and little else.
fn jpeg_of_size(width: u16, height: u16) -> Vec<u8> {
    let mut jpeg = encoded(&square(16), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    jpeg[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    jpeg
}

fn bmp_of_size(width: i32, height: i32) -> Vec<u8> {
    let mut bmp = encoded(&square(4), ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&width.to_le_bytes());
    bmp[22..26].copy_from_slice(&height.to_le_bytes());
    bmp
}

/// The logical screen, and with it the first frame, of a GIF.
fn gif_of_size(width: u16, height: u16) -> Vec<u8> {
    let mut gif = encoded(&square(4), ImageFormat::Gif);
    let size = [width.to_le_bytes(), height.to_le_bytes()].concat();
    gif[6..10].copy_from_slice(&size);
    gif
}

/// A little-endian TIFF of one strip, grey, uncompressed or as `compression` says.
fn tiff(width: u32, height: u32, compression: u16, strip: &[u8]) -> Vec<u8> {
    let entries: [(u16, u32); 8] = [
        (256, width),
        (257, height),
        (258, 8),
        (259, compression.into()),
        (262, 1),
        (273, 8 + 2 + 9 * 12 + 4),
        (278, height),
        (279, strip.len() as u32),
    ];
    let mut tiff = [&b"II*\0"[..], &8u32.to_le_bytes(), &9u16.to_le_bytes()].concat();
    for (tag, value) in entries.into_iter().chain([(284, 1)]) {
        let kind: u16 = if matches!(tag, 258 | 259 | 262 | 284) { 3 } else { 4 };
        tiff.extend([&tag.to_le_bytes()[..], &kind.to_le_bytes(), &1u32.to_le_bytes(), &value.to_le_bytes()].concat());
    }
    [tiff, vec![0; 4], strip.into()].concat()
}

/// A RIFF container of WebP chunks.
fn webp(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let chunk = |(kind, content): &(&[u8; 4], Vec<u8>)| {
        let padding = vec![0; content.len() % 2];
        [&kind[..], &(content.len() as u32).to_le_bytes(), content, &padding].concat()
    };
    let body = [b"WEBP".to_vec(), chunks.iter().flat_map(chunk).collect()].concat();
    [&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body].concat()
}

/// The extended header of a WebP: flags, and the canvas.
fn canvas(flags: u8, width: u32, height: u32) -> Vec<u8> {
    let side = |len: u32| (len - 1).to_le_bytes()[..3].to_vec();
    [vec![flags, 0, 0, 0], side(width), side(height)].concat()
}

/// The lossless bit stream of a square, as it stands in a WebP.
fn lossless(side: u32) -> Vec<u8> {
    let simple = encoded(&square(side), ImageFormat::WebP);
    let at = simple.windows(4).position(|kind| kind == b"VP8L").unwrap();
    let len = u32::from_le_bytes(simple[at + 4..at + 8].try_into().unwrap()) as usize;
    simple[at + 8..at + 8 + len].to_vec()
}

#[test]
fn huge_headers_are_refused_before_anything_is_decoded() {
    let folder = folder();
    let pictures = [
        ("png", png(60_000, 60_000, [8, 2], &[], &[])),
        ("max.png", png(u32::MAX, u32::MAX, [16, 6], &[], &[])),
        ("jpg", jpeg_of_size(u16::MAX, u16::MAX)),
        ("bmp", bmp_of_size(i32::MAX, i32::MAX)),
        ("top-down.bmp", bmp_of_size(60_000, i32::MIN + 1)),
        ("gif", gif_of_size(u16::MAX, u16::MAX)),
        ("tif", tiff(u32::MAX, u32::MAX, 1, &[0; 10])),
        ("webp", webp(&[(b"VP8X", canvas(0, 1 << 24, 1 << 24)), (b"VP8L", lossless(4))])),
    ];
    for (name, bytes) in pictures {
        complaint(&folder, &format!("huge.{name}"), &bytes);
    }
}

#[test]
fn pictures_that_unpack_to_more_than_the_memory_are_refused_and_the_next_is_captioned() {
    let folder = folder();
    let side = 8_000;
    // A row of zeros and its filter, again and again: 64 megapixels in 200 kB.
    let rows = vec![0; (side * 3 + 1) * side];
    let flat = png(side as u32, side as u32, [8, 2], &[], &rows);
    assert!(flat.len() < 400_000);
    let pictures = [
        file(&folder, "flat.png", &flat),
        file(&folder, "flat.tif", &tiff(side as u32, side as u32, 8, &compress_to_vec_zlib(&vec![0; side * side], 9))),
        file(&folder, "good.png", &encoded(&square(40), ImageFormat::Png)),
    ];
    let (captions, complaints) = captions(&pictures);
    assert_eq!((captions.len(), complaints.len()), (1, 2), "{complaints:#?}");
    assert!(captions[0].contains("good.png"));
    assert!(complaints.iter().all(|line| line.contains("scale it down first")), "{complaints:#?}");
}

#[test]
fn texts_and_profiles_that_unpack_without_end_do_not_keep_a_picture_from_its_caption() {
    let folder = folder();
    let endless = compress_to_vec_zlib(&vec![b'a'; 256 << 20], 9);
    let rows: Vec<u8> = square(64).into_raw().chunks(64 * 3).flat_map(|row| [&[0][..], row].concat()).collect();
    for (name, kind, head) in
        [("zTXt", b"zTXt", &b"Comment\0\0"[..]), ("iTXt", b"iTXt", b"Comment\0\x01\0\0\0"), ("iCCP", b"iCCP", b"p\0\0")]
    {
        let text = chunk(kind, &[head, &endless].concat());
        let caption = assert_captioned(&folder, &format!("{name}.png"), &png(64, 64, [8, 2], &[text], &rows));
        assert!(caption.starts_with("a large red square"), "{name}: {caption}");
    }
}

#[test]
fn pictures_without_pixels_are_refused() {
    let folder = folder();
    let pictures = [
        ("0x5.png", png(0, 5, [8, 2], &[], &[])),
        ("5x0.png", png(5, 0, [8, 2], &[], &[])),
        ("0.jpg", jpeg_of_size(0, 16)),
        ("0.bmp", bmp_of_size(0, 4)),
        ("0.tif", tiff(0, 4, 1, &[0; 4])),
    ];
    for (name, bytes) in pictures {
        complaint(&folder, name, &bytes);
    }
}

#[test]
fn long_and_thin_pictures_are_captioned_up_to_the_limit() {
    let folder = folder();
    for (width, height, is_read) in
        [(1, 1, true), (1, 16_384, true), (16_384, 1, true), (1, 60_000, false), (60_000, 1, false)]
    {
        let rows = vec![0; (width * 3 + 1) * height];
        let bytes = png(width as u32, height as u32, [8, 2], &[], &rows);
        let name = format!("{width}x{height}.png");
        if is_read {
            assert_captioned(&folder, &name, &bytes);
        } else {
            assert!(complaint(&folder, &name, &bytes).contains("over the limit"));
        }
    }
}

#[test]
fn of_animated_pictures_the_first_frame_is_captioned() {
    let folder = folder();
    let red = RgbaImage::from(image::DynamicImage::from(square(64)).into_rgba8());
    let black = RgbaImage::from_pixel(64, 64, image::Rgba([0, 0, 0, 255]));
    let mut gif = Cursor::new(Vec::new());
    let frames = [red, black.clone(), black].map(Frame::new);
    GifEncoder::new(&mut gif).encode_frames(frames).unwrap();
    let frame_header = [vec![0; 6], canvas(0, 64, 64)[4..].to_vec(), vec![100, 0, 0, 0]].concat();
    let bit_stream = lossless(64);
    let image =
        [&b"VP8L"[..], &(bit_stream.len() as u32).to_le_bytes(), &bit_stream, &vec![0; bit_stream.len() % 2]].concat();
    let animated = webp(&[
        (b"VP8X", canvas(0b10, 64, 64)),
        (b"ANIM", vec![0; 6]),
        (b"ANMF", [frame_header.clone(), image.clone()].concat()),
        (b"ANMF", [frame_header, image].concat()),
    ]);
    for (name, bytes) in [("animated.gif", gif.into_inner()), ("animated.webp", animated)] {
        let caption = assert_captioned(&folder, name, &bytes);
        assert!(caption.starts_with("a large red square"), "{name}: {caption}");
    }
}

#[test]
fn palettes_and_few_bits_are_read_and_broken_palettes_are_not() {
    let folder = folder();
    let index = |red: u8| u8::from(red > 100);
    let rows: Vec<u8> = square(64)
        .into_raw()
        .chunks(64 * 3)
        .flat_map(|row| {
            let bits =
                row.chunks(8 * 3).map(|eight| eight.chunks(3).fold(0, |byte, pixel| byte << 1 | index(pixel[0])));
            [0].into_iter().chain(bits).collect::<Vec<u8>>()
        })
        .collect();
    let palette = chunk(b"PLTE", &[20, 20, 20, 220, 40, 40]);
    let caption = assert_captioned(&folder, "palette.png", &png(64, 64, [1, 3], &[palette], &rows));
    assert!(caption.starts_with("a large red square"), "{caption}");
    complaint(&folder, "no-palette.png", &png(64, 64, [1, 3], &[], &rows));
    // An index that the palette does not have.
    let one = chunk(b"PLTE", &[20, 20, 20]);
    captions(&[file(&folder, "short-palette.png", &png(64, 64, [1, 3], &[one], &rows))]);
}

/// The square as a JPEG with this EXIF block.
fn with_exif(exif: &[u8]) -> Vec<u8> {
    let jpeg = encoded(&square(64), ImageFormat::Jpeg);
    let segment = [b"Exif\0\0", exif].concat();
    let len = (segment.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &len, &segment, &jpeg[2..]].concat()
}

#[test]
fn broken_exif_does_not_keep_a_picture_from_its_caption() {
    let folder = folder();
    let orientation = |value: u16| {
        let entry =
            [&0x0112u16.to_le_bytes()[..], &3u16.to_le_bytes(), &1u32.to_le_bytes(), &value.to_le_bytes(), &[0; 2]];
        [&b"II*\0\x08\0\0\0\x01\0"[..], &entry.concat(), &[0; 4]].concat()
    };
    let blocks = [
        vec![],
        b"II".to_vec(),
        b"II*\0\xFF\xFF\xFF\xFF".to_vec(),
        // A directory that says that it is the next one after itself.
        b"II*\0\x08\0\0\0\0\0\x08\0\0\0".to_vec(),
        // As many entries as can be said.
        [&b"MM\0*\0\0\0\x08\xFF\xFF"[..], &[0; 100]].concat(),
        vec![0xFF; 5000],
        orientation(0),
        orientation(9),
        orientation(u16::MAX),
        orientation(6),
    ];
    for (i, block) in blocks.iter().enumerate() {
        let caption = assert_captioned(&folder, &format!("{i}.jpg"), &with_exif(block));
        assert!(caption.starts_with("a large red square"), "block {i}: {caption}");
    }
}

#[test]
fn sixteen_bits_of_every_layout_fit_the_memory_or_are_refused() {
    let folder = folder();
    for (color, channels) in [(0, 1), (2, 3), (4, 2), (6, 4)] {
        let rows = vec![0x7F; (500 * channels * 2 + 1) * 400]
            .iter()
            .enumerate()
            .map(|(i, byte)| if i % (500 * channels * 2 + 1) == 0 { 0 } else { *byte })
            .collect::<Vec<u8>>();
        assert_captioned(&folder, &format!("{color}.png"), &png(500, 400, [16, color], &[], &rows));
        let bomb = png(8_000, 8_000, [16, color], &[], &rows);
        assert!(complaint(&folder, &format!("bomb-{color}.png"), &bomb).contains("scale it down"));
    }
}
