//! [`Protected`]: key bytes in protected pages.

use subtle::ConstantTimeEq;

use crate::slot::Slot;

/// `N` secret bytes (at most 4096) in protected pages, wiped on drop.
///
/// They are written in place by a closure, so there is no earlier copy to wipe:
///
/// ```
/// use keyfold_secret::Protected;
///
/// let key = Protected::<32>::init_with(|bytes| bytes.fill(7));
/// assert_eq!(key.expose(), &[7; 32]);
/// ```
pub struct Protected<const N: usize>(Slot<[u8; N]>);

impl<const N: usize> Protected<N> {
    /// Bytes as `write` leaves them; they start as zeros.
    pub fn init_with(write: impl FnOnce(&mut [u8; N])) -> Self {
        let mut slot = Slot::new([0; N]);
        write(slot.get_mut());
        Self(slot)
    }

    /// Bytes as `write` leaves them, or its error; what it wrote until then is wiped.
    ///
    /// # Errors
    ///
    /// That of `write`.
    pub fn try_init_with<E>(write: impl FnOnce(&mut [u8; N]) -> Result<(), E>) -> Result<Self, E> {
        let mut slot = Slot::new([0; N]);
        write(slot.get_mut())?;
        Ok(Self(slot))
    }

    /// The bytes themselves. Keep the borrow short and copy nothing out of it.
    pub fn expose(&self) -> &[u8; N] {
        self.0.get()
    }

    /// Whether both hold the same bytes, in constant time.
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_as_written() {
        let key = Protected::<5>::init_with(|bytes| {
            assert_eq!(bytes, &[0; 5]);
            bytes.copy_from_slice(b"abcde");
        });
        assert_eq!(key.expose(), b"abcde");
    }

    #[test]
    fn a_failed_write_gives_its_error() {
        let refused = Protected::<5>::try_init_with(|bytes| {
            bytes.fill(1);
            Err("no")
        });
        assert_eq!(refused.err(), Some("no"));
        assert!(Protected::<5>::try_init_with(|_| Ok::<_, ()>(())).is_ok());
    }

    #[test]
    fn equality_is_of_all_bytes() {
        let key = |last| Protected::<33>::init_with(|bytes| bytes[32] = last);
        assert!(key(1).ct_eq(&key(1)));
        assert!(!key(1).ct_eq(&key(2)));
    }

    #[test]
    fn many_threads_make_and_drop_keys() {
        std::thread::scope(|scope| {
            for seed in 0..4_u8 {
                scope.spawn(move || {
                    for round in 0..500_u16 {
                        let fill = seed.wrapping_add(round.to_le_bytes()[0]);
                        let keys = [(); 7].map(|()| Protected::<64>::init_with(|b| b.fill(fill)));
                        assert!(keys.iter().all(|key| key.expose() == &[fill; 64]));
                    }
                });
            }
        });
    }
}
