//! A disk full of photos: captions in one file or beside each photo, stopped and gone on with at any moment.
//!
//! [`annotate`] takes [`Photos`] and does what the outputs named in [`Settings`] do not hold yet. The outputs are the only
//! state: a photo is done when its [`Record`] (path, size, time of change, model) stands in the journals, and a record is
//! written when all else of the photo is.
//!
//! ```text
//! Photos -> pending -> decode threads -> model -> writing thread -> sidecars, photos, CSV, JSONL
//! ```

mod ahead;
mod atomic_file;
mod contact_sheet;
mod csv;
mod embed;
mod journal;
mod jsonl;
mod look;
mod metadata;
mod outputs;
mod pending;
mod photo;
mod photos;
mod record;
mod run;
mod txt;
mod xmp;

pub use contact_sheet::write_contact_sheet;
pub use metadata::{Metadata, Places};
pub use photos::Photos;
pub use record::{Alternative, Record, Whose};
pub use run::{Settings, Tally, annotate};
