//! Reading what is left of a frame, piece by piece.

/// Bytes that are taken from the front.
#[derive(Clone, Copy)]
pub struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    /// Takes `byte` if it comes next.
    pub fn take(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// Takes a decimal number: at least one digit, and no more than fit.
    pub fn number(&mut self) -> Option<u64> {
        let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(length);
        self.0 = rest;
        let push = |value: u64, digit: &u8| value.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
        if digits.is_empty() { None } else { digits.iter().try_fold(0, push) }
    }

    /// Takes a decimal number in \[0, 1\] with or without a fraction. Digits beyond the ninth decimal say nothing.
    pub fn fraction(&mut self) -> Option<f32> {
        let whole = self.number()?;
        let mut billionths = 0;
        if self.take(b'.').is_some() {
            let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let mut padded = [b'0'; 9];
            let used = digits.min(9);
            padded[..used].copy_from_slice(&self.0[..used]);
            billionths = Cursor(&padded).number()?;
            self.0 = &self.0[digits..];
            if digits == 0 {
                return None;
            }
        }
        let value = whole.checked_mul(1_000_000_000)?.checked_add(billionths)?;
        (value <= 1_000_000_000).then(|| value as f32 / 1e9)
    }
}

/// The value of two hexadecimal digits.
pub fn hexadecimal(digits: &[u8]) -> Option<u8> {
    match digits {
        [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
        _ => None,
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|value| value as u8)
}
