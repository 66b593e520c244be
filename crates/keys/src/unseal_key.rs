//! [`Share`] and [`UnsealKey`]: what the operators hold, and the key it gives.

use keyfold_secret::{Protected, Secret};
use subtle::ConstantTimeEq;

use crate::aead::{self, Algorithm, NONCE_LEN};
use crate::error::{Error, ShareError};
use crate::hierarchy::{Wrapped, Wraps};
use crate::root_key::RootKey;
use crate::{kdf, rng, shamir};

/// Bytes of an unseal key.
pub const KEY_LEN: usize = 32;

const FORMAT: u8 = 1;
/// Keeps proofs apart from all else that is derived.
const PROOF: &[u8] = b"keyfold/unseal-key-proof/1 ";
/// Keeps checks of shares apart from all else that is hashed.
const CHECK: &[u8] = b"keyfold/share-check/1 ";
const SHARE_MIN: usize = 16;
const SHARE_MAX: usize = KEY_LEN + 1;

/// One operator's part of an unseal key, in protected pages: `y` bytes then the `x` byte, or, when
/// one share is all there is, the key itself.
pub struct Share {
    bytes: Protected<SHARE_MAX>,
    len: usize,
}

impl Share {
    /// Takes a share as an operator gave it, decoded from hex or base64.
    ///
    /// # Errors
    ///
    /// [`ShareError::Length`] unless it has 16 to 33 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        if !(SHARE_MIN..=SHARE_MAX).contains(&bytes.len()) {
            return Err(ShareError::Length.into());
        }
        let copy = Protected::init_with(|own: &mut [u8; SHARE_MAX]| {
            for (to, from) in own.iter_mut().zip(bytes) {
                *to = *from;
            }
        });
        Ok(Self {
            bytes: copy,
            len: bytes.len(),
        })
    }

    /// The bytes to hand to the operator.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.expose().get(..self.len).unwrap_or_default()
    }

    /// Bytes of each of the shares that [`UnsealKey::split`] hands out, where `threshold` of them
    /// are enough.
    pub fn length(threshold: u8) -> usize {
        match threshold {
            1 => KEY_LEN,
            _ => SHARE_MAX,
        }
    }

    /// A one-way image of the share, by which its holder shows that it is one of a set without
    /// giving it away. Whoever checks keeps the image and the salt.
    pub fn check(&self, salt: &[u8]) -> [u8; kdf::TAG_LEN] {
        let mut text = Secret::new(CHECK.to_vec());
        text.expose_mut().extend_from_slice(self.as_bytes());
        kdf::hmac_sha256(salt, text.expose())
    }

    /// Whether both are the same share, in a time that depends on the lengths alone.
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

/// The key that the shares give. It wraps the root key and nothing else, and lives only while it
/// does so.
pub struct UnsealKey(Protected<KEY_LEN>);

impl UnsealKey {
    /// A new random key.
    pub fn generate() -> Self {
        Self(Protected::init_with(|key| rng::fill(key)))
    }

    /// Splits the key into `shares`, of which `threshold` give it back. One share with threshold 1
    /// is the key itself.
    ///
    /// # Errors
    ///
    /// [`ShareError::Counts`] for other counts than 2 ≤ `threshold` ≤ `shares` or 1 of 1.
    pub fn split(&self, shares: u8, threshold: u8) -> Result<Vec<Share>, Error> {
        if (shares, threshold) == (1, 1) {
            return Ok(vec![Share::from_bytes(self.0.expose())?]);
        }
        shamir::split(self.0.expose(), shares, threshold)?
            .iter()
            .map(|share| Share::from_bytes(share.expose()))
            .collect()
    }

    /// The key that the shares give, of which `threshold` are enough.
    ///
    /// # Errors
    ///
    /// Those of [`UnsealKey::from_shares`] and [`UnsealKey::from_share_of_one`].
    pub fn of(shares: &[Share], threshold: u8) -> Result<Self, Error> {
        match (threshold, shares) {
            (1, [only]) => Self::from_share_of_one(only),
            (_, shares) => Self::from_shares(shares),
        }
    }

    /// The key that two or more shares give: a wrong one, without notice, when they are too few,
    /// changed, or of different sets.
    ///
    /// # Errors
    ///
    /// [`Error::Share`] when they can't be of one set, [`Error::WrongKey`] when what they give is
    /// not 32 bytes long.
    pub fn from_shares(shares: &[Share]) -> Result<Self, Error> {
        let shares: Vec<&[u8]> = shares.iter().map(Share::as_bytes).collect();
        Self::from_bytes(shamir::combine(&shares)?.expose())
    }

    /// The key that the only share is, where the threshold is 1.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKey`] when it is not 32 bytes long.
    pub fn from_share_of_one(share: &Share) -> Result<Self, Error> {
        Self::from_bytes(share.as_bytes())
    }

