//! From tokens to a sentence.
//!
//! Reads `tokenizer.json` of Hugging Face's tokenizers: word-level, WordPiece, byte-level BPE and Metaspace vocabularies.
//! Each token is turned into its final bytes once, when the model is opened; a caption is then their concatenation.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::caption::{Text, Token};
use crate::error::Result;
use crate::limits::{MAX_CAPTION_BYTES, MAX_VOCABULARY};
use crate::spec::{self, Setting};
use crate::vocabulary_file::{Entries, List};

const CUT_MARK: &str = "...";

/// The text of every token.
#[derive(Debug)]
pub struct Vocabulary {
    bytes: Box<[u8]>,
    ends: Box<[u32]>, // token i is bytes[ends[i - 1]..ends[i]]; special tokens are empty
    joins: Joins,
}

/// How the pieces of a vocabulary join into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joins {
    /// Every token is a word of its own.
    Words,
    /// `##` continues a word.
    WordPiece,
    /// Characters stand for bytes, `Ġ` for a space.
    ByteLevel,
    /// `▁` stands for a space.
    Metaspace,
}

#[derive(Deserialize)]
struct Tokenizer {
    model: TokenizerModel,
    #[serde(default)]
    added_tokens: List<AddedToken>,
    #[serde(default)]
    decoder: Option<Decoder>,
}

#[derive(Deserialize)]
struct TokenizerModel {
    #[serde(rename = "type", default)]
    kind: String,
    vocab: Entries,
}

#[derive(Deserialize)]
struct Decoder {
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Deserialize)]
struct AddedToken {
    id: Token,
    content: String,
    #[serde(default)]
    special: bool,
}

