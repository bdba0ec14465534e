//! The way of a frame through all stages.

use std::path::Path;
use std::time::Instant;

use crate::caption::Caption;
use crate::error::Result;
use crate::frame::Frame;
use crate::model::{Model, Options};
use crate::opening::Opening;
use crate::search::Hypothesis;
use crate::workspace::Workspace;

/// A model with the memory it needs: frames in, captions out.
///
/// ```
/// use scenescribe::{Captioner, Options, TestPattern};
///
/// let mut captioner = Captioner::embedded(&Options::default())?;
/// let picture = TestPattern::new(320, 240);
/// let caption = captioner.caption(&picture.frame())?;
/// println!("{} ({:.0} %)", caption.text, 100.0 * caption.confidence);
/// # assert!(!caption.text.is_empty());
/// # Ok::<(), scenescribe::Error>(())
/// ```
pub struct Captioner {
    model: Model,
    workspace: Workspace,
}

impl Captioner {
    /// Uses the model inside the program.
    ///
    /// # Errors
    /// [`crate::Error::OutOfRange`] for an option beyond the limits.
    pub fn embedded(options: &Options) -> Result<Self> {
        Ok(Self::new(Model::embedded(options)?))
    }

    /// Uses a model folder.
    ///
    /// # Errors
    /// What is missing, malformed or does not fit together, by file.
    pub fn open(folder: impl AsRef<Path>, options: &Options) -> Result<Self> {
        Ok(Self::new(Model::open(folder, options)?))
    }

    /// Allocates every buffer that a frame will need.
    pub fn new(model: Model) -> Self {
        let workspace = Workspace::new(&model.preprocessor);
        Self { model, workspace }
    }

    /// The stages.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The stages, to be called alone.
    pub fn model_mut(&mut self) -> &mut Model {
        &mut self.model
    }

    /// Runs the graphs once, through the longest caption, so that no later frame needs memory that this has not.
    ///
    /// # Errors
    /// [`crate::Error::GraphRun`].
    pub fn rehearse(&mut self) -> Result<()> {
        let opening = Opening;
        opening.file(self.model.encoder.path());
        let features = self.model.encoder.run(&self.workspace.pixels)?;
        opening.file(self.model.decoder.path());
        self.model.decoder.rehearse(features)
    }

    /// Describes one frame. Allocates nothing itself; what tract allocates inside is freed before the next frame.
    ///
    /// # Errors
    /// [`crate::Error::GraphRun`]; the next frame may be fine.
    pub fn caption(&mut self, frame: &Frame) -> Result<&Caption> {
        let Workspace { resize, pixels, best, caption } = &mut self.workspace;
        let start = Instant::now();
        self.model.preprocessor.run(frame, resize, pixels);
        let preprocess = start.elapsed();
        describe(&mut self.model, pixels, best, caption)?;
        caption.latency.preprocess = preprocess;
        log::debug!("captioned a {} x {} frame in {:?}", frame.width(), frame.height(), caption.latency.total());
        Ok(caption)
    }

    /// Describes what [`crate::Preprocessor::resize`] has written, perhaps on another thread; `latency.preprocess` is without
    /// that.
    ///
    /// # Errors
    /// As [`caption`](Self::caption).
    ///
    /// # Panics
    /// If `resized` is not of the preprocessor's output length.
    pub fn caption_resized(&mut self, resized: &[u8]) -> Result<&Caption> {
        let Workspace { pixels, best, caption, .. } = &mut self.workspace;
        let start = Instant::now();
        self.model.preprocessor.normalise(resized, pixels);
        let preprocess = start.elapsed();
        describe(&mut self.model, pixels, best, caption)?;
        caption.latency.preprocess = preprocess;
        Ok(caption)
    }
}

/// From the encoder's input to a sentence.
fn describe(model: &mut Model, pixels: &[f32], best: &mut Hypothesis, caption: &mut Caption) -> Result<()> {
    let start = Instant::now();
    let features = model.encoder.run(pixels)?;
    let encoded = Instant::now();
    model.decoder.run(features, best)?;
    caption.is_cut = model.vocabulary.write_text(&best.tokens, best.has_ended, &mut caption.text);
    caption.tokens.clone_from(&best.tokens);
    caption.confidence = best.confidence();
    caption.latency.encode = encoded - start;
    caption.latency.decode = encoded.elapsed();
    Ok(())
}
