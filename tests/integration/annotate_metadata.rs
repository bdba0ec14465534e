//! `scenescribe annotate` beside and inside photos.

use std::fs;
use std::path::Path;
use std::process::Command;

use image::ImageFormat;
use tempfile::TempDir;

use crate::annotate::{annotate, path, records};
use crate::support::*;

const SQUARE: &str = "a large red square";

/// `a.jpg`, `b.png` and `c.bmp`, the same square.
fn three_photos() -> TempDir {
    let library = folder();
    for (name, format) in [("a.jpg", ImageFormat::Jpeg), ("b.png", ImageFormat::Png), ("c.bmp", ImageFormat::Bmp)] {
        file(&library, name, &encoded(&square(64), format));
    }
    library
}

fn read(folder: &TempDir, name: &str) -> String {
    fs::read_to_string(folder.path().join(name)).unwrap()
}

#[test]
fn sidecars_stand_beside_each_photo_and_tell_what_is_done() {
    let library = three_photos();
    let photos = library.path().to_str().unwrap();
    let arguments = ["--sidecar", "xmp", "--sidecar", "txt", "--progress", "plain", photos];
    assert!(annotate(&arguments).status.success());
    for name in ["a.jpg", "b.png", "c.bmp"] {
        assert!(read(&library, &format!("{name}.txt")).starts_with(SQUARE));
        let xmp = read(&library, &format!("{name}.xmp"));
        assert!(xmp.contains("<dc:description>") && xmp.contains(SQUARE) && xmp.contains("scenescribe:ModelHash"));
    }
    let again = annotate(&arguments);
    assert!(stderr(&again).contains("0 captioned, 0 like another, 3 done before"), "{}", stderr(&again));
    fs::remove_file(library.path().join("b.png.xmp")).unwrap();
    let again = annotate(&arguments);
    assert!(stderr(&again).contains("1 captioned, 0 like another, 2 done before"), "{}", stderr(&again));
    assert_eq!(fs::read_dir(library.path()).unwrap().count(), 9, "no temporary file is left");
}

#[test]
fn a_persons_words_stay_until_they_may_be_replaced() {
    let library = three_photos();
    let photos = library.path().to_str().unwrap();
    fs::write(library.path().join("a.txt"), "Grandma's dog\n").unwrap();
    let jsonl = path(&library, "out.jsonl");
    let arguments = ["--sidecar", "txt", "--sidecar-name", "stem", "--jsonl", &jsonl, photos];
    annotate(&arguments);
    assert_eq!(read(&library, "a.txt"), "Grandma's dog\n");
    assert!(read(&library, "b.txt").starts_with(SQUARE));
    let whose: Vec<_> = records(Path::new(&jsonl)).iter().map(|record| record["txt"].clone()).collect();
    assert_eq!(whose, ["human", "ours", "ours"]);
    annotate(&[&["--overwrite", "human"], &arguments[..]].concat());
    assert!(read(&library, "a.txt").starts_with(SQUARE));
    assert_eq!(records(Path::new(&jsonl)).len(), 4, "only the one is done again");
    // Another model refreshes what is ours, and nothing else.
    fs::write(library.path().join("b.txt"), "my square\n").unwrap();
    let before = read(&library, "c.txt");
    annotate(&[&["--beam", "1"], &arguments[..]].concat());
    assert_eq!(read(&library, "b.txt"), "my square\n");
    assert_ne!(read(&library, "c.txt"), before);
}

