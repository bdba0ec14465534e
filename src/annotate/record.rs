//! What is written of one photo.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::photo::{Key, Photo, path_from_text, path_to_text};

/// A line of the JSONL, a row of the CSV.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// As the walk or the list gave it.
    pub path: String,
    /// The path's bytes in hexadecimal, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hex: Option<String>,
    /// Bytes of the file as it lies there afterwards.
    pub size: Option<u64>,
    /// Its last change, in milliseconds since 1970.
    pub mtime_ms: Option<i64>,
    /// The sentence.
    pub caption: Option<String>,
    /// Mean token probability, to four digits.
    pub confidence: Option<f32>,
    /// Whether the sentence was cut.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut: bool,
    /// The best captions of the beam, the first again included, where they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
    /// The photo whose caption this one has, since the two look alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similar_to: Option<String>,
    /// The perceptual hash, in hexadecimal, where similar photos are skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whose description the XMP sidecar holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xmp: Option<Whose>,
    /// Whose description the text file beside the photo holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txt: Option<Whose>,
    /// Whose description is inside the photo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<Whose>,
    /// Name of the model.
    pub model: String,
    /// [`Model::digest`](crate::Model::digest).
    pub model_hash: String,
    /// Reading, decoding and captioning.
    pub time_ms: f64,
}

/// One of several captions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// The sentence.
    pub caption: String,
    /// Mean token probability, to four digits.
    pub confidence: f32,
}

/// Who wrote a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whose {
    /// This program.
    Ours,
    /// A person, or another program.
    Human,
}

impl Record {
    pub(crate) fn of(photo: &Photo) -> Self {
        let (path, path_hex) = path_to_text(&photo.path);
        Self { path, path_hex, size: photo.size, mtime_ms: photo.mtime_ms, ..Self::default() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        path_from_text(&self.path, self.path_hex.as_deref())
    }

    pub(crate) fn key(&self) -> Key {
        Photo { path: self.path(), size: self.size, mtime_ms: self.mtime_ms }.key(&self.model_hash)
    }
}

fn is_false(value: &bool) -> bool {
    !value
}
