//! Numbers of bytes: as options take them, and as people read them.

use std::fmt;

/// Reads a whole number of bytes, or one with a unit behind it, whatever its case: K, M and G, or KiB, MiB and GiB, are powers
/// of 1024. KB, MB and GB are refused, since to some they are powers of 1000.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let unit_start = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(unit_start);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        _ => return Err("not a size such as 32M: the units are K, M and G (or KiB, MiB and GiB)".into()),
    };
    if count.is_empty() {
        return Err("not a size such as 32M: it must begin with a whole number".into());
    }
    let size = count.parse().ok().and_then(|count: u64| count.checked_mul(1 << shift));
    size.ok_or_else(|| "more bytes than there can be".into())
}

/// A number of bytes, for people.
pub struct Size(pub usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB", self.0 as f64 / (1 << 20) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_powers_of_1024() {
        for (text, size) in [
            ("0", 0),
            ("8388608", 8 << 20),
            ("8192k", 8 << 20),
            ("8192KiB", 8 << 20),
            ("64M", 64 << 20),
            ("64m", 64 << 20),
            ("64MiB", 64 << 20),
            ("1G", 1 << 30),
            ("1GiB", 1 << 30),
            ("17179869183G", 17_179_869_183 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
    }

    #[test]
    fn other_units_and_numbers_are_refused() {
        for text in
            ["64MB", "64kb", "64B", "64X", "64T", "64Mi", "1.5M", "1 M", "64M ", "0x10", "1e6", "6é", "-1", "+1"]
        {
            assert!(parse_size(text).unwrap_err().contains("units"), "{text}");
        }
        for text in ["", "M", "KiB"] {
            assert!(parse_size(text).unwrap_err().contains("whole number"), "{text}");
        }
        for text in ["18446744073709551616", "17179869184G", "99999999999999999999"] {
            assert!(parse_size(text).unwrap_err().contains("more bytes"), "{text}");
        }
    }
}
