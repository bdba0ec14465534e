//! `scenescribe inspect --fingerprint`: what the encoder gives for a picture as one number, to compare machines by.

use std::fmt::Write as _;
use std::path::PathBuf;

use scenescribe::{Captioner, Features, PictureReader, Result};

/// A line for each picture: hash of the encoder's outputs, tokens of the caption, path.
///
/// # Errors
/// The first picture that cannot be read or captioned.
pub fn lines(captioner: &mut Captioner, photos: &[PathBuf]) -> Result<String> {
    let mut reader = PictureReader::new();
    let mut pixels = vec![0.0; captioner.model().preprocessor.output_len()]; // (3, height, width), normalised
    let mut buffers = captioner.model().preprocessor.buffers();
    let mut lines = String::new();
    for photo in photos {
        let frame = reader.read(photo)?;
        let tokens = captioner.caption(&frame)?.tokens.clone();
        let model = captioner.model_mut();
        model.preprocessor.run(&frame, &mut buffers, &mut pixels);
        let names: Vec<String> = model.encoder.outputs().iter().map(|port| port.name.clone()).collect();
        let hash = hash(model.encoder.run(&pixels)?, &names);
        let _ = writeln!(lines, "{hash:016x}\t{tokens:?}\t{}", photo.display());
    }
    Ok(lines)
}

/// FNV-1a, 64 bits, over the bytes of all outputs in their order.
fn hash(features: &Features, names: &[String]) -> u64 {
    let elements = names.iter().filter_map(|name| features.get(name)).flat_map(|(_, elements)| elements);
    elements
        .flat_map(|element| element.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
