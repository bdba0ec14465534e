//! Sentences in the manner of NMEA 0183.

use core::fmt::Write;

use heapless::{String, Vec};

use super::cursor::{Cursor, hexadecimal};
use super::{Fault, Message, Stamp};

/// Characters of a sentence, from `$` to the line feed: the limit of NMEA 0183.
pub const MAX_SENTENCE: usize = 82;

/// `*HH`, carriage return, line feed.
const TAIL: usize = 5;

/// The longest `:part/parts`.
const PLACE: usize = 6;
const MAX_PARTS: usize = 99;

/// Writes the sentences of a message one after another and gives their length. `None` for a message without a stamp, of
/// more than 99 sentences, or one that `frame` has no room for.
pub fn encode_sentences(message: &Message, frame: &mut [u8]) -> Option<usize> {
    let mut rest = message.text.as_bytes();
    let whole_room = MAX_SENTENCE - TAIL - head(message, (1, 1))?.len();
    let is_whole = fitting(rest, whole_room) == rest.len();
    let room = if is_whole { whole_room } else { whole_room - PLACE };
    let parts = count(rest, room);
    let mut end = 0;
    for part in 1..=parts {
        let mut sentence = head(message, (part, parts))?;
        let (text, later) = rest.split_at(fitting(rest, room));
        text.iter().try_for_each(|byte| escape(*byte, &mut sentence))?;
        let checksum = checksum(&sentence.as_bytes()[1..]);
        write!(sentence, "*{checksum:02X}\r\n").ok()?;
        frame.get_mut(end..end + sentence.len())?.copy_from_slice(sentence.as_bytes());
        end += sentence.len();
        rest = later;
    }
    Some(end)
}

/// All before the text.
fn head(message: &Message, (part, parts): (usize, usize)) -> Option<String<MAX_SENTENCE>> {
    let stamp = message.stamp?;
    let mut head = String::new();
    write!(head, "$SCAP,{}", stamp.sequence).ok()?;
    match parts {
        1 => {}
        2..=MAX_PARTS => write!(head, ":{part}/{parts}").ok()?,
        _ => return None,
    }
    let percent = (stamp.confidence.clamp(0.0, 1.0) * 100.0 + 0.5) as u32;
    let mark = if message.is_unsure { "?" } else { "" };
    write!(head, ",{},{}.{:02}{mark},", stamp.time_ms, percent / 100, percent % 100).ok()?;
    Some(head)
}

/// How many bytes of `text` fit in `room` characters, escapes kept whole.
fn fitting(text: &[u8], room: usize) -> usize {
    let mut used = 0;
    text.iter()
        .take_while(|byte| {
            used += if is_plain(**byte) { 1 } else { 3 };
            used <= room
        })
        .count()
}

/// Sentences that `text` takes; an empty one takes one too.
fn count(mut text: &[u8], room: usize) -> usize {
    let mut parts = 1;
    loop {
        text = &text[fitting(text, room)..];
        if text.is_empty() {
            return parts;
        }
        parts += 1;
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !b"$*,!\\^~".contains(&byte)
}

fn escape(byte: u8, sentence: &mut String<MAX_SENTENCE>) -> Option<()> {
    if is_plain(byte) { sentence.push(char::from(byte)).ok() } else { write!(sentence, "^{byte:02X}").ok() }
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum ^ byte)
}

/// Joins the parts of captions.
pub struct Joiner {
    /// Of the part that came last, while others are missing.
    open: Option<Part>,
}

#[derive(Clone, Copy, PartialEq)]
struct Part {
    stamp: Stamp,
    is_unsure: bool,
    part: u64,
    parts: u64,
}

impl Joiner {
    pub const fn new() -> Self {
        Self { open: None }
    }

    /// Reads a sentence without `$` and line end. `text` keeps the text of the parts between calls. `Ok(None)` if parts are
    /// to come, or for a sentence of some other talker.
    ///
    /// # Errors
    /// Damage, or a part that does not follow the one before: the caption is lost.
    pub fn join<'a, const N: usize>(
        &mut self,
        sentence: &[u8],
        text: &'a mut Vec<u8, N>,
    ) -> Result<Option<Message<'a>>, Fault> {
        let Some((part, escaped)) = decode(sentence)? else { return Ok(None) };
        let before = self.open.take();
        if part.part == 1 {
            text.clear();
        } else if before != Some(Part { part: part.part - 1, ..part }) {
            return Err(Fault::Incomplete);
        }
        unescape(escaped, text)?;
        if part.part < part.parts {
            self.open = Some(part);
            return Ok(None);
        }
        let text = core::str::from_utf8(text).map_err(|_| Fault::Malformed)?;
        Ok(Some(Message { text, is_unsure: part.is_unsure, stamp: Some(part.stamp) }))
    }
}

fn decode(sentence: &[u8]) -> Result<Option<(Part, &[u8])>, Fault> {
    let Some((body, [b'*', digits @ ..])) = sentence.split_last_chunk::<3>() else { return Err(Fault::Malformed) };
    if hexadecimal(digits).ok_or(Fault::Malformed)? != checksum(body) {
        return Err(Fault::Checksum);
    }
    match body.strip_prefix(b"SCAP,") {
        Some(fields) => fields_of(Cursor(fields)).map(Some).ok_or(Fault::Malformed),
        None => Ok(None),
    }
}

fn fields_of(mut fields: Cursor<'_>) -> Option<(Part, &[u8])> {
    let sequence = u32::try_from(fields.number()?).ok()?;
    let (mut part, mut parts) = (1, 1);
    if fields.take(b':').is_some() {
        part = fields.number()?;
        fields.take(b'/')?;
        parts = fields.number()?;
    }
    fields.take(b',')?;
    let time_ms = fields.number()?;
    fields.take(b',')?;
    let confidence = fields.fraction()?;
    let is_unsure = fields.take(b'?').is_some();
    fields.take(b',')?;
    let part = Part { stamp: Stamp { sequence, time_ms, confidence }, is_unsure, part, parts };
    (1..=part.parts).contains(&part.part).then_some((part, fields.0))
}

/// Adds the text that `escaped` stands for.
fn unescape<const N: usize>(mut escaped: &[u8], text: &mut Vec<u8, N>) -> Result<(), Fault> {
    while let [first, rest @ ..] = escaped {
        let byte = match rest {
            [high, low, later @ ..] if *first == b'^' => {
                escaped = later;
                hexadecimal(&[*high, *low]).ok_or(Fault::Malformed)?
            }
            _ if is_plain(*first) => {
                escaped = rest;
                *first
            }
            _ => return Err(Fault::Malformed),
        };
        text.push(byte).map_err(|_| Fault::TooLong)?;
    }
    Ok(())
}
