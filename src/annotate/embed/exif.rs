//! EXIF: the tag `ImageDescription` in the first directory of a TIFF structure (TIFF 6.0; CIPA DC-008).
//!
//! Makers' notes hold places counted from the start of the structure, so nothing that is there is moved: a directory that
//! must grow, and a text that does not fit its old place, are written anew at the end.

use std::ops::Range;

use crate::annotate::metadata::Problem;

const IMAGE_DESCRIPTION: u16 = 0x010E;
const ASCII: u16 = 2;
const HEADER: usize = 8;
const ENTRY: usize = 12;

struct Tiff<'a> {
    bytes: &'a [u8],
    is_big_endian: bool,
    directory: usize, // place of the first directory
    count: usize,     // its entries
}

/// The description, if there is one.
pub(super) fn description(tiff: &[u8]) -> Result<Option<String>, Problem> {
    let tiff = Tiff::parse(tiff).ok_or("its EXIF is damaged")?;
    let Some(entry) = tiff.find(IMAGE_DESCRIPTION) else { return Ok(None) };
    let text = tiff.text(entry).ok_or("its EXIF description is damaged")?;
    let text = tiff.bytes[text].split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(Some(String::from_utf8_lossy(text).into_owned()))
}

/// The structure with this description; a new one if there was none.
pub(super) fn with_description(tiff: Option<&[u8]>, text: &str) -> Result<Vec<u8>, Problem> {
    let text = [text.as_bytes(), b"\0"].concat();
    let empty = *b"II\x2A\0\x08\0\0\0\0\0\0\0\0\0";
    let tiff = Tiff::parse(tiff.unwrap_or(&empty)).ok_or("its EXIF is damaged")?;
    let mut new = tiff.bytes.to_vec();
    let entry = match tiff.find(IMAGE_DESCRIPTION) {
        Some(entry) => entry,
        None => tiff.grow(&mut new),
    };
    // A text of up to four bytes stands in the entry itself.
    let value = match text.len() {
        ..=4 => tiff.short_text(&text),
        _ => tiff.u32(tiff.put(&text, &mut new) as u32),
    };
    new[entry..entry + 2].copy_from_slice(&tiff.u16(IMAGE_DESCRIPTION));
    new[entry + 2..entry + 4].copy_from_slice(&tiff.u16(ASCII));
    new[entry + 4..entry + 8].copy_from_slice(&tiff.u32(text.len() as u32));
    new[entry + 8..entry + 12].copy_from_slice(&value);
    Ok(new)
}

