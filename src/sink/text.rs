//! One caption a line.

use std::fmt::Display;
use std::io::{self, Write as _};

use embedded_io::Write;

use super::Formatted;
use crate::caption::Caption;

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
}
