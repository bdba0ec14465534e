//! Streams and cameras as `watch` follows them: formats, torn ends, lost children, wrong options.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use image::ImageFormat;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::*;

const SIDE: u32 = 64;
const RED: &str = "a large red square";

/// Frames enough for a caption to be told.
const FRAMES: usize = 3;

fn watch(options: &[&str], input: &[u8]) -> Output {
    let model = fixture("tiny").display().to_string();
    scenescribe_with_input(&[&["watch", "--model", &model], options].concat(), input)
}

/// The red square in JPEGs.
fn mjpeg() -> Vec<u8> {
    encoded(&square(SIDE), ImageFormat::Jpeg).repeat(FRAMES)
}

/// The red square in planes of Y, U and V, full range, by the definition of BT.601.
fn y4m() -> Vec<u8> {
    let picture = square(SIDE);
    let plane = |weights: [f32; 3], zero: f32| -> Vec<u8> {
        let value = |pixel: &image::Rgb<u8>| {
            let sum: f32 = pixel.0.iter().zip(weights).map(|(value, weight)| f32::from(*value) * weight).sum();
            (sum + zero).round().clamp(0.0, 255.0) as u8
        };
        picture.pixels().map(value).collect()
    };
    let luma = plane([0.299, 0.587, 0.114], 0.0);
    let (u, v) = (plane([-0.1687, -0.3313, 0.5], 128.0), plane([0.5, -0.4187, -0.0813], 128.0));
    let frame = [&b"FRAME\n"[..], &luma, &u, &v].concat();
    [&b"YUV4MPEG2 W64 H64 F10:1 Ip A1:1 C444 XCOLORRANGE=FULL\n"[..], &frame.repeat(FRAMES)].concat()
}

#[test]
fn streams_with_headers_need_no_size_and_are_told_by_their_ending() {
    let folder = folder();
    for (format, bytes) in [("y4m", y4m()), ("mjpeg", mjpeg())] {
        let output = watch(&["--input", "-", "--format", format, "--all-frames"], &bytes);
        assert!(output.status.success() && stdout(&output).starts_with(RED), "{format}: {}", stderr(&output));
        let path = file(&folder, &format!("clip.{format}"), &bytes).display().to_string();
        let output = watch(&["--input", &path], &[]);
        assert!(output.status.success() && stdout(&output).starts_with(RED), "{format}: {}", stderr(&output));
    }
}

#[test]
fn a_pipe_keeps_its_newest_frame_when_it_ends() {
    let output = watch(&["--input", "-", "--format", "mjpeg"], &mjpeg());
    assert!(output.status.success() && stdout(&output).starts_with(RED), "{}", stderr(&output));
}

#[test]
fn a_stream_that_stops_within_a_frame_ends_with_a_word_about_it() {
    let raw = square(SIDE).into_raw().repeat(FRAMES);
    let cases: [(&[&str], Vec<u8>); 3] = [
        (&["--format", "rgb24", "--size", "64x64"], raw),
        (&["--format", "y4m"], y4m()),
        (&["--format", "mjpeg"], mjpeg()),
    ];
    for (options, mut bytes) in cases {
        bytes.truncate(bytes.len() - 10);
        let output = watch(&[&["--input", "-", "--all-frames"], options].concat(), &bytes);
        assert!(output.status.success(), "{options:?}: {}", stderr(&output));
        assert!(stdout(&output).starts_with(RED), "{options:?}");
        let expected = "standard input ends in the middle of frame 3";
        assert!(stderr(&output).contains(expected), "{options:?}: {}", stderr(&output));
    }
}

#[test]
fn what_is_no_stream_is_named_and_fails() {
    for (format, expected) in [("y4m", "is not a y4m stream"), ("mjpeg", "")] {
        let output = watch(&["--input", "-", "--format", format], &[7; 5000]);
        assert_eq!(stdout(&output), "");
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
        assert_eq!(output.status.code(), Some(i32::from(format == "y4m")), "{}", stderr(&output));
    }
}

