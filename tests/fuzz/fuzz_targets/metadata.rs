//! Captions put into pictures and sidecars: what is there already is made of the input, whole or of valid parts.
//!
//! The first byte chooses the place and how the file is made, the second what may be replaced; then a caption and the file
//! follow, in pieces (see `Input::pieces`).
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use scenescribe::PictureReader;
use scenescribe::annotate::{Metadata, Places, Record, Whose};
use scenescribe::limits::MAX_CAPTION_BYTES;
use scenescribe_fuzz::{Input, fixture, png, scratch, start, within};
use tempfile::TempDir;

/// A compressed PNG text of 16 MiB, a few times over.
const BUDGET: usize = 160 << 20;

static FOLDER: LazyLock<TempDir> = LazyLock::new(scratch);
static JPEG: LazyLock<Vec<u8>> =
    LazyLock::new(|| fs::read(fixture("pictures/cmyk.jpg")).expect("the fixture is there"));

fuzz_target!(init: start(), |input: &[u8]| {
    let mut input = Input(input);
    let (kind, flags, len) = (input.byte() % 6, input.byte(), input.byte());
    let caption = String::from_utf8_lossy(input.take(len.into())).into_owned();
    if caption.len() > MAX_CAPTION_BYTES {
        return;
    }
    let (photo, file) = (FOLDER.path().join("photo"), FOLDER.path().join("photo").with_extension(ending(kind)));
    let old = made(kind, input);
    fs::write(&file, &old).expect("the scratch folder can be written to");
    let metadata = Metadata {
        places: Places { xmp: kind == 4, txt: kind == 5, embedded: kind < 4 },
        is_named_by_stem: true,
        overwrites_ours: flags & 1 != 0,
        overwrites_human: flags & 2 != 0,
        keeps_mtime: flags & 4 != 0,
    };
    let target = if metadata.places.embedded { file.clone() } else { photo };
    within(BUDGET, || put(&metadata, &target, &file, &old, caption));
    let names = fs::read_dir(FOLDER.path()).expect("a readable folder");
    names.flatten().filter(|entry| entry.path() != file).for_each(|entry| panic!("{:?} is left behind", entry.path()));
    let _ = fs::remove_file(&file);
});

fn ending(kind: u8) -> &'static str {
    match kind {
        4 => "xmp",
        5 => "txt",
        _ => "picture",
    }
}

/// A caption that is put somewhere is found there as ours; what cannot be changed without harm is not changed.
fn put(metadata: &Metadata, photo: &Path, file: &Path, old: &[u8], caption: String) {
    let has_words = !caption.trim().is_empty();
    let mut record = Record {
        caption: Some(caption),
        confidence: Some(0.5),
        model: "tiny".into(),
        model_hash: "abc".into(),
        ..Record::default()
    };
    let read = || fs::read(file).expect("the file is still there");
    let is_written = metadata.write(photo, &mut record);
    let new = read();
    let whose = record.xmp.or(record.txt).or(record.embedded);
    if is_written.is_err() || whose == Some(Whose::Human) {
        assert!(new == old, "what is refused or a person's must stay as it is");
        return;
    }
    if metadata.places.embedded {
        assert_eq!(pixels(old), pixels(&new), "the picture must stay");
    }
    if !has_words {
        return;
    }
    let careful = Metadata { places: metadata.places, is_named_by_stem: true, ..Metadata::default() };
    let is_done = careful.is_done(photo, "abc");
    assert!(matches!(is_done, Ok(true)), "what was written must be found: {is_done:?}");
    let mut again = Record { xmp: None, txt: None, embedded: None, ..record.clone() };
    careful.write(photo, &mut again).expect("what was written can be read");
    assert_eq!(again.xmp.or(again.txt).or(again.embedded), Some(Whose::Ours));
    let keen = Metadata { overwrites_ours: true, ..careful };
    keen.write(photo, &mut again).expect("what was written can be written again");
    let third = read();
    keen.write(photo, &mut again).expect("what was written can be written again");
    assert!(read() == third, "the same caption again must change nothing");
}

/// The picture in a file, if it is one.
fn pixels(file: &[u8]) -> Option<Vec<u8>> {
    let mut reader = PictureReader::new();
    let frame = reader.read_from(file, Path::new("a picture")).ok()?;
    Some((0..frame.height() as usize).flat_map(|y| frame.row(y).to_vec()).collect())
}

fn made(kind: u8, input: Input) -> Vec<u8> {
    match kind {
        0 => jpeg(input),
        1 => png_picture(input),
        2 => {
            let mut file = input.0.to_vec();
            png::repair(&mut file);
            file
        }
        _ => input.0.to_vec(),
    }
}

/// A JPEG with a segment for each piece.
fn jpeg(input: Input) -> Vec<u8> {
    let segment = |(kind, content): (u8, &[u8])| {
        let (marker, name): (u8, &[u8]) = match kind & 15 {
            0 => (0xE0, b"JFIF\0"),
            1 => (0xE1, b"Exif\0\0"),
            2 => (0xE1, b"http://ns.adobe.com/xap/1.0/\0"),
            3 => (0xED, b"Photoshop 3.0\0"),
            4 => (0xE2, b"MPF\0"),
            5 => (0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0"),
            6 => (0xFE, b""),
            other => (0xE0 | other, b""),
        };
        let mut content = [name, content].concat();
        if kind & 15 == 5 {
            let len = (content.len() - name.len()) as u32;
            content.splice(name.len()..name.len(), len.to_be_bytes());
        }
        content.truncate(0xFFFD);
        [&[0xFF, marker], &(content.len() as u16 + 2).to_be_bytes()[..], &content].concat()
    };
    let segments: Vec<u8> = input.pieces().flat_map(segment).collect();
    [&JPEG[..2], &segments, &JPEG[2..]].concat()
}

/// A PNG with a chunk for each piece.
fn png_picture(input: Input) -> Vec<u8> {
    let chunk = |(kind, content): (u8, &[u8])| {
        let compressed = || miniz_oxide::deflate::compress_to_vec_zlib(content, 1);
        let text = |name: &[u8], rest: &[u8], content: &[u8]| [name, b"\0", rest, content].concat();
        match kind & 15 {
            0 => png::chunk(b"eXIf", content),
            1 => png::chunk(b"iTXt", &text(b"XML:com.adobe.xmp", b"\0\0\0\0", content)),
            2 => png::chunk(b"iTXt", &text(b"XML:com.adobe.xmp", b"\x01\0\0\0", &compressed())),
            3 => png::chunk(b"zTXt", &text(b"XML:com.adobe.xmp", b"\0", &compressed())),
            4 => png::chunk(b"tEXt", &text(b"Raw profile type iptc", b"", &raw_profile(content))),
            5 => png::chunk(b"zTXt", &text(b"Raw profile type iptc", b"\0", content)),
            6 => png::chunk(b"tEXt", &text(b"Description", b"", content)),
            7 => png::chunk(b"zTXt", content),
            8 => png::chunk(b"iTXt", content),
            _ => png::chunk(b"tEXt", content),
        }
    };
    png::picture(&input.pieces().flat_map(chunk).collect::<Vec<u8>>())
}

/// Image resources of which the content is the one for IPTC, in ImageMagick's form.
fn raw_profile(content: &[u8]) -> Vec<u8> {
    let resource = [b"8BIM\x04\x04\0\0", &(content.len() as u32).to_be_bytes()[..], content].concat();
    let hex: String = resource.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\niptc\n{:8}\n{hex}\n", resource.len()).into_bytes()
}
