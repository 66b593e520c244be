//! [`Kek`]: the key of one term of the keyring. It wraps the mounts' DEKs.

use keyfold_secret::Protected;

use crate::dek::Dek;
use crate::error::Error;
use crate::hierarchy::{Wrapped, Wraps};
use crate::keyring::Keyring;
use crate::{message, rng, xaes};

const FORMAT: u8 = 1;
const HEADER_LEN: usize = 5;

/// The key-encryption key of a term.
pub struct Kek {
    term: u32,
    bytes: Protected<{ xaes::KEY_LEN }>,
    cipher: xaes::Key,
}

impl Kek {
    /// The term in the keyring that this key is of.
    pub fn term(&self) -> u32 {
        self.term
    }

    pub(crate) fn generate(term: u32) -> Self {
        Self::from_bytes(term, Protected::init_with(|key| rng::fill(key)))
    }

    pub(crate) fn from_bytes(term: u32, bytes: Protected<{ xaes::KEY_LEN }>) -> Self {
        let cipher = xaes::Key::new(bytes.expose());
        Self {
            term,
            bytes,
            cipher,
        }
    }

    /// What its messages begin with.
    fn header(&self) -> [u8; HEADER_LEN] {
        let [a, b, c, d] = self.term.to_be_bytes();
        [FORMAT, a, b, c, d]
    }

    /// For the keyring, which stores it.
    pub(crate) fn as_bytes(&self) -> &[u8; xaes::KEY_LEN] {
        self.bytes.expose()
    }
}

/// `format 1 | term u32 BE | nonce 24 | ciphertext 32 | tag 16`, XAES-256-GCM, AAD = format ‖ term ‖
/// storage key.
impl Wraps<Dek> for Kek {
    type Context<'a> = &'a [u8];

    fn wrap(&self, child: &Dek, context: &[u8]) -> Result<Wrapped<Dek>, Error> {
        message::seal(&self.cipher, &self.header(), &[context], child.as_bytes())
            .map(Wrapped::from_bytes)
    }

    fn unwrap(&self, wrapped: &Wrapped<Dek>, context: &[u8]) -> Result<Dek, Error> {
        let term = wrapped.term()?;
        if term != self.term {
            return Err(Error::UnknownTerm(term));
        }
        let key = message::open(&self.cipher, HEADER_LEN, &[context], wrapped.as_bytes())?;
        Dek::from_bytes(key.expose())
    }
}

/// A keyring handed to the other nodes of a store, which hold this term and not the root key; laid
/// out as a wrapped DEK is. It is there until they have it: as long as it is, this term opens what
/// comes after it.
impl Wraps<Keyring> for Kek {
    type Context<'a> = &'a [u8];

    fn wrap(&self, child: &Keyring, context: &[u8]) -> Result<Wrapped<Keyring>, Error> {
        let json = child.to_json();
        message::seal(&self.cipher, &self.header(), &[context], json.expose())
            .map(Wrapped::from_bytes)
    }

    fn unwrap(&self, wrapped: &Wrapped<Keyring>, context: &[u8]) -> Result<Keyring, Error> {
        match wrapped.as_bytes().split_first_chunk() {
            Some((header, _)) if *header == self.header() => {}
            Some((&[FORMAT, a, b, c, d], _)) => {
                return Err(Error::UnknownTerm(u32::from_be_bytes([a, b, c, d])));
            }
            _ => return Err(Error::Malformed("wrapped keyring")),
        }
        let json = message::open(&self.cipher, HEADER_LEN, &[context], wrapped.as_bytes())?;
        Keyring::from_json(json.expose())
    }
}

