//! `scenescribe watch`: frames in through a pipe, captions out when the scene changes.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, ChildStdin, Output, Stdio};
use std::time::{Duration, Instant};

use image::{Rgb, RgbImage};
use rustix::process::{Pid, Signal, kill_process};
use scenescribe::watch::{Settings, Watcher};
use scenescribe::{Frame, PictureReader};

use crate::support::*;

const SIDE: u32 = 64;
const RED: &str = "a large red square";
const BLUE: &str = "a blue";

/// A large red square, as raw RGB.
fn red() -> Vec<u8> {
    square(SIDE).into_raw()
}

/// A small blue square elsewhere.
fn blue() -> Vec<u8> {
    let is_inside = |x, y| (40..56).contains(&x) && (8..24).contains(&y);
    RgbImage::from_fn(SIDE, SIDE, |x, y| Rgb(if is_inside(x, y) { [40, 60, 220] } else { [20, 20, 20] })).into_raw()
}

/// The arguments that watch raw frames on standard input with the tiny model.
fn arguments<'a>(model: &'a str, options: &[&'a str]) -> Vec<&'a str> {
    let common = ["watch", "--model", model, "--input", "-", "--format", "rgb24", "--size", "64x64", "--all-frames"];
    [&common, options].concat()
}

/// What `watch` makes of these frames.
fn watch(options: &[&str], frames: &[&[u8]]) -> Output {
    let model = fixture("tiny").display().to_string();
    scenescribe_with_input(&arguments(&model, options), &frames.concat())
}

/// A `watch` that runs while the test gives it frames.
struct Running {
    child: Child,
    frames: Option<ChildStdin>,
    log: BufReader<std::process::ChildStderr>,
}

impl Running {
    fn start(options: &[&str], environment: &[(&str, &str)]) -> Self {
        let model = fixture("tiny").display().to_string();
        let mut command = program();
        command.args(arguments(&model, options)).arg("-vv").envs(environment.iter().copied());
        let mut child = command.stdin(Stdio::piped()).spawn().expect("the program was built for this test");
        let frames = child.stdin.take();
        let log = BufReader::new(child.stderr.take().expect("piped"));
        Self { child, frames, log }
    }

    fn feed(&mut self, frames: &[&[u8]]) {
        let stdin = self.frames.as_mut().expect("open until the end");
        frames.iter().for_each(|frame| stdin.write_all(frame).expect("the program reads"));
    }

    /// Waits for a line of the log, and gives all up to it.
    fn wait_for(&mut self, words: &str) -> String {
        let mut log = String::new();
        while !log.lines().last().is_some_and(|line| line.contains(words)) {
            assert!(self.log.read_line(&mut log).unwrap() > 0, "the log ended without {words:?}:\n{log}");
        }
        log
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the program runs");
    }

    /// Ends the stream if it is still open, and waits for the end of the program.
    fn end(mut self) -> Output {
        drop(self.frames.take());
        let mut stderr = Vec::new();
        self.log.read_to_end(&mut stderr).unwrap();
        Output { stderr, ..self.child.wait_with_output().unwrap() }
    }
}

#[test]
fn a_scene_is_told_once_and_the_next_one_on_its_second_frame() {
    let (red, blue) = (red(), blue());
    let output = watch(&["-vv"], &[&red, &red, &red, &red, &blue, &blue, &blue, &red, &red]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines: Vec<_> = stdout(&output).lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with(RED) && lines[1].starts_with(BLUE) && lines[2].starts_with(RED), "{lines:?}");
    let verdicts: Vec<_> = stderr(&output).lines().filter_map(|line| line.split("since the last: ").nth(1)).collect();
    let expected = ["waits", "told", "gated", "gated", "waits", "told", "gated", "waits", "told"];
    assert_eq!(verdicts, expected);
}

#[test]
fn a_thing_in_a_single_frame_is_not_told_but_the_last_frame_of_a_stream_is() {
    let (red, blue) = (red(), blue());
    let told = |frames: &[&[u8]]| stdout(&watch(&[], frames)).lines().count();
    assert_eq!(told(&[&red, &red, &blue, &red, &red]), 1);
    assert_eq!(told(&[&red, &red, &blue]), 2);
    assert_eq!(told(&[&red]), 1);
}

/// A frame of a y4m stream with full-range BT.601 colours; squares lie on even places, so that chroma is exact.
fn y4m_frame(rgb: &[u8]) -> Vec<u8> {
    let planes: Vec<[f32; 3]> = rgb
        .chunks_exact(3)
        .map(|pixel| {
            let [red, green, blue] = [0, 1, 2].map(|channel| f32::from(pixel[channel]));
            let brightness = 0.299 * red + 0.587 * green + 0.114 * blue;
            [brightness, 128.0 + (blue - brightness) / 1.772, 128.0 + (red - brightness) / 1.402]
        })
        .collect();
    let plane = |plane: usize, step: usize| {
        let places =
            (0..SIDE as usize).step_by(step).flat_map(|y| (0..SIDE as usize).step_by(step).map(move |x| (x, y)));
        places.map(|(x, y)| planes[y * SIDE as usize + x][plane].round() as u8).collect::<Vec<u8>>()
    };
    [&b"FRAME\n"[..], &plane(0, 1), &plane(1, 2), &plane(2, 2)].concat()
}

#[test]
fn a_y4m_stream_needs_no_size_and_tells_the_same() {
    let [red, blue] = [red(), blue()].map(|frame| y4m_frame(&frame));
    let header = b"YUV4MPEG2 W64 H64 F25:1 Ip A1:1 C420jpeg XCOLORRANGE=FULL\n";
    let stream = [&header[..], &red, &red, &red, &blue, &blue].concat();
    let model = fixture("tiny").display().to_string();
    let arguments = ["watch", "--model", &model, "--input", "-", "--format", "y4m", "--all-frames"];
    let output = scenescribe_with_input(&arguments, &stream);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines: Vec<_> = stdout(&output).lines().collect();
    assert!(matches!(lines[..], [first, last] if first.starts_with(RED) && last.starts_with(BLUE)), "{lines:?}");
}

#[test]
fn a_broken_stream_is_a_failure_that_loses_no_caption() {
    let (red, blue) = (red(), blue());
    let header = b"YUV4MPEG2 W64 H64 F25:1 C420jpeg XCOLORRANGE=FULL\n";
    let stream = [&header[..], &y4m_frame(&red), &y4m_frame(&red), b"no frame at all\n", &y4m_frame(&blue)].concat();
    let model = fixture("tiny").display().to_string();
    let arguments = ["watch", "--model", &model, "--input", "-", "--format", "y4m", "--all-frames"];
    let output = scenescribe_with_input(&arguments, &stream);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).starts_with(RED) && stdout(&output).lines().count() == 1, "{}", stdout(&output));
    assert!(stderr(&output).contains("is not a y4m stream"), "{}", stderr(&output));
}

