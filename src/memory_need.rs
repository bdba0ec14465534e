//! What a model needs of memory, told from its files before they are loaded.
//!
//! A graph's activations are not known before its shapes are, so they are reckoned from the size of its input; the factors
//! were measured on the models of `tests/memory.rs`, which checks that the sum is within 15 % of what is used. They hold for convolutional encoders, whose widest tensors are a small multiple of the input.

use std::path::Path;

use crate::decoder::PAST_PREFIXES;
use crate::engine::GraphSizes;
use crate::error::{Error, Result};
use crate::memory_pool::{self, MemoryPool};

/// Bytes of everything that is the same for every model: buffers of the stages, words of the program.
const BASE: usize = 450_000;

/// Bytes of one entry of the vocabulary.
const TOKEN: usize = 95;

/// Bytes that a node or a constant takes while its graph is loaded: mostly pointers.
const LOADED_NODE: usize = 588 * size_of::<usize>();

/// Bytes that tract keeps for a node or a constant of a graph of floats: mostly pointers.
const FLOAT_NODE: usize = 438 * size_of::<usize>();

/// Bytes of activations for each byte of pixels that enters the encoder: in kernels of our own, and in tract.
const INT8_ACTIVATIONS: f64 = 5.4;
const FLOAT_ACTIVATIONS: f64 = 16.6;

/// Bytes of the picture that comes on top: 640 x 480 pixels of RGB.
const PICTURE: usize = 640 * 480 * 3;

/// Copies of a decoder's state: before a step, after it, and in the order of the beam.
const STATE_COPIES: usize = 3;

/// Bytes that a model needs, from the start of the program through a caption of a picture of 640 x 480 pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryNeed {
    /// Weights, in the form in which they are computed with.
    pub weights: usize,
    /// Pixels, features and whatever lies between.
    pub activations: usize,
    /// The decoder's state at the longest caption.
    pub caches: usize,
    /// Vocabulary, buffers, the picture.
    pub other: usize,
    /// What loading takes beyond all of that, before any of the rest is there.
    pub loading: usize,
}

/// What is known of a model before it is loaded.
pub(crate) struct ModelSizes {
    pub encoder: GraphSizes,
    pub decoder: GraphSizes,
    /// Height and width that enter the encoder.
    pub input: [usize; 2],
    pub vocabulary: usize,
    pub beam: usize,
    pub max_tokens: usize,
}

impl MemoryNeed {
    pub(crate) fn of(model: &ModelSizes) -> Self {
        let ModelSizes { encoder, decoder, input: [height, width], .. } = model;
        let pixels = 3 * height * width * size_of::<f32>();
        let factor = if encoder.is_float() { FLOAT_ACTIVATIONS } else { INT8_ACTIVATIONS };
        let float_nodes = [encoder, decoder].into_iter().filter(|graph| graph.is_float()).map(|graph| graph.parts);
        let other = BASE + PICTURE + TOKEN * model.vocabulary + FLOAT_NODE * float_nodes.sum::<usize>();
        let weights = encoder.weight_bytes() + decoder.weight_bytes();
        let activations = (pixels as f64 * factor) as usize;
        let caches = state_bytes(model).saturating_mul(STATE_COPIES);
        let run = (weights + activations + other).saturating_add(caches);
        // The encoder is loaded alone, the decoder while the encoder is there.
        let encoder_load = encoder.constant_bytes + LOADED_NODE * encoder.parts;
        let decoder_load = encoder.weight_bytes() + decoder.constant_bytes + LOADED_NODE * decoder.parts;
        let loading = (BASE + encoder_load.max(decoder_load + activations)).saturating_sub(run);
        Self { weights, activations, caches, other, loading }
    }

    /// The most that is in use at once.
    pub fn total(&self) -> usize {
        let parts = [self.weights, self.activations, self.caches, self.other, self.loading];
        parts.into_iter().fold(0, usize::saturating_add)
    }

    /// Notes the need for the message of an exhausted pool. `path` is the model's largest file, for messages.
    ///
    /// # Errors
    /// [`Error::ModelMemory`] if it is beyond doubt more than the pool has.
    pub(crate) fn admit(&self, path: &Path) -> Result<()> {
        let needed = self.total();
        memory_pool::note_need(needed);
        match MemoryPool::size() {
            Some(size) if size < needed - needed / 8 => Err(Error::ModelMemory { path: path.into(), needed, size }),
            _ => Ok(()),
        }
    }
}

/// Bytes of the decoder's state after the longest caption: open axes have a row of the beam or a token each.
fn state_bytes(model: &ModelSizes) -> usize {
    let is_state = |name: &str| PAST_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let open = |axis| if axis == 0 { model.beam } else { model.max_tokens };
    let len = |(axis, dim): (usize, &Option<usize>)| dim.unwrap_or(open(axis));
    let states = model.decoder.inputs.iter().filter(|(name, _)| is_state(name));
    let elements = states.map(|(_, dims)| dims.iter().enumerate().map(len).fold(1, usize::saturating_mul));
    elements.fold(0, usize::saturating_add).saturating_mul(size_of::<f32>())
}
