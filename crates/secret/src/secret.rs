//! [`Secret`]: a value on the heap that is wiped when it goes.

use serde::{Deserialize, Deserializer, de::Error};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A secret value: boxed, so that moving it copies a pointer and not the value; wiped on drop.
///
/// For keys of a fixed length use [`Protected`](crate::Protected). A `Secret<Vec<u8>>` or
/// `Secret<String>` wipes its whole capacity, but not the buffers it outgrew before: give it its
/// capacity at the start, or run under [`WipingAllocator`](crate::WipingAllocator).
pub struct Secret<T: Zeroize>(Box<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes a value into safe keeping. What `value` was moved from is not wiped: for an array that
    /// is a copy on the stack, for a `Vec` or `String` only a pointer.
    pub fn new(value: T) -> Self {
        Self(Box::new(value))
    }

    /// The secret itself. Keep the borrow short and copy nothing out of it.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The secret itself, to be changed in place.
    pub fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }

    /// Gives the value away. Wiping it is now the caller's task.
    pub fn into_inner(mut self) -> T
    where
        T: Default,
    {
        std::mem::take(&mut *self.0)
    }
}

impl<T: Zeroize + AsRef<[u8]>> Secret<T> {
    /// Whether the secret is `other`, in a time that depends on the lengths alone.
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        (*self.0).as_ref().ct_eq(other).into()
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A value that does not fit is refused without saying what it was: the usual texts of
/// deserializers quote the value, and this one may be a secret in the wrong place.
impl<'de, T: Zeroize + Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::deserialize(from)
            .map(Self::new)
            .map_err(|_| D::Error::custom("not a value of the expected type"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::value::{Error as ValueError, StrDeserializer};
    use std::cell::Cell;
    use std::rc::Rc;

    struct Witness(Rc<Cell<bool>>);

    impl Zeroize for Witness {
        fn zeroize(&mut self) {
            self.0.set(true);
        }
    }

    #[test]
    fn drop_wipes() {
        let wiped = Rc::new(Cell::new(false));
        let secret = Secret::new(Witness(Rc::clone(&wiped)));
        assert!(!wiped.get());
        drop(secret);
        assert!(wiped.get());
    }

    #[test]
    fn inner_value_survives_the_move_out() {
        let mut secret = Secret::new(b"abc".to_vec());
        secret.expose_mut().push(b'd');
        assert_eq!(secret.expose(), b"abcd");
        assert_eq!(secret.into_inner(), b"abcd");
    }

    #[test]
    fn compares_bytes_and_text() {
        let text = Secret::new("token".to_owned());
        assert!(text.ct_eq(b"token"));
        assert!(!text.ct_eq(b"tokem"));
        assert!(!text.ct_eq(b"toke"));
        assert!(Secret::new(Vec::new()).ct_eq(b""));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_not_quoted() {
        let from: StrDeserializer<'_, ValueError> = StrDeserializer::new("hunter2");
        let Err(error) = Secret::<u32>::deserialize(from) else {
            panic!("a text was taken for a number");
        };
        assert!(!error.to_string().contains("hunter2"), "{error}");
        let from: StrDeserializer<'_, ValueError> = StrDeserializer::new("hunter2");
        let secret = Secret::<String>::deserialize(from).unwrap();
        assert!(secret.ct_eq(b"hunter2"));
    }
}
