//! Captions over a serial line: a pty is the cable, the library's decoder and one in Python are its far end.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use embedded_io::Write as _;
use embedded_io_adapters::std::FromStd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{ControlModes, tcgetattr};
use scenescribe::limits::MAX_FRAME_BYTES;
use scenescribe::sink::wire::Decoder;
use scenescribe::sink::{Framer, Framing, Serial, Sinks, WhenFull};
use scenescribe::{Caption, Error, Report};

use crate::support::*;

const FRAMINGS: [Framing; 4] = [Framing::Line, Framing::Ascii, Framing::Json, Framing::Cobs];

/// Longer than any machine needs: when it is over, the test has failed.
const PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// What both decoders give.
#[derive(Debug, Clone, PartialEq)]
struct Heard {
    text: String,
    is_unsure: bool,
    sequence: Option<u32>,
    time_ms: Option<u64>,
    confidence: Option<f32>,
}

/// The end of the cable that the test holds, and the device at the other.
struct Cable {
    end: File,
    device: PathBuf,
}

impl Cable {
    fn new() -> Self {
        let end = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&end).unwrap();
        unlockpt(&end).unwrap();
        let device = ptsname(&end, Vec::new()).unwrap().into_string().unwrap().into();
        Self { end: end.into(), device }
    }

    /// Reads until `decoder` has heard `count` messages or faults; the bytes too.
    fn hear(&mut self, framing: Framing, count: usize) -> (Vec<Heard>, Vec<u8>) {
        let (mut decoder, mut heard, mut bytes) = (Decoder::new(framing), Vec::new(), Vec::new());
        while heard.len() < count {
            let byte = self.read_byte();
            heard.extend(push(&mut decoder, byte));
            bytes.push(byte);
        }
        (heard, bytes)
    }

    fn read_byte(&mut self) -> u8 {
        let ready = poll(&mut [PollFd::new(&self.end, PollFlags::IN)], Some(&PATIENCE)).unwrap();
        assert!(ready > 0, "nothing came through the cable");
        let mut byte = [0];
        self.end.read_exact(&mut byte).unwrap();
        byte[0]
    }
}

fn push(decoder: &mut Decoder<MAX_FRAME_BYTES>, byte: u8) -> Option<Heard> {
    let message = decoder.push(byte)?.ok()?;
    Some(Heard {
        text: message.text.into(),
        is_unsure: message.is_unsure,
        sequence: message.stamp.map(|stamp| stamp.sequence),
        time_ms: message.stamp.map(|stamp| stamp.time_ms),
        confidence: message.stamp.map(|stamp| stamp.confidence),
    })
}

fn ours(framing: Framing, bytes: &[u8]) -> Vec<Heard> {
    let mut decoder = Decoder::new(framing);
    bytes.iter().filter_map(|byte| push(&mut decoder, *byte)).collect()
}

/// What `tests/serial_decoder.py` hears; `None` on a machine without Python.
fn pythons(framing: Framing, bytes: &[u8]) -> Option<Vec<Heard>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serial_decoder.py");
    let mut command = Command::new("python3");
    command.arg(script).args(["--framing", &format!("{framing:?}").to_lowercase()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|_| eprintln!("python3 is not here: its decoder was not asked")).ok()?;
    let mut input = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let lines = str::from_utf8(&output.stdout).unwrap().lines();
    let values = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let heard = values.map(|value| Heard {
        text: value["text"].as_str().unwrap().into(),
        is_unsure: value["unsure"].as_bool().unwrap(),
        sequence: value["sequence"].as_u64().map(|sequence| sequence as u32),
        time_ms: value["time_ms"].as_u64(),
        confidence: value["confidence"].as_f64().map(|confidence| confidence as f32),
    });
    Some(heard.collect())
}

fn report(sequence: u32, text: &str) -> Report {
    let caption = Caption { text: text.try_into().unwrap(), confidence: 0.25, ..Caption::default() };
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + u64::from(sequence));
    Report { sequence, time, caption, is_unsure: sequence % 3 == 1 }
}

