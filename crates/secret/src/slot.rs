//! [`Slot`]: one value in protected pages.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use crate::pages;
use crate::wipe::wipe;

/// A value that lives in a slot of the arena; dropped and wiped with it.
pub(crate) struct Slot<T> {
    value: NonNull<T>,
}

impl<T> Slot<T> {
    const FITS: () = assert!(
        size_of::<T>() <= pages::LARGEST && align_of::<T>() <= pages::slot_size(size_of::<T>()),
        "a value in protected pages is at most 4096 bytes long"
    );

    pub(crate) fn new(value: T) -> Self {
        const { Self::FITS };
        let slot = pages::take(size_of::<T>()).cast::<T>();
        // SAFETY: the slot is ours alone, at least as long as `T` and aligned to its own length,
        // which is no less than the alignment of `T`.
        unsafe { slot.write(value) };
        Self { value: slot }
    }

    pub(crate) fn get(&self) -> &T {
        // SAFETY: `new` wrote a value, which stays until `drop`; `&self` keeps writers away.
        unsafe { self.value.as_ref() }
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        // SAFETY: as in `get`, and `&mut self` keeps all others away.
        unsafe { self.value.as_mut() }
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        let len = size_of::<T>();
        // SAFETY: the value was written by `new` and is not used after this; the slot came from
        // `take(len)` and is zeroed over its whole length before it goes back.
        unsafe {
            self.value.drop_in_place();
            wipe(self.value.cast().as_ptr(), pages::slot_size(len));
            pages::give_back(self.value.cast(), len);
        }
    }
}

// SAFETY: a slot owns its value like a box does, so it may go where the value may go.
unsafe impl<T: Send> Send for Slot<T> {}
// SAFETY: shared access to a slot is shared access to the value.
unsafe impl<T: Sync> Sync for Slot<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn a_dropped_slot_is_wiped_before_it_is_reused() {
        let slot = Slot::new([0xA5_u8; 512]);
        let address = slot.value;
        assert_eq!(slot.get(), &[0xA5; 512]);
        drop(slot);
        // SAFETY: runs are never unmapped, and no other test of this crate uses 512-byte slots.
        assert_eq!(unsafe { address.read_volatile() }, [0; 512]);
    }

    #[test]
    fn the_value_is_dropped_once() {
        struct Count(Rc<Cell<u32>>);
        impl Drop for Count {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        let drops = Rc::new(Cell::new(0));
        let slot = Slot::new(Count(Rc::clone(&drops)));
        assert_eq!(drops.get(), 0);
        drop(slot);
        assert_eq!(drops.get(), 1);
    }
}
