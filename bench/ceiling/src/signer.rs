//! HMAC-SHA256, Ed25519 and ECDSA on P-256 under keys that live as long as the program.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, ParsedPublicKey,
};

/// One key of each kind.
pub struct Signer {
    hmac: hmac::Key,
    ed25519: (Ed25519KeyPair, ParsedPublicKey),
    p256: (EcdsaKeyPair, ParsedPublicKey),
    random: SystemRandom,
}

/// What signs.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Ed25519.
    Ed25519,
    /// ECDSA on P-256 with SHA-256, its signature in ASN.1.
    P256,
}

impl Signer {
    /// Draws the keys.
    pub fn new() -> Result<Self, Unspecified> {
        let random = SystemRandom::new();
        let ed25519 = Ed25519KeyPair::generate()?;
        let of_ed25519 = ParsedPublicKey::new(&ED25519, ed25519.public_key().as_ref());
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
        let of_p256 = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, p256.public_key().as_ref());
        Ok(Self {
            hmac: hmac::Key::generate(hmac::HMAC_SHA256, &random)?,
            ed25519: (ed25519, of_ed25519.map_err(|_| Unspecified)?),
            p256: (p256, of_p256.map_err(|_| Unspecified)?),
            random,
        })
    }

    /// The tag of a message.
    pub fn tag(&self, message: &[u8]) -> impl AsRef<[u8]> + use<> {
        hmac::sign(&self.hmac, message)
    }

    /// The signature of a message.
    pub fn sign(&self, kind: Kind, message: &[u8]) -> Option<Vec<u8>> {
        match kind {
            Kind::Ed25519 => Some(self.ed25519.0.sign(message).as_ref().to_vec()),
            Kind::P256 => {
                let signature = self.p256.0.sign(&self.random, message).ok()?;
                Some(signature.as_ref().to_vec())
            }
        }
    }

    /// Whether a signature is that of a message.
    pub fn verify(&self, kind: Kind, message: &[u8], signature: &[u8]) -> bool {
        let key = match kind {
            Kind::Ed25519 => &self.ed25519.1,
            Kind::P256 => &self.p256.1,
        };
        key.verify_sig(message, signature).is_ok()
    }
}
