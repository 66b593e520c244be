//! Fields at fixed places of a byte block, without a way to panic.

/// The `N` bytes at `at`, or `None` past the end.
pub(crate) fn field<const N: usize>(block: &[u8], at: usize) -> Option<[u8; N]> {
    block.get(at..)?.first_chunk::<N>().copied()
}

/// The `len` bytes at `at`, or `None` past the end.
pub(crate) fn span(block: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    block.get(at..at.checked_add(len)?)
}

/// Writes `bytes` at `at`. The caller's offsets are constants of the format and fit the block.
pub(crate) fn put(block: &mut [u8], at: usize, bytes: &[u8]) {
    let place = at
        .checked_add(bytes.len())
        .and_then(|end| block.get_mut(at..end));
    debug_assert!(
        place.is_some(),
        "a field of the format lies outside its block"
    );
    if let Some(place) = place {
        place.copy_from_slice(bytes);
    }
}

/// True where every byte is zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_end_where_the_block_ends() {
        let mut block = [0u8; 4];
        put(&mut block, 2, &[7, 8]);
        assert_eq!(field::<2>(&block, 2), Some([7, 8]));
        assert_eq!(field::<2>(&block, 3), None);
        assert_eq!(field::<1>(&block, 9), None);
        assert_eq!(span(&block, 1, 3), Some(&[0, 7, 8][..]));
        assert_eq!(span(&block, 1, 4), None);
        assert_eq!(span(&block, 1, usize::MAX), None);
        assert!(!is_zero(&block));
    }
}
