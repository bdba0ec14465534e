//! Every fixed capacity of the program, checked when a model or a picture is opened.

use std::time::Duration;

/// Longest side of a picture, in pixels; bounds the resize weights and row buffers.
pub const MAX_PICTURE_SIDE: u32 = 16_384;

/// Pixels of a picture: 64 megapixels, 192 MiB as RGB.
pub const MAX_PICTURE_PIXELS: u64 = 1 << 26;

/// Bytes of a picture file, also of one that comes through standard input.
pub const MAX_PICTURE_BYTES: u64 = 256 << 20;

/// Bytes of one frame of a stream of JPEGs; a longer one is an error.
pub const MAX_STREAM_JPEG_BYTES: usize = 16 << 20;

/// Bytes of a header line of a YUV4MPEG2 stream.
pub const MAX_Y4M_LINE: usize = 1_024;

/// Frames in a row that cannot be decoded before a source is given up.
pub const MAX_BROKEN_FRAMES: u32 = 100;

/// Longest side of what an encoder takes, in pixels.
pub const MAX_INPUT_SIDE: usize = 1_024;

/// Widest beam.
pub const MAX_BEAM: usize = 8;

/// Threads that share the work of a graph.
pub const MAX_THREADS: usize = 16;

/// Threads that decode photos ahead of the model.
pub const MAX_JOBS: usize = 16;

/// Photos on a contact sheet: at 6 KB a thumbnail, a page of some 80 MB.
pub const MAX_SHEET_PHOTOS: usize = 10_000;

/// Tokens of a caption, the end token included.
pub const MAX_TOKENS: usize = 64;

/// Bytes of a caption's text in UTF-8; a longer one is cut at a word and marked.
pub const MAX_CAPTION_BYTES: usize = 512;

/// Entries of a vocabulary.
pub const MAX_VOCABULARY: usize = 131_072;

/// Largest exponent on the length of a caption that its score is divided by.
pub const MAX_LENGTH_PENALTY: f32 = 16.0;

/// Tensors that enter or leave a graph.
pub const MAX_PORTS: usize = 128;

/// Bytes of the `tokenizer.json` of a model folder.
pub const MAX_TOKENIZER_BYTES: u64 = 16 << 20;

/// Bytes of each other JSON file of a model folder.
pub const MAX_SETTINGS_BYTES: u64 = 4 << 20;

/// Largest number, and one over the smallest, that pixels are scaled or shifted by.
pub const MAX_SCALE: f32 = 65_536.0;

/// Bytes of a graph file.
pub const MAX_GRAPH_BYTES: u64 = 1 << 30;

/// Nodes of a graph, those of graphs inside it among them.
pub const MAX_GRAPH_NODES: usize = 16_384;

/// Nodes, constants, inputs and outputs of a graph.
pub const MAX_GRAPH_PARTS: usize = 4 * MAX_GRAPH_NODES;

/// Nodes of a graph that stand one after another.
pub const MAX_GRAPH_DEPTH: usize = 4_096;

/// How deep graphs may stand inside the nodes of others.
pub const MAX_SUBGRAPHS: usize = 4;

/// Axes of a tensor.
pub const MAX_RANK: usize = 8;

/// Bytes of the name of an axis whose length is open.
pub const MAX_DIM_NAME: usize = 64;

/// Elements of a tensor that a graph makes.
pub const MAX_TENSOR_ELEMENTS: usize = 1 << 26;

/// Multiplications of one run of a graph: a thousand times those of the model inside the program.
pub const MAX_MULTIPLICATIONS: u64 = 1 << 39;

/// Groups of a convolution, units of a recurrent layer.
pub const MAX_UNITS: i64 = 65_536;

/// Kernel sides, strides, dilations and paddings of a convolution or pool, in pixels.
pub const MAX_WINDOW: i64 = 1_024;

/// Places that captions go to at the same time.
pub const MAX_SINKS: usize = 8;

/// Reports that wait for one sink; when there are more, the oldest is dropped.
pub const MAX_QUEUED_REPORTS: usize = 8;

/// Bytes of the name of a source in a JSON line; a longer one is cut.
pub const MAX_SOURCE_BYTES: usize = 256;

/// Bytes of a framed report: a JSON line in which every byte of source and caption is escaped.
pub const MAX_FRAME_BYTES: usize = 8_192;

/// Pause before a lost device is tried again, doubled with each failure up to [`LAST_RECONNECT_DELAY`].
pub const FIRST_RECONNECT_DELAY: Duration = Duration::from_millis(100);

/// Longest pause between two tries.
pub const LAST_RECONNECT_DELAY: Duration = Duration::from_secs(2);

/// Pictures that `watch` keeps behind its captions.
pub const MAX_KEPT_PICTURES: usize = 65_536;

/// Smallest pool that [`--memory`](crate::MemoryPool) may ask for: what the program takes before it opens a model.
pub const MIN_POOL_BYTES: usize = 1 << 20;

/// Largest pool that may be asked for: a quarter of what can be addressed, 1 GiB on a 32-bit system.
pub const MAX_POOL_BYTES: usize = 1 << (usize::BITS - 2);
