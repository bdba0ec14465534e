//! The frames that reports travel in, byte for byte.

mod time;

pub use time::Timestamp;

/// How a report becomes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A line of text.
    Line,
    /// A JSON object a line.
    Json,
}

/// What a line begins with whose caption is below the confidence that was asked for.
pub const UNSURE_MARK: &str = "unsure: ";
