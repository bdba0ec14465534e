//! Objects of JSON, as far as captions need them.

use core::ops::Range;

use super::cursor::{Cursor, hexadecimal};
use super::time::Timestamp;
use super::{Fault, Message, Stamp};

/// Reads a line without its line feed; the caption is unescaped where it stands. Keys that are not asked for are passed over.
pub fn decode(line: &mut [u8]) -> Result<Message<'_>, Fault> {
    let fields = Fields::read(line).ok_or(Fault::Malformed)?;
    let stamp = fields.stamp();
    let text = fields.caption.and_then(|caption| line.get_mut(caption)).ok_or(Fault::Malformed)?;
    let length = unescape(text).ok_or(Fault::Malformed)?;
    let text = core::str::from_utf8(&text[..length]).map_err(|_| Fault::Malformed)?;
    Ok(Message { text, is_unsure: fields.is_unsure, stamp })
}

#[derive(Default)]
struct Fields {
    sequence: Option<u32>,
    time: Option<Timestamp>,
    caption: Option<Range<usize>>,
    confidence: Option<f32>,
    is_unsure: bool,
}

impl Fields {
    fn read(line: &[u8]) -> Option<Self> {
        let mut fields = Self::default();
        let mut rest = Cursor(line);
        rest.take(b'{')?;
        loop {
            let key = string(&mut rest)?;
            rest.take(b':')?;
            match key {
                b"sequence" => fields.sequence = Some(u32::try_from(rest.number()?).ok()?),
                b"time" => fields.time = Some(Timestamp::parse(core::str::from_utf8(string(&mut rest)?).ok()?)?),
                b"confidence" => fields.confidence = Some(rest.fraction()?),
                b"unsure" => fields.is_unsure = boolean(&mut rest)?,
                b"caption" => {
                    let start = line.len() - rest.0.len() + 1;
                    fields.caption = Some(start..start + string(&mut rest)?.len());
                }
                _ => skip(&mut rest)?,
            }
            if rest.take(b',').is_none() {
                rest.take(b'}')?;
                return rest.0.is_empty().then_some(fields);
            }
        }
    }

    fn stamp(&self) -> Option<Stamp> {
        Some(Stamp { sequence: self.sequence?, time_ms: self.time?.0, confidence: self.confidence? })
    }
}

/// Takes a string and gives what stands between its quotes, escapes and all.
fn string<'a>(rest: &mut Cursor<'a>) -> Option<&'a [u8]> {
    rest.take(b'"')?;
    let mut is_escaped = false;
    let length = rest.0.iter().position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    })?;
    let (string, end) = rest.0.split_at(length);
    rest.0 = end;
    rest.take(b'"')?;
    Some(string)
}

fn boolean(rest: &mut Cursor) -> Option<bool> {
    let (value, length) = match rest.0 {
        [b't', b'r', b'u', b'e', ..] => (true, 4),
        [b'f', b'a', b'l', b's', b'e', ..] => (false, 5),
        _ => return None,
    };
    rest.0 = &rest.0[length..];
    Some(value)
}

/// Passes over a value up to the comma or bracket that follows it; brackets are counted, not matched.
fn skip(rest: &mut Cursor) -> Option<()> {
    let mut depth = 0u32;
    loop {
        match rest.0.first()? {
            b',' | b'}' if depth == 0 => return Some(()),
            b'"' => {
                string(rest)?;
                continue;
            }
            b'{' | b'[' => depth = depth.checked_add(1)?,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            ..0x20 => return None,
            _ => {}
        }
        rest.0 = &rest.0[1..];
    }
}

/// Undoes the escapes of a string in place and gives its length; text is never longer than what stands for it.
fn unescape(text: &mut [u8]) -> Option<usize> {
    let (mut read, mut written) = (0, 0);
    while let Some(byte) = text.get(read) {
        if *byte == b'\\' {
            let (letter, length) = escape(&text[read..])?;
            let mut bytes = [0; 4];
            let bytes = letter.encode_utf8(&mut bytes).as_bytes();
            text.get_mut(written..written + bytes.len())?.copy_from_slice(bytes);
            (read, written) = (read + length, written + bytes.len());
        } else if *byte < 0x20 {
            return None;
        } else {
            text[written] = *byte;
            (read, written) = (read + 1, written + 1);
        }
    }
    Some(written)
}

/// The character that an escape stands for, and the bytes of the escape.
fn escape(text: &[u8]) -> Option<(char, usize)> {
    let letter = match text.get(1)? {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        byte @ (b'"' | b'\\' | b'/') => char::from(*byte),
        b'u' => return unicode(text),
        _ => return None,
    };
    Some((letter, 2))
}

/// `\uXXXX`, or two of them for a character beyond 16 bits.
fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let high = unit(text)?;
    if !(0xD800..0xDC00).contains(&high) {
        return Some((char::from_u32(high)?, 6));
    }
    let low = unit(&text[6..]).filter(|low| (0xDC00..0xE000).contains(low))?;
    Some((char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00))?, 12))
}

fn unit(text: &[u8]) -> Option<u32> {
    match text {
        [b'\\', b'u', a, b, c, d, ..] => {
            Some(u32::from(u16::from_be_bytes([hexadecimal(&[*a, *b])?, hexadecimal(&[*c, *d])?])))
        }
        _ => None,
    }
}
