//! The JSON files of a model folder, checked against the limits.
//!
//! They are Hugging Face's: `preprocessor_config.json` (image processor), `generation_config.json`, `config.json`.
//! Keys that are not read here may be there and are ignored.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::caption::Token;
use crate::error::{Error, Result};
use crate::limits::{MAX_BEAM, MAX_INPUT_SIDE, MAX_LENGTH_PENALTY, MAX_SCALE, MAX_TOKENS};

/// How a picture becomes the encoder's input.
#[derive(Debug, Clone, PartialEq)]
pub struct PreprocessSpec {
    /// What the whole picture is scaled to.
    pub resize: Resize,
    /// Filter of the resize.
    pub filter: Filter,
    /// Height and width of the input; cut from the middle where the resized picture is larger.
    pub input: [usize; 2],
    /// Factor on each 0..=255 value.
    pub rescale: f32,
    /// Subtracted after the factor; red, green, blue.
    pub mean: [f32; 3],
    /// Divided by after that.
    pub std: [f32; 3],
}

/// What the whole picture is scaled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// To this height and width, whatever the proportions.
    Squash([usize; 2]),
    /// So that the shorter side has this length, proportions kept.
    ShortestEdge(usize),
}

/// Resampling filters, numbered as Pillow does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// `resample: 1`
    Lanczos,
    /// `resample: 2`
    Bilinear,
    /// `resample: 3`
    Bicubic,
}

/// How tokens are chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationSpec {
    /// The first input.
    pub start: Token,
    /// Tokens that end a caption.
    pub end: Vec<Token>,
    /// Tokens that are never chosen.
    pub suppressed: Vec<Token>,
    /// Most tokens of a caption, the end token included.
    pub max_tokens: usize,
    /// Width of the beam; 1 is greedy.
    pub beam: usize,
    /// Exponent on the length that the summed log probability is divided by.
    pub length_penalty: f32,
}

/// What a model is as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ModelSpec {
    /// Its architecture, in a word.
    #[serde(default)]
    pub model_type: String,
    /// Entries of its vocabulary, where the file says so.
    #[serde(alias = "vocabulary_size")]
    pub vocab_size: Option<usize>,
}

#[derive(Deserialize)]
struct PreprocessorConfig {
    #[serde(default = "yes")]
    do_resize: bool,
    size: Size,
    #[serde(default = "bilinear")]
    resample: u8,
    #[serde(default)]
    do_center_crop: bool,
    crop_size: Option<Size>,
    #[serde(default = "yes")]
    do_rescale: bool,
    #[serde(default = "one_255th")]
    rescale_factor: f32,
    #[serde(default = "yes")]
    do_normalize: bool,
    #[serde(default)]
    image_mean: [f32; 3],
    #[serde(default = "ones")]
    image_std: [f32; 3],
}

fn yes() -> bool {
    true
}

fn bilinear() -> u8 {
    2
}

fn one_255th() -> f32 {
    1.0 / 255.0
}

fn ones() -> [f32; 3] {
    [1.0; 3]
}

#[derive(Deserialize, Clone, Copy)]
#[serde(untagged)]
enum Size {
    Both { height: usize, width: usize },
    Shortest { shortest_edge: usize },
    Square(usize),
}

#[derive(Deserialize)]
struct GenerationConfig {
    decoder_start_token_id: Option<Token>,
    bos_token_id: Option<Token>,
    eos_token_id: OneOrMore,
    #[serde(default)]
    suppress_tokens: Option<Vec<Token>>,
    max_new_tokens: Option<usize>,
    max_length: Option<usize>,
    #[serde(default = "one")]
    num_beams: usize,
    #[serde(default = "one_f32")]
    length_penalty: f32,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(Token),
    More(Vec<Token>),
}

fn one() -> usize {
    1
}

fn one_f32() -> f32 {
    1.0
}

/// Parses one JSON file.
///
/// # Errors
/// [`Error::ModelJson`] with the line and column.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|cause| Error::ModelJson { path: path.to_path_buf(), cause })
}

impl ModelSpec {
    /// Reads `config.json` of a model whose vocabulary has `vocabulary` entries.
    ///
    /// # Errors
    /// [`Error::ModelJson`], and [`Error::ModelSetting`] if it is the file of another model.
    pub fn parse(path: &Path, json: &[u8], vocabulary: usize) -> Result<Self> {
        let spec: Self = parse(path, json)?;
        match spec.vocab_size {
            Some(size) if size != vocabulary => {
                let expected = format!("{vocabulary} as the decoder has it");
                Err(Setting { path }.wrong("vocab_size", &size.to_string(), &expected))
            }
            _ => Ok(spec),
        }
    }
}

