//! How far a JSON string can be taken as it is: the one loop that every reader and writer of JSON spends its time in.

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);

/// How many bytes from the start are neither a quote, a backslash nor a control character.
///
/// Eight at a time: of the bits that mark such a byte, the lowest is always right, and nothing above it is looked at.
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (i, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let found = zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) | control;
        if found != 0 {
            return 8 * i + found.trailing_zeros() as usize / 8;
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    8 * chunks.len() + rest.iter().position(special).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_run_ends_where_the_first_special_byte_stands(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'a'), Just(b'\"'), Just(0x1f), Just(0x80)], 0..40),
            plain in 0..40_usize,
        ) {
            let bytes: Vec<u8> = std::iter::repeat_n(b'~', plain).chain(bytes).collect();
            let slow = bytes.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f)).unwrap_or(bytes.len());
            prop_assert_eq!(plain_run(&bytes), slow);
        }
    }
}
