//! X-Wing (draft-connolly-cfrg-xwing-kem): ML-KEM-768 beside X25519. Whoever breaks one of them only
//! learns nothing.
//!
//! ```text
//!   seed 32 ──SHAKE-256──→ seed of ML-KEM 64 | private key of X25519 32
//!   secret = SHA3-256( secret of ML-KEM | of X25519 | point sent | public point | label )
//! ```
//!
//! A point of small order, with which anybody knows what X25519 gives, is refused on both sides: no
//! honest party sends one.

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use keyfold_secret::Secret;
use sha3::Shake256;
use sha3::digest::{ExtendableOutput, Update, XofReader};

use super::ml_kem;
use crate::digest::Digest;
use crate::error::Error;
use crate::rng;

/// Bytes of a seed.
pub(super) const SEED_LEN: usize = 32;
/// Bytes of a point, and of a private key, of X25519.
const POINT_LEN: usize = 32;
/// Bytes of a public key: that of ML-KEM, then the point.
pub(super) const PUBLIC_LEN: usize = ml_kem::PUBLIC_LEN + POINT_LEN;
/// Bytes of an encapsulation: that of ML-KEM, then a point.
pub(super) const ENCAPSULATION_LEN: usize = ml_kem::ENCAPSULATION_LEN + POINT_LEN;
/// What ends the input of the hash: a picture of the ship.
const LABEL: &[u8; 6] = br"\.//^\";

/// The public key of a seed.
pub(super) fn public(seed: &[u8]) -> Result<Vec<u8>, Error> {
    let expanded = expand(seed)?;
    let (lattice, private) = expanded.expose().split_at(ml_kem::SEED_LEN);
    let mut public = ml_kem::public(lattice)?;
    public.extend_from_slice(&point(&curve(private)?)?);
    Ok(public)
}

/// A new secret for the holder of the private key.
pub(super) fn encapsulate(public: &[u8]) -> Result<(Vec<u8>, Secret<Vec<u8>>), Error> {
    const MALFORMED: Error = Error::Malformed("public key");
    let halves = public.split_at_checked(ml_kem::PUBLIC_LEN);
    let (lattice, theirs) = halves.ok_or(MALFORMED)?;
    let (mut sent, first) = ml_kem::encapsulate(lattice)?;
    let mut private = Secret::new([0; POINT_LEN]);
    rng::fill(private.expose_mut());
    let key = curve(private.expose())?;
    let ours = point(&key)?;
    let second = shared(&key, theirs).ok_or(MALFORMED)?;
    sent.extend_from_slice(&ours);
    Ok((sent, combine(&first, &second, &ours, theirs)))
}

/// The secret in an encapsulation.
pub(super) fn decapsulate(seed: &[u8], encapsulation: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
    let halves = encapsulation.split_at_checked(ml_kem::ENCAPSULATION_LEN);
    let (lattice, theirs) = halves
        .filter(|(_, theirs)| theirs.len() == POINT_LEN)
        .ok_or(Error::Malformed("encapsulation"))?;
    let expanded = expand(seed)?;
    let (lattice_seed, private) = expanded.expose().split_at(ml_kem::SEED_LEN);
    let first = ml_kem::decapsulate(lattice_seed, lattice)?;
    let key = curve(private)?;
    let second = shared(&key, theirs).ok_or(Error::WrongKey)?;
    Ok(combine(&first, &second, theirs, &point(&key)?))
}

/// The seed of ML-KEM and the private key of X25519.
fn expand(seed: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
    if seed.len() != SEED_LEN {
        return Err(Error::Malformed("private key"));
    }
    let mut expanded = Secret::new(vec![0; ml_kem::SEED_LEN + POINT_LEN]);
    let mut shake = Shake256::default();
    shake.update(seed);
    shake.finalize_xof().read(expanded.expose_mut());
    Ok(expanded)
}

fn curve(private: &[u8]) -> Result<PrivateKey, Error> {
    PrivateKey::from_private_key(&X25519, private).map_err(|_| Error::Malformed("private key"))
}

fn point(key: &PrivateKey) -> Result<Vec<u8>, Error> {
    let public = key.compute_public_key();
    Ok(public.map_err(|_| Error::Exhausted)?.as_ref().to_vec())
}

/// What X25519 gives; `None` where that is nothing, or the point is none.
fn shared(key: &PrivateKey, theirs: &[u8]) -> Option<Secret<Vec<u8>>> {
    let theirs = UnparsedPublicKey::new(&X25519, theirs);
    agree(key, theirs, (), |secret| Ok(Secret::new(secret.to_vec()))).ok()
}

fn combine(
    first: &Secret<Vec<u8>>,
    second: &Secret<Vec<u8>>,
    sent: &[u8],
    public: &[u8],
) -> Secret<Vec<u8>> {
    let input = [first.expose(), second.expose(), sent, public, LABEL].concat();
    let input = Secret::new(input);
    Secret::new(Digest::Sha3_256.of(input.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{bytes, data};

    /// The vectors of the draft.
    #[test]
    fn published_vectors() {
        let vectors = data("x-wing.json");
        let vectors = vectors.as_array().unwrap();
        assert!(vectors.len() >= 3);
        for vector in vectors {
            let seed = bytes(vector, "seed");
            assert_eq!(public(&seed).unwrap(), bytes(vector, "pk"));
            let found = decapsulate(&seed, &bytes(vector, "ct")).unwrap();
            assert_eq!(found.expose(), &bytes(vector, "ss"));
        }
    }

    #[test]
    fn points_of_small_order() {
        let seed = [7; SEED_LEN];
        let mut key = public(&seed).unwrap();
        let (mut sent, _) = encapsulate(&key).unwrap();
        key[ml_kem::PUBLIC_LEN..].fill(0);
        sent[ml_kem::ENCAPSULATION_LEN..].fill(0);
        let refused = encapsulate(&key).err();
        assert_eq!(refused, Some(Error::Malformed("public key")));
        assert_eq!(decapsulate(&seed, &sent).err(), Some(Error::WrongKey));
    }
}