/// What is to be heard of a report.
fn expected(framing: Framing, report: &Report) -> Heard {
    let is_line = framing == Framing::Line;
    let letters = report.caption.text.chars();
    Heard {
        text: letters.map(|letter| if is_line && letter.is_control() { ' ' } else { letter }).collect(),
        is_unsure: report.is_unsure,
        sequence: (!is_line).then_some(report.sequence),
        time_ms: (!is_line).then_some(1_700_000_000_000 + u64::from(report.sequence)),
        confidence: (!is_line).then_some(report.caption.confidence),
    }
}

/// Captions with all that a terminal, a quote or a checksum could stumble over.
fn awkward_reports() -> Vec<Report> {
    let long = "a dog and a cat ".repeat(30);
    let texts = [
        "a brown dog is running through the grass",
        "",
        "\u{fc}ber 1,000 $ * \\ ^ ~ ! \"quoted\" {}[]:",
        "\u{3}\u{4}\u{7f}\u{11}\u{13}\u{1a}\u{1b}[2J\r\n\tend",
        "\u{1f415} \u{72ac} \u{5d0}",
        long.trim_end(),
        &"\u{1f415}".repeat(128),
        "a cat",
    ];
    (1..).zip(texts).map(|(sequence, text)| report(sequence, text)).collect()
}

#[test]
fn every_framing_comes_through_the_line_and_is_read_by_both_decoders() {
    for framing in FRAMINGS {
        let mut cable = Cable::new();
        let mut sinks = Sinks::new("camera \"1\"");
        sinks.add_serial(Serial::open(&cable.device, 115_200).unwrap(), framing).unwrap();
        let mut reports = awkward_reports();
        // An empty line is no caption.
        reports.retain(|report| framing != Framing::Line || !report.caption.text.is_empty());
        reports.iter().for_each(|report| sinks.send(report).unwrap());
        let (heard, bytes) = cable.hear(framing, reports.len());
        let monitor = sinks.monitor();
        sinks.finish(Duration::from_secs(60)).unwrap();
        let expected: Vec<_> = reports.iter().map(|report| expected(framing, report)).collect();
        assert_eq!(heard, expected, "{framing:?}");
        if let Some(heard) = pythons(framing, &bytes) {
            assert_eq!(heard, expected, "{framing:?} in Python");
        }
        let counts = monitor.counts().next().unwrap();
        assert_eq!((counts.sent, counts.dropped, counts.reconnects), (reports.len() as u64, 0, 0));
    }
}

/// A small generator of known numbers (xorshift64*), so that a failure can be seen again.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    /// Flips a bit, drops a byte or puts one in.
    fn damage(&mut self, frame: &mut Vec<u8>) {
        let at = self.below(frame.len());
        match self.below(3) {
            0 => frame[at] ^= 1 << self.below(8),
            1 => drop(frame.remove(at)),
            _ => frame.insert(at, self.below(256) as u8),
        }
    }
}

#[test]
fn noise_costs_the_frames_that_it_hits_and_no_others() {
    for (framing, damages) in [(Framing::Line, 1), (Framing::Ascii, 1), (Framing::Json, 1), (Framing::Cobs, 5)] {
        let mut noise = Noise(0x5CE2_E5C2);
        let mut cable = Cable::new();
        let mut serial = Serial::open(&cable.device, 115_200).unwrap();
        let mut framer = Framer::new(framing, "camera");
        let (mut bytes, mut sent, mut clean) = (Vec::new(), Vec::new(), Vec::new());
        let mut is_delimited = true;
        for sequence in 0..500 {
            let text = format!("{} dogs are running after cat {sequence}", noise.below(1_000_000));
            let report = report(sequence, &text);
            serial.write_all(framer.frame(&report)).unwrap();
            let length = framer.frame(&report).len();
            let mut frame: Vec<_> = (0..length).map(|_| cable.read_byte()).collect();
            let is_hit = noise.below(3) == 0;
            if is_hit {
                (0..damages).for_each(|_| noise.damage(&mut frame));
            } else if is_delimited {
                clean.push(expected(framing, &report));
            }
            // A frame of these two begins where the one before ends; the others have a beginning of their own.
            is_delimited = !is_hit || matches!(framing, Framing::Ascii | Framing::Cobs);
            sent.push(expected(framing, &report));
            bytes.extend(frame);
        }
        let heard = ours(framing, &bytes);
        let heard_sequences: HashSet<_> = heard.iter().map(|heard| heard.sequence).collect();
        let is_heard = |message: &Heard| heard.contains(message);
        assert!(clean.len() > 150 && clean.iter().all(is_heard), "{framing:?}");
        if matches!(framing, Framing::Ascii | Framing::Cobs) {
            assert!(heard.iter().all(|heard| sent.contains(heard)), "{framing:?} let damage through");
            assert!(heard_sequences.len() == heard.len() && heard.len() < 400, "{framing:?}: {}", heard.len());
            if let Some(pythons) = pythons(framing, &bytes) {
                assert_eq!(pythons, heard, "{framing:?} in Python");
            }
        }
    }
}

