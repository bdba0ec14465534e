//! The coefficients of one block: those that are wanted read, the others passed over.

use super::bits::Bits;
use super::huffman::{END_OF_BLOCK, Skips, Table};

/// The order in which coefficients are coded (T.81, figure A.6).
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// How the blocks of one component are coded.
pub(super) struct Coding<'a> {
    pub dc: &'a Table,
    pub ac: &'a Table,
    pub skips: &'a Skips,
    pub quantization: &'a [i32; 64], // in zigzag order
    pub wanted: usize,               // coefficients from the first, in zigzag order
}

/// How many coefficients in zigzag order hold the lowest `across` x `down`.
pub(super) fn wanted(across: usize, down: usize) -> usize {
    let is_inside = |place: &u8| usize::from(place % 8) < across && usize::from(place / 8) < down;
    ZIGZAG.iter().rposition(is_inside).map_or(0, |last| last + 1)
}

impl Coding<'_> {
    /// Reads one block's wanted coefficients, dequantized, in their natural order, into zeros; `None` if it is damaged.
    #[inline]
    pub fn read(&self, bits: &mut Bits, predictor: &mut i32, coefficients: &mut [i32; 64]) -> Option<()> {
        bits.fill()?;
        let code = self.dc.next(bits)?;
        bits.skip(code.len);
        if code.symbol > 11 {
            return None;
        }
        *predictor = predictor.wrapping_add(bits.signed(u32::from(code.symbol)));
        coefficients[0] = predictor.wrapping_mul(self.quantization[0]);
        let mut k = 1;
        while k < self.wanted {
            bits.fill()?;
            let code = self.ac.next(bits)?;
            bits.skip(code.len);
            if code.symbol == 0 {
                return Some(());
            }
            k += usize::from(code.symbol >> 4);
            let value = bits.signed(u32::from(code.symbol & 15));
            let place = usize::from(*ZIGZAG.get(k)?);
            coefficients[place] = value.wrapping_mul(self.quantization[k]);
            k += 1;
        }
        self.pass(bits, k)
    }

    /// Passes over the coefficients from `k` to the end of the block.
    #[inline]
    fn pass(&self, bits: &mut Bits, mut k: usize) -> Option<()> {
        while k < 64 {
            bits.fill()?;
            let (passed, len) = self.skips.next(bits);
            let next = k + passed;
            if next < 64 && len > 0 {
                bits.skip(len);
                k = next;
            } else if len > 0 && (next == 64 || (END_OF_BLOCK + k..END_OF_BLOCK + 64).contains(&next)) {
                bits.skip(len);
                return Some(());
            } else {
                k = self.pass_one(bits, k)?;
            }
        }
        (k == 64).then_some(())
    }

    #[cold]
    fn pass_one(&self, bits: &mut Bits, k: usize) -> Option<usize> {
        let code = self.ac.next(bits)?;
        bits.skip(code.len + u32::from(code.symbol & 15));
        Some(if code.symbol == 0 { 64 } else { k + usize::from(code.symbol >> 4) + 1 })
    }
}
