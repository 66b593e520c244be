//! ECDSA over P-256, P-384 and P-521, with any hash function.
//!
//! The library ties each curve to a few hash functions. What a curve signs is a number of its own
//! length, taken from the left of the hash (FIPS 186-5, 6.4.1): so a hash of any function, cut or
//! filled up to that length, goes through the one that the library knows for the curve.

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1,
    ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, KeyPair, ParsedPublicKey,
};
use keyfold_secret::Secret;

use crate::der::{self, Reader, tag};
use crate::error::Error;

/// A curve of NIST's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
    /// secp521r1.
    P521,
}

/// `id-ecPublicKey`.
pub(super) const EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

impl Curve {
    /// Its name, as readers of a key are told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// Bytes of a private key, and of each half of a signature.
    pub const fn scalar_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// Its object identifier.
    pub(super) const fn oid(self) -> &'static [u8] {
        match self {
            Self::P256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            Self::P384 => &[0x2b, 0x81, 0x04, 0x00, 0x22],
            Self::P521 => &[0x2b, 0x81, 0x04, 0x00, 0x23],
        }
    }

    const fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            Self::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
        }
    }

    const fn verifying(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1,
            Self::P384 => &ECDSA_P384_SHA384_ASN1,
            Self::P521 => &ECDSA_P521_SHA512_ASN1,
        }
    }

    /// The longest hash that a signature covers whole, or all of it that counts.
    fn digest(self, hash: &[u8]) -> Result<Digest, Error> {
        let (algorithm, len) = match self {
            Self::P256 => (&digest::SHA256, 32),
            Self::P384 => (&digest::SHA384, 48),
            // A longer one would count with 521 bits, of which the library takes 512.
            Self::P521 if hash.len() > 64 => return Err(Error::Malformed("hash")),
            Self::P521 => (&digest::SHA512, 64),
        };
        let mut whole = [0; 64];
        let hash = hash.get(..len).unwrap_or(hash);
        let number = whole.get_mut(len - hash.len()..len).unwrap_or_default();
        number.copy_from_slice(hash);
        Digest::import_less_safe(whole.get(..len).unwrap_or_default(), algorithm)
            .map_err(|_| Error::Malformed("hash"))
    }
}

/// A new private key and its public point, uncompressed.
pub(super) fn generate(curve: Curve) -> Result<(Secret<Vec<u8>>, Vec<u8>), Error> {
    let pair = EcdsaKeyPair::generate(curve.signing()).map_err(|_| Error::Exhausted)?;
    let private = pair
        .private_key()
        .as_be_bytes()
        .map_err(|_| Error::Exhausted)?;
    let private = Secret::new(private.as_ref().to_vec());
    Ok((private, pair.public_key().as_ref().to_vec()))
}

/// The public point of a private key of [`Curve::scalar_len`] bytes.
pub(super) fn public(curve: Curve, private: &[u8]) -> Result<Vec<u8>, Error> {
    let malformed = Error::Malformed("private key");
    let scalar = der::element(tag::OCTETS, private);
    let named = der::element(tag::FIRST, &der::element(tag::OID, curve.oid()));
    let key = Secret::new(der::sequence(&[&der::integer(&[1]), &scalar, &named]));
    let pair = EcdsaKeyPair::from_private_key_der(curve.signing(), key.expose());
    Ok(pair.map_err(|_| malformed)?.public_key().as_ref().to_vec())
}

/// Whether these bytes are a point of the curve.
pub(super) fn is_point(curve: Curve, public: &[u8]) -> bool {
    ParsedPublicKey::new(curve.verifying(), public).is_ok()
}

/// Signs a hash: DER.
pub(super) fn sign(
    curve: Curve,
    private: &[u8],
    public: &[u8],
    hash: &[u8],
) -> Result<Vec<u8>, Error> {
    let digest = curve.digest(hash)?;
    EcdsaKeyPair::from_private_key_and_public_key(curve.signing(), private, public)
        .map_err(|_| Error::Malformed("private key"))?
        .sign_digest(&digest)
        .map(|signature| signature.as_ref().to_vec())
        .map_err(|_| Error::Exhausted)
}

/// Whether a signature in DER is one of a hash.
pub(super) fn verify(
    curve: Curve,
    public: &[u8],
    hash: &[u8],
    signature: &[u8],
) -> Result<bool, Error> {
    let digest = curve.digest(hash)?;
    let key = ParsedPublicKey::new(curve.verifying(), public)
        .map_err(|_| Error::Malformed("public key"))?;
    Ok(key.verify_digest_sig(&digest, signature).is_ok())
}

/// The secret that a private key and a public point of another share: the first coordinate of their
/// product (SP 800-56A).
pub(super) fn agree(curve: Curve, private: &[u8], peer: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
    let algorithm = match curve {
        Curve::P256 => &ECDH_P256,
        Curve::P384 => &ECDH_P384,
        Curve::P521 => &ECDH_P521,
    };
    let key = PrivateKey::from_private_key(algorithm, private)
        .map_err(|_| Error::Malformed("private key"))?;
    let peer = UnparsedPublicKey::new(algorithm, peer);
    agreement::agree(&key, peer, Error::Malformed("public key"), |secret| {
        Ok(Secret::new(secret.to_vec()))
    })
}

/// A signature as its two halves side by side, as JWS has it (RFC 7518, 3.4).
pub(super) fn to_fixed(curve: Curve, signature: &[u8]) -> Result<Vec<u8>, Error> {
    let len = curve.scalar_len();
    let (r, s) = halves(signature)?;
    let mut fixed = vec![0; 2 * len];
    for (half, end) in [(r, len), (s, 2 * len)] {
        let place = end
            .checked_sub(half.len())
            .filter(|_| half.len() <= len)
            .and_then(|start| fixed.get_mut(start..end));
        place
            .ok_or(Error::Malformed("signature"))?
            .copy_from_slice(half);
    }
    Ok(fixed)
}

