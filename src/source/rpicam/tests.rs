//! A shell script in the place of `rpicam-vid`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::super::clock::FakeClock;
use super::super::recovering::Recovering;
use super::*;

/// Bytes of a frame of 2 x 2 pixels: rows of 64, half of that in the planes of colour.
const FRAME: usize = 64 * 2 + 2 * 32;

/// A script in a folder of its own, with `$DIR` for what it wants to leave there.
fn script(lines: &str) -> (TempDir, RpicamOptions) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rpicam-vid");
    fs::write(&path, format!("#!/bin/sh\nDIR='{}'\n{lines}\n", folder.path().display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let stall = Duration::from_secs(20);
    (folder, RpicamOptions { programs: Some(vec![path]), size: (2, 2), is_mjpeg: false, stall })
}

/// Starts the script; another test's fork may hold the file open for writing for a moment.
fn start(options: &RpicamOptions, stop: &Stop, counters: &Counters) -> Rpicam {
    loop {
        match Rpicam::start(options, stop, counters.clone()) {
            Ok(camera) => return camera,
            Err(Error::CameraProgram { cause, .. }) if cause.kind() == io::ErrorKind::ExecutableFileBusy => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Whether a process runs; one that nobody has waited for does not.
fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

#[test]
fn frames_come_until_the_program_dies_and_its_code_is_told() {
    let (_folder, options) = script(&format!("echo \"$@\" > $DIR/arguments; head -c {} /dev/zero; exit 3", 2 * FRAME));
    let (stop, counters) = (Stop::default(), Counters::default());
    let mut camera = start(&options, &stop, &counters);
    let mut frame = RawFrame::default();
    for _ in 0..2 {
        assert!(camera.next_raw(&mut frame).unwrap());
        assert_eq!(frame.bytes.len(), FRAME);
    }
    let message = camera.next_raw(&mut frame).unwrap_err().to_string();
    assert!(message.contains("exit code 3"), "{message}");
    assert_eq!(counters.counts().received, 2);
    let arguments = fs::read_to_string(_folder.path().join("arguments")).unwrap();
    for expected in ["--timeout 0", "--codec yuv420", "--width 2 --height 2", "--output -"] {
        assert!(arguments.contains(expected), "{arguments}");
    }
}

#[test]
fn a_program_that_stalls_is_lost_and_leaves_no_process() {
    // The second sleep ignores what it is asked politely.
    let lines = format!(
        "sleep 1000 & echo $! > $DIR/child\n(trap '' TERM; exec sleep 1000) & echo $! > $DIR/stubborn\n\
         head -c {FRAME} /dev/zero; wait"
    );
    let (folder, options) = script(&lines);
    let options = RpicamOptions { stall: Duration::from_secs(2), ..options };
    let mut camera = start(&options, &Stop::default(), &Counters::default());
    let mut frame = RawFrame::default();
    assert!(camera.next_raw(&mut frame).unwrap());
    let pids = ["child", "stubborn"].map(|name| fs::read_to_string(folder.path().join(name)).unwrap());
    assert!(pids.iter().all(|pid| is_running(pid)));
    let message = camera.next_raw(&mut frame).unwrap_err().to_string();
    assert!(message.contains("nothing came"), "{message}");
    drop(camera);
    // They were killed, but nobody here can wait for a grandchild.
    let are_gone = || pids.iter().all(|pid| !is_running(pid));
    assert!((0..400).any(|_| {
        thread::sleep(Duration::from_millis(5));
        are_gone()
    }));
}

#[test]
fn a_program_that_died_is_started_again() {
    let first = format!("test -e $DIR/again || {{ touch $DIR/again; head -c {FRAME} /dev/zero; exit 1; }}");
    let (_folder, options) = script(&format!("{first}\nhead -c {FRAME} /dev/zero; exec sleep 1000"));
    let (stop, counters) = (Stop::default(), Counters::default());
    let open = || Ok(start(&options, &stop, &counters));
    let clock = Box::new(FakeClock::default());
    let mut camera = Recovering::with_clock(open, None, &stop, counters.clone(), clock).unwrap();
    let mut frame = RawFrame::default();
    for _ in 0..2 {
        assert!(camera.next_raw(&mut frame).unwrap());
    }
    assert_eq!(counters.counts().recoveries, 1);
    stop.request();
    assert!(!camera.next_raw(&mut frame).unwrap());
}

#[test]
fn the_first_program_that_is_there_is_used_and_none_is_an_error() {
    let (_folder, mut options) = script(&format!("head -c {FRAME} /dev/zero"));
    options.programs.as_mut().unwrap().insert(0, "/no/such/rpicam-vid".into());
    let mut camera = start(&options, &Stop::default(), &Counters::default());
    assert!(camera.next_raw(&mut RawFrame::default()).unwrap());
    options.programs = Some(vec!["/no/such/rpicam-vid".into(), "/no/such/libcamera-vid".into()]);
    let error = Rpicam::start(&options, &Stop::default(), Counters::default()).err().unwrap().to_string();
    assert!(error.contains("libcamera-vid") && error.contains("apt install"), "{error}");
}
