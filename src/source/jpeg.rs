//! Where a JPEG ends, from its markers alone (ITU-T T.81, annex B).

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;

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
    fn a_jpeg_cut_anywhere_has_no_end() {
        for len in 0..JPEG.len() {
            assert_eq!(complete_len(&JPEG[..len]), None, "cut after {len} bytes");
        }
    }
}
