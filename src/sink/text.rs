//! One caption a line.

use std::fmt::{self, Display};
use std::io::{self, Write as _};

use embedded_io::Write;

use super::Formatted;
use super::wire::UNSURE_MARK;
use crate::caption::{Caption, Report};

/// Writes `caption<LF>`, or `source<TAB>caption<LF>` where a source is given, and flushes. Allocates nothing.
///
/// # Errors
/// Those of the sink, as [`io::Error`] of the same kind.
pub fn write_text(sink: &mut impl Write, source: Option<&dyn Display>, caption: &Caption) -> io::Result<()> {
    let mut sink = Formatted(sink);
    match source {
        Some(source) => writeln!(sink, "{source}\t{}", caption.text)?,
        None => writeln!(sink, "{}", caption.text)?,
    }
    sink.flush()
}

/// Writes the caption as one line, after [`UNSURE_MARK`] where the report is unsure, and flushes. Control characters, a line
/// feed among them, become spaces. Allocates nothing.
///
/// # Errors
/// Those of the sink, as [`io::Error`] of the same kind.
pub fn write_report_text(sink: &mut impl Write, report: &Report) -> io::Result<()> {
    let mut sink = Formatted(sink);
    let mark = if report.is_unsure { UNSURE_MARK } else { "" };
    writeln!(sink, "{mark}{}", OneLine(&report.caption.text))?;
    sink.flush()
}

struct OneLine<'a>(&'a str);

impl Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = self.0.split(char::is_control);
        f.write_str(words.next().unwrap_or_default())?;
        words.try_for_each(|words| write!(f, " {words}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caption::Text;

    #[test]
    fn a_line_has_the_source_only_where_it_is_given() {
        let caption = Caption { text: Text::try_from("a dog").unwrap(), ..Caption::default() };
        for (source, expected) in [(None, "a dog\n"), (Some(&"b/c.jpg" as &dyn Display), "b/c.jpg\ta dog\n")] {
            let mut sink = [0; 64];
            let mut room = &mut sink[..];
            write_text(&mut room, source, &caption).unwrap();
            let written = 64 - room.len();
            assert_eq!(&sink[..written], expected.as_bytes());
        }
    }

    #[test]
    fn a_full_sink_is_an_error_of_its_kind() {
        let error = write_text(&mut &mut [0; 3][..], None, &Caption::default()).err();
        assert_eq!(error.map(|e| e.kind()), None);
        let caption = Caption { text: Text::try_from("a dog").unwrap(), ..Caption::default() };
        let error = write_text(&mut &mut [0; 3][..], None, &caption).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }

    #[test]
    fn a_report_is_one_line_and_says_when_it_is_unsure() {
        let cases =
            [("a dog", false, "a dog\n"), ("a dog", true, "unsure: a dog\n"), ("a\r\n\tdog", false, "a   dog\n")];
        for (text, is_unsure, expected) in cases {
            let caption = Caption { text: Text::try_from(text).unwrap(), ..Caption::default() };
            let report = Report { sequence: 0, time: std::time::SystemTime::UNIX_EPOCH, caption, is_unsure };
            let mut sink = Vec::new();
            write_report_text(&mut sink, &report).unwrap();
            assert_eq!(sink, expected.as_bytes());
        }
    }
}
