//! A report as the bytes of one frame.

use super::json::write_report_json;
use super::text::write_report_text;
use super::wire::Framing;
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
        match self.framing {
            Framing::Line => write_report_text(&mut room, report),
            Framing::Json => write_report_json(&mut room, &self.source, report),
        }
        .expect("limits::MAX_FRAME_BYTES holds the longest frame");
        let length = MAX_FRAME_BYTES - room.len();
        &self.frame[..length]
    }
}
