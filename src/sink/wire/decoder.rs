//! Bytes in, one at a time; messages out.

use heapless::Vec;

use super::sentence::{Joiner, MAX_SENTENCE};
use super::{Fault, Framing, Message, json, line, packet};

/// Finds the messages in a stream of bytes that may begin anywhere and may be damaged.
///
/// `N` bounds a frame, in bytes: 640 hold every frame of [`Framing::Line`], [`Framing::Ascii`] and [`Framing::Cobs`]; lines of
/// [`Framing::Json`] are about 300 bytes, and 8192 at most. A longer frame is a fault, not a panic.
pub struct Decoder<const N: usize> {
    framing: Framing,
    /// The frame so far, without delimiter; of sentences, the text of the parts so far.
    frame: Vec<u8, N>,
    sentence: Vec<u8, MAX_SENTENCE>,
    joiner: Joiner,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Bytes of a frame come in.
    Inside,
    /// A frame was given away, or none has begun: its bytes are to be forgotten.
    Between,
    /// The frame has outgrown its buffer: the rest of it is passed over.
    TooLong,
}

impl<const N: usize> Decoder<N> {
    /// Knows nothing of what went before: the first frame is lost if its beginning was not seen.
    pub const fn new(framing: Framing) -> Self {
        Self { framing, frame: Vec::new(), sentence: Vec::new(), joiner: Joiner::new(), state: State::Between }
    }

    /// Takes the next byte; `Some` when it ends a frame.
    ///
    /// # Errors
    /// Why the frame that ended here says nothing. Later ones are not touched by it.
    pub fn push(&mut self, byte: u8) -> Option<Result<Message<'_>, Fault>> {
        match self.framing {
            Framing::Ascii => self.push_to_sentence(byte),
            Framing::Cobs => self.push_to_frame(byte, 0, packet::decode),
            Framing::Line => self.push_to_frame(byte, b'\n', |frame| line::decode(without_return(frame))),
            Framing::Json => self.push_to_frame(byte, b'\n', |frame| json::decode(without_return(frame))),
        }
    }

    fn push_to_frame(
        &mut self,
        byte: u8,
        delimiter: u8,
        decode: impl FnOnce(&mut [u8]) -> Result<Message<'_>, Fault>,
    ) -> Option<Result<Message<'_>, Fault>> {
        if self.state == State::Between {
            self.frame.clear();
        }
        if byte != delimiter {
            let is_kept = self.state != State::TooLong && self.frame.push(byte).is_ok();
            self.state = if is_kept { State::Inside } else { State::TooLong };
            return None;
        }
        match core::mem::replace(&mut self.state, State::Between) {
            State::Between => None,
            State::TooLong => Some(Err(Fault::TooLong)),
            State::Inside => Some(decode(&mut self.frame)),
        }
    }

    /// A `$` begins a sentence wherever it comes; what stands between sentences is passed over.
    fn push_to_sentence(&mut self, byte: u8) -> Option<Result<Message<'_>, Fault>> {
        let before = self.state;
        match byte {
            b'$' => {
                self.sentence.clear();
                self.state = State::Inside;
                (before != State::Between).then_some(Err(Fault::Malformed))
            }
            b'\n' => {
                self.state = State::Between;
                match before {
                    State::Between => None,
                    State::TooLong => Some(Err(Fault::TooLong)),
                    State::Inside => {
                        let sentence = self.sentence.strip_suffix(b"\r").unwrap_or(&self.sentence);
                        self.joiner.join(sentence, &mut self.frame).transpose()
                    }
                }
            }
            _ => {
                if before == State::Inside && self.sentence.push(byte).is_err() {
                    self.state = State::TooLong;
                }
                None
            }
        }
    }
}

