//! Where a JPEG begins and ends, from its markers alone (ITU-T T.81, annex B).

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const SOF2: u8 = 0xC2;

/// Length of the JPEG at the start of `bytes`, its end marker included; `None` if it is cut short or is no JPEG.
///
/// Decoders fill what is missing with grey, so this is how a torn file or a torn stream is noticed.
pub(crate) fn complete_len(bytes: &[u8]) -> Option<usize> {
    if !bytes.starts_with(&[0xFF, SOI]) {
        return None;
    }
    let mut at = 2;
    loop {
        let (marker, after) = next_marker(bytes, at)?;
        at = match marker {
            EOI => return Some(after),
            SOS => skip_scan(bytes, skip_segment(bytes, after)?)?,
            0x01 | 0xD0..=SOI => after,
            _ => skip_segment(bytes, after)?,
        };
    }
}

/// Whether the JPEG at the start of `bytes` comes in several passes over the whole picture.
pub(crate) fn is_progressive(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some((marker, after)) = next_marker(bytes, at) {
        match marker {
            SOF2 => return true,
            SOS | EOI => return false,
            _ => at = skip_segment(bytes, after).unwrap_or(bytes.len()),
        }
    }
    false
}

/// The marker at or behind `at`, and the place after it; fill bytes and stray bytes between segments are passed over.
fn next_marker(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let found = bytes.get(at..)?.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF))?;
    Some((bytes[at + found + 1], at + found + 2))
}

fn skip_segment(bytes: &[u8], at: usize) -> Option<usize> {
    let len = u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]);
    Some(at + usize::from(len))
}

/// The place of the marker that ends the entropy-coded data: neither a stuffed zero nor a restart.
fn skip_scan(bytes: &[u8], at: usize) -> Option<usize> {
    let is_end = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF | 0xD0..=0xD7);
    Some(at + bytes.get(at..)?.windows(2).position(is_end)?)
}

/// Tells the JPEGs of a stream apart, piece by piece as it arrives.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    state: State,
}

/// What the next bytes of a stream are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Of no picture.
    Outside,
    /// The end of the start marker, both bytes of which are [`Splitter::START`]; torn if a picture had not ended yet.
    Start { is_torn: bool },
    /// Of a picture.
    Inside,
    /// The last of a picture.
    End,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Outside,
    OutsideMarker,
    BetweenSegments,
    Marker,
    LengthHigh(u8),
    LengthLow(u8, u8),
    Segment(u8, usize),
    Scan,
    ScanMarker,
}

impl Splitter {
    /// The start marker.
    pub const START: [u8; 2] = [0xFF, SOI];

    /// Whether a picture has begun and not ended.
    pub fn is_inside(&self) -> bool {
        !matches!(self.state, State::Outside | State::OutsideMarker)
    }

    /// Says what the first bytes of `bytes`, which is not empty, are, and how many of them that is said of.
    pub fn advance(&mut self, bytes: &[u8]) -> (Part, usize) {
        let up_to_marker = || bytes.iter().position(|byte| *byte == 0xFF).map(|at| at + 1);
        let (part, state, len) = match self.state {
            State::Outside => Self::search(Part::Outside, State::Outside, State::OutsideMarker, up_to_marker(), bytes),
            State::BetweenSegments => {
                Self::search(Part::Inside, State::BetweenSegments, State::Marker, up_to_marker(), bytes)
            }
            State::Scan => Self::search(Part::Inside, State::Scan, State::ScanMarker, up_to_marker(), bytes),
            State::Segment(marker, left) if left > bytes.len() => {
                (Part::Inside, State::Segment(marker, left - bytes.len()), bytes.len())
            }
            State::Segment(SOS, left) => (Part::Inside, State::Scan, left),
            State::Segment(_, left) => (Part::Inside, State::BetweenSegments, left),
            _ => {
                let (part, state) = self.after(bytes[0]);
                (part, state, 1)
            }
        };
        self.state = state;
        (part, len)
    }

    fn search(part: Part, here: State, there: State, found: Option<usize>, bytes: &[u8]) -> (Part, State, usize) {
        found.map_or((part, here, bytes.len()), |len| (part, there, len))
    }

    /// In the states that look at one byte.
    fn after(&self, byte: u8) -> (Part, State) {
        match (self.state, byte) {
            (State::OutsideMarker, SOI) => (Part::Start { is_torn: false }, State::BetweenSegments),
            (State::OutsideMarker, 0xFF) => (Part::Outside, State::OutsideMarker),
            (State::OutsideMarker, _) => (Part::Outside, State::Outside),
            (State::Marker | State::ScanMarker, SOI) => (Part::Start { is_torn: true }, State::BetweenSegments),
            (State::Marker | State::ScanMarker, EOI) => (Part::End, State::Outside),
            (state @ (State::Marker | State::ScanMarker), 0xFF) => (Part::Inside, state),
            (State::ScanMarker, 0x00 | 0xD0..=0xD7) => (Part::Inside, State::Scan),
            (State::Marker, 0x00 | 0x01 | 0xD0..=0xD7) => (Part::Inside, State::BetweenSegments),
            (State::LengthHigh(marker), high) => (Part::Inside, State::LengthLow(marker, high)),
            (State::LengthLow(marker, high), low) => (Part::Inside, Self::segment(marker, high, low)),
            (_, marker) => (Part::Inside, State::LengthHigh(marker)),
        }
    }

    /// The state behind a segment's length, which counts itself.
    fn segment(marker: u8, high: u8, low: u8) -> State {
        match usize::from(u16::from_be_bytes([high, low])) {
            0..=2 if marker == SOS => State::Scan,
            0..=2 => State::BetweenSegments,
            len => State::Segment(marker, len - 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Header with an APP1 that holds an end marker of its own, one scan with a stuffed byte and a restart, the end.
    const JPEG: &[u8] =
        &[0xFF, SOI, 0xFF, 0xE1, 0, 4, 0xFF, EOI, 0xFF, SOS, 0, 3, 9, 1, 0xFF, 0, 0xFF, 0xD0, 2, 0xFF, EOI];

    #[test]
    fn a_whole_jpeg_ends_at_its_end_marker() {
        let followed = [JPEG, &[0xFF, SOI, 7, 7]].concat();
        assert_eq!(complete_len(JPEG), Some(JPEG.len()));
        assert_eq!(complete_len(&followed), Some(JPEG.len()));
    }

    #[test]
    fn the_frame_header_tells_passes() {
        assert!(!is_progressive(JPEG));
        assert!(is_progressive(&[0xFF, SOI, 0xFF, 0xE1, 0, 4, 0xFF, EOI, 0xFF, SOF2, 0, 2]));
    }

    #[test]
    fn a_jpeg_cut_anywhere_has_no_end() {
        for len in 0..JPEG.len() {
            assert_eq!(complete_len(&JPEG[..len]), None, "cut after {len} bytes");
        }
    }
}
