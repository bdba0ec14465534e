//! CRC-32 of IEEE 802.3, as zlib, PNG and Ethernet have it.

/// Remainders of the sixteen values of half a byte: 64 bytes of table, two steps a byte.
const TABLE: [u32; 16] = table();

const fn table() -> [u32; 16] {
    let mut table = [0; 16];
    let mut value = 0;
    while value < 16 {
        let mut remainder = value as u32;
        let mut bit = 0;
        while bit < 4 {
            remainder = if remainder & 1 == 1 { remainder >> 1 ^ 0xEDB8_8320 } else { remainder >> 1 };
            bit += 1;
        }
        table[value] = remainder;
        value += 1;
    }
    table
}

/// The checksum of `bytes`.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |remainder: u32, byte| {
        let low = remainder ^ u32::from(*byte);
        let low = low >> 4 ^ TABLE[low as usize & 15];
        low >> 4 ^ TABLE[low as usize & 15]
    })
}

#[cfg(test)]
mod tests {
    use super::crc32;

    #[test]
    fn checksums_are_those_of_the_standard() {
        for (bytes, expected) in [("", 0), ("123456789", 0xCBF4_3926), ("a brown dog", 0xBAE4_4303)] {
            assert_eq!(crc32(bytes.as_bytes()), expected, "{bytes}");
        }
    }
}
