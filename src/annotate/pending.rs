//! Which photos are still to be done: the walk, less what the outputs hold already.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ahead::Task;
use super::journal::Past;
use super::photo::{Key, Photo};
use super::photos::Photos;
use super::run::Settings;
use crate::error::{Error, Result};

/// Counts what was passed over.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    pub done: AtomicU64,
    pub failed: AtomicU64,
}

/// The photos to be done, in order.
pub(crate) struct Pending {
    pub photos: Photos,
    pub settings: Arc<Settings>,
    pub jsonl: Option<Past>,
    pub csv: Option<Past>,
    pub passed: Arc<Passed>,
    pub met: HashSet<Key>,
}

impl Iterator for Pending {
    type Item = Task;

    fn next(&mut self) -> Option<Task> {
        loop {
            let photo = self.photos.next()?;
            let task = self.task(photo);
            let is_listed_twice = self.remembers() && !self.met.insert(task.photo.path_key());
            if !is_listed_twice && self.is_pending(&task) {
                return Some(task);
            }
        }
    }
}

impl Pending {
    /// A client that asks through a pipe waits for an answer to each of its lines, also to the same line again.
    fn remembers(&self) -> bool {
        self.jsonl.is_some() || self.csv.is_some()
    }

    fn task(&self, photo: Result<PathBuf>) -> Task {
        let (photo, error) = match photo {
            Ok(path) => (Photo::at(path), None),
            Err(Error::Read { path, cause }) => {
                (Photo { path: path.clone(), ..Photo::default() }, Some(Error::Read { path, cause }))
            }
            Err(error) => (Photo::default(), Some(error)),
        };
        let key = photo.key(&self.settings.model_hash);
        let needs = |path: &Option<PathBuf>, past: &Option<Past>| {
            path.is_some() && past.as_ref().is_none_or(|past| self.lacks(past, key))
        };
        let needs_jsonl = needs(&self.settings.jsonl, &self.jsonl);
        let needs_csv = needs(&self.settings.csv, &self.csv);
        Task { photo, needs_jsonl, needs_csv, error }
    }

    fn lacks(&self, past: &Past, key: Key) -> bool {
        let Settings { metadata, retries_errors, is_strict, .. } = &*self.settings;
        match past.done.get(&key) {
            None => true,
            Some(done) if done.is_error => *retries_errors || *is_strict,
            Some(done) => {
                let may_change = metadata.overwrites_human && done.human.overlap(metadata.places);
                may_change || !done.written.hold(metadata.places)
            }
        }
    }

    /// Whether there is work to do; counts where there is none.
    fn is_pending(&self, task: &Task) -> bool {
        let key = task.photo.key(&self.settings.model_hash);
        let journals = || self.jsonl.iter().chain(&self.csv);
        let is_pending = match self.remembers() {
            true => journals().any(|past| self.lacks(past, key)),
            false => !self.is_in_place(task),
        };
        if !is_pending {
            let has_failed = journals().filter_map(|past| past.done.get(&key)).any(|done| done.is_error);
            self.passed.done.fetch_add(1, Ordering::Relaxed);
            self.passed.failed.fetch_add(u64::from(has_failed), Ordering::Relaxed);
        }
        is_pending
    }

    /// Without a journal, the sidecars and photos tell what is done; what they say wrongly shows when they are written.
    fn is_in_place(&self, task: &Task) -> bool {
        let Settings { metadata, model_hash, jsonl, csv, .. } = &*self.settings;
        let is_asked_for_records = jsonl.is_some() || csv.is_some();
        let is_known = task.error.is_none() && !metadata.places.is_none() && !is_asked_for_records;
        is_known && metadata.is_done(&task.photo.path, model_hash).unwrap_or(false)
    }
}
