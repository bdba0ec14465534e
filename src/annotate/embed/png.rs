//! PNG files as chunks (ISO 15948): XMP in iTXt, EXIF in eXIf, IPTC in the text chunk that ImageMagick and exiftool use.

use std::ops::Range;

use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

use super::{Carriers, Container};
use crate::annotate::metadata::Problem;

const SIGNATURE: usize = 8;
const XMP: &[u8] = b"XML:com.adobe.xmp";
const IPTC: &[u8] = b"Raw profile type iptc";
const DESCRIPTION: &[u8] = b"Description";
/// Bytes of a text that was compressed.
const MAX_TEXT: usize = 16 << 20;

pub(super) struct Png<'a> {
    file: &'a [u8],
    chunks: Vec<Chunk>,
}

/// A chunk; `whole` has its length and its checksum.
struct Chunk {
    kind: [u8; 4],
    whole: Range<usize>,
    content: Range<usize>,
}

impl<'a> Container<'a> for Png<'a> {
    fn parse(file: &'a [u8]) -> Result<Self, Problem> {
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut at = SIGNATURE;
        while chunks.last().is_none_or(|chunk| chunk.kind != *b"IEND") {
            let chunk = chunk_at(file, at).ok_or("its PNG chunks are damaged")?;
            at = chunk.whole.end;
            chunks.push(chunk);
        }
        Ok(Self { file, chunks })
    }

    fn carriers(&self) -> Result<Carriers, Problem> {
        let xmp = self.find_text(XMP).map(|i| self.text(i)).transpose()?;
        let xmp = xmp.map(String::from_utf8).transpose().map_err(|_| "its XMP is not UTF-8")?;
        let iptc = self.find_text(IPTC).map(|i| from_raw_profile(&self.text(i)?)).transpose()?;
        let text = self.find_text(DESCRIPTION).map(|i| self.text(i)).transpose()?;
        let exif = self.find_exif().map(|i| self.file[self.chunks[i].content.clone()].to_vec());
        Ok(Carriers { xmp, exif, iptc, text: text.map(|text| String::from_utf8_lossy(&text).into_owned()) })
    }

    fn with(&self, carriers: &Carriers) -> Result<Vec<u8>, Problem> {
        let mut replaced = vec![None; self.chunks.len()];
        let mut inserted = Vec::new();
        let mut put = |place: Option<usize>, chunk: Vec<u8>| match place {
            Some(i) => replaced[i] = Some(chunk),
            None => inserted.extend(chunk),
        };
        if let Some(exif) = &carriers.exif {
            put(self.find_exif(), encode(*b"eXIf", exif));
        }
        if let Some(xmp) = &carriers.xmp {
            put(self.find_text(XMP), international_text(XMP, xmp));
        }
        if let Some(iptc) = &carriers.iptc {
            put(self.find_text(IPTC), encode(*b"tEXt", &[IPTC, b"\0", &to_raw_profile(iptc)].concat()));
        }
        if let Some(text) = &carriers.text {
            put(self.find_text(DESCRIPTION), international_text(DESCRIPTION, text));
        }
        let mut file = self.file[..SIGNATURE].to_vec();
        for (i, (chunk, new)) in self.chunks.iter().zip(&replaced).enumerate() {
            file.extend(new.as_deref().unwrap_or(&self.file[chunk.whole.clone()]));
            if i == 0 {
                file.extend(&inserted);
            }
        }
        file.extend(&self.file[self.chunks.last().map_or(SIGNATURE, |chunk| chunk.whole.end)..]);
        Ok(file)
    }
}

impl Png<'_> {
    fn find_exif(&self) -> Option<usize> {
        self.chunks.iter().position(|chunk| chunk.kind == *b"eXIf")
    }

    /// The text chunk, of any of the three kinds, with this keyword.
    fn find_text(&self, keyword: &[u8]) -> Option<usize> {
        self.chunks.iter().position(|chunk| {
            let content = &self.file[chunk.content.clone()];
            let is_text = matches!(&chunk.kind, b"tEXt" | b"zTXt" | b"iTXt");
            is_text && content.strip_prefix(keyword).is_some_and(|rest| rest.first() == Some(&0))
        })
    }

    /// The text of a text chunk.
    fn text(&self, i: usize) -> Result<Vec<u8>, Problem> {
        let chunk = &self.chunks[i];
        let content = &self.file[chunk.content.clone()];
        let text = split_text(&chunk.kind, content).ok_or("its PNG text is damaged")?;
        match text {
            (text, false) => Ok(text.into()),
            (text, true) => {
                let inflated = decompress_to_vec_zlib_with_limit(text, MAX_TEXT);
                inflated.map_err(|_| "its compressed PNG text is damaged".into())
            }
        }
    }
}