#[test]
fn json_lines_number_the_captions_and_say_when() {
    let (red, blue) = (red(), blue());
    let output = watch(&["--json", "--health"], &[&red, &red, &blue, &blue]);
    let lines: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["sequence"], &lines[1]["sequence"]), (&0.into(), &1.into()));
    assert_eq!((&lines[0]["unsure"], &lines[0]["source"]), (&false.into(), &"standard input".into()));
    assert!(lines[1]["caption"].as_str().unwrap().starts_with(BLUE));
    let health: serde_json::Value = serde_json::from_str(stderr(&output).lines().last().unwrap()).unwrap();
    let counts = ["frames", "gated", "captioned", "told", "failed"].map(|key| health[key].as_u64().unwrap());
    assert_eq!(counts, [4, 0, 4, 2, 0]);
}

#[test]
fn the_health_line_comes_at_the_end_at_the_latest() {
    let red = red();
    let output = watch(&["--health", "3600"], &[&red, &red, &red]);
    let line = stderr(&output).lines().last().unwrap();
    assert!(line.starts_with("scenescribe: health: up 0:00:0"), "{line}");
    assert!(line.contains("3 frames, 1 gated, 2 captioned, 1 told; ms p50 "), "{line}");
}

#[test]
fn a_heartbeat_tells_the_same_again() {
    let red = red();
    let frames = vec![&red[..]; 12];
    let told = |options: &[&str]| stdout(&watch(options, &frames)).lines().count();
    assert_eq!(told(&["--rate", "20"]), 1);
    // 12 frames take 0.55 s or longer.
    assert!(told(&["--rate", "20", "--heartbeat", "0.1"]) >= 4);
}

#[test]
fn an_unsure_caption_is_marked_or_skipped() {
    let red = red();
    let frames: [&[u8]; 3] = [&red; 3];
    let output = watch(&["--min-confidence", "1"], &frames);
    assert!(stdout(&output).starts_with("unsure: a large red square"), "{}", stdout(&output));
    let output = watch(&["--min-confidence", "1", "--unsure", "skip"], &frames);
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), ""));
    let output = watch(&["--min-confidence", "0.01", "--unsure", "skip"], &frames);
    assert!(stdout(&output).starts_with(RED));
}

