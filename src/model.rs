//! A model: a folder, or the one inside the program, opened into the four stages.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::checksums::hex;
use crate::decoder::Decoder;
use crate::encoder::Encoder;
use crate::engine::{GraphFile, Pool};
use crate::error::{Error, Result};
use crate::limits::{MAX_BEAM, MAX_SETTINGS_BYTES, MAX_TOKENIZER_BYTES, MAX_TOKENS};
use crate::memory_ceiling::Ceiling;
use crate::memory_need::{MemoryNeed, ModelSizes};
use crate::opening::Opening;
use crate::preprocess::Preprocessor;
use crate::spec::{GenerationSpec, ModelSpec, PreprocessSpec};
use crate::text::Vocabulary;

/// What the caller may choose when a model is opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Width of the beam, 1 to [`MAX_BEAM`]; else what the model says.
    pub beam: Option<usize>,
    /// Most tokens of a caption, 1 to [`MAX_TOKENS`]; else what the model says.
    pub max_tokens: Option<usize>,
    /// Which graphs to load where the folder has both; else int8 if it is there.
    pub precision: Option<Precision>,
    /// Threads that share the work of a graph, 1 to [`MAX_THREADS`](crate::limits::MAX_THREADS); else one a core.
    pub threads: Option<usize>,
}

/// Which graphs of a folder to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// `encoder_model_quantized.onnx` and `decoder_model_quantized.onnx`.
    Int8,
    /// `encoder_model.onnx` and `decoder_model.onnx`.
    Float,
}

/// The stages of a model, each of which can be called alone.
pub struct Model {
    /// What the model is as a whole.
    pub spec: ModelSpec,
    /// Frame to pixels.
    pub preprocessor: Preprocessor,
    /// Pixels to features.
    pub encoder: Encoder,
    /// Features to tokens.
    pub decoder: Decoder,
    /// Tokens to text.
    pub vocabulary: Vocabulary,
    /// Threads that share the work of the graphs.
    pub threads: usize,
    /// What opening and running the model takes, as computed before it was opened.
    pub memory_need: MemoryNeed,
}

impl Model {
    /// Opens the model inside the program.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for an option beyond the limits.
    pub fn embedded(options: &Options) -> Result<Self> {
        Self::from_files(&Files::Embedded, options)
    }

    /// Opens a model folder.
    ///
    /// # Errors
    /// What is missing, malformed or does not fit together, by file.
    pub fn open(folder: impl AsRef<Path>, options: &Options) -> Result<Self> {
        Self::from_files(&Files::Folder(folder.as_ref()), options)
    }

    /// SHA-256 of what a caption by this model depends on, in hexadecimal: the files of `folder` (or of the model inside
    /// the program) that `options` choose, and the rules of the search. Reads them all.
    ///
    /// # Errors
    /// [`Error::ModelFile`] for a file that cannot be read.
    pub fn digest(folder: Option<&Path>, options: &Options, rules: &GenerationSpec) -> Result<String> {
        let files = folder.map_or(Files::Embedded, Files::Folder);
        let mut digest = Sha256::new();
        for name in ["config.json", "preprocessor_config.json", "generation_config.json", "tokenizer.json"] {
            digest.update(files.json(name)?.1);
        }
        for name in ["encoder_model", "decoder_model"] {
            let (path, graph) = files.graph(name, options.precision)?;
            let read = graph.for_each_chunk(|bytes| digest.update(bytes));
            read.map_err(|cause| Error::ModelFile { path, cause })?;
        }
        digest.update([rules.beam as u8, rules.max_tokens as u8]);
        Ok(hex(&digest.finalize()))
    }

    fn from_files(files: &Files, options: &Options) -> Result<Self> {
        let (opening, ceiling) = (Opening, Ceiling::new());
        let json = |name| {
            opening.file(&files.path(name));
            files.json(name)
        };
        let (path, bytes) = json("preprocessor_config.json")?;
        let preprocessor = Preprocessor::new(PreprocessSpec::parse(&path, &bytes)?);
        let (vocabulary_path, bytes) = json("tokenizer.json")?;
        let vocabulary = Vocabulary::parse(&vocabulary_path, &bytes)?;
        drop(bytes);
        let (path, bytes) = json("generation_config.json")?;
        let rules = options.apply(GenerationSpec::parse(&path, &bytes, vocabulary.len())?)?;
        let pool = Pool::new(options.threads)?;
        let (encoder_path, mut encoder) = files.graph("encoder_model", options.precision)?;
        let (decoder_path, mut decoder) = files.graph("decoder_model", options.precision)?;
        let memory_need = MemoryNeed::of(&ModelSizes {
            // A file that cannot be read says why when it is loaded.
            encoder: encoder.sizes().unwrap_or_default(),
            decoder: decoder.sizes().unwrap_or_default(),
            input: preprocessor.spec().input,
            vocabulary: vocabulary.len(),
            beam: rules.beam,
            max_tokens: rules.max_tokens,
        });
        let largest = if decoder.len() > encoder.len() { &decoder_path } else { &encoder_path };
        memory_need.admit(largest)?;
        ceiling.set_need(memory_need.total());
        opening.file(&encoder_path);
        let encoder = Encoder::load(&encoder_path, encoder, &pool, preprocessor.spec().input)?;
        opening.file(&decoder_path);
        let decoder = Decoder::load(&decoder_path, decoder, &pool, encoder.outputs(), rules)?;
        if vocabulary.len() != decoder.vocabulary_len() {
            let (tokens, logits) = (vocabulary.len(), decoder.vocabulary_len());
            return Err(Error::VocabularySize { path: vocabulary_path, tokens, logits });
        }
        let (path, bytes) = json("config.json")?;
        let spec = ModelSpec::parse(&path, &bytes, decoder.vocabulary_len())?;
        Ok(Self { spec, preprocessor, encoder, decoder, vocabulary, threads: pool.count(), memory_need })
    }
}

