//! A DEK under a key of this machine: AES-256-GCM, as transit has it too.
//!
//! ```text
//!   nonce 12 │ ciphertext 32 │ tag 16
//! ```

use keyfold_keys::aead::{Algorithm, Key, NONCE_LEN, TAG_LEN};
use keyfold_keys::rng;
use keyfold_secret::{Protected, Secret};

/// Bytes of a wrap.
pub(super) const WRAP_LEN: usize = NONCE_LEN + 32 + TAG_LEN;

/// Wraps a DEK.
pub(super) fn wrap(kek: &Protected<32>, aad: &[u8], dek: &Protected<32>) -> Option<Vec<u8>> {
    let key = Key::new(Algorithm::Aes256Gcm, kek.expose()).ok()?;
    let nonce = rng::bytes();
    let mut sealed = Secret::new(Vec::with_capacity(WRAP_LEN));
    sealed.expose_mut().extend_from_slice(&nonce);
    sealed.expose_mut().extend_from_slice(dek.expose());
    let (_, body) = sealed.expose_mut().split_at_mut_checked(NONCE_LEN)?;
    let tag = key.seal_detached(nonce, aad, body).ok()?;
    sealed.expose_mut().extend_from_slice(&tag);
    Some(sealed.into_inner())
}

/// The DEK in a wrap; `None` where it does not authenticate, or is no wrap of 32 bytes.
pub(super) fn unwrap(kek: &Protected<32>, aad: &[u8], wrap: &[u8]) -> Option<Protected<32>> {
    let key = Key::new(Algorithm::Aes256Gcm, kek.expose()).ok()?;
    let (nonce, body) = wrap.split_first_chunk::<NONCE_LEN>()?;
    let mut body = Secret::new(body.to_vec());
    let dek = key.open(*nonce, aad, body.expose_mut()).ok()?;
    let dek = dek.first_chunk::<32>().filter(|_| dek.len() == 32)?;
    Some(Protected::init_with(|out| out.copy_from_slice(dek)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(fill: u8) -> Protected<32> {
        Protected::init_with(|key| key.fill(fill))
    }

    #[test]
    fn only_the_same_key_and_data_unwrap() {
        let sealed = wrap(&key(1), b"aad", &key(7)).unwrap();
        assert_eq!(sealed.len(), WRAP_LEN);
        assert!(unwrap(&key(1), b"aad", &sealed).unwrap().ct_eq(&key(7)));
        assert!(unwrap(&key(2), b"aad", &sealed).is_none());
        assert!(unwrap(&key(1), b"", &sealed).is_none());
        for at in 0..WRAP_LEN {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(unwrap(&key(1), b"aad", &changed).is_none(), "byte {at}");
            assert!(unwrap(&key(1), b"aad", &sealed[..at]).is_none());
        }
        let again = wrap(&key(1), b"aad", &key(7)).unwrap();
        assert_ne!(sealed, again, "a nonce of its own");
    }
}
