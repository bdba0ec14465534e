//! The codes of a scan, as tables that are looked up by the next bits.

use super::bits::Held;

/// Bits that are looked up at once; longer codes are rare.
const LOOKUP_BITS: u32 = 10;

/// Bits of those lookups that pass over several coefficients: two or three of them in a photo's usual bits.
pub(super) const SKIP_BITS: u32 = 12;

/// One code, and how many bits it takes.
#[derive(Clone, Copy)]
pub(super) struct Code {
    pub symbol: u8,
    pub len: u32,
}

/// The codes of one table (T.81, annex C).
pub(super) struct Table {
    lookup: [u16; 1 << LOOKUP_BITS], // length << 8 | symbol; 0 for a longer code
    first_code: [i32; 17],           // of each length
    first_symbol: [i32; 17],
    counts: [i32; 17],
    symbols: [u8; 256],
}

impl Table {
    /// From the number of codes of each length and their symbols; `None` if they are no prefix code.
    pub fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            lookup: [0; 1 << LOOKUP_BITS],
            first_code: [0; 17],
            first_symbol: [0; 17],
            counts: [0; 17],
            symbols: [0; 256],
        };
        table.symbols.get_mut(..symbols.len())?.copy_from_slice(symbols);
        let (mut code, mut next) = (0usize, 0usize);
        for (len, count) in (1usize..).zip(counts) {
            (table.first_code[len], table.first_symbol[len]) = (code as i32, next as i32);
            table.counts[len] = i32::from(*count);
            for symbol in symbols.get(next..next + usize::from(*count))? {
                if code >= 1 << len {
                    return None;
                }
                if len <= LOOKUP_BITS as usize {
                    let spread = LOOKUP_BITS as usize - len;
                    table.lookup[code << spread..(code + 1) << spread].fill((len as u16) << 8 | u16::from(*symbol));
                }
                code += 1;
            }
            next += usize::from(*count);
            code <<= 1;
        }
        Some(table)
    }

    /// The next code, of which `bits` must hold 16 bits or more.
    #[inline]
    pub fn next(&self, bits: Held) -> Option<Code> {
        match self.lookup[bits.peek(LOOKUP_BITS)] {
            0 => self.long(bits.peek(16)),
            found => Some(Code { symbol: found as u8, len: u32::from(found >> 8) }),
        }
    }

    #[cold]
    fn long(&self, bits: usize) -> Option<Code> {
        self.search(bits, LOOKUP_BITS + 1)
    }

    /// The code of `least` bits or more at the front of 16 bits.
    fn search(&self, bits: usize, least: u32) -> Option<Code> {
        (least..=16).find_map(|len| {
            let i = len as usize;
            let nth = (bits >> (16 - len)) as i32 - self.first_code[i];
            let symbol = || self.symbols[(self.first_symbol[i] + nth) as usize];
            (0..self.counts[i]).contains(&nth).then(|| Code { symbol: symbol(), len })
        })
    }
}

/// How to pass over the coefficients that the next bits hold as a whole.
pub(super) struct Skips {
    lookup: Box<[u16; 1 << SKIP_BITS]>, // coefficients passed << 8 | bits; 0 bits if none is there as a whole
}

/// Passed by the end of a block, besides what comes before it.
pub(super) const END_OF_BLOCK: usize = 64;

impl Skips {
    /// Of a table for AC coefficients.
    pub fn new(table: &Table) -> Self {
        let mut lookup = Box::new([0; 1 << SKIP_BITS]);
        for (bits, entry) in lookup.iter_mut().enumerate() {
            *entry = skip(table, bits);
        }
        Self { lookup }
    }

    /// How many coefficients are passed, [`END_OF_BLOCK`] added for the end, and how many bits they take.
    #[inline]
    pub fn next(&self, bits: Held) -> (usize, u32) {
        let entry = self.lookup[bits.peek(SKIP_BITS)];
        (usize::from(entry >> 8), u32::from(entry & 0xFF))
    }
}

fn skip(table: &Table, bits: usize) -> u16 {
    let (mut passed, mut used) = (0, 0);
    loop {
        let rest = bits << used & ((1 << SKIP_BITS) - 1);
        let Some(code) = table.search(rest << (16 - SKIP_BITS), 1) else { break };
        let size = u32::from(code.symbol & 15);
        let step = usize::from(code.symbol >> 4) + 1;
        let len = used + code.len + size;
        if len > SKIP_BITS || passed + step >= END_OF_BLOCK {
            break;
        }
        used = len;
        if code.symbol == 0 {
            passed += END_OF_BLOCK;
            break;
        }
        passed += step;
        if used == SKIP_BITS {
            break;
        }
    }
    (passed as u16) << 8 | used as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passing over several coefficients at once ends where going code by code does.
    #[test]
    fn skips_pass_what_single_codes_pass() {
        // Codes of 2, 2, 3, 4, 5 and 12 bits: end of block, one bit, run of 2, sixteen zeros, ten bits, a long one.
        let symbols = [0x00, 0x01, 0x22, 0xF0, 0x0A, 0x11];
        let table = Table::new(&[0, 2, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0], &symbols).unwrap();
        let skips = Skips::new(&table);
        for (bits, entry) in skips.lookup.iter().enumerate() {
            let (mut passed, mut used) = (0, 0);
            while let Some(code) = table.search((bits << used & 0xFFF) << 4, 1) {
                let len = code.len + u32::from(code.symbol & 15);
                if used + len > SKIP_BITS || passed / END_OF_BLOCK > 0 {
                    break;
                }
                let step = if code.symbol == 0 { END_OF_BLOCK } else { usize::from(code.symbol >> 4) + 1 };
                (passed, used) = (passed + step, used + len);
            }
            assert_eq!((usize::from(entry >> 8), u32::from(entry & 0xFF)), (passed, used), "{bits:012b}");
        }
    }

    #[test]
    fn codes_longer_than_the_lookup_are_found() {
        let mut counts = [1; 16];
        counts[15] = 2;
        let symbols: Vec<u8> = (0..17).collect();
        let table = Table::new(&counts, &symbols).unwrap();
        for (len, symbol) in [(1, 0), (2, 1), (10, 9), (11, 10), (15, 14)] {
            let found = table.search(0xFFFF << (17 - len) & 0xFFFF, 1).unwrap();
            assert_eq!((found.symbol, found.len), (symbol, len), "{len}");
        }
        assert!(Table::new(&[3; 16], &[0; 48]).is_none(), "three codes of one bit");
    }
}
