//! What a photo looks like in 64 bits, to find the others of a burst.
//!
//! The difference hash: of 9 x 8 fields of the picture, mean brightness each, whether each is brighter than its right
//! neighbour. Photos of one burst differ in few bits, others in about 32.

use crate::frame::Frame;

const COLUMNS: usize = 9;
const ROWS: usize = 8;

/// The hash of a picture.
pub(crate) fn look(frame: &Frame) -> u64 {
    let fields = fields(frame);
    let bits = fields.iter().flat_map(|row| row.windows(2)).map(|pair| u64::from(pair[0] > pair[1]));
    bits.fold(0, |look, bit| look << 1 | bit)
}

/// In how many bits two looks differ.
pub(crate) fn distance(a: u64, b: u64) -> u32 {
    (a ^ b).count_ones()
}

/// Mean brightness of each field (Rec. 601 luma in 1/1000); a picture smaller than the fields repeats its pixels.
fn fields(frame: &Frame) -> [[u64; COLUMNS]; ROWS] {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let span = |i: usize, count: usize, len: usize| {
        let start = i * len / count;
        start..((i + 1) * len / count).max(start + 1)
    };
    let mut fields = [[0; COLUMNS]; ROWS];
    for (y, row) in fields.iter_mut().enumerate() {
        for (x, field) in row.iter_mut().enumerate() {
            let (columns, rows) = (span(x, COLUMNS, width), span(y, ROWS, height));
            let count = (columns.len() * rows.len()) as u64;
            let sum: u64 = rows.map(|y| brightness(&frame.row(y)[columns.start * 3..columns.end * 3])).sum();
            *field = sum / count;
        }
    }
    fields
}

fn brightness(pixels: &[u8]) -> u64 {
    let luma = |rgb: &[u8]| 299 * u64::from(rgb[0]) + 587 * u64::from(rgb[1]) + 114 * u64::from(rgb[2]);
    pixels.chunks_exact(3).map(luma).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slanting waves of light that depend on `seed`, moved by `shift` pixels.
    fn picture(seed: u32, shift: u32, width: u32, height: u32) -> Vec<u8> {
        let value = |x: u32, y: u32| {
            let (across, down) = ((x + shift) as f32 / width as f32, y as f32 / height as f32);
            let phase = 9.0 * across + 5.0 * down * seed as f32 + seed as f32;
            (127.0 + 100.0 * phase.sin()) as u8
        };
        (0..height).flat_map(|y| (0..width).flat_map(move |x| [value(x, y); 3])).collect()
    }

    fn look_of(seed: u32, shift: u32, width: u32, height: u32) -> u64 {
        look(&Frame::new(width, height, &picture(seed, shift, width, height)).unwrap())
    }

    #[test]
    fn a_burst_looks_alike_and_others_do_not() {
        let first = look_of(1, 0, 320, 240);
        assert!(distance(first, look_of(1, 2, 320, 240)) <= 4, "moved");
        assert!(distance(first, look_of(1, 0, 640, 480)) <= 4);
        assert!(distance(first, look_of(2, 0, 320, 240)) > 10);
    }

    #[test]
    fn the_smallest_picture_has_a_look() {
        assert_eq!(look_of(1, 0, 1, 1), 0);
    }
}
