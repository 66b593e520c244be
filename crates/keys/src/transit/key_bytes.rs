//! [`KeyBytes`]: key material of any length in protected pages.

use keyfold_secret::Protected;

use crate::error::Error;

/// Bytes of the longest material: an RSA key of 4,096 bits and a key for HMAC beside it.
const LONGEST: usize = 4096;

/// Bytes in a protected slot of the next size that fits: a slot of the largest for each key would
/// use up the memory that a process may lock.
pub(super) struct KeyBytes {
    slot: Slot,
    len: usize,
}

enum Slot {
    Tiny(Protected<64>),
    Small(Protected<256>),
    Medium(Protected<1024>),
    Large(Protected<LONGEST>),
}

impl KeyBytes {
    /// So many bytes as `write` leaves them, or its error.
    pub fn try_init_with(
        len: usize,
        write: impl FnOnce(&mut [u8]) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        fn fill<const N: usize>(
            len: usize,
            write: impl FnOnce(&mut [u8]) -> Result<(), Error>,
        ) -> Result<Protected<N>, Error> {
            Protected::try_init_with(|slot| {
                write(slot.get_mut(..len).ok_or(Error::Malformed("service key"))?)
            })
        }
        let slot = match len {
            ..=64 => Slot::Tiny(fill(len, write)?),
            65..=256 => Slot::Small(fill(len, write)?),
            257..=1024 => Slot::Medium(fill(len, write)?),
            _ => Slot::Large(fill(len, write)?),
        };
        Ok(Self { slot, len })
    }

    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        let slot: &[u8] = match &self.slot {
            Slot::Tiny(bytes) => bytes.expose(),
            Slot::Small(bytes) => bytes.expose(),
            Slot::Medium(bytes) => bytes.expose(),
            Slot::Large(bytes) => bytes.expose(),
        };
        slot.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_up_to_the_longest() {
        for len in [0, 1, 64, 65, 256, 257, 1024, 1025, LONGEST] {
            let bytes = KeyBytes::try_init_with(len, |bytes| {
                bytes.fill(7);
                Ok(())
            });
            assert_eq!(bytes.unwrap().expose(), vec![7; len]);
        }
        assert!(KeyBytes::try_init_with(LONGEST + 1, |_| Ok(())).is_err());
        assert!(KeyBytes::try_init_with(5, |_| Err(Error::WrongKey)).is_err());
    }
}
