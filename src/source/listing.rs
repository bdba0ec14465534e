//! Which files of a folder are pictures.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::error::{Error, Result};

const ENDINGS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"];

/// All pictures below a folder, by their file endings, sorted by name within each folder.
///
/// Links to files are followed, links to folders are not. A folder that cannot be read is skipped with a warning in the log.
///
/// # Errors
/// [`Error::Read`] if `folder` itself cannot be read, [`Error::NoPictures`] if there is none.
pub fn list_pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut pictures = Vec::new();
    for entry in walk_pictures(folder) {
        match entry {
            Ok(picture) => pictures.push(picture),
            Err(e) if e.depth() == 0 => return Err(Error::Read { path: folder.into(), cause: e.into() }),
            Err(e) => log::warn!("skipped: {e}"),
        }
    }
    if pictures.is_empty() {
        return Err(Error::NoPictures { path: folder.into() });
    }
    Ok(pictures)
}

/// The same, one after another, so that no list of all is held; a folder that cannot be read is an error among them.
pub(crate) fn walk_pictures(folder: &Path) -> impl Iterator<Item = walkdir::Result<PathBuf>> + Send + use<> {
    WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(|entry| match entry {
        Ok(entry) if is_picture(entry.path()) && entry.path().is_file() => Some(Ok(entry.into_path())),
        Ok(_) => None,
        Err(e) => Some(Err(e)),
    })
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_told_by_their_ending_in_any_case() {
        for (name, expected) in [("a.jpg", true), ("b.JPEG", true), ("c.txt", false), ("jpg", false), (".png", false)] {
            assert_eq!(is_picture(Path::new(name)), expected, "{name}");
        }
    }
}
