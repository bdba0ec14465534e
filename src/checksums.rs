//! `SHA256SUMS` of a model folder: whether its files are those that it was made of.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::limits::{MAX_GRAPH_BYTES, MAX_SETTINGS_BYTES};
use crate::model::{EMBEDDED, read_at_most};
use crate::opening::Opening;

/// The list itself, as `sha256sum` writes it.
const LIST: &str = "SHA256SUMS";

/// What stands beside the model inside the program.
static EMBEDDED_LIST: &[u8] = include_bytes!("../models/default/SHA256SUMS");

/// Files that are read where they are there.
const READ: [&str; 8] = [
    "config.json",
    "decoder_model.onnx",
    "decoder_model_quantized.onnx",
    "encoder_model.onnx",
    "encoder_model_quantized.onnx",
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
];

/// Bytes that are hashed at once.
const CHUNK_BYTES: usize = 64 << 10;

/// A file of a model, compared with the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCheck {
    /// Its name in the folder.
    pub name: String,
    /// What the comparison says.
    pub state: FileState,
    /// SHA-256 of what is there, in hexadecimal; empty if nothing is.
    pub sha256: String,
}

/// What a file is, compared with the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// As listed.
    Whole,
    /// Other than listed.
    Changed,
    /// Listed, and not there.
    Missing,
    /// Would be read, and is not listed.
    Unlisted,
}

impl FileState {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Whole => "ok",
            Self::Changed => "has changed since it was listed in SHA256SUMS",
            Self::Missing => "is listed in SHA256SUMS and not there",
            Self::Unlisted => "is not listed in SHA256SUMS",
        }
    }
}

/// Compares every file that `SHA256SUMS` of a model folder lists, and every one that would be read, by its SHA-256. Without
/// a folder the model inside the program, whose list is compiled in.
///
/// It finds what a bad card or copy has changed; whoever can change the files on purpose can change the list as well.
///
/// # Errors
/// [`Error::ModelFile`] if the list or a file cannot be read, [`Error::ModelChecksum`] if the list is none.
pub fn check_files(folder: Option<&Path>) -> Result<Vec<FileCheck>> {
    let Some(folder) = folder else {
        let list = parse(Path::new(LIST), EMBEDDED_LIST)?;
        return Ok(compare(list, EMBEDDED.iter().map(|(name, bytes)| ((*name).into(), hex(&Sha256::digest(bytes))))));
    };
    let opening = Opening;
    let path = folder.join(LIST);
    opening.file(&path);
    let bytes =
        read_at_most(&path, MAX_SETTINGS_BYTES).map_err(|cause| Error::ModelFile { path: path.clone(), cause })?;
    let list = parse(&path, &bytes)?;
    let mut found = vec![];
    for name in READ.into_iter().chain(list.keys().map(|name| &**name).filter(|name| !READ.contains(name))) {
        let path = folder.join(name);
        opening.file(&path);
        match hash(&path) {
            Ok(hash) => found.push((name.into(), hash)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(Error::ModelFile { path, cause }),
        }
    }
    Ok(compare(list, found.into_iter()))
}

/// Hash by name.
type List = BTreeMap<String, String>;

/// Reads lines of a hash, two spaces (or a space and a star) and a name without a folder.
fn parse(path: &Path, bytes: &[u8]) -> Result<List> {
    let mut list = List::new();
    for (at, line) in String::from_utf8_lossy(bytes).lines().enumerate() {
        let problem = || format!("holds no SHA-256 and name of a file beside it in line {}", at + 1);
        let entry = entry(line).ok_or_else(|| Error::ModelChecksum { path: path.into(), problem: problem() })?;
        list.extend([entry]);
    }
    Ok(list)
}

/// Name and hash of a line.
fn entry(line: &str) -> Option<(String, String)> {
    let (hash, name) = line.split_at_checked(64)?;
    let name = name.strip_prefix("  ").or(name.strip_prefix(" *"))?;
    let is_entry = hash.bytes().all(|byte| byte.is_ascii_hexdigit()) && !name.is_empty() && !name.contains(['/', '\\']);
    is_entry.then(|| (name.into(), hash.to_ascii_lowercase()))
}

fn compare(mut list: List, found: impl Iterator<Item = (String, String)>) -> Vec<FileCheck> {
    let check = |(name, sha256): (String, String)| {
        let state = match list.remove(&name) {
            None => FileState::Unlisted,
            Some(listed) if listed == sha256 => FileState::Whole,
            Some(_) => FileState::Changed,
        };
        FileCheck { name, state, sha256 }
    };
    let mut checks: Vec<FileCheck> = found.map(check).collect();
    let missing = list.into_keys().map(|name| FileCheck { name, state: FileState::Missing, sha256: String::new() });
    checks.extend(missing);
    checks.sort_by(|a, b| a.name.cmp(&b.name));
    checks
}

fn hash(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?.take(MAX_GRAPH_BYTES + 1);
    let (mut digest, mut chunk) = (Sha256::new(), vec![0; CHUNK_BYTES]);
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(hex(&digest.finalize())),
            Ok(len) => digest.update(&chunk[..len]),
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
}

/// In hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_inside_the_program_is_what_its_list_says() {
        let checks = check_files(None).unwrap();
        assert_eq!(checks.len(), EMBEDDED.len());
        assert!(checks.iter().all(|check| check.state == FileState::Whole), "{checks:?}");
    }

    #[test]
    fn lists_are_read_as_sha256sum_writes_them() {
        let hash = "ab".repeat(32);
        let read = |text: &str| parse(Path::new("SHA256SUMS"), text.as_bytes()).ok();
        let list = read(&format!("{hash}  a.json\n{} *b c.onnx\n", hash.to_uppercase())).unwrap();
        assert_eq!(
            list.into_iter().collect::<Vec<_>>(),
            [("a.json".into(), hash.clone()), ("b c.onnx".into(), hash.clone())]
        );
        for text in
            ["x", &hash, &format!("{hash}  "), &format!("{hash}  ../a"), &format!("{hash} a"), &format!("g{hash}  a")]
        {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