fn without_return(frame: &mut [u8]) -> &mut [u8] {
    match frame {
        [line @ .., b'\r'] => line,
        line => line,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Stamp, encode_packet, encode_sentences};
    use super::*;
    use proptest::prelude::*;

    const FRAMINGS: [Framing; 4] = [Framing::Line, Framing::Ascii, Framing::Json, Framing::Cobs];
    const STAMP: Stamp = Stamp { sequence: 7, time_ms: 1_700_000_000_250, confidence: 0.5 };

    type Heard = std::vec::Vec<Result<(String, bool, Option<Stamp>), Fault>>;

    fn heard<const N: usize>(framing: Framing, bytes: &[u8]) -> Heard {
        let mut decoder = Decoder::<N>::new(framing);
        let mut heard = Heard::new();
        for byte in bytes {
            let message = decoder.push(*byte);
            heard.extend(message.map(|message| message.map(|m| (m.text.into(), m.is_unsure, m.stamp))));
        }
        heard
    }

    fn sentences(text: &str) -> String {
        let mut frame = [0; 8192];
        let message = Message { text, is_unsure: false, stamp: Some(STAMP) };
        let length = encode_sentences(&message, &mut frame).unwrap();
        String::from_utf8(frame[..length].into()).unwrap()
    }

    #[test]
    fn the_frames_of_the_documentation_are_read() {
        let packet = b"\x00\x09\x01\x07\xFA\xD1\x95\xFF\xBC1\x01\x01\x02\x3F\x0B\x05a dog\xD8\xDE\xFE\xF8\x00";
        let json = br#"{"sequence":7,"time":"2023-11-14T22:13:20.250Z","source":"a\"b","caption":"a\u0020dog","confidence":0.5,"unsure":false,"cut":false,"tokens":[1,2],"latency_ms":{"total":1.5}}"#;
        let cases: [(Framing, &[u8], Option<Stamp>); 5] = [
            (Framing::Line, b"a dog\n", None),
            (Framing::Line, b"a dog\r\n", None),
            (Framing::Ascii, b"noise$GPGGA,1*4B\r\n$SCAP,7,1700000000250,0.50,a dog*31\r\n", Some(STAMP)),
            (Framing::Json, &[json, &b"\n"[..]].concat(), Some(STAMP)),
            (Framing::Cobs, packet, Some(STAMP)),
        ];
        for (framing, bytes, stamp) in cases {
            assert_eq!(heard::<640>(framing, bytes), [Ok(("a dog".into(), false, stamp))], "{framing:?}");
        }
    }

    #[test]
    fn a_decoder_has_little_beside_its_buffer() {
        assert!(size_of::<Decoder<640>>() <= 840, "{}", size_of::<Decoder<640>>());
    }

    #[test]
    fn a_packet_is_written_as_its_table_says() {
        let mut frame = [0xEE; 64];
        let stamp = Stamp { sequence: 300, time_ms: 1, confidence: 1.0 };
        let message = Message { text: "ab", is_unsure: true, stamp: Some(stamp) };
        let length = encode_packet(&message, &mut frame).unwrap();
        let packet = [&[1, 0xAC, 0x02, 1, 0, 0, 0x80, 0x3F, 1, 2][..], b"ab"].concat();
        let crc = super::super::crc::crc32(&packet).to_le_bytes();
        let stuffed = [&[0, 5, 1, 0xAC, 0x02, 1, 1, 7 + 4][..], &[0x80, 0x3F, 1, 2], b"ab", &crc, &[0]].concat();
        assert_eq!(&frame[..length], stuffed);
    }

    #[test]
    fn a_long_caption_is_split_over_sentences_of_82_characters() {
        let text = "a man, a plan: $5 * 2 \u{fc}ber ".repeat(10);
        let lines = sentences(&text);
        let parts = lines.lines().count();
        assert!(lines.split_inclusive('\n').all(|line| line.len() <= 82 && line.ends_with("\r\n")), "{lines}");
        assert!(
            lines.starts_with(&format!("$SCAP,7:1/{parts},1700000000250,0.50,a man^2C a plan: ^245 ^2A 2")),
            "{lines}"
        );
        assert_eq!(heard::<640>(Framing::Ascii, lines.as_bytes()), [Ok((text, false, Some(STAMP)))]);
    }

    #[test]
    fn a_caption_without_one_of_its_parts_is_refused_and_the_next_is_read() {
        let lines = sentences(&"dog ".repeat(50));
        let lines: std::vec::Vec<_> = lines.split_inclusive('\n').collect();
        for missing in 0..lines.len() {
            let mut sent = lines.clone();
            sent.remove(missing);
            let sent = sent.concat() + &sentences("a cat");
            let heard = heard::<640>(Framing::Ascii, sent.as_bytes());
            let (last, before) = heard.split_last().unwrap();
            assert_eq!(last, &Ok(("a cat".into(), false, Some(STAMP))));
            assert!(before.iter().all(|heard| *heard == Err(Fault::Incomplete)), "{before:?}");
        }
    }

    #[test]
    fn frames_beyond_the_buffer_are_faults_and_the_next_is_read() {
        let cases: [(Framing, &[u8], &[u8]); 3] = [
            (Framing::Line, b"a very long caption\n", b"a dog\n"),
            (
                Framing::Ascii,
                &[b"$".as_slice(), &[b'x'; 90], b"\n"].concat(),
                b"$SCAP,7,1700000000250,0.50,a dog*31\r\n",
            ),
            (Framing::Line, &[b'x'; 4096], b"\na dog\n"),
        ];
        for (framing, long, short) in cases {
            let heard = heard::<16>(framing, &[long, short].concat());
            assert!(matches!(&heard[..], [Err(Fault::TooLong), Ok((text, ..))] if text == "a dog"), "{heard:?}");
        }
    }

    #[test]
    fn what_has_no_form_is_refused() {
        let cases: [(Framing, &[u8]); 16] = [
            (Framing::Line, b"a \xFF dog\n"),
            (Framing::Line, b"a \x01 dog\n"),
            (Framing::Ascii, b"$SCAP,7\r\n"),
            (Framing::Ascii, b"$*00\r$\n"),
            (Framing::Ascii, b"$SCAP,7,1,0.50,a dog*XX\r\n"),
            (Framing::Ascii, b"$SCAP,7:2/1,1,0.50,*0A\r\n"),
            (Framing::Json, b"{}\n"),
            (Framing::Json, b"{\"caption\":\"a dog\"\n"),
            (Framing::Json, b"{\"caption\":\"a dog\"}}\n"),
            (Framing::Json, b"{\"caption\":\"a \\x dog\"}\n"),
            (Framing::Json, b"{\"caption\":\"\\ud800\"}\n"),
            (Framing::Json, b"{\"caption\":\"a\",\"sequence\":4294967296}\n"),
            (Framing::Json, b"{\"caption\":\"a\",\"confidence\":1.5}\n"),
            (Framing::Json, b"{\"caption\":\"a\",\"time\":\"yesterday\"}\n"),
            (Framing::Cobs, b"\0\x02\0"),
            (Framing::Cobs, b"\0\x05\x01\x01\x01\x01\0"),
        ];
        for (framing, bytes) in cases {
            let heard = heard::<640>(framing, bytes);
            assert!(!heard.is_empty() && heard.iter().all(Result::is_err), "{framing:?} {bytes:?}: {heard:?}");
        }
    }

    #[test]
    fn lines_of_the_command_caption_are_read_though_they_have_no_stamp() {
        let line = b"{\"source\":\"a.jpg\",\"caption\":\"a \\\"dog\\\" \\ud83d\\udc15\",\"confidence\":0.5}\n";
        assert_eq!(heard::<640>(Framing::Json, line), [Ok(("a \"dog\" \u{1f415}".into(), false, None))]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_messages_or_faults(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            for framing in FRAMINGS {
                heard::<640>(framing, &bytes);
                heard::<4>(framing, &bytes);
            }
        }

        #[test]
        fn anything_near_a_frame_is_a_message_or_a_fault(
            text in "[ -~$*^,\\\\\"{}\\[\\]:0-9u]{0,200}", cut in 0..400usize, byte in any::<u8>()
        ) {
            let json = format!("{{\"sequence\":1,\"caption\":\"{text}\",\"unsure\":{text}}}\n");
            for (framing, frame) in [(Framing::Ascii, sentences(&text)), (Framing::Json, json)] {
                let mut bytes = frame.into_bytes();
                let at = cut % bytes.len();
                bytes[at] = byte;
                heard::<640>(framing, &bytes);
            }
        }
    }
}
