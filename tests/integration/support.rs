//! What the tests share: running the program, making pictures, copying the tiny model.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use image::{ImageFormat, RgbImage};
use tempfile::TempDir;

/// Runs `scenescribe` with `arguments`.
pub fn scenescribe<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    program().args(arguments).stdin(Stdio::null()).output().expect("the program was built for this test")
}

/// Runs `scenescribe` with `arguments`, and other programs found in `path` alone.
pub fn scenescribe_with_path<S: AsRef<std::ffi::OsStr>>(arguments: &[S], path: &Path) -> Output {
    program()
        .args(arguments)
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .expect("the program was built for this test")
}

/// Runs `scenescribe` with `input` on its standard input.
pub fn scenescribe_with_input(arguments: &[&str], input: &[u8]) -> Output {
    let mut child =
        program().args(arguments).stdin(Stdio::piped()).spawn().expect("the program was built for this test");
    // A program that ends without reading everything breaks the pipe: that is for the test to judge by its output.
    let _ = child.stdin.take().expect("piped above").write_all(input);
    child.wait_with_output().expect("the child was started above")
}

/// The program, as the tests' runner starts it; its outputs are piped.
pub fn program() -> Command {
    let mut command = match std::env::var("SCENESCRIBE_TEST_RUNNER") {
        Ok(runner) => {
            let mut words = runner.split_whitespace();
            let mut command = Command::new(words.next().expect("the runner is a command line"));
            command.args(words).arg(env!("CARGO_BIN_EXE_scenescribe"));
            command
        }
        Err(_) => Command::new(env!("CARGO_BIN_EXE_scenescribe")),
    };
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Whether the tests run under an emulator, which lacks what is to be tested: `missing`, which is told on the terminal,
/// since the test runner keeps what passing tests print.
pub fn is_left_out_under_emulator(missing: &str) -> bool {
    let is_emulated = std::env::var_os("SCENESCRIBE_TEST_RUNNER").is_some();
    if is_emulated {
        writeln!(std::io::stderr(), "left out under the emulator: {missing}").expect("there is a terminal or a file");
    }
    is_emulated
}

pub fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("the program prints UTF-8")
}

pub fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("the program prints UTF-8")
}

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A folder of the test's own.
pub fn folder() -> TempDir {
    tempfile::tempdir().expect("the temporary folder can be written")
}

/// A copy of the tiny model, to be damaged.
pub fn tiny_model() -> TempDir {
    let copy = folder();
    for entry in fs::read_dir(fixture("tiny")).expect("the fixture is in the repository") {
        let entry = entry.expect("the fixture can be read");
        fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("the temporary folder can be written");
    }
    copy
}

/// A red square on black, in the colours that the tiny model was trained on.
pub fn square(side: u32) -> RgbImage {
    RgbImage::from_fn(side, side, |x, y| {
        let is_inside = |place: u32| (side / 4..side / 4 * 3).contains(&place);
        image::Rgb(if is_inside(x) && is_inside(y) { [220, 40, 40] } else { [20, 20, 20] })
    })
}

pub fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).expect("the format can be written");
    bytes.into_inner()
}

/// Writes `bytes` into `folder` and gives the path.
pub fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("the temporary folder can be written");
    path
}

/// `caption` with the tiny model.
pub fn caption_tiny(photos: &[PathBuf], options: &[&str]) -> Output {
    let mut arguments = vec!["caption".into(), "--model".into(), fixture("tiny").into_os_string()];
    arguments.extend(options.iter().map(Into::into));
    arguments.extend(photos.iter().map(|photo| photo.clone().into_os_string()));
    scenescribe(&arguments)
}