/// The same the other way round.
pub(super) fn from_fixed(curve: Curve, fixed: &[u8]) -> Result<Vec<u8>, Error> {
    let len = curve.scalar_len();
    let halves = fixed.split_at_checked(len).filter(|(_, s)| s.len() == len);
    let (r, s) = halves.ok_or(Error::Malformed("signature"))?;
    Ok(der::sequence(&[&der::integer(r), &der::integer(s)]))
}

/// The two numbers of a signature in DER.
pub(super) fn halves(signature: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let mut reader = Reader::new(signature);
    let mut pair = reader.sequence()?;
    reader.end()?;
    let halves = (pair.integer()?, pair.integer()?);
    pair.end()?;
    Ok(halves)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest as Hash;
    use crate::golden::{bytes, list, load};

    const CURVES: [Curve; 3] = [Curve::P256, Curve::P384, Curve::P521];

    #[test]
    fn signs_any_hash() {
        for curve in CURVES {
            let (private, point) = generate(curve).unwrap();
            assert_eq!(private.expose().len(), curve.scalar_len());
            assert_eq!(public(curve, private.expose()).unwrap(), point);
            assert!(is_point(curve, &point) && !is_point(curve, &point[1..]));
            for len in [0, 1, 20, 28, 32, 48, 64] {
                let hash = vec![0xa5; len];
                let signature = sign(curve, private.expose(), &point, &hash).unwrap();
                assert!(verify(curve, &point, &hash, &signature).unwrap());
                let fixed = to_fixed(curve, &signature).unwrap();
                assert_eq!(fixed.len(), 2 * curve.scalar_len());
                assert_eq!(from_fixed(curve, &fixed).unwrap(), signature);
                let mut other = hash.clone();
                other.push(1);
                if len < 32 {
                    assert!(!verify(curve, &point, &other, &signature).unwrap());
                }
            }
            assert!(from_fixed(curve, &[1; 7]).is_err() && to_fixed(curve, b"x").is_err());
        }
        assert!(Curve::P521.digest(&[0; 65]).is_err());
    }

    #[test]
    fn two_sides_agree() {
        for curve in CURVES {
            let (one, two) = (generate(curve).unwrap(), generate(curve).unwrap());
            let shared = agree(curve, one.0.expose(), &two.1).unwrap();
            let again = agree(curve, two.0.expose(), &one.1).unwrap();
            assert_eq!(shared.expose(), again.expose());
            assert_eq!(shared.expose().len(), curve.scalar_len());
            assert!(agree(curve, one.0.expose(), &two.1[1..]).is_err());
        }
    }

    #[test]
    fn published_vectors() {
        let files = [
            (
                "ecdsa_secp256r1_sha256_test.json",
                Curve::P256,
                Hash::Sha2_256,
            ),
            (
                "ecdsa_secp256r1_sha512_test.json",
                Curve::P256,
                Hash::Sha2_512,
            ),
            (
                "ecdsa_secp384r1_sha256_test.json",
                Curve::P384,
                Hash::Sha2_256,
            ),
            (
                "ecdsa_secp384r1_sha384_test.json",
                Curve::P384,
                Hash::Sha2_384,
            ),
            (
                "ecdsa_secp384r1_sha512_test.json",
                Curve::P384,
                Hash::Sha2_512,
            ),
            (
                "ecdsa_secp521r1_sha512_test.json",
                Curve::P521,
                Hash::Sha2_512,
            ),
        ];
        for (file, curve, hash) in files {
            let golden = load(&format!("wycheproof/{file}"));
            let mut tests = 0;
            for group in list(&golden, "testGroups") {
                let point = bytes(&group["publicKey"], "uncompressed");
                for test in list(group, "tests") {
                    let hash = hash.of(&bytes(test, "msg"));
                    let found = verify(curve, &point, &hash, &bytes(test, "sig")).unwrap();
                    let expected = &test["result"];
                    assert!(
                        expected == "acceptable" || found == (expected == "valid"),
                        "{file} {}",
                        test["tcId"]
                    );
                    tests += 1;
                }
            }
            assert!(tests > 20, "{file}: {tests}");
        }
    }

    #[test]
    fn published_vectors_with_halves_side_by_side() {
        for (file, curve, hash) in [
            ("secp256r1_sha256", Curve::P256, Hash::Sha2_256),
            ("secp384r1_sha384", Curve::P384, Hash::Sha2_384),
            ("secp521r1_sha512", Curve::P521, Hash::Sha2_512),
        ] {
            let golden = load(&format!("wycheproof/ecdsa_{file}_p1363_test.json"));
            let mut tests = 0;
            for group in list(&golden, "testGroups") {
                let point = bytes(&group["publicKey"], "uncompressed");
                for test in list(group, "tests") {
                    let hash = hash.of(&bytes(test, "msg"));
                    let signature = from_fixed(curve, &bytes(test, "sig"));
                    let found = signature
                        .is_ok_and(|signature| verify(curve, &point, &hash, &signature).unwrap());
                    let expected = &test["result"];
                    assert!(
                        expected == "acceptable" || found == (expected == "valid"),
                        "{file} {}",
                        test["tcId"]
                    );
                    tests += 1;
                }
            }
            assert!(tests > 20, "{file}: {tests}");
        }
    }
}
