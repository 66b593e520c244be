//! Mechanisms with their parameters.

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::rsa::{PkcsOaepParams, PkcsOaepSource};

use super::fault::{Fault, of};
use super::hash::Hash;

/// Bytes of a nonce of AES-GCM.
pub(crate) const NONCE_LEN: usize = 12;
/// Bytes of its tag.
pub(crate) const TAG_LEN: usize = 16;
const TAG_BITS: u64 = 128;

/// Calls with the parameters of AES-GCM, which borrow the nonce. An HSM that makes nonces itself
/// writes its own over the one that it is given.
pub(crate) fn gcm<T>(
    nonce: &mut [u8; NONCE_LEN],
    aad: &[u8],
    act: impl FnOnce(&Mechanism<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let params = GcmParams::new(nonce, aad, TAG_BITS.into()).map_err(|e| of(&e))?;
    act(&Mechanism::AesGcm(params))
}

/// OAEP without a label.
pub(crate) fn oaep(hash: Hash) -> Mechanism<'static> {
    let (hash, mask) = hash.parts();
    Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash, mask, PkcsOaepSource::empty()))
}
