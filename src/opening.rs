//! Which file of a model is being opened, for whoever must end the program meanwhile: without memory, or out of time.

use std::fmt::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::limits::MAX_SOURCE_BYTES;

type Name = heapless::String<MAX_SOURCE_BYTES>;

static FILE: Mutex<Name> = Mutex::new(Name::new());

/// The file that a model is being read from, its name cut if it is long; `None` while no model is opened.
///
/// Never waits, allocates nothing.
pub fn file_being_opened() -> Option<Name> {
    FILE.try_lock().ok().map(|name| name.clone()).filter(|name| !name.is_empty())
}

/// While it lives, a model is being opened.
pub(crate) struct Opening;

impl Opening {
    /// Notes that `path` comes next.
    pub fn file(&self, path: &Path) {
        let mut name = FILE.lock().unwrap_or_else(PoisonError::into_inner);
        name.clear();
        // Piece by piece, so that of a long name the beginning is there.
        let _ = path.to_string_lossy().chars().try_for_each(|character| name.write_char(character));
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        FILE.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