impl PreprocessSpec {
    /// Reads `preprocessor_config.json`.
    ///
    /// # Errors
    /// [`Error::ModelJson`] and [`Error::ModelSetting`].
    pub fn parse(path: &Path, json: &[u8]) -> Result<Self> {
        let config: PreprocessorConfig = parse(path, json)?;
        let check = Setting { path };
        if !config.do_resize {
            return Err(check.wrong("do_resize", "false", "true: pictures come in all sizes"));
        }
        let (resize, input) = config.sizes(&check)?;
        let spec = Self {
            resize,
            filter: config.filter(&check)?,
            input,
            rescale: if config.do_rescale { config.rescale_factor } else { 1.0 },
            mean: if config.do_normalize { config.image_mean } else { [0.0; 3] },
            std: if config.do_normalize { config.image_std } else { [1.0; 3] },
        };
        check.sane("rescale_factor", &[spec.rescale], |factor| factor.abs() <= MAX_SCALE)?;
        check.sane("image_mean", &spec.mean, |mean| mean.abs() <= MAX_SCALE)?;
        check.sane("image_std", &spec.std, |std| (1.0 / MAX_SCALE..=MAX_SCALE).contains(&std.abs()))?;
        Ok(spec)
    }
}

impl PreprocessorConfig {
    fn sizes(&self, check: &Setting) -> Result<(Resize, [usize; 2])> {
        let resize = match self.size {
            Size::Both { height, width } => Resize::Squash([height, width]),
            Size::Square(side) => Resize::Squash([side, side]),
            Size::Shortest { shortest_edge } => Resize::ShortestEdge(shortest_edge),
        };
        let crop = if self.do_center_crop { self.crop_size } else { None };
        let input = match (crop, resize) {
            (Some(Size::Both { height, width }), _) => [height, width],
            (Some(Size::Square(side) | Size::Shortest { shortest_edge: side }), _) => [side, side],
            (None, Resize::Squash(size)) => size,
            (None, Resize::ShortestEdge(_)) => {
                return Err(check.wrong("size", "shortest_edge", "height and width, or used with crop_size"));
            }
        };
        let shortest = match resize {
            Resize::Squash(size) => size,
            Resize::ShortestEdge(side) => [side, side],
        };
        if input[0] > shortest[0] || input[1] > shortest[1] {
            return Err(check.wrong("crop_size", &format!("{input:?}"), &format!("within size {shortest:?}")));
        }
        for side in input.into_iter().chain(shortest) {
            check.range("size", side, 1, MAX_INPUT_SIDE)?;
        }
        Ok((resize, input))
    }

    fn filter(&self, check: &Setting) -> Result<Filter> {
        match self.resample {
            1 => Ok(Filter::Lanczos),
            2 => Ok(Filter::Bilinear),
            3 => Ok(Filter::Bicubic),
            other => Err(check.wrong("resample", &other.to_string(), "1 (Lanczos), 2 (bilinear) or 3 (bicubic)")),
        }
    }
}

impl GenerationSpec {
    /// Reads `generation_config.json`; token ids are below `vocabulary`.
    ///
    /// # Errors
    /// [`Error::ModelJson`] and [`Error::ModelSetting`].
    pub fn parse(path: &Path, json: &[u8], vocabulary: usize) -> Result<Self> {
        let config: GenerationConfig = parse(path, json)?;
        let check = Setting { path };
        let start = config.decoder_start_token_id.or(config.bos_token_id);
        let start = start.ok_or_else(|| check.wrong("decoder_start_token_id", "absent", "a token id"))?;
        // `max_length` counts the start token, `max_new_tokens` does not.
        let max_tokens = config.max_new_tokens.or(config.max_length.map(|length| length.saturating_sub(1)));
        let spec = Self {
            start,
            end: match config.eos_token_id {
                OneOrMore::One(token) => vec![token],
                OneOrMore::More(tokens) => tokens,
            },
            suppressed: config.suppress_tokens.unwrap_or_default(),
            max_tokens: max_tokens.unwrap_or(MAX_TOKENS).min(MAX_TOKENS),
            beam: config.num_beams,
            length_penalty: config.length_penalty,
        };
        for token in spec.end.iter().chain(&spec.suppressed).chain([&spec.start]) {
            check.range("token id", *token as usize, 0, vocabulary.saturating_sub(1))?;
        }
        check.range("max_new_tokens", spec.max_tokens, 1, MAX_TOKENS)?;
        check.range("num_beams", spec.beam, 1, MAX_BEAM)?;
        check.range("suppress_tokens", spec.suppressed.len(), 0, vocabulary)?;
        check.range("eos_token_id", spec.end.len(), 1, vocabulary)?;
        check.sane("length_penalty", &[spec.length_penalty], |exponent| exponent.abs() <= MAX_LENGTH_PENALTY)?;
        Ok(spec)
    }
}

/// Makes the errors of one file.
pub(crate) struct Setting<'a> {
    pub path: &'a Path,
}