impl Options {
    fn apply(&self, rules: GenerationSpec) -> Result<GenerationSpec> {
        let beam = self.beam.unwrap_or(rules.beam);
        let max_tokens = self.max_tokens.unwrap_or(rules.max_tokens);
        check_range("beam", beam, MAX_BEAM)?;
        check_range("max-tokens", max_tokens, MAX_TOKENS)?;
        Ok(GenerationSpec { beam, max_tokens, ..rules })
    }
}

fn check_range(option: &'static str, value: usize, max: usize) -> Result<()> {
    if (1..=max).contains(&value) {
        return Ok(());
    }
    Err(Error::OutOfRange { option, value, min: 1, max })
}

/// Where the files of a model are.
enum Files<'a> {
    Folder(&'a Path),
    Embedded,
}

macro_rules! embedded {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_bytes!(concat!("../models/default/", $name)))),+]
    };
}

pub(crate) static EMBEDDED: &[(&str, &[u8])] = embedded![
    "encoder_model_quantized.onnx",
    "decoder_model_quantized.onnx",
    "config.json",
    "preprocessor_config.json",
    "generation_config.json",
    "tokenizer.json",
];

/// The files of the model inside the program, by name: write them to a folder, and it can be opened.
pub fn embedded_files() -> &'static [(&'static str, &'static [u8])] {
    EMBEDDED
}

impl Files<'_> {
    fn json(&self, name: &str) -> Result<(PathBuf, Cow<'static, [u8]>)> {
        let path = self.path(name);
        let limit = if name == "tokenizer.json" { MAX_TOKENIZER_BYTES } else { MAX_SETTINGS_BYTES };
        let bytes = self.read(name, limit).map_err(|cause| Error::ModelFile { path: path.clone(), cause })?;
        Ok((path, bytes))
    }

    /// The graph of the wanted precision; if none is wanted, the int8 one or else the float one.
    fn graph(&self, name: &str, precision: Option<Precision>) -> Result<(PathBuf, GraphFile)> {
        let quantized = format!("{name}_quantized.onnx");
        let float = format!("{name}.onnx");
        let wanted = match precision {
            Some(Precision::Float) => &float,
            Some(Precision::Int8) => &quantized,
            None if self.has(&float) && !self.has(&quantized) => &float,
            None => &quantized,
        };
        let path = self.path(wanted);
        let file = match self {
            Files::Folder(_) => GraphFile::open(&path),
            Files::Embedded => embedded(wanted).map(GraphFile::Embedded),
        };
        let file = file.map_err(|cause| Error::ModelFile { path: path.clone(), cause })?;
        Ok((path, file))
    }

    fn path(&self, name: &str) -> PathBuf {
        match self {
            Files::Folder(folder) => folder.join(name),
            Files::Embedded => Path::new("(embedded model)").join(name),
        }
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Files::Folder(folder) => folder.join(name).is_file(),
            Files::Embedded => EMBEDDED.iter().any(|(embedded, _)| *embedded == name),
        }
    }

    fn read(&self, name: &str, limit: u64) -> io::Result<Cow<'static, [u8]>> {
        match self {
            Files::Folder(folder) => read_at_most(&folder.join(name), limit).map(Cow::Owned),
            Files::Embedded => embedded(name).map(Cow::Borrowed),
        }
    }
}

fn embedded(name: &str) -> io::Result<&'static [u8]> {
    let found = EMBEDDED.iter().find(|(embedded, _)| *embedded == name);
    found.map(|(_, bytes)| *bytes).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Reads a file of at most `limit` bytes.
pub(crate) fn read_at_most(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut bytes = Vec::with_capacity(file.metadata()?.len().min(limit) as usize);
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {limit} bytes")));
    }
    Ok(bytes)
}