#[test]
fn captions_inside_photos_leave_the_pixels_as_they_are() {
    let library = three_photos();
    let photo = |name: &str| library.path().join(name);
    let [jpeg, png] = ["a.jpg", "b.png"].map(|name| fs::read(photo(name)).unwrap());
    let mtime = fs::metadata(photo("a.jpg")).unwrap().modified().unwrap();
    let jsonl = path(&library, "out.jsonl");
    let arguments = ["--embed", "--keep-mtime", "--jsonl", &jsonl, library.path().to_str().unwrap()];
    let output = annotate(&arguments);
    assert_eq!(output.status.code(), Some(1), "no caption can be put into a BMP");
    assert!(stderr(&output).contains("ask for a sidecar"), "{}", stderr(&output));
    let scan = |bytes: &[u8]| bytes.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    let new = fs::read(photo("a.jpg")).unwrap();
    assert_eq!(new[scan(&new)..], jpeg[scan(&jpeg)..]);
    assert_eq!(fs::metadata(photo("a.jpg")).unwrap().modified().unwrap(), mtime);
    let new = fs::read(photo("b.png")).unwrap();
    assert!(new.ends_with(&png[33..]), "all behind the header stays");
    for bytes in [&new, &fs::read(photo("a.jpg")).unwrap()] {
        assert!(bytes.windows(SQUARE.len()).any(|window| window == SQUARE.as_bytes()));
    }
    let before = records(Path::new(&jsonl));
    assert!(before[2]["caption"].is_string() && before[2]["error"].is_string());
    annotate(&arguments);
    assert_eq!(records(Path::new(&jsonl)), before, "the changed photos are known again");
    assert_eq!(fs::read(photo("b.png")).unwrap(), new);
}

#[test]
fn exiftool_reads_the_captions_back_where_there_is_one() {
    let Ok(version) = Command::new("exiftool").arg("-ver").output() else { return };
    assert!(version.status.success());
    let library = three_photos();
    fs::remove_file(library.path().join("c.bmp")).unwrap();
    annotate(&["--embed", "--sidecar", "xmp", library.path().to_str().unwrap()]);
    for (name, tags) in [
        ("a.jpg", &["-XMP-dc:Description", "-EXIF:ImageDescription", "-IPTC:Caption-Abstract"][..]),
        ("b.png", &["-XMP-dc:Description", "-EXIF:ImageDescription", "-IPTC:Caption-Abstract"]),
        ("a.jpg.xmp", &["-XMP-dc:Description"]),
    ] {
        let read = Command::new("exiftool").arg("-s3").args(tags).arg(library.path().join(name)).output().unwrap();
        let captions = String::from_utf8(read.stdout).unwrap();
        assert_eq!(captions.lines().count(), tags.len(), "{name}: {captions}");
        assert!(captions.lines().all(|caption| caption.starts_with(SQUARE)), "{name}: {captions}");
    }
}

#[test]
fn a_sidecar_that_is_no_xmp_is_left_alone() {
    let library = three_photos();
    fs::write(library.path().join("a.jpg.xmp"), "not XML").unwrap();
    let output = annotate(&["--sidecar", "xmp", library.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("a.jpg.xmp stays as it is"), "{}", stderr(&output));
    assert_eq!(read(&library, "a.jpg.xmp"), "not XML");
    assert!(read(&library, "b.png.xmp").contains(SQUARE));
}

#[test]
fn a_contact_sheet_is_one_page_with_all_in_it() {
    let library = three_photos();
    fs::write(library.path().join("d<b>.jpg"), "no picture").unwrap();
    let (jsonl, html) = (path(&library, "out.jsonl"), path(&library, "sheet.html"));
    for _ in 0..2 {
        annotate(&["--jsonl", &jsonl, "--html", &html, library.path().to_str().unwrap()]);
        let page = fs::read_to_string(&html).unwrap();
        assert_eq!(page.matches("<img loading=lazy alt=\"\" src=\"data:image/jpeg;base64,").count(), 3);
        assert_eq!(page.matches(&format!("<b>{SQUARE}")).count(), 3);
        assert_eq!(page.matches("<figure class=failed").count(), 1);
        assert!(page.contains("d&lt;b&gt;.jpg is not a picture") && !page.contains("d<b>"));
        assert!(!page.contains("http://") && !page.contains("https://"), "it asks for nothing");
        assert!(page.trim_end().ends_with("</html>"));
    }
}
