//! Captions inside JPEG and PNG files: XMP `dc:description`, EXIF `ImageDescription`, IPTC `Caption-Abstract`.
//!
//! The three say the same, as the Metadata Working Group's guidelines ask; our mark stands in the XMP. The file is taken
//! apart into segments or chunks, and every one that holds none of the three is put back byte for byte, the pixels among
//! them. Formats other than JPEG and PNG are refused.

mod exif;
mod iptc;
mod jpeg;
mod png;

use super::metadata::{Found, Mark, Problem};
use super::xmp;

/// What a file carries besides its pixels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Carriers {
    xmp: Option<String>,
    exif: Option<Vec<u8>>, // a TIFF structure
    iptc: Option<Vec<u8>>, // Photoshop image resources
    text: Option<String>,  // PNG's own description
}

/// A file format, taken apart and put together.
trait Container<'a>: Sized {
    fn parse(file: &'a [u8]) -> Result<Self, Problem>;
    fn carriers(&self) -> Result<Carriers, Problem>;
    /// The file with these carriers; one that is `None` stays as it was.
    fn with(&self, carriers: &Carriers) -> Result<Vec<u8>, Problem>;
}

/// Whose caption a file carries.
pub(crate) fn find(file: &[u8]) -> Result<Found, Problem> {
    whose(&carriers(file)?)
}

/// The file with our caption in all places.
pub(crate) fn merge(file: &[u8], mark: &Mark) -> Result<Vec<u8>, Problem> {
    match format(file)? {
        Format::Jpeg => merge_into(jpeg::Jpeg::parse(file)?, mark),
        Format::Png => merge_into(png::Png::parse(file)?, mark),
    }
}

fn merge_into<'a>(container: impl Container<'a>, mark: &Mark) -> Result<Vec<u8>, Problem> {
    let old = container.carriers()?;
    let new = Carriers {
        xmp: Some(xmp::merge(old.xmp.as_deref().unwrap_or_default(), mark)?),
        exif: Some(exif::with_description(old.exif.as_deref(), mark.caption)?),
        iptc: Some(iptc::with_caption(old.iptc.as_deref(), mark.caption)?),
        text: old.text.map(|_| mark.caption.into()),
    };
    container.with(&new)
}

fn carriers(file: &[u8]) -> Result<Carriers, Problem> {
    match format(file)? {
        Format::Jpeg => jpeg::Jpeg::parse(file)?.carriers(),
        Format::Png => png::Png::parse(file)?.carriers(),
    }
}

enum Format {
    Jpeg,
    Png,
}

fn format(file: &[u8]) -> Result<Format, Problem> {
    match file {
        [0xFF, 0xD8, 0xFF, ..] => Ok(Format::Jpeg),
        [0x89, b'P', b'N', b'G', ..] => Ok(Format::Png),
        _ => Err("captions are put into JPEG and PNG files only, ask for a sidecar".into()),
    }
}

/// EXIF and IPTC have no room for a mark: what they hold is ours if it is what the XMP's mark says.
fn whose(carriers: &Carriers) -> Result<Found, Problem> {
    let xmp = carriers.xmp.as_deref().map(xmp::describe).transpose()?.unwrap_or_default();
    let exif = carriers.exif.as_deref().map(exif::description).transpose()?.flatten();
    let iptc = carriers.iptc.as_deref().map(iptc::caption).transpose()?.flatten();
    let all = [exif, iptc, carriers.text.clone()].into_iter().flatten().chain(xmp.texts);
    let mut texts = all.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).peekable();
    if texts.peek().is_none() {
        return Ok(Found::Nothing);
    }
    Ok(match xmp.mark {
        Some((caption, model_hash)) if texts.all(|text| text == caption) => Found::Ours { model_hash },
        _ => Found::Human,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{ImageFormat, RgbImage};

    use super::*;

    const MARK: Mark = Mark { caption: "a dog & a \"cat\"", confidence: 0.5, model: "tiny", model_hash: "abc" };

    fn picture(format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8, y as u8, 7])).write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_caption_comes_back_from_all_three_places_and_is_replaced_there() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png] {
            let plain = picture(format);
            assert_eq!(find(&plain), Ok(Found::Nothing));
            let once = merge(&plain, &MARK).unwrap();
            assert_eq!(find(&once), Ok(Found::Ours { model_hash: "abc".into() }), "{format:?}");
            let carriers = carriers(&once).unwrap();
            assert_eq!(exif::description(carriers.exif.as_deref().unwrap()).unwrap().as_deref(), Some(MARK.caption));
            assert_eq!(iptc::caption(carriers.iptc.as_deref().unwrap()).unwrap().as_deref(), Some(MARK.caption));
            assert_eq!(xmp::describe(carriers.xmp.as_deref().unwrap()).unwrap().texts, [MARK.caption]);
            let mut again = once.clone();
            for caption in ["a much longer caption about a dog that runs over a meadow", "cat", MARK.caption] {
                again = merge(&again, &Mark { caption, ..MARK }).unwrap();
                assert_eq!(find(&again), Ok(Found::Ours { model_hash: "abc".into() }), "{format:?}: {caption}");
            }
            assert_eq!(image::load_from_memory(&again).unwrap(), image::load_from_memory(&plain).unwrap());
        }
    }

    #[test]
    fn a_description_in_any_of_the_places_is_a_persons() {
        let exif = exif::with_description(None, "Grandma").unwrap();
        let iptc = iptc::with_caption(None, "Grandma").unwrap();
        let text = Some("Grandma".into());
        let none = Carriers::default;
        for human in [
            Carriers { exif: Some(exif), ..none() },
            Carriers { iptc: Some(iptc), ..none() },
            Carriers { text, ..none() },
        ] {
            assert_eq!(whose(&human), Ok(Found::Human), "{human:?}");
            let beside_ours = Carriers { xmp: Some(xmp::merge("", &MARK).unwrap()), ..human };
            assert_eq!(whose(&beside_ours), Ok(Found::Human));
        }
    }

    #[test]
    fn other_formats_are_refused_with_the_remedy() {
        for file in [&b"GIF89a"[..], b"", b"BM", b"RIFF"] {
            assert!(find(file).unwrap_err().contains("sidecar"));
        }
    }

    #[test]
    fn damaged_files_never_panic() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png] {
            let whole = merge(&picture(format), &MARK).unwrap();
            for seed in 0..4000usize {
                let mut damaged = whole.clone();
                for k in 0..3 {
                    let place = (seed * 7919 + k * 104_729) % damaged.len().min(1500);
                    damaged[place] = (seed * 31 + k * 17) as u8;
                }
                damaged.truncate(if seed % 3 == 0 { seed % whole.len() } else { whole.len() });
                let _ = (find(&damaged), merge(&damaged, &MARK));
            }
        }
    }
}
