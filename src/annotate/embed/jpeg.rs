//! JPEG files as segments (ITU-T T.81, annex B): metadata in APP1 and APP13, all from the first scan on untouched.

use std::ops::Range;

use super::{Carriers, Container};
use crate::annotate::metadata::Problem;

const SOS: u8 = 0xDA;
const APP0: u8 = 0xE0;
const APP1: u8 = 0xE1;
const APP2: u8 = 0xE2;
const APP13: u8 = 0xED;

const EXIF: &[u8] = b"Exif\0\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const PHOTOSHOP: &[u8] = b"Photoshop 3.0\0";
const MULTI_PICTURE: &[u8] = b"MPF\0";

/// Bytes of a segment's content, the length field not counted.
const MAX_CONTENT: usize = 65_533;

pub(super) struct Jpeg<'a> {
    file: &'a [u8],
    segments: Vec<Segment>,
}

/// A header segment; `whole` begins at the marker, `content` behind the length.
struct Segment {
    marker: u8,
    whole: Range<usize>,
    content: Range<usize>,
}

impl<'a> Container<'a> for Jpeg<'a> {
    fn parse(file: &'a [u8]) -> Result<Self, Problem> {
        let mut segments = Vec::new();
        let mut at = 2;
        while let Some(segment) = next_segment(file, at).ok_or("its JPEG header is damaged")? {
            at = segment.whole.end;
            segments.push(segment);
        }
        Ok(Self { file, segments })
    }

    fn carriers(&self) -> Result<Carriers, Problem> {
        let content = |marker, name| self.find(marker, name).map(|i| self.content(i, name));
        let xmp = content(APP1, XMP).map(|xmp| String::from_utf8(xmp.into()));
        let xmp = xmp.transpose().map_err(|_| "its XMP is not UTF-8")?;
        if self.all(APP13, PHOTOSHOP).count() > 1 {
            return Err("its Photoshop resources are spread over several segments, ask for a sidecar".into());
        }
        let iptc = content(APP13, PHOTOSHOP).map(Into::into);
        Ok(Carriers { xmp, exif: content(APP1, EXIF).map(Into::into), iptc, text: None })
    }

    fn with(&self, carriers: &Carriers) -> Result<Vec<u8>, Problem> {
        let new = [
            (APP1, EXIF, carriers.exif.as_deref()),
            (APP1, XMP, carriers.xmp.as_deref().map(str::as_bytes)),
            (APP13, PHOTOSHOP, carriers.iptc.as_deref()),
        ];
        let mut replaced = vec![None; self.segments.len()];
        let mut inserted = Vec::new();
        for (marker, name, content) in new {
            let Some(content) = content else { continue };
            let segment = encode(marker, name, content)?;
            match self.find(marker, name) {
                Some(i) => replaced[i] = Some(segment),
                None => inserted.extend(segment),
            }
        }
        self.check_pictures_behind(&replaced)?;
        Ok(self.assemble(&replaced, &inserted))
    }
}

impl Jpeg<'_> {
    fn all(&self, marker: u8, name: &[u8]) -> impl Iterator<Item = usize> {
        let is_it = move |s: &Segment| s.marker == marker && self.file[s.content.clone()].starts_with(name);
        (0..self.segments.len()).filter(move |i| is_it(&self.segments[*i]))
    }

    fn find(&self, marker: u8, name: &[u8]) -> Option<usize> {
        self.all(marker, name).next()
    }

    fn content(&self, i: usize, name: &[u8]) -> &[u8] {
        &self.file[self.segments[i].content.start + name.len()..self.segments[i].content.end]
    }

    /// Files of several pictures (CIPA DC-007) tell where the others are, counted from their APP2 segment: between it and
    /// the others nothing may move. What is inserted stands before it.
    fn check_pictures_behind(&self, replaced: &[Option<Vec<u8>>]) -> Result<(), Problem> {
        let Some(index) = self.find(APP2, MULTI_PICTURE) else { return Ok(()) };
        let behind = self.segments.iter().zip(replaced).skip(index);
        let moves =
            |(segment, new): (&Segment, &Option<Vec<u8>>)| new.as_ref().is_some_and(|n| n.len() != segment.whole.len());
        if behind.into_iter().any(moves) {
            return Err("further pictures in the file would lose their place, ask for a sidecar".into());
        }
        Ok(())
    }

    fn assemble(&self, replaced: &[Option<Vec<u8>>], inserted: &[u8]) -> Vec<u8> {
        let mut file = self.file[..2].to_vec();
        // JFIF wants its segment first.
        let is_jfif = self.segments.first().is_some_and(|segment| segment.marker == APP0);
        for (i, (segment, new)) in self.segments.iter().zip(replaced).enumerate() {
            if i == usize::from(is_jfif) {
                file.extend(inserted);
            }
            file.extend(new.as_deref().unwrap_or(&self.file[segment.whole.clone()]));
        }
        if self.segments.len() <= usize::from(is_jfif) {
            file.extend(inserted);
        }
        file.extend(&self.file[self.segments.last().map_or(2, |segment| segment.whole.end)..]);
        file
    }
}

