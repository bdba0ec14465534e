//! The pictures behind the captions, kept as JPEG files within bounds: the one module that encodes with `image`.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::limits::MAX_KEPT_PICTURES;

/// JPEG quality, 1 to 100.
const QUALITY: u8 = 85;

/// How much is kept; the oldest goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Pictures, at most [`MAX_KEPT_PICTURES`].
    pub pictures: usize,
    /// Bytes of all files together.
    pub bytes: u64,
}

/// A folder of the newest pictures, `INDEX-SEQUENCE-MILLISECONDS.jpg`: INDEX runs on from run to run and orders them
/// whatever the clock does, the others are those of the report (milliseconds since 1970).
///
/// A file appears whole or not at all, also after a power cut. Other files in the folder are left alone.
#[derive(Debug)]
pub struct FrameLog {
    folder: PathBuf,
    keep: Keep,
    kept: VecDeque<Kept>,
    kept_bytes: u64,
    next_index: u64,
    jpeg: Vec<u8>,
}

/// A picture in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    index: u64,
    sequence: u32,
    milliseconds: u64,
    bytes: u64,
}

impl FrameLog {
    /// Uses a folder, makes it if need be, and takes over what an earlier run has left in it.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a number over the limits or zero, [`Error::FrameLog`] if the folder cannot be used.
    pub fn open(folder: &Path, keep: Keep) -> Result<Self> {
        if !(1..=MAX_KEPT_PICTURES).contains(&keep.pictures) {
            let (option, value, max) = ("pictures to keep", keep.pictures, MAX_KEPT_PICTURES);
            return Err(Error::OutOfRange { option, value, min: 1, max });
        }
        let error = |cause| Error::FrameLog { path: folder.into(), cause };
        fs::create_dir_all(folder).map_err(error)?;
        let mut kept = left_by_earlier_runs(folder).map_err(error)?;
        kept.make_contiguous().sort();
        let mut log = Self {
            folder: folder.into(),
            keep,
            kept_bytes: kept.iter().map(|picture| picture.bytes).sum(),
            next_index: kept.back().map_or(0, |newest| newest.index + 1),
            kept,
            jpeg: Vec::new(),
        };
        log.make_room(0, 0)?;
        Ok(log)
    }

    /// Keeps one picture; older ones make room first.
    ///
    /// # Errors
    /// [`Error::FrameLog`], by a full disk or a picture larger than all that may be kept; the next may be fine.
    pub fn keep(&mut self, frame: &Frame, sequence: u32, time: SystemTime) -> Result<()> {
        self.encode(frame)?;
        let bytes = self.jpeg.len() as u64;
        if bytes > self.keep.bytes {
            let message = format!("a picture of {bytes} bytes is over the bound of {}", self.keep.bytes);
            return Err(self.error(io::Error::new(io::ErrorKind::FileTooLarge, message)));
        }
        self.make_room(1, bytes)?;
        let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let milliseconds = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        let picture = Kept { index: self.next_index, sequence, milliseconds, bytes };
        self.write(&picture.name()).map_err(|cause| self.error(cause))?;
        self.next_index += 1;
        self.kept_bytes += bytes;
        self.kept.push_back(picture);
        Ok(())
    }

    fn encode(&mut self, frame: &Frame) -> Result<()> {
        self.jpeg.clear();
        let encoder = JpegEncoder::new_with_quality(&mut self.jpeg, QUALITY);
        let written = encoder.write_image(frame.pixels(), frame.width(), frame.height(), ExtendedColorType::Rgb8);
        written.map_err(|cause| self.error(io::Error::other(cause)))
    }

    fn make_room(&mut self, pictures: usize, bytes: u64) -> Result<()> {
        while let Some(oldest) = self.kept.front() {
            if self.kept.len() + pictures <= self.keep.pictures && self.kept_bytes + bytes <= self.keep.bytes {
                break;
            }
            match fs::remove_file(self.folder.join(oldest.name())) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(self.error(cause)),
                _ => self.kept_bytes -= oldest.bytes,
            }
            self.kept.pop_front();
        }
        Ok(())
    }

    /// Under another name first, so that no reader and no power cut meets half a picture.
    fn write(&self, name: &str) -> io::Result<()> {
        let unfinished = self.folder.join(UNFINISHED);
        let written = File::create(&unfinished).and_then(|mut file| {
            file.write_all(&self.jpeg)?;
            file.sync_all()?;
            fs::rename(&unfinished, self.folder.join(name))?;
            File::open(&self.folder)?.sync_all()
        });
        if written.is_err() {
            // What is left of it would fill a full disk; if it cannot go either, the next picture overwrites it.
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    fn error(&self, cause: io::Error) -> Error {
        Error::FrameLog { path: self.folder.clone(), cause }
    }
}

/// The picture that is being written.
const UNFINISHED: &str = ".unfinished.jpg.part";

fn left_by_earlier_runs(folder: &Path) -> io::Result<VecDeque<Kept>> {
    let mut kept = VecDeque::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == UNFINISHED {
            fs::remove_file(entry.path())?;
        } else if let Some(picture) = name.to_str().and_then(Kept::parse) {
            kept.push_back(Kept { bytes: entry.metadata()?.len(), ..picture });
        }
    }
    Ok(kept)
}

