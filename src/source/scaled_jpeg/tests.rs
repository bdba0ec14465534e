use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{GrayImage, RgbImage, imageops};

use super::*;

/// Soft colours with some edges.
fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let wave = |rate: f32| (127.0 + 100.0 * ((x as f32) / rate + (y as f32) / 23.0).sin()) as u8;
        let is_inside = x % 160 < 60 && y % 120 < 50;
        image::Rgb(if is_inside { [200, 60, wave(31.0)] } else { [wave(17.0), wave(41.0), 90] })
    })
}

fn jpeg(picture: &RgbImage, quality: u8) -> Vec<u8> {
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality).encode_image(picture).unwrap();
    file
}

/// At the smallest scale that leaves `least`: the pixels, width and height.
fn decode(file: &[u8], least: [usize; 2]) -> Option<(Vec<u8>, [usize; 2])> {
    let jpeg = ScaledJpeg::open(file)?;
    let scale = jpeg.scale(least)?;
    let [width, height] = jpeg.size(scale);
    let mut pixels = vec![0; width * height * 3];
    jpeg.decode(scale, &mut pixels)?;
    Some((pixels, [width, height]))
}

/// Mean difference to the fully decoded picture, resized.
fn difference(file: &[u8], least: [usize; 2]) -> (f64, [usize; 2]) {
    let (pixels, [width, height]) = decode(file, least).expect("baseline");
    let full = image::load_from_memory(file).unwrap().into_rgb8();
    let resized = imageops::resize(&full, width as u32, height as u32, FilterType::Triangle);
    let sum: u64 = resized.as_raw().iter().zip(&pixels).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    (sum as f64 / pixels.len() as f64, [width, height])
}

#[test]
fn a_scaled_picture_is_the_full_one_resized() {
    for (width, height, least, expected) in [
        (640, 480, [320, 240], [320, 240]),
        (640, 480, [200, 150], [240, 180]),
        (640, 480, [160, 120], [160, 120]),
        (641, 487, [160, 120], [161, 122]),
        (1000, 700, [224, 224], [375, 263]),
        (17, 1300, [5, 5], [7, 488]),
    ] {
        let (mean, size) = difference(&jpeg(&picture(width, height), 90), least);
        assert_eq!(size, expected);
        // A triangle is softer than the transform, the edges are sharp, and sides that are no multiple are rounded up.
        assert!(mean < 6.0, "{width} x {height} at {least:?}: {mean}");
    }
}

#[test]
fn flat_blocks_keep_their_colour() {
    let colour = |x: u32, y: u32| [x * 37 % 256, y * 59 % 256, (x + y) * 83 % 256].map(|value| value as u8);
    let picture = RgbImage::from_fn(320, 240, |x, y| image::Rgb(colour(x / 16, y / 16)));
    let file = jpeg(&picture, 100);
    for scale in SCALES {
        let scaled = ScaledJpeg::open(&file).unwrap();
        let [width, height] = scaled.size(scale);
        let mut pixels = vec![0; width * height * 3];
        scaled.decode(scale, &mut pixels).unwrap();
        for (i, rgb) in pixels.chunks_exact(3).enumerate() {
            let expected = colour((i % width / (2 * scale)) as u32, (i / width / (2 * scale)) as u32);
            let most = rgb.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max();
            assert!(most <= Some(4), "{scale}/8 at {i}: {rgb:?}, {expected:?}");
        }
    }
}

#[test]
fn subsampled_chroma_restarts_and_grey_are_decoded() {
    let grey = GrayImage::from_fn(400, 300, |x, y| image::Luma([((x * y) / 500) as u8]));
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 85).encode_image(&grey).unwrap();
    assert!(difference(&file, [100, 75]).0 < 2.0);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pictures");
    for name in ["420_restarts.jpg", "422.jpg", "444.jpg"] {
        let file = std::fs::read(format!("{folder}/{name}")).unwrap();
        for least in [[64, 48], [96, 72], [128, 96]] {
            let (mean, _) = difference(&file, least);
            assert!(mean < 4.0, "{name} at {least:?}: {mean}");
        }
    }
}

#[test]
fn what_is_not_decoded_here_is_left_to_the_full_decoder() {
    let small = jpeg(&picture(100, 80), 90);
    assert!(decode(&small, [64, 64]).is_none(), "too small to be scaled");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pictures");
    for name in ["progressive.jpg", "cmyk.jpg"] {
        let file = std::fs::read(format!("{folder}/{name}")).unwrap();
        assert!(ScaledJpeg::open(&file).is_none(), "{name}");
    }
}