/// The segment at `at`, fill bytes before its marker included; `Some(None)` at the first scan.
fn next_segment(file: &[u8], at: usize) -> Option<Option<Segment>> {
    if *file.get(at)? != 0xFF {
        return None;
    }
    let fill = file[at..].iter().take_while(|byte| **byte == 0xFF).count();
    let marker = *file.get(at + fill)?;
    if marker == SOS {
        return Some(None);
    }
    let has_length = !matches!(marker, 0x00 | 0x01 | 0xD0..=0xD9);
    let start = at + fill + 1;
    let len = usize::from(u16::from_be_bytes([*file.get(start)?, *file.get(start + 1)?]));
    let is_whole = has_length && len >= 2 && start + len <= file.len();
    is_whole.then(|| Some(Segment { marker, whole: at..start + len, content: start + 2..start + len }))
}

fn encode(marker: u8, name: &[u8], content: &[u8]) -> Result<Vec<u8>, Problem> {
    let len = name.len() + content.len();
    if len > MAX_CONTENT {
        return Err("its metadata is too long for one more description, ask for a sidecar".into());
    }
    Ok([&[0xFF, marker], &(len as u16 + 2).to_be_bytes()[..], name, content].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// JFIF, a foreign APP1, an MPF segment, a comment, then a scan, the end and another picture.
    fn file() -> Vec<u8> {
        let mut file = vec![0xFF, 0xD8];
        for (marker, name) in [(APP0, &b"JFIF\0"[..]), (APP1, b"other\0"), (APP2, MULTI_PICTURE), (0xFE, b"comment")] {
            file.extend(encode(marker, name, b"1234").unwrap());
        }
        file.extend([0xFF, 0xFF, SOS, 0, 2, 9, 9, 0xFF, 0xD9, 0xFF, 0xD8, 1, 2, 3]);
        file
    }

    #[test]
    fn all_but_the_new_segments_stays_byte_for_byte() {
        let old = file();
        let carriers = Carriers { exif: Some(vec![1]), xmp: Some("x".into()), iptc: Some(vec![2]), text: None };
        let jpeg = Jpeg::parse(&old).unwrap();
        let new = jpeg.with(&carriers).unwrap();
        let again = Jpeg::parse(&new).unwrap();
        assert_eq!(again.carriers().unwrap(), carriers);
        let jfif_end = jpeg.segments[0].whole.end;
        let added = new.len() - old.len();
        assert_eq!((&new[..jfif_end], &new[jfif_end + added..]), (&old[..jfif_end], &old[jfif_end..]));
        assert_eq!(again.with(&carriers).unwrap(), new);
    }

    #[test]
    fn further_pictures_keep_their_place() {
        let mut old = file();
        let end = Jpeg::parse(&old).unwrap().segments[3].whole.end;
        old.splice(end..end, encode(APP1, XMP, b"x").unwrap());
        let longer = Carriers { xmp: Some("xxx".into()), ..Carriers::default() };
        assert!(Jpeg::parse(&old).unwrap().with(&longer).unwrap_err().contains("sidecar"));
    }

    #[test]
    fn what_does_not_fit_a_segment_is_refused() {
        let long = Carriers { exif: Some(vec![0; 65_528]), ..Carriers::default() };
        assert!(Jpeg::parse(&file()).unwrap().with(&long).is_err());
    }

    #[test]
    fn a_header_cut_anywhere_is_damaged() {
        let file = file();
        let scan = file.len() - 12;
        assert!((2..scan).all(|len| Jpeg::parse(&file[..len]).is_err()));
    }
}
