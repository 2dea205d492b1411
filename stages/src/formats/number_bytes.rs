//! Numbers in bytes, where a file states their width and order. Independent of formats.

/// The bits of a number of at most 8 bytes.
pub(super) fn bits(bytes: &[u8], big_endian: bool) -> u64 {
    let push = |all: u64, byte: &u8| all << 8 | u64::from(*byte);
    if big_endian { bytes.iter().fold(0, push) } else { bytes.iter().rev().fold(0, push) }
}

/// The lowest `count` bits (1 to 64) as a number with a sign.
pub(super) fn signed(bits: u64, count: u32) -> i64 {
    // Shifted to the top and back, so that the sign fills what is above.
    let unused = 64 - count;
    (bits << unused).cast_signed() >> unused
}

/// As many bytes as the array has, as an array.
pub(super) fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_widths_of_bytes_are_honoured() {
        assert_eq!(bits(&[1, 2, 3], true), 0x01_0203);
        assert_eq!(bits(&[1, 2, 3], false), 0x03_0201);
        assert_eq!(signed(bits(&(-2_i16).to_be_bytes(), true), 16), -2);
        assert_eq!(signed(bits(&i64::MIN.to_le_bytes(), false), 64), i64::MIN);
        assert_eq!(signed(0b1_0110, 5), -10);
    }
}