impl<'a> Tiff<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let is_big_endian = match bytes.get(..4)? {
            b"II\x2A\0" => false,
            b"MM\0\x2A" => true,
            _ => return None,
        };
        let mut tiff = Self { bytes, is_big_endian, directory: 0, count: 0 };
        tiff.directory = tiff.read_u32(4)? as usize;
        tiff.count = usize::from(tiff.read_u16(tiff.directory)?);
        let is_whole = tiff.directory >= HEADER && tiff.directory_end() <= bytes.len();
        // One more entry must be possible.
        (is_whole && tiff.count < usize::from(u16::MAX)).then_some(tiff)
    }

    fn directory_end(&self) -> usize {
        self.directory + 2 + self.count * ENTRY + 4
    }

    /// Whether a text stands outside of header and directory, as a damaged file's need not.
    fn is_apart(&self, text: &Range<usize>) -> bool {
        text.start >= HEADER && (text.end <= self.directory || text.start >= self.directory_end())
    }

    fn entries(&self) -> impl Iterator<Item = usize> {
        (0..self.count).map(|i| self.directory + 2 + i * ENTRY)
    }

    fn find(&self, tag: u16) -> Option<usize> {
        self.entries().find(|entry| self.read_u16(*entry) == Some(tag))
    }

    /// Where the text of an entry stands.
    fn text(&self, entry: usize) -> Option<Range<usize>> {
        let count = self.read_u32(entry + 4)? as usize;
        let is_ascii = self.read_u16(entry + 2)? == ASCII;
        let start = if count <= 4 { entry + 8 } else { self.read_u32(entry + 8)? as usize };
        let end = start.checked_add(count)?;
        (is_ascii && end <= self.bytes.len()).then_some(start..end)
    }

    /// Writes a text where the old description stood if it fits there, else at the end, and gives its place.
    fn put(&self, text: &[u8], new: &mut Vec<u8>) -> usize {
        let old = self.find(IMAGE_DESCRIPTION).and_then(|entry| self.text(entry));
        let old = old.filter(|old| old.len() >= text.len() && self.is_apart(old));
        let place = old.as_ref().map_or(new.len().next_multiple_of(2), |old| old.start);
        match old {
            Some(old) => new[old].fill(0),
            None => new.resize(place + text.len(), 0),
        }
        new[place..place + text.len()].copy_from_slice(text);
        place
    }

    /// Writes the directory anew at the end, with room for the description in its order, and gives the place of that room.
    fn grow(&self, new: &mut Vec<u8>) -> usize {
        let is_before = |entry: &usize| self.read_u16(*entry).is_some_and(|tag| tag < IMAGE_DESCRIPTION);
        let split = self.entries().filter(is_before).count() * ENTRY;
        let old = &self.bytes[self.directory + 2..self.directory + 2 + self.count * ENTRY + 4];
        let directory = new.len().next_multiple_of(2);
        new.resize(directory, 0);
        new.extend(self.u16(self.count as u16 + 1));
        new.extend(&old[..split]);
        let room = new.len();
        new.extend([0; ENTRY]);
        new.extend(&old[split..]);
        new[4..8].copy_from_slice(&self.u32(directory as u32));
        room
    }

    fn short_text(&self, text: &[u8]) -> [u8; 4] {
        let mut value = [0; 4];
        value[..text.len()].copy_from_slice(text);
        value
    }

    fn read_u16(&self, at: usize) -> Option<u16> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn read_u32(&self, at: usize) -> Option<u32> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn u16(&self, value: u16) -> [u8; 2] {
        if self.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u32(&self, value: u32) -> [u8; 4] {
        if self.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Big endian: orientation alone, then eight bytes that a maker's note might point to.
    const CAMERA: &[u8] = b"MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0notenote";

    #[test]
    fn nothing_that_is_there_moves() {
        let new = with_description(Some(CAMERA), "a brown dog").unwrap();
        assert_eq!(description(&new).unwrap().as_deref(), Some("a brown dog"));
        assert_eq!((&new[..4], &new[8..CAMERA.len()]), (&CAMERA[..4], &CAMERA[8..]));
        let tiff = Tiff::parse(&new).unwrap();
        let tags: Vec<_> = tiff.entries().map(|entry| tiff.read_u16(entry).unwrap()).collect();
        assert_eq!(tags, [IMAGE_DESCRIPTION, 0x0112]);
    }

    #[test]
    fn a_shorter_description_takes_the_place_of_the_longer() {
        let long = with_description(Some(CAMERA), "a brown dog").unwrap();
        for (text, grows) in
            [("a dog", false), ("a brown dog", false), ("a brown dog in the grass", true), ("dog", false), ("", false)]
        {
            let new = with_description(Some(&long), text).unwrap();
            assert_eq!(description(&new).unwrap().as_deref(), Some(text));
            assert_eq!(new.len() > long.len() + 1, grows, "{text}");
        }
        let short = with_description(None, "dog").unwrap();
        assert_eq!(with_description(Some(&short), "dog").unwrap(), short);
        assert_eq!(description(&with_description(None, "a dog").unwrap()).unwrap().as_deref(), Some("a dog"));
    }

    #[test]
    fn a_description_that_points_at_the_directory_is_written_elsewhere() {
        let long = with_description(Some(CAMERA), "a brown dog").unwrap();
        let tiff = Tiff::parse(&long).unwrap();
        let entry = tiff.find(IMAGE_DESCRIPTION).unwrap();
        for at in [0, 2, tiff.directory - 3, tiff.directory, entry + ENTRY + 1, tiff.directory_end() - 1] {
            let mut damaged = long.clone();
            damaged[entry + 8..entry + 12].copy_from_slice(&tiff.u32(at as u32));
            let new = with_description(Some(&damaged), "a dog").unwrap();
            assert_eq!(description(&new).unwrap().as_deref(), Some("a dog"), "{at}");
            assert_eq!(new[entry + ENTRY..tiff.directory_end()], long[entry + ENTRY..tiff.directory_end()], "{at}");
        }
    }

    #[test]
    fn what_is_no_tiff_is_damaged() {
        for damaged in [&b""[..], b"II", b"XX\x2A\0\x08\0\0\0\0\0\0\0\0\0", b"II\x2A\0\xFF\0\0\0\0\0", &CAMERA[..20]] {
            assert!(description(damaged).is_err() && with_description(Some(damaged), "a dog").is_err());
        }
    }
}