/// The text of a chunk behind its keyword, and whether it is compressed.
fn split_text<'a>(kind: &[u8; 4], content: &'a [u8]) -> Option<(&'a [u8], bool)> {
    let after_zero = |bytes: &'a [u8]| Some(&bytes[bytes.iter().position(|byte| *byte == 0)? + 1..]);
    let rest = after_zero(content)?;
    match kind {
        b"tEXt" => Some((rest, false)),
        b"zTXt" => Some((rest.get(1..)?, true)),
        _ => {
            let is_compressed = *rest.first()? == 1;
            after_zero(after_zero(rest.get(2..)?)?).map(|text| (text, is_compressed))
        }
    }
}

fn chunk_at(file: &[u8], at: usize) -> Option<Chunk> {
    let [a, b, c, d, kind @ ..]: [u8; 8] = *file.get(at..)?.first_chunk()?;
    let start = at + 8;
    let end = start.checked_add(u32::from_be_bytes([a, b, c, d]) as usize)?;
    let whole = at..end.checked_add(4)?;
    (whole.end <= file.len()).then_some(Chunk { kind, whole, content: start..end })
}

fn encode(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&kind);
    crc.update(content);
    [&(content.len() as u32).to_be_bytes(), &kind, content, &crc.finalize().to_be_bytes()].concat()
}

fn international_text(keyword: &[u8], text: &str) -> Vec<u8> {
    encode(*b"iTXt", &[keyword, b"\0\0\0\0\0", text.as_bytes()].concat())
}

/// ImageMagick's form: name, length, and the bytes in hexadecimal, 36 a line.
fn to_raw_profile(profile: &[u8]) -> Vec<u8> {
    let mut text = format!("\niptc\n{:8}", profile.len());
    for line in profile.chunks(36) {
        text.push('\n');
        text.extend(line.iter().map(|byte| format!("{byte:02x}")));
    }
    text.push('\n');
    text.into_bytes()
}

fn from_raw_profile(text: &[u8]) -> Result<Vec<u8>, Problem> {
    let damaged = || Problem::from("its IPTC profile is damaged");
    let text = std::str::from_utf8(text).map_err(|_| damaged())?;
    let mut words = text.split_ascii_whitespace();
    let len: usize = words.nth(1).and_then(|len| len.parse().ok()).ok_or_else(damaged)?;
    let digits: Vec<u8> = words.flat_map(str::bytes).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let profile: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    profile.filter(|profile| profile.len() == len).ok_or_else(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let compressed = miniz_oxide::deflate::compress_to_vec_zlib(b"Grandma", 6);
        let chunks = [
            encode(*b"IHDR", &[0; 13]),
            encode(*b"zTXt", &[b"Description\0\0", &compressed[..]].concat()),
            encode(*b"IDAT", b"pixels"),
            encode(*b"IEND", b""),
        ];
        [b"\x89PNG\r\n\x1a\n", &chunks.concat()[..], b"trailer"].concat()
    }

    #[test]
    fn all_but_the_new_chunks_stays_byte_for_byte() {
        let old = file();
        let png = Png::parse(&old).unwrap();
        assert_eq!(png.carriers().unwrap(), Carriers { text: Some("Grandma".into()), ..Carriers::default() });
        let carriers = Carriers {
            xmp: Some("<x/>".into()),
            exif: Some(vec![1, 2]),
            iptc: Some((0..99).collect()),
            text: Some("Grandma".into()),
        };
        let new = png.with(&Carriers { text: None, ..carriers.clone() }).unwrap();
        assert_eq!(Png::parse(&new).unwrap().carriers().unwrap(), carriers);
        let header = png.chunks[0].whole.end;
        let added = new.len() - old.len();
        assert_eq!((&new[..header], &new[header + added..]), (&old[..header], &old[header..]));
    }

    #[test]
    fn a_file_cut_anywhere_is_damaged() {
        let file = file();
        let end = file.len() - b"trailer".len();
        assert!((SIGNATURE..end).all(|len| Png::parse(&file[..len]).is_err()));
    }
}
