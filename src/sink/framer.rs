//! A report as the bytes of one frame.

use super::json::{milliseconds_since_1970, write_report_json};
use super::text::write_report_text;
use super::wire::{Framing, Message, Stamp, encode_packet, encode_sentences};
use crate::caption::Report;
use crate::limits::{MAX_FRAME_BYTES, MAX_SOURCE_BYTES};

/// Makes frames of one kind in a buffer of its own, for any sink:
///
/// ```
/// use embedded_io::Write;
/// use scenescribe::{Caption, Report, sink::{Framer, Framing}};
///
/// let caption = Caption { text: "a dog".try_into().unwrap(), ..Caption::default() };
/// let report = Report { sequence: 0, time: std::time::SystemTime::now(), caption, is_unsure: false };
/// let mut framer = Framer::new(Framing::Line, "camera");
/// let mut sink = Vec::new();
/// sink.write_all(framer.frame(&report)).unwrap();
/// assert_eq!(sink, b"a dog\n");
/// ```
pub struct Framer {
    framing: Framing,
    source: heapless::String<MAX_SOURCE_BYTES>,
    frame: Box<[u8]>,
}

impl Framer {
    /// `source` is what JSON lines name as theirs; it is cut to [`MAX_SOURCE_BYTES`].
    pub fn new(framing: Framing, source: &str) -> Self {
        let mut name = heapless::String::new();
        for letter in source.chars() {
            if name.push(letter).is_err() {
                break;
            }
        }
        Self { framing, source: name, frame: vec![0; MAX_FRAME_BYTES].into_boxed_slice() }
    }

    /// The bytes to send; allocates nothing.
    pub fn frame(&mut self, report: &Report) -> &[u8] {
        let mut room = &mut self.frame[..];
        let length = match self.framing {
            Framing::Line => write_report_text(&mut room, report).ok().map(|()| MAX_FRAME_BYTES - room.len()),
            Framing::Json => {
                write_report_json(&mut room, &self.source, report).ok().map(|()| MAX_FRAME_BYTES - room.len())
            }
            Framing::Ascii => encode_sentences(&message(report), room),
            Framing::Cobs => encode_packet(&message(report), room),
        };
        &self.frame[..length.expect("limits::MAX_FRAME_BYTES holds the longest frame")]
    }

    /// What ends a frame that may have broken off, where the next one does not do it by itself.
    pub(super) fn resynchronise(&self) -> &'static [u8] {
        match self.framing {
            Framing::Line | Framing::Json => b"\n",
            Framing::Ascii | Framing::Cobs => b"",
        }
    }
}

