//! Pictures that are not as they should be: a clear message, exit code 1, and the other photos captioned all the same.

use std::path::PathBuf;

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, Rgba};
use tempfile::TempDir;

use crate::support::*;

/// Captions a good photo, the bad one and another good one; returns what was said of the bad one.
fn complaint(folder: &TempDir, bad: PathBuf) -> String {
    let good = file(folder, "good.png", &encoded(&square(40), ImageFormat::Png));
    let output = caption_tiny(&[good.clone(), bad.clone(), good], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 2, "{}", stdout(&output));
    let complaint = stderr(&output).to_string();
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.contains(&bad.display().to_string()), "the file is not named: {complaint}");
    complaint
}

#[test]
fn a_missing_file_is_named() {
    let folder = folder();
    let missing = folder.path().join("missing.jpg");
    assert!(complaint(&folder, missing).contains("No such file"));
}

#[test]
fn an_empty_file_is_an_error() {
    let folder = folder();
    let empty = file(&folder, "empty.jpg", b"");
    assert!(complaint(&folder, empty).contains("is empty"));
}

#[test]
fn a_text_file_named_jpg_is_an_error() {
    let folder = folder();
    let text = file(&folder, "text.jpg", b"dear diary, today I saw a dog");
    assert!(complaint(&folder, text).contains("is not a picture"));
}

#[test]
fn every_format_cut_short_is_an_error() {
    let folder = folder();
    for (name, format) in [
        ("cut.jpg", ImageFormat::Jpeg),
        ("cut.png", ImageFormat::Png),
        ("cut.bmp", ImageFormat::Bmp),
        ("cut.gif", ImageFormat::Gif),
        ("cut.webp", ImageFormat::WebP),
        ("cut.tif", ImageFormat::Tiff),
    ] {
        let whole = encoded(&square(200), format);
        for len in [whole.len() / 10, whole.len() / 2, whole.len() * 9 / 10] {
            let cut = file(&folder, name, &whole[..len]);
            let complaint = complaint(&folder, cut);
            assert!(complaint.contains("cut short or damaged"), "{len} bytes: {complaint}");
        }
    }
}

#[test]
fn a_header_of_a_huge_picture_is_refused_before_it_is_decoded() {
    let folder = folder();
    let huge = file(&folder, "huge.png", &png_header(30_000, 30_000));
    assert!(complaint(&folder, huge).contains("30000 x 30000 pixels, over the limit"));
    let wide = file(&folder, "wide.png", &png_header(60_000, 1));
    assert!(complaint(&folder, wide).contains("60000 x 1 pixels, over the limit"));
}

/// A PNG of this size whose pixels are missing.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let crc = crc32(&header);
    [b"\x89PNG\r\n\x1a\n", &13u32.to_be_bytes()[..], &header, &crc.to_be_bytes(), b"\0\0\0\0IDAT\x35\xaf\x06\x1e"]
        .concat()
}

/// The CRC of PNG chunks (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 })
    };
    !bytes.iter().fold(!0, step)
}

#[test]
fn a_damaged_picture_never_panics() {
    let folder = folder();
    let formats =
        [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Tiff];
    let mut photos = Vec::new();
    for (i, format) in formats.into_iter().enumerate() {
        let whole = encoded(&square(64), format);
        for seed in 0..12usize {
            let mut damaged = whole.clone();
            for k in 0..6 {
                let place = (seed * 7919 + k * 104_729 + 13) % damaged.len();
                damaged[place] ^= 1 << ((seed + k) % 8);
            }
            photos.push(file(&folder, &format!("{i}-{seed}"), &damaged));
        }
    }
    let output = caption_tiny(&photos, &[]);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", stderr(&output));
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    let answers = stdout(&output).lines().count() + stderr(&output).lines().count();
    assert_eq!(answers, photos.len(), "each photo has a caption or a complaint:\n{}", stderr(&output));
}

#[test]
fn sixteen_bits_grey_and_transparency_are_read() {
    let square = square(64);
    let wide = |value: u8| u16::from(value) * 257;
    let rgb16: ImageBuffer<Rgb<u16>, _> = ImageBuffer::from_fn(64, 64, |x, y| Rgb(square.get_pixel(x, y).0.map(wide)));
    let rgba: ImageBuffer<Rgba<u8>, _> = ImageBuffer::from_fn(64, 64, |x, y| {
        let [red, green, blue] = square.get_pixel(x, y).0;
        Rgba([red, green, blue, 255])
    });
    let folder = folder();
    for (name, picture) in [("rgb16.png", DynamicImage::from(rgb16)), ("rgba.png", DynamicImage::from(rgba))] {
        let path = folder.path().join(name);
        picture.save(&path).unwrap();
        let output = caption_tiny(&[path], &[]);
        assert!(stdout(&output).starts_with("a large red square"), "{name}: {}", stderr(&output));
    }
    let grey16: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_pixel(64, 64, Luma([40_000]));
    let grey_alpha: ImageBuffer<LumaA<u8>, Vec<u8>> = ImageBuffer::from_pixel(64, 64, LumaA([90, 128]));
    for (name, picture) in [("grey16.png", DynamicImage::from(grey16)), ("alpha.png", DynamicImage::from(grey_alpha))] {
        let path = folder.path().join(name);
        picture.save(&path).unwrap();
        let output = caption_tiny(&[path], &[]);
        assert!(output.status.success(), "{name}: {}", stderr(&output));
    }
}

#[test]
fn what_is_transparent_shows_white() {
    let folder = folder();
    let clear: ImageBuffer<Rgba<u8>, Vec<u8>> = ImageBuffer::from_pixel(64, 64, Rgba([0, 0, 0, 0]));
    clear.save(folder.path().join("clear.png")).unwrap();
    ImageBuffer::from_pixel(64, 64, Rgb([255u8; 3])).save(folder.path().join("white.png")).unwrap();
    let photos = ["clear.png", "white.png"].map(|name| folder.path().join(name));
    let output = caption_tiny(&photos, &["--json"]);
    let lines: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["tokens"], lines[1]["tokens"]);
    assert_eq!(lines[0]["confidence"], lines[1]["confidence"]);
}

#[test]
fn cmyk_is_read() {
    let output = caption_tiny(&[fixture("pictures/cmyk.jpg")], &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("a large red square"), "{}", stdout(&output));
}

#[test]
fn the_smallest_and_the_longest_pictures_are_read() {
    let folder = folder();
    for (name, width, height) in [("dot.png", 1, 1), ("column.png", 1, 16_000), ("row.png", 16_000, 1)] {
        let path = folder.path().join(name);
        image::RgbImage::new(width, height).save(&path).unwrap();
        let output = caption_tiny(&[path], &[]);
        assert!(output.status.success(), "{name}: {}", stderr(&output));
    }
}

#[test]
fn a_folder_without_pictures_is_an_error() {
    let folder = folder();
    let output = caption_tiny(&[folder.path().into()], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("holds no picture"), "{}", stderr(&output));
}
