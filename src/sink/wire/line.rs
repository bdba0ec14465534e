//! Lines of text.

use super::{Fault, Message};

/// What a line begins with whose caption is below the confidence that was asked for.
pub const UNSURE_MARK: &str = "unsure: ";

/// Reads a line without its line feed.
pub fn decode(line: &[u8]) -> Result<Message<'_>, Fault> {
    let line = core::str::from_utf8(line).map_err(|_| Fault::Malformed)?;
    if line.contains(char::is_control) {
        return Err(Fault::Malformed);
    }
    let marked = line.strip_prefix(UNSURE_MARK);
    Ok(Message { text: marked.unwrap_or(line), is_unsure: marked.is_some(), stamp: None })
}