#[test]
fn padded_rows_of_a_file_are_found_by_its_length() {
    let folder = folder();
    let picture = square(60);
    // 4:2:0 has no red to tell: grey, in rows of 64 with a bright padding.
    let row = |len: usize, value: u8| [vec![value; len], vec![255; 64 - len]].concat();
    let luma: Vec<u8> = (0..picture.height()).flat_map(|_| row(60, 16)).collect();
    let chroma: Vec<u8> = (0..60).flat_map(|_| [vec![128; 30], vec![255; 2]].concat()).collect();
    let path = file(&folder, "frames.yuv", &[luma, chroma].concat().repeat(2)).display().to_string();
    let kept = folder.path().join("kept").display().to_string();
    let options = ["--input", &path, "--format", "yuv420", "--size", "60x60", "--log-frames", &kept];
    let output = watch(&options, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let pictures: Vec<_> = fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().path()).collect();
    let is_picture = |path: &&std::path::PathBuf| image::ImageFormat::from_path(path).is_ok();
    let picture = image::open(pictures.iter().find(is_picture).unwrap()).unwrap().into_rgb8();
    assert_eq!(picture.dimensions(), (60, 60));
    assert!(picture.pixels().all(|pixel| pixel.0.iter().all(|value| *value < 8)), "padding was read as picture");
}

#[test]
fn options_that_do_not_fit_are_wrong_usage() {
    let cases: [(&[&str], &str); 4] = [
        (&["--input", "-", "--format", "nv12"], "--size"),
        (&["--input", "-"], "--format"),
        (&["--camera", "rpicam", "--format", "gray"], "yuv420"),
        (&["--camera", "rpicam", "--input", "-"], "cannot be used with"),
    ];
    for (options, expected) in cases {
        let output = watch(options, &[]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

#[test]
fn a_camera_that_is_not_there_is_named_with_a_remedy() {
    let output = watch(&["--camera", "/dev/no-such-video"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/dev/no-such-video") && stderr(&output).contains("scenescribe cameras"));
}

/// A folder for the path, with a script in the place of `rpicam-vid` that shows the frames and goes on as told.
fn fake_rpicam(then: &str) -> TempDir {
    let folder = folder();
    let frames = file(&folder, "frames.mjpeg", &mjpeg());
    let script =
        format!("#!/bin/sh\necho $$ > '{}/pid'\ncat '{}'\n{then}\n", folder.path().display(), frames.display());
    let path = file(&folder, "rpicam-vid", script.as_bytes());
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn rpicam_command(folder: &TempDir, options: &[&str]) -> std::process::Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = program();
    command.args(["watch", "--model"]).arg(fixture("tiny"));
    command.args(["--camera", "rpicam", "--format", "mjpeg", "--hold", "1"]).args(options);
    command.env("PATH", format!("{}:{path}", folder.path().display())).stdin(Stdio::null());
    command
}

#[test]
fn a_pi_camera_that_dies_is_started_again_up_to_the_limit() {
    let folder = fake_rpicam("echo again >> \"${0%/*}/starts\"; exit 3");
    let output = rpicam_command(&folder, &["--retry-limit", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).starts_with(RED), "{}", stderr(&output));
    assert!(stderr(&output).contains("exit code 3"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(folder.path().join("starts")).unwrap().lines().count(), 2);
}

#[test]
fn sigterm_ends_a_camera_that_has_stalled_and_its_program() {
    let folder = fake_rpicam("exec sleep 1000");
    let mut child = rpicam_command(&folder, &["--stall", "600"]).spawn().unwrap();
    // The caption says that the frames have been seen; what follows is silence.
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    assert!(line.starts_with(RED), "{line}");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let asked = Instant::now();
    assert!(child.wait().unwrap().success());
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    let pid: i32 = fs::read_to_string(folder.path().join("pid")).unwrap().trim().parse().unwrap();
    assert!(rustix::process::test_kill_process(Pid::from_raw(pid).unwrap()).is_err(), "the program is still there");
}

#[test]
fn a_fifo_without_a_writer_is_waited_for() {
    let folder = folder();
    let path = folder.path().join("fifo");
    let mode = rustix::fs::Mode::from(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let mut command = program();
    command.args(["watch", "--model"]).arg(fixture("tiny")).arg("--input").arg(&path).args(["--format", "mjpeg"]);
    let child = command.stdin(Stdio::null()).spawn().unwrap();
    // Opening for writing waits for the reader.
    fs::OpenOptions::new().write(true).open(&path).unwrap().write_all(&mjpeg()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && stdout(&output).starts_with(RED), "{}", stderr(&output));
}
