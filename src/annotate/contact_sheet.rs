//! One page to look at what a run has written: thumbnails, captions, confidence, a filter, what failed apart.
//!
//! Everything is inside the page; it asks for nothing from anywhere.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::atomic_file;
use super::journal::{Format, read};
use super::photo::{Key, Photo};
use super::record::Record;
use crate::error::{Error, Result};
use crate::limits::MAX_SHEET_PHOTOS;
use crate::source::PictureReader;

/// Longest side of a thumbnail, in pixels.
const THUMBNAIL_SIDE: u32 = 192;

const HEAD: &str = include_str!("contact_sheet_head.html");
const FOOT: &str = include_str!("contact_sheet_foot.html");

/// Writes the page at `page` of the records in the JSONL at `records`: the last one of each photo, the first
/// [`MAX_SHEET_PHOTOS`] photos. The photos are read again for their thumbnails.
///
/// # Errors
/// [`Error::Read`] for the records, [`Error::Write`] for the page.
pub fn write_contact_sheet(records: &Path, page: &Path) -> Result<()> {
    let unreadable = |cause| Error::Read { path: records.into(), cause };
    let file = File::open(records).map_err(unreadable)?;
    let mut last = HashMap::new();
    let mut line = 0u64;
    read(&file, Format::Jsonl, &mut |record| {
        last.insert(path_key(&record), line);
        line += 1;
    })
    .map_err(unreadable)?;
    let write = atomic_file::write(page, false, |out| {
        out.write_all(HEAD.as_bytes())?;
        write_cards(records, &last, out)?;
        out.write_all(FOOT.as_bytes())
    });
    write.map_err(|cause| Error::Write { path: page.into(), cause })
}

fn path_key(record: &Record) -> Key {
    Photo { path: record.path(), ..Photo::default() }.path_key()
}

fn write_cards(records: &Path, last: &HashMap<Key, u64>, out: &mut impl Write) -> io::Result<()> {
    let (mut reader, mut line, mut shown, mut outcome) = (PictureReader::new(), 0, 0, Ok(()));
    read(&File::open(records)?, Format::Jsonl, &mut |record| {
        let is_last = last.get(&path_key(&record)) == Some(&line);
        line += 1;
        if is_last && shown < MAX_SHEET_PHOTOS && outcome.is_ok() {
            shown += 1;
            outcome = write_card(&record, &mut reader, out);
        }
    })?;
    outcome?;
    let hidden = last.len().saturating_sub(shown);
    if hidden > 0 {
        writeln!(out, "<p class=more>{hidden} more photos are not shown: they stand in the JSON lines.</p>")?;
    }
    Ok(())
}

fn write_card(record: &Record, reader: &mut PictureReader, out: &mut impl Write) -> io::Result<()> {
    let confidence = record.confidence.map(|confidence| format!("{:.0} %", 100.0 * confidence)).unwrap_or_default();
    let kind = if record.error.is_some() { "failed" } else { "done" };
    write!(out, "<figure class={kind} data-confidence={}>", record.confidence.unwrap_or_default())?;
    if let Ok(thumbnail) = reader.thumbnail(&record.path(), THUMBNAIL_SIDE) {
        write!(out, "<img loading=lazy alt=\"\" src=\"data:image/jpeg;base64,{}\">", base64(&thumbnail))?;
    }
    write!(out, "<figcaption>")?;
    if let Some(caption) = &record.caption {
        write!(out, "<b>{}</b> <i>{confidence}</i>", escape(caption))?;
    }
    if let Some(similar) = &record.similar_to {
        write!(out, "<small>as {}</small>", escape(similar))?;
    }
    if let Some(error) = &record.error {
        write!(out, "<em>{}</em>", escape(error))?;
    }
    writeln!(out, "<small>{}</small></figcaption></figure>", escape(&record.path))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// RFC 4648.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, i| bits << 8 | u32::from(*group.get(i).unwrap_or(&0)));
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= group.len() { digit.into() } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xFB, 0xFF, 0xFE]), "+//+");
    }

    #[test]
    fn what_a_caption_says_is_never_markup() {
        assert_eq!(escape("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
    }
}