fn message(report: &Report) -> Message<'_> {
    let stamp = Stamp {
        sequence: report.sequence,
        time_ms: milliseconds_since_1970(report.time),
        confidence: report.caption.confidence,
    };
    Message { text: &report.caption.text, is_unsure: report.is_unsure, stamp: Some(stamp) }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::wire::{Decoder, Fault};
    use super::*;
    use crate::caption::Caption;
    use crate::limits::{MAX_CAPTION_BYTES, MAX_TOKENS};
    use proptest::prelude::*;

    const FRAMINGS: [Framing; 4] = [Framing::Line, Framing::Ascii, Framing::Json, Framing::Cobs];

    /// Any text that a caption can have, printable or not.
    fn text() -> impl Strategy<Value = String> {
        let letters = prop::collection::vec(prop_oneof![4 => any::<char>(), 9 => prop::char::range(' ', '~')], 0..300);
        letters.prop_map(|letters| {
            let mut text = String::new();
            for letter in letters {
                if text.len() + letter.len_utf8() <= MAX_CAPTION_BYTES {
                    text.push(letter);
                }
            }
            text
        })
    }

    fn report(text: &str, sequence: u32, ms: u64, confidence: f32, is_unsure: bool) -> Report {
        let caption = Caption { text: text.try_into().unwrap(), confidence, ..Caption::default() };
        Report { sequence, time: SystemTime::UNIX_EPOCH + Duration::from_millis(ms), caption, is_unsure }
    }

    type Heard = Vec<Result<(String, bool, Option<Stamp>), Fault>>;

    fn heard(framing: Framing, bytes: &[u8]) -> Heard {
        let mut decoder = Decoder::<MAX_FRAME_BYTES>::new(framing);
        let mut heard = Heard::new();
        for byte in bytes {
            let message = decoder.push(*byte);
            heard.extend(message.map(|message| message.map(|m| (m.text.into(), m.is_unsure, m.stamp))));
        }
        heard
    }

    #[test]
    fn the_longest_frame_has_room_in_each_framing() {
        for letter in ["\u{1}", "\"", "\u{fc}"] {
            let mut report =
                report(&letter.repeat(MAX_CAPTION_BYTES / letter.len()), u32::MAX, 253_402_300_799_999, 0.1234, true);
            report.caption.tokens.extend([u32::MAX; MAX_TOKENS]);
            let long = Duration::from_micros(u64::MAX / 4);
            report.caption.latency = crate::caption::Latency { preprocess: long, encode: long, decode: long };
            for framing in FRAMINGS {
                let mut framer = Framer::new(framing, &"\u{1}".repeat(9999));
                let heard = heard(framing, framer.frame(&report));
                assert!(matches!(&heard[..], [Ok(_)]), "{framing:?}: {heard:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_framed_is_heard(
            text in text(),
            sequence in any::<u32>(),
            ms in 0..253_402_300_800_000u64,
            confidence in 0.0..=1.0f32,
            is_unsure in any::<bool>()
        ) {
            let report = report(&text, sequence, ms, confidence, is_unsure);
            for framing in FRAMINGS {
                let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
                if framing == Framing::Line && (line.starts_with("unsure: ") || (line.is_empty() && !is_unsure)) {
                    continue;
                }
                let mut framer = Framer::new(framing, "camera");
                // Two in a row: a frame must not lean on the one before.
                let frame = [framer.frame(&report).to_vec(), framer.frame(&report).to_vec()].concat();
                let heard = heard(framing, &frame);
                prop_assert_eq!(heard.len(), 2);
                for message in heard {
                    let (heard_text, heard_unsure, stamp) = message.unwrap();
                    prop_assert_eq!(&heard_text, if framing == Framing::Line { &line } else { &text });
                    prop_assert_eq!(heard_unsure, is_unsure);
                    let Some(stamp) = stamp else {
                        prop_assert_eq!(framing, Framing::Line);
                        continue;
                    };
                    prop_assert_eq!((stamp.sequence, stamp.time_ms), (sequence, ms));
                    let tolerance = match framing { Framing::Ascii => 0.005_01, Framing::Json => 0.000_051, _ => 0.0 };
                    prop_assert!((stamp.confidence - confidence).abs() <= tolerance, "{} {}", stamp.confidence, confidence);
                }
            }
        }

        /// What a checksum promises: one flipped bit is always found, and by the CRC a burst of up to 32 as well.
        #[test]
        fn one_damaged_bit_costs_one_message(text in "[a-z ]{1,100}", place in any::<prop::sample::Index>(), bit in 0..8u32) {
            let (first, second) = (report(&text, 1, 2, 0.5, false), report("a cat", 2, 3, 0.5, false));
            for framing in [Framing::Ascii, Framing::Cobs] {
                let mut framer = Framer::new(framing, "");
                let mut bytes = framer.frame(&first).to_vec();
                let at = place.index(bytes.len());
                bytes[at] ^= 1 << bit;
                bytes.extend(framer.frame(&second));
                let mut messages: Vec<_> = heard(framing, &bytes).into_iter().flatten().map(|(text, ..)| text).collect();
                prop_assert_eq!(messages.pop(), Some("a cat".to_owned()));
                // Damage outside of what the checksum covers, such as to a carriage return or a zero byte, may do no harm.
                prop_assert!(messages.is_empty() || messages == [text.clone()], "{:?}", messages);
            }
        }
    }
}
