//! Slots of type 2: the DEK of an envelope, wrapped by a DEK of a keyring.
//!
//! ```text
//!   DEK id 16 │ nonce 24 │ ciphertext 32 │ tag 16 │ place of the keyring, UTF-8
//! ```
//!
//! The cipher is XAES-256-GCM under a key derived from the service DEK; it is bound to the prelude
//! and to the id. Rotating the KEK does not touch the slot: the keyring's row changes.

use keyfold_keys::{kdf, rng, xaes};
use keyfold_secret::{Protected, Secret};

use super::dek::ServiceDek;
use super::service::ServiceDeks;
use crate::cache::Load;
use crate::error::Error;
use crate::fields::{field, span};
use crate::header::Prelude;
use crate::recipient::{Identity, Recipient};
use crate::slot::{FLAG_AAD_BOUND, Slot, TYPE_KEYRING};

/// What derives the key that wraps; `ServiceDek` draws what else is derived.
const LABEL: &[u8] = b"keyfold/1 objects";
const ID_LEN: usize = 16;
const NONCE_AT: usize = ID_LEN;
const WRAP_AT: usize = NONCE_AT + xaes::NONCE_LEN;
const WRAP_LEN: usize = 32 + 16;
const PLACE_AT: usize = WRAP_AT + WRAP_LEN;
/// Most bytes of the place: the slot takes one sector.
const MOST_PLACE: usize = 254;
/// What to call it in an error.
const NAME: &str = "keyring";

/// A keyring as recipient of one envelope.
pub struct KeyringRecipient<'a> {
    deks: &'a ServiceDeks,
    bytes: u64,
}

impl<'a> KeyringRecipient<'a> {
    /// The keyring, for an envelope of about so many bytes; they count as encrypted under its DEK.
    #[must_use]
    pub fn new(deks: &'a ServiceDeks, bytes: u64) -> Self {
        Self { deks, bytes }
    }
}

impl Recipient for KeyringRecipient<'_> {
    fn wrap(&self, prelude: &Prelude, dek: &Protected<32>) -> Result<Slot, Error> {
        let load = Load {
            uses: 1,
            bytes: self.bytes,
        };
        let by = self.deks.encrypting(load)?;
        let nonce = rng::bytes::<{ xaes::NONCE_LEN }>();
        let mut tag = [0; 16];
        let sealed = Protected::<32>::try_init_with(|out| {
            out.copy_from_slice(dek.expose());
            tag = object_key(&by).seal(&nonce, &aad(prelude, by.dek_id()), out)?;
            Ok::<_, keyfold_keys::Error>(())
        });
        let sealed = sealed.map_err(|_| Error::NotWrapped(NAME))?;
        let place = cut(self.deks.place());
        let blob = [
            &by.dek_id()[..],
            &nonce,
            sealed.expose(),
            &tag,
            place.as_bytes(),
        ];
        Ok(Slot {
            version: by.dek_no(),
            ..Slot::new(TYPE_KEYRING, blob.concat())
        })
    }
}

impl Identity for ServiceDeks {
    fn open(&self, prelude: &Prelude, slot: &Slot) -> Option<Result<Protected<32>, Error>> {
        if slot.kind != TYPE_KEYRING || slot.flags != FLAG_AAD_BOUND {
            return None;
        }
        Some(open(self, prelude, &slot.blob))
    }
}

/// The id of the DEK that wraps a slot of type 2, and the place of its keyring: what an inventory
/// reads. Nothing of it is proven.
#[must_use]
pub fn keyring_reference(slot: &Slot) -> Option<([u8; 16], &str)> {
    if slot.kind != TYPE_KEYRING {
        return None;
    }
    let place = std::str::from_utf8(slot.blob.get(PLACE_AT..)?).ok()?;
    Some((field(&slot.blob, 0)?, place))
}

