//! Where records go, on a thread of its own: a slow disk does not hold up the model.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::ahead::Task;
use super::journal::{Format, Journal, Past};
use super::photo::Photo;
use super::record::Record;
use super::run::{Settings, Tally};
use crate::error::{Error, Result};

/// Records that wait for the disk.
const MAX_WAITING: usize = 4;

pub(crate) struct Outputs {
    jsonl: Option<Journal>,
    csv: Option<Journal>,
    settings: Arc<Settings>,
}

/// What the journals knew, JSONL and CSV, where they are files.
pub(crate) type Pasts = [Option<Past>; 2];

/// A thread that writes, and what it is fed by.
pub(crate) struct Writer {
    records: SyncSender<(Record, Task)>,
    thread: JoinHandle<Result<Tally>>,
}

impl Outputs {
    pub fn open(settings: Arc<Settings>) -> Result<(Self, Pasts)> {
        let open = |path: &Option<PathBuf>, format| match path {
            Some(path) => Journal::open(path, format).map(|(journal, past)| (Some(journal), past)),
            None => Ok((None, None)),
        };
        let (csv, csv_past) = open(&settings.csv, Format::Csv)?;
        let (jsonl, jsonl_past) = open(&settings.jsonl, Format::Jsonl)?;
        Ok((Self { jsonl, csv, settings }, [jsonl_past, csv_past]))
    }

    pub fn start(self) -> Result<Writer> {
        let (records, received) = sync_channel(MAX_WAITING);
        let failed = |cause| Error::Threads { count: 1, cause };
        let thread = thread::Builder::new().spawn(move || self.run(&received)).map_err(failed)?;
        Ok(Writer { records, thread })
    }

    /// Writes until there is nothing more to write, or must not be.
    fn run(mut self, records: &Receiver<(Record, Task)>) -> Result<Tally> {
        let mut tally = Tally::default();
        for (mut record, task) in records {
            self.write(&mut record, &task)?;
            tally.add(&record);
            if self.settings.is_strict && record.error.is_some() {
                break;
            }
        }
        let journals = self.csv.into_iter().chain(self.jsonl);
        journals.map(Journal::close).collect::<Result<Vec<_>>>()?;
        Ok(tally)
    }

    /// The JSONL comes last: what it names is all done.
    fn write(&mut self, record: &mut Record, task: &Task) -> Result<()> {
        let photo = &task.photo.path;
        if let Err(error) = self.settings.metadata.write(photo, record) {
            log::error!("{error}");
            record.error = Some(error.to_string());
        }
        if record.embedded.is_some() {
            let Photo { size, mtime_ms, .. } = Photo::at(photo.clone());
            (record.size, record.mtime_ms) = (size, mtime_ms);
        }
        if let Some(csv) = self.csv.as_mut().filter(|_| task.needs_csv) {
            csv.append(record)?;
        }
        if let Some(jsonl) = self.jsonl.as_mut().filter(|_| task.needs_jsonl) {
            jsonl.append(record)?;
        }
        Ok(())
    }
}

impl Writer {
    /// Hands a record on; false if the thread has ended.
    pub fn write(&self, record: Record, task: Task) -> bool {
        self.records.send((record, task)).is_ok()
    }

    /// Waits until all is written.
    pub fn finish(self) -> Result<Tally> {
        drop(self.records);
        self.thread.join().expect("the writing thread returns its errors")
    }
}
