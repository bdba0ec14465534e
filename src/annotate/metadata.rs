//! Captions beside photos and inside them: what is there already, and whether it may be changed.
//!
//! A description is ours if the mark beside it (program, model, model's hash, caption) repeats it word for word. One that a
//! person has edited no longer matches its mark, and is a person's from then on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::record::{Record, Whose};
use super::{atomic_file, embed, txt, xmp};
use crate::error::{Error, Result};
use crate::limits::MAX_PICTURE_BYTES;

/// Which places for a caption are meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Places {
    /// `IMG_1.jpg.xmp`.
    pub xmp: bool,
    /// `IMG_1.jpg.txt`.
    pub txt: bool,
    /// Inside the photo: JPEG and PNG.
    pub embedded: bool,
}

/// Where captions are put besides the journals, and what they may replace.
#[derive(Debug, Clone, Copy, Default)]
pub struct Metadata {
    /// Where captions go.
    pub places: Places,
    /// Whether a sidecar of `IMG_1.jpg` is called `IMG_1.xmp`, not `IMG_1.jpg.xmp`.
    pub is_named_by_stem: bool,
    /// Whether captions of ours are replaced although the model is the same.
    pub overwrites_ours: bool,
    /// Whether descriptions of others are replaced.
    pub overwrites_human: bool,
    /// Whether a photo keeps its time of change when a caption is put into it.
    pub keeps_mtime: bool,
}

/// A caption to be put somewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark<'a> {
    pub caption: &'a str,
    pub confidence: f32,
    pub model: &'a str,
    pub model_hash: &'a str,
}

/// What stands where a caption would be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    Ours { model_hash: String },
    Human,
}

/// Why a place is left as it is, in words.
pub(crate) type Problem = String;

impl Places {
    /// Whether all of `wanted` are among these.
    pub(crate) fn hold(self, wanted: Self) -> bool {
        (self.xmp || !wanted.xmp) && (self.txt || !wanted.txt) && (self.embedded || !wanted.embedded)
    }

    pub(crate) fn overlap(self, other: Self) -> bool {
        self.xmp && other.xmp || self.txt && other.txt || self.embedded && other.embedded
    }

    pub(crate) fn is_none(self) -> bool {
        self == Self::default()
    }
}

impl Metadata {
    /// Whether every place holds already what it shall, a caption by the model of this hash or a person's words; reads the
    /// sidecars and the photo.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn is_done(&self, photo: &Path, model_hash: &str) -> Result<bool> {
        let stays = |found: Found| self.stays(&found, model_hash).is_some();
        let Places { xmp, txt, embedded } = self.places;
        Ok((!xmp || stays(self.in_sidecar(photo, "xmp", xmp::find)?))
            && (!txt || stays(self.in_sidecar(photo, "txt", txt::find)?))
            && (!embedded || stays(self.in_photo(photo)?)))
    }

    /// Puts the caption of `record` where it shall be, and notes there whose description each place now holds.
    ///
    /// # Errors
    /// [`Error::Metadata`] where something of another's would be harmed, [`Error::Read`], [`Error::Write`].
    pub fn write(&self, photo: &Path, record: &mut Record) -> Result<()> {
        let Some(caption) = record.caption.clone() else { return Ok(()) };
        let (model, model_hash) = (record.model.clone(), record.model_hash.clone());
        let mark = Mark {
            caption: &caption,
            confidence: record.confidence.unwrap_or_default(),
            model: &model,
            model_hash: &model_hash,
        };
        if self.places.xmp {
            record.xmp = Some(self.write_sidecar(photo, "xmp", &mark, xmp::find, xmp::merge)?);
        }
        if self.places.txt {
            record.txt = Some(self.write_sidecar(photo, "txt", &mark, txt::find, txt::replace)?);
        }
        if self.places.embedded {
            record.embedded = Some(self.write_embedded(photo, &mark)?);
        }
        Ok(())
    }

    /// Whose description stays; `None` if it shall be replaced.
    fn stays(&self, found: &Found, model_hash: &str) -> Option<Whose> {
        match found {
            Found::Nothing => None,
            Found::Ours { model_hash: old } => (old == model_hash && !self.overwrites_ours).then_some(Whose::Ours),
            Found::Human => (!self.overwrites_human).then_some(Whose::Human),
        }
    }

    fn sidecar(&self, photo: &Path, ending: &str) -> PathBuf {
        if self.is_named_by_stem {
            return photo.with_extension(ending);
        }
        let mut name = photo.as_os_str().to_owned();
        name.push(".");
        name.push(ending);
        name.into()
    }

    fn in_sidecar(
        &self,
        photo: &Path,
        ending: &str,
        find: fn(&str) -> std::result::Result<Found, Problem>,
    ) -> Result<Found> {
        let path = self.sidecar(photo, ending);
        match read_text(&path)? {
            Some(text) => find(&text).map_err(|problem| Error::Metadata { path, problem }),
            None => Ok(Found::Nothing),
        }
    }

    fn write_sidecar(
        &self,
        photo: &Path,
        ending: &str,
        mark: &Mark,
        find: fn(&str) -> std::result::Result<Found, Problem>,
        merge: fn(&str, &Mark) -> std::result::Result<String, Problem>,
    ) -> Result<Whose> {
        let found = self.in_sidecar(photo, ending, find)?;
        if let Some(whose) = self.stays(&found, mark.model_hash) {
            return Ok(whose);
        }
        let path = self.sidecar(photo, ending);
        let old = read_text(&path)?.unwrap_or_default();
        let new = merge(&old, mark).map_err(|problem| Error::Metadata { path: path.clone(), problem })?;
        atomic_file::replace(&path, new.as_bytes(), false).map_err(|cause| Error::Write { path, cause })?;
        Ok(Whose::Ours)
    }

    fn in_photo(&self, photo: &Path) -> Result<Found> {
        let bytes = read_photo(photo)?;
        embed::find(&bytes).map_err(|problem| Error::Metadata { path: photo.into(), problem })
    }

    fn write_embedded(&self, photo: &Path, mark: &Mark) -> Result<Whose> {
        let failed = |problem| Error::Metadata { path: photo.into(), problem };
        let bytes = read_photo(photo)?;
        let found = embed::find(&bytes).map_err(failed)?;
        if let Some(whose) = self.stays(&found, mark.model_hash) {
            return Ok(whose);
        }
        let new = embed::merge(&bytes, mark).map_err(failed)?;
        let write = atomic_file::replace(photo, &new, self.keeps_mtime);
        write.map_err(|cause| Error::Write { path: photo.into(), cause })?;
        Ok(Whose::Ours)
    }
}

