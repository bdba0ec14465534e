//! `scenescribe caption` on good pictures.

use std::fs;
use std::path::PathBuf;

use image::ImageFormat;

use crate::support::*;

const SQUARE: &str = "a large red square";

#[test]
fn one_picture_gives_its_caption_alone() {
    let folder = folder();
    let photo = file(&folder, "square.png", &encoded(&square(64), ImageFormat::Png));
    let output = caption_tiny(&[photo], &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).starts_with(SQUARE), "{}", stdout(&output));
    assert_eq!(stdout(&output).lines().count(), 1);
    assert_eq!(stderr(&output), "");
}

#[test]
fn every_format_gives_the_same_caption() {
    let folder = folder();
    let formats = [
        ("a.png", ImageFormat::Png),
        ("b.jpg", ImageFormat::Jpeg),
        ("c.bmp", ImageFormat::Bmp),
        ("d.gif", ImageFormat::Gif),
        ("e.webp", ImageFormat::WebP),
        ("f.tif", ImageFormat::Tiff),
    ];
    let photos = formats.map(|(name, format)| file(&folder, name, &encoded(&square(64), format)));
    let output = caption_tiny(&photos, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let captions: Vec<_> = stdout(&output).lines().filter_map(|line| line.split_once('\t')).collect();
    assert_eq!(captions.len(), photos.len());
    for ((path, caption), photo) in captions.iter().zip(&photos) {
        assert_eq!(PathBuf::from(path), *photo);
        assert!(caption.starts_with(SQUARE), "{path}: {caption}");
    }
}

#[test]
fn a_format_is_told_by_its_bytes_not_its_name() {
    let folder = folder();
    let photo = file(&folder, "a_png.jpg", &encoded(&square(64), ImageFormat::Png));
    assert!(stdout(&caption_tiny(&[photo], &[])).starts_with(SQUARE));
}

#[test]
fn a_folder_is_walked_in_the_order_of_names() {
    let folder = folder();
    let png = encoded(&square(48), ImageFormat::Png);
    fs::create_dir(folder.path().join("b")).unwrap();
    for name in ["c.png", "a.PNG", "b/z.png", "notes.txt"] {
        file(&folder, name, &png);
    }
    std::os::unix::fs::symlink("c.png", folder.path().join("d.png")).unwrap();
    std::os::unix::fs::symlink(".", folder.path().join("e.png")).unwrap();
    let output = caption_tiny(&[folder.path().into()], &[]);
    let names: Vec<_> =
        stdout(&output).lines().filter_map(|line| line.split_once('\t')).map(|(path, _)| path).collect();
    let expected = ["a.PNG", "b/z.png", "c.png", "d.png"].map(|name| folder.path().join(name).display().to_string());
    assert_eq!(names, expected);
}

#[test]
fn a_dash_reads_standard_input() {
    let png = encoded(&square(48), ImageFormat::Png);
    let model = fixture("tiny").display().to_string();
    let output = scenescribe_with_input(&["caption", "--model", &model, "-"], &png);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).starts_with(SQUARE));
}

#[test]
fn json_lines_hold_what_they_promise() {
    let folder = folder();
    let photo = file(&folder, "a \"quoted\" name.png", &encoded(&square(64), ImageFormat::Png));
    let output = caption_tiny(std::slice::from_ref(&photo), &["--json", "--beam", "1"]);
    let line: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(line["source"], photo.display().to_string());
    assert!(line["caption"].as_str().unwrap().starts_with(SQUARE));
    assert_eq!(line["cut"], false);
    let confidence = line["confidence"].as_f64().unwrap();
    assert!(confidence > 0.0 && confidence <= 1.0, "{confidence}");
    let words = line["caption"].as_str().unwrap().split(' ').count();
    assert_eq!(line["tokens"].as_array().unwrap().len(), words);
    let stages = ["preprocess", "encode", "decode"].map(|stage| line["latency_ms"][stage].as_f64().unwrap());
    assert!((stages.iter().sum::<f64>() - line["latency_ms"]["total"].as_f64().unwrap()).abs() < 0.01);
}