impl Setting<'_> {
    pub fn wrong(&self, key: &'static str, value: &str, expected: &str) -> Error {
        Error::ModelSetting { path: PathBuf::from(self.path), key, value: value.into(), expected: expected.into() }
    }

    fn range(&self, key: &'static str, value: usize, min: usize, max: usize) -> Result<()> {
        if (min..=max).contains(&value) {
            return Ok(());
        }
        Err(self.wrong(key, &value.to_string(), &format!("{min} to {max}")))
    }

    fn sane(&self, key: &'static str, values: &[f32], is_sane: impl Fn(f32) -> bool) -> Result<()> {
        if values.iter().all(|value| is_sane(*value)) {
            return Ok(());
        }
        Err(self.wrong(key, &format!("{values:?}"), "a number of usual size, and not zero where it divides"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preprocess(json: &str) -> Result<PreprocessSpec> {
        PreprocessSpec::parse(Path::new("preprocessor_config.json"), json.as_bytes())
    }

    fn generation(json: &str) -> Result<GenerationSpec> {
        GenerationSpec::parse(Path::new("generation_config.json"), json.as_bytes(), 10)
    }

    #[test]
    fn sizes_are_read_in_every_form_that_image_processors_write() {
        let cases = [
            (r#"{"size": 224}"#, Resize::Squash([224, 224]), [224, 224]),
            (r#"{"size": {"height": 96, "width": 128}}"#, Resize::Squash([96, 128]), [96, 128]),
            (
                r#"{"size": {"shortest_edge": 256}, "do_center_crop": true, "crop_size": {"height": 224, "width": 224}}"#,
                Resize::ShortestEdge(256),
                [224, 224],
            ),
        ];
        for (json, resize, input) in cases {
            let spec = preprocess(json).unwrap();
            assert_eq!((spec.resize, spec.input), (resize, input), "{json}");
        }
    }

    #[test]
    fn absurd_preprocessing_is_refused() {
        let cases = [
            "{",
            "{}",
            r#"{"size": 0}"#,
            r#"{"size": 100000}"#,
            r#"{"size": -1}"#,
            r#"{"size": 224, "resample": 9}"#,
            r#"{"size": 224, "do_resize": false}"#,
            r#"{"size": 224, "image_std": [0, 1, 1]}"#,
            r#"{"size": 224, "image_std": [1e-30, 1, 1]}"#,
            r#"{"size": 224, "image_mean": [1e38, 1, 1]}"#,
            r#"{"size": 224, "rescale_factor": 1e300}"#,
            r#"{"size": 224, "image_mean": [1, 1]}"#,
            r#"{"size": {"shortest_edge": 256}}"#,
            r#"{"size": 224, "do_center_crop": true, "crop_size": 256}"#,
        ];
        for json in cases {
            assert!(preprocess(json).is_err(), "{json}");
        }
    }

    #[test]
    fn generation_settings_have_the_usual_defaults() {
        let spec = generation(r#"{"bos_token_id": 1, "eos_token_id": [2, 3], "max_length": 20}"#).unwrap();
        let expected = GenerationSpec {
            start: 1,
            end: vec![2, 3],
            suppressed: vec![],
            max_tokens: 19,
            beam: 1,
            length_penalty: 1.0,
        };
        assert_eq!(spec, expected);
    }

    #[test]
    fn a_config_of_another_vocabulary_is_refused() {
        let parse = |json: &str| ModelSpec::parse(Path::new("config.json"), json.as_bytes(), 10);
        assert_eq!(parse(r#"{"model_type": "vision", "vocab_size": 10}"#).unwrap().model_type, "vision");
        assert_eq!(parse("{}").unwrap(), ModelSpec::default());
        for json in ["", "[]", r#"{"vocab_size": 11}"#, r#"{"vocabulary_size": 9}"#, r#"{"vocab_size": -1}"#] {
            assert!(parse(json).is_err(), "{json}");
        }
    }

    #[test]
    fn absurd_generation_settings_are_refused() {
        let cases = [
            r#"{"eos_token_id": 2}"#,
            r#"{"bos_token_id": 1}"#,
            r#"{"bos_token_id": 10, "eos_token_id": 2}"#,
            r#"{"bos_token_id": 1, "eos_token_id": 2, "num_beams": 0}"#,
            r#"{"bos_token_id": 1, "eos_token_id": 2, "num_beams": 99}"#,
            r#"{"bos_token_id": 1, "eos_token_id": 2, "max_new_tokens": 0}"#,
            r#"{"bos_token_id": 1, "eos_token_id": 2, "length_penalty": 1e39}"#,
            r#"{"bos_token_id": 1, "eos_token_id": 2, "length_penalty": -400}"#,
            r#"{"bos_token_id": 1, "eos_token_id": []}"#,
            r#"{"bos_token_id": -1, "eos_token_id": 2}"#,
            r#"{"bos_token_id": 1, "eos_token_id": 2, "suppress_tokens": [1,1,1,1,1,1,1,1,1,1,1]}"#,
        ];
        for json in cases {
            assert!(generation(json).is_err(), "{json}");
        }
    }
}
