//! What ffmpeg writes is read pixel for pixel; `scripts/test-streams.sh` runs these, which need ffmpeg.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use scenescribe::source::{
    ColorMatrix, ColorRange, ColorSpec, Input, PixelFormat, SourceOptions, Stop, StreamFormat, open,
};
use tempfile::TempDir;

use crate::support::*;

const WIDTH: u32 = 150;
const HEIGHT: u32 = 90;
const FRAMES: u32 = 3;

/// Smooth colours, so that the shared colour of neighbours is close to that of each; another picture each frame.
fn picture(number: u32) -> Vec<u8> {
    let places = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y)));
    let pixel = |(x, y): (u32, u32)| {
        let (across, down) = (30 + x * 190 / WIDTH, 30 + y * 190 / HEIGHT);
        [across, down, (across + down) / 2 + number * 10].map(|value| value as u8)
    };
    places.flat_map(pixel).collect()
}

/// Lets ffmpeg turn the pictures into a file.
fn ffmpeg(folder: &TempDir, arguments: &str) -> PathBuf {
    let path = folder.path().join("stream");
    let size = format!("{WIDTH}x{HEIGHT}");
    let mut child = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", &size, "-r", "10", "-i", "-"])
        .args(arguments.split(' '))
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("ffmpeg is installed: scripts/test-streams.sh sees to it");
    let mut stdin = child.stdin.take().unwrap();
    (0..FRAMES).for_each(|number| stdin.write_all(&picture(number)).unwrap());
    drop(stdin);
    assert!(child.wait().unwrap().success(), "ffmpeg {arguments}");
    path
}

/// Largest and mean difference of what is read from the pictures that ffmpeg was given.
fn differences(options: &SourceOptions) -> (u8, f64) {
    let mut source = open(options, &Stop::default()).unwrap();
    let (mut largest, mut sum) = (0, 0);
    for number in 0..FRAMES {
        let frame = source.next_frame().unwrap().unwrap_or_else(|| panic!("there is no frame {number}"));
        assert_eq!((frame.width(), frame.height()), (WIDTH, HEIGHT));
        let expected = picture(number);
        let rows = expected.chunks((WIDTH * 3) as usize);
        for (value, expected) in rows.enumerate().flat_map(|(y, row)| frame.row(y).iter().zip(row)) {
            largest = largest.max(value.abs_diff(*expected));
            sum += u64::from(value.abs_diff(*expected));
        }
    }
    assert!(source.next_frame().unwrap().is_none(), "there are more frames");
    (largest, sum as f64 / f64::from(WIDTH * HEIGHT * 3 * FRAMES))
}

fn stream(path: PathBuf, format: StreamFormat) -> SourceOptions {
    SourceOptions::new(Input::Stream { path: Some(path), format })
}

#[test]
#[ignore = "needs ffmpeg: scripts/test-streams.sh"]
fn y4m_of_ffmpeg_gives_the_pictures() {
    for format in ["yuv420p", "yuv422p", "yuv444p", "yuvj420p"] {
        let folder = folder();
        let range = if format.starts_with("yuvj") { "pc" } else { "tv" };
        let arguments = format!("-vf scale=out_color_matrix=bt601:out_range={range} -pix_fmt {format} -f yuv4mpegpipe");
        let (largest, mean) = differences(&stream(ffmpeg(&folder, &arguments), StreamFormat::Y4m));
        // Rounding to eight bits twice, and colours shared by four pixels.
        println!("y4m {format}: largest difference {largest}, mean {mean:.3}");
        assert!(largest <= 6 && mean < 1.5, "{format}: {largest}, {mean}");
    }
}

