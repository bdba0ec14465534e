//! Which photo: its path, and what tells whether it has changed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

/// A photo as it lies on the disk now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Photo {
    pub path: PathBuf,
    pub size: Option<u64>, // bytes; none if there is no such file
    pub mtime_ms: Option<i64>,
}

/// Tells photos, and states of the same photo, apart.
pub(crate) type Key = u128;

impl Photo {
    pub fn at(path: PathBuf) -> Self {
        let metadata = fs::metadata(&path).ok();
        let since_epoch = metadata.as_ref().and_then(|m| m.modified().ok()?.duration_since(UNIX_EPOCH).ok());
        let mtime_ms = since_epoch.and_then(|time| i64::try_from(time.as_millis()).ok());
        Self { size: metadata.map(|m| m.len()), mtime_ms, path }
    }

    /// What a record of this photo, as it is now, by this model is found by.
    pub fn key(&self, model_hash: &str) -> Key {
        let (size, mtime_ms) = (self.size.map_or(-1, |size| size as i64), self.mtime_ms.unwrap_or(-1));
        key(&[
            self.path.as_os_str().as_encoded_bytes(),
            &size.to_le_bytes(),
            &mtime_ms.to_le_bytes(),
            model_hash.as_bytes(),
        ])
    }

    /// What the photo is found by, whatever its state.
    pub fn path_key(&self) -> Key {
        key(&[self.path.as_os_str().as_encoded_bytes()])
    }
}

fn key(parts: &[&[u8]]) -> Key {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    let digest = digest.finalize();
    digest.iter().take(16).fold(0, |key, byte| key << 8 | Key::from(*byte))
}

/// A path as text, and its bytes in hexadecimal where the text does not tell them.
pub(crate) fn path_to_text(path: &Path) -> (String, Option<String>) {
    match path.to_str() {
        Some(text) => (text.into(), None),
        None => {
            let bytes = path.as_os_str().as_encoded_bytes();
            (path.to_string_lossy().into(), Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
        }
    }
}

/// The path that [`path_to_text`] was given.
pub(crate) fn path_from_text(text: &str, hex: Option<&str>) -> PathBuf {
    let digit = |i: usize, hex: &str| u8::from_str_radix(hex.get(i..i + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = hex.and_then(|hex| (0..hex.len()).step_by(2).map(|i| digit(i, hex)).collect());
    bytes.and_then(path_from_bytes).unwrap_or_else(|| text.into())
}

/// A path as a list of paths holds it; on systems whose paths are not bytes, UTF-8 alone.
pub(crate) fn path_from_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    #[cfg(unix)]
    {
        Some(<OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes).into())
    }
    #[cfg(not(unix))]
    {
        String::from_utf8(bytes).ok().map(|path| OsString::from(path).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_path_state_and_model_apart() {
        let photo = Photo { path: "a.jpg".into(), size: Some(3), mtime_ms: Some(4) };
        let others = [
            (Photo { path: "b.jpg".into(), ..photo.clone() }, "m"),
            (Photo { size: Some(4), ..photo.clone() }, "m"),
            (Photo { size: None, ..photo.clone() }, "m"),
            (Photo { mtime_ms: None, ..photo.clone() }, "m"),
            (photo.clone(), "n"),
        ];
        assert!(others.iter().all(|(other, model)| other.key(model) != photo.key("m")));
        assert_eq!(photo.key("m"), photo.clone().key("m"));
    }

    #[test]
    #[cfg(unix)]
    fn paths_that_are_not_utf8_come_back_as_they_were() {
        for bytes in [&b"a/b.jpg"[..], b"a/\xFF\xFE.jpg", b"\xC3(.jpg"] {
            let path = path_from_bytes(bytes.to_vec()).unwrap();
            let (text, hex) = path_to_text(&path);
            assert_eq!(hex.is_some(), std::str::from_utf8(bytes).is_err());
            assert_eq!(path_from_text(&text, hex.as_deref()), path);
        }
    }
}