/// The text of a file, if there is one.
fn read_text(path: &Path) -> Result<Option<String>> {
    match fs::read(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::Read { path: path.into(), cause }),
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| {
            let problem = "it is not UTF-8 text, convert or move it".into();
            Error::Metadata { path: path.into(), problem }
        }),
    }
}

fn read_photo(path: &Path) -> Result<Vec<u8>> {
    let failed = |cause| Error::Read { path: path.into(), cause };
    if fs::metadata(path).map_err(failed)?.len() > MAX_PICTURE_BYTES {
        return Err(Error::FileTooLarge { path: path.into(), limit: MAX_PICTURE_BYTES });
    }
    fs::read(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_replaced_is() {
        let ours = |hash: &str| Found::Ours { model_hash: hash.into() };
        let keep = Metadata::default();
        let all = Metadata { overwrites_ours: true, overwrites_human: true, ..keep };
        for (found, kept, kept_by_all) in [
            (Found::Nothing, None, None),
            (ours("m"), Some(Whose::Ours), None),
            (ours("old"), None, None),
            (Found::Human, Some(Whose::Human), None),
        ] {
            assert_eq!(keep.stays(&found, "m"), kept, "{found:?}");
            assert_eq!(all.stays(&found, "m"), kept_by_all, "{found:?}");
        }
    }

    #[test]
    fn a_sidecar_in_another_encoding_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let photo = folder.path().join("a.jpg");
        let places = Places { xmp: true, ..Places::default() };
        let metadata = Metadata { places, overwrites_ours: true, overwrites_human: true, ..Metadata::default() };
        let rdf = "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"/>";
        let utf_16 = |unit: fn(u16) -> [u8; 2]| format!("\u{feff}{rdf}").encode_utf16().flat_map(unit).collect();
        let latin_1 = |declaration: &str| [declaration.as_bytes(), b"<!-- caf\xE9 -->", rdf.as_bytes()].concat();
        let files: [(Vec<u8>, &str); 5] = [
            (utf_16(u16::to_le_bytes), "not UTF-8"),
            (utf_16(u16::to_be_bytes), "not UTF-8"),
            (utf_16(u16::to_be_bytes).split_off(2), "does not parse"),
            (latin_1("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>"), "not UTF-8"),
            (format!("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>{rdf}").into(), "ISO-8859-1"),
        ];
        for (bytes, problem) in files {
            fs::write(metadata.sidecar(&photo, "xmp"), &bytes).unwrap();
            let mut record = Record { caption: Some("a dog".into()), ..Record::default() };
            let error = metadata.write(&photo, &mut record).unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("a.jpg.xmp"), "{error}");
            assert_eq!(fs::read(metadata.sidecar(&photo, "xmp")).unwrap(), bytes);
        }
    }

    #[test]
    fn sidecars_are_named_after_the_whole_name_or_its_stem() {
        for (is_named_by_stem, expected) in [(false, "a/IMG.1.jpg.xmp"), (true, "a/IMG.1.xmp")] {
            let metadata = Metadata { is_named_by_stem, ..Metadata::default() };
            assert_eq!(metadata.sidecar(Path::new("a/IMG.1.jpg"), "xmp"), Path::new(expected));
        }
    }
}