impl Vocabulary {
    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::ModelJson`](crate::Error::ModelJson), and
    /// [`Error::ModelSetting`](crate::Error::ModelSetting) for ids out of range and kinds of tokenizers not known here.
    pub fn parse(path: &Path, json: &[u8]) -> Result<Self> {
        let tokenizer: Tokenizer = spec::parse(path, json)?;
        let joins = joins(path, &tokenizer)?;
        let mut pieces = BTreeMap::new();
        for (id, piece) in tokenizer.model.vocab.0 {
            if pieces.insert(id, joins.bytes(&piece)).is_some() {
                return Err(Setting { path }.wrong("vocab", &format!("two tokens of id {id}"), "one for each id"));
            }
        }
        for added in tokenizer.added_tokens.0 {
            let bytes = if added.special { Vec::new() } else { joins.bytes(&added.content) };
            pieces.insert(added.id, bytes);
        }
        Self::from_pieces(path, joins, pieces)
    }

    fn from_pieces(path: &Path, joins: Joins, pieces: BTreeMap<Token, Vec<u8>>) -> Result<Self> {
        let len = pieces.last_key_value().map_or(0, |(id, _)| (*id as usize).saturating_add(1));
        if !(1..=MAX_VOCABULARY).contains(&len) {
            let expected = format!("1 to {MAX_VOCABULARY} tokens");
            return Err(Setting { path }.wrong("vocab", &len.to_string(), &expected));
        }
        let mut bytes = Vec::new();
        let mut ends = vec![0; len];
        for (id, end) in (0..).zip(&mut ends) {
            bytes.extend(pieces.get(&id).into_iter().flatten());
            *end = bytes.len() as u32;
        }
        Ok(Self { bytes: bytes.into(), ends: ends.into(), joins })
    }

    /// Number of tokens, special ones included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no token; never so for a parsed vocabulary.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn piece(&self, token: Token) -> &[u8] {
        let i = token as usize;
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.bytes[start as usize..self.ends[i] as usize]
    }

    /// Writes the sentence; without `has_ended` it is marked as cut, after its last whole word.
    ///
    /// Tokens are below [`Vocabulary::len`]. Returns whether the text was cut. Allocates nothing.
    pub fn write_text(&self, tokens: &[Token], has_ended: bool, text: &mut Text) -> bool {
        let mut bytes = heapless::Vec::<u8, MAX_CAPTION_BYTES>::new();
        let fits = tokens.iter().all(|token| {
            let piece = self.piece(*token);
            let piece = if bytes.is_empty() { piece.trim_ascii_start() } else { piece };
            bytes.extend_from_slice(piece).is_ok()
        });
        text.clear();
        for chunk in bytes.utf8_chunks() {
            // Bytes that are no UTF-8 are half a character of a byte-level vocabulary: left out, so the text never grows.
            let _ = text.push_str(chunk.valid());
        }
        let is_cut = !fits || !has_ended;
        if is_cut {
            self.mark_as_cut(text);
        }
        is_cut
    }

    fn mark_as_cut(&self, text: &mut Text) {
        if self.joins != Joins::Words || text.len() + CUT_MARK.len() > MAX_CAPTION_BYTES {
            let room = text.floor_char_boundary(MAX_CAPTION_BYTES - CUT_MARK.len());
            text.truncate(text[..room].rfind(' ').unwrap_or(room));
        }
        let _ = text.push_str(CUT_MARK);
    }
}

fn joins(path: &Path, tokenizer: &Tokenizer) -> Result<Joins> {
    let decoder = tokenizer.decoder.as_ref().map(|decoder| &*decoder.kind).filter(|kind| !kind.is_empty());
    match (decoder, tokenizer.model.kind.as_str()) {
        (Some("ByteLevel"), _) => Ok(Joins::ByteLevel),
        (Some("WordPiece"), _) | (None, "WordPiece") => Ok(Joins::WordPiece),
        (Some("Metaspace"), _) => Ok(Joins::Metaspace),
        (None, "WordLevel") => Ok(Joins::Words),
        (decoder, model) => {
            let value = format!("{} over {model:?}", decoder.unwrap_or("none"));
            let expected = "ByteLevel, WordPiece or Metaspace, or none over WordLevel";
            Err(Setting { path }.wrong("decoder", &value, expected))
        }
    }
}

impl Joins {
    /// The bytes that a piece adds to a sentence, with the space before a word.
    fn bytes(self, piece: &str) -> Vec<u8> {
        match self {
            Joins::Words => format!(" {piece}").into_bytes(),
            Joins::WordPiece => match piece.strip_prefix("##") {
                Some(rest) => rest.into(),
                None => format!(" {piece}").into_bytes(),
            },
            Joins::Metaspace => piece.replace('▁', " ").into_bytes(),
            Joins::ByteLevel => piece.chars().filter_map(byte_of).collect(),
        }
    }
}

/// The byte that a character of a byte-level vocabulary stands for.
///
/// GPT-2's `bytes_to_unicode`: printable bytes stand for themselves, the others for U+0100 onwards in order.
fn byte_of(character: char) -> Option<u8> {
    let is_printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    match u32::from(character) {
        code @ 0..=0xFF => u8::try_from(code).ok().filter(is_printable),
        code => (0..=255u8).filter(|byte| !is_printable(byte)).nth(code as usize - 0x100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary(json: &str) -> Result<Vocabulary> {
        Vocabulary::parse(Path::new("tokenizer.json"), json.as_bytes())
    }

    fn text(vocabulary: &Vocabulary, tokens: &[Token], has_ended: bool) -> (String, bool) {
        let mut text = Text::new();
        let is_cut = vocabulary.write_text(tokens, has_ended, &mut text);
        (text.as_str().into(), is_cut)
    }

    #[test]
    fn every_kind_of_vocabulary_joins_its_pieces() {
        let cases = [
            (r#"{"model": {"type": "WordLevel", "vocab": {"a": 0, "dog's": 1, "bed": 2}}}"#, "a dog's bed"),
            (
                r###"{"model": {"type": "WordPiece", "vocab": {"a": 0, "sand": 1, "##y": 2}}, "decoder": {"type": "WordPiece"}}"###,
                "a sandy",
            ),
            (
                r#"{"model": {"type": "BPE", "vocab": {"a": 0, "Ġcaf": 1, "Ã©": 2}}, "decoder": {"type": "ByteLevel"}}"#,
                "a café",
            ),
            (
                r#"{"model": {"type": "Unigram", "vocab": [["▁a", -1.0], ["▁sand", -2.0], ["y", -3.0]]}, "decoder": {"type": "Metaspace"}}"#,
                "a sandy",
            ),
        ];
        for (json, expected) in cases {
            let vocabulary = vocabulary(json).unwrap();
            assert_eq!(text(&vocabulary, &[0, 1, 2], true), (expected.into(), false), "{json}");
        }
    }

    #[test]
    fn special_tokens_have_no_text() {
        let json = r#"{"model": {"type": "WordLevel", "vocab": {"<s>": 0, "a": 1}},
                       "added_tokens": [{"id": 0, "content": "<s>", "special": true}]}"#;
        assert_eq!(text(&vocabulary(json).unwrap(), &[0, 1, 0], true), ("a".into(), false));
    }

    #[test]
    fn a_caption_without_an_end_is_marked_after_a_whole_word() {
        let words = vocabulary(r#"{"model": {"type": "WordLevel", "vocab": {"a": 0, "dog": 1}}}"#).unwrap();
        assert_eq!(text(&words, &[0, 1], false), ("a dog...".into(), true));
        let pieces = r###"{"model": {"type": "WordPiece", "vocab": {"a": 0, "sand": 1, "##y": 2}}}"###;
        let pieces = vocabulary(pieces).unwrap();
        assert_eq!(text(&pieces, &[0, 1, 2], false), ("a...".into(), true));
    }

    #[test]
    fn an_over_long_caption_is_cut_at_a_word() {
        let long = "ü".repeat(100);
        let vocabulary =
            vocabulary(&format!(r#"{{"model": {{"type": "WordLevel", "vocab": {{"{long}": 0}}}}}}"#)).unwrap();
        let (cut, is_cut) = text(&vocabulary, &[0; 20], true);
        assert_eq!((cut, is_cut), (format!("{long} {long}..."), true));
    }

    #[test]
    fn broken_tokenizers_are_refused() {
        let cases = [
            "",
            "{}",
            r#"{"model": {"type": "WordLevel", "vocab": {}}}"#,
            r#"{"model": {"type": "WordLevel", "vocab": {"a": -1}}}"#,
            r#"{"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 0}}}"#,
            r#"{"model": {"type": "WordLevel", "vocab": "a"}}"#,
            r#"{"model": {"type": "WordLevel", "vocab": {"a": 4000000000}}}"#,
            r#"{"model": {"type": "Unigram", "vocab": []}, "decoder": {"type": "CTC"}}"#,
        ];
        for json in cases {
            assert!(vocabulary(json).is_err(), "{json}");
        }
    }
}
