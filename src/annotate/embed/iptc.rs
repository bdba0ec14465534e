//! IPTC-IIM 4.2 data set 2:120 (Caption-Abstract), inside resource 0x0404 of Photoshop's image resources.

use std::ops::Range;

use md5::{Digest, Md5};

use crate::annotate::metadata::Problem;

const IPTC: u16 = 0x0404;
/// MD5 of the IPTC resource: readers that find another sum trust the IPTC more than the XMP.
const IPTC_DIGEST: u16 = 0x0425;
const CAPTION: (u8, u8) = (2, 120);
const CHARSET: (u8, u8) = (1, 90);
const UTF8: &[u8] = b"\x1B%G";
/// Bytes of a caption that IIM allows.
const MAX_CAPTION: usize = 2000;

/// One image resource; `whole` has its padding.
struct Resource {
    id: u16,
    whole: Range<usize>,
    content: Range<usize>,
}

/// One data set.
struct DataSet {
    number: (u8, u8),
    whole: Range<usize>,
    content: Range<usize>,
}

/// The caption, if there is one.
pub(super) fn caption(resources: &[u8]) -> Result<Option<String>, Problem> {
    let Some(iptc) = parse(resources)?.into_iter().find(|resource| resource.id == IPTC) else { return Ok(None) };
    let iptc = &resources[iptc.content];
    let sets = data_sets(iptc)?;
    let caption = sets.iter().find(|set| set.number == CAPTION);
    Ok(caption.map(|set| String::from_utf8_lossy(&iptc[set.content.clone()]).into_owned()))
}

/// The resources with this caption; all others stay as they are.
pub(super) fn with_caption(resources: Option<&[u8]>, caption: &str) -> Result<Vec<u8>, Problem> {
    let old = resources.unwrap_or_default();
    let resources = parse(old)?;
    let iptc = resources.iter().find(|resource| resource.id == IPTC);
    let new = iptc_with_caption(iptc.map_or(&[], |resource| &old[resource.content.clone()]), caption)?;
    let digest = Md5::digest(&new);
    let mut all = Vec::new();
    for resource in &resources {
        match resource.id {
            IPTC => all.extend(encode(IPTC, &new)),
            IPTC_DIGEST => all.extend(encode(IPTC_DIGEST, &digest)),
            _ => all.extend(&old[resource.whole.clone()]),
        }
    }
    if iptc.is_none() {
        all.extend(encode(IPTC, &new));
    }
    Ok(all)
}

fn parse(resources: &[u8]) -> Result<Vec<Resource>, Problem> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < resources.len() {
        let resource = resource_at(resources, at).ok_or("its Photoshop resources are damaged")?;
        at = resource.whole.end;
        found.push(resource);
    }
    Ok(found)
}

fn resource_at(resources: &[u8], at: usize) -> Option<Resource> {
    let header: &[u8; 7] = resources.get(at..)?.first_chunk()?;
    if !matches!(&header[..4], b"8BIM" | b"PHUT" | b"AgHg" | b"DCSR" | b"MeSa") {
        return None;
    }
    // A name in Pascal's form, padded to an even length.
    let name = (1 + usize::from(header[6])).next_multiple_of(2);
    let len = u32::from_be_bytes(*resources.get(at + 6 + name..)?.first_chunk()?) as usize;
    let start = at + 6 + name + 4;
    let end = start.checked_add(len)?;
    // Some programs leave the last padding out.
    let padded = end.next_multiple_of(2).min(resources.len());
    let id = u16::from_be_bytes([header[4], header[5]]);
    (end <= resources.len()).then_some(Resource { id, whole: at..padded, content: start..end })
}

fn encode(id: u16, content: &[u8]) -> Vec<u8> {
    let mut resource =
        [b"8BIM", &id.to_be_bytes()[..], &[0, 0], &(content.len() as u32).to_be_bytes(), content].concat();
    resource.resize(resource.len().next_multiple_of(2), 0);
    resource
}

fn iptc_with_caption(iptc: &[u8], caption: &str) -> Result<Vec<u8>, Problem> {
    if caption.len() > MAX_CAPTION {
        return Err(format!("IPTC takes captions of up to {MAX_CAPTION} bytes, ask for a sidecar"));
    }
    let sets = data_sets(iptc)?;
    let is_utf8 = sets.iter().any(|set| set.number == CHARSET && iptc[set.content.clone()] == *UTF8);
    if !caption.is_ascii() && !is_utf8 && !iptc.is_ascii_text(&sets) {
        return Err("its IPTC is of an unknown character set, ask for a sidecar".into());
    }
    let mut new = Vec::new();
    if !caption.is_ascii() && !is_utf8 {
        new.extend(data_set(CHARSET, UTF8));
    }
    if sets.is_empty() {
        new.extend(data_set((2, 0), &[0, 4])); // the record's version, asked for by IIM
    }
    let mut is_written = false;
    for set in &sets {
        if !is_written && set.number > CAPTION {
            new.extend(data_set(CAPTION, caption.as_bytes()));
            is_written = true;
        }
        if set.number != CAPTION {
            new.extend(&iptc[set.whole.clone()]);
        }
    }
    if !is_written {
        new.extend(data_set(CAPTION, caption.as_bytes()));
    }
    Ok(new)
}

