//! A picture in, a sentence out, on a bare ARM board.
//!
//! ```text
//! source -> preprocess -> encoder -> decoder -> text -> sink
//! ```
//!
//! [`Captioner`] drives a frame through the stages in the middle; [`PictureReader`] is a source, anything that implements
//! [`embedded_io::Write`] a sink. What passes between stages is plain data: [`Frame`], `&[f32]`, [`Features`],
//! [`Hypothesis`], [`Caption`]. No stage knows its neighbour, and each can be called alone (see [`Model`]).
//!
//! # Layers
//! 0. words: [`Error`], [`limits`], [`Frame`], [`Caption`], the settings of a model
//! 1. stages: sources, [`Preprocessor`], the engine (the one module that imports tract; what is quantized in a graph it
//!    runs in int8 kernels of our own), [`Vocabulary`], sinks
//! 2. over the engine: [`Encoder`], [`Decoder`], [`Model`]
//! 3. [`Captioner`], and [`watch`] around it for streams: which frames are worth a caption, which captions worth telling
//! 4. the program `scenescribe`, which uses this API alone
//!
//! # Memory
//! Capacities are fixed in [`limits`]; buffers are allocated when a model is opened. After that our stages allocate
//! nothing for a frame. What tract allocates inside a graph is freed before the next frame, and a picture file is decoded
//! by the `image` crate into memory of its own.
//!
//! # Models
//! A model is a folder in the layout of Hugging Face's optimum exports; the graph contract stands in `models/README.md`.
//! One model is inside the library: [`Captioner::embedded`].

pub mod annotate;
mod caption;
mod checksums;
mod decoder;
mod encoder;
mod engine;
mod error;
mod frame;
mod guard;
mod kernels;
pub mod limits;
mod memory_ceiling;
mod memory_need;
mod memory_pool;
mod model;
mod opening;
mod pipeline;
mod preprocess;
mod search;
pub mod sink;
mod softmax;
pub mod source;
mod spec;
mod text;
mod vocabulary_file;
pub mod watch;
mod workspace;

pub use caption::{Caption, Latency, Report, Text, Token, Tokens};
pub use checksums::{FileCheck, FileState, check_files};
pub use decoder::Decoder;
pub use encoder::{Encoder, Features};
pub use engine::{Element, OperatorCount, OperatorTime, Port};
pub use error::{Error, Result};
pub use frame::Frame;
pub use guard::quiet_guarded_panics;
pub use memory_need::MemoryNeed;
pub use memory_pool::{Exhaustion, MemoryPool, exit_at_once, release_code};
pub use model::{Model, Options, Precision, embedded_files};
pub use opening::file_being_opened;
pub use pipeline::Captioner;
pub use preprocess::{Preprocessor, ResizeBuffers};
pub use search::Hypothesis;
pub use source::{FrameSource, PictureReader, TestPattern, list_pictures};
pub use spec::{Filter, GenerationSpec, ModelSpec, PreprocessSpec, Resize};
pub use text::Vocabulary;
