//! PNG files with the right checksums, as a mutation alone never has them.

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1A\n";

/// Whether a file begins as a PNG does.
pub fn is_png(file: &[u8]) -> bool {
    file.starts_with(SIGNATURE)
}

/// Sets the checksum of every chunk right, as far as the lengths lead.
pub fn repair(file: &mut [u8]) {
    let mut at = SIGNATURE.len();
    while let Some(header) = file.get(at..at + 8) {
        let len = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let Some(sum) = file.get(at + 4..at + 8 + len).map(crc32fast::hash) else { return };
        let end = at + 8 + len;
        let Some(place) = file.get_mut(end..end + 4) else { return };
        place.copy_from_slice(&sum.to_be_bytes());
        at = end + 4;
    }
}

/// A chunk.
pub fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let named = [&kind[..], content].concat();
    [&(content.len() as u32).to_be_bytes()[..], &named, &crc32fast::hash(&named).to_be_bytes()].concat()
}

/// A picture of 4 x 4 grey pixels with these chunks before its pixels.
pub fn picture(chunks: &[u8]) -> Vec<u8> {
    let header = chunk(b"IHDR", &[0, 0, 0, 4, 0, 0, 0, 4, 8, 0, 0, 0, 0]);
    let pixels: Vec<u8> = (0..4 * 5).map(|i| if i % 5 == 0 { 0 } else { 12 * i }).collect();
    let pixels = chunk(b"IDAT", &miniz_oxide::deflate::compress_to_vec_zlib(&pixels, 1));
    [SIGNATURE, &header, chunks, &pixels, &chunk(b"IEND", &[])].concat()
}
