//! Input made to do harm: each is refused with the file's name and the reason, in time and within the memory given, or else it
//! is captioned. Nothing panics, aborts or hangs.
//!
//! All is made here, from the tiny model and from nodes and pictures put together.

mod damaged_graphs;
mod graphs;
mod pictures;
mod settings;
mod streams;

use std::fs;
use std::process::{Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use image::ImageFormat;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::*;

pub const ENCODER: &str = "encoder_model.onnx";

/// Longer than any of these takes on an emulated CPU.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// What the tiny model runs in many times over.
const MEMORY: &str = "64M";

const OUT_OF_MEMORY: i32 = 3;

/// A model of the float graphs, which are the simplest to change.
pub fn float_model() -> TempDir {
    let model = tiny_model();
    for kind in ["encoder", "decoder"] {
        fs::remove_file(model.path().join(format!("{kind}_model_quantized.onnx"))).unwrap();
    }
    model
}

/// Captions a picture with this model; fails if the program does not end.
fn caption(model: &TempDir, options: &[&str]) -> Output {
    let photo = file(model, "photo.png", &encoded(&square(32), ImageFormat::Png));
    let mut command = program();
    command.args(["caption", "--threads", "1", "--model"]).arg(model.path()).args(options).arg(photo);
    let child = command.stdin(Stdio::null()).spawn().unwrap();
    let pid = Pid::from_child(&child);
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || done.send(child.wait_with_output().unwrap()));
    is_done.recv_timeout(TIME_LIMIT).unwrap_or_else(|_| {
        kill_process(pid, Signal::KILL).unwrap();
        panic!("{} hangs: {}", model.path().display(), stderr(&is_done.recv().unwrap()));
    })
}

/// The one line that is said when the model is refused, with a pool of memory and without.
pub fn complaint(model: &TempDir, file: &str) -> String {
    let mut last = String::new();
    for options in [&["--memory", MEMORY][..], &[]] {
        let output = caption(model, options);
        let complaint = stderr(&output);
        let code = output.status.code();
        assert!(code == Some(1) || code == Some(OUT_OF_MEMORY), "{:?}: {complaint}", output.status);
        assert!(complaint.starts_with("scenescribe: error: ") && complaint.lines().count() == 1, "{complaint}");
        assert!(complaint.contains(file), "{file} is not named: {complaint}");
        assert_eq!(stdout(&output), "");
        last = complaint.into();
    }
    last
}

/// Whatever becomes of the model, it is a caption or an error.
pub fn assert_harmless(model: &TempDir, what: &str) -> bool {
    let output = caption(model, &["--memory", MEMORY]);
    let said = stderr(&output);
    assert!(matches!(output.status.code(), Some(0 | 1 | OUT_OF_MEMORY)), "{what}: {:?} {said}", output.status);
    assert!(!said.contains("panicked") && said.lines().count() <= 1, "{what}: {said}");
    output.status.success()
}

/// Pseudo-random numbers (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ mixed >> 31) % end as u64) as usize
    }
}

/// How many of the mutations to try: under an emulator each start takes long.
pub fn trials(count: usize) -> usize {
    if std::env::var_os("SCENESCRIBE_TEST_RUNNER").is_some() { count / 10 } else { count }
}