#[test]
fn exif_orientation_is_honoured() {
    // The same scene, stored as the camera held on its side writes it: rotated left, tag 6 says turn right to view.
    // The larger scene is decoded at a quarter of its size.
    for side in [64, 256] {
        let mut scene = square(side);
        for (_, y, pixel) in scene.enumerate_pixels_mut() {
            if y < side * 3 / 8 {
                *pixel = image::Rgb([235, 220, 50]);
            }
        }
        let stored = image::imageops::rotate270(&scene);
        let folder = folder();
        let upright = file(&folder, "upright.jpg", &encoded(&scene, ImageFormat::Jpeg));
        let sideways = file(&folder, "sideways.jpg", &encoded(&stored, ImageFormat::Jpeg));
        let tagged = file(&folder, "tagged.jpg", &with_orientation(&encoded(&stored, ImageFormat::Jpeg), 6));
        let output = caption_tiny(&[upright, sideways, tagged], &["--json"]);
        let tokens: Vec<serde_json::Value> =
            stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(tokens[0]["caption"], tokens[2]["caption"]);
        assert_ne!(tokens[0]["confidence"], tokens[1]["confidence"], "the picture must look different on its side");
    }
}

/// Adds an EXIF segment with the orientation tag alone (TIFF, big endian).
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let len = (exif.len() + 2) as u16;
    [&jpeg[..2], &[0xFF, 0xE1], &len.to_be_bytes(), &exif, &jpeg[2..]].concat()
}

#[test]
fn a_caption_that_does_not_end_is_cut_and_marked() {
    let folder = folder();
    let photo = file(&folder, "square.png", &encoded(&square(64), ImageFormat::Png));
    for beam in ["1", "4"] {
        let output = caption_tiny(std::slice::from_ref(&photo), &["--json", "--max-tokens", "2", "--beam", beam]);
        let line: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
        assert_eq!((&line["caption"], &line["cut"]), (&"a large...".into(), &true.into()), "beam {beam}");
    }
}

#[test]
fn float_and_int8_graphs_can_both_be_chosen() {
    let folder = folder();
    let photo = file(&folder, "square.png", &encoded(&square(64), ImageFormat::Png));
    for precision in ["float", "int8"] {
        let output = caption_tiny(std::slice::from_ref(&photo), &["--precision", precision]);
        assert!(stdout(&output).starts_with(SQUARE), "{precision}: {}", stderr(&output));
    }
}

#[test]
fn usage_errors_exit_with_two() {
    let cases: [&[&str]; 5] = [
        &[],
        &["caption"],
        &["caption", "--beam", "0", "a.jpg"],
        &["caption", "--beam", "9", "a.jpg"],
        &["caption", "--max-tokens", "65", "a.jpg"],
    ];
    for arguments in cases {
        assert_eq!(scenescribe(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn short_help_fits_a_screen() {
    for arguments in [&["-h"][..], &["caption", "-h"], &["inspect", "-h"]] {
        let output = scenescribe(arguments);
        assert!(output.status.success());
        assert!(stdout(&output).lines().count() <= 24, "{arguments:?}");
    }
}

#[test]
fn inspect_tells_what_a_model_is() {
    let output = scenescribe(&["inspect", "--model", &fixture("tiny").display().to_string()]);
    assert!(output.status.success(), "{}", stderr(&output));
    for expected in ["pixel_values", "[1, 3, 32, 32]", "input_ids", "logits", "vocabulary", "int8", "peak memory"] {
        assert!(stdout(&output).contains(expected), "{expected} is missing in\n{}", stdout(&output));
    }
}

#[test]
fn the_model_inside_the_program_captions_without_any_file() {
    let output = scenescribe_with_input(&["caption", "-"], &encoded(&square(64), ImageFormat::Jpeg));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).trim().split(' ').count() >= 3, "{}", stdout(&output));
}

#[test]
fn a_full_disk_is_said_and_a_closed_pipe_is_a_normal_end() {
    use std::process::Stdio;
    let photo = fixture("photos/dog.jpg");
    let caption = |stdout: Stdio| {
        let mut command = program();
        command.arg("caption").arg("--model").arg(fixture("tiny")).args([&photo, &photo]);
        command.stdout(stdout).output().unwrap()
    };
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = caption(full.into());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("No space left"), "{}", stderr(&output));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = caption(writer.into());
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
}
