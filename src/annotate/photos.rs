//! Which photos, in which order: folders are walked by name, lists are read as they come.

use std::collections::VecDeque;
use std::io::BufRead;
use std::path::PathBuf;

use super::photo::path_from_bytes;
use crate::error::{Error, Result};
use crate::source::walk_pictures;

/// Paths of photos, one after another; holds no list of all.
pub struct Photos {
    paths: VecDeque<PathBuf>,
    list: Option<List>,
    walk: Option<Box<dyn Iterator<Item = walkdir::Result<PathBuf>> + Send>>,
}

struct List {
    name: PathBuf,
    lines: Box<dyn BufRead + Send>,
    separator: u8,
}

impl Photos {
    /// Files, and all pictures below folders: first those of `paths`, then those of the list.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths: paths.into(), list: None, walk: None }
    }

    /// Adds paths that are read one a line, or with NUL between them; `name` only names the list in errors.
    #[must_use]
    pub fn with_list(self, name: PathBuf, lines: Box<dyn BufRead + Send>, is_nul_separated: bool) -> Self {
        let separator = if is_nul_separated { 0 } else { b'\n' };
        Self { list: Some(List { name, lines, separator }), ..self }
    }

    fn next_root(&mut self) -> Option<Result<PathBuf>> {
        match self.paths.pop_front() {
            Some(path) => Some(Ok(path)),
            None => self.list.as_mut()?.next().transpose(),
        }
    }
}

impl List {
    fn next(&mut self) -> Result<Option<PathBuf>> {
        let failed = |cause| Error::Read { path: self.name.clone(), cause };
        let mut path = Vec::new();
        loop {
            if self.lines.read_until(self.separator, &mut path).map_err(failed)? == 0 {
                return Ok(None);
            }
            if path.last() == Some(&self.separator) {
                path.pop();
            }
            if self.separator == b'\n' && path.last() == Some(&b'\r') {
                path.pop();
            }
            if !path.is_empty() {
                let not_utf8 = || failed(std::io::ErrorKind::InvalidData.into());
                return path_from_bytes(path).ok_or_else(not_utf8).map(Some);
            }
        }
    }
}

/// A folder that cannot be read is an [`Error::Read`] among the paths, and so is a list that ends in an error.
impl Iterator for Photos {
    type Item = Result<PathBuf>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.walk.as_mut().and_then(Iterator::next) {
                Some(Ok(path)) => return Some(Ok(path)),
                Some(Err(e)) => {
                    let path = e.path().map(Into::into).unwrap_or_default();
                    return Some(Err(Error::Read { path, cause: e.into() }));
                }
                None => self.walk = None,
            }
            match self.next_root()? {
                Ok(folder) if folder.is_dir() => self.walk = Some(Box::new(walk_pictures(&folder))),
                other => return Some(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn paths(photos: Photos) -> Vec<PathBuf> {
        photos.map(|photo| photo.unwrap()).collect()
    }

    #[test]
    fn folders_and_lists_come_in_a_stable_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("b")).unwrap();
        for name in ["c.TIF", "a.png", "b/z.webp", "b/y.jpeg", "notes.txt"] {
            fs::write(path(name), "").unwrap();
        }
        let list = format!("{}\r\n\nelsewhere/any.bin", path("b").display());
        let lines = Box::new(std::io::Cursor::new(list.into_bytes()));
        let photos = Photos::new(vec![folder.path().into()]).with_list("list".into(), lines, false);
        let walked = ["a.png", "b/y.jpeg", "b/z.webp", "c.TIF", "b/y.jpeg", "b/z.webp"].map(path);
        let expected: Vec<_> = walked.into_iter().chain(["elsewhere/any.bin".into()]).collect();
        assert_eq!(paths(photos), expected);
    }

    #[test]
    fn a_list_with_nul_holds_any_name() {
        let lines = Box::new(&b"a\nb.jpg\0c d.jpg\0"[..]);
        let photos = Photos::new(Vec::new()).with_list("list".into(), lines, true);
        assert_eq!(paths(photos), [Path::new("a\nb.jpg"), Path::new("c d.jpg")]);
    }
}
