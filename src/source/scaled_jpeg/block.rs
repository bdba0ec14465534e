//! The coefficients of one block: those that are wanted read, the others passed over.

use super::bits::{Bits, Held};
use super::huffman::{END_OF_BLOCK, SKIP_BITS, Skips, Table};

/// The order in which coefficients are coded (T.81, figure A.6).
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// Lookups of several coefficients, of [`SKIP_BITS`] at most each, that the bits of one filling are enough for.
const HELD_LOOKUPS: u32 = 56 / SKIP_BITS;

/// How the blocks of one component are coded.
pub(super) struct Coding<'a> {
    pub dc: &'a Table,
    pub ac: &'a Table,
    pub skips: &'a Skips,
    pub quantization: &'a [i32; 64], // in zigzag order
    pub wanted: Wanted,
}

/// Which coefficients are wanted.
pub(super) struct Wanted {
    count: usize,     // from the first, in zigzag order
    places: [u8; 64], // of each in zigzag order; those that are not wanted share the last one
}

impl Wanted {
    /// The lowest `across` x `down`.
    pub fn lowest(across: usize, down: usize) -> Self {
        let is_inside = |place: &u8| usize::from(place % 8) < across && usize::from(place / 8) < down;
        let count = ZIGZAG.iter().rposition(is_inside).map_or(0, |last| last + 1);
        Self { count, places: ZIGZAG.map(|place| if is_inside(&place) { place } else { 63 }) }
    }
}

impl Coding<'_> {
    /// Reads one block's wanted coefficients, dequantized, in their natural order, into zeros, and says whether there is but
    /// the first; `None` if the block is damaged.
    #[inline]
    pub fn read(&self, bits: &mut Bits, predictor: &mut i32, coefficients: &mut [i32; 64]) -> Option<bool> {
        let mut held = bits.fill()?;
        let code = self.dc.next(held)?;
        held.skip(code.len);
        if code.symbol > 11 {
            return None;
        }
        *predictor = predictor.wrapping_add(held.signed(u32::from(code.symbol)));
        bits.take_back(held);
        coefficients[0] = predictor.wrapping_mul(self.quantization[0]);
        let mut k = 1;
        while k < self.wanted.count {
            let mut held = bits.fill()?;
            let code = self.ac.next(held)?;
            held.skip(code.len);
            if code.symbol == 0 {
                bits.take_back(held);
                return Some(k == 1);
            }
            k += usize::from(code.symbol >> 4);
            let value = held.signed(u32::from(code.symbol & 15));
            bits.take_back(held);
            let place = usize::from(*self.wanted.places.get(k)?);
            coefficients[place] = value.wrapping_mul(self.quantization[k]);
            k += 1;
        }
        self.pass(bits, k).map(|()| false)
    }

    /// Passes over the coefficients from `k` to the end of the block.
    #[inline]
    fn pass(&self, bits: &mut Bits, mut k: usize) -> Option<()> {
        while k < 64 {
            let mut held = bits.fill()?;
            for _ in 0..HELD_LOOKUPS {
                let (passed, len) = self.skips.next(held);
                let next = k + passed;
                if next < 64 && len > 0 {
                    held.skip(len);
                    k = next;
                } else if len > 0 && (next == 64 || (END_OF_BLOCK + k..END_OF_BLOCK + 64).contains(&next)) {
                    held.skip(len);
                    bits.take_back(held);
                    return Some(());
                } else {
                    bits.take_back(held);
                    (held, k) = self.pass_one(bits.fill()?, k)?;
                    break;
                }
            }
            bits.take_back(held);
        }
        (k == 64).then_some(())
    }

    #[cold]
    fn pass_one(&self, mut held: Held, k: usize) -> Option<(Held, usize)> {
        let code = self.ac.next(held)?;
        held.skip(code.len + u32::from(code.symbol & 15));
        Some((held, if code.symbol == 0 { 64 } else { k + usize::from(code.symbol >> 4) + 1 }))
    }
}
