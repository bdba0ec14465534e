//! A run over many photos: decoded ahead, captioned one by one, written down.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::ahead::{Ahead, Seen};
use super::look::distance;
use super::metadata::Metadata;
use super::outputs::Outputs;
use super::pending::{Passed, Pending};
use super::photos::Photos;
use super::record::{Alternative, Record};
use crate::caption::Text;
use crate::error::{Error, Result};
use crate::limits::MAX_JOBS;
use crate::pipeline::Captioner;
use crate::preprocess::Preprocessor;

/// What to write, and how.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Name of the model, for the records.
    pub model: String,
    /// [`Model::digest`](crate::Model::digest): a photo is done again when it is another.
    pub model_hash: String,
    /// JSON lines are appended here; `-` is standard output.
    pub jsonl: Option<PathBuf>,
    /// Rows are appended here; `-` is standard output.
    pub csv: Option<PathBuf>,
    /// Where captions go besides.
    pub metadata: Metadata,
    /// How many captions of the beam a record holds; 0 for none but the best.
    pub top: usize,
    /// A photo gets the caption of the one before if their looks differ in at most so many of 64 bits.
    pub similar_bits: Option<u32>,
    /// Whether the first photo that fails ends the run.
    pub is_strict: bool,
    /// Whether photos are tried again that have failed before.
    pub retries_errors: bool,
    /// Threads that decode photos, 1 to [`MAX_JOBS`].
    pub jobs: usize,
}

/// How many photos came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Captioned in this run.
    pub captioned: u64,
    /// Given the caption of a photo that looks alike, in this run.
    pub similar: u64,
    /// Without a caption, or with one that could not be put where it should be, before or in this run.
    pub failed: u64,
    /// Done before.
    pub passed: u64,
}

impl Tally {
    /// Photos that need no more work.
    pub fn total(&self) -> u64 {
        self.captioned + self.similar + self.failed + self.passed
    }

    pub(crate) fn add(&mut self, record: &Record) {
        match record {
            Record { error: Some(_), .. } => self.failed += 1,
            Record { similar_to: Some(_), .. } => self.similar += 1,
            _ => self.captioned += 1,
        }
    }

    fn with(self, passed: &Passed) -> Self {
        let failed = passed.failed.load(Ordering::Relaxed);
        let done = passed.done.load(Ordering::Relaxed) - failed;
        Self { failed: self.failed + failed, passed: self.passed + done, ..self }
    }
}

/// Captions all photos that the outputs do not hold yet, in order, and calls `watch` after each.
///
/// A photo that cannot be read becomes a record with an error; the run goes on unless `settings.is_strict`. However the
/// process ends, a run with the same settings goes on behind the last photo that was written down.
///
/// # Errors
/// [`Error::Write`], [`Error::Busy`] and [`Error::NotAJournal`] of the outputs, [`Error::Threads`], [`Error::OutOfRange`].
pub fn annotate(
    captioner: &mut Captioner,
    photos: Photos,
    settings: Settings,
    watch: &mut dyn FnMut(&Tally, &Record),
) -> Result<Tally> {
    check(&settings, captioner.model().decoder.rules().beam)?;
    let settings = Arc::new(settings);
    let (outputs, [jsonl, csv]) = Outputs::open(Arc::clone(&settings))?;
    let last_seen = jsonl.as_ref().and_then(|past| past.last_seen.clone());
    let last_seen = last_seen.filter(|last| last.model_hash == settings.model_hash);
    let passed = Arc::new(Passed::default());
    let pending = Pending {
        photos,
        settings: Arc::clone(&settings),
        jsonl,
        csv,
        passed: Arc::clone(&passed),
        met: HashSet::new(),
    };
    let preprocessor = Arc::new(Preprocessor::new(captioner.model().preprocessor.spec().clone()));
    let mut ahead = Ahead::start(&settings, &preprocessor, pending)?;
    let writer = outputs.start()?;
    let mut describer = Describer { captioner, settings: &settings, last_seen };
    let mut tally = Tally::default();
    while let Some(seen) = ahead.next() {
        let record = describer.describe(&seen);
        ahead.give_back(seen.resized);
        tally.add(&record);
        watch(&tally.with(&passed), &record);
        if !writer.write(record, seen.task) {
            break;
        }
    }
    writer.finish().map(|tally| tally.with(&passed))
}

fn check(settings: &Settings, beam: usize) -> Result<()> {
    for (option, value, min, max) in [("jobs", settings.jobs, 1, MAX_JOBS), ("top", settings.top, 0, beam)] {
        if !(min..=max).contains(&value) {
            return Err(Error::OutOfRange { option, value, min, max });
        }
    }
    Ok(())
}

/// From decoded photos to records.
struct Describer<'a> {
    captioner: &'a mut Captioner,
    settings: &'a Settings,
    last_seen: Option<Record>,
}

impl Describer<'_> {
    fn describe(&mut self, seen: &Seen) -> Record {
        let start = Instant::now();
        let mut record = Record::of(&seen.task.photo);
        record.model.clone_from(&self.settings.model);
        record.model_hash.clone_from(&self.settings.model_hash);
        if let Err(error) = self.fill(seen, &mut record) {
            record.error = Some(error);
        }
        record.time_ms = ((seen.time + start.elapsed()).as_micros() as f64) / 1e3;
        if self.settings.similar_bits.is_some() && record.error.is_none() && record.similar_to.is_none() {
            self.last_seen = Some(record.clone());
        }
        record
    }

    fn fill(&mut self, seen: &Seen, record: &mut Record) -> std::result::Result<(), String> {
        let look = *seen.look.as_ref().map_err(Error::to_string)?;
        if let Some((bits, look)) = self.settings.similar_bits.zip(look) {
            record.look = Some(format!("{look:016x}"));
            if let Some(alike) = self.last_seen.as_ref().filter(|last| is_alike(last, look, bits)) {
                copy_caption(alike, record);
                return Ok(());
            }
        }
        let caption = self.captioner.caption_resized(&seen.resized).map_err(|error| error.to_string())?;
        record.caption = Some(caption.text.as_str().into());
        record.confidence = Some(four_digits(caption.confidence));
        record.cut = caption.is_cut;
        if self.settings.top > 0 {
            record.alternatives = self.alternatives();
        }
        Ok(())
    }

    fn alternatives(&self) -> Vec<Alternative> {
        let model = self.captioner.model();
        let best = model.decoder.alternatives();
        let describe = |hypothesis: &&crate::Hypothesis| {
            let mut text = Text::new();
            model.vocabulary.write_text(&hypothesis.tokens, hypothesis.has_ended, &mut text);
            Alternative { caption: text.as_str().into(), confidence: four_digits(hypothesis.confidence()) }
        };
        best.iter().take(self.settings.top).map(describe).collect()
    }
}

/// Only photos of this run's model count, and those whose look was taken.
fn is_alike(last: &Record, look: u64, bits: u32) -> bool {
    let last_look = last.look.as_ref().and_then(|hex| u64::from_str_radix(hex, 16).ok());
    last_look.is_some_and(|last_look| distance(last_look, look) <= bits)
}

fn copy_caption(alike: &Record, record: &mut Record) {
    record.caption.clone_from(&alike.caption);
    record.confidence = alike.confidence;
    record.cut = alike.cut;
    record.alternatives.clone_from(&alike.alternatives);
    record.similar_to = Some(alike.path.clone());
}

fn four_digits(confidence: f32) -> f32 {
    (confidence * 1e4).round() / 1e4
}
