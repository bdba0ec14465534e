//! Any bytes as a picture file: decoded whole and at a fraction of its size, and what decodes is preprocessed by every filter.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use scenescribe::{Frame, PictureReader, Preprocessor};
use scenescribe_fuzz::{png, preprocessors, start, within};

static PREPROCESSORS: LazyLock<Vec<Preprocessor>> = LazyLock::new(preprocessors);

/// What `scenescribe::limits` allow: 64 megapixels of eight bytes, made into RGB by way of RGBA.
const BUDGET: usize = (8 + 4 + 3) << 26;

/// Pictures of more take their time, and are preprocessed by one filter.
const MANY_PIXELS: u64 = 1 << 22;

fuzz_target!(init: start(), |file: &[u8]| {
    LazyLock::force(&PREPROCESSORS);
    within(BUDGET, || decode(file));
    if png::is_png(file) {
        let mut repaired = file.to_vec();
        png::repair(&mut repaired);
        within(BUDGET, || decode(&repaired));
    }
});

fn decode(file: &[u8]) {
    let whole = read(PictureReader::new(), file);
    let scaled = read(PictureReader::for_encoder(PREPROCESSORS[0].spec()), file);
    if let (Some(whole), Some(scaled)) = (whole, scaled) {
        assert!(scaled.0 <= whole.0 && scaled.1 <= whole.1, "{scaled:?} of {whole:?}");
    }
}

/// Width and height of the picture, if it is one.
fn read(mut reader: PictureReader, file: &[u8]) -> Option<(u32, u32)> {
    match reader.read_from(file, Path::new("a picture")) {
        Ok(frame) => {
            let is_large = u64::from(frame.width()) * u64::from(frame.height()) > MANY_PIXELS;
            let preprocessors = PREPROCESSORS.iter().take(if is_large { 1 } else { PREPROCESSORS.len() });
            preprocessors.for_each(|preprocessor| preprocess(preprocessor, &frame));
            Some((frame.width(), frame.height()))
        }
        Err(error) => {
            assert!(error.to_string().contains("a picture"), "{error}");
            None
        }
    }
}

fn preprocess(preprocessor: &Preprocessor, frame: &Frame) {
    let mut pixels = vec![f32::NAN; preprocessor.output_len()];
    preprocessor.run(frame, &mut preprocessor.buffers(), &mut pixels);
    assert!(pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel)), "{pixels:?}");
}
