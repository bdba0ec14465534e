//! One JSON object a line.

use std::io::{self, Write as _};
use std::time::Duration;

use embedded_io::Write;
use serde::Serialize;

use super::Formatted;
use crate::caption::{Caption, Token};

/// What a line holds, in this order.
#[derive(Serialize)]
struct Line<'a> {
    source: &'a str,
    caption: &'a str,
    confidence: f32,
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
    let line = Line {
        source,
        caption: &caption.text,
        confidence: (caption.confidence * 1e4).round() / 1e4,
        cut: caption.is_cut,
        tokens: &caption.tokens,
        latency_ms: Milliseconds {
            preprocess: milliseconds(caption.latency.preprocess),
            encode: milliseconds(caption.latency.encode),
            decode: milliseconds(caption.latency.decode),
            total: milliseconds(caption.latency.total()),
        },
    };
    let mut sink = Formatted(sink);
    serde_json::to_writer(&mut sink, &line)?;
    sink.write_all(b"\n")?;
    sink.flush()
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