#[test]
fn pictures_of_the_newest_captions_are_kept() {
    let (red, blue) = (red(), blue());
    let folder = folder();
    let kept = folder.path().join("kept");
    let options = ["--log-frames", kept.to_str().unwrap(), "--keep", "2"];
    let output = watch(&options, &[&red, &red, &blue, &blue, &red, &red]);
    assert!(output.status.success(), "{}", stderr(&output));
    let mut paths: Vec<_> = fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert_eq!(paths.len(), 2, "{paths:?}");
    assert!(paths[0].file_name().unwrap().to_str().unwrap().starts_with("00000001-000001-"), "{paths:?}");
    for (path, centre) in paths.iter().zip([[20, 20, 20], [220, 40, 40]]) {
        let picture = image::open(path).unwrap().into_rgb8();
        let pixel = picture.get_pixel(SIDE / 2, SIDE / 2).0;
        assert!(pixel.iter().zip(centre).all(|(value, expected)| value.abs_diff(expected) < 12), "{path:?}: {pixel:?}");
    }
}

#[test]
fn pictures_that_cannot_be_kept_are_a_warning_and_no_end() {
    let (red, blue) = (red(), blue());
    let folder = folder();
    let kept = folder.path().join("kept");
    let mut running = Running::start(&["--log-frames", kept.to_str().unwrap(), "--health"], &[]);
    running.feed(&[&red, &red]);
    running.wait_for("told");
    fs::remove_dir_all(&kept).unwrap();
    running.feed(&[&blue, &blue, &red, &red]);
    let output = running.end();
    assert_eq!((output.status.code(), stdout(&output).lines().count()), (Some(0), 3));
    assert_eq!(stderr(&output).matches("cannot keep pictures").count(), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("2 pictures lost"), "{}", stderr(&output));
}

#[test]
fn frames_on_which_a_graph_fails_are_counted_and_logged_once() {
    let model = tiny_model();
    for name in ["encoder_model_quantized.onnx", "decoder_model_quantized.onnx"] {
        fs::remove_file(model.path().join(name)).unwrap();
    }
    // It panics inside the engine where a picture has white in it.
    fs::copy(fixture("failing/encoder_model.onnx"), model.path().join("encoder_model.onnx")).unwrap();
    let (red, blue, white) = (red(), blue(), vec![255; (SIDE * SIDE * 3) as usize]);
    let model = model.path().display().to_string();
    let frames: [&[u8]; 7] = [&red, &red, &white, &white, &white, &blue, &blue];
    let output = scenescribe_with_input(&arguments(&model, &["--health"]), &frames.concat());
    assert_eq!((output.status.code(), stdout(&output).lines().count()), (Some(0), 1), "{}", stderr(&output));
    for (words, count) in [("failed while running", 1), ("no more trouble with graphs", 1), ("3 failed", 1)] {
        assert_eq!(stderr(&output).matches(words).count(), count, "{words} in\n{}", stderr(&output));
    }
}

#[test]
fn a_signal_ends_the_run_in_order_while_the_stream_is_silent() {
    let (red, blue) = (red(), blue());
    for signal in [Signal::TERM, Signal::INT] {
        let mut running = Running::start(&["--health"], &[]);
        running.feed(&[&red, &red]);
        running.wait_for("told");
        running.signal(Signal::HUP);
        running.feed(&[&blue, &blue]);
        running.wait_for("told");
        running.signal(signal);
        let log = running.wait_for("health: ");
        assert!(log.contains("4 frames"), "{log}");
        let output = running.end();
        assert_eq!(output.status.code(), Some(0), "{signal:?}: {}", stderr(&output));
        let lines: Vec<_> = stdout(&output).lines().collect();
        assert!(matches!(lines[..], [first, last] if first.starts_with(RED) && last.starts_with(BLUE)), "{lines:?}");
    }
}

#[test]
fn a_reader_who_goes_away_is_a_normal_end() {
    let (red, blue) = (red(), blue());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let model = fixture("tiny").display().to_string();
    let mut command = program();
    command.args(arguments(&model, &[])).stdin(Stdio::piped()).stdout(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut stdin = child.stdin.take().unwrap();
    // It ends in the middle of the stream: the rest cannot be written.
    let _ = (0..50).try_for_each(|_| [&red, &red, &blue, &blue].iter().try_for_each(|frame| stdin.write_all(frame)));
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
}

#[test]
fn systemd_hears_of_readiness_frames_captions_and_the_end() {
    let red = red();
    let folder = folder();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "60000000")];
    let mut running = Running::start(&[], &environment);
    let heard = |expected: &[&str]| {
        for expected in expected {
            let mut message = [0; 256];
            let len = socket.recv(&mut message).unwrap();
            let message = str::from_utf8(&message[..len]).unwrap();
            assert!(message.starts_with(expected), "{message} instead of {expected}");
        }
    };
    heard(&["READY=1"]);
    running.feed(&[&red, &red]);
    heard(&["WATCHDOG=1", "STATUS=a large red square"]);
    running.signal(Signal::TERM);
    heard(&["STOPPING=1"]);
    assert_eq!(running.end().status.code(), Some(0));
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 256]).is_err(), "nothing is heard after the end");
}