/// A sink that the test can look into.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Vec<u8>>>);

impl Write for Shelf {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_who_stops_reading_stops_neither_the_sender_nor_other_sinks() {
    let cable = Cable::new();
    let shelf = Shelf::default();
    let mut sinks = Sinks::new("camera");
    sinks.add_serial(Serial::open(&cable.device, 115_200).unwrap(), Framing::Json).unwrap();
    let patient = WhenFull::WaitUnless(Arc::default());
    sinks.add("shelf", FromStd::new(shelf.clone()), Framing::Line, patient).unwrap();
    let text = "a dog and a cat ".repeat(30);
    (0..3000).for_each(|sequence| sinks.send(&report(sequence, text.trim_end())).unwrap());
    let monitor = sinks.monitor();
    sinks.finish(Duration::from_millis(200)).unwrap();
    let [serial, shelved] = monitor.counts().collect::<Vec<_>>()[..] else { panic!("two sinks") };
    assert_eq!(shelf.0.lock().unwrap().iter().filter(|byte| **byte == b'\n').count(), 3000);
    assert_eq!((shelved.sent, shelved.dropped), (3000, 0));
    assert!(serial.dropped > 2000, "{serial:?}");
    assert_eq!(serial.sent + serial.dropped, 3000);
    // The line was given back.
    Serial::open(&cable.device, 115_200).unwrap();
}

#[test]
fn a_device_that_was_unplugged_is_used_again_when_it_is_back() {
    let folder = folder();
    let device = folder.path().join("serial0");
    for framing in FRAMINGS {
        let mut cable = Cable::new();
        symlink(&cable.device, &device).unwrap();
        let mut sinks = Sinks::new("camera");
        sinks.add_serial(Serial::open(&device, 115_200).unwrap(), framing).unwrap();
        let monitor = sinks.monitor();
        sinks.send(&report(0, "before")).unwrap();
        assert_eq!(cable.hear(framing, 1).0[0].text, "before");

        fs::remove_file(&device).unwrap();
        drop(cable);
        (1..=20).for_each(|sequence| sinks.send(&report(sequence, "meanwhile")).unwrap());
        sinks.send(&report(21, "last")).unwrap();

        let mut cable = Cable::new();
        symlink(&cable.device, &device).unwrap();
        let (mut decoder, mut texts) = (Decoder::new(framing), Vec::new());
        while texts.last().is_none_or(|text| text != "last") {
            texts.extend(push(&mut decoder, cable.read_byte()).map(|heard| heard.text));
        }
        assert!((1..=9).contains(&texts.len()), "{texts:?}");
        sinks.finish(Duration::from_secs(60)).unwrap();
        let counts = monitor.counts().next().unwrap();
        assert_eq!((counts.sent + counts.dropped, counts.reconnects), (22, 1), "{framing:?}");
        fs::remove_file(&device).unwrap();
    }
}

#[test]
fn captions_of_watch_go_to_the_line_as_well() {
    let model = fixture("tiny").display().to_string();
    let frames = square(64).into_raw().repeat(4);
    for framing in FRAMINGS {
        let mut cable = Cable::new();
        let device = cable.device.display().to_string();
        let name = format!("{framing:?}").to_lowercase();
        let input =
            ["watch", "--model", &model, "--input", "-", "--format", "rgb24", "--size", "64x64", "--all-frames"];
        let sinks = ["--json", "--serial", &device, "--framing", &name, "--min-confidence", "0.9999"];
        let output = scenescribe_with_input(&[&input[..], &sinks].concat(), &frames);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let printed = ours(Framing::Json, &output.stdout);
        let (heard, _) = cable.hear(framing, 1);
        assert!(printed[0].is_unsure && heard[0].is_unsure, "{framing:?}");
        assert_eq!(heard[0].text, printed[0].text);
        if framing != Framing::Line {
            assert_eq!((heard[0].sequence, heard[0].time_ms), (Some(0), printed[0].time_ms));
        }
    }
}

#[test]
fn watch_without_its_line_says_what_to_do() {
    let model = fixture("tiny").display().to_string();
    let folder = folder();
    let missing = folder.path().join("ttyUSB9").display().to_string();
    let common = ["watch", "--model", &model, "--input", "-", "--format", "rgb24", "--size", "64x64"];
    let cases: [(&[&str], i32, &str); 3] = [
        (&["--serial", &missing], 1, "is it plugged in?"),
        (&["--serial", &missing, "--baud", "fast"], 2, "--baud"),
        (&["--no-stdout"], 2, "--serial"),
    ];
    for (options, code, words) in cases {
        let output = scenescribe_with_input(&[&common, options].concat(), &[]);
        assert_eq!(output.status.code(), Some(code), "{options:?}");
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}

#[test]
fn a_line_that_is_gone_does_not_hold_up_the_end() {
    let cable = Cable::new();
    let mut sinks = Sinks::new("camera");
    sinks.add_serial(Serial::open(&cable.device, 115_200).unwrap(), Framing::Line).unwrap();
    let monitor = sinks.monitor();
    drop(cable);
    (0..10).for_each(|sequence| sinks.send(&report(sequence, "a dog")).unwrap());
    sinks.finish(Duration::from_secs(60)).unwrap();
    assert_eq!(monitor.dropped(), 10);
}

#[test]
fn the_line_is_raw_and_runs_at_the_rate_that_was_asked_for() {
    let mut rates = vec![9600, 115_200, 250_000, 460_800, 921_600];
    if is_left_out_under_emulator("250,000 and 921,600 baud: qemu-user knows rates with a name alone, up to 460,800") {
        rates.retain(|baud| ![250_000, 921_600].contains(baud));
    }
    for baud in rates {
        let cable = Cable::new();
        let _serial = Serial::open(&cable.device, baud).unwrap();
        let settings = tcgetattr(cable.end.as_fd()).unwrap();
        assert_eq!(settings.output_speed(), baud);
        let bits = ControlModes::CSIZE | ControlModes::CSTOPB | ControlModes::PARENB | ControlModes::CLOCAL;
        assert_eq!(settings.control_modes & bits, ControlModes::CS8 | ControlModes::CLOCAL);
        assert!(
            settings.output_modes.is_empty() || !settings.output_modes.contains(rustix::termios::OutputModes::OPOST)
        );
        assert!(!settings.local_modes.contains(rustix::termios::LocalModes::ECHO));
    }
}

#[test]
fn devices_that_cannot_be_opened_say_why_and_what_to_do() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let cable = Cable::new();
    let _taken = Serial::open(&cable.device, 115_200).unwrap();
    let cases = [
        (folder.path().join("ttyUSB9"), "is it plugged in?"),
        (file, "no serial device"),
        (folder.path().to_owned(), "no serial device"),
        (cable.device.clone(), "another program has it"),
    ];
    for (path, remedy) in cases {
        let error = Serial::open(&path, 115_200).unwrap_err();
        assert!(matches!(error, Error::Serial { .. }));
        let message = error.to_string();
        assert!(message.contains(remedy) && message.contains(&path.display().to_string()), "{message}");
    }
}