impl Wrapped<Dek> {
    /// The term of the KEK that opens it, read without a key: not authenticated until it opens.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when the bytes are no wrapped DEK of a format known here.
    pub fn term(&self) -> Result<u32, Error> {
        match self.as_bytes().split_first_chunk() {
            Some((&[FORMAT, a, b, c, d], _)) => Ok(u32::from_be_bytes([a, b, c, d])),
            _ => Err(Error::Malformed("wrapped DEK")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: &[u8] = b"core/dek/6f2c0d5e-3a44-4f0b-9d7e-8c1f2b3a4d5e/1";

    #[test]
    fn a_keyring_is_handed_over_by_its_term_in_its_place_only() {
        let old = Keyring::new("then");
        let new = old.rotate("now").unwrap();
        let kek = &*old.active().kek;
        let wrapped = Wraps::<Keyring>::wrap(kek, &new, b"core/handover/1").unwrap();
        let opened: Keyring = kek.unwrap(&wrapped, b"core/handover/1").unwrap();
        assert_eq!(opened.active().term, new.active().term);
        let elsewhere: Result<Keyring, _> = kek.unwrap(&wrapped, b"core/handover/2");
        assert_eq!(elsewhere.err(), Some(Error::WrongKey));
        let by_the_next: Result<Keyring, _> = new.active().kek.unwrap(&wrapped, b"core/handover/1");
        assert_eq!(by_the_next.err(), Some(Error::UnknownTerm(1)));
        for len in 0..wrapped.as_bytes().len() {
            let cut = Wrapped::<Keyring>::from_bytes(wrapped.as_bytes()[..len].to_vec());
            assert!(kek.unwrap(&cut, b"core/handover/1").is_err(), "{len}");
        }
        // A wrapped DEK is no keyring.
        let dek = Wraps::<Dek>::wrap(kek, &Dek::generate(), AT).unwrap();
        let dek = Wrapped::<Keyring>::from_bytes(dek.into_bytes());
        assert!(kek.unwrap(&dek, AT).is_err());
    }

    #[test]
    fn dek_comes_back_from_its_place_only() {
        let (kek, dek) = (Kek::generate(7), Dek::generate());
        let wrapped = kek.wrap(&dek, AT).unwrap();
        assert_eq!(wrapped.as_bytes().len(), 1 + 4 + 24 + 32 + 16);
        assert_eq!(wrapped.term(), Ok(7));
        let again = kek.unwrap(&wrapped, AT).ok().unwrap();
        assert_eq!(again.as_bytes(), dek.as_bytes());
        assert_eq!(
            kek.unwrap(&wrapped, b"core/dek/other/1").err(),
            Some(Error::WrongKey)
        );
    }

    #[test]
    fn wrapping_twice_gives_other_bytes() {
        let (kek, dek) = (Kek::generate(1), Dek::generate());
        let [first, second] = [(); 2].map(|()| kek.wrap(&dek, AT).unwrap());
        assert_ne!(first.as_bytes(), second.as_bytes());
    }

    #[test]
    fn another_key_does_not_open_it() {
        let wrapped = Kek::generate(7).wrap(&Dek::generate(), AT).unwrap();
        let same_term = Kek::generate(7).unwrap(&wrapped, AT).err();
        assert_eq!(same_term, Some(Error::WrongKey));
        let other_term = Kek::generate(8).unwrap(&wrapped, AT).err();
        assert_eq!(other_term, Some(Error::UnknownTerm(7)));
    }

    #[test]
    fn the_term_is_authenticated() {
        let key = || Protected::init_with(|key| key.fill(9));
        let wrapped = Kek::from_bytes(1, key())
            .wrap(&Dek::generate(), AT)
            .unwrap();
        let mut renamed = wrapped.into_bytes();
        renamed[4] = 2;
        let renamed = Wrapped::<Dek>::from_bytes(renamed);
        assert_eq!(renamed.term(), Ok(2));
        assert_eq!(
            Kek::from_bytes(2, key()).unwrap(&renamed, AT).err(),
            Some(Error::WrongKey)
        );
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let kek = Kek::generate(7);
        let wrapped = kek.wrap(&Dek::generate(), AT).unwrap().into_bytes();
        for bit in 0..wrapped.len() * 8 {
            let mut flipped = wrapped.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(
                kek.unwrap(&Wrapped::<Dek>::from_bytes(flipped), AT)
                    .is_err(),
                "bit {bit}"
            );
        }
        for len in 0..wrapped.len() {
            let cut = Wrapped::<Dek>::from_bytes(wrapped[..len].to_vec());
            assert!(kek.unwrap(&cut, AT).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn a_sealed_key_of_another_length_is_malformed() {
        let kek = Kek::generate(7);
        let sealed = message::seal(&kek.cipher, &[FORMAT, 0, 0, 0, 7], &[AT], &[1; 33]).unwrap();
        let refused = kek.unwrap(&Wrapped::<Dek>::from_bytes(sealed), AT).err();
        assert_eq!(refused, Some(Error::Malformed("DEK")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let kek = Kek::generate(7);
            prop_assert!(kek.unwrap(&Wrapped::<Dek>::from_bytes(bytes.clone()), AT).is_err());
            for (byte, header) in bytes.iter_mut().zip([FORMAT, 0, 0, 0, 7]) {
                *byte = header;
            }
            prop_assert!(kek.unwrap(&Wrapped::<Dek>::from_bytes(bytes), AT).is_err());
        }
    }
}
