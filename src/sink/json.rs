//! One JSON object a line.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::{Duration, SystemTime};

use embedded_io::Write;
use serde::Serialize;

use super::Formatted;
use super::wire::Timestamp;
use crate::caption::{Caption, Report, Token};

/// What a line holds, in this order; the first two and `unsure` only for the reports of a run.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<&'a str>,
    source: &'a str,
    caption: &'a str,
    confidence: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsure: Option<bool>,
    cut: bool,
    tokens: &'a [Token],
    latency_ms: Milliseconds,
}

#[derive(Serialize)]
struct Milliseconds {
    preprocess: f64,
    encode: f64,
    decode: f64,
    total: f64,
}

/// Writes one object with `source`, `caption`, `confidence`, `cut`, `tokens` and `latency_ms`, a line feed, and flushes.
///
/// # Errors
/// Those of the sink, as [`io::Error`] of the same kind.
pub fn write_json(sink: &mut impl Write, source: &str, caption: &Caption) -> io::Result<()> {
    write_line(sink, &Line::new(source, caption))
}

/// Writes the same object with `sequence`, `time` (RFC 3339, UTC) and `unsure`.
///
/// # Errors
/// Those of the sink, as [`io::Error`] of the same kind.
pub fn write_report_json(sink: &mut impl Write, source: &str, report: &Report) -> io::Result<()> {
    let mut time = heapless::String::<24>::new();
    write!(time, "{}", Timestamp(milliseconds_since_1970(report.time))).map_err(io::Error::other)?;
    let mut line = Line::new(source, &report.caption);
    (line.sequence, line.time, line.unsure) = (Some(report.sequence), Some(time.as_str()), Some(report.is_unsure));
    write_line(sink, &line)
}

impl<'a> Line<'a> {
    fn new(source: &'a str, caption: &'a Caption) -> Self {
        Self {
            sequence: None,
            time: None,
            source,
            caption: &caption.text,
            confidence: (caption.confidence * 1e4).round() / 1e4,
            unsure: None,
            cut: caption.is_cut,
            tokens: &caption.tokens,
            latency_ms: Milliseconds {
                preprocess: milliseconds(caption.latency.preprocess),
                encode: milliseconds(caption.latency.encode),
                decode: milliseconds(caption.latency.decode),
                total: milliseconds(caption.latency.total()),
            },
        }
    }
}

fn write_line(sink: &mut impl Write, line: &Line) -> io::Result<()> {
    let mut sink = Formatted(sink);
    serde_json::to_writer(&mut sink, line)?;
    sink.write_all(b"\n")?;
    sink.flush()
}

/// 0 for what a wrong clock puts before 1970.
pub(super) fn milliseconds_since_1970(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |duration| duration.as_millis() as u64)
}

/// To the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caption::Text;

    #[test]
    fn a_report_has_its_place_in_the_run_and_one_line() {
        let caption = Caption { text: Text::try_from("a\ndog").unwrap(), confidence: 0.5, ..Caption::default() };
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
        let report = Report { sequence: 7, time, caption, is_unsure: true };
        let mut sink = Vec::new();
        write_report_json(&mut sink, "/dev/video0", &report).unwrap();
        let line = str::from_utf8(&sink).unwrap();
        let expected = r#"{"sequence":7,"time":"2023-11-14T22:13:20.250Z","source":"/dev/video0","caption":"a\ndog","confidence":0.5,"unsure":true,"#;
        assert!(line.starts_with(expected), "{line}");
        assert_eq!(line.matches('\n').count(), 1, "{line}");
    }

    #[test]
    fn a_line_parses_back_whatever_the_source_is_called() {
        let mut caption = Caption { text: Text::try_from("a dog").unwrap(), confidence: 0.25, ..Caption::default() };
        caption.tokens.extend([4, 7]);
        caption.latency.encode = Duration::from_micros(1500);
        let mut sink = [0; 512];
        let mut room = &mut sink[..];
        write_json(&mut room, "a \"b\"\n\t.jpg", &caption).unwrap();
        let written = 512 - room.len();
        let (line, end) = sink[..written].split_at(written - 1);
        let value: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert_eq!(end, b"\n");
        assert_eq!(value["source"], "a \"b\"\n\t.jpg");
        assert_eq!((&value["caption"], &value["confidence"]), (&"a dog".into(), &0.25.into()));
        assert_eq!((&value["tokens"][1], &value["latency_ms"]["encode"]), (&7.into(), &1.5.into()));
    }
}