    /// Tells this key from any other, and nothing of what it is: for shares that are to prove who
    /// holds them and to open nothing. `context` says what for.
    ///
    /// # Errors
    ///
    /// None in practice: 32 bytes are within every limit.
    pub fn proof(&self, context: &[u8]) -> Result<[u8; KEY_LEN], Error> {
        let mut proof = [0; KEY_LEN];
        kdf::expand_sha256(self.0.expose(), &[PROOF, context], &mut proof)?;
        Ok(proof)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let bytes: &[u8; KEY_LEN] = bytes.try_into().map_err(|_| Error::WrongKey)?;
        Ok(Self(Protected::init_with(|key| key.copy_from_slice(bytes))))
    }

    fn cipher(&self) -> Result<aead::Key, Error> {
        aead::Key::new(Algorithm::Aes256Gcm, self.0.expose())
    }

    /// `format | nonce 12 | ciphertext | tag 16`, AES-256-GCM, AAD = format ‖ context: the one layout
    /// of what an unseal key wraps.
    pub(crate) fn seal(&self, format: u8, context: &[u8], child: &[u8]) -> Result<Vec<u8>, Error> {
        let nonce = rng::bytes();
        let mut sealed = child.to_vec();
        let aad = [&[format], context].concat();
        self.cipher()?.seal(nonce, &aad, &mut sealed)?;
        Ok([&[format], nonce.as_slice(), &sealed].concat())
    }

    /// The way back; `malformed` is said of what has not even the layout.
    pub(crate) fn reveal(
        &self,
        (format, malformed): (u8, Error),
        context: &[u8],
        wrapped: &[u8],
    ) -> Result<Secret<Vec<u8>>, Error> {
        let (found, rest) = wrapped.split_first().ok_or(malformed)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(malformed)?;
        if *found != format {
            return Err(malformed);
        }
        let mut plain = Secret::new(sealed.to_vec());
        let aad = [&[format], context].concat();
        let cipher = self.cipher()?;
        let len = cipher.open(*nonce, &aad, plain.expose_mut())?.len();
        plain.expose_mut().truncate(len);
        Ok(plain)
    }
}

/// `format 1 | nonce 12 | ciphertext 32 | tag 16`, AES-256-GCM, AAD = format ‖ storage key. The
/// nonce is random: an unseal key wraps a root key a few times in its life.
impl Wraps<RootKey> for UnsealKey {
    type Context<'a> = &'a [u8];

    fn wrap(&self, child: &RootKey, context: &[u8]) -> Result<Wrapped<RootKey>, Error> {
        let sealed = self.seal(FORMAT, context, child.as_bytes())?;
        Ok(Wrapped::from_bytes(sealed))
    }