#[test]
#[ignore = "needs ffmpeg: scripts/test-streams.sh"]
fn grey_y4m_of_ffmpeg_gives_the_luma() {
    let folder = folder();
    let path = ffmpeg(&folder, "-pix_fmt gray -f yuv4mpegpipe");
    let mut source = open(&stream(path, StreamFormat::Y4m), &Stop::default()).unwrap();
    let frame = source.next_frame().unwrap().unwrap();
    let expected = picture(0);
    for (value, rgb) in frame.row(0).chunks(3).zip(expected.chunks(3)) {
        let luma = 0.299 * f64::from(rgb[0]) + 0.587 * f64::from(rgb[1]) + 0.114 * f64::from(rgb[2]);
        assert!(value.iter().all(|value| (f64::from(*value) - luma).abs() < 3.0), "{value:?}, {luma}");
    }
}

#[test]
#[ignore = "needs ffmpeg: scripts/test-streams.sh"]
fn mjpeg_of_ffmpeg_gives_the_pictures() {
    for options in ["-huffman default", "-huffman optimal"] {
        let folder = folder();
        let path = ffmpeg(&folder, &format!("-c:v mjpeg -q:v 2 -pix_fmt yuvj420p {options} -f mjpeg"));
        let (largest, mean) = differences(&stream(path, StreamFormat::Mjpeg));
        println!("mjpeg {options}: largest difference {largest}, mean {mean:.3}");
        assert!(largest <= 16 && mean < 2.5, "{options}: {largest}, {mean}");
    }
}

#[test]
#[ignore = "needs ffmpeg: scripts/test-streams.sh"]
fn raw_frames_of_ffmpeg_give_the_pictures() {
    let formats = [
        (PixelFormat::Rgb24, "rgb24"),
        (PixelFormat::Bgr24, "bgr24"),
        (PixelFormat::Yuyv, "yuyv422"),
        (PixelFormat::Nv12, "nv12"),
        (PixelFormat::Yuv420, "yuv420p"),
    ];
    let colors = [
        (ColorMatrix::Bt601, ColorRange::Limited, "bt601:out_range=tv"),
        (ColorMatrix::Bt709, ColorRange::Limited, "bt709:out_range=tv"),
        (ColorMatrix::Bt601, ColorRange::Full, "bt601:out_range=pc"),
        (ColorMatrix::Bt709, ColorRange::Full, "bt709:out_range=pc"),
    ];
    for (format, name) in formats {
        for (matrix, range, words) in colors {
            let folder = folder();
            let path = ffmpeg(&folder, &format!("-vf scale=out_color_matrix={words} -pix_fmt {name} -f rawvideo"));
            let mut options = stream(path, StreamFormat::Raw(format));
            (options.size, options.stride) = (Some((WIDTH, HEIGHT)), None);
            options.color = ColorSpec { matrix: Some(matrix), range: Some(range) };
            let (largest, mean) = differences(&options);
            println!("{name} {words}: largest difference {largest}, mean {mean:.3}");
            assert!(largest <= 6 && mean < 1.5, "{name} {words}: {largest}, {mean}");
        }
    }
}

#[test]
#[ignore = "needs ffmpeg: scripts/test-streams.sh"]
fn watch_follows_ffmpeg_through_a_pipe() {
    for arguments in ["-f yuv4mpegpipe -pix_fmt yuv420p", "-c:v mjpeg -q:v 2 -f mjpeg"] {
        let photo = fixture("photos/dog.jpg").display().to_string();
        let mut ffmpeg = Command::new("ffmpeg")
            .args(["-v", "error", "-loop", "1", "-i", &photo, "-frames:v", "4"])
            .args(arguments.split(' '))
            .arg("-")
            .stdout(Stdio::piped())
            .spawn()
            .expect("ffmpeg is installed: scripts/test-streams.sh sees to it");
        let format = if arguments.contains("mjpeg -q") { "mjpeg" } else { "y4m" };
        let mut command = program();
        command.args(["watch", "--input", "-", "--format", format]).stdin(ffmpeg.stdout.take().unwrap());
        let output = command.output().unwrap();
        // The command holds the pipe: while it does, ffmpeg could wait for a reader that has gone.
        drop(command);
        ffmpeg.wait().unwrap();
        println!("{format}: {}", stdout(&output));
        assert!(output.status.success() && stdout(&output).contains("dog"), "{}", stderr(&output));
    }
}