fn open(deks: &ServiceDeks, prelude: &Prelude, blob: &[u8]) -> Result<Protected<32>, Error> {
    const DAMAGED: Error = Error::HeaderDamaged("length of a keyring slot");
    let dek_id = field::<ID_LEN>(blob, 0).ok_or(DAMAGED)?;
    let nonce = field(blob, NONCE_AT).ok_or(DAMAGED)?;
    let sealed = span(blob, WRAP_AT, WRAP_LEN).ok_or(DAMAGED)?;
    let by = deks.decrypting_id(&dek_id)?;
    let mut sealed = Secret::new(sealed.to_vec());
    Protected::try_init_with(|dek| {
        let opened = object_key(&by).open(&nonce, &aad(prelude, &dek_id), sealed.expose_mut());
        let opened = opened.ok().and_then(|opened| opened.first_chunk::<32>());
        dek.copy_from_slice(opened.ok_or(Error::WrongIdentity(NAME))?);
        Ok(())
    })
}

#[expect(
    clippy::expect_used,
    reason = "32 bytes is far below HKDF's limit of 255 blocks"
)]
fn object_key(dek: &ServiceDek) -> xaes::Key {
    let key = Protected::<{ xaes::KEY_LEN }>::init_with(|key| {
        kdf::expand_sha512(dek.bytes().expose(), &[LABEL], key).expect("HKDF gives 32 bytes");
    });
    xaes::Key::new(key.expose())
}

fn aad(prelude: &Prelude, dek_id: &[u8; 16]) -> [u8; 48] {
    let mut aad = [0; 48];
    let parts = prelude.aad().into_iter().chain(*dek_id);
    aad.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    aad
}

