//! An append-only file of records, which is also the memory of what is done.
//!
//! A line that a power cut has torn is cut off when the file is opened again; a file that is not ours is never touched. The
//! file is locked while it is open, so that two runs do not write into each other's lines.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::metadata::Places;
use super::photo::Key;
use super::record::{Record, Whose};
use super::{csv, jsonl};
use crate::error::{Error, Result};

/// Longest time that a written record may not have reached the disk.
const SYNC_INTERVAL: Duration = Duration::from_secs(5);

/// How records are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Jsonl,
    Csv,
}

/// What a journal holds, as far as it can be told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// Records up to this length; what follows, if anything, is a record of ours that was torn.
    Whole { len: u64 },
    /// This line, counted from 1, is none of ours.
    Foreign { line: u64 },
}

/// What has become of a photo.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    pub is_error: bool,
    pub written: Places,
    pub human: Places,
}

/// What a journal knew when it was opened: 32 bytes a photo or so.
#[derive(Debug, Default)]
pub(crate) struct Past {
    pub done: HashMap<Key, Done>,
    /// The last photo that was captioned by looking at it.
    pub last_seen: Option<Record>,
}

/// A journal open for appending.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    sink: Sink,
    format: Format,
    line: Vec<u8>,
}

#[derive(Debug)]
enum Sink {
    File { file: File, synced: Instant },
    Stdout,
}

impl Journal {
    /// Opens or makes the file, repairs its end, and reads what is done; `-` is standard output, which knows nothing.
    ///
    /// # Errors
    /// [`Error::Write`], [`Error::Busy`] while another run writes to it, [`Error::NotAJournal`] for a file of other things.
    pub fn open(path: &Path, format: Format) -> Result<(Self, Option<Past>)> {
        let (sink, past) = match path.as_os_str() == "-" {
            true => (Sink::Stdout, None),
            false => open_file(path, format).map(|(sink, past)| (sink, Some(past)))?,
        };
        Ok((Self { path: path.into(), sink, format, line: Vec::new() }, past))
    }

    /// Writes one record and hands it to the system at once.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn append(&mut self, record: &Record) -> Result<()> {
        self.line.clear();
        match self.format {
            Format::Jsonl => jsonl::write(record, &mut self.line),
            Format::Csv => csv::write(record, &mut self.line),
        }
        let written = match &mut self.sink {
            Sink::Stdout => io::stdout().write_all(&self.line).and_then(|()| io::stdout().flush()),
            Sink::File { file, synced } => file.write_all(&self.line).and_then(|()| match synced.elapsed() {
                elapsed if elapsed < SYNC_INTERVAL => Ok(()),
                _ => {
                    *synced = Instant::now();
                    file.sync_data()
                }
            }),
        };
        written.map_err(|cause| Error::Write { path: self.path.clone(), cause })
    }

    /// Makes sure that all has reached the disk.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn close(self) -> Result<()> {
        match self.sink {
            Sink::Stdout => Ok(()),
            Sink::File { file, .. } => file.sync_all().map_err(|cause| Error::Write { path: self.path, cause }),
        }
    }
}

fn open_file(path: &Path, format: Format) -> Result<(Sink, Past)> {
    let failed = |cause| Error::Write { path: path.into(), cause };
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(Error::Busy { path: path.into() }),
        // Some file systems know no locks.
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    let mut past = Past::default();
    match read(&file, format, &mut |record| past.add(record)).map_err(failed)? {
        Scan::Whole { len } => file.set_len(len).map_err(failed)?,
        Scan::Foreign { line } => return Err(Error::NotAJournal { path: path.into(), line }),
    }
    let len = file.seek(SeekFrom::End(0)).map_err(failed)?;
    if len == 0 && format == Format::Csv {
        file.write_all(csv::HEADER).map_err(failed)?;
    }
    Ok((Sink::File { file, synced: Instant::now() }, past))
}

/// Hands each record of a journal on, in order.
pub(crate) fn read(file: &File, format: Format, each: &mut dyn FnMut(Record)) -> io::Result<Scan> {
    let reader = BufReader::with_capacity(1 << 16, file);
    match format {
        Format::Jsonl => jsonl::scan(reader, each),
        Format::Csv => csv::scan(reader, each),
    }
}

impl Past {
    fn add(&mut self, record: Record) {
        let is = |found: fn(Whose) -> bool| Places {
            xmp: record.xmp.is_some_and(found),
            txt: record.txt.is_some_and(found),
            embedded: record.embedded.is_some_and(found),
        };
        let done =
            Done { is_error: record.error.is_some(), written: is(|_| true), human: is(|whose| whose == Whose::Human) };
        self.done.insert(record.key(), done);
        if record.caption.is_some() && record.similar_to.is_none() {
            self.last_seen = Some(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn record(path: &str) -> Record {
        Record { path: path.into(), caption: Some("a dog".into()), ..Record::default() }
    }

    #[test]
    fn a_journal_goes_on_behind_its_last_whole_record() {
        let folder = tempfile::tempdir().unwrap();
        for (name, format) in [("a.jsonl", Format::Jsonl), ("a.csv", Format::Csv)] {
            let path = folder.path().join(name);
            let (mut journal, past) = Journal::open(&path, format).unwrap();
            assert!(past.unwrap().done.is_empty());
            journal.append(&record("a.jpg")).unwrap();
            journal.append(&record("b.jpg")).unwrap();
            journal.close().unwrap();
            let whole = fs::read(&path).unwrap();
            fs::write(&path, &whole[..whole.len() - 9]).unwrap();
            let (mut journal, past) = Journal::open(&path, format).unwrap();
            let done = past.unwrap().done;
            assert!(done.contains_key(&record("a.jpg").key()) && done.len() == 1, "{name}");
            journal.append(&record("b.jpg")).unwrap();
            journal.close().unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole, "{name}");
        }
    }

    #[test]
    fn a_file_of_other_things_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("diary");
        fs::write(&path, "dear diary").unwrap();
        for format in [Format::Jsonl, Format::Csv] {
            assert!(matches!(Journal::open(&path, format), Err(Error::NotAJournal { line: 1, .. })));
        }
        assert_eq!(fs::read(&path).unwrap(), b"dear diary");
    }

    #[test]
    fn two_runs_do_not_share_a_journal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let (_first, _) = Journal::open(&path, Format::Jsonl).unwrap();
        assert!(matches!(Journal::open(&path, Format::Jsonl), Err(Error::Busy { .. })));
    }
}