type Change = fn(&mut [u8]);

/// `file` with `change` done to the content of its first segment of this marker.
fn changed(file: &[u8], marker: u8, change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut file = file.to_vec();
    let mut at = 2;
    while file[at + 1] != marker {
        at += 2 + usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
    }
    let len = usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
    change(&mut file[at + 4..at + 2 + len]);
    file
}

#[test]
fn headers_in_doubt_are_refused() {
    let whole = jpeg(&picture(200, 160), 80);
    assert!(ScaledJpeg::open(&whole).is_some());
    let cases: [(&str, u8, Change); 9] = [
        ("12 bits", 0xC0, |frame| frame[0] = 12),
        ("no height, a DNL segment tells it later", 0xC0, |frame| frame[1..3].fill(0)),
        ("thrice as wide luma", 0xC0, |frame| frame[7] = 0x31),
        ("chroma wider than luma", 0xC0, |frame| frame[10] = 0x41),
        ("a quantization table that is not there", 0xC0, |frame| frame[8] = 3),
        ("a Huffman table that is not there", 0xDA, |scan| scan[2] = 0x33),
        ("some of the coefficients", 0xDA, |scan| scan[8] = 20),
        ("a component that is not there", 0xDA, |scan| scan[1] = 77),
        ("more codes than there are", 0xC4, |tables| tables[1] = 3),
    ];
    for (name, marker, change) in cases {
        assert!(ScaledJpeg::open(&changed(&whole, marker, change)).is_none(), "{name}");
    }
    let not_jfif = changed(&whole, 0xE0, |jfif| jfif[0] = b'K');
    assert!(ScaledJpeg::open(&not_jfif).is_some(), "the components' numbers tell");
    let rgb = changed(&not_jfif, 0xC0, |frame| frame[6] = b'R');
    assert!(ScaledJpeg::open(&changed(&rgb, 0xDA, |scan| scan[1] = b'R')).is_none(), "RGB");
}

#[test]
fn data_in_doubt_are_refused() {
    let whole = jpeg(&picture(200, 160), 80);
    let end = whole.len() - 2;
    let least = [50, 40];
    assert!(decode(&whole, least).is_some());
    for (name, file) in [
        ("no end marker", whole[..end].to_vec()),
        ("cut in the middle", [&whole[..end / 2], &whole[end..]].concat()),
        ("cut at the last byte", [&whole[..end - 2], &whole[end..]].concat()),
        ("bytes behind the data", [&whole[..end], &[7, 7], &whole[end..]].concat()),
        ("a restart that was not announced", [&whole[..end], &[0xFF, 0xD0], &whole[end..]].concat()),
        ("another scan", [&whole[..end], &[0xFF, 0xDA], &whole[end..]].concat()),
    ] {
        assert!(decode(&file, least).is_none(), "{name}");
    }
    let file = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pictures/420_restarts.jpg"));
    let second = file.windows(2).position(|pair| pair == [0xFF, 0xD1]).unwrap();
    let mut swapped = file.to_vec();
    swapped[second + 1] = 0xD2;
    assert!(decode(file, [64, 48]).is_some());
    assert!(decode(&swapped, [64, 48]).is_none(), "a restart out of turn");
}

#[test]
fn damage_never_panics() {
    let restarts = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pictures/420_restarts.jpg"));
    for whole in [jpeg(&picture(200, 160), 80), jpeg(&picture(60, 60), 100), restarts.to_vec()] {
        for seed in 0..2000usize {
            let mut damaged = whole.clone();
            for k in 0..3 {
                let place = (seed * 7919 + k * 104_729 + 3) % damaged.len().min(if k == 0 { 700 } else { usize::MAX });
                damaged[place] = (seed * 31 + k * 17) as u8;
            }
            if seed % 4 == 0 {
                damaged.truncate(seed % whole.len());
            }
            for scale in SCALES {
                if let Some(jpeg) = ScaledJpeg::open(&damaged) {
                    let [width, height] = jpeg.size(scale);
                    if width * height < 1 << 20 {
                        let _ = jpeg.decode(scale, &mut vec![0; width * height * 3]);
                    }
                }
            }
        }
    }
}