#[test]
fn a_watchdog_is_not_fed_without_frames() {
    let folder = folder();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "60000000")];
    assert!(Running::start(&[], &environment).end().status.success());
    socket.set_nonblocking(true).unwrap();
    let mut heard = Vec::new();
    let mut message = [0; 256];
    while let Ok(len) = socket.recv(&mut message) {
        heard.push(String::from_utf8(message[..len].into()).unwrap());
    }
    assert_eq!(heard, ["READY=1", "STOPPING=1"]);
}

#[test]
fn wrong_options_are_named_and_exit_with_two() {
    for (options, named) in [
        (&["--min-confidence", "1.5"][..], "--min-confidence"),
        (&["--heartbeat", "0"], "--heartbeat"),
        (&["--change", "2"], "--change"),
        (&["--hold", "0"], "--hold"),
        (&["--unsure", "never"], "--unsure"),
        (&["--keep", "3"], "--log-frames"),
        (&["--log-frames", "x", "--keep", "0"], "--keep"),
        (&["--log-frames", "x", "--keep-bytes", "many"], "--keep-bytes"),
    ] {
        let output = watch(options, &[]);
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        assert!(stderr(&output).contains(named), "{}", stderr(&output));
    }
}

#[test]
fn short_help_of_watch_fits_a_screen() {
    let output = scenescribe(&["watch", "-h"]);
    assert!(stdout(&output).lines().count() <= 24, "{}", stdout(&output));
}

/// A frame as a camera shows it again: moved by a few pixels, brighter or darker, with noise.
fn seen_again(picture: &Frame, seed: u32) -> Vec<u8> {
    let mut random = seed.wrapping_mul(0x9E37_79B9) | 1;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        (random >> 8) as f32 / (1 << 24) as f32 // 0 to 1
    };
    let (width, height) = (picture.width() as i32, picture.height() as i32);
    let shake = width / 100;
    let (right, down) = ((next() * 2.0 - 1.0) * shake as f32, (next() * 2.0 - 1.0) * shake as f32);
    let (gain, offset) = (0.9 + 0.2 * next(), -8.0 + 16.0 * next());
    let mut pixels = Vec::new();
    for y in 0..height {
        let row = picture.row((y + down as i32).clamp(0, height - 1) as usize);
        for x in 0..width {
            let place = (x + right as i32).clamp(0, width - 1) as usize * 3;
            let noise = 12.0 * (next() + next() + next() - 1.5);
            pixels.extend(row[place..place + 3].iter().map(|value| (f32::from(*value) * gain + offset + noise) as u8));
        }
    }
    pixels
}

#[test]
fn the_gate_is_shut_for_a_photo_seen_again_and_open_for_another() {
    let mut reader = PictureReader::new();
    let photo = reader.read(&fixture("photos/dog.jpg")).unwrap();
    let size = (photo.width(), photo.height());
    let upside_down: Vec<u8> = (0..photo.height() as usize).rev().flat_map(|y| photo.row(y)).copied().collect();
    let other = Frame::new(size.0, size.1, &upside_down).unwrap();
    for (scene, next) in [(photo, other), (other, photo)] {
        let mut watcher = Watcher::new(Settings::default());
        let now = Instant::now();
        let mut told = scenescribe::Caption::default();
        told.tokens.extend([1, 2, 3]);
        for _ in 0..2 {
            assert!(watcher.wants(&scene, now));
            watcher.weigh(&told, now);
        }
        for seed in 0..20 {
            let again = seen_again(&scene, seed);
            let frame = Frame::new(size.0, size.1, &again).unwrap();
            assert!(!watcher.wants(&frame, now), "seed {seed}: {:?}", watcher.change());
        }
        for seed in 0..20 {
            let another = seen_again(&next, seed);
            let frame = Frame::new(size.0, size.1, &another).unwrap();
            assert!(watcher.wants(&frame, now), "seed {seed}: {:?}", watcher.change());
        }
    }
}
