//! Which key wraps which: the drawing of the crate's first page, as code.

use std::fmt;
use std::marker::PhantomData;

use crate::dek::Dek;
use crate::error::Error;
use crate::kek::Kek;
use crate::keyring::Keyring;
use crate::record::Record;
use crate::root_key::RootKey;
use crate::unseal_key::{Share, UnsealKey};

/// A key that wraps a `T`. Six pairs exist, each written beside the parent:
///
/// ```text
/// impl Wraps<RootKey> for UnsealKey        impl Wraps<Dek>    for Kek
/// impl Wraps<Keyring> for RootKey          impl Wraps<Record> for Dek
/// impl Wraps<Share>   for UnsealKey        (where several ways have to open together)
/// impl Wraps<Keyring> for Kek              (from one node to the others, until they have it)
/// ```
///
/// The trait is sealed: no other crate can add a seventh.
pub trait Wraps<T>: sealed::Pair<T> {
    /// Where the wrapped thing is kept, authenticated with it: what is moved does not open.
    type Context<'a>;

    /// Wraps `child` for keeping at `context`.
    ///
    /// # Errors
    ///
    /// [`Error::Exhausted`] when the child is too long for the cipher.
    fn wrap(&self, child: &T, context: Self::Context<'_>) -> Result<Wrapped<T>, Error>;

    /// The child, if it was wrapped by this key for this `context`.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] for bytes that are no wrapped `T`, [`Error::WrongKey`] for those of
    /// another key or context, or that were changed.
    fn unwrap(&self, wrapped: &Wrapped<T>, context: Self::Context<'_>) -> Result<T, Error>;
}

/// The bytes of a wrapped `T`. They are safe to store and to show; only the parent of a `T` opens
/// them.
pub struct Wrapped<T> {
    bytes: Vec<u8>,
    of: PhantomData<fn() -> T>,
}

impl<T> Wrapped<T> {
    /// Takes bytes read from a storage; [`Wraps::unwrap`] says whether they are any good.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            of: PhantomData,
        }
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes to store.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl<T> Clone for Wrapped<T> {
    fn clone(&self) -> Self {
        Self::from_bytes(self.bytes.clone())
    }
}

impl<T> fmt::Debug for Wrapped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wrapped({} bytes)", self.bytes.len())
    }
}

mod sealed {
    use super::{Dek, Kek, Keyring, Record, RootKey, Share, UnsealKey};

    pub trait Pair<T> {}

    impl Pair<RootKey> for UnsealKey {}
    impl Pair<Share> for UnsealKey {}
    impl Pair<Keyring> for RootKey {}
    impl Pair<Dek> for Kek {}
    impl Pair<Keyring> for Kek {}
    impl Pair<Record> for Dek {}
}