/// The place in as many bytes as a slot has for it: it is there for people.
fn cut(place: &str) -> &str {
    let mut len = place.len().min(MOST_PLACE);
    while !place.is_char_boundary(len) {
        len = len.saturating_sub(1);
    }
    place.get(..len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::KeyringError;
    use super::super::limits::DekLimits;
    use super::super::rewrap::rewrap_keyring;
    use super::super::tests::Bench;
    use super::*;
    use crate::context::Context;
    use crate::decrypt::{DecryptOptions, decrypt_stream};
    use crate::encrypt::{EncryptOptions, encrypt_stream};
    use crate::header::{HEADER_LEN, Header, SLOTS_AT};
    use crate::progress::NoProgress;
    use crate::recipient::TransitKey;
    use crate::slot::SLOT_LEN;
    use crate::testing::locator;

    fn sealed(recipients: &[&dyn Recipient]) -> Vec<u8> {
        let (context, options) = (Context::new(), EncryptOptions::default());
        let mut out = Vec::new();
        let input = &b"plaintext"[..];
        encrypt_stream(recipients, &context, input, &mut out, &options, &NoProgress).unwrap();
        out
    }

    fn opened(identity: &dyn Identity, envelope: &[u8]) -> Result<Vec<u8>, Error> {
        let (context, options) = (Context::new(), DecryptOptions::default());
        let mut out = Vec::new();
        decrypt_stream(
            &[identity],
            &context,
            envelope,
            &mut out,
            &options,
            &NoProgress,
        )?;
        Ok(out)
    }

    fn slot(envelope: &[u8]) -> Slot {
        let header = Header::parse_prefix(&envelope[..HEADER_LEN]).unwrap();
        header.slots.slots().next().unwrap().1.clone()
    }

    #[test]
    fn many_envelopes_cost_one_call_and_a_rotation_leaves_them_as_they_are() {
        let bench = Bench::new(DekLimits::default());
        let deks = bench.process();
        let envelopes: Vec<_> = (0..50)
            .map(|_| sealed(&[&KeyringRecipient::new(&deks, 9)]))
            .collect();
        bench.service.rotate();
        rewrap_keyring(&bench.store(), &*bench.service, true).unwrap();
        bench.service.retire_below(2);
        bench.service.reset_calls();
        let reader = bench.process();
        for envelope in &envelopes {
            assert_eq!(opened(&reader, envelope).unwrap(), b"plaintext");
        }
        assert_eq!(bench.service.calls().unwrap, 1);
        let named = slot(&envelopes[0]);
        let (dek_id, place) = keyring_reference(&named).unwrap();
        assert_eq!((named.version, place), (1, "keyring"));
        assert_eq!(dek_id, *deks.decrypting(1).unwrap().dek_id());
        let row = &bench.rows()[0];
        assert!(row.uses >= 50 && row.bytes >= 450);
    }

    #[test]
    fn a_keyring_and_a_key_of_the_server_s_open_the_same_envelope() {
        let bench = Bench::new(DekLimits::default());
        let (deks, locator) = (bench.process(), locator());
        let transit = TransitKey::new(&*bench.service, &locator);
        let envelope = sealed(&[&transit, &KeyringRecipient::new(&deks, 9)]);
        assert_eq!(opened(&deks, &envelope).unwrap(), b"plaintext");
        assert_eq!(opened(&*bench.service, &envelope).unwrap(), b"plaintext");
        let only = sealed(&[&KeyringRecipient::new(&deks, 9)]);
        let nobody = opened(&*bench.service, &only);
        assert!(matches!(nobody, Err(Error::NoUsableSlot)));
    }

    #[test]
    fn no_change_of_the_slot_opens_anything_else() {
        let bench = Bench::new(DekLimits::default());
        let deks = bench.process();
        let one = sealed(&[&KeyringRecipient::new(&deks, 9)]);
        let mut moved = sealed(&[&KeyringRecipient::new(&deks, 9)]);
        moved[SLOTS_AT..SLOTS_AT + SLOT_LEN].copy_from_slice(&one[SLOTS_AT..SLOTS_AT + SLOT_LEN]);
        assert!(matches!(
            opened(&deks, &moved),
            Err(Error::WrongIdentity(_))
        ));

        for at in 0..PLACE_AT {
            let mut changed = slot(&one);
            changed.blob[at] ^= 1;
            let mut bytes = one.clone();
            let sector = changed.encode().unwrap();
            bytes[SLOTS_AT..SLOTS_AT + SLOT_LEN].copy_from_slice(&sector);
            let error = opened(&deks, &bytes).unwrap_err();
            let expected = match at < ID_LEN {
                true => matches!(error, Error::Keyring(KeyringError::UnknownDekId(_))),
                false => matches!(error, Error::WrongIdentity(_)),
            };
            assert!(expected, "byte {at}: {error}");
        }
        // The place is for people: it may say anything.
        for len in [0, 1, PLACE_AT - 1, PLACE_AT, PLACE_AT + 1] {
            let mut changed = slot(&one);
            changed.blob.truncate(len.max(1));
            let mut bytes = one.clone();
            let sector = changed.encode().unwrap();
            bytes[SLOTS_AT..SLOTS_AT + SLOT_LEN].copy_from_slice(&sector);
            assert_eq!(opened(&deks, &bytes).is_ok(), len >= PLACE_AT, "{len}");
        }
    }

    #[test]
    fn another_keyring_has_not_the_dek() {
        let (bench, other) = (
            Bench::new(DekLimits::default()),
            Bench::new(DekLimits::default()),
        );
        let deks = bench.process();
        let envelope = sealed(&[&KeyringRecipient::new(&deks, 9)]);
        let unknown = opened(&other.process(), &envelope);
        assert!(matches!(
            unknown,
            Err(Error::Keyring(KeyringError::UnknownDekId(_)))
        ));
        deks.destroy(1).unwrap();
        let destroyed = opened(&deks, &envelope);
        assert!(matches!(
            destroyed,
            Err(Error::Keyring(KeyringError::Destroyed(1)))
        ));
    }

    #[test]
    fn a_long_place_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"é".repeat(200)).len(), 254);
        assert_eq!(cut(&format!("x{}", "é".repeat(200))).len(), 253);
    }
}
