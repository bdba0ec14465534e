//! Consistent Overhead Byte Stuffing: bytes without zeros, one in 254 longer at most.
//!
//! Source: S. Cheshire and M. Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on Networking 7 (1999).

/// Stuffs `bytes` into `stuffed`; the number of bytes written, or `None` if there is no room.
pub fn stuff(bytes: &[u8], stuffed: &mut [u8]) -> Option<usize> {
    let mut code_at = 0;
    let mut code = 1;
    let mut end = 1;
    for byte in bytes {
        if *byte != 0 {
            *stuffed.get_mut(end)? = *byte;
            end += 1;
            code += 1;
        }
        if *byte == 0 || code == 0xFF {
            *stuffed.get_mut(code_at)? = code;
            (code_at, code, end) = (end, 1, end + 1);
        }
    }
    *stuffed.get_mut(code_at)? = code;
    Some(end)
}

/// Undoes [`stuff`] in place; the number of bytes, or `None` for what `stuff` cannot have written.
pub fn unstuff(bytes: &mut [u8]) -> Option<usize> {
    let (mut read, mut written) = (0, 0);
    while read < bytes.len() {
        let code = usize::from(*bytes.get(read)?);
        let next = read + code;
        if code == 0 || next > bytes.len() || bytes[read + 1..next].contains(&0) {
            return None;
        }
        bytes.copy_within(read + 1..next, written);
        written += code - 1;
        if code < 0xFF && next < bytes.len() {
            bytes[written] = 0;
            written += 1;
        }
        read = next;
    }
    Some(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn examples_of_the_paper_and_of_the_borders() {
        let ones = [1; 254];
        let cases: [(&[u8], &[u8]); 6] = [
            (&[], &[1]),
            (&[0], &[1, 1]),
            (&[0x45, 0, 0, 0x2C, 0x4C, 0x79, 0], &[2, 0x45, 1, 4, 0x2C, 0x4C, 0x79, 1]),
            (&[1, 2, 3], &[4, 1, 2, 3]),
            (&ones, &[&[0xFF], &ones[..], &[1]].concat()),
            (&[&ones[..], &[7]].concat(), &[&[0xFF], &ones[..], &[2, 7]].concat()),
        ];
        for (bytes, expected) in cases {
            let mut stuffed = [0; 300];
            let length = stuff(bytes, &mut stuffed).unwrap();
            assert_eq!(&stuffed[..length], expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_stuffed_has_no_zero_and_comes_back(
            bytes in prop::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>(), 9 => Just(1u8)], 0..600)
        ) {
            let mut stuffed = [0; 610];
            let length = stuff(&bytes, &mut stuffed).unwrap();
            prop_assert!(length <= bytes.len() + bytes.len() / 254 + 1);
            prop_assert!(!stuffed[..length].contains(&0));
            let length = unstuff(&mut stuffed[..length]).unwrap();
            prop_assert_eq!(&stuffed[..length], &bytes[..]);
        }

        #[test]
        fn any_bytes_are_unstuffed_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            unstuff(&mut bytes);
        }

        #[test]
        fn too_little_room_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), room in 0..300usize) {
            let mut stuffed = [0; 300];
            let needed = stuff(&bytes, &mut [0; 310]).unwrap();
            prop_assert_eq!(stuff(&bytes, &mut stuffed[..room]), (needed <= room).then_some(needed));
        }
    }
}
