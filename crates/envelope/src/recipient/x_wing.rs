//! Slots of type 4: the DEK sealed by HPKE to an X-Wing key whose private half is kept offline.
//!
//! ```text
//!   seed 32 ──→ public key ──→ hpke::seal(DEK) ──→ encapsulation 1,120 │ ciphertext 32 │ tag 16
//! ```
//!
//! X-Wing holds while ML-KEM-768 or X25519 does: such a slot lies in archives for decades.

use std::fmt;

use keyfold_keys::kem::{Kem, hpke};
use keyfold_keys::rng;
use keyfold_secret::{Protected, Secret};

use super::{Identity, Recipient, text};
use crate::error::Error;
use crate::hash::sha256;
use crate::header::Prelude;
use crate::slot::{FLAG_AAD_BOUND, Slot, TYPE_X_WING};

/// What HPKE is told that the message is for. The prelude's hash is its additional data.
const INFO: &[u8] = b"keyfold/1 slot 4";
/// What the hash that names a recipient starts with.
const ID: &[u8] = b"keyfold/1 recipient";

/// A public key: whoever has it can encrypt for its identity.
///
/// As text it is one line, `keyfold-recipient-…`.
#[derive(Clone, PartialEq, Eq)]
pub struct XWingRecipient {
    public: Vec<u8>,
}

impl XWingRecipient {
    /// `None` where the bytes are no public key.
    pub(super) fn of_public(public: &[u8]) -> Option<Self> {
        let public = public.to_vec();
        Kem::XWing.is_public(&public).then_some(Self { public })
    }

    /// Names it in slots, in the place of a KEK's id: the first 16 bytes of SHA-256(`keyfold/1
    /// recipient | public key`).
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        let hash = sha256(&[ID, &self.public]);
        let mut id = [0; 16];
        id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        id
    }
}

impl fmt::Display for XWingRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::of_recipient(&self.public))
    }
}

impl Recipient for XWingRecipient {
    fn wrap(&self, prelude: &Prelude, dek: &Protected<32>) -> Result<Slot, Error> {
        let aad = prelude.aad();
        let blob = hpke::seal(Kem::XWing, &self.public, INFO, &aad, dek.expose())
            .map_err(|_| Error::NotWrapped("recipient"))?;
        Ok(Slot {
            kek_id: self.id(),
            ..Slot::new(TYPE_X_WING, blob)
        })
    }
}

/// The private half, which is a seed of 32 bytes.
pub struct XWingIdentity {
    seed: Protected<32>,
    recipient: XWingRecipient,
}

impl XWingIdentity {
    /// A new one.
    pub fn generate() -> Result<Self, Error> {
        let seed = Protected::init_with(|seed| rng::fill(seed));
        Self::of_seed(seed).ok_or(Error::NotWrapped("identity"))
    }

    /// Every seed is a key; `None` only where the library fails.
    pub(super) fn of_seed(seed: Protected<32>) -> Option<Self> {
        let public = Kem::XWing.public(seed.expose()).ok()?;
        let recipient = XWingRecipient { public };
        Some(Self { seed, recipient })
    }

    /// The public half.
    #[must_use]
    pub fn recipient(&self) -> XWingRecipient {
        self.recipient.clone()
    }

    /// One line, `KEYFOLD-IDENTITY-…`. Whoever reads it opens what was encrypted for it.
    #[must_use]
    pub fn text(&self) -> Secret<String> {
        text::of_identity(&self.seed)
    }
}

impl Identity for XWingIdentity {
    fn open(&self, prelude: &Prelude, slot: &Slot) -> Option<Result<Protected<32>, Error>> {
        let is_mine = slot.kind == TYPE_X_WING && slot.kek_id == self.recipient.id();
        if !is_mine || slot.flags != FLAG_AAD_BOUND {
            return None;
        }
        let opened = hpke::open(
            Kem::XWing,
            self.seed.expose(),
            INFO,
            &prelude.aad(),
            &slot.blob,
        );
        let dek = opened.ok().and_then(|dek| {
            let dek: &[u8; 32] = dek.expose().as_slice().try_into().ok()?;
            Some(Protected::init_with(|out| out.copy_from_slice(dek)))
        });
        Some(dek.ok_or(Error::WrongIdentity("identity")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::prelude;

    fn dek() -> Protected<32> {
        Protected::init_with(|dek| dek.fill(5))
    }

    #[test]
    fn only_its_identity_opens_the_slot() {
        let identity = XWingIdentity::generate().unwrap();
        let other = XWingIdentity::generate().unwrap();
        let slot = identity.recipient().wrap(&prelude(1), &dek()).unwrap();
        assert_eq!((slot.span, slot.blob.len(), slot.version), (3, 1168, 0));
        let opened = identity.open(&prelude(1), &slot).unwrap().unwrap();
        assert!(opened.ct_eq(&dek()));
        assert!(other.open(&prelude(1), &slot).is_none());

        // What names another key, or is of another kind, is not tried.
        let renamed = Slot {
            kek_id: other.recipient().id(),
            ..slot.clone()
        };
        assert!(identity.open(&prelude(1), &renamed).is_none());
        let wrong = other.open(&prelude(1), &renamed).unwrap();
        assert!(matches!(wrong.err(), Some(Error::WrongIdentity(_))));
        let flags = Slot {
            flags: 3,
            ..slot.clone()
        };
        assert!(identity.open(&prelude(1), &flags).is_none());
    }

    #[test]
    fn a_slot_belongs_to_its_envelope_and_to_all_of_its_bytes() {
        let identity = XWingIdentity::generate().unwrap();
        let slot = identity.recipient().wrap(&prelude(1), &dek()).unwrap();
        let open = |object: u8, blob: Vec<u8>| {
            let slot = Slot {
                blob,
                ..slot.clone()
            };
            identity.open(&prelude(object), &slot).unwrap()
        };
        assert!(open(1, slot.blob.clone()).is_ok());
        assert!(open(2, slot.blob.clone()).is_err(), "another envelope");
        for at in (0..1168).step_by(97).chain([1119, 1120, 1151, 1152, 1167]) {
            let mut blob = slot.blob.clone();
            blob[at] ^= 1;
            assert!(open(1, blob).is_err(), "byte {at}");
            assert!(open(1, slot.blob[..at].to_vec()).is_err(), "{at} bytes");
        }
        assert!(open(1, [&slot.blob[..], &[0]].concat()).is_err());
    }
}
