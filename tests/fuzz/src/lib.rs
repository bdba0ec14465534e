//! What the fuzz targets share: counted memory, inputs taken apart, checksums set right.

pub mod png;
pub mod protobuf;

use std::fs;
use std::panic::{self, PanicHookInfo};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use scenescribe::{MemoryPool, PreprocessSpec, Preprocessor, quiet_guarded_panics};
use tempfile::TempDir;

#[global_allocator]
static HEAP: MemoryPool = MemoryPool;

/// To be called once before the first input. A panic of foreign code that the library turns into an error is no finding, any
/// other is, and so is one of our own decoders.
pub fn start() {
    let abort: Arc<dyn Fn(&PanicHookInfo) + Send + Sync> = panic::take_hook().into();
    let unguarded = Arc::clone(&abort);
    panic::set_hook(Box::new(move |panic| unguarded(panic)));
    quiet_guarded_panics();
    let quiet = panic::take_hook();
    panic::set_hook(Box::new(move |panic| match panic.location() {
        Some(place) if is_of_our_decoders(place.file()) => abort(panic),
        _ => quiet(panic),
    }));
}

fn is_of_our_decoders(file: &str) -> bool {
    file.contains("src/source/") && !file.contains("registry")
}

/// Processor time that an input may take, instrumented as it is: on a busy machine no other clock tells a hang.
const MOST_TIME: Duration = Duration::from_secs(5);

/// Calls `call`, which may have at most `budget` bytes more in use at once than there were before.
///
/// # Panics
/// If it had more, or took more than five seconds.
pub fn within<T>(budget: usize, call: impl FnOnce() -> T) -> T {
    let (before, start) = (MemoryPool::used(), processor_time());
    MemoryPool::reset_peak();
    let outcome = call();
    let taken = MemoryPool::peak().saturating_sub(before);
    assert!(taken <= budget, "{taken} bytes in use at once, over the budget of {budget}");
    let time = processor_time().saturating_sub(start);
    assert!(time <= MOST_TIME, "{time:?} of processor time");
    outcome
}

/// Time that all threads of the process have computed.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// What is left of an input; zeros come after its end.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    pub fn number(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// The next `len` bytes, fewer at the end.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Pieces, each of a kind: one byte, two of length (low first), content. What is torn is as long as it is.
    pub fn pieces(mut self) -> impl Iterator<Item = (u8, &'a [u8])> {
        std::iter::from_fn(move || {
            if self.0.is_empty() {
                return None;
            }
            let (kind, len) = (self.byte(), self.number());
            Some((kind, self.take(len.into())))
        })
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A folder for the files of one process, in memory if `TMPDIR` is.
pub fn scratch() -> TempDir {
    TempDir::new().expect("TMPDIR can be written to")
}

/// A file among the fixtures of the tests.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name)
}

/// The files of the tiny model.
pub fn tiny_model() -> Vec<(String, Vec<u8>)> {
    let names = fs::read_dir(fixture("tiny")).expect("the fixtures are there");
    let mut files: Vec<_> = names
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json" || ending == "onnx"))
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, fs::read(path).expect("a readable file"))
        })
        .collect();
    files.sort();
    files
}

/// Preprocessors of every filter, small, so that most of the time goes into what comes before.
pub fn preprocessors() -> Vec<Preprocessor> {
    let configs = [
        r#"{"size": {"height": 5, "width": 7}, "resample": 1}"#,
        r#"{"size": 16, "resample": 2}"#,
        r#"{"size": {"shortest_edge": 9}, "do_center_crop": true, "crop_size": 8, "resample": 3}"#,
    ];
    let parse = |json: &str| PreprocessSpec::parse(Path::new("preprocessor_config.json"), json.as_bytes());
    configs.iter().map(|json| Preprocessor::new(parse(json).expect("valid settings"))).collect()
}