trait AsciiText {
    fn is_ascii_text(&self, sets: &[DataSet]) -> bool;
}

impl AsciiText for [u8] {
    fn is_ascii_text(&self, sets: &[DataSet]) -> bool {
        let texts = sets.iter().filter(|set| set.number.0 == 2 && set.number.1 != 0 && set.number != CAPTION);
        texts.map(|set| &self[set.content.clone()]).all(<[u8]>::is_ascii)
    }
}

/// Zeros behind the last data set are padding.
fn data_sets(iptc: &[u8]) -> Result<Vec<DataSet>, Problem> {
    let mut sets = Vec::new();
    let mut at = 0;
    while iptc[at..].iter().any(|byte| *byte != 0) {
        let set = data_set_at(iptc, at).ok_or("its IPTC is damaged")?;
        at = set.whole.end;
        sets.push(set);
    }
    Ok(sets)
}

fn data_set_at(iptc: &[u8], at: usize) -> Option<DataSet> {
    let [0x1C, record, number, high, low] = *iptc.get(at..)?.first_chunk()? else { return None };
    let short = usize::from(u16::from_be_bytes([high, low]));
    // With the top bit set, the field tells how many bytes of length follow.
    let (start, len) = match short.checked_sub(0x8000) {
        None => (at + 5, short),
        Some(bytes) if bytes <= 4 => {
            let len = iptc.get(at + 5..at + 5 + bytes)?.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
            (at + 5 + bytes, len)
        }
        Some(_) => return None,
    };
    let end = start.checked_add(len)?;
    (end <= iptc.len()).then_some(DataSet { number: (record, number), whole: at..end, content: start..end })
}

fn data_set((record, number): (u8, u8), content: &[u8]) -> Vec<u8> {
    [&[0x1C, record, number], &(content.len() as u16).to_be_bytes()[..], content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path resource with a name, IPTC with a city and a credit, its digest, and a last one without padding.
    fn resources() -> Vec<u8> {
        let iptc = [data_set((2, 0), &[0, 4]), data_set((2, 90), b"Oslo"), data_set((2, 122), b"me")].concat();
        let named = b"8BIM\x07\xD0\x03abc\0\0\0\x02hi".to_vec();
        let last = b"8BIM\x04\x0C\0\0\0\0\0\x03abc".to_vec();
        [named, encode(IPTC, &iptc), encode(IPTC_DIGEST, &Md5::digest(&iptc)), last].concat()
    }

    #[test]
    fn others_stay_as_they_are_and_the_digest_follows() {
        let old = resources();
        let new = with_caption(Some(&old), "a dog").unwrap();
        assert_eq!(caption(&new).unwrap().as_deref(), Some("a dog"));
        let (before, after) = (parse(&old).unwrap(), parse(&new).unwrap());
        for i in [0, 3] {
            assert_eq!(new[after[i].whole.clone()], old[before[i].whole.clone()]);
        }
        let iptc = &new[after[1].content.clone()];
        let numbers: Vec<_> = data_sets(iptc).unwrap().iter().map(|set| set.number).collect();
        assert_eq!(numbers, [(2, 0), (2, 90), (2, 120), (2, 122)]);
        assert_eq!(new[after[2].content.clone()], *Md5::digest(iptc));
        assert_eq!(with_caption(Some(&new), "a dog").unwrap(), new);
    }

    #[test]
    fn a_caption_beyond_what_iptc_takes_is_refused() {
        assert!(with_caption(None, &"a".repeat(MAX_CAPTION)).is_ok());
        assert!(with_caption(None, &"a".repeat(MAX_CAPTION + 1)).unwrap_err().contains("sidecar"));
    }

    #[test]
    fn text_beyond_ascii_is_marked_as_utf8_or_refused() {
        let new = with_caption(None, "ein Hündchen").unwrap();
        assert_eq!(caption(&new).unwrap().as_deref(), Some("ein Hündchen"));
        assert!(new.windows(3).any(|bytes| bytes == UTF8));
        let latin1 = encode(IPTC, &data_set((2, 90), b"M\xFCnchen"));
        assert!(with_caption(Some(&latin1), "ein Hündchen").is_err());
        assert!(with_caption(Some(&latin1), "a dog").is_ok());
    }

    #[test]
    fn damage_is_told() {
        for damaged in [&b"8BI"[..], b"9BIM\0\0\0\0\0\0\0\0", b"8BIM\x04\x04\0\0\0\0\0\x09abc"] {
            assert!(caption(damaged).is_err(), "{damaged:?}");
        }
    }
}
