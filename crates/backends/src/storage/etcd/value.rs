//! Values as entries have them: whole behind a zero, or a one and the parts that they stand in.
//!
//! etcd takes no request above some 1.5 MiB. What is larger is put in parts before the commit that
//! names them. Until then they hang on a lease of etcd's: a writer that dies leaves nothing behind.

use super::keys::ID;

/// Bytes of a value that an entry has itself.
pub(super) const INLINE: usize = 64 * 1024;
/// Bytes of a part.
pub(super) const PART: usize = 512 * 1024;
/// Bytes of what names parts.
const NAMED: usize = 1 + ID + 8;

/// What stands at an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept<'v> {
    Whole(&'v [u8]),
    Parts(Parts),
}

/// A value that stands in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    pub id: [u8; ID],
    pub bytes: u64,
}

impl Parts {
    /// How many there are; each but the last has [`PART`] bytes.
    pub fn count(&self) -> u32 {
        u32::try_from(self.bytes.div_ceil(PART as u64)).unwrap_or(u32::MAX)
    }
}

/// A whole value, for its entry.
pub(super) fn whole(value: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(1 + value.len());
    kept.push(0);
    kept.extend_from_slice(value);
    kept
}

/// The name of parts, for the entry.
pub(super) fn named(parts: &Parts) -> Vec<u8> {
    let mut kept = Vec::with_capacity(NAMED);
    kept.push(1);
    kept.extend_from_slice(&parts.id);
    kept.extend_from_slice(&parts.bytes.to_be_bytes());
    kept
}

/// Reads what an entry has; `None` for what nobody wrote.
pub(super) fn read(kept: &[u8]) -> Option<Kept<'_>> {
    match kept.split_first()? {
        (0, value) => Some(Kept::Whole(value)),
        (1, rest) => {
            let (id, rest) = rest.split_first_chunk::<ID>()?;
            let bytes = u64::from_be_bytes(rest.try_into().ok()?);
            Some(Kept::Parts(Parts { id: *id, bytes }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        assert_eq!(read(&whole(b"abc")), Some(Kept::Whole(b"abc")));
        assert_eq!(read(&whole(b"")), Some(Kept::Whole(b"")));
        let parts = Parts {
            id: [7; ID],
            bytes: 3 * PART as u64 + 1,
        };
        assert_eq!(read(&named(&parts)), Some(Kept::Parts(parts)));
        assert_eq!(parts.count(), 4);
        let mut long = named(&parts);
        long.push(0);
        for bad in [&[][..], &[2, 0], &[1], &[1; 20], &long] {
            assert_eq!(read(bad), None);
        }
    }
}
