//! Names of cached DEKs.

use std::sync::OnceLock;

use keyfold_keys::rng;

use crate::hash::{Sha256, sha256};
use crate::key_service::{Aad, WrappedDek};

/// Who asks. What one identity had unwrapped is never handed to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Partition([u8; 32]);

impl Partition {
    /// The partition of whoever is told by `parts`: the server's address, the namespace, and the
    /// token or its accessor. It is a hash that means something in this process only, so that it
    /// does not help to guess a token.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        static SALT: OnceLock<[u8; 32]> = OnceLock::new();
        let mut hash = Sha256::new();
        hash.update(SALT.get_or_init(rng::bytes));
        for part in parts {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finish())
    }
}

/// What a DEK is wanted for. The two have limits of their own, and so entries of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To encrypt new objects.
    Encrypt,
    /// To decrypt.
    Decrypt,
}

/// Names a DEK by everything that its answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheId {
    pub(super) purpose: Purpose,
    hash: [u8; 32],
}

impl CacheId {
    /// The name of the DEK that `wrapped` is of, for one identity and purpose. `kek_id` is
    /// [`crate::slot::kek_id`]; `place` is what else the caller derives from the DEK, or empty.
    #[must_use]
    pub fn new(
        purpose: Purpose,
        partition: &Partition,
        kek_id: &[u8; 16],
        wrapped: &WrappedDek,
        aad: Option<&Aad>,
        place: &[u8],
    ) -> Self {
        let aad = aad.map_or(&[][..], |aad| &aad[..]);
        let len = |bytes: &[u8]| (bytes.len() as u64).to_be_bytes();
        let hash = sha256(&[
            &partition.0,
            kek_id,
            &wrapped.version.to_be_bytes(),
            &len(&wrapped.blob),
            &wrapped.blob,
            &len(aad),
            aad,
            place,
        ]);
        Self { purpose, hash }
    }

    /// The same DEK for another purpose.
    #[must_use]
    pub fn with_purpose(self, purpose: Purpose) -> Self {
        Self { purpose, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_an_answer_depends_on_is_in_the_name() {
        let wrapped = |version, blob: &[u8]| WrappedDek {
            version,
            blob: blob.to_vec(),
        };
        let one = Partition::of(&[b"server", b"token"]);
        let id = |partition, kek: u8, wrapped, aad: Option<Aad>, place: &[u8]| {
            CacheId::new(
                Purpose::Decrypt,
                partition,
                &[kek; 16],
                &wrapped,
                aad.as_ref(),
                place,
            )
        };
        let base = id(&one, 1, wrapped(1, b"blob"), None, b"");
        assert_eq!(base, id(&one, 1, wrapped(1, b"blob"), None, b""));
        let two = Partition::of(&[b"servert", b"oken"]);
        let others = [
            id(&two, 1, wrapped(1, b"blob"), None, b""),
            id(&one, 2, wrapped(1, b"blob"), None, b""),
            id(&one, 1, wrapped(2, b"blob"), None, b""),
            id(&one, 1, wrapped(1, b"blub"), None, b""),
            id(&one, 1, wrapped(1, b"blob"), Some([0; 32]), b""),
            id(&one, 1, wrapped(1, b"blob"), None, b"place"),
            base.with_purpose(Purpose::Encrypt),
        ];
        for (at, other) in others.iter().enumerate() {
            assert_ne!(*other, base, "{at}");
        }
    }
}
