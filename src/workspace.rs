//! Every buffer that a frame passes through, allocated once.

use crate::caption::Caption;
use crate::preprocess::{Preprocessor, ResizeBuffers};
use crate::search::Hypothesis;

pub(crate) struct Workspace {
    pub resize: ResizeBuffers,
    pub pixels: Box<[f32]>, // (3, height, width), normalised
    pub best: Hypothesis,
    pub caption: Caption,
}

impl Workspace {
    pub fn new(preprocessor: &Preprocessor) -> Self {
        Self {
            resize: preprocessor.buffers(),
            pixels: vec![0.0; preprocessor.output_len()].into(),
            best: Hypothesis::default(),
            caption: Caption::default(),
        }
    }
}
