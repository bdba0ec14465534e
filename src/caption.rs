//! What comes out: a sentence, how sure the model is of it, and how long each stage took.

use std::time::{Duration, SystemTime};

use crate::limits::{MAX_CAPTION_BYTES, MAX_TOKENS};

/// Index of a word or word piece in the vocabulary.
pub type Token = u32;

/// The tokens of one caption, without start and end.
pub type Tokens = heapless::Vec<Token, MAX_TOKENS>;

/// UTF-8 text of bounded length.
pub type Text = heapless::String<MAX_CAPTION_BYTES>;

/// A sentence about a frame, in fixed memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Caption {
    /// The sentence; ends in `...` where it was cut.
    pub text: Text,
    /// What the decoder wrote, without start and end tokens.
    pub tokens: Tokens,
    /// Mean token probability in (0, 1]: the geometric mean, `exp(mean log p)`, over the tokens and the end token.
    pub confidence: f32,
    /// Whether the sentence was cut: the decoder did not come to an end, or the text is over [`MAX_CAPTION_BYTES`].
    pub is_cut: bool,
    /// Time spent in each stage.
    pub latency: Latency,
}

/// What `watch` tells its sinks: a caption with its place in the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Counts the reports of a run from 0; a gap says that a sink dropped some.
    pub sequence: u32,
    /// When the frame was taken.
    pub time: SystemTime,
    /// The sentence.
    pub caption: Caption,
    /// Whether the confidence is below what the user asked for.
    pub is_unsure: bool,
}

/// Time spent on a frame, stage by stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    /// Resize, crop and normalisation.
    pub preprocess: Duration,
    /// The encoder graph.
    pub encode: Duration,
    /// All decoder steps, the search and the text.
    pub decode: Duration,
}

impl Latency {
    /// From pixels to sentence.
    pub fn total(&self) -> Duration {
        self.preprocess + self.encode + self.decode
    }
}
