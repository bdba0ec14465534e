//! What can go wrong, one variant for each thing that a caller can act on.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// The result of every fallible call of this library.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a picture got no caption or a model did not open.
///
/// Messages name the file and the remedy; the cause from below is kept in `source()`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A picture or a folder cannot be read at all.
    #[error("cannot read {}: {cause}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },

    /// A picture of no bytes, as an interrupted copy leaves it.
    #[error("{} is empty: copy it again from where it came", path.display())]
    EmptyFile { path: PathBuf },

    /// A picture file of more bytes than [`crate::limits::MAX_PICTURE_BYTES`].
    #[error("{} is larger than {limit} bytes: scale the picture down first", path.display())]
    FileTooLarge { path: PathBuf, limit: u64 },

    /// The bytes are of no picture format that is read here.
    #[error("{} is not a picture: JPEG, PNG, WebP, BMP, GIF and TIFF are read", path.display())]
    NotAPicture { path: PathBuf },

    /// The header promises more pixels than the limits allow; nothing was decoded.
    #[error(
        "{} is {width} x {height} pixels, over the limit of {max_side} a side and {max_pixels} in all: scale it down first",
        path.display()
    )]
    PictureTooLarge { path: PathBuf, width: u32, height: u32, max_side: u32, max_pixels: u64 },

    /// The picture is of a known format but cut short or damaged.
    #[error("{} is cut short or damaged ({cause}): copy it again from where it came", path.display())]
    BrokenPicture {
        path: PathBuf,
        #[source]
        cause: Box<dyn StdError + Send + Sync>,
    },

    /// A kind of picture that the decoder does not know, such as a rare colour space.
    #[error("{} cannot be decoded ({cause}): convert it to a plain RGB JPEG or PNG", path.display())]
    UnsupportedPicture {
        path: PathBuf,
        #[source]
        cause: Box<dyn StdError + Send + Sync>,
    },

    /// Pixels whose number does not fit the stated size.
    #[error("a frame of {width} x {height} pixels needs {expected} bytes of RGB, not {actual}")]
    FrameSize { width: u32, height: u32, expected: u64, actual: usize },

    /// A folder given to be walked holds no picture.
    #[error("{} holds no picture (.jpg, .jpeg, .png, .webp, .bmp, .gif, .tif, .tiff)", path.display())]
    NoPictures { path: PathBuf },

    /// Frames of a size that no stream may have.
    #[error(
        "frames of {width} x {height} pixels: must be at least 1 x 1, at most {max_side} a side and {max_pixels} in all"
    )]
    StreamSize { width: u32, height: u32, max_side: u32, max_pixels: u64 },

    /// A stride that cannot be that of such rows.
    #[error("a stride of {stride} bytes does not fit {format} rows of {width} pixels: must be {least} to {most}")]
    Stride { format: &'static str, width: u32, stride: u32, least: u64, most: u64 },

    /// The stride of a raw stream cannot be told from its length.
    #[error("the rows of {} may be {tight} or {padded} bytes long: say which with --stride (ffmpeg writes {tight}, rpicam-vid {padded})", path.display())]
    UnknownStride { path: PathBuf, tight: usize, padded: usize },

    /// The bytes of a stream are not those of the format that was named.
    #[error("{} is not a {format} stream: {problem}", path.display())]
    StreamFormat { path: PathBuf, format: &'static str, problem: String },

    /// A camera's device cannot be opened or started.
    #[error("cannot open camera {}: {cause}{remedy}", path.display())]
    CameraOpen {
        path: PathBuf,
        #[source]
        cause: io::Error,
        remedy: &'static str,
    },

    /// The program was built for another system, or without the feature `camera`.
    #[error("{} cannot be read: this program is built without V4L2 cameras; build it on Linux with the feature `camera`", path.display())]
    NoCameraSupport { path: PathBuf },

    /// A device that is no capture device, or not one of a kind that is read here.
    #[error("{} is not a camera that can be read: {problem}; `scenescribe cameras` lists those that can", path.display())]
    NotACamera { path: PathBuf, problem: String },

    /// The receiver of a Raspberry Pi's camera connector, whose raw data only libcamera can develop.
    #[error(
        "{} is a CSI receiver (driver {driver}), which only libcamera can read: use --camera rpicam, \
         or `rpicam-vid -t 0 -n --codec mjpeg -o - | scenescribe watch --input - --format mjpeg`",
        path.display()
    )]
    CsiReceiver { path: PathBuf, driver: String },

    /// A camera gives only formats that are not read here.
    #[error(
        "camera {} gives {offered}: none of these is read or was asked for (YUYV, NV12, YU12, 422P, RGB3, BGR3, GREY and MJPG are read)",
        path.display()
    )]
    CameraFormat { path: PathBuf, offered: String },

    /// None of the programs that read a Raspberry Pi's camera can be started.
    #[error("cannot start {programs}: {cause}; install them with `apt install rpicam-apps`")]
    CameraProgram {
        programs: String,
        #[source]
        cause: io::Error,
    },

    /// A camera that worked gives no more frames; it may come back.
    #[error("camera {name} is lost: {cause}")]
    CameraLost {
        name: String,
        #[source]
        cause: io::Error,
    },

    /// A crop that reaches over the frame's edge.
    #[error(
        "the crop {x},{y},{crop_width},{crop_height} reaches over the edge of a frame of {width} x {height} pixels"
    )]
    Crop { x: u32, y: u32, crop_width: u32, crop_height: u32, width: u32, height: u32 },

    /// The system does not start the thread that drains a camera or pipe.
    #[error("cannot start a thread that reads the source: {cause}")]
    SourceThread {
        #[source]
        cause: io::Error,
    },

    /// A file cannot be written.
    #[error("cannot write {}: {cause}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },

    /// Another run writes to the same file.
    #[error("{} is being written by another run: wait for it, or name another file", path.display())]
    Busy { path: PathBuf },

    /// A file given for records holds something else.
    #[error("{} holds other things than records of this program, from line {line} on: name another file", path.display())]
    NotAJournal { path: PathBuf, line: u64 },

    /// A caption cannot be put beside or inside a photo without harm to what is there.
    #[error("{} stays as it is: {problem}", path.display())]
    Metadata { path: PathBuf, problem: String },

    /// A file of the model folder is not there or cannot be read.
    #[error("model file {} cannot be read: {cause}; models/README.md lists what a model folder holds", path.display())]
    ModelFile {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },

    /// A JSON file of the model folder does not parse.
    #[error("model file {} is not what its name says: {cause}", path.display())]
    ModelJson {
        path: PathBuf,
        #[source]
        cause: serde_json::Error,
    },

    /// A setting of the model folder is out of range or not supported.
    #[error("model file {}: {key} is {value}, must be {expected}", path.display())]
    ModelSetting { path: PathBuf, key: &'static str, value: String, expected: String },

    /// A file of a model folder is not what `SHA256SUMS` beside it says.
    #[error("model file {} {problem}: copy the model folder again from where it came", path.display())]
    ModelChecksum { path: PathBuf, problem: String },

    /// The graph is not valid ONNX, or uses what tract cannot run.
    #[error("graph {} cannot be loaded: {cause}; export it again with the operators that models/README.md lists", path.display())]
    GraphLoad {
        path: PathBuf,
        #[source]
        cause: Box<dyn StdError + Send + Sync>,
    },

    /// The graph runs but its inputs and outputs are not those of the contract.
    #[error("graph {}: {port} {problem}; models/README.md states the graph contract", path.display())]
    GraphContract { path: PathBuf, port: String, problem: String },

    /// The graph failed on this picture; the next one may be fine.
    #[error("graph {} failed while running: {cause}", path.display())]
    GraphRun {
        path: PathBuf,
        #[source]
        cause: Box<dyn StdError + Send + Sync>,
    },

    /// The environment asks for kernels that this build or this CPU does not have.
    #[error("{variable}: {cause}; unset it for the fastest kernels of this CPU")]
    Kernels {
        variable: &'static str,
        #[source]
        cause: Box<dyn StdError + Send + Sync>,
    },

    /// The system does not start as many threads.
    #[error("cannot start {count} threads: {cause}; ask for fewer with --threads")]
    Threads {
        count: usize,
        #[source]
        cause: io::Error,
    },

    /// The tokenizer and the decoder graph are of different models.
    #[error("{} has {tokens} tokens but the decoder graph gives {logits} logits: the two files are of different models", path.display())]
    VocabularySize { path: PathBuf, tokens: usize, logits: usize },

    /// A serial device cannot be opened.
    #[error("cannot open serial device {}: {cause} ({remedy})", path.display())]
    Serial {
        path: PathBuf,
        #[source]
        cause: io::Error,
        remedy: &'static str,
    },

    /// A serial device does not run at the rate that was asked for.
    #[error("serial device {} cannot run at {baud} baud, the nearest that it has is {actual}: choose another --baud", path.display())]
    BaudRate { path: PathBuf, baud: u32, actual: u32 },

    /// Captions have nowhere to go.
    #[error("cannot write captions to {name}: {cause}")]
    Sink {
        name: String,
        #[source]
        cause: io::Error,
    },

    /// The picture behind a caption cannot be kept; captions go on.
    #[error("cannot keep pictures in {}: {cause}", path.display())]
    FrameLog {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },

    /// The model needs more than the [`MemoryPool`](crate::MemoryPool) has; nothing of it was loaded.
    #[error(
        "{} and the files beside it need {:.1} MiB of memory, the pool has {:.1}: give it a larger one",
        path.display(), mebibytes(*needed), mebibytes(*size)
    )]
    ModelMemory { path: PathBuf, needed: usize, size: usize },

    /// A picture needs more than is left in the [`MemoryPool`](crate::MemoryPool); nothing was decoded.
    #[error(
        "{} is {width} x {height} pixels and needs {:.1} MiB to be decoded, {:.1} are left: scale it down first",
        path.display(), mebibytes(*needed), mebibytes(*left)
    )]
    PictureMemory { path: PathBuf, width: u32, height: u32, needed: usize, left: usize },

    /// An option beyond the fixed capacities of [`crate::limits`].
    #[error("{option} is {value}, must be {min} to {max}")]
    OutOfRange { option: &'static str, value: usize, min: usize, max: usize },
}

fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