impl Kept {
    fn name(&self) -> String {
        format!("{:08}-{:06}-{}.jpg", self.index, self.sequence, self.milliseconds)
    }

    /// A name as [`name`](Self::name) writes it; the size is not in it.
    fn parse(name: &str) -> Option<Self> {
        let mut numbers = name.strip_suffix(".jpg")?.split('-');
        let mut next = || numbers.next()?.parse().ok();
        let picture = Self { index: next()?, sequence: u32::try_from(next()?).ok()?, milliseconds: next()?, bytes: 0 };
        (picture.name() == name).then_some(picture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{PictureReader, TestPattern};
    use std::time::Duration;

    const ALL: Keep = Keep { pictures: 100, bytes: u64::MAX };

    fn keep(log: &mut FrameLog, sequence: u32) -> Result<()> {
        log.keep(&TestPattern::new(64, 48).frame(), sequence, UNIX_EPOCH + Duration::from_millis(1500))
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = entries.collect();
        names.sort();
        names
    }

    #[test]
    fn a_picture_is_kept_whole_and_readable() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = FrameLog::open(&folder.path().join("a/b"), ALL).unwrap();
        keep(&mut log, 7).unwrap();
        let path = folder.path().join("a/b/00000000-000007-1500.jpg");
        let mut reader = PictureReader::new();
        let frame = reader.read(&path).unwrap();
        assert_eq!((frame.width(), frame.height()), (64, 48));
        let pattern = TestPattern::new(64, 48);
        let off = |y: usize| frame.row(y).iter().zip(pattern.frame().row(y)).map(|(a, b)| a.abs_diff(*b) as u32).sum();
        let mean = (0..48).map(|y| -> u32 { off(y) }).sum::<u32>() as f32 / (64.0 * 48.0 * 3.0);
        assert!(mean < 6.0, "{mean} grey levels off");
    }

    #[test]
    fn the_oldest_goes_first_also_in_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("holiday.jpg"), "another's").unwrap();
        let mut log = FrameLog::open(folder.path(), Keep { pictures: 3, ..ALL }).unwrap();
        (0..5).for_each(|sequence| keep(&mut log, sequence).unwrap());
        let expected = ["00000002-000002-1500.jpg", "00000003-000003-1500.jpg", "00000004-000004-1500.jpg"];
        assert_eq!(names(folder.path())[..3], expected);
        let mut log = FrameLog::open(folder.path(), Keep { pictures: 2, ..ALL }).unwrap();
        keep(&mut log, 0).unwrap();
        let expected = ["00000004-000004-1500.jpg", "00000005-000000-1500.jpg", "holiday.jpg"];
        assert_eq!(names(folder.path()), expected);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = FrameLog::open(folder.path(), ALL).unwrap();
        keep(&mut log, 0).unwrap();
        let one = log.kept_bytes;
        let mut log = FrameLog::open(folder.path(), Keep { bytes: 2 * one + one / 2, ..ALL }).unwrap();
        (1..4).for_each(|sequence| keep(&mut log, sequence).unwrap());
        assert_eq!((names(folder.path()).len(), log.kept_bytes), (2, 2 * one));
        log.keep.bytes = one - 1;
        assert!(keep(&mut log, 4).unwrap_err().to_string().contains("over the bound"));
        assert_eq!(names(folder.path()).len(), 2);
    }

    #[test]
    fn what_a_power_cut_or_a_user_did_to_the_folder_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(UNFINISHED), "half a pict").unwrap();
        let mut log = FrameLog::open(folder.path(), Keep { pictures: 1, ..ALL }).unwrap();
        assert_eq!(names(folder.path()), Vec::<String>::new());
        keep(&mut log, 0).unwrap();
        fs::remove_file(folder.path().join("00000000-000000-1500.jpg")).unwrap();
        keep(&mut log, 1).unwrap();
        assert_eq!(names(folder.path()), ["00000001-000001-1500.jpg"]);
        fs::remove_dir_all(folder.path()).unwrap();
        assert!(matches!(keep(&mut log, 2), Err(Error::FrameLog { .. })));
        fs::create_dir(folder.path()).unwrap();
        keep(&mut log, 3).unwrap();
        assert_eq!(names(folder.path()).len(), 1);
    }

    #[test]
    fn names_of_others_are_not_ours() {
        for name in ["00000001-000002-3.jpg", "123456789-1234567-0.jpg"] {
            assert_eq!(Kept::parse(name).map(|kept| kept.name()).as_deref(), Some(name));
        }
        for name in
            ["1-2-3.jpg", "a-b-c.jpg", "00000001-000002-3.png", "00000001-000002.jpg", "00000001-000002-3-4.jpg", ""]
        {
            assert_eq!(Kept::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_folder_that_is_none_and_no_room_are_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(FrameLog::open(file.path(), ALL), Err(Error::FrameLog { .. })));
        for pictures in [0, MAX_KEPT_PICTURES + 1] {
            let opened = FrameLog::open(Path::new("/tmp"), Keep { pictures, bytes: 1 });
            assert!(matches!(opened, Err(Error::OutOfRange { .. })));
        }
    }
}
