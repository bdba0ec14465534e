//! Streams made to do harm: absurd headers, frames without end, frames of the wrong length. Each ends in words, in time and
//! within the memory given; the captions of the whole frames before are told.

use std::io::Write;
use std::process::{Output, Stdio};

use image::ImageFormat;

use super::Random;
use crate::support::*;

const MEMORY: &str = "64M";

fn watch(options: &[&str], input: &[u8]) -> Output {
    let model = fixture("tiny").display().to_string();
    let fixed = ["watch", "--threads", "1", "--memory", MEMORY, "--model", &model, "--input", "-", "--all-frames"];
    scenescribe_with_input(&[&fixed[..], options].concat(), input)
}

/// What is said of a stream that is refused.
fn complaint(options: &[&str], input: &[u8]) -> String {
    let output = watch(options, input);
    assert_eq!(output.status.code(), Some(1), "{options:?}: {}", stderr(&output));
    assert_eq!(stdout(&output), "");
    assert!(stderr(&output).starts_with("scenescribe: error: "), "{}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    stderr(&output).into()
}

#[test]
fn y4m_headers_that_are_absurd_are_refused() {
    let long = format!("YUV4MPEG2 W64 H64 X{}\n", "x".repeat(100_000));
    let cases = [
        ("YUV4MPEG2 W0 H64\nFRAME\n", "at least 1 x 1"),
        ("YUV4MPEG2 W64\nFRAME\n", "at least 1 x 1"),
        ("YUV4MPEG2 W-1 H64\nFRAME\n", "no number"),
        ("YUV4MPEG2 W4294967295 H4294967295\nFRAME\n", "at most"),
        ("YUV4MPEG2 W99999999999999999999 H1\nFRAME\n", "no number"),
        ("YUV4MPEG2 W16384 H16384 C444\nFRAME\n", "at most"),
        ("YUV4MPEG2 W1 H60000\nFRAME\n", "at most"),
        ("YUV4MPEG2 W64 H64 C420p16\nFRAME\n", "y4m"),
        ("YUV4MPEG2 W64 H64 C444\nFRAM\n", "instead of FRAME"),
        (&long, "longer than"),
        ("YUV4MPEG\u{fffd}\n", "y4m"),
    ];
    for (header, expected) in cases {
        let complaint = complaint(&["--format", "y4m"], header.as_bytes());
        assert!(complaint.contains(expected), "{}: {complaint}", &header[..header.len().min(60)]);
    }
}

#[test]
fn frames_of_a_stream_that_are_larger_than_the_memory_are_refused() {
    // 48 megapixels, which a stream may have and this pool has not.
    let header = b"YUV4MPEG2 W8000 H6000 C444\nFRAME\n";
    let output = watch(&["--format", "y4m"], &[&header[..], &[0; 1000]].concat());
    assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{:?}", output.status);
    assert!(!stderr(&output).contains("panicked") && !stderr(&output).is_empty(), "{}", stderr(&output));
    let output = watch(&["--format", "rgb24", "--size", "8000x6000"], &[0; 1000]);
    assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{:?}", output.status);
    assert!(!stderr(&output).contains("panicked") && !stderr(&output).is_empty(), "{}", stderr(&output));
}

/// What `watch` says of a stream that goes on until nobody reads it any more.
fn endless(format: &str, start: &[u8], then: &[u8]) -> String {
    let model = fixture("tiny").display().to_string();
    let mut command = program();
    command.args(["watch", "--threads", "1", "--memory", MEMORY, "--model", &model, "--all-frames"]);
    let mut child = command.args(["--input", "-", "--format", format]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let more = then.repeat(1 + (1 << 16) / then.len());
    // A gigabyte, if it were read.
    let _ = stdin.write_all(start).and_then(|()| (0..1 << 14).try_for_each(|_| stdin.write_all(&more)));
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    stderr(&output).into()
}

#[test]
fn streams_that_never_come_to_a_frame_are_given_up() {
    let jpeg = encoded(&square(64), ImageFormat::Jpeg);
    let cases = [
        ("mjpeg", &jpeg[..jpeg.len() - 2], &b"\x55"[..], "does not end within"),
        ("mjpeg", &jpeg[..2], &[0xFF, 0xFE, 0xFF, 0xFF, 0, 0], "does not end within"),
        ("mjpeg", b"", b"\0", "no JPEG begins within"),
        ("y4m", b"YUV4MPEG2 W64 H64 ", b"x", "longer than"),
        ("y4m", b"YUV4MPEG2 W64 H64\n", b"F", "longer than"),
    ];
    for (format, start, then, expected) in cases {
        let complaint = endless(format, start, then);
        assert!(complaint.contains(expected), "{format}: {complaint}");
    }
}

#[test]
fn frames_that_cannot_be_decoded_are_given_up_after_many_and_the_good_ones_are_told() {
    let good = encoded(&square(64), ImageFormat::Jpeg);
    let mut broken = good.clone();
    let scan = broken.windows(2).position(|marker| marker == [0xFF, 0xDA]).unwrap();
    // Tables that are not there, markers as they should be.
    broken.drain(20..scan);
    let output = watch(&["--format", "mjpeg"], &[good.repeat(3), broken.repeat(50), good.repeat(3)].concat());
    assert!(output.status.success() && stdout(&output).starts_with("a large red square"), "{}", stderr(&output));
    let output = watch(&["--format", "mjpeg"], &[good.repeat(3), broken.repeat(200)].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("a large red square"));
}

#[test]
fn streams_with_flipped_bits_end_in_captions_or_words() {
    let y4m = {
        let luma: Vec<u8> = square(64).pixels().map(|pixel| pixel.0[0]).collect();
        let frame = [&b"FRAME\n"[..], &luma, &vec![128; 64 * 64 * 2]].concat();
        [&b"YUV4MPEG2 W64 H64 F10:1 Ip A1:1 C444\n"[..], &frame.repeat(3)].concat()
    };
    let mjpeg = encoded(&square(64), ImageFormat::Jpeg).repeat(4);
    let mut random = Random(1);
    for (format, whole) in [("y4m", &y4m), ("mjpeg", &mjpeg)] {
        for trial in 0..40 {
            let mut damaged = whole.clone();
            for _ in 0..=trial % 4 {
                let end = if trial % 2 == 0 { damaged.len() } else { 40 };
                damaged[random.below(end)] ^= 1 << random.below(8);
            }
            let output = watch(&["--format", format], &damaged);
            let said = stderr(&output);
            assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{format}, trial {trial}: {said}");
            assert!(!said.contains("panicked"), "{format}, trial {trial}: {said}");
        }
    }
}