    fn unwrap(&self, wrapped: &Wrapped<RootKey>, context: &[u8]) -> Result<RootKey, Error> {
        let malformed = Error::Malformed("wrapped root key");
        let key = self.reveal((FORMAT, malformed), context, wrapped.as_bytes())?;
        RootKey::from_bytes(key.expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{bytes, list, load};
    use proptest::prelude::*;

    const AT: &[u8] = b"core/seal/shamir";

    fn share(bytes: &[u8]) -> Share {
        Share::from_bytes(bytes).ok().unwrap()
    }

    fn key(fill: u8) -> UnsealKey {
        UnsealKey(Protected::init_with(|key| key.fill(fill)))
    }

    #[test]
    fn golden_shares_open_what_their_server_sealed() {
        let golden = load("shamir.json");
        let sets = list(&golden, "sets");
        for set in sets {
            let threshold = usize::try_from(set["secret_threshold"].as_u64().unwrap()).unwrap();
            let shares: Vec<Share> = list(set, "keys_hex")
                .iter()
                .take(threshold)
                .map(|text| share(&hex::decode(text.as_str().unwrap()).unwrap()))
                .collect();
            let key = match shares.as_slice() {
                [only] => UnsealKey::from_share_of_one(only),
                shares => UnsealKey::from_shares(shares),
            };
            let key = key.ok().unwrap();
            assert_eq!(key.0.expose().as_slice(), bytes(set, "unseal_key_hex"));

            let blob = bytes(&set["proof"]["blob_info"], "ciphertext");
            let (nonce, sealed) = blob.split_first_chunk().unwrap();
            let mut sealed = sealed.to_vec();
            let opened = key
                .cipher()
                .ok()
                .unwrap()
                .open(*nonce, b"", &mut sealed)
                .unwrap();
            let expected = set["proof"]["barrier_unseal_keys_plaintext"]
                .as_str()
                .unwrap();
            assert_eq!(opened, expected.as_bytes(), "{}", set["name"]);
        }
        assert_eq!(sets.len(), 7);
    }

    #[test]
    fn shares_of_any_count_give_the_key() {
        for (shares, threshold) in [(1, 1), (2, 2), (5, 3), (255, 2)] {
            let key = UnsealKey::generate();
            let parts = key.split(shares, threshold).ok().unwrap();
            assert_eq!(parts.len(), usize::from(shares));
            let again = match parts.as_slice() {
                [only] => UnsealKey::from_share_of_one(only),
                parts => UnsealKey::from_shares(&parts[..usize::from(threshold)]),
            };
            assert!(again.ok().unwrap().0.ct_eq(&key.0));
        }
        let refused = key(1).split(3, 1).err();
        let counts = ShareError::Counts {
            shares: 3,
            threshold: 1,
        };
        assert_eq!(refused, Some(Error::Share(counts)));
    }

    #[test]
    fn lengths_of_a_share() {
        for len in 0..50 {
            let taken = Share::from_bytes(&vec![1; len]);
            match taken {
                Ok(share) => assert_eq!(share.as_bytes(), vec![1; len]),
                Err(error) => assert_eq!(error, Error::Share(ShareError::Length)),
            }
            assert_eq!(
                Share::from_bytes(&vec![1; len]).is_ok(),
                (16..=33).contains(&len)
            );
        }
    }

    #[test]
    fn shares_of_another_length_give_no_key() {
        let short = [share(&[1; 20]), share(&[2; 20])];
        assert_eq!(UnsealKey::from_shares(&short).err(), Some(Error::WrongKey));
        assert_eq!(
            UnsealKey::from_share_of_one(&share(&[1; 33])).err(),
            Some(Error::WrongKey)
        );
        let unequal = [share(&[1; 33]), share(&[2; 32])];
        let refused = Some(Error::Share(ShareError::UnequalLengths));
        assert_eq!(UnsealKey::from_shares(&unequal).err(), refused);
    }

    #[test]
    fn a_proof_is_of_one_key_and_one_purpose() {
        let of = |fill, context: &[u8]| key(fill).proof(context).unwrap();
        assert_eq!(of(1, AT), of(1, AT));
        assert_ne!(of(1, AT), of(2, AT));
        assert_ne!(of(1, AT), of(1, b"core/seal/other"));
        assert_ne!(&of(1, AT), key(1).0.expose());
    }

    #[test]
    fn a_check_is_of_one_share_and_one_salt() {
        let one = share(&[1; 33]).check(b"salt");
        assert_eq!(one, share(&[1; 33]).check(b"salt"));
        assert_ne!(one, share(&[2; 33]).check(b"salt"));
        assert_ne!(one, share(&[1; 32]).check(b"salt"));
        assert_ne!(one, share(&[1; 33]).check(b"pepper"));
    }

    #[test]
    fn equal_shares() {
        assert!(share(&[1; 33]).ct_eq(&share(&[1; 33])));
        assert!(!share(&[1; 33]).ct_eq(&share(&[1; 32])));
        assert!(!share(&[1; 33]).ct_eq(&share(&[2; 33])));
    }

    #[test]
    fn root_key_comes_back_from_its_place_only() {
        let root = RootKey::generate();
        let wrapped = key(1).wrap(&root, AT).unwrap();
        assert_eq!(wrapped.as_bytes().len(), 1 + 12 + 32 + 16);
        let again = key(1).unwrap(&wrapped, AT).ok().unwrap();
        assert_eq!(again.as_bytes(), root.as_bytes());
        assert_eq!(
            key(1).unwrap(&wrapped, b"core/seal/other").err(),
            Some(Error::WrongKey)
        );
        assert_eq!(key(2).unwrap(&wrapped, AT).err(), Some(Error::WrongKey));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let wrapped = key(1).wrap(&RootKey::generate(), AT).unwrap().into_bytes();
        for bit in 0..wrapped.len() * 8 {
            let mut flipped = wrapped.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(
                key(1)
                    .unwrap(&Wrapped::<RootKey>::from_bytes(flipped), AT)
                    .is_err(),
                "bit {bit}"
            );
        }
        for len in 0..wrapped.len() {
            let cut = Wrapped::<RootKey>::from_bytes(wrapped[..len].to_vec());
            assert!(key(1).unwrap(&cut, AT).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn a_sealed_key_of_another_length_is_malformed() {
        let sealed = key(1).seal(FORMAT, AT, &[7; 31]).unwrap();
        let wrapped = Wrapped::<RootKey>::from_bytes(sealed);
        assert_eq!(
            key(1).unwrap(&wrapped, AT).err(),
            Some(Error::Malformed("root key"))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(key(1).unwrap(&Wrapped::<RootKey>::from_bytes(bytes), AT).is_err());
        }
    }
}
