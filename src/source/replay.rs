//! Picture files, one after another, as if a camera had taken them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::counters::Counters;
use super::list_pictures;
use super::raw_frame::{Coding, RawFrame, RawSource};
use super::stop::Stop;
use crate::error::{Error, Result};
use crate::limits::MAX_PICTURE_BYTES;

/// Replays picture files in the order given.
#[derive(Debug)]
pub struct Replay {
    pictures: Vec<PathBuf>,
    next: usize,
    repeats: bool,
    stop: Stop,
    counters: Counters,
}

impl Replay {
    /// Replays files, and all pictures below folders; `repeats` starts again at the end.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::NoPictures`] of a folder, [`Error::Read`] of a file that is not there.
    pub fn open(paths: &[PathBuf], repeats: bool, stop: &Stop, counters: Counters) -> Result<Self> {
        let mut pictures = Vec::new();
        for path in paths {
            if path.is_dir() {
                pictures.extend(list_pictures(path)?);
            } else {
                path.metadata().map_err(|cause| Error::Read { path: path.clone(), cause })?;
                pictures.push(path.clone());
            }
        }
        Ok(Self { pictures, next: 0, repeats, stop: stop.clone(), counters })
    }
}

impl RawSource for Replay {
    fn next_raw(&mut self, frame: &mut RawFrame) -> Result<bool> {
        if self.repeats && self.next == self.pictures.len() {
            self.next = 0;
        }
        let Some(path) = self.pictures.get(self.next).filter(|_| !self.stop.is_requested()) else { return Ok(false) };
        self.next += 1;
        self.counters.receive(1);
        frame.coding = Coding::Picture;
        frame.name.clone_from(path);
        frame.bytes.clear();
        if let Err(cause) = read(path, &mut frame.bytes) {
            // Left to the decoder, which passes over what is no picture.
            log::warn!("cannot read {}: {cause}", path.display());
            frame.bytes.clear();
        }
        Ok(true)
    }
}

fn read(path: &Path, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    File::open(path)?.take(MAX_PICTURE_BYTES + 1).read_to_end(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(replay: &mut Replay, count: usize) -> Vec<String> {
        let mut frame = RawFrame::default();
        let mut names = Vec::new();
        while names.len() < count && replay.next_raw(&mut frame).unwrap() {
            assert!(!frame.bytes.is_empty());
            names.push(frame.name.file_name().unwrap().to_string_lossy().into());
        }
        names
    }

    #[test]
    fn a_folder_is_replayed_in_order_and_again_if_asked() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.jpg", "a.png", "c.txt"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let stop = Stop::default();
        let open = |repeats| Replay::open(&[folder.path().into()], repeats, &stop, Counters::default()).unwrap();
        assert_eq!(names(&mut open(false), 9), ["a.png", "b.jpg"]);
        let mut endless = open(true);
        assert_eq!(names(&mut endless, 3), ["a.png", "b.jpg", "a.png"]);
        stop.request();
        assert!(names(&mut endless, 1).is_empty());
    }

    #[test]
    fn a_file_that_is_not_there_is_named_at_once() {
        let error = Replay::open(&["/no/such.jpg".into()], false, &Stop::default(), Counters::default()).unwrap_err();
        assert!(error.to_string().contains("/no/such.jpg"));
    }
}
