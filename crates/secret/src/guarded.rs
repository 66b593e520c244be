//! [`Guarded`]: any value in protected pages.

use crate::scrub::scrub_stack;
use crate::slot::Slot;

/// A value in protected pages: a key in the form its cipher wants it, such as the round keys of a
/// block cipher. Dropped and wiped with its owner.
///
/// Only the value itself is protected, nothing that it points to.
pub struct Guarded<T>(Slot<T>);

impl<T> Guarded<T> {
    /// Moves what `make` returns into protected pages, and scrubs the stack it was made on.
    ///
    /// # Errors
    ///
    /// That of `make`.
    pub fn try_new<E>(make: impl FnOnce() -> Result<T, E>) -> Result<Self, E> {
        let made = place(make);
        scrub_stack();
        made
    }

    /// The value.
    pub fn expose(&self) -> &T {
        self.0.get()
    }
}

/// In a frame of its own, which is gone, and so can be scrubbed, when it returns.
#[inline(never)]
fn place<T, E>(make: impl FnOnce() -> Result<T, E>) -> Result<Guarded<T>, E> {
    Ok(Guarded(Slot::new(make()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_made() {
        let value = Guarded::try_new(|| Ok::<_, ()>((1_u64, vec![2_u8])));
        assert_eq!(value.ok().map(|v| v.expose().clone()), Some((1, vec![2])));
        assert!(Guarded::<u8>::try_new(|| Err("no")).is_err());
    }
}
