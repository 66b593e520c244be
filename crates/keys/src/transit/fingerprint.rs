//! The fingerprint of a version: it tells two keys apart, and shows neither.

use super::ServiceKey;
use crate::digest::Digest;
use crate::kdf::hmac_sha256;

/// What a secret key is asked to authenticate.
const LABEL: &[u8] = b"keyfold/transit/fingerprint/1";

impl ServiceKey {
    /// Of a key with a public half `spki-sha256:` and the SHA-256 of its `SubjectPublicKeyInfo`, else
    /// `hmac-sha256:` and an HMAC under the key itself, in hex. So whoever has a copy can tell that it
    /// is this key; who has none learns no more than any ciphertext tells. `None` where the key lies
    /// in a device and has no public half.
    pub fn fingerprint(&self) -> Option<String> {
        if let Some(spki) = self.spki() {
            return Some(format!(
                "spki-sha256:{}",
                hex::encode(Digest::Sha2_256.of(&spki))
            ));
        }
        match self.expose() {
            [] => None,
            key => Some(format!(
                "hmac-sha256:{}",
                hex::encode(hmac_sha256(key, LABEL))
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transit::KeyType;

    #[test]
    fn of_every_kind_of_key() {
        let aes = ServiceKey::new(KeyType::Aes256Gcm96, &[7; 32], None).unwrap();
        let same = ServiceKey::new(KeyType::Aes256Gcm96, &[7; 32], None).unwrap();
        let other = ServiceKey::new(KeyType::Aes256Gcm96, &[8; 32], None).unwrap();
        let print = aes.fingerprint().unwrap();
        assert!(print.starts_with("hmac-sha256:"), "{print}");
        assert_eq!(same.fingerprint().unwrap(), print);
        assert_ne!(other.fingerprint().unwrap(), print);

        let signer = ServiceKey::generate(KeyType::Ed25519, 0).unwrap();
        let public = ServiceKey::public_only(KeyType::Ed25519, signer.public()).unwrap();
        let print = signer.fingerprint().unwrap();
        assert!(print.starts_with("spki-sha256:"), "{print}");
        assert_eq!(public.fingerprint().unwrap(), print);

        let away = ServiceKey::elsewhere(KeyType::Aes256Gcm96).unwrap();
        assert_eq!(away.fingerprint(), None);
    }
}
