//! The bits of a scan: a window on the entropy-coded data, with the stuffed zeros taken out.

/// Bytes of the window, and how many of them the largest unit may take: ten blocks (T.81, B.2.3) of 64 coefficients, each of
/// at most 16 bits of code and 15 of value.
const WINDOW: usize = 8192;
const UNIT: usize = 10 * 64 * 31 / 8;

/// Bytes that are looked at from the last one of a unit on.
const AHEAD: usize = 8;

/// Reads bits, the first one of a byte on top.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize, // in `data`, behind what is in the window
    window: Box<[u8; WINDOW]>,
    filled: usize,
    next: usize, // in `window`, behind what is held
    held: Held,
    is_at_marker: bool,
}

/// The next bits, the first one on top: to be worked on as a copy, which the compiler keeps in registers.
#[derive(Clone, Copy, Default)]
pub(super) struct Held {
    bits: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        let window = Box::new([0; WINDOW]);
        Self { data, at: 0, window, filled: 0, next: 0, held: Held::default(), is_at_marker: false }
    }

    /// Makes room for the next unit; to be called before each.
    #[inline]
    pub fn start_unit(&mut self) {
        if self.filled - self.next.min(self.filled) < UNIT + AHEAD && !self.is_at_marker {
            self.slide();
        }
    }

    /// Moves what is left to the front of the window, and fills the rest; behind a marker's place it holds zeros.
    #[cold]
    fn slide(&mut self) {
        self.window.copy_within(self.next..self.filled, 0);
        self.filled -= self.next;
        self.next = 0;
        while self.filled < WINDOW - UNIT - AHEAD {
            let rest = &self.data[self.at..];
            let room = WINDOW - UNIT - AHEAD - self.filled;
            let plain = memchr::memchr(0xFF, &rest[..rest.len().min(room)]);
            let len = plain.unwrap_or(rest.len().min(room));
            self.window[self.filled..self.filled + len].copy_from_slice(&rest[..len]);
            self.filled += len;
            self.at += len;
            if rest.get(len..len + 2) == Some(&[0xFF, 0x00]) {
                self.window[self.filled] = 0xFF;
                self.filled += 1;
                self.at += 2;
            } else if plain.is_some() || len == rest.len() {
                self.is_at_marker = true;
                self.window[self.filled..].fill(0);
                return;
            }
        }
    }

    /// The next 56 bits or more, those behind the data being zeros; `None` behind the window.
    #[inline]
    pub fn fill(&mut self) -> Option<Held> {
        let bytes = self.window.get(self.next..)?.first_chunk()?;
        let Held { bits, count } = self.held;
        self.next += (63 - count as usize) / 8;
        self.held = Held { bits: bits | u64::from_be_bytes(*bytes) >> count, count: count | 56 };
        Some(self.held)
    }

    /// Goes on with what is left of the bits that [`fill`](Self::fill) gave last.
    #[inline]
    pub fn take_back(&mut self, left: Held) {
        self.held = left;
    }

    /// Goes on behind the next marker, if the data end here and `is_expected` says so of its code.
    pub fn pass_marker(&mut self, is_expected: impl Fn(u8) -> bool) -> Option<()> {
        self.start_unit();
        let left = (self.filled * 8).checked_sub(self.next * 8 - self.held.count as usize)?;
        let [0xFF, code, ..] = self.data[self.at..] else { return None };
        if left >= 8 || !self.is_at_marker || !is_expected(code) {
            return None;
        }
        self.at += 2;
        (self.filled, self.next, self.held, self.is_at_marker) = (0, 0, Held::default(), false);
        Some(())
    }
}

impl Held {
    /// The next `count` bits, 1 to 32.
    #[inline]
    pub fn peek(self, count: u32) -> usize {
        (self.bits >> (64 - count)) as usize
    }

    /// Goes on by `count` bits, of those that are held.
    #[inline]
    pub fn skip(&mut self, count: u32) {
        self.bits <<= count;
        self.count = self.count.wrapping_sub(count);
    }

    /// The value of `size` bits, 0 to 15, in JPEG's form: those that begin with 0 are negative.
    #[inline]
    pub fn signed(&mut self, size: u32) -> i32 {
        let bits = (self.bits >> 1 >> (63 - size)) as i32;
        let is_negative = (self.bits >> 63) as i32 - 1;
        self.skip(size);
        bits + (is_negative & (1 - (1 << size)))
    }
}
